// SPDX-License-Identifier: GPL-2.0-only
/* A daemon: leads a session and a process group of its own, without a terminal. */
#include <fcntl.h>
#include <sys/wait.h>

#include "fact.h"

static void set_up(void)
{
	if (getpgrp() == getpid()) {	/* started so: a leader cannot make one again */
		want(getsid(0) == getpid());
		return;
	}
	want(setsid() == getpid());
}

static void look(void)
{
	pid_t child;
	int status;

	want(getsid(0) == getpid() && getpgrp() == getpid() && setsid() == -1 && errno == EPERM);
	want(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
	child = must(fork());
	if (!child)
		_exit(getsid(0) == getppid() && getpgrp() == getppid() ? 0 : 1);
	want(waitpid(child, &status, 0) == child && !status);
}

FACT(set_up, look)
