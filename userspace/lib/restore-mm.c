// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-mm.c - the address space of the child: emptied, then rebuilt.
 *
 *  1. restore_mm_empty(): a small area at an address that is free in both
 *     layouts, ours and the program's, holds a syscall instruction and scratch
 *     memory.  vdso and vvar move behind it, all else goes.
 *  2. restore_mm_map(): every mapping with its final address and protection;
 *     vdso and vvar move to where the program knows them.
 *  3. restore-fill.c puts the contents in.
 *  4. restore_mm_finish(): advice, locks, the numbers of the address space.
 *  5. restore_mm_leave(): the area goes, last of all.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "remote-queue.h"
#include "restore-priv.h"

/* Distance to other mappings: a stack grows up to this close. */
#define GAP_MARGIN	(2ULL << 20)
#define GAP_FIRST	(4ULL << 30)

#define HUGE_SHIFT	26

#define PKEYS		16
#define PKEY_OF(flags)	((flags) >> CKPT_VMA_PKEY_SHIFT & (PKEYS - 1))

/* linux/prctl.h of newer kernels */
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE	8	/* since Linux 6.11 */
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE		65
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE	67
#endif
#define MDWE_REFUSE_EXEC_GAIN	1UL
#define MDWE_NO_INHERIT		2UL
#define THP_EXCEPT_ADVISED	2UL

/* In the page of code: a lone syscall instruction, then the loop. */
#define LOOP_OFFSET	16

struct range {
	uint64_t start, end;
};

struct layout {
	struct range *ranges;
	size_t nr;
};

/* ------------------------------------------------------------ a place to work from */

static int add_special(struct restore *rs, const char *name, uint64_t start, uint64_t end)
{
	struct special *s;

	if (strcmp(name, "[vdso]") && strncmp(name, "[vvar", 5))
		return 0;
	if (rs->nr_specials == NR_SPECIAL || strlen(name) >= sizeof(s->name))
		return ckpt_err_set(rs->err, -EOPNOTSUPP, "this kernel's vdso is not understood");
	s = &rs->specials[rs->nr_specials++];
	strcpy(s->name, name);
	s->start = start;
	s->len = end - start;
	return 0;
}

static int parse_maps(struct restore *rs, FILE *f, struct layout *l)
{
	uint64_t start, end;
	size_t cap = 0;
	char line[4400];

	while (fgets(line, sizeof(line), f)) {
		char *name = strrchr(line, ' ');
		int r;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2)
			return ckpt_err_set(rs->err, -EIO, "/proc/%d/maps: %s", rs->pid, line);
		if (start >= RESTORE_TASK_END)
			continue;
		if (l->nr == cap) {
			struct range *p;

			cap = cap ? 2 * cap : 64;
			p = reallocarray(l->ranges, cap, sizeof(*p));
			if (!p)
				return ckpt_err_set(rs->err, -ENOMEM, "no memory");
			l->ranges = p;
		}
		l->ranges[l->nr++] = (struct range){ start, end };
		if (!name || name[1] != '[')
			continue;
		name[1 + strcspn(name + 1, "\n")] = 0;
		r = add_special(rs, name + 1, start, end);
		if (r)
			return r;
	}
	return 0;
}

static int read_layout(struct restore *rs, struct layout *l)
{
	char path[32];
	FILE *f;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/maps", rs->pid);
	f = fopen(path, "re");
	if (!f)
		return ckpt_err_sys(rs->err, errno, "%s", path);
	r = parse_maps(rs, f, l);
	fclose(f);
	return r;
}

/* The end of what is in the way of [@at, @at + @size), 0 when nothing is. */
static uint64_t obstacle(const struct restore *rs, const struct layout *l, uint64_t at,
			 uint64_t size)
{
	uint64_t lo = at - GAP_MARGIN, hi = at + size + GAP_MARGIN;

	for (size_t i = 0; i < rs->m->nr_vmas; i++)
		if (rs->m->vmas[i].rec.start < hi && rs->m->vmas[i].rec.end > lo)
			return rs->m->vmas[i].rec.end;
	for (size_t i = 0; i < l->nr; i++)
		if (l->ranges[i].start < hi && l->ranges[i].end > lo)
			return l->ranges[i].end;
	return 0;
}

