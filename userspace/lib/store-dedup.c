// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store-dedup.c - see store-dedup.h: finds pages in other images of the store.
 *
 *  1. dedup_open(): the index (dedup-index.c) tells where a page may be.
 *  2. For each page: a hint names an image, which is opened when it is the first of it, checked as if it were
 *     to be restored, and locked, LOCK_SH, so that nobody removes it.  The page is read there, past
 *     its checksum, and compared byte for byte.  With the first page that is found the image gets its name
 *     in STORE/.shared (store-shared.c).  Any doubt, and any failure, means: not found, written again.
 *  3. dedup_finish(): those names are made durable; the SOURCES section names the images.
 *  4. The image is committed.  dedup_close() lets go of the locks.
 *
 * Sources are found by job and generation, or, when that one was removed and others hold it, in .shared
 * by identity.  Encrypted images are none: their pages are nobody else's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dedup-index.h"
#include "store-dedup.h"
#include "store-priv.h"
#include "util.h"

#define LINK_TRIES	3

/* A frame is read for every four pages found, and so many before that is looked at. */
#define PAGES_A_FRAME	4
#define FRAMES_FREE	256

/* A section of another image. */
struct source {
	uint32_t		hint;		/* image, as hints name it */
	uint32_t		section;
	int			fd;		/* locked */
	int			link_fd;	/* of another file with its name in .shared, locked; or -1 */
	struct image		*image;
	struct image_pages	*pages;
	char			job[STORE_NAME_MAX + 1];
	uint64_t		generation;	/* 0: it is in .shared alone */
	uint32_t		frame;		/* the one read last; or none yet */
	bool			used;
	uint32_t		number;		/* if it is: in SOURCES */
};

struct dedup {
	struct store		*store;
	struct dedup_params	params;
	char			job[STORE_NAME_MAX + 1];
	struct dedup_index	*index;
	struct image_share	share;
	uint32_t		own;		/* its image, as hints name it; 0: none */
	uint8_t			digest[IMAGE_HASH_SIZE];	/* of the page last asked for */
	struct source		sources[IMAGE_SOURCES_MAX];
	uint32_t		nr_sources;
	uint32_t		nr_used;
	uint8_t			id[IMAGE_ID_SIZE];	/* of the image that is written */
	uint64_t		frames_read;
	uint64_t		pages_found;
	uint8_t			bad[DEDUP_IMAGES_MAX / 8 + 1];	/* images that cannot be sources */
};

/* -------------------------------------------------------------------------------- sources */

static bool is_bad(const struct dedup *d, uint32_t hint)
{
	return hint > DEDUP_IMAGES_MAX || d->bad[hint / 8] & 1 << hint % 8;
}

static void set_bad(struct dedup *d, uint32_t hint)
{
	d->bad[hint / 8] |= 1 << hint % 8;
}

static void source_close(struct source *s)
{
	image_pages_close(s->pages);
	image_close(s->image);
	if (s->fd >= 0) {
		posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);	/* the job's are worth more */
		close(s->fd);
	}
	if (s->link_fd >= 0)
		close(s->link_fd);
}

/* Lock @fd, which has that name in @dirfd, and see that nobody took it away before. */
static int hold(int fd, int dirfd, const char *name)
{
	int ret = store_lock(fd, LOCK_SH);

	if (!ret && !store_same_file(fd, dirfd, name))
		ret = -ENOENT;
	return ret ? ret : store_check_ours(fd, name, NULL);
}

static int open_generation(const struct dedup *d, const struct dedup_image *image, struct source *s)
{
	char file[STORE_FILE_MAX];
	int ret, jobfd = store_open_job(d->store, image->job);

	if (jobfd < 0)
		return jobfd;
	ret = store_check_ours(jobfd, image->job, NULL);
	if (!ret) {
		s->fd = store_open_generation(jobfd, image->generation);
		ret = s->fd < 0 ? s->fd : 0;
	}
	store_file_name(image->generation, file);
	if (!ret)
		ret = hold(s->fd, jobfd, file);
	close(jobfd);
	s->generation = image->generation;
	return ret;
}

/* Whether @img is what has name @name in .shared. */
static bool is_named(const struct image *img, const char *name)
{
	const struct image_info *info = image_get_info(img);
	char right[STORE_SHARED_MAX];

	store_shared_name(info->id, info->digest, right);
	return !strcmp(right, name);
}

/* Open @name of .shared, locked, an image of just that name: *ret_fd and *ret_image. */
static int open_shared(int dirfd, const char *name, int *ret_fd, struct image **ret_image)
{
	int fd, ret = store_check_ours(dirfd, name, NULL);

	if (ret)
		return ret;
	fd = store_open_file(dirfd, name);
	if (fd < 0)
		return fd;
	ret = hold(fd, dirfd, name);
	if (!ret)
		ret = image_open(fd, name, NULL, ret_image);
	if (!ret && !is_named(*ret_image, name)) {
		image_close(*ret_image);
		ret = -ESTALE;
	}
	if (ret)
		close(fd);
	else
		*ret_fd = fd;
	return ret;
}

