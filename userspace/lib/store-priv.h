/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store-priv.h - shared by the store*.c files; nobody else includes it. */
#ifndef CKPT_STORE_PRIV_H
#define CKPT_STORE_PRIV_H

#include <dirent.h>

#include "buf.h"
#include "store.h"

#define STORE_FILE_MAX	64	/* the longest file name of ours, and its NUL */

struct store {
	int	fd;		/* its directory */
	char	*path;
	bool	made;		/* by store_open() */
	const struct keyring *keyring;	/* borrowed; or NULL */
};

/* What a job's directory holds. */
struct job_scan {
	struct buf	generations;	/* uint64_t, rising */
	struct buf	temporaries;	/* uint64_t, in no order */
};

/* Whether @name in @dirfd is (still) the file that @fd is open on. */
bool store_same_file(int fd, int dirfd, const char *name);

/* File names of a generation and of its temporary. */
void store_file_name(uint64_t generation, char ret_name[STORE_FILE_MAX]);
void store_temp_name(uint64_t generation, char ret_name[STORE_FILE_MAX]);

/* The generation that file @name is of; 0: none, it is not what we would call one. */
uint64_t store_file_generation(const char *name);

/* Directory of job @name: an fd, or -errno without an error text. */
int store_open_job(const struct store *store, const char *name);

/* Read the directory anew.  0 or -errno, no text.  Free by store_scan_free(). */
int store_scan(int jobfd, struct job_scan *ret_scan);
void store_scan_free(struct job_scan *scan);

static inline size_t store_scan_count(const struct job_scan *scan)
{
	return scan->generations.len / sizeof(uint64_t);
}

static inline uint64_t store_scan_generation(const struct job_scan *scan, size_t i)
{
	return ((const uint64_t *)scan->generations.data)[i];
}

/*
 * flock() with @how, LOCK_EX or LOCK_SH, without waiting.  0: locked; -EWOULDBLOCK: somebody else
 * has it; else there are no locks here.
 */
int store_lock(int fd, int how);

/* A directory's entries, to be closed by closedir(); NULL and errno. */
DIR *store_listing(int dirfd);

/* The next one; NULL: there is none, or why it cannot be read in *@ret. */
struct dirent *store_next(DIR *dir, int *ret);

#define STORE_SHARED_MAX	71	/* the name of a shared image, and its NUL */

/* Its name, and the directory they are in: an fd or -errno, no text. */
void store_shared_name(const uint8_t id[IMAGE_ID_SIZE], const uint8_t digest[IMAGE_HASH_SIZE],
		       char ret_name[STORE_SHARED_MAX]);
int store_shared_dir(const struct store *store, bool create);

/* Open a file, or a generation, for reading, never through a link: an fd or -errno, no text. */
int store_open_file(int dirfd, const char *name);
int store_open_generation(int jobfd, uint64_t generation);

/* Whether nobody but the caller and root may have put there what @fd (at @path) is or holds. */
int store_check_ours(int fd, const char *path, struct ckpt_err *err);

/* Remove the temporaries of dead writers; returns how many.  Undo cannot fail: nor can this. */
uint64_t store_remove_stale(int jobfd, uint64_t *ret_bytes);

/* rmdir, if it is empty. */
void store_drop_empty_job(const struct store *store, const char *name);

/* Sorted names of all jobs: NUL-terminated strings of STORE_NAME_MAX + 1 bytes each. */
int store_job_names(const struct store *store, struct buf *ret_names);

/* Error text for a failed step on job or generation. */
int store_fail(const struct store *store, struct ckpt_err *err, int ret, const char *what,
	       const char *name);

#endif
