// SPDX-License-Identifier: GPL-2.0-only
/*
 * A directory half read, by the C library (which has some entries in its memory) and by the system call: each
 * goes on, no entry twice or missing; and one that was read to its end.
 * kinds: file
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fact.h"

#define NR	700

struct dirent64_raw {
	uint64_t ino, off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static DIR *stream;
static int raw, ended;
static unsigned char by_stream[NR], by_call[NR];

static void note_name(unsigned char *seen, const char *name)
{
	if (*name == 'f')
		seen[atoi(name + 1)]++;
}

static bool read_some(int fd)
{
	char buf[512];
	long n = must(syscall(SYS_getdents64, fd, buf, sizeof(buf)));

	for (long at = 0; at < n;) {
		struct dirent64_raw *d = (void *)(buf + at);

		note_name(by_call, d->name);
		at += d->len;
	}
	return n;
}

static void set_up(void)
{
	char name[32];

	must(mkdir("dir", 0700));
	for (int i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "dir/f%d", i);
		must(close(must(open(name, O_CREAT | O_WRONLY, 0600))));
	}
	stream = opendir("dir");
	want(stream);
	for (int i = 0; i < NR / 2; i++)
		note_name(by_stream, readdir(stream)->d_name);
	ended = must(open("dir", O_RDONLY | O_DIRECTORY));
	while (read_some(ended))
		;
	memset(by_call, 0, sizeof(by_call));
	raw = must(open("dir", O_RDONLY | O_DIRECTORY));
	for (int i = 0; i < 10; i++)
		want(read_some(raw));
}

static void look(void)
{
	struct dirent *d;

	while ((d = readdir(stream)))
		note_name(by_stream, d->d_name);
	while (read_some(raw))
		;
	for (int i = 0; i < NR; i++)
		if (by_stream[i] != 1 || by_call[i] != 1)
			die("entry %d: %d times, %d times", i, by_stream[i], by_call[i]);
	want(!read_some(ended));
	rewinddir(stream);
	want(readdir(stream));
}

FACT(set_up, look)
