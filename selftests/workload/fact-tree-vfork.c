// SPDX-License-Identifier: GPL-2.0-only
/* A thread that waits in vfork() for a child that has started another program just now, again and again. */
#include <pthread.h>
#include <sched.h>

#include "fact-child.h"

static volatile bool stop;
static volatile int rounds;
static pthread_t maker;

static void *make(void *arg)
{
	while (!stop) {
		int status;
		pid_t pid = vfork();

		if (!pid) {
			execl("/bin/true", "true", NULL);
			_exit(127);
		}
		want(waitpid(pid, &status, 0) == pid && !status);
		rounds++;
	}
	return NULL;
}

static void set_up(void)
{
	want(!pthread_create(&maker, NULL, make, NULL));
	while (rounds < 3)
		sched_yield();
}

static void look(void)
{
	const int before = rounds;

	while (rounds < before + 3)
		sched_yield();
	stop = true;
	want(!pthread_join(maker, NULL));
}

FACT(set_up, look)
