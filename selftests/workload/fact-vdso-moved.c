// SPDX-License-Identifier: GPL-2.0-only
/* A program that has moved the vdso elsewhere, its data in front of it: it is there afterwards. */
#include <sys/auxv.h>

#include "fact.h"

#define PAGE	4096ul

static unsigned long before[3], moved[3];	/* where data begins, where code begins, the end */
static char *place;

static void find(unsigned long *where)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];

	want(f);
	memset(where, 0, sizeof(before));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (strstr(line, "[vvar") && !where[0])
			where[0] = start;
		if (strstr(line, "[vdso]")) {
			where[1] = start;
			where[2] = end;
		}
	}
	fclose(f);
}

/* Mapping by mapping, as each is one of its own; in front of which there is none any more. */
static void move_all(void)
{
	for (unsigned long at = before[0]; at < before[2];) {
		unsigned long size = at >= before[1] ? before[2] - at : PAGE;
		char *to = place + (at - before[0]);

		while (at + size < before[1] && mremap((void *)at, size + PAGE, size + PAGE, 0) != MAP_FAILED)
			size += PAGE;
		want(mremap((void *)at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
		at += size;
	}
}

static void set_up(void)
{
	find(before);
	want(before[0] && before[1] == getauxval(AT_SYSINFO_EHDR));
	place = must(mmap(NULL, before[2] - before[0], PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	move_all();
	find(moved);
	want(moved[0] == (unsigned long)place && moved[2] - moved[0] == before[2] - before[0]);
}

static void look(void)
{
	unsigned long now[3];

	find(now);
	want(!memcmp(now, moved, sizeof(now)) && !memcmp((void *)now[1], "\177ELF", 4));
}

FACT(set_up, look)
