// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-pages.c - reads PAGES sections.
 *
 *  1. image_pages_open() reads footer, frame table and run table, checks every field against the
 *     section and against its neighbours, and only then the hash over them.  What passed is never
 *     checked again.
 *  2. Content is read a frame at a time into a cache of a few frames; a frame's hash is checked
 *     on its stored bytes before the decompressor sees them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "image-priv.h"
#include "util.h"

#define TABLE_STEP	(1u << 20)

static int damaged(struct image_pages *p, const char *what, struct ckpt_err *err)
{
	return ckpt_err_set(err, EBADMSG, "%s: damaged image: section %u: page index: %s",
			    p->img->label, p->section, what);
}

static int read_footer(struct image_pages *p, struct image_pages_footer_disk *f,
		       struct ckpt_err *err)
{
	const struct image_section_disk *s = &p->img->table[p->section];
	const uint64_t head = sizeof(struct image_section_header_disk);
	uint64_t end, frames, runs;
	int ret;

	if (s->body_size < sizeof(*f) || s->body_size != s->size - head)
		return damaged(p, "no room for it", err);
	end = s->size - sizeof(*f);
	ret = image_read(p->img, s->offset + end, f, sizeof(*f), "page index", err);
	if (ret)
		return ret;
	if (memcmp(f->magic, IMAGE_PAGES_MAGIC, sizeof(f->magic)) || f->footer_size != sizeof(*f))
		return damaged(p, "no footer", err);
	if (!f->frame_pages || f->frame_pages > IMAGE_FRAME_MAX / p->img->info.page_size)
		return damaged(p, "impossible frame size", err);
	if (__builtin_mul_overflow(f->frames, sizeof(struct image_frame_disk), &frames) ||
	    __builtin_mul_overflow(f->runs, sizeof(struct image_run_disk), &runs) ||
	    f->frames > UINT32_MAX || f->frames_offset < head || f->frames_offset > end ||
	    frames > end - f->frames_offset || f->runs_offset != f->frames_offset + frames ||
	    runs != end - f->runs_offset)
		return damaged(p, "tables out of place", err);
	return 0;
}

static const char *bad_frame(const struct image_pages *p, const struct image_frame_disk *f,
			     const struct image_pages_footer_disk *foot, uint64_t *at)
{
	uint32_t page_size = p->img->info.page_size, tag = image_tag_size(&p->img->info), packed;

	if (!f->raw_size || f->raw_size % page_size || f->raw_size / page_size > foot->frame_pages)
		return "impossible frame";
	if (f->offset < *at || f->offset > foot->frames_offset ||
	    f->stored_size > foot->frames_offset - f->offset)
		return "frame out of place";
	packed = f->stored_size < tag ? 0 : f->stored_size - tag;
	if (f->codec == IMAGE_CODEC_RAW ? packed != f->raw_size :
	    f->codec != IMAGE_CODEC_ZSTD || !packed || packed >= f->raw_size)
		return "frame of unknown coding";
	*at = f->offset + f->stored_size;
	if (!image_info_has_digests(&p->img->info))
		return NULL;
	*at = image_frame_end(f);
	if (*at > foot->frames_offset ||
	    f->raw_size / page_size * IMAGE_HASH_SIZE > foot->frames_offset - *at)
		return "no room for digests";
	*at += f->raw_size / page_size * IMAGE_HASH_SIZE;
	return NULL;
}

static uint64_t *run_count(struct image_pages *p, uint32_t kind)
{
	switch (kind) {
	case IMAGE_RUN_DATA:
		return &p->stats.data_pages;
	case IMAGE_RUN_ZERO:
		return &p->stats.zero_pages;
	case IMAGE_RUN_FILE:
		return &p->stats.file_pages;
	case IMAGE_RUN_GONE:
		return image_info_is_delta(&p->img->info) ? &p->stats.gone_pages : NULL;
	case IMAGE_RUN_SHARED:
		return &p->stats.shared_pages;
	default:
		return NULL;
	}
}

