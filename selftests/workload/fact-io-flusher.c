// SPDX-License-Identifier: GPL-2.0-only
/* A thread that writes back for a file system (PR_SET_IO_FLUSHER), beside one that does not. */
#include <sys/prctl.h>

#include "fact-aside.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER	57
#define PR_GET_IO_FLUSHER	58
#endif

static struct aside flusher;

static void be_one(void)
{
	must(prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));
}

static void is_one(void)
{
	want(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1);
}

static void set_up(void)
{
	aside_begin(&flusher, be_one, is_one);
}

static void look(void)
{
	want(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 0);
	aside_look(&flusher);
}

FACT(set_up, look)
