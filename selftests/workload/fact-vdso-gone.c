// SPDX-License-Identifier: GPL-2.0-only
/* A program that has unmapped the vdso and its data, so that nobody can look there for what he could use. */
#include <sys/syscall.h>

#include "fact.h"

/* Mappings of that name; the last one's place too. */
static int find(const char *name, unsigned long *ret_start, unsigned long *ret_end)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int nr = 0;

	want(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, name) && sscanf(line, "%lx-%lx", ret_start, ret_end) == 2)
			nr++;
	fclose(f);
	return nr;
}

static void set_up(void)
{
	unsigned long start, end;

	while (find("[vdso]", &start, &end) || find("[vvar", &start, &end))
		must(munmap((void *)start, end - start));
}

static void look(void)
{
	unsigned long start, end;
	struct timespec ts;

	want(!find("[vdso]", &start, &end) && !find("[vvar", &start, &end));
	want(!syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts));
}

FACT(set_up, look)
