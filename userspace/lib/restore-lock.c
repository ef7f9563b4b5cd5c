// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-lock.c - guard regions of memory, and memory that is locked.
 *
 * When the contents are there: what is guarded has none, and takes none.  Locked memory cannot be given guards,
 * so these come first.  mlock2(2) marks a mapping, then brings its pages in, and fails with ENOMEM where
 * that cannot be, at the first page nobody may touch; the mark stays.  So it was for the program, if it
 * locked all it had (mlockall(2) does not tell of it).  No state.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "remote-queue.h"
#include "restore-priv.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102	/* since Linux 6.13 */
#endif

int restore_guard(struct restore *rs, struct remote_queue *q)
{
	int r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_guards; i++) {
		const struct ckpt_rec_guard *g = &rs->m->guards[i];

		r = remote_queue_add(q, SYS_madvise, REMOTE_ARGS(g->start, g->end - g->start, MADV_GUARD_INSTALL),
				     "guard %llx-%llx", (unsigned long long)g->start, (unsigned long long)g->end);
	}
	return r;
}

static uint64_t lock_flags(const struct ckpt_rec_vma *v)
{
	return v->flags & CKPT_VMA_LOCKONFAULT ? MLOCK_ONFAULT : 0;
}

static int lock(struct remote_queue *q, const struct ckpt_rec_vma *v, uint64_t start, uint64_t end)
{
	if (start == end)
		return 0;
	return remote_queue_add(q, SYS_mlock2, REMOTE_ARGS(start, end - start, lock_flags(v)),
				"lock %llx-%llx", (unsigned long long)start, (unsigned long long)end);
}

/* Where no page can be brought in. */
static int lock_untouchable(struct remote_queue *q, const struct ckpt_rec_vma *v, uint64_t start, uint64_t end)
{
	long ret;
	int r = remote_queue_run(q);

	if (!r)
		r = remote_try(q->r, q->err, SYS_mlock2, REMOTE_ARGS(start, end - start, lock_flags(v)), &ret);
	if (!r && ret && ret != -ENOMEM)
		r = ckpt_err_sys(q->err, (int)ret, "lock %llx-%llx", (unsigned long long)start,
				 (unsigned long long)end);
	return r;
}

/* Between the guards for itself, so that all those pages come in. */
static int lock_mapping(struct restore *rs, struct remote_queue *q, const struct ckpt_rec_vma *v)
{
	const struct ckpt_rec_guard *g;
	uint64_t at = v->start;
	size_t nr;
	int r = 0;

	if (!(v->flags & (CKPT_VMA_READ | CKPT_VMA_WRITE | CKPT_VMA_EXEC)))
		return lock_untouchable(q, v, v->start, v->end);
	g = ckpt_model_guards(rs->m, v, &nr);
	for (size_t i = 0; !r && i < nr; i++) {
		r = lock(q, v, at, g[i].start);
		if (!r)
			r = lock_untouchable(q, v, g[i].start, g[i].end);
		at = g[i].end;
	}
	return r ? r : lock(q, v, at, v->end);
}

int restore_lock(struct restore *rs, struct remote_queue *q)
{
	const uint64_t future = rs->m->mm.def_flags;
	int r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_vmas; i++)
		if (rs->m->vmas[i].rec.flags & CKPT_VMA_LOCKED)
			r = lock_mapping(rs, q, &rs->m->vmas[i].rec);
	if (r || !(future & CKPT_VMA_LOCKED))
		return r;
	return remote_queue_add(q, SYS_mlockall,
				REMOTE_ARGS(MCL_FUTURE | (future & CKPT_VMA_LOCKONFAULT ? MCL_ONFAULT : 0)),
				"lock future mappings");
}
