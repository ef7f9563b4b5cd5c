// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices without state, each open for reading, for writing and both, and by another name.
 * kinds: device
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fact.h"

static const struct {
	const char *name;
	int minor;
} devices[] = { { "null", 3 }, { "zero", 5 }, { "full", 7 }, { "random", 8 }, { "urandom", 9 } };

#define NR	5

static int fds[NR][3], before[NR][3], own;

static void set_up(void)
{
	char path[32];

	for (int i = 0; i < NR; i++)
		for (int way = 0; way < 3; way++) {
			snprintf(path, sizeof(path), "/dev/%s", devices[i].name);
			fds[i][way] = must(open(path, way | (way ? O_NONBLOCK : 0)));
			before[i][way] = fcntl(fds[i][way], F_GETFL);
		}
	own = mknod("own-null", S_IFCHR | 0600, makedev(1, 3)) ? -1 : open("own-null", O_RDWR);
}

static void look(void)
{
	char byte = 1;

	for (int i = 0; i < NR; i++)
		for (int way = 0; way < 3; way++) {
			struct stat st;

			want(!fstat(fds[i][way], &st) && S_ISCHR(st.st_mode));
			want(st.st_rdev == makedev(1, (unsigned int)devices[i].minor));
			want(fcntl(fds[i][way], F_GETFL) == before[i][way]);
		}
	want(!read(fds[0][0], &byte, 1) && write(fds[0][1], "x", 1) == 1);
	want(read(fds[1][2], &byte, 1) == 1 && !byte && write(fds[2][2], "x", 1) == -1 && errno == ENOSPC);
	want(read(fds[3][0], &byte, 1) == 1 && read(fds[4][2], &byte, 1) == 1);
	want(own < 0 || (write(own, "x", 1) == 1 && !read(own, &byte, 1)));
}

FACT(set_up, look)
