// SPDX-License-Identifier: GPL-2.0-only
/* snap.c - ckptctl snap: take a snapshot of a process. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "ctl.h"
#include "snap.h"

enum { OPT_KILL = CTL_LONG, OPT_FULL, OPT_DELTA, OPT_UNTRACKED, OPT_TIMEOUT, OPT_COMPRESS,
	OPT_BWLIMIT, OPT_NO_READBACK, OPT_FILES, OPT_FILES_LIMIT, OPT_BARRIER, OPT_DEDUP, OPT_TREE,
	OPT_DONTDUMP, OPT_HOOKS_TIMEOUT, OPT_NO_HOOKS, OPT_SELF, OPT_ENCRYPT, OPT_TCP, OPT_UNIX, OPT_CGROUP };

static const struct ctl_opt opts[] = {
	{ OPT_KILL, "kill", NULL, "end the process at the snapshot, before it runs on" },
	{ OPT_FULL, "full", NULL, "save all memory, not only what changed" },
	{ OPT_DELTA, "delta", NULL, "save what changed since the last one, or fail" },
	{ OPT_UNTRACKED, "untracked", NULL, "keep no account of what changes from now on" },
	{ 'n', "name", "NAME", "name of the job (COMMAND-PID)" },
	{ OPT_TIMEOUT, "timeout", "MS", "give up when it does not stand still so soon" },
	{ OPT_COMPRESS, "compress", "HOW", CTL_COMPRESS },
	{ OPT_BWLIMIT, "bwlimit", "RATE", "read no more memory in a second: bytes, or 50M" },
	{ OPT_BARRIER, "barrier", "WHEN", "sync its files: after the pause, strict (in it), none (after)" },
	{ OPT_FILES, "files", "HOW", "keep files changed in place: auto, reflink, copy, truncate, none (auto)" },
	{ OPT_FILES_LIMIT, "files-limit", "SIZE", "copy no more of them in the pause (64M)" },
	{ OPT_DEDUP, "dedup", NULL, "do not write pages again that other images of the store have" },
	{ OPT_DONTDUMP, "dontdump", "HOW", "memory marked MADV_DONTDUMP: omit (left out, zero after a restore), keep" },
	{ OPT_HOOKS_TIMEOUT, "hooks-timeout", "MS", "give up when its hooks are not ready so soon (10000)" },
	{ OPT_NO_HOOKS, "no-hooks", NULL, "do not call the program's hooks (ckpt_hooks_start)" },
	{ OPT_SELF, "self-contained", NULL, "put executable, libraries and mapped files into the image" },
	{ OPT_NO_READBACK, "no-readback", NULL, "do not read the image back from the disk" },
	{ OPT_ENCRYPT, "encrypt-to", "KEY", "a public key, or a file of such (may be repeated)" },
	{ OPT_TCP, "tcp", "HOW", "connections to outside, in a restore: refuse (no snapshot), close, reset, repair (refuse)" },
	{ OPT_UNIX, "unix", "HOW", "unix sockets connected to outside, in a restore: refuse (no snapshot), close (refuse)" },
	{ OPT_TREE, "tree", NULL, "with all processes that descend from it" },
	{ OPT_CGROUP, "cgroup", "PATH", "instead of PID: all processes of a control group" },
	{ }
};

/* By their enums. */
static const char * const keeps[] = {
	[SNAP_KEEP_AUTO] = "auto", [SNAP_KEEP_REFLINK] = "reflink", [SNAP_KEEP_COPY] = "copy",
	[SNAP_KEEP_TRUNCATE] = "truncate", [SNAP_KEEP_NONE] = "none", NULL
};

static const char * const marked[] = { "omit", "keep", NULL };
static const char * const unixes[] = { "refuse", "close", NULL };

#define I(x)	((json_int_t)(x))

/* Of a tree: what the pause consists of; else null. */
static json_t *tree_report(const struct snap_result *r)
{
	const struct snap_phases *p = &r->phases;

	if (!r->processes)
		return json_null();
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "processes", I(r->processes),
			 "freeze_ns", I(p->freeze), "sharers_ns", I(p->sharers), "capture_ns", I(p->capture),
			 "examine_ns", I(p->examine), "shared_ns", I(p->shared), "files_ns", I(p->files),
			 "thaw_ns", I(p->thaw));
}

