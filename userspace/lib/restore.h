/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restore.h - bring a process back from an image.
 *
 * Userspace alone: neither the module nor its device is needed.  The caller
 * needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE (process numbers) and what the
 * program's own state asks for (credentials, limits, priorities).
 *
 * Either the process runs as it was at the snapshot, or there
 * is an error and nothing is left behind; files that grew are cut back as the
 * very last step.
 */
#ifndef CKPT_LIB_RESTORE_H
#define CKPT_LIB_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct chain;
struct store;
struct ckpt_model;

/* Give descriptor @fd of the program @path to use instead of what it had. */
struct ckpt_restore_fd {
	int fd;
	const char *path;
};

/* Look for what was below @from below @to. */
struct ckpt_restore_path {
	const char *from;
	const char *to;
};

/**
 * struct ckpt_restore_opts - what to restore, and how
 * @chain: where from, with what it is built on; verified as far as the caller sees fit
 * @owner: process in the image, 0: that of its header
 * @fds: @nr_fds descriptors to rebind
 * @paths: @nr_paths paths to look for elsewhere; the first that fits counts
 * @root: directory that becomes its root, below which all its files are looked for; NULL: as it was
 * @detach: the process is left to init (or a subreaper), not to the caller
 * @pidns: in a PID namespace of its own, whose init it is left to; it is not the caller's child
 * @progress: called now and then while memory is filled, with bytes; or NULL
 * @cut: told of each file that had grown and was cut back, with the bytes that are gone, right
 *	before the process runs; or NULL
 * @discard_newer: do not keep the newer file when one is put back as it was at the snapshot
 * @put_back: told of each that is, with the name the newer one has now in its directory, NULL: it has
 *	none; and, @back being false, of each that came after the snapshot and is put aside; or NULL
 * @left_out: told of bytes of memory that are not in the image, as the program wanted, and zero now
 *	(of private mappings of files: as in the file), right before it runs; or NULL
 * @files_dir: where files of the image go that are not what they were, NULL: into @store (copies.h)
 * @from_image: told of each such file, with where its copy is; or NULL
 * @unheard: told of each name to which a socket sent datagrams and at which nobody receives them now: to
 *	send gives ECONNREFUSED.  An abstract name begins with '@'; or NULL
 * @store: whose account the restore is noted in; or NULL
 * @arg: for @progress, @cut, @put_back, @left_out, @from_image and @unheard
 *
 * Descriptors 0..2 that were a terminal, pipe, FIFO or unix socket to the outside become the caller's 0..2.
 */
struct ckpt_restore_opts {
	struct chain *chain;
	uint32_t owner;
	const struct ckpt_restore_fd *fds;
	size_t nr_fds;
	const struct ckpt_restore_path *paths;
	size_t nr_paths;
	const char *root;
	bool detach;
	bool pidns;
	void (*progress)(uint64_t done, uint64_t total, void *arg);
	void (*cut)(const char *path, uint64_t bytes, void *arg);
	bool discard_newer;
	const struct store *store;
	void (*left_out)(uint64_t bytes, void *arg);
	void (*put_back)(const char *path, const char *backup, bool back, void *arg);
	const char *files_dir;
	void (*from_image)(const char *path, const char *copy, void *arg);
	void (*unheard)(const char *name, void *arg);
	void *arg;
};

/*
 * Restore, and let it run.  Unless detached or in a PID namespace of its own it is a child of the
 * caller, who has to wait for it.  *ret_pid is as the caller's namespace numbers it.  Blocks all signals of the calling thread meanwhile; SIGINT, SIGTERM and
 * SIGHUP end it with -EINTR as long as the process does not run yet.
 *
 * Errors of note: -EEXIST (a process or thread number is in use), -ESTALE (a
 * file is not what it was), -ENOENT (it is gone), -EOPNOTSUPP (this kernel,
 * processor or version cannot hold the state), -EPERM.
 */
int ckpt_restore_run(const struct ckpt_restore_opts *opts, struct ckpt_err *err,
		     pid_t *ret_pid);

/*
 * The same, then stand in for it: signals sent to the caller go to the program,
 * it stops when the program stops, until the program ends.  @ret_status is as
 * from waitpid(2).
 */
int ckpt_restore_foreground(const struct ckpt_restore_opts *opts, struct ckpt_err *err,
			    int *ret_status);

/* End as @status says: exit with its code or die of its signal.  Does not return. */
void ckpt_restore_end_like(int status) __attribute__((noreturn));

#endif
