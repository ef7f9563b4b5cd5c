// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap.c - see snap.h: the order in which things happen.
 *
 *	prepare		target, device, store and its temporary file: all that can fail early
 *	find_parent	the newest generation, if a delta can be of it
 *	hooks		the program's own are called; it waits in them until it is told how it went
 *	capture		one call of the module; or, when something has to be done while the process
 *			stands still, a session: attach, freeze, snapshot; of a tree (snap-tree.c) a
 *			session for each process
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

#include "ipc.h"
#include "snap-priv.h"
#include "sock.h"
#include "tcp.h"

#define STORE_FREE_MIN	(1u << 20)	/* an image is never smaller than a few KiB */
#define KILL_WAIT_MS	30000
#define CAPTURE_TRIES	5
#define SETTLE_TRIES	20

#define NICE_LOW	10
#define IOPRIO_WHO_PROCESS	1
#define IOPRIO_BE_LOWEST	(2 << 13 | 7)

int snap_add_process(struct snap *s, const struct snap_proc *p)
{
	const size_t nr = s->nr_procs;

	/* Full when that is a power of two, or 0. */
	if (!(nr & (nr - 1))) {
		struct snap_proc *v = reallocarray(s->procs, nr ? 2 * nr : 1, sizeof(*v));

		if (!v)
			return ckpt_err_sys(s->err, ENOMEM, "%zu processes", nr + 1);
		s->procs = v;
	}
	s->procs[s->nr_procs++] = *p;
	return 0;
}

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
		store_name_default(snap_root(s)->target.comm, snap_root(s)->target.pid, s->job);
	}
	ret = store_writer_open(s->store, s->job, s->err, &s->store_writer);
	return ret ? ret : check_space(s);
}

