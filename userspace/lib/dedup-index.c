// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * dedup-index.c - see dedup-index.h: a table of digests in a file.
 *
 *	header			64 bytes
 *	4096			images, 128 bytes each, room for DEDUP_IMAGES_MAX
 *	BUCKETS_AT		buckets, a power of two, of DEDUP_BUCKET hints of 32 bytes each
 *
 * Everything in it is a hint.  Who follows one opens the image, holds it against the identity noted here,
 * and compares the page byte for byte; so neither a crash, nor a full disk, nor two writers at once, nor a
 * damaged or removed file can do more than have a page written again.  That is why nothing is synced, a
 * failed write is no failure, and a hint may take the place of another.
 *
 * Under an exclusive flock() of the file: numbers for images are given, and an index that has become too
 * small is put into a file twice the size (each bucket is split by one more bit of the digests), which is
 * renamed over it, locked already.  Who has the old one open goes on with it.  When no number is left a
 * new one is made.  Nobody waits for the lock for long: what holds it up may be stopped.
 *
 * What it is made of is in the images: those whose digests have seed IMAGE_SEED_SHARED have them behind
 * their frames, and a missing index is filled from there.
 */
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

#define INDEX_NAME	".dedup"
#define TEMP_PREFIX	INDEX_NAME "."
#define INDEX_MAGIC	"\x89" "CKPTIDX"
#define INDEX_VERSION	1

#define IMAGES_AT	4096u
#define BUCKETS_AT	(IMAGES_AT + DEDUP_IMAGES_MAX * sizeof(struct dedup_image))

/* 256 KiB to 512 MiB of buckets: half full with 16 MiB to 32 GiB in pages of 4 KiB. */
#define BUCKETS_MIN	(1ull << 9)
#define BUCKETS_MAX	(1ull << 20)

#define OPEN_TRIES	100
#define LOCK_TRIES	500
#define LOCK_NAP_NS	10000000
#define STEP		32u		/* buckets, when they are split */

struct index_header {
	uint8_t		magic[8];
	uint32_t	version;
	uint32_t	page_size;
	uint64_t	buckets;
	uint64_t	images;		/* given out */
	uint64_t	hints;		/* put in, about */
	uint8_t		reserved[24];
};

struct bucket {
	struct dedup_hint hints[DEDUP_BUCKET];
};

_Static_assert(sizeof(struct dedup_image) == 128, "size of dedup_image");
_Static_assert(sizeof(struct dedup_hint) == 32, "size of dedup_hint");
_Static_assert(sizeof(struct index_header) == 64, "size of index_header");

struct dedup_index {
	struct store		*store;
	int			fd;
	struct index_header	head;	/* as it was at the last look */
	uint64_t		added;
	unsigned int		victim;
};

static int read_header(int fd, uint32_t page_size, struct index_header *h)
{
	int ret = util_pread_full(fd, h, sizeof(*h), 0);

	if (ret)
		return ret;
	if (memcmp(h->magic, INDEX_MAGIC, sizeof(h->magic)) || h->version != INDEX_VERSION ||
	    h->page_size != page_size || h->buckets < BUCKETS_MIN || h->buckets > BUCKETS_MAX ||
	    h->buckets & (h->buckets - 1) || h->images > DEDUP_IMAGES_MAX)
		return -EINVAL;
	return 0;
}

static int write_header(int fd, const struct index_header *h)
{
	return pwrite(fd, h, sizeof(*h), 0) == sizeof(*h) ? 0 : -EIO;
}

static uint64_t bucket_of(const uint8_t digest[IMAGE_HASH_SIZE], uint64_t buckets)
{
	uint64_t n;

	memcpy(&n, digest, sizeof(n));
	return n & (buckets - 1);
}

static off_t bucket_at(uint64_t bucket)
{
	return BUCKETS_AT + bucket * sizeof(struct bucket);
}

/* -------------------------------------------------------------------------------- growing */

/* Part of @from's buckets, each into two of @to, which has twice as many. */
static int split(const struct dedup_index *x, int to, uint64_t first, uint64_t n)
{
	const uint64_t buckets = x->head.buckets;
	struct bucket from[STEP], low[STEP], high[STEP];
	size_t size = n * sizeof(struct bucket);

	memset(from, 0, sizeof(from));
	memset(low, 0, sizeof(low));
	memset(high, 0, sizeof(high));
	if (pread(x->fd, from, size, bucket_at(first)) < 0)
		return -errno;
	for (uint64_t i = 0; i < n; i++)
		for (unsigned int k = 0; k < DEDUP_BUCKET; k++) {
			const struct dedup_hint *h = &from[i].hints[k];

			if (h->image)
				(bucket_of(h->digest, 2 * buckets) & buckets ? high : low)[i].hints[k] = *h;
		}
	if (pwrite(to, low, size, bucket_at(first)) != (ssize_t)size ||
	    pwrite(to, high, size, bucket_at(first + buckets)) != (ssize_t)size)
		return -EIO;
	return 0;
}

