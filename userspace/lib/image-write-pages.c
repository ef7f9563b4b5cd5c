// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-write-pages.c - writes PAGES sections.
 *
 * Pages with content collect in one raw buffer; when it holds a frame it is compressed and
 * written, the digests of its pages behind it, and only its entry in the frame table stays in memory.  A run never crosses a frame, so
 * it names one frame and a page in it.  Neighbouring runs of one kind are joined as they come.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zstd_errors.h>

#include "image-write.h"
#include "util.h"

/* Saving less than 1/32 is not worth a decompression at restore. */
#define WORTH_SHIFT	5

void pages_writer_free(struct pages_writer *p)
{
	ZSTD_freeCCtx(p->zstd);
	free(p->raw);
	free(p->packed);
	buf_free(&p->frames);
	buf_free(&p->runs);
	buf_free(&p->digests);
}

static int pages_writer_alloc(struct image_writer *w)
{
	struct pages_writer *p = &w->pages;

	if (p->zstd)
		return 0;
	p->packed_size = ZSTD_compressBound(w->frame_size);
	p->raw = malloc(w->frame_size);
	p->packed = malloc(p->packed_size);
	p->zstd = ZSTD_createCCtx();
	if (!p->raw || !p->packed || !p->zstd)
		return -ENOMEM;
	/* the checksum proves that what was compressed is what comes out again */
	if (ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, w->level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1)))
		return -EINVAL;
	return 0;
}

int image_writer_begin_pages(struct image_writer *w, uint32_t owner, struct ckpt_err *err)
{
	struct pages_writer *p = &w->pages;
	int ret;

	ret = writer_expect(w, WRITER_IDLE, "begin pages", err);
	if (ret)
		return ret;
	ret = pages_writer_alloc(w);
	if (ret)
		return writer_fail(w, ckpt_err_sys(err, ret, "%s: buffers for frames of %u bytes",
						   w->label, w->frame_size));
	p->raw_len = 0;
	p->frames.len = 0;
	p->runs.len = 0;
	p->digests.len = 0;
	p->next_addr = 0;
	p->full = false;
	memset(&p->stats, 0, sizeof(p->stats));
	ret = writer_begin_section(w, IMAGE_PAGES, owner, 0, err);
	if (!ret)
		w->state = WRITER_PAGES;
	return ret;
}

static int flush_frame(struct image_writer *w, struct ckpt_err *err)
{
	struct pages_writer *p = &w->pages;
	struct image_frame_disk frame = {
		.offset = w->off - w->cur.offset,
		.stored_size = p->raw_len,
		.raw_size = p->raw_len,
		.codec = IMAGE_CODEC_RAW,
	};
	const void *stored = p->raw;
	size_t packed;
	int ret;

	if (!p->raw_len)
		return 0;
	packed = ZSTD_compress2(p->zstd, p->packed, p->packed_size, p->raw, p->raw_len);
	if (ZSTD_isError(packed) && ZSTD_getErrorCode(packed) == ZSTD_error_memory_allocation)
		return writer_fail(w, ckpt_err_sys(err, ENOMEM, "%s: compression", w->label));
	if (ZSTD_isError(packed))
		return writer_fail(w, ckpt_err_set(err, EIO, "%s: compression failed: %s",
						   w->label, ZSTD_getErrorName(packed)));
	if (packed < p->raw_len - (p->raw_len >> WORTH_SHIFT)) {
		stored = p->packed;
		frame.stored_size = packed;
		frame.codec = IMAGE_CODEC_ZSTD;
	}
	util_hash(stored, frame.stored_size, frame.hash);
	ret = buf_append(&p->frames, &frame, sizeof(frame));
	if (ret)
		return writer_fail(w, ckpt_err_sys(err, ret, "%s: frame table", w->label));
	p->stats.frames++;
	p->stats.stored_bytes += frame.stored_size;
	p->raw_len = 0;
	ret = writer_emit(w, stored, frame.stored_size, err);
	if (!ret)
		ret = writer_pad(w, err);
	if (!ret)
		ret = writer_emit(w, p->digests.data, p->digests.len, err);
	p->digests.len = 0;
	return ret;
}

