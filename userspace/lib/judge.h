/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * judge.h - can this process be brought back?
 *
 * The judgement is an allow list: whatever is not known to be restored exactly is refused, by name,
 * and before a byte is written.  All refusals are collected in one go.  docs/limits.rst is the same
 * list for people; keep them together.
 *
 *	judge.c		the list of refusals, process, timers, locks
 *	judge-fd.c	open files
 *	judge-vma.c	mappings
 *	judge-thread.c	threads
 */
#ifndef CKPT_JUDGE_H
#define CKPT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "meta.h"
#include "state.h"

/* Bytes of deleted files that an image may carry along, all together. */
#define JUDGE_DELETED_MAX	(256ull << 20)

/**
 * struct refusal - one thing that cannot be brought back
 * @pid: whose, in a snapshot of several processes; else 0
 * @thing: "fd", "mapping", "thread", "process", "timer", "lock", "signal", "path"
 * @number: descriptor, address, thread number ...; -1 when there is none
 * @path: file or name it belongs to, NULL when there is none
 * @reason: what it is and why it is refused
 * @remedy: what the user can do, NULL when nothing is known
 */
struct refusal {
	pid_t		pid;
	const char	*thing;
	int64_t		number;
	char		*path;
	char		*reason;
	const char	*remedy;
};

struct judgement {
	pid_t		pid;		/* for those that are noted next */
	struct refusal	*refusals;
	size_t		nr;
	size_t		room;
	bool		no_memory;	/* a refusal could not be noted: the judgement is void */
};

/**
 * struct judge_opts - what is asked of the restore
 * @killed: the program ends at the snapshot, so files changed in place do not diverge
 * @kept: files changed in place are kept with the image
 * @tree: its children are in the snapshot too
 * @tcp: what becomes of TCP connections whose other end is not in the snapshot
 * @cut_unix: unix connections whose other end is not in the snapshot are closed in a restore
 * @pid: where to look up /proc/PID/fd of the live process; 0: do not look at files
 */
struct judge_opts {
	bool	killed;
	bool	kept;
	bool	tree;
	enum meta_tcp tcp;
	bool	cut_unix;
	int	pid;
};

/*
 * Append to @j what of @model is refused.  0, also when there are refusals; -ENOMEM.
 *
 * Looks at the caller's own namespaces and root (a restore happens there), and, when opts->pid is
 * set, whether paths still name the files that are open.
 */
int judge(const struct ckpt_model *model, const struct judge_opts *opts, struct judgement *j);
void judgement_free(struct judgement *j);

/* "fd 5 (socket:[7]): is a socket, not supported; close it ..." into @buf. */
void refusal_text(const struct refusal *r, char *buf, size_t size);

/* ------------------------------------------------------------------- among the judge*.c */

/* Note a refusal.  @path may be NULL; @remedy is kept as it is, a literal. */
void judge_refuse(struct judgement *j, const char *thing, int64_t number, const char *path,
		  const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

struct judge_flag {
	uint64_t	flag;
	const char	*reason;
	const char	*remedy;
};

/*
 * Refuse each flag set in @flags that the table (ended by flag 0) names, and, as one, those that
 * are neither in it nor in @allowed.
 */
void judge_flags(struct judgement *j, const char *thing, int64_t number, const char *path,
		 uint64_t flags, uint64_t allowed, const struct judge_flag *table);

/* @deleted_bytes: so far, of all files without a name. */
void judge_fds(const struct ckpt_model *model, const struct judge_opts *opts, struct judgement *j,
	       uint64_t *deleted_bytes);
void judge_vmas(const struct ckpt_model *model, const struct judge_opts *opts,
		struct judgement *j, uint64_t *deleted_bytes);
void judge_threads(const struct ckpt_model *model, struct judgement *j);

/* Name of a file system that only shows kernel state (proc, sysfs ...), NULL for others. */
const char *judge_pseudo_fs(uint32_t magic);

/*
 * Whether @path names the file of @id now.  @link is a /proc link to it, "" when there is none.
 * On failure the reason is noted under @thing and @number.
 */
bool judge_named(struct judgement *j, const char *thing, int64_t number, const char *path,
		 const struct ckpt_file_id *id, const char *link);

/* Whether a writer of this open file can only make it longer. */
bool judge_grows_only(const struct ckpt_rec_fd *fd);

/* Whether it can change a file that has a name: other than by making it longer; by a mapping. */
bool judge_changes_in_place(const struct ckpt_rec_fd *fd);
bool judge_writes_file(const struct ckpt_rec_vma *vma);

/* Whether one of the set of @model changes the file of @id in place, by a descriptor or a mapping. */
bool judge_in_place(const struct ckpt_model *model, const struct ckpt_file_id *id);

/*
 * Whether it is one end of a pipe whose other end nobody has, and not one of 0..2, which a restore is given
 * anew.
 */
bool judge_dead_end(const struct ckpt_model *model, const struct ckpt_model_fd *fd);

/* Another descriptor of the same pipe that has the other end, or both; NULL when there is none. */
const struct ckpt_model_fd *judge_other_end(const struct ckpt_model *model,
					    const struct ckpt_model_fd *fd);

#endif
