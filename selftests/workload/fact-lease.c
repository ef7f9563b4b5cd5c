// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leases to read (F_SETLEASE): they hold, and tell who is to know, by the signal that was chosen and the number
 * of the descriptor, before somebody else opens the file for writing, who waits for that long.
 *
 * kinds: file
 */
#include <fcntl.h>
#include <sys/wait.h>

#include "fact.h"

#define SIG	(SIGRTMIN + 4)

static int chosen, plain, quiet, given_up;
static sigset_t told;

static int open_it(const char *name)
{
	close(must(open(name, O_WRONLY | O_CREAT, 0600)));
	return must(open(name, O_RDONLY));
}

static void set_up(void)
{
	sigemptyset(&told);
	sigaddset(&told, SIG);
	sigaddset(&told, SIGIO);
	must(sigprocmask(SIG_BLOCK, &told, NULL));
	plain = open_it("chosen");
	chosen = must(dup2(plain, 50));
	must(close(plain));
	plain = open_it("plain");
	quiet = open_it("quiet");
	given_up = open_it("given-up");
	must(fcntl(chosen, F_SETSIG, SIG));
	must(fcntl(chosen, F_SETLEASE, F_RDLCK));
	must(fcntl(plain, F_SETLEASE, F_RDLCK));
	must(fcntl(quiet, F_SETLEASE, F_RDLCK));
	must(fcntl(quiet, F_SETOWN, 0));
	must(fcntl(given_up, F_SETLEASE, F_RDLCK));
	must(fcntl(given_up, F_SETLEASE, F_UNLCK));
}

/* Somebody who wants to write to it; waits until it may. */
static pid_t writer(const char *name)
{
	pid_t pid = must(fork());

	if (!pid)
		_exit(open(name, O_WRONLY) < 0);
	return pid;
}

static void give_up(int fd, const char *name, int sig)
{
	const struct timespec patience = { .tv_sec = 60 };
	pid_t pid = writer(name);
	siginfo_t info;
	int status;

	want(sigtimedwait(&told, &info, &patience) == sig);
	want(sig == SIGIO || info.si_fd == fd);
	want(fcntl(fd, F_GETLEASE) == F_UNLCK);
	want(!waitpid(pid, NULL, WNOHANG));
	must(fcntl(fd, F_SETLEASE, F_UNLCK));
	want(waitpid(pid, &status, 0) == pid && !status);
}

static void look(void)
{
	const struct timespec now = { 0 };

	want(sigtimedwait(&told, NULL, &now) < 0 && errno == EAGAIN);
	want(fcntl(chosen, F_GETLEASE) == F_RDLCK && fcntl(plain, F_GETLEASE) == F_RDLCK);
	want(fcntl(quiet, F_GETLEASE) == F_RDLCK && fcntl(given_up, F_GETLEASE) == F_UNLCK);
	want(fcntl(chosen, F_GETSIG) == SIG && !fcntl(plain, F_GETSIG));
	want(fcntl(chosen, F_GETOWN) == getpid() && fcntl(plain, F_GETOWN) == getpid());
	want(!fcntl(quiet, F_GETOWN));
	give_up(chosen, "chosen", SIG);
	give_up(plain, "plain", SIGIO);
	want(open("quiet", O_WRONLY | O_NONBLOCK) < 0 && errno == EWOULDBLOCK);
	want(sigtimedwait(&told, NULL, &now) < 0 && errno == EAGAIN);
	must(open("given-up", O_WRONLY | O_NONBLOCK));
}

FACT(set_up, look)
