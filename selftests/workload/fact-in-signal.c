// SPDX-License-Identifier: GPL-2.0-only
/* Asleep for signals: sigwaitinfo(2), sigtimedwait(2), read(2) of a signalfd; and sigsuspend(2), whose mask goes. */
#include <sys/signalfd.h>

#include "fact-asleep.h"

static struct asleep waiter, limited, reader, suspended;
static siginfo_t told;
static struct signalfd_siginfo read_of;
static volatile sig_atomic_t handled;
static bool was_blocked;
static int fd;

static sigset_t only(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

static long call_wait(void)
{
	const sigset_t set = only(SIGRTMIN + 1);

	return sigwaitinfo(&set, &told);
}

static long call_limited(void)
{
	const sigset_t set = only(SIGRTMIN + 2);

	return sigtimedwait(&set, NULL, &(struct timespec){ .tv_sec = 2 });
}

static long call_read(void)
{
	return read(fd, &read_of, sizeof(read_of));
}

static long call_suspend(void)
{
	sigset_t all_but, now;
	int r;

	sigfillset(&all_but);
	sigdelset(&all_but, SIGRTMIN + 4);
	r = sigsuspend(&all_but);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	was_blocked = sigismember(&now, SIGRTMIN + 4);
	return r;
}

static void handle(int sig)
{
	handled = sig;
}

static void set_up(void)
{
	const struct sigaction sa = { .sa_handler = handle };
	const sigset_t of_fd = only(SIGRTMIN + 3);
	sigset_t set = only(SIGRTMIN + 1);

	for (int i = 2; i < 5; i++)
		sigaddset(&set, SIGRTMIN + i);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(sigaction(SIGRTMIN + 4, &sa, NULL));
	fd = must(signalfd(-1, &of_fd, 0));
	asleep_begin(&waiter, call_wait);
	asleep_begin(&limited, call_limited);
	asleep_begin(&reader, call_read);
	asleep_begin(&suspended, call_suspend);
}

static void look(void)
{
	want(asleep_woken(&limited) == -1 && errno == EAGAIN);
	must(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 17 }));
	want(asleep_woken(&waiter) == SIGRTMIN + 1 && told.si_value.sival_int == 17);
	must(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 19 }));
	want(asleep_woken(&reader) == sizeof(read_of) && read_of.ssi_int == 19);
	want(!handled);
	must(sigqueue(getpid(), SIGRTMIN + 4, (union sigval){ .sival_int = 0 }));
	want(asleep_woken(&suspended) == -1 && errno == EINTR);
	want(handled == SIGRTMIN + 4 && was_blocked);
}

FACT(set_up, look)
