// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first thread's stack: deep at the snapshot, what is below unused; afterwards deeper by far, to the
 * limit.
 */
#include <sys/resource.h>

#include "fact.h"

#define FRAME	4000

static __attribute__((noinline)) unsigned int dive(unsigned int depth)
{
	volatile char frame[FRAME];
	unsigned int sum;

	frame[depth % FRAME] = (char)depth;
	sum = depth ? dive(depth - 1) : 0;
	return sum + (unsigned char)frame[depth % FRAME];
}

static unsigned int sum_to(unsigned int depth)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i <= depth; i++)
		sum += i & 0xff;
	return sum;
}

static void set_up(void)
{
	must(setrlimit(RLIMIT_STACK, &(struct rlimit){ 32 << 20, 64 << 20 }));
	want(dive(100) == sum_to(100));
}

static void look(void)
{
	want(dive(7000) == sum_to(7000));	/* 28 MB */
}

FACT(set_up, look)
