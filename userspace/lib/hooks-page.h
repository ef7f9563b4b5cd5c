/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hooks-page.h - what a program with hooks and who takes its snapshot agree on.
 *
 * The program's side (api-hooks.c) is one thread, by the name HOOKS_THREAD, that waits for one
 * signal, which it blocks like all others, in rt_sigtimedwait(2).  The set it waits with lies in a
 * struct hooks_page at the beginning of a page of its own: so the argument of the call, which
 * /proc/PID/task/TID/syscall shows, tells where the page is; also of a program that was restored.
 *
 * The other side (hooks.c) asks by sending the signal to that thread, with one word for data, and
 * reads the page to see what became of it; it never writes there.  The word of a signal and the one
 * in the page are made alike: what, and behind it a number that tells one snapshot from another.
 *
 *	thread			page		signal
 *	waits			IDLE
 *				IDLE		BEFORE, n	from the one who takes the snapshot
 *	before() runs		BEFORE, n
 *	waits			READY, n			what a snapshot finds
 *				READY, n	TAKEN, GIVEN_UP or RESTORED, n
 *	after() runs		AFTER, n
 *	waits			IDLE, n
 *
 * Of a number that is not its snapshot's, and of a BEFORE that comes twice, the thread takes no
 * notice.  In READY it also looks now and then whether the one who asked is there still (si_pid; 0
 * when he is in another PID namespace: then there is a time limit alone), but not before it has found
 * that no signal is waiting: a restored program has its RESTORED before it runs, whoever has that
 * process number by then.
 */
#ifndef CKPT_HOOKS_PAGE_H
#define CKPT_HOOKS_PAGE_H

#include <signal.h>
#include <stdint.h>
#include <time.h>

#define HOOKS_THREAD	"ckpt-hooks"
#define HOOKS_MAGIC	0x736b6f6f68747063ull
#define HOOKS_VERSION	1

/* What a word says: its low 8 bits. */
enum hooks_what {
	HOOKS_IDLE	= 0,
	HOOKS_BEFORE	= 1,
	HOOKS_READY	= 2,
	HOOKS_AFTER	= 3,
	HOOKS_TAKEN	= 4,
	HOOKS_GIVEN_UP	= 5,
	HOOKS_RESTORED	= 6,
	HOOKS_QUIT	= 7,	/* the program's own, to end the thread */
};

/* The number: 55 bits, so that the word is not negative in JSON. */
#define HOOKS_NUMBER_MAX	((1ull << 55) - 1)

static inline uint64_t hooks_word(uint64_t number, enum hooks_what what)
{
	return number << 8 | what;
}

struct hooks_page {
	uint64_t	magic;
	uint32_t	version;
	uint32_t	size;		/* of this struct */
	uint64_t	word;		/* what the thread is about; atomic */
	int32_t		tid;		/* of the thread, as it knows itself */
	int32_t		signal;
	uint64_t	set;		/* what the kernel takes for a signal set: 64 signals */
	struct timespec	slice;		/* of the wait in READY */
	siginfo_t	info;		/* of the signal that came */
};

#endif
