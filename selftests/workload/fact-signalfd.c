// SPDX-License-Identifier: GPL-2.0-only
/* Signalfds: which signals, flags, two descriptors of one, and the signal that waits to be read. */
#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "fact.h"

#define ALL	0xffffffffffffffffull	/* also those the C library keeps for itself */

static int usr, twin, all, none;
static char said[3][256];

static void tell(int fd, char *text)
{
	char path[64];
	int in;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	in = must(open(path, O_RDONLY));
	n = must(read(in, text, 255));
	text[n] = '\0';
	must(close(in));
	memmove(text, strstr(text, "sigmask:"), strlen(strstr(text, "sigmask:")) + 1);
}

static void set_up(void)
{
	uint64_t mask = ALL;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &set, NULL);
	usr = must(signalfd(-1, &set, SFD_NONBLOCK));
	twin = must(dup2(usr, 70));
	all = must(syscall(SYS_signalfd4, -1, &mask, 8, SFD_CLOEXEC));
	sigemptyset(&set);
	none = must(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	tell(usr, said[0]);
	tell(all, said[1]);
	tell(none, said[2]);
	must(sigqueue(getpid(), SIGRTMAX, (union sigval){ .sival_int = 4711 }));
}

static void look(void)
{
	struct signalfd_siginfo info;
	char now[256];
	sigset_t set;

	tell(usr, now);
	want(!strcmp(now, said[0]));
	tell(all, now);
	want(!strcmp(now, said[1]));
	tell(none, now);
	want(!strcmp(now, said[2]));
	want(fcntl(usr, F_GETFD) == 0 && fcntl(all, F_GETFD) == FD_CLOEXEC);
	want(fcntl(usr, F_GETFL) & O_NONBLOCK && !(fcntl(all, F_GETFL) & O_NONBLOCK));

	want(read(none, &info, sizeof(info)) < 0 && errno == EAGAIN);
	want(read(usr, &info, sizeof(info)) == sizeof(info) &&
	     info.ssi_signo == (uint32_t)SIGRTMAX && info.ssi_int == 4711);
	want(read(twin, &info, sizeof(info)) < 0 && errno == EAGAIN);
	must(kill(getpid(), SIGUSR1));
	want(read(all, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1);
	/* One open file still: what is set by one descriptor is seen by the other. */
	sigemptyset(&set);
	must(signalfd(twin, &set, 0));
	must(kill(getpid(), SIGUSR1));
	want(read(usr, &info, sizeof(info)) < 0 && errno == EAGAIN);
}

FACT(set_up, look)
