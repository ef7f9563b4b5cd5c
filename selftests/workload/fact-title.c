// SPDX-License-Identifier: GPL-2.0-only
/* A program that has written over its arguments and its environment, as those do that show a title in ps. */
#include <fcntl.h>

#include "fact.h"

extern char **environ;

#define TITLE	"a title: idle"

static char *start;
static char before[8192], now[8192];
static ssize_t length;

static ssize_t read_file(const char *path, char *buf)
{
	int fd = must(open(path, O_RDONLY));
	ssize_t n = must(read(fd, buf, sizeof(before) - 1));

	must(close(fd));
	buf[n] = 0;
	return n;
}

static void set_up(void)
{
	size_t room;

	read_file("/proc/self/cmdline", before);
	start = environ[0];
	while (start[-2])		/* the first argument, back from the environment */
		start--;
	start--;
	room = strlen(start) + 1 + strlen(environ[0]) + 1;
	want(room > sizeof(TITLE));
	memset(start, 0, room);
	strcpy(start, TITLE);
	length = read_file("/proc/self/cmdline", before);
	want(strstr(before, "title"));
}

static void look(void)
{
	want(read_file("/proc/self/cmdline", now) == length && !memcmp(now, before, (size_t)length));
	strcpy(start, "b title: busy");
	read_file("/proc/self/cmdline", now);
	want(strstr(now, "busy"));
}

FACT(set_up, look)
