// SPDX-License-Identifier: GPL-2.0-only
/*
 * stacks - what a debugger looks for in a core: threads at a known depth, values in each kind of memory
 *
 * Two threads sleep in deep(0), called from deep(1), deep(2), deep(3); the main one in main().  Each
 * SIGUSR1 adds one to what is variable, "now N".  Otherwise nothing happens, until SIGTERM.
 */
#include <pthread.h>
#include <signal.h>

#include "work.h"

#define THREADS	2

const char constant[] = "of the executable, never changed";
volatile int initialised = 4711;
volatile int zero_at_first;
char *heap;
volatile int *anonymous;

static pthread_barrier_t all_there;

/* Neither made a loop nor rid of its argument. */
__attribute__((noinline, optimize("O0"))) int deep(int n)
{
	if (n)
		return deep(n - 1) + n;
	pthread_barrier_wait(&all_there);
	pause();
	return 0;
}

static void *thread(void *arg)
{
	return (void *)(intptr_t)deep(3);
}

static void change(int by)
{
	initialised += by;
	zero_at_first += by;
	anonymous[0] += by;
	snprintf(heap, 64, "heap of %d", zero_at_first);
}

int main(void)
{
	pthread_t threads[THREADS];
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	heap = malloc(64);
	anonymous = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!heap || anonymous == MAP_FAILED)
		die("no memory");
	pthread_barrier_init(&all_there, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread, NULL))
			die("no thread");
	pthread_barrier_wait(&all_there);
	change(1);
	say("ready");
	while (!sigwait(&set, &sig) && sig == SIGUSR1) {
		change(1);
		say("now %d", zero_at_first);
	}
	return 0;
}
