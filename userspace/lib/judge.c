// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * judge.c - see judge.h: the list of refusals, and what belongs to the process as a whole.
 *
 * A struct judgement belongs to its caller.  Texts are allocated with it; when that fails no_memory
 * is set and judge() fails, because a list with holes would let something through.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "ipc.h"
#include "judge.h"
#include "util.h"

/* ---------------------------------------------------------------------- list of refusals */

static struct refusal *new_refusal(struct judgement *j)
{
	if (j->nr == j->room) {
		size_t room = j->room ? 2 * j->room : 8;
		struct refusal *r = reallocarray(j->refusals, room, sizeof(*r));

		if (!r)
			return NULL;
		j->refusals = r;
		j->room = room;
	}
	j->refusals[j->nr] = (struct refusal){ .pid = j->pid };
	return &j->refusals[j->nr++];
}

void judge_refuse(struct judgement *j, const char *thing, int64_t number, const char *path,
		  const char *remedy, const char *fmt, ...)
{
	struct refusal *r = new_refusal(j);
	va_list args;

	if (!r) {
		j->no_memory = true;
		return;
	}
	r->thing = thing;
	r->number = number;
	r->remedy = remedy;
	if (path && *path) {
		r->path = strdup(path);
		if (!r->path)
			j->no_memory = true;
	}
	va_start(args, fmt);
	if (vasprintf(&r->reason, fmt, args) < 0) {
		r->reason = NULL;
		j->no_memory = true;
	}
	va_end(args);
}

void judgement_free(struct judgement *j)
{
	for (size_t i = 0; i < j->nr; i++) {
		free(j->refusals[i].path);
		free(j->refusals[i].reason);
	}
	free(j->refusals);
	memset(j, 0, sizeof(*j));
}

void refusal_text(const struct refusal *r, char *buf, size_t size)
{
	char number[24] = "", whose[24] = "";

	if (r->pid && !(r->number == r->pid && !strcmp(r->thing, "process")))
		snprintf(whose, sizeof(whose), "process %d: ", r->pid);

	if (r->number >= 0)
		snprintf(number, sizeof(number), strcmp(r->thing, "mapping") ? " %" PRId64 :
			 " %#" PRIx64, r->number);
	snprintf(buf, size, "%s%s%s%s%s%s: %s%s%s", whose, r->thing, number, r->path ? " (" : "",
		 r->path ? r->path : "", r->path ? ")" : "", r->reason, r->remedy ? "; " : "",
		 r->remedy ? r->remedy : "");
	util_make_printable(buf);		/* a path may hold anything */
}

void judge_flags(struct judgement *j, const char *thing, int64_t number, const char *path,
		 uint64_t flags, uint64_t allowed, const struct judge_flag *table)
{
	uint64_t unknown = flags & ~allowed;

	for (; table->flag; table++) {
		unknown &= ~table->flag;
		if (flags & table->flag)
			judge_refuse(j, thing, number, path, table->remedy, "%s", table->reason);
	}
	if (unknown)
		judge_refuse(j, thing, number, path, "use newer tools",
			     "has state this version does not know (flags %#" PRIx64 ")", unknown);
}

/* --------------------------------------------------------------------------------- files */

const char *judge_pseudo_fs(uint32_t magic)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} pseudo[] = {
		{ PROC_SUPER_MAGIC, "proc" }, { SYSFS_MAGIC, "sysfs" },
		{ DEBUGFS_MAGIC, "debugfs" }, { TRACEFS_MAGIC, "tracefs" },
		{ SECURITYFS_MAGIC, "securityfs" }, { CGROUP_SUPER_MAGIC, "cgroup" },
		{ CGROUP2_SUPER_MAGIC, "cgroup2" }, { BPF_FS_MAGIC, "bpf" },
		{ PSTOREFS_MAGIC, "pstore" }, { EFIVARFS_MAGIC, "efivarfs" },
		{ NSFS_MAGIC, "nsfs" }, { BINFMTFS_MAGIC, "binfmt_misc" },
		{ SELINUX_MAGIC, "selinuxfs" }, { ANON_INODE_FS_MAGIC, "anon_inodefs" },
		{ 0x62656570, "configfs" }, { 0x19800202, "mqueue" },
		{ 0x65735543, "fusectl" }, { 0x67596969, "rpc_pipefs" },
		{ 0x50494446, "pidfs" },
	};

	for (size_t i = 0; i < sizeof(pseudo) / sizeof(*pseudo); i++)
		if (pseudo[i].magic == magic)
			return pseudo[i].name;
	return NULL;
}

