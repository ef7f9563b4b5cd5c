/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place that knows kernel versions (6.1 to 7.2).
 *
 * Each helper answers one question in the words of the newest kernel, so that
 * a branch here can be deleted when its kernel is no longer supported.
 */
#ifndef _CKPT_COMPAT_H
#define _CKPT_COMPAT_H

#include <linux/version.h>
#include <linux/capability.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fdtable.h>
#include <linux/hrtimer.h>
#include <linux/list_lru.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/ns_common.h>
#include <linux/posix-timers.h>
#include <linux/restart_block.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/seccomp.h>
#include <linux/seq_file.h>
#include <linux/shrinker.h>
#include <linux/signal_types.h>
#include <linux/slab.h>
#include <linux/tty_buffer.h>
#include <asm/fpu/types.h>
#include <asm/unistd.h>
#include <uapi/linux/ckpt.h>

#define CKPT_KERNEL_BEFORE(major, minor) \
	(LINUX_VERSION_CODE < KERNEL_VERSION(major, minor, 0))

/* 6.19: entries of page tables that are no pages got a header and names of their own. */
#if !CKPT_KERNEL_BEFORE(6, 19)
#include <linux/swap.h>
#include <linux/leafops.h>
#endif
/* 6.3: file locks got a header of their own. */
#if !CKPT_KERNEL_BEFORE(6, 3)
#include <linux/filelock.h>
#endif
#if CKPT_KERNEL_BEFORE(7, 2)
#include <linux/sched/coredump.h>
#else
#include <linux/sched/exec_state.h>
#endif

/* 7.2: sparse does not follow locks any more, and the annotation for it is gone. */
#ifndef __cond_lock
#define __cond_lock(lock, cond)	(cond)
#endif

/* 6.3: kernel_cap_t became one 64-bit word. */
static inline u64 ckpt_cap_word(const kernel_cap_t *cap)
{
#if CKPT_KERNEL_BEFORE(6, 3)
	return (u64)cap->cap[1] << 32 | cap->cap[0];
#else
	return cap->val;
#endif
}

/* A buffer says that it has flags, and no longer that it has none. */
static inline bool ckpt_tty_buffer_has_flags(const struct tty_buffer *b)
{
#ifdef TTYB_NORMAL
	return !(b->flags & TTYB_NORMAL);
#else
	return b->flags;
#endif
}

/* 6.5: get_user_pages_remote() lost its array of mappings. */
static inline long ckpt_gup_remote(struct mm_struct *mm, unsigned long addr, unsigned int flags,
				   struct page **page)
{
#if CKPT_KERNEL_BEFORE(6, 5)
	return get_user_pages_remote(mm, addr, 1, flags, page, NULL, NULL);
#else
	return get_user_pages_remote(mm, addr, 1, flags, page, NULL);
#endif
}

/* 6.4: faults may run under a lock of the mapping alone. */
static inline void ckpt_vma_lock(struct vm_area_struct *vma)
{
#if !CKPT_KERNEL_BEFORE(6, 4)
	vma_start_write(vma);
#endif
}

/* 6.7: the functions take a folio and tell PTE from PMD mappings. */
static inline int ckpt_try_share_pte(struct page *page)
{
#if CKPT_KERNEL_BEFORE(6, 8)
	return page_try_share_anon_rmap(page);
#else
	return folio_try_share_anon_rmap_pte(page_folio(page), page);
#endif
}

static inline int ckpt_try_share_pmd(struct page *page)
{
#if CKPT_KERNEL_BEFORE(6, 8)
	return page_try_share_anon_rmap(page);
#else
	return folio_try_share_anon_rmap_pmd(page_folio(page), page);
#endif
}

/*
 * 6.6: pte_mkwrite() asks whether the mapping is a shadow stack, and is not for modules. This
 * is for mappings that are not.
 */
static inline pte_t ckpt_pte_mkwrite(pte_t pte)
{
#if CKPT_KERNEL_BEFORE(6, 6)
	return pte_mkwrite(pte);
#else
	return pte_clear_saveddirty(pte_mkwrite_novma(pte));
#endif
}

