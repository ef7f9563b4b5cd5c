// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that has what it could not open any more: root's files, a file that may not be read, one in a
 * directory that may not be entered, opened before it gave up root; its directory too.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "fact.h"

static int secret, hidden, both, dir;

static void set_up(void)
{
	must(mkdir("closed", 0700));
	hidden = must(open("closed/hidden", O_RDWR | O_CREAT | O_APPEND, 0600));
	want(write(hidden, "hidden", 6) == 6);
	dir = must(open("closed", O_RDONLY | O_DIRECTORY));
	secret = must(open("secret", O_RDWR | O_CREAT, 0600));
	want(write(secret, "secret", 6) == 6);
	both = must(open("both", O_RDWR | O_CREAT, 0000));
	must(chdir("closed"));
	must(fchmod(dir, 0));
	must(setresgid(1000, 1000, 1000));
	must(setresuid(1000, 1000, 1000));
	want(open("../secret", O_RDONLY) == -1 && errno == EACCES);
}

static void look(void)
{
	char text[8] = "";

	want(getuid() == 1000 && open("../secret", O_RDONLY) == -1 && errno == EACCES);
	want(pread(secret, text, 7, 0) == 6 && !strcmp(text, "secret") && write(secret, "!", 1) == 1);
	want(pread(hidden, text, 7, 0) == 6 && !strcmp(text, "hidden") && write(hidden, "!", 1) == 1);
	want(write(both, "w", 1) == 1 && pread(both, text, 1, 0) == 1 && *text == 'w');
	want(openat(dir, "hidden", O_RDONLY) == -1 && errno == EACCES);
}

FACT(set_up, look)
