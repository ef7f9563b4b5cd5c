/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libckpt - snapshots of running processes, and processes brought back.  See libckpt(3).
 *
 * Conventions
 *   A function that can fail returns 0 or a negative errno, and puts the reason in words into the
 *   struct ckpt_err it is given, which may be NULL.  Results come through the ret_* arguments, which
 *   are last, and are untouched on failure unless said otherwise.
 *   Contexts are opaque.  A context belongs to one thread at a time; the library has no global
 *   state, so different contexts may be used by different threads.  (But a process has one set of
 *   hooks.)
 *   Structures for requests begin with their own size, sizeof as the caller was compiled; set all
 *   other members to zero that are not used.
 *   Times are nanoseconds, sizes bytes, unless the name says otherwise.
 *
 * Two levels
 *   ckpt_dev_*, ckpt_session_*, ckpt_picture_*   the calls of the module, see <linux/ckpt.h>
 *   ckpt_take, ckpt_store_*, ckpt_restore_*      images in a store, as ckptctl works
 * and, for a program of which snapshots are taken, ckpt_secret and ckpt_hooks_*.
 */
#ifndef LIBCKPT_H
#define LIBCKPT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/ckpt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------ error text */

/**
 * struct ckpt_err - why something failed, "THING: REASON; WHAT TO DO"
 *
 * The first failure stays until ckpt_err_clear().  The text is one line of printable characters,
 * whatever it quotes.
 */
struct ckpt_err;

/* A new, empty one; NULL: no memory.  Free it with ckpt_err_free(). */
struct ckpt_err *ckpt_err_new(void);
void ckpt_err_free(struct ckpt_err *err);
void ckpt_err_clear(struct ckpt_err *err);

/* errno of the failure, positive; 0: none. */
int ckpt_err_code(const struct ckpt_err *err);

/* The text, "" when there is none; valid until the next call with @err. */
const char *ckpt_err_text(const struct ckpt_err *err);

/* Version of the library, "0.1.0". */
const char *ckpt_version(void);

/* ---------------------------------------------------------------------------------- device */

struct ckpt_dev;

/*
 * Open /dev/ckpt and check that the module speaks this library's version.  -ENODEV: the module is
 * not loaded; -EPROTO: it is of another version; -EACCES: the caller may not use the device.
 */
int ckpt_dev_open(struct ckpt_err *err, struct ckpt_dev **ret_dev);
void ckpt_dev_close(struct ckpt_dev *dev);

/* What the module can do; valid as long as @dev. */
const struct ckpt_query *ckpt_dev_query(const struct ckpt_dev *dev);

/* --------------------------------------------------------------------------------- session */

/* A process that can be held still.  Closing lets it go on, always. */
struct ckpt_session;

/* -ESRCH, -EPERM, -EDEADLK (the caller), -EOPNOTSUPP: as CKPT_ATTACH. */
int ckpt_session_attach(struct ckpt_dev *dev, pid_t pid, struct ckpt_err *err,
			struct ckpt_session **ret_session);
void ckpt_session_close(struct ckpt_session *session);

/*
 * Hold it still, within @timeout_ms (0: the module's default).  The program does not see it.
 * -ETIMEDOUT names the thread that did not leave the kernel.  @ret_freeze may be NULL.
 */
int ckpt_session_freeze(struct ckpt_session *session, uint32_t timeout_ms, struct ckpt_err *err,
			struct ckpt_freeze *ret_freeze);

/* Let it go on.  @ret_pause_ns, from the request to freeze until now, may be NULL. */
int ckpt_session_thaw(struct ckpt_session *session, struct ckpt_err *err, uint64_t *ret_pause_ns);

/* State records of a frozen process, captured now.  *ret_records to be freed with free(). */
int ckpt_session_state(struct ckpt_session *session, struct ckpt_err *err, void **ret_records,
		       size_t *ret_len);

/* --------------------------------------------------------------------------------- picture */