static int copy_images(const struct dedup_index *x, int to)
{
	for (uint64_t i = 0; i < x->head.images; i++) {
		struct dedup_image image = { .generation = 0 };
		const off_t at = IMAGES_AT + i * sizeof(image);

		if (pread(x->fd, &image, sizeof(image), at) < 0 ||
		    pwrite(to, &image, sizeof(image), at) != sizeof(image))
			return -EIO;
	}
	return 0;
}

/*
 * A new file under a name of this process's own, locked; unlinked by the caller, if it is not renamed.  One
 * that can be locked belongs to nobody any more.
 */
static int open_temp(const struct store *s, char ret_name[STORE_FILE_MAX])
{
	int fd, ret;

	snprintf(ret_name, STORE_FILE_MAX, TEMP_PREFIX "%d", (int)getpid());
	unlinkat(s->fd, ret_name, 0);
	fd = openat(s->fd, ret_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ret = store_lock(fd, LOCK_EX);
	if (!ret && !store_same_file(fd, s->fd, ret_name))
		ret = -EBUSY;		/* a cleaner was quicker */
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static void clean_temp(const struct store *s, const char *name)
{
	int fd = openat(s->fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	if (!store_lock(fd, LOCK_EX) && store_same_file(fd, s->fd, name))
		unlinkat(s->fd, name, 0);
	close(fd);
}

void dedup_index_clean(const struct store *s)
{
	DIR *dir = store_listing(s->fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)))
			clean_temp(s, entry->d_name);
	if (dir)
		closedir(dir);
}

/* The new file takes the place of the index, unless @ret tells of a failure: then it goes. */
static int put_in_place(const struct dedup_index *x, const char *temp, int fd, int ret)
{
	if (!ret && renameat(x->store->fd, temp, x->store->fd, INDEX_NAME))
		ret = -errno;
	if (ret) {
		unlinkat(x->store->fd, temp, 0);
		close(fd);
	}
	return ret;
}

/* In its place, a file with twice the room; under its lock. */
static int grow(struct dedup_index *x)
{
	struct index_header h = x->head;
	char temp[STORE_FILE_MAX];
	int ret, fd = open_temp(x->store, temp);

	if (fd < 0)
		return fd;
	ret = copy_images(x, fd);
	for (uint64_t i = 0; !ret && i < h.buckets; i += STEP)
		ret = split(x, fd, i, STEP);
	h.buckets *= 2;
	if (!ret)
		ret = write_header(fd, &h);
	ret = put_in_place(x, temp, fd, ret);
	if (ret)
		return ret;
	close(x->fd);
	x->fd = fd;
	x->head = h;
	return 0;
}

static bool too_small(const struct dedup_index *x, uint64_t pages)
{
	return x->head.buckets < BUCKETS_MAX &&
	       x->head.hints + x->added + pages > x->head.buckets * DEDUP_BUCKET / 2;
}

/* For @pages more; when it cannot be it serves as it is. */
static void make_room(struct dedup_index *x, uint64_t pages)
{
	while (too_small(x, pages) && !grow(x))
		;
}

/* -------------------------------------------------------------------------------- filling */

static void add_digests(struct dedup_index *x, struct image_pages *pages, uint32_t image,
			uint32_t section)
{
	struct image_pages_stats stats;
	struct image_run run;
	uint64_t seed;

	image_pages_get_stats(pages, &stats);
	for (uint64_t i = 0; i < stats.runs; i++) {
		struct dedup_hint hint = { .image = image + 1, .section = section };

		image_pages_get_run(pages, i, &run);
		if (run.kind != IMAGE_RUN_DATA)
			continue;
		for (uint64_t k = 0; k < run.npages; k++) {
			hint.frame = run.frame;
			hint.page = run.page + (uint32_t)k;
			/* those that are shared themselves are found where they are: no source is open */
			if (image_pages_run_digest(pages, i, k, NULL, &seed, hint.digest))
				break;
			dedup_index_add(x, &hint);
		}
	}
}

static void add_sections(struct dedup_index *x, struct image *img, uint32_t number)
{
	for (uint32_t i = 0; i < image_get_info(img)->sections; i++) {
		struct image_pages_stats stats;
		struct image_pages *pages;
		struct image_section s;

		image_get_section(img, i, &s);
		if (!image_has_runs(s.kind) || image_pages_open(img, i, NULL, &pages))
			continue;
		image_pages_get_stats(pages, &stats);
		make_room(x, stats.data_pages);
		add_digests(x, pages, number, i);
		image_pages_close(pages);
	}
}

static int add_image_locked(struct dedup_index *x, const struct dedup_image *image)
{
	int ret = read_header(x->fd, x->head.page_size, &x->head);

	if (!ret && x->head.images == DEDUP_IMAGES_MAX)
		ret = -ENOSPC;
	if (!ret && pwrite(x->fd, image, sizeof(*image),
			   IMAGES_AT + x->head.images * sizeof(*image)) != sizeof(*image))
		ret = -EIO;
	if (!ret) {
		ret = x->head.images++;
		if (write_header(x->fd, &x->head))
			ret = -EIO;
	}
	return ret;
}

/* Of an image in @fd, which is closed, that was generation @generation of @job. */
static void add_image(struct dedup_index *x, int fd, const char *job, uint64_t generation)
{
	struct dedup_image image = { .generation = generation };
	const struct image_info *info;
	struct image *img;
	int n;

	if (image_open(fd, job ? job : "", NULL, &img)) {
		close(fd);
		return;
	}
	info = image_get_info(img);
	if (!job)
		job = info->job;
	if (image_info_has_digests(info) && info->digest_seed == IMAGE_SEED_SHARED &&
	    info->page_size == x->head.page_size && store_name_valid(job)) {
		strcpy(image.job, job);
		memcpy(image.id, info->id, sizeof(image.id));
		n = add_image_locked(x, &image);
		if (n >= 0)
			add_sections(x, img, n);
	}
	image_close(img);
	close(fd);
}

static void add_job(struct dedup_index *x, const char *name)
{
	int fd, jobfd = store_open_job(x->store, name);
	struct job_scan scan;

	if (jobfd < 0)
		return;
	if (!store_scan(jobfd, &scan)) {
		for (size_t i = 0; i < store_scan_count(&scan); i++) {
			fd = store_open_generation(jobfd, store_scan_generation(&scan, i));
			if (fd >= 0)
				add_image(x, fd, name, store_scan_generation(&scan, i));
		}
		store_scan_free(&scan);
	}
	close(jobfd);
}

/* What is there for others alone: its job may be gone, and is a name. */
static void add_shared(struct dedup_index *x)
{
	int fd, dirfd = store_shared_dir(x->store, false);
	DIR *dir = dirfd < 0 ? NULL : store_listing(dirfd);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		fd = store_open_file(dirfd, entry->d_name);
		if (fd >= 0 && !fstat(fd, &st) && st.st_nlink == 1)
			add_image(x, fd, NULL, 1);
		else if (fd >= 0)
			close(fd);	/* its job has it too */
	}
	if (dir)
		closedir(dir);
	if (dirfd >= 0)
		close(dirfd);
}

