// SPDX-License-Identifier: GPL-2.0-only
/*
 * Positions far behind the end: as far as a file can be, for reading and for writing; a sparse file in
 * between.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "fact.h"

#define FAR	(1l << 40)

static int reader, writer, hole;

static void set_up(void)
{
	writer = must(open("file", O_RDWR | O_CREAT, 0600));
	want(write(writer, "begin", 5) == 5);
	reader = must(open("file", O_RDONLY));
	want(lseek(reader, (1l << 43) + 7, SEEK_SET) == (1l << 43) + 7);
	want(lseek(writer, 4096 * 3 + 1, SEEK_SET) == 4096 * 3 + 1);
	hole = must(open("hole", O_RDWR | O_CREAT | O_APPEND, 0600));
	must(ftruncate(hole, FAR));
	want(lseek(hole, FAR - 3, SEEK_SET) == FAR - 3);
}

static void look(void)
{
	struct stat st;
	char text[8];

	want(lseek(reader, 0, SEEK_CUR) == (1l << 43) + 7 && !read(reader, text, 1));
	want(write(writer, "end", 3) == 3 && !fstat(reader, &st) && st.st_size == 4096 * 3 + 4);
	want(pread(reader, text, 5, 0) == 5 && !memcmp(text, "begin", 5));
	want(read(hole, text, 8) == 3 && !memcmp(text, "\0\0\0", 3));
	want(write(hole, "x", 1) == 1 && !fstat(hole, &st) && st.st_size == FAR + 1 && st.st_blocks < 100);
}

FACT(set_up, look)