static inline pmd_t ckpt_pmd_mkwrite(pmd_t pmd)
{
#if CKPT_KERNEL_BEFORE(6, 6)
	return pmd_mkwrite(pmd);
#else
	return pmd_clear_saveddirty(pmd_mkwrite_novma(pmd));
#endif
}

/*
 * 6.12 (or somewhat before): madvise(MADV_COLD) does not put back the entry of a huge page
 * as it was when it looked first. A dirty bit that is set meanwhile would be lost.
 */
static inline bool ckpt_huge_dirty_bit_is_safe(void)
{
	return !CKPT_KERNEL_BEFORE(6, 12);
}

static inline bool ckpt_vma_is_shadow_stack(struct vm_area_struct *vma)
{
#if CKPT_KERNEL_BEFORE(6, 6)
	return false;
#else
	return vma->vm_flags & VM_SHADOW_STACK;
#endif
}

/* Was any page of it ever pinned? Never cleared. The flag words moved in 6.18. */
static inline bool ckpt_mm_has_pinned(struct mm_struct *mm)
{
#if CKPT_KERNEL_BEFORE(6, 18)
	return test_bit(MMF_HAS_PINNED, &mm->flags);
#else
	return mm_flags_test(MMF_HAS_PINNED, mm);
#endif
}

/* 6.3: the notifier range lost its mapping. */
static inline void ckpt_notifier_range(struct mmu_notifier_range *range, struct mm_struct *mm)
{
#if CKPT_KERNEL_BEFORE(6, 3)
	mmu_notifier_range_init(range, MMU_NOTIFY_PROTECTION_PAGE, 0, NULL, mm, 0, TASK_SIZE_MAX);
#else
	mmu_notifier_range_init(range, MMU_NOTIFY_PROTECTION_PAGE, 0, mm, 0, TASK_SIZE_MAX);
#endif
}

/* 6.6: the end of a notifier range lost its second argument. */
#if CKPT_KERNEL_BEFORE(6, 6)
#define CKPT_NOTIFIER_END_ARGS(range)	range, false
#else
#define CKPT_NOTIFIER_END_ARGS(range)	range
#endif

/* 6.7: get_file_rcu() takes the address of the pointer. */
static inline struct file *ckpt_mm_exe_file(struct mm_struct *mm)
{
	struct file *file;

	rcu_read_lock();
#if CKPT_KERNEL_BEFORE(6, 7)
	file = rcu_dereference(mm->exe_file);
	if (file && !get_file_rcu(file))
		file = NULL;
#else
	file = get_file_rcu(&mm->exe_file);
#endif
	rcu_read_unlock();
	return file;
}

/* 6.14: not a flag of dentry_open() any more, but a function beside it, not exported. */
#ifdef __FMODE_NONOTIFY
#define CKPT_OPEN_QUIETLY	__FMODE_NONOTIFY
#endif

/* 6.8: a file mapped through a stacked file system knows its path by function. */
static inline const struct path *ckpt_file_path(struct file *file)
{
#if CKPT_KERNEL_BEFORE(6, 8)
	return &file->f_path;
#else
	return file_user_path(file);
#endif
}

/* 6.12: the question is asked of the files, not of their table. Under files->file_lock. */
static inline bool ckpt_close_on_exec(struct files_struct *files, unsigned int fd)
{
#if CKPT_KERNEL_BEFORE(6, 12)
	return close_on_exec(fd, files_fdtable(files));
#else
	return close_on_exec(fd, files);
#endif
}

/* 6.12: f_owner became a pointer. */
static inline bool ckpt_file_has_owner(struct file *file)
{
#if CKPT_KERNEL_BEFORE(6, 12)
	return file->f_owner.pid || file->f_owner.signum;
#else
	struct fown_struct *owner = READ_ONCE(file->f_owner);

	return owner && (owner->pid || owner->signum);
#endif
}

static inline struct fown_struct *ckpt_file_owner(struct file *file)
{
#if CKPT_KERNEL_BEFORE(6, 12)
	return &file->f_owner;
#else
	return READ_ONCE(file->f_owner);
#endif
}

