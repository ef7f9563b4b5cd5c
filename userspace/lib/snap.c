// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap.c - see snap.h: the order in which things happen.
 *
 *	prepare		target, device, store and its temporary file: all that can fail early
 *	find_parent	the newest generation, if a delta can be of it
 *	hooks		the program's own are called; it waits in them until it is told how it went
 *	capture		one call of the module; or, when something has to be done while the process
 *			stands still, a session: attach, freeze, snapshot
 *	examine		state records, model, judgement
 *	copy_files	content of files without a name, clones or copies of those changed in place
 *			(session only), then thaw unless --kill
 *	leave_out	memory marked MADV_DONTDUMP
 *	barrier		the program's own files reach the disk; with --barrier=strict before the thaw
 *	write_image	state, memory, files, figures
 *	read_back	the device gives back what it was given
 *	commit		the generation appears; then the module is told that deltas may be of it
 *	end_target	with --kill: SIGKILL, then thaw
 *
 * The one call is preferred because its pause does not depend on when this process is scheduled.
 * A process that turns out to have such files open is captured a second time, by a session: only then
 * is their content that of the same instant.
 *
 * struct snap owns every descriptor and object of it; release() may run at any point and lets the
 * process go on, because closing a session thaws.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snap.h"
#include "util.h"

#define STORE_FREE_MIN	(1u << 20)	/* an image is never smaller than a few KiB */
#define KILL_WAIT_MS	30000
#define CAPTURE_TRIES	5

#define NICE_LOW	10
#define IOPRIO_WHO_PROCESS	1
#define IOPRIO_BE_LOWEST	(2 << 13 | 7)

