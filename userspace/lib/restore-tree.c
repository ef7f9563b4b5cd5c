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

	if (p->sid == p->pid)
		setsid();
	else if (p->pgid == p->pid)
		setpgid(0, 0);
	if (WIFSIGNALED(p->status)) {
		setrlimit(RLIMIT_CORE, &none);
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof(no_signals));
		kill(getpid(), WTERMSIG(p->status));
	}
	_exit(WEXITSTATUS(p->status));
}

static int spawn_zombie(const struct tree_process *p)
{
	const uint64_t all = ~0ULL, but_child = ~(1ULL << (SIGCHLD - 1));
	siginfo_t info;
	pid_t pid;
	int r = 0;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &but_child, NULL, sizeof(but_child));
	pid = restore_stub_clone(p->pid, CLONE_CLEAR_SIGHAND, SIGCHLD);
	if (!pid)
		end_like(p);
	if (pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
		r = pid < 0 ? pid : -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
	return r;
}

static int spawn(struct restore *rs)
{
	pid_t pid;

	if (!rs)
		return -ESRCH;
	pid = restore_stub_clone(rs->m->proc.pid, CLONE_CLEAR_SIGHAND, rs->m->proc.exit_signal);
	if (!pid)
		restore_stub_child(rs);
	return pid < 0 ? pid : 0;
}

int restore_tree_spawn(struct restore *rs, bool before_setsid, pid_t *ret_failed)
{
	const struct ckpt_rec_proc *me = &rs->m->proc;
	const struct tree *tree = &rs->set->tree;
	int r = 0;

	for (size_t i = 1; !r && i < tree->nr; i++) {
		const struct tree_process *p = &tree->processes[i];
		/* One that leads a session of its own can be made in any. */
		bool in_mine = p->sid == me->sid || p->sid == p->pid;

		if (p->ppid != me->pid || before_setsid != (me->sid == me->pid && !in_mine))
			continue;
		*ret_failed = p->pid;
		r = p->ended ? spawn_zombie(p) : spawn(find(rs->set, p->pid));
	}
	return r;
}

/* ------------------------------------------------------------ what they have between them */

/*
 * Those who do not lead a group join theirs.  One that nobody of the tree leads is not to be had again:
 * that of the restoring command, or of whoever made the process, stays.
 */
int restore_tree_groups(struct restore *rs)
{
	const struct ckpt_rec_proc *p = &rs->m->proc;

	if (!rs->set->tree.nr || p->pgid == p->pid || !tree_find(&rs->set->tree, p->pgid) ||
	    getpgid(rs->pid) == p->pgid)
		return 0;
	return remote_call(leader(rs), rs->err, "join its process group", SYS_setpgid,
			   REMOTE_ARGS(0, (uint64_t)p->pgid), NULL);
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
