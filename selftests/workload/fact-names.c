// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names that are hard to tell from something else: with a line's end, with what /proc says of deleted
 * files, not UTF-8, as long as can be, and at the end of a path that nearly is. Each is open, and mapped.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "fact.h"

static const char * const short_names[] = {
	"two\nlines", "this is here (deleted)", "this is here",
	"\\012", "%s%n", "\xff\xfe", " ", "memfd:name",
	"pipe:[1]", "socket:[1]", "anon_inode:[eventfd]", "-o", "fd=3 1-2 rw-p",
};

#define NR	(sizeof(short_names) / sizeof(*short_names))

static int fds[NR + 2];
static char *maps[NR + 2];

static void make(size_t i, const char *name)
{
	fds[i] = must(open(name, O_RDWR | O_CREAT | O_APPEND, 0600));
	want(write(fds[i], &i, sizeof(i)) == sizeof(i));
	maps[i] = must(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fds[i], 0));
}

static void set_up(void)
{
	char name[256];

	for (size_t i = 0; i < NR; i++)
		make(i, short_names[i]);
	memset(name, 'n', 255);
	name[255] = 0;
	make(NR, name);
	for (int depth = 0; depth < 15; depth++) {
		must(mkdir("d", 0700));
		memset(name, 'a' + depth, 255);
		must(rename("d", name));
		must(chdir(name));
	}
	make(NR + 1, "deep");
}

static void look(void)
{
	size_t got;

	for (size_t i = 0; i < NR + 2; i++) {
		want(pread(fds[i], &got, sizeof(got), 0) == sizeof(got) && got == i);
		want(!memcmp(maps[i], &i, sizeof(i)) && write(fds[i], "!", 1) == 1);
	}
	want(!access("deep", R_OK));
}

FACT(set_up, look)
