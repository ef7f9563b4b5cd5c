// SPDX-License-Identifier: GPL-2.0-only
/* Memory at both ends of the address space: the page that null points to, and the last there is. */
#include "fact.h"

#define PAGE	4096ul
#define LAST	((char *)0x7ffffffff000 - PAGE)

/* vm.mmap_min_addr, for those without privileges */
#define FIRST	((char *)0x10000)

static bool zero_there;
/* the compiler knows better than to look there */
static char *volatile zero, *volatile first, *volatile last;

static void set_up(void)
{
	char *got = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	zero_there = got != MAP_FAILED;
	if (zero_there)
		strcpy(zero + 8, "at null");
	first = must(mmap(FIRST, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			  -1, 0));
	strcpy(first, "first");
	last = must(mmap(LAST, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	strcpy(last + PAGE - 5, "last");
}

static void look(void)
{
	want(!zero_there || !strcmp(zero + 8, "at null"));
	want(!strcmp(first, "first") && !strcmp(last + PAGE - 5, "last"));
	last[0] = first[9] = 1;
}

FACT(set_up, look)
