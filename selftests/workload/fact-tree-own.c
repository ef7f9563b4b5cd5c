// SPDX-License-Identifier: GPL-2.0-only
/*
 * What each process of a tree has for itself: directory, umask, limits, user, scheduling, handlers, timers,
 * signals that wait, name, and the text of its arguments. The parent has other ones than the child.
 */
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "fact-child.h"

static struct child child;
static bool is_child;

static void handler(int sig)
{
}

static void set_own(void)
{
	const int who = is_child ? 2 : 1;
	sigset_t set;

	must(chdir(is_child ? "child" : "parent"));
	umask(010 * who);
	must(setrlimit(RLIMIT_CORE, &(struct rlimit){ 1000 * who, 100000 }));
	must(setpriority(PRIO_PROCESS, 0, 3 * who));
	must(sched_setscheduler(0, is_child ? SCHED_BATCH : SCHED_IDLE, &(struct sched_param){ 0 }));
	must(prctl(PR_SET_NAME, is_child ? "the child" : "the parent"));
	must(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = is_child ? handler : SIG_IGN }, NULL));
	must(setitimer(ITIMER_REAL, &(struct itimerval){ { who, 0 }, { 1000 * who, 0 } }, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + who);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(sigqueue(getpid(), SIGRTMIN + who, (union sigval){ .sival_int = 50 * who }));
	if (is_child)
		must(setresuid(1000, 1000, 1000));
}

static void is_own(void)
{
	const int who = is_child ? 2 : 1;
	char cwd[4096], name[16];
	struct sigaction act;
	struct itimerval it;
	struct rlimit limit;
	siginfo_t info;
	sigset_t set;

	want(getcwd(cwd, sizeof(cwd)) && !strcmp(strrchr(cwd, '/'), is_child ? "/child" : "/parent"));
	want(umask(0) == 010u * (unsigned int)who);
	want(!getrlimit(RLIMIT_CORE, &limit) && limit.rlim_cur == 1000u * (unsigned int)who);
	want(getpriority(PRIO_PROCESS, 0) == 3 * who);
	want(sched_getscheduler(0) == (is_child ? SCHED_BATCH : SCHED_IDLE));
	want(!prctl(PR_GET_NAME, name) && !strcmp(name, is_child ? "the child" : "the parent"));
	want(!sigaction(SIGUSR1, NULL, &act) && act.sa_handler == (is_child ? handler : SIG_IGN));
	want(!getitimer(ITIMER_REAL, &it) && it.it_interval.tv_sec == who && it.it_value.tv_sec > 800 * who);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + who);
	want(sigwaitinfo(&set, &info) == SIGRTMIN + who && info.si_value.sival_int == 50 * who);
	want(getuid() == (is_child ? 1000 : 0));
}

static void begin_child(void)
{
	is_child = true;
	set_own();
}

static void set_up(void)
{
	must(mkdir("child", 0755));
	must(mkdir("parent", 0755));
	child_begin(&child, begin_child, is_own);
	set_own();
}

static void look(void)
{
	is_own();
	child_look(&child);
}

FACT(set_up, look)
