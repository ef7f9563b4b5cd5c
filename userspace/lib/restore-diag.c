// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-diag.c - what the kernel keeps of TCP connections that nobody has, by sock_diag(7).
 *
 * A program that was killed leaves its connections to the kernel.  For a minute (TIME_WAIT) they keep the
 * ports, of those that listened too, from who did not ask for SO_REUSEADDR before.  The program that is
 * restored goes on where those ended, so they go.  No state.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "restore-socket.h"
#include "tcp.h"

#define ROOM	(32u << 10)	/* what the kernel gives at once, at most */

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 req;
};

static struct request request_of(uint16_t type, uint16_t flags, int family, uint32_t states)
{
	return (struct request){
		.head = {
			.nlmsg_len = sizeof(struct request), .nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | flags,
		},
		.req = {
			.sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP,
			.idiag_states = states,
		},
	};
}

static int send_request(const struct request *request)
{
	int diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), r = 0;

	if (diag < 0)
		return -errno;
	if (send(diag, request, sizeof(*request), 0) != (ssize_t)sizeof(*request)) {
		r = errno ? -errno : -EIO;
		close(diag);
	}
	return r ? r : diag;
}

int restore_diag_destroy(int family, const struct inet_diag_sockid *id)
{
	struct request request = request_of(SOCK_DESTROY, NLM_F_ACK, family, ~0U);
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
	} answer = { 0 };
	ssize_t n;
	int diag;

	request.req.id = *id;
	diag = send_request(&request);
	if (diag < 0)
		return diag;
	n = recv(diag, &answer, sizeof(answer), MSG_TRUNC);
	close(diag);
	return n < (ssize_t)sizeof(answer) || answer.head.nlmsg_type != NLMSG_ERROR ? -EPROTO :
	       answer.error.error;
}

static bool is_address(const struct inet_diag_msg *msg, const __be32 *diag, const uint8_t *address)
{
	const bool v4 = msg->idiag_family == AF_INET;

	return !memcmp(diag, address + (v4 ? 12 : 0), v4 ? 4 : 16);
}

/* @ends: NULL is any.  The ports were asked for. */
static bool is_wanted(const struct inet_diag_msg *msg, const struct hold_ends *ends)
{
	return !ends || (is_address(msg, msg->id.idiag_src, ends->local) &&
			 is_address(msg, msg->id.idiag_dst, ends->remote));
}

/* Whose socket is in a table of descriptors has an inode. */
static void clear_one(const struct nlmsghdr *h, const struct hold_ends *ends)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(h);

	if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY && h->nlmsg_len >= NLMSG_LENGTH(sizeof(*msg)) &&
	    !msg->idiag_inode && is_wanted(msg, ends))
		restore_diag_destroy(msg->idiag_family, &msg->id);
}

/* False: that was the end of the list. */
static bool clear_some(char *buf, ssize_t n, const struct hold_ends *ends)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)buf;

	if (n <= 0)
		return false;
	for (unsigned int left = (unsigned int)n; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return false;
		clear_one(h, ends);
	}
	return true;
}

/* Those that only wait, all that was written being sent; and those that have something to send. */
#define WAITING		(1U << TCP_IS_TIME_WAIT | 1U << TCP_IS_FIN_WAIT2)
#define SENDING		(1U << TCP_IS_FIN_WAIT1 | 1U << TCP_IS_CLOSING | 1U << TCP_IS_LAST_ACK)

static void clear_family(int family, uint32_t states, unsigned int port, const struct hold_ends *ends)
{
	struct request request = request_of(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, states);
	char *buf = malloc(ROOM);
	int diag = -1;

	request.req.id.idiag_sport = htons((uint16_t)port);
	if (ends)
		request.req.id.idiag_dport = htons((uint16_t)ends->remote_port);
	if (buf)
		diag = send_request(&request);
	if (diag >= 0) {
		while (clear_some(buf, recv(diag, buf, ROOM, 0), ends))
			;
		close(diag);
	}
	free(buf);
}

void restore_diag_clear(unsigned int port, bool all)
{
	const uint32_t states = all ? WAITING | SENDING : WAITING;

	clear_family(AF_INET, states, port, NULL);
	clear_family(AF_INET6, states, port, NULL);
}

void restore_diag_clear_one(const struct hold_ends *ends)
{
	clear_family(AF_INET, WAITING | SENDING, ends->local_port, ends);
	clear_family(AF_INET6, WAITING | SENDING, ends->local_port, ends);
}
