// SPDX-License-Identifier: GPL-2.0-only
/* Whether a program is told early of memory that fails (PR_MCE_KILL): for each thread. */
#include <sys/prctl.h>

#include "fact-aside.h"

static struct aside early;

static void set_early(void)
{
	must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
}

static void is_early(void)
{
	want(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY);
}

static void set_up(void)
{
	aside_begin(&early, set_early, is_early);
	must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_LATE, 0, 0));
}

static void look(void)
{
	want(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_LATE);
	aside_look(&early);
}

FACT(set_up, look)
