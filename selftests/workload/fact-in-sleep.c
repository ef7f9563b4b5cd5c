// SPDX-License-Identifier: GPL-2.0-only
/* Asleep for a while, and until a time of each clock. */
#include "fact-asleep.h"

#define SECONDS	2

static struct asleep for_a_while, until[2];
static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME };
static struct timespec end[2], before, slept_until;

static long call_while(void)
{
	int r = nanosleep(&(struct timespec){ .tv_sec = SECONDS }, NULL);

	must(clock_gettime(CLOCK_MONOTONIC, &slept_until));
	return r;
}

static long call_until(int i)
{
	struct timespec now;
	int r = clock_nanosleep(clocks[i], TIMER_ABSTIME, &end[i], NULL);

	must(clock_gettime(clocks[i], &now));
	return r || now.tv_sec < end[i].tv_sec;
}

static long call_monotonic(void)
{
	return call_until(0);
}

static long call_boottime(void)
{
	return call_until(1);
}

static void set_up(void)
{
	for (int i = 0; i < 2; i++) {
		must(clock_gettime(clocks[i], &end[i]));
		end[i].tv_sec += SECONDS;
	}
	must(clock_gettime(CLOCK_MONOTONIC, &before));
	asleep_begin(&for_a_while, call_while);
	asleep_begin(&until[0], call_monotonic);
	asleep_begin(&until[1], call_boottime);
}

static void look(void)
{
	want(!asleep_woken(&for_a_while));
	want(slept_until.tv_sec - before.tv_sec >= SECONDS - 1);
	want(!asleep_woken(&until[0]) && !asleep_woken(&until[1]));
}

FACT(set_up, look)
