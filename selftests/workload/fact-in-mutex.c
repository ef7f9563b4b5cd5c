// SPDX-License-Identifier: GPL-2.0-only
/* Asleep for a mutex, a condition with and without a limit, a semaphore and another thread's end. */
#include <semaphore.h>

#include "fact-asleep.h"

static struct asleep locker, waiter, limited, taker, joiner, last;
static pthread_mutex_t taken = PTHREAD_MUTEX_INITIALIZER, of_cond = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER, never = PTHREAD_COND_INITIALIZER;
static sem_t sem, end;
static int stage;

static long call_lock(void)
{
	return pthread_mutex_lock(&taken);
}

static long call_wait(void)
{
	int r = pthread_mutex_lock(&of_cond);

	while (!r && !stage)
		r = pthread_cond_wait(&cond, &of_cond);
	return r ? r : pthread_mutex_unlock(&of_cond);
}

static long call_limited(void)
{
	static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
	struct timespec limit;
	int r;

	must(clock_gettime(CLOCK_REALTIME, &limit));
	limit.tv_sec += 2;
	pthread_mutex_lock(&own);
	do {
		r = pthread_cond_timedwait(&never, &own, &limit);
	} while (!r);
	return r;
}

static long call_take(void)
{
	return sem_wait(&sem);
}

static long call_end(void)
{
	return sem_wait(&end);
}

static long call_join(void)
{
	return pthread_join(last.thread, NULL);
}

static void set_up(void)
{
	must(sem_init(&sem, 0, 0));
	must(sem_init(&end, 0, 0));
	pthread_mutex_lock(&taken);
	asleep_begin(&locker, call_lock);
	asleep_begin(&waiter, call_wait);
	asleep_begin(&limited, call_limited);
	asleep_begin(&taker, call_take);
	asleep_begin(&last, call_end);
	asleep_begin(&joiner, call_join);
}

static void look(void)
{
	want(pthread_mutex_trylock(&taken) == EBUSY);
	pthread_mutex_unlock(&taken);
	want(!asleep_woken(&locker));
	pthread_mutex_lock(&of_cond);
	stage = 1;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&of_cond);
	want(!asleep_woken(&waiter));
	want(asleep_woken(&limited) == ETIMEDOUT);
	must(sem_post(&sem));
	want(!asleep_woken(&taker));
	must(sem_post(&end));
	want(!asleep_woken(&joiner) && !last.ret);
}

FACT(set_up, look)
