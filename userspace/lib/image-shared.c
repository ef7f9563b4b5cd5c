// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-shared.c - pages that other images have: reads the SOURCES section and what is there.
 *
 * image_open() reads which images there are; who opened this one finds them (store-shared.c tells how)
 * and attaches them; several images may have the same.  Each is held against the digest that is noted
 * here, so a frame number means what it meant to the writer; the frames are checked by their own
 * checksums, and those of another image's sources are never followed: a SHARED run names who has the
 * page itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image-priv.h"
#include "util.h"

/* With more of them open each keeps but one frame in memory. */
#define FEW_SOURCES	4

static const char *bad_source(const struct image *img, const struct image_source_disk *s)
{
	if (!s->generation || util_is_zero(s->id, sizeof(s->id)) ||
	    util_is_zero(s->digest, sizeof(s->digest)))
		return "sources: one without identity";
	if (!memcmp(s->id, img->info.id, sizeof(s->id)))
		return "sources: the image itself";
	if (!image_text_ok(s->job, sizeof(s->job), false))
		return "sources: text is not printable";
	return NULL;
}

static int take_sources(struct image *img, const struct image_source_disk *disk, size_t n,
			struct ckpt_err *err)
{
	const char *bad = NULL;

	for (size_t i = 0; !bad && i < n; i++)
		bad = bad_source(img, &disk[i]);
	if (bad)
		return ckpt_err_set(err, EBADMSG, "%s: damaged image: %s", img->label, bad);
	img->sources = calloc(n ? n : 1, sizeof(*img->sources));
	if (!img->sources)
		return ckpt_err_sys(err, ENOMEM, "%s: sources", img->label);
	for (size_t i = 0; i < n; i++)
		img->sources[i].disk = disk[i];
	img->nr_sources = n;
	return 0;
}

int image_load_sources(struct image *img, struct ckpt_err *err)
{
	int ret, section;
	size_t size;
	void *data;

	if (!image_info_is_shared(&img->info))
		return 0;
	if (image_info_is_encrypted(&img->info))
		return ckpt_err_set(err, EBADMSG, "%s: damaged image: encrypted, and shares pages",
				    img->label);
	section = image_find(img, IMAGE_SOURCES, 0, 0);
	if (section < 0)
		return ckpt_err_set(err, EBADMSG, "%s: damaged image: no sources", img->label);
	if (img->table[section].body_size > IMAGE_SOURCES_MAX * sizeof(struct image_source_disk))
		return ckpt_err_set(err, EBADMSG, "%s: damaged image: sources: too many", img->label);
	ret = image_load(img, (uint32_t)section, err, &data, &size);
	if (ret)
		return ret;
	if (size % sizeof(struct image_source_disk))
		ret = ckpt_err_set(err, EBADMSG, "%s: damaged image: sources: odd size", img->label);
	else
		ret = take_sources(img, data, size / sizeof(struct image_source_disk), err);
	free(data);
	return ret;
}

void image_drop_sources(struct image *img)
{
	for (uint32_t i = 0; i < img->nr_sources; i++)
		image_pages_close(img->sources[i].pages);
	free(img->sources);
}

uint32_t image_nr_sources(const struct image *img)
{
	return img->nr_sources;
}

void image_get_source(const struct image *img, uint32_t i, struct image_source *ret_source)
{
	const struct image_source_disk *s = &img->sources[i].disk;

	*ret_source = (struct image_source){ .generation = s->generation, .section = s->section };
	memcpy(ret_source->id, s->id, sizeof(s->id));
	memcpy(ret_source->digest, s->digest, sizeof(s->digest));
	memcpy(ret_source->job, s->job, sizeof(s->job));
}

int image_attach_source(struct image *img, uint32_t i, struct image *source, struct ckpt_err *err)
{
	struct attached *a = &img->sources[i];
	const struct image_info *info = &source->info;

	if (!memcmp(info->digest, a->disk.digest, sizeof(info->digest)) &&
	    !memcmp(info->id, a->disk.id, sizeof(info->id)) &&
	    info->page_size == img->info.page_size && a->disk.section < info->sections) {
		a->image = source;
		return 0;
	}
	return ckpt_err_set(err, ESTALE, "%s: shares pages with another image than %s is now",
			    img->label, source->label);
}

/* The index of the section that SHARED run @r has its pages in. */
static int source_pages(struct image_pages *p, const struct image_run_disk *r, struct ckpt_err *err,
			struct image_pages **ret)
{
	struct attached *a = &p->img->sources[r->source];
	int code;

	if (!a->image)
		return ckpt_err_set(err, ENODATA, "%s: shares pages with %s@%llu, which is not open",
				    p->img->label, a->disk.job,
				    (unsigned long long)a->disk.generation);
	if (!a->pages) {
		code = image_pages_open(a->image, a->disk.section, err, &a->pages);
		if (code)
			return code;
		if (p->img->nr_sources > FEW_SOURCES)
			image_pages_keep_one(a->pages);
	}
	*ret = a->pages;
	return 0;
}

int image_shared_find(struct image_pages *p, const struct image_run_disk *r, struct ckpt_err *err,
		      struct image_pages **ret)
{
	uint32_t pages;
	int code = source_pages(p, r, err, ret);

	if (code)
		return code;
	pages = pages_in_frame(*ret, r->frame);
	if (r->page < pages && r->npages <= pages - r->page)
		return 0;
	return ckpt_err_set(err, EBADMSG, "%s: damaged image: section %u: a run leaves the frame of %s",
			    p->img->label, p->section, (*ret)->img->label);
}

void image_trim_sources(struct image *img)
{
	for (uint32_t i = 0; i < img->nr_sources; i++)
		if (img->sources[i].pages)
			image_pages_trim(img->sources[i].pages);
}
