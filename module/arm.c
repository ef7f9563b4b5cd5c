// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm: make every private anonymous page copy-on-write, with us as the other owner.
 *
 * This is what fork() does to the parent's page tables (mm/memory.c, copy_page_range)
 * without a child: for each anonymous page, under the page table lock, clear
 * PageAnonExclusive, take a reference, write-protect the entry. On its next write the
 * program takes an ordinary fault; do_wp_page() sees a page that is not exclusive and
 * has one reference more than it expects, and copies. The old page is the snapshot.
 *
 * What must hold, and why it does
 *  - A page that may be pinned for DMA must not be shared: writes by the device go on
 *    to reach it. Taking PageAnonExclusive away fails for such a page, and it is
 *    copied here and now. GUP-fast cannot pin behind our back: it backs off when
 *    mm->write_protect_seq moved (as for fork).
 *  - The same goes for a page somebody holds by a plain reference, as far as that can be
 *    told: it is copied too. Whatever a device writes later is the program's alone.
 *  - Hugetlb faults decide by map count, not by reference count: copied (copy.c).
 *  - KSM pages never change and are never exclusive: a reference is enough.
 *  - Entries that are not present and not empty (swap, migration) have no page to
 *    hold: ckpt_arm() stops with -EAGAIN and names the address, the caller lets
 *    ckpt_arm_prepare() bring it in and begins again. prepare also runs before the
 *    freeze, so that this hardly ever happens in the pause.
 *  - Tracked, a page that is covered and whose entry is clean stays as it is, and is in
 *    the parent (track.c). What is armed is cleaned and covered in the same step.
 *  - What the program wants left out of dumps (MADV_DONTDUMP) userspace may leave out of
 *    the image, and nobody tells us when the mark goes again: it is never covered.
 *  - Stale writable TLB entries: one flush at the end, before the mmap_lock is
 *    dropped. Until then no thread runs.
 *
 * Owns nothing: references go into struct ckpt_pages, whose owner releases them, on
 * failure too. There is nothing else to undo: an entry that was write-protected for
 * nothing costs one fault, in which the kernel finds itself the only owner again.
 *
 * Locks: mmap_lock for writing, then each mapping's own, then page table locks; no
 * allocation under the latter. write_protect_seq is raised for the whole walk.
 */
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/hugetlb.h>
#include <linux/ksm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "alloc.h"
#include "area.h"
#include "arm.h"
#include "compat/compat.h"
#include "copy.h"
#include "pages.h"
#include "symbols.h"
#include "table.h"
#include "track.h"
#include "why.h"

/**
 * struct arm - one walk
 * @harvest: what to do about tracking
 * @cover: coverage of the page table the walk is in; NULL: nothing is covered there
 * @alone: nobody else has a use of the mm: pages may be covered
 * @mm: the target's
 * @pages: where references go; NULL: only look for entries that are not present
 * @why: the reason, on error
 * @stats: counts
 * @spare: a page for the next copy, allocated without locks
 * @vma: mapping the walk is in
 * @pinned: a page of @mm may be pinned: look at each
 * @held: references taken in the page table the walk is in, not yet counted
 */
struct arm {
	const struct ckpt_harvest *harvest;
	struct ckpt_cover *cover;
	bool alone;
	struct mm_struct *mm;
	struct ckpt_pages *pages;
	struct ckpt_why *why;
	struct ckpt_arm_stats *stats;
	struct page *spare;
	struct vm_area_struct *vma;
	bool pinned;
	unsigned int held;
};

/* Results of a step that are not errors: do something without locks, then repeat. */
enum { STEP_DONE, STEP_NEED_SPARE, STEP_RETRY };

static int not_present(struct arm *a, unsigned long addr)
{
	a->why->addr = addr;
	return ckpt_because(a->why, CKPT_REASON_UNSTEADY, 0, -EAGAIN);
}

/*
 * Somebody has a reference beside the page tables: perhaps to write by DMA without having
 * pinned it (AIO with O_DIRECT before 6.6, some file systems later). A page of a large
 * folio cannot be told by its count.
 */
static noinline bool is_held_elsewhere(struct folio *folio)
{
	return !folio_test_large(folio) &&
	       folio_ref_count(folio) > 1 + folio_test_swapcache(folio);
}

/*
 * May this page stay where it is, as ours too? Else it has to be copied. In an mm that
 * never pinned anything this costs no barrier for each page (see ckpt_arm()).
 */
