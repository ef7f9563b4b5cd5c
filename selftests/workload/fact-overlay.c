// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of a file system that lies over another: one of the lower layer, one copied up while it was open,
 * one new.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fact.h"

static bool there;
static int lower, copied, fresh;
static char *mapped;

static void put(const char *name, const char *text)
{
	int fd = must(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600));

	want(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	must(close(fd));
}

static void set_up(void)
{
	static const char * const dirs[] = { "low", "up", "work", "all" };

	for (int i = 0; i < 4; i++)
		must(mkdir(dirs[i], 0755));
	put("low/stays", "of the lower layer");
	put("low/changes", "to be changed");
	there = !mount("fact", "all", "overlay", 0, "lowerdir=low,upperdir=up,workdir=work");
	if (!there) {
		note("no overlay");
		return;
	}
	lower = must(open("all/stays", O_RDONLY));
	mapped = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, lower, 0));
	copied = must(open("all/changes", O_RDWR | O_APPEND));
	want(write(copied, "+", 1) == 1);
	fresh = must(open("all/fresh", O_RDWR | O_CREAT | O_APPEND, 0600));
	want(write(fresh, "fresh", 5) == 5);
}

static bool has(int fd, const char *text)
{
	char buf[64] = "";

	return pread(fd, buf, sizeof(buf) - 1, 0) == (ssize_t)strlen(text) && !strcmp(buf, text);
}

static void look(void)
{
	if (!there)
		return;
	want(has(lower, "of the lower layer") && has(copied, "to be changed+") && has(fresh, "fresh"));
	want(!strcmp(mapped, "of the lower layer") && write(copied, "+", 1) == 1 &&
	     write(fresh, "+", 1) == 1);
	want(has(copied, "to be changed++") && has(fresh, "fresh+"));
	must(umount2("all", MNT_DETACH));
}

FACT(set_up, look)
