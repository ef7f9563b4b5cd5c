// SPDX-License-Identifier: GPL-2.0-only
/* A lock that hands on priority, which one thread has and two wait for: they get it, one after the other. */
#include "fact-aside.h"

#define WAITERS	2

static pthread_mutex_t lock;
static pthread_t waiters[WAITERS];
static volatile int waiting, had;

static void *wait_for_it(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	__atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
	want(!pthread_mutex_lock(&lock));
	had++;
	want(!pthread_mutex_unlock(&lock));
	return NULL;
}

static void set_up(void)
{
	pthread_mutexattr_t attr;

	want(!pthread_mutexattr_init(&attr));
	want(!pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
	want(!pthread_mutex_init(&lock, &attr) && !pthread_mutex_lock(&lock));
	for (int i = 0; i < WAITERS; i++)
		want(!pthread_create(&waiters[i], NULL, wait_for_it, NULL));
	while (waiting < WAITERS || !(*(volatile uint32_t *)&lock & 0x80000000))	/* FUTEX_WAITERS */
		usleep(1000);
}

static void look(void)
{
	want(!had && !pthread_mutex_unlock(&lock));
	for (int i = 0; i < WAITERS; i++)
		want(!pthread_join(waiters[i], NULL));
	want(had == WAITERS && !pthread_mutex_trylock(&lock));
}

FACT(set_up, look)
