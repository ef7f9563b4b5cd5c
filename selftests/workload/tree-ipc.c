// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two children and what they have with their parent and one another: pidfds, also of a process that is made
 * later; one they share; an inotify instance they share; a named pipe with bytes on the way.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fact.h"

static int watching, wd, shared, reader, go[2], tell[2];
static pid_t older, younger;

static int open_pid(pid_t pid)
{
	return must(syscall(SYS_pidfd_open, pid, 0));
}

static bool is_alive(int pidfd)
{
	return !must(poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0)) &&
	       !syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0);
}

static bool is_of(int pidfd, pid_t pid)
{
	char path[64], line[64] = "";
	pid_t got = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f) && sscanf(line, "Pid: %d", &got) != 1)
		;
	fclose(f);
	return got == pid;
}

/* A child: what it has is looked at when the parent says so. */
static void child(bool first)
{
	int sibling, parent = open_pid(getppid()), writer = -1;
	pid_t other = older;
	char c;

	if (first) {
		must(read(tell[0], &other, sizeof(other)));
	} else {
		writer = must(open("fifo", O_WRONLY));
		must(write(writer, "on the way", 10));
	}
	sibling = open_pid(other);
	must(kill(getppid(), SIGUSR1));
	must(read(go[0], &c, 1));
	want(is_alive(parent) && is_of(parent, getppid()));
	want(is_alive(shared) && is_of(shared, getppid()));
	want(is_of(sibling, other));
	want(fcntl(watching, F_GETFL) & O_NONBLOCK);
	if (writer >= 0)
		must(write(writer, "!", 1));
	_exit(0);
}

static void await(int sig)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	must(sigwaitinfo(&set, &info));
}

static void set_up(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(pipe(go));
	must(pipe(tell));
	must(mkfifo("fifo", 0600));
	reader = must(open("fifo", O_RDONLY | O_NONBLOCK));
	watching = must(inotify_init1(IN_NONBLOCK));
	wd = must(inotify_add_watch(watching, ".", IN_CREATE));
	shared = open_pid(getpid());
	older = must(fork());
	if (!older)
		child(true);
	younger = must(fork());
	if (!younger)
		child(false);
	await(SIGUSR1);
	must(write(tell[1], &younger, sizeof(younger)));
	await(SIGUSR1);
}

static void look(void)
{
	int pidfds[2] = { open_pid(older), open_pid(younger) }, status;
	struct inotify_event *e;
	siginfo_t info;
	char room[512] __attribute__((aligned(8)));

	want(is_alive(pidfds[0]) && is_alive(pidfds[1]));
	want(read(reader, room, sizeof(room)) == 10 && !memcmp(room, "on the way", 10));
	want(read(watching, room, sizeof(room)) < 0 && errno == EAGAIN);
	close(must(open("new", O_WRONLY | O_CREAT, 0600)));
	want(read(watching, room, sizeof(room)) > (ssize_t)sizeof(*e));
	e = (void *)room;
	want(e->wd == wd && e->mask == IN_CREATE && !strcmp(e->name, "new"));
	must(write(go[1], "go", 2));
	/* Both have to be there, be it as zombies, until both have looked. */
	must(waitid(P_PID, older, &info, WEXITED | WNOWAIT));
	must(waitid(P_PID, younger, &info, WEXITED | WNOWAIT));
	want(waitpid(older, &status, 0) == older && !status);
	want(waitpid(younger, &status, 0) == younger && !status);
	want(read(reader, room, sizeof(room)) == 1 && room[0] == '!');
	want(read(reader, room, sizeof(room)) == 0);
}

FACT(set_up, look)
