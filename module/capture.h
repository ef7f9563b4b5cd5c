/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_CAPTURE_H
#define _CKPT_CAPTURE_H

struct ckpt_frozen;
struct ckpt_identities;
struct ckpt_picture;
struct ckpt_why;
struct task_struct;

int ckpt_capture_prepare(struct ckpt_picture *picture, struct task_struct *leader,
			 struct ckpt_why *why);
int ckpt_capture(struct ckpt_picture *picture, struct ckpt_frozen *frozen,
		 const struct ckpt_identities *ids, struct ckpt_why *why);

#endif /* _CKPT_CAPTURE_H */
