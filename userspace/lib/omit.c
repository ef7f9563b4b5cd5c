// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * omit.c - see omit.h.
 *
 * A mapping that is left out is in no run of a full image, and what the parent had there is GONE in a
 * delta: not ZERO, which would be content that a later delta may be built on.  The mark may go again
 * without the memory being touched; the module therefore never counts marked memory as covered
 * (module/arm.c), so that all of it is in the first snapshot after that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>

#include "omit.h"
#include "state.h"

/* The kernel marks what it installs and what is a device's, too: none of that is the program's wish. */
#define NOT_PRIVATE	(CKPT_VMA_SHARED | CKPT_VMA_MAYSHARE | CKPT_VMA_SHMEM)
#define NOT_ITS_OWN	(CKPT_VMA_VDSO | CKPT_VMA_SPECIAL | CKPT_VMA_PFNMAP)

/* The kernel marks that, too. */
static bool is_droppable(const struct ckpt_rec_vma *v)
{
	return v->flags & CKPT_VMA_DROPPABLE;
}

static bool is_marked(const struct ckpt_rec_vma *v)
{
	return !is_droppable(v) && v->flags & CKPT_VMA_DONTDUMP && !(v->flags & NOT_ITS_OWN);
}

static bool may_go(const struct ckpt_rec_vma *v)
{
	return is_marked(v) && !(v->flags & (NOT_PRIVATE | CKPT_VMA_GROWSDOWN));
}

/* The parser has seen to the size of prstatus. */
static void keep_stacks(const struct ckpt_model *model, struct omit *o)
{
	for (size_t i = 0; i < model->nr_threads; i++) {
		const struct user_regs_struct *regs = model->threads[i].prstatus;
		const struct ckpt_model_vma *vma = ckpt_model_vma(model, regs->rsp);

		if (vma)
			o->vma[vma - model->vmas] = false;
	}
}

bool omit_has(const struct omit *o, const struct ckpt_model *model, const struct ckpt_model_vma *vma)
{
	return o && o->vma && o->vma[vma - model->vmas];
}

/* Runs that are in no mapping are for stream_map_check() to find. */
static void count(const struct ckpt_model *model, const struct ckpt_run *runs, size_t nr, bool keep, struct omit *o)
{
	for (size_t i = 0; i < nr; i++) {
		const struct ckpt_model_vma *vma = ckpt_model_vma(model, runs[i].start);

		if (!vma || runs[i].kind != CKPT_RUN_DATA)
			continue;
		if (is_droppable(&vma->rec) && omit_has(o, model, vma))
			o->dropped_bytes += runs[i].len;
		if (keep || !is_marked(&vma->rec))
			continue;
		if (omit_has(o, model, vma))
			o->bytes += runs[i].len;
		else
			o->saved_bytes += runs[i].len;
	}
	for (size_t i = 0; i < model->nr_vmas; i++)
		o->mappings += o->vma[i] && !is_droppable(&model->vmas[i].rec);
}

int omit_choose(const struct ckpt_model *model, const struct ckpt_run *runs, size_t nr, bool keep,
		struct ckpt_err *err, struct omit *ret_omit)
{
	struct omit o = { .vma = calloc(model->nr_vmas + 1, sizeof(*o.vma)) };

	if (!o.vma)
		return ckpt_err_sys(err, ENOMEM, "memory that is left out");
	for (size_t i = 0; i < model->nr_vmas; i++)
		o.vma[i] = is_droppable(&model->vmas[i].rec) || (!keep && may_go(&model->vmas[i].rec));
	keep_stacks(model, &o);
	count(model, runs, nr, keep, &o);
	*ret_omit = o;
	return 0;
}

void omit_free(struct omit *o)
{
	free(o->vma);
	memset(o, 0, sizeof(*o));
}
