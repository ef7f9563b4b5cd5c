// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hundreds of threads, each with a name, storage, mask, alternate stack and a signal of its own that
 * waits.
 */
#include <sys/prctl.h>

#include "fact-aside.h"

#define NR	400

static struct aside threads[NR];
static volatile int next;
static __thread int number, values[64];
static __thread char stack[8192];

static void set_own(void)
{
	union sigval v = { .sival_int = number = next };
	char name[16];

	snprintf(name, sizeof(name), "thread %d", number);
	must(prctl(PR_SET_NAME, name));
	for (int i = 0; i < 64; i++)
		values[i] = number * 100 + i;
	must(sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) }, NULL));
	want(!pthread_sigqueue(pthread_self(), SIGRTMIN + number % 20, v));
}

static void has_own(void)
{
	char name[16], wanted[16];
	siginfo_t info;
	sigset_t set;
	stack_t ss;

	snprintf(wanted, sizeof(wanted), "thread %d", number);
	want(!prctl(PR_GET_NAME, name) && !strcmp(name, wanted));
	for (int i = 0; i < 64; i++)
		want(values[i] == number * 100 + i);
	want(!sigaltstack(NULL, &ss) && ss.ss_sp == stack && ss.ss_size == sizeof(stack));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + number % 20);
	want(sigtimedwait(&set, &info, &(struct timespec){ 0 }) > 0 && info.si_value.sival_int == number);
}

static void set_up(void)
{
	for (next = 0; next < NR; next++)
		aside_begin(&threads[next], set_own, has_own);
}

static void look(void)
{
	for (int i = 0; i < NR; i++)
		aside_look(&threads[i]);
}

FACT(set_up, look)
