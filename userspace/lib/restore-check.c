// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-check.c - what can be known to fail before anything is done.
 *
 * snap refuses what cannot be restored, so most of this never strikes; but an
 * image may be older, newer, or forged.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "machine.h"
#include "restore-priv.h"

/*
 * The flags that the first versions could not restore start at these bits; what of them is by now.
 * Children are in the image too, or there was none: the list of processes tells.
 */
#define PROC_BEYOND	((~0ULL << 16) & ~(CKPT_PROC_MDWE | CKPT_PROC_KSM_ALL | CKPT_PROC_THP_ADVISED | \
					   CKPT_PROC_CHILDREN | CKPT_PROC_SYSVSEM_UNDO))
#define THREAD_BEYOND	((~0ULL << 16) & ~(CKPT_THREAD_MEMPOLICY | CKPT_THREAD_SECCOMP | CKPT_THREAD_MCE_EARLY | \
					     CKPT_THREAD_MCE_LATE))
#define VMA_BEYOND	((~0ULL << 40) & ~(CKPT_VMA_PKEY | CKPT_VMA_POLICY | CKPT_VMA_SYSVSHM | CKPT_VMA_GUARDS | \
				    CKPT_VMA_DROPPABLE))

static int refuse(struct restore *rs, const char *what, long long number, uint64_t flags)
{
	return ckpt_err_set(rs->err, -EOPNOTSUPP,
			    "%s %llx has a property (bits %#llx) that cannot be restored", what,
			    number, (unsigned long long)flags);
}

/* All its filters are there, and are such as can be installed. */
static bool has_filters(const struct ckpt_model *m, const struct ckpt_rec_thread *t)
{
	size_t nr;
	const struct ckpt_model_seccomp *v = ckpt_model_seccomps(m, t->tid, &nr);

	for (size_t i = 0; i < nr; i++)
		if (v[i].rec.flags & ~CKPT_SECCOMP_LOG)
			return false;
	return v || !(t->flags & CKPT_THREAD_SECCOMP);
}

static int check_flags(struct restore *rs)
{
	const struct ckpt_model *m = rs->m;

	if (m->proc.flags & CKPT_PROC_CHILDREN && !rs->set->tree.nr)
		return ckpt_err_set(rs->err, -EOPNOTSUPP, "process %d had children, which are not in the image",
				    m->proc.pid);
	if (m->proc.flags & PROC_BEYOND)
		return refuse(rs, "process", m->proc.pid, m->proc.flags & PROC_BEYOND);
	if (m->proc.flags & CKPT_PROC_SYSVSEM_UNDO && !m->nr_semundos)
		return refuse(rs, "process", m->proc.pid, CKPT_PROC_SYSVSEM_UNDO);
	for (size_t i = 0; i < m->nr_vmas; i++) {
		const struct ckpt_rec_vma *v = &m->vmas[i].rec;

		if (v->flags & VMA_BEYOND)
			return refuse(rs, "mapping", (long long)v->start, v->flags & VMA_BEYOND);
		if (v->end > RESTORE_TASK_END)
			return ckpt_err_set(rs->err, -EOPNOTSUPP, "mapping %llx lies above 128 TiB",
					    (unsigned long long)v->start);
	}
	for (size_t i = 0; i < m->nr_timers; i++)
		if (m->timers[i].flags)
			return refuse(rs, "timer", m->timers[i].id, m->timers[i].flags);
	for (size_t i = 0; i < m->nr_threads; i++) {
		const struct ckpt_rec_thread *t = &m->threads[i].rec;

		if (t->flags & THREAD_BEYOND)
			return refuse(rs, "thread", t->tid, t->flags & THREAD_BEYOND);
		if (!has_filters(m, t))
			return refuse(rs, "thread", t->tid, CKPT_THREAD_SECCOMP);
		if (t->restart >= CKPT_RESTART_OTHER)
			return ckpt_err_set(rs->err, -EOPNOTSUPP,
					    "thread %d is in a call that cannot be taken up again",
					    t->tid);
	}
	return 0;
}

