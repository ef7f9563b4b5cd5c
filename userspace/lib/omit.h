/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * omit.h - memory the program wants left out: what it marked with MADV_DONTDUMP.  And what the kernel may empty at
 * any time (MAP_DROPPABLE): C libraries keep the state of random numbers there, which is not to be had twice.
 */
#ifndef CKPT_OMIT_H
#define CKPT_OMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/ckpt.h>

#include "err.h"

struct ckpt_model;
struct ckpt_model_vma;

/**
 * struct omit - which mappings are left out of an image; all zero: none
 * @vma: by the number of the mapping in the model; NULL: none
 * @mappings: how many
 * @bytes: content of theirs that is not in the image
 * @dropped_bytes: content that is not in the image either, being such that the kernel may drop it
 * @saved_bytes: content that is marked too, and is in the image: see omit_choose()
 */
struct omit {
	bool		*vma;
	size_t		mappings;
	uint64_t	bytes;
	uint64_t	dropped_bytes;
	uint64_t	saved_bytes;
};

/*
 * Choose among the marked mappings of @model; @runs (@nr) is the map of the snapshot.  Private memory
 * is left out.  Saved all the same, and counted as such, are shared memory, whose content is not the
 * program's alone, and the stack a thread is on, without which it could not go on.  With @keep nothing is left
 * out for its mark.
 */
int omit_choose(const struct ckpt_model *model, const struct ckpt_run *runs, size_t nr, bool keep,
		struct ckpt_err *err, struct omit *ret_omit);
void omit_free(struct omit *o);

/* Whether mapping @vma of @model is; @o NULL: nothing is. */
bool omit_has(const struct omit *o, const struct ckpt_model *model, const struct ckpt_model_vma *vma);

#endif
