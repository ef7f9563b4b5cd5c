// SPDX-License-Identifier: GPL-2.0-only
/* restore.c - ckptctl restore: bring a process back and stand in for it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "chain.h"
#include "restore.h"
#include "store.h"

enum { OPT_DETACH = CTL_LONG, OPT_FD, OPT_REMAP, OPT_DISCARD, OPT_FILES_DIR, OPT_PIDNS, OPT_ROOT, OPT_WAIT };

static const struct ctl_opt opts[] = {
	{ OPT_DETACH, "detach", NULL, "print its number and leave it running" },
	{ OPT_FD, "fd", "N=PATH", "give it PATH as descriptor N (may be repeated)" },
	{ OPT_DISCARD, "discard-newer", NULL, "keep no copy of newer files that are put back" },
	{ OPT_FILES_DIR, "files-dir", "DIR", "put files of the image that have changed there (STORE/.files)" },
	{ OPT_PIDNS, "pidns", NULL, "in a PID namespace of its own, where its numbers are free" },
	{ OPT_REMAP, "remap", "OLD=NEW", "look below NEW for what was below OLD (may be repeated)" },
	{ OPT_ROOT, "root", "DIR", "make DIR its root directory, and look for its files there" },
	{ OPT_WAIT, "wait", NULL, "stand in for it until it ends, as without --detach" },
	CTL_OPT_IDENTITY,
	{ }
};

/* What the command line asks for; the arrays have room for argc entries. */
struct request {
	bool			detach;
	bool			pidns;
	bool			discard_newer;
	const char		*files_dir;
	const char		*root;
	struct ckpt_restore_fd	*fds;
	size_t			nr_fds;
	struct ckpt_restore_path *paths;
	size_t			nr_paths;
	const char		*ref;
};

static int no_memory(struct ctl *ctl)
{
	ckpt_err_sys(&ctl->err, ENOMEM, "arguments");
	return ctl_fail(ctl, NULL);
}

static int parse_fd(struct ctl *ctl, struct request *q, const char *arg)
{
	const char *eq = strchr(arg, '=');
	char number[16];
	int64_t n;

	snprintf(number, sizeof(number), "%.*s", eq ? (int)(eq - arg) : 0, arg);
	if (!eq || !eq[1] || strlen(number) != (size_t)(eq - arg) ||
	    !ctl_number(number, 0, INT_MAX, &n))
		return ctl_usage(ctl, "'%s' is not N=PATH", arg);
	q->fds[q->nr_fds++] = (struct ckpt_restore_fd){ n, eq + 1 };
	return CTL_GO_ON;
}

static int parse_remap(struct ctl *ctl, struct request *q, const char *arg)
{
	const char *eq = strchr(arg, '=');
	char *from;

	if (!eq || arg[0] != '/' || eq[1] != '/')
		return ctl_usage(ctl, "'%s' is not OLD=NEW, two absolute paths", arg);
	from = strndup(arg, eq - arg);
	if (!from)
		return no_memory(ctl);
	q->paths[q->nr_paths++] = (struct ckpt_restore_path){ from, eq + 1 };
	return CTL_GO_ON;
}

static int parse(struct ctl *ctl, int argc, char **argv, struct request *q)
{
	const char *arg;
	int id, code = CTL_GO_ON;

	q->fds = calloc(argc, sizeof(*q->fds));
	q->paths = calloc(argc, sizeof(*q->paths));
	if (!q->fds || !q->paths)
		return no_memory(ctl);
	while (code == CTL_GO_ON && (id = ctl_next(ctl, argc, argv, &arg))) {
		if (id == OPT_DETACH || id == OPT_WAIT)
			q->detach = id == OPT_DETACH;
		else if (id == OPT_PIDNS)
			q->pidns = true;
		else if (id == OPT_DISCARD)
			q->discard_newer = true;
		else if (id == OPT_FILES_DIR)
			q->files_dir = arg;
		else if (id == OPT_ROOT)
			q->root = arg;
		else if (id == OPT_FD)
			code = parse_fd(ctl, q, arg);
		else if (id == OPT_REMAP)
			code = parse_remap(ctl, q, arg);
	}
	if (code != CTL_GO_ON)
		return code;
	if (argc - optind != 1)
		return ctl_usage(ctl, argc == optind ? "what to restore is missing" :
				 "one image at a time");
	q->ref = argv[optind];
	return CTL_GO_ON;
}

static void free_request(struct request *q)
{
	for (size_t i = 0; i < q->nr_paths; i++)
		free((char *)q->paths[i].from);
	free(q->paths);
	free(q->fds);
}

/* The progress of a restore cannot stop it; signals do, inside the library. */
static void tell(uint64_t done, uint64_t total, void *arg)
{
	progress_tell(done, total, arg);
}

/* Whoever wrote there in the meantime will want to know. */
struct changed {
	const struct ctl *ctl;
	json_t		*cut;
	json_t		*put_back;
	json_t		*left_out;
	json_t		*from_image;
	json_t		*unheard;
};

static void note_cut(const char *path, uint64_t bytes, void *arg)
{
	struct changed *c = arg;

	json_array_append_new(c->cut, json_pack("{s:o,s:I}", "path", report_text(path),
						 "bytes", (json_int_t)bytes));
	ctl_note(c->ctl, "%s was cut back to what it held at the snapshot: %llu bytes are gone", path,
		 (unsigned long long)bytes);
}

