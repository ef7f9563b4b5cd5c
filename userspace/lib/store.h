/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.h - where images are kept: STORE/NAME/gen-00000001.ckpt
 *
 * A generation is there whole or not at all, whatever dies when.  Everything inside the store is
 * reached by directory descriptors, one component at a time, and no symbolic link in it is ever
 * followed.  (The path of the store itself is the user's word and may lead through links.)
 *
 * A store and what is opened from it belong to one thread at a time.  Several processes may work
 * in one store at once.
 */
#ifndef CKPT_STORE_H
#define CKPT_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "image.h"

#define STORE_DEFAULT		"/var/lib/ckpt"
#define STORE_ENV		"CKPT_STORE"
#define STORE_NAME_MAX		64
#define STORE_PATH_MAX		4096
#define STORE_GENERATION_MAX	999999999999999ull	/* 15 digits */

struct store;

/*
 * Open the store at @path; NULL or "": $CKPT_STORE, else /var/lib/ckpt.  With @create a missing
 * one is made, mode 0700 (its parent must exist), and removed again by store_close() if nothing
 * was put into it.  Without, -ENOENT.
 */
int store_open(const char *path, bool create, struct ckpt_err *err, struct store **ret_store);
void store_close(struct store *store);
const char *store_path(const struct store *store);

/* What encrypted images of it are read with by compact and retain; stays the caller's.  NULL: nothing. */
struct keyring;
void store_set_keyring(struct store *store, const struct keyring *keyring);
const struct keyring *store_keyring(const struct store *store);

/* Whether @name may name a job: 1 to 64 of [A-Za-z0-9._-], no dot or dash in front. */
bool store_name_valid(const char *name);

/* The name of a job nobody named: COMM-PID with '_' for what a name may not have. */
void store_name_default(const char *comm, pid_t pid, char ret_name[STORE_NAME_MAX + 1]);

/* -------------------------------------------------------------------------------- writing */

struct store_writer;
struct store_ref;

/*
 * Claim the next generation of @name and open its temporary file.  Temporaries that dead writers
 * of @name left are removed.  Numbers are distinct among concurrent writers; one whose writer
 * gives up is free again.
 */
int store_writer_open(struct store *store, const char *name, struct ckpt_err *err,
		      struct store_writer **ret_writer);

/*
 * The same, for number @generation and no other.  -EEXIST: the job has one of that number; -EBUSY:
 * somebody is writing one.
 */
int store_writer_open_as(struct store *store, const char *name, uint64_t generation,
			 struct ckpt_err *err, struct store_writer **ret_writer);

/*
 * The same, to put another image in the place of generation @ref, which is open as @old (borrowed).
 * Then store_writer_commit() exchanges them in one step; -EBUSY if a snapshot is being built on the
 * old one, -ESTALE if it is not there any more.
 */
int store_writer_open_over(struct store *store, const struct store_ref *ref, int old,
			   struct ckpt_err *err, struct store_writer **ret_writer);

/* Empty, at its start, mode 0600; belongs to the writer. */
int store_writer_fd(const struct store_writer *w);
uint64_t store_writer_generation(const struct store_writer *w);

/* "NAME@GENERATION", for messages. */
const char *store_writer_label(const struct store_writer *w);

/* Path the generation has once committed. */
const char *store_writer_path(const struct store_writer *w);

/* fsync of the file, so that it can be read back from the device. */
int store_writer_sync(struct store_writer *w, struct ckpt_err *err);

/*
 * Make the generation appear, durably: fsync of the file if that was not done, rename, fsync of the
 * directories.  If this fails the generation is not there.
 */
int store_writer_commit(struct store_writer *w, struct ckpt_err *err);

/* Free.  Not committed: the temporary goes, and the job's directory if it is empty. */
void store_writer_close(struct store_writer *w);

/* -------------------------------------------------------------------------------- reading */

struct store_ref {
	char		name[STORE_NAME_MAX + 1];	/* "" for a path */
	uint64_t	generation;			/* 0 for a path */
	char		label[STORE_PATH_MAX];		/* NAME@GENERATION, or the path */
	char		path[STORE_PATH_MAX];		/* where the file is */
};

/* Whether @ref is a path (has a '/'); then store_resolve() needs no store. */
bool store_ref_is_path(const char *ref);

/* NAME or NAME@GENERATION taken apart, without a look at the disk; generation 0: not given. */
int store_ref_parse(const char *ref, struct ckpt_err *err, struct store_ref *ret_ref);

/*
 * Open what @ref names: NAME (its newest generation), NAME@GENERATION, or a path.  @store may be
 * NULL for a path.  @ret_ref may be NULL.
 */
int store_resolve(struct store *store, const char *ref, struct ckpt_err *err, int *ret_fd,
		  struct store_ref *ret_ref);

/*
 * The same, to restore it: that runs what the image holds with the caller's rights.  So image, job
 * and store must belong to the caller or to root and be writable by nobody else; of a path, the
 * image.  Else -EPERM.  @ret_ref must be given.
 */
int store_resolve_to_run(struct store *store, const char *ref, struct ckpt_err *err, int *ret_fd,
			 struct store_ref *ret_ref);

/*
 * Open generation @generation that lies where @of does: in its job, or, of a path, beside it under
 * the name a store gives it.  -ENOENT: it is not there.  @to_run as above, for the file.
 */
int store_resolve_sibling(struct store *store, const struct store_ref *of, uint64_t generation,
			  bool to_run, struct ckpt_err *err, int *ret_fd,
			  struct store_ref *ret_ref);

/*
 * Open an image that @of, of @store or a path, has pages in.  -ENOENT: it is missing.  @to_run as
 * above, for it and the directory.
 */
int store_open_source(const struct store *store, const struct store_ref *of,
		      const struct image_source *source, bool to_run, struct ckpt_err *err,
		      int *ret_fd);

/*
 * Keep the generation open as @fd from being removed, until @fd is closed.  -ENOENT: it is gone
 * already; -EWOULDBLOCK: it is being removed.  Where there are no file locks it is not kept.
 */
int store_hold(struct store *store, const struct store_ref *ref, int fd);

/* What came of it when the whole file was last read to find out, see catalogue.h. */
enum store_verdict {
	STORE_NOT_VERIFIED	= 0,	/* not since it is as it is, or nobody has kept it */
	STORE_SOUND		= 1,
	STORE_DAMAGED		= 2,
};

struct store_entry {
	const char	*name;
	uint64_t	generation;
	uint64_t	size;		/* bytes of the file */
	const char	*path;
	const struct image_info *info;	/* NULL: not readable as an image, see error */
	const struct ckpt_err *error;	/* NULL if info is not */
	enum store_verdict verdict;
	uint64_t	verified_ns;	/* when, since 1970, if it was */
};

/* Not 0: stop, and return that. */
typedef int (*store_entry_fn)(const struct store_entry *entry, void *arg);

/*
 * Tell @fn of all generations, names in strcmp order, generations rising; only those of @name if
 * it is not NULL (-ENOENT if it has none).  Temporaries are never told of.  What the catalogue knows of
 * a file that has not changed is not read again.
 */
int store_list(struct store *store, const char *name, store_entry_fn fn, void *arg,
	       struct ckpt_err *err);

/* The same, of what is read now: for who acts on it. */
int store_list_anew(struct store *store, const char *name, store_entry_fn fn, void *arg,
		    struct ckpt_err *err);

/* ------------------------------------------------------------------------------- removing */

struct store_removed {
	uint64_t	generations;
	uint64_t	temporaries;
	uint64_t	copies;		/* of files of images, see copies.h; gc of all jobs only */
	uint64_t	bytes;
	uint64_t	held;		/* kept because of a generation nobody can read; gc only */
	uint64_t	unreadable;	/* kept because it could not be read itself; gc only */
};

/*
 * Remove one generation, or with 0 the whole job, newest first.  One that another generation
 * names as its parent, or is being made of it, stays: -EBUSY.  @ret_removed may be NULL.
 */
int store_remove(struct store *store, const char *name, uint64_t generation,
		 struct ckpt_err *err, struct store_removed *ret_removed);

/*
 * Remove what dead writers left; with @keep > 0 also all but the @keep newest generations of each
 * job and what those have as parents, parents' parents and so on.  Unreadable generations stay,
 * and so do all older ones, since one of them may be the parent.  One that is in use ends it for its
 * job: -EBUSY.  @name: only that job, or NULL: then also the copies of files that nobody uses.
 */
int store_gc(struct store *store, const char *name, unsigned int keep, struct ckpt_err *err,
	     struct store_removed *ret_removed);

/*
 * After some were removed: remove what was kept because generations had pages in it and none has any more.
 * A generation that cannot be read keeps all.  @removed is added to.
 */
int store_sweep(struct store *store, struct ckpt_err *err, struct store_removed *removed);

/* ------------------------------------------------------------------------------- audit */

/**
 * struct store_event - what was done in a store
 * @what: "snap", "restore", "rm", "gc", "compact", "export", "import"
 * @ref: of what; NULL: of all
 * @pid: process, 0: none
 * @removed: generations that are gone
 * @code: 0 or the error
 * @err: its text, if it has one; may be NULL
 */
struct store_event {
	const char		*what;
	const char		*ref;
	pid_t			pid;
	uint64_t		removed;
	int			code;
	const struct ckpt_err	*err;
};

/* Note it in the store's account, if that can be; fails nothing.  @store may be NULL. */
void store_audit(const struct store *store, const struct store_event *event);

#endif
