/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* retain.h - which generations a store keeps, and letting go of the others. */
#ifndef CKPT_RETAIN_H
#define CKPT_RETAIN_H

#include "store.h"
#include "stream.h"

/* With an age alone so many are kept, however old. */
#define RETAIN_MIN	3

/**
 * struct retain_opts - what to keep of each job
 * @name: only of this job; NULL: of all
 * @keep: so many newest ones; 0: RETAIN_MIN with @max_age_ns, else all
 * @max_age_ns: and all that are not older; 0: age does not count
 * @no_fold: do not fold the oldest one that is kept into a full image; what it is built on stays then
 * @level: of compression, for what is folded
 * @progress: of a fold; not 0 gives up with that error; may be NULL
 * @progress_arg: its last argument
 */
struct retain_opts {
	const char	*name;
	unsigned int	keep;
	uint64_t	max_age_ns;
	bool		no_fold;
	int		level;
	stream_progress_fn progress;
	void		*progress_arg;
};

/*
 * What came of it; @folded: generations that are full now; @locked: those that are not, since they are
 * encrypted and the store's keyring does not open them: what they are built on stays.
 */
struct retain_result {
	struct store_removed	removed;
	uint64_t		folded;
	uint64_t		locked;
};

/*
 * Fold and remove, job after job, as store_gc() does: a chain is never broken, and one job that fails
 * does not keep the others from being cleaned.  A fold that cannot be, of a generation that is in use,
 * damaged, or on a full disk, leaves what it is built on, and is the error if there is no other.
 */
int retain_run(struct store *store, const struct retain_opts *opts, struct ckpt_err *err,
	       struct retain_result *ret_result);

#endif