/* @last: the last byte of the run before, if @any. */
static const char *bad_run(struct image_pages *p, const struct image_run_disk *r, bool any,
			   uint64_t *last)
{
	uint32_t page_size = p->img->info.page_size;
	uint64_t bytes, end, *count = run_count(p, r->kind);

	if (!count)
		return "run of unknown kind";
	if (!r->npages || r->addr % page_size || (any && r->addr <= *last) ||
	    __builtin_mul_overflow(r->npages, (uint64_t)page_size, &bytes) ||
	    __builtin_add_overflow(r->addr, bytes - 1, &end))
		return "run out of place";
	if (r->kind == IMAGE_RUN_DATA) {
		uint64_t pages;

		if (r->frame >= p->stats.frames)
			return "run names no frame";
		pages = pages_frame(p, r->frame)->raw_size / page_size;
		if (r->page >= pages || r->npages > pages - r->page)
			return "run leaves its frame";
	}
	/* its frame is looked at when the source is */
	if (r->kind == IMAGE_RUN_SHARED && r->source >= p->img->nr_sources)
		return "run names no source";
	*count += r->npages;
	*last = end;
	return NULL;
}

/* Append up to TABLE_STEP bytes of @left at file offset @off to @b. */
static int read_step(struct image_pages *p, uint64_t off, uint64_t left, size_t entry,
		     struct buf *b, struct ckpt_err *err)
{
	size_t step = TABLE_STEP / entry * entry;
	int ret;

	if (step > left)
		step = left;
	ret = buf_reserve(b, step);
	if (ret)
		return ckpt_err_sys(err, ret, "%s: page index", p->img->label);
	ret = image_read(p->img, off, b->data + b->len, step, "page index", err);
	if (!ret)
		b->len += step;
	return ret;
}

static int load_frames(struct image_pages *p, const struct image_pages_footer_disk *foot,
		       struct ckpt_err *err)
{
	const uint64_t size = foot->frames * sizeof(struct image_frame_disk);
	uint64_t at = sizeof(struct image_section_header_disk);

	while (p->frames.len < size) {
		int ret = read_step(p, p->offset + foot->frames_offset + p->frames.len,
				    size - p->frames.len, sizeof(struct image_frame_disk),
				    &p->frames, err);

		if (ret)
			return ret;
		for (; p->stats.frames < p->frames.len / sizeof(struct image_frame_disk);
		     p->stats.frames++) {
			const struct image_frame_disk *f = pages_frame(p, p->stats.frames);
			const char *bad = bad_frame(p, f, foot, &at);

			if (bad)
				return damaged(p, bad, err);
			p->stats.stored_bytes += f->stored_size;
		}
	}
	return 0;
}

static int load_runs(struct image_pages *p, const struct image_pages_footer_disk *foot,
		     struct ckpt_err *err)
{
	const uint64_t size = foot->runs * sizeof(struct image_run_disk);
	uint64_t last = 0;

	while (p->runs.len < size) {
		int ret = read_step(p, p->offset + foot->runs_offset + p->runs.len,
				    size - p->runs.len, sizeof(struct image_run_disk),
				    &p->runs, err);

		if (ret)
			return ret;
		for (; p->stats.runs < p->runs.len / sizeof(struct image_run_disk);
		     p->stats.runs++) {
			const char *bad = bad_run(p, pages_run(p, p->stats.runs), p->stats.runs,
						  &last);

			if (bad)
				return damaged(p, bad, err);
		}
	}
	return 0;
}

/* Of a locked image nobody can tell: then the checksum has to do. */
static bool index_is_sealed(const struct image_pages *p, const struct image_pages_footer_disk *foot)
{
	const struct crypt_piece section = image_piece(p->img, p->section);
	uint8_t mac[IMAGE_INDEX_MAC];

	if (!p->img->crypt)
		return true;
	image_index_mac(p->img->crypt, &section, &p->frames, &p->runs, foot, mac);
	return crypt_same(mac, foot->mac, sizeof(mac));
}

static int load_index(struct image_pages *p, struct ckpt_err *err)
{
	struct image_pages_footer_disk foot;
	uint8_t hash[IMAGE_HASH_SIZE];
	int ret;

	ret = image_check_section_header(p->img, p->section, err);
	if (!ret)
		ret = read_footer(p, &foot, err);
	if (!ret)
		ret = load_frames(p, &foot, err);
	if (!ret)
		ret = load_runs(p, &foot, err);
	if (ret)
		return ret;
	ret = image_index_hash(&p->frames, &p->runs, &foot, hash);
	if (ret)
		return ckpt_err_sys(err, ret, "%s: page index", p->img->label);
	if (memcmp(hash, foot.hash, sizeof(hash)))
		return damaged(p, "wrong checksum", err);
	if (!index_is_sealed(p, &foot))
		return damaged(p, "is not what was sealed there", err);
	if (foot.data_pages != p->stats.data_pages || foot.zero_pages != p->stats.zero_pages ||
	    foot.file_pages != p->stats.file_pages || foot.gone_pages != p->stats.gone_pages ||
	    foot.shared_pages != p->stats.shared_pages ||
	    foot.stored_bytes != p->stats.stored_bytes)
		return damaged(p, "totals do not match", err);
	return 0;
}

