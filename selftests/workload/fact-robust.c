// SPDX-License-Identifier: GPL-2.0-only
/*
 * Robust locks a thread has, of each protocol, one of them waited for; then it ends: whoever takes them is
 * told that their owner died.
 */
#include "fact-aside.h"

#define NR	3

static const int protocol[NR] = { PTHREAD_PRIO_NONE, PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT };
static pthread_mutex_t locks[NR];
static struct aside owner;
static pthread_t waiter;
static volatile int waiting;

static void take(void)
{
	for (int i = 0; i < NR; i++)
		want(!pthread_mutex_lock(&locks[i]));
}

static void die_with_them(void)
{
}

static void *wait_for_first(void *arg)
{
	waiting = 1;
	want(pthread_mutex_lock(&locks[0]) == EOWNERDEAD);
	want(!pthread_mutex_consistent(&locks[0]) && !pthread_mutex_unlock(&locks[0]));
	return NULL;
}

static void set_up(void)
{
	for (int i = 0; i < NR; i++) {
		pthread_mutexattr_t attr;

		want(!pthread_mutexattr_init(&attr));
		want(!pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
		want(!pthread_mutexattr_setprotocol(&attr, protocol[i]));
		want(!pthread_mutex_init(&locks[i], &attr));
	}
	aside_begin(&owner, take, die_with_them);
	want(!pthread_create(&waiter, NULL, wait_for_first, NULL));
	while (!waiting || !(*(volatile uint32_t *)&locks[0] & 0x80000000))	/* FUTEX_WAITERS */
		usleep(100);
}

static void look(void)
{
	for (int i = 0; i < NR; i++)
		want(pthread_mutex_trylock(&locks[i]) == EBUSY);
	aside_look(&owner);
	want(!pthread_join(waiter, NULL) && !pthread_mutex_lock(&locks[0]));
	for (int i = 1; i < NR; i++)
		want(pthread_mutex_lock(&locks[i]) == EOWNERDEAD);
}

FACT(set_up, look)
