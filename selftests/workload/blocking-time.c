// SPDX-License-Identifier: GPL-2.0-only
/* Calls that end by their timeout: sleeps, and polls of nothing. */
#include <poll.h>
#include <sys/select.h>

#include "blocking.h"

static void sleep_relative(struct seat *s, clockid_t clock)
{
	struct timespec ts = ns_to_timespec(WAIT_NS);
	uint64_t begin = mono();

	errno = clock_nanosleep(clock, 0, &ts, NULL);
	seat_timed_out(s, errno == 0, begin);
}

static void sleep_absolute(struct seat *s, clockid_t clock)
{
	uint64_t begin = mono();
	struct timespec ts = ns_to_timespec(now_ns(clock) + WAIT_NS);

	errno = clock_nanosleep(clock, TIMER_ABSTIME, &ts, NULL);
	seat_timed_out(s, errno == 0, begin);
}

static void block_nanosleep(struct seat *s)
{
	struct timespec ts = ns_to_timespec(WAIT_NS);
	uint64_t begin = mono();

	seat_timed_out(s, nanosleep(&ts, NULL) == 0, begin);
}

static void block_sleep_realtime(struct seat *s)
{
	sleep_relative(s, CLOCK_REALTIME);
}

static void block_sleep_boottime(struct seat *s)
{
	sleep_relative(s, CLOCK_BOOTTIME);
}

static void block_sleep_until_monotonic(struct seat *s)
{
	sleep_absolute(s, CLOCK_MONOTONIC);
}

static void block_sleep_until_realtime(struct seat *s)
{
	sleep_absolute(s, CLOCK_REALTIME);
}

static void block_poll(struct seat *s)
{
	uint64_t begin = mono();

	seat_timed_out(s, poll(NULL, 0, WAIT_MS) == 0, begin);
}

static void block_select(struct seat *s)
{
	struct timeval tv = { .tv_usec = WAIT_NS / 1000 };
	uint64_t begin = mono();

	seat_timed_out(s, select(0, NULL, NULL, NULL, &tv) == 0, begin);
}

/* The mask of the call differs from the thread's, which must be back afterwards. */
static sigset_t *other_mask(void)
{
	static sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGUSR1);
	return &set;
}

static void block_ppoll(struct seat *s)
{
	struct timespec ts = ns_to_timespec(WAIT_NS);
	uint64_t begin = mono();

	seat_timed_out(s, ppoll(NULL, 0, &ts, other_mask()) == 0, begin);
	seat_expect_mask(s);
}

static void block_pselect(struct seat *s)
{
	struct timespec ts = ns_to_timespec(WAIT_NS);
	uint64_t begin = mono();

	seat_timed_out(s, pselect(0, NULL, NULL, NULL, &ts, other_mask()) == 0, begin);
	seat_expect_mask(s);
}

const struct kind time_kinds[] = {
	{ "nanosleep", true, .block = block_nanosleep },
	{ "clock_nanosleep realtime", true, .block = block_sleep_realtime },
	{ "clock_nanosleep boottime", true, .block = block_sleep_boottime },
	{ "clock_nanosleep monotonic absolute", true, .block = block_sleep_until_monotonic },
	{ "clock_nanosleep realtime absolute", true, .block = block_sleep_until_realtime },
	{ "poll of nothing", true, .block = block_poll },
	{ "select of nothing", true, .block = block_select },
	{ "ppoll with a mask", true, .block = block_ppoll },
	{ "pselect with a mask", true, .block = block_pselect },
	{ NULL }
};
