// SPDX-License-Identifier: GPL-2.0-only
/*
 * A child's end that is told but not taken: SIGCHLD waits with all it says, the zombie too; and a parent that
 * wants no zombies (SA_NOCLDWAIT) has none after the restore either.
 */

#include "fact-child.h"

static pid_t ended, alive;
static struct child careless;
static pid_t *grandchild;

static pid_t begin(int status)
{
	pid_t pid = must(fork());

	if (!pid && status >= 0)
		_exit(status);
	while (!pid)
		pause();
	return pid;
}

static void not_care(void)
{
	must(sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT },
		       NULL));
	*grandchild = begin(-1);
}

static void has_no_zombie(void)
{
	must(kill(*grandchild, SIGKILL));
	want(wait(NULL) == -1 && errno == ECHILD);
}

static void set_up(void)
{
	siginfo_t info;
	sigset_t set;

	grandchild = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	child_begin(&careless, not_care, has_no_zombie);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	ended = begin(33);
	must(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT));
	alive = begin(-1);
}

static void look(void)
{
	siginfo_t info;
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	want(sigtimedwait(&set, &info, &(struct timespec){ 0 }) == SIGCHLD);
	want(info.si_code == CLD_EXITED && info.si_pid == ended && info.si_status == 33);
	want(waitpid(ended, &status, 0) == ended && WEXITSTATUS(status) == 33);
	must(kill(alive, SIGKILL));
	want(sigwaitinfo(&set, &info) == SIGCHLD && info.si_pid == alive && info.si_code == CLD_KILLED);
	want(waitpid(alive, &status, 0) == alive);
	child_look(&careless);
}

FACT(set_up, look)
