// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: the address space, its mappings, and what they map.
 *
 * Owns nothing that lasts. Two passes over the mappings: one under the target's
 * mmap_lock, which copies numbers and takes references to files; one without it, that
 * asks the files who they are (that takes locks which come before mmap_lock).
 */
#include <linux/file.h>
#include <linux/fs_struct.h>
#include <linux/hugetlb.h>
#include <linux/ksm.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>
#include <asm/mmu_context.h>

#include "alloc.h"
#include "area.h"
#include "compat/compat.h"
#include "freeze.h"
#include "identity.h"
#include "record.h"
#include "state.h"

#define NAME_ROOM	32

struct mapping {
	struct ckpt_rec_vma rec;
	struct file *file;		/* reference */
	struct ckpt_policy *policy;	/* or NULL; ours */
	char name[NAME_ROOM];		/* of a special mapping */
};

static const struct {
	vm_flags_t vm;
	u64 ckpt;
} flag_names[] = {
	{ VM_READ,		CKPT_VMA_READ },
	{ VM_WRITE,		CKPT_VMA_WRITE },
	{ VM_EXEC,		CKPT_VMA_EXEC },
	{ VM_SHARED,		CKPT_VMA_SHARED },
	{ VM_MAYREAD,		CKPT_VMA_MAYREAD },
	{ VM_MAYWRITE,		CKPT_VMA_MAYWRITE },
	{ VM_MAYEXEC,		CKPT_VMA_MAYEXEC },
	{ VM_MAYSHARE,		CKPT_VMA_MAYSHARE },
	{ VM_GROWSDOWN,		CKPT_VMA_GROWSDOWN },
	{ VM_LOCKED,		CKPT_VMA_LOCKED },
	{ VM_LOCKONFAULT,	CKPT_VMA_LOCKONFAULT },
	{ VM_DONTCOPY,		CKPT_VMA_DONTFORK },
	{ VM_DONTDUMP,		CKPT_VMA_DONTDUMP },
	{ VM_WIPEONFORK,	CKPT_VMA_WIPEONFORK },
	{ VM_HUGEPAGE,		CKPT_VMA_HUGEPAGE },
	{ VM_NOHUGEPAGE,	CKPT_VMA_NOHUGEPAGE },
	{ VM_MERGEABLE,		CKPT_VMA_MERGEABLE },
	{ VM_NORESERVE,		CKPT_VMA_NORESERVE },
	{ VM_SEQ_READ,		CKPT_VMA_SEQ_READ },
	{ VM_RAND_READ,		CKPT_VMA_RAND_READ },
	{ VM_SYNC,		CKPT_VMA_SYNC },
	{ VM_ACCOUNT,		CKPT_VMA_ACCOUNT },
	{ VM_HUGETLB,		CKPT_VMA_HUGETLB },
	{ VM_PFNMAP,		CKPT_VMA_PFNMAP },
	{ VM_IO,		CKPT_VMA_PFNMAP },
	{ VM_MIXEDMAP,		CKPT_VMA_PFNMAP },
	{ VM_UFFD_MISSING,	CKPT_VMA_UFFD },
	{ VM_UFFD_WP,		CKPT_VMA_UFFD },
#ifdef VM_UFFD_MINOR
	{ VM_UFFD_MINOR,	CKPT_VMA_UFFD },
#endif
#ifdef VM_SHADOW_STACK
	{ VM_SHADOW_STACK,	CKPT_VMA_SHSTK },
#endif
#ifdef VM_SEALED
	{ VM_SEALED,		CKPT_VMA_SEALED },
#endif
#ifdef VM_DROPPABLE
	{ VM_DROPPABLE,		CKPT_VMA_DROPPABLE },
#endif
	/* Bookkeeping of the kernel's: nothing to restore. */
	{ VM_SOFTDIRTY,		0 },
	{ VM_DONTEXPAND,	0 },
};

#ifdef CONFIG_ARCH_HAS_PKEYS
#define PKEY_BITS	(VM_PKEY_BIT0 | VM_PKEY_BIT1 | VM_PKEY_BIT2 | VM_PKEY_BIT3)
#endif

static u64 name_flags(vm_flags_t vm, u64 *ret_unknown)
{
	vm_flags_t known = 0;
	u64 flags = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(flag_names); i++) {
		known |= flag_names[i].vm;
		if (flag_names[i].vm && (vm & flag_names[i].vm) == flag_names[i].vm)
			flags |= flag_names[i].ckpt;
	}
	known |= ckpt_vm_ignored_flags();
#ifdef CONFIG_ARCH_HAS_PKEYS
	known |= PKEY_BITS;
	if (vm & PKEY_BITS)
		flags |= CKPT_VMA_PKEY |
			 (u64)((vm & PKEY_BITS) >> VM_PKEY_SHIFT) << CKPT_VMA_PKEY_SHIFT;