/* State and memory as they were at one instant: a snapshot descriptor of the module. */
struct ckpt_picture;

/* Of a frozen process, which stays frozen.  @flags: CKPT_SNAPSHOT_*. */
int ckpt_session_picture(struct ckpt_session *session, uint32_t flags, struct ckpt_err *err,
			 struct ckpt_picture **ret_picture);

/* Attach, freeze, capture and thaw in one call. */
int ckpt_picture_take(struct ckpt_dev *dev, pid_t pid, uint32_t flags, uint32_t timeout_ms,
		      struct ckpt_err *err, struct ckpt_picture **ret_picture);
void ckpt_picture_close(struct ckpt_picture *picture);

/*
 * ckpt_picture_take() of what has changed since @parent (CKPT_ID_LEN bytes; NULL: since nothing) was
 * committed; from now on what changes is kept account of.  Whether it is a delta, and why not, tells
 * out_full of ckpt_picture_stats(): then all is in it.
 */
int ckpt_picture_take_delta(struct ckpt_dev *dev, pid_t pid, uint32_t flags, uint32_t timeout_ms,
			    const uint8_t *parent, struct ckpt_err *err,
			    struct ckpt_picture **ret_picture);

/*
 * What was taken by ckpt_picture_take_delta() is safe, under identity @id (CKPT_ID_LEN bytes, not
 * zero): the next delta may be of it.  The account is kept until the process ends or executes
 * another program, or ckpt_untrack() (-ENOENT: there is none).  -ESTALE: it is not tracked.
 */
int ckpt_picture_commit(struct ckpt_picture *picture, const uint8_t *id, struct ckpt_err *err);
int ckpt_untrack(struct ckpt_dev *dev, pid_t pid, struct ckpt_err *err);

/* The descriptor, for splice(2), lseek(2) or poll(2); it stays the picture's. */
int ckpt_picture_fd(const struct ckpt_picture *picture);

int ckpt_picture_state(struct ckpt_picture *picture, struct ckpt_err *err, void **ret_records,
		       size_t *ret_len);

/*
 * Up to @nr runs from address @start on.  *ret_nr is 0 at the end of the address space, *ret_next
 * the address to go on with.
 */
int ckpt_picture_map(struct ckpt_picture *picture, uint64_t start, struct ckpt_run *runs,
		     uint32_t nr, struct ckpt_err *err, uint32_t *ret_nr, uint64_t *ret_next);

/*
 * Make all files durable that the program had open for writing; has to succeed before memory can be
 * read.  @ret_barrier (may be NULL) is filled on failure too and names the file.
 */
int ckpt_picture_barrier(struct ckpt_picture *picture, struct ckpt_err *err,
			 struct ckpt_barrier *ret_barrier);

/* Exactly @len bytes at @addr, all of runs of kind CKPT_RUN_DATA. */
int ckpt_picture_read(struct ckpt_picture *picture, uint64_t addr, void *buf, size_t len,
		      struct ckpt_err *err);

int ckpt_picture_stats(struct ckpt_picture *picture, struct ckpt_err *err,
		       struct ckpt_stats *ret_stats);

/* -------------------------------------------------------------- a snapshot into a store */

#define CKPT_TAKE_KILL		(1u << 0)	/* end the process before it is thawed */
#define CKPT_TAKE_LOW_PRIORITY	(1u << 1)	/* lower the caller's own priority for good */
#define CKPT_TAKE_FULL		(1u << 2)	/* all memory, not what changed */
#define CKPT_TAKE_DELTA		(1u << 3)	/* what changed, or fail with -ENODATA */
#define CKPT_TAKE_NO_READBACK	(1u << 4)	/* do not read the image back from the device */
#define CKPT_TAKE_DEDUP		(1u << 5)	/* pages other images of the store have are not written again */
#define CKPT_TAKE_KEEP_DONTDUMP	(1u << 6)	/* save memory marked MADV_DONTDUMP too */
#define CKPT_TAKE_NO_HOOKS	(1u << 7)	/* do not ask the program's hooks */
#define CKPT_TAKE_SELF_CONTAINED (1u << 8)	/* with executable, libraries and mapped files */
#define CKPT_TAKE_TREE		(1u << 9)	/* with all processes that descend from it */
#define CKPT_TAKE_UNTRACKED	(1u << 10)	/* keep no account of what changes from now on */
#define CKPT_TAKE_CUT_UNIX	(1u << 11)	/* unix connections to outside are closed in a restore */

