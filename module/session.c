// SPDX-License-Identifier: GPL-2.0-only
/*
 * Session: one caller and one target, in the order attach, freeze, snapshot, thaw.
 *
 * Owns the session descriptor, the reference to the target's leader, the freeze while
 * there is one, and a use of the target's tracker from the first freeze on, if it was
 * asked to track.
 *
 * Life
 *  1. attach: access is checked, the descriptor is made. The target runs.
 *  2. freeze -> state or snapshot, any number of times -> thaw; and again.
 *  3. close, also by the caller's death: thaw if frozen, drop everything. Snapshots
 *     made meanwhile live on their own.
 * The one-shot call goes the same way without a descriptor for the session.
 *
 * Locks: session->lock, held across every call, so that two threads of the caller
 * cannot freeze or thaw into one another's capture.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "alloc.h"
#include "capture.h"
#include "counters.h"
#include "freeze.h"
#include "ioctl.h"
#include "params.h"
#include "others.h"
#include "picture.h"
#include "session.h"
#include "state.h"
#include "target.h"
#include "track.h"
#include "why.h"

struct ckpt_session {
	struct mutex lock;
	struct task_struct *leader;
	struct ckpt_frozen *frozen;	/* NULL while the target runs; under @lock */
	struct ckpt_records records;	/* for CKPT_STATE, under @lock */
	struct ckpt_identities ids;	/* learnt before the freeze, under @lock */
	struct ckpt_track *track;	/* of the mm at the last freeze, or NULL; under @lock */
	bool tracks;			/* CKPT_ATTACH_TRACK */
};

static unsigned int timeout_or_default(u32 timeout_ms)
{
	return timeout_ms ?: READ_ONCE(ckpt_freeze_timeout_ms);
}

static u64 thaw(struct ckpt_session *session)
{
	u64 pause_ns = ckpt_freeze_end(session->frozen);

	session->frozen = NULL;
	ckpt_records_free(&session->records);
	ckpt_identities_free(&session->ids);
	return pause_ns;
}

static void stop_tracking(struct ckpt_session *session)
{
	if (session->track)
		ckpt_track_put(session->track);
	session->track = NULL;
}

/* The mm is another one when the target has executed a program. No tracker is no error. */
static void track(struct ckpt_session *session)
{
	struct mm_struct *mm = get_task_mm(session->leader);

	if (mm && session->track && ckpt_track_is_of(session->track, mm)) {
		mmput(mm);
		return;
	}
	stop_tracking(session);
	if (!mm)
		return;
	if (ckpt_track_get(mm, &session->track))
		session->track = NULL;
	mmput(mm);
}

static int freeze(struct ckpt_session *session, const struct ckpt_freeze *cmd,
		  struct ckpt_why *why)
{
	int ret;

	if (session->tracks)
		track(session);
	ckpt_identities_learn(&session->ids, session->leader);
	ret = ckpt_freeze_begin(session->leader, timeout_or_default(cmd->timeout_ms), why,
				&session->frozen);
	if (ret)
		ckpt_identities_free(&session->ids);
	return ret;
}

static int do_freeze(struct ckpt_call *call)
{
	struct ckpt_session *session = call->priv;
	struct ckpt_freeze *cmd = call->arg;
	struct ckpt_why why = CKPT_WHY_INIT;
	struct ckpt_freeze_stats stats = {};
	int ret;

	if (cmd->reserved)
		return -EINVAL;
	if (mutex_lock_interruptible(&session->lock))
		return -EINTR;
	if (session->frozen)
		ret = ckpt_because(&why, CKPT_REASON_FROZEN, 0, -EBUSY);
	else
		ret = freeze(session, cmd, &why);
	if (!ret)
		ckpt_frozen_stats(session->frozen, &stats);
	mutex_unlock(&session->lock);

	cmd->out_threads = stats.threads;
	cmd->out_parked = stats.parked;
	cmd->out_asleep = stats.asleep;
	cmd->out_woken = stats.woken;
	cmd->out_freeze_ns = stats.freeze_ns;
	cmd->out_reason = why.reason;
	cmd->out_tid = why.tid;
	cmd->out_syscall = why.syscall;
	cmd->out_reserved = 0;
	return ret;
}

static int do_thaw(struct ckpt_call *call)
{
	struct ckpt_session *session = call->priv;
	struct ckpt_thaw *cmd = call->arg;
	int ret = -EINVAL;

	/* Not interruptible: a thaw is never refused. */
	mutex_lock(&session->lock);
	cmd->out_pause_ns = 0;
	if (session->frozen) {
		cmd->out_pause_ns = thaw(session);
		ret = 0;
	}
	mutex_unlock(&session->lock);
	return ret;
}

