// SPDX-License-Identifier: GPL-2.0-only
/*
 * What has no name and a child inherited: eventfd, timerfd, signalfd, epoll instance and pipe are one
 * thing for both; what one does the other sees.
 * kinds: eventfd, timerfd, signalfd, epoll, pipe
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "fact-child.h"

static struct child child;
static int event, timer, sigs, epoll, ends[2];

static void child_looks(void)
{
	struct epoll_event got = { 0 };
	struct signalfd_siginfo info;
	struct itimerspec its;
	uint64_t n;
	char c;

	want(read(event, &n, 8) == 8 && n == 5);
	n = 77;
	want(write(event, &n, 8) == 8);
	want(epoll_wait(epoll, &got, 1, 0) == 1 && got.data.u64 == 99);
	must(epoll_ctl(epoll, EPOLL_CTL_DEL, event, NULL));
	must(timerfd_gettime(timer, &its));
	want(its.it_value.tv_sec > 900 && its.it_interval.tv_sec == 3);
	must(timerfd_settime(timer, 0, &(struct itimerspec){ { 0, 0 }, { 0, 1 } }, NULL));
	must(kill(getpid(), SIGUSR2));		/* a signalfd is about who reads it */
	want(read(sigs, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR2);
	want(read(ends[0], &c, 1) == 1 && c == 'p');
	want(fcntl(ends[0], F_GETPIPE_SZ) == 8192);
}

static void set_up(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	event = must(eventfd(5, EFD_NONBLOCK));
	timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	must(timerfd_settime(timer, 0, &(struct itimerspec){ { 3, 0 }, { 1000, 0 } }, NULL));
	sigs = must(signalfd(-1, &set, SFD_NONBLOCK));
	must(pipe2(ends, O_NONBLOCK));
	must(fcntl(ends[0], F_SETPIPE_SZ, 8192));
	want(write(ends[1], "pq", 2) == 2);
	epoll = must(epoll_create1(0));
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &(struct epoll_event){ EPOLLIN, { .u64 = 99 } }));
	child_begin(&child, NULL, child_looks);
}

static void look(void)
{
	struct signalfd_siginfo info;
	struct epoll_event got;
	uint64_t n;
	char c;

	child_look(&child);
	want(read(event, &n, 8) == 8 && n == 77);
	want(!epoll_wait(epoll, &got, 1, 0));
	want(epoll_ctl(epoll, EPOLL_CTL_DEL, event, NULL) == -1 && errno == ENOENT);
	want(poll(&(struct pollfd){ timer, POLLIN, 0 }, 1, 30000) == 1 && read(timer, &n, 8) == 8 && n == 1);
	want(read(sigs, &info, sizeof(info)) == -1 && errno == EAGAIN);
	want(read(ends[0], &c, 1) == 1 && c == 'q' && read(ends[0], &c, 1) == -1);
}

FACT(set_up, look)
