/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What ioctl_fuzz.c calls with: struct input, how one is made up and changed, and the memory its
 * structures lie in.
 *
 * An input names descriptors, processes and places by kind, not by number or address, so that it
 * can be kept, and tried again later and elsewhere.
 */
#ifndef KERNEL_TEST_FUZZ_INPUT_H
#define KERNEL_TEST_FUZZ_INPUT_H

#include <stddef.h>

#include "snap.h"

/* ---- random numbers ---- */

static inline uint64_t draw(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng * 0x2545f4914f6cdd1dull >> 8;
}

/* 0 .. n - 1 */
static inline unsigned int pick(uint64_t *rng, unsigned int n)
{
	return draw(rng) % n;
}

static inline bool one_in(uint64_t *rng, unsigned int n)
{
	return !pick(rng, n);
}

/* ---- operations ---- */

enum kind { DEVICE, SESSION, SNAPSHOT, FOREIGN, KINDS };

enum op {
	OP_QUERY, OP_ATTACH, OP_SNAP, OP_FREEZE, OP_THAW, OP_STEADY, OP_STATE, OP_SNAPSHOT, OP_MAP, OP_BARRIER,
	OP_STATS, OP_SNAPSHOT_STATE, OP_UNTRACK, OP_COMMIT,
	OP_IOCTLS,			/* above: with a structure */
	OP_ANY_IOCTL = OP_IOCTLS, OP_PREAD, OP_READV, OP_LSEEK, OP_SPLICE, OP_SENDFILE, OP_MMAP,
	OP_POLL, OP_WRITE, OP_FCNTL, OP_REOPEN, OP_OPEN, OP_DUP, OP_PASS, OP_CLOSE, OP_FORK,
	OP_SCRIBBLE, OPS,
};

/* How often, of the sum of all; and whether the test is worth nothing if it never succeeds. */
static const struct op_info {
	const char *name;
	unsigned long cmd;
	unsigned int size;
	enum kind kind;
	unsigned int weight;
	bool vital;
} ops[OPS] = {
	[OP_QUERY] = { "QUERY", CKPT_QUERY, sizeof(struct ckpt_query), DEVICE, 1, true },
	[OP_ATTACH] = { "ATTACH", CKPT_ATTACH, sizeof(struct ckpt_attach), DEVICE, 5, true },
	[OP_SNAP] = { "SNAP", CKPT_SNAP, sizeof(struct ckpt_snap), DEVICE, 4, true },
	[OP_FREEZE] = { "FREEZE", CKPT_FREEZE, sizeof(struct ckpt_freeze), SESSION, 8, true },
	[OP_THAW] = { "THAW", CKPT_THAW, sizeof(struct ckpt_thaw), SESSION, 6, true },
	[OP_STEADY] = { "STEADY", CKPT_STEADY, sizeof(struct ckpt_steady), SESSION, 3, true },
	[OP_STATE] = { "STATE", CKPT_STATE, sizeof(struct ckpt_state), SESSION, 5, true },
	[OP_SNAPSHOT] = { "SNAPSHOT", CKPT_SNAPSHOT, sizeof(struct ckpt_snapshot), SESSION, 6,
			  true },
	[OP_MAP] = { "MAP", CKPT_MAP, sizeof(struct ckpt_map), SNAPSHOT, 6, true },
	[OP_BARRIER] = { "BARRIER", CKPT_BARRIER, sizeof(struct ckpt_barrier), SNAPSHOT, 4, true },
	[OP_STATS] = { "STATS", CKPT_STATS, sizeof(struct ckpt_stats), SNAPSHOT, 2, true },
	[OP_SNAPSHOT_STATE] = { "SNAPSHOT_STATE", CKPT_SNAPSHOT_STATE, sizeof(struct ckpt_state),
				SNAPSHOT, 4, true },
	[OP_UNTRACK] = { "UNTRACK", CKPT_UNTRACK, sizeof(struct ckpt_untrack), DEVICE, 2, true },
	[OP_COMMIT] = { "COMMIT", CKPT_COMMIT, sizeof(struct ckpt_commit), SNAPSHOT, 5, true },
	[OP_ANY_IOCTL] = { "any ioctl", 0, 0, FOREIGN, 3 },
	[OP_PREAD] = { "pread", 0, 0, SNAPSHOT, 12, true },
	[OP_READV] = { "readv", 0, 0, SNAPSHOT, 6, true },
	[OP_LSEEK] = { "lseek", 0, 0, SNAPSHOT, 8, true },
	[OP_SPLICE] = { "splice", 0, 0, SNAPSHOT, 8, true },
	[OP_SENDFILE] = { "sendfile", 0, 0, SNAPSHOT, 3, true },
	[OP_MMAP] = { "mmap", 0, 0, SNAPSHOT, 2 },
	[OP_POLL] = { "poll", 0, 0, SNAPSHOT, 2, true },
	[OP_WRITE] = { "write", 0, 0, SNAPSHOT, 1 },
	[OP_FCNTL] = { "fcntl", 0, 0, SNAPSHOT, 2, true },
	[OP_REOPEN] = { "reopen", 0, 0, SNAPSHOT, 1 },
	[OP_OPEN] = { "open", 0, 0, DEVICE, 1, true },
	[OP_DUP] = { "dup", 0, 0, FOREIGN, 2, true },
	[OP_PASS] = { "pass", 0, 0, FOREIGN, 2, true },
	[OP_CLOSE] = { "close", 0, 0, FOREIGN, 4, true },
	[OP_FORK] = { "fork", 0, 0, FOREIGN, 1, true },
	[OP_SCRIBBLE] = { "scribble", 0, 0, FOREIGN, 6, true },
};

