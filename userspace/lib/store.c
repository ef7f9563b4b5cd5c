// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store.c - the store's directory, names, and the way from a reference to an open file.
 *
 *	STORE/				0700
 *	STORE/.audit			0600, what was done (store-audit.c)
 *	STORE/.dedup			0600, where pages are (store-dedup.c)
 *	STORE/.shared/			0700, images that others have pages in (store-shared.c)
 *	STORE/.catalogue		0600, what was seen (catalogue.c); a cache
 *	STORE/NAME/			0700, one a job, made with its first generation
 *	STORE/NAME/gen-00000001.ckpt	0600, one a generation
 *	STORE/NAME/.tmp-00000002	0600, a generation being written (store-write.c)
 *
 * NAME has no '/', and none begins with a dot, so opening it relative to the store's descriptor
 * with O_NOFOLLOW can lead nowhere else; the same holds for the files.  Whatever else lies in
 * these directories is not ours: neither listed nor touched.
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

#define GENERATION_PREFIX	"gen-"
#define GENERATION_SUFFIX	".ckpt"
#define TEMP_PREFIX		".tmp-"
#define GENERATION_DIGITS	8	/* at least; more when it needs more */

int store_fail(const struct store *store, struct ckpt_err *err, int ret, const char *what,
	       const char *name)
{
	const char *remedy = util_write_remedy(ret);

	ckpt_err_sys(err, ret, "%s%s%s: %s", store->path, name ? "/" : "", name ? name : "", what);
	if (remedy)
		ckpt_err_hint(err, "%s", remedy);
	return ret;
}

/* fsync the directory @path lies in. */
static int sync_parent(const char *path)
{
	char *copy = strdup(path), *slash;
	int fd, ret;

	if (!copy)
		return -ENOMEM;
	for (slash = copy + strlen(copy); slash > copy + 1 && slash[-1] == '/'; slash--)
		slash[-1] = '\0';
	slash = strrchr(copy, '/');
	if (slash)
		slash[slash == copy] = '\0';
	fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = fd < 0 ? -errno : util_fsync_dir(fd);
	if (fd >= 0)
		close(fd);
	free(copy);
	return ret;
}

static int open_root(struct store *s, bool create, struct ckpt_err *err)
{
	int ret;

	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd >= 0)
		return 0;
	if (errno != ENOENT || !create) {
		ret = ckpt_err_sys(err, errno, "%s: cannot open the store", s->path);
		if (ret == -ENOENT)
			ckpt_err_hint(err, "name the store by --store DIR or " STORE_ENV);
		return ret;
	}
	if (!mkdir(s->path, 0700)) {
		s->made = true;
	} else if (errno != EEXIST) {
		ret = store_fail(s, err, -errno, "cannot make the store", NULL);
		if (ret == -ENOENT)
			ckpt_err_hint(err, "make the directory it is to lie in first");
		return ret;
	}
	if (s->made) {
		ret = sync_parent(s->path);
		if (ret)
			return store_fail(s, err, ret, "cannot sync the directory above", NULL);
	}
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return store_fail(s, err, -errno, "cannot open the store", NULL);
	return 0;
}

int store_open(const char *path, bool create, struct ckpt_err *err, struct store **ret_store)
{
	struct store *s;
	int ret;

	if (!path || !*path)
		path = secure_getenv(STORE_ENV);
	if (!path || !*path)
		path = STORE_DEFAULT;
	s = calloc(1, sizeof(*s));
	if (s)
		s->path = strdup(path);
	if (!s || !s->path) {
		free(s);
		return ckpt_err_sys(err, ENOMEM, "%s", path);
	}
	s->fd = -1;
	ret = open_root(s, create, err);
	if (ret) {
		store_close(s);
		return ret;
	}
	*ret_store = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->made)
		rmdir(s->path);	/* fails, as it should, if anything is in it */
	free(s->path);
	free(s);
}

void store_set_keyring(struct store *s, const struct keyring *keyring)
{
	s->keyring = keyring;
}

const struct keyring *store_keyring(const struct store *s)
{
	return s->keyring;
}

const char *store_path(const struct store *s)
{
	return s->path;
}

static bool name_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool store_name_valid(const char *name)
{
	size_t len = 0;

	if (name[0] == '.' || name[0] == '-')
		return false;
	while (name_char(name[len]))
		len++;
	return len && len <= STORE_NAME_MAX && !name[len];
}

