/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every workload program needs: to say things, to give up, to read the clock.
 *
 * The programs write to standard output only what is the same in every run; anything that varies (a
 * lateness, a duration) goes to standard error.  Output is one write() a line, so that a snapshot
 * finds nothing in a stdio buffer that the test did not mean to be there.
 */
#ifndef CKPT_WORK_H
#define CKPT_WORK_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static inline void work_vsay(int fd, const char *fmt, va_list ap)
{
	char line[512];
	int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);

	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(fd, line, n) != n)
		_exit(125);
}

/* One line of the answer. */
static inline __attribute__((format(printf, 1, 2))) void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	work_vsay(STDOUT_FILENO, fmt, ap);
	va_end(ap);
}

/* One line about this run only. */
static inline __attribute__((format(printf, 1, 2))) void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	work_vsay(STDERR_FILENO, fmt, ap);
	va_end(ap);
}

/* Something happened that must not: say it where the test looks, and end at once. */
static inline __attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	work_vsay(STDERR_FILENO, fmt, ap);
	va_end(ap);
	va_start(ap, fmt);
	work_vsay(STDOUT_FILENO, fmt, ap);
	va_end(ap);
	_exit(1);
}

#define must(call)									\
	({										\
		__typeof__(call) must_ret = (call);					\
		if ((long)must_ret == -1)						\
			die("%s:%d: %s: %s", __FILE__, __LINE__, #call, strerror(errno));\
		must_ret;								\
	})

/* The kernel for real time has no transparent huge pages, and takes no advice about them. */
static inline void advise_huge(void *mem, size_t len, int advice)
{
	if (!access("/sys/kernel/mm/transparent_hugepage", F_OK))
		must(madvise(mem, len, advice));
}

#define NSEC_PER_MSEC	1000000L
#define NSEC_PER_SEC	1000000000L

static inline uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static inline struct timespec ns_to_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC };
}

/* splitmix64: the same numbers everywhere from the same seed. */
static inline uint64_t mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline long arg_number(int argc, char **argv, int i, long otherwise)
{
	char *end;
	long n;

	if (argc <= i)
		return otherwise;
	n = strtol(argv[i], &end, 0);
	if (*end || n < 0)
		die("%s: not a number: %s", argv[0], argv[i]);
	return n;
}

#endif
