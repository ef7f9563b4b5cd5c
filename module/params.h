/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_PARAMS_H
#define _CKPT_PARAMS_H

/* Module parameters, documented in main.c; may change at any time. */
extern unsigned int ckpt_freeze_timeout_ms;
extern unsigned long ckpt_max_state_bytes;
extern unsigned long ckpt_max_copy_bytes;

#endif /* _CKPT_PARAMS_H */
