// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-crypt.c - the KEYS section of an encrypted image, and what its keys prove.
 *
 *  1. image_load_keys(), on opening: KEYS is there and sound by its checksum.  The image is locked: its
 *     addresses can be read, so that a delta of it can be made by who has no secret key, its content not.
 *  2. image_unlock() takes the data key out of the entry of a recipient, and holds header, KEYS, section
 *     table and trailer against the hash that only who knows it can make.  On failure it stays locked.
 *  3. Indexes and pieces are held against theirs where they are read (image-pages.c, image-read.c).
 *
 * A delta has the identity of its parent's data key under its own hash.  Who can write to the store and
 * knows no key can then put no other image in the parent's place, which the checksums would let him.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image-priv.h"
#include "keyring.h"
#include "util.h"

_Static_assert(sizeof(((struct image_keys_disk *)0)->salt) == CRYPT_SALT &&
	       sizeof(((struct image_keys_disk *)0)->key_id) == CRYPT_KEY &&
	       sizeof(((struct image_recipient_disk *)0)->sealed) == CRYPT_SEALED &&
	       IMAGE_RECIPIENTS_MAX == RECIPIENTS_MAX, "one format");

static const struct image_keys_disk *keys_head(const struct buf *keys)
{
	return (const void *)keys->data;
}

static const struct image_recipient_disk *recipient(const struct buf *keys, size_t i)
{
	return (const struct image_recipient_disk *)(keys->data + sizeof(struct image_keys_disk)) + i;
}

/* ------------------------------------------------------------------------------- hashes */

/* A word in front of each: neither can stand for the other. */
void image_root_mac(const struct crypt *c, const struct image_header_disk *header,
		    const struct buf *keys, const void *table, size_t table_size,
		    const struct image_trailer_disk *trailer, uint8_t ret_mac[IMAGE_ROOT_MAC])
{
	const struct crypt_part parts[] = {
		{ "root", 4 },
		{ header, sizeof(*header) },
		{ keys->data, keys->len },
		{ table, table_size },
		{ trailer, offsetof(struct image_trailer_disk, mac) },
	};

	crypt_mac(c, parts, sizeof(parts) / sizeof(*parts), ret_mac, IMAGE_ROOT_MAC);
}

void image_index_mac(const struct crypt *c, const struct crypt_piece *section,
		     const struct buf *frames, const struct buf *runs,
		     const struct image_pages_footer_disk *foot, uint8_t ret_mac[IMAGE_INDEX_MAC])
{
	const struct crypt_part parts[] = {
		{ "runs", 4 },
		{ section, sizeof(*section) },
		{ frames->data, frames->len },
		{ runs->data, runs->len },
		{ foot, offsetof(struct image_pages_footer_disk, mac) },
	};

	crypt_mac(c, parts, sizeof(parts) / sizeof(*parts), ret_mac, IMAGE_INDEX_MAC);
}

struct crypt_piece image_piece(const struct image *img, uint32_t section)
{
	const struct image_section_disk *s = &img->table[section];

	return (struct crypt_piece){
		.kind = s->kind, .owner = s->owner, .sub = s->sub, .ordinal = section,
	};
}

/* ------------------------------------------------------------------------------- writing */

static int append_recipient(const struct crypt *c, const uint8_t *key, struct buf *keys)
{
	struct image_recipient_disk r;
	int ret;

	memcpy(r.key, key, sizeof(r.key));
	ret = crypt_wrap(c, key, r.sealed);
	return ret ? ret : buf_append(keys, &r, sizeof(r));
}

static int fill_keys(const struct image_params *p, const struct crypt *c,
		     struct image_keys_disk *head, struct buf *keys)
{
	size_t n = p->sealed_as ? image_recipients(p->sealed_as) : recipients_count(p->to);
	int ret;

	head->recipients = n;
	crypt_id(c, head->key_id);
	if (p->parent)
		memcpy(head->parent_key_id, p->parent->key_id, sizeof(head->parent_key_id));
	ret = buf_append(keys, head, sizeof(*head));
	for (size_t i = 0; !ret && i < n; i++)
		ret = append_recipient(c, p->sealed_as ? image_recipient(p->sealed_as, i) :
				       recipients_at(p->to, i), keys);
	return ret;
}

int image_keys_new(const struct image_params *p, const char *label, struct ckpt_err *err,
		   struct buf *ret_keys, struct crypt **ret_crypt)
{
	struct image_keys_disk head = { .reserved = 0 };
	int ret = crypt_init();

	if (p->sealed_as ? image_is_locked(p->sealed_as) || !image_recipients(p->sealed_as) :
	    !recipients_count(p->to))
		return ckpt_err_set(err, EINVAL, "%s: to be encrypted, and to nobody", label);
	if (!ret) {
		crypt_random(head.salt, sizeof(head.salt));
		ret = crypt_new(p->sealed_as ? p->sealed_as->crypt->data : NULL, head.salt, ret_crypt);
	}
	if (!ret)
		ret = fill_keys(p, *ret_crypt, &head, ret_keys);
	if (ret == -EINVAL)
		return ckpt_err_set(err, EINVAL, "%s: one of the public keys is no key", label);
	return ret ? ckpt_err_sys(err, ret, "%s: keys", label) : 0;
}

void image_keys_info(const struct buf *keys, struct image_info *info)
{
	if (!keys->len)
		return;
	memcpy(info->key_id, keys_head(keys)->key_id, sizeof(info->key_id));
	memcpy(info->parent_key_id, keys_head(keys)->parent_key_id, sizeof(info->parent_key_id));
}

/* ------------------------------------------------------------------------------- reading */

