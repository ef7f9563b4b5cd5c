/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snap.h - a snapshot of a process, from its number to a committed generation in a store.
 */
#ifndef CKPT_SNAP_H
#define CKPT_SNAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "chain.h"
#include "device.h"
#include "err.h"
#include "image.h"
#include "judge.h"
#include "hooks.h"
#include "keyring.h"
#include "meta.h"
#include "omit.h"
#include "store.h"
#include "store-dedup.h"
#include "stream.h"
#include "target.h"

/* What memory the image is to hold. */
enum snap_mode {
	SNAP_AUTO,	/* what changed, if that can be known */
	SNAP_FULL,	/* all */
	SNAP_DELTA,	/* what changed, or nothing: -ENODATA */
};

/* When the program's own files are synced. */
enum snap_barrier {
	SNAP_BARRIER_AFTER,	/* the pause, before memory is read */
	SNAP_BARRIER_STRICT,	/* while the process stands still: nothing is written in between */
	SNAP_BARRIER_NONE,	/* never: after a power failure the image may be newer than they are */
};

/* Their names for people and in images, by the enum; a NULL ends them. */
extern const char * const snap_barriers[];

/* What becomes of files that the program changes in place, and goes on to. */
enum snap_keep {
	SNAP_KEEP_AUTO,		/* a clone, else a copy is kept; with @kill as SNAP_KEEP_NONE */
	SNAP_KEEP_REFLINK,	/* a clone is, or the snapshot is refused */
	SNAP_KEEP_COPY,		/* a copy is */
	SNAP_KEEP_TRUNCATE,	/* the snapshot is refused, unless with @kill; what grows is cut back */
	SNAP_KEEP_NONE,		/* they have to be what they were when it is restored */
};

/* Bytes that are copied in the pause, if nothing else is said. */
#define SNAP_FILES_LIMIT	(64ull << 20)

/* Milliseconds a program's hook may take, if nothing else is said. */
#define SNAP_HOOKS_TIMEOUT	10000

/**
 * struct snap_opts - what is wanted
 * @pid: process
 * @cgroup: with @tree: also the processes of this control group, and all that descend from these; @pid is
 *	one of them, cgroup_first().  NULL: none
 * @store: path; NULL: the default, see store_open()
 * @name: of the job; NULL: COMM-PID
 * @tree: also all processes that descend from it
 * @tcp: what becomes of TCP connections whose other end is not in the snapshot
 * @cut_unix: unix connections whose other end is not in the snapshot are closed in a restore
 * @mode: see there
 * @untracked: keep no account of what changes from now on; the next one will be full
 * @kill: end the process while it is still frozen, once the generation is committed
 * @barrier: when its files are synced
 * @keep: what becomes of files changed in place
 * @files_limit: bytes of them that may be copied while the process stands still; 0: SNAP_FILES_LIMIT
 * @dedup: pages that other images of the store have are not written again; not with @encrypt_to
 * @keep_marked: save memory marked MADV_DONTDUMP as any other
 * @no_hooks: do not ask the program's hooks (ckpt_hooks_start())
 * @hooks_timeout_ms: of their call before the snapshot; 0: SNAP_HOOKS_TIMEOUT
 * @self_contained: put the content of mapped files that must not change into the image
 * @encrypt_to: encrypt the image to these; NULL: do not, which is refused when the newest generation is
 *	encrypted, unless @mode is SNAP_FULL
 * @no_readback: believe the device when it says that it has the image
 * @low_priority: lower the caller's own processor and disk priority after the thaw, for good
 * @timeout_ms: of the freeze; 0: the module's default
 * @bwlimit: bytes of memory to read in a second at most, STREAM_LIMIT_MIN or more; 0: as fast as
 *	it goes
 * @level: of compression: zstd's or IMAGE_LEVEL_*
 * @progress: told how far the stream is, and once before the first step that matters; may be
 *	NULL.  Not 0 gives up with that error
 * @progress_arg: its last argument
 */
struct snap_opts {
	pid_t		pid;
	const char	*store;
	const char	*name;
	bool		tree;
	const char	*cgroup;
	enum meta_tcp	tcp;
	bool		cut_unix;
	enum snap_mode	mode;
	bool		untracked;
	bool		kill;
	enum snap_barrier barrier;
	enum snap_keep	keep;
	uint64_t	files_limit;
	bool		dedup;
	bool		keep_marked;
	bool		no_hooks;
	uint32_t	hooks_timeout_ms;
	bool		self_contained;
	const struct recipients *encrypt_to;
	bool		no_readback;
	bool		low_priority;
	uint32_t	timeout_ms;
	uint64_t	bwlimit;
	int		level;
	stream_progress_fn progress;
	void		*progress_arg;
};

