/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* diff.h - what is different in the memory of two generations. */
#ifndef CKPT_DIFF_H
#define CKPT_DIFF_H

#include "chain.h"

enum diff_kind {
	DIFF_CHANGED,		/* other bytes */
	DIFF_NEW,		/* only in the second */
	DIFF_GONE,		/* only in the first */
};

/* Told of stretches of pages, by rising address.  Not 0: stop, and return that. */
typedef int (*diff_fn)(uint64_t addr, uint64_t npages, enum diff_kind kind, void *arg);

/*
 * Compare the memory of two chains, both loaded.  Bytes are compared, not digests; what both have
 * from the same place is not read.  A page of a mapped file is the same if it is from the same
 * offset.  A page that holds zeros is one that is there.
 */
int diff_run(struct chain *a, struct chain *b, diff_fn fn, void *arg, struct ckpt_err *err);

#endif
