// SPDX-License-Identifier: GPL-2.0-only
/*
 * Index of the pages a snapshot holds: by address, as a page table is.
 *
 * One leaf for every page table of the target, so that the cost is 4 KiB for each
 * 2 MiB in use, and that leaves can be reserved before the freeze by counting page
 * tables. A 2 MiB page is one reference in an otherwise empty leaf.
 *
 * Life of a page here: held (reference taken while the page table entry is locked,
 * or a page of our own with the copy in it), perhaps read, perhaps consumed (read
 * once and given up), released with everything else. Release may come at any moment
 * from memory reclaim, so it allocates nothing and takes no lock but pages->lock.
 *
 * Locks: pages->lock. The builder, who is alone until the snapshot is published,
 * writes leaves without it.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "alloc.h"
#include "counters.h"
#include "pages.h"

#define ENTRY_NONE	0UL
#define ENTRY_ZERO	1UL
#define ENTRY_CONSUMED	2UL
#define ENTRY_PARENT	CKPT_TAG_PARENT
#define ENTRY_LAST_TAG	3UL

static bool is_page(unsigned long entry)
{
	return entry > ENTRY_LAST_TAG;
}

void ckpt_pages_init(struct ckpt_pages *pages)
{
	spin_lock_init(&pages->lock);
	xa_init(&pages->leaves);
	INIT_LIST_HEAD(&pages->spare);
	pages->nr_held = 0;
	pages->released = false;
}

static struct ckpt_leaf *leaf_new(void)
{
	struct ckpt_leaf *leaf;
	struct page *page;

	leaf = ckpt_alloc(sizeof(*leaf));
	if (!leaf)
		return NULL;
	page = ckpt_alloc_page(__GFP_ZERO);
	if (!page) {
		kfree(leaf);
		return NULL;
	}
	leaf->entries = page_address(page);
	ckpt_count(CKPT_COUNT_LEAVES, 1);
	return leaf;
}

static void leaf_free(struct ckpt_leaf *leaf)
{
	free_page((unsigned long)leaf->entries);
	kfree(leaf);
	ckpt_count(CKPT_COUNT_LEAVES, -1);
}

/**
 * ckpt_pages_reserve - have leaves ready, so that the pause need not allocate
 * @pages: index
 * @nr: leaves wanted
 */
int ckpt_pages_reserve(struct ckpt_pages *pages, unsigned long nr)
{
	struct ckpt_leaf *leaf;

	while (nr--) {
		leaf = leaf_new();
		if (!leaf)
			return -ENOMEM;
		list_add(&leaf->spare, &pages->spare);
		cond_resched();
	}
	return 0;
}

/**
 * ckpt_pages_leaf - the leaf of an address, new if need be
 * @pages: index being built
 * @addr: any address in its 2 MiB
 *
 * May sleep. Return: NULL when there is no memory.
 */
struct ckpt_leaf *ckpt_pages_leaf(struct ckpt_pages *pages, unsigned long addr)
{
	unsigned long index = addr >> PMD_SHIFT;
	struct ckpt_leaf *leaf = xa_load(&pages->leaves, index);

	if (leaf)
		return leaf;
	leaf = list_first_entry_or_null(&pages->spare, struct ckpt_leaf, spare);
	if (leaf)
		list_del_init(&leaf->spare);
	else
		leaf = leaf_new();
	if (leaf && (ckpt_alloc_fails() ||
		     xa_is_err(xa_store(&pages->leaves, index, leaf, CKPT_GFP)))) {
		leaf_free(leaf);
		leaf = NULL;
	}
	return leaf;
}

/* Keep @page, whose reference the caller gives up, as the content at @addr. */
void ckpt_leaf_hold(struct ckpt_pages *pages, struct ckpt_leaf *leaf, unsigned long addr,
		    struct page *page)
{
	ckpt_leaf_set(leaf, addr, page);
	pages->nr_held++;
}

void ckpt_leaf_hold_huge(struct ckpt_pages *pages, struct ckpt_leaf *leaf, struct page *page)
{
	leaf->huge = page;
	pages->nr_held += PTRS_PER_PTE;
}

void ckpt_leaf_zero(struct ckpt_leaf *leaf, unsigned long addr)
{
	leaf->entries[ckpt_leaf_slot(addr)] = ENTRY_ZERO;
}

static void leaf_release(struct ckpt_leaf *leaf)
{
	unsigned int i;

	if (leaf->huge)
		put_page(leaf->huge);
	leaf->huge = NULL;
	for (i = 0; i < PTRS_PER_PTE; i++) {
		if (is_page(leaf->entries[i]))
			put_page((struct page *)leaf->entries[i]);
		leaf->entries[i] = ENTRY_NONE;
	}
}

/**
 * ckpt_pages_release - give up every page
 * @pages: index
 * @for_good: later reads fail; else it is to be built again and keeps its leaves
 *
 * Takes no lock that is held across an allocation: memory reclaim may call it.
 * Return: pages given up.
 */
