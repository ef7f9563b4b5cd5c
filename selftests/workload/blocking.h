/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kinds of blocking call (blocking-*.c) share with the program (blocking.c). */
#ifndef CKPT_BLOCKING_H
#define CKPT_BLOCKING_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "work.h"

#define WAIT_NS		(150 * NSEC_PER_MSEC)	/* timeout of the calls that have one */
#define WAIT_MS		150
#define LONG_S		100000			/* a timeout never meant to be reached */
#define BIG		(1 << 20)		/* more than any pipe or socket takes at once */

struct seat;

/* One kind of blocking call. */
struct kind {
	const char *name;
	bool restorable;	/* needs nothing that this release cannot restore */
	bool outside;		/* ended by a lock holder outside, once in a run */
	void (*setup)(struct seat *s);	/* before the threads start */
	void (*block)(struct seat *s);	/* the call; dies of any result but the right one */
	void (*serve)(struct seat *s);	/* ends the call; none: it ends by its own timeout */
	void (*reset)(struct seat *s);	/* conductor's, after the call and before the next round */
};

/* The thread that sits in one call. */
struct seat {
	const struct kind *kind;
	pthread_t thread;
	atomic_int open;	/* round the conductor has opened; futex word */
	atomic_int done;	/* round the thread has finished */
	int round;		/* round it is in; the thread's own */
	int fd[2];		/* the rest is the kind's own */
	int sig;
	int id;
	atomic_int word;
	atomic_int handled;	/* signal handlers run for this seat */
	uint64_t late_ns;	/* worst lateness of a timeout */
	void *data;
};

extern const struct kind time_kinds[], lock_kinds[], signal_kinds[], file_kinds[], ipc_kinds[];
extern const char *outside_path;

void ipc_remove(void);

/* A signal of the seat's own, blocked everywhere; with a handler that counts in s->handled. */
void seat_signal(struct seat *s);
void seat_expect_mask(struct seat *s);
bool seat_done(struct seat *s);

/* Check a call that should have timed out: result ret, begun at begin on CLOCK_MONOTONIC. */
void seat_timed_out(struct seat *s, bool as_expected, uint64_t begin);

#define wrong(s, fmt, ...) die("%s: " fmt, (s)->kind->name, ##__VA_ARGS__)

static inline uint64_t mono(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

#endif
