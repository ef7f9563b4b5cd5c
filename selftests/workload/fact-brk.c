// SPDX-License-Identifier: GPL-2.0-only
/*
 * The heap: unaligned, with a hole in it; it grows and shrinks on from where it was, to its very
 * beginning.
 */
#include "fact.h"

#define PAGE	4096ul

static char *begin, *end;

static void set_up(void)
{
	char *hole;

	begin = must(sbrk(0));
	must(sbrk(20 * PAGE + 123));
	end = sbrk(0);
	memset(begin, 'h', (size_t)(end - begin));
	hole = (char *)(((uintptr_t)begin + 5 * PAGE) & -PAGE);
	must(munmap(hole, 2 * PAGE));
}

static void look(void)
{
	want(sbrk(0) == end && *begin == 'h' && end[-1] == 'h');
	want(must(sbrk(3 * PAGE)) == end);
	memset(end, 'n', 3 * PAGE);
	want(end[-1] == 'h');
	must(brk(begin + 100));
	want(sbrk(0) == begin + 100 && begin[99] == 'h');
	must(brk(end));
	want(!end[-1]);			/* anew */
}

FACT(set_up, look)
