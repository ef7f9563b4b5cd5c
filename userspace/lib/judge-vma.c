// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * judge-vma.c - see judge.h: which mappings can be brought back.  No state.
 *
 * Allowed: private anonymous memory (heap, stacks, huge pages), shared anonymous memory, files that
 * are regular and still have their name, or none at all, and what the kernel installs itself (vdso, vvar).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "judge.h"
#include "nameless.h"

static const struct judge_flag vma_flags[] = {
	{ CKPT_VMA_PFNMAP, "is memory of a device", "close the device before the snapshot" },
	{ CKPT_VMA_UFFD, "is registered with userfaultfd", NULL },
	{ CKPT_VMA_SHSTK, "is a shadow stack",
	  "run it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off" },
	{ CKPT_VMA_DAX, "maps persistent memory (DAX)", NULL },
	{ CKPT_VMA_SEALED, "is sealed (mseal)", NULL },
	{ CKPT_VMA_UNKNOWN, "has attributes this version does not know", "use newer tools" },
	{ }
};

#define VMA_ALLOWED	(((CKPT_VMA_MAYEXEC << 1) - 1 + CKPT_VMA_MAYSHARE) | \
			 CKPT_VMA_PKEY | CKPT_VMA_PKEY_MASK | CKPT_VMA_POLICY | CKPT_VMA_SYSVSHM | CKPT_VMA_GUARDS | \
			 CKPT_VMA_DROPPABLE)

static bool special_ok(const char *name)
{
	static const char * const known[] = { "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]" };

	for (size_t i = 0; name && i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(name, known[i]))
			return true;
	return false;
}

static bool starts(const char *path, const char *with)
{
	return path && !strncmp(path, with, strlen(with));
}

/* Whether a mapping before this one, or a descriptor, is of the same file: it was counted already. */
static bool seen(const struct ckpt_model *model, const struct ckpt_model_vma *vma)
{
	for (const struct ckpt_model_vma *o = model->vmas; o < vma; o++)
		if (nameless_same(o, vma))
			return true;
	for (size_t i = 0; i < model->nr_fds; i++)
		if (nameless_maps_file(vma, &model->fds[i].rec.id))
			return true;
	return false;
}

/* What is not mapped shared has to be read in the pause. */
static void count_unread(const struct ckpt_model *model, const struct ckpt_model_vma *vma,
			 struct judgement *j, uint64_t *deleted_bytes)
{
	const struct ckpt_rec_vma *v = &vma->rec;
	uint64_t length;

	if (seen(model, vma))
		return;
	length = nameless_length(model, &v->id, vma);
	*deleted_bytes += length;
	if (length > JUDGE_DELETED_MAX || *deleted_bytes > JUDGE_DELETED_MAX)
		judge_refuse(j, "mapping", v->start, vma->path, "unmap it before the snapshot, or map all of it shared",
			     "maps a file without a name; more than %llu MiB of such files that are not "
			     "mapped shared are not carried along", JUDGE_DELETED_MAX >> 20);
}

static void judge_nameless(const struct ckpt_model *model, const struct ckpt_model_vma *vma,
			   struct judgement *j, uint64_t *deleted_bytes)
{
	const struct ckpt_rec_vma *v = &vma->rec;

	if (v->path_flags & CKPT_PATHF_DELETED && v->id.nlink) {
		judge_refuse(j, "mapping", v->start, vma->path, "put the name back (ln), or unmap it",
			     "maps a file that was deleted by this name, but lives on under another");
		return;
	}
	count_unread(model, vma, j, deleted_bytes);
}

