// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images of any content: opened, listed, loaded, read and verified as show, verify and restore do.
 *
 * Built with comparisons of checksums that always agree, else no change would get past the first.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "err.h"
#include "image-format.h"
#include "image.h"

#define PAGE	4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fuzz_memcmp(const void *a, const void *b, size_t n);

/* In place of memcmp() in image-*.c.  Names of images are as long as checksums; "none" is all zero. */
int fuzz_memcmp(const void *a, const void *b, size_t n)
{
	static const char none[IMAGE_HASH_SIZE];

	if (n != sizeof(none) || !__builtin_memcmp(a, none, n) || !__builtin_memcmp(b, none, n))
		return __builtin_memcmp(a, b, n);
	return 0;
}

static void read_pages(struct image *img, uint32_t section)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_pages_stats stats;
	struct image_pages *pages;
	static char page[PAGE];

	if (image_pages_open(img, section, &err, &pages))
		return;
	image_pages_get_stats(pages, &stats);
	for (uint64_t i = 0; i < stats.runs; i++) {
		struct image_run run;
		const void *content;

		image_pages_get_run(pages, i, &run);
		if (image_pages_find(pages, run.addr) != i)
			abort();
		ckpt_err_clear(&err);
		if (run.kind == IMAGE_RUN_DATA && !image_pages_borrow(pages, i, &err, &content))
			__builtin_memcpy(page, content, PAGE);
		ckpt_err_clear(&err);
		image_pages_read(pages, run.addr, 1, page, &err);
	}
	image_pages_close(pages);
}

static void read_all(struct image *img)
{
	const struct image_info *info = image_get_info(img);
	struct ckpt_err err = CKPT_ERR_INIT;

	for (uint32_t i = 0; i < info->sections; i++) {
		struct image_section s;
		void *body;
		size_t len;

		image_get_section(img, i, &s);
		ckpt_err_clear(&err);
		if (image_has_runs(s.kind)) {
			read_pages(img, i);
		} else if (!image_load(img, i, &err, &body, &len)) {
			if (((char *)body)[len])
				abort();
			free(body);
		}
	}
	ckpt_err_clear(&err);
	image_verify(img, NULL, NULL, &err, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	static int fd = -1;
	struct image *img;

	if (fd < 0)
		fd = memfd_create("image", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	if (image_open(fd, "fuzz", &err, &img))
		return 0;
	read_all(img);
	image_close(img);
	return 0;
}