static int find_shared(const struct dedup *d, const struct dedup_image *image, struct source *s)
{
	static const uint8_t none[IMAGE_HASH_SIZE];
	int ret = -ENOENT, dirfd = store_shared_dir(d->store, false);
	char name[STORE_SHARED_MAX];
	struct dirent *entry;
	DIR *dir;

	if (dirfd < 0)
		return dirfd;
	store_shared_name(image->id, none, name);
	dir = store_listing(dirfd);
	while (dir && ret && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, name, 2 * IMAGE_ID_SIZE + 1))
			ret = open_shared(dirfd, entry->d_name, &s->fd, &s->image);
	s->generation = 0;
	if (dir)
		closedir(dir);
	close(dirfd);
	return ret;
}

static bool is_usable(const struct dedup *d, const struct dedup_image *image, const struct image *img)
{
	const struct image_info *info = image_get_info(img);

	return !memcmp(info->id, image->id, sizeof(info->id)) &&
	       info->page_size == d->params.page_size &&
	       !(info->incompat & ~(IMAGE_INCOMPAT_DELTA | IMAGE_INCOMPAT_SHARED));
}

/* The image @how leads to, if it is that one. */
static int open_image(const struct dedup *d, const struct dedup_image *image, struct source *s,
		      int (*how)(const struct dedup *d, const struct dedup_image *image,
				 struct source *s))
{
	int ret = how(d, image, s);

	if (!ret && !s->image)
		ret = image_open(s->fd, image->job, NULL, &s->image);
	if (!ret && !is_usable(d, image, s->image))
		ret = -ESTALE;
	if (!ret)
		return 0;
	image_close(s->image);
	s->image = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	return ret;
}

static int source_open(const struct dedup *d, const struct dedup_hint *hint, struct source *s)
{
	struct dedup_image image;
	int ret = dedup_index_image(d->index, hint->image - 1, &image);

	*s = (struct source){
		.hint = hint->image, .section = hint->section, .fd = -1, .link_fd = -1,
		.frame = UINT32_MAX,
	};
	if (ret)
		return ret;
	if (!memcmp(image.id, d->id, sizeof(d->id)) ||
	    (d->params.others && !strcmp(image.job, d->job)))
		return -EINVAL;
	strcpy(s->job, image.job);
	ret = open_image(d, &image, s, open_generation);
	if (ret)
		ret = open_image(d, &image, s, find_shared);
	if (!ret && hint->section >= image_get_info(s->image)->sections)
		ret = -EINVAL;
	if (!ret)
		ret = image_pages_open(s->image, hint->section, NULL, &s->pages);
	if (!ret)
		image_pages_keep_one(s->pages);
	return ret;
}

/* The source a hint means; NULL: it is none. */
static struct source *get_source(struct dedup *d, const struct dedup_hint *hint)
{
	struct source *s;

	if (is_bad(d, hint->image))
		return NULL;
	for (uint32_t i = 0; i < d->nr_sources; i++)
		if (d->sources[i].hint == hint->image && d->sources[i].section == hint->section)
			return &d->sources[i];
	if (d->nr_sources == IMAGE_SOURCES_MAX)
		return NULL;
	s = &d->sources[d->nr_sources];
	if (!source_open(d, hint, s)) {
		d->nr_sources++;
		return s;
	}
	source_close(s);
	set_bad(d, hint->image);
	return NULL;
}

/* ---------------------------------------------------------------------------------- names */

/* Its second name; what has that name already, and is the same image, is locked too. */
static int link_once(const struct dedup *d, struct source *s, int dirfd, const char *name)
{
	char file[STORE_FILE_MAX];
	struct image *same;
	int ret, jobfd = store_open_job(d->store, s->job);

	if (jobfd < 0)
		return jobfd;
	store_file_name(s->generation, file);
	/* locked, so the file's name is still its own; ENOENT: who swept removed the directory */
	ret = linkat(jobfd, file, dirfd, name, 0) ? -errno : 0;
	close(jobfd);
	if (ret == -ENOENT)
		return -EAGAIN;
	if (ret != -EEXIST || store_same_file(s->fd, dirfd, name))
		return ret == -EEXIST ? 0 : ret;
	ret = open_shared(dirfd, name, &s->link_fd, &same);
	if (!ret)
		image_close(same);
	return ret == -ENOENT || ret == -EWOULDBLOCK ? -EAGAIN : ret;
}

/* Not 0: it cannot be a source. */
static int link_source(const struct dedup *d, struct source *s)
{
	const struct image_info *info = image_get_info(s->image);
	char name[STORE_SHARED_MAX];
	int ret = -EAGAIN;

	if (!s->generation)
		return 0;		/* has it, and is locked */
	store_shared_name(info->id, info->digest, name);
	for (int i = 0; i < LINK_TRIES && ret == -EAGAIN; i++) {
		int dirfd = store_shared_dir(d->store, true);

		if (dirfd < 0)
			return dirfd;
		ret = store_check_ours(dirfd, name, NULL);
		if (!ret)
			ret = link_once(d, s, dirfd, name);
		close(dirfd);
	}
	return ret;
}

