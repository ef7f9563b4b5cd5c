/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_STATE_H
#define _CKPT_STATE_H

#include <linux/sched/signal.h>
#include <linux/time_namespace.h>
#include <linux/types.h>

#include "compat/compat.h"

struct ckpt_frozen;
struct ckpt_identities;
struct ckpt_policy;
struct ckpt_records;
struct ckpt_thread;
struct ckpt_written_list;
struct file;
struct mm_struct;
struct path;
struct seq_file;
struct socket;
struct task_struct;
struct vm_area_struct;

/* The state of a frozen process, one file for each part; capture.c calls them in turn. */
void ckpt_state_process(struct ckpt_records *r, struct ckpt_frozen *frozen);
void ckpt_state_memory(struct ckpt_records *r, struct ckpt_frozen *frozen);
void ckpt_state_files(struct ckpt_records *r, struct ckpt_frozen *frozen,
		      struct ckpt_written_list *written);
void ckpt_state_signals(struct ckpt_records *r, struct ckpt_frozen *frozen);
void ckpt_state_thread(struct ckpt_records *r, struct ckpt_frozen *frozen,
		       struct ckpt_thread *thread);

int ckpt_state_capture(struct ckpt_records *r, struct ckpt_frozen *frozen,
		       struct ckpt_written_list *written);

/* Shared by the parts. */
void ckpt_socket_show(struct seq_file *m, struct socket *sock, const struct ckpt_identities *ids);
bool ckpt_file_is_tty(struct file *file);
void ckpt_tty_show(struct seq_file *m, struct file *file);
void ckpt_owner_show(struct seq_file *m, struct file *file);
void ckpt_pipe_show(struct seq_file *m, struct file *file);
void ckpt_tcp_add(struct ckpt_records *r, struct socket *sock);
#define CKPT_PATH_ROOM	PATH_MAX

/* state_policy.c */
struct ckpt_policy *ckpt_policy_of(struct vm_area_struct *vma, int *err);
void ckpt_policy_add(struct ckpt_records *r, const struct ckpt_policy *p);
void ckpt_state_policy(struct ckpt_records *r, struct task_struct *task);

/* state_sem.c */
bool ckpt_has_sem_undo(struct ckpt_frozen *frozen);
void ckpt_state_sem(struct ckpt_records *r, struct ckpt_frozen *frozen);

/* state_guard.c */
void ckpt_state_guards(struct ckpt_records *r, struct mm_struct *mm);

/* state_seccomp.c */
void ckpt_state_seccomp(struct ckpt_records *r, struct task_struct *task, struct task_struct *leader);

const char *ckpt_path_text(const struct path *path, char *buf, u32 *ret_flags, u32 *ret_len);
struct timens_offsets ckpt_clock_offsets(struct task_struct *task);
void ckpt_timerfd_show(struct seq_file *m, struct file *file, const struct timens_offsets *offsets);
struct sighand_struct *__ckpt_lock_sighand(struct task_struct *task);

/* NULL, or the group's signal handlers, locked. The wrapper is for sparse. */
static inline struct sighand_struct *ckpt_lock_sighand(struct task_struct *task)
{
	struct sighand_struct *sighand = __ckpt_lock_sighand(task);

	(void)__cond_lock(&sighand->siglock, sighand);
	return sighand;
}

static inline void ckpt_unlock_sighand(struct sighand_struct *sighand)
	__releases(&sighand->siglock)
{
	spin_unlock_irq(&sighand->siglock);
}

#endif /* _CKPT_STATE_H */