static int no_delta(struct snap *s)
{
	ckpt_err_set(s->err, ENODATA, "process %d: no delta can be taken: %s", snap_root(s)->target.pid,
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
	if (s->opts->tree)
		snprintf(s->r->why_full, sizeof(s->r->why_full), "a tree is taken whole");
	else if (s->opts->mode == SNAP_FULL)
		snprintf(s->r->why_full, sizeof(s->r->why_full), "a full one was asked for");
	else
		s->parent = snap_parent_open(s->store, s->job,
					     store_writer_generation(s->store_writer),
					     snap_root(s)->target.pid, s->r->why_full);
	return s->opts->mode == SNAP_DELTA && !s->parent ? no_delta(s) : 0;
}

static int prepare(struct snap *s)
{
	int ret;

	if (s->opts->dedup && s->opts->encrypt_to)
		return ckpt_err_set(s->err, EINVAL, "process %d: pages of an encrypted image cannot be "
				    "shared with others", s->opts->pid);
	if (s->opts->tcp == META_TCP_REPAIR && !s->opts->kill) {
		ckpt_err_set(s->err, EINVAL, "process %d: its connections go on in a restore alone if it ends", s->opts->pid);
		ckpt_err_hint(s->err, "use --tcp=repair together with --kill");
		return -EINVAL;
	}
	ret = target_open(s->opts->pid, s->err, &snap_root(s)->target);
	if (ret)
		return ret;
	if (s->opts->kill && syscall(SYS_pidfd_send_signal, snap_root(s)->target.pidfd, 0, NULL, 0))
		return ckpt_err_sys(s->err, errno, "process %d: cannot be killed", snap_root(s)->target.pid);
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

	return ret ? ckpt_err_sys(s->err, ret, "process %d: given up", snap_root(s)->target.pid) : 0;
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
	return hooks_before(snap_root(s)->target.pid, timeout_ms, go_on_waiting, s, s->err, &s->r->hooks);
}

/* Whether to try again what a signal ended: yes, unless the user wants to stop. */
static bool again(struct snap *s, int ret, int tries)
{
	if (ret != -EINTR || tries >= CAPTURE_TRIES)
		return false;
	ckpt_err_clear(s->err);
	return !go_on(s);
}

/* A tree is not: its generations are all full. */
static bool is_tracked(const struct snap *s)
{
	return !s->opts->untracked && !s->opts->tree;
}

static uint32_t capture_flags(const struct snap *s)
{
	return CKPT_SNAPSHOT_CONSUME | (is_tracked(s) ? CKPT_SNAPSHOT_TRACK : 0);
}

static const uint8_t *parent_id(const struct snap *s)
{
	return s->parent ? image_get_info(chain_image(s->parent))->id : NULL;
}

static int capture_at_once(struct snap *s)
{
	struct snap_proc *p = snap_root(s);
	int ret = -EINTR;

	for (int i = 0; again(s, ret, i); i++)
		ret = device_snap(s->dev, p->target.pid, capture_flags(s), s->opts->timeout_ms,
				  parent_id(s), s->err, &p->snapshot);
	return ret;
}

int snap_attach(struct snap *s, struct snap_proc *p)
{
	int ret = device_attach(s->dev, p->target.pid, is_tracked(s) ? CKPT_ATTACH_TRACK : 0, s->err,
				&p->session);

	return ret ? ret : target_verify(&p->target, 0, s->err);
}

int snap_freeze(struct snap *s, struct snap_proc *p)
{
	int ret = -EINTR;

	for (int i = 0; again(s, ret, i); i++)
		ret = session_freeze(p->session, p->target.pid, s->opts->timeout_ms, s->err, NULL);
	return ret;
}

/* What those of a tree that were captured before have of the memory they share is not copied again. */
int snap_capture(struct snap *s, struct snap_proc *p)
{
	struct device_others others = { .nr = 0 };

	for (const struct snap_proc *o = s->procs; o < p && others.nr < CKPT_OTHERS_MAX; o++)
		others.snapshots[others.nr++] = o->snapshot;
	return session_snapshot(p->session, p->target.pid, capture_flags(s), parent_id(s), &others, s->err,
				&p->snapshot);
}

static int capture_in_session(struct snap *s)
{
	struct snap_proc *p = snap_root(s);
	int ret = snap_attach(s, p);

	if (!ret)
		ret = snap_freeze(s, p);
	return ret ? ret : snap_capture(s, p);
}

/* For the report. */
static void count_files(struct snap *s, const struct snap_files *files)
{
	s->r->copied_bytes += files->copied_bytes;
	s->r->kept_ns += files->kept_ns;
	for (size_t i = 0; i < files->nr_kept; i++) {
		const struct meta_file *f = &snap_kept_at(files, i)->meta;

		s->r->kept_files += f->change == META_KEPT && !f->keeper;
		s->r->cloned_files += snap_kept_at(files, i)->cloned;
	}
}

int snap_examine(struct snap *s, struct snap_proc *p)
{
	int ret = snapshot_state(p->snapshot, s->err, &p->records);

	if (!ret)
		ret = ckpt_model_parse(p->records.data, p->records.len, s->err, &p->model);
	if (!ret)
		ret = target_verify(&p->target, p->model->proc.start_boottime_ns, s->err);
	return ret;
}

/* Whether it became a delta. */
static int examine_parent(struct snap *s)
{
	const struct snap_proc *p = snap_root(s);
	uint32_t full = s->r->stats.out_full;

	if (!s->parent)
		return 0;
	if (full == CKPT_FULL_NO && p->model->proc.pid != p->target.pid)
		return ckpt_err_set(s->err, EIO, "process %d: calls itself %d", p->target.pid,
				    p->model->proc.pid);
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
		.tree = s->opts->tree, .tcp = s->opts->tcp, .cut_unix = s->opts->cut_unix,
	};
}

/* First of all the process goes on: releasing a large snapshot takes a while. */
void snap_drop_capture(struct snap_proc *p)
{
	close_fd(&p->session);
	close_fd(&p->snapshot);
	ckpt_model_free(p->model);
	p->model = NULL;
	buf_free(&p->records);
	snap_files_free(&p->files);
}

/*
 * Content of files that has to be that of this instant, unless the records tell already that this
 * comes to nothing: then the process need not stand still for it.
 */