void store_name_default(const char *comm, pid_t pid, char ret_name[STORE_NAME_MAX + 1])
{
	size_t room = STORE_NAME_MAX - 12, len = 0;	/* "-", ten digits, sign */

	for (; comm[len] && len < room; len++)
		ret_name[len] = name_char(comm[len]) ? comm[len] : '_';
	if (!len)
		ret_name[len++] = '_';
	if (ret_name[0] == '.' || ret_name[0] == '-')
		ret_name[0] = '_';
	snprintf(ret_name + len, STORE_NAME_MAX + 1 - len, "-%d", (int)pid);
}

void store_file_name(uint64_t generation, char ret_name[STORE_FILE_MAX])
{
	snprintf(ret_name, STORE_FILE_MAX, GENERATION_PREFIX "%0*llu" GENERATION_SUFFIX,
		 GENERATION_DIGITS, (unsigned long long)generation);
}

void store_temp_name(uint64_t generation, char ret_name[STORE_FILE_MAX])
{
	snprintf(ret_name, STORE_FILE_MAX, TEMP_PREFIX "%0*llu", GENERATION_DIGITS,
		 (unsigned long long)generation);
}

/* Decimal digits to 1 .. STORE_GENERATION_MAX; 0 if they are anything else. */
static uint64_t parse_number(const char *s, const char **ret_end)
{
	uint64_t n = 0;

	for (; *s >= '0' && *s <= '9'; s++) {
		n = n * 10 + (*s - '0');
		if (n > STORE_GENERATION_MAX)
			return 0;
	}
	*ret_end = s;
	return n;
}

/* The generation a file name stands for; 0 unless it is the one we would write. */
static uint64_t parse_file_name(const char *name, const char *prefix,
				void (*format)(uint64_t, char *))
{
	char again[STORE_FILE_MAX];
	const char *end;
	uint64_t n;

	if (strncmp(name, prefix, strlen(prefix)))
		return 0;
	n = parse_number(name + strlen(prefix), &end);
	if (!n)
		return 0;
	format(n, again);
	return strcmp(again, name) ? 0 : n;
}

uint64_t store_file_generation(const char *name)
{
	return parse_file_name(name, GENERATION_PREFIX, store_file_name);
}

