/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_IDENTITY_H
#define _CKPT_IDENTITY_H

#include <linux/path.h>
#include <linux/xarray.h>
#include <uapi/linux/ckpt.h>

struct task_struct;

/**
 * struct ckpt_identities - files that were asked who they are before the pause
 * @by_inode: address of the inode to struct known (identity.c)
 */
struct ckpt_identities {
	struct xarray by_inode;
};

void ckpt_identities_init(struct ckpt_identities *ids);
void ckpt_identities_learn(struct ckpt_identities *ids, struct task_struct *leader);
void ckpt_identities_free(struct ckpt_identities *ids);

void ckpt_identity(const struct ckpt_identities *ids, const struct path *path,
		   struct ckpt_file_id *id);

#endif /* _CKPT_IDENTITY_H */
