// SPDX-License-Identifier: GPL-2.0-only
/*
 * Seccomp filters: one that all threads have, one that the first has beside, one that another one has; what
 * each answers, whether it is logged, how many each thread has; and that they are the very same where they
 * were: only then can a thread be brought in line with another (SECCOMP_FILTER_FLAG_TSYNC).
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fact.h"

/* Calls that nobody makes, and what the filters say of them. */
enum { ALL, FIRST, OTHER, NR };
static const long calls[NR] = { SYS_sysfs, SYS_ustat, SYS_getpmsg };
static const int answers[NR] = { 101, 102, 103 };

static pthread_t other, plain;
static pthread_barrier_t up, looked, in_line;
static pid_t other_tid, plain_tid;

static long install(int which, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[which], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)answers[which]),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

static bool answers_as(int which)
{
	errno = 0;
	return syscall(calls[which], 0, 0, 0) == -1 && errno == answers[which];
}

static int count(pid_t tid)
{
	char path[64], line[128];
	int n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Seccomp_filters: %d", &n);
	if (f)
		fclose(f);
	return n;
}

static void *be_other(void *unused)
{
	other_tid = gettid();
	must((int)install(OTHER, 0));
	pthread_barrier_wait(&up);
	pthread_barrier_wait(&looked);
	want(answers_as(ALL) && !answers_as(FIRST) && answers_as(OTHER));
	return NULL;
}

static void *be_plain(void *unused)
{
	plain_tid = gettid();
	pthread_barrier_wait(&up);
	pthread_barrier_wait(&looked);
	want(answers_as(ALL) && !answers_as(FIRST) && !answers_as(OTHER));
	pthread_barrier_wait(&in_line);
	pthread_barrier_wait(&in_line);
	want(answers_as(ALL) && answers_as(FIRST) && !answers_as(OTHER));
	return NULL;
}

static void set_up(void)
{
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must((int)install(ALL, SECCOMP_FILTER_FLAG_LOG));
	pthread_barrier_init(&up, NULL, 3);
	pthread_barrier_init(&looked, NULL, 3);
	pthread_barrier_init(&in_line, NULL, 2);
	must(-pthread_create(&other, NULL, be_other, NULL));
	must(-pthread_create(&plain, NULL, be_plain, NULL));
	pthread_barrier_wait(&up);
	must((int)install(FIRST, 0));
}

static void look(void)
{
	want(answers_as(ALL) && answers_as(FIRST) && !answers_as(OTHER));
	want(count(getpid()) == 2 && count(other_tid) == 2 && count(plain_tid) == 1);
	want(install(FIRST, SECCOMP_FILTER_FLAG_TSYNC) == other_tid);
	pthread_barrier_wait(&looked);
	want(!pthread_join(other, NULL));
	pthread_barrier_wait(&in_line);
	want(install(FIRST, SECCOMP_FILTER_FLAG_TSYNC) == 0);
	want(count(getpid()) == 3 && count(plain_tid) == 3);
	pthread_barrier_wait(&in_line);
	want(!pthread_join(plain, NULL));
}

FACT(set_up, look)
