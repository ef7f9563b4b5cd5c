/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h - the calls of <linux/ckpt.h>, one function each, with their errors put in words.
 *
 * 0 or -errno, the reason in @err (may be NULL), results through ret_* last.  Descriptors given
 * back are O_CLOEXEC and the caller's to close.  -EINTR: a signal came; nothing was changed.
 */
#ifndef CKPT_DEVICE_H
#define CKPT_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/ckpt.h>

#include "buf.h"
#include "err.h"

/*
 * Open CKPT_DEVICE and check that module and library speak the same version.  -ENODEV: the module
 * is not loaded; -EPROTO: it is of another version; -EACCES, -EPERM: the caller may not use it.
 * @ret_query (may be NULL) is what the module says of itself; filled for -EPROTO too.
 */
int device_open(struct ckpt_err *err, struct ckpt_query *ret_query, int *ret_fd);

/* @flags: CKPT_ATTACH_*. */
int device_attach(int dev, pid_t pid, uint32_t flags, struct ckpt_err *err, int *ret_session);

/*
 * Attach, freeze, capture, thaw.  @timeout_ms 0: the module's default.  @flags: CKPT_SNAPSHOT_*.
 * @parent, CKPT_ID_LEN bytes: the generation a delta is wanted of; NULL: none.
 */
int device_snap(int dev, pid_t pid, uint32_t flags, uint32_t timeout_ms, const uint8_t *parent,
		struct ckpt_err *err, int *ret_snapshot);

/* Let go of the account that is kept of what @pid changes.  -ENOENT: none is. */
int device_untrack(int dev, pid_t pid, struct ckpt_err *err);

/* @pid is for the error text.  @ret_freeze may be NULL. */
int session_freeze(int session, pid_t pid, uint32_t timeout_ms, struct ckpt_err *err,
		   struct ckpt_freeze *ret_freeze);
int session_thaw(int session, struct ckpt_err *err, uint64_t *ret_pause_ns);
/* *ret_steady: nobody has moved since the last freeze or snapshot of the session. */
int session_steady(int session, struct ckpt_err *err, bool *ret_steady);

/* Snapshots of other processes, whose shared memory is not copied again. */
struct device_others {
	int32_t		snapshots[CKPT_OTHERS_MAX];
	uint32_t	nr;
};

/* @others may be NULL. */
int session_snapshot(int session, pid_t pid, uint32_t flags, const uint8_t *parent,
		     const struct device_others *others, struct ckpt_err *err, int *ret_snapshot);

/* Append the record stream to @ret_records.  @fd: a frozen session, or a snapshot. */
int session_state(int fd, struct ckpt_err *err, struct buf *ret_records);
int snapshot_state(int fd, struct ckpt_err *err, struct buf *ret_records);

/*
 * Fill @runs (room for @nr) with what is mapped from @start on.  *ret_nr is 0 at the end, and
 * *ret_next where to go on.
 */
int snapshot_map(int fd, uint64_t start, struct ckpt_run *runs, uint32_t nr,
		 struct ckpt_err *err, uint32_t *ret_nr, uint64_t *ret_next);

/* On failure *ret_barrier names the file; it is filled always.  May be NULL. */
int snapshot_barrier(int fd, uint32_t flags, struct ckpt_err *err, struct ckpt_barrier *ret_barrier);

/* It is on disk as generation @id.  -ESTALE: it is not tracked.  @flags: CKPT_COMMIT_PIN. */
int snapshot_commit(int fd, const uint8_t *id, uint32_t flags, struct ckpt_err *err);

int snapshot_stats(int fd, struct ckpt_err *err, struct ckpt_stats *ret_stats);

/* Read exactly @len bytes of DATA pages at @addr. */
int snapshot_read(int fd, uint64_t addr, void *buf, size_t len, struct ckpt_err *err);

#endif
