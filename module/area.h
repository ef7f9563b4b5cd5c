/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_AREA_H
#define _CKPT_AREA_H

#include <linux/mm.h>
#include <linux/path.h>

/* How the content of a mapping is taken. */
enum ckpt_area_kind {
	CKPT_AREA_OPAQUE,	/* not at all */
	CKPT_AREA_FILE,		/* not at all: nobody can have changed it through this mapping */
	CKPT_AREA_PRIVATE,	/* anonymous pages by reference */
	CKPT_AREA_SHARED,	/* copied through the file */
	CKPT_AREA_HUGETLB,	/* private huge pages, copied */
};

/**
 * struct ckpt_area - a mapping as it was, for the map and for copying
 * @start: first address
 * @end: behind the last
 * @pgoff: offset in the file, bytes
 * @kind: see above
 * @anon: pages that are not held are zero, not a file's
 * @path: for CKPT_AREA_SHARED: the file, with a reference
 * @writable: it is mapped so that it can be written
 * @elsewhere: its content is in the snapshot of another process (others.c)
 */
struct ckpt_area {
	unsigned long start;
	unsigned long end;
	loff_t pgoff;
	enum ckpt_area_kind kind;
	bool anon;
	bool writable;
	bool elsewhere;
	struct path path;
};

struct ckpt_areas {
	struct ckpt_area *v;
	unsigned int nr;
};

enum ckpt_area_kind ckpt_area_kind(struct vm_area_struct *vma);
bool ckpt_vma_is_special(struct vm_area_struct *vma);
int ckpt_areas_take(struct ckpt_areas *areas, struct mm_struct *mm);
void ckpt_areas_free(struct ckpt_areas *areas);
const struct ckpt_area *ckpt_areas_find(const struct ckpt_areas *areas, unsigned long addr);

#endif /* _CKPT_AREA_H */
