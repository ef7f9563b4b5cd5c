// SPDX-License-Identifier: GPL-2.0-only
/*
 * For ckptctl to load (LD_PRELOAD): SIGINT comes at a moment that INTERRUPT names.
 *
 *	write	the first write to the image, which goes well
 *	full	the same, and this write and all after it find the disk full
 *	kill	the SIGKILL for the target, which is not sent: EINTR
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool at(const char *moment)
{
	const char *wanted = getenv("INTERRUPT");

	return wanted && !strcmp(wanted, moment);
}

static bool is_image(int fd)
{
	char link[32], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return strstr(path, "/.tmp-");
}

ssize_t write(int fd, const void *buf, size_t count)
{
	ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
	static bool came;

	if ((at("write") || at("full")) && is_image(fd)) {
		if (!came)
			raise(SIGINT);
		came = true;
		if (at("full")) {
			errno = ENOSPC;
			return -1;
		}
	}
	return next(fd, buf, count);
}

long syscall(long nr, ...)
{
	long (*next)(long, ...) = dlsym(RTLD_NEXT, "syscall");
	va_list ap;
	long a[6];

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (at("kill") && nr == SYS_pidfd_send_signal && a[1] == SIGKILL) {
		raise(SIGINT);
		errno = EINTR;
		return -1;
	}
	return next(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
