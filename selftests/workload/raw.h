/* SPDX-License-Identifier: GPL-2.0-only */
/* Snapshots by the module's own interface, without ckptctl. */
#ifndef CKPT_RAW_H
#define CKPT_RAW_H

#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/ckpt.h>

#include "work.h"

static inline int raw_open(void)
{
	int fd = open(CKPT_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", CKPT_DEVICE, strerror(errno));
	return fd;
}

/* The one-shot call: a snapshot descriptor, or -errno with the reason in *s. */
static inline int raw_snap(int device, pid_t pid, struct ckpt_snap *s)
{
	*s = (struct ckpt_snap){ .size = sizeof(*s), .pid = pid };
	return ioctl(device, CKPT_SNAP, s) ? -errno : s->out_fd;
}

/*
 * Once more when the answer was that just this moment was a bad one (threads that come and go); not
 * for ever.  A target that has ended gives -ESRCH.
 */
static inline int raw_snap_steady(int device, pid_t pid, struct ckpt_snap *s)
{
	int fd, tries = 100;

	do {
		fd = raw_snap(device, pid, s);
	} while (fd == -EAGAIN && --tries);
	return fd;
}

#endif