static void fill(struct dedup_index *x)
{
	struct buf names;

	if (!store_job_names(x->store, &names)) {
		for (size_t at = 0; at < names.len; at += STORE_NAME_MAX + 1)
			add_job(x, (char *)names.data + at);
		buf_free(&names);
	}
	add_shared(x);
}

static void note_added(struct dedup_index *x)
{
	if (!read_header(x->fd, x->head.page_size, &x->head)) {
		x->head.hints += x->added;
		x->added = 0;
		(void)!write_header(x->fd, &x->head);
	}
}

/* A new one in the place of what is there, filled from the images; who finds it waits for that. */
static int make(struct dedup_index *x, uint32_t page_size)
{
	struct index_header h = {
		.magic = INDEX_MAGIC, .version = INDEX_VERSION, .page_size = page_size,
		.buckets = BUCKETS_MIN,
	};
	char temp[STORE_FILE_MAX];
	int ret, fd = open_temp(x->store, temp);

	if (fd < 0)
		return fd;
	ret = write_header(fd, &h);
	if (!ret && ftruncate(fd, bucket_at(h.buckets)))
		ret = -errno;
	ret = put_in_place(x, temp, fd, ret);
	if (ret)
		return ret;
	x->fd = fd;
	x->head = h;
	fill(x);
	note_added(x);
	return -EAGAIN;
}

/* -------------------------------------------------------------------------------- opening */

/* Lock it, for a moment.  -EAGAIN: another has taken its place; -EBUSY: somebody keeps it. */
static int lock_index(const struct dedup_index *x)
{
	const struct timespec nap = { .tv_nsec = LOCK_NAP_NS };
	int ret = store_lock(x->fd, LOCK_EX);

	for (int i = 0; i < LOCK_TRIES && ret == -EWOULDBLOCK; i++) {
		nanosleep(&nap, NULL);
		ret = store_lock(x->fd, LOCK_EX);
	}
	if (ret)
		return ret == -EWOULDBLOCK ? -EBUSY : ret;
	return store_same_file(x->fd, x->store->fd, INDEX_NAME) ? 0 : -EAGAIN;
}