int store_open_job(const struct store *s, const char *name)
{
	int fd;

	if (!store_name_valid(name))
		return -EINVAL;
	fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * Only root and the caller may have put there what is run, or hold what was written.  A directory
 * others may write to is good enough when they cannot rename in it what is not theirs.
 */
static bool is_ours(const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return false;
	return !(st->st_mode & 022) || (S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX);
}

int store_check_ours(int fd, const char *path, struct ckpt_err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return ckpt_err_sys(err, errno, "%s", path);
	if (is_ours(&st))
		return 0;
	if (st.st_uid != 0 && st.st_uid != geteuid())
		ckpt_err_set(err, EPERM, "%s: belongs to user %u, who could have it run anything "
			     "when it is restored", path, st.st_uid);
	else
		ckpt_err_set(err, EPERM, "%s: others may write to it (mode %o), and so have it run "
			     "anything when it is restored", path, st.st_mode & 07777);
	ckpt_err_hint(err, "if nobody did: chown it to yourself, and chmod go-w");
	return -EPERM;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

DIR *store_listing(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;

	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir)
		close(fd);
	return dir;
}

struct dirent *store_next(DIR *dir, int *ret)
{
	struct dirent *entry;

	errno = 0;
	entry = readdir(dir);
	if (!entry)
		*ret = -errno;
	return entry;
}

int store_scan(int jobfd, struct job_scan *ret_scan)
{
	struct job_scan scan = { { 0 }, { 0 } };
	struct dirent *entry;
	DIR *dir = store_listing(jobfd);
	int ret = 0;

	if (!dir)
		return -errno;
	while (!ret && (entry = store_next(dir, &ret))) {
		uint64_t n;

		n = store_file_generation(entry->d_name);
		if (n)
			ret = buf_append(&scan.generations, &n, sizeof(n));
		n = parse_file_name(entry->d_name, TEMP_PREFIX, store_temp_name);
		if (n)
			ret = buf_append(&scan.temporaries, &n, sizeof(n));
	}
	closedir(dir);
	if (ret) {
		store_scan_free(&scan);
		return ret;
	}
	if (scan.generations.len)
		qsort(scan.generations.data, store_scan_count(&scan), sizeof(uint64_t),
		      compare_u64);
	*ret_scan = scan;
	return 0;
}

void store_scan_free(struct job_scan *scan)
{
	buf_free(&scan->generations);
	buf_free(&scan->temporaries);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

int store_job_names(const struct store *s, struct buf *ret_names)
{
	char name[STORE_NAME_MAX + 1];
	struct buf names = { 0 };
	struct dirent *entry;
	DIR *dir = store_listing(s->fd);
	int ret = 0;

	if (!dir)
		return -errno;
	while (!ret && (entry = store_next(dir, &ret))) {
		if (!store_name_valid(entry->d_name))
			continue;
		memset(name, 0, sizeof(name));
		memcpy(name, entry->d_name, strlen(entry->d_name));
		ret = buf_append(&names, name, sizeof(name));
	}
	closedir(dir);
	if (ret) {
		buf_free(&names);
		return ret;
	}
	if (names.len)
		qsort(names.data, names.len / sizeof(name), sizeof(name), compare_names);
	*ret_names = names;
	return 0;
}

int store_open_file(int dirfd, const char *name)
{
	/* O_NONBLOCK: somebody may have put a FIFO there */
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), ret = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		ret = -errno;
	else if (!S_ISREG(st.st_mode))
		ret = -EINVAL;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int store_open_generation(int jobfd, uint64_t generation)
{
	char file[STORE_FILE_MAX];

	store_file_name(generation, file);
	return store_open_file(jobfd, file);
}

bool store_same_file(int fd, int dirfd, const char *name)
{
	struct stat open_file, named;

	return !fstat(fd, &open_file) && !fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) &&
	       open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

bool store_ref_is_path(const char *ref)
{
	return strchr(ref, '/');
}

static int bad_ref(const char *ref, struct ckpt_err *err)
{
	ckpt_err_set(err, EINVAL, "'%s': not a job, JOB@GENERATION or path", ref);
	ckpt_err_hint(err, "a job's name has up to %d of A-Z a-z 0-9 . _ - and no . or - in front; a path has a /",
		      STORE_NAME_MAX);
	return -EINVAL;
}

int store_ref_parse(const char *ref, struct ckpt_err *err, struct store_ref *ret_ref)
{
	const char *at = strchr(ref, '@'), *end;
	size_t len = at ? (size_t)(at - ref) : strlen(ref);

	memset(ret_ref, 0, sizeof(*ret_ref));
	if (len > STORE_NAME_MAX)
		return bad_ref(ref, err);
	memcpy(ret_ref->name, ref, len);
	if (!store_name_valid(ret_ref->name))
		return bad_ref(ref, err);
	if (!at)
		return 0;
	ret_ref->generation = parse_number(at + 1, &end);
	if (!ret_ref->generation || *end)
		return bad_ref(ref, err);
	return 0;
}

static int resolve_path(const char *path, struct ckpt_err *err, int *ret_fd,
			struct store_ref *ref)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return ckpt_err_sys(err, errno, "%s: cannot open the image", path);
	memset(ref, 0, sizeof(*ref));
	snprintf(ref->label, sizeof(ref->label), "%s", path);
	snprintf(ref->path, sizeof(ref->path), "%s", path);
	*ret_fd = fd;
	return 0;
}

static int resolve_newest(const struct store *s, int jobfd, struct ckpt_err *err,
			  struct store_ref *ref)
{
	struct job_scan scan;
	int ret = store_scan(jobfd, &scan);

	if (ret)
		return store_fail(s, err, ret, "cannot list the job", ref->name);
	if (store_scan_count(&scan))
		ref->generation = store_scan_generation(&scan, store_scan_count(&scan) - 1);
	else
		ret = ckpt_err_set(err, ENOENT, "%s: no generation of it in store %s", ref->name,
				   s->path);
	store_scan_free(&scan);
	return ret;
}

static int resolve_job(const struct store *s, struct ckpt_err *err, int *ret_fd,
		       struct store_ref *ref)
{
	char file[STORE_FILE_MAX];
	int jobfd, fd, ret = 0;

	jobfd = store_open_job(s, ref->name);
	if (jobfd == -ENOENT)
		return ckpt_err_set(err, ENOENT, "%s: no such job in store %s", ref->name, s->path);
	if (jobfd < 0)
		return ckpt_err_sys(err, jobfd, "%s/%s: cannot open the job", s->path, ref->name);
	if (!ref->generation)
		ret = resolve_newest(s, jobfd, err, ref);
	if (ret)
		goto out;
	fd = store_open_generation(jobfd, ref->generation);
	if (fd < 0) {
		ret = ckpt_err_sys(err, fd, "%s@%llu: cannot open the image in store %s", ref->name,
				   (unsigned long long)ref->generation, s->path);
		goto out;
	}
	store_file_name(ref->generation, file);
	snprintf(ref->label, sizeof(ref->label), "%s@%llu", ref->name,
		 (unsigned long long)ref->generation);
	snprintf(ref->path, sizeof(ref->path), "%s/%s/%s", s->path, ref->name, file);
	*ret_fd = fd;
out:
	close(jobfd);
	return ret;
}

int store_resolve(struct store *s, const char *ref, struct ckpt_err *err, int *ret_fd,
		  struct store_ref *ret_ref)
{
	struct store_ref parsed;
	int ret;

	if (!ret_ref)
		ret_ref = &parsed;
	if (store_ref_is_path(ref))
		return resolve_path(ref, err, ret_fd, ret_ref);
	ret = store_ref_parse(ref, err, ret_ref);
	return ret ? ret : resolve_job(s, err, ret_fd, ret_ref);
}

int store_hold(struct store *s, const struct store_ref *ref, int fd)
{
	char file[STORE_FILE_MAX];
	int jobfd, ret = store_lock(fd, LOCK_SH);

	if (ret)
		return ret == -EWOULDBLOCK ? ret : 0;
	jobfd = store_open_job(s, ref->name);
	if (jobfd < 0)
		return jobfd;
	store_file_name(ref->generation, file);
	/* Who removes it may have come between the opening and the lock. */
	if (!store_same_file(fd, jobfd, file))
		ret = -ENOENT;
	close(jobfd);
	return ret;
}

/* Directory of @path, as a prefix of it: "" or "DIR/". */
static int dir_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (int)(slash - path) + 1 : 0;
}

