// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whom open files tell by a signal, by which, and whether they do: F_SETOWN_EX, F_SETSIG, O_ASYNC.
 *
 * kinds: pipe
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "fact.h"

#define SIG	(SIGRTMIN + 3)

static int pipes[2], pair[2], file, quiet[2], nobody[2];

static void own(int fd, int type, pid_t pid, int sig)
{
	struct f_owner_ex o = { .type = type, .pid = pid };

	must(fcntl(fd, F_SETOWN_EX, &o));
	must(fcntl(fd, F_SETSIG, sig));
}

static void set_async(int fd)
{
	must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

static void set_up(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	sigaddset(&set, SIGIO);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(pipe(pipes));
	must(pipe(quiet));
	must(pipe(nobody));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	file = must(open("file", O_RDWR | O_CREAT, 0600));
	own(pipes[0], F_OWNER_TID, syscall(SYS_gettid), SIG);
	set_async(pipes[0]);
	own(pair[0], F_OWNER_PID, getpid(), 0);
	set_async(pair[0]);
	own(file, F_OWNER_PID, getpid(), SIGUSR2);
	own(quiet[0], F_OWNER_PID, getpid(), SIG);
	must(fcntl(nobody[0], F_SETSIG, SIGUSR1));
	set_async(nobody[0]);
}

static bool is_owner(int fd, int type, pid_t pid, int sig)
{
	struct f_owner_ex o;

	must(fcntl(fd, F_GETOWN_EX, &o));
	return (int)o.type == type && o.pid == pid && fcntl(fd, F_GETSIG) == sig;
}

static void look(void)
{
	const struct timespec now = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG);
	sigaddset(&set, SIGIO);
	want(sigtimedwait(&set, &info, &now) < 0 && errno == EAGAIN);
	want(is_owner(pipes[0], F_OWNER_TID, syscall(SYS_gettid), SIG));
	want(is_owner(pair[0], F_OWNER_PID, getpid(), 0));
	want(is_owner(file, F_OWNER_PID, getpid(), SIGUSR2));
	want(is_owner(quiet[0], F_OWNER_PID, getpid(), SIG));
	want(fcntl(nobody[0], F_GETSIG) == SIGUSR1 && !fcntl(nobody[0], F_GETOWN));
	want(fcntl(pipes[0], F_GETFL) & O_ASYNC && fcntl(pair[0], F_GETFL) & O_ASYNC);
	want(fcntl(nobody[0], F_GETFL) & O_ASYNC && !(fcntl(quiet[0], F_GETFL) & O_ASYNC));
	must(write(pipes[1], "x", 1));
	want(sigtimedwait(&set, &info, &now) == SIG && info.si_fd == pipes[0] && info.si_band & POLLIN);
	must(write(pair[1], "x", 1));
	want(sigtimedwait(&set, &info, &now) == SIGIO);
	must(write(quiet[1], "x", 1));
	must(write(nobody[1], "x", 1));
	want(sigtimedwait(&set, &info, &now) < 0 && errno == EAGAIN);
}

FACT(set_up, look)
