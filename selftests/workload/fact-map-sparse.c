// SPDX-License-Identifier: GPL-2.0-only
/* A terabyte that is reserved, with a page here and there, of which some were given back. */
#include <sys/mman.h>

#include "fact.h"

#define PAGE	4096ul
#define SIZE	(1ul << 40)
#define STEP	((1ul << 35) + 7 * PAGE)

static char *memory;

static void set_up(void)
{
	memory = must(mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	madvise(memory, SIZE, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < SIZE; at += STEP)
		*(uint64_t *)(memory + at) = mix64(at);
	must(madvise(memory + 3 * STEP, PAGE, MADV_DONTNEED));
	strcpy(memory + SIZE - 4, "end");
}

static void look(void)
{
	for (size_t at = 0; at < SIZE; at += STEP)
		want(*(uint64_t *)(memory + at) == (at == 3 * STEP ? 0 : mix64(at)));
	want(!strcmp(memory + SIZE - 4, "end") && !memory[SIZE / 2]);
	memory[SIZE / 2 + 1] = 1;
}

FACT(set_up, look)
