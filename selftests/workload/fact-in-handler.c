// SPDX-License-Identifier: GPL-2.0-only
/*
 * A thread in a handler, on an alternate stack that disarms itself, called from within a handler on its
 * ordinary stack: both return to where they were called, with the masks that were.
 */
#include <pthread.h>

#include "fact.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM	(1u << 31)
#endif

static pthread_t thread;
static volatile int depth, returned;
static volatile bool go_on;
static char stack[65536];

static void inner(int sig)
{
	stack_t now;

	must(sigaltstack(NULL, &now));
	want(now.ss_flags & SS_DISABLE);	/* disarmed while it is used */
	depth = 2;
	while (!go_on)
		usleep(1000);
	must(sigaltstack(NULL, &now));
	want(now.ss_flags & SS_DISABLE);
	returned = 2;
}

static void outer(int sig, siginfo_t *info, void *context)
{
	sigset_t now;

	want(info->si_value.sival_int == 5);
	raise(SIGUSR2);
	want(returned == 2 && !pthread_sigmask(SIG_SETMASK, NULL, &now));
	want(sigismember(&now, SIGUSR1) && sigismember(&now, SIGQUIT) && !sigismember(&now, SIGUSR2));
	returned = 1;
}

static void *run(void *arg)
{
	volatile uint64_t kept = 0x123456789abcdef;
	union sigval v = { .sival_int = 5 };
	sigset_t now;
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack), .ss_flags = (int)SS_AUTODISARM };

	must(sigaltstack(&ss, NULL));
	want(!pthread_sigqueue(pthread_self(), SIGUSR1, v));
	want(returned == 1 && kept == 0x123456789abcdef);
	want(!pthread_sigmask(SIG_SETMASK, NULL, &now) && !sigismember(&now, SIGUSR1));
	must(sigaltstack(NULL, &ss));
	want(ss.ss_sp == stack && ss.ss_flags == (int)SS_AUTODISARM);
	return NULL;
}

static void set_up(void)
{
	struct sigaction a = { .sa_sigaction = outer, .sa_flags = SA_SIGINFO };

	sigaddset(&a.sa_mask, SIGQUIT);
	must(sigaction(SIGUSR1, &a, NULL));
	a = (struct sigaction){ .sa_handler = inner, .sa_flags = SA_ONSTACK | SA_NODEFER };
	must(sigaction(SIGUSR2, &a, NULL));
	want(!pthread_create(&thread, NULL, run, NULL));
	while (depth < 2)
		usleep(100);
}

static void look(void)
{
	go_on = true;
	want(!pthread_join(thread, NULL));
}

FACT(set_up, look)
