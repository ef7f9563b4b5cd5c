// SPDX-License-Identifier: GPL-2.0-only
/* A program linked statically, at a low address that is its own, with a second thread. */
#include "fact-aside.h"

static struct aside other;
static __thread int own;
static int data = 7, bss;

static void set_own(void)
{
	own = 3;
}

static void has_own(void)
{
	want(own == 3);
}

static void set_up(void)
{
	data = bss = own = 9;
	want((uintptr_t)&data < 1ul << 32);
	aside_begin(&other, set_own, has_own);
}

static void look(void)
{
	char *p = malloc(10 << 20);

	want(data == 9 && bss == 9 && own == 9 && p);
	memset(p, 1, 10 << 20);
	aside_look(&other);
}

FACT(set_up, look)
