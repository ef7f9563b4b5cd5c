// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timerfds: each clock, running or not, once or again and again, by time left or to a time; expired and
 * not read, with what was missed; asked for the time meanwhile.
 *
 * A time that is left stands still between snapshot and restore, so there it is only known how long it
 * can be.  A timer that is set to a time is right to the nanosecond.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>

#include "fact.h"

#define HOUR	(3600 * SEC)
#define SEC	1000000000ll
#define MSEC	1000000ll

static struct timer {
	int clock, flags;
	int64_t value, interval;	/* value: with TFD_TIMER_ABSTIME from now on */
	int ask;			/* for its time before the snapshot */
	int waits;			/* until it expires, before the snapshot */
	uint64_t count;			/* that are read; many: at least, 0: none */
	bool many;
	int fd;
	int64_t from, at;		/* it was set at, on CLOCK_MONOTONIC; expires at, on its clock */
	char said[64];
} timers[] = {
	{ CLOCK_MONOTONIC },
	{ CLOCK_MONOTONIC, 0, HOUR },
	{ CLOCK_MONOTONIC, 0, 0, 5 * SEC },
	{ CLOCK_REALTIME, 0, HOUR, 7 * SEC + 3 },
	{ CLOCK_BOOTTIME, 0, HOUR, HOUR },
	{ CLOCK_REALTIME_ALARM, 0, HOUR },
	{ CLOCK_BOOTTIME_ALARM, 0, HOUR, 2 * HOUR },
	{ CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, 2 * HOUR, HOUR },
	{ CLOCK_BOOTTIME, TFD_TIMER_ABSTIME, 2 * HOUR },
	{ CLOCK_REALTIME, TFD_TIMER_ABSTIME, 2 * HOUR, 9 },
	{ CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 2 * HOUR, HOUR },
	{ CLOCK_REALTIME_ALARM, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 2 * HOUR },
	{ CLOCK_BOOTTIME_ALARM, TFD_TIMER_ABSTIME, 2 * HOUR },
	/* once, and not read */
	{ CLOCK_MONOTONIC, 0, 1, .waits = 1, .count = 1 },
	{ CLOCK_REALTIME, TFD_TIMER_ABSTIME, -HOUR, .waits = 1, .count = 1 },
	{ CLOCK_BOOTTIME_ALARM, 0, 1, .waits = 1, .count = 1 },
	/* again and again, and not read */
	{ CLOCK_MONOTONIC, 0, 1, HOUR, .waits = 1, .count = 1 },
	{ CLOCK_REALTIME, 0, 1, HOUR, .waits = 1, .count = 1 },
	{ CLOCK_MONOTONIC, 0, 1, MSEC, .waits = 1, .count = 50, .many = true },
	{ CLOCK_REALTIME, 0, 1, MSEC, .waits = 1, .ask = 1, .count = 50, .many = true },
	{ CLOCK_BOOTTIME, 0, 1, MSEC / 500, .waits = 1, .count = 50, .many = true },
	{ CLOCK_BOOTTIME_ALARM, 0, 1, 3 * MSEC, .waits = 1, .count = 15, .many = true },
	{ CLOCK_REALTIME, TFD_TIMER_ABSTIME, -21 * HOUR / 2, HOUR, .waits = 1, .count = 11 },
	{ CLOCK_REALTIME, TFD_TIMER_ABSTIME, -21 * HOUR / 2, HOUR, .waits = 1, .ask = 1, .count = 11 },
	{ CLOCK_REALTIME_ALARM, TFD_TIMER_ABSTIME, -21 * HOUR / 2, HOUR, .waits = 1, .count = 11 },
};

#define NR	(sizeof(timers) / sizeof(timers[0]))

static int consumed, twin;

static int64_t now(int clock)
{
	struct timespec ts;

	if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
		clock = clock == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : CLOCK_BOOTTIME;
	must(clock_gettime(clock, &ts));
	return ts.tv_sec * SEC + ts.tv_nsec;
}

static struct timespec to_timespec(int64_t ns)
{
	return (struct timespec){ ns / SEC, ns % SEC };
}

/* Clock and flags, as the kernel says them. */
static void tell(int fd, char *text)
{
	char path[64], all[512], flags[32];
	int in, clock;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	in = must(open(path, O_RDONLY));
	n = must(read(in, all, sizeof(all) - 1));
	all[n] = '\0';
	must(close(in));
	if (sscanf(strstr(all, "clockid:"), "clockid: %d", &clock) != 1 ||
	    sscanf(strstr(all, "settime flags:"), "settime flags: %31s", flags) != 1)
		die("%s says %s", path, all);
	sprintf(text, "%d %s", clock, flags);
}

