// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-tcp.c - TCP connections of the program: made by us, with TCP_REPAIR (tcp(7)), from their records.
 *
 *  1. restore_inet_make() makes a socket that is nothing yet; it has its numbers in the child.
 *  2. restore_tcp_over(): those that are over come to be so now, when nothing has their addresses; and those
 *     whose other end is not in the image (snap --tcp), which end by a reset that we send ourselves.
 *  3. restore_tcp_connect(), when all that listens does: each is given its addresses, numbers, windows and
 *     what waits to be received.  Nothing is sent as yet.  What was acknowledged is what the other end
 *     has (tcp.h); the rest is as if it had never been sent.
 *  4. restore_tcp_go(): out of TCP_REPAIR.
 *  5. restore_tcp_send(): what was to be sent is sent, with the FIN of who shut down.
 *  6. restore_tcp_await(): the FIN that had come has come.
 * A connection to outside that goes on (snap --tcp=repair) has its own word alone: what it had sent and the
 * other end had not acknowledged it has sent again, as far as it knows, and may have to.  A FIN that had
 * come is not sent again by who was told that it had: so we do.
 * Each step is taken for all processes before the next.
 * A restore that fails closes them.  Those that are in TCP_REPAIR then vanish without a packet.
 *
 * Sockets belong to struct restore_files as all others.  No state of its own.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "restore-socket.h"
#include "tcp.h"

/* Kinds of struct tcp_repair_opt: RFC 9293, 7323, 2018. */
enum { KIND_MSS = 2, KIND_WSCALE = 3, KIND_SACK = 4, KIND_TIMESTAMP = 8 };

/* What TCP_MAXSEG takes; bytes given at once; and how long what the program's end has left behind may take to be gone. */
#define MAXSEG_MIN	88
#define MAXSEG_MAX	32767
#define TIMESTAMP_LEN	12
#define PIECE		(64u << 10)
#define BUFFER_MORE	(256u << 10)
#define GONE_TRIES	150
#define GONE_WAIT_US	20000
#define FIN_WAIT_MS	5000
#define DISCARD_PORT	9	/* RFC 863 */

/* A connection that is being made. */
struct link {
	struct restore *rs;
	struct own_socket *s;
	const struct ckpt_model_tcp *t;
	const struct ckpt_rec_tcp *rec;
	const struct ckpt_rec_tcp *peer;	/* NULL: it is outside, or it is over */
	bool outside;				/* and the connection goes on */
	struct sockaddr_storage name, remote;
	socklen_t name_len, remote_len;
};

static int failed(const struct link *l, const char *what)
{
	return restore_socket_failed(l->rs, l->s, errno, what);
}

static int set(const struct link *l, int name, int value, const char *what)
{
	return setsockopt(l->s->ours, IPPROTO_TCP, name, &value, sizeof(value)) ? failed(l, what) : 0;
}

/* ------------------------------------------------------------------------------- its numbers */

/* The numbers below are of bytes: a FIN is not counted, it comes by itself. */
static uint32_t recv_next(const struct ckpt_rec_tcp *t)
{
	return t->recv_next - tcp_fin_come(t);
}

static uint32_t send_end(const struct ckpt_rec_tcp *t)
{
	return t->send_end - tcp_fin_sent(t);
}

/* Of two that are not far apart. */
static uint32_t lesser(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0 ? a : b;
}

/* What the other end waits for, as far as is known, is where it goes on. */
static uint32_t send_next(const struct link *l)
{
	if (l->outside)
		return lesser(l->rec->send_unacked, send_end(l->rec));
	return l->peer ? recv_next(l->peer) : send_end(l->rec);
}

/* Behind that, what was sent already: the other end may have it. */
static uint32_t sent_len(const struct link *l)
{
	return l->outside ? lesser(l->rec->send_next, send_end(l->rec)) - send_next(l) : 0;
}

