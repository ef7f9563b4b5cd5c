/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* api-priv.h - what the files behind libckpt.h share. */
#ifndef CKPT_API_PRIV_H
#define CKPT_API_PRIV_H

#include "libckpt.h"

#include "err.h"
#include "chain.h"
#include "keyring.h"
#include "store.h"

struct ckpt_store {
	struct store	*store;
	struct keyring	*keyring;	/* NULL: none was given */
};

/* NULL, which is fine when a reference is a path, for NULL. */
static inline struct store *api_store(struct ckpt_store *store)
{
	return store ? store->store : NULL;
}

/* Those of $CKPT_IDENTITY if @store was given none. */
int api_identities(struct ckpt_store *store, struct ckpt_err *err);

/*
 * Unlock with the keys @store was given (@store may be NULL), else with those of $CKPT_IDENTITY; -ENOKEY
 * when none fits.
 */
int api_unlock(struct ckpt_store *store, struct chain *chain, struct ckpt_err *err);

/* The same; when none fits it stays locked, all of it, which is no error. */
int api_unlock_if_can(struct ckpt_store *store, struct chain *chain, struct ckpt_err *err);
int api_unlock_image(struct ckpt_store *store, struct image *image, struct ckpt_err *err);

#endif
