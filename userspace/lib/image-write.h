/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-write.h - shared by image-write.c (file, sections) and image-write-pages.c (memory). */
#ifndef CKPT_IMAGE_WRITE_H
#define CKPT_IMAGE_WRITE_H

#include "buf.h"
#include "frame-pack.h"
#include "image-priv.h"
#include "write-behind.h"

struct XXH3_state_s;

/*
 * Filled while a PAGES section is open.  Pages collect until a frame is full, which then waits in the
 * packer for its turn to be written; frames and runs become the index.  Buffers live as long as the
 * writer and serve the next section too.
 */
struct pages_writer {
	struct frame_packer *packer;
	size_t		raw_len;	/* of the frame that is being filled */
	uint64_t	submitted;	/* frames the packer was given */
	unsigned int	level;		/* with IMAGE_LEVEL_AUTO: which of the levels there are */
	uint64_t	packing_ns;	/* spent in or waiting for compression, since the last look */
	uint64_t	writing_ns;	/* and in writing */
	struct buf	frames;		/* struct image_frame_disk, of those written */
	struct buf	runs;		/* struct image_run_disk */
	uint64_t	next_addr;	/* runs may begin here or above */
	bool		full;		/* a run ended at the very top of the address space */
	struct image_pages_stats stats;
};

enum writer_state {
	WRITER_IDLE,		/* between sections */
	WRITER_SECTION,
	WRITER_PAGES,		/* a section, with runs going in */
	WRITER_FINISHED,
	WRITER_FAILED,
};

struct image_writer {
	int		fd;
	enum writer_state state;
	int		failed;		/* -errno of the failure that ended it */
	uint64_t	off;		/* bytes written to fd */
	struct write_behind behind;
	struct XXH3_state_s *hash;	/* of the open section */
	struct image_section_disk cur;	/* the open section */
	struct buf	table;		/* struct image_section_disk, of those closed */
	uint32_t	page_size;
	uint32_t	frame_size;
	int		level;
	unsigned int	threads;
	const struct image_share *share;	/* NULL: none */
	struct pages_writer pages;
	struct buf	keys;		/* body of KEYS; empty: not encrypted */
	struct crypt	*crypt;		/* NULL: not encrypted */
	struct image_header_disk header;
	char		label[160];
};

/* Where each failure goes: the writer is dead from then on.  Returns @ret. */
int writer_fail(struct image_writer *w, int ret);

/* -EINVAL or the old failure unless the writer is in @state. */
int writer_expect(struct image_writer *w, enum writer_state state, const char *call,
		  struct ckpt_err *err);

/* Write to file and section hash. */
int writer_emit(struct image_writer *w, const void *p, size_t n, struct ckpt_err *err);

/* Write zeros up to the next multiple of IMAGE_ALIGN. */
int writer_pad(struct image_writer *w, struct ckpt_err *err);

int writer_begin_section(struct image_writer *w, uint32_t kind, uint32_t owner, uint32_t sub,
			 struct ckpt_err *err);
int writer_end_section(struct image_writer *w, struct ckpt_err *err);

/* The open section, as image_piece(). */
struct crypt_piece writer_piece(const struct image_writer *w);

void pages_writer_free(struct pages_writer *p);

#endif
