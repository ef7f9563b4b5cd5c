// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a file was opened with, one by one, in each way to open it; F_GETFL tells the same, and O_APPEND
 * appends.
 * kinds: file
 */
#include <fcntl.h>

#include "fact.h"

static const int flags[] = {
	O_RDONLY, O_WRONLY, O_RDWR, 3, O_RDWR | O_APPEND, O_WRONLY | O_APPEND, O_RDWR | O_NONBLOCK,
	O_RDWR | O_SYNC, O_WRONLY | O_DSYNC, O_RDONLY | O_NOATIME, O_RDWR | O_SYNC | O_APPEND | O_NONBLOCK,
	O_RDWR | O_DIRECT, O_RDONLY | O_DIRECT, O_PATH, O_PATH | O_NOFOLLOW,
};

#define NR	(sizeof(flags) / sizeof(*flags))

static int fds[NR], before[NR], own_program;

static void set_up(void)
{
	char name[16];

	for (size_t i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "file%zu", i);
		fds[i] = must(open(name, O_WRONLY | O_CREAT, 0600));
		want(write(fds[i], "content", 7) == 7);
		must(close(fds[i]));
		fds[i] = open(name, flags[i]);
		if (fds[i] < 0 && errno == EINVAL && flags[i] & O_DIRECT)
			continue;		/* tmpfs takes it since 6.6 */
		want(fds[i] >= 0);
		if (!(flags[i] & O_PATH) && (flags[i] & O_ACCMODE) != 3)
			must(lseek(fds[i], 0, SEEK_END));
		before[i] = must(fcntl(fds[i], F_GETFL));
	}
	own_program = must(open("/proc/self/exe", O_RDONLY));
}

static void look(void)
{
	char byte;

	for (size_t i = 0; i < NR; i++) {
		if (fds[i] < 0)
			continue;
		if (fcntl(fds[i], F_GETFL) != before[i])
			die("flags %#o are %#o", before[i], fcntl(fds[i], F_GETFL));
		if (!(flags[i] & (O_PATH | O_DIRECT)) && (flags[i] & O_ACCMODE) != 3 &&
		    (flags[i] & O_ACCMODE) != O_RDONLY)
			want(write(fds[i], "!", 1) == 1 && lseek(fds[i], 0, SEEK_CUR) == 8);
		if ((flags[i] & O_ACCMODE) == O_WRONLY)
			want(pread(fds[i], &byte, 1, 0) == -1 && errno == EBADF);
	}
	want(pread(own_program, &byte, 1, 1) == 1 && byte == 'E');
}

FACT(set_up, look)
