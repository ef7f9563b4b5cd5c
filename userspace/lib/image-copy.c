// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-copy.c - hands out an open image as the bytes of its file, and notices when they are not those.
 *
 * The root digest commits to header, section table and trailer, the table to each section.  So what
 * comes out is held against hashes that were right when the image was opened, in one pass and with
 * little memory; a section that is damaged has been handed out by the time that is known.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "image-priv.h"
#include "util.h"

struct copy {
	struct image	*img;
	image_bytes_fn	fn;
	void		*arg;
	XXH3_state_t	*hash;
	unsigned char	*step;		/* IMAGE_HASH_STEP bytes */
	struct ckpt_err	*err;
};

static int copy_section(const struct copy *c, uint32_t section)
{
	const struct image_section_disk *s = &c->img->table[section];
	uint8_t got[IMAGE_HASH_SIZE];

	XXH3_128bits_reset(c->hash);
	for (uint64_t done = 0; done < s->size;) {
		size_t n = s->size - done < IMAGE_HASH_STEP ? s->size - done : IMAGE_HASH_STEP;
		int ret = image_read(c->img, s->offset + done, c->step, n, "section", c->err);

		if (!ret)
			ret = c->fn(c->step, n, c->arg);
		if (ret)
			return ret;
		XXH3_128bits_update(c->hash, c->step, n);
		done += n;
	}
	util_hash_final(c->hash, got);
	if (!memcmp(got, s->hash, sizeof(got)))
		return 0;
	ckpt_err_set(c->err, EBADMSG, "%s: damaged image: section %u: wrong checksum", c->img->label,
		     section);
	ckpt_err_hint(c->err, "'ckptctl verify' tells what is lost");
	return -EBADMSG;
}

static int copy_all(const struct copy *c)
{
	size_t table_size = c->img->info.sections * sizeof(struct image_section_disk);
	uint8_t digest[IMAGE_HASH_SIZE];
	struct image_header_disk h;
	struct image_trailer_disk t;
	int ret;

	ret = image_read(c->img, 0, &h, sizeof(h), "header", c->err);
	if (!ret)
		ret = image_read(c->img, c->img->info.file_size - sizeof(t), &t, sizeof(t), "trailer",
				 c->err);
	if (ret)
		return ret;
	ret = image_root_digest(&h, c->img->table, table_size, &t, digest);
	if (ret)
		return ckpt_err_sys(c->err, ret, "%s: digest", c->img->label);
	if (memcmp(digest, t.digest, sizeof(digest)) ||
	    memcmp(digest, c->img->info.digest, sizeof(digest)))
		return ckpt_err_set(c->err, EBADMSG, "%s: damaged image: it changed while it was open",
				    c->img->label);
	ret = c->fn(&h, sizeof(h), c->arg);
	for (uint32_t i = 0; !ret && i < c->img->info.sections; i++)
		ret = copy_section(c, i);
	if (!ret && table_size)
		ret = c->fn(c->img->table, table_size, c->arg);
	return ret ? ret : c->fn(&t, sizeof(t), c->arg);
}

int image_copy(struct image *img, image_bytes_fn fn, void *arg, struct ckpt_err *err)
{
	struct copy c = {
		.img = img, .fn = fn, .arg = arg, .err = err, .hash = XXH3_createState(),
		.step = malloc(IMAGE_HASH_STEP),
	};
	int ret;

	if (c.hash && c.step)
		ret = copy_all(&c);
	else
		ret = ckpt_err_sys(err, ENOMEM, "%s", img->label);
	XXH3_freeState(c.hash);
	free(c.step);
	return ret;
}
