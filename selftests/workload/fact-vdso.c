// SPDX-License-Identifier: GPL-2.0-only
/* Calls that go no further than the vdso: times that agree with the kernel's, and do not go back. */
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "fact.h"

static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME };
static struct timespec before[4];
static unsigned long where;

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec >= b->tv_nsec);
}

static void set_up(void)
{
	where = getauxval(AT_SYSINFO_EHDR);
	for (int i = 0; i < 4; i++)
		must(clock_gettime(clocks[i], &before[i]));
}

static void look(void)
{
	struct timespec first, kernel, last;
	unsigned int cpu;
	struct timeval tv;

	want(where && getauxval(AT_SYSINFO_EHDR) == where && !memcmp((void *)where, "\177ELF", 4));
	for (int i = 0; i < 4; i++) {
		must(clock_gettime(clocks[i], &first));
		must(syscall(SYS_clock_gettime, clocks[i], &kernel));
		must(clock_gettime(clocks[i], &last));
		want(is_later(&first, &before[i]) && is_later(&kernel, &first) && is_later(&last, &kernel));
	}
	must(gettimeofday(&tv, NULL));
	want(tv.tv_sec >= before[0].tv_sec && time(NULL) >= before[0].tv_sec);
	want(!getcpu(&cpu, NULL) && cpu < (unsigned int)sysconf(_SC_NPROCESSORS_CONF));
}

FACT(set_up, look)
