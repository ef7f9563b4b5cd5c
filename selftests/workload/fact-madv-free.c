// SPDX-License-Identifier: GPL-2.0-only
/* Memory that may be taken back (MADV_FREE): each page is as it was or zero, and once written it stays. */
#include "fact-smaps.h"

#define PAGE	4096ul
#define NR	64

static char *memory;

static void set_up(void)
{
	memory = lone_pages(NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	memset(memory, 'f', NR * PAGE);
	must(madvise(memory, NR * PAGE, MADV_FREE));
	for (int i = 0; i < NR; i += 2)
		memory[i * (int)PAGE] = 'k';	/* kept after all */
}

static void look(void)
{
	for (int i = 0; i < NR; i++) {
		const char *p = memory + i * (int)PAGE;

		if (i % 2 == 0)
			want(*p == 'k' && (p[1] == 'f' || !p[1]) && p[1] == p[PAGE - 1]);
		else
			want((*p == 'f' && p[PAGE - 1] == 'f') || (!*p && !p[PAGE - 1]));
	}
	memset(memory, 'n', NR * PAGE);
	want(*memory == 'n');
}

FACT(set_up, look)
