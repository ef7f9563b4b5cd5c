/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_COUNTERS_H
#define _CKPT_COUNTERS_H

#include <linux/atomic.h>

/* Objects that exist now. All are zero when nobody uses the module. */
enum ckpt_counter {
	CKPT_COUNT_SESSIONS,	/* session descriptors */
	CKPT_COUNT_FREEZES,	/* freezes not yet freed, works in flight included */
	CKPT_COUNT_THREADS,	/* threads known to them */
	CKPT_COUNT_SNAPSHOTS,	/* snapshot objects */
	CKPT_COUNT_LEAVES,	/* page-index leaves, 2 MiB of addresses each */
	CKPT_COUNT_PAGES,	/* pages held, 4 KiB units */
	CKPT_COUNT_TRACKS,	/* trackers */
	CKPT_COUNT_COVERS,	/* leaves of their coverage, 2 MiB of addresses each */
	CKPT_COUNT_NR,
};

extern atomic64_t ckpt_counters[CKPT_COUNT_NR];

static inline void ckpt_count(enum ckpt_counter which, long n)
{
	atomic64_add(n, &ckpt_counters[which]);
}

void ckpt_counters_init(void);
void ckpt_counters_exit(void);

#endif /* _CKPT_COUNTERS_H */
