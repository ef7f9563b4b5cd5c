// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-verify.c - finds every damage of an image that image_open() took.
 *
 * Header, trailer and section table were checked there.  Here each section is hashed whole, which
 * covers padding and section headers too; then PAGES sections are read as a restore reads them, to
 * name the damage as narrowly as can be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "image-priv.h"
#include "util.h"

struct verify {
	struct image	*img;
	image_damage_fn	fn;
	void		*arg;
	struct ckpt_err	*err;		/* the first damage goes here */
	XXH3_state_t	*hash;
	unsigned char	*step;		/* IMAGE_HASH_STEP bytes */
	uint32_t	section;
	bool		section_damaged;
	bool		damaged;
	struct image_pages_stats *stats;
};

static struct image_damage new_damage(const struct verify *v, const char *what)
{
	const struct image_section_disk *s = &v->img->table[v->section];

	return (struct image_damage){
		.section = v->section,
		.kind = s->kind,
		.owner = s->owner,
		.sub = s->sub,
		.offset = s->offset,
		.size = s->size,
		.what = what,
	};
}

static void report(struct verify *v, const struct image_damage *d)
{
	v->damaged = true;
	v->section_damaged = true;
	ckpt_err_set(v->err, EBADMSG, "%s: damaged image: section %u, byte %llu: %s",
		     v->img->label, d->section, (unsigned long long)d->offset, d->what);
	if (v->fn)
		v->fn(d, v->arg);
}

/* The addresses frame @i has content for.  Runs name frames in rising order in files we wrote. */
static void frame_range(const struct image_pages *p, uint32_t i, struct image_damage *d)
{
	uint32_t page_size = p->img->info.page_size;
	bool any = false;

	for (uint64_t n = 0; n < p->stats.runs; n++) {
		const struct image_run_disk *r = pages_run(p, n);

		if (r->kind != IMAGE_RUN_DATA || r->frame != i)
			continue;
		if (!any)
			d->addr_start = r->addr;
		d->addr_end = r->addr + r->npages * page_size;
		any = true;
	}
}

/* A digest that is not its page's has later deltas hold what did not change. */
static int verify_digests(struct image_pages *p, uint32_t i, const unsigned char *data,
			  struct ckpt_err *err)
{
	const struct image_info *info = &p->img->info;
	uint32_t n = pages_frame(p, i)->raw_size / info->page_size;
	uint8_t have[IMAGE_HASH_SIZE], want[IMAGE_HASH_SIZE];

	for (uint32_t k = 0; image_info_has_digests(info) && k < n; k++) {
		int ret = image_pages_digest(p, i, k, err, have);

		if (ret)
			return ret;
		image_page_digest(data + (size_t)k * info->page_size, info->page_size,
				  info->digest_seed, want);
		if (memcmp(have, want, sizeof(have)))
			return ckpt_err_set(err, EBADMSG, "frame %u: digest of page %u", i, k);
	}
	return 0;
}

/* Where damage to frame @i lies: its bytes, or the digests behind them. */
static void place_damage(const struct image_pages *p, uint32_t i, bool digests,
			 struct image_damage *d)
{
	const struct image_frame_disk *f = pages_frame(p, i);

	d->is_frame = true;
	d->frame = i;
	d->offset = p->offset + (digests ? image_frame_end(f) : f->offset);
	d->size = digests ? f->raw_size / p->img->info.page_size * IMAGE_HASH_SIZE : f->stored_size;
	frame_range(p, i, d);
}

/* *@ret_data is NULL when it is locked; then its checksum is all there is. */
static int check_frame(struct image_pages *p, uint32_t i, struct ckpt_err *why,
		       const unsigned char **ret_data)
{
	*ret_data = NULL;
	return image_is_locked(p->img) ? image_pages_check_frame(p, i, why) :
		image_pages_load_frame(p, i, why, ret_data);
}

static const char *frame_damage(struct image_pages *p, uint32_t i)
{
	if (p->img->crypt && !image_pages_check_frame(p, i, NULL))
		return "page frame: is not what was sealed there, its memory cannot be restored";
	return "page frame: its memory cannot be restored";
}

static int verify_frames(struct verify *v, struct image_pages *p)
{
	for (uint32_t i = 0; i < p->stats.frames; i++) {
		struct ckpt_err why = CKPT_ERR_INIT;
		const unsigned char *data;
		struct image_damage d;
		int frame = check_frame(p, i, &why, &data);
		int ret = frame ? frame : data ? verify_digests(p, i, data, &why) : 0;

		if (!ret)
			continue;
		if (ret != -EBADMSG)
			return ckpt_err_set(v->err, ret, "%s", why.text);
		d = new_damage(v, frame ? frame_damage(p, i) :
			       "digests of a page frame: what is built on it holds more than it need");
		place_damage(p, i, !frame, &d);
		report(v, &d);
	}
	return 0;
}

