// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: the machine and the process as a whole.
 *
 * Owns nothing. The target is still; what could be changed from outside meanwhile
 * (rlimits, oom_score_adj) is read under the lock the kernel uses for it.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/fs_struct.h>
#include <linux/ipc_namespace.h>
#include <linux/mm.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/proc_ns.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/time_namespace.h>
#include <linux/timekeeping.h>
#include <linux/tty.h>
#include <linux/user_namespace.h>
#include <linux/utsname.h>
#include <net/net_namespace.h>
#include <asm/mmu_context.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>

#include "compat/compat.h"
#include "freeze.h"
#include "record.h"
#include "state.h"
#include "target.h"

/* How far the target's clocks are ahead of the machine's: by a restore after a reboot, say. */
struct timens_offsets ckpt_clock_offsets(struct task_struct *task)
{
	struct timens_offsets offsets = {};

	task_lock(task);
	if (task->nsproxy && task->nsproxy->time_ns)
		offsets = task->nsproxy->time_ns->offsets;
	task_unlock(task);
	return offsets;
}

static void add_system(struct ckpt_records *r, struct task_struct *leader)
{
	struct timens_offsets offsets = ckpt_clock_offsets(leader);
	struct ckpt_rec_system rec = {
		.realtime_ns = ktime_get_real_ns(),
		.monotonic_ns = ktime_get_ns() + timespec64_to_ns(&offsets.monotonic),
		.boottime_ns = ktime_get_boottime_ns() + timespec64_to_ns(&offsets.boottime),
		.xfeatures = boot_cpu_has(X86_FEATURE_XSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0,
		.page_size = PAGE_SIZE,
	};

	strscpy(rec.release, init_utsname()->release, sizeof(rec.release));
	strscpy(rec.machine, init_utsname()->machine, sizeof(rec.machine));
	strscpy(rec.module_version, CKPT_VERSION, sizeof(rec.module_version));
	ckpt_record_add(r, CKPT_REC_SYSTEM, &rec);
}

static void add_namespaces(struct task_struct *task, struct ckpt_rec_proc *rec)
{
	const struct nsproxy *ns;

	task_lock(task);
	ns = task->nsproxy;
	if (ns) {
		rec->net_ns = ns->net_ns->ns.inum;
		rec->uts_ns = ns->uts_ns->ns.inum;
		rec->ipc_ns = ns->ipc_ns ? ns->ipc_ns->ns.inum : 0;
		rec->cgroup_ns = ns->cgroup_ns->ns.inum;
		rec->time_ns = ns->time_ns ? ns->time_ns->ns.inum : 0;
		rec->mnt_ns = ckpt_mnt_ns_number(ns->mnt_ns);
	}
	task_unlock(task);
	rec->pid_ns = task_active_pid_ns(task)->ns.inum;
	rcu_read_lock();
	rec->user_ns = __task_cred(task)->user_ns->ns.inum;
	rcu_read_unlock();
}

static u64 dumpable_flags(struct task_struct *task)
{
	switch (ckpt_dumpable(task)) {
	case 1:		/* SUID_DUMP_USER */
		return CKPT_PROC_DUMPABLE_USER;
	case 2:		/* SUID_DUMP_ROOT */
		return CKPT_PROC_DUMPABLE_ROOT;
	default:
		return 0;
	}
}

/* What the process is registered for with membarrier(2). */
static u64 membarrier_flags(struct mm_struct *mm)
{
	u64 flags = 0;
#ifdef CONFIG_MEMBARRIER
	int state = atomic_read(&mm->membarrier_state);

	if (state & MEMBARRIER_STATE_PRIVATE_EXPEDITED)
		flags |= CKPT_PROC_MB_PRIVATE;
	if (state & MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE)
		flags |= CKPT_PROC_MB_SYNC_CORE;
	if (state & MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ)
		flags |= CKPT_PROC_MB_RSEQ;
	if (state & MEMBARRIER_STATE_GLOBAL_EXPEDITED)
		flags |= CKPT_PROC_MB_GLOBAL;
#endif
	return flags;
}

static u64 mm_state_flags(struct mm_struct *mm)
{
	u64 flags = ckpt_mm_odd_flags(mm) | membarrier_flags(mm);

	if (mm->context.ldt)
		flags |= CKPT_PROC_LDT;
	if (rcu_access_pointer(mm->ioctx_table))
		flags |= CKPT_PROC_AIO;
	return flags;
}

/* The session's keyring is the login's; these two are the process's own. */
static u64 keyring_flags(struct task_struct *leader)
{
	u64 flags = 0;
#ifdef CONFIG_KEYS
	const struct cred *cred;

	rcu_read_lock();
	cred = __task_cred(leader);
	if (cred->process_keyring || cred->thread_keyring)
		flags |= CKPT_PROC_KEYRINGS;
	rcu_read_unlock();
#endif
	return flags;
}

/* Registers a process has to ask for: all its threads may use them then. */
static u64 fpu_flags(struct task_struct *leader)
{
	u64 allowed = READ_ONCE(ckpt_task_fpu(leader)->perm.__state_perm);

	return allowed & XFEATURE_MASK_USER_DYNAMIC ? CKPT_PROC_XCOMP : 0;
}

static u64 signal_flags(struct signal_struct *sig)
{
	u64 flags = 0;

	if (sig->is_child_subreaper)
		flags |= CKPT_PROC_SUBREAPER;
	if (sig->leader)
		flags |= CKPT_PROC_SESSION_LEADER;
	if (sig->tty)
		flags |= CKPT_PROC_HAS_TTY;
	if (sig->flags & SIGNAL_STOP_STOPPED)
		flags |= CKPT_PROC_STOPPED;
	return flags;
}

/*
 * Children hang on the thread that forked them. tasklist_lock is not for modules;
 * RCU keeps the tasks, and nobody but the frozen threads can add to these lists.
 */
static struct task_struct *first_child(struct ckpt_frozen *frozen)
{
	struct ckpt_thread *thread;

	list_for_each_entry(thread, ckpt_frozen_threads(frozen), link) {
		struct list_head *children = &thread->task->children;
		struct list_head *next = READ_ONCE(children->next);

		if (next != children)
			return list_entry(next, struct task_struct, sibling);
	}
	return NULL;
}

static void add_process(struct ckpt_records *r, struct ckpt_frozen *frozen, u32 threads)
{
	struct task_struct *leader = ckpt_frozen_leader(frozen);
	struct signal_struct *sig = leader->signal;
	struct ckpt_rec_proc rec = {
		.flags = signal_flags(sig) | dumpable_flags(leader) |
			 fpu_flags(leader) | keyring_flags(leader) |
			 mm_state_flags(ckpt_frozen_mm(frozen)),
		.start_boottime_ns = leader->start_boottime,
		.nr_threads = threads,
		.personality = leader->personality,
		.oom_score_adj = sig->oom_score_adj,
		.exit_signal = leader->exit_signal,
	};
	struct task_struct *child;

	rcu_read_lock();
	rec.pid = task_tgid_vnr(leader);
	rec.ppid = task_tgid_vnr(rcu_dereference(leader->real_parent));
	rec.pgid = task_pgrp_vnr(leader);
	rec.sid = task_session_vnr(leader);
	child = first_child(frozen);
	if (child) {
		rec.flags |= CKPT_PROC_CHILDREN;
		rec.child_pid = ckpt_task_nr(child);
	}
	rcu_read_unlock();

	if (ckpt_has_sem_undo(frozen))
		rec.flags |= CKPT_PROC_SYSVSEM_UNDO;
	task_lock(leader);
	if (leader->fs)
		rec.umask = leader->fs->umask;
	task_unlock(leader);
	add_namespaces(leader, &rec);
	ckpt_record_add(r, CKPT_REC_PROC, &rec);
}

static void add_rlimits(struct ckpt_records *r, struct task_struct *leader)
{
	struct ckpt_rec_rlimit rec[RLIM_NLIMITS];
	int i;

	task_lock(leader);
	for (i = 0; i < RLIM_NLIMITS; i++) {
		rec[i].cur = leader->signal->rlim[i].rlim_cur;
		rec[i].max = leader->signal->rlim[i].rlim_max;
	}
	task_unlock(leader);
	ckpt_record_add(r, CKPT_REC_RLIMITS, &rec);
}

/* The machine, the process, its limits, what it undoes at its end. */
void ckpt_state_process(struct ckpt_records *r, struct ckpt_frozen *frozen)
{
	struct ckpt_freeze_stats stats;

	ckpt_frozen_stats(frozen, &stats);
	add_system(r, ckpt_frozen_leader(frozen));
	add_process(r, frozen, stats.threads);
	add_rlimits(r, ckpt_frozen_leader(frozen));
	ckpt_state_sem(r, frozen);
}