static void start(struct timer *t, int fd_flags)
{
	struct itimerspec its = { .it_interval = to_timespec(t->interval) };
	int64_t value = t->value;

	t->fd = must(timerfd_create(t->clock, fd_flags));
	t->from = now(CLOCK_MONOTONIC);
	if (t->flags & TFD_TIMER_ABSTIME)
		value += now(t->clock);
	t->at = value;
	its.it_value = to_timespec(value);
	must(timerfd_settime(t->fd, t->flags, &its, NULL));
	tell(t->fd, t->said);
}

static void set_up(void)
{
	struct timespec enough = to_timespec(60 * MSEC);
	struct itimerspec its;
	uint64_t count;

	for (size_t i = 0; i < NR; i++)
		start(&timers[i], TFD_NONBLOCK | (i & 1 ? TFD_CLOEXEC : 0));
	twin = must(dup2(timers[0].fd, 90));
	consumed = must(timerfd_create(CLOCK_MONOTONIC, 0));
	must(timerfd_settime(consumed, 0, &(struct itimerspec){ .it_value.tv_nsec = 1 }, NULL));
	must(read(consumed, &count, sizeof(count)));
	for (size_t i = 0; i < NR; i++)
		if (timers[i].waits)
			must(poll(&(struct pollfd){ .fd = timers[i].fd, .events = POLLIN }, 1, -1));
	nanosleep(&enough, NULL);
	for (size_t i = 0; i < NR; i++)
		if (timers[i].ask)
			must(timerfd_gettime(timers[i].fd, &its));
}

/* One that is set to a time has just as long to go; another one no longer than it had. */
static void look_at_time(const struct timer *t, bool runs)
{
	const int64_t before = now(t->clock);
	struct itimerspec its;
	int64_t after, left, at = t->at;

	want(!timerfd_gettime(t->fd, &its));
	after = now(t->clock);
	left = its.it_value.tv_sec * SEC + its.it_value.tv_nsec;
	want(its.it_interval.tv_sec * SEC + its.it_interval.tv_nsec == t->interval);
	if (!runs) {
		want(!left);
		return;
	}
	while (t->interval && at <= before)
		at += t->interval;
	if (t->flags & TFD_TIMER_ABSTIME)
		want(at - after <= left && left <= at - before);
	else if (t->waits)
		want(left > 0 && left <= t->interval);
	else
		want(left > 0 && left <= t->value && left > t->value - HOUR / 2);
}

static void look_at(const struct timer *t)
{
	char said[64];
	uint64_t count = 0;
	bool got;

	tell(t->fd, said);
	want(!strcmp(said, t->said));
	want(fcntl(t->fd, F_GETFL) & O_NONBLOCK);
	want(fcntl(t->fd, F_GETFD) == ((t - timers) & 1 ? FD_CLOEXEC : 0));
	want((got = read(t->fd, &count, sizeof(count)) == sizeof(count)) || errno == EAGAIN);
	if (got != !!t->count || (t->many ? count < t->count : count != t->count))
		die("timer %td was read %" PRIu64 " times expired", t - timers, count);
	/* Not more than it can be. */
	if (t->many)
		want(count <= (uint64_t)((now(CLOCK_MONOTONIC) - t->from) / t->interval) + 1);
	if (!t->many)
		look_at_time(t, t->value && (!t->waits || t->interval));
}

static void look(void)
{
	struct itimerspec its = { .it_value.tv_nsec = 1 };
	uint64_t count;

	for (size_t i = 0; i < NR; i++)
		look_at(&timers[i]);
	want(!timerfd_gettime(consumed, &its) && !its.it_value.tv_sec && !its.it_value.tv_nsec);
	want(!poll(&(struct pollfd){ .fd = consumed, .events = POLLIN }, 1, 0));
	want(!(fcntl(consumed, F_GETFL) & O_NONBLOCK));
	/* And they count on: one of the many, and one by its other descriptor. */
	want(poll(&(struct pollfd){ .fd = timers[18].fd, .events = POLLIN }, 1, 10000) == 1);
	its.it_value.tv_nsec = 1;
	must(timerfd_settime(twin, 0, &its, NULL));
	want(poll(&(struct pollfd){ .fd = timers[0].fd, .events = POLLIN }, 1, 10000) == 1);
	want(read(timers[0].fd, &count, sizeof(count)) == sizeof(count) && count == 1);
}

FACT(set_up, look)
