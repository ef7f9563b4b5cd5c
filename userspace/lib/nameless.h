/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nameless.h - files without a name: deleted ones and memfds, open or mapped, and what of their content
 * is where in an image.
 *
 * What a process has mapped shared is captured by the module, as pages of that process, at the same
 * instant as all other memory.  The rest of such a file (what nobody has mapped shared, all of it when
 * there are only descriptors and private mappings) is read by snap in the pause, into a section of its
 * own: META_SUB_DELETED with the number of an open file, or META_SUB_MAPPED with that of a mapping when
 * nobody has it open.  No byte is in both.  No state.
 */
#ifndef CKPT_NAMELESS_H
#define CKPT_NAMELESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct ckpt_file_id;
struct ckpt_model;
struct ckpt_model_vma;

/* Of a path in a record, with its CKPT_PATHF_*: it is a memfd's. */
bool nameless_is_memfd(const char *path, uint32_t path_flags);

/* Whether a mapping is of a deleted regular file, or of a memfd. */
bool nameless_maps(const struct ckpt_model_vma *v);

/* Whether two mappings are of one file. */
bool nameless_same(const struct ckpt_model_vma *a, const struct ckpt_model_vma *b);

/* Likewise by an identity, which descriptors have too. */
bool nameless_maps_file(const struct ckpt_model_vma *v, const struct ckpt_file_id *id);

/* How it has to be opened to be mapped as it was, O_RDONLY or O_RDWR. */
int nameless_access(const struct ckpt_model_vma *v);

/*
 * Up to where there are bytes that are in nobody's pages, of a file of @id that @model, or one of those
 * captured with it, has.  0: all is in pages.  @v: a mapping of it, or NULL to go by @id.
 */
uint64_t nameless_length(const struct ckpt_model *model, const struct ckpt_file_id *id,
			 const struct ckpt_model_vma *v);

/*
 * Append that many bytes of @fd, with zeros for those that are in pages.  0 or -errno.
 */
int nameless_read(const struct ckpt_model *model, const struct ckpt_file_id *id,
		  const struct ckpt_model_vma *v, int fd, struct buf *content);

#endif
