// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is undone of semaphores at the end of a process (SEM_UNDO), of two sets, up and down, to the limits of a
 * value: unshare(CLONE_SYSVSEM) undoes it before that.
 */
#include <sched.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#include "fact.h"

#define NR	4
#define MOST	32767		/* SEMVMX */

static int set, other, unused;

static void add(int id, int nr, int by, int flags)
{
	struct sembuf op = { .sem_num = (unsigned short)nr, .sem_op = (short)by, .sem_flg = (short)flags };

	must(semop(id, &op, 1));
}

static void set_up(void)
{
	set = must(semget(IPC_PRIVATE, NR, 0600));
	other = must(semget(IPC_PRIVATE, 1, 0600));
	unused = must(semget(IPC_PRIVATE, 2, 0600));
	add(set, 0, 2, SEM_UNDO);
	add(set, 1, 5, 0);
	add(set, 1, -3, SEM_UNDO);
	add(set, 2, MOST, 0);
	add(set, 2, -100, SEM_UNDO);
	add(set, 2, 100, 0);			/* whose end adds 100 more than it takes */
	add(set, 3, MOST, SEM_UNDO);
	add(other, 0, 7, SEM_UNDO);
	add(other, 0, -7, 0);			/* whose end would take 7 of none */
	add(unused, 1, 3, SEM_UNDO);
	add(unused, 1, -3, SEM_UNDO);
}

static bool has(int id, int nr, int value)
{
	return semctl(id, nr, GETVAL) == value;
}

static void look(void)
{
	want(has(set, 0, 2) && has(set, 1, 2) && has(set, 2, MOST) && has(set, 3, MOST) && has(other, 0, 0));
	want(has(unused, 0, 0) && has(unused, 1, 0));
	add(set, 0, 1, SEM_UNDO);		/* it goes on being counted */
	add(set, 2, -150, 0);
	add(other, 0, 10, 0);
	must(unshare(CLONE_SYSVSEM));
	/* A value stays in its range. */
	want(has(set, 0, 0) && has(set, 1, 5) && has(set, 2, MOST - 50) && has(set, 3, 0) && has(other, 0, 3));
	want(has(unused, 0, 0) && has(unused, 1, 0));
	must(semctl(set, 0, IPC_RMID));
	must(semctl(other, 0, IPC_RMID));
	must(semctl(unused, 0, IPC_RMID));
}

FACT(set_up, look)
