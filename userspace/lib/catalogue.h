/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * catalogue.h - STORE/.catalogue: what was seen of the store's generations when they were last read.
 *
 * A cache.  Each answer is of a file with the same device, inode, size and times as the one that was read,
 * and none is wrong for the catalogue being old, damaged, of another version, or away: then there is none.
 * Nothing here fails, so nothing has a result.  Who restores, builds on an image, or removes one does not
 * ask it.
 *
 * Belongs to one thread at a time, as its store does, which it must not outlive.
 */
#ifndef CKPT_CATALOGUE_H
#define CKPT_CATALOGUE_H

#include <sys/stat.h>

#include "chain.h"
#include "store.h"

#define CATALOGUE_NAME	".catalogue"

struct catalogue;

/* NULL: without; all functions here take that. */
struct catalogue *catalogue_open(const struct store *store);

/* Writes what is new, if that can be. */
void catalogue_close(struct catalogue *cat);

struct catalogue_facts {
	struct image_info	info;
	enum store_verdict	verdict;
	uint64_t		verified_ns;
};

/* Whether it is known what generation @generation of @job holds, now that its file is as @st says. */
bool catalogue_find(struct catalogue *cat, const char *job, uint64_t generation,
		    const struct stat *st, struct catalogue_facts *ret_facts);

/* Remember the image open as @fd, which was @st before it was opened as an image and found to be @info. */
void catalogue_learn(struct catalogue *cat, const char *job, uint64_t generation, int fd,
		     const struct stat *st, const struct image_info *info);

/*
 * image_verify() of member @i of @chain, and remember what came of it: that it is sound or that it is
 * damaged; not that it could not be read, and not that a locked one has the right checksums.
 */
int catalogue_verify(struct catalogue *cat, struct chain *chain, size_t i, image_damage_fn fn, void *arg,
		     struct ckpt_err *err, struct image_pages_stats *ret_stats);

/* chain_unlock() has found a forgery (-EBADMSG): remember that of the first member that is locked still. */
void catalogue_forged(struct catalogue *cat, const struct chain *chain);

#endif
