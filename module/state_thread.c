// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: one thread: where it is, its registers, its credentials, its small settings.
 *
 * Owns nothing. The thread is parked, asleep or halted, and off its processor, so that
 * its registers, the extended ones too, are in memory. Should it wake, the capture is
 * made again.
 */
#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/elf.h>
#include <linux/futex.h>
#include <linux/iocontext.h>
#include <linux/kallsyms.h>
#include <linux/ktime.h>
#include <linux/nsproxy.h>
#include <linux/perf_event.h>
#include <linux/ptrace.h>
#include <linux/regset.h>
#include <linux/restart_block.h>
#include <linux/sched/cputime.h>
#include <linux/sched/prio.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/seccomp.h>
#include <linux/user_namespace.h>
#include <asm/syscall.h>
#include <asm/unistd_64.h>

#include "compat/compat.h"
#include "freeze.h"
#include "record.h"
#include "state.h"
#include "target.h"

/* ---- the call a thread was taken out of ---- */

static u64 left_until(u64 expires, clockid_t clock)
{
	u64 now;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_TAI:
		now = ktime_get_real_ns();
		break;
	case CLOCK_BOOTTIME:
		now = ktime_get_boottime_ns();
		break;
	default:
		now = ktime_get_ns();
		break;
	}
	return expires > now ? expires - now : 0;
}

static void restart_nanosleep(struct ckpt_rec_thread *rec, const struct restart_block *rb)
{
	/* A sleep by processor time has its own function, and is not named here. */
	rec->restart = CKPT_RESTART_NANOSLEEP;
	rec->restart_clock = rb->nanosleep.clockid;
	rec->restart_remaining_ns = left_until(rb->nanosleep.expires, rb->nanosleep.clockid);
	if (rb->nanosleep.type == TT_NATIVE)
		rec->restart_args[0] = (unsigned long)rb->nanosleep.rmtp;
	rec->flags |= CKPT_THREAD_HAS_TIMEOUT;
}

static void restart_poll(struct ckpt_rec_thread *rec, const struct restart_block *rb)
{
	rec->restart = CKPT_RESTART_POLL;
	rec->restart_clock = CLOCK_MONOTONIC;
	rec->restart_args[0] = (unsigned long)rb->poll.ufds;
	rec->restart_args[1] = rb->poll.nfds;
	if (rb->poll.has_timeout) {
		rec->flags |= CKPT_THREAD_HAS_TIMEOUT;
		rec->restart_remaining_ns = left_until(ckpt_restart_poll_ns(rb), CLOCK_MONOTONIC);
	}
}

static void restart_futex(struct ckpt_rec_thread *rec, const struct restart_block *rb)
{
	u32 flags = rb->futex.flags;

	rec->restart = CKPT_RESTART_FUTEX;
	rec->restart_clock = flags & CKPT_FUTEX_CLOCKRT ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	rec->restart_args[0] = (unsigned long)rb->futex.uaddr;
	rec->restart_args[1] = rb->futex.val;
	rec->restart_args[2] = (flags & CKPT_FUTEX_SHARED ? 0 : FUTEX_PRIVATE_FLAG) |
			       (flags & CKPT_FUTEX_CLOCKRT ? FUTEX_CLOCK_REALTIME : 0);
	rec->restart_args[3] = rb->futex.bitset;
	if (flags & CKPT_FUTEX_HAS_TIMEOUT) {
		rec->flags |= CKPT_THREAD_HAS_TIMEOUT;
		rec->restart_remaining_ns = left_until(rb->futex.time, rec->restart_clock);
	}
}

static const struct {
	const char *function;
	void (*describe)(struct ckpt_rec_thread *rec, const struct restart_block *rb);
} restarts[] = {
	{ "hrtimer_nanosleep_restart+", restart_nanosleep },
	{ "do_restart_poll+", restart_poll },
	{ "futex_wait_restart+", restart_futex },
};

/*
 * A call that was interrupted and is to be continued with the time that is left keeps
 * what it needs in the restart block. Which call it was only the function tells; the
 * functions are static, their names are not.
 */
static void describe_restart(struct ckpt_rec_thread *rec, struct task_struct *task,
			     const struct pt_regs *regs)
{
	const struct restart_block *rb = &task->restart_block;
	char name[KSYM_SYMBOL_LEN];
	int i;

	if ((long)regs->ax != -ERESTART_RESTARTBLOCK || rec->syscall_nr < 0)
		return;
	sprint_symbol(name, (unsigned long)rb->fn);
	rec->restart = CKPT_RESTART_OTHER;
	for (i = 0; i < ARRAY_SIZE(restarts); i++)
		if (strstarts(name, restarts[i].function))
			restarts[i].describe(rec, rb);
}

/* ---- settings ---- */

/*
 * Some calls block signals for their own duration and keep the caller's mask aside:
 * ppoll, pselect, epoll_pwait and sigsuspend in saved_sigmask, sigtimedwait in
 * real_blocked. What the thread goes on with is the mask kept aside. All but sigsuspend
 * say so by RESTORE_SIGMASK; sigsuspend sets that only when it has been woken.
 */
