/* SPDX-License-Identifier: GPL-2.0-only */
/* Settings of the whole machine that some tests need: swap, huge pages, same-page merging. */
#ifndef KERNEL_TEST_SYSTEM_H
#define KERNEL_TEST_SYSTEM_H

#include <stdarg.h>
#include <sys/stat.h>
#include <sys/swap.h>

#include "target.h"

/* A command, without its output; false when it fails. */
static inline bool run(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(cmd, sizeof(cmd) - 32, fmt, ap);
	va_end(ap);
	snprintf(cmd + n, 32, " >/dev/null 2>&1 </dev/null");
	return !system(cmd);
}

#define ZRAM		"/dev/zram0"
#define ZRAM_MB		128

/* Swap in compressed memory; off again with swap_off(). */
static inline bool swap_on(void)
{
	static char head[4096];
	unsigned int *info = (unsigned int *)(head + 1024);
	int fd;

	if (access(ZRAM, F_OK) && !run("modprobe zram"))
		return false;
	swapoff(ZRAM);		/* of a test that failed */
	set_file("/sys/block/zram0/reset", "1");
	if (!set_file("/sys/block/zram0/disksize", "128M"))
		return false;
	/* mkswap: version, last page, no bad pages; the magic at the page's end. */
	info[0] = 1;
	info[1] = ZRAM_MB * 256 - 1;
	info[2] = 0;
	memcpy(head + 4086, "SWAPSPACE2", 10);
	fd = open(ZRAM, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, head, sizeof(head)) != sizeof(head) || fsync(fd) || close(fd))
		return false;
	return !swapon(ZRAM, 0);
}

static inline void swap_off(void)
{
	swapoff(ZRAM);
}

#define HUGE_POOL	"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

static inline bool huge_pool(const char *pages)
{
	return set_file(HUGE_POOL, pages);
}

/* No page of it is in use any more. */
static inline bool huge_pool_off(void)
{
	char left[32];

	return huge_pool("0") && get_file_text(HUGE_POOL, left, sizeof(left)) > 0 && atoi(left) == 0;
}

#define KSM "/sys/kernel/mm/ksm/"

static inline bool ksm_on(void)
{
	return set_file(KSM "sleep_millisecs", "1") && set_file(KSM "pages_to_scan", "5000") &&
	       set_file(KSM "run", "1");
}

static inline void ksm_off(void)
{
	set_file(KSM "run", "0");
}

/* Of a process, proc_pid_pagemap(5). For root. */
static inline uint64_t pagemap_entry(pid_t pid, const void *addr)
{
	uint64_t entry = 0;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = must(open(path, O_RDONLY | O_CLOEXEC));
	must(pread(fd, &entry, sizeof(entry), (unsigned long)addr / PAGE * 8));
	close(fd);
	return entry;
}

/* The page frame at an address of a process, 0: none in memory. */
static inline uint64_t frame_of(pid_t pid, const void *addr)
{
	uint64_t entry = pagemap_entry(pid, addr);

	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static inline bool is_swapped(pid_t pid, const void *addr)
{
	return pagemap_entry(pid, addr) >> 62 & 1;
}

#endif
