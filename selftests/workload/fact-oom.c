// SPDX-License-Identifier: GPL-2.0-only
/*
 * How soon the program is killed when memory runs out, and that an unprivileged one keeps what it was
 * given.
 */
#include <fcntl.h>

#include "fact.h"

static bool is(const char *value)
{
	char text[16] = "";
	int fd = must(open("/proc/self/oom_score_adj", O_RDONLY));

	must(read(fd, text, sizeof(text) - 1));
	must(close(fd));
	return !strcmp(text, value);
}

static void set_up(void)
{
	int fd = must(open("/proc/self/oom_score_adj", O_WRONLY));

	want(write(fd, "-321", 4) == 4);
	must(close(fd));
	must(setresuid(1000, 1000, 1000));
	want(is("-321\n"));
}

static void look(void)
{
	want(is("-321\n") && getuid() == 1000);
}

FACT(set_up, look)
