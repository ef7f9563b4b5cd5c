// SPDX-License-Identifier: LGPL-2.1-or-later
/* nameless.c - see nameless.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "nameless.h"
#include "state.h"
#include "util.h"

#define MEMFD		"/memfd:"
#define NO_FILE		(CKPT_VMA_ANON | CKPT_VMA_SHMEM | CKPT_VMA_VDSO | CKPT_VMA_SPECIAL | \
			 CKPT_VMA_HUGETLB | CKPT_VMA_PFNMAP | CKPT_VMA_DAX)

bool nameless_is_memfd(const char *path, uint32_t path_flags)
{
	return path && path_flags & CKPT_PATHF_NO_NAME && !strncmp(path, MEMFD, strlen(MEMFD));
}

bool nameless_maps(const struct ckpt_model_vma *v)
{
	const struct ckpt_rec_vma *r = &v->rec;

	if (r->flags & (NO_FILE | CKPT_VMA_SYSVSHM) || !S_ISREG(r->id.mode))
		return false;
	return r->path_flags == CKPT_PATHF_DELETED || nameless_is_memfd(v->path, r->path_flags);
}

static bool same_id(const struct ckpt_file_id *a, const struct ckpt_file_id *b)
{
	return a->ino == b->ino && a->dev == b->dev;
}

bool nameless_maps_file(const struct ckpt_model_vma *v, const struct ckpt_file_id *id)
{
	return nameless_maps(v) && same_id(&v->rec.id, id);
}

/* The inode number of a segment is its own number, so that a memfd may have the same. */
bool nameless_same(const struct ckpt_model_vma *a, const struct ckpt_model_vma *b)
{
	const uint64_t kinds = NO_FILE | CKPT_VMA_SYSVSHM;

	return !((a->rec.flags ^ b->rec.flags) & kinds) && same_id(&a->rec.id, &b->rec.id);
}

/*
 * One that was mapped shared behind a seal against writing can never be written.  Opened for reading alone it
 * comes back as that, and does not stand in the way of the seal.
 */
int nameless_access(const struct ckpt_model_vma *v)
{
	const uint64_t both = CKPT_VMA_SHARED | CKPT_VMA_MAYWRITE;

	return (v->rec.flags & both) == both ? O_RDWR : O_RDONLY;
}

/* ------------------------------------------------------------------- what is in pages */

struct range {
	uint64_t start, end;
};

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* module/area.c: what is mapped VM_SHARED is copied through the file, whatever the page tables have of it. */
static bool in_pages(const struct ckpt_model_vma *o, const struct ckpt_file_id *id,
		     const struct ckpt_model_vma *v)
{
	return o->rec.flags & CKPT_VMA_SHARED &&
	       (v ? nameless_same(o, v) : nameless_maps_file(o, id));
}

/* Ascending, up to the end of the file; to be freed.  NULL: no memory. */
static struct range *list_ranges(const struct ckpt_model *model, const struct ckpt_file_id *id,
				 const struct ckpt_model_vma *v, size_t *ret_nr)
{
	size_t room = 1;
	struct range *ranges;

	for (size_t k = 0; k < ckpt_set_size(model); k++)
		for (size_t i = 0; i < ckpt_set_model(model, k)->nr_vmas; i++)
			room += in_pages(&ckpt_set_model(model, k)->vmas[i], id, v);
	*ret_nr = 0;
	ranges = calloc(room, sizeof(*ranges));
	for (size_t k = 0; ranges && k < ckpt_set_size(model); k++) {
		const struct ckpt_model *m = ckpt_set_model(model, k);

		for (size_t i = 0; i < m->nr_vmas; i++) {
			const struct ckpt_rec_vma *o = &m->vmas[i].rec;
			uint64_t end;

			if (!in_pages(&m->vmas[i], id, v) || o->pgoff >= id->size)
				continue;
			if (__builtin_add_overflow(o->pgoff, o->end - o->start, &end) || end > id->size)
				end = id->size;
			ranges[(*ret_nr)++] = (struct range){ o->pgoff, end };
		}
	}
	if (ranges)
		qsort(ranges, *ret_nr, sizeof(*ranges), by_start);
	return ranges;
}

/*
 * The next bytes that are in none of @ranges, from @at on.  False: there are none.
 */
static bool next_gap(const struct range *ranges, size_t nr, uint64_t size, uint64_t at, struct range *ret)
{
	for (size_t i = 0; i < nr && ranges[i].start <= at; i++)
		at = ranges[i].end > at ? ranges[i].end : at;
	*ret = (struct range){ at, size };
	for (size_t i = 0; i < nr; i++)
		if (ranges[i].start > at) {
			ret->end = ranges[i].start;
			break;
		}
	return at < size;
}

uint64_t nameless_length(const struct ckpt_model *model, const struct ckpt_file_id *id,
			 const struct ckpt_model_vma *v)
{
	struct range gap = { 0, 0 };
	uint64_t length = 0;
	size_t nr;
	struct range *ranges = list_ranges(model, id, v, &nr);

	if (!ranges)
		return id->size;	/* at most */
	while (next_gap(ranges, nr, id->size, gap.end, &gap))
		length = gap.end;
	free(ranges);
	return length;
}

int nameless_read(const struct ckpt_model *model, const struct ckpt_file_id *id,
		  const struct ckpt_model_vma *v, int fd, struct buf *content)
{
	struct range gap = { 0, 0 };
	uint64_t at = 0;
	size_t nr;
	struct range *ranges = list_ranges(model, id, v, &nr);
	int ret = ranges ? buf_reserve(content, nameless_length(model, id, v) + 1) : -ENOMEM;

	while (!ret && next_gap(ranges, nr, id->size, gap.end, &gap)) {
		unsigned char *to = content->data + content->len - at;

		memset(to + at, 0, gap.start - at);
		ret = util_pread_full(fd, to + gap.start, gap.end - gap.start, gap.start);
		content->len += gap.end - at;
		at = gap.end;
	}
	free(ranges);
	return ret;
}
