/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snap-priv.h - what snap.c and snap-tree.c share.
 */
#ifndef CKPT_LIB_SNAP_PRIV_H
#define CKPT_LIB_SNAP_PRIV_H

#include "snap.h"
#include "tree.h"
#include "util.h"

/* One process of a snapshot: the only one, or one of a tree. */
struct snap_proc {
	struct target		target;
	int			session;	/* -1 unless frozen */
	int			snapshot;
	struct buf		records;
	struct ckpt_model	*model;
	struct stream_map	map;
	struct snap_files	files;
	struct omit		omit;
};

#define SNAP_PROC_INIT	{ .target = TARGET_INIT, .session = -1, .snapshot = -1 }

struct snap {
	const struct snap_opts	*opts;
	struct ckpt_err		*err;
	struct snap_result	*r;
	int			dev;
	struct snap_proc	*procs;		/* the root first, parents before their children */
	size_t			nr_procs;	/* 1, but for a tree */
	struct ckpt_set		set;		/* their models */
	struct tree		tree;		/* empty: the root is alone */
	uint64_t		frozen_at;	/* of a tree: CLOCK_MONOTONIC */
	uint64_t		lap_at;		/* likewise, when the last phase ended */
	uint64_t		pause_ns;	/* of a tree, when it has ended */
	uint32_t		again;		/* how often a tree was captured once more */
	struct store		*store;
	struct store_writer	*store_writer;
	char			job[STORE_NAME_MAX + 1];
	struct chain		*parent;	/* NULL: a full image */
	struct dedup		*dedup;		/* NULL: all pages are in the image itself */
	struct image_writer	*writer;
	struct hold		*hold;		/* what keeps these still: */
	struct hold_ends	*held;
	size_t			nr_held;
	char			hold_name[HOLD_NAME_SIZE];	/* what is to, when the processes are gone */
};

static inline struct snap_proc *snap_root(struct snap *s)
{
	return &s->procs[0];
}

/* snap.c */
int snap_add_process(struct snap *s, const struct snap_proc *p);	/* moves s->procs */
void snap_drop_capture(struct snap_proc *p);
int snap_attach(struct snap *s, struct snap_proc *p);
int snap_freeze(struct snap *s, struct snap_proc *p);
int snap_capture(struct snap *s, struct snap_proc *p);
int snap_examine(struct snap *s, struct snap_proc *p);

/* snap-hold.c: connections to outside, for --tcp=repair. */
int snap_hold(struct snap *s, bool *ret_again);		/* @ret_again: what was captured is not true any more */
int snap_hold_keep(struct snap *s);
void snap_hold_end(struct snap *s);

/* snap-tree.c: all that descend from the root. */
int snap_tree_freeze(struct snap *s);		/* finds them, too */
int snap_tree_capture(struct snap *s);
/* -EAGAIN: somebody moved while it was captured; another error when that has been so @tries times. */
int snap_tree_steady(struct snap *s, int tries);
void snap_tree_lap(struct snap *s, uint64_t *phase);	/* add to it the time since the last one */
void snap_tree_drop(struct snap *s);		/* what was captured */
int snap_tree_thaw(struct snap *s);
int snap_tree_judge(struct snap *s, struct judgement *j);
int snap_tree_write(struct snap *s);

#endif
