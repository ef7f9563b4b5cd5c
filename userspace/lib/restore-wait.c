// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-wait.c - stand in for a restored program until it ends.
 *
 * Whoever waits for the caller waits for the program, whoever signals the
 * caller means the program.  All signals are blocked and taken one at a time:
 *  - SIGCHLD: ask what became of the program; stop when it stopped.
 *  - what the terminal sent to the whole foreground process group has reached
 *    a program of the same group already: not forwarded;
 *  - any other is sent on.
 * A program in a PID namespace of its own is not our child: its init tells what becomes of it, and each
 * of those messages is a SIGCHLD (restore-pidns.c).
 *
 * Of several roots (a control group) all are signalled, and all waited for.  Stopping is about the first.
 *
 * A program that leads a process group of its own gets the terminal when we
 * have it, as from a shell.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "restore-priv.h"

struct standin {
	pid_t pid;
	pid_t pgid;
	int tty;		/* ours to give to the program, else -1 */
	bool is_away;		/* not our child, but: */
	struct restore_away away;
	bool ended;		/* it has, with this status: */
	int status;
	struct restore_others others;	/* roots beside it that have not ended */
};

/* Not by its number when it is not our child: that may be another one's by now. */
static void send_signal(const struct standin *s, int sig)
{
	if (s->is_away)
		syscall(SYS_pidfd_send_signal, s->away.pidfd, sig, NULL, 0);
	else if (!s->ended)
		kill(s->pid, sig);
	for (size_t i = 0; i < s->others.nr; i++)
		kill(s->others.v[i], sig);
}

/* As it is now, from /proc: "T". */
static bool is_stopped(pid_t pid)
{
	char state = 0, path[32], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "State: %c", &state);
	if (f)
		fclose(f);
	return state == 'T';
}

/* Whether it went on by itself since it stopped. */
static bool has_continued(const struct standin *s)
{
	siginfo_t info = { 0 };

	if (s->is_away)
		return !is_stopped(s->pid);
	return !waitid(P_PID, (id_t)s->pid, &info, WCONTINUED | WNOHANG) && info.si_pid;
}

static int find_terminal(pid_t pgid)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (pgid != getpgrp() && tcgetpgrp(fd) == getpgrp() &&
		    getsid(pgid) == getsid(0))
			return fd;
	return -1;
}

static void give_terminal(const struct standin *s, pid_t pgid)
{
	/* SIGTTOU, which a background process gets for this, is blocked. */
	if (s->tty >= 0)
		tcsetpgrp(s->tty, pgid);
}

/* The program stopped: so do we, by the same signal, until someone goes on. */
static void stop_too(const struct standin *s, int sig)
{
	const struct sigaction dfl = { .sa_handler = SIG_DFL };
	const struct timespec now = { 0 };
	struct sigaction old;
	sigset_t one, cont;

	give_terminal(s, getpgrp());
	sigaction(sig, &dfl, &old);
	raise(sig);
	sigemptyset(&one);
	sigaddset(&one, sig);
	/* Delivered here; SIGSTOP at raise() already. */
	pthread_sigmask(SIG_UNBLOCK, &one, NULL);
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	sigaction(sig, &old, NULL);
	give_terminal(s, s->pgid);
	/* A SIGCONT to the whole group has reached the program too: not twice. */
	sigemptyset(&cont);
	sigaddset(&cont, SIGCONT);
	sigtimedwait(&cont, NULL, &now);
	if (!has_continued(s))
		send_signal(s, SIGCONT);
}

/* The status is the first one's, or that of one that failed. */
static void look_at_others(struct standin *s)
{
	struct restore_others *o = &s->others;
	size_t left = 0;
	int status;

	for (size_t i = 0; i < o->nr; i++) {
		if (waitpid(o->v[i], &status, WNOHANG) != o->v[i])
			o->v[left++] = o->v[i];
		else if (!s->status)
			s->status = status;
	}
	o->nr = left;
}