/* What @t lets the other end send, from @from on. */
static uint32_t window(const struct ckpt_rec_tcp *t, uint32_t from)
{
	uint32_t left = t->recv_window_seq + t->recv_window - from;

	return (int32_t)left < 0 ? 0 : left;
}

/* What it may send, from send_next() on.  A FIN needs room too, but was let in without. */
static uint32_t send_window(const struct link *l)
{
	return l->outside ? l->rec->send_window : window(l->peer, send_next(l)) + tcp_fin_come(l->peer);
}

static int set_windows(const struct link *l)
{
	const uint32_t open = send_window(l);
	const struct tcp_repair_window w = {
		.snd_wl1 = recv_next(l->rec),
		.snd_wnd = open,
		.max_window = l->rec->max_window > open ? l->rec->max_window : open,
		.rcv_wnd = window(l->rec, recv_next(l->rec)) + tcp_fin_come(l->rec),
		.rcv_wup = recv_next(l->rec),
	};

	return setsockopt(l->s->ours, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) ?
	       failed(l, "TCP_REPAIR_WINDOW") : 0;
}

static int set_agreed(const struct link *l)
{
	struct tcp_repair_opt o[4] = { { KIND_MSS, l->rec->mss } };
	socklen_t nr = 1;

	if (l->rec->flags & CKPT_TCP_WSCALE)
		o[nr++] = (struct tcp_repair_opt){
			KIND_WSCALE, l->rec->send_wscale | (uint32_t)l->rec->recv_wscale << 16
		};
	if (l->rec->flags & CKPT_TCP_SACK)
		o[nr++] = (struct tcp_repair_opt){ KIND_SACK, 0 };
	if (l->rec->flags & CKPT_TCP_TIMESTAMPS)
		o[nr++] = (struct tcp_repair_opt){ KIND_TIMESTAMP, 0 };
	if (setsockopt(l->s->ours, IPPROTO_TCP, TCP_REPAIR_OPTIONS, o, nr * (socklen_t)sizeof(*o)))
		return failed(l, "TCP_REPAIR_OPTIONS");
	return set(l, TCP_TIMESTAMP, (int)l->s->content.clock, "TCP_TIMESTAMP");
}

static int set_sequence(const struct link *l, int queue, uint32_t at)
{
	int r = set(l, TCP_REPAIR_QUEUE, queue, "TCP_REPAIR_QUEUE");

	return r ? r : set(l, TCP_QUEUE_SEQ, (int)at, "TCP_QUEUE_SEQ");
}

/* ------------------------------------------------------------------------------- its bytes */

/* Room for all of it at once, whatever limits it has: restore_socket_options() puts that right. */
static int make_room(const struct link *l, int option, size_t len)
{
	int size = (int)(len > INT32_MAX / 4 ? INT32_MAX / 4 : len) + (int)BUFFER_MORE;

	return setsockopt(l->s->ours, SOL_SOCKET, option, &size, sizeof(size)) ?
	       failed(l, "make room in its buffers") : 0;
}

