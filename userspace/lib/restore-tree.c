// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-tree.c - several processes: who makes whom, sessions, process groups, and those that have
 * ended and wait to be waited for.
 *
 * Each process is made by its parent, so that it has that parent and the session it was born into.  A
 * leader of a session makes those of its children that are not in it first, then the session, then the
 * others.  A process group has to exist before one can join: leaders found theirs in the making, the
 * others join when all are there.
 *
 * A session or group whose leader is not there any more is founded by a helper of that number, which ends
 * as soon as somebody is in it.  Those in such a session are orphans: the helper makes them, as children
 * of its own parent (CLONE_PARENT).
 *
 * Of several roots (of a control group) each is made as the first one is, but those in the session of
 * another process: that one makes them, by a helper which leaves them to init.
 *
 * A zombie is a child that ends as it did.  Its parent waits until it has, with SIGCHLD neither blocked
 * nor caught, so that none is pending which the program did not have.
 *
 * struct restore_set belongs to restore_run(); its list of processes is restore_tree_load()'s to fill and
 * restore_tree_free()'s to free.
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore-files.h"

static int read_tree(struct restore_set *set, const struct ckpt_restore_opts *opts,
		     struct ckpt_err *err)
{
	struct image *img = chain_image(opts->chain);
	int section = image_find(img, IMAGE_META, 0, IMAGE_META_TREE), r;
	size_t len;
	void *data;

	if (section < 0 || opts->owner)
		return 0;
	r = image_load(img, (uint32_t)section, err, &data, &len);
	if (r)
		return r;
	r = tree_parse(data, len, err, &set->tree);
	free(data);
	return r;
}

int restore_tree_load(struct restore_set *set, const struct ckpt_restore_opts *opts,
		      struct ckpt_err *err)
{
	size_t nr = 0;
	int r = read_tree(set, opts, err);

	if (r)
		return r;
	for (size_t i = 0; i < set->tree.nr; i++)
		nr += !set->tree.processes[i].ended;
	nr = nr ? nr : 1;
	set->v = calloc(nr, sizeof(*set->v));
	set->models.models = calloc(nr, sizeof(*set->models.models));
	if (!set->v || !set->models.models)
		return ckpt_err_sys(err, ENOMEM, "%zu processes", nr);
	set->nr = set->models.nr = nr;
	for (size_t i = 0; i < nr; i++)
		set->v[i] = (struct restore){ .set = set, .opts = opts, .err = err, .mem = -1,
					      .report = { -1, -1 } };
	return 0;
}

void restore_tree_free(struct restore_set *set)
{
	free(set->v);
	free(set->models.models);
	tree_free(&set->tree);
	*set = (struct restore_set){ 0 };
}

/* ------------------------------------------------------------ making them */

static struct restore *find(struct restore_set *set, pid_t pid)
{
	for (size_t i = 0; i < set->nr; i++)
		if (set->v[i].m->proc.pid == pid)
			return &set->v[i];
	return NULL;
}

/* In the new process: end as it ended. */
static void __attribute__((noreturn)) end_like(const struct tree_process *p)
{
	const struct rlimit none = { 0, 0 };
	const uint64_t no_signals = 0;

	prctl(PR_SET_NAME, p->comm);
	if (p->sid == p->pid)
		setsid();
	else
		setpgid(0, p->pgid);	/* if it is there yet; else later, join_ended() */
	if (WIFSIGNALED(p->status)) {
		setrlimit(RLIMIT_CORE, &none);
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof(no_signals));
		kill(getpid(), WTERMSIG(p->status));
	}
	_exit(WEXITSTATUS(p->status));
}

/* While it waits for a child to end: SIGCHLD is ignored, for the program has none to come from this. */
static int wait_end(pid_t pid, int options)
{
	const uint64_t all = ~0ULL, but_child = ~(1ULL << (SIGCHLD - 1));
	siginfo_t info;
	int r;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &but_child, NULL, sizeof(but_child));
	r = waitid(P_PID, (id_t)pid, &info, WEXITED | __WALL | options) < 0 ? -errno : 0;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
	return r;
}

static int spawn_zombie(const struct tree_process *p, uint64_t flags)
{
	/* Whatever signal it was, the parent has had it: how to wait for it is all that is left of that. */
	int sig = p->clone || flags & CLONE_PARENT ? 0 : SIGCHLD;
	pid_t pid = restore_stub_clone(p->pid, CLONE_CLEAR_SIGHAND | flags, sig);

	if (!pid)
		end_like(p);
	return pid < 0 ? pid : 0;
}

