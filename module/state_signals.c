// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: signal actions and pending signals.
 *
 * Owns nothing. Locks: the group's siglock, which keeps senders away; what is copied
 * under it goes into room reserved before, and if more signals were queued meanwhile,
 * again with more.
 */
#include <linux/posix-timers.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "freeze.h"
#include "record.h"
#include "state.h"
#include "target.h"

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
			v[nr].tid = tid;
			v[nr].signo = q->info.si_signo;
			v[nr].timer = q->info.si_code == SI_TIMER;
			if (v[nr].timer)
				v[nr].timer_id = q->info.si_tid;
			memcpy(v[nr].info, &q->info, sizeof(q->info));
		}
		nr++;
	}
	/* Without memory for its siginfo a signal is a bit in the set alone. */
	for (sig = 1; sig <= _NSIG; sig++) {
		if (!sigismember(&pending->signal, sig) || sigismember(&queued, sig))
			continue;
		if (nr < cap) {
			siginfo_t *info = (siginfo_t *)v[nr].info;

			v[nr].tid = tid;
			v[nr].signo = sig;
			info->si_signo = sig;
			info->si_code = SI_USER;
		}
		nr++;
	}
	return nr;
}

static unsigned int copy_pending(struct ckpt_frozen *frozen, struct ckpt_rec_sigpending *v,
				 unsigned int cap)
{
	struct task_struct *leader = ckpt_frozen_leader(frozen);
	struct sighand_struct *sighand = ckpt_lock_sighand(leader);
	struct ckpt_thread *thread;
	unsigned int nr;

	if (!sighand)
		return 0;
	nr = copy_queue(&leader->signal->shared_pending, 0, v, cap);
	list_for_each_entry(thread, ckpt_frozen_threads(frozen), link) {
		if (thread->state == CKPT_THREAD_GONE)
			continue;
		nr += copy_queue(&thread->task->pending, ckpt_task_nr(thread->task),
				 v + min(nr, cap), cap - min(nr, cap));
	}
	ckpt_unlock_sighand(sighand);
	return nr;
}

static void add_pending(struct ckpt_records *r, struct ckpt_frozen *frozen)
{
	struct ckpt_rec_sigpending *v = NULL;
	unsigned int i, nr, cap = 0;

	for (;;) {
		nr = copy_pending(frozen, v, cap);
		if (nr <= cap)
			break;
		kvfree(v);
		cap = nr + 16;
		v = kvcalloc(cap, sizeof(*v), GFP_KERNEL_ACCOUNT);
		if (!v) {
			r->err = r->err ?: -ENOMEM;
			return;
		}
	}
	for (i = 0; i < nr; i++)
		ckpt_record_add(r, CKPT_REC_SIGPENDING, &v[i]);
	kvfree(v);
}

/* What is done on signals, and which ones wait. */
void ckpt_state_signals(struct ckpt_records *r, struct ckpt_frozen *frozen)
{
	add_actions(r, ckpt_frozen_leader(frozen));
	add_pending(r, frozen);
}
