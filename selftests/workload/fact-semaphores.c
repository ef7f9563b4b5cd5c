// SPDX-License-Identifier: GPL-2.0-only
/*
 * System V semaphores and message queues: values, messages of several types, keys, modes, and threads asleep in
 * semop and msgrcv.  That they are made again and put back: prog/sysv.
 */
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "asleep.h"
#include "fact.h"

#define NR	5

struct letter {
	long type;
	char text[100];
};

static key_t key;
static int set, with_key, queue, full;
static pthread_t in_semop, in_msgrcv;
static char heard[16];

static void add(int id, int nr, int by, int flags)
{
	struct sembuf op = { .sem_num = (unsigned short)nr, .sem_op = (short)by, .sem_flg = (short)flags };

	must(semop(id, &op, 1));
}

static void put(int id, long type, const char *text)
{
	struct letter l = { .type = type };

	strcpy(l.text, text);
	must(msgsnd(id, &l, strlen(text), IPC_NOWAIT));
}

static bool gives(int id, long type, const char *text)
{
	struct letter l;
	ssize_t n = msgrcv(id, &l, sizeof(l.text), type, IPC_NOWAIT);

	return n == (ssize_t)strlen(text) && !memcmp(l.text, text, (size_t)n);
}

static void *takes(void *unused)
{
	add(set, 4, -3, 0);
	return NULL;
}

static void *receives(void *unused)
{
	struct letter l;

	if (msgrcv(queue, &l, sizeof(l.text), 77, 0) != 5)
		die("msgrcv: %s", strerror(errno));
	memcpy(heard, l.text, 5);
	return NULL;
}

static void set_up(void)
{
	struct msqid_ds ds;

	key = 0x636b0000 + getpid() % 0xffff;
	set = must(semget(IPC_PRIVATE, NR, 0600));
	with_key = must(semget(key, 1, IPC_CREAT | IPC_EXCL | 0640));
	for (int i = 0; i < 4; i++)
		add(set, i, 1000 * (i + 1), 0);
	add(with_key, 0, 7, 0);
	queue = must(msgget(key, IPC_CREAT | IPC_EXCL | 0622));
	put(queue, 5, "five");
	put(queue, 3, "three");
	put(queue, 5, "again five");
	put(queue, 9, "");
	full = must(msgget(IPC_PRIVATE, 0600));
	must(msgctl(full, IPC_STAT, &ds));
	ds.msg_qbytes = 64;
	must(msgctl(full, IPC_SET, &ds));
	put(full, 1, "0123456789012345678901234567890123456789");
	want(!pthread_create(&in_semop, NULL, takes, NULL));
	want(!pthread_create(&in_msgrcv, NULL, receives, NULL));
	wait_asleep(2);
}

static bool is_full(void)
{
	struct letter l = { .type = 1 };

	errno = 0;
	return msgsnd(full, &l, 30, IPC_NOWAIT) == -1 && errno == EAGAIN;
}

static void look(void)
{
	struct semid_ds sem;
	struct msqid_ds msg;

	for (int i = 0; i < 4; i++)
		want(semctl(set, i, GETVAL) == 1000 * (i + 1));
	want(semctl(set, 4, GETVAL) == 0 && semctl(set, 4, GETNCNT) == 1);
	want(semget(key, 1, 0) == with_key && semctl(with_key, 0, GETVAL) == 7);
	want(!semctl(with_key, 0, IPC_STAT, &sem) && sem.sem_perm.mode == 0640 && sem.sem_perm.cuid == geteuid());
	want(msgget(key, 0) == queue && !msgctl(queue, IPC_STAT, &msg) && msg.msg_perm.mode == 0622);
	want(msg.msg_qnum == 4);
	want(gives(queue, 3, "three") && gives(queue, 0, "five") && gives(queue, 5, "again five") &&
	     gives(queue, 9, ""));
	want(!msgctl(full, IPC_STAT, &msg) && msg.msg_qbytes == 64 && msg.msg_qnum == 1 && is_full());
	add(set, 4, 3, 0);
	put(queue, 77, "hello");
	want(!pthread_join(in_semop, NULL) && !pthread_join(in_msgrcv, NULL) && !memcmp(heard, "hello", 5));
	want(semctl(set, 4, GETVAL) == 0);
	must(semctl(set, 0, IPC_RMID));
	must(semctl(with_key, 0, IPC_RMID));
	must(msgctl(queue, IPC_RMID, NULL));
	must(msgctl(full, IPC_RMID, NULL));
}

FACT(set_up, look)
