// SPDX-License-Identifier: GPL-2.0-only
/* Pages that have been merged with others like them: the same content, and one's own when written to. */
#include <fcntl.h>

#include "fact-smaps.h"

#define PAGE	4096ul
#define NR	128

static char *memory;

static bool put(const char *name, const char *value)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	want(write(fd, value, strlen(value)) > 0);
	must(close(fd));
	return true;
}

static bool is_merged(void)
{
	unsigned long kb = 0;

	sscanf(smaps_line(memory, "KSM:"), "%lu", &kb);
	return kb;
}

static void set_up(void)
{
	bool there = put("pages_to_scan", "5000") && put("sleep_millisecs", "1") && put("run", "1");

	memory = lone_pages(NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	memset(memory, 'm', NR * PAGE);
	must(madvise(memory, NR * PAGE, MADV_MERGEABLE));
	for (int i = 0; there && i < 300 && !is_merged(); i++)	/* 6.1 does not tell */
		usleep(1000);
}

static void look(void)
{
	for (size_t i = 0; i < NR * PAGE; i += 512)
		want(memory[i] == 'm');
	memory[5 * PAGE] = 'n';
	want(memory[4 * PAGE] == 'm' && memory[6 * PAGE] == 'm' && memory[5 * PAGE + 1] == 'm');
}

FACT(set_up, look)