static void describe_masks(struct ckpt_rec_thread *rec, struct task_struct *task)
{
	bool suspended = rec->run == CKPT_TRUN_ASLEEP && rec->syscall_nr == __NR_rt_sigsuspend;
	struct sighand_struct *sighand = ckpt_lock_sighand(task);

	if (!sighand)
		return;
	rec->sigmask = task->blocked.sig[0];
	if (!sigisemptyset(&task->real_blocked)) {
		rec->tmp_sigmask = rec->sigmask;
		rec->sigmask = task->real_blocked.sig[0];
	} else if (suspended || test_tsk_restore_sigmask(task)) {
		rec->flags |= CKPT_THREAD_RESTORE_SIGMASK;
		rec->tmp_sigmask = rec->sigmask;
		rec->sigmask = task->saved_sigmask.sig[0];
	}
	ckpt_unlock_sighand(sighand);
}

static void describe_scheduling(struct ckpt_rec_thread *rec, struct task_struct *task)
{
	rec->policy = task->policy;
	rec->rt_priority = task->rt_priority;
	rec->nice = PRIO_TO_NICE(task->static_prio);
	rec->sched_flags = task->sched_reset_on_fork ? SCHED_FLAG_RESET_ON_FORK : 0;
	rec->timerslack_ns = task->timer_slack_ns;
	task_cputime_adjusted(task, &rec->utime_ns, &rec->stime_ns);
	task_lock(task);
	if (task->io_context)
		rec->ioprio = task->io_context->ioprio;
	task_unlock(task);
	if (task->policy > SCHED_IDLE)
		rec->flags |= CKPT_THREAD_SCHED_OTHER;
#ifdef CONFIG_SCHED_CORE
	if (task->core_cookie)
		rec->flags |= CKPT_THREAD_SCHED_OTHER;
#endif
}

static u64 kernel_state_flags(struct task_struct *task, struct task_struct *leader)
{
	u64 flags = 0;

	if (task_no_new_privs(task))
		flags |= CKPT_THREAD_NO_NEW_PRIVS;
	if (task->ptrace)
		flags |= CKPT_THREAD_TRACED;
	if ((task->flags & PF_MEMALLOC_NOIO) && (task->flags & PF_LOCAL_THROTTLE))
		flags |= CKPT_THREAD_IO_FLUSHER;
	if (task->flags & PF_MCE_PROCESS)
		flags |= task->flags & PF_MCE_EARLY ? CKPT_THREAD_MCE_EARLY : CKPT_THREAD_MCE_LATE;
	if (task->personality != leader->personality)
		flags |= CKPT_THREAD_PERSONALITY;
	if (task->seccomp.mode)
		flags |= CKPT_THREAD_SECCOMP;
	if (task->io_uring)
		flags |= CKPT_THREAD_IO_URING;
#ifdef CONFIG_FUTEX
	if (ckpt_owns_pi_futex(task))
		flags |= CKPT_THREAD_PI_FUTEX;
#endif
#ifdef CONFIG_NUMA
	if (task->mempolicy)
		flags |= CKPT_THREAD_MEMPOLICY;
#endif
	if (!list_empty(&task->perf_event_list))
		flags |= CKPT_THREAD_PERF;
	if (READ_ONCE(task->files) != leader->files || READ_ONCE(task->fs) != leader->fs)
		flags |= CKPT_THREAD_FILES;
	if (READ_ONCE(task->nsproxy) != leader->nsproxy)
		flags |= CKPT_THREAD_NAMESPACES;
	return flags;
}

static u64 processor_state_flags(struct task_struct *task)
{
	const struct thread_struct *x86 = &task->thread;
	u64 flags = 0;
	int i;

	if (x86->io_bitmap || x86->iopl_emul)
		flags |= CKPT_THREAD_IOPORT;
	for (i = 0; i < GDT_ENTRY_TLS_ENTRIES; i++)
		if (x86->tls_array[i].p)
			flags |= CKPT_THREAD_TLS_ARRAY;
	if (test_tsk_thread_flag(task, TIF_NOTSC) || test_tsk_thread_flag(task, TIF_NOCPUID))
		flags |= CKPT_THREAD_NOTSC;
	if (test_task_syscall_work(task, SYSCALL_USER_DISPATCH))
		flags |= CKPT_THREAD_USER_DISPATCH;
	if (task_spec_ssb_disable(task) || task_spec_ib_disable(task))
		flags |= CKPT_THREAD_SPECULATION;
	if (ckpt_has_shadow_stack(task))
		flags |= CKPT_THREAD_SHSTK;
	return flags;
}

static u32 run_of(const struct ckpt_thread *thread)
{
	switch (thread->state) {
	case CKPT_THREAD_PARKED:
		return CKPT_TRUN_PARKED;
	case CKPT_THREAD_HALTED:
		return CKPT_TRUN_STOPPED;
	default:
		return CKPT_TRUN_ASLEEP;
	}
}