static void note_put_back(const char *path, const char *backup, bool back, void *arg)
{
	struct changed *c = arg;

	json_array_append_new(c->put_back, json_pack("{s:o,s:o,s:b}", "path", report_text(path), "newer",
						     backup ? report_text(backup) : json_null(),
						     "content", back));
	ctl_note(c->ctl, "%s %s%s%s", path,
		 back ? "was put back as it was at the snapshot" : "came after the snapshot and was taken away",
		 backup ? "; the newer one is " : "", backup ? backup : "");
}

static void note_left_out(uint64_t bytes, void *arg)
{
	struct changed *c = arg;
	char size[OUT_SMALL];

	json_integer_set(c->left_out, (json_int_t)bytes);
	ctl_note(c->ctl, "%s of memory were left out of the snapshot, marked MADV_DONTDUMP: they are zero now",
		 out_size(bytes, size));
}

static void note_from_image(const char *path, const char *copy, void *arg)
{
	struct changed *c = arg;

	json_array_append_new(c->from_image, json_pack("{s:o,s:o}", "path", report_text(path),
							"copy", report_text(copy)));
	ctl_note(c->ctl, "%s is not what it was; from the image: %s", path, copy);
}

static void note_unheard(const char *name, void *arg)
{
	struct changed *c = arg;

	json_array_append_new(c->unheard, report_text(name));
	ctl_note(c->ctl, "nobody receives datagrams at %s any more, where a socket of the program sends them",
		 name);
}

static json_t *report(const char *ref, const struct changed *c)
{
	return json_pack("{s:b,s:o,s:i,s:O,s:O,s:O,s:O,s:O}", "ok", 1, "ref", report_text(ref), "pid", 0,
			 "cut", c->cut, "put_back", c->put_back, "left_out_bytes", c->left_out, "from_image",
			 c->from_image, "unheard", c->unheard);
}

/* The number alone, so that a script can take it. */
static void human(const struct ctl *ctl, json_t *o)
{
	printf("%d\n", (int)out_get(o, "pid"));
}

/* The report is made first: nobody must be told of a failure while the program runs. */
static int run_detached(struct ctl *ctl, const struct ckpt_restore_opts *o, const char *ref,
			const struct changed *changed)
{
	json_t *made = report(ref, changed);
	pid_t pid;
	int ret;

	if (!made) {
		ckpt_err_sys(&ctl->err, ENOMEM, "%s: report", ref);
		return ctl_fail(ctl, NULL);
	}
	progress_begin(ctl, "restore");
	ret = ckpt_restore_run(o, &ctl->err, &pid);
	progress_end();
	if (ret) {
		json_decref(made);
		return ctl_fail(ctl, NULL);
	}
	json_integer_set(json_object_get(made, "pid"), pid);
	return ctl_report(ctl, made, human);
}

static int bring_back(struct ctl *ctl, const struct request *q, const struct store *store,
		      struct chain *chain)
{
	const char *ref = chain_ref(chain)->label;
	struct changed changed = {
		.ctl = ctl, .cut = json_array(), .put_back = json_array(),
		.left_out = json_integer(0), .from_image = json_array(), .unheard = json_array(),
	};
	struct ckpt_restore_opts o = {
		.chain = chain, .store = store, .fds = q->fds, .nr_fds = q->nr_fds, .paths = q->paths,
		.nr_paths = q->nr_paths, .root = q->root, .detach = q->detach, .pidns = q->pidns,
		/* A bar must not be drawn over what the program prints: only where it is not tied. */
		.progress = q->detach ? tell : NULL,
		.discard_newer = q->discard_newer, .cut = note_cut, .put_back = note_put_back,
		.left_out = note_left_out,
		.files_dir = q->files_dir, .from_image = note_from_image, .unheard = note_unheard,
		.arg = &changed,
	};
	int status, ret;

	/* The chain has what it needs of them, and forgets that before the program runs. */
	keyring_free(ctl->keyring);
	ctl->keyring = NULL;
	if (!changed.cut || !changed.put_back || !changed.left_out || !changed.from_image ||
	    !changed.unheard) {
		ckpt_err_sys(&ctl->err, ENOMEM, "report");
		ret = ctl_fail(ctl, NULL);
	} else if (q->detach) {
		ret = run_detached(ctl, &o, ref, &changed);
	} else if (ckpt_restore_foreground(&o, &ctl->err, &status)) {
		ret = ctl_fail(ctl, NULL);
	} else {
		ckpt_restore_end_like(status);
	}
	json_decref(changed.cut);
	json_decref(changed.put_back);
	json_decref(changed.left_out);
	json_decref(changed.from_image);
	json_decref(changed.unheard);
	return ret;
}

static int open_and_run(struct ctl *ctl, const struct request *q)
{
	struct store *store = NULL;
	struct chain *chain = NULL;
	int code;

	if (!(store_ref_is_path(q->ref) ? 0 : store_open(ctl->store, false, &ctl->err, &store)) &&
	    !chain_open(store, q->ref, true, &ctl->err, &chain) && !ctl_unlock(ctl, chain, &ctl->err))
		code = bring_back(ctl, q, store, chain);
	else
		code = ctl_fail(ctl, NULL);
	chain_close(chain);
	store_close(store);
	return code;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct request q = { 0 };
	int code = parse(ctl, argc, argv, &q);

	if (code == CTL_GO_ON)
		code = open_and_run(ctl, &q);
	free_request(&q);
	return code;
}

const struct verb verb_restore = {
	.name = "restore", .args = "[OPTION]... REF", .opts = opts, .run = run,
	.summary = "Bring a process back from its snapshot",
	.about = "\nREF is JOB (its newest generation), JOB@GENERATION, or the path of an image. In the\n"
		 "foreground the command stands in for the program: it passes signals on, uses this\n"
		 "terminal for what was one, and ends as the program ends.",
};
