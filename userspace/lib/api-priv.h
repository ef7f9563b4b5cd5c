/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* api-priv.h - what the files behind libckpt.h share. */
#ifndef CKPT_API_PRIV_H
#define CKPT_API_PRIV_H

#include "libckpt.h"

#include "err.h"
#include "chain.h"
#include "store.h"

struct ckpt_store {
	struct store	*store;
};

/* NULL, which is fine when a reference is a path, for NULL. */
static inline struct store *api_store(struct ckpt_store *store)
{
	return store ? store->store : NULL;
}

#endif