static int find_gap(struct restore *rs, const struct layout *l, uint64_t size, uint64_t *ret)
{
	uint64_t at = GAP_FIRST, end;

	while (at < RESTORE_TASK_END && size < RESTORE_TASK_END - at - GAP_MARGIN) {
		end = obstacle(rs, l, at, size);
		if (!end) {
			*ret = at;
			return 0;
		}
		at = end + GAP_MARGIN;
	}
	return ckpt_err_set(rs->err, -ENOMEM, "no free addresses for %llu bytes",
			    (unsigned long long)size);
}

static int write_code(struct restore *rs)
{
	static const unsigned char code[LOOP_OFFSET] = { 0x0f, 0x05, 0x0f, 0x0b }; /* syscall; ud2 */
	int e = remote_write(leader(rs), rs->err, rs->area, code, sizeof(code));

	return e ? e : remote_write(leader(rs), rs->err, rs->area + LOOP_OFFSET, remote_queue_code,
				    (size_t)(remote_queue_code_end - remote_queue_code));
}

static int map_area(struct restore *rs)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	struct remote *r = leader(rs);
	int e;

	e = remote_call(r, rs->err, "map the restorer's code", SYS_mmap,
			REMOTE_ARGS(rs->area, AREA_CODE, PROT_READ | PROT_EXEC, (uint64_t)flags,
				    ~0ULL, 0), NULL);
	if (!e)
		e = remote_call(r, rs->err, "map the restorer's memory", SYS_mmap,
				REMOTE_ARGS(rs->area + AREA_CODE, AREA_SCRATCH,
					    PROT_READ | PROT_WRITE, (uint64_t)flags, ~0ULL, 0),
				NULL);
	if (!e)
		e = write_code(rs);
	if (e)
		return e;
	r->insn = rs->area;
	r->loop = rs->area + LOOP_OFFSET;
	r->scratch = rs->area + AREA_CODE;
	r->scratch_len = AREA_SCRATCH;
	return 0;
}

static int move_special(struct remote_queue *q, struct special *s, uint64_t to)
{
	uint64_t from = s->start;

	s->start = to;
	return remote_queue_add(q, SYS_mremap,
				REMOTE_ARGS(from, s->len, s->len, MREMAP_MAYMOVE | MREMAP_FIXED,
					    to),
				"move %s to %#llx", s->name, (unsigned long long)to);
}

static int unmap(struct remote_queue *q, const char *what, uint64_t start, uint64_t end)
{
	return remote_queue_add(q, SYS_munmap, REMOTE_ARGS(start, end - start), "unmap %s", what);
}

/* vdso and vvar out of the way, then all else goes. */
static int empty(struct restore *rs, struct remote_queue *q)
{
	uint64_t at = rs->area + AREA_CODE + AREA_SCRATCH, end = rs->area + AREA_SIZE;
	int r = 0;

	for (size_t i = 0; !r && i < rs->nr_specials; i++) {
		if (rs->specials[i].len > end - at)
			return ckpt_err_set(rs->err, -EOPNOTSUPP,
					    "this kernel's %s is larger than expected",
					    rs->specials[i].name);
		r = move_special(q, &rs->specials[i], at);
		at += rs->specials[i].len;
	}
	if (!r)
		r = unmap(q, "all below the restorer", 0, rs->area);
	if (!r)
		r = unmap(q, "all above the restorer", end, RESTORE_TASK_END);
	return r ? r : remote_queue_run(q);
}

int restore_mm_empty(struct restore *rs)
{
	struct remote_queue q;
	struct layout l = { 0 };
	int r = read_layout(rs, &l);

	if (!r)
		r = find_gap(rs, &l, AREA_SIZE, &rs->area);
	free(l.ranges);
	if (!r)
		r = map_area(rs);
	if (!r)
		r = restore_rseq_drop(rs);
	if (!r)
		r = remote_queue_begin(&q, leader(rs), rs->err);
	if (r)
		return r;
	r = empty(rs, &q);
	remote_queue_end(&q);
	return r;
}

