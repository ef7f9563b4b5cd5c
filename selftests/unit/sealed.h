/* SPDX-License-Identifier: GPL-2.0-only */
/* sealed.h - encrypted images for tests: keys in a scratch directory, and images taken apart. */
#ifndef UNIT_SEALED_H
#define UNIT_SEALED_H

#include "image-priv.h"
#include "keyring.h"
#include "stores.h"

#define OWNER	4711u
#define STATE	"the state of a process, which nobody else is to read"
#define NFRAMES	6u

/* ---------------------------------------------------------------------------------- keys */

/* Key @name of this test: its secret in the file of that name. */
static inline void make_key(const char *name, char public[KEY_TEXT])
{
	struct ckpt_err err = CKPT_ERR_INIT;

	REQUIRE_OK(keyring_generate(name, &err, public), err);
}

static inline struct keyring *keyring_of(const char *file)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct keyring *k;

	REQUIRE_OK(keyring_new(&err, &k), err);
	REQUIRE_OK(keyring_add_file(k, file, &err), err);
	return k;
}

/* In a scratch directory: "alice" and "bob" can read, "eve" cannot. */
static inline struct recipients both(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to = { 0 };
	char text[KEY_TEXT];

	make_key("alice", text);
	REQUIRE_OK(recipients_parse(&to, text, &err), err);
	make_key("bob", text);
	REQUIRE_OK(recipients_parse(&to, text, &err), err);
	make_key("eve", text);
	return to;
}

/* -------------------------------------------------------------------------------- images */

/*
 * STATE and META; a section with frames of one page: of noise, which are stored raw, alike in size, and
 * two of the same text; a second one that holds the first page too; and two of zeros alone.
 */
static inline void write_pages(struct image_writer *w, uint64_t seed, struct ckpt_err *err)
{
	unsigned char page[PAGE];

	for (uint32_t owner = OWNER; owner < OWNER + 2; owner++) {
		REQUIRE_OK(image_writer_begin_pages(w, owner, err), *err);
		for (uint32_t i = 0; i < NFRAMES; i++) {
			if (i < 4)
				fill_page(page, PAGE, FILL_NOISE, seed + i);
			else
				fill_page(page, PAGE, FILL_TEXT, seed);
			REQUIRE_OK(image_writer_data(w, (2ull * i + 1) * PAGE, 1, page, err), *err);
		}
		REQUIRE_OK(image_writer_zero(w, 100 * PAGE, 3, err), *err);
		REQUIRE_OK(image_writer_end_pages(w, err, NULL), *err);
	}
	for (uint32_t i = 2; i < 4; i++) {
		REQUIRE_OK(image_writer_begin_pages(w, OWNER + i, err), *err);
		REQUIRE_OK(image_writer_zero(w, i * 100 * PAGE, 1, err), *err);
		REQUIRE_OK(image_writer_end_pages(w, err, NULL), *err);
	}
}

static inline void fill_image(struct image_writer *w, uint64_t seed, struct image_info *ret_info)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	REQUIRE_OK(image_writer_put(w, IMAGE_STATE, OWNER, 0, STATE, strlen(STATE), &err), err);
	write_pages(w, seed, &err);
	REQUIRE_OK(image_writer_put(w, IMAGE_META, 0, IMAGE_META_SNAP, SMALL_META, strlen(SMALL_META),
				    &err), err);
	REQUIRE_OK(image_writer_put(w, IMAGE_META, OWNER, 70000, "", 0, &err), err);
	REQUIRE_OK(image_writer_finish(w, &err, ret_info), err);
	image_writer_close(w);
}

static inline int new_image(const struct recipients *to, uint64_t seed)
{
	struct image_params params = {
		.job = "sealed", .generation = 7, .pid = OWNER, .comm = "x", .page_size = PAGE,
		.frame_size = PAGE, .to = to, .threads = 1 + rnd_below(3),
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct image_writer *w;

	REQUIRE(fd >= 0);
	REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
	fill_image(w, seed, NULL);
	return fd;
}

static inline struct image *opened(int fd)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image *img;

	REQUIRE_OK(image_open(fd, "sealed", &err, &img), err);
	return img;
}

