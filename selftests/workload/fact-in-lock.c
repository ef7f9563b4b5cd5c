// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asleep for locks of a file, OFD and flock(2), which another open file of it has.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/file.h>

#include "fact-asleep.h"

static struct asleep ofd, whole;
static int has, wants;

static int ofd_lock(int fd, int cmd, short type)
{
	struct flock fl = { .l_type = type, .l_start = 10, .l_len = 5 };

	return fcntl(fd, cmd, &fl);
}

static long call_ofd(void)
{
	return ofd_lock(wants, F_OFD_SETLKW, F_WRLCK);
}

static long call_flock(void)
{
	return flock(wants, LOCK_EX);
}

static void set_up(void)
{
	has = must(open("locked", O_RDWR | O_CREAT | O_TRUNC, 0600));
	wants = must(open("locked", O_RDWR));
	must(ofd_lock(has, F_OFD_SETLK, F_RDLCK));
	must(flock(has, LOCK_SH));
	asleep_begin(&ofd, call_ofd);
	asleep_begin(&whole, call_flock);
}

static void look(void)
{
	want(ofd_lock(wants, F_OFD_SETLK, F_WRLCK) == -1 && errno == EAGAIN);
	must(ofd_lock(has, F_OFD_SETLK, F_UNLCK));
	want(!asleep_woken(&ofd));
	want(ofd_lock(has, F_OFD_SETLK, F_RDLCK) == -1 && errno == EAGAIN);
	must(flock(has, LOCK_UN));
	want(!asleep_woken(&whole));
	want(flock(has, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
}

FACT(set_up, look)
