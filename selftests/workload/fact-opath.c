// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors by O_PATH: of a file nobody may read, a directory, a link itself, a named pipe, a socket's file.
 *
 * kinds: path
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fact.h"

static int file, dir, plain_dir, link_itself, fifo, sock, twin;

static void set_up(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int fd = must(socket(AF_UNIX, SOCK_STREAM, 0));

	must(bind(fd, (void *)&name, sizeof(name)));
	close(fd);
	close(must(open("file", O_WRONLY | O_CREAT, 0)));
	must(mkdir("dir", 0700));
	must(symlink("nowhere", "link"));
	must(mkfifo("fifo", 0600));
	file = must(open("file", O_PATH | O_CLOEXEC));
	dir = must(open("dir", O_PATH | O_DIRECTORY));
	plain_dir = must(open("dir", O_PATH));
	link_itself = must(open("link", O_PATH | O_NOFOLLOW));
	fifo = must(open("fifo", O_PATH));
	sock = must(open("socket", O_PATH));
	twin = must(dup(dir));
}

static mode_t kind(int fd)
{
	struct stat st;

	must(fstat(fd, &st));
	return st.st_mode & S_IFMT;
}

static void look(void)
{
	struct stat a, b;
	char to[16];

	want(fcntl(file, F_GETFL) == O_PATH && fcntl(file, F_GETFD) == FD_CLOEXEC);
	want(fcntl(dir, F_GETFL) == (O_PATH | O_DIRECTORY) && fcntl(plain_dir, F_GETFL) == O_PATH);
	want(fcntl(link_itself, F_GETFL) == (O_PATH | O_NOFOLLOW));
	want(kind(file) == S_IFREG && kind(dir) == S_IFDIR && kind(link_itself) == S_IFLNK);
	want(kind(fifo) == S_IFIFO && kind(sock) == S_IFSOCK);
	want(readlinkat(link_itself, "", to, sizeof(to)) == 7 && !memcmp(to, "nowhere", 7));
	must(fstat(file, &a));
	must(stat("file", &b));
	want(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	close(must(openat(twin, "new", O_WRONLY | O_CREAT, 0600)));
	want(!access("dir/new", F_OK));
	want(read(file, to, 1) < 0 && errno == EBADF);
}

FACT(set_up, look)
