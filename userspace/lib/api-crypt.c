// SPDX-License-Identifier: LGPL-2.1-or-later
/* api-crypt.c - libckpt.h: keys.  A store's keyring is its own and goes with it. */
#include <errno.h>

#include "libckpt.h"

#include "api-priv.h"

_Static_assert(CKPT_KEY_TEXT == KEY_TEXT, "it goes through");

int ckpt_keygen(const char *path, struct ckpt_err *err, char *ret_public)
{
	return keyring_generate(path, err, ret_public);
}

int ckpt_store_identity(struct ckpt_store *store, const char *path, struct ckpt_err *err)
{
	int ret = store->keyring ? 0 : keyring_new(err, &store->keyring);

	if (!ret)
		store_set_keyring(store->store, store->keyring);
	return ret ? ret : keyring_add_file(store->keyring, path, err);
}

int api_identities(struct ckpt_store *store, struct ckpt_err *err)
{
	int ret = store->keyring ? 0 : keyring_open(NULL, 0, err, &store->keyring);

	if (!ret)
		store_set_keyring(store->store, store->keyring);
	return ret;
}

/* The keys to use, in *@own if they have to be freed. */
static int find_keys(struct ckpt_store *store, struct ckpt_err *err, struct keyring **own,
		     const struct keyring **ret_keys)
{
	int ret = store ? api_identities(store, err) : keyring_open(NULL, 0, err, own);

	*ret_keys = store ? store->keyring : *own;
	return ret;
}

static int unlock(struct ckpt_store *store, struct chain *chain, bool must, struct ckpt_err *err)
{
	const struct keyring *keys;
	struct keyring *own = NULL;
	int ret;

	if (!chain_is_encrypted(chain))
		return 0;
	ret = find_keys(store, err, &own, &keys);
	if (!ret)
		ret = chain_unlock(chain, keys, err);
	if (ret == -ENOKEY && !must) {
		chain_lock(chain);	/* those that one did fit */
		ckpt_err_clear(err);
		ret = 0;
	}
	keyring_free(own);
	return ret;
}

int api_unlock(struct ckpt_store *store, struct chain *chain, struct ckpt_err *err)
{
	return unlock(store, chain, true, err);
}

int api_unlock_if_can(struct ckpt_store *store, struct chain *chain, struct ckpt_err *err)
{
	return unlock(store, chain, false, err);
}

int api_unlock_image(struct ckpt_store *store, struct image *image, struct ckpt_err *err)
{
	const struct keyring *keys;
	struct keyring *own = NULL;
	int ret;

	if (!image_is_locked(image))
		return 0;
	ret = find_keys(store, err, &own, &keys);
	if (!ret)
		ret = image_unlock(image, keys, err);
	if (ret == -ENOKEY) {
		ckpt_err_clear(err);
		ret = 0;
	}
	keyring_free(own);
	return ret;
}
