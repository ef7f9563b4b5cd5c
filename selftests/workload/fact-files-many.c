// SPDX-License-Identifier: GPL-2.0-only
/*
 * Thousands of open files, each another one, at another place.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fact.h"

#define NR	3000

static int fds[NR];

static void set_up(void)
{
	char name[32];

	must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ NR + 100, NR + 100 }));
	must(mkdir("many", 0700));
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		fds[i] = must(open(name, O_RDWR | O_CREAT | O_APPEND, 0600));
		want(write(fds[i], &i, sizeof(i)) == sizeof(i));
		must(lseek(fds[i], i % 5, SEEK_SET));
	}
}

static void look(void)
{
	for (int i = 0; i < NR; i++) {
		int got;

		want(pread(fds[i], &got, sizeof(got), 0) == sizeof(got) && got == i);
		want(lseek(fds[i], 0, SEEK_CUR) == i % 5);
	}
}

FACT(set_up, look)
