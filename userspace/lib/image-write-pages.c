// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-write-pages.c - writes PAGES sections, and FILE sections, which are made in the same way.
 *
 * Pages with content collect in a buffer of the packer's; when it holds a frame it is compressed there,
 * beside others, and written when its turn comes, the digests of its pages behind it.  Only its entry in
 * the frame table stays in memory.  A run never crosses a frame, so it names one frame and a page in it.
 * Neighbouring runs of one kind are joined as they come.
 *
 * IMAGE_LEVEL_AUTO: compression and disk work side by side, and who is slower tells how long it takes.
 * While this thread mostly waits for frames to be compressed a lower level is better, while it mostly
 * waits for the disk a higher one; near each other both stay.  Only speed and size depend on it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image-write.h"
#include "util.h"

static const int8_t levels[] = { -3, -1, 1, 2, 3, 4, 5 };
#define LEVEL_FIRST	2	/* the one to begin with */
#define LEVEL_FRAMES	8	/* between two looks */

void pages_writer_free(struct pages_writer *p)
{
	frame_packer_free(p->packer);
	buf_free(&p->frames);
	buf_free(&p->runs);
}

static int pages_writer_alloc(struct image_writer *w)
{
	const struct frame_pack_params params = {
		.frame_size = w->frame_size, .page_size = w->page_size,
		.seed = w->header.digest_seed, .threads = w->threads,
	};

	if (w->pages.packer)
		return 0;
	w->pages.level = LEVEL_FIRST;
	return frame_packer_new(&params, &w->pages.packer);
}

static int begin_runs(struct image_writer *w, enum image_kind kind, uint32_t owner, uint32_t sub,
		      struct ckpt_err *err)
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
	p->submitted = 0;
	p->frames.len = 0;
	p->runs.len = 0;
	p->next_addr = 0;
	p->full = false;
	memset(&p->stats, 0, sizeof(p->stats));
	ret = writer_begin_section(w, kind, owner, sub, err);
	if (!ret) {
		const struct crypt_piece section = writer_piece(w);

		frame_packer_seal(p->packer, w->crypt, &section);
		w->state = WRITER_PAGES;
	}
	return ret;
}

int image_writer_begin_pages(struct image_writer *w, uint32_t owner, struct ckpt_err *err)
{
	return begin_runs(w, IMAGE_PAGES, owner, 0, err);
}

int image_writer_begin_file(struct image_writer *w, uint32_t owner, uint32_t sub,
			    struct ckpt_err *err)
{
	return begin_runs(w, IMAGE_FILE, owner, sub, err);
}

static int frame_level(const struct image_writer *w)
{
	return w->level == IMAGE_LEVEL_AUTO ? levels[w->pages.level] : w->level;
}

static void adjust_level(struct pages_writer *p)
{
	if (p->stats.frames % LEVEL_FRAMES)
		return;
	if (p->packing_ns > 2 * p->writing_ns && p->level)
		p->level--;
	else if (p->writing_ns > 2 * p->packing_ns && p->level + 1 < sizeof(levels))
		p->level++;
	p->packing_ns = 0;
	p->writing_ns = 0;
}

static int emit_frame(struct image_writer *w, const struct packed_frame *f, struct ckpt_err *err)
{
	uint64_t begin = util_clock_ns(CLOCK_MONOTONIC);
	int ret = writer_emit(w, f->stored, f->stored_size, err);

	if (!ret)
		ret = writer_pad(w, err);
	if (!ret)
		ret = writer_emit(w, f->digests, f->digests_size, err);
	w->pages.writing_ns += util_clock_ns(CLOCK_MONOTONIC) - begin;
	return ret;
}

/* Write the oldest frame that is not written; waits until it is compressed. */
static int write_frame(struct image_writer *w, struct ckpt_err *err)
{
	struct pages_writer *p = &w->pages;
	uint64_t begin = util_clock_ns(CLOCK_MONOTONIC);
	struct image_frame_disk frame;
	struct packed_frame f;
	int ret = frame_packer_take(p->packer, &f);

	p->packing_ns += util_clock_ns(CLOCK_MONOTONIC) - begin;
	if (ret)
		return writer_fail(w, ckpt_err_sys(err, ret, "%s: compression", w->label));
	frame = (struct image_frame_disk){
		.offset = w->off - w->cur.offset,
		.stored_size = f.stored_size,
		.raw_size = f.raw_size,
		.codec = f.codec,
	};
	memcpy(frame.hash, f.hash, sizeof(frame.hash));
	ret = buf_append(&p->frames, &frame, sizeof(frame));
	if (ret)
		return writer_fail(w, ckpt_err_sys(err, ret, "%s: frame table", w->label));
	p->stats.frames++;
	p->stats.stored_bytes += frame.stored_size;
	ret = emit_frame(w, &f, err);
	adjust_level(p);
	return ret;
}

static int end_frame(struct image_writer *w, struct ckpt_err *err)
{
	struct pages_writer *p = &w->pages;
	uint64_t begin = util_clock_ns(CLOCK_MONOTONIC);
	int ret = 0;

	if (!p->raw_len)
		return 0;
	frame_packer_submit(p->packer, p->raw_len, frame_level(w));
	p->packing_ns += util_clock_ns(CLOCK_MONOTONIC) - begin;
	p->submitted++;
	p->raw_len = 0;
	while (!ret && frame_packer_full(p->packer))
		ret = write_frame(w, err);
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
	case IMAGE_RUN_SHARED:
		return last->source == run->source && last->frame == run->frame &&
		       last->page + last->npages == run->page;
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

static int put_shared(struct image_writer *w, uint64_t addr, const struct image_place *place,
		      struct ckpt_err *err)
{
	const struct image_run_disk run = {
		.addr = addr,
		.npages = 1,
		.kind = IMAGE_RUN_SHARED,
		.source = place->source,
		.frame = place->frame,
		.page = place->page,
	};

	w->pages.stats.shared_pages++;
	return put_run(w, &run, err);
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

	struct image_place place;

	if (w->share && w->share->find(w->share->arg, page, &place))
		return put_shared(w, addr, &place, err);
	if (p->submitted >= UINT32_MAX)
		return writer_fail(w, ckpt_err_set(err, EFBIG, "%s: too many frames", w->label));
	run.frame = p->submitted;
	run.page = p->raw_len / w->page_size;
	memcpy(frame_packer_room(p->packer) + p->raw_len, page, w->page_size);
	if (w->share)
		w->share->kept(w->share->arg, w->table.len / sizeof(struct image_section_disk),
			       run.frame, run.page);
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
			ret = end_frame(w, err);
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
		.shared_pages = p->stats.shared_pages,
		.stored_bytes = p->stats.stored_bytes,
	};
	int ret;

	if (w->crypt) {
		const struct crypt_piece section = writer_piece(w);

		image_index_mac(w->crypt, &section, &p->frames, &p->runs, &foot, foot.mac);
	}
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
		ret = end_frame(w, err);
	while (!ret && !frame_packer_empty(w->pages.packer))
		ret = write_frame(w, err);
	if (!ret)
		ret = put_index(w, err);
	if (!ret)
		ret = writer_end_section(w, err);
	if (!ret && ret_stats)
		*ret_stats = w->pages.stats;
	return ret;
}