/* ------------------------------------------------------------ mappings */

static int add_vma(struct remote_queue *q, const struct ckpt_model_vma *v, const char *what,
		   long nr, const uint64_t args[6])
{
	return remote_queue_add(q, nr, args, "%s %llx-%llx%s%s", what,
				(unsigned long long)v->rec.start, (unsigned long long)v->rec.end,
				v->path ? " " : "", v->path ? v->path : "");
}

static int prot_of(const struct ckpt_rec_vma *v)
{
	return (v->flags & CKPT_VMA_READ ? PROT_READ : 0) |
	       (v->flags & CKPT_VMA_WRITE ? PROT_WRITE : 0) |
	       (v->flags & CKPT_VMA_EXEC ? PROT_EXEC : 0);
}

/*
 * Whether it is mapped writable at first: contents cannot be written otherwise,
 * or it was writable once and is charged for that ever since.
 */
bool restore_protect_late(const struct ckpt_rec_vma *v)
{
	uint64_t f = v->flags;

	if (f & CKPT_VMA_WRITE)
		return false;
	return f & (CKPT_VMA_HUGETLB | CKPT_VMA_SHMEM) ||
	       ((f & CKPT_VMA_ACCOUNT) && !restore_is_shared(v));
}

static int map_at(struct remote_queue *q, const struct ckpt_model_vma *v, int flags, int fd,
		  uint64_t offset)
{
	int prot = prot_of(&v->rec);

	if (restore_protect_late(&v->rec))
		prot |= PROT_WRITE;
	return add_vma(q, v, "map", SYS_mmap,
		       REMOTE_ARGS(v->rec.start, v->rec.end - v->rec.start, (uint64_t)prot,
				   (uint64_t)(flags | MAP_FIXED_NOREPLACE), (uint64_t)fd, offset));
}

static int huge_flags(const struct ckpt_rec_vma *v)
{
	return MAP_HUGETLB | __builtin_ctz(v->page_size) << HUGE_SHIFT;
}

static int map_special(struct restore *rs, struct remote_queue *q, const struct ckpt_model_vma *v)
{
	const char *name = v->rec.flags & CKPT_VMA_VDSO ? "[vdso]" : v->path ? v->path : "?";
	uint64_t len = v->rec.end - v->rec.start;

	for (size_t i = 0; i < rs->nr_specials; i++) {
		struct special *s = &rs->specials[i];

		if (strcmp(s->name, name))
			continue;
		if (s->len != len)
			return ckpt_err_set(rs->err, -EOPNOTSUPP,
					    "%s was %llu bytes long, this kernel's is %llu", name,
					    (unsigned long long)len, (unsigned long long)s->len);
		return move_special(q, s, v->rec.start);
	}
	return ckpt_err_set(rs->err, -EOPNOTSUPP, "this kernel has no mapping %s", name);
}

/* ------------------------------------------------------------ shared anonymous memory */

static bool same_object(const struct ckpt_model_vma *a, const struct ckpt_model_vma *b)
{
	return (a->rec.flags & b->rec.flags & CKPT_VMA_SHMEM) && a->rec.id.ino == b->rec.id.ino &&
	       a->rec.id.dev == b->rec.id.dev;
}

/* As long as all need it who have it. */
static uint64_t object_size(const struct ckpt_model *m, const struct ckpt_model_vma *v,
			    size_t *ret_users)
{
	uint64_t size = (v->rec.id.size + RESTORE_PAGE - 1) & ~(RESTORE_PAGE - 1);

	*ret_users = 0;
	for (size_t k = 0; k < ckpt_set_size(m); k++) {
		const struct ckpt_model *other = ckpt_set_model(m, k);

		for (size_t i = 0; i < other->nr_vmas; i++) {
			const struct ckpt_rec_vma *o = &other->vmas[i].rec;

			if (!same_object(&other->vmas[i], v))
				continue;
			++*ret_users;
			if (o->pgoff + (o->end - o->start) > size)
				size = o->pgoff + (o->end - o->start);
		}
	}
	return size;
}

