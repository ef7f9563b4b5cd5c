// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors that came by SCM_RIGHTS: the same open file, whose offset they share.
 * kinds: file, pipe, socket
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "fact.h"

static int file, passed, pair[2], ends[2], passed_end;

static void send_fd(int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { "x", 1 };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				    .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	want(sendmsg(pair[0], &msg, 0) == 1);
}

static int receive_fd(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd;

	want(recvmsg(pair[1], &msg, MSG_CMSG_CLOEXEC) == 1 && control.head.cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

static int pass(int fd)
{
	send_fd(fd);
	return receive_fd();
}

static void set_up(void)
{
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	file = must(open("passed", O_RDWR | O_CREAT | O_TRUNC, 0600));
	want(write(file, "0123456789", 10) == 10);
	passed = pass(file);
	must(lseek(file, 4, SEEK_SET));
	must(pipe(ends));
	passed_end = pass(ends[1]);
	must(close(ends[1]));
	want(write(passed_end, "in it", 5) == 5);
}

static void look(void)
{
	char got[8] = "";

	want(lseek(passed, 0, SEEK_CUR) == 4 && read(passed, got, 3) == 3 && !memcmp(got, "456", 3));
	want(lseek(file, 0, SEEK_CUR) == 7);
	want(fcntl(passed, F_GETFD) == FD_CLOEXEC && !fcntl(file, F_GETFD));
	want(read(ends[0], got, sizeof(got)) == 5 && !memcmp(got, "in it", 5));
	must(close(passed_end));
	want(!read(ends[0], got, sizeof(got)));
	want(lseek(pass(passed), 0, SEEK_CUR) == 7);
}

FACT(set_up, look)
