// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap-tree.c - all processes that descend from one, or of a control group, at one instant.
 *
 *	freeze		the root, then its children, and theirs: one that stands still makes no new
 *			ones, so that all are found when all known ones stand still and have no others;
 *			of a control group whoever is in it, until nobody new is
 *	capture		each of them, and which open files they share (kcmp(2))
 *	steady		a thread left asleep in a call may have come out of it, with what it took of
 *			another's pipe, while others were captured: then all is captured again
 *	thaw		the last frozen first
 *
 * Each process has a session of its own, which is a descriptor: if we die, all go on.  A child that has
 * ended and was not waited for is an entry of the list and nothing more; its parent, being frozen,
 * cannot wait for it meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"
#include "hooks-page.h"
#include "proc-stat.h"
#include "snap-priv.h"
#include "tcp.h"

#define STEADY_TRIES	20
#define ENDING_TRIES	100

/* ---------------------------------------------------------------------------------- finding */

static int read_process(pid_t pid, struct tree_process *ret)
{
	struct proc_stat st;
	int r = proc_stat_read(pid, &st);

	if (r)
		return r;
	*ret = (struct tree_process){
		.pid = pid, .ppid = st.ppid, .pgid = st.pgid, .sid = st.sid, .status = st.status,
		.ended = st.state == 'Z' || st.state == 'X',
	};
	if (ret->ended)
		ret->clone = st.exit_signal != SIGCHLD;
	else
		ret->status = 0;
	snprintf(ret->comm, sizeof(ret->comm), "%.15s", st.comm);
	return 0;
}

static int add_entry(struct snap *s, const struct tree_process *p)
{
	int ret = tree_add(&s->tree, p);

	if (ret == -E2BIG)
		return ckpt_err_set(s->err, E2BIG, "process %d: has more than %d descendants",
				    s->opts->pid, TREE_MAX);
	return ret ? ckpt_err_sys(s->err, ret, "list of processes") : 0;
}

/* Once.  @ret_again: it was just ending, and nothing is known of what it is then. */
static int try_process(struct snap *s, pid_t pid, bool *ret_again)
{
	struct snap_proc p = SNAP_PROC_INIT;
	struct tree_process line;
	int ret = read_process(pid, &line);

	if (ret == -ENOENT || ret == -ESRCH)
		return 0;
	if (ret)
		return ckpt_err_sys(s->err, ret, "process %d", pid);
	if (line.ended)
		return add_entry(s, &line);
	ret = target_open(pid, s->err, &p.target);
	if (!ret)
		ret = snap_attach(s, &p);
	if (!ret)
		ret = snap_freeze(s, &p);
	if (!ret) {
		ret = read_process(pid, &line);
		if (ret)
			ret = ckpt_err_sys(s->err, ret, "process %d", pid);
	}
	if (!ret)
		ret = add_entry(s, &line);
	if (!ret)
		ret = snap_add_process(s, &p);
	if (!ret)
		return 0;
	if (p.session >= 0)
		close(p.session);
	*ret_again = ret == -ESRCH && (p.target.pidfd < 0 || !target_wait(&p.target, 1000, NULL));
	target_close(&p.target);
	return ret;
}

/* Frozen, and in the list; or in the list as one that has ended; or gone by itself. */
static int add_process(struct snap *s, pid_t pid)
{
	for (int tries = 0; ; tries++) {
		bool again = false;
		int ret = try_process(s, pid, &again);

		if (!again || tries == ENDING_TRIES)
			return ret;
		ckpt_err_clear(s->err);
	}
}

/* Those children of one thread that are not in the list yet. */
static int add_children_of(struct snap *s, const char *path, bool *ret_new)
{
	FILE *f = fopen(path, "re");
	int ret = 0;
	pid_t pid;

	if (!f)
		return errno == ENOENT ? 0 : ckpt_err_sys(s->err, errno, "%s", path);
	while (!ret && fscanf(f, "%d", &pid) == 1) {
		if (tree_find(&s->tree, pid))
			continue;
		*ret_new = true;
		ret = add_process(s, pid);
	}
	fclose(f);
	return ret;
}

