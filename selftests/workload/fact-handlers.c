// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each signal is set to, flag by flag, and that it happens: reset, restarted, masked, by another
 * stack.
 */
#include "fact.h"

static volatile int seen, stacked, nested;
static char stack[32768];
static struct sigaction before[NSIG];

static void count(int sig)
{
	char here;

	seen++;
	stacked += &here >= stack && &here < stack + sizeof(stack);
	if (sig == SIGUSR2 && nested++ == 0)
		raise(sig);
}

static void set_up(void)
{
	static const int flags[] = { 0, SA_NODEFER, SA_RESETHAND, SA_ONSTACK, SA_RESTART, SA_NOCLDSTOP,
				     SA_NOCLDWAIT, SA_SIGINFO };
	int n = 0;

	for (int sig = 1; sig < NSIG; sig++) {
		struct sigaction a = { .sa_handler = count, .sa_flags = flags[n++ % 8] };

		if (sig == SIGKILL || sig == SIGSTOP || sig == SIGTERM || (sig >= 32 && sig < SIGRTMIN))
			continue;
		sigaddset(&a.sa_mask, 1 + n % 31);
		sigaddset(&a.sa_mask, SIGRTMAX - n % 20);
		if (n % 11 == 0)
			a.sa_handler = SIG_IGN;
		must(sigaction(sig, &a, NULL));
	}
	must(sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) }, NULL));
	must(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = count,
						     .sa_flags = SA_RESETHAND | SA_ONSTACK }, NULL));
	must(sigaction(SIGUSR2, &(struct sigaction){ .sa_handler = count, .sa_flags = SA_NODEFER }, NULL));
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, NULL, &before[sig]);
}

static void look(void)
{
	struct sigaction now;

	for (int sig = 1; sig < NSIG; sig++) {
		if (sigaction(sig, NULL, &now))
			continue;
		want(now.sa_handler == before[sig].sa_handler && now.sa_flags == before[sig].sa_flags);
		want(!memcmp(&now.sa_mask, &before[sig].sa_mask, 8));
	}
	raise(SIGUSR1);
	want(seen == 1 && stacked == 1 && !sigaction(SIGUSR1, NULL, &now) && now.sa_handler == SIG_DFL);
	raise(SIGUSR2);
	want(seen == 3 && nested == 2 && stacked == 1);
}

FACT(set_up, look)
