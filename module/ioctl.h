/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_IOCTL_H
#define _CKPT_IOCTL_H

#include <linux/fs.h>
#include <linux/stddef.h>
#include <linux/types.h>

/**
 * struct ckpt_call - one ioctl under way
 * @priv: the descriptor's object (file->private_data)
 * @arg: the structure, in kernel memory, of the size this module knows
 * @file: set by the handler: descriptor to be made, installed last of all
 * @fd: set with it: its number, already reserved
 */
struct ckpt_call {
	void *priv;
	void *arg;
	struct file *file;
	int fd;
};

/**
 * struct ckpt_ioctl - one row of a descriptor kind's table
 * @nr: enum ckpt_cmd
 * @size: sizeof the structure here
 * @min_size: its first published size
 * @flags: flags it knows
 * @fn: handler
 */
struct ckpt_ioctl {
	unsigned int nr;
	size_t size;
	size_t min_size;
	u32 flags;
	int (*fn)(struct ckpt_call *call);
};

#define CKPT_IOCTL(cmd, type, last, known_flags, handler)			\
	{									\
		.nr = cmd, .size = sizeof(struct type),				\
		.min_size = offsetofend(struct type, last),			\
		.flags = known_flags, .fn = handler,				\
	}

long ckpt_ioctl_run(struct file *file, unsigned int cmd, unsigned long arg,
		    const struct ckpt_ioctl *table, size_t nr);
int ckpt_call_make_fd(struct ckpt_call *call, struct file *file);

#endif /* _CKPT_IOCTL_H */
