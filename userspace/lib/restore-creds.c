// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-creds.c - credentials of each thread, limits of the process.
 *
 * Both come late: until then the child has the caller's privileges.  A thread
 * whose credentials are the caller's already is left alone, so that an
 * unprivileged caller can restore its own programs.
 *
 * Order for one thread: groups while CAP_SETGID is there, securebits that keep
 * capabilities over the change of user numbers, the numbers, inheritable set,
 * bounding set, ambient set, the recorded securebits, and at last the
 * recorded capabilities.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "remote-queue.h"
#include "restore-priv.h"

struct capabilities {
	struct __user_cap_header_struct head;
	struct __user_cap_data_struct data[2];
};

static int step(struct remote_queue *q, const char *name, long nr, const uint64_t args[6])
{
	return remote_queue_add(q, nr, args, "thread %d: credentials: %s", q->r->tid, name);
}

static uint64_t join(uint32_t lo, uint32_t hi)
{
	return lo | (uint64_t)hi << 32;
}

static int cap_last(void)
{
	int last = 0;

	while (last < 64 && prctl(PR_CAPBSET_READ, last) >= 0)
		last++;
	return last - 1;
}

static uint64_t set_of(int op, int arg2, int last)
{
	uint64_t set = 0;

	for (int i = 0; i <= last; i++)
		if ((arg2 ? prctl(op, arg2, i, 0, 0) : prctl(op, i)) > 0)
			set |= 1ULL << i;
	return set;
}

/* The caller's own, which the child has inherited; groups sorted by the kernel. */
static int own_creds(struct ckpt_rec_creds *c, gid_t **ret_groups)
{
	struct capabilities caps = { .head.version = _LINUX_CAPABILITY_VERSION_3 };
	int last = cap_last(), nr;

	memset(c, 0, sizeof(*c));
	getresuid(&c->uid, &c->euid, &c->suid);
	getresgid(&c->gid, &c->egid, &c->sgid);
	c->fsuid = (uint32_t)setfsuid((uid_t)-1);
	c->fsgid = (uint32_t)setfsgid((gid_t)-1);
	c->securebits = (uint32_t)prctl(PR_GET_SECUREBITS);
	if (syscall(SYS_capget, &caps.head, caps.data) < 0)
		return -errno;
	c->cap_effective = join(caps.data[0].effective, caps.data[1].effective);
	c->cap_permitted = join(caps.data[0].permitted, caps.data[1].permitted);
	c->cap_inheritable = join(caps.data[0].inheritable, caps.data[1].inheritable);
	c->cap_bounding = set_of(PR_CAPBSET_READ, 0, last);
	c->cap_ambient = set_of(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, last);
	nr = getgroups(0, NULL);
	*ret_groups = calloc((size_t)(nr > 0 ? nr : 0) + 1, sizeof(gid_t));
	if (!*ret_groups)
		return -ENOMEM;
	if (nr > 0)
		nr = getgroups(nr, *ret_groups);
	if (nr < 0)
		return -errno;
	c->nr_groups = (uint32_t)nr;
	return 0;
}

static bool same_creds(const struct ckpt_rec_creds *own, const gid_t *groups,
		       const struct ckpt_model_thread *t)
{
	struct ckpt_rec_creds c = t->creds;

	c.tid = own->tid;
	return !memcmp(&c, own, sizeof(c)) &&
	       !memcmp(groups, t->groups ? t->groups : (const void *)groups,
		       c.nr_groups * sizeof(gid_t));
}

