/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tar.h - generations of a job as a tar archive, out of a store and into one.
 *
 *	JOB/			0700
 *	JOB/gen-00000001.ckpt	0600, oldest first
 *
 * as the store has them: unpacked in a store it is a job of that store.
 */
#ifndef CKPT_TAR_H
#define CKPT_TAR_H

#include "buf.h"
#include "store.h"
#include "stream.h"

/**
 * struct tar_export_opts - what goes where
 * @ref: JOB, JOB@GENERATION: that one with all it is built on
 * @all: all generations of the job @ref names
 * @fd: written to front to back, may be a pipe
 * @label: names it in error texts
 * @progress: not 0 gives up with that error; may be NULL
 * @progress_arg: its last argument
 */
struct tar_export_opts {
	const char		*ref;
	bool			all;
	int			fd;
	const char		*label;
	stream_progress_fn	progress;
	void			*progress_arg;
};

/* One generation that was written, or read. */
struct tar_generation {
	uint64_t	generation;
	uint64_t	parent;		/* 0: it is full */
	uint64_t	size;
	bool		present;	/* import: the store had it */
};

struct tar_result {
	char		name[STORE_NAME_MAX + 1];	/* of the job */
	struct buf	generations;			/* struct tar_generation, rising */
	uint64_t	bytes;				/* of images; import: of new ones */
};

void tar_result_free(struct tar_result *result);

/*
 * Write generations, each checked against its hashes on the way (-EBADMSG).  On failure what was written
 * is no archive: it has no end.  Free @ret_result by tar_result_free(), also after a failure.
 */
int tar_export(struct store *store, const struct tar_export_opts *opts, struct ckpt_err *err,
	       struct tar_result *ret_result);

/**
 * struct tar_import_opts - what comes from where
 * @fd: read front to back, may be a pipe; a file must be as one that is to be restored
 * @label: names it in error texts
 * @name: of the job; NULL: the one it has in the archive
 * @progress: told bytes read and of all, 0 for a pipe; not 0 gives up with that error; may be NULL
 * @progress_arg: its last argument
 */
struct tar_import_opts {
	int			fd;
	const char		*label;
	const char		*name;
	stream_progress_fn	progress;
	void			*progress_arg;
};

/*
 * Put the generations of one job into @store, with their numbers.  All of the archive is read, and each
 * image verified and read back from the device, before the first appears; then they do, oldest first.
 * One the store has already, byte for byte, is left as it is.
 *
 * -EBADMSG: archive or image is damaged, or the archive has no end; -EINVAL: there is something in it
 * that is no generation, or has no place in the job; -EEXIST: the store has another image of that number;
 * -ENOENT, -ESTALE: what a delta is built on is neither in the archive nor in the store.
 *
 * Each generation is an open file until the end, or two: -EMFILE.
 */
int tar_import(struct store *store, const struct tar_import_opts *opts, struct ckpt_err *err,
	       struct tar_result *ret_result);

#endif
