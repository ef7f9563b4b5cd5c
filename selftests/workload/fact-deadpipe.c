// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pipes with one end closed: bytes that are left to read, none left, and one that nobody reads from.
 *
 * kinds: pipe
 */
#include <fcntl.h>
#include <poll.h>

#include "fact.h"

#define SIZE	(256 * 1024)

static int left[2], nothing[2], unread[2], twin;
static char bytes[100000], got[sizeof(bytes) + 1];

static short events(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	must(poll(&p, 1, 0));
	return p.revents;
}

static void set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i * 7 + (i >> 8);
	must(pipe2(left, O_CLOEXEC));
	must(fcntl(left[1], F_SETPIPE_SZ, SIZE));
	want(write(left[1], bytes, sizeof(bytes)) == sizeof(bytes));
	must(pipe(nothing));
	must(pipe2(unread, O_NONBLOCK));
	must(fcntl(unread[1], F_SETPIPE_SZ, SIZE));
	twin = must(dup2(nothing[0], 80));
	close(left[1]);
	close(nothing[1]);
	close(unread[0]);
	want(events(nothing[0]) == POLLHUP && events(unread[1]) == (POLLOUT | POLLERR));
}

static void look(void)
{
	want(fcntl(left[0], F_GETFD) == FD_CLOEXEC && fcntl(left[0], F_GETPIPE_SZ) == SIZE);
	want(events(left[0]) == (POLLIN | POLLHUP));
	want(read(left[0], got, sizeof(got)) == sizeof(bytes) && !memcmp(got, bytes, sizeof(bytes)));
	want(read(left[0], got, 1) == 0);

	want(!(fcntl(nothing[0], F_GETFL) & O_NONBLOCK));
	want(events(nothing[0]) == POLLHUP && read(nothing[0], got, 1) == 0);
	want(fcntl(twin, F_SETFL, O_NONBLOCK) == 0 && fcntl(nothing[0], F_GETFL) & O_NONBLOCK);

	want(fcntl(unread[1], F_GETPIPE_SZ) == SIZE && fcntl(unread[1], F_GETFL) & O_NONBLOCK);
	want(events(unread[1]) == (POLLOUT | POLLERR));
	want(write(unread[1], "x", 1) < 0 && errno == EPIPE);
}

FACT(set_up, look)
