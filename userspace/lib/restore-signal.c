// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-signal.c - signal actions, pending signals, timers.
 *
 * All threads have all signals blocked until restore-regs.c sets their masks,
 * so whatever is queued or expires here waits for the program.
 *
 * A periodic timer whose signal is pending is not queued as a plain signal: it
 * is armed for the past, by as many periods as it had overrun.  The kernel then
 * queues the signal itself, and takes up period, phase and overrun count when
 * the program takes the signal, as it would have.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "remote-queue.h"
#include "restore-priv.h"
#include "util.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS	77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF	0
#define PR_TIMER_CREATE_RESTORE_IDS_ON	1
#endif

#define SIGSET_BYTES	8

/* Numbers of timers passed over between looks for an interrupt. */
#define SKIP_AT_ONCE	500

/* struct sigevent as the kernel takes it. */
struct kernel_sigevent {
	uint64_t value;
	int32_t signo;
	int32_t notify;
	int32_t tid;
	int32_t pad[11];
};

_Static_assert(sizeof(struct kernel_sigevent) == 64, "layout");

/* ------------------------------------------------------------ actions */

static int queue_actions(struct restore *rs, struct remote_queue *q)
{
	const struct ckpt_rec_sigaction *sa = rs->m->sigactions;
	/* The first to be put, and all fits. */
	const uint64_t at = remote_queue_put(q, sa, sizeof(rs->m->sigactions));
	int r = 0;

	for (int i = 0; !r && i < CKPT_NSIG; i++) {
		int sig = i + 1;

		/* The child began with defaults everywhere. */
		if (sig == SIGKILL || sig == SIGSTOP || sig == SIGTRAP ||
		    !(sa[i].handler | sa[i].flags | sa[i].mask | sa[i].restorer))
			continue;
		r = remote_queue_add(q, SYS_rt_sigaction,
				     REMOTE_ARGS((uint64_t)sig, at + i * sizeof(*sa), 0,
						 SIGSET_BYTES),
				     "action of signal %d", sig);
	}
	return r ? r : remote_queue_run(q);
}

int restore_sigactions(struct restore *rs)
{
	struct remote_queue q;
	int r = remote_queue_begin(&q, leader(rs), rs->err);

	if (!r) {
		r = queue_actions(rs, &q);
		remote_queue_end(&q);
	}
	return r;
}

int restore_trap_action(struct restore *rs)
{
	const struct ckpt_rec_sigaction *sa = &rs->m->sigactions[SIGTRAP - 1];
	struct remote *r = leader(rs);
	int e = remote_write(r, rs->err, r->scratch, sa, sizeof(*sa));

	return e ? e : remote_call(r, rs->err, "action of signal SIGTRAP", SYS_rt_sigaction,
				   REMOTE_ARGS(SIGTRAP, r->scratch, 0, SIGSET_BYTES), NULL);
}

/* ------------------------------------------------------------ making timers */

