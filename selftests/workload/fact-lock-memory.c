// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locked memory, all there is and all to come, and by page, on fault: it is counted and resident as it
 * was.
 */
#include <sys/mman.h>

#include "fact-smaps.h"

#define PAGE	4096ul

static char *all, *fault, *guard, *none;

static unsigned long locked_kb(void)
{
	unsigned long kb = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	want(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %lu", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

static unsigned long before;

static void set_up(void)
{
	fault = lone_pages(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	guard = lone_pages(8 * PAGE, PROT_NONE, MAP_PRIVATE);
	must(mlockall(MCL_FUTURE));
	must(mlock2(fault, 8 * PAGE, MLOCK_ONFAULT));
	all = lone_pages(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	none = lone_pages(8 * PAGE, PROT_NONE, MAP_PRIVATE);	/* locked, though no page can come in */
	fault[PAGE] = all[PAGE] = 3;
	locked_kb();			/* what stdio needs of the heap is there */
	before = locked_kb();
}

static unsigned int resident(char *p)
{
	unsigned char pages[8];
	unsigned int nr = 0;

	must(mincore(p, 8 * PAGE, pages));
	for (int i = 0; i < 8; i++)
		nr += pages[i] & 1;
	return nr;
}

static void look(void)
{
	want(resident(all) == 8 && resident(fault) == 1 && !resident(guard) && !resident(none));
	want(locked_kb() == before && fault[PAGE] == 3 && all[PAGE] == 3);
	all = lone_pages(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	want(resident(all) == 8);	/* also what is mapped from now on */
	must(munlockall());
}

FACT(set_up, look)
