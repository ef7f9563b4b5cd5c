// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deleted files on a tmpfs by names that the kernel itself gives to memory: of a System V segment, of
 * huge pages, of a memfd. Each is open too, and mapped twice: it is one file.
 * kinds: file
 */
#include <fcntl.h>

#include "fact.h"

#define PAGE	4096ul

static const char * const names[] = { "SYSV00000000", "anon_hugepage", "memfd:name", "zero", "[heap]" };

#define NR	(sizeof(names) / sizeof(*names))

static int fds[NR];
static char *whole[NR], *second[NR];

static void set_up(void)
{
	for (size_t i = 0; i < NR; i++) {
		fds[i] = must(open(names[i], O_RDWR | O_CREAT, 0600));
		must(ftruncate(fds[i], 2 * PAGE));
		whole[i] = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0));
		second[i] = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], PAGE));
		strcpy(whole[i], names[i]);
		strcpy(second[i], "second");
		must(unlink(names[i]));
	}
}

static void look(void)
{
	char text[16];

	for (size_t i = 0; i < NR; i++) {
		want(!strcmp(whole[i], names[i]) && !strcmp(whole[i] + PAGE, "second"));
		strcpy(whole[i] + PAGE, "written");
		want(!strcmp(second[i], "written"));
		want(pread(fds[i], text, 8, PAGE) == 8 && !strcmp(text, "written"));
	}
}

FACT(set_up, look)
