// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pipes in packet mode (O_DIRECT): the packets in them with their borders, also among other bytes.
 *
 * kinds: pipe
 */
#include <fcntl.h>

#include "fact.h"

#define MANY	16	/* slots; all of them taken */

static int packets[2], mixed[2], full[2], late[2];
static char page[4096];

static void set_up(void)
{
	memset(page, 'p', sizeof(page));
	must(pipe2(packets, O_DIRECT | O_NONBLOCK));
	must(write(packets[1], "one", 3));
	must(write(packets[1], "2", 1));
	must(write(packets[1], page, sizeof(page)));
	must(write(packets[1], "3", 1));

	must(pipe2(mixed, O_NONBLOCK));
	must(write(mixed[1], page, 4090));
	must(fcntl(mixed[1], F_SETFL, O_DIRECT | O_NONBLOCK));
	must(write(mixed[1], "a packet", 8));	/* there is no room for it in that page, */
	must(write(mixed[1], "x", 1));
	must(fcntl(mixed[1], F_SETFL, O_NONBLOCK));
	must(write(mixed[1], "plain", 5));
	must(write(mixed[1], " again", 6));
	must(read(mixed[0], page, 4080));	/* of which little is left to read */

	must(pipe2(full, O_DIRECT | O_NONBLOCK));
	must(fcntl(full[1], F_SETPIPE_SZ, MANY * 4096));
	for (int i = 0; i < MANY; i++)
		must(write(full[1], page, i + 1));
	if (write(full[1], page, 1) >= 0)
		die("a pipe has more room than it should");
	must(pipe2(late, O_NONBLOCK));
	must(fcntl(late[1], F_SETFL, O_DIRECT));
}

static void expect(int fd, const char *what, ssize_t len)
{
	char got[8192];

	want(read(fd, got, sizeof(got)) == len);
	want(!memcmp(got, what, len));
}

static void look(void)
{
	char c;

	want(fcntl(packets[1], F_GETFL) == (O_WRONLY | O_DIRECT | O_NONBLOCK));
	want(fcntl(packets[0], F_GETFL) == (O_RDONLY | O_NONBLOCK));
	want(fcntl(mixed[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
	want(fcntl(late[1], F_GETFL) == (O_WRONLY | O_DIRECT));
	expect(packets[0], "one", 3);
	expect(packets[0], "2", 1);
	expect(packets[0], page, sizeof(page));
	expect(packets[0], "3", 1);
	want(read(packets[0], &c, 1) < 0 && errno == EAGAIN);
	/* As the kernel has it: what is before a packet is read with it. */
	expect(mixed[0], "ppppppppppa packet", 18);
	expect(mixed[0], "x", 1);
	expect(mixed[0], "plain again", 11);
	want(fcntl(full[1], F_GETPIPE_SZ) == MANY * 4096);
	want(write(full[1], page, 1) < 0 && errno == EAGAIN);
	for (int i = 0; i < MANY; i++)
		expect(full[0], page, i + 1);
	must(write(late[1], "ab", 2));
	must(write(late[1], "cd", 2));
	expect(late[0], "ab", 2);
}

FACT(set_up, look)