struct snap {
	const struct snap_opts	*opts;
	struct ckpt_err		*err;
	struct snap_result	*r;
	struct target		target;
	int			dev;
	int			session;	/* -1 unless frozen */
	int			snapshot;
	struct store		*store;
	struct store_writer	*store_writer;
	char			job[STORE_NAME_MAX + 1];
	struct chain		*parent;	/* NULL: a full image */
	struct dedup		*dedup;		/* NULL: all pages are in the image itself */
	struct image_writer	*writer;
	struct buf		records;
	struct ckpt_model	*model;
	struct stream_map	map;
	struct snap_files	files;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ------------------------------------------------------------------------------- prepare */

static int check_space(struct snap *s)
{
	struct statvfs vfs;
	int ret;

	if (fstatvfs(store_writer_fd(s->store_writer), &vfs))
		return ckpt_err_sys(s->err, errno, "store %s", store_path(s->store));
	if ((uint64_t)vfs.f_bavail * vfs.f_frsize >= STORE_FREE_MIN)
		return 0;
	ret = ckpt_err_set(s->err, ENOSPC, "store %s: no space left", store_path(s->store));
	ckpt_err_hint(s->err, "%s", util_write_remedy(ENOSPC));
	return ret;
}

static int open_store(struct snap *s)
{
	int ret;

	ret = store_open(s->opts->store, true, s->err, &s->store);
	if (ret)
		return ret;
	if (s->opts->name) {
		if (!store_name_valid(s->opts->name))
			return ckpt_err_set(s->err, EINVAL, "'%s' cannot name a job: 1 to %d of "
					    "letters, digits, '.', '_', '-', and no dot or dash "
					    "in front", s->opts->name, STORE_NAME_MAX);
		snprintf(s->job, sizeof(s->job), "%s", s->opts->name);
	} else {
		store_name_default(s->target.comm, s->target.pid, s->job);
	}
	ret = store_writer_open(s->store, s->job, s->err, &s->store_writer);
	return ret ? ret : check_space(s);
}

static int no_delta(struct snap *s)
{
	ckpt_err_set(s->err, ENODATA, "process %d: no delta can be taken: %s", s->target.pid,
		     s->r->why_full);
	ckpt_err_hint(s->err, "take one without --delta first");
	return -ENODATA;
}

static int find_parent(struct snap *s)
{
	int ret;

	if (s->opts->mode != SNAP_FULL && !s->opts->encrypt_to) {
		ret = snap_parent_plain(s->store, s->job, s->err);
		if (ret)
			return ret;
	}
	if (s->opts->mode == SNAP_FULL)
		snprintf(s->r->why_full, sizeof(s->r->why_full), "a full one was asked for");
	else
		s->parent = snap_parent_open(s->store, s->job,
					     store_writer_generation(s->store_writer),
					     s->target.pid, s->r->why_full);
	return s->opts->mode == SNAP_DELTA && !s->parent ? no_delta(s) : 0;
}

static int prepare(struct snap *s)
{
	int ret;

	if (s->opts->dedup && s->opts->encrypt_to)
		return ckpt_err_set(s->err, EINVAL, "process %d: pages of an encrypted image cannot be "
				    "shared with others", s->opts->pid);
	ret = target_open(s->opts->pid, s->err, &s->target);
	if (ret)
		return ret;
	if (s->opts->kill && syscall(SYS_pidfd_send_signal, s->target.pidfd, 0, NULL, 0))
		return ckpt_err_sys(s->err, errno, "process %d: cannot be killed", s->target.pid);
	ret = device_open(s->err, NULL, &s->dev);
	if (!ret)
		ret = open_store(s);
	return ret ? ret : find_parent(s);
}

/* ------------------------------------------------------------------------------- capture */

/* 0, or what the user wants this to end with. */
static int go_on(struct snap *s)
{
	const struct snap_opts *o = s->opts;
	int ret = o->progress ? o->progress(0, 0, o->progress_arg) : 0;

	return ret ? ckpt_err_sys(s->err, ret, "process %d: given up", s->target.pid) : 0;
}

static int go_on_waiting(void *arg)
{
	return go_on(arg);
}

/* Once its hooks have let go of what is not to be in the image, the program waits for us in them. */
static int ask_hooks(struct snap *s)
{
	const struct snap_opts *o = s->opts;
	uint32_t timeout_ms = o->hooks_timeout_ms ? o->hooks_timeout_ms : SNAP_HOOKS_TIMEOUT;

	if (o->no_hooks)
		return 0;
	return hooks_before(s->target.pid, timeout_ms, go_on_waiting, s, s->err, &s->r->hooks);
}

/* Whether to try again what a signal ended: yes, unless the user wants to stop. */
static bool again(struct snap *s, int ret, int tries)
{
	if (ret != -EINTR || tries >= CAPTURE_TRIES)
		return false;
	ckpt_err_clear(s->err);
	return !go_on(s);
}

static uint32_t capture_flags(const struct snap *s)
{
	return CKPT_SNAPSHOT_CONSUME | (s->opts->untracked ? 0 : CKPT_SNAPSHOT_TRACK);
}

static const uint8_t *parent_id(const struct snap *s)
{
	return s->parent ? image_get_info(chain_image(s->parent))->id : NULL;
}

static int capture_at_once(struct snap *s)
{
	int ret = -EINTR;

	for (int i = 0; again(s, ret, i); i++)
		ret = device_snap(s->dev, s->target.pid, capture_flags(s), s->opts->timeout_ms,
				  parent_id(s), s->err, &s->snapshot);
	return ret;
}

static int capture_in_session(struct snap *s)
{
	int ret;

	ret = device_attach(s->dev, s->target.pid, s->opts->untracked ? 0 : CKPT_ATTACH_TRACK, s->err,
			    &s->session);
	if (ret)
		return ret;
	ret = target_verify(&s->target, 0, s->err);
	if (ret)
		return ret;
	ret = -EINTR;
	for (int i = 0; again(s, ret, i); i++)
		ret = session_freeze(s->session, s->target.pid, s->opts->timeout_ms, s->err, NULL);
	if (!ret)
		ret = session_snapshot(s->session, s->target.pid, capture_flags(s), parent_id(s),
				       s->err, &s->snapshot);
	return ret;
}

/* For the report. */
static void count_files(struct snap *s)
{
	s->r->copied_bytes = s->files.copied_bytes;
	s->r->kept_ns = s->files.kept_ns;
	for (size_t i = 0; i < s->files.nr_kept; i++) {
		s->r->kept_files += snap_kept_at(&s->files, i)->meta.change == META_KEPT;
		s->r->cloned_files += snap_kept_at(&s->files, i)->cloned;
	}
}

static int examine(struct snap *s)
{
	int ret = snapshot_state(s->snapshot, s->err, &s->records);

	if (!ret)
		ret = ckpt_model_parse(s->records.data, s->records.len, s->err, &s->model);
	if (!ret)
		ret = target_verify(&s->target, s->model->proc.start_boottime_ns, s->err);
	return ret;
}

/* Whether it became a delta. */
static int examine_parent(struct snap *s)
{
	uint32_t full = s->r->stats.out_full;

	if (!s->parent)
		return 0;
	if (full == CKPT_FULL_NO && s->model->proc.pid != s->target.pid)
		return ckpt_err_set(s->err, EIO, "process %d: calls itself %d", s->target.pid,
				    s->model->proc.pid);
	if (full == CKPT_FULL_NO) {
		snprintf(s->r->parent, sizeof(s->r->parent), "%s@%llu", s->job,
			 (unsigned long long)chain_ref(s->parent)->generation);
		return 0;
	}
	snprintf(s->r->why_full, sizeof(s->r->why_full), "%s", snap_why_full(full));
	chain_close(s->parent);
	s->parent = NULL;
	return s->opts->mode == SNAP_DELTA ? no_delta(s) : 0;
}

/* Whether files that are changed in place are to be in the image. */
static bool keeps(const struct snap *s)
{
	switch (s->opts->keep) {
	case SNAP_KEEP_AUTO:
		return !s->opts->kill;
	case SNAP_KEEP_REFLINK:
	case SNAP_KEEP_COPY:
		return true;
	default:
		return false;
	}
}

static struct judge_opts judge_opts(const struct snap *s)
{
	return (struct judge_opts){
		.killed = s->opts->kill || s->opts->keep == SNAP_KEEP_NONE, .kept = keeps(s),
	};
}

/* First of all the process goes on: releasing a large snapshot takes a while. */
static void drop_capture(struct snap *s)
{
	close_fd(&s->session);
	close_fd(&s->snapshot);
	ckpt_model_free(s->model);
	s->model = NULL;
	buf_free(&s->records);
}

/*
 * Content of files that has to be that of this instant, unless the records tell already that this
 * comes to nothing: then the process need not stand still for it.
 */
static int copy_files(struct snap *s)
{
	const struct judge_opts opts = judge_opts(s);
	struct judgement j = { 0 };
	int ret = judge(s->model, &opts, &j);

	if (!ret && !j.nr)
		ret = snap_files_read(s->model, s->err, &s->files);
	if (!ret && !j.nr && keeps(s))
		ret = snap_kept_read(s->model, s->opts->keep, s->opts->files_limit, &s->r->judgement,
				     s->err, &s->files);
	judgement_free(&j);
	return ret;
}

/* Whether something has to be done while the process stands still. */
static int session_expected(struct snap *s, bool *ret_session)
{
	bool kept = false;
	int ret = keeps(s) ? snap_kept_expected(s->target.pid, s->opts->keep, s->err, &kept) : 0;

	*ret_session = kept || s->opts->kill || s->opts->barrier == SNAP_BARRIER_STRICT ||
		       snap_files_expected(s->target.pid);
	return ret;
}

/* The module tells a failed sync by descriptor or address; people know files by name. */
static int barrier_failed(struct snap *s, const struct ckpt_barrier *b, int code,
			  const struct ckpt_err *why)
{
	const struct ckpt_model_fd *fd = ckpt_model_fd(s->model, b->out_failed_fd);
	const struct ckpt_model_vma *vma = ckpt_model_vma(s->model, b->out_failed_addr);

	if (code == -ECANCELED || (b->out_failed_fd < 0 && !b->out_failed_addr))
		return ckpt_err_set(s->err, code, "%s", why->text);
	if (b->out_failed_fd >= 0)
		ckpt_err_sys(s->err, code, "process %d: fd %d (%s) cannot be synced to disk",
			     s->target.pid, b->out_failed_fd, fd && fd->path ? fd->path : "?");
	else
		ckpt_err_sys(s->err, code, "process %d: mapping %#llx (%s) cannot be synced to disk",
			     s->target.pid, (unsigned long long)b->out_failed_addr,
			     vma && vma->path ? vma->path : "?");
	ckpt_err_hint(s->err, "see to that disk; the generation before this one stays the newest");
	return code;
}

static int barrier(struct snap *s)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	struct ckpt_barrier b;
	const uint32_t flags = s->opts->barrier == SNAP_BARRIER_NONE ? CKPT_BARRIER_SKIP : 0;
	int ret = snapshot_barrier(s->snapshot, flags, &why, &b);