/* Map the pieces of an object that a call in the child opens by its entry in map_files. */
static int map_pieces(struct restore *rs, struct remote_queue *q, const struct ckpt_model_vma *first,
		      const char *entry)
{
	struct remote *r = leader(rs);
	long fd;
	int e = remote_write(r, rs->err, r->scratch, entry, strlen(entry) + 1);

	if (!e)
		e = remote_call(r, rs->err, "open shared memory", SYS_openat,
				REMOTE_ARGS((uint64_t)restore_files_proc_fd(rs), r->scratch,
					    O_RDWR | O_CLOEXEC), &fd);
	for (size_t i = 0; !e && i < rs->m->nr_vmas; i++) {
		const struct ckpt_model_vma *v = &rs->m->vmas[i];

		if (same_object(v, first))
			e = map_at(q, v, MAP_SHARED, (int)fd, v->rec.pgoff);
	}
	return e ? e : remote_queue_add(q, SYS_close, REMOTE_ARGS((uint64_t)fd), "close shared memory");
}

/*
 * Several mappings of one object, or a part of one: the object is made as one
 * mapping aside, and mapped piece by piece.
 */
static int map_object(struct restore *rs, struct remote_queue *q,
		      const struct ckpt_model_vma *first, uint64_t size)
{
	const struct layout area = { &(struct range){ rs->area, rs->area + AREA_SIZE }, 1 };
	char entry[80];
	uint64_t at = 0;
	/* Calls with a result that is needed at once; first those that wait. */
	int e = remote_queue_run(q);

	if (!e)
		e = find_gap(rs, &area, size, &at);
	if (!e)
		e = remote_call(leader(rs), rs->err, "make shared memory", SYS_mmap,
				REMOTE_ARGS(at, size, PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE |
					    MAP_FIXED_NOREPLACE, ~0ULL, 0), NULL);
	if (e)
		return e;
	snprintf(entry, sizeof(entry), "self/map_files/%llx-%llx", (unsigned long long)at,
		 (unsigned long long)(at + size));
	e = map_pieces(rs, q, first, entry);
	return e ? e : unmap(q, "shared memory", at, at + size);
}

/* The mapping of process @pid that @addr lies in: neighbours may be one by now. */
static int find_mapping(struct restore *rs, pid_t pid, uint64_t addr, struct range *ret)
{
	char path[32], line[4400];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return ckpt_err_sys(rs->err, errno, "%s", path);
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%" SCNx64 "-%" SCNx64, &ret->start, &ret->end) == 2 &&
			ret->start <= addr && addr < ret->end;
	fclose(f);
	return found ? 0 : ckpt_err_set(rs->err, -EIO, "%s: nothing at %#llx", path,
					(unsigned long long)addr);
}

/* An object that process @pid, which was mapped before, has at @addr. */
static int map_others(struct restore *rs, struct remote_queue *q, const struct ckpt_model_vma *first,
		      pid_t pid, uint64_t addr)
{
	struct range range;
	char entry[80];
	int e = remote_queue_run(q);

	if (!e)
		e = find_mapping(rs, pid, addr, &range);
	if (e)
		return e;
	snprintf(entry, sizeof(entry), "%d/map_files/%llx-%llx", pid, (unsigned long long)range.start,
		 (unsigned long long)range.end);
	return map_pieces(rs, q, first, entry);
}

static int map_shmem(struct restore *rs, struct remote_queue *q, size_t index)
{
	const struct ckpt_model_vma *v = &rs->m->vmas[index];
	size_t users;
	uint64_t size = object_size(rs->m, v, &users);

	for (size_t i = 0; i < index; i++)
		if (same_object(&rs->m->vmas[i], v))
			return 0;	/* mapped with the first */
	for (const struct restore *o = rs->set->v; o < rs; o++)
		for (size_t i = 0; i < o->m->nr_vmas; i++)
			if (same_object(&o->m->vmas[i], v))
				return map_others(rs, q, v, o->pid, o->m->vmas[i].rec.start);
	if (users == 1 && !v->rec.pgoff && size == v->rec.end - v->rec.start)
		return map_at(q, v, MAP_SHARED | MAP_ANONYMOUS |
			      (v->rec.flags & CKPT_VMA_NORESERVE ? MAP_NORESERVE : 0), -1, 0);
	if (size > RESTORE_TASK_END)
		return ckpt_err_set(rs->err, -EINVAL, "shared memory of an impossible size");
	return map_object(rs, q, v, size);
}

