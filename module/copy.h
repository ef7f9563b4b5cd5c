/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_COPY_H
#define _CKPT_COPY_H

#include <linux/types.h>

struct ckpt_areas;
struct ckpt_leaf;
struct ckpt_pages;
struct ckpt_why;
struct page;
struct vm_area_struct;

int ckpt_copy_pages(struct ckpt_pages *pages, struct ckpt_leaf *leaf, unsigned long addr,
		    struct page *from, unsigned int nr);
int ckpt_copy_hugetlb(struct ckpt_pages *pages, struct vm_area_struct *vma,
		      struct ckpt_why *why, u64 *copied);
int ckpt_copy_shared(struct ckpt_pages *pages, const struct ckpt_areas *areas,
		     struct ckpt_why *why, u64 *copied);

#endif /* _CKPT_COPY_H */
