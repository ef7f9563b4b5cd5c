// SPDX-License-Identifier: LGPL-2.1-or-later
/* proc-stat.c - see proc-stat.h.  No state. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc-stat.h"

static int read_line(pid_t pid, char *line, size_t size)
{
	char path[32];
	ssize_t n;
	int fd, code;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, line, size - 1);
	code = errno;
	close(fd);
	if (n <= 0)
		return n < 0 ? -code : -ESRCH;
	line[n] = '\0';
	return 0;
}

int proc_stat_read(pid_t pid, struct proc_stat *ret)
{
	char line[1024], *name, *end;
	int r = read_line(pid, line, sizeof(line));

	if (r)
		return r;
	/* The name may hold anything, a parenthesis too. */
	name = strchr(line, '(');
	end = strrchr(line, ')');
	if (!name || !end || end < name)
		return -EIO;
	*end++ = '\0';
	*ret = (struct proc_stat){ .state = '?' };
	snprintf(ret->comm, sizeof(ret->comm), "%s", name + 1);
	if (sscanf(end, " %c %d %d %d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64
		   " %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %d",
		   &ret->state, &ret->ppid, &ret->pgid, &ret->sid, &ret->flags, &ret->start_ticks,
		   &ret->exit_signal) != 7)
		return -EIO;
	/* The last field of all. */
	end = strrchr(end, ' ');
	ret->status = end ? atoi(end) : 0;
	return 0;
}
