// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/zero mapped, private and shared, and closed or not: memory, as programs had it before
 * MAP_ANONYMOUS.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "fact.h"

#define PAGE	4096ul

static char *private, *shared, *half;
static int fd;

static void set_up(void)
{
	fd = must(open("/dev/zero", O_RDWR));
	private = must(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	shared = must(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	half = must(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE));
	must(munmap(half, 2 * PAGE));
	strcpy(private + PAGE, "private");
	strcpy(shared + PAGE, "shared");
	strcpy(half + 3 * PAGE, "half");
}

static void look(void)
{
	char byte = 1;

	want(!strcmp(private + PAGE, "private") && !*private && !private[3 * PAGE]);
	want(!strcmp(shared + PAGE, "shared") && !*shared && !shared[3 * PAGE]);
	want(!strcmp(half + 3 * PAGE, "half") && !half[2 * PAGE]);
	*private = *shared = half[2 * PAGE] = 1;
	want(read(fd, &byte, 1) == 1 && !byte);
}

FACT(set_up, look)