/* Where a structure or a buffer lies. */
enum place {
	PLACE_GOOD,		/* as it should be */
	PLACE_TIGHT,		/* ends where the memory ends */
	PLACE_COMMON,		/* others write to it, protect it, drop it, at the same time */
	PLACE_HALF_GONE,	/* its end is not mapped */
	PLACE_HALF_READ_ONLY,
	PLACE_READ_ONLY,
	PLACE_BEHIND_FILE,	/* SIGBUS */
	PLACE_ODD,		/* not aligned */
	PLACE_SELF,		/* a buffer in its own structure */
	PLACE_NULL, PLACE_KERNEL, PLACE_NOWHERE, PLACES,
};

/* Which process; the targets come first. */
enum who {
	WHO_ALONE, WHO_LARGE, WHO_CROWD, WHO_STOPPED, WHO_PARENT, WHO_TARGETS,
	WHO_CHILD = WHO_TARGETS, WHO_RIVAL, WHO_SELF, WHO_THREAD, WHO_KTHREAD, WHO_NOBODY, WHOS,
};

#define INPUT_BYTES	256

struct input {
	uint8_t op;
	uint8_t kind;		/* of the descriptor */
	uint8_t place;		/* of the structure */
	uint8_t buf_place;	/* of what it points to */
	uint8_t who;
	bool raw;		/* the pointer in it is taken as it is */
	uint8_t where;		/* which of the addresses known to have content */
	int64_t offset;		/* added to it */
	uint64_t len;
	unsigned char bytes[INPUT_BYTES];	/* the structure */
};

/* ---- making one ---- */

static inline uint64_t odd_number(uint64_t *rng)
{
	static const uint64_t numbers[] = {
		0, 1, 2, 3, 7, 8, 24, 63, 64, 4095, 4096, 4097, 65536, 0x7fffffff, 0x80000000,
		0xffffffff, 0x100000000, 0x7ffffffff000, 0x800000000000, 0x7fffffffffffffff,
		0x8000000000000000, 0xfffffffffffff000, 0xffffffffffffffff,
	};
	unsigned int how = pick(rng, 4);

	if (how == 0)
		return draw(rng);
	if (how == 1)
		return 1ull << pick(rng, 64);
	return numbers[pick(rng, sizeof(numbers) / 8)];
}

static inline unsigned int random_op(uint64_t *rng)
{
	static unsigned int sum;
	unsigned int i, at;

	if (!sum)
		for (i = 0; i < OPS; i++)
			sum += ops[i].weight;
	at = pick(rng, sum);
	for (i = 0; at >= ops[i].weight; i++)
		at -= ops[i].weight;
	return i;
}

