// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * sock.c - see sock.h: reading and writing the items, and what is known of families and options.  No state.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <linux/udp.h>
#include <string.h>
#include <sys/un.h>

#include "kind.h"
#include "sock.h"

static size_t padded(size_t len)
{
	return (len + 7) & ~(size_t)7;
}

int sock_put(struct buf *to, enum sock_item_what what, uint32_t a, uint32_t b, const void *data, size_t len)
{
	const struct sock_item item = { what, a, b, (uint32_t)len };
	size_t all = sizeof(item) + padded(len);
	int ret = buf_reserve(to, all);
	char *at;

	if (ret)
		return ret;
	at = (char *)to->data + to->len;
	memset(at, 0, all);
	memcpy(at, &item, sizeof(item));
	if (len)
		memcpy(at + sizeof(item), data, len);
	to->len += all;
	return 0;
}

/* ------------------------------------------------------------------------------- reading */

const struct sock_item *sock_next(const struct sock_content *c, const struct sock_item *item)
{
	const char *at = item ? (const char *)(item + 1) + padded(item->len) : c->data;

	return at == (const char *)c->data + c->len ? NULL : (const struct sock_item *)at;
}

static bool take_address(const struct sock_item *item, const struct sockaddr **ret, socklen_t *ret_len)
{
	if (*ret || item->len < sizeof(sa_family_t) || item->len > sizeof(struct sockaddr_storage))
		return false;
	*ret = sock_data(item);
	*ret_len = item->len;
	return true;
}

static bool take(const struct sock_item *item, struct sock_content *c)
{
	switch (item->what) {
	case SOCK_NAME:
		return take_address(item, &c->name, &c->name_len);
	case SOCK_PEER:
		return take_address(item, &c->peer, &c->peer_len);
	case SOCK_FILE:
		if (c->file || item->len != sizeof(*c->file))
			return false;
		c->file = sock_data(item);
		return true;
	case SOCK_CLOCK:
		if (c->has_clock || item->len)
			return false;
		c->clock = item->a;
		c->mss = item->b;
		c->has_clock = true;
		return true;
	case SOCK_OWNER:
		if (c->owner || item->len || !item->a || item->a > INT32_MAX)
			return false;
		c->owner = (pid_t)item->a;
		return true;
	case SOCK_LISTENER:
		if (c->listener || item->len != sizeof(c->listener) || item->a > 1)
			return false;
		memcpy(&c->listener, sock_data(item), sizeof(c->listener));
		c->client = item->a;
		return c->listener;
	case SOCK_CUT:
		if (c->cut || item->len)
			return false;
		c->cut = true;
		return true;
	case SOCK_OPTION:
		return item->len <= SOCK_OPTION_MAX;
	case SOCK_MESSAGE:
		return item->len <= SOCK_MESSAGE_MAX;
	default:
		return false;
	}
}

int sock_parse(const void *data, size_t len, struct ckpt_err *err, struct sock_content *ret)
{
	const struct sock_item *item;

	*ret = (struct sock_content){ .data = data, .len = len };
	for (size_t at = 0; at < len; at += sizeof(*item) + padded(item->len)) {
		item = (const struct sock_item *)((const char *)data + at);
		if (len - at < sizeof(*item) || len - at - sizeof(*item) < padded(item->len) || !take(item, ret))
			return ckpt_err_set(err, -EBADMSG, "the image does not tell what its socket was");
	}
	return 0;
}

/* --------------------------------------------------------------------------- the record */

