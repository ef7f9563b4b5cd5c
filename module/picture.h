/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_PICTURE_H
#define _CKPT_PICTURE_H

#include <linux/mutex.h>
#include <linux/refcount.h>

#include "area.h"
#include "arm.h"
#include "barrier.h"
#include "freeze.h"
#include "identity.h"
#include "pages.h"
#include "record.h"

struct ckpt_call;
struct ckpt_others;
struct file;
struct ckpt_pressure;
struct ckpt_track;

/**
 * struct ckpt_picture - what a snapshot descriptor holds
 * @refs: the file's, and the shrinker's while it cancels
 * @pages: page contents
 * @areas: mappings
 * @others: of other processes, whose memory is not copied again; during the capture, or NULL
 * @records: state
 * @written: files for the barrier, under @barrier_lock
 * @pressure: what the shrinker knows it by; NULL before it is published
 * @flags: CKPT_SNAPSHOT_*
 * @pid: global number of the target, for traces
 * @mm: the target's, without its users, once published; to disarm it
 * @track: tracker of the target, with a reference; NULL: not tracked
 * @pending: it is the tracker's pending snapshot: not committed yet
 * @parent: identity of the generation a delta was asked of
 * @full: why it is not a delta
 * @barrier_lock: one barrier at a time
 * @durable: the barrier has passed
 * @canceled: given up under memory pressure
 * @frozen: threads and their states at the capture
 * @arm: pages
 * @pause: of the freeze it was taken in
 */
struct ckpt_picture {
	refcount_t refs;
	struct ckpt_pages pages;
	struct ckpt_areas areas;
	const struct ckpt_others *others;
	struct ckpt_records records;
	struct ckpt_written_list written;
	struct ckpt_pressure *pressure;
	u32 flags;
	pid_t pid;
	struct mm_struct *mm;
	struct ckpt_track *track;
	bool pending;
	u8 parent[CKPT_ID_LEN];
	enum ckpt_full full;
	struct mutex barrier_lock;
	bool durable;
	bool canceled;
	struct ckpt_freeze_stats frozen;
	struct ckpt_arm_stats arm;
	u64 state_ns, copy_ns, arm_ns, barrier_ns;
	struct ckpt_pause *pause;
	unsigned int retries;
};

struct ckpt_picture *ckpt_picture_new(u32 flags);
bool ckpt_picture_tryget(struct ckpt_picture *picture);
void ckpt_picture_put(struct ckpt_picture *picture);
u64 ckpt_picture_cancel(struct ckpt_picture *picture);
void ckpt_picture_track(struct ckpt_picture *picture, struct mm_struct *mm);
void ckpt_picture_untrack(struct ckpt_picture *picture, enum ckpt_full full);
int ckpt_picture_commit(struct ckpt_picture *picture, const u8 *id, bool pin);
int ckpt_picture_publish(struct ckpt_picture *picture, struct mm_struct *mm);

int ckpt_picture_fd(struct ckpt_picture *picture, struct ckpt_call *call);
struct ckpt_picture *ckpt_picture_of(struct file *file);

#endif /* _CKPT_PICTURE_H */
