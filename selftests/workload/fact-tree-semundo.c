// SPDX-License-Identifier: GPL-2.0-only
/*
 * A semaphore that a thread of a child has taken, with SEM_UNDO, and its parent waits for: it gets it when
 * the child has ended.
 */
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#include "asleep.h"
#include "fact-child.h"

static int set;
static struct child holder;
static pthread_t waiter;

static void add(int by, int flags)
{
	struct sembuf op = { .sem_op = (short)by, .sem_flg = (short)flags };

	must(semop(set, &op, 1));
}

static void *takes(void *unused)
{
	add(-1, SEM_UNDO);
	return NULL;
}

static void take(void)
{
	pthread_t thread;

	want(!pthread_create(&thread, NULL, takes, NULL) && !pthread_join(thread, NULL));
}

static void hold(void)
{
	want(!semctl(set, 0, GETVAL));
}

static void set_up(void)
{
	set = must(semget(IPC_PRIVATE, 1, 0600));
	add(1, 0);
	child_begin(&holder, take, hold);
	want(!semctl(set, 0, GETVAL));
	want(!pthread_create(&waiter, NULL, takes, NULL));
	wait_asleep(1);
}

static void look(void)
{
	want(!semctl(set, 0, GETVAL) && semctl(set, 0, GETNCNT) == 1);
	child_look(&holder);
	want(!pthread_join(waiter, NULL) && !semctl(set, 0, GETVAL));
	must(semctl(set, 0, IPC_RMID));
}

FACT(set_up, look)