bool sock_info(const struct ckpt_model_fd *fd, struct sock_info *ret)
{
	struct sock_info i = { 0 };
	const struct {
		const char *key;
		uint64_t *to;
	} keys[] = {
		{ "sock-family:", &i.family }, { "sock-type:", &i.type },
		{ "sock-protocol:", &i.protocol }, { "sock-state:", &i.state },
		{ "sock-shutdown:", &i.shutdown }, { "sock-error:", &i.error },
		{ "sock-queued:", &i.queued }, { "sock-errors:", &i.errors },
		{ "sock-backlog:", &i.backlog }, { "sock-pending:", &i.pending },
	}, of_unix[] = {
		{ "sock-connected:", &i.connected }, { "sock-peer:", &i.peer },
		{ "sock-peer-gone:", &i.peer_gone }, { "sock-urgent:", &i.urgent },
		{ "scm_fds:", &i.descriptors },
	};

	for (size_t k = 0; k < sizeof(keys) / sizeof(*keys); k++)
		if (!fd_kind_info(fd, keys[k].key, 10, keys[k].to))
			return false;
	for (size_t k = 0; i.family == AF_UNIX && k < sizeof(of_unix) / sizeof(*of_unix); k++)
		if (!fd_kind_info(fd, of_unix[k].key, 10, of_unix[k].to))
			return false;
	i.has_file = fd_kind_info(fd, "sock-file-dev:", 10, &i.file_dev) &&
		     fd_kind_info(fd, "sock-file-ino:", 10, &i.file_ino);
	if ((i.family == AF_INET || i.family == AF_INET6) &&
	    !(fd_kind_info(fd, "sock-multicast:", 10, &i.multicast) &&
	      fd_kind_info(fd, "sock-chooser:", 10, &i.chooser) && fd_kind_info(fd, "sock-keys:", 10, &i.keys)))
		return false;
	*ret = i;
	return true;
}

const struct ckpt_model_fd *sock_in_process(const struct ckpt_model *m, uint64_t ino)
{
	for (size_t i = 0; i < m->nr_fds; i++)
		if (m->fds[i].rec.kind == CKPT_FDK_SOCK && m->fds[i].rec.id.ino == ino)
			return &m->fds[i];
	return NULL;
}

const struct ckpt_model_fd *sock_by_ino(const struct ckpt_model *m, uint64_t ino)
{
	const struct ckpt_model_fd *fd = NULL;

	for (size_t k = 0; !fd && k < ckpt_set_size(m); k++)
		fd = sock_in_process(ckpt_set_model(m, k), ino);
	return fd;
}

static bool leads_outside(const struct ckpt_model *m, const struct ckpt_model_fd *fd, struct sock_info *ret)
{
	return fd->rec.kind == CKPT_FDK_SOCK && sock_info(fd, ret) && ret->family == AF_UNIX &&
	       ret->type != SOCK_DGRAM && ret->connected && !ret->peer_gone && !sock_by_ino(m, ret->peer);
}

bool sock_is_callers(const struct ckpt_model *m, const struct ckpt_model_fd *fd)
{
	struct sock_info i;

	return fd_is_stdio(m, fd) && leads_outside(m, fd, &i);
}

bool sock_can_be_cut(const struct ckpt_model *m, const struct ckpt_model_fd *fd)
{
	struct sock_info i;

	if (!leads_outside(m, fd, &i))
		return false;
	for (size_t k = 0; k < ckpt_set_size(m); k++) {
		const struct ckpt_model *its = ckpt_set_model(m, k);
		const struct ckpt_model_fd *same = sock_in_process(its, fd->rec.id.ino);

		if (same && fd_is_stdio(its, same))
			return false;
	}
	return true;
}

/* Whether one of those before it has it, too. */
static bool was_seen(const struct ckpt_model *m, uint64_t ino)
{
	for (size_t k = 0; ckpt_set_model(m, k) != m; k++)
		if (sock_in_process(ckpt_set_model(m, k), ino))
			return true;
	return false;
}

size_t sock_count_cut(const struct ckpt_model *m)
{
	struct sock_info i;
	size_t n = 0;

	for (size_t k = 0; k < m->nr_fds; k++) {
		const struct ckpt_model_fd *fd = &m->fds[k];

		if (fd->rec.kind != CKPT_FDK_SOCK || sock_in_process(m, fd->rec.id.ino) != fd ||
		    was_seen(m, fd->rec.id.ino) || !sock_info(fd, &i))
			continue;
		if (i.family == AF_UNIX && i.state == SOCK_STATE_LISTEN)
			n += i.queued;
		else
			n += sock_can_be_cut(m, fd);
	}
	return n;
}