static inline struct image *unlocked(int fd, const char *key)
{
	struct keyring *k = keyring_of(key);
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image *img = opened(fd);

	REQUIRE_OK(image_unlock(img, k, &err), err);
	keyring_free(k);
	return img;
}

static inline void check_content(struct image *img, uint64_t seed)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char want[PAGE], got[PAGE];
	struct image_pages *p;
	size_t size;
	void *data;

	REQUIRE_OK(image_load(img, image_find(img, IMAGE_STATE, OWNER, 0), &err, &data, &size), err);
	REQUIRE(size == strlen(STATE) && !memcmp(data, STATE, size + 1));
	free(data);
	REQUIRE_OK(image_load(img, image_find(img, IMAGE_META, OWNER, 70000), &err, &data, &size), err);
	REQUIRE_EQ(size, 0);
	free(data);
	for (uint32_t owner = OWNER; owner < OWNER + 2; owner++) {
		REQUIRE_OK(image_pages_open(img, image_find(img, IMAGE_PAGES, owner, 0), &err, &p), err);
		for (uint32_t i = 0; i < NFRAMES; i++) {
			fill_page(want, PAGE, i < 4 ? FILL_NOISE : FILL_TEXT, i < 4 ? seed + i : seed);
			REQUIRE_OK(image_pages_read(p, (2ull * i + 1) * PAGE, 1, got, &err), err);
			REQUIRE(!memcmp(want, got, PAGE));
		}
		image_pages_close(p);
	}
}

/* The next generation of "job", on @parent, encrypted to @to; either may be NULL. */
static inline void put_sealed(struct store *s, const struct image_info *parent, const struct recipients *to,
		       struct image_info *ret_info)
{
	struct image_params params = {
		.job = "job", .pid = OWNER, .page_size = PAGE, .frame_size = PAGE, .parent = parent,
		.to = to,
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_writer *w;
	struct image_writer *iw;

	REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
	params.generation = store_writer_generation(w);
	REQUIRE_OK(image_writer_open(store_writer_fd(w), &params, &err, &iw), err);
	fill_image(iw, params.generation, ret_info);
	REQUIRE_OK(store_writer_commit(w, &err), err);
	store_writer_close(w);
}

/* Sections of new_image(): KEYS, STATE, PAGES four times, META, META. */
enum { S_KEYS, S_STATE, S_PAGES, S_MORE, S_ZEROS, S_MORE_ZEROS, S_META };

/* ------------------------------------------------------------------------------- forging */

struct forged {
	struct bytes	file;
	struct image_header_disk *header;
	struct image_trailer_disk *trailer;
	struct image_section_disk *table;
	struct image	*genuine;	/* as it was, unlocked */
};

static inline void locate(struct forged *f)
{
	f->header = (void *)f->file.data;
	f->trailer = (void *)(f->file.data + f->file.size - sizeof(*f->trailer));
	f->table = (void *)(f->file.data + f->trailer->table_offset);
}

static inline struct forged take_apart(int fd)
{
	struct forged f = { .file = bytes_of_fd(fd), .genuine = unlocked(fd, "alice") };

	locate(&f);
	return f;
}

static inline void forget(struct forged *f)
{
	free(f->file.data);
	image_close(f->genuine);
}

static inline struct image_pages_footer_disk *footer(const struct forged *f, uint32_t section)
{
	const struct image_section_disk *s = &f->table[section];

	return (void *)(f->file.data + s->offset + s->size - sizeof(struct image_pages_footer_disk));
}

static inline unsigned char *section_at(const struct forged *f, uint32_t section)
{
	return f->file.data + f->table[section].offset;
}

static inline struct image_frame_disk *frame(const struct forged *f, uint32_t section, uint32_t i)
{
	return (struct image_frame_disk *)(section_at(f, section) +
					   footer(f, section)->frames_offset) + i;
}

static inline struct image_run_disk *run(const struct forged *f, uint32_t section, uint32_t i)
{
	return (struct image_run_disk *)(section_at(f, section) + footer(f, section)->runs_offset) + i;
}

#endif
