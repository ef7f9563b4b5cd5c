/* SPDX-License-Identifier: GPL-2.0-only */
/* Calls of the device, and how to look at what a snapshot holds. Each call returns -errno. */
#ifndef KERNEL_TEST_SNAP_H
#define KERNEL_TEST_SNAP_H

#include <sys/ioctl.h>

#include <linux/ckpt.h>

#include "cases.h"
#include "target.h"

static inline int ckpt_open(void)
{
	return must(open(CKPT_DEVICE, O_RDWR | O_CLOEXEC));
}

static inline int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

#define PATIENCE_MS	15000	/* emulated processors may be slow to get out of the kernel */

/* The one-shot call: a descriptor or -errno. Closes the device. */
static inline int snap_by(int dev, pid_t pid, unsigned int flags, struct ckpt_snap *s)
{
	int ret;

	*s = (struct ckpt_snap) {
		.size = sizeof(*s), .flags = flags, .pid = pid, .timeout_ms = PATIENCE_MS,
	};
	ret = call(dev, CKPT_SNAP, s);
	close(dev);
	return ret ?: s->out_fd;
}

static inline int snap_with(pid_t pid, unsigned int flags, struct ckpt_snap *s)
{
	return snap_by(ckpt_open(), pid, flags, s);
}

static inline int snap_try(pid_t pid)
{
	struct ckpt_snap s;

	return snap_with(pid, 0, &s);
}

/* One that must succeed. */
static inline int snap(pid_t pid, unsigned int flags)
{
	struct ckpt_snap s;
	int fd = snap_with(pid, flags, &s);

	if (fd < 0)
		give_up("snap %d: %s, reason %u, tid %d, syscall %d, address %#llx", pid,
			strerror(-fd), s.out_reason, s.out_tid, s.out_syscall, s.out_addr);
	return fd;
}

static inline int attach_by_flags(int dev, pid_t pid, unsigned int flags, struct ckpt_attach *a)
{
	int ret;

	*a = (struct ckpt_attach) { .size = sizeof(*a), .flags = flags, .pid = pid };
	ret = call(dev, CKPT_ATTACH, a);
	close(dev);
	return ret ?: a->out_fd;
}

static inline int attach_by(int dev, pid_t pid, struct ckpt_attach *a)
{
	return attach_by_flags(dev, pid, 0, a);
}

static inline int attach_why(pid_t pid, struct ckpt_attach *a)
{
	return attach_by(ckpt_open(), pid, a);
}

static inline int attach_flags(pid_t pid, unsigned int flags)
{
	struct ckpt_attach a;
	int fd = attach_by_flags(ckpt_open(), pid, flags, &a);

	if (fd < 0)
		give_up("attach %d: %s, reason %u", pid, strerror(-fd), a.out_reason);
	return fd;
}

static inline int attach(pid_t pid)
{
	return attach_flags(pid, 0);
}

static inline int freeze_why(int session, unsigned int timeout_ms, struct ckpt_freeze *f)
{
	*f = (struct ckpt_freeze) { .size = sizeof(*f), .timeout_ms = timeout_ms };
	return call(session, CKPT_FREEZE, f);
}

static inline int freeze(int session)
{
	struct ckpt_freeze f;

	return freeze_why(session, PATIENCE_MS, &f);
}

static inline int thaw(int session)
{
	struct ckpt_thaw t = { .size = sizeof(t) };

	return call(session, CKPT_THAW, &t);
}

static inline int snapshot(int session)
{
	struct ckpt_snapshot s = { .size = sizeof(s) };

	return call(session, CKPT_SNAPSHOT, &s) ?: s.out_fd;
}

static inline int barrier_why(int snapshot, struct ckpt_barrier *b)
{
	*b = (struct ckpt_barrier) { .size = sizeof(*b) };
	return call(snapshot, CKPT_BARRIER, b);
}

static inline int barrier(int snapshot)
{
	struct ckpt_barrier b;

	return barrier_why(snapshot, &b);
}

/* A snapshot that can be read. */
static inline int snap_ready(pid_t pid, unsigned int flags)
{
	int fd = snap(pid, flags);
	int ret = barrier(fd);

	if (ret)
		give_up("barrier: %s", strerror(-ret));
	return fd;
}

static inline struct ckpt_stats stats(int snapshot)
{
	struct ckpt_stats s = { .size = sizeof(s) };

	must(ioctl(snapshot, CKPT_STATS, &s));
	return s;
}

/* ---- the map ---- */

/* The run that holds @addr, or the next one; false at the end. */
static inline bool run_at(int snapshot, const void *addr, struct ckpt_run *run)
{
	struct ckpt_map m = {
		.size = sizeof(m), .start = (unsigned long)addr & ~(PAGE - 1),
		.runs = (unsigned long)run, .nr = 1,
	};

	must(ioctl(snapshot, CKPT_MAP, &m));
	return m.out_nr == 1;
}

