/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_SHRINK_H
#define _CKPT_SHRINK_H

struct ckpt_picture;
struct ckpt_pressure;
struct mm_struct;

int ckpt_pressure_attach(struct ckpt_picture *picture, struct mm_struct *mm,
			 struct ckpt_pressure **ret_pressure);
void ckpt_pressure_detach(struct ckpt_pressure *pressure);

void ckpt_release_begin(void);
void ckpt_release_end(void);

int ckpt_shrink_init(void);
void ckpt_shrink_exit(void);

#endif /* _CKPT_SHRINK_H */
