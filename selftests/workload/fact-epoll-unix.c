// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets in epoll instances: one that listens, both ends of a pair, one shot that is set and one that has
 * fired, one by a number that another file has by now, beside what is no socket.
 *
 * kinds: epoll, socket
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fact.h"

enum { LISTENS, READS, WRITES, SET, FIRED, MOVED, EVENT, NR };

static int ep, listens, ends[2], once[2], moved[2], event, old;

static void watch(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = { .events = events, .data.u64 = data };

	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

/* A bit for each that is reported now. */
static unsigned int reported(void)
{
	struct epoll_event said[2 * NR];
	int nr = must(epoll_wait(ep, said, 2 * NR, 0));
	unsigned int bits = 0;

	for (int i = 0; i < nr; i++)
		bits |= 1u << said[i].data.u64;
	return bits;
}

static void set_up(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "listening" };
	struct epoll_event said;

	ep = must(epoll_create1(EPOLL_CLOEXEC));
	listens = must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	must(bind(listens, (struct sockaddr *)&name, sizeof(name)));
	must(listen(listens, 5));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, once));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, moved));
	event = must(eventfd(0, EFD_NONBLOCK));

	want(write(once[1], "x", 1) == 1);
	watch(once[0], EPOLLIN | EPOLLONESHOT, FIRED);
	want(epoll_wait(ep, &said, 1, 0) == 1 && said.data.u64 == FIRED);
	watch(once[1], EPOLLIN | EPOLLONESHOT, SET);
	watch(listens, EPOLLIN, LISTENS);
	watch(ends[0], EPOLLIN, READS);
	watch(ends[1], EPOLLOUT, WRITES);
	watch(event, EPOLLIN, EVENT);
	watch(moved[0], EPOLLIN, MOVED);
	old = moved[0];
	moved[0] = must(dup(old));
	must(dup2(event, old));
	want(reported() == 1u << WRITES);
}

static void look(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "listening" };
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = FIRED };
	int client = must(socket(AF_UNIX, SOCK_STREAM, 0));

	want(reported() == 1u << WRITES);
	must(connect(client, (struct sockaddr *)&name, sizeof(name)));
	want(write(ends[1], "a", 1) == 1 && write(once[0], "b", 1) == 1 && write(moved[1], "c", 1) == 1);
	want(reported() == (1u << WRITES | 1u << LISTENS | 1u << READS | 1u << SET | 1u << MOVED));
	want(reported() == (1u << WRITES | 1u << LISTENS | 1u << READS | 1u << MOVED));
	must(epoll_ctl(ep, EPOLL_CTL_MOD, once[0], &e));
	want(reported() & 1u << FIRED);
	must(eventfd_write(event, 1));
	want(reported() & 1u << EVENT);
	must(epoll_ctl(ep, EPOLL_CTL_DEL, ends[0], NULL));
	want(!(reported() & 1u << READS));
}

FACT(set_up, look)
