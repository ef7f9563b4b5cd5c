// SPDX-License-Identifier: GPL-2.0-only
/* libcontained.c - see contained.c. */
#include "contained.h"
#include "work.h"

const char library_padding[VERSION * 30000] = { VERSION };

uint64_t contained_round(uint64_t h)
{
	return mix64(h ^ 0x5bd1e995);
}

__attribute__((noinline, aligned(4096))) uint64_t contained_finish(uint64_t h)
{
	for (int i = 0; i < VERSION * 5; i++)
		h = mix64(h ^ (uint64_t)library_padding[i * 500]);
	return mix64(h * (VERSION + 1));
}
