// SPDX-License-Identifier: GPL-2.0-only
/*
 * Open files that a child inherited: one position for both, of a file, a deleted one, a memfd and a directory
 * half read; flags that both see, and CLOEXEC, which is each one's own.
 * kinds: file, memfd
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fact-child.h"

#define NR	40

static int file, deleted, mem, dir, begun;
static struct child child;

/* Of an entry, behind its two numbers. */
static uint16_t length_of(const char *entry)
{
	uint16_t len;

	memcpy(&len, entry + 16, sizeof(len));
	return len;
}

/* How many there are still, from where the directory is. */
static int read_names(void)
{
	char buf[200];
	int names = 0;
	long n;

	while ((n = must(syscall(SYS_getdents64, dir, buf, sizeof(buf)))))
		for (long at = 0; at < n; at += length_of(buf + at))
			names++;
	return names;
}

static void own_flag(void)
{
	must(fcntl(file, F_SETFD, FD_CLOEXEC));
}

static void goes_on(void)
{
	char text[4] = "";

	want(fcntl(file, F_GETFD) == FD_CLOEXEC && fcntl(deleted, F_GETFD) == 0);
	want(read(file, text, 3) == 3 && !strcmp(text, "345"));
	want(read(deleted, text, 3) == 3 && !strcmp(text, "678"));
	want(read(mem, text, 1) == 1 && *text == '1');
	must(fcntl(file, F_SETFL, O_APPEND | O_NONBLOCK));
	want(read_names() == NR + 2 - begun);
}

static int make(const char *name)
{
	int fd = must(name ? open(name, O_RDWR | O_CREAT, 0600) : memfd_create("shared", 0));

	want(write(fd, "0123456789", 10) == 10);
	return fd;
}

static void set_up(void)
{
	char name[16], small[200];
	long n;

	file = make("file");
	deleted = make("deleted");
	must(unlink("deleted"));
	mem = make(NULL);
	must(mkdir("dir", 0700));
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "dir/%d", i);
		must(mkdir(name, 0700));
	}
	dir = must(open("dir", O_RDONLY | O_DIRECTORY));
	n = must(syscall(SYS_getdents64, dir, small, sizeof(small)));
	for (long at = 0; at < n; at += length_of(small + at))
		begun++;
	child_begin(&child, own_flag, goes_on);
	want(lseek(file, 3, SEEK_SET) == 3 && lseek(deleted, 6, SEEK_SET) == 6 &&
	     lseek(mem, 1, SEEK_SET) == 1);
}

static void look(void)
{
	child_look(&child);
	want(lseek(file, 0, SEEK_CUR) == 6 && lseek(deleted, 0, SEEK_CUR) == 9 &&
	     lseek(mem, 0, SEEK_CUR) == 2);
	want(fcntl(file, F_GETFD) == 0 && fcntl(file, F_GETFL) & O_NONBLOCK);
	want(!read_names());		/* the child has read to the end */
}

FACT(set_up, look)