/* 6.12: which writer of a pipe an open file has seen last got a name of its own. */
static inline u64 ckpt_pipe_seen(const struct file *file)
{
#if CKPT_KERNEL_BEFORE(6, 12)
	return file->f_version;
#else
	return file->f_pipe;
#endif
}

/* 6.9: the fields that leases share moved to struct file_lock_core. */
#if CKPT_KERNEL_BEFORE(6, 9)
#define ckpt_lock_core			file_lock
#define ckpt_lock_list			fl_list
#define ckpt_lock_owner(fl)		((fl)->fl_owner)
#define ckpt_lock_flags(fl)		((fl)->fl_flags)
#define ckpt_lock_type(fl)		((fl)->fl_type)
#define ckpt_lock_file(fl)		((fl)->fl_file)
#define ckpt_lock_start(fl)		((fl)->fl_start)
#define ckpt_lock_end(fl)		((fl)->fl_end)
#else
#define ckpt_lock_core			file_lock_core
#define ckpt_lock_list			flc_list
#define ckpt_lock_owner(fl)		((fl)->flc_owner)
#define ckpt_lock_flags(fl)		((fl)->flc_flags)
#define ckpt_lock_type(fl)		((fl)->flc_type)
#define ckpt_lock_file(fl)		((fl)->flc_file)
#define ckpt_lock_start(fl)		(container_of(fl, struct file_lock, c)->fl_start)
#define ckpt_lock_end(fl)		(container_of(fl, struct file_lock, c)->fl_end)
#endif

/* 6.3: the length of the rseq area is kept; before it could only be this. */
static inline unsigned long ckpt_rseq(struct task_struct *t, u32 *len, u32 *sig)
{
#if CKPT_KERNEL_BEFORE(6, 3)
	*len = t->rseq ? 32 : 0;
	*sig = t->rseq_sig;
	return (unsigned long)t->rseq;
#elif CKPT_KERNEL_BEFORE(6, 19)
	*len = t->rseq ? t->rseq_len : 0;
	*sig = t->rseq_sig;
	return (unsigned long)t->rseq;
#else
	*len = t->rseq.usrptr ? t->rseq.len : 0;
	*sig = t->rseq.sig;
	return (unsigned long)t->rseq.usrptr;
#endif
}

/* 7.2: a poll to go on with has its end in one field. */
static inline u64 ckpt_restart_poll_ns(const struct restart_block *rb)
{
#if CKPT_KERNEL_BEFORE(7, 2)
	return (u64)rb->poll.tv_sec * NSEC_PER_SEC + rb->poll.tv_nsec;
#else
	return timespec64_to_ns(&rb->poll.end_time);
#endif
}

#ifdef CONFIG_FUTEX
/* 7.2: what a task has of futexes became a struct. */
static inline struct robust_list_head __user *ckpt_robust_list(struct task_struct *task)
{
#if CKPT_KERNEL_BEFORE(7, 2)
	return task->robust_list;
#else
	return task->futex.robust_list;
#endif
}

static inline bool ckpt_owns_pi_futex(struct task_struct *task)
{
#if CKPT_KERNEL_BEFORE(7, 2)
	return !list_empty(&task->pi_state_list);
#else
	return !list_empty(&task->futex.pi_state_list);
#endif
}
#endif /* CONFIG_FUTEX */

/* 6.7: flags a restart_block keeps for a futex; private to kernel/futex/futex.h. */
#if CKPT_KERNEL_BEFORE(6, 7)
#define CKPT_FUTEX_SHARED	0x01
#define CKPT_FUTEX_CLOCKRT	0x02
#define CKPT_FUTEX_HAS_TIMEOUT	0x04
#else
#define CKPT_FUTEX_SHARED	0x0010
#define CKPT_FUTEX_CLOCKRT	0x0020
#define CKPT_FUTEX_HAS_TIMEOUT	0x0040
#endif

/* 6.8: a list_lru can be added to by object. */
static inline bool ckpt_lru_add(struct list_lru *lru, struct list_head *item)
{
#if CKPT_KERNEL_BEFORE(6, 8)
	return list_lru_add(lru, item);
#else
	return list_lru_add_obj(lru, item);
#endif
}

