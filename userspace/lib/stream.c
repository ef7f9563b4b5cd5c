// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream.c - see stream.h.  Owns one buffer for the time of a call.  Reads consume: the module gives
 * up each page when it was handed out, so memory held falls as the stream goes on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "stream.h"
#include "util.h"

#define MAP_BATCH	1024		/* runs asked for at a time */
#define READ_BATCH	(4u << 20)	/* bytes; large enough that the calls do not count */
#define PIECES		8		/* with a limit, in a second: an even flow */
#define NSEC		1000000000ull

int stream_map_read(int snapshot, struct ckpt_err *err, struct stream_map *ret_map)
{
	struct stream_map map = { 0 };
	uint64_t at = 0;
	int ret;

	for (;;) {
		uint64_t next;
		uint32_t n;

		if (map.room - map.nr < MAP_BATCH) {
			size_t room = 2 * map.room + MAP_BATCH;
			struct ckpt_run *runs = reallocarray(map.runs, room, sizeof(*runs));

			if (!runs) {
				ret = ckpt_err_sys(err, ENOMEM, "map of the snapshot");
				break;
			}
			map.runs = runs;
			map.room = room;
		}
		ret = snapshot_map(snapshot, at, map.runs + map.nr, MAP_BATCH, err, &n, &next);
		if (ret || !n)
			break;
		for (uint32_t i = 0; i < n; i++)
			if (map.runs[map.nr + i].kind == CKPT_RUN_DATA)
				map.data_bytes += map.runs[map.nr + i].len;
		map.nr += n;
		if (next <= at) {
			ret = ckpt_err_set(err, EIO, "map of the snapshot: does not go forward");
			break;
		}
		at = next;
	}
	if (ret) {
		stream_map_free(&map);
		return ret;
	}
	*ret_map = map;
	return 0;
}

void stream_map_free(struct stream_map *map)
{
	free(map->runs);
	memset(map, 0, sizeof(*map));
}

int stream_map_check(const struct stream_map *map, const struct ckpt_model *model,
		     const struct chain *parent, struct ckpt_err *err)
{
	for (size_t i = 0; i < map->nr; i++) {
		const struct ckpt_run *run = &map->runs[i];
		const struct ckpt_model_vma *vma = ckpt_model_vma(model, run->start);
		unsigned long long start = run->start;

		if (!vma || run->start + run->len > vma->rec.end)
			return ckpt_err_set(err, EIO, "map of the snapshot: %#llx is in no mapping",
					    start);
		switch (run->kind) {
		case CKPT_RUN_DATA:
		case CKPT_RUN_ZERO:
		case CKPT_RUN_FILE:
		case CKPT_RUN_OTHER:
			break;
		case CKPT_RUN_PARENT:
			if (parent && chain_has(parent, run->start,
						run->len / model->system.page_size))
				break;
			return ckpt_err_set(err, EIO, "map of the snapshot: %#llx is to be as in "
					    "the parent, which does not have it", start);
		case CKPT_RUN_OPAQUE:
			if (vma->rec.flags & (CKPT_VMA_VDSO | CKPT_VMA_SPECIAL))
				break;
			ckpt_err_set(err, EOPNOTSUPP, "mapping %#llx%s%s%s: is memory of a device",
				     start, vma->path ? " (" : "", vma->path ? vma->path : "",
				     vma->path ? ")" : "");
			ckpt_err_hint(err, "close the device before the snapshot");
			return -EOPNOTSUPP;
		default:
			return ckpt_err_set(err, EOPNOTSUPP,
					    "map of the snapshot: %#llx is of unknown kind %u",
					    start, run->kind);
		}
	}
	return 0;
}

struct stream {
	const struct stream_job	*job;
	uint64_t		page_size;
	char			*buf;		/* READ_BATCH */
	uint64_t		batch;		/* bytes to read at a time */
	uint64_t		due_ns;		/* with a limit: when what was read may have been */
	uint64_t		done;
	uint64_t		begin_gap;	/* behind the last run */
	struct stream_stats	stats;
	struct ckpt_err		*err;
};

/*
 * Pages that are marked as changed and are not: rewritten values, and what shares a huge page or a
 * fault with a change.  What is left goes out in stretches.
 */
static int write_changed(struct stream *s, uint64_t addr, const char *data, uint64_t npages)
{
	uint64_t begin = 0;
	int ret = 0;

	for (uint64_t i = 0; !ret && i <= npages; i++) {
		const char *page = data + i * s->page_size;

		if (i < npages && !chain_same_page(s->job->parent, addr + i * s->page_size, page))
			continue;
		if (i > begin)
			ret = image_writer_data(s->job->writer, addr + begin * s->page_size,
						i - begin, data + begin * s->page_size, s->err);
		s->stats.same_pages += i < npages;
		begin = i + 1;
	}
	return ret;
}

