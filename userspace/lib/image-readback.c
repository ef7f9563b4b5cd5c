// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-readback.c - reads a finished image from the device and compares it with what was written.
 *
 * fsync() says that the device has the bytes, not that it has the right ones.  After it the pages of
 * the file are clean, so the cache can let go of them and what is read next comes from below.  The
 * root digest was made of the bytes in memory; the sections' own hashes, which it commits to, are
 * enough then, and nothing has to be decompressed.
 *
 * File systems in memory have nothing below, and network file systems read from their server.  Afterwards
 * the pages go again: they would push out those of the job.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "image-priv.h"
#include "util.h"

int image_hash_section(struct image *img, uint32_t section, XXH3_state_t *hash, void *step,
		       struct ckpt_err *err)
{
	const struct image_section_disk *s = &img->table[section];
	uint8_t got[IMAGE_HASH_SIZE];

	XXH3_128bits_reset(hash);
	for (uint64_t done = 0; done < s->size;) {
		size_t n = s->size - done < IMAGE_HASH_STEP ? s->size - done : IMAGE_HASH_STEP;
		int ret = image_read(img, s->offset + done, step, n, "section", err);

		if (ret)
			return ret;
		XXH3_128bits_update(hash, step, n);
		done += n;
	}
	util_hash_final(hash, got);
	return memcmp(got, s->hash, sizeof(got)) ? 1 : 0;
}

static int another(const struct image *img, const char *what, uint64_t offset, struct ckpt_err *err)
{
	return ckpt_err_set(err, EIO, "%s: the device does not give back what was written to it: %s, byte %llu",
			    img->label, what, (unsigned long long)offset);
}

static int check_sections(struct image *img, struct ckpt_err *err)
{
	XXH3_state_t *hash = XXH3_createState();
	void *step = malloc(IMAGE_HASH_STEP);
	int ret = 0;

	if (!hash || !step)
		ret = ckpt_err_sys(err, ENOMEM, "%s: read back", img->label);
	for (uint32_t i = 0; !ret && i < img->info.sections; i++) {
		ret = image_hash_section(img, i, hash, step, err);
		if (ret > 0)
			ret = another(img, "section", img->table[i].offset, err);
	}
	XXH3_freeState(hash);
	free(step);
	return ret;
}

static int check(int fd, const char *label, const struct image_info *written, struct ckpt_err *err)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	struct image *img;
	int ret;

	ret = image_open(fd, label, &why, &img);
	if (ret == -EBADMSG || ret == -EOPNOTSUPP)
		return ckpt_err_set(err, EIO, "%s (the device does not give back what was written to it)",
				    why.text);
	if (ret)
		return ckpt_err_set(err, ret, "%s", why.text);
	if (memcmp(img->info.digest, written->digest, sizeof(written->digest)))
		ret = another(img, "another image", 0, err);
	else
		ret = check_sections(img, err);
	image_close(img);
	return ret;
}

int image_read_back(int fd, const char *label, const struct image_info *written,
		    struct ckpt_err *err)
{
	int ret;

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	ret = check(fd, label, written, err);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (ret == -EIO)
		ckpt_err_hint(err, "see to that disk and its cables and memory; "
			      "the generation before this one stays the newest");
	return ret;
}
