// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: signal actions, pending signals and the timers that send them.
 *
 * Owns nothing. Locks: the group's siglock, which keeps senders away. Timers are copied
 * in the same hold as the queues: a timer is seen either before it fired, and will fire
 * again when restored, or after, and its signal is in a queue. Never neither, never both.
 * What is copied goes into room made before; if more signals were queued meanwhile,
 * again with more.
 */
#include <linux/posix-timers.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/slab.h>

#include "alloc.h"
#include "compat/compat.h"
#include "freeze.h"
#include "record.h"
#include "state.h"
#include "target.h"
#include "timers.h"

/* lock_task_sighand() calls a function that is not for modules; this is the same. */
struct sighand_struct *__ckpt_lock_sighand(struct task_struct *task)
{
	struct sighand_struct *sighand;

	rcu_read_lock();
	for (;;) {
		sighand = rcu_dereference(task->sighand);
		if (!sighand)
			break;
		spin_lock_irq(&sighand->siglock);
		if (sighand == rcu_access_pointer(task->sighand)) {
			__release(&sighand->siglock);	/* for sparse: the wrapper counts it */
			break;
		}
		spin_unlock_irq(&sighand->siglock);
	}
	rcu_read_unlock();
	return sighand;
}

static void add_actions(struct ckpt_records *r, struct task_struct *leader)
{
	struct ckpt_rec_sigaction *rec;
	struct sighand_struct *sighand;
	int i;

	ckpt_record_begin(r, CKPT_REC_SIGACTIONS);
	rec = ckpt_record_room(r, _NSIG * sizeof(*rec));
	sighand = rec ? ckpt_lock_sighand(leader) : NULL;
	if (!sighand) {
		r->err = r->err ?: -ESRCH;
		return;
	}
	for (i = 0; i < _NSIG; i++) {
		const struct sigaction *sa = &sighand->action[i].sa;

		rec[i].handler = (unsigned long)sa->sa_handler;
		rec[i].flags = sa->sa_flags;
		rec[i].restorer = (unsigned long)sa->sa_restorer;
		rec[i].mask = sa->sa_mask.sig[0];
	}
	ckpt_unlock_sighand(sighand);
	ckpt_record_end(r);
}

/* Copy one queue into @v, as far as it fits. Returns how many there are. */
static unsigned int copy_queue(struct sigpending *pending, pid_t tid,
			       struct ckpt_rec_sigpending *v, unsigned int cap)
{
	const struct sigqueue *q;
	unsigned int nr = 0;
	sigset_t queued;
	int sig;

	sigemptyset(&queued);
	list_for_each_entry(q, &pending->list, list) {
		sigaddset(&queued, q->info.si_signo);
		if (nr < cap) {
			memset(&v[nr], 0, sizeof(v[nr]));
			v[nr].tid = tid;
			v[nr].signo = q->info.si_signo;
			v[nr].timer = q->info.si_code == SI_TIMER;
			memcpy(v[nr].info, &q->info, sizeof(q->info));
			if (v[nr].timer) {
				v[nr].timer_id = q->info.si_tid;
				((siginfo_t *)v[nr].info)->si_sys_private = 0;
			}
		}
		nr++;
	}
	/* Without memory for its siginfo a signal is a bit in the set alone. */
	for (sig = 1; sig <= _NSIG; sig++) {
		if (!sigismember(&pending->signal, sig) || sigismember(&queued, sig))
			continue;
		if (nr < cap) {
			siginfo_t *info = (siginfo_t *)v[nr].info;

			memset(&v[nr], 0, sizeof(v[nr]));
			v[nr].tid = tid;
			v[nr].signo = sig;
			info->si_signo = sig;
			info->si_code = SI_USER;
		}
		nr++;
	}
	return nr;
}

static unsigned int copy_queues(struct ckpt_frozen *frozen, struct ckpt_rec_sigpending *v,
				unsigned int cap)
{
	struct task_struct *leader = ckpt_frozen_leader(frozen);
	struct ckpt_thread *thread;
	unsigned int nr;

	nr = copy_queue(&leader->signal->shared_pending, 0, v, cap);
	list_for_each_entry(thread, ckpt_frozen_threads(frozen), link) {
		if (thread->state == CKPT_THREAD_GONE)
			continue;
		nr += copy_queue(&thread->task->pending, ckpt_task_nr(thread->task),
				 v + min(nr, cap), cap - min(nr, cap));
	}
	return nr;
}

/**
 * struct senders - pending signals, and the timers that may send more
 * @pending: room for @pending_cap
 * @nr_pending: how many there are, perhaps more than fit
 */
struct senders {
	struct ckpt_rec_sigpending *pending;
	unsigned int nr_pending, pending_cap;
	struct ckpt_timers timers;
};

/* One hold of siglock. -EAGAIN: a timer is just firing, or there is not enough room. */
static int copy_senders(struct senders *s, struct ckpt_frozen *frozen)
{
	struct sighand_struct *sighand = ckpt_lock_sighand(ckpt_frozen_leader(frozen));
	int ret;

	if (!sighand)
		return -ESRCH;
	s->nr_pending = copy_queues(frozen, s->pending, s->pending_cap);
	ret = ckpt_timers_copy(&s->timers, ckpt_frozen_leader(frozen));
	ckpt_unlock_sighand(sighand);
	return s->nr_pending > s->pending_cap ? -EAGAIN : ret;
}

static int make_room(struct senders *s)
{
	if (s->nr_pending > s->pending_cap) {
		kvfree(s->pending);
		s->pending_cap = s->nr_pending + 16;
		s->pending = ckpt_alloc_array(s->pending_cap, sizeof(*s->pending));
		if (!s->pending)
			return -ENOMEM;
	}
	return ckpt_timers_make_room(&s->timers);
}

static int copy_all_senders(struct senders *s, struct ckpt_frozen *frozen)
{
	int ret;

	do {
		ret = copy_senders(s, frozen);
		if (ret == -EAGAIN) {
			if (make_room(s))
				return -ENOMEM;
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	} while (ret == -EAGAIN);
	return ret;
}

/* What is done on signals, which ones wait, and which timers will send some. */
void ckpt_state_signals(struct ckpt_records *r, struct ckpt_frozen *frozen)
{
	struct task_struct *leader = ckpt_frozen_leader(frozen);
	struct senders s = {};
	unsigned int i;

	add_actions(r, leader);
	ckpt_timers_sample(&s.timers, leader);
	r->err = r->err ?: copy_all_senders(&s, frozen);
	if (!r->err) {
		for (i = 0; i < s.nr_pending; i++)
			ckpt_record_add(r, CKPT_REC_SIGPENDING, &s.pending[i]);
		ckpt_timers_add(r, &s.timers);
	}
	kvfree(s.pending);
	ckpt_timers_free(&s.timers);
}
