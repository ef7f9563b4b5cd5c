// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memfds: name, content and what is no content, size, seals, mode; several open files of one, each with
 * flags and offset of its own, and several descriptors of one open file.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fact.h"

#define SIZE	(3 << 20)
#define AT	(1 << 20)

static int plain, twin, reads, appends, sealed, closed, empty;
static struct stat before;

static int again(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return must(open(path, flags));
}

static void set_up(void)
{
	plain = must(memfd_create("a name, with: all sorts", MFD_CLOEXEC));
	must(ftruncate(plain, SIZE));
	must(pwrite(plain, "in the middle", 13, AT));
	must(pwrite(plain, "end", 3, SIZE - 3));
	must(fchmod(plain, 0640));
	must(lseek(plain, 77, SEEK_SET));
	twin = must(dup2(plain, 60));
	reads = again(plain, O_RDONLY);
	must(lseek(reads, AT, SEEK_SET));
	appends = again(plain, O_WRONLY | O_APPEND | O_NONBLOCK);
	must(fstat(plain, &before));

	sealed = must(memfd_create("sealed", MFD_ALLOW_SEALING));
	must(write(sealed, "as it is", 8));
	must(fcntl(sealed, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE));
	closed = must(memfd_create("", MFD_ALLOW_SEALING));
	must(write(closed, "for good", 8));
	must(fcntl(closed, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL));
	empty = must(memfd_create("empty", MFD_ALLOW_SEALING));
}

static void look_at_name(int fd, const char *name)
{
	char path[64], target[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	if (strcmp(target, name))
		die("%s is %s and not %s", path, target, name);
}

static void look_at_plain(void)
{
	struct stat now;
	char text[16] = "";

	look_at_name(plain, "/memfd:a name, with: all sorts (deleted)");
	want(!fstat(plain, &now) && now.st_size == SIZE && now.st_mode == before.st_mode);
	want(now.st_blocks == before.st_blocks);
	want(now.st_mtim.tv_sec == before.st_mtim.tv_sec && now.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
	want(pread(plain, text, 13, AT) == 13 && !strcmp(text, "in the middle"));
	want(pread(plain, text, 4, 0) == 4 && !memcmp(text, "\0\0\0\0", 4));
	want(lseek(plain, 0, SEEK_CUR) == 77 && lseek(twin, 78, SEEK_SET) == 78);
	want(lseek(plain, 0, SEEK_CUR) == 78 && lseek(reads, 0, SEEK_CUR) == AT);
	want(fcntl(plain, F_GETFD) == FD_CLOEXEC && fcntl(twin, F_GETFD) == 0);
	want(read(reads, text, 13) == 13 && !strcmp(text, "in the middle"));
	want(write(reads, "no", 2) < 0 && errno == EBADF);
	want((fcntl(appends, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) ==
	     (O_WRONLY | O_APPEND | O_NONBLOCK));
	want(write(appends, "more", 4) == 4 && !fstat(reads, &now) && now.st_size == SIZE + 4);
	want(fcntl(plain, F_GET_SEALS) == F_SEAL_SEAL);
}

static void look(void)
{
	char text[16] = "";
	struct stat now;

	look_at_plain();
	look_at_name(closed, "/memfd: (deleted)");
	want(fcntl(sealed, F_GET_SEALS) == (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE));
	want(pwrite(sealed, "x", 1, 0) < 0 && errno == EPERM);
	want(pread(sealed, text, 9, 0) == 8 && !strcmp(text, "as it is"));
	want(!fcntl(sealed, F_ADD_SEALS, F_SEAL_SEAL));
	want(fcntl(closed, F_GET_SEALS) == (F_SEAL_FUTURE_WRITE | F_SEAL_SEAL));
	want(lseek(closed, 0, SEEK_CUR) == 8 && pread(closed, text, 9, 0) == 8 && !strcmp(text, "for good"));
	want(fcntl(empty, F_GET_SEALS) == 0 && !fstat(empty, &now) && !now.st_size);
	want(write(empty, "x", 1) == 1);
}

FACT(set_up, look)
