// SPDX-License-Identifier: GPL-2.0-only
/* A program that gave up root, so that nobody may look into it; which it has not taken back. */
#include <sys/prctl.h>
#include <sys/stat.h>

#include "fact.h"

static int dumpable;

static uid_t owner(void)
{
	struct stat st;

	must(stat("/proc/self/environ", &st));
	return st.st_uid;
}

static void set_up(void)
{
	must(setresgid(1000, 1000, 1000));
	must(setresuid(1000, 1000, 1000));
	dumpable = prctl(PR_GET_DUMPABLE);
	want(dumpable != 1 && owner() == 0);
}

static void look(void)
{
	want(prctl(PR_GET_DUMPABLE) == dumpable && owner() == 0 && getuid() == 1000);
}

FACT(set_up, look)
