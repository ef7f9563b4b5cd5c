// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attach: which process is meant, and may the caller have it?
 *
 * Owns nothing that lasts: a target is a reference to its thread group leader,
 * taken here, given back by the session with put_task_struct(). A reference keeps
 * the task_struct, not the process: it may exit or execute another program at any
 * moment. So the checks are made twice, once at attach, for an early and clear
 * answer, and again in each freeze when every thread is still: then no exec can be
 * under way and the credentials cannot change.
 */
#include <linux/cleanup.h>
#include <linux/fdtable.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/ptrace.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "symbols.h"
#include "target.h"
#include "why.h"

#ifndef PF_USER_WORKER
#define PF_USER_WORKER	PF_IO_WORKER
#endif

/* A task's number as the caller sees it. */
pid_t ckpt_task_nr(struct task_struct *task)
{
	return task_pid_vnr(task);
}

static int check_threads(struct task_struct *leader, struct ckpt_why *why)
{
	struct task_struct *t;
	int ret = 0;

	rcu_read_lock();
	for_each_thread(leader, t) {
		if (t->flags & (PF_IO_WORKER | PF_USER_WORKER))
			ret = ckpt_because(why, CKPT_REASON_IO_WORKER, ckpt_task_nr(t),
					   -EOPNOTSUPP);
		else if (test_tsk_thread_flag(t, TIF_ADDR32))	/* i386 and x32 */
			ret = ckpt_because(why, CKPT_REASON_COMPAT, ckpt_task_nr(t), -EOPNOTSUPP);
		if (ret)
			break;
	}
	rcu_read_unlock();
	return ret;
}

/**
 * ckpt_target_check - can this process be a target, and of this caller?
 * @leader: its thread group leader
 * @why: the reason, on error
 *
 * Return: 0, -EPERM, -EDEADLK, -ESRCH or -EOPNOTSUPP.
 */
int ckpt_target_check(struct task_struct *leader, struct ckpt_why *why)
{
	if (leader->flags & PF_KTHREAD)
		return ckpt_because(why, CKPT_REASON_KTHREAD, 0, -EOPNOTSUPP);
	if (same_thread_group(leader, current))
		return ckpt_because(why, CKPT_REASON_SELF, 0, -EDEADLK);
	if (leader->exit_state || (leader->flags & PF_EXITING))
		return ckpt_because(why, CKPT_REASON_ZOMBIE, 0, -ESRCH);
	if (!ckpt_ptrace_may_access(leader, PTRACE_MODE_ATTACH_REALCREDS))
		return ckpt_because(why, CKPT_REASON_PERMISSION, 0, -EPERM);
	return check_threads(leader, why);
}

/**
 * ckpt_target_get - find a process and check it
 * @nr: number of the process in the caller's PID namespace
 * @why: the reason, on error
 * @ret_leader: a reference to its thread group leader
 */
int ckpt_target_get(pid_t nr, struct ckpt_why *why, struct task_struct **ret_leader)
{
	struct task_struct *leader;
	struct pid *pid;
	int ret;

	if (nr <= 0)
		return -EINVAL;
	pid = find_get_pid(nr);
	leader = get_pid_task(pid, PIDTYPE_TGID);
	put_pid(pid);
	if (!leader)
		return ckpt_because(why, CKPT_REASON_NO_TARGET, 0, -ESRCH);

	ret = ckpt_target_check(leader, why);
	if (ret) {
		put_task_struct(leader);
		return ret;
	}
	*ret_leader = leader;
	return 0;
}

/*
 * Somebody shares the target's memory, or its descriptors. A child of vfork() wakes its
 * parent a moment before it has let go of them itself: try again.
 */
static int shares(struct task_struct *task, enum ckpt_reason reason, struct ckpt_why *why)
{
	if ((task->flags & PF_EXITING) || task->in_execve)
		return ckpt_because(why, CKPT_REASON_EXEC, ckpt_task_nr(task), -EAGAIN);
	return ckpt_because(why, reason, ckpt_task_nr(task), -EOPNOTSUPP);
}

/**
 * ckpt_target_check_sharers - nobody else may change what we take
 * @leader: of the frozen thread group
 * @mm: its address space, of which the caller holds one user reference
 * @threads: threads the group has
 * @why: names a process that shares
 *
 * Another process with the same mm (vfork, CLONE_VM) or the same descriptor table
 * (CLONE_FILES) is not frozen with this one. Walks all processes, but only when
 * the use counts say that there may be one.
 */
int ckpt_target_check_sharers(struct task_struct *leader, struct mm_struct *mm,
			      unsigned int threads, struct ckpt_why *why)
{
	struct files_struct *files;
	struct task_struct *p, *t;
	bool look;
	int ret = 0;

	task_lock(leader);
	files = leader->files;
	look = files && atomic_read(&files->count) > threads;
	task_unlock(leader);
	if (!look && atomic_read(&mm->mm_users) <= threads + 1)
		return 0;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		if (same_thread_group(t, leader) || (t->flags & PF_KTHREAD))
			continue;
		if (READ_ONCE(t->mm) == mm)
			ret = shares(t, CKPT_REASON_SHARED_MM, why);
		else if (files && READ_ONCE(t->files) == files)
			ret = shares(t, CKPT_REASON_SHARED_FILES, why);
		if (ret == -EOPNOTSUPP)
			goto out;	/* of both loops */
	}
out:
	rcu_read_unlock();
	return ret;
}
