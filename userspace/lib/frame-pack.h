/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* frame-pack.h - frames of an image, compressed by several threads and given back in their order. */
#ifndef CKPT_FRAME_PACK_H
#define CKPT_FRAME_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypt.h"
#include "image-format.h"

/*
 * More are not made: with frames of 1 MiB so many hold 18 MiB of frames, and at level 5, the highest
 * that is chosen by itself, zstd's tables take another 30 MiB.
 */
#define FRAME_PACK_THREADS	8

struct frame_packer;

/**
 * struct frame_pack_params - what all frames have in common
 * @frame_size: bytes of a full one
 * @page_size: of the pages in it
 * @seed: of the pages' digests
 * @threads: 0: one for each processor the caller may use, up to FRAME_PACK_THREADS
 */
struct frame_pack_params {
	uint32_t	frame_size;
	uint32_t	page_size;
	uint64_t	seed;
	unsigned int	threads;
};

/* One that is done; valid until frame_packer_room(). */
struct packed_frame {
	const void	*stored;
	uint32_t	stored_size;
	uint32_t	raw_size;
	uint32_t	codec;			/* enum image_codec */
	uint8_t		hash[IMAGE_HASH_SIZE];	/* of what is stored */
	const uint8_t	*digests;		/* one for each page, in their order */
	size_t		digests_size;
};

/* 0 or -ENOMEM. */
int frame_packer_new(const struct frame_pack_params *params, struct frame_packer **ret_packer);
void frame_packer_free(struct frame_packer *p);

/*
 * Only when empty: the frames from now on are those of @section, from number 0 on, and are sealed with
 * @crypt, which has to stay, before they are hashed; such have no digests.  NULL: they are not.
 */
void frame_packer_seal(struct frame_packer *p, const struct crypt *crypt,
		       const struct crypt_piece *section);

/* Where the bytes of the next frame go; only while not full. */
unsigned char *frame_packer_room(struct frame_packer *p);

/*
 * The first @len bytes there are a frame, @len above 0 and whole pages, to be compressed at @level of
 * zstd's or IMAGE_LEVEL_NONE.
 */
void frame_packer_submit(struct frame_packer *p, size_t len, int level);

/* Whether one has to be taken before there is room. */
bool frame_packer_full(const struct frame_packer *p);

/* Whether none was submitted that is not taken. */
bool frame_packer_empty(const struct frame_packer *p);

/*
 * The oldest one not taken, when it is done; not when empty.  -ENOMEM, -EIO: it could not be
 * compressed.
 */
int frame_packer_take(struct frame_packer *p, struct packed_frame *ret_frame);

#endif
