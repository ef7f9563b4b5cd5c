// SPDX-License-Identifier: GPL-2.0-only
/* Signals: actions, masks, what is pending and in which order, the alternate stack, timers. */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "state.h"

static void handler(int sig)
{
}

static void handler_info(int sig, siginfo_t *info, void *context)
{
}

/* ---- actions ---- */

static struct sigaction actions[65];

static void set_actions(void)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_NODEFER };

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGQUIT);
	sigaddset(&sa.sa_mask, SIGRTMAX);
	must(sigaction(SIGUSR1, &sa, NULL));
	sa.sa_sigaction = handler_info;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
	must(sigaction(SIGSEGV, &sa, NULL));
	must(sigaction(SIGRTMAX, &sa, NULL));
	sa.sa_handler = SIG_IGN;
	sa.sa_flags = SA_NOCLDWAIT;
	must(sigaction(SIGCHLD, &sa, NULL));
	must(sigaction(SIGHUP, &sa, NULL));
	for (int i = 1; i < 65; i++)
		if (i != 32 && i != 33)
			sigaction(i, NULL, &actions[i]);
}

static void check_actions(void)
{
	struct sigaction now;

	for (int i = 1; i < 65; i++) {
		if (i == 32 || i == 33)
			continue;
		must(sigaction(i, NULL, &now));
		want(now.sa_flags == actions[i].sa_flags);
		want(now.sa_sigaction == actions[i].sa_sigaction);
		want(!memcmp(&now.sa_mask, &actions[i].sa_mask, 8));
	}
}

/* ---- mask and queue: read back at the end, in the order of the numbers, then of sending ---- */

#define QUEUED	5

static sigset_t mask;

static void set_pending(void)
{
	union sigval v;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGWINCH);
	sigaddset(&mask, SIGRTMIN + 4);
	sigaddset(&mask, SIGRTMIN + 5);
	must(sigprocmask(SIG_SETMASK, &mask, NULL));
	must(kill(getpid(), SIGUSR2));
	must(raise(SIGWINCH));
	for (int i = 0; i < QUEUED; i++) {
		v.sival_ptr = (void *)(0xdeadbeef00000000ul + i);
		must(sigqueue(getpid(), SIGRTMIN + 4, v));
	}
	v.sival_int = 99;
	want(!pthread_sigqueue(pthread_self(), SIGRTMIN + 5, v));
}

static void want_signal(int sig, int code, void *value)
{
	const struct timespec now = { 0 };
	siginfo_t info;
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, sig);
	want(sigtimedwait(&one, &info, &now) == sig);
	if (info.si_code != code || info.si_pid != getpid())
		die("signal %d came with code %d from %d", sig, info.si_code, info.si_pid);
	want(!value || info.si_value.sival_ptr == value);
}

static void check_pending(void)
{
	sigset_t now;

	must(sigprocmask(SIG_SETMASK, NULL, &now));
	want(!memcmp(&now, &mask, 8));
	must(sigpending(&now));
	want(!sigismember(&now, SIGTERM) && sigismember(&now, SIGUSR2));
	want_signal(SIGUSR2, SI_USER, NULL);
	want_signal(SIGWINCH, SI_USER, NULL);		/* the C library hides SI_TKILL */
	for (int i = 0; i < QUEUED; i++)
		want_signal(SIGRTMIN + 4, SI_QUEUE, (void *)(0xdeadbeef00000000ul + i));
	want_signal(SIGRTMIN + 5, SI_QUEUE, NULL);
	must(sigpending(&now));
	for (int sig = 1; sig < 64; sig++)
		want(!sigismember(&now, sig));
}

/* ---- alternate stack ---- */

static char stack[65536];

static void set_stack(void)
{
	const stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };

	must(sigaltstack(&ss, NULL));
}

static void check_stack(void)
{
	stack_t now;

	must(sigaltstack(NULL, &now));
	want(now.ss_sp == stack && now.ss_size == sizeof(stack) && !now.ss_flags);
}

/* ---- timers far from their end ---- */

static timer_t timer;

static void set_timers(void)
{
	const struct itimerval it = { { 3, 7 }, { 5000, 0 } };
	const struct itimerspec its = { { 2, 11 }, { 7000, 0 } };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 4 };
	timer_t gone;

	must(setitimer(ITIMER_REAL, &it, NULL));
	must(setitimer(ITIMER_PROF, &it, NULL));
	/* a number that was freed: those that are left do not count from 0 */
	must(timer_create(CLOCK_REALTIME, &ev, &gone));
	must(timer_create(CLOCK_MONOTONIC, &ev, &timer));
	must(timer_delete(gone));
	must(timer_settime(timer, 0, &its, NULL));
}

static void check_timers(void)
{
	struct itimerval it;
	struct itimerspec its;

	must(getitimer(ITIMER_REAL, &it));
	want(it.it_interval.tv_sec == 3 && it.it_interval.tv_usec == 7);
	want(it.it_value.tv_sec < 5000 && it.it_value.tv_sec > 3000);
	must(getitimer(ITIMER_PROF, &it));
	want(it.it_interval.tv_sec == 3 && it.it_value.tv_sec > 4900 && it.it_value.tv_sec <= 5000);
	must(getitimer(ITIMER_VIRTUAL, &it));
	want(!it.it_value.tv_sec && !it.it_value.tv_usec);
	must(timer_gettime(timer, &its));
	want(its.it_interval.tv_sec == 2 && its.it_interval.tv_nsec == 11);
	want(its.it_value.tv_sec < 7000 && its.it_value.tv_sec > 5000);
}

const struct aspect signal_aspects[] = {
	{ "signal actions", set_actions, check_actions },
	{ "signals blocked and pending", set_pending, check_pending },
	{ "alternate signal stack", set_stack, check_stack },
	{ "timers", set_timers, check_timers },
	{ NULL }
};
