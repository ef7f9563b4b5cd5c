/* SPDX-License-Identifier: GPL-2.0-only */
/* What the aspects of state (state-*.c) share with the program (state.c). */
#ifndef CKPT_STATE_H
#define CKPT_STATE_H

#include <stdbool.h>

#include "work.h"

/* One aspect: put into an unusual state before the snapshot, looked at afterwards. */
struct aspect {
	const char *name;
	void (*set)(void);
	void (*check)(void);	/* dies of any difference */
};

extern const struct aspect process_aspects[], signal_aspects[], memory_aspects[], file_aspects[];
extern const struct aspect creds_aspects[], map_aspects[];

/* errno as it was when the expression was false is part of what is said. */
#define want(expr)									\
	do {										\
		errno = 0;								\
		if (!(expr))								\
			die("%s:%d: not as it was: %s (%s)", __FILE__, __LINE__, #expr,	\
			    strerror(errno));						\
	} while (0)

/* A copy of whole of a /proc file, NUL-terminated. */
char *read_whole(const char *path);

#endif