	if (ret)
		return barrier_failed(s, &b, ret, &why);
	s->r->barrier_files = b.out_files;
	return snapshot_stats(s->snapshot, s->err, &s->r->stats);
}

/* What has to be done while the process stands still. */
static int in_the_pause(struct snap *s)
{
	int ret = copy_files(s);

	if (ret)
		return ret;
	count_files(s);
	return s->opts->barrier == SNAP_BARRIER_STRICT && !s->opts->kill ? barrier(s) : 0;
}

/* Ends with a snapshot and its model; frozen only if the process is to be killed. */
static int capture(struct snap *s)
{
	bool session;
	int ret = session_expected(s, &session);

	if (!ret)
		ret = ask_hooks(s);
	if (ret)
		return ret;
	if (!session) {
		ret = capture_at_once(s);
		if (!ret)
			ret = examine(s);
		if (ret || !(snap_files_wanted(s->model) || (keeps(s) && snap_kept_wanted(s->model))))
			return ret;
		drop_capture(s);
	}
	ret = capture_in_session(s);
	if (!ret)
		ret = examine(s);
	if (!ret)
		ret = in_the_pause(s);
	if (!ret && !s->opts->kill) {
		ret = session_thaw(s->session, s->err, NULL);
		close_fd(&s->session);
	}
	return ret;
}

