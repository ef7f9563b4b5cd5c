/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keyring.h - keys as people have them: a line of text, and files of such lines.
 *
 *	ckpt-public-1:BASE64URL		whom an image is encrypted to
 *	ckpt-secret-1:BASE64URL		who can read it
 *
 * 48 characters stand for the 32 bytes of an X25519 key and 4 of a checksum, so that a typing error
 * is found.  In files, lines that are empty or begin with # do not count.
 */
#ifndef CKPT_KEYRING_H
#define CKPT_KEYRING_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "crypt.h"
#include "err.h"

#define KEYRING_ENV	"CKPT_IDENTITY"
#define KEY_TEXT	64		/* either kind, and its NUL */
#define RECIPIENTS_MAX	64

/* ------------------------------------------------------------------------------ recipients */

/* Public keys, CRYPT_KEY bytes each, no two alike; zeros to begin with, recipients_free() it. */
struct recipients {
	struct buf	keys;
};

static inline size_t recipients_count(const struct recipients *r)
{
	return r->keys.len / CRYPT_KEY;
}

static inline const uint8_t *recipients_at(const struct recipients *r, size_t i)
{
	return (const uint8_t *)r->keys.data + i * CRYPT_KEY;
}

/* One more; one that is there already is no error.  -E2BIG: more than RECIPIENTS_MAX. */
int recipients_add(struct recipients *r, const uint8_t key[CRYPT_KEY], struct ckpt_err *err);

/* @text: a public key, or a file with some. */
int recipients_parse(struct recipients *r, const char *text, struct ckpt_err *err);
void recipients_free(struct recipients *r);

void key_public_text(const uint8_t key[CRYPT_KEY], char ret_text[KEY_TEXT]);

/* -------------------------------------------------------------------------------- identities */

/* Secret keys. */
struct keyring;

int keyring_new(struct ckpt_err *err, struct keyring **ret_keyring);
void keyring_free(struct keyring *k);

/*
 * The secret keys in @path.  It has to belong to the caller or root and be nobody else's to read:
 * -EACCES.  -EINVAL: a line is no secret key, or there is none.
 */
int keyring_add_file(struct keyring *k, const char *path, struct ckpt_err *err);

/*
 * A keyring of the @n files @paths; of none: of the one KEYRING_ENV names; and NULL when there is none
 * either.
 */
int keyring_open(const char *const *paths, size_t n, struct ckpt_err *err,
		 struct keyring **ret_keyring);

/* The secret key of @public, or NULL.  @k may be NULL. */
const uint8_t *keyring_find(const struct keyring *k, const uint8_t public[CRYPT_KEY]);

/* A new pair: the secret key into the new file @path, mode 0600, synced; the public one as text. */
int keyring_generate(const char *path, struct ckpt_err *err, char ret_public[KEY_TEXT]);

#endif