static int capture_state(struct ckpt_session *session)
{
	ktime_t deadline = ckpt_freeze_deadline(session->frozen);
	struct ckpt_why why = CKPT_WHY_INIT;
	unsigned int tries;
	int ret;

	/* As ckpt_capture() does, without the memory. */
	for (tries = 0; tries < CKPT_MIN_TRIES || ktime_before(ktime_get(), deadline); tries++) {
		ckpt_records_reset(&session->records);
		session->records.ids = &session->ids;
		ret = ckpt_state_capture(&session->records, session->frozen, NULL);
		if (ret && ret != -EAGAIN)
			return ret;
		if (!ret && ckpt_freeze_steady(session->frozen))
			return 0;
		ret = ckpt_freeze_resettle(session->frozen, tries >= CKPT_SLEEPER_TRIES, &why);
		if (ret)
			return ret;
		if (signal_pending(current))
			return -EINTR;
	}
	return -EAGAIN;
}

static int do_state(struct ckpt_call *call)
{
	struct ckpt_session *session = call->priv;
	struct ckpt_state *cmd = call->arg;
	int ret = 0;

	cmd->out_len = 0;
	cmd->out_total = 0;
	if (mutex_lock_interruptible(&session->lock))
		return -EINTR;
	if (!session->frozen)
		ret = -EINVAL;
	else if (!cmd->offset || !session->records.len)
		ret = capture_state(session);
	if (!ret)
		ret = ckpt_records_read(&session->records, cmd);
	mutex_unlock(&session->lock);
	return ret;
}

/* A tracker that could not be had at the freeze is not tried again: by now it would know too little. */
static void track_picture(struct ckpt_picture *picture, struct ckpt_session *session)
{
	if (session->track)
		ckpt_picture_track(picture, ckpt_frozen_mm(session->frozen));
	else
		picture->full = CKPT_FULL_WATCH;
}

static int do_snapshot(struct ckpt_call *call)
{
	struct ckpt_session *session = call->priv;
	struct ckpt_snapshot *cmd = call->arg;
	struct ckpt_why why = CKPT_WHY_INIT;
	struct ckpt_others others = {};
	struct ckpt_picture *picture;
	int ret;

	cmd->out_fd = -1;
	cmd->out_full = CKPT_FULL_UNASKED;
	cmd->out_reserved = 0;
	if (cmd->reserved)
		return -EINVAL;
	if ((cmd->flags & CKPT_SNAPSHOT_TRACK) && !session->tracks)
		return -EINVAL;
	picture = ckpt_picture_new(cmd->flags);
	if (!picture)
		return -ENOMEM;
	memcpy(picture->parent, cmd->parent, CKPT_ID_LEN);
	/* Before the lock, for it is what the caller did wrong. */
	ret = ckpt_others_get(&others, cmd->others, cmd->nr_others);
	if (!ret && mutex_lock_interruptible(&session->lock))
		ret = -EINTR;
	if (ret) {
		ckpt_others_put(&others);
		ckpt_picture_put(picture);
		return ret;
	}
	picture->others = &others;
	ret = -EINVAL;
	if (session->frozen) {
		if (cmd->flags & CKPT_SNAPSHOT_TRACK)
			track_picture(picture, session);
		ret = ckpt_capture(picture, session->frozen, &session->ids, &why);
	}
	mutex_unlock(&session->lock);
	picture->others = NULL;
	ckpt_others_put(&others);
	cmd->out_full = picture->full;

	cmd->out_reason = why.reason;
	cmd->out_tid = why.tid;
	cmd->out_syscall = why.syscall;
	cmd->out_addr = why.addr;
	if (ret) {
		ckpt_picture_put(picture);
		return ret;
	}
	ret = ckpt_picture_fd(picture, call);
	cmd->out_fd = ret ? -1 : call->fd;
	return ret;
}

static int do_steady(struct ckpt_call *call)
{
	struct ckpt_session *session = call->priv;
	struct ckpt_steady *cmd = call->arg;
	int ret = -EINVAL;

	cmd->out_steady = 0;
	cmd->out_reserved = 0;
	if (mutex_lock_interruptible(&session->lock))
		return -EINTR;
	if (session->frozen) {
		cmd->out_steady = ckpt_freeze_steady(session->frozen);
		ret = 0;
	}
	mutex_unlock(&session->lock);
	return ret;
}

static const struct ckpt_ioctl session_ioctls[] = {
	CKPT_IOCTL(CKPT_CMD_FREEZE, ckpt_freeze, out_freeze_ns, 0, do_freeze),
	CKPT_IOCTL(CKPT_CMD_THAW, ckpt_thaw, out_pause_ns, 0, do_thaw),
	CKPT_IOCTL(CKPT_CMD_STATE, ckpt_state, out_total, 0, do_state),
	CKPT_IOCTL(CKPT_CMD_SNAPSHOT, ckpt_snapshot, out_addr,
		   CKPT_SNAPSHOT_CONSUME | CKPT_SNAPSHOT_TRACK, do_snapshot),
	CKPT_IOCTL(CKPT_CMD_STEADY, ckpt_steady, out_reserved, 0, do_steady),
};

