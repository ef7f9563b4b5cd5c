// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files in which the kernel shows its state: its own and the machine's, read to the middle.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fact.h"

#define BEGINNING	7

static const char * const paths[] = {
	"/proc/self/stat", "/proc/self/maps", "/proc/self/comm", "/proc/version",
	"/sys/kernel/mm/transparent_hugepage/enabled",
};

enum { STAT, MAPS, COMM, VERSION, HUGE, NR };

static int fds[NR], whole, twin;
static char begin[NR][BEGINNING];

static void set_up(void)
{
	for (int i = 0; i < NR; i++) {
		fds[i] = must(open(paths[i], O_RDONLY | (i == VERSION ? O_NONBLOCK : 0)));
		must(read(fds[i], begin[i], i == COMM ? 2 : BEGINNING));
	}
	twin = must(dup(fds[MAPS]));
	whole = must(open("/proc/meminfo", O_RDONLY));
}

/* All that follows from @at on. */
static void slurp(int fd, off_t at, char *buf, size_t size)
{
	ssize_t n;

	must(lseek(fd, at, SEEK_SET));
	memset(buf, 0, size);
	for (size_t len = 0; len < size - 1 && (n = must(read(fd, buf + len, size - 1 - len))); len += (size_t)n)
		;
}

static bool has_own_code(const char *maps)
{
	for (const char *line = maps; line && *line; line = strchr(line, '\n'), line += !!line) {
		char *end;
		unsigned long from = strtoul(line, &end, 16), to = strtoul(end + 1, NULL, 16);

		if ((unsigned long)(uintptr_t)set_up >= from && (unsigned long)(uintptr_t)set_up < to)
			return true;
	}
	return false;
}

static void look(void)
{
	static char rest[16384], all[16384];

	for (int i = 0; i < NR; i++)
		want(lseek(fds[i], 0, SEEK_CUR) == (i == COMM ? 2 : BEGINNING));
	want(!lseek(whole, 0, SEEK_CUR) && fcntl(fds[VERSION], F_GETFL) & O_NONBLOCK);
	slurp(fds[VERSION], BEGINNING, rest, sizeof(rest));
	slurp(fds[VERSION], 0, all, sizeof(all));
	want(!memcmp(all, begin[VERSION], BEGINNING) && !strcmp(all + BEGINNING, rest));
	slurp(fds[HUGE], 0, all, sizeof(all));
	want(!memcmp(all, begin[HUGE], BEGINNING));
	slurp(fds[COMM], 0, all, sizeof(all));
	want(!strncmp(all, "fact-shown", 10));
	slurp(fds[STAT], 0, all, sizeof(all));
	want(atoi(all) == getpid());
	slurp(twin, 0, all, sizeof(all));
	want(has_own_code(all));
	slurp(whole, 0, all, sizeof(all));
	want(!strncmp(all, "MemTotal:", 9));
	for (int i = 0; i < NR; i++)
		must(lseek(fds[i], i == COMM ? 2 : BEGINNING, SEEK_SET));
	must(lseek(whole, 0, SEEK_SET));
}

FACT(set_up, look)