static int cmp_timer(const void *a, const void *b)
{
	const struct ckpt_rec_posix_timer *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Where in scratch memory the number of a timer is. */
static uint64_t timer_id_at(struct restore *rs)
{
	return leader(rs)->scratch + sizeof(struct kernel_sigevent);
}

static int create_once(struct restore *rs, const struct ckpt_rec_posix_timer *t, int32_t *ret_id)
{
	struct kernel_sigevent sev = {
		.value = t->sigval, .signo = t->signo, .notify = t->notify, .tid = t->tid,
	};
	struct remote *r = leader(rs);
	const int32_t want = t->id;
	char what[64];
	int e;

	/* Its thread has ended: the kernel drops the signals of such a timer. */
	if ((t->notify & SIGEV_THREAD_ID) && !ckpt_model_thread(rs->m, t->tid))
		sev.notify = SIGEV_NONE;
	e = remote_write(r, rs->err, r->scratch, &sev, sizeof(sev));
	snprintf(what, sizeof(what), "make timer %d of clock %d", t->id, t->clock);
	if (!e)
		e = remote_write(r, rs->err, timer_id_at(rs), &want, sizeof(want));
	if (!e)
		e = remote_call(r, rs->err, what, SYS_timer_create,
				REMOTE_ARGS((uint64_t)(int64_t)t->clock, r->scratch,
					    timer_id_at(rs)), NULL);
	return e ? e : remote_read(r, rs->err, timer_id_at(rs), ret_id, sizeof(*ret_id));
}

/* Make and drop timers from number @next on, up to but not including @end, in one go. */
static int skip_numbers(struct restore *rs, struct remote_queue *q, int32_t next, int32_t end)
{
	const struct kernel_sigevent sev = { .notify = SIGEV_NONE };
	uint64_t sev_at, id_at;
	int r = 0;

	if (end - next > SKIP_AT_ONCE)
		end = next + SKIP_AT_ONCE;
	sev_at = remote_queue_put(q, &sev, sizeof(sev));
	id_at = remote_queue_put(q, &next, sizeof(next));
	for (; !r && next < end; next++) {
		r = remote_queue_add(q, SYS_timer_create,
				     REMOTE_ARGS(CLOCK_MONOTONIC, sev_at, id_at), "make a timer");
		if (!r)
			r = remote_queue_add(q, SYS_timer_delete, REMOTE_ARGS((uint64_t)next),
					     "drop timer %d", next);
	}
	if (!r)
		r = remote_queue_run(q);
	return r ? r : restore_interrupted(rs);
}

/*
 * Without a kernel that takes wishes, numbers count up from 0: make and drop
 * timers until it is the turn of the right one.
 */
static int create_timer(struct restore *rs, struct remote_queue *q,
			const struct ckpt_rec_posix_timer *t)
{
	int32_t id;
	int e;

	for (;;) {
		e = create_once(rs, t, &id);
		if (e || id == t->id)
			return e;
		if (id > t->id)
			return ckpt_err_set(rs->err, -EBUSY, "timer %d: the number is taken", t->id);
		e = remote_call(leader(rs), rs->err, "drop a timer", SYS_timer_delete,
				REMOTE_ARGS((uint64_t)id), NULL);
		if (!e && id + 1 < t->id)
			e = skip_numbers(rs, q, id + 1, t->id);
		if (e)
			return e;
	}
}

int restore_timers_make(struct restore *rs)
{
	struct ckpt_model *m = rs->m;
	struct remote_queue q;
	long wishes = -1;
	int e;

	if (!m->nr_timers)
		return 0;
	qsort(m->timers, m->nr_timers, sizeof(*m->timers), cmp_timer);
	e = remote_queue_begin(&q, leader(rs), rs->err);
	if (e)
		return e;
	e = remote_try(leader(rs), rs->err, SYS_prctl,
		       REMOTE_ARGS(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_ON,
				   0, 0, 0), &wishes);
	for (size_t i = 0; !e && i < m->nr_timers; i++)
		e = create_timer(rs, &q, &m->timers[i]);
	if (!e && !wishes)
		e = remote_call(leader(rs), rs->err, "end the restoring of timer numbers", SYS_prctl,
				REMOTE_ARGS(PR_TIMER_CREATE_RESTORE_IDS,
					    PR_TIMER_CREATE_RESTORE_IDS_OFF, 0, 0, 0), NULL);
	remote_queue_end(&q);
	return e;
}

/* ------------------------------------------------------------ pending signals */

/* Clocks whose time we know in the child. */
static bool clock_now(const struct restore *rs, int clock, int64_t *ret)
{
	switch (clock) {
	case CLOCK_REALTIME:
		*ret = (int64_t)util_clock_ns(CLOCK_REALTIME);
		return true;
	case CLOCK_MONOTONIC:
		*ret = (int64_t)util_clock_ns(CLOCK_MONOTONIC) + rs->mono_offset;
		return true;
	case CLOCK_BOOTTIME:
		*ret = (int64_t)util_clock_ns(CLOCK_BOOTTIME) + rs->boot_offset;
		return true;
	default:
		return false;
	}
}

/* Whether the kernel will queue this timer's signal itself when it is armed. */
static bool queues_itself(const struct restore *rs, const struct ckpt_rec_posix_timer *t)
{
	int64_t now;

	return t->interval_ns && t->notify != SIGEV_NONE && clock_now(rs, t->clock, &now);
}

static const struct ckpt_rec_posix_timer *find_timer(const struct ckpt_model *m, int id)
{
	for (size_t i = 0; i < m->nr_timers; i++)
		if (m->timers[i].id == id)
			return &m->timers[i];
	return NULL;
}

static bool is_pending(const struct ckpt_model *m, const struct ckpt_rec_posix_timer *t)
{
	for (size_t i = 0; i < m->nr_sigpending; i++)
		if (m->sigpending[i].timer && m->sigpending[i].timer_id == t->id)
			return true;
	return false;
}

static bool leave_to_timer(const struct restore *rs, const struct ckpt_rec_sigpending *s)
{
	const struct ckpt_rec_posix_timer *t = s->timer ? find_timer(rs->m, s->timer_id) : NULL;

	return t && queues_itself(rs, t);
}

/*
 * Only the receiver itself may make up any sender it likes.  The leader speaks
 * for the process.
 */
static int queue_for(struct restore *rs, struct remote_queue *q, const struct ckpt_rec_sigpending *s)
{
	const uint64_t pid = (uint64_t)rs->pid, sig = (uint64_t)s->signo;
	int r = remote_queue_room(q, 1, sizeof(s->info));
	uint64_t info;

	if (r)
		return r;
	info = remote_queue_put(q, s->info, sizeof(s->info));
	if (s->tid)
		return remote_queue_add(q, SYS_rt_tgsigqueueinfo,
					REMOTE_ARGS(pid, (uint64_t)s->tid, sig, info),
					"thread %d: queue signal %d", s->tid, s->signo);
	return remote_queue_add(q, SYS_rt_sigqueueinfo, REMOTE_ARGS(pid, sig, info),
				"queue signal %d", s->signo);
}

static int queue_for_thread(struct restore *rs, struct restore_thread *th, struct remote_queue *q)
{
	const struct ckpt_model *m = rs->m;
	int r = 0;

	for (size_t i = 0; !r && i < m->nr_sigpending; i++) {
		const struct ckpt_rec_sigpending *s = &m->sigpending[i];

		if ((s->tid ? s->tid : rs->pid) == th->t->rec.tid && s->signo != SIGTRAP &&
		    !leave_to_timer(rs, s))
			r = queue_for(rs, q, s);
	}
	return r ? r : remote_queue_run(q);
}

/* The queue's own end is a SIGTRAP, so one of the program's must not wait there. */
static int queue_trap(struct restore *rs, struct restore_thread *th)
{
	const struct ckpt_model *m = rs->m;
	struct remote *r = &th->remote;
	int e = 0;

	for (size_t i = 0; !e && i < m->nr_sigpending; i++) {
		const struct ckpt_rec_sigpending *s = &m->sigpending[i];
		const uint64_t pid = (uint64_t)rs->pid, tid = (uint64_t)s->tid;

		if ((s->tid ? s->tid : rs->pid) != r->tid || s->signo != SIGTRAP ||
		    leave_to_timer(rs, s))
			continue;
		e = remote_write(r, rs->err, r->scratch, s->info, sizeof(s->info));
		if (!e && s->tid)
			e = remote_call(r, rs->err, "queue SIGTRAP", SYS_rt_tgsigqueueinfo,
					REMOTE_ARGS(pid, tid, SIGTRAP, r->scratch), NULL);
		else if (!e)
			e = remote_call(r, rs->err, "queue SIGTRAP", SYS_rt_sigqueueinfo,
					REMOTE_ARGS(pid, SIGTRAP, r->scratch), NULL);
	}
	return e;
}

int restore_sigpending(struct restore *rs)
{
	int r = 0;

	if (!rs->m->nr_sigpending)
		return 0;
	for (size_t i = 0; !r && i < rs->m->nr_threads; i++) {
		struct restore_thread *th = &rs->threads[i];
		struct remote_queue q;

		r = remote_queue_begin(&q, &th->remote, rs->err);
		if (r)
			return r;
		r = queue_for_thread(rs, th, &q);
		remote_queue_end(&q);
	}
	for (size_t i = 0; !r && i < rs->m->nr_threads; i++)
		r = queue_trap(rs, &rs->threads[i]);
	return r;
}

/* ------------------------------------------------------------ arming timers */

static int arm_timer(struct restore *rs, const struct ckpt_rec_posix_timer *t)
{
	struct itimerspec its = {
		.it_interval = to_timespec(t->interval_ns),
		.it_value = to_timespec(t->value_ns),
	};
	struct remote *r = leader(rs);
	int flags = 0, e;
	int64_t now;
	char what[40];

	if (is_pending(rs->m, t) && queues_itself(rs, t) && clock_now(rs, t->clock, &now)) {
		/* From the next expiry back to the first that was not taken. */
		int64_t periods = (t->value_ns ? 1 : 0) + (t->overrun > 0 ? t->overrun : 0);
		int64_t back, at;

		if (__builtin_mul_overflow((int64_t)t->interval_ns, periods, &back) ||
		    __builtin_sub_overflow(now + (int64_t)t->value_ns, back, &at) || at < 1)
			at = 1;
		its.it_value = to_timespec((uint64_t)at);
		flags = TIMER_ABSTIME;
	} else if (!t->value_ns) {
		return 0;
	}
	snprintf(what, sizeof(what), "arm timer %d", t->id);
	e = remote_write(r, rs->err, r->scratch, &its, sizeof(its));
	return e ? e : remote_call(r, rs->err, what, SYS_timer_settime,
				   REMOTE_ARGS((uint64_t)t->id, (uint64_t)flags, r->scratch, 0),
				   NULL);
}

static bool alarm_pending(const struct ckpt_model *m)
{
	for (size_t i = 0; i < m->nr_sigpending; i++)
		if (m->sigpending[i].signo == SIGALRM && !m->sigpending[i].tid)
			return true;
	return false;
}

static int arm_itimer(struct restore *rs, int which)
{
	const struct ckpt_rec_itimer *rec = &rs->m->itimers[which];
	uint64_t value_us = (rec->value_ns + 999) / 1000, interval_us = rec->interval_ns / 1000;
	struct remote *r = leader(rs);
	struct itimerval it;
	char what[40];
	int e;

	/*
	 * A periodic ITIMER_REAL starts its next period when SIGALRM is taken.
	 * While that waits it looks unarmed; expired is what it is.
	 */
	if (!value_us && interval_us && which == ITIMER_REAL && alarm_pending(rs->m))
		value_us = 1;
	if (!value_us)
		return 0;
	it.it_value = (struct timeval){ (time_t)(value_us / 1000000),
					(suseconds_t)(value_us % 1000000) };
	it.it_interval = (struct timeval){ (time_t)(interval_us / 1000000),
					   (suseconds_t)(interval_us % 1000000) };
	snprintf(what, sizeof(what), "arm interval timer %d", which);
	e = remote_write(r, rs->err, r->scratch, &it, sizeof(it));
	return e ? e : remote_call(r, rs->err, what, SYS_setitimer,
				   REMOTE_ARGS((uint64_t)which, r->scratch, 0), NULL);
}

int restore_timers_arm(struct restore *rs)
{
	int e = 0;

	for (size_t i = 0; !e && i < rs->m->nr_timers; i++)
		e = arm_timer(rs, &rs->m->timers[i]);
	for (int i = 0; !e && i < CKPT_NITIMERS; i++)
		e = arm_itimer(rs, i);
	return e;
}
