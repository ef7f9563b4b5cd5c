// SPDX-License-Identifier: GPL-2.0-only
/*
 * A child that takes the orphans below it (PR_SET_CHILD_SUBREAPER): when the one between is killed after the
 * restore, its child becomes the reaper's, and is told of it by the signal it asked for (PR_SET_PDEATHSIG).
 */
#include <sched.h>

#include "fact-child.h"

static volatile struct {
	pid_t reaper, between, orphan;
	bool told, killed;
} *board;

static void be_orphan(void)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	board->orphan = getpid();
	want(sigwaitinfo(&set, &info) == SIGUSR1);
	board->told = board->killed && getppid() == board->reaper;
	_exit(7);
}

static void be_between(void)
{
	if (!must(fork()))
		be_orphan();
	board->between = getpid();
	for (;;)
		pause();
}

static void be_reaper(void)
{
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	board->reaper = getpid();
	if (!must(fork()))
		be_between();
	while (!board->between || !board->orphan)
		sched_yield();
}

static void reap(void)
{
	int status, is_reaper = 0;

	must(prctl(PR_GET_CHILD_SUBREAPER, &is_reaper));
	want(is_reaper == 1 && !board->told);
	board->killed = true;
	must(kill(board->between, SIGKILL));
	want(waitpid(board->between, &status, 0) == board->between);
	want(waitpid(board->orphan, &status, 0) == board->orphan && WEXITSTATUS(status) == 7 && board->told);
}

static struct child reaper;

static void set_up(void)
{
	board = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	child_begin(&reaper, be_reaper, reap);
}

static void look(void)
{
	child_look(&reaper);
}

FACT(set_up, look)
