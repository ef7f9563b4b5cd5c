// SPDX-License-Identifier: GPL-2.0-only
/*
 * ORPHANS=WHAT tree-orphans - processes that have outlived their parent, and come to root: a fact (fact.h).
 *
 * daemon: root had a child that made a session, and in it two others, of which one has ended: then it ended
 * itself and was waited for.  The one that lives has a child.  living: the session is that of a process which
 * lives, and whose child they had for parent.
 */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "fact.h"

enum who { FIRST, ORPHAN, ENDED, GRANDCHILD, BETWEEN, NR };

static volatile pid_t *pid;
static bool living;

static void wait_for_death(void)
{
	for (;;)
		pause();
}

static pid_t begin(enum who who, void (*be)(void))
{
	const pid_t child = must(fork());

	if (!child) {
		be();
		_exit(3);
	}
	return pid[who] = child;
}

static void orphan(void)
{
	begin(GRANDCHILD, wait_for_death);
	wait_for_death();
}

static void end(void)
{
	_exit(42);
}

static void have_both(void)
{
	siginfo_t info;

	begin(ORPHAN, orphan);
	while (!pid[GRANDCHILD])
		usleep(1000);
	must(waitid(P_PID, (id_t)begin(ENDED, end), &info, WEXITED | WNOWAIT));
}

static void first(void)
{
	must(setsid());
	if (!living) {
		have_both();
		return;
	}
	must(waitpid(begin(BETWEEN, have_both), NULL, 0));
	wait_for_death();
}

static pid_t parent_of(pid_t of)
{
	char path[32], line[512];
	pid_t parent = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)of);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	if (f)
		fclose(f);
	return parent;
}

static void look_at_all(void)
{
	want(parent_of(pid[ORPHAN]) == getpid() && parent_of(pid[ENDED]) == getpid());
	want(parent_of(pid[GRANDCHILD]) == pid[ORPHAN]);
	for (enum who who = ORPHAN; who <= GRANDCHILD; who++) {
		want(getsid(pid[who]) == pid[FIRST]);
		want(getpgid(pid[who]) == pid[FIRST]);
	}
}

static void set_up(void)
{
	living = !strcmp(getenv("ORPHANS") ?: "", "living");
	pid = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	begin(FIRST, first);
	if (!living)
		want(waitpid(pid[FIRST], NULL, 0) == pid[FIRST]);
	while (!pid[ENDED] || parent_of(pid[ENDED]) != getpid())
		usleep(1000);
	look_at_all();
}

static void look(void)
{
	int status;

	look_at_all();
	want(waitpid(pid[ENDED], &status, 0) == pid[ENDED] && WEXITSTATUS(status) == 42);
	must(kill(pid[GRANDCHILD], SIGKILL));
	must(kill(pid[ORPHAN], SIGKILL));
	want(waitpid(pid[ORPHAN], &status, 0) == pid[ORPHAN] && WTERMSIG(status) == SIGKILL);
	want(waitpid(pid[GRANDCHILD], &status, 0) == pid[GRANDCHILD]);
	if (living) {
		must(kill(pid[FIRST], SIGKILL));
		want(waitpid(pid[FIRST], &status, 0) == pid[FIRST]);
	}
	want(waitpid(-1, &status, 0) == -1 && errno == ECHILD);
}

FACT(set_up, look)
