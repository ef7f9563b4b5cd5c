// SPDX-License-Identifier: GPL-2.0-only
/*
 * GROUP=DIRECTORY STATUS=N group - processes of a control group that do not descend from one of them: a fact (fact.h).
 *
 * The first one leads a session and has a child.  An orphan is in that session, and has lost its parent; a
 * daemon leads a session of its own, is in a control group below, and has a child that has ended.  The three
 * pass a number round through pipes and count it up, until the first one says stop.  The daemon ends with STATUS.
 */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "fact.h"

#define STOP	0ull

enum who { CHILD, ORPHAN, DAEMON, NR };

struct one {
	pid_t pid, ppid, pgid, sid;
	bool ready, right;
};

static volatile struct one *all;
static int ring[NR][2];		/* what each one reads, and the one in front of it writes */
static pid_t session, ended;

static void look_at(volatile struct one *o)
{
	o->pid = getpid();
	o->ppid = getppid();
	o->pgid = getpgrp();
	o->sid = getsid(0);
}

static void join(const char *below)
{
	char path[256], line[32];
	int fd;

	snprintf(path, sizeof(path), "%s%s/cgroup.procs", getenv("GROUP"), below);
	fd = must(open(path, O_WRONLY | O_CLOEXEC));
	snprintf(line, sizeof(line), "%d", getpid());
	must(write(fd, line, strlen(line)));
	close(fd);
}

static void check(enum who who)
{
	struct one now;
	siginfo_t info;

	look_at(&now);
	want(now.pid == all[who].pid && now.pgid == all[who].pgid && now.sid == all[who].sid);
	want(who == DAEMON || now.ppid == all[who].ppid);	/* whose is that of a restored root depends on how */
	if (who == DAEMON)
		want(!waitid(P_PID, (id_t)ended, &info, WEXITED) && info.si_status == 7);
}

static __attribute__((noreturn)) void pass_on(enum who who)
{
	unsigned long long n, last = 0;

	look_at(&all[who]);
	all[who].ready = true;
	for (;;) {
		want(read(ring[who][0], &n, sizeof(n)) == sizeof(n));
		if (n == STOP)
			break;
		want(!last || n == last + NR);
		last = n++;
		usleep(300);
		want(write(ring[(who + 1) % NR][1], &n, sizeof(n)) == sizeof(n));
	}
	check(who);
	want(last > NR);
	all[who].right = true;
	want(write(ring[(who + 1) % NR][1], &n, sizeof(n)) == sizeof(n));
	if (who != DAEMON)
		_exit(0);
	usleep(300000);		/* it outlives the first one */
	_exit(atoi(getenv("STATUS")));
}

static void begin_daemon(void)
{
	siginfo_t info;

	must(setsid());
	join("/below");
	ended = must(fork());
	if (!ended)
		_exit(7);
	must(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT));
}

static void begin_without_parent(enum who who)
{
	pid_t between = must(fork());

	if (!between) {
		between = getpid();
		if (must(fork()))
			_exit(0);
		while (getppid() == between)
			usleep(1000);
		if (who == DAEMON)
			begin_daemon();
		pass_on(who);
	}
	must(waitpid(between, NULL, 0));
}

static void set_up(void)
{
	const unsigned long long one = 1;

	session = must(setsid());
	join("");
	all = must(mmap(NULL, NR * sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < NR; i++)
		must(pipe(ring[i]));
	if (!must(fork()))
		pass_on(CHILD);
	begin_without_parent(ORPHAN);
	begin_without_parent(DAEMON);
	for (int i = 0; i < NR; i++)
		while (!all[i].ready)
			usleep(1000);
	want(all[ORPHAN].sid == session && all[DAEMON].sid == all[DAEMON].pid);
	must(write(ring[CHILD][1], &one, sizeof(one)));
}

static void look(void)
{
	const unsigned long long stop = STOP;
	int status;

	want(getsid(0) == session && getpid() == session);
	must(write(ring[CHILD][1], &stop, sizeof(stop)));
	want(waitpid(all[CHILD].pid, &status, 0) == all[CHILD].pid && !status);
	for (int i = 0; i < NR; i++)
		for (int tries = 0; !all[i].right; tries++) {
			want(tries < 60000);
			usleep(1000);
		}
}

FACT(set_up, look)
