/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which code of the kernel a call reached: kcov, where the kernel has it (CONFIG_KCOV). What is
 * seen is kept in shared memory, for all threads of all processes of a test.
 */
#ifndef KERNEL_TEST_KCOV_H
#define KERNEL_TEST_KCOV_H

#include <linux/kcov.h>
#include <sys/ioctl.h>

#include "target.h"

#define KCOV_FILE	"/sys/kernel/debug/kcov"
#define KCOV_WORDS	(1 << 16)
#define KCOV_SEEN	(1 << 18)

/* One thread's. */
struct kcov {
	int fd;
	uint64_t *trace;	/* [0]: how many follow; NULL: not traced */
};

struct kcov_seen {
	uint64_t from, to;	/* the module's text */
	unsigned int nr, nr_module;
	uint64_t pc[KCOV_SEEN];	/* hashed, 0: free */
};

static inline bool kcov_exists(void)
{
	return !access(KCOV_FILE, R_OK | W_OK);
}

/* To be called before the thread is; it begins with kcov_trace(). */
static inline void kcov_open(struct kcov *k)
{
	k->fd = must(open(KCOV_FILE, O_RDWR | O_CLOEXEC));
	must(ioctl(k->fd, KCOV_INIT_TRACE, KCOV_WORDS));
	k->trace = must(mmap(NULL, KCOV_WORDS * sizeof(uint64_t), PROT_READ | PROT_WRITE,
			     MAP_SHARED, k->fd, 0));
}

static inline void kcov_trace(struct kcov *k)
{
	if (k->trace)
		must(ioctl(k->fd, KCOV_ENABLE, KCOV_TRACE_PC));
}

static inline void kcov_stop(struct kcov *k)
{
	if (k->trace)
		must(ioctl(k->fd, KCOV_DISABLE, 0));
}

/* How far the kernel was moved at boot: kcov tells addresses as they were linked. */
static inline uint64_t kernel_moved(void)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long long addr = 0;
	char name[64] = "";

	while (f && strcmp(name, "_text") && fscanf(f, "%llx %*c %63s%*[^\n]", &addr, name) == 2)
		;
	if (f)
		fclose(f);
	return strcmp(name, "_text") ? 0 : addr - 0xffffffff81000000;
}

static inline void kcov_find_module(struct kcov_seen *s)
{
	FILE *f = must(fopen("/proc/modules", "re"));
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		unsigned long long size, from;

		if (sscanf(line, "ckpt %llu %*s %*s %*s %llx", &size, &from) == 2) {
			s->from = from - kernel_moved();
			s->to = s->from + size;
		}
	}
	if (f)
		fclose(f);
}

static inline bool kcov_note(struct kcov_seen *s, uint64_t pc)
{
	unsigned int at = (pc * 0x9e3779b97f4a7c15ull) >> 46, i;
	uint64_t none;

	for (i = 0; i < 64; i++, at = (at + 1) % KCOV_SEEN) {
		none = 0;
		if (s->pc[at] == pc)
			return false;
		if (!s->pc[at] && __atomic_compare_exchange_n(&s->pc[at], &none, pc, false,
							      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
		if (none == pc)
			return false;
	}
	return false;
}

static inline void kcov_begin(struct kcov *k)
{
	if (k->trace)
		__atomic_store_n(&k->trace[0], 0, __ATOMIC_RELAXED);
}

/* Whether the module went where it had not been. */
static inline bool kcov_end(struct kcov *k, struct kcov_seen *s)
{
	uint64_t i, nr = k->trace ? __atomic_load_n(&k->trace[0], __ATOMIC_RELAXED) : 0;
	bool new = false;

	for (i = 1; i <= nr && i < KCOV_WORDS; i++) {
		uint64_t pc = k->trace[i];

		if (!kcov_note(s, pc))
			continue;
		__atomic_add_fetch(&s->nr, 1, __ATOMIC_RELAXED);
		if (pc >= s->from && pc < s->to) {
			__atomic_add_fetch(&s->nr_module, 1, __ATOMIC_RELAXED);
			new = true;
		}
	}
	return new;
}

#endif
