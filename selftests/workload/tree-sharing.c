// SPDX-License-Identifier: GPL-2.0-only
/* SHARED=files or directory tree-sharing - a child that shares these with its parent, but no memory. */
#include <sched.h>
#include <sys/wait.h>

#include "fact.h"

static pid_t child;

static int wait_for_death(void *arg)
{
	for (;;)
		pause();
	return 0;
}

static void set_up(void)
{
	static char stack[65536] __attribute__((aligned(16)));

	const char *what = getenv("SHARED") ?: "";
	int flags = !strcmp(what, "files") ? CLONE_FILES : !strcmp(what, "directory") ? CLONE_FS : 0;

	child = must(clone(wait_for_death, stack + sizeof(stack), flags | SIGCHLD, NULL));
}

static void look(void)
{
	int status;

	must(kill(child, SIGKILL));
	want(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGKILL);
}

FACT(set_up, look)
