// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timers that tell one thread (SIGEV_THREAD_ID), that count another one's processor time, that tell
 * nobody, and that have expired again and again while their signal waits.
 */
#include <sys/syscall.h>

#include "fact-aside.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id	_sigev_un._tid
#endif

static struct aside other;
static timer_t to_other, of_other, silent, often;
static clockid_t clock_of_other;
static pid_t tid;
static int overrun;

static void tell(void)
{
	tid = (pid_t)syscall(SYS_gettid);
	must(pthread_getcpuclockid(pthread_self(), &clock_of_other));
}

static void other_looks(void)
{
	const struct timespec limit = { .tv_sec = 60 };
	siginfo_t info;
	sigset_t set;

	must(timer_settime(to_other, 0, &(struct itimerspec){ { 0, 0 }, { 0, 1000 } }, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	want(sigtimedwait(&set, &info, &limit) == SIGRTMIN + 1 && info.si_value.sival_int == 41);
	must(timer_settime(of_other, 0, &(struct itimerspec){ { 0, 0 }, { 0, 1000 } }, NULL));
	sigaddset(&set, SIGRTMIN + 2);
	while (sigtimedwait(&set, &info, &(struct timespec){ 0 }) != SIGRTMIN + 2)
		;			/* time that this thread spends */
	want(info.si_value.sival_int == 42);
}

static timer_t make(clockid_t clock, int notify, int sig, int value)
{
	struct sigevent ev = { .sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_int = value };
	timer_t timer;

	ev.sigev_notify_thread_id = tid;
	must(timer_create(clock, &ev, &timer));
	return timer;
}

static void set_up(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 1; i < 4; i++)
		sigaddset(&set, SIGRTMIN + i);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	aside_begin(&other, tell, other_looks);
	to_other = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 1, 41);
	of_other = make(clock_of_other, SIGEV_SIGNAL, SIGRTMIN + 2, 42);
	silent = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 43);
	often = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 3, 44);
	must(timer_settime(silent, 0, &(struct itimerspec){ { 0, 0 }, { 0, 1000 } }, NULL));
	must(timer_settime(often, 0, &(struct itimerspec){ { 0, 100000 }, { 0, 100000 } }, NULL));
	usleep(5000);
}

static void look(void)
{
	const struct timespec limit = { .tv_sec = 60 };
	struct itimerspec its;
	siginfo_t info;
	sigset_t set;

	must(timer_gettime(silent, &its));
	want(!its.it_value.tv_sec && !its.it_value.tv_nsec);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	for (int i = 0; i < 3; i++) {
		want(sigtimedwait(&set, &info, &limit) == SIGRTMIN + 3 && info.si_value.sival_int == 44);
		overrun = timer_getoverrun(often);
		want(overrun == info.si_overrun && (i || overrun >= 40));	/* 5 ms at least */
	}
	must(timer_settime(often, 0, &(struct itimerspec){ 0 }, NULL));
	aside_look(&other);
}

FACT(set_up, look)
