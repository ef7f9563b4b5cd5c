// SPDX-License-Identifier: GPL-2.0-only
/*
 * The few kernel functions we need and no module is given.
 *
 * Owns: the table of addresses, filled once at load by asking the kprobe code
 * where a function is, and never changed after. Each is called through a static
 * call, which is a patched direct call: indirect-branch tracking, CFI and
 * retpolines have no say in it. A kprobe's address may lie behind the function's
 * ENDBR; a direct call may enter there.
 *
 * A missing symbol fails the load and is named. No locks: written before the
 * device exists, read-only after.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/ptrace.h>
#include <linux/static_call.h>
#include <linux/task_work.h>

#include "compat/compat.h"
#include "symbols.h"

/* <asm/tlbflush.h> hides it, and its "everything", from modules. */
typedef void (flush_fn)(struct mm_struct *mm, unsigned long start, unsigned long end,
			unsigned int stride_shift, bool freed_tables);
#define FLUSH_ALL	(-1UL)

DEFINE_STATIC_CALL_NULL(sym_ptrace_may_access, ptrace_may_access);
DEFINE_STATIC_CALL_NULL(sym_task_work_add, task_work_add);
DEFINE_STATIC_CALL_NULL(sym_task_work_cancel_match, task_work_cancel_match);
DEFINE_STATIC_CALL_NULL(sym_flush_tlb_mm_range, *(flush_fn *)NULL);
DEFINE_STATIC_CALL_NULL(sym_notifier_start, __mmu_notifier_invalidate_range_start);
DEFINE_STATIC_CALL_NULL(sym_notifier_end, __mmu_notifier_invalidate_range_end);
#ifndef CKPT_OPEN_QUIETLY
DEFINE_STATIC_CALL_NULL(sym_dentry_open_nonotify, dentry_open_nonotify);
#endif

static void *resolve(const char *name)
{
	struct kprobe probe = { .symbol_name = name };
	void *addr;
	int ret;

	ret = register_kprobe(&probe);
	if (ret) {
		pr_err("kernel function %s not found (%d): this kernel is not supported\n",
		       name, ret);
		return NULL;
	}
	addr = probe.addr;
	unregister_kprobe(&probe);
	return addr;
}

#define RESOLVE(key, name)						\
	({								\
		void *addr_ = resolve(name);				\
									\
		if (addr_)						\
			static_call_update(key, addr_);			\
		addr_ != NULL;						\
	})

/**
 * ckpt_symbols_init - find every function of the table
 *
 * Return: 0, or -ENOENT when one is missing (it has been named in the log).
 */
int ckpt_symbols_init(void)
{
	if (!RESOLVE(sym_ptrace_may_access, "ptrace_may_access") ||
	    !RESOLVE(sym_task_work_add, "task_work_add") ||
	    !RESOLVE(sym_task_work_cancel_match, "task_work_cancel_match") ||
	    !RESOLVE(sym_flush_tlb_mm_range, "flush_tlb_mm_range") ||
	    !RESOLVE(sym_notifier_start, "__mmu_notifier_invalidate_range_start") ||
	    !RESOLVE(sym_notifier_end, "__mmu_notifier_invalidate_range_end"))
		return -ENOENT;
#ifndef CKPT_OPEN_QUIETLY
	if (!RESOLVE(sym_dentry_open_nonotify, "dentry_open_nonotify"))
		return -ENOENT;
#endif
	return 0;
}

/* May the caller trace @task? The whole rule: credentials, capabilities, Yama, LSM. */
bool ckpt_ptrace_may_access(struct task_struct *task, unsigned int mode)
{
	return static_call(sym_ptrace_may_access)(task, mode);
}

int ckpt_task_work_add(struct task_struct *task, struct callback_head *work,
		       enum task_work_notify_mode mode)
{
	return static_call(sym_task_work_add)(task, work, mode);
}

static bool same_work(struct callback_head *head, void *work)
{
	return head == work;
}

/* Take @work back. False: it has been taken off the list and runs, or will. */
bool ckpt_task_work_cancel(struct task_struct *task, struct callback_head *work)
{
	return static_call(sym_task_work_cancel_match)(task, same_work, work) != NULL;
}

/* Drop what every processor has cached of @mm's page tables. */
void ckpt_flush_tlb_mm(struct mm_struct *mm)
{
	static_call(sym_flush_tlb_mm_range)(mm, 0, FLUSH_ALL, PAGE_SHIFT, false);
}

/* As mmu_notifier_invalidate_range_start(), which inlines into an unexported call. */
void ckpt_notifier_begin(struct mmu_notifier_range *range)
{
	/* As the inline does; who cannot act at once sleeps instead of being passed over. */
	range->flags |= MMU_NOTIFIER_RANGE_BLOCKABLE;
	if (mm_has_notifiers(range->mm))
		static_call(sym_notifier_start)(range);
}

void ckpt_notifier_end(struct mmu_notifier_range *range)
{
	if (mm_has_notifiers(range->mm))
		static_call(sym_notifier_end)(CKPT_NOTIFIER_END_ARGS(range));
}

/* Does this open file hold a lease (F_SETLEASE) on the inode? Of NULL: does any hold one to write? */
bool ckpt_has_lease(const struct inode *inode, const struct file *holder)
{
	/* Pairs with the cmpxchg in locks_get_lock_context(). */
	struct file_lock_context *ctx = smp_load_acquire(&inode->i_flctx);
	struct ckpt_lock_core *lock;
	bool found = false;

	if (!ctx)
		return false;
	spin_lock(&ctx->flc_lock);
	list_for_each_entry(lock, &ctx->flc_lease, ckpt_lock_list)
		found |= holder ? ckpt_lock_file(lock) == holder :
				  ckpt_lock_type(lock) != F_RDLCK;
	spin_unlock(&ctx->flc_lock);
	return found;
}

/*
 * As dentry_open(), in our own name, to read, and nobody is told of it or asked: no
 * fsnotify watcher, no holder of a lease (-EBUSY). It might be the very process that is
 * frozen.
 */
struct file *ckpt_open_quietly(const struct path *path, int flags)
{
	/* Who opens the file breaks such a lease, even to read. */
	if (ckpt_has_lease(d_inode(path->dentry), NULL))
		return ERR_PTR(-EBUSY);
#ifdef CKPT_OPEN_QUIETLY
	return dentry_open(path, flags | CKPT_OPEN_QUIETLY, current_cred());
#else
	return static_call(sym_dentry_open_nonotify)(path, flags, current_cred());
#endif
}