/* ------------------------------------------------------------ System V shared memory */

/* Where the attachment begins that a mapping is of: it may be a part of it. */
static uint64_t base_of(const struct ckpt_model_vma *v)
{
	return v->rec.start - v->rec.pgoff;
}

static bool same_attachment(const struct ckpt_model_vma *a, const struct ckpt_model_vma *b)
{
	return a->rec.flags & b->rec.flags & CKPT_VMA_SYSVSHM && a->rec.id.ino == b->rec.id.ino &&
	       base_of(a) == base_of(b);
}

static int attach(struct remote_queue *q, const struct ckpt_model_vma *v, uint64_t at)
{
	const int flags = v->rec.flags & CKPT_VMA_MAYWRITE ? 0 : SHM_RDONLY;

	return remote_queue_add(q, SYS_shmat, REMOTE_ARGS(v->rec.id.ino, at, (uint64_t)flags),
				"attach System V segment %d", (int)v->rec.id.ino);
}

static int protect_piece(struct remote_queue *q, const struct ckpt_model_vma *v)
{
	const int by_itself = PROT_READ | (v->rec.flags & CKPT_VMA_MAYWRITE ? PROT_WRITE : 0);

	if (prot_of(&v->rec) == by_itself)
		return 0;
	return add_vma(q, v, "protect", SYS_mprotect,
		       REMOTE_ARGS(v->rec.start, v->rec.end - v->rec.start, (uint64_t)prot_of(&v->rec)));
}

/* What is left of an attachment, or was moved apart: attached aside, and moved piece by piece. */
static int map_segment_pieces(struct restore *rs, struct remote_queue *q, size_t first, uint64_t size)
{
	const struct layout area = { &(struct range){ rs->area, rs->area + AREA_SIZE }, 1 };
	const struct ckpt_model_vma *v = &rs->m->vmas[first];
	uint64_t at = 0;
	int e = find_gap(rs, &area, size, &at);

	if (!e)
		e = attach(q, v, at);
	for (size_t i = first; !e && i < rs->m->nr_vmas; i++) {
		const struct ckpt_model_vma *p = &rs->m->vmas[i];
		uint64_t len = p->rec.end - p->rec.start;

		if (!same_attachment(p, v))
			continue;
		if (p->rec.pgoff > size || len > size - p->rec.pgoff)
			return ckpt_err_set(rs->err, -EINVAL, "mapping %llx lies outside of its segment",
					    (unsigned long long)p->rec.start);
		e = add_vma(q, p, "move", SYS_mremap,
			    REMOTE_ARGS(at + p->rec.pgoff, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, p->rec.start));
		if (!e)
			e = protect_piece(q, p);
	}
	return e ? e : unmap(q, "the rest of a System V segment", at, at + size);
}

static int map_segment(struct restore *rs, struct remote_queue *q, size_t index)
{
	const struct ckpt_model_vma *v = &rs->m->vmas[index];
	uint64_t size = (v->rec.id.size + RESTORE_PAGE - 1) & ~(RESTORE_PAGE - 1);
	int e;

	for (size_t i = 0; i < index; i++)
		if (same_attachment(&rs->m->vmas[i], v))
			return 0;	/* with the first */
	if (v->rec.pgoff || v->rec.end - v->rec.start != size)
		return map_segment_pieces(rs, q, index, size);
	e = attach(q, v, v->rec.start);
	return e ? e : protect_piece(q, v);
}