int image_pages_open(struct image *img, uint32_t section, struct ckpt_err *err,
		     struct image_pages **ret_pages)
{
	struct image_pages *p;
	int ret;

	if (!image_has_runs(img->table[section].kind))
		return ckpt_err_set(err, EINVAL, "%s: section %u is of kind %u: not memory",
				    img->label, section, img->table[section].kind);
	p = calloc(1, sizeof(*p));
	if (!p)
		return ckpt_err_sys(err, ENOMEM, "%s: page index", img->label);
	p->img = img;
	p->section = section;
	p->keep = IMAGE_CACHED_FRAMES;
	p->offset = img->table[section].offset;
	p->zstd = ZSTD_createDCtx();
	ret = p->zstd ? load_index(p, err) : ckpt_err_sys(err, ENOMEM, "%s: zstd", img->label);
	if (ret) {
		image_pages_close(p);
		return ret;
	}
	*ret_pages = p;
	return 0;
}

void image_pages_close(struct image_pages *p)
{
	if (!p)
		return;
	image_pages_trim(p);
	buf_free(&p->frames);
	buf_free(&p->runs);
	buf_free(&p->digests);
	ZSTD_freeDCtx(p->zstd);
	free(p);
}

void image_pages_get_stats(const struct image_pages *p, struct image_pages_stats *ret_stats)
{
	*ret_stats = p->stats;
}

void image_pages_get_run(const struct image_pages *p, uint64_t i, struct image_run *ret_run)
{
	const struct image_run_disk *r = pages_run(p, i);

	*ret_run = (struct image_run){
		.addr = r->addr,
		.npages = r->npages,
		.kind = r->kind == IMAGE_RUN_SHARED ? IMAGE_RUN_DATA : r->kind,
	};
	if (ret_run->kind == IMAGE_RUN_DATA) {
		ret_run->frame = r->frame;
		ret_run->page = r->page;
	} else if (r->kind == IMAGE_RUN_FILE) {
		ret_run->file_offset = r->file_offset;
	}
}

/* Address of the run's last byte: its end may be 2^64. */
static uint64_t run_last(const struct image_pages *p, const struct image_run_disk *r)
{
	return r->addr + (r->npages * p->img->info.page_size - 1);
}

