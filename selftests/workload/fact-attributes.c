// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an address space as a whole is set to: what a core dump of it holds, that its memory is merged
 * (6.4), that nothing becomes executable any more (6.3), and no huge pages but where advised (6.18).
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fact-smaps.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE		65
#define PR_GET_MDWE		66
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE	67
#define PR_GET_MEMORY_MERGE	68
#endif
#define PAGE	4096ul

static char *merged, *apart, *plain;
static bool merges;
static int mdwe, no_huge;

static long filter(void)
{
	char text[32] = "";
	int fd = must(open("/proc/self/coredump_filter", O_RDONLY));

	must(read(fd, text, sizeof(text) - 1));
	must(close(fd));
	return strtol(text, NULL, 16);
}

static void set_up(void)
{
	int fd = must(open("/proc/self/coredump_filter", O_WRONLY));

	want(filter() != 0x1a5 && write(fd, "0x1a5", 5) == 5);
	must(close(fd));

	merges = !prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
	merged = lone_pages(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	apart = lone_pages(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	must(madvise(apart, PAGE, MADV_UNMERGEABLE));
	*merged = *apart = 7;
	want(!!strstr(smaps_line(merged, "VmFlags:"), " mg") == merges);

	if (prctl(PR_SET_THP_DISABLE, 1, 2, 0, 0))	/* but where advised */
		must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	no_huge = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	want(no_huge == 1 || no_huge == 3);

	plain = lone_pages(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	if (prctl(PR_SET_MDWE, 3, 0, 0, 0))		/* also: not its children */
		prctl(PR_SET_MDWE, 1, 0, 0, 0);
	mdwe = prctl(PR_GET_MDWE, 0, 0, 0, 0);
}

static void look(void)
{
	want(filter() == 0x1a5);
	want(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == no_huge);

	want((prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1) == merges);
	want(!!strstr(smaps_line(merged, "VmFlags:"), " mg") == merges && *merged == 7);
	want(!strstr(smaps_line(apart, "VmFlags:"), " mg") && *apart == 7);
	plain = lone_pages(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	want(!!strstr(smaps_line(plain, "VmFlags:"), " mg") == merges);

	want(prctl(PR_GET_MDWE, 0, 0, 0, 0) == mdwe);
	want(!mprotect(plain, PAGE, PROT_READ | PROT_EXEC) == (mdwe <= 0));
}

FACT(set_up, look)
