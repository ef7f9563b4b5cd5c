// SPDX-License-Identifier: GPL-2.0-only
/*
 * Children that are stopped: the parent knows of one, and has not asked of the other. They go on when
 * they are told to, and it is told of that.
 */
#include "fact-child.h"

static struct child known, unknown;

static void set_up(void)
{
	int status;

	child_begin(&known, NULL, NULL);
	child_begin(&unknown, NULL, NULL);
	must(kill(known.pid, SIGSTOP));
	must(kill(unknown.pid, SIGSTOP));
	want(waitpid(known.pid, &status, WUNTRACED) == known.pid && WSTOPSIG(status) == SIGSTOP);
	must(waitid(P_PID, (id_t)unknown.pid, &(siginfo_t){ 0 }, WSTOPPED | WNOWAIT));
}

static void look(void)
{
	int status;

	/* A restored one tells once more that it is stopped: docs/limits. */
	waitpid(known.pid, &status, WUNTRACED | WNOHANG);
	want(waitpid(unknown.pid, &status, WUNTRACED | WNOHANG) == unknown.pid);
	want(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	must(kill(known.pid, SIGCONT));
	want(waitpid(known.pid, &status, WCONTINUED) == known.pid && WIFCONTINUED(status));
	must(kill(unknown.pid, SIGCONT));
	want(waitpid(unknown.pid, &status, WCONTINUED) == unknown.pid && WIFCONTINUED(status));
	child_look(&known);
	child_look(&unknown);
}

FACT(set_up, look)