/* When the program's own files are synced: see ckptctl(8), --barrier. */
enum ckpt_barrier_when {
	CKPT_BARRIER_AFTER	= 0,
	CKPT_BARRIER_STRICT	= 1,
	CKPT_BARRIER_NONE	= 2,
};

/* What becomes of files the program changes in place, and goes on to: see ckptctl(8), --files. */
enum ckpt_files {
	CKPT_FILES_AUTO		= 0,
	CKPT_FILES_REFLINK	= 1,
	CKPT_FILES_COPY		= 2,
	CKPT_FILES_TRUNCATE	= 3,
	CKPT_FILES_NONE		= 4,
};

/* What becomes of TCP connections whose other end is not in the snapshot: see ckptctl(8), --tcp. */
enum ckpt_outside {
	CKPT_OUTSIDE_REFUSE		= 0,
	CKPT_OUTSIDE_CLOSE		= 1,
	CKPT_OUTSIDE_RESET		= 2,
	CKPT_OUTSIDE_REPAIR		= 3,	/* with CKPT_TAKE_KILL */
};

/* Levels beside zstd's: as high as the disk is slow; and memory stored as it is. */
#define CKPT_LEVEL_AUTO	0
#define CKPT_LEVEL_NONE	(-1000000)

/**
 * struct ckpt_take_request - what is wanted
 * @size: sizeof(struct ckpt_take_request)
 * @flags: CKPT_TAKE_*
 * @pid: process; 0 with @cgroup
 * @timeout_ms: of the freeze; 0: the module's default
 * @store: path; NULL: $CKPT_STORE, else /var/lib/ckpt; made when missing
 * @name: of the job, 1 to 64 of [A-Za-z0-9._-]; NULL: COMMAND-PID
 * @level: of compression: zstd's, -7 to 19, or CKPT_LEVEL_*
 * @files: enum ckpt_files
 * @barrier: enum ckpt_barrier_when
 * @files_limit: bytes of such files that may be copied while the process stands still; 0: 64 MiB
 * @bwlimit: bytes of memory to read in a second at most, 65536 or more; 0: as fast as it goes
 * @progress: told bytes done and of all; not 0 gives up with that negative errno; may be NULL
 * @arg: for @progress
 * @hooks_timeout_ms: the program's hook before the snapshot may take; 0: 10000
 * @tcp: enum ckpt_outside
 * @encrypt_to: @nr_encrypt_to public keys, or files with such, to encrypt the image to; none: it is not
 *	encrypted, which is refused (-ENOKEY) of a job whose newest generation is, unless CKPT_TAKE_FULL
 * @cgroup: instead of @pid: all processes of this control group and those below, and what descends from
 *	them: a directory of a cgroup file system, or what /proc/PID/cgroup shows; else NULL
 */
struct ckpt_take_request {
	size_t		size;
	uint32_t	flags;
	pid_t		pid;
	uint32_t	timeout_ms;
	int		level;
	uint32_t	files;
	uint32_t	barrier;
	uint64_t	files_limit;
	uint64_t	bwlimit;
	const char	*store;
	const char	*name;
	int		(*progress)(uint64_t done, uint64_t total, void *arg);
	void		*arg;
	uint32_t	hooks_timeout_ms;
	uint32_t	tcp;
	const char *const *encrypt_to;
	size_t		nr_encrypt_to;
	const char	*cgroup;
};