const char *sock_family_name(uint64_t family)
{
	static const char * const names[] = {
		[AF_UNIX] = "a unix", [AF_INET] = "an IPv4", [AF_AX25] = "an AX.25", [AF_IPX] = "an IPX",
		[AF_APPLETALK] = "an AppleTalk", [AF_X25] = "an X.25", [AF_INET6] = "an IPv6",
		[AF_KEY] = "a PF_KEY", [AF_NETLINK] = "a netlink", [AF_PACKET] = "a packet",
		[AF_RDS] = "an RDS", [AF_PPPOX] = "a PPPoX", [AF_LLC] = "an LLC", [AF_CAN] = "a CAN",
		[AF_TIPC] = "a TIPC", [AF_BLUETOOTH] = "a bluetooth", [AF_RXRPC] = "an RxRPC",
		[AF_ISDN] = "an ISDN", [AF_PHONET] = "a Phonet", [AF_IEEE802154] = "an IEEE 802.15.4",
		[AF_ALG] = "a crypto API (AF_ALG)", [AF_NFC] = "an NFC", [AF_VSOCK] = "a vsock",
		[AF_KCM] = "a KCM", [AF_QIPCRTR] = "a QRTR", [AF_SMC] = "an SMC", [AF_XDP] = "an XDP",
	};

	if (family < sizeof(names) / sizeof(*names) && names[family])
		return names[family];
	return "another family's";
}

/* ------------------------------------------------------------------------------- options */

#define OPTION(level, name)	{ level, name, #name }

/* Newer than the headers this may be built with. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD		76
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY		82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS		83
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE	51
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL	29
#endif
#ifndef IPV6_RECVFRAGSIZE
#define IPV6_RECVFRAGSIZE	77
#endif

/* Of every socket.  The lock of the sizes is behind the sizes, which set it. */
#define COMMON								\
	OPTION(SOL_SOCKET, SO_SNDBUF), OPTION(SOL_SOCKET, SO_RCVBUF),	\
	OPTION(SOL_SOCKET, SO_BUF_LOCK), OPTION(SOL_SOCKET, SO_REUSEADDR),	\
	OPTION(SOL_SOCKET, SO_REUSEPORT), OPTION(SOL_SOCKET, SO_DONTROUTE),	\
	OPTION(SOL_SOCKET, SO_BROADCAST), OPTION(SOL_SOCKET, SO_KEEPALIVE),	\
	OPTION(SOL_SOCKET, SO_OOBINLINE), OPTION(SOL_SOCKET, SO_NO_CHECK),	\
	OPTION(SOL_SOCKET, SO_LINGER), OPTION(SOL_SOCKET, SO_PASSCRED),	\
	OPTION(SOL_SOCKET, SO_PASSSEC), OPTION(SOL_SOCKET, SO_PASSPIDFD),	\
	OPTION(SOL_SOCKET, SO_PASSRIGHTS), OPTION(SOL_SOCKET, SO_RCVLOWAT),	\
	OPTION(SOL_SOCKET, SO_RCVTIMEO), OPTION(SOL_SOCKET, SO_SNDTIMEO),	\
	OPTION(SOL_SOCKET, SO_TIMESTAMP_OLD), OPTION(SOL_SOCKET, SO_TIMESTAMPNS_OLD),	\
	OPTION(SOL_SOCKET, SO_TIMESTAMP_NEW), OPTION(SOL_SOCKET, SO_TIMESTAMPNS_NEW),	\
	OPTION(SOL_SOCKET, SO_TIMESTAMPING_OLD), OPTION(SOL_SOCKET, SO_MARK),	\
	OPTION(SOL_SOCKET, SO_RXQ_OVFL), OPTION(SOL_SOCKET, SO_WIFI_STATUS),	\
	OPTION(SOL_SOCKET, SO_PEEK_OFF), OPTION(SOL_SOCKET, SO_NOFCS),	\
	OPTION(SOL_SOCKET, SO_SELECT_ERR_QUEUE), OPTION(SOL_SOCKET, SO_BUSY_POLL),	\
	OPTION(SOL_SOCKET, SO_MAX_PACING_RATE), OPTION(SOL_SOCKET, SO_ZEROCOPY),	\
	OPTION(SOL_SOCKET, SO_TXTIME), OPTION(SOL_SOCKET, SO_PREFER_BUSY_POLL),	\
	OPTION(SOL_SOCKET, SO_BUSY_POLL_BUDGET), OPTION(SOL_SOCKET, SO_RESERVE_MEM),	\
	OPTION(SOL_SOCKET, SO_TXREHASH), OPTION(SOL_SOCKET, SO_RCVMARK),	\
	OPTION(SOL_SOCKET, SO_RCVPRIORITY), OPTION(SOL_SOCKET, SO_LOCK_FILTER)

