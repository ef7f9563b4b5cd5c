/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second thread of a fact: sets up what is its own, waits, and looks when it is asked to. All its signals
 * are blocked, so that what is sent to the process waits for the first thread.
 */
#ifndef CKPT_FACT_ASIDE_H
#define CKPT_FACT_ASIDE_H

#include <pthread.h>

#include "fact.h"

struct aside {
	pthread_t thread;
	pthread_barrier_t turn;
	void (*set_up)(void), (*look)(void);
};

static inline void *aside_run(void *arg)
{
	struct aside *a = arg;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	a->set_up();
	pthread_barrier_wait(&a->turn);
	pthread_barrier_wait(&a->turn);
	a->look();
	return NULL;
}

/* Until it has set up. */
static inline void aside_begin(struct aside *a, void (*set_up)(void), void (*look)(void))
{
	a->set_up = set_up;
	a->look = look;
	want(!pthread_barrier_init(&a->turn, NULL, 2) && !pthread_create(&a->thread, NULL, aside_run, a));
	pthread_barrier_wait(&a->turn);
}

static inline void aside_look(struct aside *a)
{
	pthread_barrier_wait(&a->turn);
	want(!pthread_join(a->thread, NULL));
}

#endif
