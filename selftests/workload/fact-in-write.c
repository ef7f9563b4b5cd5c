// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asleep in write(2) to a pipe that is full: the bytes come behind what was in it, and once.
 * kinds: pipe
 */
#include <fcntl.h>

#include "fact-asleep.h"

static struct asleep writer;
static int ends[2];
static size_t full;

static long write_more(void)
{
	return write(ends[1], "behind", 6);
}

static void set_up(void)
{
	char page[4096];

	memset(page, 'x', sizeof(page));
	must(pipe2(ends, O_NONBLOCK));
	for (ssize_t n; (n = write(ends[1], page, sizeof(page))) > 0;)
		full += (size_t)n;
	must(fcntl(ends[1], F_SETFL, 0));
	must(fcntl(ends[0], F_SETFL, 0));
	asleep_begin(&writer, write_more);
}

static void look(void)
{
	char got[8] = "";

	for (size_t at = 0; at < full; at++)
		want(read(ends[0], got, 1) == 1 && got[0] == 'x');
	want(asleep_woken(&writer) == 6);
	want(read(ends[0], got, sizeof(got)) == 6 && !memcmp(got, "behind", 6));
}

FACT(set_up, look)