/**
 * struct ckpt_refusal - one thing that cannot be brought back
 * @pid: whose it is, of a tree; else 0
 * @thing: "fd", "mapping", "thread", "process", "timer", "lock"
 * @number: its number or address, -1 when it has none
 * @path: file it belongs to, or NULL
 * @reason: what it is and why it is refused
 * @remedy: what can be done, or NULL
 */
struct ckpt_refusal {
	pid_t		pid;
	const char	*thing;
	int64_t		number;
	const char	*path;
	const char	*reason;
	const char	*remedy;
};

struct ckpt_outcome;

/*
 * Take a snapshot of a process, or a tree of processes at one instant, and commit it as the next
 * generation of its job.  Whatever fails, they go on as if nothing had been asked and the store is as before.  -EOPNOTSUPP: something
 * cannot be restored; *ret_outcome then tells all of it.
 * Other errors: those of ckpt_dev_open(), ckpt_session_attach() and ckpt_session_freeze(), and of
 * the store: -ENOSPC, -EROFS, -EACCES ...
 *
 * *ret_outcome is set on failure too (NULL: no memory) and to be freed with ckpt_outcome_free().
 */
int ckpt_take(const struct ckpt_take_request *request, struct ckpt_err *err,
	      struct ckpt_outcome **ret_outcome);
void ckpt_outcome_free(struct ckpt_outcome *outcome);

/* Strings are valid as long as @outcome. */
const char *ckpt_outcome_ref(const struct ckpt_outcome *outcome);	/* JOB@GENERATION */
const char *ckpt_outcome_path(const struct ckpt_outcome *outcome);
/* JOB@GENERATION it is a delta of, "": it is full, and why. */
const char *ckpt_outcome_parent(const struct ckpt_outcome *outcome);
const char *ckpt_outcome_why_full(const struct ckpt_outcome *outcome);
uint64_t ckpt_outcome_size(const struct ckpt_outcome *outcome);
/*
 * Of a tree, figures are sums over its processes, but out_pause_ns: from the first that stood still to
 * the last that went on.
 */
const struct ckpt_stats *ckpt_outcome_stats(const struct ckpt_outcome *outcome);
/* How many processes of a tree were taken, zombies not counted; 0 without CKPT_TAKE_TREE. */
size_t ckpt_outcome_processes(const struct ckpt_outcome *outcome);
/* How many TCP connections a restored program will have lost, or wait for one: see enum ckpt_outside. */
size_t ckpt_outcome_tcp_lost(const struct ckpt_outcome *outcome);
size_t ckpt_outcome_tcp_held(const struct ckpt_outcome *outcome);
/* How many unix connections a restored program will have lost: CKPT_TAKE_CUT_UNIX. */
size_t ckpt_outcome_unix_lost(const struct ckpt_outcome *outcome);
/* Bytes of memory that are not in the image, being marked MADV_DONTDUMP: zero after a restore. */
uint64_t ckpt_outcome_left_out(const struct ckpt_outcome *outcome);
/* What the program's hook before the snapshot took; 0: none was called. */
uint64_t ckpt_outcome_hooks_ns(const struct ckpt_outcome *outcome);
size_t ckpt_outcome_refusals(const struct ckpt_outcome *outcome);
void ckpt_outcome_refusal(const struct ckpt_outcome *outcome, size_t i,
			  struct ckpt_refusal *ret_refusal);

/* ----------------------------------------------------------------------------------- store */

struct ckpt_store;

/* @path NULL: $CKPT_STORE, else /var/lib/ckpt.  -ENOENT: there is none. */
int ckpt_store_open(const char *path, struct ckpt_err *err, struct ckpt_store **ret_store);
void ckpt_store_close(struct ckpt_store *store);

/* Bytes for a public key as text, "ckpt-public-1:...", and its NUL. */
#define CKPT_KEY_TEXT	64

/*
 * Make a pair of keys: the secret one goes into the new file @path, mode 0600, the public one to
 * @ret_public (CKPT_KEY_TEXT bytes).  -EEXIST: there is such a file.
 */
