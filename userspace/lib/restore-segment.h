/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restore-segment.h - what a set of processes has of System V: segments, see restore-segment.c, semaphores and
 * message queues, see restore-ipc.c.  Steps of restore.c.
 */
#ifndef CKPT_LIB_RESTORE_SEGMENT_H
#define CKPT_LIB_RESTORE_SEGMENT_H

#include "restore-priv.h"

int restore_segments_open(struct restore *rs);
int restore_segments_make(struct restore *rs);
/* @len bytes of a mapping of one; NULL: zeros. */
int restore_segment_write(struct restore *rs, const struct ckpt_model_vma *v, uint64_t addr,
			  const void *data, uint64_t len);
int restore_segments_finish(struct restore *rs);
int restore_segments_commit(struct restore *rs);
/* @failed: what was made goes. */
void restore_segments_close(struct restore_set *set, bool failed);

int restore_ipc_open(struct restore *rs);
int restore_ipc_make(struct restore *rs);
int restore_ipc_commit(struct restore *rs);
int restore_ipc_undo(struct restore *rs);
void restore_ipc_close(struct restore_set *set, bool failed);

/* The next one made of @kind ("shm", "sem", "msg") gets this number, if it is free.  0 or -errno. */
int restore_next_number(const char *kind, int id);
/* Effective user and group of the process, for a call.  0 or -errno with the text. */
int restore_become(struct restore *by, uint32_t uid, uint32_t gid, bool group_first);

#endif