static int add_children(struct snap *s, pid_t pid, bool *ret_new)
{
	char path[64];
	struct dirent *de;
	DIR *dir;
	int ret = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return ckpt_err_sys(s->err, errno, "%s", path);
	while (!ret && (de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", pid, de->d_name);
		ret = add_children_of(s, path, ret_new);
	}
	closedir(dir);
	return ret;
}

/* Those of the control group that are not in the list yet. */
static int add_members(struct snap *s, bool *ret_new)
{
	pid_t *v;
	size_t nr;
	int ret = cgroup_list(s->opts->cgroup, s->err, &v, &nr);

	if (ret)
		return ret;
	for (size_t i = 0; !ret && i < nr; i++) {
		if (tree_find(&s->tree, v[i]))
			continue;
		*ret_new = true;
		ret = add_process(s, v[i]);
	}
	free(v);
	return ret;
}

/* A list of children is exact only when all in it stand still (proc(5)): until nothing new turns up. */
static int add_others(struct snap *s)
{
	bool new;
	int ret = 0;

	do {
		new = false;
		if (s->opts->cgroup)
			ret = add_members(s, &new);
		for (size_t i = 0; !ret && i < s->nr_procs; i++)
			ret = add_children(s, s->procs[i].target.pid, &new);
	} while (!ret && new);
	return ret;
}

/* Who makes it in a restore, and so has to be in front of it: its place; @nr: nobody of the tree. */
static size_t made_by(const struct tree *t, size_t i)
{
	const struct tree_process *p = &t->processes[i], *by = tree_find(t, p->ppid);

	if (!by && !p->ended && p->sid != p->pid)
		by = tree_find(t, p->sid);
	return by && by != p ? (size_t)(by - t->processes) : t->nr;
}

/* @ret_order: all places, each behind that of who makes it; those that belong to somebody outside are left out. */
static size_t order_entries(const struct tree *t, size_t *ret_order, bool *placed)
{
	size_t nr = 0, before;

	do {
		before = nr;
		for (size_t i = 0; i < t->nr; i++) {
			const size_t by = made_by(t, i);

			if (placed[i] || (by < t->nr && !placed[by]))
				continue;
			placed[i] = true;
			if (by < t->nr || !t->processes[i].ended)
				ret_order[nr++] = i;
		}
	} while (nr > before);
	return nr;
}

/* The processes of a control group turn up in any order, and may have lost their parent while they did. */
static int reorder(struct snap *s, const size_t *order, size_t nr)
{
	struct tree old = s->tree;
	struct snap_proc *procs = calloc(s->nr_procs, sizeof(*procs));
	size_t at = 0;
	int ret = procs ? 0 : ckpt_err_sys(s->err, ENOMEM, "%zu processes", s->nr_procs);

	if (ret)
		return ret;
	s->tree = (struct tree){ 0 };
	for (size_t i = 0; !ret && i < nr; i++) {
		struct tree_process p = old.processes[order[i]];

		p.root = !tree_find(&old, p.ppid);
		ret = add_entry(s, &p);
		for (size_t k = 0; !p.ended && k < s->nr_procs; k++)
			if (s->procs[k].target.pid == p.pid)
				procs[at++] = s->procs[k];
	}
	tree_free(&old);
	if (!ret && at != s->nr_procs)
		ret = ckpt_err_set(s->err, EAGAIN, "control group %s: its processes have changed their parents meanwhile",
				   s->opts->cgroup);
	if (!ret)
		memcpy(s->procs, procs, at * sizeof(*procs));
	free(procs);
	return ret;
}

/* Some may have lost their parent after they were looked at; now all stand still. */
static int look_again(struct snap *s)
{
	for (size_t i = 0; i < s->tree.nr; i++) {
		struct tree_process *p = &s->tree.processes[i], now;
		int ret = read_process(p->pid, &now);

		if (!p->ended && (ret || now.ended))
			return ckpt_err_set(s->err, ESRCH, "process %d: has ended meanwhile", p->pid);
		p->ppid = ret ? 0 : now.ppid;	/* one that had ended was waited for */
	}
	return 0;
}

static int sort_members(struct snap *s)
{
	size_t *order = calloc(s->tree.nr, sizeof(*order)), nr;
	bool *placed = calloc(s->tree.nr, sizeof(*placed));
	int ret = order && placed ? look_again(s) : ckpt_err_sys(s->err, ENOMEM, "%zu processes", s->tree.nr);

	if (!ret) {
		nr = order_entries(&s->tree, order, placed);
		if (s->tree.processes[order[0]].pid != snap_root(s)->target.pid)
			ret = ckpt_err_set(s->err, EAGAIN, "control group %s: process %d, the first of it, was given "
					   "to another parent", s->opts->cgroup, s->opts->pid);
		else
			ret = reorder(s, order, nr);
	}
	free(order);
	free(placed);
	return ret;
}

static int compare_processes(pid_t a, pid_t b, int type, unsigned long x, unsigned long y)
{
	return (int)syscall(SYS_kcmp, a, b, type, x, y);
}

/* kcmp(2) puts what it compares in an order, so that what is equal comes to lie together. */
static int by_resource(const void *a, const void *b, void *type)
{
	static const int order[] = { 0, -1, 1 };
	int c = compare_processes(*(const pid_t *)a, *(const pid_t *)b, *(const int *)type, 0, 0);

	return c >= 0 && c < 3 ? order[c] : 0;
}

static int refuse_sharers(struct snap *s, pid_t *pids, int type, const char *what)
{
	qsort_r(pids, s->nr_procs, sizeof(*pids), by_resource, &type);
	for (size_t i = 1; i < s->nr_procs; i++) {
		int c = compare_processes(pids[i - 1], pids[i], type, 0, 0);

		if (c < 0)
			return ckpt_err_sys(s->err, errno, "whether processes %d and %d share their %s",
					    pids[i - 1], pids[i], what);
		if (!c)
			judge_refuse(&s->r->judgement, "process", pids[i], NULL, NULL,
				     "shares its %s with process %d (clone(2)), which is not supported yet",
				     what, pids[i - 1]);
	}
	return 0;
}

/* The module refuses those that share memory, and with it signal handlers.  Asked once: who stands still does not change it. */
static int judge_sharers(struct snap *s)
{
	static const struct {
		int type;
		const char *what;
	} kinds[] = {
		{ KCMP_FILES, "table of open files" }, { KCMP_FS, "working directory and umask" },
	};
	pid_t *pids = calloc(s->nr_procs, sizeof(*pids));
	int ret = pids ? 0 : ckpt_err_sys(s->err, ENOMEM, "%zu processes", s->nr_procs);

	for (size_t i = 0; !ret && i < s->nr_procs; i++)
		pids[i] = s->procs[i].target.pid;
	for (size_t k = 0; !ret && k < sizeof(kinds) / sizeof(*kinds); k++)
		ret = refuse_sharers(s, pids, kinds[k].type, kinds[k].what);
	free(pids);
	return ret;
}

void snap_tree_lap(struct snap *s, uint64_t *phase)
{
	const uint64_t now = util_clock_ns(CLOCK_MONOTONIC);

	*phase += now - s->lap_at;
	s->lap_at = now;
}

int snap_tree_freeze(struct snap *s)
{
	struct snap_proc *root = snap_root(s);
	struct tree_process line;
	int ret = snap_attach(s, root);

	if (ret)
		return ret;
	s->frozen_at = s->lap_at = util_clock_ns(CLOCK_MONOTONIC);
	ret = snap_freeze(s, root);
	if (ret)
		return ret;
	ret = read_process(root->target.pid, &line);
	if (ret)
		return ckpt_err_sys(s->err, ret, "process %d", root->target.pid);
	ret = add_entry(s, &line);
	if (!ret)
		ret = add_others(s);
	if (!ret && s->opts->cgroup)
		ret = sort_members(s);
	if (!ret)
		s->tree.processes[0].root = true;
	snap_tree_lap(s, &s->r->phases.freeze);
	if (!ret)
		ret = judge_sharers(s);
	snap_tree_lap(s, &s->r->phases.sharers);
	s->r->processes = s->nr_procs;
	return ret;
}

/* ----------------------------------------------------------------------------- what is shared */

/* One open file of one process. */
struct holder {
	const struct snap_proc		*proc;
	const struct ckpt_model_fd	*fd;
};

static int three_way(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* What one open file has alike wherever it is held. */
static int same_looks(const struct holder *a, const struct holder *b)
{
	const struct ckpt_rec_fd *x = &a->fd->rec, *y = &b->fd->rec;
	int c = three_way(x->id.dev, y->id.dev);

	c = c ? c : three_way(x->id.ino, y->id.ino);
	c = c ? c : three_way(x->file_flags, y->file_flags);
	return c ? c : three_way((uint64_t)x->pos, (uint64_t)y->pos);
}

/* As kcmp(2) does: 0 equal, 1 less, 2 greater, -1 failed. */
static int compare_files(const struct holder *a, const struct holder *b)
{
	if (a->proc == b->proc && a->fd->rec.file == b->fd->rec.file)
		return 0;
	return compare_processes(a->proc->target.pid, b->proc->target.pid, KCMP_FILE,
				 (unsigned long)a->fd->rec.fd, (unsigned long)b->fd->rec.fd);
}

/* Those of one open file come to lie together, and among them those of one process. */
static int by_file(const void *a, const void *b, void *failed)
{
	static const int order[] = { 0, -1, 1 };
	const struct holder *x = a, *y = b;
	int c = same_looks(x, y);

	if (c)
		return c;
	c = compare_files(x, y);
	if (c < 0 || c > 2)
		*(int *)failed = c < 0 ? errno : EIO;
	else if (c)
		return order[c];
	return three_way((uintptr_t)x->proc, (uintptr_t)y->proc);
}

static size_t list_holders(const struct snap *s, struct holder *v)
{
	size_t nr = 0;

	for (size_t i = 0; i < s->nr_procs; i++)
		for (size_t k = 0; k < s->procs[i].model->nr_fds; k++)
			v[nr++] = (struct holder){ .proc = &s->procs[i], .fd = &s->procs[i].model->fds[k] };
	return nr;
}

static int add_file(struct snap *s, const struct holder *h, uint32_t object)
{
	const struct tree_file f = { object, h->proc->target.pid, h->fd->rec.file };
	int ret = tree_add_file(&s->tree, &f);

	return ret ? ckpt_err_sys(s->err, ret, "list of open files") : 0;
}

/* Of @nr holders of one open file: each process once, if there are several. */
static int add_holders(struct snap *s, const struct holder *v, size_t nr, uint32_t *objects)
{
	int ret = 0;

	if (v[0].proc == v[nr - 1].proc)
		return 0;
	++*objects;
	for (size_t i = 0; !ret && i < nr; i++)
		if (!i || v[i].proc != v[i - 1].proc)
			ret = add_file(s, &v[i], *objects);
	return ret;
}

static int find_shared(struct snap *s, struct holder *v, size_t nr)
{
	uint32_t objects = 0;
	int ret = 0, failed = 0;

	qsort_r(v, nr, sizeof(*v), by_file, &failed);
	for (size_t i = 0, end; !ret && !failed && i < nr; i = end) {
		for (end = i + 1; end < nr && !same_looks(&v[i], &v[end]); end++) {
			int c = compare_files(&v[i], &v[end]);

			if (c < 0)
				failed = errno;
			if (c)
				break;
		}
		ret = add_holders(s, &v[i], end - i, &objects);
	}
	return failed ? ckpt_err_sys(s->err, failed, "which open files processes share") : ret;
}

static int find_shared_files(struct snap *s)
{
	struct holder *v;
	size_t nr = 0;
	int ret;

	for (size_t i = 0; i < s->nr_procs; i++)
		nr += s->procs[i].model->nr_fds;
	v = calloc(nr + 1, sizeof(*v));
	if (!v)
		return ckpt_err_sys(s->err, ENOMEM, "list of open files");
	ret = find_shared(s, v, list_holders(s, v));
	free(v);
	return ret;
}

/* -------------------------------------------------------------------------------- capturing */

static int gather_models(struct snap *s)
{
	s->set.models = calloc(s->nr_procs, sizeof(*s->set.models));
	if (!s->set.models)
		return ckpt_err_sys(s->err, ENOMEM, "%zu processes", s->nr_procs);
	s->set.nr = s->nr_procs;
	for (size_t i = 0; i < s->nr_procs; i++) {
		s->set.models[i] = s->procs[i].model;
		s->procs[i].model->set = &s->set;
	}
	return 0;
}

int snap_tree_capture(struct snap *s)
{
	int ret = 0;

	/* Memory first: the longer that takes the more could move. */
	for (size_t i = 0; !ret && i < s->nr_procs; i++)
		ret = snap_capture(s, &s->procs[i]);
	snap_tree_lap(s, &s->r->phases.capture);
	for (size_t i = 0; !ret && i < s->nr_procs; i++)
		ret = snap_examine(s, &s->procs[i]);
	if (!ret)
		ret = gather_models(s);
	snap_tree_lap(s, &s->r->phases.examine);
	if (!ret)
		ret = find_shared_files(s);
	snap_tree_lap(s, &s->r->phases.shared);
	return ret;
}

int snap_tree_steady(struct snap *s, int tries)
{
	bool steady = true, again = false;
	int ret = 0;

	for (size_t i = 0; !ret && steady && i < s->nr_procs; i++)
		ret = session_steady(s->procs[i].session, s->err, &steady);
	if (!ret)
		ret = snap_hold(s, &again);
	steady = steady && !again && tcp_all_steady(snap_root(s)->model);
	if (ret || steady)
		return ret;
	s->again++;
	if (tries < STEADY_TRIES)
		return -EAGAIN;
	ckpt_err_set(s->err, EBUSY, "process %d: its threads do not stay asleep long enough to capture "
		     "%zu processes at one instant", s->opts->pid, s->nr_procs);
	ckpt_err_hint(s->err, "try again, or when it has less to do with others");
	return -EBUSY;
}

void snap_tree_drop(struct snap *s)
{
	for (size_t i = 0; i < s->nr_procs; i++) {
		const int session = s->procs[i].session;

		s->procs[i].session = -1;
		snap_drop_capture(&s->procs[i]);
		s->procs[i].session = session;
	}
	free(s->set.models);
	s->set = (struct ckpt_set){ 0 };
	free(s->tree.files);
	s->tree.files = NULL;
	s->tree.nr_files = 0;
}

int snap_tree_thaw(struct snap *s)
{
	int ret = 0;

	for (size_t i = s->nr_procs; i-- > 0;) {
		struct snap_proc *p = &s->procs[i];
		int r = session_thaw(p->session, ret ? NULL : s->err, NULL);

		ret = ret ? ret : r;
		close(p->session);
		p->session = -1;
	}
	snap_tree_lap(s, &s->r->phases.thaw);
	s->pause_ns = s->lap_at - s->frozen_at;
	return ret;
}

/* --------------------------------------------------------------------------------- judgement */

static bool has_hooks(const struct ckpt_model *m)
{
	for (size_t i = 0; i < m->nr_threads; i++)
		if (!strcmp(m->threads[i].rec.comm, HOOKS_THREAD))
			return true;
	return false;
}

/* An orphan in the session of a process that lives: it cannot be made there by whoever is its parent now. */
static void judge_sessions(const struct tree *t, struct judgement *j)
{
	for (size_t i = 0; i < t->nr; i++) {
		const struct tree_process *p = &t->processes[i];

		if (!tree_session_is_inherited(t, p) && !tree_is_orphan(t, p))
			judge_refuse(j, "process", p->pid, p->comm, NULL,
				     "has lost its parent and is in session %d, which is not that of process "
				     "%d, who has it now; that is not supported yet", p->sid, p->ppid);
	}
}

int snap_tree_judge(struct snap *s, struct judgement *j)
{
	for (size_t i = 1; i < s->nr_procs; i++) {
		const struct ckpt_model *m = s->procs[i].model;

		j->pid = m->proc.pid;
		if (has_hooks(m) && !s->opts->no_hooks)
			judge_refuse(j, "process", m->proc.pid, NULL, "use --no-hooks if it can do without",
				     "has hooks, and only those of the first process of a tree are asked");
	}
	judge_sessions(&s->tree, j);
	j->pid = 0;
	return j->no_memory ? -ENOMEM : 0;
}

int snap_tree_write(struct snap *s)
{
	char *text;
	int ret = tree_format(&s->tree, &text);

	if (ret)
		return ckpt_err_sys(s->err, ret, "list of processes");
	ret = image_writer_put(s->writer, IMAGE_META, 0, IMAGE_META_TREE, text, strlen(text), s->err);
	free(text);
	return ret;
}
