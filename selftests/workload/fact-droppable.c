// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory the kernel may empty at any time (MAP_DROPPABLE, Linux 6.11), where a C library keeps the state of
 * getrandom(3): it is such memory still, and empty, so that no two programs have the same random numbers.
 * An older kernel has none, and this is memory as any other.
 */
#include <sys/wait.h>

#include "fact-smaps.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE	8
#endif
#define PAGE	4096ul
#define NR	8

static char *memory;
static bool has;
static char vm_flags[512];

static void set_up(void)
{
	memory = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	has = memory != MAP_FAILED;
	if (!has)
		memory = lone_pages(NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	memset(memory, 'd', 4 * PAGE);
	strcpy(vm_flags, smaps_line(memory, "VmFlags:"));
	want(!has || strstr(vm_flags, " dp"));
}

/* As a whole it has what was written, or nothing. */
static void look_for(char content)
{
	for (size_t i = 0; i < NR * PAGE; i += PAGE)
		want(memory[i] == (i < 4 * PAGE ? content : 0));
}

static void look(void)
{
	int status;
	pid_t pid;

	want(!strcmp(vm_flags, smaps_line(memory, "VmFlags:")));
	look_for(has && *memory != 'd' ? 0 : 'd');
	memset(memory, 'e', 4 * PAGE);
	look_for('e');
	/* A child finds it empty, too. */
	pid = must(fork());
	if (!pid)
		_exit(memory[0] == (has ? 0 : 'e') ? 0 : 1);
	want(waitpid(pid, &status, 0) == pid && !status);
}

FACT(set_up, look)