/* The hooks hear of it as soon as the program runs on; if it does not, there is nobody to tell. */
static int tell_hooks(struct snap *s)
{
	int ret = hooks_check(&s->r->hooks, s->err);

	if (!ret && !s->opts->kill)
		hooks_after(&s->r->hooks, HOOKS_TAKEN);
	return ret;
}

/* --------------------------------------------------------------------------- then, thawed */

/*
 * A program that goes on deserves the processor and the disk more than its snapshot does; and if
 * memory runs out it is the snapshot that has to go.
 */
static void lower_priority(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, "1000", 4);	/* a wish, no more */
		close(fd);
	}
	if (getpriority(PRIO_PROCESS, 0) < NICE_LOW)
		setpriority(PRIO_PROCESS, 0, NICE_LOW);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_BE_LOWEST);
}

/* Memory the program marked: chosen here, and passed over in the stream. */
static int leave_out(struct snap *s)
{
	struct omit *omit = &s->r->omit;
	int ret = omit_choose(s->model, s->map.runs, s->map.nr, s->err, omit);

	if (!ret)
		s->map.data_bytes -= omit->bytes;
	return ret;
}

static int pass_judgement(struct snap *s)
{
	struct judge_opts opts = judge_opts(s);
	struct judgement *j = &s->r->judgement;
	char text[CKPT_ERR_TEXT];
	int ret;

	opts.pid = s->target.pid;
	ret = judge(s->model, &opts, j);
	if (ret)
		return ckpt_err_sys(s->err, ret, "judgement of process %d", s->target.pid);
	if (!j->nr)
		return stream_map_check(&s->map, s->model, s->parent, s->err);
	refusal_text(&j->refusals[0], text, sizeof(text));
	if (j->nr == 1)
		return ckpt_err_set(s->err, EOPNOTSUPP, "process %d: %s", s->target.pid, text);
	return ckpt_err_set(s->err, EOPNOTSUPP, "process %d: %zu things cannot be restored, "
			    "the first: %s", s->target.pid, j->nr, text);
}