static inline bool ckpt_lru_del(struct list_lru *lru, struct list_head *item)
{
#if CKPT_KERNEL_BEFORE(6, 8)
	return list_lru_del(lru, item);
#else
	return list_lru_del_obj(lru, item);
#endif
}

/* 6.13: the callback of a walk lost the lock. */
#if CKPT_KERNEL_BEFORE(6, 13)
#define CKPT_LRU_CALLBACK(name, item, lru, arg) \
	enum lru_status name(struct list_head *item, struct list_lru_one *lru, \
			     spinlock_t *lock, void *arg)
#else
#define CKPT_LRU_CALLBACK(name, item, lru, arg) \
	enum lru_status name(struct list_head *item, struct list_lru_one *lru, void *arg)
#endif

/*
 * 6.7: shrinkers are allocated first and registered when they are complete.
 * Before, one function did both, so that the callbacks may run at once.
 */
static inline struct shrinker *ckpt_shrinker_alloc(unsigned int flags)
{
#if CKPT_KERNEL_BEFORE(6, 7)
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);

	if (shrinker) {
		shrinker->flags = flags;
		shrinker->seeks = DEFAULT_SEEKS;
	}
	return shrinker;
#else
	return shrinker_alloc(flags, "ckpt");
#endif
}

static inline int ckpt_shrinker_register(struct shrinker *shrinker)
{
#if CKPT_KERNEL_BEFORE(6, 7)
	return register_shrinker(shrinker, "ckpt");
#else
	shrinker_register(shrinker);
	return 0;
#endif
}

static inline void ckpt_shrinker_free(struct shrinker *shrinker)
{
#if CKPT_KERNEL_BEFORE(6, 7)
	unregister_shrinker(shrinker);	/* does nothing to one not registered */
	kfree(shrinker);
#else
	shrinker_free(shrinker);
#endif
}

/* What an mm can be set to; the flag words moved in 6.18. */
static inline u64 ckpt_mm_odd_flags(struct mm_struct *mm)
{
	u64 flags = 0;

#if CKPT_KERNEL_BEFORE(6, 18)
	if (test_bit(MMF_DISABLE_THP, &mm->flags))
		flags |= CKPT_PROC_THP_DISABLE;
	if (test_bit(MMF_HAS_UPROBES, &mm->flags))
		flags |= CKPT_PROC_UPROBES;
#ifdef MMF_HAS_MDWE
	if (test_bit(MMF_HAS_MDWE, &mm->flags))
		flags |= CKPT_PROC_MDWE;
#endif
#ifdef MMF_HAS_MDWE_NO_INHERIT
	if (test_bit(MMF_HAS_MDWE_NO_INHERIT, &mm->flags))
		flags |= CKPT_PROC_MDWE_NO_INHERIT;
#endif
#ifdef MMF_VM_MERGE_ANY
	if (test_bit(MMF_VM_MERGE_ANY, &mm->flags))
		flags |= CKPT_PROC_KSM_ALL;
#endif
#else
	if (mm_flags_test(MMF_DISABLE_THP_COMPLETELY, mm))
		flags |= CKPT_PROC_THP_DISABLE;
	if (mm_flags_test(MMF_DISABLE_THP_EXCEPT_ADVISED, mm))
		flags |= CKPT_PROC_THP_ADVISED;
	if (mm_flags_test(MMF_HAS_UPROBES, mm))
		flags |= CKPT_PROC_UPROBES;
	if (mm_flags_test(MMF_HAS_MDWE, mm))
		flags |= CKPT_PROC_MDWE;
	if (mm_flags_test(MMF_HAS_MDWE_NO_INHERIT, mm))
		flags |= CKPT_PROC_MDWE_NO_INHERIT;
	if (mm_flags_test(MMF_VM_MERGE_ANY, mm))
		flags |= CKPT_PROC_KSM_ALL;
#endif
	return flags;
}

/*
 * 6.13: guard regions, an entry of the page table for each page. Before 6.19 one is not told from a page
 * that cannot be read: that is refused as well, if in other words.
 */
