// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asleep in poll(2), select(2) and epoll_wait(2), for ever and with a limit.
 * kinds: epoll, eventfd
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

#include "fact-asleep.h"

static struct asleep poller, selecter, waiter, limited;
static int fds[2], epoll;
static struct pollfd polled[2];
static fd_set selected;
static struct epoll_event event;

static long call_poll(void)
{
	return poll(polled, 2, 3600 * 1000);
}

static long call_select(void)
{
	struct timeval limit = { .tv_sec = 3600 };

	return select(fds[1] + 1, &selected, NULL, NULL, &limit);
}

static long call_epoll(void)
{
	return epoll_wait(epoll, &event, 1, -1);
}

static long call_limited(void)
{
	struct pollfd never = { .fd = fds[0], .events = POLLRDHUP };

	return poll(&never, 1, 2000);
}

static void set_up(void)
{
	struct epoll_event watch = { .events = EPOLLIN, .data.u32 = 42 };

	for (int i = 0; i < 2; i++) {
		fds[i] = must(eventfd(0, 0));
		polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	}
	FD_ZERO(&selected);
	FD_SET(fds[1], &selected);
	epoll = must(epoll_create1(0));
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[1], &watch));
	asleep_begin(&poller, call_poll);
	asleep_begin(&selecter, call_select);
	asleep_begin(&waiter, call_epoll);
	asleep_begin(&limited, call_limited);
}

static void look(void)
{
	want(!asleep_woken(&limited));
	want(!eventfd_write(fds[1], 1));
	want(asleep_woken(&poller) == 1 && !polled[0].revents && polled[1].revents == POLLIN);
	want(asleep_woken(&selecter) == 1 && FD_ISSET(fds[1], &selected));
	want(asleep_woken(&waiter) == 1 && event.data.u32 == 42 && event.events == EPOLLIN);
}

FACT(set_up, look)