/**
 * struct snap_contents - contents of mapped files that are in the image, or in what it is built on
 * @files: how many
 * @bytes: of all of them
 * @stored: how many are new in this image
 * @stored_bytes: of these, before compression
 */
struct snap_contents {
	uint32_t	files;
	uint64_t	bytes;
	uint32_t	stored;
	uint64_t	stored_bytes;
};

/**
 * struct snap_phases - what the pause of a tree consists of, in nanoseconds
 * @freeze: finding all processes, and until all of them are still
 * @sharers: who shares a table of files, or a directory
 * @capture: memory and records, by the module
 * @examine: the records are read and understood
 * @shared: which open files several of them have
 * @files: content of files, pipes and sockets
 * @thaw: until the first of them, the last to go on, runs
 *
 * Of a capture that had to be done again, all are sums.
 */
struct snap_phases {
	uint64_t freeze, sharers, capture, examine, shared, files, thaw;
};

/**
 * struct snap_result - what came of it
 * @ref: NAME@GENERATION
 * @path: of the image
 * @parent: NAME@GENERATION it is a delta of; "": it is full
 * @why_full: in words, when it is
 * @tracked: account is kept of what changes from now on
 * @why_alone: why no pages are shared with other images, if they were to be
 * @info: header and trailer of the image
 * @stats: the module's figures; out_pause_ns is 0 when the process was killed
 * @processes: of a tree; else 0
 * @tcp_lost: TCP connections that a restored program will have lost (@tcp of the options)
 * @unix_lost: unix connections that it will have lost (@cut_unix of the options)
 * @tcp_held: such that wait for a restore
 * @phases: of the pause of a tree
 * @pages: the image's figures
 * @same_pages: left out of a delta, being marked as changed, as their bytes are the parent's
 * @judgement: refusals, when snap_run() failed because of them; else empty
 * @barrier_files: files synced
 * @kept_files: files changed in place whose content is in the image
 * @cloned_files: of them, those that were not copied
 * @copied_bytes: of those that were
 * @kept_ns: part of the pause, cloning and copying
 * @omit: memory left out, as the program wants it
 * @hooks: the program's, if it has any
 * @contents: what the image has of files that must not change
 * @stream_ns: from the barrier's end to the commit
 * @readback_ns: part of it, reading the image back from the device; 0: it was not
 * @total_ns: all of it
 */
struct snap_result {
	char			ref[STORE_NAME_MAX + 24];
	char			path[STORE_PATH_MAX];
	char			parent[STORE_NAME_MAX + 24];
	char			why_full[CKPT_ERR_TEXT];
	char			why_alone[CKPT_ERR_TEXT];
	bool			tracked;
	struct image_info	info;
	struct ckpt_stats	stats;
	size_t			processes;
	size_t			tcp_lost;
	size_t			unix_lost;
	size_t			tcp_held;
	struct snap_phases	phases;
	struct image_pages_stats pages;
	uint64_t		same_pages;
	struct judgement	judgement;
	uint32_t		barrier_files;
	uint32_t		kept_files;
	uint32_t		cloned_files;
	uint64_t		copied_bytes;
	uint64_t		kept_ns;
	struct omit		omit;
	struct hooks		hooks;
	struct snap_contents	contents;
	uint64_t		stream_ns;
	uint64_t		readback_ns;
	uint64_t		total_ns;
};

/*
 * Take a snapshot.  Whatever fails, the process goes on as if nothing had been asked, and the store
 * is as before.  -EOPNOTSUPP with ret_result->judgement not empty: refused, see there.
 * @ret_result is filled as far as it came, also on failure; free it with snap_result_free().
 */
int snap_run(const struct snap_opts *opts, struct ckpt_err *err, struct snap_result *ret_result);
void snap_result_free(struct snap_result *r);

/* ------------------------------------------------------------------- among the snap*.c */

/*
 * The newest generation of @job, with all it is built on, loaded, and held so that nobody removes
 * it: what @generation of process @pid can be a delta of.  NULL: there is none that can serve, and
 * @ret_why (CKPT_ERR_TEXT bytes) tells why.
 */