static int open_beside(const char *path, int dir_len, uint64_t generation)
{
	char dir[STORE_PATH_MAX];
	int dirfd, fd;

	snprintf(dir, sizeof(dir), "%.*s.", dir_len, path);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	fd = store_open_generation(dirfd, generation);
	close(dirfd);
	return fd;
}

static int open_in_job(const struct store *s, const char *name, uint64_t generation)
{
	int fd, jobfd = store_open_job(s, name);

	if (jobfd < 0)
		return jobfd;
	fd = store_open_generation(jobfd, generation);
	close(jobfd);
	return fd;
}

int store_resolve_sibling(struct store *s, const struct store_ref *of, uint64_t generation,
			  bool to_run, struct ckpt_err *err, int *ret_fd,
			  struct store_ref *ret_ref)
{
	int dir_len = dir_length(of->path), fd, ret = 0;
	char file[STORE_FILE_MAX];

	store_file_name(generation, file);
	memset(ret_ref, 0, sizeof(*ret_ref));
	memcpy(ret_ref->name, of->name, sizeof(ret_ref->name));
	ret_ref->generation = of->name[0] ? generation : 0;
	if (snprintf(ret_ref->path, sizeof(ret_ref->path), "%.*s%s", dir_len, of->path, file) >=
	    (int)sizeof(ret_ref->path))
		return ckpt_err_set(err, ENAMETOOLONG, "%.*s", 200, of->path);
	if (of->name[0])
		snprintf(ret_ref->label, sizeof(ret_ref->label), "%s@%llu", of->name,
			 (unsigned long long)generation);
	else
		memcpy(ret_ref->label, ret_ref->path, sizeof(ret_ref->label));
	fd = of->name[0] ? open_in_job(s, of->name, generation) :
	     open_beside(of->path, dir_len, generation);
	if (fd < 0)
		return ckpt_err_sys(err, fd, "%s: cannot open the image", ret_ref->label);
	if (to_run)
		ret = store_check_ours(fd, ret_ref->path, err);
	if (ret)
		close(fd);
	else
		*ret_fd = fd;
	return ret;
}

static int check_job(const struct store *s, const struct store_ref *ref, struct ckpt_err *err)
{
	char path[STORE_PATH_MAX];
	int ret, jobfd;

	ret = store_check_ours(s->fd, s->path, err);
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s/%s", s->path, ref->name);
	jobfd = store_open_job(s, ref->name);
	if (jobfd < 0)
		return ckpt_err_sys(err, jobfd, "%s: cannot open the job", path);
	ret = store_check_ours(jobfd, path, err);
	close(jobfd);
	return ret;
}

int store_resolve_to_run(struct store *s, const char *ref, struct ckpt_err *err, int *ret_fd,
			 struct store_ref *ret_ref)
{
	int fd, ret;

	ret = store_resolve(s, ref, err, &fd, ret_ref);
	if (ret)
		return ret;
	if (!store_ref_is_path(ref))
		ret = check_job(s, ret_ref, err);
	if (!ret)
		ret = store_check_ours(fd, ret_ref->path, err);
	if (ret)
		close(fd);
	else
		*ret_fd = fd;
	return ret;
}