/* Pages that other images have: there they must be as they were. */
static int verify_shared(struct verify *v, struct image_pages *p)
{
	for (uint64_t i = 0; p->stats.shared_pages && i < p->stats.runs; i++) {
		const struct image_run_disk *r = pages_run(p, i);
		struct ckpt_err why = CKPT_ERR_INIT;
		struct image_damage d;
		const void *data;
		int ret = r->kind == IMAGE_RUN_SHARED ? image_pages_borrow(p, i, &why, &data) : 0;

		if (ret && ret != -EBADMSG)
			return ckpt_err_set(v->err, ret, "%s", why.text);
		if (!ret)
			continue;
		d = new_damage(v, "pages shared with another image, which is damaged");
		d.is_frame = true;
		d.frame = r->frame;
		d.addr_start = r->addr;
		d.addr_end = r->addr + r->npages * p->img->info.page_size;
		report(v, &d);
	}
	return 0;
}

static void add_stats(struct image_pages_stats *sum, const struct image_pages_stats *s)
{
	sum->frames += s->frames;
	sum->runs += s->runs;
	sum->data_pages += s->data_pages;
	sum->zero_pages += s->zero_pages;
	sum->file_pages += s->file_pages;
	sum->gone_pages += s->gone_pages;
	sum->shared_pages += s->shared_pages;
	sum->stored_bytes += s->stored_bytes;
}

static int verify_pages(struct verify *v)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	struct image_pages *p;
	struct image_damage d;
	int ret;

	ret = image_pages_open(v->img, v->section, &why, &p);
	if (ret == -EBADMSG) {
		d = new_damage(v, "page index: none of this memory can be restored");
		report(v, &d);
		return 0;
	}
	if (ret)
		return ckpt_err_set(v->err, ret, "%s", why.text);
	ret = verify_frames(v, p);
	if (!ret)
		ret = verify_shared(v, p);
	if (!ret && v->stats && !v->section_damaged)
		add_stats(v->stats, &p->stats);
	image_pages_close(p);
	return ret;
}

/* With the key, and so with its tag. */
static int verify_blob(struct verify *v)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	struct image_damage d;
	size_t size;
	void *data;
	int ret = image_load(v->img, v->section, &why, &data, &size);

	if (!ret)
		free(data);
	if (ret && ret != -EBADMSG)
		return ckpt_err_set(v->err, ret, "%s", why.text);
	if (ret) {
		d = new_damage(v, "section: is not what was sealed there");
		report(v, &d);
	}
	return 0;
}

static int verify_section(struct verify *v)
{
	const struct image_section_disk *s = &v->img->table[v->section];
	struct ckpt_err why = CKPT_ERR_INIT;
	struct image_damage d;
	int hash, ret = 0;

	v->section_damaged = false;
	hash = image_hash_section(v->img, v->section, v->hash, v->step, v->err);
	if (hash < 0)
		return hash;
	if (image_has_runs(s->kind))
		ret = verify_pages(v);
	if (ret)
		return ret;
	if (hash && !v->section_damaged) {
		d = new_damage(v, image_has_runs(s->kind) ?
			       "header or padding of a section of pages" : "section");
		report(v, &d);
	}
	if (hash || v->section_damaged || image_has_runs(s->kind))
		return 0;
	if (v->img->crypt && (s->kind == IMAGE_STATE || s->kind == IMAGE_META))
		return verify_blob(v);
	ret = image_check_section_header(v->img, v->section, &why);
	if (ret && ret != -EBADMSG)
		return ckpt_err_set(v->err, ret, "%s", why.text);
	if (ret) {
		d = new_damage(v, "section header and section table disagree");
		report(v, &d);
	}
	return 0;
}

int image_verify(struct image *img, image_damage_fn fn, void *arg, struct ckpt_err *err,
		 struct image_pages_stats *ret_stats)
{
	struct verify v = {
		.img = img,
		.fn = fn,
		.arg = arg,
		.err = err,
		.hash = XXH3_createState(),
		.step = malloc(IMAGE_HASH_STEP),
		.stats = ret_stats,
	};
	int ret = 0;

	if (ret_stats)
		memset(ret_stats, 0, sizeof(*ret_stats));
	if (!v.hash || !v.step)
		ret = ckpt_err_sys(err, ENOMEM, "%s: verify", img->label);
	for (; !ret && v.section < img->info.sections; v.section++)
		ret = verify_section(&v);
	XXH3_freeState(v.hash);
	free(v.step);
	if (!ret && v.damaged)
		ret = -EBADMSG;
	return ret;
}