struct chain *snap_parent_open(struct store *store, const char *job, uint64_t generation, pid_t pid,
			       char *ret_why);

/* -ENOKEY: the newest generation of @job that can be read is encrypted. */
int snap_parent_plain(struct store *store, const char *job, struct ckpt_err *err);

/* Why the module gave all memory, enum ckpt_full in words. */
const char *snap_why_full(uint32_t full);

/* A file without a name, or a pipe of the process's own, as it was in the pause. */
struct snap_deleted {
	uint32_t	file;		/* ckpt_rec_fd.file */
	uint32_t	sub;		/* of its section, META_SUB_* */
	uint32_t	capacity;	/* of a pipe; 0: a file */
	struct buf	content;
};

/* A file changed in place, as it was in the pause; or the absence of one beside it. */
struct snap_kept {
	uint64_t	dev;		/* as in the records; 0: it is not open */
	uint64_t	ino;
	struct meta_file meta;		/* its path is ours */
	int		fd;		/* clone or copy; -1 when it is in the image, or another's to keep */
	bool		cloned;
};

struct snap_files {
	struct snap_deleted *deleted;
	size_t		nr;
	struct buf	kept;		/* struct snap_kept */
	size_t		nr_kept;
	uint64_t	copied_bytes;
	uint64_t	kept_ns;
};

/* Whether the model has such a file open. */
bool snap_files_wanted(const struct ckpt_model *model);

/* Whether the process seems to have one, without asking the module. */
bool snap_files_expected(pid_t pid);

/* Read their content; the process must be frozen. */
int snap_files_read(const struct ckpt_model *model, struct ckpt_err *err, struct snap_files *files);

/* Of the root, and of all it was captured with: System V semaphores and message queues.  After snap_files_read(). */
int snap_files_read_ipc(const struct ckpt_model *model, struct ckpt_err *err, struct snap_files *files);
void snap_files_free(struct snap_files *files);

static inline struct snap_kept *snap_kept_at(const struct snap_files *files, size_t i)
{
	return (struct snap_kept *)files->kept.data + i;
}

/*
 * Whether it seems to change a file in place, without asking the module; what was dirty of such files is
 * on the disk then, or why it is not is the error.
 */
int snap_kept_expected(pid_t pid, enum snap_keep keep, struct ckpt_err *err, bool *ret_found);

/* Whether it does. */
bool snap_kept_wanted(const struct ckpt_model *model);

/* One process of a snapshot, and where what it keeps goes. */
struct snap_keeper {
	const struct ckpt_model	*model;
	struct snap_files	*files;
};

/*
 * Clone or copy the files that the @nr processes of @v change in place; all must be frozen.  What cannot be is
 * noted in @j.
 */
int snap_kept_read(const struct snap_keeper *v, size_t nr, enum snap_keep keep, uint64_t limit,
		   struct judgement *j, struct ckpt_err *err);
void snap_kept_free(struct snap_files *files);

/* Their entries in IMAGE_META_FILES.  0 or -ENOMEM. */
int snap_kept_list(const struct snap_files *files, struct meta_files *m);

/* Put their contents into the image. */
int snap_kept_write(struct snap_files *files, const struct stream_job *job, struct ckpt_err *err);

/*
 * Put contents and IMAGE_META_FILES into the image; @self_contained: also those of mapped files that
 * must not change, else only of those that came out of an image themselves; @hold: as in the list.
 */
int snap_files_write(const struct snap_files *files, const struct stream_job *job, const struct snap_opts *opts,
		     const char *hold, struct ckpt_err *err, struct snap_contents *ret_contents);

/*
 * snap-contents.c: put the content of each mapped file of @m that must not change into the image, unless
 * the parent has it, and note in @m that it is there.
 */
int snap_contents_write(const struct stream_job *job, bool all, struct meta_files *m,
			struct ckpt_err *err, struct snap_contents *ret_contents);
/* Whether the mapping is of a file that IMAGE_META_FILES lists. */
bool snap_maps_file(const struct ckpt_model_vma *v);

/* Put IMAGE_META_SNAP into the image. */
int snap_report_write(const struct snap_opts *opts, const struct ckpt_model *model,
		      const struct snap_result *r, struct image_writer *w, struct ckpt_err *err);

#endif