static __always_inline bool share_pte(struct arm *a, struct folio *folio, struct page *page)
{
	if (!PageAnonExclusive(page))
		return true;
	if (unlikely(folio_ref_count(folio) != 1) && is_held_elsewhere(folio))
		return false;
	if (unlikely(a->pinned))
		return !ckpt_try_share_pte(page);
	ClearPageAnonExclusive(page);
	return true;
}

/*
 * Pass over pages that are in the parent, and that nobody has written to since (track.c). In a
 * delta this is what happens to most of the memory, so it is done a row at a time. Returns how
 * many.
 */
static unsigned int skip_unchanged(const struct arm *a, struct ckpt_leaf *leaf, pte_t *ptes,
				   unsigned long addr, unsigned long end)
{
	const unsigned int first = ckpt_leaf_slot(addr), nr = (end - addr) >> PAGE_SHIFT;
	unsigned long covered = READ_ONCE(a->cover->bits[BIT_WORD(first)]) >> first % BITS_PER_LONG;
	unsigned int i;

	for (i = 0; i < nr; i++, covered >>= 1) {
		pte_t val = ptep_get(ptes + i);

		if ((first + i) % BITS_PER_LONG == 0)
			covered = READ_ONCE(a->cover->bits[BIT_WORD(first + i)]);
		if (!(covered & 1) || !pte_present(val) || pte_dirty(val))
			break;
		leaf->entries[first + i] = CKPT_TAG_PARENT;
	}
	return i;
}

/*
 * May it count as covered from now on? Somebody who holds it beside page tables and us may
 * write to it whenever he likes. Of a page on its way to swap, or one that may be dropped
 * (MADV_FREE), the kernel needs the dirty bit for itself. A page of a large folio cannot
 * be told by its count. Children that share it may come and go while we count; whoever
 * held it to write when it came to be shared has broken the rules of open(2), O_DIRECT.
 */
static bool may_be_covered(struct folio *folio)
{
	int others = atomic_read(&folio->_mapcount);

	return !folio_test_large(folio) && folio_test_swapbacked(folio) &&
	       !folio_test_swapcache(folio) && folio_ref_count(folio) == 2 + others &&
	       atomic_read(&folio->_mapcount) == others;
}

/*
 * Write-protect and clean, in one step: kernel code may be writing through the entry. That
 * the page has content is then told by the folio alone: a child's MADV_FREE asks it.
 */
static void protect_and_clean(struct folio *folio, pte_t *pte)
{
	pte_t old = ptep_get(pte), new;

	folio_set_dirty(folio);
	do {
		new = pte_mkclean(pte_wrprotect(old));
	} while (!try_cmpxchg((long *)&pte->pte, (long *)&old, *(long *)&new));
}

/* A page is in the snapshot, by reference, and shall be tracked. The entry is still as it was. */
static noinline void cover_pte(struct arm *a, struct folio *folio, pte_t *pte, pte_t val,
			       unsigned long addr)
{
	unsigned int slot = ckpt_leaf_slot(addr);

	if (test_bit(slot, a->cover->bits))
		a->stats->dirty++;
	else
		a->stats->uncovered++;
	if (a->alone && may_be_covered(folio)) {
		protect_and_clean(folio, pte);
		/* Who took hold of it before the entry was protected can be seen now. */
		if (may_be_covered(folio))
			set_bit(slot, a->cover->bits);
		else
			clear_bit(slot, a->cover->bits);
	} else if (pte_write(val)) {
		ptep_set_wrprotect(a->mm, addr, pte);
	}
}

/* No page is there, and where it is state_guard.c has told: in mappings that are marked. */
static int guarded(struct arm *a, unsigned long addr)
{
	if (!a->pages || (a->vma->vm_flags & ckpt_vm_guard_flag()))
		return STEP_DONE;
	a->why->addr = addr;
	return ckpt_because(a->why, CKPT_REASON_GUARD, 0, -EOPNOTSUPP);
}

