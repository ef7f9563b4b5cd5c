// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * crypt.c - see crypt.h.  All of it is libsodium's: XChaCha20-Poly1305, BLAKE2b, X25519 sealed boxes.
 *
 * Life of the keys: made or unwrapped into memory of crypt_alloc(), used by the threads that pack frames
 * and by who reads, overwritten by crypt_free().  No lock: they do not change in between.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sodium.h>

#include "crypt.h"

_Static_assert(CRYPT_KEY == crypto_aead_xchacha20poly1305_ietf_KEYBYTES &&
	       CRYPT_TAG == crypto_aead_xchacha20poly1305_ietf_ABYTES &&
	       CRYPT_KEY == crypto_box_PUBLICKEYBYTES && CRYPT_KEY == crypto_box_SECRETKEYBYTES &&
	       CRYPT_SEALED == CRYPT_KEY + crypto_box_SEALBYTES &&
	       CRYPT_SALT == crypto_generichash_blake2b_SALTBYTES, "as the format has them");

int crypt_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

/*
 * The child that becomes a restored program begins as a copy of the caller.  What is in front of @p in
 * its page is the allocator's own, which no child uses.
 */
void *crypt_alloc(size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin;
	void *p;

	if (crypt_init())
		return NULL;
	p = sodium_malloc(size);
	if (!p)
		return NULL;
	begin = (uintptr_t)p & ~(page - 1);
	if (madvise((void *)begin, (uintptr_t)p + size - begin, MADV_DONTFORK)) {
		sodium_free(p);
		return NULL;
	}
	return p;
}

void crypt_free(void *p)
{
	sodium_free(p);
}

void crypt_random(void *p, size_t n)
{
	randombytes_buf(p, n);
}

/* BLAKE2b's own ways to keep uses apart. @personal: at most 16 characters. */
static void derive(const uint8_t *data, const uint8_t *salt, const char *personal, uint8_t *ret)
{
	unsigned char name[crypto_generichash_blake2b_PERSONALBYTES] = { 0 };

	memcpy(name, personal, strlen(personal));
	crypto_generichash_blake2b_salt_personal(ret, CRYPT_KEY, NULL, 0, data, CRYPT_KEY, salt, name);
}

int crypt_new(const uint8_t *data, const uint8_t salt[CRYPT_SALT], struct crypt **ret_crypt)
{
	struct crypt *c;

	if (crypt_init())
		return -EIO;
	c = crypt_alloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	if (data)
		memcpy(c->data, data, sizeof(c->data));
	else
		randombytes_buf(c->data, sizeof(c->data));
	derive(c->data, salt, "ckpt pieces", c->pieces);
	derive(c->data, salt, "ckpt hashes", c->hashes);
	*ret_crypt = c;
	return 0;
}

void crypt_id(const struct crypt *c, uint8_t ret_id[CRYPT_KEY])
{
	static const uint8_t no_salt[CRYPT_SALT];

	derive(c->data, no_salt, "ckpt key id", ret_id);
}

/* -------------------------------------------------------------------------------- pieces */

/* The structs are written as they lie in memory: little-endian, see image-format.h. */
struct nonce {
	uint32_t	ordinal;
	uint32_t	zero0;
	uint64_t	number;
	uint64_t	zero1;
};

_Static_assert(sizeof(struct nonce) == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(sizeof(struct crypt_piece) == 32, "no holes: it is hashed");

void crypt_seal(const struct crypt *c, const struct crypt_piece *piece, void *p, size_t len)
{
	const struct nonce nonce = { .ordinal = piece->ordinal, .number = piece->number };

	crypto_aead_xchacha20poly1305_ietf_encrypt(p, NULL, p, len, (const void *)piece,
						   sizeof(*piece), NULL, (const void *)&nonce,
						   c->pieces);
}

int crypt_open(const struct crypt *c, const struct crypt_piece *piece, void *p, size_t len)
{
	const struct nonce nonce = { .ordinal = piece->ordinal, .number = piece->number };

	return crypto_aead_xchacha20poly1305_ietf_decrypt(p, NULL, NULL, p, len, (const void *)piece,
							  sizeof(*piece), (const void *)&nonce,
							  c->pieces) ? -EBADMSG : 0;
}

/* -------------------------------------------------------------------------------- hashes */

void crypt_mac(const struct crypt *c, const struct crypt_part *parts, size_t n, uint8_t *ret_mac,
	       size_t size)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, c->hashes, sizeof(c->hashes), size);
	for (size_t i = 0; i < n; i++)
		crypto_generichash_update(&state, parts[i].data, parts[i].size);
	crypto_generichash_final(&state, ret_mac, size);
	sodium_memzero(&state, sizeof(state));
}

int crypt_same(const void *a, const void *b, size_t n)
{
	return !sodium_memcmp(a, b, n);
}

/* ------------------------------------------------------------------------------ data key */

int crypt_wrap(const struct crypt *c, const uint8_t to[CRYPT_KEY], uint8_t ret_sealed[CRYPT_SEALED])
{
	return crypto_box_seal(ret_sealed, c->data, sizeof(c->data), to) ? -EINVAL : 0;
}

int crypt_unwrap(const uint8_t sealed[CRYPT_SEALED], const uint8_t to[CRYPT_KEY],
		 const uint8_t secret[CRYPT_KEY], uint8_t ret_data[CRYPT_KEY])
{
	return crypto_box_seal_open(ret_data, sealed, CRYPT_SEALED, to, secret) ? -EBADMSG : 0;
}
