// SPDX-License-Identifier: GPL-2.0-only
/*
 * A child that is another program: its own text, arguments and heap; it writes what it reads, line by
 * line.
 * kinds: pipe
 */
#include <fcntl.h>

#include "fact-child.h"

static int to[2], from[2];
static pid_t cat;

static void set_up(void)
{
	must(pipe2(to, O_CLOEXEC));
	must(pipe2(from, O_CLOEXEC));
	cat = must(fork());
	if (!cat) {
		sigset_t none;

		sigemptyset(&none);
		must(sigprocmask(SIG_SETMASK, &none, NULL));
		must(dup2(to[0], 0));
		must(dup2(from[1], 1));
		execlp("cat", "a cat", "-u", NULL);
		die("cat: %s", strerror(errno));
	}
	must(close(to[0]));
	must(close(from[1]));
	want(write(to[1], "before\n", 7) == 7);
}

static void look(void)
{
	char text[32] = "";
	int status;
	size_t n = 0;

	want(write(to[1], "after\n", 6) == 6);
	must(close(to[1]));
	for (ssize_t got; (got = must(read(from[0], text + n, sizeof(text) - 1 - n))) > 0;)
		n += (size_t)got;
	want(!strcmp(text, "before\nafter\n"));
	want(waitpid(cat, &status, 0) == cat && !status);
}

FACT(set_up, look)
