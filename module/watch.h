/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_WATCH_H
#define _CKPT_WATCH_H

#include <linux/types.h>

int ckpt_watch_begin(void);
bool ckpt_watch_is_whole(unsigned long *missed);
void ckpt_watch_exit(void);

#endif /* _CKPT_WATCH_H */
