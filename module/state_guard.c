// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: guard regions, madvise(2) MADV_GUARD_INSTALL: pages that nobody may touch, each an entry of
 * the page table instead of a mapping of its own (Linux 6.13, mm/madvise.c). C libraries have them at
 * the end of each thread's stack.
 *
 * Owns nothing. A mapping that has such a region is marked since Linux 6.19, and stays marked when it is gone,
 * so those alone are looked through, page table by page table, under the target's mmap_lock; what was
 * found in one is written down when its locks are dropped.
 */
#include <linux/bitmap.h>
#include <linux/dax.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "compat/compat.h"
#include "record.h"
#include "state.h"
#include "table.h"

static void look(struct mm_struct *mm, unsigned long addr, unsigned long end, unsigned long *found)
{
	pmd_t *pmd = ckpt_pmd_of(mm, addr);
	spinlock_t *ptl;
	unsigned int i;
	pte_t *pte;

	bitmap_zero(found, PTRS_PER_PTE);
	pte = pmd ? ckpt_lock_ptes(mm, pmd, addr, &ptl) : NULL;
	if (!pte)
		return;
	for (i = 0; addr < end; i++, addr += PAGE_SIZE)
		if (ckpt_pte_is_guard(ptep_get(pte + i)))
			__set_bit(i, found);
	ckpt_unlock_ptes(ptl);
}

static void add(struct ckpt_records *r, const struct ckpt_rec_guard *region)
{
	if (region->end)
		ckpt_record_add(r, CKPT_REC_MUST | CKPT_REC_GUARD, region);
}

static void add_of_mapping(struct ckpt_records *r, struct vm_area_struct *vma)
{
	DECLARE_BITMAP(found, PTRS_PER_PTE);
	struct ckpt_rec_guard region = {};
	unsigned long addr, next;
	unsigned int from, to;

	for (addr = vma->vm_start; addr < vma->vm_end && !r->err; addr = next) {
		next = pmd_addr_end(addr, vma->vm_end);
		look(vma->vm_mm, addr, next, found);
		for_each_set_bitrange(from, to, found, PTRS_PER_PTE) {
			u64 start = addr + from * PAGE_SIZE;

			if (start != region.end) {
				add(r, &region);
				region.start = start;
			}
			region.end = addr + to * PAGE_SIZE;
		}
		cond_resched();
	}
	add(r, &region);
}

/* All of an address space, ascending, behind its mappings. */
void ckpt_state_guards(struct ckpt_records *r, struct mm_struct *mm)
{
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, 0);

	if (!ckpt_vm_guard_flag() || r->err)
		return;
	if (mmap_read_lock_killable(mm)) {
		r->err = -EINTR;
		return;
	}
	for_each_vma(vmi, vma)
		/* Those of devices have none, nor tables that one could look into. */
		if ((vma->vm_flags & ckpt_vm_guard_flag()) && !vma_is_dax(vma))
			add_of_mapping(r, vma);
	mmap_read_unlock(mm);
}
