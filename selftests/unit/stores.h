/* SPDX-License-Identifier: GPL-2.0-only */
/* stores.h - stores for tests, each in a directory of its own that goes with the test. */
#ifndef UNIT_STORES_H
#define UNIT_STORES_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>

#include "images.h"
#include "store.h"

static char scratch[64];
static pid_t scratch_owner;

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	chmod(path, 0700);
	return remove(path);
}

static inline void remove_tree(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void leave_scratch(void)
{
	if (getpid() == scratch_owner && !chdir("/"))
		remove_tree(scratch);
}

/* A new directory becomes the working directory; stores are "s" in it. */
static inline void enter_scratch(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(scratch, sizeof(scratch), "%.40s/ckpt-unit-XXXXXX", tmp ? tmp : "/tmp");
	REQUIRE(mkdtemp(scratch) && !chdir(scratch));
	scratch_owner = getpid();
	atexit(leave_scratch);
}

static inline struct store *open_store(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	REQUIRE_OK(store_open("s", true, &err, &s), err);
	return s;
}

/* Write one generation with @pages pages of noise; 0 or -errno. */
static inline int try_put(struct store *s, const char *name, size_t pages,
			  const struct image_info *parent, struct ckpt_err *err,
			  struct image_info *ret_info)
{
	struct image_params params = {
		.job = name, .page_size = PAGE, .frame_size = PAGE * 4, .parent = parent,
	};
	struct image_writer *iw = NULL;
	unsigned char page[PAGE];
	struct store_writer *w;
	int ret;

	ret = store_writer_open(s, name, err, &w);
	if (ret)
		return ret;
	params.generation = store_writer_generation(w);
	params.label = store_writer_label(w);
	ret = image_writer_open(store_writer_fd(w), &params, err, &iw);
	if (!ret)
		ret = image_writer_begin_pages(iw, 1, err);
	for (size_t i = 0; !ret && i < pages; i++) {
		fill_page(page, PAGE, FILL_NOISE, i);
		ret = image_writer_data(iw, i * PAGE, 1, page, err);
	}
	if (!ret)
		ret = image_writer_end_pages(iw, err, NULL);
	if (!ret)
		ret = image_writer_finish(iw, err, ret_info);
	if (!ret)
		ret = store_writer_commit(w, err);
	image_writer_close(iw);
	store_writer_close(w);
	return ret;
}

static inline void put(struct store *s, const char *name, const struct image_info *parent,
		       struct image_info *ret_info)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	REQUIRE_OK(try_put(s, name, 1, parent, &err, ret_info), err);
}

#define ENTRIES_MAX	4096

struct entries {
	size_t		count;
	size_t		broken;		/* listed with an error */
	struct {
		char		name[STORE_NAME_MAX + 1];
		uint64_t	generation;
	} at[ENTRIES_MAX];
};

static inline int collect(const struct store_entry *e, void *arg)
{
	struct entries *all = arg;

	REQUIRE(all->count < ENTRIES_MAX && !e->info == !!e->error);
	REQUIRE(!e->error || e->error->text[0]);
	strcpy(all->at[all->count].name, e->name);
	all->at[all->count].generation = e->generation;
	all->count++;
	all->broken += !e->info;
	if (e->info)
		REQUIRE_EQ(e->info->generation, e->generation);
	return 0;
}

static inline struct entries *list(struct store *s, const char *name)
{
	static struct entries all;
	struct ckpt_err err = CKPT_ERR_INIT;
	int ret;

	memset(&all, 0, sizeof(all));
	ret = store_list(s, name, collect, &all, &err);
	if (ret != -ENOENT)
		REQUIRE_OK(ret, err);
	return &all;
}

/* Open image @ref of the store; *ret_fd to be closed after it. */
static inline struct image *open_ref(struct store *s, const char *ref, int *ret_fd)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image *img;

	REQUIRE_OK(store_resolve(s, ref, &err, ret_fd, NULL), err);
	REQUIRE_OK(image_open(*ret_fd, ref, &err, &img), err);
	return img;
}

static inline struct image *open_entry(struct store *s, const struct entries *all, size_t i, int *ret_fd)
{
	char ref[128];

	snprintf(ref, sizeof(ref), "%s@%llu", all->at[i].name, (unsigned long long)all->at[i].generation);
	return open_ref(s, ref, ret_fd);
}

/* Every generation that is listed is whole, to the last byte. */
static inline size_t verify_all(struct store *s)
{
	struct entries *all = list(s, NULL);

	REQUIRE_EQ(all->broken, 0);
	for (size_t i = 0; i < all->count; i++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		int fd;
		struct image *img = open_entry(s, all, i, &fd);

		REQUIRE_OK(image_verify(img, NULL, NULL, &err, NULL), err);
		image_close(img);
		close(fd);
	}
	return all->count;
}

/*
 * Entries of directory @path whose names begin with @prefix, but for the account of what was done and the
 * catalogue; -1 if there is no directory.
 */
static inline int count_entries(const char *path, const char *prefix)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	if (!d)
		return -1;
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		     strcmp(e->d_name, ".audit") && strcmp(e->d_name, ".catalogue") &&
		     !strncmp(e->d_name, prefix, strlen(prefix));
	closedir(d);
	return n;
}

#endif