static int map_vma(struct restore *rs, struct remote_queue *q, size_t i)
{
	const struct ckpt_model_vma *v = &rs->m->vmas[i];
	uint64_t f = v->rec.flags;
	int flags = restore_is_shared(&v->rec) ? MAP_SHARED : MAP_PRIVATE;
	int fd = restore_files_vma_fd(rs, i);

	if (f & (CKPT_VMA_VDSO | CKPT_VMA_SPECIAL))
		return map_special(rs, q, v);
	if (f & CKPT_VMA_DROPPABLE)
		flags = MAP_DROPPABLE;	/* one more kind of private memory */
	if (f & CKPT_VMA_NORESERVE)
		flags |= MAP_NORESERVE;
	if (f & CKPT_VMA_GROWSDOWN)
		flags |= MAP_GROWSDOWN;
	if (f & CKPT_VMA_SYSVSHM)
		return map_segment(rs, q, i);
	if (f & CKPT_VMA_HUGETLB)
		return map_at(q, v, flags | MAP_ANONYMOUS | huge_flags(&v->rec), -1, 0);
	if (f & CKPT_VMA_SHMEM)
		return map_shmem(rs, q, i);
	if (fd >= 0)
		return map_at(q, v, flags, fd, v->rec.pgoff);
	return map_at(q, v, flags | MAP_ANONYMOUS, -1, 0);
}

/* ------------------------------------------------------------ advice */

struct advice {
	uint64_t flag;
	int advice;
};

static int advise(struct restore *rs, struct remote_queue *q, const struct advice *table, size_t nr)
{
	for (size_t i = 0; i < rs->m->nr_vmas; i++) {
		const struct ckpt_model_vma *v = &rs->m->vmas[i];

		if (v->rec.flags & (CKPT_VMA_VDSO | CKPT_VMA_SPECIAL))
			continue;
		for (size_t k = 0; k < nr; k++) {
			int r;

			if (!(v->rec.flags & table[k].flag))
				continue;
			r = add_vma(q, v, "madvise", SYS_madvise,
				    REMOTE_ARGS(v->rec.start, v->rec.end - v->rec.start,
						(uint64_t)table[k].advice));
			if (r)
				return r;
		}
	}
	return 0;
}

/* ------------------------------------------------------------ protection keys */

/*
 * Keys are given out from the lowest on, also the one the kernel takes for itself when memory is first
 * mapped that can only be executed.  So all are taken, that one when it is its turn, before anything is
 * mapped; those the program does not have go back when all has its key.  A mapping may have one that was
 * freed.
 */
static int take_pkeys(struct restore *rs, struct remote_queue *q)
{
	const uint64_t own = PKEY_OF(rs->m->mm.def_flags), at = rs->area + AREA_SIZE;
	int r = 0;

	for (uint64_t key = 1; rs->m->mm.pkeys && !r && key < PKEYS; key++) {
		if (key != own) {
			r = remote_queue_add(q, SYS_pkey_alloc, REMOTE_ARGS(0, 0),
					     "allocate protection key %d", (int)key);
			continue;
		}
		r = remote_queue_add(q, SYS_mmap,
				     REMOTE_ARGS(at, RESTORE_PAGE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS |
						 MAP_FIXED_NOREPLACE, ~0ULL, 0),
				     "have the kernel take protection key %d", (int)key);
		if (!r)
			r = unmap(q, "what can only be executed", at, at + RESTORE_PAGE);
	}
	return r;
}

static int free_pkeys(struct restore *rs, struct remote_queue *q)
{
	int r = 0;

	for (uint64_t key = 1; rs->m->mm.pkeys && !r && key < PKEYS; key++)
		if (!(rs->m->mm.pkeys >> key & 1))
			r = remote_queue_add(q, SYS_pkey_free, REMOTE_ARGS(key),
					     "free protection key %d", (int)key);
	return r;
}

/* Memory that can only be executed has the kernel's own key by itself, so 0 has to be asked for. */
static bool needs_pkey(const struct restore *rs, const struct ckpt_rec_vma *v)
{
	const uint64_t own = PKEY_OF(rs->m->mm.def_flags), key = PKEY_OF(v->flags);

	if (!rs->m->mm.pkeys || v->flags & (CKPT_VMA_VDSO | CKPT_VMA_SPECIAL))
		return false;
	return key ? key != own : prot_of(v) == PROT_EXEC;
}