static inline bool ckpt_pte_is_guard(pte_t pte)
{
#if !CKPT_KERNEL_BEFORE(6, 19)
	return softleaf_is_guard_marker(softleaf_from_pte(pte));
#else
	return false;
#endif
}

/* What /proc/PID/coredump_filter shows; the flag words moved in 6.18. */
static inline u16 ckpt_dump_filter(const struct mm_struct *mm)
{
#if CKPT_KERNEL_BEFORE(6, 18)
	unsigned long word = READ_ONCE(mm->flags);
#else
	unsigned long word = __mm_flags_get_word(mm);
#endif

	return (word & MMF_DUMP_FILTER_MASK) >> MMF_DUMP_FILTER_SHIFT;
}

/* 6.12: one that went to sleep may stay in its run queue for a while (delayed dequeue). */
static inline bool ckpt_task_is_runnable(struct task_struct *task)
{
#if CKPT_KERNEL_BEFORE(6, 12)
	return READ_ONCE(task->on_rq);
#else
	return READ_ONCE(task->on_rq) && !READ_ONCE(task->se.sched_delayed);
#endif
}

/* 6.16: a task's floating point state lies behind it; x86_task_fpu() may not be exported. */
static inline struct fpu *ckpt_task_fpu(struct task_struct *task)
{
#if CKPT_KERNEL_BEFORE(6, 16)
	return &task->thread.fpu;
#else
	return (struct fpu *)(task + 1);
#endif
}

/*
 * May it be dumped and traced? As prctl(PR_GET_DUMPABLE) says: 0, 1 or 2. 7.2: it
 * belongs to the task and no longer to its memory.
 */
static inline int ckpt_dumpable(struct task_struct *task)
{
#if CKPT_KERNEL_BEFORE(7, 2)
	return get_dumpable(task->mm);
#else
	int dumpable;

	rcu_read_lock();
	dumpable = READ_ONCE(rcu_dereference(task->exec_state)->dumpable);
	rcu_read_unlock();
	return dumpable;
#endif
}

/* 6.19: the mapping has guard regions, or had them. */
static inline vm_flags_t ckpt_vm_guard_flag(void)
{
#ifdef VM_MAYBE_GUARD
	return VM_MAYBE_GUARD;
#else
	return 0;
#endif
}

/* Bits of vm_flags that the kernel sets for itself. */
static inline vm_flags_t ckpt_vm_ignored_flags(void)
{
#ifdef VM_MAYBE_GUARD
	return VM_MAYBE_GUARD | VM_ALLOW_ANY_UNCACHED;
#elif defined(VM_ALLOW_ANY_UNCACHED)
	return VM_ALLOW_ANY_UNCACHED;
#else
	return 0;
#endif
}

/*
 * The number of a mount namespace. struct mnt_namespace is private to fs/mount.h and
 * from_mnt_ns() not for modules; the ns_common has been its first member since 5.11.
 */
static inline u32 ckpt_mnt_ns_number(const struct mnt_namespace *ns)
{
	return ((const struct ns_common *)ns)->inum;
}

/* 6.12: the list of POSIX timers became an hlist. */
#if CKPT_KERNEL_BEFORE(6, 12)
#define ckpt_for_each_posix_timer(timer, sig) \
	list_for_each_entry(timer, &(sig)->posix_timers, list)
#else
#define ckpt_for_each_posix_timer(timer, sig) \
	hlist_for_each_entry(timer, &(sig)->posix_timers, list)
#endif

/* 6.13: a timer's state is one number, its signal is part of it. */
#if !CKPT_KERNEL_BEFORE(6, 13)
enum {	/* enum posix_timer_state, private to kernel/time/posix-timers.h */
	CKPT_POSIX_TIMER_ARMED			= 1,
	CKPT_POSIX_TIMER_REQUEUE_PENDING	= 2,
};
#endif

static inline const struct kernel_siginfo *ckpt_posix_timer_info(const struct k_itimer *timer)
{
#if CKPT_KERNEL_BEFORE(6, 13)
	return &timer->sigq->info;
#else
	return &timer->sigq.info;
#endif
}

