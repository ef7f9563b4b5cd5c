/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread of a fact that is asleep in a system call at the snapshot.  The second function has it woken by
 * what it waits for, and the call has to end as if nothing had happened.  All its signals are blocked.
 */
#ifndef CKPT_FACT_ASLEEP_H
#define CKPT_FACT_ASLEEP_H

#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

#include "fact.h"

struct asleep {
	pthread_t thread;
	_Atomic pid_t tid;
	long (*call)(void);
	long ret;
	int error;
};

static inline void *asleep_run(void *arg)
{
	struct asleep *a = arg;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	a->tid = (pid_t)syscall(SYS_gettid);
	a->ret = a->call();
	a->error = errno;
	return NULL;
}

static inline bool asleep_now(const struct asleep *a)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", a->tid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		die("%s cannot be read", path);
	fclose(f);
	return state == 'S';
}

/* Until it has slept for a while. */
static inline void asleep_begin(struct asleep *a, long (*call)(void))
{
	a->call = call;
	want(!pthread_create(&a->thread, NULL, asleep_run, a));
	for (int times = 0; times < 20; usleep(1000))
		times = a->tid && asleep_now(a) ? times + 1 : 0;
}

/* What the call gave, and errno. */
static inline long asleep_woken(struct asleep *a)
{
	struct timespec limit;

	must(clock_gettime(CLOCK_REALTIME, &limit));
	limit.tv_sec += 60;
	want(!pthread_timedjoin_np(a->thread, NULL, &limit));
	errno = a->error;
	return a->ret;
}

#endif
