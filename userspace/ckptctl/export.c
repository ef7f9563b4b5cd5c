// SPDX-License-Identifier: GPL-2.0-only
/* export.c - ckptctl export: a snapshot in a form that other tools read. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"
#include "ctl.h"

enum { OPT_CORE = CTL_LONG, OPT_TAR, OPT_ALL };

static const struct ctl_opt opts[] = {
	{ OPT_CORE, "core", "FILE", "as an ELF core, for gdb" },
	{ OPT_TAR, "tar", "FILE", "as a tar archive, for 'ckptctl import'; - is standard output" },
	{ OPT_ALL, "all", NULL, "with --tar: all generations of the job" },
	CTL_OPT_IDENTITY,
	{ }
};

#define I(x)	((json_int_t)(x))

static void human(const struct ctl *ctl, json_t *o)
{
	char size[OUT_SMALL];

	printf("%s%s%s\n", out_bold(), out_get_text(o, "ref"), out_plain());
	printf("  core    %s: %s of memory\n", out_get_text(o, "file"),
	       out_size(out_get(o, "data_pages") * out_get(o, "page_size"), size));
}

/* Whether a debugger would read from the file of @v what the program did not. */
static bool is_changed(const struct ckpt_model_vma *v)
{
	struct stat st;

	return stat(v->path, &st) || !ckpt_file_unchanged(&v->rec.id, &st);
}

/* The mapped files that are not what they were, each once; told, and as a list. */
static json_t *changed_files(const struct ctl *ctl, const struct ckpt_model *m)
{
	json_t *list = json_array();
	const char *last = "";

	for (size_t i = 0; i < m->nr_vmas; i++) {
		const struct ckpt_model_vma *v = &m->vmas[i];

		if (!core_has_file(v) || !strcmp(v->path, last))
			continue;
		last = v->path;
		if (!is_changed(v))
			continue;
		ctl_note(ctl, "%s is not what it was: what the core takes from it is not what was there",
			 v->path);
		json_array_append_new(list, report_text(v->path));
	}
	return list;
}

static json_t *report(const struct ctl *ctl, const struct memory *m, const char *file,
		      const struct core_result *r)
{
	return json_pack("{s:b,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:I}", "ok", 1,
			 "changed_files", changed_files(ctl, m->model),
			 "ref", report_text(chain_ref(m->chain)->label), "file", report_text(file),
			 "executable", report_text(m->model->paths[CKPT_PATH_EXE].path),
			 "size", I(r->size), "segments", I(r->segments),
			 "data_pages", I(r->data_pages), "page_size", I(m->model->system.page_size));
}

/* A core holds all of the program's memory: nobody else's to read, and nothing is written over. */
static int write_core(struct ctl *ctl, const struct memory *m, const char *file,
		      struct core_result *r)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return ckpt_err_sys(&ctl->err, errno, "%s", file);
	ret = core_write(m->chain, m->model, fd, progress_tell, NULL, &ctl->err, r);
	if (close(fd) && !ret)
		ret = ckpt_err_sys(&ctl->err, errno, "cannot write the core");
	if (!ret)
		return 0;
	ckpt_err_prefix(&ctl->err, "%s", file);
	unlink(file);
	return ret;
}

static int export_core(struct ctl *ctl, struct store *store, const char *ref, const char *file)
{
	struct core_result r = { 0 };
	struct memory m = { 0 };
	json_t *figures = NULL;
	int ret, sig;

	ret = memory_open(ctl, store, ref, &m);
	if (!ret) {
		progress_begin(ctl, "export");
		ret = write_core(ctl, &m, file, &r);
		sig = progress_end();
		if (ret && sig && ret == -EINTR) {
			ckpt_err_clear(&ctl->err);
			ckpt_err_set(&ctl->err, EINTR, "interrupted: nothing was kept");
		}
	}
	if (!ret) {
		figures = report(ctl, &m, file, &r);
		if (!figures)
			ret = ckpt_err_sys(&ctl->err, ENOMEM, "%s is complete, but not the report of it", file);
	}
	memory_close(&m);
	return ret ? ctl_fail(ctl, NULL) : ctl_report(ctl, figures, human);
}

struct wanted {
	const char	*core;
	const char	*tar;
	bool		all;
};

/* Why that cannot be wanted; NULL: it can. */
static const char *complaint(const struct ctl *ctl, const struct wanted *w)
{
	if (!w->core == !w->tar)
		return w->core ? "either --core or --tar" : "as what? --core FILE or --tar FILE";
	if (w->all && !w->tar)
		return "--all is for --tar";
	if (w->tar && !strcmp(w->tar, "-") && ctl->json)
		return "standard output is the archive's: --json needs --tar FILE";
	return w->tar && !strcmp(w->tar, "-") && out_tty() ?
	       "an archive is not for a terminal: --tar FILE, or into a pipe" : NULL;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct store *store = NULL;
	struct wanted w = { 0 };
	const char *arg, *ref;
	int id, ret;

	while ((id = ctl_next(ctl, argc, argv, &arg))) {
		if (id == OPT_CORE)
			w.core = arg;
		else if (id == OPT_TAR)
			w.tar = arg;
		else
			w.all = true;
	}
	if (argc - optind != 1)
		return ctl_usage(ctl, argc == optind ? "what to export is missing" :
				 "one snapshot at a time");
	if (complaint(ctl, &w))
		return ctl_usage(ctl, "%s", complaint(ctl, &w));
	ref = argv[optind];
	if (!store_ref_is_path(ref) && store_open(ctl->store, false, &ctl->err, &store))
		return ctl_fail(ctl, NULL);
	ret = w.core ? export_core(ctl, store, ref, w.core) : export_tar(ctl, store, ref, w.tar, w.all);
	store_close(store);
	return ret;
}

const struct verb verb_export = {
	.name = "export", .args = "--core FILE REF | --tar FILE|- [--all] REF", .opts = opts, .run = run,
	.summary = "Write a snapshot in a form for other tools",
	.about = "\nREF is JOB (its newest generation), JOB@GENERATION, or, for --core, the path of an image.\n"
		 "FILE must not exist. gdb opens a core together with the program's executable: every thread's\n"
		 "stack, and all memory, as they were then. A tar archive has the snapshot and all it is built\n"
		 "on, for another store.",
};
