/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_PAGES_H
#define _CKPT_PAGES_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct page;

/* What the index knows of a page. */
enum ckpt_entry {
	CKPT_ENTRY_NONE,	/* nothing: zero or the file, as its mapping tells */
	CKPT_ENTRY_DATA,	/* held */
	CKPT_ENTRY_ZERO,	/* the zero page */
	CKPT_ENTRY_CONSUMED,	/* was held, has been read and given up */
	CKPT_ENTRY_PARENT,	/* as in the generation before */
};

/* The one small number that others than pages.c put into an entry: as in the parent. */
#define CKPT_TAG_PARENT	3UL

/**
 * struct ckpt_leaf - index of the 2 MiB of addresses that one page table maps
 * @spare: in the list of reserved leaves, before use
 * @huge: compound page held that maps all of it; then @entries is not used
 * @huge_consumed: it was held, and given up
 * @entries: one page of them: page pointer, or one of the small numbers of pages.c
 */
struct ckpt_leaf {
	struct list_head spare;
	struct page *huge;
	bool huge_consumed;
	unsigned long *entries;
};

/**
 * struct ckpt_pages - the pages of a snapshot, by address
 * @lock: guards the index and its leaves' content against readers and release
 * @leaves: address >> PMD_SHIFT to struct ckpt_leaf
 * @spare: leaves reserved before the freeze; the builder's alone
 * @nr_held: pages held, 4 KiB units, under @lock
 * @released: everything was given up; nothing can be read any more, under @lock
 */
struct ckpt_pages {
	spinlock_t lock;
	struct xarray leaves;
	struct list_head spare;
	u64 nr_held;
	bool released;
};

void ckpt_pages_init(struct ckpt_pages *pages);
int ckpt_pages_reserve(struct ckpt_pages *pages, unsigned long nr);
u64 ckpt_pages_release(struct ckpt_pages *pages, bool for_good);
void ckpt_pages_destroy(struct ckpt_pages *pages);

struct ckpt_leaf *ckpt_pages_leaf(struct ckpt_pages *pages, unsigned long addr);
static inline unsigned int ckpt_leaf_slot(unsigned long addr)
{
	return (addr >> PAGE_SHIFT) % PTRS_PER_PTE;
}

/* As ckpt_leaf_hold(); the caller adds to ckpt_pages.nr_held himself. */
static inline void ckpt_leaf_set(struct ckpt_leaf *leaf, unsigned long addr, struct page *page)
{
	leaf->entries[ckpt_leaf_slot(addr)] = (unsigned long)page;
}

/* It is as in the generation before. */
static inline void ckpt_leaf_parent(struct ckpt_leaf *leaf, unsigned long addr)
{
	leaf->entries[ckpt_leaf_slot(addr)] = CKPT_TAG_PARENT;
}

void ckpt_leaf_hold(struct ckpt_pages *pages, struct ckpt_leaf *leaf, unsigned long addr,
		    struct page *page);
void ckpt_leaf_hold_huge(struct ckpt_pages *pages, struct ckpt_leaf *leaf, struct page *page);
void ckpt_leaf_zero(struct ckpt_leaf *leaf, unsigned long addr);

enum ckpt_entry ckpt_pages_entry(struct ckpt_pages *pages, unsigned long addr,
				 unsigned long *ret_end);
int ckpt_pages_get(struct ckpt_pages *pages, unsigned long addr, struct page **ret_page);
void ckpt_pages_consume(struct ckpt_pages *pages, unsigned long addr);

#endif /* _CKPT_PAGES_H */