static int copy_files(struct snap *s, struct snap_proc *p, bool *ret_refused)
{
	const struct judge_opts opts = judge_opts(s);
	struct judgement j = { 0 };
	int ret = judge(p->model, &opts, &j);

	if (!ret && !j.nr)
		ret = snap_files_read(p->model, s->err, &p->files);
	*ret_refused |= j.nr;
	judgement_free(&j);
	return ret;
}

static int keep_files(struct snap *s)
{
	struct snap_keeper *v = calloc(s->nr_procs, sizeof(*v));
	int ret;

	if (!v)
		return ckpt_err_sys(s->err, ENOMEM, "%zu processes", s->nr_procs);
	for (size_t i = 0; i < s->nr_procs; i++)
		v[i] = (struct snap_keeper){ s->procs[i].model, &s->procs[i].files };
	ret = snap_kept_read(v, s->nr_procs, s->opts->keep, s->opts->files_limit, &s->r->judgement, s->err);
	free(v);
	return ret;
}

/* Whether something has to be done while the process stands still. */
static int session_expected(struct snap *s, bool *ret_session)
{
	bool kept = false;
	int ret = keeps(s) ? snap_kept_expected(snap_root(s)->target.pid, s->opts->keep, s->err, &kept) : 0;

	*ret_session = kept || s->opts->kill || s->opts->barrier == SNAP_BARRIER_STRICT ||
		       snap_files_expected(snap_root(s)->target.pid) || ipc_expected(snap_root(s)->target.pid);
	return ret;
}

/* The module tells a failed sync by descriptor or address; people know files by name. */
static int barrier_failed(struct snap *s, const struct snap_proc *p, const struct ckpt_barrier *b,
			  int code, const struct ckpt_err *why)
{
	const struct ckpt_model_fd *fd = ckpt_model_fd(p->model, b->out_failed_fd);
	const struct ckpt_model_vma *vma = ckpt_model_vma(p->model, b->out_failed_addr);

	if (code == -ECANCELED || (b->out_failed_fd < 0 && !b->out_failed_addr))
		return ckpt_err_set(s->err, code, "%s", why->text);
	if (b->out_failed_fd >= 0)
		ckpt_err_sys(s->err, code, "process %d: fd %d (%s) cannot be synced to disk",
			     p->target.pid, b->out_failed_fd, fd && fd->path ? fd->path : "?");
	else
		ckpt_err_sys(s->err, code, "process %d: mapping %#llx (%s) cannot be synced to disk",
			     p->target.pid, (unsigned long long)b->out_failed_addr,
			     vma && vma->path ? vma->path : "?");
	ckpt_err_hint(s->err, "see to that disk; the generation before this one stays the newest");
	return code;
}

/* Figures of several processes are sums; how long they stood still is told otherwise. */
static void add_stats(struct ckpt_stats *sum, const struct ckpt_stats *one)
{
	sum->out_freeze_ns += one->out_freeze_ns;
	sum->out_state_ns += one->out_state_ns;
	sum->out_copy_ns += one->out_copy_ns;
	sum->out_arm_ns += one->out_arm_ns;
	sum->out_barrier_ns += one->out_barrier_ns;
	sum->out_threads += one->out_threads;
	sum->out_parked += one->out_parked;
	sum->out_asleep += one->out_asleep;
	sum->out_woken += one->out_woken;
	sum->out_retries += one->out_retries;
	sum->out_armed += one->out_armed;
	sum->out_armed_huge += one->out_armed_huge;
	sum->out_copied += one->out_copied;
	sum->out_zero += one->out_zero;
	sum->out_faulted += one->out_faulted;
	sum->out_state_bytes += one->out_state_bytes;
}

static int read_stats(struct snap *s)
{
	struct ckpt_stats one, *sum = &s->r->stats;
	int ret = snapshot_stats(snap_root(s)->snapshot, s->err, sum);

	for (size_t i = 1; !ret && i < s->nr_procs; i++) {
		ret = snapshot_stats(s->procs[i].snapshot, s->err, &one);
		if (!ret)
			add_stats(sum, &one);
	}
	sum->out_retries += s->again;
	if (s->opts->tree)
		sum->out_pause_ns = s->pause_ns;
	return ret;
}

