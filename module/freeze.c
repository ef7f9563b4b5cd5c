// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freeze: stop who runs, leave who sleeps, and nobody notices.
 *
 * Owns struct ckpt_frozen, one frozen thread group, and its threads.
 *
 * Life of a freeze
 *  1. begin: the group enters the list of frozen groups, so that two freezers do
 *     not meet. Every thread gets the work `park`, queued with TWA_RESUME: one that
 *     runs user code is kicked and parks at once, one in the kernel parks when it is
 *     about to leave it. A sleeper is not woken by it.
 *  2. settle: each thread is looked at until all are still, new ones included:
 *       parked   waits in the work; its registers are complete,
 *       asleep   in an interruptible sleep off its processor, in a call that may be
 *                slept through (calls.c). Should it wake, it parks before it runs user
 *                code again, so all that can happen is that its call completes: its
 *                switch count moves and ckpt_freeze_steady() tells,
 *       halted   stopped by job control or a tracer, at the border already.
 *     A sleeper in any other call is nudged: TWA_SIGNAL ends its sleep as a signal
 *     would, but there is no signal, and it parks on its way out.
 *  3. the caller captures; asks ckpt_freeze_steady(); if somebody woke,
 *     ckpt_freeze_resettle() and captures again.
 *  4. end: every parked thread goes on, works not yet run are taken back.
 *
 * Unhappy paths
 *  - A thread stays in the kernel (uninterruptible sleep) past the deadline: begin
 *    fails with -ETIMEDOUT and names it; everybody goes on.
 *  - SIGKILL: parked threads wait killable, leave at once and are GONE. Execve and
 *    exit by another thread are that too. Only while the freezer looks at the tasks
 *    themselves (ckpt_freeze_hold()) their end is put off.
 *  - The freezer is killed: its descriptor closes, the freeze ends.
 *  - A work cannot be taken back because it is being run: it finds the freeze ended
 *    and returns. Each queued work holds a reference; the last one frees.
 *  - The module goes: ckpt_freeze_exit() waits until no freeze is left, then until
 *    every task has left the callbacks' last instructions (synchronize_rcu_tasks).
 *
 * Locks: frozen_lock for the list of frozen groups. A freeze itself is worked on by
 * one caller at a time (its session's mutex); thread->state is shared with the
 * thread and changes by cmpxchg. `ended` is set once, before the wake-up.
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <asm/syscall.h>

#include "alloc.h"
#include "calls.h"
#include "compat/compat.h"
#include "counters.h"
#include "freeze.h"
#include "symbols.h"
#include "target.h"
#include "trace.h"
#include "why.h"

/* Sleepers tell nobody that they fell asleep, so we look again, ever more seldom. */
#define POLL_MIN_NS	(20 * NSEC_PER_USEC)
#define POLL_MAX_NS	(1 * NSEC_PER_MSEC)

struct ckpt_frozen {
	refcount_t refs;		/* the session's, and one for each queued work */
	struct list_head entry;	/* in frozen_groups, under frozen_lock */
	struct task_struct *leader;
	struct mm_struct *mm;		/* user reference, from begin to end */
	struct list_head threads;
	struct list_head spares;	/* struct ckpt_thread without a task yet */
	unsigned int nr_threads;
	wait_queue_head_t progress;	/* the freezer waits: somebody parked or left */
	wait_queue_head_t thaw;		/* parked threads wait */
	wait_queue_head_t release;	/* killed threads wait while @held */
	bool ended;
	bool held;			/* somebody looks at the tasks */
	unsigned int timeout_ms;
	ktime_t deadline;
	ktime_t begun;
	u64 freeze_ns;
	struct ckpt_pause *pause;
};

static DEFINE_SPINLOCK(frozen_lock);
static LIST_HEAD(frozen_groups);

static void freeze_put(struct ckpt_frozen *frozen)
{
	struct ckpt_thread *thread, *next;

	if (!refcount_dec_and_test(&frozen->refs))
		return;
	list_splice(&frozen->spares, &frozen->threads);
	list_for_each_entry_safe(thread, next, &frozen->threads, link) {
		if (thread->task)
			put_task_struct(thread->task);
		kfree(thread);
		ckpt_count(CKPT_COUNT_THREADS, -1);
	}
	put_task_struct(frozen->leader);
	ckpt_pause_put(frozen->pause);
	kfree(frozen);
	/* The last thing done in the target: ckpt_freeze_exit() waits for it. */
	ckpt_count(CKPT_COUNT_FREEZES, -1);
}

/* ---- in the context of the target ---- */

/* This thread is about to end. Not while the freezer reads its stack, though. */
static void leave(struct ckpt_thread *thread)
{
	struct ckpt_frozen *frozen = thread->frozen;

	WRITE_ONCE(thread->state, CKPT_THREAD_GONE);
	wake_up(&frozen->progress);
	/* Pairs with the one in ckpt_freeze_hold(): it sees us gone, or we see it holding. */
	smp_mb();
	wait_event(frozen->release, !READ_ONCE(frozen->held));
}

static void park_work(struct callback_head *work)
{
	struct ckpt_thread *thread = container_of(work, struct ckpt_thread, park);
	struct ckpt_frozen *frozen = thread->frozen;

	if (current->flags & PF_EXITING) {
		leave(thread);
	} else if (!READ_ONCE(frozen->ended)) {
		/* Pairs with the acquire in state_of(). */
		smp_store_release(&thread->state, CKPT_THREAD_PARKED);
		wake_up(&frozen->progress);
		if (wait_event_state(frozen->thaw, READ_ONCE(frozen->ended),
				     (TASK_KILLABLE | TASK_NOLOAD | TASK_FREEZABLE)))
			leave(thread);
	}
	freeze_put(frozen);
}

static void nudge_work(struct callback_head *work)
{
	freeze_put(container_of(work, struct ckpt_thread, nudge)->frozen);
}

/* ---- in the context of the freezer ---- */

static int queue_on(struct ckpt_thread *thread, struct callback_head *work,
			 enum task_work_notify_mode mode)
{
	int ret;

	refcount_inc(&thread->frozen->refs);
	ret = ckpt_task_work_add(thread->task, work, mode);
	if (ret)
		refcount_dec(&thread->frozen->refs);
	return ret;
}

static struct ckpt_thread *thread_new(struct ckpt_frozen *frozen)
{
	struct ckpt_thread *thread = ckpt_alloc(sizeof(*thread));

	if (thread) {
		ckpt_count(CKPT_COUNT_THREADS, 1);
		thread->frozen = frozen;
		init_task_work(&thread->park, park_work);
		init_task_work(&thread->nudge, nudge_work);
	}
	return thread;
}

/*
 * It will not touch the target's memory any more. PF_EXITING is not enough: after it, still
 * with the address space, the robust futexes are released and the word is cleared that
 * pthread_join() waits for.
 */
static bool has_left(struct task_struct *task)
{
	return !READ_ONCE(task->mm);
}

/* Both lists are in order of creation, so the thread sought is nearly always next. */
static bool is_known(struct ckpt_frozen *frozen, struct task_struct *task,
		     struct ckpt_thread **cursor)
{
	struct ckpt_thread *thread = *cursor;

	list_for_each_entry_continue(thread, &frozen->threads, link) {
		if (thread->task == task) {
			*cursor = thread;
			return true;
		}
	}
	list_for_each_entry(thread, &frozen->threads, link) {
		if (thread->task == task)
			return true;
	}
	return false;
}

/* Have one struct ckpt_thread ready for each thread there is now. */
static int make_spares(struct ckpt_frozen *frozen)
{
	int nr = READ_ONCE(frozen->leader->signal->nr_threads) + 1;
	struct ckpt_thread *thread;

	while (nr--) {
		thread = thread_new(frozen);
		if (!thread)
			return -ENOMEM;
		list_add(&thread->link, &frozen->spares);
	}
	return 0;
}

/* Enter the threads we do not know yet into the list; -EAGAIN when more spares are needed. */
static int find_new(struct ckpt_frozen *frozen, struct ckpt_thread **ret_first)
{
	struct ckpt_thread *cursor = list_entry(&frozen->threads, struct ckpt_thread, link);
	bool all_new = list_empty(&frozen->threads);
	struct ckpt_thread *thread;
	struct task_struct *t;
	int ret = 0;

	rcu_read_lock();
	for_each_thread(frozen->leader, t) {
		if (has_left(t) || (!all_new && is_known(frozen, t, &cursor)))
			continue;
		thread = list_first_entry_or_null(&frozen->spares, struct ckpt_thread, link);
		if (!thread) {
			ret = -EAGAIN;
			break;
		}
		thread->task = get_task_struct(t);
		list_move_tail(&thread->link, &frozen->threads);
		frozen->nr_threads++;
		if (!*ret_first)
			*ret_first = thread;
		cursor = thread;
	}
	rcu_read_unlock();
	return ret;
}

/* Ask every thread that was not asked yet. Returns how many, or an error. */
static int queue_new(struct ckpt_frozen *frozen)
{
	struct ckpt_thread *thread = NULL;
	int ret, nr = 0;

	do {
		ret = find_new(frozen, &thread);
		if (ret == -EAGAIN && make_spares(frozen))
			return -ENOMEM;
	} while (ret);
	if (!thread)
		return 0;
	list_for_each_entry_from(thread, &frozen->threads, link) {
		if (queue_on(thread, &thread->park, TWA_RESUME))
			thread->state = CKPT_THREAD_GONE;
		nr++;
	}
	return nr;
}

static unsigned long switches_of(struct task_struct *task)
{
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
}

static bool off_cpu(struct task_struct *task)
{
	/* Pairs with finish_task(): once off the processor, registers are in memory. */
	return !ckpt_task_is_runnable(task) && !smp_load_acquire(&task->on_cpu);
}

static int state_of(struct ckpt_thread *thread)
{
	/* Pairs with the release in park_work(). */
	return smp_load_acquire(&thread->state);
}

/**
 * ckpt_freeze_hold - whoever is killed from now on waits with its end
 * @frozen: frozen, or being frozen
 *
 * To read a thread's stack, its numbers, and what else goes with its end, hold the
 * freeze first and then pass over threads that are CKPT_THREAD_GONE. Not for long: a
 * process that is killed waits for it.
 *
 * Return: false when the leader is gone.
 */
bool ckpt_freeze_hold(struct ckpt_frozen *frozen)
{
	struct ckpt_thread *leader = list_first_entry_or_null(&frozen->threads,
							      struct ckpt_thread, link);

	WRITE_ONCE(frozen->held, true);
	/* Pairs with the one in leave(). */
	smp_mb();
	return leader && state_of(leader) != CKPT_THREAD_GONE;
}

void ckpt_freeze_release(struct ckpt_frozen *frozen)
{
	/* What was read was read before anybody goes. */
	smp_store_release(&frozen->held, false);
	wake_up_all(&frozen->release);
}

static bool is_parked(struct ckpt_thread *thread)
{
	if (state_of(thread) != CKPT_THREAD_PARKED)
		return false;
	/* Pairs with finish_task(): before it, registers are not all in memory yet. */
	return !smp_load_acquire(&thread->task->on_cpu);
}

/* What a thread that has not parked does: asleep, halted, or QUEUED for neither. */
static int rest_state(struct task_struct *task)
{
	unsigned int state = READ_ONCE(task->__state);

	if (!off_cpu(task))
		return CKPT_THREAD_QUEUED;
	if (state & (__TASK_STOPPED | __TASK_TRACED))
		return CKPT_THREAD_HALTED;
	if ((state & TASK_NORMAL) == TASK_INTERRUPTIBLE)
		return CKPT_THREAD_ASLEEP;
	return CKPT_THREAD_QUEUED;
}

static bool is_resting(struct ckpt_thread *thread, int state)
{
	unsigned long switches = switches_of(thread->task);

	/* The count first: a wake-up after it shows in the state, or in the count. */
	smp_rmb();
	if (rest_state(thread->task) != state)
		return false;
	/* And the count again: a sleep that began in between is another one. */
	smp_rmb();
	return switches_of(thread->task) == switches && switches == thread->switches;
}

static bool has_to_wake(struct task_struct *task, bool wake_more)
{
	switch (ckpt_call_rest(task)) {
	case CKPT_CALL_WAKE:
		return true;
	case CKPT_CALL_EITHER:
		return wake_more;
	case CKPT_CALL_LEAVE:
		return false;
	}
	return false;
}

/* Is this thread still, now? Moves it on if it is not. */
static bool settle_thread(struct ckpt_thread *thread, bool wake_more)
{
	int state = state_of(thread);
	int rest;

	thread->settled = state;
	switch (state) {
	case CKPT_THREAD_GONE:
		return has_left(thread->task);
	case CKPT_THREAD_PARKED:
		return is_parked(thread);
	case CKPT_THREAD_ASLEEP:
		if (!wake_more && is_resting(thread, state))
			return true;
		break;
	case CKPT_THREAD_HALTED:
		if (is_resting(thread, state))
			return true;
		break;
	}

	thread->switches = switches_of(thread->task);
	/* As in is_resting(): count first, then state. */
	smp_rmb();
	rest = rest_state(thread->task);
	if (rest == CKPT_THREAD_ASLEEP && has_to_wake(thread->task, wake_more)) {
		if (!thread->nudged) {
			thread->nudged = true;
			queue_on(thread, &thread->nudge, TWA_SIGNAL);
		}
		rest = CKPT_THREAD_QUEUED;
	}
	thread->settled = rest;
	/* It may have parked or left this very moment: then that stands. */
	return cmpxchg(&thread->state, state, rest) == state && rest != CKPT_THREAD_QUEUED &&
	       is_resting(thread, rest);
}

/* The number of threads that are not still. */
static unsigned int settle_all(struct ckpt_frozen *frozen, bool wake_more,
			       struct ckpt_thread **ret_busy)
{
	struct ckpt_thread *thread;
	unsigned int busy = 0;

	ckpt_freeze_hold(frozen);
	list_for_each_entry(thread, &frozen->threads, link) {
		if (settle_thread(thread, wake_more))
			continue;
		*ret_busy = thread;
		busy++;
	}
	ckpt_freeze_release(frozen);
	return busy;
}

static int name_busy(struct ckpt_thread *busy, struct ckpt_why *why)
{
	pid_t nr = ckpt_task_nr(busy->task);

	ckpt_freeze_hold(busy->frozen);
	if (state_of(busy) != CKPT_THREAD_GONE)
		why->syscall = syscall_get_nr(busy->task, task_pt_regs(busy->task));
	ckpt_freeze_release(busy->frozen);
	return ckpt_because(why, CKPT_REASON_BUSY_THREAD, nr, -ETIMEDOUT);
}

static unsigned int count_left(struct ckpt_frozen *frozen)
{
	struct ckpt_thread *thread;
	unsigned int nr = 0;

	list_for_each_entry(thread, &frozen->threads, link)
		nr += READ_ONCE(thread->state) != CKPT_THREAD_GONE;
	return nr;
}

static int settle(struct ckpt_frozen *frozen, bool wake_more, struct ckpt_why *why)
{
	struct ckpt_thread *busy = NULL;
	u64 pause = POLL_MIN_NS;
	unsigned int nr;
	int new;

	for (;;) {
		nr = settle_all(frozen, wake_more, &busy);
		/*
		 * In this order: a thread may have made another one before it came to
		 * rest. When all we know are still, those we find are all there are.
		 */
		new = queue_new(frozen);
		if (new < 0)
			return new;
		if (!nr && !new)
			break;
		if (signal_pending(current))
			return -EINTR;
		if (ktime_after(ktime_get(), frozen->deadline))
			return nr ? name_busy(busy, why) :
				    ckpt_because(why, CKPT_REASON_UNSTEADY, 0, -EAGAIN);
		if (!nr)
			continue;
		/* Wakes early when the thread we saw last has parked. */
		wait_event_interruptible_hrtimeout(frozen->progress,
						   READ_ONCE(busy->state) == CKPT_THREAD_GONE ||
						   is_parked(busy), ns_to_ktime(pause));
		pause = min_t(u64, pause * 2, POLL_MAX_NS);
	}
	if (!count_left(frozen))
		return ckpt_because(why, CKPT_REASON_EXITED, 0, -ESRCH);
	return 0;
}

static int enter_frozen_list(struct ckpt_frozen *frozen, struct ckpt_why *why)
{
	struct ckpt_frozen *other;
	int ret = 0;

	spin_lock(&frozen_lock);
	list_for_each_entry(other, &frozen_groups, entry) {
		if (same_thread_group(other->leader, frozen->leader)) {
			ret = ckpt_because(why, CKPT_REASON_FROZEN, 0, -EBUSY);
			break;
		}
	}
	if (!ret)
		list_add(&frozen->entry, &frozen_groups);
	spin_unlock(&frozen_lock);
	return ret;
}

/* With every thread still: is it the process we were asked for, and alone? */
static int check_still(struct ckpt_frozen *frozen, struct ckpt_why *why)
{
	int ret;

	if (frozen->leader->exit_state || (frozen->leader->flags & PF_EXITING))
		return ckpt_because(why, CKPT_REASON_EXITED, 0, -ESRCH);
	ret = ckpt_target_check(frozen->leader, why);
	if (ret)
		return ret;
	if (!frozen->mm)
		frozen->mm = get_task_mm(frozen->leader);
	if (!frozen->mm)
		return ckpt_because(why, CKPT_REASON_EXITED, 0, -ESRCH);
	if (READ_ONCE(frozen->leader->mm) != frozen->mm)
		return ckpt_because(why, CKPT_REASON_EXEC, 0, -EAGAIN);
	/* Those that have left count no more: they would hide a process that shares. */
	return ckpt_target_check_sharers(frozen->leader, frozen->mm, count_left(frozen), why);
}

/* As often as it takes, until the deadline: what is in the way may pass by itself. */
static int freeze_all(struct ckpt_frozen *frozen, struct ckpt_why *why)
{
	int ret;

	for (;;) {
		ret = settle(frozen, false, why);
		if (!ret)
			ret = check_still(frozen, why);
		if (ret != -EAGAIN || ktime_after(ktime_get(), frozen->deadline))
			return ret;
		if (signal_pending(current))
			return -EINTR;
		wait_event_interruptible_hrtimeout(frozen->progress, false,
						   ns_to_ktime(POLL_MAX_NS));
	}
}

static struct ckpt_frozen *freeze_new(struct task_struct *leader, unsigned int timeout_ms)
{
	struct ckpt_frozen *frozen = ckpt_alloc(sizeof(*frozen));

	if (!frozen)
		return NULL;
	frozen->pause = ckpt_alloc(sizeof(*frozen->pause));
	if (!frozen->pause) {
		kfree(frozen);
		return NULL;
	}
	refcount_set(&frozen->pause->refs, 1);
	refcount_set(&frozen->refs, 1);
	INIT_LIST_HEAD(&frozen->entry);
	INIT_LIST_HEAD(&frozen->threads);
	INIT_LIST_HEAD(&frozen->spares);
	init_waitqueue_head(&frozen->progress);
	init_waitqueue_head(&frozen->thaw);
	init_waitqueue_head(&frozen->release);
	frozen->leader = get_task_struct(leader);
	frozen->begun = ktime_get();
	frozen->timeout_ms = timeout_ms;
	frozen->deadline = ktime_add_ms(frozen->begun, timeout_ms);
	ckpt_count(CKPT_COUNT_FREEZES, 1);
	return frozen;
}

/**
 * ckpt_freeze_begin - bring every thread of a process to rest
 * @leader: its thread group leader
 * @timeout_ms: give up after this long
 * @why: the reason, on error
 * @ret_frozen: to be given to ckpt_freeze_end()
 *
 * Return: 0; -ETIMEDOUT, -EBUSY, -ESRCH, -EPERM, -EAGAIN, -EINTR, -ENOMEM or
 * -EOPNOTSUPP, and then the process runs on.
 */
int ckpt_freeze_begin(struct task_struct *leader, unsigned int timeout_ms,
		      struct ckpt_why *why, struct ckpt_frozen **ret_frozen)
{
	struct ckpt_frozen *frozen = freeze_new(leader, timeout_ms);
	struct ckpt_freeze_stats stats;
	int ret;

	if (!frozen)
		return -ENOMEM;
	ret = enter_frozen_list(frozen, why);
	if (!ret)
		ret = freeze_all(frozen, why);
	frozen->freeze_ns = ckpt_freeze_age_ns(frozen);

	ckpt_frozen_stats(frozen, &stats);
	trace_freeze(leader->pid, stats.threads, stats.asleep, stats.woken, stats.freeze_ns, ret);
	if (ret) {
		ckpt_freeze_end(frozen);
		return ret;
	}
	*ret_frozen = frozen;
	return 0;
}

/**
 * ckpt_freeze_deadline - until when a capture that begins now may take
 * @frozen: frozen, perhaps for long
 */
ktime_t ckpt_freeze_deadline(struct ckpt_frozen *frozen)
{
	return ktime_add_ms(ktime_get(), frozen->timeout_ms);
}

/**
 * ckpt_freeze_resettle - bring to rest again who woke in the window
 * @frozen: frozen
 * @wake_more: wake also those sleepers who need not be woken but may be
 * @why: the reason, on error
 */
int ckpt_freeze_resettle(struct ckpt_frozen *frozen, bool wake_more, struct ckpt_why *why)
{
	int ret;

	/* The target may have been frozen for long; this is another wait. */
	frozen->deadline = ckpt_freeze_deadline(frozen);
	ret = settle(frozen, wake_more, why);
	return ret ?: check_still(frozen, why);
}

/**
 * ckpt_freeze_steady - has nobody moved since the freeze, or the last resettle?
 * @frozen: frozen
 *
 * Ask after a capture: true makes it a picture of one instant.
 */
bool ckpt_freeze_steady(struct ckpt_frozen *frozen)
{
	struct ckpt_thread *thread;
	unsigned int gone = 0;
	int state;

	list_for_each_entry(thread, &frozen->threads, link) {
		state = state_of(thread);
		/* A sleeper that has parked since did what its call does before that. */
		if (state != thread->settled)
			return false;
		if (state == CKPT_THREAD_GONE)
			gone++;
		else if (state == CKPT_THREAD_ASLEEP || state == CKPT_THREAD_HALTED) {
			if (!is_resting(thread, state))
				return false;
		} else if (state != CKPT_THREAD_PARKED || fatal_signal_pending(thread->task))
			return false;
	}
	return gone < frozen->nr_threads;
}

static void take_back(struct ckpt_thread *thread, struct callback_head *work)
{
	if (ckpt_task_work_cancel(thread->task, work))
		freeze_put(thread->frozen);
}

/**
 * ckpt_freeze_end - let everybody go on; cannot fail
 * @frozen: frozen, or failed to freeze; not to be used afterwards
 *
 * Return: nanoseconds since the freeze began.
 */
u64 ckpt_freeze_end(struct ckpt_frozen *frozen)
{
	struct ckpt_thread *thread;
	u64 pause_ns;

	WRITE_ONCE(frozen->ended, true);
	/* Before the wake-up: those who wake may run at once, in our place. */
	pause_ns = ckpt_freeze_age_ns(frozen);
	wake_up_all(&frozen->thaw);
	WRITE_ONCE(frozen->pause->ns, pause_ns);

	list_for_each_entry(thread, &frozen->threads, link) {
		take_back(thread, &thread->park);
		if (thread->nudged)
			take_back(thread, &thread->nudge);
	}
	spin_lock(&frozen_lock);
	list_del_init(&frozen->entry);
	spin_unlock(&frozen_lock);
	if (frozen->mm)
		mmput(frozen->mm);
	frozen->mm = NULL;
	trace_thaw(frozen->leader->pid, pause_ns);
	freeze_put(frozen);
	return pause_ns;
}

u64 ckpt_freeze_age_ns(struct ckpt_frozen *frozen)
{
	return ktime_to_ns(ktime_sub(ktime_get(), frozen->begun));
}

struct task_struct *ckpt_frozen_leader(struct ckpt_frozen *frozen)
{
	return frozen->leader;
}

struct mm_struct *ckpt_frozen_mm(struct ckpt_frozen *frozen)
{
	return frozen->mm;
}

/* Uses of the mm that are accounted for: the threads', and our own. */
unsigned int ckpt_frozen_users(struct ckpt_frozen *frozen)
{
	return count_left(frozen) + 1;
}

/* List of struct ckpt_thread, some of which may be GONE. */
struct list_head *ckpt_frozen_threads(struct ckpt_frozen *frozen)
{
	return &frozen->threads;
}

struct ckpt_pause *ckpt_frozen_get_pause(struct ckpt_frozen *frozen)
{
	refcount_inc(&frozen->pause->refs);
	return frozen->pause;
}

void ckpt_pause_put(struct ckpt_pause *pause)
{
	if (pause && refcount_dec_and_test(&pause->refs))
		kfree(pause);
}

void ckpt_frozen_stats(struct ckpt_frozen *frozen, struct ckpt_freeze_stats *stats)
{
	struct ckpt_thread *thread;

	*stats = (struct ckpt_freeze_stats) { .freeze_ns = frozen->freeze_ns };
	list_for_each_entry(thread, &frozen->threads, link) {
		switch (READ_ONCE(thread->state)) {
		case CKPT_THREAD_GONE:
			continue;
		case CKPT_THREAD_PARKED:
			stats->parked++;
			stats->woken += thread->nudged;
			break;
		default:
			stats->asleep++;
		}
		stats->threads++;
	}
}

/* Module exit: nobody may still be in, or on the way to, our callbacks. */
void ckpt_freeze_exit(void)
{
	/* Nobody tells: after the count a target may only return, not sleep, in our text. */
	while (atomic64_read(&ckpt_counters[CKPT_COUNT_FREEZES]))
		schedule_timeout_uninterruptible(1);
	synchronize_rcu_tasks();
}
