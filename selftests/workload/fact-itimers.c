// SPDX-License-Identifier: GPL-2.0-only
/* setitimer() of each kind, with a period: what is left, and that each goes on to tell, as time is spent. */
#include <sys/time.h>

#include "fact.h"

static const int which[] = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };
static const int sig[] = { SIGALRM, SIGVTALRM, SIGPROF };

static void set_up(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < 3; i++)
		sigaddset(&set, sig[i]);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int i = 0; i < 3; i++)
		must(setitimer(which[i], &(struct itimerval){ { 0, 50000 + i }, { 2000 + i, 999999 } },
			       NULL));
}

static void look(void)
{
	struct itimerval it;
	sigset_t set;

	for (int i = 0; i < 3; i++) {
		must(getitimer(which[i], &it));
		want(it.it_value.tv_sec <= 2001 + i && it.it_value.tv_sec > 1800);
		/* Those of processor time come by the kernel's tick. */
		want(it.it_interval.tv_sec == 0 && it.it_interval.tv_usec >= 50000 + i &&
		     it.it_interval.tv_usec < 60000);
		must(setitimer(which[i], &(struct itimerval){ it.it_interval, { 0, 1000 } }, NULL));
	}
	sigemptyset(&set);
	for (int i = 0; i < 3; i++) {
		sigset_t pending;

		do
			must(sigpending(&pending));
		while (!sigismember(&pending, sig[i]));
		sigaddset(&set, sig[i]);
	}
	for (int left = 3 * 2; left; left--)		/* again, by the period */
		while (sigtimedwait(&set, NULL, &(struct timespec){ 0 }) < 0)
			;
}

FACT(set_up, look)
