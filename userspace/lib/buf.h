/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * buf.h - a byte array that grows.  All zeros is an empty one.  Growth doubles; a failure leaves
 * the content as it was.
 */
#ifndef CKPT_BUF_H
#define CKPT_BUF_H

#include <stddef.h>

struct buf {
	unsigned char	*data;
	size_t		len;
	size_t		cap;
};

/* Make room for @more bytes beyond len.  0 or -ENOMEM. */
int buf_reserve(struct buf *b, size_t more);

/* Copy @n bytes to the end.  0 or -ENOMEM. */
int buf_append(struct buf *b, const void *p, size_t n);

/* Free the content; the buffer is empty again. */
void buf_free(struct buf *b);

#endif
