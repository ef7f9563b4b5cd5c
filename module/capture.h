/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_CAPTURE_H
#define _CKPT_CAPTURE_H

struct ckpt_frozen;
struct ckpt_identities;
struct ckpt_picture;
struct ckpt_why;
struct task_struct;

/* Sleepers may spoil this many captures; then those are woken that may be. */
#define CKPT_SLEEPER_TRIES	3
/* A capture is tried this often, however long one takes. */
#define CKPT_MIN_TRIES		8

int ckpt_capture_prepare(struct ckpt_picture *picture, struct task_struct *leader,
			 struct ckpt_why *why);
int ckpt_capture(struct ckpt_picture *picture, struct ckpt_frozen *frozen,
		 const struct ckpt_identities *ids, struct ckpt_why *why);

#endif /* _CKPT_CAPTURE_H */
