// SPDX-License-Identifier: GPL-2.0-only
/* Memory that was moved, shortened, made longer, taken from in the middle, and left behind empty. */
#include "fact-smaps.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif
#define PAGE	4096ul

static char *moved, *left, *taken, *shared, *again;

static void set_up(void)
{
	char *p = lone_pages(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	char *place = lone_pages(32 * PAGE, PROT_NONE, MAP_PRIVATE);

	for (size_t i = 0; i < 8; i++)
		memset(p + i * PAGE, 'a' + (int)i, PAGE);
	taken = must(mremap(p + 3 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place + PAGE));
	moved = must(mremap(p, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place + 4 * PAGE));
	left = p + 4 * PAGE;
	must(mremap(left, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED,
		    place + 12 * PAGE));
	shared = lone_pages(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	strcpy(shared, "one memory");
	again = must(mremap(shared, 0, 2 * PAGE, MREMAP_MAYMOVE));	/* a second mapping of it */
}

static void look(void)
{
	char *rest = moved + 8 * PAGE;

	want(*taken == 'd' && taken[PAGE - 1] == 'd' && !moved[4 * PAGE]);
	for (int i = 0; i < 3; i++)
		want(moved[i * (int)PAGE] == 'a' + i);
	for (int i = 0; i < 4; i++)
		want(rest[i * (int)PAGE] == 'e' + i && !left[i * (int)PAGE]);
	strcpy(again, "still one");
	want(!strcmp(shared, "still one"));
	must(mremap(moved, 5 * PAGE, 40 * PAGE, MREMAP_MAYMOVE));
}

FACT(set_up, look)
