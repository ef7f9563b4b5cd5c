/* SPDX-License-Identifier: GPL-2.0-only */
/* images.h - images for tests, in memory files. */
#ifndef UNIT_IMAGES_H
#define UNIT_IMAGES_H

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "tap.h"

#define PAGE	4096u

enum fill {
	FILL_ZERO,
	FILL_TEXT,	/* compresses well */
	FILL_NOISE,	/* does not */
	FILL_ONE_BYTE,	/* all zero but for one byte */
	FILL_KINDS,
};

/* The same @seed gives the same bytes. */
static inline void fill_page(unsigned char *p, size_t size, enum fill kind, uint64_t seed)
{
	uint64_t saved = tap_random_state;

	memset(p, 0, size);
	tap_random_state = seed;
	if (kind == FILL_TEXT) {
		for (size_t i = 0; i < size; i++)
			p[i] = "abcdefgh"[(i / 16 + seed) % 8];
	} else if (kind == FILL_NOISE) {
		for (size_t i = 0; i < size; i += 8) {
			uint64_t r = rnd();

			memcpy(p + i, &r, 8);
		}
	} else if (kind == FILL_ONE_BYTE) {
		size_t at = rnd_below(size);

		p[at] = 1 + rnd_below(255);
	}
	tap_random_state = saved;
}

struct bytes {
	unsigned char	*data;
	size_t		size;
};

static inline struct bytes bytes_of_fd(int fd)
{
	struct bytes b;
	struct stat st;

	REQUIRE(!fstat(fd, &st));
	b.size = st.st_size;
	b.data = malloc(b.size ? b.size : 1);
	REQUIRE(b.data && pread(fd, b.data, b.size, 0) == (ssize_t)b.size);
	return b;
}

static inline int fd_of_bytes(const void *data, size_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	REQUIRE(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	return fd;
}

#define SMALL_TEXT_ADDR		0x10000ull
#define SMALL_NOISE_ADDR	0x40000ull
#define SMALL_STATE		"eleven byte"
#define SMALL_META		"{\"pause_ns\": 1}"

/*
 * One of everything: STATE and META with padding, a compressed frame of two pages, a raw one of
 * one page, zero, file and (in a delta) gone runs, an empty address space.  @to: or NULL.
 */
static inline void write_small_to(int fd, uint64_t generation, const struct image_info *parent,
				  const struct recipients *to, struct image_info *ret_info)
{
	struct image_params params = {
		.job = "small", .generation = generation, .parent = parent, .pid = 4711,
		.comm = "sixteen-bytes-xx", .page_size = PAGE, .frame_size = 2 * PAGE, .to = to,
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char pages[2 * PAGE];
	struct image_writer *w;

	REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
	REQUIRE_OK(image_writer_put(w, IMAGE_STATE, 4711, 0, SMALL_STATE, 11, &err), err);
	REQUIRE_OK(image_writer_begin_pages(w, 4711, &err), err);
	fill_page(pages, PAGE, FILL_TEXT, 1);
	fill_page(pages + PAGE, PAGE, FILL_TEXT, 2);
	REQUIRE_OK(image_writer_data(w, SMALL_TEXT_ADDR, 2, pages, &err), err);
	REQUIRE_OK(image_writer_zero(w, 0x20000, 3, &err), err);
	REQUIRE_OK(image_writer_file(w, 0x30000, 4, 0x5000, &err), err);
	fill_page(pages, PAGE, FILL_NOISE, 3);
	REQUIRE_OK(image_writer_data(w, SMALL_NOISE_ADDR, 1, pages, &err), err);
	if (parent)
		REQUIRE_OK(image_writer_gone(w, 0x50000, 1, &err), err);
	REQUIRE_OK(image_writer_end_pages(w, &err, NULL), err);
	REQUIRE_OK(image_writer_begin_pages(w, 4712, &err), err);
	REQUIRE_OK(image_writer_end_pages(w, &err, NULL), err);
	REQUIRE_OK(image_writer_put(w, IMAGE_META, 0, IMAGE_META_SNAP, SMALL_META,
				    strlen(SMALL_META), &err), err);
	REQUIRE_OK(image_writer_finish(w, &err, ret_info), err);
	image_writer_close(w);
}

static inline void write_small(int fd, uint64_t generation, const struct image_info *parent,
			       struct image_info *ret_info)
{
	write_small_to(fd, generation, parent, NULL, ret_info);
}

static inline struct bytes small_image(void)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct bytes b;

	REQUIRE(fd >= 0);
	write_small(fd, 1, NULL, NULL);
	b = bytes_of_fd(fd);
	close(fd);
	return b;
}

#endif
