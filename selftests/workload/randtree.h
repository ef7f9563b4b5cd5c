/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * randtree.h - a random tree of processes, and the things they have between them.
 *
 *	randtree.c		the plan, the processes, and the orders they get from the first
 *	randtree-things.c	what they share: made by one, inherited by all that descend from it
 *
 * The plan follows from a seed and is made before the first fork, so that every process knows all of it:
 * what a thing has to be is asked of the plan, never of the thing.
 */
#ifndef CKPT_RANDTREE_H
#define CKPT_RANDTREE_H

#include <signal.h>
#include <stdbool.h>

#include "work.h"

#define NODES_MAX	60
#define THINGS_MAX	40
#define ENDS		2

enum kind {
	PIPE, READ_FILE, APPEND_FILE, DELETED, MEMFD, EVENTFD, TIMERFD, EPOLL, PAIR, SHARED, NULL_DEVICE,
	DIRECTORY, BOUND, NR_KINDS
};

/* One process. */
struct node {
	int parent;
	bool ends;		/* a zombie, and of what: */
	int status;		/* as waitpid(2) tells */
	bool early;		/* made before its parent leads a session */
	bool session, leads;	/* of a session, of a process group */
	int joins;		/* the group of this one; -1: it stays where it is born */
	bool headless;		/* in a group of its own whose leader has been waited for */
	/* Whose; NODES_MAX: that of whoever started all; -1 - i: the one that is gone and @i was with. */
	int sid, pgid;
	int born_sid, born_pgid;
	int threads;
	int waits;		/* how */
	int nice;
	mode_t umask;
	char name[16];
};

struct thing {
	enum kind kind;
	int owner;
	unsigned int amount;	/* bytes in it, or what it counts */
	unsigned int offset;
	unsigned int variant;
	int watched[4];		/* of an epoll instance: things */
	int nr_watched;
};

struct plan {
	uint64_t seed;
	struct node nodes[NODES_MAX];
	int nr_nodes;
	struct thing things[THINGS_MAX];
	int nr_things;
};

/* What all share to talk with each other. */
struct board {
	volatile pid_t pid[NODES_MAX];
	volatile pid_t gone[NODES_MAX];		/* leaders that were waited for */
	volatile bool ready[NODES_MAX];
	volatile int order[NODES_MAX];		/* counts */
	volatile int what[NODES_MAX], about[NODES_MAX], step[NODES_MAX];
	volatile int done[NODES_MAX];		/* the last order it followed */
	volatile bool failed;
};

extern struct plan plan;
extern struct board *board;
extern int me;

/* As want(), by any of them: the first one hears of it. */
#define hold_true(expr)									\
	do {										\
		errno = 0;								\
		if (!(expr)) {								\
			board->failed = true;						\
			die("process %d of seed %llu, %s:%d: not as it was: %s (%s)", me,	\
			    (unsigned long long)plan.seed, __FILE__, __LINE__, #expr,	\
			    strerror(errno));						\
		}									\
	} while (0)

/* A number that depends on nothing but the seed and these. */
static inline uint64_t chance(uint64_t a, uint64_t b, uint64_t c)
{
	return mix64(mix64(mix64(mix64(plan.seed) ^ a) ^ b) ^ c);
}

static inline bool is_or_descends(int node, int from)
{
	while (node > from)
		node = plan.nodes[node].parent;
	return node == from;
}

/* randtree-things.c */
void thing_plan(int k);
void thing_make(int k);
/* Give up what this process is not to have of it, and have the rest as the plan says. */
void thing_settle(int k);
/* Nothing changes by it. */
void thing_look(int k);
/* Use it up, together with others: in steps, each by one process.  -1: there are no more. */
int thing_user(int k, int step);
void thing_use(int k, int step);

#endif
