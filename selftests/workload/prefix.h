/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A memory whose every consistent picture can be told from a torn one.
 *
 * Two writers, one for each half of a region at a fixed address.  Writer t stores v = 1, 2, 3, ... each
 * in the next slot of its half; together with v it stores the number the *other* writer had published
 * when v was written, and then publishes v.  Slots that follow each other lie on pages far apart, and
 * after a lap over all slots the next lap overwrites them.
 *
 * A picture taken at one instant has, with n[t] the highest v in half t:
 *   1. in every slot of half t exactly the value the n[t]-th write leaves there: none missing, none
 *      from later (a page pictured early or late breaks this);
 *   2. no slot that saw more of the other writer than the picture shows of it (two halves pictured at
 *      different instants break this);
 *   3. published[t] equal to n[t], or one less.
 */
#ifndef CKPT_PREFIX_H
#define CKPT_PREFIX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PREFIX_HEAD	0x1fffffe00000ul
#define PREFIX_BASE	0x200000000000ul
#define PREFIX_MAGIC	0x78696665727063ul

struct prefix_head {
	uint64_t magic;
	uint64_t size;			/* of the region, a power of two */
	struct {
		_Alignas(64) atomic_ulong v;
	} published[2];
	_Alignas(64) atomic_int stop;
};

struct prefix_slot {
	uint64_t v;
	uint64_t seen;
};

static inline uint64_t prefix_slots(uint64_t size)
{
	return size / 2 / sizeof(struct prefix_slot);
}

/* Which slot of a half v goes to. */
static inline uint64_t prefix_slot_of(uint64_t size, uint64_t v)
{
	uint64_t pages = size / 2 / 4096, k = (v - 1) & (prefix_slots(size) - 1);
	uint64_t page = k * ((pages * 5 / 8) | 1) & (pages - 1);

	return page * (4096 / sizeof(struct prefix_slot)) + k / pages;
}

/*
 * Check one half: half points to its slots.  Gives n[t], and the most it saw of the other; false, with
 * a line on standard error, when it is not a prefix.
 */
static inline bool prefix_check_half(const struct prefix_slot *half, int t, uint64_t size,
				     uint64_t *ret_n, uint64_t *ret_seen)
{
	uint64_t slots = prefix_slots(size), n = 0, seen = 0;

	for (uint64_t i = 0; i < slots; i++) {
		if (half[i].v > n)
			n = half[i].v;
		if (half[i].seen > seen)
			seen = half[i].seen;
	}
	for (uint64_t back = 0; back < slots && back < n; back++) {
		uint64_t v = n - back, i = prefix_slot_of(size, v);

		if (half[i].v != v) {
			fprintf(stderr, "torn: half %d has %llu, but %llu where %llu belongs\n",
				t, (unsigned long long)n, (unsigned long long)half[i].v,
				(unsigned long long)v);
			return false;
		}
	}
	for (uint64_t v = n + 1; v <= slots; v++) {
		if (half[prefix_slot_of(size, v)].v) {
			fprintf(stderr, "torn: half %d has something behind %llu\n", t,
				(unsigned long long)n);
			return false;
		}
	}
	*ret_n = n;
	*ret_seen = seen;
	return true;
}

/* Check the two halves against each other and against what was published. */
static inline bool prefix_check_pair(const uint64_t n[2], const uint64_t seen[2],
				     const uint64_t published[2])
{
	for (int t = 0; t < 2; t++) {
		if (seen[t] > n[!t]) {
			fprintf(stderr, "torn: half %d saw %llu of the other, which shows %llu\n", t,
				(unsigned long long)seen[t], (unsigned long long)n[!t]);
			return false;
		}
		if (published[t] != n[t] && published[t] + 1 != n[t]) {
			fprintf(stderr, "torn: half %d shows %llu, published is %llu\n", t,
				(unsigned long long)n[t], (unsigned long long)published[t]);
			return false;
		}
	}
	return true;
}

#endif