static int bad_keys(const struct image *img, const char *what, struct ckpt_err *err)
{
	return ckpt_err_set(err, EBADMSG, "%s: damaged image: keys: %s", img->label, what);
}

static int read_keys(struct image *img, const struct image_section_disk *s, struct ckpt_err *err)
{
	const size_t skip = sizeof(struct image_section_header_disk);
	uint8_t hash[IMAGE_HASH_SIZE];
	int ret = buf_reserve(&img->keys, s->size);

	if (ret)
		return ckpt_err_sys(err, ret, "%s: keys", img->label);
	ret = image_read(img, s->offset, img->keys.data, s->size, "keys", err);
	if (ret)
		return ret;
	util_hash(img->keys.data, s->size, hash);
	if (memcmp(hash, s->hash, sizeof(hash)))
		return bad_keys(img, "wrong checksum", err);
	memmove(img->keys.data, img->keys.data + skip, s->body_size);
	img->keys.len = s->body_size;
	return image_check_section_header(img, 0, err);
}

int image_load_keys(struct image *img, struct ckpt_err *err)
{
	const uint64_t head = sizeof(struct image_keys_disk), each = sizeof(struct image_recipient_disk);
	const struct image_section_disk *s = img->table;
	bool first = img->info.sections && s->kind == IMAGE_KEYS && !s->owner && !s->sub;
	uint64_t n;
	int ret;

	if (!image_info_is_encrypted(&img->info)) {
		for (uint32_t i = 0; i < img->info.sections; i++)
			if (s[i].kind == IMAGE_KEYS)
				return bad_keys(img, "the header says that it is not encrypted", err);
		return 0;
	}
	if (!first)
		return bad_keys(img, "the header says that it is encrypted, and they are missing", err);
	n = s->body_size < head ? 0 : (s->body_size - head) / each;
	if (!n || n > IMAGE_RECIPIENTS_MAX || s->body_size != head + n * each)
		return bad_keys(img, "impossible size", err);
	ret = read_keys(img, s, err);
	if (ret)
		return ret;
	if (keys_head(&img->keys)->recipients != n)
		return bad_keys(img, "impossible number", err);
	if (util_is_zero(keys_head(&img->keys)->key_id, CRYPT_KEY))
		return bad_keys(img, "no identity", err);
	if (image_info_has_digests(&img->info))
		return bad_keys(img, "an encrypted image with digests of its pages", err);
	image_keys_info(&img->keys, &img->info);
	return 0;
}

bool image_is_locked(const struct image *img)
{
	return img->keys.len && !img->crypt;
}

size_t image_recipients(const struct image *img)
{
	return img->keys.len ? keys_head(&img->keys)->recipients : 0;
}

const uint8_t *image_recipient(const struct image *img, size_t i)
{
	return recipient(&img->keys, i)->key;
}

int image_locked(const struct image *img, struct ckpt_err *err)
{
	size_t n = image_recipients(img);
	char text[KEY_TEXT], more[32] = "";

	key_public_text(image_recipient(img, 0), text);
	if (n > 1)
		snprintf(more, sizeof(more), " and %zu more", n - 1);
	ckpt_err_set(err, ENOKEY, "%s: is encrypted to %s%s, and no key was given that opens it",
		     img->label, text, more);
	ckpt_err_hint(err, "name the file of a secret key with --identity or " KEYRING_ENV);
	return -ENOKEY;
}

/* The data key, with the first secret key that fits. */
static int unwrap(const struct image *img, const struct keyring *keyring, uint8_t *ret_data,
		  struct ckpt_err *err)
{
	for (size_t i = 0; i < image_recipients(img); i++) {
		const struct image_recipient_disk *r = recipient(&img->keys, i);
		const uint8_t *secret = keyring_find(keyring, r->key);

		if (!secret)
			continue;
		if (crypt_unwrap(r->sealed, r->key, secret, ret_data))
			return bad_keys(img, "the data key does not open", err);
		return 0;
	}
	return image_locked(img, err);
}

static int authenticate(const struct image *img, const struct crypt *c, struct ckpt_err *err)
{
	uint8_t id[CRYPT_KEY], mac[IMAGE_ROOT_MAC];

	crypt_id(c, id);
	image_root_mac(c, &img->header, &img->keys, img->table,
		       img->info.sections * sizeof(*img->table), &img->trailer, mac);
	if (crypt_same(id, keys_head(&img->keys)->key_id, sizeof(id)) &&
	    crypt_same(mac, img->trailer.mac, sizeof(mac)))
		return 0;
	ckpt_err_set(err, EBADMSG, "%s: header, keys, section table or trailer are not what was sealed",
		     img->label);
	ckpt_err_hint(err, "somebody changed it who did not have the key: do not use it");
	return -EBADMSG;
}

int image_unlock(struct image *img, const struct keyring *keyring, struct ckpt_err *err)
{
	struct crypt *c = NULL;
	uint8_t *data;
	int ret;

	if (!image_is_locked(img))
		return 0;
	data = crypt_alloc(CRYPT_KEY);
	if (!data)
		return ckpt_err_sys(err, ENOMEM, "%s: memory for keys", img->label);
	ret = unwrap(img, keyring, data, err);
	if (!ret) {
		ret = crypt_new(data, keys_head(&img->keys)->salt, &c);
		if (ret)
			ckpt_err_sys(err, ret, "%s: memory for keys", img->label);
	}
	crypt_free(data);
	if (!ret)
		ret = authenticate(img, c, err);
	if (ret)
		crypt_free(c);
	else
		img->crypt = c;
	return ret;
}

void image_lock(struct image *img)
{
	crypt_free(img->crypt);
	img->crypt = NULL;
}
