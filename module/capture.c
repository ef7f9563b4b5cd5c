// SPDX-License-Identifier: GPL-2.0-only
/*
 * Capture: fill a picture while the target is still, and be sure that it was.
 *
 * Steps, inside the pause: state records, list of mappings, copies of what has no
 * copy-on-write, arming of the rest. Then the question: did nobody move? A sleeper
 * whose call completed meanwhile has parked, or is about to, with other registers, and
 * perhaps bytes in memory that came before or after our reference: everything is taken
 * again. It ends, since one that has parked cannot wake a second time. After a few tries
 * those sleepers are woken that do not notice; the others are never, whatever it takes:
 * when the freeze's time is over, the capture fails.
 *
 * The same loop brings in pages that were swapped out between the preparation and the
 * freeze.
 *
 * Of a tracked target the pages that have not changed are left out, and what is taken
 * counts as covered at once (arm.c, track.c); what is taken again is forgotten first.
 *
 * Owns nothing but the loop; the picture belongs to the caller, also on failure, and
 * undoing a capture is dropping the picture.
 */
#include <linux/ktime.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "arm.h"
#include "capture.h"
#include "copy.h"
#include "freeze.h"
#include "others.h"
#include "picture.h"
#include "state.h"
#include "trace.h"
#include "track.h"
#include "why.h"

/* What a thread's records take: extended registers make up most of it. */
#define STATE_PER_THREAD	(8 << 10)
#define STATE_BASE		(256 << 10)

/**
 * ckpt_capture_prepare - do before the pause what can be done before
 * @picture: new
 * @leader: target, running
 * @why: the reason, on error
 */
int ckpt_capture_prepare(struct ckpt_picture *picture, struct task_struct *leader,
			 struct ckpt_why *why)
{
	struct mm_struct *mm = get_task_mm(leader);
	int ret;

	if (!mm)
		return ckpt_because(why, CKPT_REASON_EXITED, 0, -ESRCH);
	if (picture->flags & CKPT_SNAPSHOT_TRACK)
		ckpt_picture_track(picture, mm);
	ret = ckpt_arm_prepare(mm, &picture->pages, why, &picture->arm);
	if (!ret)
		ret = ckpt_records_reserve(&picture->records, STATE_BASE + (size_t)STATE_PER_THREAD *
					   READ_ONCE(leader->signal->nr_threads));
	mmput(mm);
	return ret;
}

/* Back to an empty picture, with what was reserved. */
static void reset(struct ckpt_picture *picture)
{
	if (picture->pending)
		ckpt_track_forget(picture->track, &picture->pages);
	ckpt_pages_release(&picture->pages, false);
	ckpt_areas_free(&picture->areas);
	ckpt_records_reset(&picture->records);
	ckpt_written_free(&picture->written);
	picture->arm = (struct ckpt_arm_stats) { .faulted = picture->arm.faulted };
}

static u64 lap(ktime_t *since)
{
	ktime_t now = ktime_get();
	u64 ns = ktime_to_ns(ktime_sub(now, *since));

	*since = now;
	return ns;
}

static int take(struct ckpt_picture *picture, struct ckpt_frozen *frozen, struct ckpt_why *why)
{
	struct mm_struct *mm = ckpt_frozen_mm(frozen);
	struct ckpt_arm_stats *arm = &picture->arm;
	struct ckpt_harvest harvest = {
		.track = picture->pending ? picture->track : NULL,
		.delta = picture->full == CKPT_FULL_NO,
		.users = ckpt_frozen_users(frozen),
	};
	ktime_t t = ktime_get();
	u64 arm_ns;
	int ret;

	ret = ckpt_state_capture(&picture->records, frozen, &picture->written);
	picture->state_ns += lap(&t);
	if (ret)
		return ret;

	ret = ckpt_areas_take(&picture->areas, mm);
	if (!ret && picture->others)
		ckpt_others_mark(picture->others, &picture->areas);
	if (!ret)
		ret = ckpt_written_add_areas(&picture->written, &picture->areas);
	if (!ret)
		ret = ckpt_copy_shared(&picture->pages, &picture->areas, why, &arm->copied);
	picture->copy_ns += lap(&t);
	if (ret)
		return ret;

	ret = ckpt_arm(mm, &picture->pages, &harvest, why, arm);
	arm_ns = lap(&t);
	picture->arm_ns += arm_ns;
	trace_arm(picture->pid, arm->armed, arm->armed_huge, arm->copied, arm_ns, ret);
	return ret;
}

/*
 * Was the watch kept up to now? If not, what is left out may have changed: it is taken
 * again, and whole.
 */
static bool is_watched(struct ckpt_picture *picture)
{
	bool delta = picture->full == CKPT_FULL_NO;

	if (!picture->pending || ckpt_track_is_watched(picture->track))
		return true;
	picture->full = CKPT_FULL_WATCH;
	return !delta;
}

/**
 * ckpt_capture - take state and memory of a frozen target
 * @picture: new or prepared
 * @frozen: the target, which stays frozen
 * @ids: its files, learnt before the freeze
 * @why: the reason, on error
 *
 * Return: 0, and the picture is published; -ESRCH, -EAGAIN, -EIO, -EFBIG, -ENOMEM,
 * -EINTR.
 */
int ckpt_capture(struct ckpt_picture *picture, struct ckpt_frozen *frozen,
		 const struct ckpt_identities *ids, struct ckpt_why *why)
{
	struct mm_struct *mm = ckpt_frozen_mm(frozen);
	ktime_t deadline = ckpt_freeze_deadline(frozen);
	int ret;

	picture->records.ids = ids;
	picture->pid = ckpt_frozen_leader(frozen)->pid;
	picture->pause = ckpt_frozen_get_pause(frozen);
	/* It has executed another program meanwhile. */
	if (picture->track && !ckpt_track_is_of(picture->track, mm))
		ckpt_picture_untrack(picture, CKPT_FULL_UNTRACKED);
	/* The target of a session may have been frozen for long. */
	if (!ckpt_freeze_steady(frozen)) {
		ret = ckpt_freeze_resettle(frozen, false, why);
		if (ret)
			return ret;
	}
	for (picture->retries = 0; ; picture->retries++) {
		ret = take(picture, frozen, why);
		if (ret && ret != -EAGAIN)
			return ret;
		if (!ret && ckpt_freeze_steady(frozen) && is_watched(picture))
			break;
		if (picture->retries >= CKPT_MIN_TRIES && ktime_after(ktime_get(), deadline))
			return ckpt_because(why, CKPT_REASON_UNSTEADY, 0, -EAGAIN);
		reset(picture);
		if (ret) {
			ret = ckpt_arm_prepare(mm, NULL, why, &picture->arm);
			if (ret)
				return ret;
		}
		ret = ckpt_freeze_resettle(frozen, picture->retries >= CKPT_SLEEPER_TRIES, why);
		if (ret)
			return ret;
		if (signal_pending(current))
			return -EINTR;
	}
	picture->records.ids = NULL;
	*why = (struct ckpt_why) CKPT_WHY_INIT;
	ckpt_frozen_stats(frozen, &picture->frozen);
	return ckpt_picture_publish(picture, mm);
}
