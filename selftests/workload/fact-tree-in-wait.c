// SPDX-License-Identifier: GPL-2.0-only
/* Asleep in waitpid(2) and waitid(2) for a child, and in read(2) for the end of another. */
#include "fact-asleep.h"
#include "fact-child.h"

static struct asleep waiter, watcher;
static struct child by_pid, by_id;
static int status;
static siginfo_t info;

static long call_waitpid(void)
{
	return waitpid(by_pid.pid, &status, 0);
}

static long call_waitid(void)
{
	return waitid(P_PID, (id_t)by_id.pid, &info, WEXITED | WNOWAIT);
}

static void set_up(void)
{
	child_begin(&by_pid, NULL, NULL);
	child_begin(&by_id, NULL, NULL);
	asleep_begin(&waiter, call_waitpid);
	asleep_begin(&watcher, call_waitid);
}

static void look(void)
{
	want(write(by_pid.go[1], "g", 1) == 1);
	want(asleep_woken(&waiter) == by_pid.pid && WIFEXITED(status) && !WEXITSTATUS(status));
	must(kill(by_id.pid, SIGKILL));
	want(!asleep_woken(&watcher) && info.si_pid == by_id.pid && info.si_status == SIGKILL);
	want(waitpid(by_id.pid, &status, 0) == by_id.pid && WIFSIGNALED(status));
}

FACT(set_up, look)
