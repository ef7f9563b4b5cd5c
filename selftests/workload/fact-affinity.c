// SPDX-License-Identifier: GPL-2.0-only
/* Which processors a thread may run on: each has its own, and rseq tells where it does. */
#include <sched.h>
#include <sys/rseq.h>

#include "fact-aside.h"

static struct aside other;

static void bind_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set));
}

static bool is_bound_to(int cpu)
{
	const struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	cpu_set_t set;

	must(sched_getaffinity(0, sizeof(set), &set));
	return CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set) && sched_getcpu() == cpu &&
	       (!__rseq_size || *(volatile uint32_t *)&area->cpu_id == (uint32_t)cpu);
}

static int last(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
}

static void bind_other(void)
{
	bind_to(last());
}

static void other_is_bound(void)
{
	want(is_bound_to(last()));
}

static void set_up(void)
{
	aside_begin(&other, bind_other, other_is_bound);
	bind_to(0);
}

static void look(void)
{
	want(is_bound_to(0));
	aside_look(&other);
}

FACT(set_up, look)
