/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The judge of the witness's snapshots. What one shows must be of one instant: each area a prefix of
 * its round that ends where the head and the shared word say, and nobody has seen more of the next
 * writer than there is.
 */
#ifndef STRESS_JUDGE_H
#define STRESS_JUDGE_H

#include "witness.h"

/* Steps that an area tells of: how many pages have the newest round. Says what is wrong, if so. */
static inline const char *steps_of(const uint64_t *mem, size_t pages, uint64_t *ret_begun,
				   uint64_t *ret_ended)
{
	static char why[128];
	uint64_t round = mem[0] >> 16, now;
	size_t page, newer = 0, whole = 0;
	unsigned int m;

	for (page = 0; page < pages; page++) {
		size_t bad = bad_word(mem + page * WORDS, page);

		if (bad) {
			snprintf(why, sizeof(why), "page %zu: word %zu is %#lx", page, bad,
				 mem[page * WORDS + bad]);
			return why;
		}
		for (m = 0; m < MARKS; m++) {
			now = mem[page * WORDS + mark_at(page, m)];
			/* Up to one place this round's, from there on the last one's. */
			if (now == mark_of(round, page) && newer == page * MARKS + m) {
				newer++;
			} else if (!round || now != mark_of(round - 1, page)) {
				snprintf(why, sizeof(why), "page %zu, mark %u: %#lx in round %#lx",
					 page, m, now, round);
				return why;
			}
		}
		whole += newer == (page + 1) * MARKS;
	}
	*ret_begun = round ? (round - 1) * pages + (newer + MARKS - 1) / MARKS : 0;
	*ret_ended = round ? (round - 1) * pages + whole : 0;
	return NULL;
}

/* Bytes of a snapshot, all of them; false when it was given up meanwhile. */
static inline bool take_bytes(struct view *v, int fd, const volatile void *addr, void *buf, size_t len)
{
	ssize_t n = read_at(fd, (const void *)addr, buf, len);

	if (n == (ssize_t)len)
		return true;
	if (stats(fd).out_canceled && v->cancels)
		return false;
	fault(v, "%p: read %zd of %zu", addr, n, len);
}

/* Is what a snapshot holds of one instant? False when it was given up meanwhile. */
static inline bool judge(struct view *v, int fd)
{
	static uint64_t mem[HUGE / 8];
	uint64_t told[WRITERS], begun, ended;
	struct head heads[WRITERS];
	int i;

	if (!take_bytes(v, fd, v->heads, heads, sizeof(heads)) ||
	    !take_bytes(v, fd, v->told, told, sizeof(told)))
		return false;
	for (i = 0; i < WRITERS; i++) {
		const struct head *h = &heads[i];
		const char *why;

		if (!take_bytes(v, fd, v->mem[i], mem, v->pages[i] * PAGE))
			return false;
		why = steps_of(mem, v->pages[i], &begun, &ended);
		if (why)
			fault(v, "snapshot, writer %d: %s", i, why);
		if (begun > h->step || ended + 1 < h->step || told[i] > ended ||
		    told[i] + 1 < h->step)
			fault(v, "snapshot, writer %d: area %lu..%lu, head %lu, told %lu", i,
			      begun, ended, h->step, told[i]);
		if (h->seen > heads[(i + 1) % WRITERS].step)
			fault(v, "snapshot: writer %d saw more of the next than there is", i);
	}
	return true;
}

#endif