static json_t *report(const struct snap_opts *o, const struct snap_result *r)
{
	const struct ckpt_stats *s = &r->stats;

	return json_pack("{s:b,s:s,s:o,s:i,s:o,s:b,s:b,s:I,s:I,s:I,"
			 "s:{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I},"
			 "s:{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I},"
			 "s:{s:s,s:o,s:b,s:I,s:I,s:I,s:I,s:I},s:{s:s,s:i,s:I},s:{s:i,s:i,s:I,s:I},s:I,"
			 "s:{s:b,s:o},s:{s:I,s:I,s:I},s:I,s:{s:i,s:I,s:i,s:I},s:o,s:I,s:I,s:I}",
			 "ok", 1, "ref", r->ref, "path", report_text(r->path), "pid", (int)o->pid,
			 "comm", report_text(r->info.comm), "killed", o->kill,
			 "encrypted", image_info_is_encrypted(&r->info),
			 "size", I(r->info.file_size), "stream_ns", I(r->stream_ns),
			 "total_ns", I(r->total_ns),
			 "pause", "total_ns", I(s->out_pause_ns), "freeze_ns", I(s->out_freeze_ns),
			 "state_ns", I(s->out_state_ns), "copy_ns", I(s->out_copy_ns),
			 "arm_ns", I(s->out_arm_ns), "threads", I(s->out_threads),
			 "asleep", I(s->out_asleep), "woken", I(s->out_woken),
			 "retries", I(s->out_retries),
			 "memory", "page_size", I(r->info.page_size),
			 "data_pages", I(r->pages.data_pages),
			 "zero_pages", I(r->pages.zero_pages),
			 "file_pages", I(r->pages.file_pages),
			 "stored_bytes", I(r->pages.stored_bytes),
			 "copied_pages", I(s->out_copied), "armed_pages", I(s->out_armed),
			 "shared_pages", I(r->pages.shared_pages),
			 "delta", "parent", r->parent, "why_full", report_text(r->why_full),
			 "tracked", r->tracked, "unchanged_pages", I(s->out_parent),
			 "dirty_pages", I(s->out_dirty), "uncovered_pages", I(s->out_uncovered),
			 "same_pages", I(r->same_pages), "gone_pages", I(r->pages.gone_pages),
			 "barrier", "mode", snap_barriers[o->barrier], "files", (int)r->barrier_files, "ns", I(s->out_barrier_ns),
			 "files", "kept", (int)r->kept_files, "cloned", (int)r->cloned_files,
			 "copied_bytes", I(r->copied_bytes), "ns", I(r->kept_ns),
			 "readback_ns", I(r->readback_ns),
			 "dedup", "wanted", o->dedup, "why_not", report_text(r->why_alone),
			 "left_out", "bytes", I(r->omit.bytes), "mappings", I(r->omit.mappings),
			 "saved_bytes", I(r->omit.saved_bytes), "hooks_ns", I(r->hooks.ns),
			 "contents", "files", (int)r->contents.files, "bytes", I(r->contents.bytes),
			 "stored", (int)r->contents.stored, "stored_bytes", I(r->contents.stored_bytes),
			 "tree", tree_report(r), "tcp_lost", I(r->tcp_lost), "tcp_held", I(r->tcp_held),
			 "unix_lost", I(r->unix_lost));
}

static void human_left_out(json_t *left_out)
{
	char size[OUT_SMALL];

	if (out_get(left_out, "bytes"))
		printf("  left out: %s marked MADV_DONTDUMP; zero after a restore\n",
		       out_size(out_get(left_out, "bytes"), size));
	if (out_get(left_out, "saved_bytes"))
		printf("  marked  %s more marked MADV_DONTDUMP is in it: shared, or the stack of a thread\n",
		       out_size(out_get(left_out, "saved_bytes"), size));
}

