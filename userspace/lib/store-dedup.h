/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store-dedup.h - pages that are in a store already are not written again.
 *
 * For who writes an image: what dedup_share() gives goes to image_writer_open(), and the rest is called
 * in the order below.  It belongs to one thread.
 */
#ifndef CKPT_STORE_DEDUP_H
#define CKPT_STORE_DEDUP_H

#include "image.h"
#include "store.h"

struct dedup;

/**
 * struct dedup_params - whose image it is
 * @job: its job
 * @generation: its number there
 * @page_size: of its pages
 * @pages: how many it will have at most, so that the index has room for them; 0: not known
 * @others: share nothing with generations of @job
 */
struct dedup_params {
	const char	*job;
	uint64_t	generation;
	uint32_t	page_size;
	uint64_t	pages;
	bool		others;
};

/* -EOPNOTSUPP: this file system has no locks. */
int dedup_open(struct store *store, const struct dedup_params *params, struct ckpt_err *err,
	       struct dedup **ret_dedup);

const struct image_share *dedup_share(const struct dedup *d);

/* The image has been begun; @id is its identity.  Pages it keeps can be found by others once it is there. */
void dedup_begin(struct dedup *d, const uint8_t id[IMAGE_ID_SIZE]);

/* All pages are written: put SOURCES into the image, and hold what it names, durably. */
int dedup_finish(struct dedup *d, struct image_writer *w, struct ckpt_err *err);

/* After the commit, or when it came to nothing.  NULL is fine. */
void dedup_close(struct dedup *d);

#endif
