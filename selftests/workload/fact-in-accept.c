// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asleep in accept(2) and recvmsg(2) of unix sockets.
 * kinds: socket
 */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fact-asleep.h"

static struct asleep accepter, receiver;
static struct sockaddr_un name = { .sun_family = AF_UNIX };
static socklen_t name_len;
static int listener, pair[2];
static char got[16];

static long call_accept(void)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static long call_receive(void)
{
	struct iovec iov[2] = { { got, 3 }, { got + 8, 8 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	return recvmsg(pair[0], &msg, 0);
}

static void set_up(void)
{
	int len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "ckpt-accept-%d", getpid());

	name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
	listener = must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(bind(listener, (const void *)&name, name_len));
	must(listen(listener, 1));
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	asleep_begin(&accepter, call_accept);
	asleep_begin(&receiver, call_receive);
}

static void look(void)
{
	int client = must(socket(AF_UNIX, SOCK_STREAM, 0)), server;
	char byte;

	must(connect(client, (const void *)&name, name_len));
	server = (int)asleep_woken(&accepter);
	want(server >= 0 && write(client, "x", 1) == 1 && read(server, &byte, 1) == 1 && byte == 'x');
	want(write(pair[1], "abcdef", 6) == 6);
	want(asleep_woken(&receiver) == 6 && !memcmp(got, "abc", 3) && !memcmp(got + 8, "def", 3));
}

FACT(set_up, look)
