// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program may say of a mapping, one by one and some together: VmFlags of smaps tell the same
 * afterwards, content and protection are as they were, stacks grow, and what is mapped later is
 * locked as was asked for (mlockall).
 */
#include <setjmp.h>
#include <sys/mman.h>

#include "fact-smaps.h"

#define PAGE	4096ul
#define AREA	(4 * PAGE)

static const struct {
	int prot, flags;
	int advice[3];		/* 0: the end */
} wanted[] = {
	{ PROT_READ | PROT_WRITE, MAP_PRIVATE, { MADV_DONTFORK } },
	{ PROT_READ | PROT_WRITE, MAP_PRIVATE, { MADV_WIPEONFORK } },
	{ PROT_READ | PROT_WRITE, MAP_PRIVATE, { MADV_HUGEPAGE } },
	{ PROT_READ | PROT_WRITE, MAP_PRIVATE, { MADV_NOHUGEPAGE, MADV_RANDOM } },
	{ PROT_READ | PROT_WRITE, MAP_PRIVATE, { MADV_MERGEABLE } },
	{ PROT_READ | PROT_WRITE, MAP_PRIVATE, { MADV_MERGEABLE, MADV_UNMERGEABLE } },
	{ PROT_READ | PROT_WRITE, MAP_PRIVATE, { MADV_SEQUENTIAL, MADV_DONTFORK } },
	{ PROT_READ | PROT_WRITE, MAP_SHARED, { MADV_DONTDUMP, MADV_DONTFORK } },
	{ PROT_READ, MAP_PRIVATE, { MADV_DONTFORK, MADV_NOHUGEPAGE } },
	{ PROT_NONE, MAP_PRIVATE, { MADV_DONTFORK } },
	{ PROT_NONE, MAP_PRIVATE, { 0 } },			/* a guard that was never anything else */
	{ PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_LOCKED, { 0 } },
	{ PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, { 0 } },
	{ PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, { 0 } },
	{ PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, { 0 } },
};

#define NR	(sizeof(wanted) / sizeof(*wanted))

static char *areas[NR], flags[NR][512], *stack, *later;
static char stack_flags[512], later_flags[512];
static sigjmp_buf back;

static void caught(int sig)
{
	siglongjmp(back, 1);
}

static bool readable(volatile char *p)
{
	if (sigsetjmp(back, 1))
		return false;
	(void)*p;
	return true;
}

static void set_up(void)
{
	for (size_t i = 0; i < NR; i++) {
		bool writable = wanted[i].prot & PROT_WRITE;

		areas[i] = lone_pages(AREA, wanted[i].prot, wanted[i].flags);
		for (int k = 0; k < 3 && wanted[i].advice[k]; k++)
			must(madvise(areas[i], AREA, wanted[i].advice[k]));
		if (writable)
			memset(areas[i] + PAGE, (int)i + 1, 5);
		strcpy(flags[i], smaps_line(areas[i], "VmFlags:"));
		want(*flags[i]);
	}
	stack = mmap((char *)areas[0] - (1ul << 30), PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	want(stack != MAP_FAILED);
	stack[-1] = 9;
	strcpy(stack_flags, smaps_line(stack, "VmFlags:"));
	want(strstr(stack_flags, " gd"));

	must(mlockall(MCL_FUTURE | MCL_ONFAULT));
	later = lone_pages(AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	*later = 3;
	strcpy(later_flags, smaps_line(later, "VmFlags:"));
	want(strstr(later_flags, " lo"));
}

static void look(void)
{
	struct sigaction act = { .sa_handler = caught };

	must(sigaction(SIGSEGV, &act, NULL));
	for (size_t i = 0; i < NR; i++) {
		const char *now = smaps_line(areas[i], "VmFlags:");

		if (strcmp(now, flags[i]))
			die("mapping %zu was%s is%s", i, flags[i], now);
		want(readable(areas[i]) == !!(wanted[i].prot & PROT_READ));
		want(!(wanted[i].prot & PROT_WRITE) ||
		     (areas[i][PAGE] == (char)(i + 1) && areas[i][PAGE + 5] == 0 && areas[i][0] == 0));
	}
	want(!strcmp(smaps_line(stack, "VmFlags:"), stack_flags) && stack[-1] == 9);
	stack[-(long)PAGE - 1] = 1;		/* below what it has: it grows */
	want(!strcmp(smaps_line(later, "VmFlags:"), later_flags) && *later == 3);
	want(!strcmp(smaps_line(lone_pages(AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE), "VmFlags:"), later_flags));
}

FACT(set_up, look)
