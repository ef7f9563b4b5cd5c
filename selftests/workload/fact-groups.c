// SPDX-License-Identifier: GPL-2.0-only
/* As many supplementary groups as there can be. */
#include <grp.h>

#include "fact.h"

#define NR	65536

static gid_t groups[NR], now[NR];

static void set_up(void)
{
	for (unsigned int i = 0; i < NR; i++)
		groups[i] = 1000 + 3 * i;
	must(setgroups(NR, groups));
}

static void look(void)
{
	want(getgroups(NR, now) == NR && !memcmp(now, groups, sizeof(now)));
}

FACT(set_up, look)
