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
 *  5. tracked, it is perhaps committed; if not, what it held is forgotten by the
 *     tracker;
 *  6. the last reference frees it: the descriptor's close, or the shrinker if it is
 *     just canceling. The program's pages become writable again (disarm.c).
 *
 * Locks: none of its own but @barrier_lock, which also serializes the commit; pages
 * have theirs.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "alloc.h"
#include "counters.h"
#include "disarm.h"
#include "picture.h"
#include "shrink.h"
#include "track.h"
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
	picture->full = CKPT_FULL_UNASKED;
	ckpt_count(CKPT_COUNT_SNAPSHOTS, 1);
	return picture;
}

/* Track the target, whose memory is @mm. One that cannot be tracked is taken whole. */
void ckpt_picture_track(struct ckpt_picture *picture, struct mm_struct *mm)
{
	struct ckpt_track *track;

	if (ckpt_track_get(mm, &track)) {
		picture->full = CKPT_FULL_WATCH;
		return;
	}
	picture->track = track;
	picture->full = ckpt_track_begin(track, picture, picture->parent);
	picture->pending = picture->full != CKPT_FULL_PENDING;
}

/* Nobody will ever have what a picture holds that was not committed. Its pages are still there. */
static void forget(struct ckpt_picture *picture)
{
	if (picture->pending && !picture->canceled)
		ckpt_track_forget(picture->track, &picture->pages);
}

/* The picture is not tracked, or no more. */
void ckpt_picture_untrack(struct ckpt_picture *picture, enum ckpt_full full)
{
	if (picture->pending)
		ckpt_track_end(picture->track, picture);
	if (picture->track)
		ckpt_track_put(picture->track);
	picture->pending = false;
	picture->track = NULL;
	picture->full = full;
}

static void disarm(struct ckpt_picture *picture)
{
	if (!picture->mm)
		return;
	if (picture->track && !picture->canceled && mmget_not_zero(picture->mm)) {
		ckpt_disarm(picture->mm, &picture->pages);
		mmput_async(picture->mm);
	}
	mmdrop(picture->mm);
}

/* For the shrinker, which may find a picture that is just being freed. */
bool ckpt_picture_tryget(struct ckpt_picture *picture)
{
	return refcount_inc_not_zero(&picture->refs);
}

void ckpt_picture_put(struct ckpt_picture *picture)
{
	u64 pages;

	/* Before the count drops: from then on the shrinker leaves the pages to us, and waits. */
	ckpt_release_begin();
	if (!refcount_dec_and_test(&picture->refs)) {
		ckpt_release_end();
		return;
	}
	forget(picture);
	pages = ckpt_pages_release(&picture->pages, true);
	if (picture->pressure) {
		ckpt_count(CKPT_COUNT_PAGES, -(long)pages);
		ckpt_pressure_detach(picture->pressure);
	}
	ckpt_release_end();
	disarm(picture);
	ckpt_pages_destroy(&picture->pages);
	ckpt_picture_untrack(picture, picture->full);
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

	forget(picture);
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
	mmgrab(mm);
	picture->mm = mm;
	return 0;
}

/**
 * ckpt_picture_commit - what it holds is on disk, and the next may be a delta of it
 * @picture: tracked
 * @id: identity of the generation, not zero
 * @pin: keep the tracker as long as the target's mm
 *
 * Return: 0; -ESTALE when it is not tracked, or committed already; -ECANCELED.
 */
int ckpt_picture_commit(struct ckpt_picture *picture, const u8 *id, bool pin)
{
	int ret = -ESTALE;

	if (mutex_lock_interruptible(&picture->barrier_lock))
		return -EINTR;
	if (READ_ONCE(picture->canceled))
		ret = -ECANCELED;
	else if (picture->pending)
		ret = ckpt_track_commit(picture->track, picture, id, pin);
	if (!ret)
		picture->pending = false;
	mutex_unlock(&picture->barrier_lock);
	return ret;
}
