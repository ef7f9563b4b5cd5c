// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each protection there is, of memory that has content, of a file and shared: /proc/self/maps says the same,
 * and what may not be done faults as it did.
 */
#include <fcntl.h>
#include <setjmp.h>

#include "fact-smaps.h"

#define PAGE	4096ul
#define KINDS	3

static char *areas[KINDS][8], flags[KINDS][8][512];
static volatile int faults[KINDS][8][2];
static sigjmp_buf back;

static void caught(int sig)
{
	siglongjmp(back, sig);
}

static int touch(volatile char *p, bool write)
{
	if (sigsetjmp(back, 1))
		return 1;
	if (write)
		*p = 'w';
	else
		(void)*p;
	return 0;
}

static char *map(int kind, int fd)
{
	static const int how[KINDS] = { MAP_PRIVATE | MAP_ANONYMOUS, MAP_SHARED | MAP_ANONYMOUS,
					MAP_PRIVATE };

	return must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, how[kind], kind == 2 ? fd : -1, 0));
}

static void set_up(void)
{
	int fd = must(open("file", O_RDWR | O_CREAT, 0600));

	must(ftruncate(fd, 2 * PAGE));
	must(sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = caught }, NULL));
	for (int kind = 0; kind < KINDS; kind++)
		for (int prot = 0; prot < 8; prot++) {
			char *p = areas[kind][prot] = map(kind, fd);

			memset(p, 'a' + prot, PAGE);
			must(mprotect(p, PAGE, prot));
			faults[kind][prot][0] = touch(p, false);
			faults[kind][prot][1] = touch(p + 1, true);
			strcpy(flags[kind][prot], smaps_line(p, "VmFlags:"));
		}
	must(close(fd));
}

static void look_at(int kind, int prot)
{
	char *p = areas[kind][prot];

	want(!strcmp(smaps_line(p, "VmFlags:"), flags[kind][prot]));
	want(touch(p, false) == faults[kind][prot][0] && touch(p + 1, true) == faults[kind][prot][1]);
	must(mprotect(p, PAGE, PROT_READ));
	want(*p == 'a' + prot && p[PAGE - 1] == 'a' + prot && !p[PAGE]);
}

static void look(void)
{
	for (int kind = 0; kind < KINDS; kind++)
		for (int prot = 0; prot < 8; prot++)
			look_at(kind, prot);
}

FACT(set_up, look)