/* ----------------------------------------------------------------------- image and commit */

static int write_sections(struct snap *s)
{
	const struct stream_job job = {
		.snapshot = s->snapshot, .map = &s->map, .model = s->model, .omit = &s->r->omit,
		.parent = s->parent,
		.writer = s->writer, .bwlimit = s->opts->bwlimit,
		.progress = s->opts->progress, .arg = s->opts->progress_arg,
	};
	struct stream_stats stats = { 0 };
	int ret;

	ret = image_writer_put(s->writer, IMAGE_STATE, s->model->proc.pid, 0, s->records.data,
			       s->records.len, s->err);
	if (!ret)
		ret = stream_pages(&job, s->err, &stats);
	s->r->pages = stats.pages;
	s->r->same_pages = stats.same_pages;
	if (!ret)
		ret = snap_files_write(&s->files, &job, s->opts->self_contained, s->err, &s->r->contents);
	if (!ret)
		ret = snap_kept_write(&s->files, &job, s->err);
	if (!ret)
		ret = snap_report_write(s->opts, s->model, s->r, s->writer, s->err);
	if (!ret && s->dedup)
		ret = dedup_finish(s->dedup, s->writer, s->err);
	return ret ? ret : image_writer_finish(s->writer, s->err, &s->r->info);
}

/*
 * The generation is there, so the next one may be a delta of it.  When that cannot be, the next one
 * is full, and says why.
 */
static void begin_tracking(struct snap *s)
{
	if (s->opts->untracked)
		device_untrack(s->dev, s->target.pid, NULL);
	else if (!s->opts->kill)
		s->r->tracked = !snapshot_commit(s->snapshot, image_writer_id(s->writer),
						 CKPT_COMMIT_PIN, NULL);
}

static int read_back(struct snap *s)
{
	int ret = store_writer_sync(s->store_writer, s->err);
	uint64_t begin = util_clock_ns(CLOCK_MONOTONIC);

	if (ret || s->opts->no_readback)
		return ret;
	ret = image_read_back(store_writer_fd(s->store_writer),
			      store_writer_path(s->store_writer), &s->r->info, s->err);
	s->r->readback_ns = util_clock_ns(CLOCK_MONOTONIC) - begin;
	return ret;
}

/* What comes in the way of it costs room, not the snapshot. */
static void begin_dedup(struct snap *s)
{
	const struct dedup_params params = {
		.job = s->job, .generation = store_writer_generation(s->store_writer),
		.page_size = s->model->system.page_size,
		.pages = s->map.data_bytes / s->model->system.page_size,
	};
	struct ckpt_err why = CKPT_ERR_INIT;

	if (s->opts->dedup && dedup_open(s->store, &params, &why, &s->dedup))
		snprintf(s->r->why_alone, sizeof(s->r->why_alone), "%s", why.text);
}