static void judge_file(const struct ckpt_model *model, const struct ckpt_model_vma *vma,
		       const struct judge_opts *opts, struct judgement *j, uint64_t *deleted_bytes)
{
	const struct ckpt_rec_vma *v = &vma->rec;
	const char *pseudo = judge_pseudo_fs(v->id.fs_magic);
	char link[80] = "";

	if (!S_ISREG(v->id.mode)) {
		judge_refuse(j, "mapping", v->start, vma->path, NULL, "does not map a regular file");
		return;
	}
	if (pseudo) {
		judge_refuse(j, "mapping", v->start, vma->path, NULL,
			     "maps a file of %s, which shows state of the kernel", pseudo);
		return;
	}
	if (nameless_maps(vma)) {
		judge_nameless(model, vma, j, deleted_bytes);
		return;
	}
	if (v->path_flags) {
		judge_refuse(j, "mapping", v->start, vma->path, NULL,
			     "maps a file that cannot be reached by a path");
		return;
	}
	if (judge_writes_file(v) && !opts->killed && !opts->kept)
		judge_refuse(j, "mapping", v->start, vma->path, "use --files=auto, or snap --kill, then nothing diverges",
			     "maps a file shared and writable, so the file will be newer than the image");
	if (opts->pid && !(opts->kept && judge_in_place(model, &v->id))) {
		snprintf(link, sizeof(link), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, opts->pid,
			 (uint64_t)v->start, (uint64_t)v->end);
		judge_named(j, "mapping", v->start, vma->path, &v->id, link);
	}
}

static void judge_hugetlb(const struct ckpt_model_vma *vma, struct judgement *j)
{
	const struct ckpt_rec_vma *v = &vma->rec;

	if (!(v->flags & CKPT_VMA_SHARED) &&
	    (v->flags & CKPT_VMA_ANON || starts(vma->path, "/anon_hugepage")))
		return;
	judge_refuse(j, "mapping", v->start, vma->path, "use private anonymous huge pages",
		     "maps huge pages that are shared or of a file");
}

static void judge_vma(const struct ckpt_model *model, const struct ckpt_model_vma *vma,
		      const struct judge_opts *opts, struct judgement *j, uint64_t *deleted_bytes)
{
	const struct ckpt_rec_vma *v = &vma->rec;

	bool device = v->flags & CKPT_VMA_PFNMAP;	/* has odd attributes too */

	if (v->end > CKPT_USER_END)
		judge_refuse(j, "mapping", v->start, vma->path, "run it without asking for such addresses",
			     "lies above 128 TiB (five-level page tables)");
	judge_flags(j, "mapping", v->start, vma->path,
		    device ? v->flags & ~CKPT_VMA_UNKNOWN : v->flags, VMA_ALLOWED, vma_flags);
	if (v->unknown_flags && !(v->flags & CKPT_VMA_UNKNOWN) && !device)
		judge_refuse(j, "mapping", v->start, vma->path, "use newer tools",
			     "has attributes this version does not know (%#" PRIx64 ")",
			     (uint64_t)v->unknown_flags);
	if (v->flags & (CKPT_VMA_PFNMAP | CKPT_VMA_DAX))
		return;			/* said already; what follows would repeat it */
	if (v->flags & CKPT_VMA_VDSO)
		return;
	if (v->flags & CKPT_VMA_SPECIAL) {
		if (!special_ok(vma->path))
			judge_refuse(j, "mapping", v->start, vma->path, NULL,
				     "was installed by the kernel and is not known to this version");
		return;
	}
	if (v->flags & CKPT_VMA_HUGETLB)
		judge_hugetlb(vma, j);
	else if (v->page_size != 4096)
		judge_refuse(j, "mapping", v->start, vma->path, NULL,
			     "has pages of an unexpected size (%u)", v->page_size);
	else if (v->flags & (CKPT_VMA_ANON | CKPT_VMA_SHMEM))
		return;
	else if (v->flags & CKPT_VMA_SYSVSHM)
		count_unread(model, vma, j, deleted_bytes);
	else
		judge_file(model, vma, opts, j, deleted_bytes);
}

void judge_vmas(const struct ckpt_model *model, const struct judge_opts *opts,
		struct judgement *j, uint64_t *deleted_bytes)
{
	for (size_t i = 0; i < model->nr_vmas; i++)
		judge_vma(model, &model->vmas[i], opts, j, deleted_bytes);
}
