/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_TABLE_H
#define _CKPT_TABLE_H

#include <linux/mm.h>
#include <linux/pgtable.h>

/* The entry of the page table for @addr, or NULL. Under mmap_lock; not for memory of devices. */
static inline pmd_t *ckpt_pmd_of(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(READ_ONCE(*pgd)))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(READ_ONCE(*p4d)))
		return NULL;
	pud = pud_offset(p4d, addr);
	return pud_none(READ_ONCE(*pud)) ? NULL : pmd_offset(pud, addr);
}

/*
 * The page table's entry for @addr, locked; NULL: there is no such table, or no more. Those of file
 * mappings may be freed under us by khugepaged, which takes no mmap_lock: RCU keeps the table, and the
 * entry that points to it is looked at again under the lock.
 */
static inline pte_t *__ckpt_lock_ptes(struct mm_struct *mm, pmd_t *pmd, unsigned long addr, spinlock_t **ret_ptl)
{
	pmd_t val;

	rcu_read_lock();
	val = READ_ONCE(*pmd);
	if (!pmd_none(val) && pmd_present(val) && !pmd_trans_huge(val)) {
		*ret_ptl = pte_lockptr(mm, &val);
		spin_lock(*ret_ptl);
		if (pmd_same(val, READ_ONCE(*pmd))) {
			__release(*ret_ptl);	/* for sparse: the wrapper counts it */
			__release(RCU);
			return pte_offset_kernel(&val, addr);
		}
		spin_unlock(*ret_ptl);
	}
	rcu_read_unlock();
	return NULL;
}

static inline pte_t *ckpt_lock_ptes(struct mm_struct *mm, pmd_t *pmd, unsigned long addr, spinlock_t **ret_ptl)
{
	pte_t *pte = __ckpt_lock_ptes(mm, pmd, addr, ret_ptl);

	(void)__cond_lock(*ret_ptl, pte);
	(void)__cond_lock(RCU, pte);
	return pte;
}

static inline void ckpt_unlock_ptes(spinlock_t *ptl)
	__releases(ptl) __releases(RCU)
{
	spin_unlock(ptl);
	rcu_read_unlock();
}

#endif /* _CKPT_TABLE_H */
