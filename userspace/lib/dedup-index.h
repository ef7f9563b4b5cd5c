/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dedup-index.h - STORE/.dedup: hints where in a store a page may be. */
#ifndef CKPT_DEDUP_INDEX_H
#define CKPT_DEDUP_INDEX_H

#include "image.h"
#include "store.h"

#define DEDUP_IMAGES_MAX	65536u

/* An image that hints may name. */
struct dedup_image {
	uint8_t		id[IMAGE_ID_SIZE];
	uint64_t	generation;
	char		job[STORE_NAME_MAX + 1];
	uint8_t		reserved[39];
};

/* A hint: the page may be there. */
struct dedup_hint {
	uint8_t		digest[IMAGE_HASH_SIZE];
	uint32_t	image;		/* of the index; one more than its number; 0: no hint */
	uint32_t	section;
	uint32_t	frame;
	uint32_t	page;
};

/*
 * Hints of one bucket, in which the digest leads to any.  With half of all taken one in a few thousand finds
 * its bucket full, and takes another's place.
 */
#define DEDUP_BUCKET	16

struct dedup_index;

/*
 * Open the index of @store for pages of @page_size, with room for @pages more; make it, and fill it from
 * the images of the store, if there is none that can be used.  0 or -errno.
 */
int dedup_index_open(struct store *store, uint32_t page_size, uint64_t pages,
		     struct dedup_index **ret_index);
void dedup_index_close(struct dedup_index *x);

/* Remove what was left by who died while he made one. */
void dedup_index_clean(const struct store *store);

/* The hints that @digest leads to; what cannot be read is none. */
void dedup_index_find(struct dedup_index *x, const uint8_t digest[IMAGE_HASH_SIZE],
		      struct dedup_hint ret_hints[DEDUP_BUCKET]);

/* Put one in, perhaps over another. */
void dedup_index_add(struct dedup_index *x, const struct dedup_hint *hint);

/* Number of a new image, below DEDUP_IMAGES_MAX, or -errno. */
int dedup_index_add_image(struct dedup_index *x, const struct dedup_image *image);

/* Image @n.  0, or -errno: there is none. */
int dedup_index_image(struct dedup_index *x, uint32_t n, struct dedup_image *ret_image);

#endif
