/* SPDX-License-Identifier: GPL-2.0-only */
/* dedups.h - generations that share pages, and what has to be true of their store. */
#ifndef UNIT_DEDUPS_H
#define UNIT_DEDUPS_H

#include "chain.h"
#include "store-dedup.h"
#include "stores.h"

/* A process of @pages pages: page i is noise of seed @base + i, but for those that are its own. */
struct rank {
	const char	*job;
	uint64_t	base;
	size_t		pages;
	size_t		own_every;	/* one page of so many; 0: none */
	uint64_t	own;		/* their seeds begin here */
};

static inline void rank_page(const struct rank *r, size_t i, unsigned char *page)
{
	bool own = r->own_every && i % r->own_every == 0;

	fill_page(page, PAGE, FILL_NOISE, own ? r->own + i : r->base + i);
}

static inline int write_rank(struct store *s, const struct rank *r, struct dedup *d,
			     struct image_writer *w, struct ckpt_err *err,
			     struct image_pages_stats *ret_stats)
{
	unsigned char page[PAGE];
	int ret = image_writer_begin_pages(w, 1, err);

	for (size_t i = 0; !ret && i < r->pages; i++) {
		rank_page(r, i, page);
		ret = image_writer_data(w, i * PAGE, 1, page, err);
	}
	if (!ret)
		ret = image_writer_end_pages(w, err, ret_stats);
	return ret ? ret : dedup_finish(d, w, err);
}

/* One generation of it; 0 or -errno. */
static inline int try_put_rank(struct store *s, const struct rank *r, const struct image_info *parent,
			       struct ckpt_err *err, struct image_pages_stats *ret_stats)
{
	struct image_params params = { .job = r->job, .page_size = PAGE, .parent = parent };
	struct dedup_params dp = { .job = r->job, .page_size = PAGE, .pages = r->pages };
	struct image_writer *iw = NULL;
	struct dedup *d = NULL;
	struct store_writer *w;
	int ret = store_writer_open(s, r->job, err, &w);

	if (ret)
		return ret;
	params.generation = dp.generation = store_writer_generation(w);
	params.label = store_writer_label(w);
	ret = dedup_open(s, &dp, err, &d);
	if (!ret) {
		params.share = dedup_share(d);
		ret = image_writer_open(store_writer_fd(w), &params, err, &iw);
	}
	if (!ret) {
		dedup_begin(d, image_writer_id(iw));
		ret = write_rank(s, r, d, iw, err, ret_stats);
	}
	if (!ret)
		ret = image_writer_finish(iw, err, NULL);
	if (!ret)
		ret = store_writer_commit(w, err);
	image_writer_close(iw);
	dedup_close(d);
	store_writer_close(w);
	return ret;
}

static inline struct image_pages_stats put_rank(struct store *s, const struct rank *r)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_pages_stats stats;

	REQUIRE_OK(try_put_rank(s, r, NULL, &err, &stats), err);
	return stats;
}

/* Restored, it is what it was. */
static inline void check_rank(struct store *s, const struct rank *r, const char *ref)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char want[PAGE];
	struct chain *c;
	size_t n = 0;

	REQUIRE_OK(chain_open(s, ref, true, &err, &c), err);
	REQUIRE_OK(image_verify(chain_image(c), NULL, NULL, &err, NULL), err);
	REQUIRE_OK(chain_load(c, 1, &err), err);
	for (size_t i = 0; i < chain_spans(c); i++) {
		struct chain_span span;
		const unsigned char *data;

		chain_get_span(c, i, &span);
		REQUIRE_EQ(span.kind, IMAGE_RUN_DATA);
		REQUIRE_OK(chain_borrow(c, i, &err, (const void **)&data), err);
		for (uint64_t k = 0; k < span.npages; k++, n++) {
			REQUIRE_EQ(span.addr / PAGE + k, n);
			rank_page(r, n, want);
			REQUIRE(!memcmp(data + k * PAGE, want, PAGE));
			REQUIRE(chain_same_page(c, n * PAGE, want));
			REQUIRE_OK(chain_borrow(c, i, &err, (const void **)&data), err);
		}
	}
	REQUIRE_EQ(n, r->pages);
	chain_close(c);
}

/* How many images the generations of the store have pages in, each once. */
static inline size_t sources_needed(struct store *s)
{
	struct entries *all = list(s, NULL);
	uint8_t seen[64][IMAGE_HASH_SIZE];
	size_t n = 0;

	for (size_t i = 0; i < all->count; i++) {
		struct image_source source;
		int fd;
		struct image *img = open_entry(s, all, i, &fd);

		for (uint32_t k = 0; k < image_nr_sources(img); k++) {
			size_t j = 0;

			image_get_source(img, k, &source);
			while (j < n && memcmp(seen[j], source.digest, IMAGE_HASH_SIZE))
				j++;
			REQUIRE(j < 64);
			memcpy(seen[j], source.digest, IMAGE_HASH_SIZE);
			n += j == n;
		}
		image_close(img);
		close(fd);
	}
	return n;
}

/* Of what is shared nothing is there that has no other name and that nobody needs. */
static inline void check_no_garbage(struct store *s)
{
	struct dirent *e;
	size_t alone = 0;
	DIR *dir = opendir("s/.shared");

	while (dir && (e = readdir(dir))) {
		char path[128];
		struct stat st;

		snprintf(path, sizeof(path), "s/.shared/%.100s", e->d_name);
		REQUIRE(!lstat(path, &st));
		alone += S_ISREG(st.st_mode) && st.st_nlink == 1;
	}
	if (dir)
		closedir(dir);
	REQUIRE(alone <= sources_needed(s));
}

/* rm, as ckptctl does it. */
static inline int try_rm(struct store *s, const char *job, struct ckpt_err *err,
			 struct store_removed *ret_removed)
{
	struct store_removed removed = { 0 };
	int ret = store_remove(s, job, 0, err, &removed);

	if (!ret)
		ret = store_sweep(s, err, &removed);
	if (ret_removed)
		*ret_removed = removed;
	return ret;
}

#endif
