// SPDX-License-Identifier: GPL-2.0-only
/* refuse-socket.c - the sockets of refuse.c. */
#include <linux/filter.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "refuse.h"
#include "work.h"

/* Connected to what no descriptor of the program is. */
int make_unix(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "a-listener" };
	int listening = must(socket(AF_UNIX, SOCK_STREAM, 0)), fd = must(socket(AF_UNIX, SOCK_STREAM, 0));

	if (bind(listening, (void *)&a, sizeof(a)) || listen(listening, 1) ||
	    connect(fd, (void *)&a, sizeof(a)))
		return ABSENT;
	second_fd = listening;		/* with a connection nobody has accepted */
	return fd;
}

static int bound(int type, struct sockaddr_un *a, const char *name)
{
	int fd = must(socket(AF_UNIX, type, 0));

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "ckpt-refuse-%s-%d", name, getpid());
	must(bind(fd, (void *)a, sizeof(*a)));
	return fd;
}

/* Connected by a name at which nobody listens any more. */
int make_unix_gone(void)
{
	struct sockaddr_un a;
	int listening = bound(SOCK_STREAM, &a, "gone"), fd = must(socket(AF_UNIX, SOCK_STREAM, 0));

	must(listen(listening, 1));
	must(connect(fd, (void *)&a, sizeof(a)));
	must(accept(listening, NULL, NULL));
	must(close(listening));
	return fd;
}

/* Datagram sockets connected to each other by their names, with a message in one. */
int make_unix_names(void)
{
	struct sockaddr_un a, b;
	int one = bound(SOCK_DGRAM, &a, "one"), two = bound(SOCK_DGRAM, &b, "two");

	must(connect(one, (void *)&b, sizeof(b)));
	must(connect(two, (void *)&a, sizeof(a)));
	must((int)send(two, "x", 1, 0));
	return one;
}

int make_unix_relative(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "receives" };
	int receives = must(socket(AF_UNIX, SOCK_DGRAM, 0)), fd = must(socket(AF_UNIX, SOCK_DGRAM, 0));

	must(bind(receives, (void *)&a, sizeof(a)));
	must(connect(fd, (void *)&a, sizeof(a)));
	return fd;
}

/* One of a pair that sends elsewhere now; the other still has it for its other end. */
int make_unix_astray(void)
{
	struct sockaddr_un a;
	int p[2];

	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
	bound(SOCK_DGRAM, &a, "elsewhere");
	must(connect(p[0], (void *)&a, sizeof(a)));
	return p[0];
}

int make_unix_rights(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int p[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, p))
		return ABSENT;
	memcpy(CMSG_DATA(&control.head), &p[0], sizeof(int));
	must(sendmsg(p[0], &msg, 0));
	return p[1];
}

int make_tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listening = must(socket(AF_INET, SOCK_STREAM, 0)), fd = must(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t len = sizeof(a);

	if (bind(listening, (void *)&a, len) || listen(listening, 1) ||
	    getsockname(listening, (void *)&a, &len) || connect(fd, (void *)&a, len))
		return ABSENT;
	second_fd = listening;		/* with a connection nobody has accepted */
	return fd;
}

int make_tcp_urgent(void)
{
	int fd = make_tcp(), other = fd < 0 ? -1 : accept(second_fd, NULL, NULL);

	if (other < 0 || send(other, "x", 1, MSG_OOB) != 1)
		return ABSENT;
	must(close(second_fd));
	second_fd = -1;
	return fd;
}

int make_udp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	socklen_t len = sizeof(a);

	if (bind(fd, (void *)&a, len) || getsockname(fd, (void *)&a, &len) ||
	    sendto(fd, "x", 1, 0, (void *)&a, len) != 1)
		return ABSENT;
	return fd;
}

int make_raw(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

int make_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}

int make_filtered(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, ~0u);
	struct sock_fprog prog = { .len = 1, .filter = &all };
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ? ABSENT : fd;
}

int make_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
}
