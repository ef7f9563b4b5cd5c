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
 *  3. Swept, after generations were removed: a name that is its file's only one, and that no generation of
 *     the store names as a source.  What does not seem to be needed is locked, LOCK_EX, and then looked
 *     for once more: who wants to share it from then on cannot lock it, and who had it locked before has
 *     committed, or given up, and is seen.
 *
 * There is no count that could be wrong: the images themselves tell what is needed.  One that cannot be
 * read keeps all, for it may be mended.  A file stays whole while one page of it is shared.
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

#include "dedup-index.h"
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

typedef char shared_name[STORE_SHARED_MAX];

struct sweep {
	struct store	*store;
	int		dirfd;
	bool		settle;		/* make durable what is seen: something is removed because of it */
	struct buf	needed;		/* shared_name, sorted */
	struct ckpt_err	*err;
	struct store_removed *removed;
};

static int compare_names(const void *a, const void *b)
{
	return memcmp(a, b, STORE_SHARED_MAX);
}

static bool is_needed(const struct sweep *w, const char *name)
{
	return w->needed.len && bsearch(name, w->needed.data, w->needed.len / sizeof(shared_name),
					sizeof(shared_name), compare_names);
}

/* What is its only name: one that a generation has too costs nothing, and goes when that has gone. */
static bool is_alone(int dirfd, const char *name)
{
	struct stat st;

	return !fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static int find_alone(const struct sweep *w, struct buf *ret_names)
{
	DIR *dir = store_listing(w->dirfd);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return -errno;
	while (!ret && (entry = store_next(dir, &ret)))
		if (is_shared_name(entry->d_name) && is_alone(w->dirfd, entry->d_name))
			ret = buf_append(ret_names, entry->d_name, sizeof(shared_name));
	closedir(dir);
	return ret;
}

static int need_sources(struct sweep *w, const struct image *img)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < image_nr_sources(img); i++) {
		struct image_source s;
		shared_name name;

		image_get_source(img, i, &s);
		store_shared_name(s.id, s.digest, name);
		ret = buf_append(&w->needed, name, sizeof(name));
	}
	return ret;
}

/* The sources of one generation.  One that cannot be read may be mended, and needs them then. */
static int need_generation(struct sweep *w, const char *job, int jobfd, uint64_t generation)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	struct image *img;
	int ret, fd = store_open_generation(jobfd, generation);

	if (fd == -ENOENT || fd == -EINVAL || fd == -ELOOP)
		return 0;		/* gone, or no file */
	ret = fd < 0 ? ckpt_err_sys(&why, fd, "cannot open it") : image_open(fd, "it", &why, &img);
	if (!ret) {
		ret = need_sources(w, img);
		image_close(img);
	} else {
		ckpt_err_set(w->err, ret, "%s/%s: what generation %llu shares is not known, so all that is "
			     "shared stays: %s", w->store->path, job, (unsigned long long)generation, why.text);
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

static int need_job(struct sweep *w, const char *name)
{
	int ret, jobfd = store_open_job(w->store, name);
	struct job_scan scan;

	if (jobfd < 0)
		return jobfd == -ENOENT || jobfd == -ENOTDIR || jobfd == -ELOOP ? 0 :
		       store_fail(w->store, w->err, jobfd, "cannot open the job", name);
	/* a rename or removal that a power cut takes back would need again what it seems not to */
	ret = w->settle ? util_fsync_dir(jobfd) : 0;
	if (!ret)
		ret = store_scan(jobfd, &scan);
	if (ret) {
		store_fail(w->store, w->err, ret, "cannot list the job", name);
	} else {
		for (size_t i = 0; !ret && i < store_scan_count(&scan); i++)
			ret = need_generation(w, name, jobfd, store_scan_generation(&scan, i));
		store_scan_free(&scan);
	}
	close(jobfd);
	return ret;
}

static int find_needed(struct sweep *w, bool settle)
{
	struct buf names;
	int ret = store_job_names(w->store, &names);

	if (ret)
		return store_fail(w->store, w->err, ret, "cannot list the store", NULL);
	w->settle = settle;
	w->needed.len = 0;
	for (size_t at = 0; at < names.len && !ret; at += STORE_NAME_MAX + 1)
		ret = need_job(w, (char *)names.data + at);
	buf_free(&names);
	if (w->needed.len)
		qsort(w->needed.data, w->needed.len / sizeof(shared_name), sizeof(shared_name),
		      compare_names);
	return ret;
}

/* Locked for removal, or -1: somebody has it, or it cannot be locked here. */
static int lock_alone(const struct sweep *w, const char *name)
{
	/* write access: NFS makes flock() a lock of the server, which asks for it */
	int fd = openat(w->dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (!store_lock(fd, LOCK_EX) && store_same_file(fd, w->dirfd, name) && is_alone(w->dirfd, name))
		return fd;
	close(fd);
	return -1;
}

/* Under its lock. */
static int drop(struct sweep *w, const char *name, int fd)
{
	struct stat st;

	if (is_needed(w, name))
		return 0;
	if (fstat(fd, &st) || unlinkat(w->dirfd, name, 0))
		return errno == ENOENT ? 0 :
		       store_fail(w->store, w->err, -errno, "cannot remove what nobody shares", SHARED_DIR);
	w->removed->bytes += st.st_size;
	return 0;
}

#define BATCH	64

/* Some that did not seem to be needed: locked first, then looked at once more. */
static int drop_batch(struct sweep *w, const shared_name *names, size_t n)
{
	int fds[BATCH], ret = 0;
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		fds[i] = lock_alone(w, names[i]);
		any |= fds[i] >= 0;
	}
	if (any)
		ret = find_needed(w, true);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < 0)
			continue;
		if (!ret)
			ret = drop(w, names[i], fds[i]);
		close(fds[i]);
	}
	return ret;
}