int ckpt_keygen(const char *path, struct ckpt_err *err, char *ret_public);

/*
 * Use the secret keys of file @path too for encrypted images of @store.  Where none was given those of
 * the file $CKPT_IDENTITY are used.  What needs a key and has none that fits fails with -ENOKEY.  -EACCES: the
 * file is not the caller's alone.  The keys are not in a child of the caller, which must not close
 * @store.
 */
int ckpt_store_identity(struct ckpt_store *store, const char *path, struct ckpt_err *err);

/**
 * struct ckpt_generation - an image in a store
 * @name: of the job
 * @generation: from 1
 * @size: bytes of the file
 * @created_ns: since 1970
 * @pid: of the process
 * @comm: name of its command
 * @path: of the file
 * @error: why it cannot be read; NULL: it can.  @created_ns, @pid and @comm are empty then
 */
struct ckpt_generation {
	const char	*name;
	uint64_t	generation;
	uint64_t	size;
	uint64_t	created_ns;
	pid_t		pid;
	const char	*comm;
	const char	*path;
	const char	*error;
};

/* Not 0: stop, and return that. */
typedef int (*ckpt_generation_fn)(const struct ckpt_generation *generation, void *arg);

/* Tell @fn of all generations, of job @name only when it is not NULL. */
int ckpt_store_list(struct ckpt_store *store, const char *name, ckpt_generation_fn fn, void *arg,
		    struct ckpt_err *err);

/*
 * Facts of one image as JSON text, to be freed: header, figures, files.  @ref: JOB (the newest
 * generation), JOB@GENERATION, or a path, for which @store may be NULL.  Of an encrypted image that no key
 * opens: the header, and "locked": true in "image".
 */
int ckpt_store_show(struct ckpt_store *store, const char *ref, struct ckpt_err *err,
		    char **ret_json);

/*
 * Read an image, and all it is built on, whole.  -EBADMSG: damaged, with the first damage in @err;
 * -ENOENT, -ESTALE: what it is built on is missing, or another image lies in its place.  Of encrypted
 * images that no key opens: the checksums alone, which find damage and no forgery; ckpt_store_show() tells
 * whether it is so.
 */
int ckpt_store_verify(struct ckpt_store *store, const char *ref, struct ckpt_err *err);

/* Remove JOB@GENERATION, or with JOB alone all of its generations.  -EBUSY: others need it. */
int ckpt_store_remove(struct ckpt_store *store, const char *ref, struct ckpt_err *err,
		      uint64_t *ret_bytes);

/*
 * Remove what dead writers left, and, with @keep > 0, all but the @keep newest generations of each
 * job (of job @name only when it is not NULL) and what those need.
 */
int ckpt_store_gc(struct ckpt_store *store, const char *name, unsigned int keep,
		  struct ckpt_err *err, uint64_t *ret_bytes);

#define CKPT_RETAIN_NO_FOLD	(1u << 0)	/* fold nothing: what the kept ones are built on stays */

/**
 * struct ckpt_retain_request - what of each job is to stay
 * @size: sizeof(struct ckpt_retain_request)
 * @flags: CKPT_RETAIN_*
 * @keep: so many of the newest; 0: 3 if @max_age_ns is given, else all
 * @reserved: 0
 * @max_age_ns: and all that are not older; 0: age does not count
 * @level: of compression, for what is folded: zstd's, -7 to 19, or CKPT_LEVEL_*
 * @name: only of this job; NULL: of all
 * @progress: of a fold, told bytes done and of all; not 0 gives up with that negative errno; may be NULL
 * @arg: for @progress
 */
struct ckpt_retain_request {
	size_t		size;
	uint32_t	flags;
	uint32_t	keep;
	uint64_t	max_age_ns;
	uint32_t	reserved;
	int		level;
	const char	*name;
	int		(*progress)(uint64_t done, uint64_t total, void *arg);
	void		*arg;
};

