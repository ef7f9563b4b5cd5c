/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A child of a fact-tree-NAME: sets up what is its own, waits, and looks when it is asked to. What is wrong
 * it says itself, and ends with another status than 0.
 */
#ifndef CKPT_FACT_CHILD_H
#define CKPT_FACT_CHILD_H

#include <sys/prctl.h>
#include <sys/wait.h>

#include "fact.h"

struct child {
	pid_t pid;
	int go[2], done[2];
};

static inline void child_run(const struct child *c, void (*set_up)(void), void (*look)(void))
{
	char letter = 'r';

	if (set_up)
		set_up();
	want(write(c->done[1], &letter, 1) == 1);
	want(read(c->go[0], &letter, 1) == 1);
	if (look)
		look();
	_exit(0);
}

/* Until it has set up. Either function may be NULL. */
static inline void child_begin(struct child *c, void (*set_up)(void), void (*look)(void))
{
	char letter;

	must(pipe(c->go));
	must(pipe(c->done));
	c->pid = must(fork());
	if (!c->pid)
		child_run(c, set_up, look);
	want(read(c->done[0], &letter, 1) == 1);
}

/* It has found all as it was, and is waited for. */
static inline void child_look(const struct child *c)
{
	int status;

	want(write(c->go[1], "g", 1) == 1);
	want(waitpid(c->pid, &status, 0) == c->pid);
	if (status)
		die("child %d ended with status %#x", c->pid, status);
}

#endif