/* The fields of a call that is likely to succeed, but for what is known only when it is made. */
static inline void fill_valid(struct input *in, uint64_t *rng)
{
	struct ckpt_snap *snap = (void *)in->bytes;
	struct ckpt_freeze *freeze = (void *)in->bytes;
	struct ckpt_state *state = (void *)in->bytes;
	struct ckpt_map *map = (void *)in->bytes;

	memset(in->bytes, 0, sizeof(in->bytes));
	((__u32 *)in->bytes)[0] = ops[in->op].size;
	switch (in->op) {
	case OP_SNAP:
		snap->timeout_ms = one_in(rng, 4) ? pick(rng, 30) : PATIENCE_MS;
		snap->flags = pick(rng, 4);
		snap->parent[0] = pick(rng, 3);
		break;
	case OP_ATTACH:
		((struct ckpt_attach *)in->bytes)->flags = pick(rng, 2);
		break;
	case OP_COMMIT:
		((struct ckpt_commit *)in->bytes)->flags = pick(rng, 2);
		((struct ckpt_commit *)in->bytes)->id[0] = 1 + pick(rng, 2);
		break;
	case OP_FREEZE:
		freeze->timeout_ms = one_in(rng, 4) ? pick(rng, 30) : 0;
		break;
	case OP_SNAPSHOT:
		((struct ckpt_snapshot *)in->bytes)->flags = pick(rng, 4);
		((struct ckpt_snapshot *)in->bytes)->parent[0] = pick(rng, 3);
		break;
	case OP_STATE:
	case OP_SNAPSHOT_STATE:
		state->len = one_in(rng, 3) ? 0 : pick(rng, 1 << 16);
		state->offset = one_in(rng, 2) ? 0 : pick(rng, 20000);
		break;
	case OP_MAP:
		map->start = one_in(rng, 2) ? 0 : draw(rng) % 0x7ffffffff000 & ~(PAGE - 1);
		map->nr = 1 + pick(rng, 200);
		break;
	}
}

static inline void make_input(struct input *in, uint64_t *rng)
{
	*in = (struct input) { .op = random_op(rng), .where = pick(rng, 256) };
	in->kind = ops[in->op].kind == FOREIGN ? pick(rng, KINDS) : ops[in->op].kind;
	in->who = pick(rng, 4) ? pick(rng, WHO_TARGETS) : pick(rng, WHOS);
	in->len = 1 + pick(rng, one_in(rng, 4) ? 1 << 16 : 2 * PAGE);
	in->offset = one_in(rng, 3) ? pick(rng, 16) * PAGE : 0;
	if (in->op == OP_ANY_IOCTL)
		in->len = draw(rng);		/* the request */
	if (in->op < OP_IOCTLS)
		fill_valid(in, rng);
}

/* ---- changing one ---- */

static inline void change_bytes(struct input *in, uint64_t *rng)
{
	unsigned int size = in->op < OP_IOCTLS ? ops[in->op].size : INPUT_BYTES;
	unsigned int at = pick(rng, size);
	uint64_t value = odd_number(rng);

	switch (pick(rng, 4)) {
	case 0:
		in->bytes[at] ^= 1u << pick(rng, 8);
		break;
	case 1:
		memcpy(in->bytes + (at & ~3u), &value, 4);
		break;
	case 2:
		at &= ~7u;
		memcpy(in->bytes + at, &value, at + 8 <= INPUT_BYTES ? 8 : 4);
		break;
	default:		/* behind the end */
		in->bytes[size + pick(rng, INPUT_BYTES - size + 1) - 1] = value;
	}
}

static inline void change_size(struct input *in, uint64_t *rng)
{
	uint32_t size = in->op < OP_IOCTLS ? ops[in->op].size : 0;

	size += one_in(rng, 3) ? (uint32_t)odd_number(rng) : pick(rng, 64) - 32;
	memcpy(in->bytes, &size, sizeof(size));
}

static inline void change_input(struct input *in, uint64_t *rng)
{
	switch (pick(rng, 10)) {
	case 0:
		in->kind = pick(rng, KINDS);
		break;
	case 1:
		in->place = pick(rng, PLACES);
		break;
	case 2:
		in->buf_place = pick(rng, PLACES);
		break;
	case 3:
		in->who = pick(rng, WHOS);
		break;
	case 4:
		in->raw = !in->raw;
		break;
	case 5:
		in->offset = odd_number(rng);
		break;
	case 6:
		in->len = odd_number(rng);
		break;
	case 7:
		change_size(in, rng);
		break;
	default:
		change_bytes(in, rng);
	}
}

/* ---- memory ---- */

/*
 * Pages of one file, seen twice: through @own by us, whatever is done to @view, which the kernel is
 * given addresses of.
 */
