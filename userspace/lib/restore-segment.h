/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* restore-segment.h - System V segments of a set of processes, see restore-segment.c: steps of restore.c. */
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

#endif