static int barrier(struct snap *s)
{
	const uint32_t flags = s->opts->barrier == SNAP_BARRIER_NONE ? CKPT_BARRIER_SKIP : 0;
	struct ckpt_err why = CKPT_ERR_INIT;
	struct ckpt_barrier b;

	for (size_t i = 0; i < s->nr_procs; i++) {
		int ret = snapshot_barrier(s->procs[i].snapshot, flags, &why, &b);

		if (ret)
			return barrier_failed(s, &s->procs[i], &b, ret, &why);
		s->r->barrier_files += b.out_files;
	}
	return read_stats(s);
}

/* What has to be done while the processes stand still. */
static int copy_all_files(struct snap *s)
{
	bool refused = false;
	int ret = 0;

	for (size_t i = 0; !ret && i < s->nr_procs; i++)
		ret = copy_files(s, &s->procs[i], &refused);
	if (!ret && !refused)
		ret = snap_files_read_ipc(snap_root(s)->model, s->err, &snap_root(s)->files);
	return ret || refused || !keeps(s) ? ret : keep_files(s);
}

static int end_pause(struct snap *s)
{
	for (size_t i = 0; i < s->nr_procs; i++)
		count_files(s, &s->procs[i].files);
	return s->opts->barrier == SNAP_BARRIER_STRICT && !s->opts->kill ? barrier(s) : 0;
}

/* All of a tree at one instant: a session for each, and all again when somebody moved meanwhile. */
static int capture_tree(struct snap *s)
{
	int ret = snap_tree_freeze(s);

	if (ret)
		return ret;
	for (int tries = 0; ; tries++) {
		ret = snap_tree_capture(s);
		if (!ret)
			ret = copy_all_files(s);
		snap_tree_lap(s, &s->r->phases.files);
		if (!ret)
			ret = snap_tree_steady(s, tries);
		if (ret != -EAGAIN)
			break;
		snap_tree_drop(s);
		judgement_free(&s->r->judgement);	/* what was noted of files is found again */
	}
	if (!ret)
		ret = end_pause(s);
	return ret || s->opts->kill ? ret : snap_tree_thaw(s);
}

/* The kernel may have moved what was under way in connections between the reading of the two ends. */
static int settle(struct snap *s, struct snap_proc *p)
{
	int ret;

	for (int tries = 0; ; tries++) {
		const int session = p->session;
		bool again;

		ret = snap_hold(s, &again);
		if (ret || (!again && tcp_all_steady(p->model)))
			return ret;
		if (tries == SETTLE_TRIES) {
			ckpt_err_set(s->err, EBUSY, "process %d: its TCP connections do not come to rest",
				     s->opts->pid);
			ckpt_err_hint(s->err, "try again");
			return -EBUSY;
		}
		p->session = -1;
		snap_drop_capture(p);
		p->session = session;
		ret = snap_capture(s, p);
		if (!ret)
			ret = snap_examine(s, p);
		if (ret)
			return ret;
	}
}