/**
 * struct ckpt_retained - what came of it
 * @size: sizeof(struct ckpt_retained), set by the caller
 * @generations: that were removed
 * @temporaries: likewise, what dead writers had left
 * @copies: likewise, files made out of images that no program uses; none when a job is named
 * @bytes: of all these
 * @held: generations kept because a newer one cannot be read
 * @unreadable: kept because they cannot be read themselves
 * @folded: that are full now
 * @locked: that are not, since they are encrypted and no key opens them; what they are built on stays
 */
struct ckpt_retained {
	size_t		size;
	uint64_t	generations;
	uint64_t	temporaries;
	uint64_t	copies;
	uint64_t	bytes;
	uint64_t	held;
	uint64_t	unreadable;
	uint64_t	folded;
	uint64_t	locked;
};

/*
 * As ckptctl gc does: the oldest generation of a job that is to stay is folded into a full one if it is a
 * delta, and what nobody needs then is removed.  A job that fails does not keep the others from being
 * cleaned; the first failure is the error.  What is encrypted is folded with the keys of
 * ckpt_store_identity() or $CKPT_IDENTITY.  @ret_retained, which may be NULL, is filled then too, unless
 * it is -EINVAL for the request.
 */
int ckpt_store_retain(struct ckpt_store *store, const struct ckpt_retain_request *request,
		      struct ckpt_err *err, struct ckpt_retained *ret_retained);

#define CKPT_EXPORT_ALL	0x1u	/* all generations of the job */

/*
 * Write JOB (its newest generation) or JOB@GENERATION to @fd as a tar archive, with all it is built on;
 * or, by CKPT_EXPORT_ALL in @flags, all generations of JOB.  Each byte is checked on the way, -EBADMSG.
 * After a failure what was written has no end, and is not imported.  @ret_generations may be NULL.
 */
int ckpt_store_export(struct ckpt_store *store, const char *ref, uint32_t flags, int fd,
		      struct ckpt_err *err, uint64_t *ret_generations);

/*
 * Put the generations of such an archive, read from @fd, into the store, as those of job @name, or, when it
 * is NULL, of the one they were exported from.  All is read and verified before anything appears; what is
 * there already is left as it is.  -EBADMSG: damaged or cut short; -EINVAL: something else is in it;
 * -EEXIST: the store has another image of a number; -ENOENT, -ESTALE: what one is built on is missing;
 * -EPERM: others may have written the archive; -EOPNOTSUPP: one shares pages with another job's.  @ret_new,
 * how many are new, may be NULL.
 *
 * Restoring an image runs the program in it: import only what you would run.
 */
int ckpt_store_import(struct ckpt_store *store, int fd, const char *name, struct ckpt_err *err,
		      uint64_t *ret_new);

/* --------------------------------------------------------------------------------- restore */

/* Give the program @path as descriptor @fd. */
struct ckpt_rebind_fd {
	int		fd;
	const char	*path;
};

/* Look below @to for what was below @from. */
struct ckpt_rebind_path {
	const char	*from;
	const char	*to;
};

/* Flags of a restore. */
#define CKPT_RESTORE_DISCARD_NEWER	0x1u	/* keep no copy of newer files that are put back */
#define CKPT_RESTORE_PIDNS		0x2u	/* in a PID namespace of its own */

/**
 * struct ckpt_restore_request - what to bring back, and how
 * @size: sizeof(struct ckpt_restore_request)
 * @flags: CKPT_RESTORE_*
 * @ref: JOB, JOB@GENERATION, or a path
 * @fds: @nr_fds descriptors to give anew
 * @paths: @nr_paths directories that are elsewhere now
 * @files_dir: directory for files of the image that are not what they were; NULL: in the store
 * @root: directory that becomes its root, chroot(2), below which all its files are looked for; NULL: none
 */