static int spawn(struct restore *rs, uint64_t flags)
{
	pid_t pid;

	if (!rs)
		return -ESRCH;
	pid = restore_stub_clone(rs->m->proc.pid, CLONE_CLEAR_SIGHAND | flags,
				 flags & CLONE_PARENT ? 0 : rs->m->proc.exit_signal);
	if (!pid)
		restore_stub_child(rs);
	return pid < 0 ? pid : 0;
}

static int spawn_one(struct restore *rs, const struct tree_process *p, uint64_t flags)
{
	return p->ended ? spawn_zombie(p, flags) : spawn(find(rs->set, p->pid), flags);
}

/* The helper: alone in session @sid, it makes those of its parent's children that are in there. */
static void __attribute__((noreturn)) found_session(struct restore *rs, pid_t sid)
{
	const struct tree *tree = &rs->set->tree;
	int r = setsid() < 0 ? errno : 0;

	for (size_t i = 1; !r && i < tree->nr; i++) {
		const struct tree_process *p = &tree->processes[i];

		if (p->ppid == rs->m->proc.pid && p->sid == sid)
			r = -spawn_one(rs, p, CLONE_PARENT);
	}
	_exit(r);
}

/* Until a helper has ended.  @pid may be the error with which it was not made; its status is one. */
static int wait_helper(pid_t pid)
{
	int status, r = pid < 0 ? pid : wait_end(pid, WNOWAIT);

	if (!r && waitpid(pid, &status, 0) != pid)
		r = -ECHILD;
	if (!r && (!WIFEXITED(status) || WEXITSTATUS(status)))
		r = WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
	return r;
}

static int spawn_orphans(struct restore *rs, pid_t sid)
{
	const struct tree *tree = &rs->set->tree;
	pid_t pid = restore_stub_clone(sid, CLONE_CLEAR_SIGHAND, SIGCHLD);
	int r;

	if (!pid)
		found_session(rs, sid);
	r = wait_helper(pid);
	for (size_t i = 1; !r && i < tree->nr; i++) {
		const struct tree_process *p = &tree->processes[i];

		if (p->ppid == rs->m->proc.pid && p->sid == sid && p->ended)
			r = wait_end(p->pid, WNOWAIT);
	}
	return r;
}

/* Whether no child of @ppid in front of the @i-th process is in its session. */
static bool is_first_orphan(const struct tree *tree, size_t i)
{
	const struct tree_process *v = tree->processes;

	for (size_t k = 1; k < i; k++)
		if (v[k].ppid == v[i].ppid && v[k].sid == v[i].sid)
			return false;
	return true;
}

/* A root in the session of @rs, which has lost it: left to whoever takes on orphans. */
static int spawn_adrift(struct restore *rs, const struct tree_process *p)
{
	pid_t pid = restore_stub_clone(0, CLONE_CLEAR_SIGHAND, SIGCHLD);

	if (!pid)
		_exit(-spawn_one(rs, p, 0));
	return wait_helper(pid);
}

bool restore_tree_is_first(const struct restore *rs)
{
	const struct tree *tree = &rs->set->tree;
	const struct tree_process *p = tree_find(tree, rs->m->proc.pid);

	return is_root(rs) || (p && p->root && !tree_is_adrift(tree, p));
}

int restore_tree_spawn(struct restore *rs, bool before_setsid, pid_t *ret_failed)
{
	const struct ckpt_rec_proc *me = &rs->m->proc;
	const struct tree *tree = &rs->set->tree;
	int r = 0;

	for (size_t i = 1; !r && i < tree->nr; i++) {
		const struct tree_process *p = &tree->processes[i];
		pid_t born = tree_session_of_birth(tree, p);
		bool before = me->sid == me->pid && born && born != me->sid;

		*ret_failed = p->pid;
		if (!before_setsid && p->sid == me->pid && tree_is_adrift(tree, p))
			r = spawn_adrift(rs, p);
		if (p->ppid != me->pid)
			continue;
		if (tree_is_orphan(tree, p)) {
			*ret_failed = p->sid;
			if (!before_setsid && is_first_orphan(tree, i))
				r = spawn_orphans(rs, p->sid);
		} else if (before == before_setsid) {
			r = spawn_one(rs, p, 0);
			if (!r && p->ended)
				r = wait_end(p->pid, WNOWAIT);
		}
	}
	return r;
}

