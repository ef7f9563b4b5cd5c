// SPDX-License-Identifier: GPL-2.0-only
/* A file mapped and then cut, and one cut and made long again: what was behind the cut is gone, or zero. */
#include <fcntl.h>
#include <setjmp.h>

#include "fact.h"

#define PAGE	4096ul

static char *cut, *regrown;
static sigjmp_buf back;

static void caught(int sig)
{
	siglongjmp(back, sig);
}

static char *map(const char *name, int *fd)
{
	char bytes[4 * PAGE], *p;

	memset(bytes, 'x', sizeof(bytes));
	*fd = must(open(name, O_RDWR | O_CREAT, 0600));
	want(write(*fd, bytes, sizeof(bytes)) == sizeof(bytes));
	p = must(mmap(NULL, sizeof(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE, *fd, 0));
	for (int i = 0; i < 4; i++)
		p[i * PAGE] = (char)('a' + i);
	return p;
}

static void set_up(void)
{
	int fd;

	cut = map("cut", &fd);
	must(ftruncate(fd, PAGE));
	must(close(fd));
	regrown = map("regrown", &fd);
	must(ftruncate(fd, PAGE));
	must(ftruncate(fd, 4 * PAGE));
	must(close(fd));
}

static void look(void)
{
	want(*cut == 'a' && cut[1] == 'x' && *regrown == 'a' && regrown[1] == 'x');
	for (size_t i = PAGE; i < 4 * PAGE; i++)
		want(!regrown[i]);
	must(sigaction(SIGBUS, &(struct sigaction){ .sa_handler = caught }, NULL));
	if (!sigsetjmp(back, 1)) {
		(void)*(volatile char *)(cut + PAGE);
		die("there is something behind the end");
	}
}

FACT(set_up, look)