/* Its hrtimer runs. */
static inline bool ckpt_posix_timer_queued(const struct k_itimer *timer)
{
#if CKPT_KERNEL_BEFORE(6, 13)
	return timer->it_active;
#else
	return timer->it_status == CKPT_POSIX_TIMER_ARMED;
#endif
}

/* It has fired, and will be started again when its signal is taken. */
static inline bool ckpt_posix_timer_pending(const struct k_itimer *timer)
{
#if CKPT_KERNEL_BEFORE(6, 13)
	return timer->it_requeue_pending & REQUEUE_PENDING;
#else
	return timer->it_status == CKPT_POSIX_TIMER_REQUEUE_PENDING;
#endif
}

/* 6.6: user shadow stacks. */
static inline bool ckpt_has_shadow_stack(const struct task_struct *task)
{
#ifdef CONFIG_X86_USER_SHADOW_STACK
	return task->thread.features;
#else
	return false;
#endif
}

/*
 * Semaphore adjustments to undo, and the sets they are of: private to ipc/sem.c. The list has begun like this
 * since 2.6, the rest has been so since 4.14; 6.6: the adjustments are behind their head. Whoever reads them
 * checks what is found there (state_sem.c).
 */
struct ckpt_sem_undo_list {
	refcount_t refcnt;
	spinlock_t lock;
	struct list_head list_proc;
};

struct ckpt_sem_undo {
	struct list_head list_proc;
	struct rcu_head rcu;
	struct ckpt_sem_undo_list *ulp;
	struct list_head list_id;
	int semid;
#if CKPT_KERNEL_BEFORE(6, 6)
	s16 *semadj;
#else
	s16 semadj[];
#endif
};

struct ckpt_sem_array {
	struct kern_ipc_perm sem_perm;
	time64_t sem_ctime;
	struct list_head pending_alter;
	struct list_head pending_const;
	struct list_head list_id;
	int sem_nsems;
};

/*
 * A filter of seccomp(2): private to kernel/seccomp.c, and has been like this since 5.19. Whoever reads
 * it does so as if it were not mapped, and checks what is found there (state_seccomp.c).
 */
struct ckpt_seccomp_filter {
	refcount_t refs;
	refcount_t users;
	bool log;
	bool wait_killable_recv;
	struct {
		DECLARE_BITMAP(allow_native, SECCOMP_ARCH_NATIVE_NR);
#ifdef SECCOMP_ARCH_COMPAT
		DECLARE_BITMAP(allow_compat, SECCOMP_ARCH_COMPAT_NR);
#endif
	} cache;
	struct ckpt_seccomp_filter *prev;
	struct bpf_prog *prog;
	void *notif;
};

/*
 * 6.5: an eventfd says whether it is a semaphore. Before, it is asked: struct eventfd_ctx is private to
 * fs/eventfd.c, and has been like this since 5.2.
 */
struct ckpt_eventfd_ctx {
	struct kref kref;
	wait_queue_head_t wqh;
	__u64 count;
	unsigned int flags;
	int id;
};

static inline void ckpt_eventfd_show_semaphore(struct seq_file *m, struct file *file)
{
#if CKPT_KERNEL_BEFORE(6, 5)
	const struct ckpt_eventfd_ctx *ctx = file->private_data;

	seq_printf(m, "eventfd-semaphore: %d\n", !!(ctx->flags & EFD_SEMAPHORE));
#endif
}

/* 6.6, 6.7: times of an inode are read by function. */
static inline struct timespec64 ckpt_inode_mtime(const struct inode *inode)
{
#if CKPT_KERNEL_BEFORE(6, 7)
	return inode->i_mtime;
#else
	return inode_get_mtime(inode);
#endif
}

static inline struct timespec64 ckpt_inode_ctime(const struct inode *inode)
{
#if CKPT_KERNEL_BEFORE(6, 6)
	return inode->i_ctime;
#else
	return inode_get_ctime(inode);
#endif
}

#endif /* _CKPT_COMPAT_H */