static void unlock_index(const struct dedup_index *x)
{
	flock(x->fd, LOCK_UN);
}

/* -EAGAIN: there is a new one now. */
static int open_once(struct dedup_index *x, uint32_t page_size, uint64_t pages)
{
	struct stat st;
	int ret;

	x->fd = openat(x->store->fd, INDEX_NAME, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (x->fd < 0)
		return errno == ENOENT || errno == ELOOP ? make(x, page_size) : -errno;
	if (fstat(x->fd, &st) || !S_ISREG(st.st_mode))
		return -EINVAL;
	ret = lock_index(x);
	if (ret)
		return ret;
	ret = read_header(x->fd, page_size, &x->head);
	if (!ret && x->head.images == DEDUP_IMAGES_MAX)
		ret = -ENOSPC;		/* most of them are long gone */
	if (!ret)
		make_room(x, pages);
	unlock_index(x);
	if (!ret)
		return 0;
	close(x->fd);
	x->fd = -1;
	return make(x, page_size);
}

int dedup_index_open(struct store *store, uint32_t page_size, uint64_t pages,
		     struct dedup_index **ret_index)
{
	struct dedup_index *x = calloc(1, sizeof(*x));
	int ret = -EAGAIN;

	if (!x)
		return -ENOMEM;
	x->store = store;
	x->fd = -1;
	for (int i = 0; i < OPEN_TRIES && ret == -EAGAIN; i++) {
		if (x->fd >= 0)
			close(x->fd);
		x->fd = -1;
		x->added = 0;
		ret = open_once(x, page_size, pages);
	}
	if (ret)
		dedup_index_close(x);
	else
		*ret_index = x;
	return ret;
}

void dedup_index_close(struct dedup_index *x)
{
	if (x->fd >= 0 && x->added && !lock_index(x))
		note_added(x);
	if (x->fd >= 0)
		close(x->fd);
	free(x);
}

/* ------------------------------------------------------------------------------------- use */

static int read_bucket(struct dedup_index *x, uint64_t n, struct bucket *b)
{
	return util_pread_full(x->fd, b, sizeof(*b), bucket_at(n));
}

void dedup_index_find(struct dedup_index *x, const uint8_t digest[IMAGE_HASH_SIZE],
		      struct dedup_hint ret_hints[DEDUP_BUCKET])
{
	struct bucket b;

	if (read_bucket(x, bucket_of(digest, x->head.buckets), &b))
		memset(&b, 0, sizeof(b));
	for (unsigned int i = 0; i < DEDUP_BUCKET; i++)
		if (memcmp(b.hints[i].digest, digest, IMAGE_HASH_SIZE))
			b.hints[i].image = 0;
	memcpy(ret_hints, b.hints, sizeof(b.hints));
}

void dedup_index_add(struct dedup_index *x, const struct dedup_hint *hint)
{
	const uint64_t n = bucket_of(hint->digest, x->head.buckets);
	unsigned int slot = x->victim++ % DEDUP_BUCKET;
	struct bucket b;

	if (read_bucket(x, n, &b))
		memset(&b, 0, sizeof(b));
	for (unsigned int i = DEDUP_BUCKET; i-- > 0;) {
		if (!b.hints[i].image)
			slot = i;
		if (b.hints[i].image && !memcmp(b.hints[i].digest, hint->digest, IMAGE_HASH_SIZE)) {
			slot = i;	/* where it was it was not found */
			break;
		}
	}
	x->added += !b.hints[slot].image;
	(void)!pwrite(x->fd, hint, sizeof(*hint), bucket_at(n) + slot * sizeof(*hint));
}

int dedup_index_add_image(struct dedup_index *x, const struct dedup_image *image)
{
	int ret = lock_index(x);

	if (ret && ret != -EAGAIN)
		return ret;
	ret = add_image_locked(x, image);
	unlock_index(x);
	return ret;
}

int dedup_index_image(struct dedup_index *x, uint32_t n, struct dedup_image *ret_image)
{
	int ret;

	if (n >= DEDUP_IMAGES_MAX)
		return -EINVAL;
	ret = util_pread_full(x->fd, ret_image, sizeof(*ret_image), IMAGES_AT + n * sizeof(*ret_image));
	if (ret)
		return ret;
	if (memchr(ret_image->job, '\0', sizeof(ret_image->job)) &&
	    store_name_valid(ret_image->job) && ret_image->generation &&
	    ret_image->generation <= STORE_GENERATION_MAX)
		return 0;
	return -EINVAL;
}
