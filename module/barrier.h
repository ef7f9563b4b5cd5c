/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_BARRIER_H
#define _CKPT_BARRIER_H

#include <linux/path.h>
#include <linux/types.h>

struct ckpt_areas;
struct file;

/* A file the target may have written to; by descriptor, or (fd -1) by mapping. */
struct ckpt_written {
	struct path path;
	int fd;
	unsigned long addr;
};

/* Files to be made durable, also more than once. Belongs to its builder, then to the snapshot. */
struct ckpt_written_list {
	struct ckpt_written *v;
	unsigned int nr;
	unsigned int cap;
	bool sorted;		/* by file: being worked off */
};

int ckpt_written_add_file(struct ckpt_written_list *list, struct file *file, int fd);
int ckpt_written_add_areas(struct ckpt_written_list *list, const struct ckpt_areas *areas);
int ckpt_written_sync(struct ckpt_written_list *list, struct ckpt_written **ret_failed);
void ckpt_written_free(struct ckpt_written_list *list);

#endif /* _CKPT_BARRIER_H */
