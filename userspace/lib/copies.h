/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copies.h - files made out of images, for restored programs to map: see copies.c.
 *
 * 0 or -errno, the reason in @err, results last.
 */
#ifndef CKPT_COPIES_H
#define CKPT_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "store.h"

struct copies;

/*
 * Open the directory @dir, or that of @store when @dir is NULL, and make it if it is not there.  As long
 * as it is open nothing in it is removed.  -EPERM: others could have put there what would be run;
 * -EACCES: nothing can be run from there.
 */
int copies_open(const struct store *store, const char *dir, struct ckpt_err *err,
		struct copies **ret_copies);
void copies_close(struct copies *c);

/* What a copy is to be: of a file called @name, in whatever directory. */
struct copy_of {
	const char	*name;
	const char	*digest;	/* meta_digest() of all of it */
	uint64_t	size;
	int64_t		mtime_ns;
	bool		secret;		/* nobody but its owner is to read it */
};

/* Fill the empty file @fd.  0 or -errno, and the text is told. */
typedef int (*copies_fill_fn)(int fd, void *arg);

/*
 * The copy of that digest, open for reading; made by @fill if there is none that is sound, and then read
 * again.  One that is there for others to read is closed to them when @want is secret; none is ever opened
 * to more.  It is not removed as long as the open file is, by descriptor or mapping, whoever has it.
 * @ret_path, to be freed, is where it is.
 */
int copies_get(struct copies *c, const struct copy_of *want, copies_fill_fn fill, void *arg,
	       struct ckpt_err *err, int *ret_fd, char **ret_path);

/* Another open file of the same copy, kept likewise; @fd and the result are open for reading. */
int copies_reopen(int fd);

/* Whether @path is named as copies are. */
bool copies_is_one(const char *path);

/*
 * Remove the copies of @store that nobody uses, and count them; what is not certain stays.  Undo of
 * nothing, so it fails nothing.
 */
void copies_sweep(const struct store *store, uint64_t *ret_files, uint64_t *ret_bytes);

#endif
