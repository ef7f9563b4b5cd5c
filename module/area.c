// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which mappings there are, and how the content of each is taken.
 *
 * Owns struct ckpt_areas: the list of mappings at the capture, ascending. It holds
 * paths, not files: a file held open beyond the program's own close would keep its
 * flock alive and hurt the program.
 *
 * Locks: ckpt_areas_take() takes the target's mmap_lock for reading. The list itself
 * does not change after it was made.
 */
#include <linux/dax.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>

#include "alloc.h"
#include "area.h"
#include "compat/compat.h"

/* Put there by the kernel, with a name and no file: vdso, vvar, uprobes. */
bool ckpt_vma_is_special(struct vm_area_struct *vma)
{
	return !vma->vm_file && vma->vm_ops && vma->vm_ops->name;
}

/**
 * ckpt_area_kind - how the content of a mapping is taken
 * @vma: mapping, under mmap_lock
 *
 * Mappings that userspace will refuse (device memory, userfaultfd) are opaque here:
 * touching them could block or mean nothing.
 */
enum ckpt_area_kind ckpt_area_kind(struct vm_area_struct *vma)
{
	if (ckpt_vma_is_special(vma) || vma_is_dax(vma) || userfaultfd_armed(vma) ||
	    (vma->vm_flags & (VM_PFNMAP | VM_IO | VM_MIXEDMAP)))
		return CKPT_AREA_OPAQUE;
	if (vma->vm_flags & VM_SHARED) {
		if (vma->vm_file && S_ISREG(file_inode(vma->vm_file)->i_mode))
			return CKPT_AREA_SHARED;
		return CKPT_AREA_OPAQUE;
	}
	if (vma->vm_flags & VM_MAYSHARE)
		return CKPT_AREA_FILE;	/* MAP_SHARED of a file open for reading only */
	if (is_vm_hugetlb_page(vma))
		return CKPT_AREA_HUGETLB;
	return CKPT_AREA_PRIVATE;
}

/* A file without a name on a file system that is memory. */
static bool is_memory(struct file *file)
{
	unsigned long magic = file_inode(file)->i_sb->s_magic;

	return (magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC) && !file_inode(file)->i_nlink;
}

/*
 * Is what we do not hold of it zero, and not some file's? Of a shared memory file all
 * data was copied, the rest are holes. Of one mapped privately only the pages written
 * through the mapping were taken; but behind anonymous private huge pages there is a
 * file too, which stays empty.
 */
static bool rest_is_zero(struct file *file, enum ckpt_area_kind kind)
{
	if (!file)
		return true;
	if (!is_memory(file))
		return false;
	return kind == CKPT_AREA_SHARED ||
	       (kind == CKPT_AREA_HUGETLB && !file->f_mapping->nrpages);
}

static void fill(struct ckpt_area *area, struct vm_area_struct *vma)
{
	enum ckpt_area_kind kind = ckpt_area_kind(vma);
	struct file *file = vma->vm_file;

	*area = (struct ckpt_area) {
		.start = vma->vm_start,
		.end = vma->vm_end,
		.pgoff = (loff_t)vma->vm_pgoff << PAGE_SHIFT,
		.kind = kind,
		.anon = rest_is_zero(file, kind),
		.writable = (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) ==
			    (VM_SHARED | VM_MAYWRITE),
	};
	if (kind == CKPT_AREA_SHARED) {
		area->path = *ckpt_file_path(file);
		path_get(&area->path);
	}
}

/**
 * ckpt_areas_take - list the mappings of a target
 * @areas: empty; to be freed by ckpt_areas_free()
 * @mm: the target's
 */
int ckpt_areas_take(struct ckpt_areas *areas, struct mm_struct *mm)
{
	struct vm_area_struct *vma;
	unsigned int cap;
	int ret = 0;

	/* All threads are still: nobody maps anything between the count and the walk. */
	cap = READ_ONCE(mm->map_count) + 8;
	areas->v = ckpt_alloc_array(cap, sizeof(*areas->v));
	if (!areas->v)
		return -ENOMEM;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	{
		VMA_ITERATOR(vmi, mm, 0);

		for_each_vma(vmi, vma) {
			if (areas->nr == cap) {
				ret = -EAGAIN;
				break;
			}
			fill(&areas->v[areas->nr++], vma);
		}
	}
	mmap_read_unlock(mm);
	return ret;
}

void ckpt_areas_free(struct ckpt_areas *areas)
{
	unsigned int i;

	for (i = 0; i < areas->nr; i++)
		if (areas->v[i].kind == CKPT_AREA_SHARED)
			path_put(&areas->v[i].path);
	kvfree(areas->v);
	*areas = (struct ckpt_areas) {};
}

/**
 * ckpt_areas_find - the mapping at an address, or the next one behind it
 * @areas: list
 * @addr: address
 */
const struct ckpt_area *ckpt_areas_find(const struct ckpt_areas *areas, unsigned long addr)
{
	unsigned int low = 0, high = areas->nr, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (areas->v[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < areas->nr ? &areas->v[low] : NULL;
}