/* Ends with snapshots and models; frozen only if the processes are to be killed. */
static int capture(struct snap *s)
{
	struct snap_proc *p = snap_root(s);
	bool session;
	int ret = session_expected(s, &session);

	if (!ret)
		ret = ask_hooks(s);
	if (ret)
		return ret;
	if (s->opts->tree)
		return capture_tree(s);
	if (!session) {
		ret = capture_at_once(s);
		if (!ret)
			ret = snap_examine(s, p);
		if (ret || !(snap_files_wanted(p->model) || ipc_wanted(p->model) || (keeps(s) && snap_kept_wanted(p->model))))
			return ret;
		snap_drop_capture(p);
	}
	ret = capture_in_session(s);
	if (!ret)
		ret = snap_examine(s, p);
	if (!ret)
		ret = settle(s, p);
	if (!ret)
		ret = copy_all_files(s);
	if (!ret)
		ret = end_pause(s);
	if (!ret && !s->opts->kill) {
		ret = session_thaw(p->session, s->err, NULL);
		close_fd(&p->session);
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

/* Memory the program marked, or the kernel may empty: chosen here, and passed over in the stream. */
static int leave_out(struct snap *s)
{
	struct omit *sum = &s->r->omit;
	int ret = 0;

	for (size_t i = 0; !ret && i < s->nr_procs; i++) {
		struct snap_proc *p = &s->procs[i];

		ret = omit_choose(p->model, p->map.runs, p->map.nr, s->opts->keep_marked, s->err, &p->omit);
		if (ret)
			break;
		p->map.data_bytes -= p->omit.bytes + p->omit.dropped_bytes;
		sum->mappings += p->omit.mappings;
		sum->bytes += p->omit.bytes;
		sum->saved_bytes += p->omit.saved_bytes;
	}
	return ret;
}

static int judge_all(struct snap *s, struct judgement *j)
{
	struct judge_opts opts = judge_opts(s);
	int ret = 0;

	s->r->tcp_lost = s->r->unix_lost = 0;
	for (size_t i = 0; !ret && i < s->nr_procs; i++) {
		opts.pid = s->procs[i].target.pid;
		j->pid = s->opts->tree ? opts.pid : 0;
		ret = judge(s->procs[i].model, &opts, j);
		s->r->tcp_lost += s->opts->tcp == META_TCP_REPAIR ? 0 : tcp_count_outside(s->procs[i].model);
		s->r->unix_lost += s->opts->cut_unix ? sock_count_cut(s->procs[i].model) : 0;
	}
	j->pid = 0;
	return ret || !s->opts->tree ? ret : snap_tree_judge(s, j);
}

static int pass_judgement(struct snap *s)
{
	struct judgement *j = &s->r->judgement;
	const pid_t pid = snap_root(s)->target.pid;
	char text[CKPT_ERR_TEXT];
	int ret = judge_all(s, j);

	if (ret)
		return ckpt_err_sys(s->err, ret, "judgement of process %d", pid);
	for (size_t i = 0; !ret && !j->nr && i < s->nr_procs; i++)
		ret = stream_map_check(&s->procs[i].map, s->procs[i].model, s->parent, s->err);
	if (!j->nr)
		return ret;
	refusal_text(&j->refusals[0], text, sizeof(text));
	if (j->nr == 1)
		return ckpt_err_set(s->err, EOPNOTSUPP, "process %d: %s", pid, text);
	return ckpt_err_set(s->err, EOPNOTSUPP, "process %d: %zu things cannot be restored, "
			    "the first: %s", pid, j->nr, text);
}

/* ----------------------------------------------------------------------- image and commit */

static int write_process(struct snap *s, struct snap_proc *p)
{
	const struct stream_job job = {
		.snapshot = p->snapshot, .map = &p->map, .model = p->model, .omit = &p->omit,
		.parent = s->parent,
		.writer = s->writer, .bwlimit = s->opts->bwlimit,
		.progress = s->opts->progress, .arg = s->opts->progress_arg,
	};
	struct stream_stats stats = { 0 };
	int ret;

	ret = image_writer_put(s->writer, IMAGE_STATE, p->model->proc.pid, 0, p->records.data,
			       p->records.len, s->err);
	if (!ret)
		ret = stream_pages(&job, s->err, &stats);
	s->r->pages = stats.pages;
	s->r->same_pages += stats.same_pages;
	if (!ret)
		ret = snap_files_write(&p->files, &job, s->opts, s->hold_name, s->err, &s->r->contents);
	return ret ? ret : snap_kept_write(&p->files, &job, s->err);
}

static int write_sections(struct snap *s)
{
	int ret = s->opts->tree ? snap_tree_write(s) : 0;

	for (size_t i = 0; !ret && i < s->nr_procs; i++)
		ret = write_process(s, &s->procs[i]);
	if (!ret)
		ret = snap_report_write(s->opts, snap_root(s)->model, s->r, s->writer, s->err);
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
	if (!is_tracked(s))
		device_untrack(s->dev, snap_root(s)->target.pid, NULL);
	else if (!s->opts->kill)
		s->r->tracked = !snapshot_commit(snap_root(s)->snapshot, image_writer_id(s->writer),
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
	struct dedup_params params = {
		.job = s->job, .generation = store_writer_generation(s->store_writer),
		.page_size = snap_root(s)->model->system.page_size,
	};
	struct ckpt_err why = CKPT_ERR_INIT;

	for (size_t i = 0; i < s->nr_procs; i++)
		params.pages += s->procs[i].map.data_bytes / params.page_size;

	if (s->opts->dedup && dedup_open(s->store, &params, &why, &s->dedup))
		snprintf(s->r->why_alone, sizeof(s->r->why_alone), "%s", why.text);
}

static int write_image(struct snap *s)
{
	const struct ckpt_model *model = snap_root(s)->model;
	struct image_params params = {
		.label = store_writer_path(s->store_writer), .job = s->job,
		.parent = s->parent ? image_get_info(chain_image(s->parent)) : NULL,
		.generation = store_writer_generation(s->store_writer),
		.pid = model->proc.pid, .comm = model->threads[0].rec.comm,
		.page_size = model->system.page_size, .level = s->opts->level,
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
	for (size_t i = 0; i < s->nr_procs; i++)
		close_fd(&s->procs[i].snapshot);
	return ret;
}

static int end_targets(struct snap *s)
{
	int ret = 0;

	/* All of them before the first goes on: else one would see another end. */
	for (size_t i = 0; !ret && i < s->nr_procs; i++)
		ret = target_kill(&s->procs[i].target, s->err);
	s->r->hooks.waiting = s->r->hooks.waiting && ret;
	/* Before what they leave tells the other ends. */
	if (!ret)
		ret = snap_hold_keep(s);
	for (size_t i = 0; i < s->nr_procs; i++)
		close_fd(&s->procs[i].session);
	for (size_t i = 0; !ret && i < s->nr_procs; i++)
		ret = target_wait(&s->procs[i].target, KILL_WAIT_MS, s->err);
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
	for (size_t i = 0; !ret && i < s->nr_procs; i++)
		ret = stream_map_read(s->procs[i].snapshot, s->err, &s->procs[i].map);
	if (!ret)
		ret = read_stats(s);
	if (!ret)
		ret = examine_parent(s);
	if (!ret)
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
	return s->opts->kill ? end_targets(s) : 0;
}

static void release(struct snap *s)
{
	/* All go on before anything is released. */
	for (size_t i = 0; i < s->nr_procs; i++)
		close_fd(&s->procs[i].session);
	for (size_t i = 0; i < s->nr_procs; i++)
		snap_drop_capture(&s->procs[i]);
	hooks_after(&s->r->hooks, HOOKS_GIVEN_UP);	/* who waits still was not told otherwise */
	snap_hold_end(s);
	close_fd(&s->dev);
	image_writer_close(s->writer);
	dedup_close(s->dedup);
	chain_close(s->parent);
	store_writer_close(s->store_writer);
	store_close(s->store);
	for (size_t i = 0; i < s->nr_procs; i++) {
		struct snap_proc *p = &s->procs[i];

		target_close(&p->target);
		stream_map_free(&p->map);
		omit_free(&p->omit);
	}
	free(s->procs);
	free(s->set.models);
	tree_free(&s->tree);
}

int snap_run(const struct snap_opts *opts, struct ckpt_err *err, struct snap_result *ret_result)
{
	struct ckpt_err own = CKPT_ERR_INIT;
	struct snap s = {
		.opts = opts, .err = err ? err : &own, .r = ret_result, .dev = -1,
	};
	uint64_t begin = util_clock_ns(CLOCK_MONOTONIC);
	int ret;

	memset(ret_result, 0, sizeof(*ret_result));
	ret = snap_add_process(&s, &(struct snap_proc)SNAP_PROC_INIT);
	if (!ret)
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