u64 ckpt_pages_release(struct ckpt_pages *pages, bool for_good)
{
	struct ckpt_leaf *leaf;
	unsigned long index;
	u64 held;

	spin_lock(&pages->lock);
	held = pages->nr_held;
	pages->nr_held = 0;
	pages->released = for_good;
	spin_unlock(&pages->lock);

	/*
	 * Readers look at `released` under the lock before they look at a leaf, so
	 * from here on nobody else does, and leaves stay until destroy.
	 */
	xa_for_each(&pages->leaves, index, leaf) {
		leaf_release(leaf);
		cond_resched();
	}
	return held;
}

/* Free the index itself. Nobody reads any more. */
void ckpt_pages_destroy(struct ckpt_pages *pages)
{
	struct ckpt_leaf *leaf, *next;
	unsigned long index;

	xa_for_each(&pages->leaves, index, leaf) {
		leaf_release(leaf);
		leaf_free(leaf);
		cond_resched();
	}
	xa_destroy(&pages->leaves);
	list_for_each_entry_safe(leaf, next, &pages->spare, spare)
		leaf_free(leaf);
	INIT_LIST_HEAD(&pages->spare);
}

static enum ckpt_entry entry_in(struct ckpt_leaf *leaf, unsigned int slot)
{
	if (leaf->huge)
		return CKPT_ENTRY_DATA;
	if (leaf->huge_consumed)
		return CKPT_ENTRY_CONSUMED;
	switch (leaf->entries[slot]) {
	case ENTRY_NONE:
		return CKPT_ENTRY_NONE;
	case ENTRY_ZERO:
		return CKPT_ENTRY_ZERO;
	case ENTRY_CONSUMED:
		return CKPT_ENTRY_CONSUMED;
	case ENTRY_PARENT:
		return CKPT_ENTRY_PARENT;
	default:
		return CKPT_ENTRY_DATA;
	}
}

/**
 * ckpt_pages_entry - what is at an address, and how far
 * @pages: index
 * @addr: page-aligned
 * @ret_end: the same holds up to here; at most the next 2 MiB border when there is
 *	a leaf, else the beginning of the next leaf or ULONG_MAX
 */
enum ckpt_entry ckpt_pages_entry(struct ckpt_pages *pages, unsigned long addr,
				 unsigned long *ret_end)
{
	unsigned long index = addr >> PMD_SHIFT;
	unsigned int slot = ckpt_leaf_slot(addr);
	enum ckpt_entry entry;
	struct ckpt_leaf *leaf;

	spin_lock(&pages->lock);
	leaf = xa_load(&pages->leaves, index);
	if (leaf) {
		entry = entry_in(leaf, slot);
		while (++slot < PTRS_PER_PTE && entry_in(leaf, slot) == entry)
			;
		*ret_end = (index << PMD_SHIFT) + ((unsigned long)slot << PAGE_SHIFT);
	} else {
		entry = CKPT_ENTRY_NONE;
		leaf = xa_find(&pages->leaves, &index, ULONG_MAX, XA_PRESENT);
		*ret_end = leaf ? index << PMD_SHIFT : ULONG_MAX;
	}
	spin_unlock(&pages->lock);
	return entry;
}

/**
 * ckpt_pages_get - the page at an address, with a reference for the caller
 * @pages: index
 * @addr: any address in it
 * @ret_page: the page
 *
 * Return: 0; -ECANCELED when all was released, -ENODATA when nothing is held there.
 */
int ckpt_pages_get(struct ckpt_pages *pages, unsigned long addr, struct page **ret_page)
{
	unsigned int slot = ckpt_leaf_slot(addr);
	struct page *page = NULL;
	struct ckpt_leaf *leaf;
	int ret = 0;

	spin_lock(&pages->lock);
	leaf = xa_load(&pages->leaves, addr >> PMD_SHIFT);
	if (pages->released)
		ret = -ECANCELED;
	else if (leaf && leaf->huge)
		page = leaf->huge + slot;
	else if (leaf && is_page(leaf->entries[slot]))
		page = (struct page *)leaf->entries[slot];
	else
		ret = -ENODATA;
	if (page)
		get_page(page);
	spin_unlock(&pages->lock);
	*ret_page = page;
	return ret;
}

/**
 * ckpt_pages_consume - a page has been read to its end: give it up
 * @pages: index
 * @addr: any address in it
 *
 * A 2 MiB page is given up when the last of it has been read.
 */
void ckpt_pages_consume(struct ckpt_pages *pages, unsigned long addr)
{
	unsigned int slot = ckpt_leaf_slot(addr);
	struct page *page = NULL;
	struct ckpt_leaf *leaf;

	spin_lock(&pages->lock);
	leaf = pages->released ? NULL : xa_load(&pages->leaves, addr >> PMD_SHIFT);
	if (leaf && leaf->huge) {
		if (slot == PTRS_PER_PTE - 1) {
			page = leaf->huge;
			leaf->huge = NULL;
			leaf->huge_consumed = true;
			pages->nr_held -= PTRS_PER_PTE;
			ckpt_count(CKPT_COUNT_PAGES, -PTRS_PER_PTE);
		}
	} else if (leaf && is_page(leaf->entries[slot])) {
		page = (struct page *)leaf->entries[slot];
		leaf->entries[slot] = ENTRY_CONSUMED;
		pages->nr_held--;
		ckpt_count(CKPT_COUNT_PAGES, -1);
	}
	spin_unlock(&pages->lock);
	if (page)
		put_page(page);
}