static void human(const struct ctl *ctl, json_t *o)
{
	json_t *pause = json_object_get(o, "pause"), *mem = json_object_get(o, "memory");
	json_t *barrier = json_object_get(o, "barrier"), *delta = json_object_get(o, "delta");
	json_t *files = json_object_get(o, "files"), *contents = json_object_get(o, "contents");
	const char *parent = out_get_text(delta, "parent");
	char a[OUT_SMALL], b[OUT_SMALL], c[OUT_SMALL], d[OUT_SMALL], e[OUT_SMALL];
	uint64_t total = out_get(pause, "total_ns");

	printf("%s%s%s\n", out_bold(), out_get_text(o, "ref"), out_plain());
	printf("  pause   %s: freeze %s, state %s, copy %s, arm %s; threads %u\n",
	       total ? out_time(total, e) : "killed while frozen",
	       out_time(out_get(pause, "freeze_ns"), a), out_time(out_get(pause, "state_ns"), b),
	       out_time(out_get(pause, "copy_ns"), c), out_time(out_get(pause, "arm_ns"), d),
	       (unsigned int)out_get(pause, "threads"));
	if (out_get(o, "hooks_ns"))
		printf("  hooks   ready after %s, before the pause\n", out_time(out_get(o, "hooks_ns"), a));
	printf("  memory  %s of data, read and stored in %s\n",
	       out_size(out_get(mem, "data_pages") * out_get(mem, "page_size"), a),
	       out_time(out_get(o, "stream_ns"), b));
	if (out_get(mem, "shared_pages"))
		printf("  shared  %s that other images have\n",
		       out_size(out_get(mem, "shared_pages") * out_get(mem, "page_size"), a));
	if (*out_get_text(json_object_get(o, "dedup"), "why_not"))
		printf("  shared  %snothing%s: %s\n", out_yellow(), out_plain(),
		       out_get_text(json_object_get(o, "dedup"), "why_not"));
	human_left_out(json_object_get(o, "left_out"));
	if (out_get(o, "tcp_lost"))
		printf("  lost    %u TCP connections to outside, after a restore\n",
		       (unsigned int)out_get(o, "tcp_lost"));
	if (out_get(o, "unix_lost"))
		printf("  lost    %u unix connections to outside, after a restore\n",
		       (unsigned int)out_get(o, "unix_lost"));
	if (out_get(o, "tcp_held"))
		printf("  held    %u TCP connections to outside, until a restore\n",
		       (unsigned int)out_get(o, "tcp_held"));
	if (*parent)
		printf("  delta   of %s: %s unchanged, %s marked as changed and not\n", parent,
		       out_size(out_get(delta, "unchanged_pages") * out_get(mem, "page_size"), a),
		       out_size(out_get(delta, "same_pages") * out_get(mem, "page_size"), b));
	else
		printf("  full    %s\n", out_get_text(delta, "why_full"));
	if (!strcmp(out_get_text(barrier, "mode"), "none"))
		printf("  files   %snot synced%s: after a power failure they may be older than the image\n",
		       out_yellow(), out_plain());
	else
		printf("  files   %u synced in %s\n", (unsigned int)out_get(barrier, "files"),
		       out_time(out_get(barrier, "ns"), a));
	if (out_get(files, "kept"))
		printf("  kept    %u files, %u cloned, %s copied: %s of the pause\n",
		       (unsigned int)out_get(files, "kept"), (unsigned int)out_get(files, "cloned"),
		       out_size(out_get(files, "copied_bytes"), a), out_time(out_get(files, "ns"), b));
	if (out_get(contents, "files"))
		printf("  inside  %u mapped files, %s; %u of them new in this image, %s\n",
		       (unsigned int)out_get(contents, "files"), out_size(out_get(contents, "bytes"), a),
		       (unsigned int)out_get(contents, "stored"),
		       out_size(out_get(contents, "stored_bytes"), b));
	printf("  image   %s, %s%s, %s\n", out_size(out_get(o, "size"), a),
	       json_is_true(json_object_get(o, "encrypted")) ? "encrypted, " : "",
	       out_get(o, "readback_ns") ? "read back from the disk" : "not read back",
	       out_get_text(o, "path"));
	if (ctl->verbose)
		printf("  detail  asleep %u, woken %u, retries %u; pages armed %u, copied %u, "
		       "zero %u, of files %u\n", (unsigned int)out_get(pause, "asleep"),
		       (unsigned int)out_get(pause, "woken"),
		       (unsigned int)out_get(pause, "retries"),
		       (unsigned int)out_get(mem, "armed_pages"),
		       (unsigned int)out_get(mem, "copied_pages"),
		       (unsigned int)out_get(mem, "zero_pages"),
		       (unsigned int)out_get(mem, "file_pages"));
}

/* A line for each refusal; then the one error says only how many there are. */
static json_t *tell_refusals(struct ctl *ctl, const struct judgement *j, int pid)
{
	json_t *list = json_array();
	char text[CKPT_ERR_TEXT];

	for (size_t i = 0; i < j->nr; i++) {
		const struct refusal *r = &j->refusals[i];
		json_t *o = json_pack("{s:s,s:i,s:I,s:o,s:o,s:o}", "thing", r->thing,
				      "pid", r->pid ? r->pid : pid, "number", I(r->number), "path", report_text(r->path),
				      "reason", report_text(r->reason), "remedy", report_text(r->remedy));

		json_array_append_new(list, o);
		refusal_text(r, text, sizeof(text));
		ctl_say("ckptctl: snap %d: %s", pid, text);
	}
	ckpt_err_clear(&ctl->err);
	ckpt_err_set(&ctl->err, EOPNOTSUPP, "process %d: %zu thing%s cannot be restored, nothing was "
		     "written, it runs on", pid, j->nr, j->nr == 1 ? "" : "s");
	return json_pack("{s:o}", "refusals", list);
}

