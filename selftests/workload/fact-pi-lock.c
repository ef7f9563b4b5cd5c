// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks that hand on priority (PI), held by the thread that looks: it unlocks them, and others then have
 * them.
 */
#include "fact-aside.h"

static pthread_mutex_t lock;
static struct aside other;

static void nothing(void)
{
}

static void takes(void)
{
	want(!pthread_mutex_lock(&lock) && !pthread_mutex_unlock(&lock));
}

static void set_up(void)
{
	pthread_mutexattr_t attr;

	want(!pthread_mutexattr_init(&attr));
	want(!pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
	want(!pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK));
	want(!pthread_mutex_init(&lock, &attr));
	aside_begin(&other, nothing, takes);
	want(!pthread_mutex_lock(&lock));
}

static void look(void)
{
	want(pthread_mutex_lock(&lock) == EDEADLK);
	pthread_barrier_wait(&other.turn);
	while (!(*(volatile uint32_t *)&lock & 0x80000000))	/* until it waits for it */
		usleep(100);
	want(!pthread_mutex_unlock(&lock) && !pthread_join(other.thread, NULL));
}

FACT(set_up, look)
