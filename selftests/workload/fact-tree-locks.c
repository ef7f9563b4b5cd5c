// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks that processes share and that keep them apart: an open file's (flock, OFD), which a child that
 * inherited it has too; ranges that each process has of its own; one that a child waits for.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/file.h>

#include "fact-child.h"

static int flocked, open_locked, ranges, awaited;
static struct child holder;
static pid_t waiter;

static bool lock(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock l = { .l_type = (short)type, .l_start = start, .l_len = len };

	return !fcntl(fd, cmd, &l);
}

static void lock_own(void)
{
	want(lock(ranges, F_SETLK, F_WRLCK, 100, 100));
}

/* What was inherited is its own: it may lock it anew, and others may not. */
static void look_as_child(void)
{
	int other = must(open("flocked", O_RDWR));

	want(!flock(flocked, LOCK_EX | LOCK_NB) && flock(other, LOCK_SH | LOCK_NB) == -1);
	want(lock(open_locked, F_OFD_SETLK, F_WRLCK, 0, 10) && !lock(open_locked, F_SETLK, F_RDLCK, 0, 10));
	want(lock(ranges, F_SETLK, F_WRLCK, 100, 100) && !lock(ranges, F_SETLK, F_WRLCK, 0, 1));
	want(!flock(flocked, LOCK_UN) && !flock(other, LOCK_EX | LOCK_NB));
}

static void set_up(void)
{
	flocked = must(open("flocked", O_RDWR | O_CREAT, 0600));
	open_locked = must(open("open", O_RDWR | O_CREAT, 0600));
	ranges = must(open("ranges", O_RDWR | O_CREAT, 0600));
	awaited = must(open("awaited", O_RDWR | O_CREAT, 0600));
	must(flock(flocked, LOCK_EX));
	want(lock(open_locked, F_OFD_SETLK, F_WRLCK, 0, 10) && lock(ranges, F_SETLK, F_WRLCK, 0, 100));
	want(lock(awaited, F_SETLK, F_WRLCK, 0, 0));
	child_begin(&holder, lock_own, look_as_child);
	waiter = must(fork());
	if (!waiter) {
		want(lock(awaited, F_SETLKW, F_WRLCK, 0, 0));
		_exit(0);
	}
}

static void look(void)
{
	int status;

	want(!lock(ranges, F_SETLK, F_WRLCK, 150, 1) && lock(ranges, F_SETLK, F_WRLCK, 0, 100));
	want(!waitpid(waiter, &status, WNOHANG));
	want(lock(awaited, F_SETLK, F_UNLCK, 0, 0) && waitpid(waiter, &status, 0) == waiter && !status);
	child_look(&holder);
}

FACT(set_up, look)
