// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pidfds: of the program itself, of an outside process that is still there, of some that have ended; what
 * epoll watches by them; flags, and descriptors of one open file.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fact.h"

static int self, twin, outside, ended, nonblocking, epfd;

static int open_pid(pid_t pid, unsigned int flags)
{
	return must(syscall(SYS_pidfd_open, pid, flags));
}

static int signal_to(int pidfd, int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

static bool is_readable(int fd)
{
	return must(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0));
}

static void set_up(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 1 };
	pid_t child;

	epfd = must(epoll_create1(0));		/* a lower number than what it watches */
	self = open_pid(getpid(), 0);
	twin = must(dup(self));
	outside = open_pid(1, 0);
	nonblocking = open_pid(getpid(), O_NONBLOCK);
	child = must(fork());
	if (!child)
		_exit(3);
	ended = open_pid(child, 0);
	must(waitpid(child, NULL, 0));
	must(epoll_ctl(epfd, EPOLL_CTL_ADD, self, &event));
	event.data.u32 = 2;
	must(epoll_ctl(epfd, EPOLL_CTL_ADD, ended, &event));
	must(fcntl(twin, F_SETFD, 0));
}

static void look(void)
{
	struct epoll_event event;
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int i = 0; i < 3; i++) {
		must(signal_to((int[]){ self, twin, nonblocking }[i], SIGUSR1));
		want(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_pid == getpid());
	}
	want(!is_readable(self) && !is_readable(outside) && is_readable(ended));
	want(!signal_to(outside, 0));
	want(signal_to(ended, 0) < 0 && errno == ESRCH);
	want(waitid(P_PIDFD, (id_t)ended, &info, WEXITED) < 0 && errno == ECHILD);
	want(fcntl(self, F_GETFD) == FD_CLOEXEC && !fcntl(twin, F_GETFD));
	want(fcntl(nonblocking, F_GETFL) & O_NONBLOCK && !(fcntl(self, F_GETFL) & O_NONBLOCK));
	want(epoll_wait(epfd, &event, 1, 0) == 1 && event.data.u32 == 2);
	must(epoll_ctl(epfd, EPOLL_CTL_DEL, ended, NULL));
	must(epoll_ctl(epfd, EPOLL_CTL_DEL, self, NULL));
	/* One open file still. */
	must(fcntl(twin, F_SETFL, fcntl(twin, F_GETFL) | O_NONBLOCK));
	want(fcntl(self, F_GETFL) & O_NONBLOCK);
}

FACT(set_up, look)