#endif
	*ret_unknown = vm & ~known;
	if (*ret_unknown)
		flags |= CKPT_VMA_UNKNOWN;
	return flags;
}

/*
 * Memory files have no name of their own in the file system; the kernel gives them one, on a
 * mount of its own. On any other one a program may have chosen the same.
 */
static u64 file_flags(struct file *file)
{
	const struct dentry *dentry = file->f_path.dentry;
	const char *name = dentry->d_name.name;
	unsigned long magic = file_inode(file)->i_sb->s_magic;

	if ((magic != TMPFS_MAGIC && magic != HUGETLBFS_MAGIC) || file_inode(file)->i_nlink ||
	    !(file->f_path.mnt->mnt_flags & MNT_INTERNAL))
		return 0;
	if (!strncmp(name, "SYSV", 4))
		return CKPT_VMA_SYSVSHM;
	if (!strcmp(name, "dev/zero") || !strcmp(name, "anon_hugepage"))
		return CKPT_VMA_SHMEM;
	return 0;
}

/* Mapped privately it is anonymous memory, which only remembers where it came from. */
static bool is_zero_device(struct vm_area_struct *vma)
{
	struct inode *inode = file_inode(vma->vm_file);

	return vma_is_anonymous(vma) && S_ISCHR(inode->i_mode) && inode->i_rdev == MKDEV(MEM_MAJOR, 5);
}

static void describe(struct mapping *m, struct vm_area_struct *vma)
{
	struct ckpt_rec_vma *rec = &m->rec;
	const char *name;

	rec->start = vma->vm_start;
	rec->end = vma->vm_end;
	rec->pgoff = (u64)vma->vm_pgoff << PAGE_SHIFT;
	rec->flags = name_flags(vma->vm_flags, &rec->unknown_flags);
	rec->page_size = PAGE_SIZE;
	if (is_vm_hugetlb_page(vma))
		rec->page_size = huge_page_size(hstate_vma(vma));
	if (vma_is_dax(vma))
		rec->flags |= CKPT_VMA_DAX;
	if (vma->vm_flags & ckpt_vm_guard_flag())
		rec->flags |= CKPT_VMA_GUARDS;
#ifdef CONFIG_NUMA
	if (vma->vm_policy)
		rec->flags |= CKPT_VMA_POLICY;
#endif
	if (ckpt_vma_is_special(vma)) {
		/* The kernel's own pages by number: not a device. */
		rec->flags = (rec->flags & ~CKPT_VMA_PFNMAP) | CKPT_VMA_SPECIAL;
		if (vma->vm_start == (unsigned long)vma->vm_mm->context.vdso)
			rec->flags |= CKPT_VMA_VDSO;
		name = vma->vm_ops->name(vma);
		strscpy(m->name, name ?: "", NAME_ROOM);
	} else if (vma->vm_file && !is_zero_device(vma)) {
		m->file = get_file(vma->vm_file);
		rec->flags |= file_flags(vma->vm_file);
		rec->file_flags = vma->vm_file->f_flags;
	} else {
		rec->flags |= CKPT_VMA_ANON;
	}
	/* An anonymous private hugetlb mapping has a file behind it, but nobody knows. */
	if ((rec->flags & CKPT_VMA_SHMEM) && !(rec->flags & CKPT_VMA_SHARED))
		rec->flags = (rec->flags & ~CKPT_VMA_SHMEM) | CKPT_VMA_ANON;
}

