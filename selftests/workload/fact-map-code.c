// SPDX-License-Identifier: GPL-2.0-only
/* Code the program made itself, as compilers in time do: one memory mapped twice, to write and to execute. */
#include <sys/mman.h>

#include "fact.h"

#define PAGE	4096ul

static unsigned char *writable;
static int (*code)(void);

static void make(unsigned char answer)
{
	const unsigned char text[] = { 0xb8, answer, 0, 0, 0, 0xc3 };	/* mov $answer, %eax; ret */

	memcpy(writable, text, sizeof(text));
}

static void set_up(void)
{
	int fd = must(memfd_create("code", MFD_CLOEXEC));

	must(ftruncate(fd, PAGE));
	writable = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	code = must(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
	must(close(fd));
	make(42);
	want(code() == 42);
}

static void look(void)
{
	want(code() == 42);
	make(43);
	want(code() == 43 && mprotect((void *)code, PAGE, PROT_READ | PROT_EXEC) == 0);
}

FACT(set_up, look)