enum {
	ARENA_GOOD = 0,		/* two pages, then one that is not there */
	ARENA_GONE = 2,
	ARENA_WRITABLE = 3,	/* one page, then one that is read-only */
	ARENA_READ_ONLY = 4,
	ARENA_BUFFER = 6,	/* behind another that is not there: room for what calls return */
	ARENA_BUFFER_PAGES = 20,
	ARENA_FILE_PAGES = ARENA_BUFFER + ARENA_BUFFER_PAGES,
	ARENA_BEHIND = ARENA_FILE_PAGES,	/* mapped, but the file is shorter */
	ARENA_PAGES,
};

struct arena {
	char *own, *view;
};

/*
 * Far from everything else, and from one another: a pointer to it that is changed a little, or a
 * length too large, must not make the kernel overwrite what we live by.
 */
static inline void arena_open(struct arena *a, unsigned int nr)
{
	char *at = (char *)0x200000000000ul + nr * 0x1000000000ul;
	int fd = must(memfd_create("arena", MFD_CLOEXEC));

	must(ftruncate(fd, ARENA_FILE_PAGES * PAGE));
	a->own = must(mmap(NULL, ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	a->view = must(mmap(at, ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0));
	must(mprotect(a->view + ARENA_GONE * PAGE, PAGE, PROT_NONE));
	must(mprotect(a->view + ARENA_READ_ONLY * PAGE, PAGE, PROT_READ));
	must(munmap(a->view + (ARENA_BUFFER - 1) * PAGE, PAGE));
	close(fd);
}

/* An address for @len bytes; those that lie in the arena have @bytes there, as far as it goes. */
static inline char *arena_place(struct arena *a, struct arena *common, enum place place,
				const void *bytes, size_t len, unsigned int odd)
{
	size_t at;

	if (len > 2 * PAGE)
		len = 2 * PAGE;
	switch (place) {
	case PLACE_GOOD:
	case PLACE_SELF:
		at = 0;
		break;
	case PLACE_TIGHT:
		at = ARENA_GONE * PAGE - len;
		break;
	case PLACE_HALF_GONE:
		at = ARENA_GONE * PAGE - len / 2;
		break;
	case PLACE_HALF_READ_ONLY:
		at = ARENA_READ_ONLY * PAGE - len / 2;
		break;
	case PLACE_READ_ONLY:
		at = ARENA_READ_ONLY * PAGE;
		break;
	case PLACE_ODD:
		at = 1 + odd % 63;
		break;
	case PLACE_COMMON:
		a = common;
		at = odd % 4 * 64;
		break;
	case PLACE_BEHIND_FILE:
		return a->view + ARENA_BEHIND * PAGE;
	case PLACE_KERNEL:
		return (char *)0xffff888000000000ul;
	case PLACE_NOWHERE:
		return (char *)0x800000000000ul - (odd % 2 ? 0 : len / 2);
	default:
		return NULL;
	}
	memcpy(a->own + at, bytes, len);
	return a->view + at;
}

/* The same for a buffer that a call fills. */
static inline char *arena_buffer(struct arena *a, struct arena *common, enum place place,
				 size_t len, char *self)
{
	switch (place) {
	case PLACE_GOOD:
		return a->view + ARENA_BUFFER * PAGE;
	case PLACE_COMMON:
		return common->view + ARENA_BUFFER * PAGE;
	case PLACE_SELF:
		return self;
	case PLACE_TIGHT:
		return a->view + ARENA_GONE * PAGE - (len < 2 * PAGE ? len : 2 * PAGE);
	case PLACE_HALF_GONE:
		return a->view + ARENA_GONE * PAGE - (len < 4 * PAGE ? len / 2 : 2 * PAGE);
	case PLACE_HALF_READ_ONLY:
		return a->view + ARENA_READ_ONLY * PAGE - (len < 2 * PAGE ? len / 2 : PAGE);
	case PLACE_READ_ONLY:
		return a->view + ARENA_READ_ONLY * PAGE;
	case PLACE_ODD:
		return a->view + ARENA_BUFFER * PAGE + 1;
	case PLACE_BEHIND_FILE:
		return a->view + ARENA_BEHIND * PAGE - PAGE;
	case PLACE_KERNEL:
		return (char *)0xffffffff81000000ul;
	case PLACE_NOWHERE:
		return (char *)0x800000000000ul - 2 * PAGE;
	default:
		return NULL;
	}
}

#endif
