/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* api-priv.h - what the files behind libckpt.h share. */
#ifndef CKPT_API_PRIV_H
#define CKPT_API_PRIV_H

#include "libckpt.h"

#include "err.h"
#include "image.h"
#include "store.h"

struct ckpt_store {
	struct store	*store;
};

/* What a reference names, open. */
struct api_image {
	int			fd;
	struct image		*image;
	struct store_ref	ref;
};

/* @store may be NULL when @ref is a path. */
int api_image_open(struct ckpt_store *store, const char *ref, struct ckpt_err *err,
		   struct api_image *ret_image);
/* To restore it: store_resolve_to_run(). */
int api_image_open_to_run(struct ckpt_store *store, const char *ref, struct ckpt_err *err,
			  struct api_image *ret_image);
void api_image_close(struct api_image *image);

#endif