static int drop_unneeded(struct sweep *w, const struct buf *alone)
{
	const shared_name *names = (const void *)alone->data;
	shared_name batch[BATCH];
	size_t n = 0;
	int ret = find_needed(w, false);

	for (size_t i = 0; !ret && i < alone->len / sizeof(*names); i++) {
		if (!is_needed(w, names[i]))
			memcpy(batch[n++], names[i], sizeof(shared_name));
		if (n == BATCH || (n && i + 1 == alone->len / sizeof(*names))) {
			ret = drop_batch(w, batch, n);
			n = 0;
		}
	}
	return ret;
}

/* A damaged generation keeps it all, and is no failure of this. */
static bool is_damage(int ret)
{
	return ret == -EBADMSG || ret == -EOPNOTSUPP;
}

int store_sweep(struct store *s, struct ckpt_err *err, struct store_removed *removed)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	struct sweep w = { .store = s, .err = &why, .removed = removed };
	struct buf alone = { 0 };
	int ret;

	dedup_index_clean(s);
	w.dirfd = store_shared_dir(s, false);
	if (w.dirfd == -ENOENT || w.dirfd == -EACCES)
		return 0;		/* there is none, or it is another user's */
	ret = w.dirfd < 0 ? w.dirfd : find_alone(&w, &alone);
	if (ret)
		store_fail(s, &why, ret, "cannot look at what is shared", SHARED_DIR);
	if (!ret && alone.len)
		ret = drop_unneeded(&w, &alone);
	if (!ret && alone.len) {
		ret = util_fsync_dir(w.dirfd);
		if (ret)
			store_fail(s, &why, ret, "cannot sync the directory", SHARED_DIR);
	}
	if (is_damage(ret))
		removed->held += alone.len / sizeof(shared_name);
	else if (ret)
		ckpt_err_set(err, ret, "%s", why.text);
	if (w.dirfd >= 0)
		close(w.dirfd);
	buf_free(&alone);
	buf_free(&w.needed);
	unlinkat(s->fd, SHARED_DIR, AT_REMOVEDIR);	/* fails, as it should, if anything is in it */
	return is_damage(ret) ? 0 : ret;
}
