// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copy: what a reference cannot protect is copied while the target is still.
 *
 *  - pinned pages: a device may write to them at any time (called from arm.c),
 *  - private hugetlb: its write fault looks at the map count, not at references,
 *  - shared mappings: there is no copy-on-write for them. They are read through a
 *    file of our own, opened for the purpose: the program's file offset stays as it
 *    is, and SEEK_DATA passes over holes.
 *
 * Owns nothing: copies go into struct ckpt_pages. All-zero pages are dropped again.
 *
 * Locks: hugetlb runs under the target's mmap_lock, for writing. Shared mappings are
 * copied without it, because reading a file takes the inode's lock, which a writer
 * holds when he faults on his own memory: inode first, mmap_lock second.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "alloc.h"
#include "area.h"
#include "copy.h"
#include "counters.h"
#include "pages.h"
#include "params.h"
#include "symbols.h"
#include "why.h"

/* Own a page of content; nothing is kept for one that is all zero. */
static int keep(struct ckpt_pages *pages, struct ckpt_leaf *leaf, unsigned long addr,
		struct page *page)
{
	if (!memchr_inv(page_address(page), 0, PAGE_SIZE)) {
		ckpt_leaf_zero(leaf, addr);
		__free_page(page);
	} else {
		ckpt_leaf_hold(pages, leaf, addr, page);
	}
	return 0;
}

/**
 * ckpt_copy_pages - copy consecutive pages that lie in one leaf
 * @pages: index
 * @leaf: leaf of @addr
 * @addr: address of the first
 * @from: the first; the caller holds a reference to the compound page
 * @nr: how many
 */
int ckpt_copy_pages(struct ckpt_pages *pages, struct ckpt_leaf *leaf, unsigned long addr,
		    struct page *from, unsigned int nr)
{
	struct page *page;

	for (; nr; nr--, from++, addr += PAGE_SIZE) {
		page = ckpt_alloc_page(0);
		if (!page)
			return -ENOMEM;
		copy_highpage(page, from);
		keep(pages, leaf, addr, page);
	}
	return 0;
}

static int copy_huge(struct ckpt_pages *pages, unsigned long addr, unsigned long size,
		     struct page *page)
{
	struct ckpt_leaf *leaf;
	unsigned long done;
	int ret;

	for (done = 0; done < size; done += PMD_SIZE, page += PTRS_PER_PTE) {
		leaf = ckpt_pages_leaf(pages, addr + done);
		if (!leaf)
			return -ENOMEM;
		ret = ckpt_copy_pages(pages, leaf, addr + done, page, PTRS_PER_PTE);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/*
 * A huge page's entry looks like a PTE on every level. One that is neither empty nor
 * present is a page on its way elsewhere, or a broken one.
 */
static struct page *huge_entry_page(pte_t entry)
{
	if (pte_none(entry))
		return NULL;
	return pte_present(entry) ? pte_page(entry) : ERR_PTR(-EAGAIN);
}

/*
 * The page at @addr of a hugetlb mapping, with a reference; NULL when there is none,
 * -EAGAIN when it is not in place. On x86 it is a leaf entry of the second or third level.
 */
static struct page *get_huge(struct mm_struct *mm, unsigned long addr, unsigned long size)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	spinlock_t *ptl = &mm->page_table_lock;
	struct page *page = NULL;
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (size == PUD_SIZE) {
		spin_lock(ptl);
		page = huge_entry_page(native_make_pte(native_pud_val(*pud)));
	} else {
		if (pud_none(*pud))
			return NULL;
		pmd = pmd_offset(pud, addr);
		ptl = pmd_lockptr(mm, pmd);
		spin_lock(ptl);
		page = huge_entry_page(native_make_pte(native_pmd_val(*pmd)));
	}
	if (!IS_ERR_OR_NULL(page))
		get_page(page);
	spin_unlock(ptl);
	return page;
}

/**
 * ckpt_copy_hugetlb - copy a private hugetlb mapping
 * @pages: index
 * @vma: mapping, under mmap_lock for writing
 * @why: the reason, on error
 * @copied: counted up by pages of 4 KiB
 *
 * Return: 0; -EAGAIN when a page is not in place, -ENOMEM.
 */
int ckpt_copy_hugetlb(struct ckpt_pages *pages, struct vm_area_struct *vma,
		      struct ckpt_why *why, u64 *copied)
{
	unsigned long size = huge_page_size(hstate_vma(vma));
	struct page *page;
	unsigned long addr;
	int ret;

