/* SPDX-License-Identifier: GPL-2.0-only */
/* Who takes snapshots of the witness, by the one-shot call and by sessions, and looks at them. */
#ifndef STRESS_TAKE_H
#define STRESS_TAKE_H

#include "inside.h"
#include "judge.h"

/* While the module is being unloaded and loaded there may be none for a moment. */
static inline int open_device(struct view *v)
{
	int fd;

	while ((fd = open(CKPT_DEVICE, O_RDWR | O_CLOEXEC)) < 0) {
		if (!blows(v, UNLOADING) || (errno != ENOENT && errno != ENXIO && errno != ENODEV))
			fault(v, CKPT_DEVICE ": %s", strerror(errno));
		if (v->stop)
			_exit(0);
		usleep(100);
	}
	return fd;
}

static inline int open_session(struct view *v, pid_t pid, struct ckpt_attach *a)
{
	return attach_by(open_device(v), pid, a);
}

/* What a snapshotter may be told: that another one was first, or to try again. */
static inline bool is_refused(struct view *v, int ret, unsigned int reason, pid_t tid, int call)
{
	if (ret >= 0)
		return false;
	if (ret == -EBUSY && reason == CKPT_REASON_FROZEN)
		add(&v->busy, 1);
	else if (ret == -EAGAIN && reason)
		add(&v->unsteady, 1);
	else if (ret == -ENOMEM && v->cancels)
		add(&v->canceled, 1);
	else
		fault(v, "snapshot: %s, reason %u, thread %d, call %d", strerror(-ret), reason, tid,
		      call);
	return true;
}

/* Everything it says it holds can be read. */
static inline bool read_all(struct view *v, int fd)
{
	static char buf[64 * PAGE];
	unsigned long at = 0, end;
	struct ckpt_run run;

	for (;; at = run.start + run.len) {
		struct ckpt_map m = {
			.size = sizeof(m), .start = at, .runs = (unsigned long)&run, .nr = 1,
		};
		int ret = call(fd, CKPT_MAP, &m);

		if (ret == -ECANCELED && v->cancels)
			return false;
		if (ret)
			fault(v, "map: %s", strerror(-ret));
		if (!m.out_nr)
			return true;
		end = run.start + run.len;
		for (at = run.start; run.kind == CKPT_RUN_DATA && at < end; at += sizeof(buf))
			if (!take_bytes(v, fd, (void *)at, buf,
					end - at < sizeof(buf) ? end - at : sizeof(buf)))
				return false;
	}
}

static inline bool rounds_went_by(const struct view *v, const uint64_t *since)
{
	int i;

	for (i = 0; i < WRITERS; i++)
		if (v->done[i] == since[i])
			return false;
	return true;
}

/* Looks at a snapshot, at once and when the program has written everything anew. Closes it. */
static inline void look(struct view *v, int fd, bool consumes)
{
	uint64_t since[WRITERS];
	int ret = barrier(fd);
	bool whole;

	if (ret && !(ret == -ECANCELED && v->cancels))
		fault(v, "barrier: %s", strerror(-ret));
	memcpy(since, (void *)v->done, sizeof(since));
	whole = !ret && judge(v, fd);
	if (whole && !consumes) {
		if (!wait_until(rounds_went_by(v, since) || stats(fd).out_canceled || v->stop))
			fault(v, "the program does not get on");
		whole = judge(v, fd) && read_all(v, fd);
	}
	add(whole ? &v->taken : &v->canceled, 1);
	close(fd);
}

static inline void take_at_once(struct view *v, unsigned int seed)
{
	unsigned int flags = seed & 1 ? CKPT_SNAPSHOT_CONSUME : 0;
	struct ckpt_snap s;
	int fd = snap_by(open_device(v), v->pid, flags, &s);

	if (!is_refused(v, fd, s.out_reason, s.out_tid, s.out_syscall))
		look(v, fd, flags);
}

/* One step after the other; while it is frozen no writer gets on. */
static inline void take_by_session(struct view *v, unsigned int seed)
{
	struct ckpt_snapshot s = { .size = sizeof(s) };
	uint64_t told[WRITERS];
	struct ckpt_attach a;
	struct ckpt_freeze f;
	int session = open_session(v, v->pid, &a), ret;

	if (is_refused(v, session, a.out_reason, a.out_tid, -1))
		return;
	ret = freeze_why(session, PATIENCE_MS, &f);
	if (is_refused(v, ret, f.out_reason, f.out_tid, f.out_syscall)) {
		close(session);
		return;
	}
	memcpy(told, (void *)v->told, sizeof(told));
	ret = call(session, CKPT_SNAPSHOT, &s);
	if (memcmp(told, (void *)v->told, sizeof(told)))
		fault(v, "a writer got on in the freeze");
	/* Every other time the close of the session is the thaw. */
	if (seed & 1 && thaw(session))
		fault(v, "no thaw");
	close(session);
	if (!is_refused(v, ret, s.out_reason, s.out_tid, s.out_syscall))
		look(v, s.out_fd, false);
}

static inline void take_all_the_time(struct view *v, void (*take)(struct view *v, unsigned int seed),
				     unsigned int seed)
{
	while (!v->stop) {
		take(v, rand_r(&seed));
		usleep(rand_r(&seed) % 20000);
	}
}

#endif