static int set_capabilities(struct remote_queue *q, const char *name, uint64_t effective,
			    uint64_t permitted, uint64_t inheritable)
{
	const struct capabilities caps = {
		.head.version = _LINUX_CAPABILITY_VERSION_3,
		.data = {
			{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
			{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
			  (uint32_t)(inheritable >> 32) },
		},
	};
	int e = remote_queue_room(q, 1, sizeof(caps));
	uint64_t at;

	if (e)
		return e;
	at = remote_queue_put(q, &caps, sizeof(caps));
	return step(q, name, SYS_capset,
		    REMOTE_ARGS(at, at + offsetof(struct capabilities, data)));
}

static int set_ids(struct remote_queue *q, const struct ckpt_model_thread *t)
{
	const uint64_t keep = SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP;
	const struct ckpt_rec_creds *c = &t->creds;
	size_t len = c->nr_groups * sizeof(uint32_t);
	int e = remote_queue_room(q, 1, len);

	if (!e)
		e = step(q, "groups", SYS_setgroups,
			 REMOTE_ARGS(c->nr_groups, len ? remote_queue_put(q, t->groups, len) : 0));
	if (!e)
		e = step(q, "keep capabilities", SYS_prctl, REMOTE_ARGS(PR_SET_SECUREBITS, keep));
	if (!e)
		e = step(q, "group numbers", SYS_setresgid, REMOTE_ARGS(c->gid, c->egid, c->sgid));
	if (!e)
		e = step(q, "file system group", SYS_setfsgid, REMOTE_ARGS(c->fsgid));
	if (!e)
		e = step(q, "user numbers", SYS_setresuid, REMOTE_ARGS(c->uid, c->euid, c->suid));
	return e ? e : step(q, "file system user", SYS_setfsuid, REMOTE_ARGS(c->fsuid));
}

static int set_caps(struct remote_queue *q, const struct ckpt_model_thread *t,
		    const struct ckpt_rec_creds *own)
{
	const struct ckpt_rec_creds *c = &t->creds;
	uint64_t drop = own->cap_bounding & ~c->cap_bounding;
	int e;

	/* What the bounding set lacks could not become inheritable any more. */
	e = set_capabilities(q, "inheritable set", own->cap_permitted, own->cap_permitted,
			     c->cap_inheritable);
	for (uint64_t i = 0; !e && i < 64; i++)
		if (drop >> i & 1)
			e = step(q, "bounding set", SYS_prctl,
				 REMOTE_ARGS(PR_CAPBSET_DROP, i, 0, 0, 0));
	if (!e)
		e = step(q, "clear the ambient set", SYS_prctl,
			 REMOTE_ARGS(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	for (uint64_t i = 0; !e && i < 64; i++)
		if (c->cap_ambient >> i & 1)
			e = step(q, "ambient set", SYS_prctl,
				 REMOTE_ARGS(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0));
	if (!e)
		e = step(q, "securebits", SYS_prctl, REMOTE_ARGS(PR_SET_SECUREBITS, c->securebits));
	return e ? e : set_capabilities(q, "capabilities", c->cap_effective, c->cap_permitted,
					c->cap_inheritable);
}

static int finish_thread(struct remote_queue *q, const struct ckpt_rec_thread *rec)
{
	int e = 0;

	/* A change of credentials clears it, so behind them. */
	if (rec->pdeath_signal)
		e = step(q, "parent death signal", SYS_prctl,
			 REMOTE_ARGS(PR_SET_PDEATHSIG, rec->pdeath_signal));
	if (!e && (rec->flags & CKPT_THREAD_NO_NEW_PRIVS))
		e = step(q, "no new privileges", SYS_prctl,
			 REMOTE_ARGS(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	return e;
}

static int set_thread(struct restore *rs, struct restore_thread *th,
		      const struct ckpt_rec_creds *own, const gid_t *groups)
{
	struct remote_queue q;
	int r = remote_queue_begin(&q, &th->remote, rs->err);

	if (r)
		return r;
	if (!same_creds(own, groups, th->t)) {
		r = set_ids(&q, th->t);
		if (!r)
			r = set_caps(&q, th->t, own);
	}
	if (!r)
		r = finish_thread(&q, &th->t->rec);
	if (!r)
		r = remote_queue_run(&q);
	remote_queue_end(&q);
	return r;
}

static int set_dumpable(struct restore *rs)
{
	uint64_t value = rs->m->proc.flags & CKPT_PROC_DUMPABLE_USER ? 1 : 0;

	/*
	 * Value 2 (dump readable by root only) cannot be asked for; it is what
	 * the kernel itself made of a change of credentials when it is
	 * configured so.  Without that, not dumpable is the stricter choice.
	 */
	if ((rs->m->proc.flags & CKPT_PROC_DUMPABLE_ROOT) && prctl(PR_GET_DUMPABLE) == 2)
		return 0;
	return remote_call(leader(rs), rs->err, "set whether it dumps core", SYS_prctl,
			   REMOTE_ARGS(PR_SET_DUMPABLE, value), NULL);
}

int restore_creds(struct restore *rs)
{
	struct ckpt_rec_creds own;
	gid_t *groups = NULL;
	int r = own_creds(&own, &groups);

	if (r)
		ckpt_err_sys(rs->err, r, "ask for own credentials");
	for (size_t i = 0; !r && i < rs->m->nr_threads; i++)
		r = set_thread(rs, &rs->threads[i], &own, groups);
	free(groups);
	return r ? r : set_dumpable(rs);
}

/* ------------------------------------------------------------ limits */

/* A number in a file of /proc/PID, in @base both ways. */
static int set_number(struct restore *rs, const char *name, int base, long value)
{
	char path[48], text[24];
	int fd, len;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", rs->pid, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s", path);
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	/* Setting it may take a privilege; leave it alone when it is right. */
	if (strtol(text, NULL, base) != value) {
		len = snprintf(text, sizeof(text), base == 16 ? "%#lx" : "%ld", value);
		n = pwrite(fd, text, (size_t)len, 0);
		if (n < 0) {
			n = ckpt_err_sys(rs->err, errno, "set %s to %s", path, text);
			close(fd);
			return (int)n;
		}
	}
	close(fd);
	return 0;
}

static int set_numbers(struct restore *rs)
{
	uint32_t filter = rs->m->mm.dump_filter;
	int r = set_number(rs, "oom_score_adj", 10, rs->m->proc.oom_score_adj);

	if (r || !(filter & CKPT_DUMP_FILTER_KNOWN))
		return r;
	return set_number(rs, "coredump_filter", 16, (long)(filter & ~CKPT_DUMP_FILTER_KNOWN));
}

int restore_limits(struct restore *rs)
{
	for (int i = 0; i < CKPT_NRLIMITS; i++) {
		const struct ckpt_rec_rlimit *rec = &rs->m->rlimits[i];
		const struct rlimit lim = { rec->cur, rec->max };
		struct rlimit now;

		if (prlimit(rs->pid, i, NULL, &now) < 0)
			continue;	/* a limit this kernel does not have */
		if (now.rlim_cur == lim.rlim_cur && now.rlim_max == lim.rlim_max)
			continue;
		if (prlimit(rs->pid, i, &lim, NULL) < 0)
			return ckpt_err_sys(rs->err, errno, "limit %d (see getrlimit(2)): %llu, %llu",
					    i, (unsigned long long)rec->cur,
					    (unsigned long long)rec->max);
	}
	return set_numbers(rs);
}