static int put_bytes(const struct link *l, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(l->s->ours, data, len < PIECE ? len : PIECE, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0)
			return restore_socket_failed(l->rs, l->s, n ? errno : EIO, "fill its queue");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int fill_received(const struct link *l)
{
	int r = set(l, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE, "TCP_REPAIR_QUEUE");

	if (!r && l->rec->recv_len)
		r = make_room(l, SO_RCVBUFFORCE, 2 * (size_t)l->rec->recv_len);
	if (!r)
		r = put_bytes(l, l->t->recv, l->rec->recv_len);
	return r ? r : set(l, TCP_REPAIR_QUEUE, TCP_NO_QUEUE, "TCP_REPAIR_QUEUE");
}

/* The first @len of the last @left bytes of what it had to send. */
static int send_some(const struct link *l, uint32_t left, uint32_t len)
{
	int r;

	if (!len)
		return 0;
	if (left > l->rec->send_len)
		return restore_socket_failed(l->rs, l->s, EBADMSG, "bytes to send are not in the image");
	r = make_room(l, SO_SNDBUFFORCE, 2 * (size_t)left);
	return r ? r : put_bytes(l, (const char *)l->t->send + (l->rec->send_len - left), len);
}

/* Given in TCP_REPAIR it counts as sent. */
static int fill_sent(const struct link *l)
{
	int r = set(l, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE, "TCP_REPAIR_QUEUE");

	if (!r)
		r = send_some(l, send_end(l->rec) - send_next(l), sent_len(l));
	return r ? r : set(l, TCP_REPAIR_QUEUE, TCP_NO_QUEUE, "TCP_REPAIR_QUEUE");
}

/* The other end has what came before. */
static int send_rest(const struct link *l)
{
	const uint32_t left = send_end(l->rec) - send_next(l) - sent_len(l);

	return send_some(l, left, left);
}

/* ------------------------------------------------------------------------------- making it */

/* What the killed program's end has left of the very same connection may have something to send still. */
static int connect_to(const struct link *l)
{
	for (int i = 0; connect(l->s->ours, (const struct sockaddr *)&l->remote, l->remote_len); i++) {
		if (errno != EADDRNOTAVAIL)
			return failed(l, "connect it");
		if (i == GONE_TRIES) {
			failed(l, "connect it");
			ckpt_err_hint(l->rs->err, "end who has this connection, and try again");
			return -EADDRNOTAVAIL;
		}
		restore_diag_clear(l->rec->local_port, i > GONE_TRIES / 2);
		usleep(GONE_WAIT_US);
	}
	return 0;
}

/* An address of IPv4 needs it; any other sets the option again when it is bound to it. */
static int allow_mapped(const struct link *l)
{
	const int off = 0;

	if (l->s->info.family != AF_INET6)
		return 0;
	return setsockopt(l->s->ours, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ?
	       failed(l, "IPV6_V6ONLY") : 0;
}

/*
 * How long its segments are is settled when it is connected: 536 bytes, unless a limit of its own says
 * otherwise, and longer than its window would stall it.  TCP_REPAIR_OPTIONS comes too late for that.
 */
static int set_segments(const struct link *l)
{
	uint32_t len = l->s->content.mss + (l->rec->flags & CKPT_TCP_TIMESTAMPS ? TIMESTAMP_LEN : 0);

	if (len < MAXSEG_MIN)
		return 0;
	return set(l, TCP_MAXSEG, len < MAXSEG_MAX ? (int)len : MAXSEG_MAX, "TCP_MAXSEG");
}

static int begin_repair(const struct link *l)
{
	int r = allow_mapped(l);

	/* Before it is connected, for some can only be set then. */
	if (!r)
		r = restore_socket_options(l->rs, l->s, false);
	if (!r)
		r = set_segments(l);
	if (!r)
		r = set(l, TCP_REPAIR, TCP_REPAIR_ON, "TCP_REPAIR");
	if (r == -EPERM)
		ckpt_err_hint(l->rs->err, "TCP connections are restored with CAP_NET_ADMIN, as by root");
	if (!r && bind(l->s->ours, (const struct sockaddr *)&l->name, l->name_len))
		r = failed(l, "bind it");
	return r;
}

static int make(const struct link *l)
{
	int r = begin_repair(l);

	if (!r)
		r = set_sequence(l, TCP_SEND_QUEUE, send_next(l));
	if (!r)
		r = set_sequence(l, TCP_RECV_QUEUE, recv_next(l->rec) - l->rec->recv_len);
	if (!r)
		r = connect_to(l);
	if (!r)
		r = set(l, TCP_MAXSEG, l->rec->user_mss, "TCP_MAXSEG");
	if (!r)
		r = set_agreed(l);
	return r ? r : fill_received(l);
}

static int make_alive(const struct link *l)
{
	int r = make(l);

	if (!r)
		r = set_windows(l);
	return r || !l->outside ? r : fill_sent(l);
}

/* ------------------------------------------------------------------------------- one that is over */

static int put_ends(const struct link *l, struct inet_diag_sockid *id)
{
	const bool v4 = l->s->info.family == AF_INET;
	socklen_t len = sizeof(id->idiag_cookie), if_len = sizeof(id->idiag_if);

	if (getsockopt(l->s->ours, SOL_SOCKET, SO_COOKIE, id->idiag_cookie, &len) ||
	    getsockopt(l->s->ours, SOL_SOCKET, SO_BINDTOIFINDEX, &id->idiag_if, &if_len))
		return failed(l, "SO_COOKIE");

	id->idiag_sport = htons((uint16_t)l->rec->local_port);
	id->idiag_dport = htons((uint16_t)l->rec->remote_port);
	memcpy(id->idiag_src, l->rec->local + (v4 ? 12 : 0), v4 ? 4 : 16);
	memcpy(id->idiag_dst, l->rec->remote + (v4 ? 12 : 0), v4 ? 4 : 16);
	return 0;
}

/* End it at once.  Nobody has the other end: what is told of it is heard by no one. */
static int destroy(const struct link *l)
{
	struct inet_diag_sockid id = { 0 };
	int r = put_ends(l, &id);

	if (r)
		return r;
	r = restore_diag_destroy((int)l->s->info.family, &id);
	if (!r)
		return 0;
	restore_socket_failed(l->rs, l->s, r, "end it (SOCK_DESTROY)");
	if (r == -ENOENT || r == -EOPNOTSUPP)
		ckpt_err_hint(l->rs->err, "try again after 'modprobe tcp_diag'");
	return r;
}

static int finish(const struct link *l)
{
	int r = restore_socket_options(l->rs, l->s, false);

	return r ? r : restore_socket_dress(l->rs, l->s);
}

static int forget_error(const struct link *l)
{
	socklen_t len = sizeof(int);
	int error;

	return getsockopt(l->s->ours, SOL_SOCKET, SO_ERROR, &error, &len) ? failed(l, "SO_ERROR") : 0;
}

static int reset(const struct link *l)
{
	int r = restore_rst(l->s->ours, recv_next(l->rec), send_next(l));

	if (!r)
		return 0;
	restore_socket_failed(l->rs, l->s, r, "reset it");
	if (r == -ETIMEDOUT)
		ckpt_err_hint(l->rs->err, "its address must be this machine's, and no filter be in the way of "
			      "what the machine sends to itself");
	return r;
}

/* Whether this machine has its address, and a way to the other end.  Nothing is sent. */
static bool is_here(const struct link *l)
{
	struct sockaddr_storage name = l->name;
	int sock = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool here;

	((struct sockaddr_in *)&name)->sin_port = 0;	/* where that of IPv6 is, too */
	here = sock >= 0 && !bind(sock, (const struct sockaddr *)&name, l->name_len) &&
	       !connect(sock, (const struct sockaddr *)&l->remote, l->remote_len);
	if (sock >= 0)
		close(sock);
	return here;
}

static void set_loopback(struct sockaddr_storage *s, in_port_t port)
{
	static const struct in6_addr mapped = { { { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } } };
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)s;
	struct sockaddr_in *four = (struct sockaddr_in *)s;

	four->sin_port = port;
	if (s->ss_family == AF_INET) {
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return;
	}
	six->sin6_addr = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) ? mapped : in6addr_loopback;
	six->sin6_scope_id = 0;
}

