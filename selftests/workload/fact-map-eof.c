// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of a file that reach beyond its end, private and shared: what is there, what of the last page was
 * written behind the end of a private one, and SIGBUS for all further.
 */
#include <fcntl.h>
#include <setjmp.h>

#include "fact.h"

#define PAGE	4096ul

static char *private, *shared, *empty;
static int fd;
static sigjmp_buf back;

static void caught(int sig)
{
	siglongjmp(back, sig);
}

static int read_at(volatile char *p)
{
	int sig = sigsetjmp(back, 1);

	if (!sig)
		(void)*p;
	return sig;
}

static void set_up(void)
{
	int none = must(open("empty", O_RDWR | O_CREAT, 0600));

	fd = must(open("short", O_RDWR | O_CREAT, 0600));
	must(ftruncate(fd, PAGE + 100));
	want(pwrite(fd, "the end", 7, PAGE + 93) == 7);
	private = must(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	shared = must(mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
	empty = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, none, 0));
	strcpy(private + PAGE + 200, "behind");
	strcpy(private, "beginning");
	must(close(none));
}

static void look(void)
{
	must(sigaction(SIGBUS, &(struct sigaction){ .sa_handler = caught }, NULL));
	want(!strcmp(private, "beginning") && !memcmp(private + PAGE + 93, "the end", 7));
	want(!strcmp(private + PAGE + 200, "behind") && !*shared &&
	     !memcmp(shared + PAGE + 93, "the end", 7));
	want(read_at(private + 2 * PAGE) == SIGBUS && read_at(shared + 2 * PAGE) == SIGBUS);
	want(read_at(empty) == SIGBUS && !read_at(private + PAGE));
	must(ftruncate(fd, 3 * PAGE));
	want(pwrite(fd, "longer", 6, 2 * PAGE) == 6);
	want(!memcmp(private + 2 * PAGE, "longer", 6) && !memcmp(shared + 2 * PAGE, "longer", 6));
}

FACT(set_up, look)
