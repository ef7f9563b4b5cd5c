// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: setitimer(2) and timer_create(2).
 *
 * Owns nothing. Times left are taken as the system calls would (kernel/time/itimer.c,
 * posix-timers.c, posix-cpu-timers.c). A timer that is due but has not fired yet has 1 ns
 * left, never 0, which would mean that it is not armed; a periodic one that has fired and
 * waits for its signal to be taken has what is left of the current period.
 *
 * Locks: everything is copied in one hold of the group's siglock, together with the
 * queues of signals (state_signals.c). A POSIX timer that fires holds its it_lock and
 * then waits for siglock; it says that it has fired before its signal is queued. So
 * it_lock is only tried: who does not get it lets siglock go and begins again.
 */
#include <linux/hrtimer.h>
#include <linux/pid.h>
#include <linux/posix-timers.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "alloc.h"
#include "compat/compat.h"
#include "record.h"
#include "state.h"
#include "target.h"
#include "timers.h"

/* Processor time of the group, or of one thread. Nobody runs: the sums stand still. */
static struct ckpt_cpu_times times_of(struct task_struct *leader, struct task_struct *only)
{
	struct signal_struct *sig = leader->signal;
	struct ckpt_cpu_times sum = {};
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

/* What is left of the current period of a timer that was due at @left below zero. */
static u64 rest_of_period(s64 left, s64 interval)
{
	return left > 0 ? left : left + (div64_s64(-left, interval) + 1) * interval;
}

static void copy_intervals(struct ckpt_timers *timers, struct signal_struct *sig)
{
	struct ckpt_rec_itimer *rec = timers->interval;
	s64 period = ktime_to_ns(sig->it_real_incr);

	rec[0].interval_ns = period;
	rec[0].value_ns = hrtimer_left(&sig->real_timer);
	/* It is started again when SIGALRM is taken, by the period alone. */
	if (!rec[0].value_ns && period)
		rec[0].value_ns = rest_of_period(
			ktime_to_ns(hrtimer_expires_remaining(&sig->real_timer)), period);

	rec[1].interval_ns = sig->it[CPUCLOCK_VIRT].incr;
	rec[1].value_ns = sig->it[CPUCLOCK_VIRT].expires ?
		time_left(sig->it[CPUCLOCK_VIRT].expires, timers->times.user) : 0;
	rec[2].interval_ns = sig->it[CPUCLOCK_PROF].incr;
	rec[2].value_ns = sig->it[CPUCLOCK_PROF].expires ?
		time_left(sig->it[CPUCLOCK_PROF].expires, timers->times.total) : 0;
}

/*
 * The group's times are those sampled before: to sum them up for each timer, with interrupts
 * off, would take as long as a program with many threads and timers likes.
 */
static u64 cpu_timer_left(const struct ckpt_timers *timers, struct task_struct *leader,
			  struct k_itimer *timer, u32 *ret_flags)
{
	u64 expires = timer->it.cpu.node.expires;
	struct task_struct *owner = NULL;
	struct ckpt_cpu_times now = timers->times;

	if (!expires)
		return 0;
	owner = pid_task(timer->it.cpu.pid, CPUCLOCK_PERTHREAD(timer->it_clock) ?
					    PIDTYPE_PID : PIDTYPE_TGID);
	if (!owner || !same_thread_group(owner, leader)) {
		*ret_flags = 1;
		return 0;
	}
	if (CPUCLOCK_PERTHREAD(timer->it_clock))
		now = times_of(leader, owner);
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
	return interval ? rest_of_period(left, interval) : max(left, 0LL);
}

/*
 * CLOCK_THREAD_CPUTIME_ID is whose who asks; the record names the thread. One that has
 * ended has a clock that stands still, like its timer.
 */
static clockid_t clock_of(struct task_struct *leader, struct k_itimer *timer)
{
	struct task_struct *owner;

	if (timer->it_clock >= 0 || !CPUCLOCK_PERTHREAD(timer->it_clock))
		return timer->it_clock;
	owner = pid_task(timer->it.cpu.pid, PIDTYPE_PID);
	if (!owner || !same_thread_group(owner, leader))
		return timer->it_clock;
	return make_thread_cpuclock(ckpt_task_nr(owner), CPUCLOCK_WHICH(timer->it_clock));
}

static void describe(const struct ckpt_timers *timers, struct task_struct *leader,
		     struct k_itimer *timer, struct ckpt_rec_posix_timer *rec)
{
	struct task_struct *owner;

	rec->id = timer->it_id;
	rec->clock = clock_of(leader, timer);
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
		rec->value_ns = cpu_timer_left(timers, leader, timer, &rec->flags);
	else if (timer->it_clock == CLOCK_REALTIME_ALARM || timer->it_clock == CLOCK_BOOTTIME_ALARM)
		rec->flags = 1;
	else
		rec->value_ns = real_timer_left(timer);
}

/* Processor time used, before siglock is taken; it stands still. */
void ckpt_timers_sample(struct ckpt_timers *timers, struct task_struct *leader)
{
	timers->times = times_of(leader, NULL);
}

/* Under siglock, and RCU: pid_task() finds whose processor time a timer counts. */
static int copy_posix(struct ckpt_timers *timers, struct task_struct *leader)
{
	struct k_itimer *timer;

	timers->nr = 0;
	ckpt_for_each_posix_timer(timer, leader->signal) {
		if (!spin_trylock(&timer->it_lock))
			return -EAGAIN;
		if (timers->nr < timers->cap) {
			memset(&timers->posix[timers->nr], 0, sizeof(*timers->posix));
			describe(timers, leader, timer, &timers->posix[timers->nr]);
		}
		timers->nr++;
		spin_unlock(&timer->it_lock);
	}
	return timers->nr > timers->cap ? -EAGAIN : 0;
}

/**
 * ckpt_timers_copy - copy every timer, as far as there is room
 * @timers: sampled
 * @leader: target; the caller holds its siglock
 *
 * Return: 0; -EAGAIN when a timer is just firing, or there are more than fit.
 */
int ckpt_timers_copy(struct ckpt_timers *timers, struct task_struct *leader)
{
	int ret;

	lockdep_assert_held(&leader->sighand->siglock);
	copy_intervals(timers, leader->signal);
	rcu_read_lock();
	ret = copy_posix(timers, leader);
	rcu_read_unlock();
	return ret;
}

/* After -EAGAIN, without locks. */
int ckpt_timers_make_room(struct ckpt_timers *timers)
{
	if (timers->nr <= timers->cap)
		return 0;
	kvfree(timers->posix);
	timers->cap = timers->nr + 16;
	timers->posix = ckpt_alloc_array(timers->cap, sizeof(*timers->posix));
	return timers->posix ? 0 : -ENOMEM;
}

void ckpt_timers_add(struct ckpt_records *r, const struct ckpt_timers *timers)
{
	unsigned int i;

	ckpt_record_add(r, CKPT_REC_ITIMERS, &timers->interval);
	for (i = 0; i < timers->nr; i++)
		ckpt_record_add(r, CKPT_REC_POSIX_TIMER, &timers->posix[i]);
}

void ckpt_timers_free(struct ckpt_timers *timers)
{
	kvfree(timers->posix);
}