/* A type of service sets a priority, so that comes behind it. */
#define IP_OPTIONS_SET								\
	OPTION(IPPROTO_IP, IP_TOS), OPTION(SOL_SOCKET, SO_PRIORITY), OPTION(IPPROTO_IP, IP_TTL),	\
	OPTION(IPPROTO_IP, IP_RECVOPTS), OPTION(IPPROTO_IP, IP_RETOPTS),	\
	OPTION(IPPROTO_IP, IP_PKTINFO), OPTION(IPPROTO_IP, IP_MTU_DISCOVER),	\
	OPTION(IPPROTO_IP, IP_RECVERR), OPTION(IPPROTO_IP, IP_RECVTTL),	\
	OPTION(IPPROTO_IP, IP_RECVTOS), OPTION(IPPROTO_IP, IP_FREEBIND),	\
	OPTION(IPPROTO_IP, IP_PASSSEC), OPTION(IPPROTO_IP, IP_TRANSPARENT),	\
	OPTION(IPPROTO_IP, IP_RECVORIGDSTADDR), OPTION(IPPROTO_IP, IP_MINTTL),	\
	OPTION(IPPROTO_IP, IP_CHECKSUM), OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),	\
	OPTION(IPPROTO_IP, IP_RECVFRAGSIZE), OPTION(IPPROTO_IP, IP_RECVERR_RFC4884),	\
	OPTION(IPPROTO_IP, IP_MULTICAST_IF), OPTION(IPPROTO_IP, IP_MULTICAST_TTL),	\
	OPTION(IPPROTO_IP, IP_MULTICAST_LOOP), OPTION(IPPROTO_IP, IP_MULTICAST_ALL),	\
	OPTION(IPPROTO_IP, IP_UNICAST_IF), OPTION(IPPROTO_IP, IP_LOCAL_PORT_RANGE),	\
	OPTION(SOL_SOCKET, SO_BINDTODEVICE)

#define IPV6_OPTIONS_SET							\
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY), OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS),	\
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_IF), OPTION(IPPROTO_IPV6, IPV6_MULTICAST_HOPS),	\
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_LOOP), OPTION(IPPROTO_IPV6, IPV6_MULTICAST_ALL),	\
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER), OPTION(IPPROTO_IPV6, IPV6_RECVERR),	\
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO), OPTION(IPPROTO_IPV6, IPV6_RECVHOPLIMIT),	\
	OPTION(IPPROTO_IPV6, IPV6_RECVRTHDR), OPTION(IPPROTO_IPV6, IPV6_RECVHOPOPTS),	\
	OPTION(IPPROTO_IPV6, IPV6_RECVDSTOPTS), OPTION(IPPROTO_IPV6, IPV6_RECVTCLASS),	\
	OPTION(IPPROTO_IPV6, IPV6_TCLASS), OPTION(IPPROTO_IPV6, IPV6_DONTFRAG),	\
	OPTION(IPPROTO_IPV6, IPV6_RECVPATHMTU), OPTION(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL),	\
	OPTION(IPPROTO_IPV6, IPV6_FREEBIND), OPTION(IPPROTO_IPV6, IPV6_TRANSPARENT),	\
	OPTION(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR), OPTION(IPPROTO_IPV6, IPV6_RECVFRAGSIZE),	\
	OPTION(IPPROTO_IPV6, IPV6_MINHOPCOUNT), OPTION(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES),	\
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_IF)

