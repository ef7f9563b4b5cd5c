/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core.h - a snapshot as an ELF core, for debuggers. */
#ifndef CKPT_CORE_H
#define CKPT_CORE_H

#include "buf.h"
#include "chain.h"
#include "state.h"
#include "stream.h"

/**
 * struct core_result - what is in it
 * @size: bytes, holes included
 * @segments: stretches of memory, those that are left to the mapped files included
 * @data_pages: pages with content of the image
 */
struct core_result {
	uint64_t	size;
	uint64_t	segments;
	uint64_t	data_pages;
};

/*
 * Write the loaded @chain (see chain_load()) and @model, its newest state, to the empty regular file
 * @fd, as the kernel would have dumped the process: all threads, all memory but what is in a mapped
 * file, and what the program asked not to have dumped.  -EOPNOTSUPP: of another processor.
 */
int core_write(struct chain *chain, const struct ckpt_model *model, int fd,
	       stream_progress_fn progress, void *arg, struct ckpt_err *err,
	       struct core_result *ret_result);

/* Whether it is a mapping of a file that has, or had, a name. */
bool core_has_file(const struct ckpt_model_vma *v);

/* ------------------------------------------------------------------- among the core*.c */

/* Append the notes to @notes; @args is the command line, for ps.  0 or -ENOMEM. */
int core_notes(const struct ckpt_model *model, const char *args, struct buf *notes);

#endif