/* ------------------------------------------------------------ what is asked of all memory */

static int disable_huge(struct restore *rs, struct remote_queue *q)
{
	const uint64_t f = rs->m->proc.flags;

	if (!(f & (CKPT_PROC_THP_DISABLE | CKPT_PROC_THP_ADVISED)))
		return 0;
	return remote_queue_add(q, SYS_prctl,
				REMOTE_ARGS(PR_SET_THP_DISABLE, 1,
					    f & CKPT_PROC_THP_ADVISED ? THP_EXCEPT_ADVISED : 0, 0, 0),
				"disable huge pages");
}

/* It marks all there is as mergeable, also what the program has taken out again. */
static int merge_all(struct restore *rs, struct remote_queue *q)
{
	int r;

	if (!(rs->m->proc.flags & CKPT_PROC_KSM_ALL))
		return 0;
	r = remote_queue_add(q, SYS_prctl, REMOTE_ARGS(PR_SET_MEMORY_MERGE, 1, 0, 0, 0),
			     "have all memory merged");
	for (size_t i = 0; !r && i < rs->m->nr_vmas; i++) {
		const struct ckpt_model_vma *v = &rs->m->vmas[i];

		if (v->rec.flags & (CKPT_VMA_MERGEABLE | CKPT_VMA_VDSO | CKPT_VMA_SPECIAL))
			continue;
		r = add_vma(q, v, "madvise", SYS_madvise,
			    REMOTE_ARGS(v->rec.start, v->rec.end - v->rec.start, MADV_UNMERGEABLE));
	}
	return r;
}

/* After the last mprotect(2), which it would refuse. */
static int forbid_new_code(struct restore *rs, struct remote_queue *q)
{
	const uint64_t f = rs->m->proc.flags;

	if (!(f & CKPT_PROC_MDWE))
		return 0;
	return remote_queue_add(q, SYS_prctl,
				REMOTE_ARGS(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN |
					    (f & CKPT_PROC_MDWE_NO_INHERIT ? MDWE_NO_INHERIT : 0), 0, 0, 0),
				"forbid new executable memory");
}

static int map_all(struct restore *rs, struct remote_queue *q)
{
	/* Before the contents: it decides in which pages they are put. */
	static const struct advice early[] = {
		{ CKPT_VMA_HUGEPAGE, MADV_HUGEPAGE },
		{ CKPT_VMA_NOHUGEPAGE, MADV_NOHUGEPAGE },
	};
	int r = disable_huge(rs, q);

	if (!r)
		r = take_pkeys(rs, q);
	for (size_t i = 0; !r && i < rs->m->nr_vmas; i++)
		r = map_vma(rs, q, i);
	if (!r)
		r = advise(rs, q, early, sizeof(early) / sizeof(*early));
	if (!r)
		r = restore_policy_map(rs, q);
	return r ? r : remote_queue_run(q);
}

int restore_mm_map(struct restore *rs)
{
	struct remote_queue q;
	int r = remote_queue_begin(&q, leader(rs), rs->err);

	if (!r) {
		r = map_all(rs, &q);
		remote_queue_end(&q);
	}
	return r;
}

/* ------------------------------------------------------------ the rest */

static int protect(struct restore *rs, struct remote_queue *q)
{
	int r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_vmas; i++) {
		const struct ckpt_model_vma *v = &rs->m->vmas[i];
		uint64_t len = v->rec.end - v->rec.start;

		if (restore_protect_late(&v->rec))
			r = add_vma(q, v, "protect", SYS_mprotect,
				    REMOTE_ARGS(v->rec.start, len, (uint64_t)prot_of(&v->rec)));
		if (!r && needs_pkey(rs, &v->rec))
			r = add_vma(q, v, "protect", SYS_pkey_mprotect,
				    REMOTE_ARGS(v->rec.start, len, (uint64_t)prot_of(&v->rec),
						PKEY_OF(v->rec.flags)));
	}
	return r;
}