static long session_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return ckpt_ioctl_run(file, cmd, arg, session_ioctls, ARRAY_SIZE(session_ioctls));
}

static void session_free(struct ckpt_session *session)
{
	if (session->frozen)
		thaw(session);
	stop_tracking(session);
	put_task_struct(session->leader);
	kfree(session);
	ckpt_count(CKPT_COUNT_SESSIONS, -1);
}

static int session_release(struct inode *inode, struct file *file)
{
	session_free(file->private_data);
	return 0;
}

static const struct file_operations session_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= session_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.release	= session_release,
	.llseek		= noop_llseek,
};

/* Takes over the reference to @leader. */
static int make_session(struct ckpt_call *call, struct task_struct *leader, bool tracks)
{
	struct ckpt_session *session = ckpt_alloc(sizeof(*session));
	struct file *file;

	if (!session) {
		put_task_struct(leader);
		return -ENOMEM;
	}
	mutex_init(&session->lock);
	ckpt_identities_init(&session->ids);
	session->leader = leader;
	session->tracks = tracks;
	ckpt_count(CKPT_COUNT_SESSIONS, 1);

	file = ckpt_anon_file("[ckpt-session]", &session_fops, session, O_RDWR);
	if (IS_ERR(file)) {
		session_free(session);
		return PTR_ERR(file);
	}
	return ckpt_call_make_fd(call, file);
}

/* CKPT_ATTACH */
int ckpt_session_attach(struct ckpt_call *call)
{
	struct ckpt_attach *cmd = call->arg;
	struct ckpt_why why = CKPT_WHY_INIT;
	struct task_struct *leader;
	int ret;

	cmd->out_fd = -1;
	ret = ckpt_target_get(cmd->pid, &why, &leader);
	if (!ret)
		ret = make_session(call, leader, cmd->flags & CKPT_ATTACH_TRACK);
	if (!ret)
		cmd->out_fd = call->fd;
	cmd->out_reason = why.reason;
	cmd->out_tid = why.tid;
	return ret;
}

static int snap(struct ckpt_picture *picture, struct ckpt_snap *cmd, struct ckpt_why *why)
{
	struct ckpt_identities ids;
	struct task_struct *leader;
	struct ckpt_frozen *frozen;
	int ret;

	ret = ckpt_target_get(cmd->pid, why, &leader);
	if (ret)
		return ret;
	ckpt_identities_init(&ids);
	ckpt_identities_learn(&ids, leader);
	ret = ckpt_capture_prepare(picture, leader, why);
	if (!ret)
		ret = ckpt_freeze_begin(leader, timeout_or_default(cmd->timeout_ms), why, &frozen);
	if (!ret) {
		ret = ckpt_capture(picture, frozen, &ids, why);
		ckpt_freeze_end(frozen);
	}
	ckpt_identities_free(&ids);
	put_task_struct(leader);
	return ret;
}

/* CKPT_SNAP: all of it at once. */
int ckpt_session_snap(struct ckpt_call *call)
{
	struct ckpt_snap *cmd = call->arg;
	struct ckpt_why why = CKPT_WHY_INIT;
	struct ckpt_picture *picture;
	int ret;

	cmd->out_fd = -1;
	cmd->out_full = CKPT_FULL_UNASKED;
	cmd->out_reserved = 0;
	picture = ckpt_picture_new(cmd->flags);
	if (!picture)
		return -ENOMEM;
	memcpy(picture->parent, cmd->parent, CKPT_ID_LEN);
	ret = snap(picture, cmd, &why);
	cmd->out_full = picture->full;
	cmd->out_reason = why.reason;
	cmd->out_tid = why.tid;
	cmd->out_syscall = why.syscall;
	cmd->out_addr = why.addr;
	if (ret) {
		ckpt_picture_put(picture);
		return ret;
	}
	ret = ckpt_picture_fd(picture, call);
	cmd->out_fd = ret ? -1 : call->fd;
	return ret;
}

/* CKPT_UNTRACK */
int ckpt_session_untrack(struct ckpt_call *call)
{
	struct ckpt_untrack *cmd = call->arg;
	struct ckpt_why why = CKPT_WHY_INIT;
	struct task_struct *leader;
	struct mm_struct *mm;
	int ret;

	ret = ckpt_target_get(cmd->pid, &why, &leader);
	cmd->out_reason = why.reason;
	cmd->out_tid = why.tid;
	cmd->out_reserved = 0;
	if (ret)
		return ret;
	mm = get_task_mm(leader);
	put_task_struct(leader);
	if (!mm)
		return -ESRCH;
	if (!ckpt_untrack(mm))
		ret = -ENOENT;
	mmput(mm);
	return ret;
}
