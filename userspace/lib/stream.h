/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream.h - memory on its way from a snapshot to an image.
 */
#ifndef CKPT_STREAM_H
#define CKPT_STREAM_H

#include <stdint.h>
#include <linux/ckpt.h>

#include "chain.h"
#include "err.h"
#include "image.h"
#include "omit.h"
#include "state.h"

/* Told now and then how far it is, in bytes of memory.  Not 0: stop, and return that. */
typedef int (*stream_progress_fn)(uint64_t done, uint64_t total, void *arg);

/* The map of a snapshot, whole. */
struct stream_map {
	struct ckpt_run	*runs;
	size_t		nr;
	size_t		room;
	uint64_t	data_bytes;	/* of CKPT_RUN_DATA */
};

/* Read the map of @snapshot. */
int stream_map_read(int snapshot, struct ckpt_err *err, struct stream_map *ret_map);
void stream_map_free(struct stream_map *map);

/*
 * Check that nothing the image needs is opaque memory: -EOPNOTSUPP names the first that is.  What
 * the kernel installs anew in every process (vdso, vvar) is not needed.  And that what is to be as
 * in the parent is there: @parent, loaded, of a delta; else NULL.
 */
int stream_map_check(const struct stream_map *map, const struct ckpt_model *model,
		     const struct chain *parent, struct ckpt_err *err);

/* With less a signal would be heard of too late. */
#define STREAM_LIMIT_MIN	(64u << 10)

/**
 * struct stream_job - from where to where
 * @snapshot: descriptor of the module; the barrier is done
 * @map: of it, checked
 * @model: of the process
 * @omit: mappings whose content is left out, of @model
 * @parent: chain the image is a delta of, loaded; NULL: it is full
 * @writer: of the image
 * @bwlimit: bytes of memory to read in a second at most, STREAM_LIMIT_MIN or more; 0: as fast as
 *	it goes
 * @progress: may be NULL
 * @arg: its last argument
 */
struct stream_job {
	int			snapshot;
	const struct stream_map	*map;
	const struct ckpt_model	*model;
	const struct omit	*omit;
	struct chain		*parent;
	struct image_writer	*writer;
	uint64_t		bwlimit;
	stream_progress_fn	progress;
	void			*arg;
};

/* What became of it: the image's figures, and pages of a delta left out as their bytes are the parent's. */
struct stream_stats {
	struct image_pages_stats pages;
	uint64_t		same_pages;
};

/*
 * Write the PAGES section of process model->proc.pid: every run of the map in one pass, by rising
 * address, data in batches of a few MiB.
 */
int stream_pages(const struct stream_job *job, struct ckpt_err *err,
		 struct stream_stats *ret_stats);

#endif