/* Whether @run goes on where @last ends, with its content going on too. */
static bool can_join(const struct image_writer *w, const struct image_run_disk *last,
		     const struct image_run_disk *run)
{
	uint64_t bytes = last->npages * w->page_size;

	if (last->kind != run->kind || last->addr + bytes != run->addr)
		return false;
	switch (run->kind) {
	case IMAGE_RUN_DATA:
		return last->frame == run->frame && last->page + last->npages == run->page;
	case IMAGE_RUN_FILE:
		return last->file_offset + bytes == run->file_offset;
	default:
		return true;
	}
}

static int put_run(struct image_writer *w, const struct image_run_disk *run, struct ckpt_err *err)
{
	struct pages_writer *p = &w->pages;
	struct image_run_disk *last;
	int ret;

	if (p->runs.len) {
		last = (void *)(p->runs.data + p->runs.len - sizeof(*last));
		if (can_join(w, last, run)) {
			last->npages += run->npages;
			return 0;
		}
	}
	ret = buf_append(&p->runs, run, sizeof(*run));
	if (ret)
		return writer_fail(w, ckpt_err_sys(err, ret, "%s: page index", w->label));
	p->stats.runs++;
	return 0;
}

/* Rising, disjoint, whole pages, within the address space; an empty run is none. */
static int claim_range(struct image_writer *w, uint64_t addr, uint64_t npages,
		       struct ckpt_err *err)
{
	struct pages_writer *p = &w->pages;
	uint64_t bytes, last;
	int ret;

	ret = writer_expect(w, WRITER_PAGES, "add run", err);
	if (ret)
		return ret;
	if (!npages)
		return 0;
	if (addr % w->page_size || addr < p->next_addr || p->full ||
	    __builtin_mul_overflow(npages, (uint64_t)w->page_size, &bytes) ||
	    __builtin_add_overflow(addr, bytes - 1, &last))
		return writer_fail(w, ckpt_err_set(err, EINVAL,
						   "%s: run of %llu pages at 0x%llx: below 0x%llx, unaligned or too long",
						   w->label, (unsigned long long)npages,
						   (unsigned long long)addr,
						   (unsigned long long)p->next_addr));
	p->next_addr = last + 1;
	p->full = !p->next_addr;
	return 0;
}

static int put_digest(struct image_writer *w, const void *page, struct ckpt_err *err)
{
	uint8_t digest[IMAGE_HASH_SIZE];
	int ret;

	image_page_digest(page, w->page_size, w->header.digest_seed, digest);
	ret = buf_append(&w->pages.digests, digest, sizeof(digest));
	return ret ? writer_fail(w, ckpt_err_sys(err, ret, "%s: digests", w->label)) : 0;
}

static int put_data_page(struct image_writer *w, uint64_t addr, const void *page,
			 struct ckpt_err *err)
{
	struct pages_writer *p = &w->pages;
	struct image_run_disk run = {
		.addr = addr,
		.npages = 1,
		.kind = IMAGE_RUN_DATA,
	};

	int ret;

	if (p->stats.frames >= UINT32_MAX)
		return writer_fail(w, ckpt_err_set(err, EFBIG, "%s: too many frames", w->label));
	ret = put_digest(w, page, err);
	if (ret)
		return ret;
	run.frame = p->stats.frames;
	run.page = p->raw_len / w->page_size;
	memcpy(p->raw + p->raw_len, page, w->page_size);
	p->raw_len += w->page_size;
	p->stats.data_pages++;
	return put_run(w, &run, err);
}

static int put_zero(struct image_writer *w, uint64_t addr, uint64_t npages, struct ckpt_err *err)
{
	struct image_run_disk run = {
		.addr = addr,
		.npages = npages,
		.kind = IMAGE_RUN_ZERO,
	};

	w->pages.stats.zero_pages += npages;
	return put_run(w, &run, err);
}

