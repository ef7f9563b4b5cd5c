/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crypt.h - what an encrypted image is made with: its key, sealed pieces, and keyed hashes.
 *
 * Of an image's data key two others are made, one for pieces and one for hashes, with a salt that is
 * new for each file.  So a folded image keeps its data key, and no key meets the same nonce twice.
 */
#ifndef CKPT_CRYPT_H
#define CKPT_CRYPT_H

#include <stddef.h>
#include <stdint.h>

#define CRYPT_KEY	32
#define CRYPT_SALT	16
#define CRYPT_TAG	16	/* what a sealed piece is longer by */
#define CRYPT_MAC	32
#define CRYPT_SEALED	80	/* a data key, sealed to a public key */

/* 0 or -EIO: there is no source of random numbers.  Before anything else here; as often as one likes. */
int crypt_init(void);

/*
 * Memory for keys: not swapped, not in core dumps, not in a child, overwritten when it is given back.
 * NULL: there is none.
 */
void *crypt_alloc(size_t size);
void crypt_free(void *p);

/* The keys of one image, in such memory. */
struct crypt {
	uint8_t	data[CRYPT_KEY];
	uint8_t	pieces[CRYPT_KEY];
	uint8_t	hashes[CRYPT_KEY];
};

/* @data (CRYPT_KEY bytes) and what is made of it; NULL: a new one.  0, -ENOMEM or -EIO. */
int crypt_new(const uint8_t *data, const uint8_t salt[CRYPT_SALT], struct crypt **ret_crypt);

void crypt_random(void *p, size_t n);

/* What tells one data key from others, and tells nobody the key. */
void crypt_id(const struct crypt *c, uint8_t ret_id[CRYPT_KEY]);

/* Which piece of an image: it opens as no other.  All of it goes into tag and nonce. */
struct crypt_piece {
	uint32_t	kind;		/* of its section */
	uint32_t	owner;
	uint32_t	sub;
	uint32_t	ordinal;	/* no two pieces of an image have this and number alike */
	uint64_t	number;		/* of the frame; 0: all of the section */
	uint32_t	raw_size;
	uint32_t	codec;
};

/* In place; there is room for CRYPT_TAG bytes more behind @len. */
void crypt_seal(const struct crypt *c, const struct crypt_piece *piece, void *p, size_t len);

/* Back, in place: @len has the tag.  0; -EBADMSG: it is not what was sealed, or another piece. */
int crypt_open(const struct crypt *c, const struct crypt_piece *piece, void *p, size_t len);

struct crypt_part {
	const void	*data;
	size_t		size;
};

/* Keyed hash over @n parts, of @size bytes, 16 to CRYPT_MAC. */
void crypt_mac(const struct crypt *c, const struct crypt_part *parts, size_t n, uint8_t *ret_mac,
	       size_t size);

/* In a time that does not depend on the bytes. */
int crypt_same(const void *a, const void *b, size_t n);

/* The data key for who has the secret key of @to; and back: 0 or -EBADMSG. */
int crypt_wrap(const struct crypt *c, const uint8_t to[CRYPT_KEY], uint8_t ret_sealed[CRYPT_SEALED]);
int crypt_unwrap(const uint8_t sealed[CRYPT_SEALED], const uint8_t to[CRYPT_KEY],
		 const uint8_t secret[CRYPT_KEY], uint8_t ret_data[CRYPT_KEY]);

#endif