#define TCP_OPTIONS_SET								\
	OPTION(IPPROTO_TCP, TCP_NODELAY), OPTION(IPPROTO_TCP, TCP_MAXSEG),	\
	OPTION(IPPROTO_TCP, TCP_CORK), OPTION(IPPROTO_TCP, TCP_KEEPIDLE),	\
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL), OPTION(IPPROTO_TCP, TCP_KEEPCNT),	\
	OPTION(IPPROTO_TCP, TCP_SYNCNT), OPTION(IPPROTO_TCP, TCP_LINGER2),	\
	OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT), OPTION(IPPROTO_TCP, TCP_WINDOW_CLAMP),	\
	OPTION(IPPROTO_TCP, TCP_QUICKACK), OPTION(IPPROTO_TCP, TCP_CONGESTION),	\
	OPTION(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS), OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT),	\
	OPTION(IPPROTO_TCP, TCP_FASTOPEN), OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT),	\
	OPTION(IPPROTO_TCP, TCP_SAVE_SYN), OPTION(IPPROTO_TCP, TCP_FASTOPEN_CONNECT),	\
	OPTION(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE), OPTION(IPPROTO_TCP, TCP_INQ),	\
	OPTION(IPPROTO_TCP, TCP_TX_DELAY)

#define UDP_OPTIONS_SET								\
	OPTION(IPPROTO_UDP, UDP_NO_CHECK6_TX), OPTION(IPPROTO_UDP, UDP_NO_CHECK6_RX),	\
	OPTION(IPPROTO_UDP, UDP_SEGMENT), OPTION(IPPROTO_UDP, UDP_GRO)

static const struct sock_option unix_options[] = {
	COMMON, OPTION(SOL_SOCKET, SO_PRIORITY), { },
};
static const struct sock_option tcp_options[] = {
	COMMON, IP_OPTIONS_SET, TCP_OPTIONS_SET, { },
};
static const struct sock_option tcp6_options[] = {
	COMMON, IP_OPTIONS_SET, IPV6_OPTIONS_SET, TCP_OPTIONS_SET, { },
};
static const struct sock_option udp_options[] = {
	COMMON, IP_OPTIONS_SET, UDP_OPTIONS_SET, { },
};
static const struct sock_option udp6_options[] = {
	COMMON, IP_OPTIONS_SET, IPV6_OPTIONS_SET, UDP_OPTIONS_SET, { },
};
static const struct sock_option netlink_options[] = {
	COMMON, OPTION(SOL_SOCKET, SO_PRIORITY), OPTION(SOL_NETLINK, NETLINK_PKTINFO),
	OPTION(SOL_NETLINK, NETLINK_BROADCAST_ERROR), OPTION(SOL_NETLINK, NETLINK_NO_ENOBUFS),
	OPTION(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID), OPTION(SOL_NETLINK, NETLINK_CAP_ACK),
	OPTION(SOL_NETLINK, NETLINK_EXT_ACK), OPTION(SOL_NETLINK, NETLINK_GET_STRICT_CHK),
	OPTION(SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS), { },
};

const struct sock_option *sock_options(int family, int type)
{
	switch (family) {
	case AF_UNIX:
		return unix_options;
	case AF_INET:
		return type == SOCK_STREAM ? tcp_options : udp_options;
	case AF_INET6:
		return type == SOCK_STREAM ? tcp6_options : udp6_options;
	case AF_NETLINK:
		return netlink_options;
	default:
		return NULL;
	}
}
