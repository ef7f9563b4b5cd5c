// SPDX-License-Identifier: GPL-2.0-only
/*
 * One file by two names, opened by each and by a symbolic link; and the name it was opened by is
 * another's now.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "fact.h"

static int one, two, by_link, moved, newcomer;

static bool same_file(int a, int b)
{
	struct stat x, y;

	return !fstat(a, &x) && !fstat(b, &y) && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static void set_up(void)
{
	one = must(open("one", O_RDWR | O_CREAT | O_APPEND, 0600));
	must(link("one", "two"));
	must(symlink("two", "three"));
	two = must(open("two", O_RDONLY));
	by_link = must(open("three", O_WRONLY | O_APPEND));
	want(write(one, "line\n", 5) == 5 && lseek(two, 2, SEEK_SET) == 2);
	moved = must(open("name", O_RDWR | O_CREAT | O_APPEND, 0600));
	want(write(moved, "older", 5) == 5);
	must(rename("name", "name.1"));		/* as logs are */
	newcomer = must(open("name", O_RDWR | O_CREAT | O_APPEND, 0600));
	want(write(newcomer, "newer", 5) == 5);
}

static void look(void)
{
	char text[16] = "";

	want(same_file(one, two) && same_file(one, by_link) && !same_file(moved, newcomer));
	want(write(by_link, "more\n", 5) == 5 && read(two, text, 15) == 8 && !strcmp(text, "ne\nmore\n"));
	want(pread(moved, text, 5, 0) == 5 && !memcmp(text, "older", 5));
	want(pread(newcomer, text, 5, 0) == 5 && !memcmp(text, "newer", 5));
}

FACT(set_up, look)
