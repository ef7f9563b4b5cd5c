/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compact.h - fold a delta and what it is built on into one full image. */
#ifndef CKPT_COMPACT_H
#define CKPT_COMPACT_H

#include "chain.h"
#include "stream.h"

/**
 * struct compact_result - what came of it
 * @label: JOB@GENERATION; the job in @info may be one it was imported from
 * @info: of the image that is there now
 * @pages: its figures
 * @length: generations that were folded; 1: it was full already, nothing was done
 * @old_size: bytes the generation's file had
 */
struct compact_result {
	char			label[STORE_NAME_MAX + 24];
	struct image_info	info;
	struct image_pages_stats pages;
	size_t			length;
	uint64_t		old_size;
};

/*
 * Put a full image in the place of JOB@GENERATION @ref: the same identity, state and memory, byte for
 * byte, so that what is built on it stays so, and what it was built on is needed no more.  It is
 * exchanged in one step, durably; whatever fails before, the old one is there.  Errors: those of
 * chain_open(), chain_unlock() with the store's keyring, and store_writer_open_over(); -EINVAL: @ref is
 * a path.
 */
int compact_run(struct store *store, const char *ref, int level, stream_progress_fn progress,
		void *arg, struct ckpt_err *err, struct compact_result *ret_result);

#endif