int image_writer_data(struct image_writer *w, uint64_t addr, uint64_t npages, const void *data,
		      struct ckpt_err *err)
{
	const unsigned char *page = data;
	int ret;

	ret = claim_range(w, addr, npages, err);
	for (; !ret && npages; npages--, addr += w->page_size, page += w->page_size) {
		if (util_is_zero(page, w->page_size)) {
			ret = put_zero(w, addr, 1, err);
			continue;
		}
		ret = put_data_page(w, addr, page, err);
		if (!ret && w->pages.raw_len == w->frame_size)
			ret = flush_frame(w, err);
	}
	return ret;
}

int image_writer_zero(struct image_writer *w, uint64_t addr, uint64_t npages,
		      struct ckpt_err *err)
{
	int ret = claim_range(w, addr, npages, err);

	return ret || !npages ? ret : put_zero(w, addr, npages, err);
}

int image_writer_file(struct image_writer *w, uint64_t addr, uint64_t npages,
		      uint64_t file_offset, struct ckpt_err *err)
{
	struct image_run_disk run = {
		.addr = addr,
		.npages = npages,
		.kind = IMAGE_RUN_FILE,
		.file_offset = file_offset,
	};
	int ret = claim_range(w, addr, npages, err);

	if (ret || !npages)
		return ret;
	w->pages.stats.file_pages += npages;
	return put_run(w, &run, err);
}

int image_writer_gone(struct image_writer *w, uint64_t addr, uint64_t npages,
		      struct ckpt_err *err)
{
	struct image_run_disk run = {
		.addr = addr,
		.npages = npages,
		.kind = IMAGE_RUN_GONE,
	};
	int ret = claim_range(w, addr, npages, err);

	if (ret || !npages)
		return ret;
	if (!(w->header.incompat & IMAGE_INCOMPAT_DELTA))
		return writer_fail(w, ckpt_err_set(err, EINVAL,
						   "%s: pages gone, in an image without a parent",
						   w->label));
	w->pages.stats.gone_pages += npages;
	return put_run(w, &run, err);
}

static int put_index(struct image_writer *w, struct ckpt_err *err)
{
	struct pages_writer *p = &w->pages;
	struct image_pages_footer_disk foot = {
		.magic = IMAGE_PAGES_MAGIC,
		.footer_size = sizeof(foot),
		.frame_pages = w->frame_size / w->page_size,
		.frames = p->stats.frames,
		.runs = p->stats.runs,
		.frames_offset = w->off - w->cur.offset,
		.runs_offset = w->off - w->cur.offset + p->frames.len,
		.data_pages = p->stats.data_pages,
		.zero_pages = p->stats.zero_pages,
		.file_pages = p->stats.file_pages,
		.gone_pages = p->stats.gone_pages,
		.stored_bytes = p->stats.stored_bytes,
	};
	int ret;

	ret = image_index_hash(&p->frames, &p->runs, &foot, foot.hash);
	if (ret)
		return writer_fail(w, ckpt_err_sys(err, ret, "%s: page index", w->label));
	ret = writer_emit(w, p->frames.data, p->frames.len, err);
	if (!ret)
		ret = writer_emit(w, p->runs.data, p->runs.len, err);
	if (!ret)
		ret = writer_emit(w, &foot, sizeof(foot), err);
	return ret;
}

int image_writer_end_pages(struct image_writer *w, struct ckpt_err *err,
			   struct image_pages_stats *ret_stats)
{
	int ret;

	ret = writer_expect(w, WRITER_PAGES, "end pages", err);
	if (!ret)
		ret = flush_frame(w, err);
	if (!ret)
		ret = put_index(w, err);
	if (!ret)
		ret = writer_end_section(w, err);
	if (!ret && ret_stats)
		*ret_stats = w->pages.stats;
	return ret;
}