/* What is at @addr: enum ckpt_run_kind, 0: not mapped. */
static inline unsigned int kind_at(int snapshot, const void *addr)
{
	struct ckpt_run run;

	if (!run_at(snapshot, addr, &run) || run.start > (unsigned long)addr)
		return 0;
	return run.kind;
}

/* The kind all of a range has; ~0 when it has several. */
static inline unsigned int kind_of_range(int snapshot, const void *addr, size_t len)
{
	const char *p = addr;
	unsigned int kind = kind_at(snapshot, p);

	for (; p < (const char *)addr + len; p += PAGE)
		if (kind_at(snapshot, p) != kind)
			return ~0U;
	return kind;
}

/* ---- content ---- */

static inline uint64_t pattern(uint64_t generation, uint64_t word)
{
	return (generation << 48) ^ (word * 0x9e3779b97f4a7c15ull) ^ 0x5a5a5a5a;
}

/* No page of it is zero, and no two pages are alike. */
static inline void fill(void *addr, size_t len, unsigned int generation)
{
	volatile uint64_t *p = addr;
	size_t i;

	for (i = 0; i < len / 8; i++)
		p[i] = pattern(generation, i);
}

static inline bool is_filled(const void *addr, size_t len, unsigned int generation)
{
	const uint64_t *p = addr;
	size_t i;

	for (i = 0; i < len / 8; i++)
		if (p[i] != pattern(generation, i))
			return false;
	return true;
}

/* All of it, or -errno; short only where the snapshot holds nothing. */
static inline ssize_t read_at(int snapshot, const void *addr, void *buf, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(snapshot, (char *)buf + done, len - done, (unsigned long)addr + done);
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		if (!n)
			break;
		done += n;
	}
	return done;
}

/* Does the snapshot hold exactly these bytes there? Says where it does not. */
static inline bool holds(int snapshot, const void *addr, const void *want, size_t len)
{
	char *buf = malloc(len);
	ssize_t n = read_at(snapshot, addr, buf, len);
	bool good = n == (ssize_t)len && !memcmp(buf, want, len);
	size_t i;

	if (n != (ssize_t)len) {
		fprintf(stderr, "# %p: read %zd of %zu\n", addr, n, len);
	} else if (!good) {
		for (i = 0; ((const char *)want)[i] == buf[i]; i++)
			;
		fprintf(stderr, "# %p: differs from byte %#zx on\n", addr, i);
	}
	free(buf);
	return good;
}

static inline bool holds_pattern(int snapshot, const void *addr, size_t len,
				 unsigned int generation)
{
	void *want = malloc(len);
	bool good;

	fill(want, len, generation);
	good = holds(snapshot, addr, want, len);
	free(want);
	return good;
}

/* ---- state records ---- */

struct state {
	char *buf;
	size_t len;
};

static inline struct state state_of(int fd, unsigned long cmd)
{
	struct ckpt_state s = { .size = sizeof(s) };
	struct state st;

	must(ioctl(fd, cmd, &s));
	st.len = s.out_total + (cmd == CKPT_STATE ? 65536 : 0);
	st.buf = malloc(st.len);
	s.buf = (unsigned long)st.buf;
	s.len = st.len;
	must(ioctl(fd, cmd, &s));
	if (s.out_len != s.out_total)
		give_up("state grew");
	st.len = s.out_len;
	return st;
}

static inline struct state snapshot_state(int snapshot)
{
	return state_of(snapshot, CKPT_SNAPSHOT_STATE);
}

/* The payload of the first record of a type behind @after (NULL: the first), or NULL. */
static inline void *record_next(const struct state *st, unsigned int type, const void *after)
{
	size_t off = 0;

	if (after) {
		const struct ckpt_record *r = (const struct ckpt_record *)after - 1;

		off = (const char *)r - st->buf + sizeof(*r) + ((r->len + 7) & ~7U);
	}
	while (off + sizeof(struct ckpt_record) <= st->len) {
		struct ckpt_record *r = (struct ckpt_record *)(st->buf + off);

		if (r->type == type)
			return r + 1;
		off += sizeof(*r) + ((r->len + 7) & ~7U);
	}
	return NULL;
}

static inline struct ckpt_record *record_head(void *payload)
{
	return (struct ckpt_record *)payload - 1;
}

static inline unsigned int record_count(const struct state *st, unsigned int type)
{
	unsigned int nr = 0;
	void *r = NULL;

	while ((r = record_next(st, type, r)))
		nr++;
	return nr;
}

static inline struct ckpt_rec_thread *thread_record(const struct state *st, pid_t tid)
{
	struct ckpt_rec_thread *t = NULL;

	while ((t = record_next(st, CKPT_REC_THREAD, t)))
		if (t->tid == tid)
			break;
	return t;
}

/* ---- what the module holds ---- */

/* One of the object counters; -1 when it cannot be read. */
static inline long counter(const char *name)
{
	return number_in("/sys/kernel/debug/ckpt/counters", name);
}

static inline bool nothing_held(void)
{
	static const char *const names[] = {
		"sessions", "freezes", "threads", "snapshots", "leaves", "pages", "tracks", "covers",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (counter(names[i]))
			return false;
	return true;
}

#endif
