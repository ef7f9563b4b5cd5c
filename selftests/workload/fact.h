/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fact: one thing a program can have of the kernel, set up before a snapshot, looked at afterwards.
 *
 * fact-NAME.c has FACT(): two functions. The program calls the first, writes "ready" and waits;
 * prog/facts has it snapshotted, killed, restored, several times, or left alone, and sends it SIGTERM:
 * then it calls the second, which dies of any difference, and ends with "as it was". A thread that
 * has to be somewhere (asleep in a call) at the snapshot is started by the first function.
 *
 * The second function is called once, and may use up what it looks at. SIGTERM is blocked.
 */
#ifndef CKPT_FACT_H
#define CKPT_FACT_H

#include <signal.h>
#include <stdbool.h>

#include "work.h"

/* errno as it was when the expression was false is part of what is said. */
#define want(expr)									\
	do {										\
		errno = 0;								\
		if (!(expr))								\
			die("%s:%d: not as it was: %s (%s)", __FILE__, __LINE__, #expr,	\
			    strerror(errno));						\
	} while (0)

#define FACT(set_up, look)								\
	int main(int argc, char **argv)							\
	{										\
		sigset_t term;								\
											\
		sigemptyset(&term);							\
		sigaddset(&term, SIGTERM);						\
		sigprocmask(SIG_BLOCK, &term, NULL);					\
		set_up();								\
		say("ready");								\
		while (sigwaitinfo(&term, NULL) != SIGTERM)				\
			;								\
		look();									\
		say("as it was");							\
		return 0;								\
	}

#endif