static void add_thread(struct ckpt_records *r, struct task_struct *leader,
		       const struct ckpt_thread *thread)
{
	struct task_struct *task = thread->task;
	struct pt_regs *regs = task_pt_regs(task);
	struct ckpt_rec_thread rec = {
		.tid = ckpt_task_nr(task),
		.run = run_of(thread),
		.flags = kernel_state_flags(task, leader) | processor_state_flags(task),
		.ss_sp = task->sas_ss_sp,
		.ss_size = task->sas_ss_size,
		.ss_flags = task->sas_ss_size ? task->sas_ss_flags & SS_FLAG_BITS : SS_DISABLE,
		.syscall_nr = syscall_get_nr(task, regs),
		.clear_child_tid = (unsigned long)task->clear_child_tid,
		.pdeath_signal = task->pdeath_signal,
	};

#ifdef CONFIG_FUTEX
	rec.robust_list = (unsigned long)ckpt_robust_list(task);
	rec.robust_len = rec.robust_list ? sizeof(struct robust_list_head) : 0;
#endif
#ifdef CONFIG_RSEQ
	rec.rseq = ckpt_rseq(task, &rec.rseq_len, &rec.rseq_sig);
#endif
	get_task_comm(rec.comm, task);
	describe_masks(&rec, task);
	describe_scheduling(&rec, task);
	describe_restart(&rec, task, regs);
	ckpt_record_add(r, CKPT_REC_THREAD, &rec);
}

static void add_creds(struct ckpt_records *r, struct task_struct *task)
{
	struct user_namespace *ns = current_user_ns();
	const struct cred *cred = get_task_cred(task);
	struct ckpt_rec_creds rec = {
		.tid = ckpt_task_nr(task),
		.uid = from_kuid_munged(ns, cred->uid),
		.euid = from_kuid_munged(ns, cred->euid),
		.suid = from_kuid_munged(ns, cred->suid),
		.fsuid = from_kuid_munged(ns, cred->fsuid),
		.gid = from_kgid_munged(ns, cred->gid),
		.egid = from_kgid_munged(ns, cred->egid),
		.sgid = from_kgid_munged(ns, cred->sgid),
		.fsgid = from_kgid_munged(ns, cred->fsgid),
		.securebits = cred->securebits,
		.nr_groups = cred->group_info->ngroups,
		.cap_inheritable = ckpt_cap_word(&cred->cap_inheritable),
		.cap_permitted = ckpt_cap_word(&cred->cap_permitted),
		.cap_effective = ckpt_cap_word(&cred->cap_effective),
		.cap_bounding = ckpt_cap_word(&cred->cap_bset),
		.cap_ambient = ckpt_cap_word(&cred->cap_ambient),
	};
	u32 gid;
	int i;

	ckpt_record_begin(r, CKPT_REC_CREDS);
	ckpt_record_put(r, &rec, sizeof(rec));
	for (i = 0; i < cred->group_info->ngroups; i++) {
		gid = from_kgid_munged(ns, cred->group_info->gid[i]);
		ckpt_record_put(r, &gid, sizeof(gid));
	}
	ckpt_record_end(r);
	put_cred(cred);
}

static void add_regset(struct ckpt_records *r, struct task_struct *task, unsigned int note)
{
	const struct user_regset_view *view = task_user_regset_view(task);
	const struct user_regset *set = NULL;
	struct ckpt_rec_regset *rec;
	unsigned int i, room;
	int len;

	for (i = 0; i < view->n; i++)
		if (view->regsets[i].core_note_type == note)
			set = &view->regsets[i];
	if (!set)
		return;			/* a processor without it */

	room = set->n * set->size;
	ckpt_record_begin(r, CKPT_REC_REGSET);
	rec = ckpt_record_room(r, sizeof(*rec) + room);
	if (!rec)
		return;
	len = regset_get(task, set, room, rec + 1);
	if (len < 0) {
		r->err = len;
		return;
	}
	*rec = (struct ckpt_rec_regset) {
		.tid = ckpt_task_nr(task), .note = note, .len = len,
	};
	ckpt_record_trim(r, room - len);
	ckpt_record_end(r);
}

static void add_cpus(struct ckpt_records *r, struct task_struct *task)
{
	struct ckpt_rec_cpus rec = {
		.tid = ckpt_task_nr(task),
		.nr_words = BITS_TO_LONGS(nr_cpu_ids),
	};

	if (cpumask_subset(cpu_online_mask, &task->cpus_mask))
		return;
	ckpt_record_begin(r, CKPT_REC_CPUS);
	ckpt_record_put(r, &rec, sizeof(rec));
	ckpt_record_put(r, cpumask_bits(&task->cpus_mask), rec.nr_words * sizeof(long));
	ckpt_record_end(r);
}

/* All records of one thread. */
void ckpt_state_thread(struct ckpt_records *r, struct ckpt_frozen *frozen,
		       struct ckpt_thread *thread)
{
	add_thread(r, ckpt_frozen_leader(frozen), thread);
	add_creds(r, thread->task);
	add_regset(r, thread->task, NT_PRSTATUS);
	add_regset(r, thread->task, NT_X86_XSTATE);
	add_cpus(r, thread->task);
	ckpt_state_policy(r, thread->task);
	ckpt_state_seccomp(r, thread->task, ckpt_frozen_leader(frozen));
}