/*
 * Which file is open is told by device and inode.  A file system that stacks others (overlay) may
 * give the kernel other numbers than stat(2), so the link of the live process is asked next, and
 * last size and time: together they are what a restore will go by.
 */
static bool same_file(const struct stat *st, const struct ckpt_file_id *id, const char *link)
{
	struct stat open_st;

	if (st->st_ino == id->ino && st->st_dev == id->dev)
		return true;
	if (*link && !stat(link, &open_st) && open_st.st_ino == st->st_ino &&
	    open_st.st_dev == st->st_dev)
		return true;
	return (st->st_mode & S_IFMT) == (id->mode & S_IFMT) && S_ISREG(st->st_mode) &&
	       ckpt_file_unchanged(id, st);
}

bool judge_named(struct judgement *j, const char *thing, int64_t number, const char *path,
		 const struct ckpt_file_id *id, const char *link)
{
	struct stat st;

	if (!path || path[0] != '/') {
		judge_refuse(j, thing, number, path, NULL, "has no name a restore could open");
		return false;
	}
	if (stat(path, &st)) {
		judge_refuse(j, thing, number, path, "put it back, or restart the program",
			     "cannot be found by its name any more (%s)", strerror(errno));
		return false;
	}
	if (!same_file(&st, id, link)) {
		judge_refuse(j, thing, number, path, "put the old file back, or restart the program",
			     "the name belongs to another file by now");
		return false;
	}
	return true;
}

bool judge_grows_only(const struct ckpt_rec_fd *fd)
{
	return fd->file_flags & O_APPEND ||
	       (fd->pos >= 0 && (uint64_t)fd->pos == fd->id.size);
}

bool judge_changes_in_place(const struct ckpt_rec_fd *fd)
{
	return fd->kind == CKPT_FDK_REG && !fd->path_flags && !(fd->file_flags & O_PATH) &&
	       (fd->file_flags & O_ACCMODE) != O_RDONLY && !judge_grows_only(fd);
}

bool judge_writes_file(const struct ckpt_rec_vma *v)
{
	return S_ISREG(v->id.mode) && !v->path_flags &&
	       !(v->flags & (CKPT_VMA_ANON | CKPT_VMA_SHMEM | CKPT_VMA_VDSO | CKPT_VMA_SPECIAL |
			     CKPT_VMA_HUGETLB)) &&
	       v->flags & CKPT_VMA_SHARED && v->flags & (CKPT_VMA_WRITE | CKPT_VMA_MAYWRITE) &&
	       (v->file_flags & O_ACCMODE) == O_RDWR;
}

static bool changes_in_place(const struct ckpt_model *model, const struct ckpt_file_id *id)
{
	for (size_t i = 0; i < model->nr_fds; i++) {
		const struct ckpt_rec_fd *r = &model->fds[i].rec;

		if (r->id.ino == id->ino && r->id.dev == id->dev && judge_changes_in_place(r))
			return true;
	}
	for (size_t i = 0; i < model->nr_vmas; i++) {
		const struct ckpt_rec_vma *v = &model->vmas[i].rec;

		if (v->id.ino == id->ino && v->id.dev == id->dev && judge_writes_file(v))
			return true;
	}
	return false;
}

bool judge_in_place(const struct ckpt_model *model, const struct ckpt_file_id *id)
{
	for (size_t i = 0; i < ckpt_set_size(model); i++)
		if (changes_in_place(ckpt_set_model(model, i), id))
			return true;
	return false;
}

/* ------------------------------------------------------------------------------- process */

static const struct judge_flag proc_flags[] = {
	{ CKPT_PROC_AIO, "has asynchronous I/O contexts (io_setup)", "end them first" },
	{ CKPT_PROC_LDT, "has a local descriptor table (modify_ldt)", NULL },
	{ CKPT_PROC_UPROBES, "has breakpoints of the kernel in its text (uprobes)",
	  "remove the probes" },
	{ CKPT_PROC_KEYRINGS, "has keyrings of its own", NULL },
	{ CKPT_PROC_XCOMP, "has asked for AMX registers (ARCH_REQ_XCOMP_PERM)",
	  "run it on code that does without" },
	{ }
};

