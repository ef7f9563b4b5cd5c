/* SPDX-License-Identifier: GPL-2.0-only */
/* contained.h - contained.c's own library, libcontained.so. */
#ifndef CKPT_CONTAINED_H
#define CKPT_CONTAINED_H

#include <stdint.h>

#ifndef VERSION
#define VERSION	1
#endif

uint64_t contained_round(uint64_t h);
uint64_t contained_finish(uint64_t h);

#endif
