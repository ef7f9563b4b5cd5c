// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store-shared.c - STORE/.shared: images that others have pages in.
 *
 *	STORE/.shared/			0700, made with the first of them
 *	STORE/.shared/ID-DIGEST.ckpt	a second name (hard link) of a generation, or its only one
 *
 * Life of such a name:
 *  1. Who writes an image that shares pages with another locks that one, LOCK_SH, gives it this name,
 *     and syncs the directory, all before his own image is renamed into place.  So whatever dies when,
 *     an image that is there has what it shares.
 *  2. The generation may be removed or folded as any other.  Its content stays, under this name.
 *  3. Swept, after generations were removed: each name whose file can be locked, LOCK_EX, and that no
 *     generation of the store names as a source, goes.  The lock comes first, then the look: who wants
 *     to share it from then on cannot lock it, and who had it locked before has committed, or given
 *     up, and is seen.
 *
 * There is no count that could be wrong: the images themselves tell what is needed.  One that cannot be
 * looked at keeps all.  A file stays whole while one page of it is shared.
 *
 * ID and DIGEST are the image's, in hex; a folded generation has the same identity and another digest.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store-priv.h"
#include "util.h"

#define SHARED_DIR	".shared"
#define HEX		(2 * IMAGE_ID_SIZE)

static void put_hex(char *out, const uint8_t *bytes)
{
	for (int i = 0; i < IMAGE_ID_SIZE; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

void store_shared_name(const uint8_t id[IMAGE_ID_SIZE], const uint8_t digest[IMAGE_HASH_SIZE],
		       char ret_name[STORE_SHARED_MAX])
{
	put_hex(ret_name, id);
	ret_name[HEX] = '-';
	put_hex(ret_name + HEX + 1, digest);
	strcpy(ret_name + 2 * HEX + 1, ".ckpt");
}

static bool is_hex(const char *s)
{
	return strspn(s, "0123456789abcdef") >= HEX;
}

/* Whether it is a name that store_shared_name() makes. */
static bool is_shared_name(const char *s)
{
	return strlen(s) == STORE_SHARED_MAX - 1 && is_hex(s) && s[HEX] == '-' &&
	       is_hex(s + HEX + 1) && !strcmp(s + 2 * HEX + 1, ".ckpt");
}

int store_shared_dir(const struct store *s, bool create)
{
	int fd;

	if (create && mkdirat(s->fd, SHARED_DIR, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(s->fd, SHARED_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* -------------------------------------------------------------------------------- reading */

/* The directory for what @of shares: of the store, or two above a path. */
static int dir_of(const struct store *s, const struct store_ref *of)
{
	const char *slash = strrchr(of->path, '/');
	char dir[STORE_PATH_MAX + sizeof("/../" SHARED_DIR)];
	int fd;

	if (of->name[0])
		return store_shared_dir(s, false);
	snprintf(dir, sizeof(dir), "%.*s../" SHARED_DIR, slash ? (int)(slash - of->path) + 1 : 0,
		 of->path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int missing(const struct store_ref *of, const struct image_source *source, const char *name,
		   int code, struct ckpt_err *err)
{
	ckpt_err_sys(err, code, "%s: shares pages with %s@%llu, of which " SHARED_DIR "/%s cannot be opened",
		     of->label, source->job, (unsigned long long)source->generation, name);
	if (code == -ENOENT)
		ckpt_err_hint(err, "an image that shares pages is restored in its store alone; "
			      "put that file back");
	return code;
}

int store_open_source(const struct store *s, const struct store_ref *of,
		      const struct image_source *source, bool to_run, struct ckpt_err *err,
		      int *ret_fd)
{
	char name[STORE_SHARED_MAX];
	int fd, ret = 0, dirfd = dir_of(s, of);

	store_shared_name(source->id, source->digest, name);
	fd = dirfd < 0 ? dirfd : store_open_file(dirfd, name);
	if (fd < 0)
		ret = missing(of, source, name, fd, err);
	if (!ret && to_run)
		ret = store_check_ours(dirfd, SHARED_DIR, err);
	if (!ret && to_run)
		ret = store_check_ours(fd, name, err);
	if (dirfd >= 0)
		close(dirfd);
	if (ret && fd >= 0)
		close(fd);
	if (!ret)
		*ret_fd = fd;
	return ret;
}

/* ------------------------------------------------------------------------------- sweeping */

struct candidate {
	char		name[STORE_SHARED_MAX];
	int		fd;		/* locked */
	bool		needed;
};

struct sweep {
	const struct store *store;
	int		dirfd;
	struct buf	candidates;	/* struct candidate */
};

static struct candidate *candidate(const struct sweep *w, size_t i)
{
	return (struct candidate *)w->candidates.data + i;
}

static size_t nr_candidates(const struct sweep *w)
{
	return w->candidates.len / sizeof(struct candidate);
}

/* One that somebody has locked, or that cannot be locked here, stays. */
static int add_candidate(struct sweep *w, const char *name)
{
	struct candidate c = { .needed = false };
	int ret;

	memcpy(c.name, name, sizeof(c.name));
	/* write access: NFS makes flock() a lock of the server, which asks for it */
	c.fd = openat(w->dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (c.fd < 0)
		return 0;
	if (store_lock(c.fd, LOCK_EX) || !store_same_file(c.fd, w->dirfd, name)) {
		close(c.fd);
		return 0;
	}
	ret = buf_append(&w->candidates, &c, sizeof(c));
	if (ret)
		close(c.fd);
	return ret;
}

static int find_candidates(struct sweep *w)
{
	DIR *dir = store_listing(w->dirfd);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return -errno;
	while (!ret) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			ret = -errno;
			break;
		}
		if (is_shared_name(entry->d_name))
			ret = add_candidate(w, entry->d_name);
	}
	closedir(dir);
	return ret;
}

static void mark_source(struct sweep *w, const struct image_source *s)
{
	char name[STORE_SHARED_MAX];

	store_shared_name(s->id, s->digest, name);
	for (size_t i = 0; i < nr_candidates(w); i++)
		if (!strcmp(candidate(w, i)->name, name))
			candidate(w, i)->needed = true;
}

/* The sources of one generation.  Of a damaged one it is known that nobody restores it. */
static int mark_generation(struct sweep *w, int jobfd, uint64_t generation)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	struct image_source source;
	struct image *img;
	int ret, fd = store_open_generation(jobfd, generation);

	if (fd < 0)
		return fd == -ENOENT || fd == -EINVAL || fd == -ELOOP ? 0 : fd;
	ret = image_open(fd, "", &why, &img);
	for (uint32_t i = 0; !ret && i < image_nr_sources(img); i++) {
		image_get_source(img, i, &source);
		mark_source(w, &source);
	}
	if (!ret)
		image_close(img);
	close(fd);
	return ret == -EBADMSG ? 0 : ret;
}

static int mark_job(struct sweep *w, const char *name)
{
	int ret, jobfd = store_open_job(w->store, name);
	struct job_scan scan;

	if (jobfd < 0)
		return jobfd == -ENOENT || jobfd == -ENOTDIR || jobfd == -ELOOP ? 0 : jobfd;
	ret = store_scan(jobfd, &scan);
	if (!ret) {
		for (size_t i = 0; !ret && i < store_scan_count(&scan); i++)
			ret = mark_generation(w, jobfd, store_scan_generation(&scan, i));
		store_scan_free(&scan);
	}
	close(jobfd);
	return ret;
}

static int mark_needed(struct sweep *w)
{
	struct buf names;
	int ret = store_job_names(w->store, &names);

	if (ret)
		return ret;
	for (size_t at = 0; at < names.len && !ret; at += STORE_NAME_MAX + 1)
		ret = mark_job(w, (char *)names.data + at);
	buf_free(&names);
	return ret;
}

/* Under its lock. */
static int drop_candidate(struct sweep *w, const struct candidate *c, uint64_t *bytes)
{
	struct stat st;

	if (c->needed)
		return 0;
	if (fstat(c->fd, &st) || unlinkat(w->dirfd, c->name, 0))
		return errno == ENOENT ? 0 : -errno;
	if (st.st_nlink == 1)
		*bytes += st.st_size;
	return 0;
}

int store_sweep_shared(const struct store *s, uint64_t *ret_bytes)
{
	struct sweep w = { .store = s, .dirfd = store_shared_dir(s, false) };
	int ret;

	if (w.dirfd < 0)
		return w.dirfd == -ENOENT ? 0 : w.dirfd;
	ret = find_candidates(&w);
	if (!ret && nr_candidates(&w))
		ret = mark_needed(&w);
	for (size_t i = 0; i < nr_candidates(&w); i++) {
		if (!ret)
			ret = drop_candidate(&w, candidate(&w, i), ret_bytes);
		close(candidate(&w, i)->fd);
	}
	if (!ret && nr_candidates(&w))
		ret = util_fsync_dir(w.dirfd);
	close(w.dirfd);
	buf_free(&w.candidates);
	unlinkat(s->fd, SHARED_DIR, AT_REMOVEDIR);	/* fails, as it should, if anything is in it */
	return ret;
}