	for (addr = vma->vm_start; addr < vma->vm_end; addr += size) {
		page = get_huge(vma->vm_mm, addr, size);
		if (!page)
			continue;
		if (IS_ERR(page)) {
			why->addr = addr;
			return ckpt_because(why, CKPT_REASON_UNSTEADY, 0, PTR_ERR(page));
		}
		ret = copy_huge(pages, addr, size, page);
		put_page(page);
		if (ret)
			return ret;
		*copied += size / PAGE_SIZE;
	}
	return 0;
}

static int copy_file_page(struct ckpt_pages *pages, struct file *file, loff_t pos,
			  unsigned long addr)
{
	struct ckpt_leaf *leaf = ckpt_pages_leaf(pages, addr);
	struct page *page = ckpt_alloc_page(__GFP_ZERO);
	ssize_t n;

	if (!leaf || !page) {
		if (page)
			__free_page(page);
		return -ENOMEM;
	}
	n = kernel_read(file, page_address(page), PAGE_SIZE, &pos);
	if (n < 0) {
		__free_page(page);
		return n;
	}
	return keep(pages, leaf, addr, page);
}

/* Copy the data of @file that one mapping shows. */
static int copy_area(struct ckpt_pages *pages, const struct ckpt_area *area, struct file *file,
		     u64 *copied)
{
	loff_t end = area->pgoff + (area->end - area->start);
	loff_t pos = area->pgoff;
	int ret;

	end = min_t(loff_t, end, i_size_read(file_inode(file)));
	while (pos < end) {
		loff_t data = vfs_llseek(file, pos, SEEK_DATA);

		if (data == -ENXIO)
			return 0;
		if (data < 0)
			data = pos;		/* cannot tell: all is data */
		pos = round_down(data, PAGE_SIZE);
		if (pos >= end)
			return 0;
		if (*copied >= ckpt_max_copy_bytes >> PAGE_SHIFT)
			return -EFBIG;
		ret = copy_file_page(pages, file, pos, area->start + (pos - area->pgoff));
		if (ret)
			return ret;
		++*copied;
		pos += PAGE_SIZE;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int because_of(const struct ckpt_area *area, struct ckpt_why *why, int ret)
{
	u32 reason = CKPT_REASON_PAGE;

	if (ret == -EFBIG)
		reason = CKPT_REASON_SHMEM_LIMIT;
	else if (ret == -EBUSY)
		reason = CKPT_REASON_LEASE;
	why->addr = area->start;
	return ckpt_because(why, reason, 0, ret);
}

/**
 * ckpt_copy_shared - copy every shared mapping that no other snapshot holds
 * @pages: index
 * @areas: the mappings
 * @why: the reason, on error
 * @copied: counted up by pages of 4 KiB
 *
 * Return: 0; -EFBIG over the limit max_copy_bytes; -EBUSY for a file under a write lease;
 * -ENOMEM, -EINTR, or what reading the file gives.
 */
int ckpt_copy_shared(struct ckpt_pages *pages, const struct ckpt_areas *areas,
		     struct ckpt_why *why, u64 *copied)
{
	unsigned int i;
	int ret;

	for (i = 0; i < areas->nr; i++) {
		const struct ckpt_area *area = &areas->v[i];
		struct file *file;

		if (area->kind != CKPT_AREA_SHARED || area->elsewhere)
			continue;
		/* A file of our own: the program's offset stays as it is. */
		file = ckpt_open_quietly(&area->path, O_RDONLY | O_LARGEFILE | O_NOATIME);
		if (IS_ERR(file)) {
			ret = PTR_ERR(file);
		} else {
			ret = copy_area(pages, area, file, copied);
			fput(file);
		}
		if (ret)
			return because_of(area, why, ret);
	}
	return 0;
}
