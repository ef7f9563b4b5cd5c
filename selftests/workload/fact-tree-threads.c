// SPDX-License-Identifier: GPL-2.0-only
/* A child that a second thread made, and waits for, and that has a second thread itself. */
#include <sys/syscall.h>

#include "fact-aside.h"
#include "fact-child.h"

static struct aside maker, other;
static struct child child;
static pid_t tid;

static void set_own(void)
{
	tid = (pid_t)syscall(SYS_gettid);
}

static void has_own(void)
{
	want(tid == syscall(SYS_gettid) && tid != getpid());
}

static void begin_other(void)
{
	aside_begin(&other, set_own, has_own);
}

static void other_looks(void)
{
	aside_look(&other);
}

static void make(void)
{
	child_begin(&child, begin_other, other_looks);
}

static void wait_for_it(void)
{
	int status;

	want(!waitpid(child.pid, &status, WNOHANG));
	child_look(&child);
}

static void set_up(void)
{
	aside_begin(&maker, make, wait_for_it);
}

static void look(void)
{
	aside_look(&maker);
}

FACT(set_up, look)