/* It has lost its other end anyway: elsewhere it gets another address, and any port. */
static void make_at_home(struct link *l)
{
	if (is_here(l))
		return;
	set_loopback(&l->name, 0);
	set_loopback(&l->remote, htons(DISCARD_PORT));
}

/* Its error was told to the program, or there was none; but for one that is lost by a reset. */
static int make_over(const struct link *its)
{
	const enum meta_tcp lost = tcp_is_outside(its->rs->m, its->t) ? its->rs->meta.tcp : META_TCP_REFUSE;
	struct link at_home = *its, *l = &at_home;
	int r;

	if (lost)
		make_at_home(l);
	r = make(l);

	if (!r)
		r = set(l, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP, "TCP_REPAIR");
	if (!r)
		r = lost ? reset(l) : destroy(l);
	if (!r && lost != META_TCP_RESET)
		r = forget_error(l);
	return r ? r : finish(l);
}

/* ------------------------------------------------------------------------------- letting it go */

/*
 * Before more is sent, for what it acknowledges is soon too old to be taken (RFC 5961, 5.2): all it is behind
 * by now was under way, in a window.
 */
static int put_fin(const struct link *l)
{
	int r = restore_fin(l->s->ours, recv_next(l->rec), send_next(l), l->rec->send_window >> l->rec->send_wscale);

	return r ? restore_socket_failed(l->rs, l->s, r, "shut its other end down") : 0;
}