/*
 * With a signal caught: only what ended because of it was interrupted.  A full disk stays the reason
 * though somebody got impatient; and of what is committed, with a name, something was kept.
 */
static int failed(struct ctl *ctl, const struct snap_opts *o, struct snap_result *r, int ret,
		  int sig)
{
	json_t *more = NULL;
	int code;

	if (r->judgement.nr)
		more = tell_refusals(ctl, &r->judgement, o->pid);
	else if (sig && ret == -EINTR && !r->ref[0]) {
		ckpt_err_clear(&ctl->err);
		ckpt_err_set(&ctl->err, EINTR, "interrupted: nothing was kept, process %d runs on",
			     o->pid);
	}
	code = ctl_fail(ctl, more);
	snap_result_free(r);
	return code;
}

/* The figures of a snapshot that is there, whatever becomes of them. */
static int done(struct ctl *ctl, const struct snap_opts *o, const struct snap_result *r)
{
	json_t *figures = report(o, r);

	if (figures)
		return ctl_report(ctl, figures, human);
	ckpt_err_sys(&ctl->err, ENOMEM, "%s is complete, but not the report of it", r->ref);
	return ctl_fail(ctl, NULL);
}

static int take(struct ctl *ctl, struct snap_opts *o)
{
	struct snap_result r;
	struct target t;
	int ret, sig;

	o->store = ctl->store;
	o->low_priority = true;
	o->progress = progress_tell;
	/* A wrong number should not be answered by loading a module. */
	ret = target_open(o->pid, &ctl->err, &t);
	if (ret)
		return ctl_fail(ctl, NULL);
	target_close(&t);
	if (load_module(&ctl->err))
		return ctl_fail(ctl, NULL);
	progress_begin(ctl, "snap");
	ret = snap_run(o, &ctl->err, &r);
	sig = progress_end();
	if (ret)
		return failed(ctl, o, &r, ret, sig);
	ret = done(ctl, o, &r);
	snap_result_free(&r);
	return ret;
}

/* The number of @text among @words, which a NULL ends. */
static bool choose(const char *text, const char * const *words, int64_t *ret)
{
	for (int64_t i = 0; words[i]; i++)
		if (!strcmp(text, words[i])) {
			*ret = i;
			return true;
		}
	return false;
}

/* Options that are one of some words; an exit code or CTL_GO_ON. */
static int set_word(struct ctl *ctl, struct snap_opts *o, int id, const char *arg)
{
	int64_t n;

	switch (id) {
	case OPT_BARRIER:
		if (!choose(arg, snap_barriers, &n))
			return ctl_usage(ctl, "'%s' is none of after, strict, none", arg);
		o->barrier = n;
		return CTL_GO_ON;
	case OPT_FILES:
		if (!choose(arg, keeps, &n))
			return ctl_usage(ctl, "'%s' is none of auto, reflink, copy, truncate, none", arg);
		o->keep = n;
		return CTL_GO_ON;
	case OPT_TCP:
		if (!choose(arg, meta_tcps, &n))
			return ctl_usage(ctl, "'%s' is none of refuse, close, reset, repair", arg);
		o->tcp = n;
		return CTL_GO_ON;
	case OPT_UNIX:
		if (!choose(arg, unixes, &n))
			return ctl_usage(ctl, "'%s' is none of refuse, close", arg);
		o->cut_unix = n;
		return CTL_GO_ON;
	default:		/* OPT_DONTDUMP */
		if (!choose(arg, marked, &n))
			return ctl_usage(ctl, "'%s' is none of omit, keep", arg);
		o->keep_marked = n;
		return CTL_GO_ON;
	}
}

/* Options that are an amount. */
static int set_amount(struct ctl *ctl, struct snap_opts *o, int id, const char *arg)
{
	int64_t n;

	switch (id) {
	case OPT_BWLIMIT:
		if (ctl_bytes(arg, &o->bwlimit) && o->bwlimit >= STREAM_LIMIT_MIN)
			return CTL_GO_ON;
		return ctl_usage(ctl, "'%s' is no number of bytes from 64K on (as 50M or 1G)", arg);
	case OPT_FILES_LIMIT:
		if (ctl_bytes(arg, &o->files_limit))
			return CTL_GO_ON;
		return ctl_usage(ctl, "'%s' is no number of bytes (as 64M or 1G)", arg);
	default:		/* OPT_TIMEOUT, OPT_HOOKS_TIMEOUT */
		if (!ctl_number(arg, 1, UINT32_MAX, &n))
			return ctl_usage(ctl, "'%s' is no time in milliseconds", arg);
		*(id == OPT_TIMEOUT ? &o->timeout_ms : &o->hooks_timeout_ms) = n;
		return CTL_GO_ON;
	}
}

