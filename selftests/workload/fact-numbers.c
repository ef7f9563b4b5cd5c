// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors with gaps between them, from the lowest number to a very high one, every second CLOEXEC.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "fact.h"

#define NR	3000
#define HIGH	65000

static int number(int i)
{
	return i == NR - 1 ? HIGH : 3 + i * 7 + i % 3;
}

static void set_up(void)
{
	int other, fd = must(open("file", O_RDWR | O_CREAT, 0600));

	want(write(fd, "0123456789", 10) == 10);
	must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ HIGH + 1, HIGH + 1 }));
	for (int i = 1; i < NR; i++)
		must(dup3(fd, number(i), i & 1 ? O_CLOEXEC : 0));
	other = must(open("file", O_RDONLY));
	must(dup2(other, number(5)));
	must(close(other));
	must(lseek(fd, 4, SEEK_SET));
}

static bool is_there(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void look(void)
{
	int i = 0;

	for (int fd = 3; fd <= HIGH; fd++) {
		bool one = i < NR && fd == number(i);

		if (one != is_there(fd))
			die("descriptor %d", fd);
		if (!one)
			continue;
		want(i == 5 || fcntl(fd, F_GETFD) == (i & 1 ? FD_CLOEXEC : 0));
		want(lseek(fd, 0, SEEK_CUR) == (i == 5 ? 0 : 4));
		i++;
	}
	want(lseek(number(7), 2, SEEK_CUR) == 6 && lseek(HIGH, 0, SEEK_CUR) == 6 && dup(1) == 4);
}

FACT(set_up, look)
