// SPDX-License-Identifier: GPL-2.0-only
/* Ten thousand mappings, each of another protection than its neighbours. */
#include <sys/mman.h>

#include "fact.h"

#define PAGE	4096ul
#define NR	10000ul

static char *memory;

static void set_up(void)
{
	memory = must(mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (size_t i = 0; i < NR; i += 100)
		*(uint64_t *)(memory + i * PAGE) = mix64(i);
	for (size_t i = 0; i < NR; i += 2)
		must(mprotect(memory + i * PAGE, PAGE, PROT_READ));
}

static void look(void)
{
	for (size_t i = 0; i < NR; i += 100)
		want(*(uint64_t *)(memory + i * PAGE) == mix64(i));
	want(!memory[PAGE] && !memory[(NR - 1) * PAGE]);
	memory[(NR - 1) * PAGE] = 1;
	must(mprotect(memory, NR * PAGE, PROT_READ | PROT_WRITE));	/* one again */
	*memory = 1;
}

FACT(set_up, look)
