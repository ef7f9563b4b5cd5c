// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files without a name: of O_TMPFILE, which can get one; deleted ones, with holes, open twice, for reading
 * alone, longer and shorter than the position.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "fact.h"

static int tmp, tmp_excl, sparse, twin, reader, beyond;

static void put(int fd, const char *text, off_t at)
{
	want(pwrite(fd, text, strlen(text), at) == (ssize_t)strlen(text));
}

static bool has(int fd, const char *text, off_t at)
{
	char buf[64] = "";

	return pread(fd, buf, strlen(text), at) == (ssize_t)strlen(text) && !strcmp(buf, text);
}

static void set_up(void)
{
	tmp = must(open(".", O_TMPFILE | O_RDWR, 0640));
	put(tmp, "nameless", 0);
	must(lseek(tmp, 5, SEEK_SET));
	tmp_excl = must(open(".", O_TMPFILE | O_EXCL | O_RDWR | O_APPEND, 0600));
	put(tmp_excl, "for ever", 0);
	sparse = must(open("sparse", O_RDWR | O_CREAT, 0604));
	put(sparse, "far away", 40 << 20);
	put(sparse, "middle", 20 << 20);
	must(ftruncate(sparse, 100 << 20));
	twin = must(dup(sparse));
	reader = must(open("sparse", O_RDONLY));
	must(lseek(sparse, 77, SEEK_SET));
	must(unlink("sparse"));
	beyond = must(open("beyond", O_RDWR | O_CREAT, 0600));
	put(beyond, "short", 0);
	must(lseek(beyond, 1000, SEEK_SET));
	must(unlink("beyond"));
}

static void look(void)
{
	struct stat st;
	char path[64];

	want(has(tmp, "nameless", 0) && lseek(tmp, 0, SEEK_CUR) == 5);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", tmp);
	must(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	want(!stat("named", &st) && st.st_size == 8 && (st.st_mode & 0777) == 0640);
	must(unlink("named"));

	want(has(tmp_excl, "for ever", 0) && fcntl(tmp_excl, F_GETFL) & O_APPEND);

	want(has(reader, "far away", 40 << 20) && has(twin, "middle", 20 << 20));
	must(fstat(reader, &st));
	want(st.st_size == 100 << 20 && st.st_blocks < 1000 && (st.st_mode & 0777) == 0604 && !st.st_nlink);
	want(lseek(twin, 0, SEEK_CUR) == 77 && !lseek(reader, 0, SEEK_CUR));
	put(twin, "one file", 0);
	want(has(reader, "one file", 0) && write(reader, "x", 1) == -1 && errno == EBADF);
	want(lseek(beyond, 0, SEEK_CUR) == 1000 && write(beyond, "!", 1) == 1 && has(beyond, "short", 0));
	want(!fstat(beyond, &st) && st.st_size == 1001);
}

FACT(set_up, look)
