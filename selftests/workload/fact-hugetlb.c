// SPDX-License-Identifier: GPL-2.0-only
/* Private huge pages of hugetlbfs without a file: content, and a page that was never touched. */
#include <fcntl.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "fact-smaps.h"

#define HUGE	(2ul << 20)

static char *memory;

static void ask_for(const char *pages)
{
	int fd = open("/proc/sys/vm/nr_hugepages", O_WRONLY);

	if (fd < 0)
		return;
	want(write(fd, pages, strlen(pages)) > 0);
	must(close(fd));
}

static void set_up(void)
{
	ask_for("24");
	memory = mmap(NULL, 4 * HUGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	if (memory == MAP_FAILED) {
		note("no huge pages to be had");
		memory = NULL;
		return;
	}
	for (size_t i = 0; i < 3 * HUGE; i += 8)
		*(uint64_t *)(memory + i) = mix64(i);
	must(mprotect(memory + HUGE, HUGE, PROT_READ));
}

static void look(void)
{
	if (!memory)
		return;
	want(strstr(smaps_line(memory, "VmFlags:"), " ht"));
	for (size_t i = 0; i < 3 * HUGE; i += 8)
		want(*(uint64_t *)(memory + i) == mix64(i));
	want(!memory[3 * HUGE]);
	memory[3 * HUGE] = *memory = 1;
	must(munmap(memory, 4 * HUGE));
	ask_for("0");
}

FACT(set_up, look)
