// SPDX-License-Identifier: GPL-2.0-only
/* leaderless - a process whose first thread has ended, and whose second works on until SIGTERM */
#include <pthread.h>
#include <signal.h>

#include "work.h"

static sigset_t term;

static void *work(void *first)
{
	int sig;

	pthread_join(*(pthread_t *)first, NULL);
	say("ready");
	sigwait(&term, &sig);
	say("unharmed");
	exit(0);
}

int main(void)
{
	static pthread_t first;
	pthread_t second;

	first = pthread_self();
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	errno = pthread_create(&second, NULL, work, &first);
	if (errno)
		die("pthread_create: %s", strerror(errno));
	pthread_exit(NULL);
}
