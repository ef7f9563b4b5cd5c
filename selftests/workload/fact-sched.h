/* SPDX-License-Identifier: GPL-2.0-only */
/* Facts of a thread with a scheduling policy of its own: SCHED_FACT() below, a file each. */
#ifndef CKPT_FACT_SCHED_H
#define CKPT_FACT_SCHED_H

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "fact-aside.h"

static const struct sched_want {
	int policy, priority, nice;
} sched_want;

static struct aside sched_other;

static void sched_set(void)
{
	must(setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), sched_want.nice));
	must(sched_setscheduler(0, sched_want.policy, &(struct sched_param){ sched_want.priority }));
}

static void sched_has(void)
{
	struct sched_param param;

	want(sched_getscheduler(0) == sched_want.policy);
	want(!sched_getparam(0, &param) && param.sched_priority == sched_want.priority);
	want(getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid)) == sched_want.nice);
}

static void sched_set_up(void)
{
	must(setpriority(PRIO_PROCESS, 0, 1));
	aside_begin(&sched_other, sched_set, sched_has);
}

/* The first thread is an ordinary one. */
static void sched_look(void)
{
	want(sched_getscheduler(0) == SCHED_OTHER && getpriority(PRIO_PROCESS, 0) == 1);
	aside_look(&sched_other);
}

#define SCHED_FACT(...)								\
	static const struct sched_want sched_want = { __VA_ARGS__ };		\
	FACT(sched_set_up, sched_look)

#endif
