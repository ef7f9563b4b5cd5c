// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink sockets: one with a number and groups, one that the kernel has numbered, one that is new.
 * kinds: socket
 */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "fact.h"

static int named, numbered, fresh, uevent;
static uint32_t number;

static uint32_t number_of(int fd, uint32_t *ret_groups)
{
	struct sockaddr_nl a;
	socklen_t len = sizeof(a);

	must(getsockname(fd, (void *)&a, &len));
	*ret_groups = a.nl_groups;
	return a.nl_pid;
}

static void set_up(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_pid = 4242, .nl_groups = RTMGRP_LINK };
	int group = RTNLGRP_BRVLAN, on = 1;
	uint32_t groups;

	named = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	must(bind(named, (void *)&a, sizeof(a)));
	must(setsockopt(named, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)));
	numbered = must(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE));
	a.nl_pid = a.nl_groups = 0;
	must(bind(numbered, (void *)&a, sizeof(a)));
	must(setsockopt(numbered, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	number = number_of(numbered, &groups);
	fresh = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	uevent = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
}

static bool hears(int fd, int group)
{
	uint32_t words[16] = { 0 };
	socklen_t len = sizeof(words);

	must(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &len));
	return words[(group - 1) / 32] >> (group - 1) % 32 & 1;
}

static int protocol(int fd)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &len) ? -1 : value;
}

/* The kernel answers at it. */
static bool works(int fd)
{
	const struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} ask = { { sizeof(ask), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC } };
	char buf[8192];

	return send(fd, &ask, sizeof(ask), 0) == sizeof(ask) && recv(fd, buf, sizeof(buf), 0) > 0;
}

static void look(void)
{
	socklen_t len = sizeof(int);
	uint32_t groups;
	int on = 0;

	want(number_of(named, &groups) == 4242 && groups == RTMGRP_LINK && hears(named, RTNLGRP_LINK));
	want(!hears(named, RTNLGRP_BRVLAN));
	want(!getsockopt(named, SOL_NETLINK, NETLINK_EXT_ACK, &on, &len) && on == 1);
	want(number_of(numbered, &groups) == number && groups == 0 && hears(numbered, RTNLGRP_BRVLAN));
	want(number_of(fresh, &groups) == 0);
	want(protocol(uevent) == NETLINK_KOBJECT_UEVENT && protocol(fresh) == NETLINK_ROUTE);
	want(works(numbered) && works(fresh));
}

FACT(set_up, look)
