// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: setitimer(2) and timer_create(2).
 *
 * Owns nothing. Locks: siglock, under which the lists of timers change. Times left are
 * taken as the system calls would (kernel/time/itimer.c, posix-timers.c,
 * posix-cpu-timers.c); a timer that is due but has not fired yet has 1 ns left, never 0,
 * which would mean that it is not armed.
 */
#include <linux/hrtimer.h>
#include <linux/pid.h>
#include <linux/posix-timers.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "record.h"
#include "state.h"
#include "target.h"

struct cpu_times {
	u64 user, total, runtime;
};

/* Processor time of the group, or of one thread. Nobody runs: the sums stand still. */
static struct cpu_times times_of(struct task_struct *leader, struct task_struct *only)
{
	struct signal_struct *sig = leader->signal;
	struct cpu_times sum = {};
	struct task_struct *t;

	if (only) {
		sum.user = only->utime;
		sum.total = only->utime + only->stime;
		sum.runtime = only->se.sum_exec_runtime;
		return sum;
	}
	sum.user = sig->utime;
	sum.total = sig->utime + sig->stime;
	sum.runtime = sig->sum_sched_runtime;
	rcu_read_lock();
	for_each_thread(leader, t) {
		sum.user += t->utime;
		sum.total += t->utime + t->stime;
		sum.runtime += t->se.sum_exec_runtime;
	}
	rcu_read_unlock();
	return sum;
}

static u64 time_left(u64 expires, u64 now)
{
	return expires > now ? expires - now : 1;
}

static u64 hrtimer_left(const struct hrtimer *timer)
{
	s64 left;

	if (!hrtimer_active(timer))
		return 0;
	left = ktime_to_ns(hrtimer_expires_remaining(timer));
	return left > 0 ? left : 1;
}

static void add_itimers(struct ckpt_records *r, struct task_struct *leader)
{
	struct signal_struct *sig = leader->signal;
	struct cpu_times times = times_of(leader, NULL);
	struct ckpt_rec_itimer rec[3] = {};
	struct sighand_struct *sighand = ckpt_lock_sighand(leader);

	if (!sighand) {
		r->err = r->err ?: -ESRCH;
		return;
	}
	rec[0].value_ns = hrtimer_left(&sig->real_timer);
	rec[0].interval_ns = ktime_to_ns(sig->it_real_incr);
	if (sig->it[CPUCLOCK_VIRT].expires)
		rec[1].value_ns = time_left(sig->it[CPUCLOCK_VIRT].expires, times.user);
	rec[1].interval_ns = sig->it[CPUCLOCK_VIRT].incr;
	if (sig->it[CPUCLOCK_PROF].expires)
		rec[2].value_ns = time_left(sig->it[CPUCLOCK_PROF].expires, times.total);
	rec[2].interval_ns = sig->it[CPUCLOCK_PROF].incr;
	ckpt_unlock_sighand(sighand);
	ckpt_record_add(r, CKPT_REC_ITIMERS, &rec);
}

static u64 cpu_timer_left(struct task_struct *leader, struct k_itimer *timer, u32 *ret_flags)
{
	u64 expires = timer->it.cpu.node.expires;
	struct task_struct *owner = NULL;
	struct cpu_times now;

	if (!expires)
		return 0;
	owner = pid_task(timer->it.cpu.pid, CPUCLOCK_PERTHREAD(timer->it_clock) ?
					    PIDTYPE_PID : PIDTYPE_TGID);
	if (!owner || !same_thread_group(owner, leader)) {
		*ret_flags = 1;
		return 0;
	}
	now = times_of(leader, CPUCLOCK_PERTHREAD(timer->it_clock) ? owner : NULL);
	switch (CPUCLOCK_WHICH(timer->it_clock)) {
	case CPUCLOCK_PROF:
		return time_left(expires, now.total);
	case CPUCLOCK_VIRT:
		return time_left(expires, now.user);
	default:
		return time_left(expires, now.runtime);
	}
}

/*
 * A periodic timer whose signal is pending is not queued: it goes on at its next period.
 * One that sends no signal (SIGEV_NONE) never is: only its expiry time counts.
 */
static u64 real_timer_left(struct k_itimer *timer)
{
	struct hrtimer *hr = &timer->it.real.timer;
	s64 interval = ktime_to_ns(timer->it_interval);
	bool silent = timer->it_sigev_notify == SIGEV_NONE;
	s64 left;

	if (!silent && ckpt_posix_timer_queued(timer))
		return hrtimer_left(hr) ?: 1;
	if (!silent && !(interval && ckpt_posix_timer_pending(timer)))
		return 0;
	left = ktime_to_ns(hrtimer_expires_remaining(hr));
	if (left <= 0 && interval)
		left += (div64_s64(-left, interval) + 1) * interval;
	return max(left, 0LL);
}

static void describe(struct task_struct *leader, struct k_itimer *timer,
		     struct ckpt_rec_posix_timer *rec)
{
	struct task_struct *owner;

	rec->id = timer->it_id;
	rec->clock = timer->it_clock;
	rec->notify = timer->it_sigev_notify;
	rec->interval_ns = ktime_to_ns(timer->it_interval);
	rec->overrun = clamp_t(s64, timer->it_overrun_last, 0, INT_MAX);
	rec->signo = ckpt_posix_timer_info(timer)->si_signo;
	rec->sigval = (unsigned long)ckpt_posix_timer_info(timer)->si_value.sival_ptr;
	if (timer->it_sigev_notify & SIGEV_THREAD_ID) {
		owner = pid_task(timer->it_pid, PIDTYPE_PID);
		rec->tid = owner ? ckpt_task_nr(owner) : 0;
	}
	if (timer->it_clock < 0)
		rec->value_ns = cpu_timer_left(leader, timer, &rec->flags);
	else if (timer->it_clock == CLOCK_REALTIME_ALARM || timer->it_clock == CLOCK_BOOTTIME_ALARM)
		rec->flags = 1;
	else
		rec->value_ns = real_timer_left(timer);
}

/* Copy the timers into @v, as far as they fit. Returns how many there are. */
static unsigned int copy_timers(struct task_struct *leader, struct ckpt_rec_posix_timer *v,
				unsigned int cap)
{
	struct sighand_struct *sighand = ckpt_lock_sighand(leader);
	struct k_itimer *timer;
	unsigned int nr = 0;

	if (!sighand)
		return 0;
	ckpt_for_each_posix_timer(timer, leader->signal) {
		if (nr < cap)
			describe(leader, timer, &v[nr]);
		nr++;
	}
	ckpt_unlock_sighand(sighand);
	return nr;
}

/* Interval timers, then POSIX timers. */
void ckpt_state_timers(struct ckpt_records *r, struct task_struct *leader)
{
	struct ckpt_rec_posix_timer *v;
	unsigned int i, nr;

	add_itimers(r, leader);
	nr = copy_timers(leader, NULL, 0);
	if (!nr)
		return;
	v = kvcalloc(nr, sizeof(*v), GFP_KERNEL_ACCOUNT);
	if (!v) {
		r->err = r->err ?: -ENOMEM;
		return;
	}
	nr = min(nr, copy_timers(leader, v, nr));
	for (i = 0; i < nr; i++)
		ckpt_record_add(r, CKPT_REC_POSIX_TIMER, &v[i]);
	kvfree(v);
}