/* The innermost loop of the pause: an instruction more is a millisecond for some GiB. */
static __always_inline int arm_pte(struct arm *a, struct ckpt_leaf *leaf, pte_t *pte,
				   unsigned long addr)
{
	pte_t val = ptep_get(pte);
	struct folio *folio;
	struct page *page;

	if (pte_none(val))
		return STEP_DONE;
	if (!pte_present(val))
		return ckpt_pte_is_guard(val) ? guarded(a, addr) : not_present(a, addr);
	if (!a->pages)
		return STEP_DONE;
	if (pte_special(val)) {
		/* Only the zero page: mappings of raw memory are opaque. */
		ckpt_leaf_zero(leaf, addr);
		a->stats->zero++;
		return STEP_DONE;
	}
	page = pte_page(val);
	folio = page_folio(page);
	if (!folio_test_anon(folio))
		return STEP_DONE;		/* the file's own page */

	if (likely(share_pte(a, folio, page))) {
		folio_get(folio);
		if (a->cover)
			cover_pte(a, folio, pte, val, addr);
		else if (pte_write(val))
			ptep_set_wrprotect(a->mm, addr, pte);
		a->held++;
	} else {
		if (!a->spare)
			return STEP_NEED_SPARE;
		copy_highpage(a->spare, page);
		page = a->spare;
		a->spare = NULL;
		a->stats->copied++;
		a->pages->nr_held++;
	}
	ckpt_leaf_set(leaf, addr, page);
	return STEP_DONE;
}

/* One page table, from *@addr on. */
static int arm_ptes(struct arm *a, pmd_t *pmd, struct ckpt_leaf *leaf, unsigned long *addr,
		    unsigned long end)
{
	const bool delta = a->cover && a->harvest->delta;
	unsigned int n, unchanged = 0;
	int ret = STEP_DONE;
	spinlock_t *ptl;
	pte_t *pte;

	pte = ckpt_lock_ptes(a->mm, pmd, *addr, &ptl);
	if (!pte)
		return STEP_RETRY;
	for (; *addr < end; *addr += PAGE_SIZE, pte++) {
		n = delta ? skip_unchanged(a, leaf, pte, *addr, end) : 0;
		unchanged += n;
		pte += n;
		*addr += n * PAGE_SIZE;
		if (*addr == end)
			break;
		ret = arm_pte(a, leaf, pte, *addr);
		if (ret)
			break;
	}
	ckpt_unlock_ptes(ptl);
	if (a->pages)
		a->pages->nr_held += a->held;
	a->stats->armed += a->held;
	a->stats->parent += unchanged;
	a->held = 0;
	return ret;
}

static bool is_huge_unchanged(const struct arm *a, pmd_t val)
{
	return a->cover && a->harvest->delta && !pmd_dirty(val) &&
	       bitmap_full(a->cover->bits, PTRS_PER_PTE);
}

/* All of it is mapped here by one entry, or somebody else has a reference. */
static bool huge_may_be_covered(struct folio *folio)
{
	return folio_test_swapbacked(folio) && !folio_test_swapcache(folio) &&
	       folio_ref_count(folio) == 2;
}

/* As cover_pte(). */
static void cover_huge(struct arm *a, struct folio *folio, pmd_t *pmd)
{
	pmd_t old = READ_ONCE(*pmd), new;
	unsigned long whole;
	unsigned int i;

	if (bitmap_full(a->cover->bits, PTRS_PER_PTE))
		a->stats->dirty += PTRS_PER_PTE;
	else
		a->stats->uncovered += PTRS_PER_PTE;
	if (!a->alone || !huge_may_be_covered(folio))
		return;
	folio_set_dirty(folio);
	do {
		new = pmd_mkclean(pmd_wrprotect(old));
	} while (!try_cmpxchg((long *)&pmd->pmd, (long *)&old, *(long *)&new));
	/* Who clears some of them meanwhile does so once more when he is done. */
	whole = huge_may_be_covered(folio) ? ~0UL : 0;
	for (i = 0; i < BITS_TO_LONGS(PTRS_PER_PTE); i++)
		WRITE_ONCE(a->cover->bits[i], whole);
}

/* A 2 MiB page. A pinned one is copied piece by piece, after the lock is dropped. */
static int arm_huge(struct arm *a, pmd_t *pmd, struct ckpt_leaf *leaf, unsigned long addr,
		    unsigned long end)
{
	struct page *page, *pinned = NULL;
	spinlock_t *ptl = pmd_lock(a->mm, pmd);
	pmd_t val = *pmd;
	int ret = STEP_DONE;

	if (!pmd_present(val)) {
		ret = pmd_none(val) ? STEP_RETRY : not_present(a, addr);
		goto unlock;
	}
	if (!pmd_trans_huge(val)) {
		ret = STEP_RETRY;
		goto unlock;
	}
	if (!a->pages)
		goto unlock;
	page = pmd_page(val);
	if (!PageAnon(page)) {
		/* The file's own, or in anonymous memory the huge zero page. */
		for (; vma_is_anonymous(a->vma) && addr < end; addr += PAGE_SIZE) {
			ckpt_leaf_zero(leaf, addr);
			a->stats->zero++;
		}
		goto unlock;
	}
	if (is_huge_unchanged(a, val)) {
		for (; addr < end; addr += PAGE_SIZE)
			ckpt_leaf_parent(leaf, addr);
		a->stats->parent += PTRS_PER_PTE;
		goto unlock;
	}
	get_page(page);
	if (PageAnonExclusive(page) && ckpt_try_share_pmd(page)) {
		pinned = page;
		goto unlock;
	}
	if (a->cover)
		cover_huge(a, page_folio(page), pmd);
	if (pmd_write(val))
		pmdp_set_wrprotect(a->mm, addr & PMD_MASK, pmd);
	ckpt_leaf_hold_huge(a->pages, leaf, page);
	a->stats->armed += PTRS_PER_PTE;
	a->stats->armed_huge += PTRS_PER_PTE;
unlock:
	spin_unlock(ptl);
	if (pinned) {
		ret = ckpt_copy_pages(a->pages, leaf, addr, pinned, PTRS_PER_PTE);
		put_page(pinned);
		a->stats->copied += PTRS_PER_PTE;
	}
	return ret;
}

