// SPDX-License-Identifier: GPL-2.0-only
/*
 * A picture: pages, mappings and state of one process at one instant.
 *
 * Life
 *  1. new, empty; the capture (capture.c) fills it and is alone with it;
 *  2. published: pages are counted, the shrinker knows it;
 *  3. behind a snapshot descriptor (snapshot.c): barrier, then read, consumed;
 *  4. perhaps canceled by memory pressure: pages go, the rest stays so that every
 *     call can say -ECANCELED;
 *  5. the last reference frees it: the descriptor's close, or the shrinker if it is
 *     just canceling.
 *
 * Locks: none of its own but @barrier_lock; pages have theirs.
 */
#include <linux/slab.h>

#include "alloc.h"
#include "counters.h"
#include "picture.h"
#include "shrink.h"
#include "trace.h"

struct ckpt_picture *ckpt_picture_new(u32 flags)
{
	struct ckpt_picture *picture = ckpt_alloc(sizeof(*picture));

	if (!picture)
		return NULL;
	refcount_set(&picture->refs, 1);
	ckpt_pages_init(&picture->pages);
	mutex_init(&picture->barrier_lock);
	picture->flags = flags;
	ckpt_count(CKPT_COUNT_SNAPSHOTS, 1);
	return picture;
}

/* For the shrinker, which may find a picture that is just being freed. */
bool ckpt_picture_tryget(struct ckpt_picture *picture)
{
	return refcount_inc_not_zero(&picture->refs);
}

void ckpt_picture_put(struct ckpt_picture *picture)
{
	/* Before the count drops: from then on the shrinker leaves the pages to us, and waits. */
	ckpt_release_begin();
	if (!refcount_dec_and_test(&picture->refs)) {
		ckpt_release_end();
		return;
	}
	if (picture->pressure)
		ckpt_count(CKPT_COUNT_PAGES, -(long)picture->pages.nr_held);
	ckpt_pages_destroy(&picture->pages);
	if (picture->pressure)
		ckpt_pressure_detach(picture->pressure);
	ckpt_release_end();
	ckpt_areas_free(&picture->areas);
	ckpt_records_free(&picture->records);
	ckpt_written_free(&picture->written);
	ckpt_pause_put(picture->pause);
	kfree(picture);
	ckpt_count(CKPT_COUNT_SNAPSHOTS, -1);
}

/* Give the pages up for good. Return: how many. */
u64 ckpt_picture_cancel(struct ckpt_picture *picture)
{
	u64 pages;

	WRITE_ONCE(picture->canceled, true);
	pages = ckpt_pages_release(&picture->pages, true);
	ckpt_count(CKPT_COUNT_PAGES, -(long)pages);
	trace_cancel(picture->pid, pages);
	return pages;
}

/**
 * ckpt_picture_publish - the picture is complete
 * @picture: filled
 * @mm: the target's
 */
int ckpt_picture_publish(struct ckpt_picture *picture, struct mm_struct *mm)
{
	/* Counted first: pressure may cancel it as soon as it is attached. */
	ckpt_count(CKPT_COUNT_PAGES, picture->pages.nr_held);
	if (ckpt_pressure_attach(picture, mm, &picture->pressure)) {
		ckpt_count(CKPT_COUNT_PAGES, -(long)picture->pages.nr_held);
		return -ENOMEM;
	}
	return 0;
}
