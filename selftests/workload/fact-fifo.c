// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pipes with a name: both ends and what is in it; one open for both; a reader that waits for its first
 * writer, one whose writers are gone, with and without bytes left; a writer that nobody reads from.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "fact.h"

static int reader, writer, both, fresh, left, gone, lonely;

static int fifo(const char *name, int flags)
{
	must(mkfifo(name, 0600));
	return must(open(name, flags));
}

static void set_up(void)
{
	char c;
	int w;

	signal(SIGPIPE, SIG_IGN);
	reader = fifo("ends", O_RDONLY | O_NONBLOCK);
	writer = must(open("ends", O_WRONLY | O_CLOEXEC));
	must(fcntl(writer, F_SETPIPE_SZ, 8192));
	must(write(writer, "in flight", 9));
	both = fifo("both", O_RDWR);
	must(write(both, "own", 3));
	fresh = fifo("fresh", O_RDONLY | O_NONBLOCK);
	left = fifo("left", O_RDONLY | O_NONBLOCK);
	w = must(open("left", O_WRONLY));
	must(write(w, "left behind", 11));
	close(w);
	gone = fifo("gone", O_RDONLY | O_NONBLOCK);
	w = must(open("gone", O_WRONLY));
	must(write(w, "x", 1));
	close(w);
	must(read(gone, &c, 1));
	w = fifo("lonely", O_RDONLY | O_NONBLOCK);
	lonely = must(open("lonely", O_WRONLY | O_NONBLOCK));
	close(w);
}

static short ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	must(poll(&p, 1, 0));
	return p.revents;
}

static void look(void)
{
	char got[64];
	int w;

	want(ready(fresh) == 0);
	want(ready(gone) == POLLHUP);
	want(ready(left) == (POLLIN | POLLHUP));
	want(ready(lonely) & POLLERR);
	want(write(lonely, "x", 1) < 0 && errno == EPIPE);
	want(fcntl(writer, F_GETPIPE_SZ) == 8192);
	want(fcntl(writer, F_GETFD) & FD_CLOEXEC && !(fcntl(writer, F_GETFL) & O_NONBLOCK));
	want(read(reader, got, sizeof(got)) == 9 && !memcmp(got, "in flight", 9));
	want(read(reader, got, sizeof(got)) < 0 && errno == EAGAIN);
	must(write(writer, "more", 4));
	want(read(reader, got, sizeof(got)) == 4 && !memcmp(got, "more", 4));
	want(read(both, got, sizeof(got)) == 3 && !memcmp(got, "own", 3));
	want(read(left, got, sizeof(got)) == 11 && !memcmp(got, "left behind", 11));
	want(read(left, got, sizeof(got)) == 0);
	/* They are those that have the name. */
	w = must(open("fresh", O_WRONLY | O_NONBLOCK));
	must(write(w, "hello", 5));
	want(read(fresh, got, sizeof(got)) == 5);
	close(w);
	want(ready(fresh) == POLLHUP);
}

FACT(set_up, look)
