/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contents.h - contents of files that a chain of images carries along: files that must not change, so
 * one content serves all generations that list its digest (struct meta_file, meta_has_content()).
 *
 * The rule that makes folding safe: a list names a digest it does not hold itself only if the parent's
 * list names it too.  So whatever is folded has to carry over what its own list names, and no more.
 */
#ifndef CKPT_CONTENTS_H
#define CKPT_CONTENTS_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "chain.h"
#include "err.h"
#include "meta.h"

/* FILE section number @section of member @member holds the @size bytes of that digest. */
struct content {
	char		digest[META_DIGEST + 1];
	uint64_t	size;
	size_t		member;
	uint32_t	section;
};

struct contents {
	struct chain	*chain;
	struct buf	list;		/* struct content, those of newer members first */
};

/* The list of files of @owner in @image; of an image that has none, an empty one.  0, -EBADMSG, -ENOMEM ... */
int contents_list_files(struct image *image, uint32_t owner, struct ckpt_err *err,
			struct meta_files *ret_files);

/* All that the members of @chain hold, which must live longer.  Free it with contents_free(). */
int contents_load(struct chain *chain, uint32_t owner, struct ckpt_err *err,
		  struct contents *ret_contents);
void contents_free(struct contents *c);

/* That of @file; -EBADMSG: none of the chain holds it, which the text tells. */
int contents_find(const struct contents *c, const struct meta_file *file, struct ckpt_err *err,
		  const struct content **ret_content);

/* That there is one of each file the list of @owner in the newest member names. */
int contents_check(struct chain *chain, uint32_t owner, struct ckpt_err *err);

/* A run of the content: its pages, @data NULL: zeros.  Not 0 ends contents_read() with that. */
typedef int (*contents_run_fn)(uint64_t addr, uint64_t npages, const void *data, void *arg);

/* Tell @fn of all there is, by rising addresses.  What @fn fails with is for it to put in words. */
int contents_read(const struct contents *c, const struct content *content, contents_run_fn fn,
		  void *arg, struct ckpt_err *err);

#endif