uint64_t image_pages_find(const struct image_pages *p, uint64_t addr)
{
	uint64_t low = 0, high = p->stats.runs;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (run_last(p, pages_run(p, mid)) < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The slot of @frame, or the one used longest ago. */
static struct cached_frame *cache_slot(struct image_pages *p, uint32_t frame)
{
	struct cached_frame *oldest = &p->cache[0];

	for (int i = 0; i < p->keep; i++) {
		struct cached_frame *c = &p->cache[i];

		if (c->valid && c->frame == frame)
			return c;
		if (!c->valid ? oldest->valid : oldest->valid && c->used < oldest->used)
			oldest = c;
	}
	return oldest;
}

/* The bytes of frame @i as they are in the file, into @stored, checked. */
static int read_stored(struct image_pages *p, uint32_t i, void *stored, struct ckpt_err *err)
{
	const struct image_frame_disk *f = pages_frame(p, i);
	uint8_t hash[IMAGE_HASH_SIZE];
	int ret = image_read(p->img, p->offset + f->offset, stored, f->stored_size, "frame", err);

	if (ret)
		return ret;
	util_hash(stored, f->stored_size, hash);
	if (memcmp(hash, f->hash, sizeof(hash)))
		return ckpt_err_set(err, EBADMSG,
				    "%s: damaged image: section %u: frame %u: wrong checksum",
				    p->img->label, p->section, i);
	return 0;
}

/* Room for a frame as it is in the file. */
static int reserve_stored(struct image_pages *p, uint32_t i, struct ckpt_err *err)
{
	int ret;

	p->stored.len = 0;
	ret = buf_reserve(&p->stored, pages_frame(p, i)->stored_size);
	return ret ? ckpt_err_sys(err, ret, "%s: frame %u", p->img->label, i) : 0;
}

int image_pages_check_frame(struct image_pages *p, uint32_t i, struct ckpt_err *err)
{
	int ret = reserve_stored(p, i, err);

	return ret ? ret : read_stored(p, i, p->stored.data, err);
}

/* In place, in p->stored. */
static int open_frame(struct image_pages *p, uint32_t i, struct ckpt_err *err)
{
	const struct image_frame_disk *f = pages_frame(p, i);
	struct crypt_piece piece = image_piece(p->img, p->section);

	piece.number = i;
	piece.raw_size = f->raw_size;
	piece.codec = f->codec;
	if (crypt_open(p->img->crypt, &piece, p->stored.data, f->stored_size))
		return ckpt_err_set(err, EBADMSG,
				    "%s: section %u: frame %u: is not what was sealed there",
				    p->img->label, p->section, i);
	return 0;
}

static int unpack_frame(struct image_pages *p, uint32_t i, const void *packed, size_t size,
			unsigned char *out, struct ckpt_err *err)
{
	const struct image_frame_disk *f = pages_frame(p, i);
	size_t got;

	if (f->codec == IMAGE_CODEC_RAW) {
		if (packed != out)
			memcpy(out, packed, size);
		return 0;
	}
	got = ZSTD_decompressDCtx(p->zstd, out, f->raw_size, packed, size);
	if (ZSTD_isError(got) || got != f->raw_size)
		return ckpt_err_set(err, EBADMSG,
				    "%s: damaged image: section %u: frame %u: does not decompress: %s",
				    p->img->label, p->section, i,
				    ZSTD_isError(got) ? ZSTD_getErrorName(got) : "wrong size");
	return 0;
}

static int decode_frame(struct image_pages *p, uint32_t i, unsigned char *out,
			struct ckpt_err *err)
{
	const struct image_frame_disk *f = pages_frame(p, i);
	const uint32_t tag = image_tag_size(&p->img->info);
	void *stored = out;
	int ret = 0;

	if (image_is_locked(p->img))
		return image_locked(p->img, err);
	if (f->codec != IMAGE_CODEC_RAW || tag) {
		ret = reserve_stored(p, i, err);
		stored = p->stored.data;
	}
	if (!ret)
		ret = read_stored(p, i, stored, err);
	if (!ret && tag)
		ret = open_frame(p, i, err);
	return ret ? ret : unpack_frame(p, i, stored, f->stored_size - tag, out, err);
}

int image_pages_load_frame(struct image_pages *p, uint32_t i, struct ckpt_err *err,
			   const unsigned char **ret_data)
{
	uint32_t raw_size = pages_frame(p, i)->raw_size;
	struct cached_frame *c = cache_slot(p, i);
	int ret;

	c->used = ++p->clock;
	if (!c->valid || c->frame != i) {
		c->valid = false;
		if (c->size < raw_size) {
			free(c->data);
			c->size = 0;
			c->data = malloc(raw_size);
			if (!c->data)
				return ckpt_err_sys(err, ENOMEM, "%s: frame %u", p->img->label, i);
			c->size = raw_size;
		}
		ret = decode_frame(p, i, c->data, err);
		if (ret)
			return ret;
		c->frame = i;
		c->valid = true;
	}
	*ret_data = c->data;
	return 0;
}

void image_pages_keep_one(struct image_pages *p)
{
	p->keep = 1;
}

void image_pages_trim(struct image_pages *p)
{
	for (int i = 0; i < IMAGE_CACHED_FRAMES; i++)
		free(p->cache[i].data);
	memset(p->cache, 0, sizeof(p->cache));
	buf_free(&p->stored);
	image_trim_sources(p->img);
}

int image_pages_digest(struct image_pages *p, uint32_t frame, uint32_t page, struct ckpt_err *err,
		       uint8_t ret_digest[IMAGE_HASH_SIZE])
{
	const struct image_frame_disk *f = pages_frame(p, frame);
	size_t size = f->raw_size / p->img->info.page_size * IMAGE_HASH_SIZE;
	int ret;

	if (!image_info_has_digests(&p->img->info))
		return ckpt_err_set(err, ENODATA, "%s: has no digests", p->img->label);
	if (!p->digests.len || p->digests_of != frame) {
		p->digests.len = 0;
		ret = buf_reserve(&p->digests, size);
		if (ret)
			return ckpt_err_sys(err, ret, "%s: digests", p->img->label);
		ret = image_read(p->img, p->offset + image_frame_end(f), p->digests.data, size,
				 "digests", err);
		if (ret)
			return ret;
		p->digests.len = size;
		p->digests_of = frame;
	}
	memcpy(ret_digest, p->digests.data + (size_t)page * IMAGE_HASH_SIZE, IMAGE_HASH_SIZE);
	return 0;
}

/* The index that has the frame of DATA run @i: its own, or another image's. */
static int find_frame(struct image_pages *p, uint64_t i, struct ckpt_err *err,
		      struct image_pages **ret)
{
	const struct image_run_disk *r = pages_run(p, i);

	*ret = p;
	if (r->kind == IMAGE_RUN_DATA)
		return 0;
	if (r->kind == IMAGE_RUN_SHARED)
		return image_shared_find(p, r, err, ret);
	return ckpt_err_set(err, EINVAL, "%s: run %llu holds no data", p->img->label,
			    (unsigned long long)i);
}

int image_pages_run_digest(struct image_pages *p, uint64_t i, uint64_t page, struct ckpt_err *err,
			   uint64_t *ret_seed, uint8_t ret_digest[IMAGE_HASH_SIZE])
{
	const struct image_run_disk *r = pages_run(p, i);
	struct image_pages *from;
	int ret = find_frame(p, i, err, &from);

	if (ret)
		return ret;
	*ret_seed = from->img->info.digest_seed;
	return image_pages_digest(from, r->frame, r->page + (uint32_t)page, err, ret_digest);
}

int image_pages_borrow(struct image_pages *p, uint64_t i, struct ckpt_err *err,
		       const void **ret_data)
{
	const struct image_run_disk *r = pages_run(p, i);
	const unsigned char *data;
	struct image_pages *from;
	int ret = find_frame(p, i, err, &from);

	if (!ret)
		ret = image_pages_load_frame(from, r->frame, err, &data);
	if (!ret)
		*ret_data = data + (size_t)r->page * p->img->info.page_size;
	return ret;
}

int image_pages_at(struct image_pages *p, uint32_t frame, uint32_t page, struct ckpt_err *err,
		   const void **ret_data)
{
	const uint32_t page_size = p->img->info.page_size;
	const unsigned char *data;
	int ret;

	if (page >= pages_in_frame(p, frame))
		return ckpt_err_set(err, EINVAL, "%s: no page %u in a frame %u", p->img->label, page,
				    frame);
	ret = image_pages_load_frame(p, frame, err, &data);
	if (!ret)
		*ret_data = data + (size_t)page * page_size;
	return ret;
}

static int read_run(struct image_pages *p, uint64_t i, uint64_t skip, size_t bytes, void *out,
		    struct ckpt_err *err)
{
	const struct image_run_disk *r = pages_run(p, i);
	const void *data;
	int ret;

	switch (r->kind) {
	case IMAGE_RUN_ZERO:
		memset(out, 0, bytes);
		return 0;
	case IMAGE_RUN_DATA:
	case IMAGE_RUN_SHARED:
		ret = image_pages_borrow(p, i, err, &data);
		if (!ret)
			memcpy(out, (const char *)data + skip, bytes);
		return ret;
	default:
		return ckpt_err_set(err, ENODATA, "%s: content at 0x%llx is not in this image",
				    p->img->label, (unsigned long long)(r->addr + skip));
	}
}

int image_pages_read(struct image_pages *p, uint64_t addr, uint64_t npages, void *buf,
		     struct ckpt_err *err)
{
	uint32_t page_size = p->img->info.page_size;
	uint64_t i = image_pages_find(p, addr);
	unsigned char *out = buf;

	if (addr % page_size)
		return ckpt_err_set(err, EINVAL, "%s: address 0x%llx: not at a page",
				    p->img->label, (unsigned long long)addr);
	for (; npages; i++) {
		const struct image_run_disk *r;
		uint64_t skip, n;
		int ret;

		if (i >= p->stats.runs || pages_run(p, i)->addr > addr)
			return ckpt_err_set(err, ENODATA, "%s: no page at 0x%llx", p->img->label,
					    (unsigned long long)addr);
		r = pages_run(p, i);
		skip = addr - r->addr;
		n = r->npages - skip / page_size;
		if (n > npages)
			n = npages;
		ret = read_run(p, i, skip, n * page_size, out, err);
		if (ret)
			return ret;
		npages -= n;
		addr += n * page_size;
		out += n * page_size;
	}
	return 0;
}
