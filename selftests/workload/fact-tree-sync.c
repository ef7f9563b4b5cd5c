// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks of the C library in memory that processes share: a mutex a child holds, one that is robust, a
 * condition it waits for, a barrier, a semaphore, each with somebody asleep in it.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "fact-child.h"

static struct board {
	pthread_mutex_t robust, lock;
	pthread_cond_t cond;
	pthread_barrier_t barrier;
	sem_t sem;
	volatile int asleep, ready;
} *board;

static pid_t holder, sleepers[3];

static pid_t begin(void (*be)(void))
{
	pid_t pid = must(fork());

	if (!pid) {
		be();
		_exit(0);
	}
	return pid;
}

static void hold(void)
{
	want(!pthread_mutex_lock(&board->robust));
	board->ready = 1;
	for (;;)
		pause();
}

static void wait_for_condition(void)
{
	want(!pthread_mutex_lock(&board->lock));
	board->asleep++;
	while (board->ready < 2)
		want(!pthread_cond_wait(&board->cond, &board->lock));
	want(!pthread_mutex_unlock(&board->lock));
}

static void wait_at_barrier(void)
{
	int r = pthread_barrier_wait(&board->barrier);

	want(!r || r == PTHREAD_BARRIER_SERIAL_THREAD);
}

static void wait_for_semaphore(void)
{
	want(!sem_wait(&board->sem));
}

static void make_mutex(pthread_mutex_t *m, int robust)
{
	pthread_mutexattr_t attr;

	want(!pthread_mutexattr_init(&attr) && !pthread_mutexattr_setrobust(&attr, robust));
	want(!pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) && !pthread_mutex_init(m, &attr));
}

static void set_up(void)
{
	pthread_barrierattr_t battr;
	pthread_condattr_t cattr;

	board = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	make_mutex(&board->robust, PTHREAD_MUTEX_ROBUST);
	make_mutex(&board->lock, PTHREAD_MUTEX_STALLED);
	want(!pthread_condattr_init(&cattr) && !pthread_condattr_setpshared(&cattr, PTHREAD_PROCESS_SHARED));
	want(!pthread_cond_init(&board->cond, &cattr));
	want(!pthread_barrierattr_init(&battr) && !pthread_barrierattr_setpshared(&battr,
										  PTHREAD_PROCESS_SHARED));
	want(!pthread_barrier_init(&board->barrier, &battr, 2) && !sem_init(&board->sem, 1, 0));
	holder = begin(hold);
	sleepers[0] = begin(wait_for_condition);
	sleepers[1] = begin(wait_at_barrier);
	sleepers[2] = begin(wait_for_semaphore);
	while (!board->ready || !board->asleep)
		sched_yield();
}

static void look(void)
{
	int status;

	want(pthread_mutex_trylock(&board->robust) == EBUSY);
	must(kill(holder, SIGKILL));
	want(waitpid(holder, &status, 0) == holder && pthread_mutex_lock(&board->robust) == EOWNERDEAD);
	want(!pthread_mutex_lock(&board->lock));
	board->ready = 2;
	want(!pthread_cond_broadcast(&board->cond) && !pthread_mutex_unlock(&board->lock));
	wait_at_barrier();
	want(!sem_post(&board->sem));
	for (int i = 0; i < 3; i++)
		want(waitpid(sleepers[i], &status, 0) == sleepers[i] && !status);
}

FACT(set_up, look)