static int set_mm_numbers(struct restore *rs, struct remote_queue *q)
{
	const struct ckpt_rec_mm *mm = &rs->m->mm;
	struct prctl_mm_map map = {
		.start_code = mm->start_code, .end_code = mm->end_code,
		.start_data = mm->start_data, .end_data = mm->end_data,
		.start_brk = mm->start_brk, .brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start, .arg_end = mm->arg_end,
		.env_start = mm->env_start, .env_end = mm->env_end,
		.auxv_size = mm->auxv_len,
		.exe_fd = (uint32_t)restore_files_exe_fd(rs),
	};
	int r = remote_queue_room(q, 1, mm->auxv_len + sizeof(map));
	uint64_t auxv;

	if (r)
		return r;
	auxv = remote_queue_put(q, rs->m->auxv, mm->auxv_len);
	memcpy(&map.auxv, &auxv, sizeof(auxv));
	return remote_queue_add(q, SYS_prctl,
				REMOTE_ARGS(PR_SET_MM, PR_SET_MM_MAP,
					    remote_queue_put(q, &map, sizeof(map)), sizeof(map)),
				"set addresses of code, data, heap and executable");
}

static int register_membarriers(struct restore *rs, struct remote_queue *q)
{
	static const struct {
		uint64_t flag;
		int cmd;
	} kinds[] = {
		{ CKPT_PROC_MB_PRIVATE, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED },
		{ CKPT_PROC_MB_SYNC_CORE, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE },
		{ CKPT_PROC_MB_RSEQ, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ },
		{ CKPT_PROC_MB_GLOBAL, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED },
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (rs->m->proc.flags & kinds[i].flag)
			r = remote_queue_add(q, SYS_membarrier, REMOTE_ARGS((uint64_t)kinds[i].cmd),
					     "register for memory barriers");
	return r;
}

static int finish(struct restore *rs, struct remote_queue *q)
{
	static const struct advice late[] = {
		{ CKPT_VMA_SEQ_READ, MADV_SEQUENTIAL },
		{ CKPT_VMA_RAND_READ, MADV_RANDOM },
		{ CKPT_VMA_DONTFORK, MADV_DONTFORK },
		{ CKPT_VMA_DONTDUMP, MADV_DONTDUMP },
		{ CKPT_VMA_WIPEONFORK, MADV_WIPEONFORK },
		{ CKPT_VMA_MERGEABLE, MADV_MERGEABLE },
	};
	int r = merge_all(rs, q);

	if (!r)
		r = advise(rs, q, late, sizeof(late) / sizeof(*late));
	for (size_t i = 0; !r && i < rs->nr_specials; i++) {
		uint64_t at = rs->specials[i].start;

		/* One the program had unmapped. */
		if (at >= rs->area && at < rs->area + AREA_SIZE)
			r = unmap(q, "a part of the vdso", at, at + rs->specials[i].len);
	}
	if (!r)
		r = set_mm_numbers(rs, q);
	if (!r)
		r = restore_guard(rs, q);
	if (!r)
		r = protect(rs, q);
	if (!r)
		r = restore_lock(rs, q);
	if (!r)
		r = free_pkeys(rs, q);
	if (!r)
		r = forbid_new_code(rs, q);
	if (!r)
		r = register_membarriers(rs, q);
	if (!r)
		r = remote_queue_add(q, SYS_personality, REMOTE_ARGS(rs->m->proc.personality),
				     "set the personality");
	return r ? r : remote_queue_run(q);
}

int restore_mm_finish(struct restore *rs)
{
	struct remote_queue q;
	int r = remote_queue_begin(&q, leader(rs), rs->err);

	if (!r) {
		r = finish(rs, &q);
		remote_queue_end(&q);
	}
	return r;
}

int restore_mm_leave(struct restore *rs)
{
	return remote_call(leader(rs), rs->err, "unmap the restorer", SYS_munmap,
			   REMOTE_ARGS(rs->area, AREA_CODE + AREA_SCRATCH), NULL);
}