static int refill(struct arm *a)
{
	a->spare = ckpt_alloc_page(0);
	return a->spare ? 0 : -ENOMEM;
}

/* Whether its pages may be in the last generation, and need not be in the next one. */
static bool is_tracked(struct vm_area_struct *vma)
{
	return ckpt_area_kind(vma) == CKPT_AREA_PRIVATE && !(vma->vm_flags & VM_DONTDUMP);
}

/* The part of a mapping that one PMD entry maps. */
static int arm_pmd(struct arm *a, pmd_t *pmd, unsigned long addr, unsigned long end)
{
	struct ckpt_leaf *leaf = NULL;
	pmd_t val;
	int ret;

	a->cover = NULL;
	do {
		val = READ_ONCE(*pmd);
		if (pmd_none(val))
			return 0;
		if (a->pages && !leaf) {
			leaf = ckpt_pages_leaf(a->pages, addr);
			if (!leaf)
				return -ENOMEM;
			if (a->harvest->track && is_tracked(a->vma))
				a->cover = ckpt_track_cover(a->harvest->track, addr);
		}
		if (pmd_trans_huge(val) || !pmd_present(val))
			ret = arm_huge(a, pmd, leaf, addr, end);
		else
			ret = arm_ptes(a, pmd, leaf, &addr, end);
		if (ret == STEP_NEED_SPARE && refill(a))
			return -ENOMEM;
		cond_resched();
	} while (ret > 0);
	return ret;
}