static int write_image(struct snap *s)
{
	struct image_params params = {
		.label = store_writer_path(s->store_writer), .job = s->job,
		.parent = s->parent ? image_get_info(chain_image(s->parent)) : NULL,
		.generation = store_writer_generation(s->store_writer),
		.pid = s->model->proc.pid, .comm = s->model->threads[0].rec.comm,
		.page_size = s->model->system.page_size, .level = s->opts->level,
		.to = s->opts->encrypt_to,
	};
	uint64_t begin = util_clock_ns(CLOCK_MONOTONIC);
	int ret;

	begin_dedup(s);
	if (s->dedup)
		params.share = dedup_share(s->dedup);
	ret = image_writer_open(store_writer_fd(s->store_writer), &params, s->err, &s->writer);
	if (!ret && s->dedup)
		dedup_begin(s->dedup, image_writer_id(s->writer));
	if (!ret)
		ret = write_sections(s);
	if (!ret)
		ret = read_back(s);
	if (!ret)
		ret = store_writer_commit(s->store_writer, s->err);
	s->r->stream_ns = util_clock_ns(CLOCK_MONOTONIC) - begin;
	if (!ret)
		begin_tracking(s);
	close_fd(&s->snapshot);
	return ret;
}

static int end_target(struct snap *s)
{
	int ret = target_kill(&s->target, s->err);

	s->r->hooks.waiting = s->r->hooks.waiting && ret;
	close_fd(&s->session);
	if (!ret)
		ret = target_wait(&s->target, KILL_WAIT_MS, s->err);
	if (ret)
		ckpt_err_prefix(s->err, "%s is complete, but", s->r->ref);
	return ret;
}

/* ------------------------------------------------------------------------------------------- */

static int run(struct snap *s)
{
	int ret;

	ret = prepare(s);
	if (!ret)
		ret = capture(s);
	if (!ret)
		ret = tell_hooks(s);
	if (!ret && !s->opts->kill && s->opts->low_priority)
		lower_priority();
	if (!ret)
		ret = stream_map_read(s->snapshot, s->err, &s->map);
	if (!ret)
		ret = snapshot_stats(s->snapshot, s->err, &s->r->stats);
	if (!ret)
		ret = examine_parent(s);
	if (!ret && !s->opts->keep_marked)
		ret = leave_out(s);
	if (!ret)
		ret = pass_judgement(s);
	if (!ret)
		ret = go_on(s);
	if (!ret && (s->opts->barrier != SNAP_BARRIER_STRICT || s->opts->kill))
		ret = barrier(s);
	if (!ret)
		ret = write_image(s);
	if (ret)
		return ret;
	snprintf(s->r->ref, sizeof(s->r->ref), "%s", store_writer_label(s->store_writer));
	snprintf(s->r->path, sizeof(s->r->path), "%s", store_writer_path(s->store_writer));
	return s->opts->kill ? end_target(s) : 0;
}

static void release(struct snap *s)
{
	drop_capture(s);
	hooks_after(&s->r->hooks, HOOKS_GIVEN_UP);	/* who waits still was not told otherwise */
	close_fd(&s->dev);
	target_close(&s->target);
	image_writer_close(s->writer);
	dedup_close(s->dedup);
	chain_close(s->parent);
	store_writer_close(s->store_writer);
	store_close(s->store);
	stream_map_free(&s->map);
	snap_files_free(&s->files);
}

int snap_run(const struct snap_opts *opts, struct ckpt_err *err, struct snap_result *ret_result)
{
	struct ckpt_err own = CKPT_ERR_INIT;
	struct snap s = {
		.opts = opts, .err = err ? err : &own, .r = ret_result, .target = TARGET_INIT,
		.dev = -1, .session = -1, .snapshot = -1,
	};
	uint64_t begin = util_clock_ns(CLOCK_MONOTONIC);
	int ret;

	memset(ret_result, 0, sizeof(*ret_result));
	ret = run(&s);
	if (s.store)
		store_audit(s.store, &(struct store_event){
			.what = opts->kill ? "snap --kill" : "snap", .ref = ret_result->ref[0] ?
			ret_result->ref : s.job, .pid = opts->pid, .code = ret, .err = s.err });
	release(&s);
	ret_result->total_ns = util_clock_ns(CLOCK_MONOTONIC) - begin;
	return ret;
}

void snap_result_free(struct snap_result *r)
{
	judgement_free(&r->judgement);
	omit_free(&r->omit);
}