/* ---------------------------------------------------------------------------------- pages */

/*
 * Where pages lie in another order than in the source each may cost a frame to be read, which takes longer
 * than to write them; then it is not gone on with.
 */
static bool is_worth_it(struct dedup *d, struct source *s, uint32_t frame)
{
	if (s->frame == frame)
		return true;
	if (d->frames_read > FRAMES_FREE + d->pages_found / PAGES_A_FRAME)
		return false;
	d->frames_read++;
	s->frame = frame;
	return true;
}

static bool is_there(struct dedup *d, struct source *s, const struct dedup_hint *hint,
		     const void *page)
{
	const void *data;

	return is_worth_it(d, s, hint->frame) &&
	       !image_pages_at(s->pages, hint->frame, hint->page, NULL, &data) &&
	       !memcmp(data, page, d->params.page_size);
}

static bool find(void *arg, const void *page, struct image_place *ret_place)
{
	struct dedup_hint hints[DEDUP_BUCKET];
	struct dedup *d = arg;

	image_page_digest(page, d->params.page_size, IMAGE_SEED_SHARED, d->digest);
	dedup_index_find(d->index, d->digest, hints);
	for (unsigned int i = 0; i < DEDUP_BUCKET; i++) {
		struct source *s = hints[i].image ? get_source(d, &hints[i]) : NULL;

		if (!s || !is_there(d, s, &hints[i], page))
			continue;
		if (!s->used && link_source(d, s)) {
			set_bad(d, hints[i].image);
			continue;
		}
		if (!s->used) {
			s->used = true;
			s->number = d->nr_used++;
		}
		d->pages_found++;
		*ret_place = (struct image_place){ s->number, hints[i].frame, hints[i].page };
		return true;
	}
	return false;
}

static void kept(void *arg, uint32_t section, uint32_t frame, uint32_t page)
{
	struct dedup *d = arg;
	struct dedup_hint hint = {
		.image = d->own, .section = section, .frame = frame, .page = page,
	};

	if (!d->own)
		return;
	memcpy(hint.digest, d->digest, sizeof(hint.digest));
	dedup_index_add(d->index, &hint);
}

/* ----------------------------------------------------------------------------------- life */

int dedup_open(struct store *store, const struct dedup_params *params, struct ckpt_err *err,
	       struct dedup **ret_dedup)
{
	struct dedup *d = calloc(1, sizeof(*d));
	int ret;

	if (!d)
		return ckpt_err_sys(err, ENOMEM, "%s", params->job);
	d->store = store;
	d->params = *params;
	snprintf(d->job, sizeof(d->job), "%s", params->job);
	d->share = (struct image_share){ find, kept, d };
	ret = dedup_index_open(store, params->page_size, params->pages, &d->index);
	if (!ret) {
		*ret_dedup = d;
		return 0;
	}
	free(d);
	return store_fail(store, err, ret, "cannot use the index of pages, .dedup", NULL);
}

const struct image_share *dedup_share(const struct dedup *d)
{
	return &d->share;
}

void dedup_begin(struct dedup *d, const uint8_t id[IMAGE_ID_SIZE])
{
	struct dedup_image image = { .generation = d->params.generation };
	int n;

	strcpy(image.job, d->job);
	memcpy(image.id, id, sizeof(image.id));
	n = dedup_index_add_image(d->index, &image);
	d->own = n < 0 ? 0 : n + 1;
	memcpy(d->id, id, sizeof(d->id));
}

static void describe(const struct source *s, struct image_source_disk *disk)
{
	const struct image_info *info = image_get_info(s->image);

	*disk = (struct image_source_disk){
		.generation = info->generation, .section = s->section,
	};
	memcpy(disk->id, info->id, sizeof(disk->id));
	memcpy(disk->digest, info->digest, sizeof(disk->digest));
	memcpy(disk->job, s->job, strlen(s->job));
}

static int sync_names(const struct dedup *d)
{
	int ret, dirfd = store_shared_dir(d->store, false);

	if (dirfd < 0)
		return dirfd;
	ret = util_fsync_dir(dirfd);
	close(dirfd);
	return ret ? ret : util_fsync_dir(d->store->fd);
}

int dedup_finish(struct dedup *d, struct image_writer *w, struct ckpt_err *err)
{
	struct image_source_disk disk[IMAGE_SOURCES_MAX];
	int ret = d->nr_used ? sync_names(d) : 0;

	if (ret)
		return store_fail(d->store, err, ret, "cannot sync the directory", ".shared");
	for (uint32_t i = 0; i < d->nr_sources; i++)
		if (d->sources[i].used)
			describe(&d->sources[i], &disk[d->sources[i].number]);
	return image_writer_put(w, IMAGE_SOURCES, 0, 0, disk, d->nr_used * sizeof(disk[0]), err);
}

void dedup_close(struct dedup *d)
{
	if (!d)
		return;
	for (uint32_t i = 0; i < d->nr_sources; i++)
		source_close(&d->sources[i]);
	dedup_index_close(d->index);
	free(d);
}
