// SPDX-License-Identifier: GPL-2.0-only
/*
 * Children that tell of their end by another signal than SIGCHLD, or by none, among them one that has ended
 * already; to wait for them takes __WCLONE.
 */
#include <sys/syscall.h>

#include "fact-child.h"

static pid_t loud, silent, ended, ordinary;

static pid_t make(int sig, bool lives)
{
	pid_t pid = (pid_t)must(syscall(SYS_clone, (long)sig, NULL, NULL, NULL, NULL));

	if (!pid && !lives)
		_exit(9);
	while (!pid)
		pause();
	return pid;
}

static void set_up(void)
{
	sigset_t set;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	loud = make(SIGUSR2, true);
	silent = make(0, true);
	ordinary = make(SIGCHLD, true);
	ended = make(0, false);
	must(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT | __WCLONE));
}

static bool comes(int sig, pid_t from)
{
	const struct timespec limit = { .tv_sec = 30 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return sigtimedwait(&set, &info, &limit) == sig && info.si_pid == from && info.si_status == SIGKILL;
}

static void look(void)
{
	sigset_t pending;
	int status;

	want(waitpid(ended, &status, 0) == -1 && errno == ECHILD);
	want(waitpid(ended, &status, __WCLONE) == ended && WEXITSTATUS(status) == 9);
	must(kill(silent, SIGKILL));
	want(waitpid(silent, &status, __WCLONE) == silent && WTERMSIG(status) == SIGKILL);
	must(sigpending(&pending));
	want(!sigismember(&pending, SIGCHLD) && !sigismember(&pending, SIGUSR2));
	must(kill(loud, SIGKILL));
	want(comes(SIGUSR2, loud) && waitpid(loud, &status, 0) == -1 &&
	     waitpid(loud, &status, __WCLONE) == loud);
	must(kill(ordinary, SIGKILL));
	want(comes(SIGCHLD, ordinary) && waitpid(ordinary, &status, 0) == ordinary);
}

FACT(set_up, look)
