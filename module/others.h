/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_OTHERS_H
#define _CKPT_OTHERS_H

#include <linux/types.h>

struct ckpt_areas;
struct file;

/**
 * struct ckpt_others - snapshots of other processes, taken at the same instant
 * @files: their descriptors' files, with a reference each
 * @nr: how many
 */
struct ckpt_others {
	struct file **files;
	unsigned int nr;
};

int ckpt_others_get(struct ckpt_others *others, u64 fds, u32 nr);
void ckpt_others_put(struct ckpt_others *others);
void ckpt_others_mark(const struct ckpt_others *others, struct ckpt_areas *areas);

#endif /* _CKPT_OTHERS_H */
