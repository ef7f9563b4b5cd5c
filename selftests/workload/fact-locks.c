// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks of each kind on ranges of one file, read and write in turn, one in the middle of another, up to
 * the end there is; shared and exclusive ones of open files. A child, which has none of the process's,
 * tries each.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "fact.h"

#define NR	200

static int file, second, shared, exclusive, open_lock;

static bool lock(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock l = { .l_type = (short)type, .l_start = start, .l_len = len };

	return !fcntl(fd, cmd, &l);
}

static int kind(int i)
{
	return i % 5 == 4 ? F_UNLCK : i & 1 ? F_WRLCK : F_RDLCK;
}

static int seen(int fd, off_t at, int type)
{
	struct flock l = { .l_type = (short)type, .l_start = at, .l_len = 1 };

	must(fcntl(fd, F_GETLK, &l));
	return l.l_type;
}

static void set_up(void)
{
	file = must(open("file", O_RDWR | O_CREAT, 0600));
	second = must(open("file", O_RDONLY));
	for (int i = 0; i < NR; i++)
		want(lock(file, F_SETLK, kind(i), i * 10, 10));
	want(lock(second, F_SETLK, F_RDLCK, 10 * NR, 0) && lock(file, F_SETLK, F_WRLCK, 10 * NR + 500, 1));
	shared = must(open("shared", O_RDONLY | O_CREAT, 0600));
	exclusive = must(open("exclusive", O_RDONLY | O_CREAT, 0600));
	must(flock(shared, LOCK_SH));
	must(flock(exclusive, LOCK_SH));
	must(flock(exclusive, LOCK_EX));
	open_lock = must(open("open", O_RDWR | O_CREAT, 0600));
	want(lock(open_lock, F_OFD_SETLK, F_RDLCK, 0, 100) && lock(open_lock, F_OFD_SETLK, F_WRLCK, 40, 20));
}

static void try_all(void)
{
	int s = must(open("shared", O_RDONLY)), e = must(open("exclusive", O_RDONLY));
	int o = must(open("open", O_RDWR));

	for (int i = 0; i < NR; i++)
		want(seen(file, i * 10 + 5, F_WRLCK) == kind(i));
	want(seen(file, 10 * NR + 1, F_WRLCK) == F_RDLCK && seen(file, 10 * NR + 500, F_RDLCK) == F_WRLCK);
	want(seen(file, 1l << 60, F_WRLCK) == F_RDLCK);
	want(!flock(s, LOCK_SH | LOCK_NB) && flock(s, LOCK_EX | LOCK_NB) == -1);
	want(flock(e, LOCK_SH | LOCK_NB) == -1 && !flock(exclusive, LOCK_EX | LOCK_NB));
	want(seen(o, 20, F_WRLCK) == F_RDLCK && seen(o, 50, F_RDLCK) == F_WRLCK &&
	     seen(o, 80, F_RDLCK) == F_UNLCK);
}

static void look(void)
{
	pid_t child = must(fork());
	int status;

	if (!child) {
		try_all();
		_exit(0);
	}
	want(waitpid(child, &status, 0) == child && !status);
	must(close(second));		/* and with it goes all that the process has on that file */
	child = must(fork());
	if (!child) {
		want(seen(file, 15, F_WRLCK) == F_UNLCK);
		_exit(0);
	}
	want(waitpid(child, &status, 0) == child && !status);
}

FACT(set_up, look)