static int write_data(struct stream *s, uint64_t addr, size_t len)
{
	uint64_t npages = len / s->page_size;

	if (s->job->parent)
		return write_changed(s, addr, s->buf, npages);
	return image_writer_data(s->job->writer, addr, npages, s->buf, s->err);
}

static void set_batch(struct stream *s)
{
	uint64_t piece = s->job->bwlimit / PIECES;

	s->due_ns = util_clock_ns(CLOCK_MONOTONIC);
	s->batch = READ_BATCH;
	if (s->job->bwlimit && piece < s->batch)
		s->batch = piece < s->page_size ? s->page_size : piece - piece % s->page_size;
}

/*
 * Sleep until the @n bytes just read, with those before, are no more than the limit allows.  What was not
 * read while the disk was slow is not made up for.  A signal ends the sleep: progress() knows.
 */
static void keep_to_limit(struct stream *s, uint64_t n)
{
	const uint64_t limit = s->job->bwlimit;
	struct timespec due;
	uint64_t now;

	if (!limit)
		return;
	now = util_clock_ns(CLOCK_MONOTONIC);
	s->due_ns += (unsigned __int128)n * NSEC / limit;
	if (s->due_ns < now)
		s->due_ns = now;
	due = (struct timespec){ s->due_ns / NSEC, s->due_ns % NSEC };
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static int stream_data(struct stream *s, const struct ckpt_run *run)
{
	const struct stream_job *job = s->job;

	for (uint64_t off = 0; off < run->len;) {
		size_t n = run->len - off < s->batch ? run->len - off : s->batch;
		int ret = snapshot_read(job->snapshot, run->start + off, s->buf, n, s->err);

		if (!ret)
			ret = write_data(s, run->start + off, n);
		if (ret)
			return ret;
		off += n;
		s->done += n;
		keep_to_limit(s, n);
		if (job->progress)
			ret = job->progress(s->done, job->map->data_bytes, job->arg);
		if (ret)
			return ckpt_err_sys(s->err, ret, "stream of the memory");
	}
	return 0;
}

/* What the parent has between the last run and @end is there no more. */
static int stream_gap(struct stream *s, uint64_t end)
{
	const struct chain *parent = s->job->parent;
	int ret = 0;

	if (!parent)
		return 0;
	for (size_t i = chain_find(parent, s->begin_gap); !ret && i < chain_spans(parent); i++) {
		struct chain_span span;
		uint64_t last;

		chain_get_span(parent, i, &span);
		if (span.addr >= end)
			break;
		last = span.addr + span.npages * s->page_size;
		if (span.addr < s->begin_gap)
			span.addr = s->begin_gap;
		if (last > end)
			last = end;
		ret = image_writer_gone(s->job->writer, span.addr,
					(last - span.addr) / s->page_size, s->err);
	}
	return ret;
}

static int stream_run(struct stream *s, const struct ckpt_run *run,
		      const struct ckpt_model_vma *vma)
{
	uint64_t npages = run->len / s->page_size;
	int ret;

	/* The image knows nothing of it here, as of a gap.  What is opaque was checked. */
	if (run->kind == CKPT_RUN_OPAQUE || run->kind == CKPT_RUN_OTHER ||
	    omit_has(s->job->omit, s->job->model, vma))
		return 0;
	ret = stream_gap(s, run->start);
	s->begin_gap = run->start + run->len;
	if (ret)
		return ret;
	switch (run->kind) {
	case CKPT_RUN_DATA:
		return stream_data(s, run);
	case CKPT_RUN_ZERO:
		return image_writer_zero(s->job->writer, run->start, npages, s->err);
	case CKPT_RUN_FILE:
		return image_writer_file(s->job->writer, run->start, npages,
					 vma->rec.pgoff + (run->start - vma->rec.start), s->err);
	default:
		return 0;		/* PARENT, and checked */
	}
}

int stream_pages(const struct stream_job *job, struct ckpt_err *err,
		 struct stream_stats *ret_stats)
{
	const struct stream_map *map = job->map;
	struct stream s = {
		.job = job, .page_size = job->model->system.page_size, .err = err,
	};
	int ret;

	s.buf = mmap(NULL, READ_BATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s.buf == MAP_FAILED)
		return ckpt_err_sys(err, errno, "buffer for the stream");
	set_batch(&s);
	ret = image_writer_begin_pages(job->writer, job->model->proc.pid, err);
	for (size_t i = 0; !ret && i < map->nr; i++)
		ret = stream_run(&s, &map->runs[i],
				 ckpt_model_vma(job->model, map->runs[i].start));
	if (!ret)
		ret = stream_gap(&s, UINT64_MAX);
	if (!ret)
		ret = image_writer_end_pages(job->writer, err, &s.stats.pages);
	if (!ret)
		*ret_stats = s.stats;
	munmap(s.buf, READ_BATCH);
	return ret;
}
