// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module of another version, for those who are made to load this (LD_PRELOAD): the real one's answer
 * to CKPT_QUERY, with the version of the interface raised.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include <linux/ckpt.h>

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	ret = next(fd, request, arg);
	if (!ret && request == CKPT_QUERY)
		((struct ckpt_query *)arg)->out_version++;
	return ret;
}