/* Options without an argument. */
static int set_flag(struct ctl *ctl, struct snap_opts *o, int id)
{
	switch (id) {
	case OPT_KILL:
		o->kill = true;
		break;
	case OPT_FULL:
		o->mode = SNAP_FULL;
		break;
	case OPT_DELTA:
		o->mode = SNAP_DELTA;
		break;
	case OPT_UNTRACKED:
		o->untracked = true;
		break;
	case OPT_DEDUP:
		o->dedup = true;
		break;
	case OPT_NO_HOOKS:
		o->no_hooks = true;
		break;
	case OPT_SELF:
		o->self_contained = true;
		break;
	case OPT_NO_READBACK:
		o->no_readback = true;
		break;
	case OPT_TREE:
		o->tree = true;
		break;
	}
	return CTL_GO_ON;
}

static int set_option(struct ctl *ctl, struct snap_opts *o, struct recipients *to, int id,
		      const char *arg)
{
	switch (id) {
	case 'n':
		if (!store_name_valid(arg))
			return ctl_usage(ctl, "'%s' cannot name a job (letters, digits, "
					 "'.', '_', '-', at most %d)", arg, STORE_NAME_MAX);
		o->name = arg;
		return CTL_GO_ON;
	case OPT_COMPRESS:
		return ctl_compress(ctl, arg, &o->level) ? CTL_GO_ON : CTL_USAGE;
	case OPT_CGROUP:
		o->cgroup = arg;
		o->tree = true;
		return CTL_GO_ON;
	case OPT_ENCRYPT:
		if (recipients_parse(to, arg, &ctl->err))
			return ctl_fail(ctl, NULL);
		o->encrypt_to = to;
		return CTL_GO_ON;
	case OPT_BARRIER:
	case OPT_FILES:
	case OPT_DONTDUMP:
	case OPT_TCP:
	case OPT_UNIX:
		return set_word(ctl, o, id, arg);
	case OPT_BWLIMIT:
	case OPT_FILES_LIMIT:
	case OPT_TIMEOUT:
	case OPT_HOOKS_TIMEOUT:
		return set_amount(ctl, o, id, arg);
	default:
		return set_flag(ctl, o, id);
	}
}

/* Fill in @o from the command line; an exit code or CTL_GO_ON. */
static int parse(struct ctl *ctl, int argc, char **argv, struct snap_opts *o, struct recipients *to)
{
	const char *arg;
	int64_t n;
	int id;

	while ((id = ctl_next(ctl, argc, argv, &arg))) {
		int code = set_option(ctl, o, to, id, arg);

		if (code != CTL_GO_ON)
			return code;
	}
	if (o->dedup && o->encrypt_to)
		return ctl_usage(ctl, "--dedup shares pages, --encrypt-to hides them: one of both");
	if (o->cgroup && argc == optind)
		return cgroup_first(o->cgroup, &ctl->err, &o->pid) ? ctl_fail(ctl, NULL) : CTL_GO_ON;
	if (o->cgroup)
		return ctl_usage(ctl, "a process, or a control group");
	if (argc - optind != 1)
		return ctl_usage(ctl, argc == optind ? "the process is missing" :
				 "one process at a time");
	if (!ctl_number(argv[optind], 1, INT32_MAX, &n))
		return ctl_usage(ctl, "'%s' is no process number", argv[optind]);
	o->pid = n;
	return CTL_GO_ON;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct snap_opts o = { 0 };
	struct recipients to = { 0 };
	int code = parse(ctl, argc, argv, &o, &to);

	if (code == CTL_GO_ON)
		code = take(ctl, &o);
	recipients_free(&to);
	return code;
}

const struct verb verb_snap = {
	.name = "snap", .args = "[OPTION]... PID", .opts = opts, .run = run,
	.summary = "Take a snapshot of a running process",
	.about = "\nThe process stands still for well under a millisecond in the usual case and runs on;\n"
		 "its memory is written to the store meanwhile. What a restore could not bring back\n"
		 "is refused by name first (exit status 3), and nothing is written.\n"
		 "From the second of a job on only what changed since the last one is saved.",
};
