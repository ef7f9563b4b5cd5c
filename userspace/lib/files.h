/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files.h - what an image says about the content of open files.
 *
 * META sections of a process (IMAGE_META, owner: the process) whose bodies are
 * not text but the structures below, as they lie in memory, little-endian.
 * snap writes them, restore reads them.
 *
 * A deleted file that is open or mapped has no name to open again: its content
 * goes into the image, one section a file, sub counting up from
 * FILES_META_DELETED without a gap.  A file is known by dev and ino; several
 * descriptors and mappings may refer to it.
 *
 * A file that only ever grows (files_grows_only()) is cut back to its recorded
 * size by restore.  That its older bytes are still the same is what
 * FILES_META_DIGESTS can prove: one section, an array of struct files_digest.
 * snap makes them after the thaw: bytes below the recorded size of a file that
 * only grows do not change any more, and if they do the digest is wrong and
 * restore refuses, which is right.
 */
#ifndef CKPT_LIB_FILES_H
#define CKPT_LIB_FILES_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <linux/ckpt.h>

#define FILES_META_DIGESTS	0x100u
#define FILES_META_DELETED	0x10000u	/* and up */

#define FILES_DELETED_VERSION	1

/* Then extents[], then the bytes of all extents, one behind the other. */
struct files_deleted {
	uint32_t	version;	/* FILES_DELETED_VERSION */
	uint32_t	nr_extents;
	uint64_t	dev;		/* as in struct ckpt_file_id */
	uint64_t	ino;
	uint64_t	size;		/* the file's; what no extent covers is zero */
	uint32_t	mode;
	uint32_t	uid;
	uint32_t	gid;
	uint32_t	reserved;	/* zero */
};

/* Ascending, disjoint, within size. */
struct files_extent {
	uint64_t	offset;
	uint64_t	len;		/* not 0 */
};

/* XXH3-128 of the bytes from .. size of a file. */
struct files_digest {
	uint64_t	dev;
	uint64_t	ino;
	uint64_t	from;
	uint64_t	size;		/* the recorded one */
	uint8_t		hash[16];
};

_Static_assert(sizeof(struct files_deleted) == 48, "layout");
_Static_assert(sizeof(struct files_extent) == 16, "layout");
_Static_assert(sizeof(struct files_digest) == 48, "layout");

/*
 * Whether what is written through this descriptor from now on lies beyond what
 * the file held at the capture: it appends, or stands at the end.  A file is
 * grow-only when that holds for each descriptor open for writing and no
 * mapping can write to it.
 */
static inline bool files_grows_only(const struct ckpt_rec_fd *fd)
{
	return S_ISREG(fd->id.mode) && (fd->file_flags & O_ACCMODE) != O_RDONLY &&
	       ((fd->file_flags & O_APPEND) || (uint64_t)fd->pos >= fd->id.size);
}

#endif
