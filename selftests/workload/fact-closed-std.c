// SPDX-License-Identifier: GPL-2.0-only
/*
 * A daemon's first three: input and error closed, a log in the place of output; the next open gets number
 * 0.
 */
#include <fcntl.h>

#include "fact.h"

static void set_up(void)
{
	must(close(0));
	must(close(2));
}

static void look(void)
{
	want(fcntl(0, F_GETFD) == -1 && errno == EBADF);
	want(fcntl(2, F_GETFD) == -1 && errno == EBADF);
	want(open("/dev/null", O_RDONLY) == 0 && open("/dev/null", O_WRONLY) == 2);
}

FACT(set_up, look)