static int gather(struct mm_struct *mm, struct mapping **ret_v, unsigned int *ret_nr)
{
	unsigned int cap = READ_ONCE(mm->map_count) + 8;
	struct vm_area_struct *vma;
	struct mapping *v;
	int err = 0;
	VMA_ITERATOR(vmi, mm, 0);

	v = ckpt_alloc_array(cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	*ret_v = v;
	*ret_nr = 0;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for_each_vma(vmi, vma) {
		if (*ret_nr == cap || err)
			break;
		describe(&v[*ret_nr], vma);
		v[(*ret_nr)++].policy = ckpt_policy_of(vma, &err);
	}
	mmap_read_unlock(mm);
	return err ?: vma ? -EAGAIN : 0;
}

static void add_mapping(struct ckpt_records *r, struct mapping *m, struct mapping *before,
			char *buf)
{
	const char *text = m->name;
	u32 len = strlen(m->name);

	if (m->file) {
		const struct path *path = ckpt_file_path(m->file);

		text = ckpt_path_text(path, buf, &m->rec.path_flags, &len);
		/* Mappings of one file stand together; ask it once. */
		if (before && before->file &&
		    d_inode(ckpt_file_path(before->file)->dentry) == d_inode(path->dentry))
			m->rec.id = before->rec.id;
		else
			ckpt_identity(r->ids, path, &m->rec.id);
	}
	m->rec.path_len = len;
	ckpt_record_begin(r, CKPT_REC_VMA);
	ckpt_record_put(r, &m->rec, sizeof(m->rec));
	ckpt_record_put(r, text, len);
	ckpt_record_end(r);
	if (m->policy)
		ckpt_policy_add(r, m->policy);
}

static void add_mappings(struct ckpt_records *r, struct mm_struct *mm, char *buf)
{
	struct mapping *v = NULL;
	unsigned int i, nr = 0;

	r->err = r->err ?: gather(mm, &v, &nr);
	for (i = 0; i < nr && !r->err; i++) {
		add_mapping(r, &v[i], i ? &v[i - 1] : NULL, buf);
		cond_resched();
	}
	for (i = 0; i < nr; i++) {
		if (v[i].file)
			fput(v[i].file);
		kfree(v[i].policy);
	}
	kvfree(v);
}

/* Keys of protection: those that are allocated, and the kernel's own for memory that is only executed. */
static void describe_pkeys(struct ckpt_rec_mm *rec, struct mm_struct *mm)
{
#ifdef CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS
	if (!cpu_feature_enabled(X86_FEATURE_OSPKE))
		return;
	rec->pkeys = mm->context.pkey_allocation_map;
	if (mm->context.execute_only_pkey > 0)
		rec->def_flags |= (u64)mm->context.execute_only_pkey << CKPT_VMA_PKEY_SHIFT;
#endif
}

static void add_mm(struct ckpt_records *r, struct mm_struct *mm)
{
	struct ckpt_rec_mm rec = {
		.vdso = (unsigned long)mm->context.vdso,
		.auxv_len = sizeof(mm->saved_auxv),
		.dump_filter = ckpt_dump_filter(mm) | CKPT_DUMP_FILTER_KNOWN,
	};
	u64 unknown;

	spin_lock(&mm->arg_lock);
	rec.start_code = mm->start_code;
	rec.end_code = mm->end_code;
	rec.start_data = mm->start_data;
	rec.end_data = mm->end_data;
	rec.start_brk = mm->start_brk;
	rec.brk = mm->brk;
	rec.start_stack = mm->start_stack;
	rec.arg_start = mm->arg_start;
	rec.arg_end = mm->arg_end;
	rec.env_start = mm->env_start;
	rec.env_end = mm->env_end;
	spin_unlock(&mm->arg_lock);
	rec.def_flags = name_flags(mm->def_flags, &unknown);
	describe_pkeys(&rec, mm);

	ckpt_record_begin(r, CKPT_REC_MM);
	ckpt_record_put(r, &rec, sizeof(rec));
	ckpt_record_put(r, mm->saved_auxv, sizeof(mm->saved_auxv));
	ckpt_record_end(r);
}

static void add_path(struct ckpt_records *r, enum ckpt_path_what what, const struct path *path,
		     char *buf)
{
	struct ckpt_rec_path rec = { .what = what };
	const char *text = ckpt_path_text(path, buf, &rec.flags, &rec.path_len);

	ckpt_identity(r->ids, path, &rec.id);
	ckpt_record_begin(r, CKPT_REC_PATH);
	ckpt_record_put(r, &rec, sizeof(rec));
	ckpt_record_put(r, text, rec.path_len);
	ckpt_record_end(r);
}

static void add_paths(struct ckpt_records *r, struct task_struct *leader, struct mm_struct *mm,
		      char *buf)
{
	struct file *exe = ckpt_mm_exe_file(mm);
	struct path root = {}, cwd = {};

	if (exe) {
		add_path(r, CKPT_PATH_EXE, &exe->f_path, buf);
		fput(exe);
	}
	task_lock(leader);
	if (leader->fs) {
		get_fs_root(leader->fs, &root);
		get_fs_pwd(leader->fs, &cwd);
	}
	task_unlock(leader);
	if (root.dentry)
		add_path(r, CKPT_PATH_ROOT, &root, buf);
	if (cwd.dentry)
		add_path(r, CKPT_PATH_CWD, &cwd, buf);
	path_put(&root);
	path_put(&cwd);
}

/* The address space, executable and directories, the mappings. */
void ckpt_state_memory(struct ckpt_records *r, struct ckpt_frozen *frozen)
{
	struct mm_struct *mm = ckpt_frozen_mm(frozen);
	char *buf = ckpt_alloc(CKPT_PATH_ROOM);

	if (!buf) {
		r->err = r->err ?: -ENOMEM;
		return;
	}
	add_mm(r, mm);
	add_paths(r, ckpt_frozen_leader(frozen), mm, buf);
	add_mappings(r, mm, buf);
	ckpt_state_guards(r, mm);
	kfree(buf);
}
