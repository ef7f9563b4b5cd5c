// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap-tree.c - all processes that descend from one, at one instant.
 *
 *	freeze		the root, then its children, and theirs: one that stands still makes no new
 *			ones, so that all are found when all known ones stand still and have no others
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

#include "hooks-page.h"
#include "snap-priv.h"

#define STEADY_TRIES	20

/* ---------------------------------------------------------------------------------- finding */

struct stat_line {
	char		state;
	struct tree_process p;
};

/* /proc/PID/stat: proc(5).  The name may hold anything, a parenthesis too. */
static int read_stat(pid_t pid, struct stat_line *ret)
{
	char path[32], line[1024], *name, *end;
	int fd, status = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return n < 0 ? -errno : -ESRCH;
	line[n] = '\0';
	name = strchr(line, '(');
	end = strrchr(line, ')');
	if (!name || !end || end < name)
		return -EIO;
	*ret = (struct stat_line){ .p.pid = pid };
	*end = '\0';
	strncpy(ret->p.comm, name + 1, sizeof(ret->p.comm) - 1);
	if (sscanf(end + 2, "%c %d %d %d", &ret->state, &ret->p.ppid, &ret->p.pgid, &ret->p.sid) != 4)
		return -EIO;
	ret->p.ended = ret->state == 'Z' || ret->state == 'X';
	/* The last field but none. */
	name = strrchr(end + 2, ' ');
	if (name && ret->p.ended && sscanf(name, "%d", &status) != 1)
		return -EIO;
	ret->p.status = status;
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

/* Frozen, and in the list; or in the list as one that has ended; or gone by itself. */
static int add_process(struct snap *s, pid_t pid)
{
	struct snap_proc p = SNAP_PROC_INIT;
	struct stat_line line;
	int ret = read_stat(pid, &line);

	if (ret == -ENOENT || ret == -ESRCH)
		return 0;
	if (ret)
		return ckpt_err_sys(s->err, ret, "process %d", pid);
	if (line.p.ended)
		return add_entry(s, &line.p);
	ret = target_open(pid, s->err, &p.target);
	if (!ret)
		ret = snap_attach(s, &p);
	if (!ret)
		ret = snap_freeze(s, &p);
	if (!ret)
		ret = read_stat(pid, &line);
	if (!ret)
		ret = add_entry(s, &line.p);
	if (!ret)
		ret = snap_add_process(s, &p);
	if (!ret)
		return 0;
	if (p.session >= 0)
		close(p.session);
	/* It was just ending: look again what it is then. */
	if (ret == -ESRCH && p.target.pidfd >= 0 && target_wait(&p.target, 1000, NULL) == 0) {
		target_close(&p.target);
		ckpt_err_clear(s->err);
		return add_process(s, pid);
	}
	target_close(&p.target);
	return ret;
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

/* A list of children is exact only when all in it stand still (proc(5)): until nothing new turns up. */
static int add_descendants(struct snap *s)
{
	bool new;
	int ret = 0;

	do {
		new = false;
		for (size_t i = 0; !ret && i < s->nr_procs; i++)
			ret = add_children(s, s->procs[i].target.pid, &new);
	} while (!ret && new);
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

int snap_tree_freeze(struct snap *s)
{
	struct snap_proc *root = snap_root(s);
	struct stat_line line;
	int ret = snap_attach(s, root);

	if (ret)
		return ret;
	s->frozen_at = util_clock_ns(CLOCK_MONOTONIC);
	ret = snap_freeze(s, root);
	if (ret)
		return ret;
	ret = read_stat(root->target.pid, &line);
	if (ret)
		return ckpt_err_sys(s->err, ret, "process %d", root->target.pid);
	ret = add_entry(s, &line.p);
	if (!ret)
		ret = add_descendants(s);
	return ret ? ret : judge_sharers(s);
}

/* ----------------------------------------------------------------------------- what is shared */

/* One open file of one process. */
struct holder {
	const struct snap_proc		*proc;
	const struct ckpt_model_fd	*fd;
	uint32_t			object;
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

static int by_looks(const void *a, const void *b)
{
	return same_looks(a, b);
}

/* The first descriptor of each open file of each process. */
static size_t list_holders(const struct snap *s, struct holder *v)
{
	size_t nr = 0;

	for (size_t i = 0; i < s->nr_procs; i++) {
		const struct ckpt_model *m = s->procs[i].model;

		for (size_t k = 0; k < m->nr_fds; k++) {
			size_t first = 0;

			while (m->fds[first].rec.file != m->fds[k].rec.file)
				first++;
			if (first == k)
				v[nr++] = (struct holder){ .proc = &s->procs[i], .fd = &m->fds[k] };
		}
	}
	return nr;
}

/* Of the holders in front of @i that look like it, one of the same open file; NULL: there is none. */
static int find_same(struct snap *s, struct holder *v, size_t i, struct holder **ret)
{
	*ret = NULL;
	for (size_t k = i; k-- > 0 && !same_looks(&v[k], &v[i]);) {
		pid_t a = v[i].proc->target.pid, b = v[k].proc->target.pid;
		int c;

		if (a == b)
			continue;
		c = compare_processes(a, b, KCMP_FILE, (unsigned long)v[i].fd->rec.fd,
				      (unsigned long)v[k].fd->rec.fd);
		if (c < 0)
			return ckpt_err_sys(s->err, errno, "open files of processes %d and %d", a, b);
		if (!c) {
			*ret = &v[k];
			return 0;
		}
	}
	return 0;
}

static int add_file(struct snap *s, const struct holder *h)
{
	const struct tree_file f = { h->object, h->proc->target.pid, h->fd->rec.file };
	int ret = tree_add_file(&s->tree, &f);

	return ret ? ckpt_err_sys(s->err, ret, "list of open files") : 0;
}

static int find_shared(struct snap *s, struct holder *v, size_t nr)
{
	uint32_t objects = 0;
	int ret = 0;

	qsort(v, nr, sizeof(*v), by_looks);
	for (size_t i = 1; !ret && i < nr; i++) {
		struct holder *same;

		ret = find_same(s, v, i, &same);
		if (ret || !same)
			continue;
		if (!same->object) {
			same->object = ++objects;
			ret = add_file(s, same);
		}
		v[i].object = same->object;
		if (!ret)
			ret = add_file(s, &v[i]);
	}
	return ret;
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
	for (size_t i = 0; !ret && i < s->nr_procs; i++)
		ret = snap_examine(s, &s->procs[i]);
	if (!ret)
		ret = gather_models(s);
	return ret ? ret : find_shared_files(s);
}

int snap_tree_steady(struct snap *s, int tries)
{
	bool steady = true;
	int ret = 0;

	for (size_t i = 0; !ret && steady && i < s->nr_procs; i++)
		ret = session_steady(s->procs[i].session, s->err, &steady);
	if (ret || steady)
		return ret;
	s->r->stats.out_retries++;
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
	s->pause_ns = util_clock_ns(CLOCK_MONOTONIC) - s->frozen_at;
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

/* A file both change in place would be put back twice. */
static void judge_changed_by_both(const struct ckpt_model *a, const struct ckpt_model *b,
				  struct judgement *j)
{
	for (size_t i = 0; i < b->nr_fds; i++) {
		const struct ckpt_model_fd *fd = &b->fds[i];

		if (judge_changes_in_place(&fd->rec) && judge_in_place(a, &fd->rec.id))
			judge_refuse(j, "fd", fd->rec.fd, fd->path, "use --files=none, or snap --kill",
				     "is a file that process %d changes in place too, which is not "
				     "supported yet", a->proc.pid);
	}
	for (size_t i = 0; i < b->nr_vmas; i++) {
		const struct ckpt_model_vma *v = &b->vmas[i];

		if (judge_writes_file(&v->rec) && judge_in_place(a, &v->rec.id))
			judge_refuse(j, "mapping", (int64_t)v->rec.start, v->path,
				     "use --files=none, or snap --kill",
				     "is of a file that process %d changes in place too, which is not "
				     "supported yet", a->proc.pid);
	}
}

int snap_tree_judge(struct snap *s, struct judgement *j)
{
	const bool kept = !s->opts->kill && s->opts->keep != SNAP_KEEP_NONE;

	for (size_t i = 1; i < s->nr_procs; i++) {
		const struct ckpt_model *m = s->procs[i].model;

		j->pid = m->proc.pid;
		if (has_hooks(m) && !s->opts->no_hooks)
			judge_refuse(j, "process", m->proc.pid, NULL, "use --no-hooks if it can do without",
				     "has hooks, and only those of the first process of a tree are asked");
		for (size_t k = 0; kept && k < i; k++)
			judge_changed_by_both(s->procs[k].model, m, j);
	}
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