#define PROC_ALLOWED	(CKPT_PROC_SUBREAPER | CKPT_PROC_DUMPABLE_USER | \
			 CKPT_PROC_DUMPABLE_ROOT | CKPT_PROC_THP_DISABLE | CKPT_PROC_STOPPED | \
			 CKPT_PROC_SESSION_LEADER | CKPT_PROC_HAS_TTY | CKPT_PROC_CHILDREN | \
			 CKPT_PROC_MB_PRIVATE | CKPT_PROC_MB_SYNC_CORE | CKPT_PROC_MB_RSEQ | \
			 CKPT_PROC_MB_GLOBAL | CKPT_PROC_MDWE | CKPT_PROC_MDWE_NO_INHERIT | \
			 CKPT_PROC_KSM_ALL | CKPT_PROC_THP_ADVISED | CKPT_PROC_SYSVSEM_UNDO)

static void judge_namespaces(const struct ckpt_rec_proc *p, struct judgement *j)
{
	const struct {
		const char *name;
		uint32_t ino;
	} ns[] = {
		{ "mnt", p->mnt_ns }, { "pid", p->pid_ns }, { "net", p->net_ns },
		{ "uts", p->uts_ns }, { "ipc", p->ipc_ns }, { "user", p->user_ns },
		{ "cgroup", p->cgroup_ns },
	};	/* another time namespace is no obstacle: the clocks are in the records */

	for (size_t i = 0; i < sizeof(ns) / sizeof(*ns); i++) {
		char link[64];
		struct stat st;

		snprintf(link, sizeof(link), "/proc/self/ns/%s", ns[i].name);
		if (!ns[i].ino || stat(link, &st) || st.st_ino == ns[i].ino)
			continue;
		snprintf(link, sizeof(link), "/proc/%d/ns/%s", p->pid, ns[i].name);
		judge_refuse(j, "process", p->pid, link,
			     "take the snapshot from inside (nsenter), or run it outside",
			     "is in another %s namespace than the caller", ns[i].name);
	}
}

static void judge_paths(const struct ckpt_model *m, const struct judge_opts *opts,
			struct judgement *j)
{
	static const char * const what[] = {
		[CKPT_PATH_EXE] = "the executable", [CKPT_PATH_CWD] = "the working directory",
		[CKPT_PATH_ROOT] = "the root directory",
	};
	static const char * const links[] = {
		[CKPT_PATH_EXE] = "exe", [CKPT_PATH_CWD] = "cwd", [CKPT_PATH_ROOT] = "root",
	};
	int pid = m->proc.pid;

	for (int i = CKPT_PATH_EXE; i < CKPT_NPATHS; i++) {
		const struct ckpt_model_path *p = &m->paths[i];
		char link[64] = "";

		if (!p->present || !p->path) {
			judge_refuse(j, "process", pid, NULL, NULL, "%s is not known", what[i]);
			continue;
		}
		if (p->rec.flags & CKPT_PATHF_DELETED)
			judge_refuse(j, "process", pid, p->path, "put it back and restart the program",
				     "%s was deleted", what[i]);
		else if (p->rec.flags)
			judge_refuse(j, "process", pid, p->path, NULL,
				     "%s cannot be reached by a path", what[i]);
		else if (opts->pid) {
			snprintf(link, sizeof(link), "/proc/%d/%s", opts->pid, links[i]);
			judge_named(j, "process", pid, p->path, &p->rec.id, link);
		}
	}
	/* A root of its own has a path only from outside of it. */
	if (m->paths[CKPT_PATH_ROOT].path && strcmp(m->paths[CKPT_PATH_ROOT].path, "/"))
		judge_refuse(j, "process", pid, m->paths[CKPT_PATH_ROOT].path,
			     "take the snapshot from inside (chroot)",
			     "its root directory is not the caller's");
}

/* What it undoes at its end has to be of semaphores that come back. */
static void judge_semaphores(const struct ckpt_model *m, const struct judge_opts *opts, struct judgement *j)
{
	if (m->proc.flags & CKPT_PROC_SYSVSEM_UNDO && !m->nr_semundos)
		judge_refuse(j, "process", m->proc.pid, NULL, NULL,
			     "undoes what it did to System V semaphores when it ends (SEM_UNDO), and this kernel does not "
			     "tell what");
	for (size_t i = 0; opts->pid && i < m->nr_semundos; i++) {
		const struct ckpt_model_semundo *s = &m->semundos[i];

		if (ckpt_model_undoes(s) && !ipc_takes_set(m, s->rec.semid, s->rec.nr))
			judge_refuse(j, "process", m->proc.pid, NULL, "end who uses them too, or take it with --tree",
				     "undoes what it did to System V semaphores when it ends (SEM_UNDO), and they (%d) are "
				     "those of others, too", s->rec.semid);
	}
}

