// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore.c - the order of things, and the way back.
 *
 * Two rules order the steps: what needs the privileges of the caller comes
 * before the program's credentials, and what can fail comes before what cannot
 * be undone.  The process runs no instruction of its own before the last step,
 * so until then killing it leaves nothing behind.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "restore-files.h"
#include "restore-segment.h"

/* ------------------------------------------------------------ what to restore */

static int load_state(struct restore *rs, uint32_t owner)
{
	struct image *img = rs->image;
	int section = image_find(img, IMAGE_STATE, owner, 0);
	size_t len;
	void *data;
	int r;

	if (section < 0)
		return ckpt_err_set(rs->err, -ENOENT, "%s: has no state of process %u",
				    image_label(img), owner);
	r = image_load(img, (uint32_t)section, rs->err, &data, &len);
	if (r)
		return r;
	r = ckpt_model_parse(data, len, rs->err, &rs->m);
	free(data);
	return r;
}

static int load_meta(struct restore *rs, uint32_t owner)
{
	struct image *img = rs->image;
	int section = image_find(img, IMAGE_META, owner, IMAGE_META_FILES);
	size_t len;
	void *data;
	int r;

	if (section < 0)
		return 0;	/* the records alone will do */
	r = image_load(img, (uint32_t)section, rs->err, &data, &len);
	if (r)
		return r;
	r = meta_files_parse(data, len, rs->err, &rs->meta);
	free(data);
	return r;
}

static int load(struct restore *rs, uint32_t owner)
{
	int r;

	rs->image = chain_image(rs->opts->chain);
	if (image_get_info(rs->image)->page_size != RESTORE_PAGE)
		return ckpt_err_set(rs->err, -EOPNOTSUPP, "%s: has pages of %u bytes",
				    image_label(rs->image), image_get_info(rs->image)->page_size);
	r = load_state(rs, owner);
	if (!r && rs->m->proc.pid != (pid_t)owner)
		r = ckpt_err_set(rs->err, -EBADMSG, "%s: process %u calls itself %d",
				 image_label(rs->image), owner, rs->m->proc.pid);
	if (!r)
		r = load_meta(rs, owner);
	if (r)
		return r;
	r = chain_load(rs->opts->chain, owner, rs->err);
	if (r)
		return r;
	rs->threads = calloc(rs->m->nr_threads, sizeof(*rs->threads));
	if (!rs->threads)
		return ckpt_err_sys(rs->err, ENOMEM, "threads of process %u", owner);
	for (size_t i = 0; i < rs->m->nr_threads; i++)
		rs->threads[i].t = &rs->m->threads[i];
	return 0;
}

/* Nothing is touched yet. */
static int load_all(struct restore_set *set, const struct ckpt_restore_opts *opts,
		    struct ckpt_err *err)
{
	int r = restore_tree_load(set, opts, err);
	size_t fds = 0, mappings = 0;

	for (size_t i = 0, k = 0; !r && i < set->nr; i++, k++) {
		while (set->tree.nr && set->tree.processes[k].ended)
			k++;
		r = load(&set->v[i], set->tree.nr ? (uint32_t)set->tree.processes[k].pid :
			 opts->owner ? opts->owner : image_get_info(chain_image(opts->chain))->pid);
		if (r)
			break;
		set->models.models[i] = set->v[i].m;
		set->v[i].m->set = set->tree.nr ? &set->models : NULL;
		fds += set->v[i].m->nr_fds;
		mappings += set->v[i].m->nr_vmas;
	}
	if (r)
		return r;
	set->nameless = calloc(fds + mappings + 1, sizeof(*set->nameless));
	set->pipes = calloc(fds + 1, sizeof(*set->pipes));
	return set->nameless && set->pipes ? 0 :
	       ckpt_err_set(err, -ENOMEM, "no memory for the files of the process");
}

/* ------------------------------------------------------------ steps */

static int set_process(struct restore *rs)
{
	if (!(rs->m->proc.flags & CKPT_PROC_SUBREAPER))
		return 0;
	return remote_call(leader(rs), rs->err, "adopt orphans", SYS_prctl,
			   REMOTE_ARGS(PR_SET_CHILD_SUBREAPER, 1), NULL);
}

/* All is read.  The key is not to be in memory while the program runs. */
static int forget_keys(struct restore *rs)
{
	chain_lock(rs->opts->chain);
	return 0;
}

/*
 * The point of no return is the first thread that goes: a signal that waited
 * for the program may end it at once, and with it the threads we still hold.
 * That is its own business; the dead only have to be waited for.
 */
static int release(struct restore *rs)
{
	size_t i = rs->m->nr_threads - 1;
	int r;

	if ((rs->m->proc.flags & CKPT_PROC_STOPPED) && kill(rs->pid, SIGSTOP) < 0)
		return ckpt_err_sys(rs->err, errno, "stop process %d", rs->pid);
	r = remote_release(&rs->threads[i].remote, rs->err);
	if (r)
		return r;
	while (i-- > 0) {
		struct remote *th = &rs->threads[i].remote;

		/* The leader's end is for the caller to see. */
		if (remote_release(th, NULL) && i)
			remote_bury(th->tid);
	}
	return 0;
}

