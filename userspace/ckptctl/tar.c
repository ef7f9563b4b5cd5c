// SPDX-License-Identifier: GPL-2.0-only
/* tar.c - ckptctl export --tar and ckptctl import: generations from one store to another. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "tar.h"
#include "util.h"

#define I(x)	((json_int_t)(x))

static const struct ctl_opt opts[] = {
	{ 'n', "name", "NAME", "job it becomes part of (the one it was exported from)" },
	{ }
};

static bool is_stream(const char *file)
{
	return !strcmp(file, "-");
}

static json_t *generations(const struct tar_result *r)
{
	const struct tar_generation *g = (const void *)r->generations.data;
	json_t *list = json_array();

	for (size_t i = 0; i < r->generations.len / sizeof(*g); i++) {
		char ref[STORE_NAME_MAX + 24];

		snprintf(ref, sizeof(ref), "%s@%llu", r->name, (unsigned long long)g[i].generation);
		/* one that is missing is found by the count */
		json_array_append_new(list, json_pack("{s:s,s:I,s:b,s:I,s:I,s:b}", "ref", ref,
						      "generation", I(g[i].generation),
						      "delta", g[i].parent != 0,
						      "parent_generation", I(g[i].parent),
						      "size", I(g[i].size), "present", g[i].present));
	}
	if (json_array_size(list) == r->generations.len / sizeof(*g))
		return list;
	json_decref(list);
	return NULL;
}

static json_t *report(const char *file, const struct tar_result *r)
{
	return json_pack("{s:b,s:s,s:o,s:I,s:o}", "ok", 1, "name", r->name, "file", report_text(file),
			 "bytes", I(r->bytes), "generations", generations(r));
}

/* The newest is what one goes on with. */
static const char *last_ref(json_t *o)
{
	json_t *list = json_object_get(o, "generations");

	return out_get_text(json_array_get(list, json_array_size(list) - 1), "ref");
}

static void human_export(const struct ctl *ctl, json_t *o)
{
	size_t n = json_array_size(json_object_get(o, "generations"));
	char size[OUT_SMALL];

	printf("%s%s%s\n", out_bold(), last_ref(o), out_plain());
	printf("  tar     %s: %zu generation(s), %s\n", out_get_text(o, "file"), n,
	       out_size(out_get(o, "bytes"), size));
}

static void human_import(const struct ctl *ctl, json_t *o)
{
	json_t *list = json_object_get(o, "generations"), *g;
	size_t i, present = 0;
	char size[OUT_SMALL];

	json_array_foreach(list, i, g)
		present += json_is_true(json_object_get(g, "present"));
	printf("%s%s%s\n", out_bold(), last_ref(o), out_plain());
	printf("  new     %zu generation(s), %s\n", json_array_size(list) - present,
	       out_size(out_get(o, "bytes"), size));
	if (present)
		printf("  as is   %zu generation(s) the store had already\n", present);
}

/* A signal is why, whatever it was that gave up. */
static int interrupted(struct ctl *ctl, int ret, int sig)
{
	if (ret == -EINTR && sig) {
		ckpt_err_clear(&ctl->err);
		ckpt_err_set(&ctl->err, EINTR, "interrupted: nothing was kept");
	}
	return ret;
}

static int export_to(struct ctl *ctl, struct store *store, struct tar_export_opts *o,
		     struct tar_result *r)
{
	int ret;

	o->progress = progress_tell;
	progress_begin(ctl, "export");
	ret = tar_export(store, o, &ctl->err, r);
	return interrupted(ctl, ret, progress_end());
}

/* Memory of the program is in it: nobody else's to read, and nothing is written over. */
static int export_file(struct ctl *ctl, struct store *store, struct tar_export_opts *o,
		       struct tar_result *r)
{
	int ret;

	o->fd = open(o->label, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (o->fd < 0)
		return ckpt_err_sys(&ctl->err, errno, "%s", o->label);
	ret = export_to(ctl, store, o, r);
	if (!ret) {
		ret = util_fsync(o->fd);
		if (ret)
			ckpt_err_sys(&ctl->err, ret, "%s: cannot sync the archive", o->label);
	}
	if (close(o->fd) && !ret)
		ret = ckpt_err_sys(&ctl->err, errno, "%s: cannot write the archive", o->label);
	if (ret)
		unlink(o->label);
	return ret;
}

int export_tar(struct ctl *ctl, struct store *store, const char *ref, const char *file, bool all)
{
	struct tar_export_opts o = { .ref = ref, .all = all, .label = file, .fd = STDOUT_FILENO };
	struct tar_result r = { 0 };
	json_t *figures = NULL;
	int ret;

	if (is_stream(file)) {
		o.label = "standard output";
		ret = export_to(ctl, store, &o, &r);
	} else {
		ret = export_file(ctl, store, &o, &r);
	}
	if (!ret && !is_stream(file))
		figures = report(file, &r);
	tar_result_free(&r);
	if (ret)
		return ctl_fail(ctl, NULL);
	return is_stream(file) ? CTL_OK : ctl_report(ctl, figures, human_export);
}

static int import_from(struct ctl *ctl, struct tar_import_opts *o)
{
	struct tar_result r = { 0 };
	json_t *figures = NULL;
	struct store *store;
	int ret;

	if (store_open(ctl->store, true, &ctl->err, &store))
		return ctl_fail(ctl, NULL);
	o->progress = progress_tell;
	progress_begin(ctl, "import");
	ret = tar_import(store, o, &ctl->err, &r);
	interrupted(ctl, ret, progress_end());
	if (!ret)
		figures = report(o->label, &r);
	tar_result_free(&r);
	store_close(store);
	return ret ? ctl_fail(ctl, NULL) : ctl_report(ctl, figures, human_import);
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct tar_import_opts o = { .fd = STDIN_FILENO, .label = "standard input" };
	const char *arg;
	int ret;

	while (ctl_next(ctl, argc, argv, &arg) == 'n')
		o.name = arg;
	if (argc - optind != 1)
		return ctl_usage(ctl, argc == optind ? "what to import is missing" :
				 "one archive at a time");
	if (o.name && !store_name_valid(o.name))
		return ctl_usage(ctl, "'%s' is not a name for a job", o.name);
	if (is_stream(argv[optind]) && isatty(STDIN_FILENO))
		return ctl_usage(ctl, "an archive does not come from a terminal");
	if (!is_stream(argv[optind])) {
		o.label = argv[optind];
		o.fd = open(o.label, O_RDONLY | O_CLOEXEC);
	}
	if (o.fd < 0) {
		ckpt_err_sys(&ctl->err, errno, "%s: cannot open the archive", o.label);
		return ctl_fail(ctl, NULL);
	}
	ret = import_from(ctl, &o);
	if (o.fd != STDIN_FILENO)
		close(o.fd);
	return ret;
}

const struct verb verb_import = {
	.name = "import", .args = "[-n NAME] FILE|-", .opts = opts, .run = run,
	.summary = "Put exported snapshots into the store",
	.about = "\nFILE is what 'ckptctl export --tar' wrote, - is standard input. All of it is read and\n"
		 "verified before anything appears in the store. Restoring a snapshot runs the program in it:\n"
		 "import only what you would run.",
};