/* Whether a group is one of the tree's own. */
static bool has_group(const struct tree *tree, pid_t pgid)
{
	return tree_find(tree, pgid) || tree_group_is_headless(tree, pgid);
}

/* Whether it is the first of the tree in a group that nobody leads any more. */
static bool founds_group(const struct restore *rs)
{
	const struct tree *tree = &rs->set->tree;
	const pid_t pgid = rs->m->proc.pgid;

	if (!tree->nr || !tree_group_is_headless(tree, pgid))
		return false;
	for (size_t i = 0; i < tree->nr; i++)
		if (tree->processes[i].pgid == pgid && !tree->processes[i].ended)
			return tree->processes[i].pid == rs->m->proc.pid;
	return false;
}

int restore_tree_found_group(struct restore *rs)
{
	const pid_t pgid = rs->m->proc.pgid;
	pid_t pid;
	int r;

	/* It may exist, as that of a session that was founded, or be one outside. */
	if (!founds_group(rs) || getpgrp() == pgid || setpgid(0, pgid) == 0)
		return 0;
	pid = restore_stub_clone(pgid, CLONE_CLEAR_SIGHAND, SIGCHLD);
	if (!pid)
		_exit(setpgid(0, 0) < 0);
	r = pid < 0 ? pid : wait_end(pid, WNOWAIT);
	if (!r && setpgid(0, pgid) < 0)
		r = -errno;
	return r ? r : wait_end(pid, 0);
}

/* ------------------------------------------------------------ what they have between them */

/*
 * Its children that have ended.  One cannot be moved that is in another session than its parent is now, or
 * in a group of which nobody else is left: it stays in that it was born into.
 */
static int join_ended(struct restore *rs)
{
	const struct tree *tree = &rs->set->tree;
	int r = 0;

	for (size_t i = 1; !r && i < tree->nr; i++) {
		const struct tree_process *p = &tree->processes[i];

		if (p->ended && p->ppid == rs->m->proc.pid && p->sid == rs->m->proc.sid &&
		    has_group(tree, p->pgid) && getpgid(p->pid) != p->pgid)
			r = remote_try(leader(rs), rs->err, SYS_setpgid,
				       REMOTE_ARGS((uint64_t)p->pid, (uint64_t)p->pgid), &(long){ 0 });
	}
	return r;
}

/*
 * Those who do not lead a group join theirs.  That the tree was started in is not to be had again: the one
 * of the restoring command stays.
 */
int restore_tree_groups(struct restore *rs)
{
	const struct ckpt_rec_proc *p = &rs->m->proc;
	const struct tree *tree = &rs->set->tree;
	int r = 0;

	if (tree->nr && p->pgid != p->pid && getpgid(rs->pid) != p->pgid && has_group(tree, p->pgid))
		r = remote_call(leader(rs), rs->err, "join its process group", SYS_setpgid,
				REMOTE_ARGS(0, (uint64_t)p->pgid), NULL);
	return r ? r : join_ended(rs);
}

/* The descriptor of ours for an open file of @rs; that of the same number if there are several. */
static int our_fd(const struct restore *rs, uint32_t file, int number)
{
	const struct restore_files *fs = rs->files;
	int fd = -1;

	for (size_t i = 0; i < fs->nr_slots; i++) {
		const struct ckpt_rec_fd *r = &rs->m->fds[i].rec;

		if (r->file == file && (fd < 0 || r->fd == number))
			fd = fs->entries[fs->slots[i].entry].fd;
	}
	return fd;
}

int restore_tree_shared_fd(const struct restore *rs, const struct ckpt_model_fd *f)
{
	const struct tree *tree = &rs->set->tree;
	const struct tree_file *mine = tree_find_file(tree, rs->m->proc.pid, f->rec.file);

	for (size_t i = 0; mine && i < tree->nr_files; i++) {
		const struct tree_file *t = &tree->files[i];
		const struct restore *other = find(rs->set, t->pid);

		/* Those behind us have not been opened yet. */
		if (t->object == mine->object && other && other < rs)
			return our_fd(other, t->file, f->rec.fd);
	}
	return -1;
}
