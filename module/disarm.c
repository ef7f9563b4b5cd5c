// SPDX-License-Identifier: GPL-2.0-only
/*
 * Disarm: after a tracked snapshot has let go of its pages, those that the program has
 * not written to meanwhile are made writable again, so that the next write to them costs
 * no fault but a dirty bit.
 *
 * It does what the write fault would do that finds itself the only owner (mm/memory.c
 * do_wp_page(), mm/huge_memory.c do_huge_pmd_wp_page()): under the page table lock and
 * the folio's, a page with no reference beside this entry's is exclusive again. What
 * cannot be told so, or is busy, stays as it is and costs the fault.
 *
 * The entry becomes writable but not dirty: it is the first write that sets the bit.
 * Where soft-dirty bits are being kept by somebody, or NUMA hints, his entries are left
 * alone; so are entries of huge pages on kernels that may lose such a bit.
 *
 * Owns nothing. Locks: mmap_lock for reading, page table by page table, so that nobody
 * waits long for us; then the page table lock, then a trylock of the folio. Not to be
 * called in reclaim, nor with a lock that reclaim may wait for.
 */
#include <linux/ksm.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>

#include "area.h"
#include "compat/compat.h"
#include "disarm.h"
#include "pages.h"
#include "symbols.h"
#include "table.h"

static bool may_be_writable(struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_WRITE | VM_SHARED)) == VM_WRITE &&
	       !ckpt_vma_is_shadow_stack(vma) && ckpt_area_kind(vma) == CKPT_AREA_PRIVATE;
}

/* Somebody clears soft-dirty bits and waits for the faults that set them (pte_needs_soft_dirty_wp()). */
static bool waits_for_fault(struct vm_area_struct *vma, bool soft_dirty)
{
	return IS_ENABLED(CONFIG_MEM_SOFT_DIRTY) && !(vma->vm_flags & VM_SOFTDIRTY) && !soft_dirty;
}

/* Nobody else has it, nor comes to have it: then it is exclusive from now on. */
static bool make_exclusive(struct folio *folio, struct page *page)
{
	bool ours;

	if (folio_test_ksm(folio) || folio_ref_count(folio) != 1 || !folio_trylock(folio))
		return false;
	ours = !folio_test_ksm(folio) && !folio_test_swapcache(folio) && folio_ref_count(folio) == 1;
	if (ours)
		SetPageAnonExclusive(page);
	folio_unlock(folio);
	return ours;
}

static void disarm_pte(struct vm_area_struct *vma, pte_t *pte)
{
	pte_t old = ptep_get(pte), new;
	struct folio *folio;

	if (!pte_present(old) || pte_protnone(old) || pte_special(old) || pte_write(old) ||
	    pte_uffd_wp(old) || waits_for_fault(vma, pte_soft_dirty(old)))
		return;
	folio = page_folio(pte_page(old));
	if (!folio_test_anon(folio) || folio_test_large(folio) ||
	    !make_exclusive(folio, pte_page(old)))
		return;
	do {
		new = ckpt_pte_mkwrite(old);
	} while (!try_cmpxchg((long *)&pte->pte, (long *)&old, *(long *)&new));
}

static void disarm_pmd(struct vm_area_struct *vma, pmd_t *pmd)
{
	spinlock_t *ptl = pmd_lock(vma->vm_mm, pmd);
	pmd_t old = READ_ONCE(*pmd), new;
	struct page *page;

	if (!pmd_present(old) || !pmd_trans_huge(old) || pmd_protnone(old) || pmd_write(old) ||
	    pmd_uffd_wp(old) || waits_for_fault(vma, pmd_soft_dirty(old)))
		goto out;
	page = pmd_page(old);
	if (!PageAnon(page) || !make_exclusive(page_folio(page), page))
		goto out;
	do {
		new = ckpt_pmd_mkwrite(old);
	} while (!try_cmpxchg((long *)&pmd->pmd, (long *)&old, *(long *)&new));
out:
	spin_unlock(ptl);
}

static void disarm_ptes(struct vm_area_struct *vma, pmd_t *pmd, unsigned long addr,
			unsigned long end)
{
	spinlock_t *ptl;
	pte_t *pte = ckpt_lock_ptes(vma->vm_mm, pmd, addr, &ptl);

	if (!pte)
		return;
	for (; addr < end; addr += PAGE_SIZE, pte++)
		disarm_pte(vma, pte);
	ckpt_unlock_ptes(ptl);
}

/* What is mapped from @start to @end, which one page table maps. Under mmap_lock. */
static void disarm_table(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, start);

	for_each_vma_range(vmi, vma, end) {
		unsigned long from = max(start, vma->vm_start);
		pmd_t *pmd;

		if (!may_be_writable(vma))
			continue;
		pmd = ckpt_pmd_of(mm, from);
		if (!pmd)
			return;
		if (!pmd_trans_huge(READ_ONCE(*pmd)))
			disarm_ptes(vma, pmd, from, min(end, vma->vm_end));
		else if (ckpt_huge_dirty_bit_is_safe())
			disarm_pmd(vma, pmd);
	}
}

/**
 * ckpt_disarm - make what a snapshot has write-protected writable again
 * @mm: the target's, whose users we have a reference to
 * @pages: where the snapshot's pages were; they have been released
 */
void ckpt_disarm(struct mm_struct *mm, struct ckpt_pages *pages)
{
	struct ckpt_leaf *leaf;
	unsigned long index;

	xa_for_each(&pages->leaves, index, leaf) {
		unsigned long addr = index << PMD_SHIFT;

		/* Nobody is left to profit, or to wait for us at its end. */
		if (atomic_read(&mm->mm_users) == 1 || mmap_read_lock_killable(mm))
			return;
		disarm_table(mm, addr, addr + PMD_SIZE);
		mmap_read_unlock(mm);
		cond_resched();
	}
	/* Else a processor that remembers the protection takes the fault all the same. */
	ckpt_flush_tlb_mm(mm);
}