/* Each step for all processes before the next. */
static int rebuild(struct restore_set *set)
{
	static int (* const steps[])(struct restore *rs) = {
		restore_check,		/* nothing is touched so far */
		restore_hold,
		restore_files_open,
		restore_segments_open,
		restore_ipc_open,
		restore_stub_start,	/* now there is a process, */
		restore_tree_groups,
		restore_mm_empty,
		restore_segments_make,
		restore_ipc_make,
		restore_mm_map,
		restore_fill,
		restore_nameless_finish,
		restore_segments_finish,
		restore_mm_finish,
		restore_seccomp_shared,	/* which they inherit */
		restore_threads_make,
		restore_sigactions,
		restore_timers_make,
		restore_threads_set,
		set_process,
		restore_pty_group,
		restore_files_finish,
		restore_seccomp,	/* which takes privileges, and */
		restore_creds,		/* which loses its privileges here, */
		restore_sockets,	/* for the other end is told by whom they were made */
		restore_connections,	/* to what listens by now */
		restore_watches,
		restore_tcp_over,
		restore_tcp_connect,	/* behind all that listens: it shares their ports */
		restore_sigpending,
		restore_limits,
		restore_trap_action,
		restore_kept_check,
		restore_kept_commit,	/* which can be done again, */
		restore_ipc_commit,	/* likewise, */
		restore_ipc_undo,
		restore_hold_release,
		restore_tcp_go,
		restore_tcp_send,
		restore_tcp_await,
		restore_calls,		/* and time begins to count for it */
		restore_timers_arm,
		restore_files_arm,
		restore_owners,
		restore_mm_leave,
		restore_regs,
		restore_rseq_finish,
		restore_hooks,
		restore_tell_left_out,
		forget_keys,
		restore_segments_commit, /* cannot be undone, */
		restore_files_commit,	/* nor this */
		restore_files_settle,
		release,
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(steps) / sizeof(*steps); i++)
		for (size_t k = 0; !r && k < set->nr; k++)
			r = steps[i](&set->v[k]);
	return r;
}

static void clean_up(struct restore_set *set, bool failed)
{
	restore_segments_close(set, failed);
	restore_ipc_close(set, failed);
	for (size_t i = 0; i < set->nr; i++) {
		struct restore *rs = &set->v[i];

		if (rs->mem >= 0)
			close(rs->mem);
		restore_files_close(rs);
		meta_files_free(&rs->meta);
		free(rs->threads);
		ckpt_model_free(rs->m);
	}
	for (size_t i = 0; i < set->nr_nameless; i++)
		close(set->nameless[i].fd);
	for (size_t i = 0; i < set->nr_pipes; i++) {
		close(set->pipes[i].ends[0]);
		close(set->pipes[i].ends[1]);
	}
	restore_ptys_close(set);
	hold_end(set->hold);
	free(set->nameless);
	free(set->pipes);
	restore_tree_free(set);
}

/* The roots beside the first one, which are to be the caller's children. */
static int list_others(const struct restore_set *set, struct ckpt_err *err, struct restore_others *ret)
{
	*ret = (struct restore_others){ .v = calloc(set->nr, sizeof(*ret->v)) };
	if (!ret->v)
		return ckpt_err_sys(err, ENOMEM, "%zu processes", set->nr);
	for (size_t i = 1; i < set->nr; i++)
		if (restore_tree_is_first(&set->v[i]))
			ret->v[ret->nr++] = set->v[i].m->proc.pid;
	return 0;
}

/* With all signals blocked; @old_mask tells which of them the caller wants to hear. */
int restore_run(const struct ckpt_restore_opts *opts, const sigset_t *old_mask,
		struct ckpt_err *err, pid_t *ret_pid, struct restore_others *ret_others)
{
	struct ckpt_err own = CKPT_ERR_INIT;
	struct restore_set set = { 0 };
	struct rlimit old, all;
	int r;

	err = err ? err : &own;
	getrlimit(RLIMIT_NOFILE, &old);
	all = old;
	all.rlim_cur = all.rlim_max;
	setrlimit(RLIMIT_NOFILE, &all);

	r = load_all(&set, opts, err);
	for (size_t i = 0; i < set.nr; i++)
		set.v[i].old_mask = *old_mask;
	if (!r && ret_others)
		r = list_others(&set, err, ret_others);
	if (!r)
		r = rebuild(&set);
	if (r)
		restore_hold_again(&set);
	/* The children first: their parent would not see them end, but somebody else inherit them. */
	for (size_t i = set.nr; r && i-- > 0;)
		restore_stub_kill(&set.v[i]);
	if (!r)
		*ret_pid = set.v[0].pid;

	clean_up(&set, r);
	setrlimit(RLIMIT_NOFILE, &old);
	store_audit(opts->store, &(struct store_event){ .what = "restore", .ref = chain_ref(opts->chain)->label,
							.pid = r ? 0 : *ret_pid, .code = r,
							.err = err });
	return r;
}

int ckpt_restore_run(const struct ckpt_restore_opts *opts, struct ckpt_err *err, pid_t *ret_pid)
{
	struct restore_away away;
	sigset_t full, old;
	int r;

	sigfillset(&full);
	pthread_sigmask(SIG_SETMASK, &full, &old);
	if (opts->pidns) {
		r = restore_pidns_run(opts, &old, err, &away);
		if (!r) {
			*ret_pid = away.pid;
			restore_away_close(&away);
		}
	} else {
		r = restore_run(opts, &old, err, ret_pid, NULL);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}
