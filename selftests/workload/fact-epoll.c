// SPDX-License-Identifier: GPL-2.0-only
/*
 * Epoll instances: what they watch, by which numbers, and what they report: levels, edges, one shots set and
 * fired; descriptors that were closed or are of another file by now; instances within another; many items.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "fact.h"

#define MANY	400
#define BIG	0xfedcba9876543210ull
#define TEXT	(256 << 10)

static int mixed, twin, empty, inner, outer, crowd, gone;
static int level[2], edge, fresh, set, fired, quiet, alone, awake, timer, sig;
static int first, second, many[MANY];
static char *before[6];

static void watch(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
}

/* Whether it reports this, once, among what it reports now. */
static bool reports(int ep, uint64_t data, uint32_t events)
{
	static struct epoll_event said[2 * MANY];
	int nr = must(epoll_wait(ep, said, 2 * MANY, 0)), found = 0;

	for (int i = 0; i < nr; i++)
		found += said[i].data.u64 == data && said[i].events == events;
	return found == 1;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Number, events and data of each item, in an order of their own. */
static char *items(int ep)
{
	char *text = calloc(1, TEXT), *all = calloc(1, TEXT), *lines[2 * MANY], path[64], *line, *end;
	size_t nr = 0, len = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ep);
	in = fopen(path, "r");
	must(in ? 0 : -1);
	len = fread(text, 1, TEXT - 1, in);
	fclose(in);
	for (line = strstr(text, "tfd:"); line && *line; line = end + 1) {
		end = strchr(line, '\n');
		*strstr(line, " pos:") = '\0';
		lines[nr++] = line;
	}
	qsort(lines, nr, sizeof(*lines), by_text);
	len = 0;
	for (size_t i = 0; i < nr; i++)
		len += sprintf(all + len, "%s\n", lines[i]);
	free(text);
	return all;
}

static void make_mixed(void)
{
	struct epoll_event event;
	sigset_t usr;

	mixed = must(epoll_create1(EPOLL_CLOEXEC));
	twin = must(dup2(mixed, 200));
	must(pipe(level));
	must(write(level[1], "x", 1));
	watch(mixed, level[0], EPOLLIN, BIG);
	edge = must(eventfd(0, EFD_NONBLOCK));
	watch(mixed, edge, EPOLLIN | EPOLLET, 2);
	fresh = must(eventfd(1, EFD_NONBLOCK));
	set = must(eventfd(0, EFD_NONBLOCK));
	watch(mixed, set, EPOLLIN | EPOLLONESHOT, 4);
	quiet = must(eventfd(0, EFD_NONBLOCK));
	watch(mixed, quiet, 0, 6);
	alone = must(eventfd(0, EFD_NONBLOCK));
	watch(mixed, alone, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 7);
	awake = must(eventfd(0, EFD_NONBLOCK));
	watch(mixed, awake, EPOLLIN | EPOLLWAKEUP, 8);
	timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	watch(mixed, timer, EPOLLIN, 9);
	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr, NULL);
	sig = must(signalfd(-1, &usr, SFD_NONBLOCK));
	watch(mixed, sig, EPOLLIN, 10);
	/* One fires before and is not set again. */
	fired = must(eventfd(1, EFD_NONBLOCK));
	watch(mixed, fired, EPOLLIN | EPOLLONESHOT, 5);
	while (must(epoll_wait(mixed, &event, 1, 0)) != 1 || event.data.u64 != 5)
		;
	watch(mixed, fresh, EPOLLIN | EPOLLET, 3);	/* an edge nobody has been told of */
}

/* The numbers from 900 on are not what they were when they were added. */
static void make_gone(void)
{
	gone = must(epoll_create1(0));
	first = must(eventfd(0, EFD_NONBLOCK));
	second = must(eventfd(0, EFD_NONBLOCK));
	must(dup2(first, 900));
	watch(gone, 900, EPOLLIN, 300);
	must(close(900));
	must(dup2(first, 901));
	watch(gone, 901, EPOLLIN, 301);
	must(dup2(second, 901));
	watch(gone, 901, EPOLLIN, 302);
	/* An end of a pipe by the number that its other end has now. */
	must(dup2(level[0], 902));
	watch(gone, 902, EPOLLIN, 303);
	must(dup3(level[1], 902, O_CLOEXEC));
	watch(gone, first, EPOLLIN, 304);
}