/* Extended control register 0: which processor state the kernel lets programs use. */
static uint64_t processor_features(void)
{
	unsigned int a, b, c, d;
	uint32_t lo, hi;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 3;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

static int check_left_out(struct restore *rs, json_t *bytes)
{
	if (bytes && (!json_is_integer(bytes) || json_integer_value(bytes) < 0))
		return ckpt_err_set(rs->err, -EBADMSG, "%s: how much memory was left out is not understood",
				    image_label(rs->image));
	rs->left_out = bytes ? (uint64_t)json_integer_value(bytes) : 0;
	return 0;
}

/* What snap noted of its machine, more than the records tell; images of older versions have nothing. */
static int check_noted(struct restore *rs)
{
	struct image *img = rs->image;
	int section = image_find(img, IMAGE_META, 0, IMAGE_META_SNAP), r;
	struct machine was, here;
	json_t *top, *noted;
	size_t len;
	void *data;

	if (section < 0)
		return 0;
	r = image_load(img, (uint32_t)section, rs->err, &data, &len);
	if (r)
		return r;
	r = meta_json(data, len, "figures of the snapshot", rs->err, &top);
	free(data);
	if (r)
		return r;
	r = check_left_out(rs, json_object_get(json_object_get(top, "left_out"), "bytes"));
	if (!r)
		r = restore_hooks_noted(rs, json_object_get(top, "hooks"));
	noted = json_object_get(top, "machine");
	if (!r && noted && machine_from_json(noted, &was))
		r = ckpt_err_set(rs->err, -EBADMSG,
				 "%s: what it tells of its machine is not understood",
				 image_label(img));
	if (r || !noted)
		goto out;
	r = machine_read(&here);
	if (r) {
		ckpt_err_sys(rs->err, r, "what machine this is");
		goto out;
	}
	if (!rs->m->mm.vdso)
		was.vdso[0] = '\0';
	r = machine_fits(&was, &here, rs->err);
out:
	json_decref(top);
	return r;
}

static int check_machine(struct restore *rs)
{
	const struct ckpt_rec_system *s = &rs->m->system;
	uint64_t missing = s->xfeatures & ~processor_features();
	struct utsname un;

	if (uname(&un) < 0)
		return ckpt_err_sys(rs->err, errno, "uname");
	if (strcmp(un.machine, s->machine))
		return ckpt_err_set(rs->err, -EOPNOTSUPP, "the image is of a %s, this is a %s",
				    s->machine, un.machine);
	if (missing)
		return ckpt_err_set(rs->err, -EOPNOTSUPP,
				    "the program ran on a processor with state components %#llx that this one lacks",
				    (unsigned long long)missing);
	/* Its vdso is part of the program, and only this kernel has one like it. */
	if (rs->m->mm.vdso && strcmp(un.release, s->release)) {
		ckpt_err_set(rs->err, -EOPNOTSUPP,
			     "the image was made on kernel %s, this is %s: the vdso may differ",
			     s->release, un.release);
		ckpt_err_hint(rs->err, "boot that kernel to restore it");
		return -EOPNOTSUPP;
	}
	return is_root(rs) ? check_noted(rs) : 0;
}

static int check_fds(struct restore *rs)
{
	for (size_t i = 0; is_root(rs) && i < rs->opts->nr_fds; i++)
		if (!ckpt_model_fd(rs->m, rs->opts->fds[i].fd))
			return ckpt_err_set(rs->err, -EINVAL,
					    "fd %d to be given %s: the program had no such descriptor",
					    rs->opts->fds[i].fd, rs->opts->fds[i].path);
	return 0;
}

int restore_check(struct restore *rs)
{
	int r = check_machine(rs);

	if (!r)
		r = check_flags(rs);
	return r ? r : check_fds(rs);
}

static bool read_text(pid_t tid, const char *name, char *buf, size_t size)
{
	char path[48];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(buf, 1, size - 1, f);
	fclose(f);
	buf[n] = 0;
	return n > 0;
}

void restore_name_owner(pid_t tid, char *buf, size_t size)
{
	char status[1024], comm[32], path[48], exe[64];
	const char *line;
	int tgid = tid;
	ssize_t n;

	if (!read_text(tid, "status", status, sizeof(status)) ||
	    !read_text(tid, "comm", comm, sizeof(comm))) {
		/* A dead leader's number lives on in those it led. */
		snprintf(buf, size, "a process group or session of that number");
		return;
	}
	comm[strcspn(comm, "\n")] = 0;
	line = strstr(status, "\nTgid:");
	if (line)
		sscanf(line, "\nTgid: %d", &tgid);
	if (strstr(status, "\nState:\tZ")) {
		snprintf(buf, size, "%s (process %d, which has ended but was not waited for)", comm,
			 tgid);
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", tid);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = 0;
	snprintf(buf, size, "%s (process %d%s%s)", comm, tgid, n > 0 ? ", " : "", exe);
}

int restore_stop_signal(const sigset_t *old_mask)
{
	sigset_t pending;

	if (sigpending(&pending) < 0)
		return 0;
	for (int i = 0; i < 3; i++) {
		static const int sigs[] = { SIGINT, SIGTERM, SIGHUP };

		/* The caller had it blocked itself: not for us to act on. */
		if (sigismember(&pending, sigs[i]) && !sigismember(old_mask, sigs[i]))
			return sigs[i];
	}
	return 0;
}

int restore_interrupted(struct restore *rs)
{
	int sig = restore_stop_signal(&rs->old_mask);

	return sig ? ckpt_err_set(rs->err, -EINTR, "interrupted by signal %d", sig) : 0;
}
