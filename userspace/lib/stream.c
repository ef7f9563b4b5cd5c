// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stream.c - see stream.h.  Owns one buffer for the time of a call.  Reads consume: the module gives
 * up each page when it was handed out, so memory held falls as the stream goes on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "stream.h"

#define MAP_BATCH	1024		/* runs asked for at a time */
#define READ_BATCH	(4u << 20)	/* bytes; large enough that the calls do not count */

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
		     struct ckpt_err *err)
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
			break;
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
	int			snapshot;
	struct image_writer	*writer;
	uint64_t		page_size;
	void			*buf;		/* READ_BATCH */
	uint64_t		done;
	uint64_t		total;
	stream_progress_fn	progress;
	void			*arg;
	struct ckpt_err		*err;
};

static int stream_data(struct stream *s, const struct ckpt_run *run)
{
	for (uint64_t off = 0; off < run->len;) {
		size_t n = run->len - off < READ_BATCH ? run->len - off : READ_BATCH;
		int ret = snapshot_read(s->snapshot, run->start + off, s->buf, n, s->err);

		if (!ret)
			ret = image_writer_data(s->writer, run->start + off, n / s->page_size,
						s->buf, s->err);
		if (ret)
			return ret;
		off += n;
		s->done += n;
		if (s->progress)
			ret = s->progress(s->done, s->total, s->arg);
		if (ret)
			return ckpt_err_sys(s->err, ret, "stream of the memory");
	}
	return 0;
}

static int stream_run(struct stream *s, const struct ckpt_run *run,
		      const struct ckpt_model_vma *vma)
{
	uint64_t npages = run->len / s->page_size;

	switch (run->kind) {
	case CKPT_RUN_DATA:
		return stream_data(s, run);
	case CKPT_RUN_ZERO:
		return image_writer_zero(s->writer, run->start, npages, s->err);
	case CKPT_RUN_FILE:
		return image_writer_file(s->writer, run->start, npages,
					 vma->rec.pgoff + (run->start - vma->rec.start), s->err);
	default:
		return 0;		/* OPAQUE, and checked */
	}
}

int stream_pages(int snapshot, const struct stream_map *map, const struct ckpt_model *model,
		 struct image_writer *w, stream_progress_fn progress, void *arg,
		 struct ckpt_err *err, struct image_pages_stats *ret_stats)
{
	struct stream s = {
		.snapshot = snapshot, .writer = w, .page_size = model->system.page_size,
		.total = map->data_bytes, .progress = progress, .arg = arg, .err = err,
	};
	int ret;

	s.buf = mmap(NULL, READ_BATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s.buf == MAP_FAILED)
		return ckpt_err_sys(err, errno, "buffer for the stream");
	ret = image_writer_begin_pages(w, model->proc.pid, err);
	for (size_t i = 0; !ret && i < map->nr; i++)
		ret = stream_run(&s, &map->runs[i], ckpt_model_vma(model, map->runs[i].start));
	if (!ret)
		ret = image_writer_end_pages(w, err, ret_stats);
	munmap(s.buf, READ_BATCH);
	return ret;
}
