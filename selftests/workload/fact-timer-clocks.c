// SPDX-License-Identifier: GPL-2.0-only
/*
 * POSIX timers of each clock: what is left, the period, what they will say; one that is not set, one
 * stopped.
 */
#include "fact.h"

#ifndef CLOCK_TAI
#define CLOCK_TAI	11
#endif

static const clockid_t clocks[] = {
	CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID,
	CLOCK_THREAD_CPUTIME_ID,
};

#define NR	(sizeof(clocks) / sizeof(*clocks))

static timer_t timers[NR], unset, stopped;

static bool make(clockid_t clock, int value, timer_t *timer)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1,
			       .sigev_value.sival_int = value };

	return !timer_create(clock, &ev, timer);
}

static void set_up(void)
{
	for (size_t i = 0; i < NR; i++) {
		const struct itimerspec its = { { (long)i, 5 }, { 1000 + 100 * (long)i, 0 } };

		want(make(clocks[i], (int)i, &timers[i]));
		must(timer_settime(timers[i], 0, &its, NULL));
	}
	want(make(CLOCK_MONOTONIC, 50, &unset) && make(CLOCK_REALTIME, 51, &stopped));
	must(timer_settime(stopped, 0, &(struct itimerspec){ { 1, 1 }, { 9, 9 } }, NULL));
	must(timer_settime(stopped, 0, &(struct itimerspec){ { 7, 7 }, { 0, 0 } }, NULL));
}

/* Soon: it comes, and says who it is. */
static void fires(timer_t timer, int value)
{
	const struct timespec limit = { .tv_sec = 60 };
	siginfo_t info;
	sigset_t set;

	must(timer_settime(timer, 0, &(struct itimerspec){ { 0, 0 }, { 0, 1000 } }, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	want(sigtimedwait(&set, &info, &limit) == SIGRTMIN + 1);
	want(info.si_code == SI_TIMER && info.si_value.sival_int == value &&
	     info.si_timerid == (int)(long)timer);
}

static void look(void)
{
	struct itimerspec its;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	for (size_t i = 0; i < NR; i++) {
		must(timer_gettime(timers[i], &its));
		want(its.it_interval.tv_sec == (long)i && its.it_interval.tv_nsec == 5);
		want(its.it_value.tv_sec <= 1000 + 100 * (long)i &&
		     its.it_value.tv_sec > 900 + 100 * (long)i);
		if (clocks[i] != CLOCK_PROCESS_CPUTIME_ID && clocks[i] != CLOCK_THREAD_CPUTIME_ID)
			fires(timers[i], (int)i);
	}
	must(timer_gettime(unset, &its));
	want(!its.it_interval.tv_sec && !its.it_value.tv_sec && !its.it_value.tv_nsec);
	must(timer_gettime(stopped, &its));
	want(!its.it_value.tv_sec && !its.it_value.tv_nsec);
	fires(stopped, 51);
}

FACT(set_up, look)
