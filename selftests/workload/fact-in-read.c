// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asleep in read(2) of an empty pipe, of an eventfd and of a timerfd.
 * kinds: pipe, eventfd, timerfd
 */
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "fact-asleep.h"

static struct asleep of_pipe, of_event, of_timer;
static int ends[2], event, timer;
static char bytes[8];
static uint64_t count, ticks;

static long read_pipe(void)
{
	return read(ends[0], bytes, sizeof(bytes));
}

static long read_event(void)
{
	return read(event, &count, sizeof(count));
}

static long read_timer(void)
{
	return read(timer, &ticks, sizeof(ticks));
}

static void set_up(void)
{
	must(pipe(ends));
	event = must(eventfd(0, 0));
	timer = must(timerfd_create(CLOCK_MONOTONIC, 0));
	asleep_begin(&of_pipe, read_pipe);
	asleep_begin(&of_event, read_event);
	asleep_begin(&of_timer, read_timer);
}

static void look(void)
{
	const struct itimerspec soon = { .it_value.tv_nsec = 1 };

	want(write(ends[1], "hello", 5) == 5);
	want(asleep_woken(&of_pipe) == 5 && !memcmp(bytes, "hello", 5));
	want(!eventfd_write(event, 7));
	want(asleep_woken(&of_event) == 8 && count == 7);
	must(timerfd_settime(timer, 0, &soon, NULL));
	want(asleep_woken(&of_timer) == 8 && ticks == 1);
}

FACT(set_up, look)
