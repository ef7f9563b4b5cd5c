// SPDX-License-Identifier: GPL-2.0-only
/* What prctl() and others set for one thread: name, timer slack, I/O priority, parent's death. */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "fact-aside.h"

#define BEST_EFFORT(level)	(2 << 13 | (level))

static struct aside other;

static void set_own(void)
{
	must(prctl(PR_SET_NAME, "other\n\t name"));
	must(prctl(PR_SET_TIMERSLACK, 777777));
	must(syscall(SYS_ioprio_set, 1, 0, BEST_EFFORT(6)));
	must(prctl(PR_SET_PDEATHSIG, SIGUSR2));
}

static void has_own(void)
{
	char name[16];
	int sig;

	must(prctl(PR_GET_NAME, name));
	must(prctl(PR_GET_PDEATHSIG, &sig));
	want(!strcmp(name, "other\n\t name") && prctl(PR_GET_TIMERSLACK) == 777777);
	want(syscall(SYS_ioprio_get, 1, 0) == BEST_EFFORT(6) && sig == SIGUSR2);
}

static void set_up(void)
{
	aside_begin(&other, set_own, has_own);
	must(prctl(PR_SET_NAME, "first"));
}

static void look(void)
{
	char name[16];

	must(prctl(PR_GET_NAME, name));
	want(!strcmp(name, "first"));
	want(prctl(PR_GET_TIMERSLACK) == 50000);
	aside_look(&other);
}

FACT(set_up, look)