struct ckpt_restore_request {
	size_t		size;
	uint32_t	flags;
	uint32_t	reserved;
	const char	*ref;
	const struct ckpt_rebind_fd *fds;
	size_t		nr_fds;
	const struct ckpt_rebind_path *paths;
	size_t		nr_paths;
	const char	*files_dir;
	const char	*root;
};

/*
 * Fold JOB@GENERATION, a delta, with all it is built on into a full image that takes its place: what
 * is built on it stays so.  -EBUSY: a snapshot is being built on it, try again.
 */
int ckpt_store_compact(struct ckpt_store *store, const char *ref, struct ckpt_err *err);

/*
 * Bring a process back and let it run: with its old number, as a child of the caller, who has to
 * wait for it.  @store may be NULL when @ref is a path.  Either it runs as it did at the snapshot
 * or nothing is left behind.  With CKPT_RESTORE_PIDNS it has its old number in its namespace, and is the
 * child of a process there that waits for it; *ret_pid is its number for the caller.
 * Of a control group *ret_pid is the first; others who had no parent in it are children of the caller too.
 * -EEXIST: the number is in use; -ESTALE: a file is not what it was; -ENOENT: one is gone; -EPERM.
 */
int ckpt_restore_start(struct ckpt_store *store, const struct ckpt_restore_request *request,
		       struct ckpt_err *err, pid_t *ret_pid);

/* The same, then stand in for it until it ends.  *ret_status as from waitpid(2). */
int ckpt_restore_wait(struct ckpt_store *store, const struct ckpt_restore_request *request,
		      struct ckpt_err *err, int *ret_status);

/* ------------------------------------------------- in the program that is snapshotted */

/*
 * Leave @len bytes at @addr, whole pages, out of snapshots: they are not in images, and zero in a
 * restored program.  As madvise(2) with MADV_DONTDUMP, which ends with MADV_DODUMP and is meant for
 * dumps of all kinds; but memory that is saved all the same is refused here: -EOPNOTSUPP, it is shared
 * or the stack.  -EINVAL: not whole pages.  What is in registers, on stacks, or was copied elsewhere is
 * not found.
 */
int ckpt_secret(void *addr, size_t len, struct ckpt_err *err);

/* What became of the snapshot a hook was called for. */
enum ckpt_after {
	CKPT_AFTER_TAKEN	= 1,	/* this is the program that runs on; the image is yet to be written */
	CKPT_AFTER_GIVEN_UP	= 2,	/* there was none, or who took it is gone */
	CKPT_AFTER_RESTORED	= 3,	/* this is a restored program, time has passed */
};

/**
 * struct ckpt_hooks - what a program wants to do before and after a snapshot of it
 * @size: sizeof(struct ckpt_hooks)
 * @signal: for real time, that the program does not use itself; 0: SIGRTMAX
 * @before: called, and waited for, before the program is frozen; may be NULL
 * @after: called once for each call of @before, when the program runs on; may be NULL
 * @arg: for both
 *
 * They are called by a thread of their own, with signals blocked, while the others run on: what they
 * do to what others use needs its locks.  The time from the return of @before to the call of @after
 * is that of the snapshot's capture, but may be any, as in a restored program.
 */
struct ckpt_hooks {
	size_t	size;
	int	signal;
	void	(*before)(void *arg);
	void	(*after)(void *arg, enum ckpt_after what);
	void	*arg;
};

/*
 * From now on, until ckpt_hooks_stop(), snapshots by ckptctl(8) and ckpt_take() call the hooks; one
 * whose @before does not return in time is given up.  A process has one set of hooks: -EALREADY.
 * -EBUSY: there is a handler for the signal.  A child of fork() has none.
 *
 * ckpt_hooks_stop() waits for hooks that are being called.  -EDEADLK: from one of them.
 */
int ckpt_hooks_start(const struct ckpt_hooks *hooks, struct ckpt_err *err);
int ckpt_hooks_stop(struct ckpt_err *err);

#ifdef __cplusplus
}
#endif

#endif