static void judge_process(const struct ckpt_model *m, const struct judge_opts *opts,
			  struct judgement *j)
{
	const struct ckpt_rec_proc *p = &m->proc;

	judge_flags(j, "process", p->pid, NULL, p->flags, PROC_ALLOWED, proc_flags);
	if (p->flags & CKPT_PROC_CHILDREN && !opts->tree)
		judge_refuse(j, "process", p->pid, NULL,
			     "take all of them with snap --tree, or wait until its children have ended",
			     "has child processes (%d is one)", p->child_pid);
	judge_semaphores(m, opts, j);
	judge_namespaces(p, j);
	judge_paths(m, opts, j);
}

/* ---------------------------------------------------------------- timers, locks, signals */

static bool timer_clock_ok(int clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		return true;
	}
	return clock < 0;	/* processor time of a task, by number; the flag tells of others' */
}

static void judge_timers(const struct ckpt_model *m, struct judgement *j)
{
	for (size_t i = 0; i < m->nr_timers; i++) {
		const struct ckpt_rec_posix_timer *t = &m->timers[i];

		if (t->flags || !timer_clock_ok(t->clock))
			judge_refuse(j, "timer", t->id, NULL, "delete the timer before the snapshot",
				     "runs on a clock that cannot be restored (clock %d)", t->clock);
		if (t->notify != SIGEV_SIGNAL && t->notify != SIGEV_NONE &&
		    t->notify != (SIGEV_SIGNAL | SIGEV_THREAD_ID))
			judge_refuse(j, "timer", t->id, NULL, "delete the timer before the snapshot",
				     "notifies in an unknown way (%d)", t->notify);
	}
}

/* One to write is broken by whoever opens the file, as reading its content for the image does. */
static void judge_lease(const struct ckpt_model_fd *fd, const struct ckpt_rec_lock *l, struct judgement *j)
{
	const char *path = fd ? fd->path : NULL;

	if (l->type == F_UNLCK)
		judge_refuse(j, "fd", l->fd, path, "take the snapshot a moment later",
			     "holds a lease that somebody waits for (F_SETLEASE)");
	else if (l->type == F_WRLCK)
		judge_refuse(j, "fd", l->fd, path, "give it up before the snapshot, or for one to read",
			     "holds a lease to write (F_SETLEASE)");
	else if (!fd || fd->rec.path_flags & CKPT_PATHF_DELETED)
		judge_refuse(j, "fd", l->fd, path, "give it up before the snapshot",
			     "holds a lease on a file that was deleted (F_SETLEASE)");
}

static void judge_locks(const struct ckpt_model *m, struct judgement *j)
{
	for (size_t i = 0; i < m->nr_locks; i++) {
		const struct ckpt_rec_lock *l = &m->locks[i];
		const struct ckpt_model_fd *fd = ckpt_model_fd(m, l->fd);

		if (l->kind == CKPT_LOCK_LEASE)
			judge_lease(fd, l, j);
		else if (l->kind == CKPT_LOCK_DELEGATION)
			judge_refuse(j, "fd", l->fd, fd ? fd->path : NULL, "give it up before the snapshot",
				     "is told before others change it (F_SETDELEG)");
		else if (l->kind < CKPT_LOCK_POSIX || l->kind > CKPT_LOCK_OFD ||
			 (l->type != F_RDLCK && l->type != F_WRLCK))
			judge_refuse(j, "lock", l->fd, fd ? fd->path : NULL, "use newer tools",
				     "is a file lock of an unknown kind (%u, type %u)", l->kind,
				     l->type);
	}
}

int judge(const struct ckpt_model *model, const struct judge_opts *opts, struct judgement *j)
{
	uint64_t deleted = 0;

	judge_process(model, opts, j);
	judge_threads(model, j);
	judge_vmas(model, opts, j, &deleted);
	judge_fds(model, opts, j, &deleted);
	judge_locks(model, j);
	judge_timers(model, j);
	return j->no_memory ? -ENOMEM : 0;
}