static void set_up(void)
{
	make_mixed();
	make_gone();
	empty = must(epoll_create1(0));
	inner = must(epoll_create1(0));
	outer = must(epoll_create1(0));
	watch(outer, inner, EPOLLIN, 11);
	watch(inner, edge, EPOLLIN, 12);
	watch(outer, mixed, EPOLLIN | EPOLLET, 13);
	crowd = must(epoll_create1(EPOLL_CLOEXEC));
	for (int i = 0; i < MANY; i++) {
		many[i] = must(eventfd(0, EFD_NONBLOCK));
		watch(crowd, many[i], EPOLLIN, BIG + i);
	}
	before[0] = items(mixed);
	before[1] = items(gone);
	before[2] = items(empty);
	before[3] = items(inner);
	before[4] = items(outer);
	before[5] = items(crowd);
}

static void look_at_items(void)
{
	const int which[] = { mixed, gone, empty, inner, outer, crowd };

	for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		char *now = items(which[i]);

		if (strcmp(now, before[i]))
			die("epoll instance %zu has\n%sand not\n%s", i, now, before[i]);
		free(now);
	}
}

static void look_at_mixed(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 55 };
	char c;

	want(fcntl(mixed, F_GETFD) == FD_CLOEXEC && fcntl(twin, F_GETFD) == 0);
	want(reports(twin, 3, EPOLLIN));
	want(reports(mixed, BIG, EPOLLIN));		/* and again, it is a level */
	want(!reports(mixed, 3, EPOLLIN));
	want(read(level[0], &c, 1) == 1 && c == 'x');
	want(!epoll_wait(mixed, &event, 1, 0));

	want(!eventfd_write(edge, 1) && reports(mixed, 2, EPOLLIN) && !reports(mixed, 2, EPOLLIN));
	want(!eventfd_write(set, 1) && reports(mixed, 4, EPOLLIN) && !reports(mixed, 4, EPOLLIN));
	want(!eventfd_write(fired, 1) && !reports(mixed, 5, EPOLLIN));
	event = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 55 };
	want(!epoll_ctl(mixed, EPOLL_CTL_MOD, fired, &event) && reports(mixed, 55, EPOLLIN));
	want(!eventfd_write(quiet, 1) && !reports(mixed, 6, EPOLLIN));
	want(!eventfd_write(alone, 1) && reports(mixed, 7, EPOLLIN) && !reports(mixed, 7, EPOLLIN));
	want(!eventfd_write(awake, 1) && reports(mixed, 8, EPOLLIN) && reports(mixed, 8, EPOLLIN));
	must(timerfd_settime(timer, 0, &(struct itimerspec){ .it_value.tv_nsec = 1 }, NULL));
	while (!reports(mixed, 9, EPOLLIN))
		;
	must(kill(getpid(), SIGUSR1));
	want(reports(mixed, 10, EPOLLIN));
	want(epoll_ctl(mixed, EPOLL_CTL_DEL, level[0], NULL) == 0);
}

static void look_at_gone(void)
{
	struct epoll_event none;

	want(fcntl(900, F_GETFD) < 0 && fcntl(902, F_GETFD) == FD_CLOEXEC);
	want(!epoll_wait(gone, &none, 1, 0));
	want(!eventfd_write(first, 1) && reports(gone, 300, EPOLLIN) && reports(gone, 301, EPOLLIN) &&
	     reports(gone, 304, EPOLLIN) && !reports(gone, 302, EPOLLIN));
	want(!eventfd_write(901, 1) && reports(gone, 302, EPOLLIN));
	want(write(902, "y", 1) == 1 && reports(gone, 303, EPOLLIN));
	want(!epoll_ctl(gone, EPOLL_CTL_DEL, 901, NULL) && !reports(gone, 302, EPOLLIN) &&
	     reports(gone, 301, EPOLLIN));
}

static void look(void)
{
	struct epoll_event none;

	look_at_items();
	look_at_mixed();
	look_at_gone();
	want(!epoll_wait(empty, &none, 1, 0));
	want(reports(inner, 12, EPOLLIN) && reports(outer, 11, EPOLLIN));
	want(!epoll_wait(crowd, &none, 1, 0));
	for (int i = 0; i < MANY; i += 57)
		want(!eventfd_write(many[i], 1) && reports(crowd, BIG + i, EPOLLIN));
}

FACT(set_up, look)
