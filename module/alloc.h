/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory for the module's own objects: zeroed, charged to the caller's memory cgroup, may sleep.
 * Where there is none they fail. They never call the OOM killer: it would take a program for the
 * sake of its snapshot, and the caller's cgroup may be the program's own.
 *
 * Every allocation goes through here, so that a test can make the n-th of them fail, on any kernel:
 * debugfs ckpt/fail_nth (alloc.c). Nobody testing, the price is a look at a number.
 */
#ifndef _CKPT_ALLOC_H
#define _CKPT_ALLOC_H

#include <linux/anon_inodes.h>
#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>

struct dentry;

#define CKPT_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

extern atomic_t ckpt_fail_left;

bool ckpt_fail_now(void);

/* Is this the allocation that a test wants to fail? For those that the kernel makes for us. */
static inline bool ckpt_alloc_fails(void)
{
	return unlikely(atomic_read(&ckpt_fail_left)) && ckpt_fail_now();
}

static inline void *ckpt_alloc(size_t size)
{
	return ckpt_alloc_fails() ? NULL : kzalloc(size, CKPT_GFP);
}

/* Large ones too; kvfree(). */
static inline void *ckpt_alloc_array(size_t nr, size_t size)
{
	return ckpt_alloc_fails() ? NULL : kvcalloc(nr, size, CKPT_GFP);
}

/* Not zeroed unless @more says so. */
static inline struct page *ckpt_alloc_page(gfp_t more)
{
	return ckpt_alloc_fails() ? NULL : alloc_page(CKPT_GFP | more);
}

static inline struct file *ckpt_anon_file(const char *name, const struct file_operations *fops,
					  void *priv, int flags)
{
	return ckpt_alloc_fails() ? ERR_PTR(-ENOMEM) : anon_inode_getfile(name, fops, priv, flags);
}

void ckpt_alloc_init(struct dentry *dir);

#endif /* _CKPT_ALLOC_H */
