// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file that is mapped and open, and has got another name since, in a directory that has too; and one the
 * program started in, where it still is.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "fact.h"

#define PAGE	4096ul

static char *private, *shared;
static int fd, dir;

static void set_up(void)
{
	must(mkdir("old", 0700));
	must(mkdir("here", 0700));
	fd = must(open("old/name", O_RDWR | O_CREAT | O_APPEND, 0600));
	want(write(fd, "whose", 6) == 6);
	must(ftruncate(fd, PAGE));
	private = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	shared = must(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	strcpy(private, "mine");
	dir = must(open("old", O_RDONLY | O_DIRECTORY));
	must(chdir("here"));
	must(rename("../here", "../there\n(deleted)"));
	must(rename("../old/name", "../old/new \xff name"));
	must(rename("../old", "../new"));
}

static void look(void)
{
	char cwd[4096];

	want(!strcmp(private, "mine") && !strcmp(shared, "whose"));
	want(write(fd, "more", 4) == 4 && !faccessat(dir, "new \xff name", R_OK, 0));
	want(getcwd(cwd, sizeof(cwd)) && strstr(cwd, "/there\n(deleted)"));
}

FACT(set_up, look)