/* Walk one private mapping, or what of it is not below @from. Under mmap_lock. */
static int arm_vma(struct arm *a, struct vm_area_struct *vma, unsigned long from)
{
	unsigned long addr, next;
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pud;
	int ret;

	a->vma = vma;
	for (addr = max(vma->vm_start, from); addr < vma->vm_end; addr = next) {
		next = pgd_addr_end(addr, vma->vm_end);
		pgd = pgd_offset(a->mm, addr);
		if (pgd_none(READ_ONCE(*pgd)))
			continue;
		next = p4d_addr_end(addr, next);
		p4d = p4d_offset(pgd, addr);
		if (p4d_none(READ_ONCE(*p4d)))
			continue;
		next = pud_addr_end(addr, next);
		pud = pud_offset(p4d, addr);
		if (pud_none(READ_ONCE(*pud)))
			continue;
		next = pmd_addr_end(addr, next);
		ret = arm_pmd(a, pmd_offset(pud, addr), addr, next);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * The first address, from @from on, that is mapped and has no page in memory; 0 when
 * there is none.
 */
static unsigned long find_absent(struct mm_struct *mm, unsigned long from)
{
	struct ckpt_why why = CKPT_WHY_INIT;
	struct ckpt_arm_stats stats = {};
	struct arm a = { .mm = mm, .why = &why, .stats = &stats };
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, from);

	for_each_vma(vmi, vma) {
		if (ckpt_area_kind(vma) != CKPT_AREA_PRIVATE)
			continue;
		if (arm_vma(&a, vma, from) == -EAGAIN)
			return why.addr;
	}
	return 0;
}

/* Bring one page in: from swap, or by waiting for the end of its migration. */
static int fault_in(struct mm_struct *mm, unsigned long addr)
{
	struct page *page;
	long ret;

	/* FOLL_FORCE: also where the program itself may not read. */
	ret = ckpt_gup_remote(mm, addr, FOLL_GET | FOLL_FORCE | FOLL_HWPOISON, &page);
	if (ret == 1)
		put_page(page);
	return ret < 0 ? ret : 0;
}

static unsigned long swapped(struct mm_struct *mm)
{
	return get_mm_counter(mm, MM_SWAPENTS);
}

/**
 * ckpt_arm_prepare - bring in what is not in memory, reserve the index
 * @mm: the target's, which may be running
 * @pages: index; NULL: only bring in
 * @why: the reason, on error
 * @stats: @faulted is counted up
 *
 * Cheap where nothing is swapped out.
 *
 * Return: 0; -EIO when a page cannot be read, -EINTR, -ENOMEM.
 */
int ckpt_arm_prepare(struct mm_struct *mm, struct ckpt_pages *pages, struct ckpt_why *why,
		     struct ckpt_arm_stats *stats)
{
	unsigned long addr = 0;
	int ret;

	/* Page tables of the upper levels are counted too: a little more than needed. */
	ret = pages ? ckpt_pages_reserve(pages, mm_pgtables_bytes(mm) / PAGE_SIZE) : 0;
	if (ret || (pages && !swapped(mm)))
		return ret;

	do {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		addr = find_absent(mm, addr);
		ret = addr ? fault_in(mm, addr) : 0;
		mmap_read_unlock(mm);
		if (addr)
			stats->faulted++;
		if (ret == -ENOMEM || ret == -EINTR)
			return ret;
		/* Unmapped meanwhile; but not by a process that stands still. */
		if (ret == -EFAULT && pages)
			ret = 0;
		if (ret && ret != -EAGAIN) {
			why->addr = addr;
			return ckpt_because(why, CKPT_REASON_PAGE, 0, -EIO);
		}
		addr += addr ? PAGE_SIZE : 0;
		cond_resched();
	} while (addr && !signal_pending(current));
	return addr ? -EINTR : 0;
}

static int arm_all(struct arm *a)
{
	struct vm_area_struct *vma;
	int ret = 0;
	VMA_ITERATOR(vmi, a->mm, 0);

	for_each_vma(vmi, vma) {
		enum ckpt_area_kind kind = ckpt_area_kind(vma);

		/* It may have been tracked once, and may be again: it is not in this generation. */
		if (a->harvest->track && !is_tracked(vma))
			ckpt_track_uncover(a->harvest->track, vma->vm_start, vma->vm_end);
		switch (kind) {
		case CKPT_AREA_PRIVATE:
			ckpt_vma_lock(vma);
			ret = arm_vma(a, vma, 0);
			break;
		case CKPT_AREA_HUGETLB:
			ckpt_vma_lock(vma);
			ret = ckpt_copy_hugetlb(a->pages, vma, a->why, &a->stats->copied);
			break;
		default:
			break;
		}
		if (ret)
			break;
	}
	return ret;
}

/**
 * ckpt_arm - take a reference to every private page, and make it copy-on-write
 * @mm: the target's; all of its threads are still
 * @pages: index to fill
 * @harvest: what to do about tracking
 * @why: the reason, on error
 * @stats: counts
 *
 * Return: 0; -EAGAIN when a page is not in memory (@why->addr): call
 * ckpt_pages_release() and ckpt_arm_prepare(), then again; -ENOMEM, -EINTR.
 */
int ckpt_arm(struct mm_struct *mm, struct ckpt_pages *pages, const struct ckpt_harvest *harvest,
	     struct ckpt_why *why, struct ckpt_arm_stats *stats)
{
	struct arm a = {
		.mm = mm, .pages = pages, .harvest = harvest, .why = why, .stats = stats,
	};
	struct mmu_notifier_range range;
	int ret;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	/*
	 * Who has asked for pages in order to write to them, and sleeps before he has got any,
	 * has a use of the mm; who comes later finds the lock taken.
	 */
	a.alone = atomic_read(&mm->mm_users) <= harvest->users;
	ckpt_notifier_range(&range, mm);
	ckpt_notifier_begin(&range);
	raw_write_seqcount_begin(&mm->write_protect_seq);
	/*
	 * Who pins without the mmap_lock sets the flag, pins, and lets go again when the
	 * count has moved: either he sees our count or we see his flag.
	 */
	smp_mb();
	a.pinned = ckpt_mm_has_pinned(mm);

	ret = arm_all(&a);

	raw_write_seqcount_end(&mm->write_protect_seq);
	ckpt_flush_tlb_mm(mm);
	ckpt_notifier_end(&range);
	mmap_write_unlock(mm);
	if (a.spare)
		__free_page(a.spare);
	return ret;
}
