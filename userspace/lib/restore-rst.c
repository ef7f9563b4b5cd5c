// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-rst.c - end a TCP connection of ours as its other end would: by a reset (RFC 9293, 3.5.3), or a FIN.
 *
 * The other end, which is somebody else's, is to hear nothing of a reset: there it may go on, or be another
 * one's by now, and this may be another machine.  So the segment is written by us, with that end's
 * address as the sender, into a raw socket; this machine has the address it goes to, and it never
 * leaves it.  SOCK_DESTROY would tell the other end.  And a FIN that was acknowledged is not sent again.
 * No state.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "restore-socket.h"
#include "tcp.h"

#define HOPS		255	/* the most a socket may ask for (IP_MINTTL) */
#define TRIES		100
#define WAIT_US		10000

/* Both ends by the addresses that count: those of IPv4 also when a socket of IPv6 has them. */
struct ends {
	struct in6_addr from, to;
	in_port_t from_port, to_port;
	uint32_t scope;
	bool v4;
};

static void unmap(struct ends *e, const struct sockaddr_storage *s, struct in6_addr *ret, in_port_t *ret_port)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)s;
	const struct sockaddr_in *four = (const struct sockaddr_in *)s;

	memset(ret, 0, sizeof(*ret));
	if (s->ss_family == AF_INET) {
		e->v4 = true;
		memcpy(ret, &four->sin_addr, sizeof(four->sin_addr));
		*ret_port = four->sin_port;
		return;
	}
	*ret_port = six->sin6_port;
	e->scope = six->sin6_scope_id;
	e->v4 = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
	if (e->v4)
		memcpy(ret, six->sin6_addr.s6_addr + 12, 4);
	else
		*ret = six->sin6_addr;
}

static int find_ends(int sock, struct ends *e)
{
	struct sockaddr_storage ours = { 0 }, theirs = { 0 };
	socklen_t our_len = sizeof(ours), their_len = sizeof(theirs);

	if (getsockname(sock, (struct sockaddr *)&ours, &our_len) ||
	    getpeername(sock, (struct sockaddr *)&theirs, &their_len))
		return -errno;
	memset(e, 0, sizeof(*e));
	unmap(e, &theirs, &e->from, &e->from_port);
	unmap(e, &ours, &e->to, &e->to_port);
	return 0;
}

/* RFC 1071, of words in network byte order as they lie in memory. */
static uint32_t add_up(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (uint16_t word; len >= 2; len -= 2, p += 2) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	return sum;
}

static void put_checksum(const struct ends *e, struct tcphdr *tcp)
{
	const size_t len = e->v4 ? 4 : 16;
	uint32_t sum = htons(IPPROTO_TCP) + (uint32_t)htons(sizeof(*tcp));

	sum = add_up(sum, &e->from, len);
	sum = add_up(sum, &e->to, len);
	sum = add_up(sum, tcp, sizeof(*tcp));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	tcp->check = (uint16_t)~sum;
}

static int send_four(const struct ends *e, const struct tcphdr *tcp)
{
	struct {
		struct iphdr	ip;
		struct tcphdr	tcp;
	} packet = {
		.ip = { .version = 4, .ihl = 5, .ttl = HOPS, .protocol = IPPROTO_TCP,
			.tot_len = htons(sizeof(packet)) },
		.tcp = *tcp,
	};
	struct sockaddr_in to = { .sin_family = AF_INET };
	int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), r;

	memcpy(&packet.ip.saddr, &e->from, sizeof(packet.ip.saddr));
	memcpy(&packet.ip.daddr, &e->to, sizeof(packet.ip.daddr));
	to.sin_addr.s_addr = packet.ip.daddr;
	if (raw < 0)
		return -errno;
	r = sendto(raw, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
	close(raw);
	return r;
}

static int send_six(const struct ends *e, const struct tcphdr *tcp)
{
	struct {
		struct ip6_hdr	ip;
		struct tcphdr	tcp;
	} packet = {
		.ip = { .ip6_flow = htonl(6u << 28), .ip6_plen = htons(sizeof(*tcp)),
			.ip6_nxt = IPPROTO_TCP, .ip6_hlim = HOPS, .ip6_src = e->from, .ip6_dst = e->to },
		.tcp = *tcp,
	};
	const struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_addr = e->to,
					 .sin6_scope_id = e->scope };
	int raw = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), r;

	if (raw < 0)
		return -errno;
	r = sendto(raw, &packet, sizeof(packet), 0, (const struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
	close(raw);
	return r;
}

static int send_it(int sock, struct tcphdr *tcp)
{
	struct ends e;
	int r = find_ends(sock, &e);

	if (r)
		return r;
	tcp->source = e.from_port;
	tcp->dest = e.to_port;
	tcp->doff = sizeof(*tcp) / 4;
	tcp->ack = 1;
	put_checksum(&e, tcp);
	return e.v4 ? send_four(&e, tcp) : send_six(&e, tcp);
}

static bool is_closed(int sock)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return !getsockopt(sock, IPPROTO_TCP, TCP_INFO, &info, &len) && info.tcpi_state == TCP_IS_CLOSE;
}

static bool has_fin(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0;
}

static int wait_until(bool (*done)(int sock), int sock)
{
	for (int i = 0; i < TRIES; i++) {
		if (done(sock))
			return 0;
		usleep(WAIT_US);
	}
	return -ETIMEDOUT;
}

int restore_rst(int sock, uint32_t seq, uint32_t ack)
{
	struct tcphdr tcp = { .seq = htonl(seq), .ack_seq = htonl(ack), .rst = 1 };
	int r = send_it(sock, &tcp);

	return r ? r : wait_until(is_closed, sock);
}

int restore_fin(int sock, uint32_t seq, uint32_t ack, uint32_t window)
{
	struct tcphdr tcp = { .seq = htonl(seq), .ack_seq = htonl(ack), .fin = 1,
			      .window = htons((uint16_t)(window < UINT16_MAX ? window : UINT16_MAX)) };
	int r = send_it(sock, &tcp);

	return r ? r : wait_until(has_fin, sock);
}