/* 1: it has ended. */
static int look(struct standin *s, struct ckpt_err *err)
{
	while (!s->ended) {
		int status;
		pid_t got = s->is_away ? restore_away_look(&s->away, &status) :
			    waitpid(s->pid, &status, WNOHANG | WUNTRACED);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ckpt_err_sys(err, errno, "wait for process %d", s->pid);
		if (!got)
			return 0;
		if (WIFSTOPPED(status)) {
			stop_too(s, WSTOPSIG(status));
			continue;
		}
		s->ended = true;
		if (status)
			s->status = status;
	}
	return !s->others.nr;
}

/* Whether it leaves the signal to the kernel: neither caught nor ignored. */
static bool has_default_action(pid_t pid, int sig)
{
	unsigned long long ignored = ~0ULL, caught = ~0ULL;
	char path[32], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "SigIgn: %llx", &ignored);
		sscanf(line, "SigCgt: %llx", &caught);
	}
	fclose(f);
	return !((ignored | caught) >> (sig - 1) & 1);
}

static void forward(const struct standin *s, const siginfo_t *info)
{
	int sig = info->si_signo;

	/* From the terminal, to all of its foreground group. */
	if (info->si_code == SI_KERNEL && s->pgid == getpgrp())
		return;
	if (info->si_pid == s->pid && info->si_code <= 0)
		return;		/* the program's own, to its parent */
	for (size_t i = 0; i < s->others.nr; i++)
		if (info->si_pid == s->others.v[i] && info->si_code <= 0)
			return;
	/*
	 * Alone in its session it has nobody who would make it go on again, so
	 * the kernel does not let SIGTSTP stop it.  We will.
	 */
	if (sig == SIGTSTP && getsid(s->pid) != getsid(0) && has_default_action(s->pid, sig))
		sig = SIGSTOP;
	send_signal(s, sig);
}

static int attend(struct standin *s, struct ckpt_err *err)
{
	sigset_t full;
	int r;

	sigfillset(&full);
	for (;;) {
		siginfo_t info;

		look_at_others(s);
		r = look(s, err);
		if (r)
			return r < 0 ? r : 0;
		if (sigwaitinfo(&full, &info) < 0) {
			if (errno == EINTR)
				continue;
			return ckpt_err_sys(err, errno, "wait for signals");
		}
		if (info.si_signo != SIGCHLD)
			forward(s, &info);
	}
}

static int start(struct standin *s, const struct ckpt_restore_opts *opts, const sigset_t *old,
		 struct ckpt_err *err)
{
	int r;

	if (!opts->pidns)
		return restore_run(opts, old, err, &s->pid, &s->others);
	r = restore_pidns_run(opts, old, err, &s->away);
	if (r)
		return r;
	s->is_away = true;
	s->pid = s->away.pid;
	r = restore_away_listen(&s->away, err);
	if (r)
		restore_away_close(&s->away);
	return r;
}

int ckpt_restore_foreground(const struct ckpt_restore_opts *opts, struct ckpt_err *err,
			    int *ret_status)
{
	struct standin s = { .tty = -1 };
	sigset_t full, old;
	int r;

	/* From before there is a program: no signal may fall between. */
	sigfillset(&full);
	pthread_sigmask(SIG_SETMASK, &full, &old);
	r = start(&s, opts, &old, err);
	if (!r) {
		s.pgid = getpgid(s.pid);
		s.tty = find_terminal(s.pgid);
		give_terminal(&s, s.pgid);
		r = attend(&s, err);
		*ret_status = s.status;
		give_terminal(&s, getpgrp());
		if (s.is_away)
			restore_away_close(&s.away);
	}
	free(s.others.v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

void ckpt_restore_end_like(int status)
{
	const struct rlimit none = { 0, 0 };
	sigset_t set;

	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	/* The program has left its core already. */
	setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, WTERMSIG(status));
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(WTERMSIG(status));
	exit(128 + WTERMSIG(status));
}