/* The other end of one to outside is told, by a probe of its window, and tells what it has. */
static int leave_repair(const struct link *l)
{
	int r = set(l, TCP_REPAIR, l->outside ? TCP_REPAIR_OFF : TCP_REPAIR_OFF_NO_WP, "TCP_REPAIR");

	return r || !l->outside || !tcp_fin_come(l->rec) ? r : put_fin(l);
}

static int shut_down(const struct link *l)
{
	if (tcp_fin_sent(l->rec) && shutdown(l->s->ours, SHUT_WR))
		return failed(l, "shut it down");
	if (l->rec->shutdown & SOCK_SHUT_IN && !tcp_fin_come(l->rec) && shutdown(l->s->ours, SHUT_RD))
		return failed(l, "shut it down");
	return 0;
}

static int send_all(const struct link *l)
{
	int r = send_rest(l);

	if (!r)
		r = finish(l);
	return r ? r : shut_down(l);
}

/* An end it had seen is to be seen by the program's next call. */
static int await_fin(const struct link *l)
{
	struct pollfd p = { .fd = l->s->ours, .events = POLLRDHUP };

	if (!tcp_fin_come(l->rec) || poll(&p, 1, FIN_WAIT_MS) > 0)
		return 0;
	return restore_socket_failed(l->rs, l->s, ETIMEDOUT, "have the other end shut it down");
}

/* ------------------------------------------------------------------------------- */

static bool to_link(struct restore *rs, struct own_socket *s, struct link *ret)
{
	const struct ckpt_model_tcp *t = s->ours < 0 ? NULL : tcp_of(rs->m, s->f), *peer;

	if (!t || s->info.family == AF_UNIX)
		return false;
	peer = tcp_peer(rs->m, t);
	*ret = (struct link){
		.rs = rs, .s = s, .t = t, .rec = &t->rec,
		.outside = rs->meta.tcp == META_TCP_REPAIR && tcp_is_outside(rs->m, t),
		.peer = !peer || tcp_is_over(rs->m, t) ? NULL : &peer->rec,
	};
	memcpy(&ret->name, s->content.name, s->content.name_len);
	ret->name_len = s->content.name_len;
	ret->remote_len = tcp_remote(&t->rec, s->content.name, &ret->remote);
	return true;
}

static int for_each(struct restore *rs, bool over, int (*fn)(const struct link *l))
{
	struct restore_files *fs = rs->files;
	struct link l;
	int r = 0;

	for (size_t i = 0; !r && i < fs->nr_sockets; i++)
		if (to_link(rs, &fs->sockets[i], &l) && over == !(l.peer || l.outside))
			r = fn(&l);
	return r;
}

int restore_tcp_over(struct restore *rs)
{
	return for_each(rs, true, make_over);
}

int restore_tcp_connect(struct restore *rs)
{
	return for_each(rs, false, make_alive);
}

int restore_tcp_go(struct restore *rs)
{
	return for_each(rs, false, leave_repair);
}

int restore_tcp_send(struct restore *rs)
{
	return for_each(rs, false, send_all);
}

int restore_tcp_await(struct restore *rs)
{
	return for_each(rs, false, await_fin);
}
