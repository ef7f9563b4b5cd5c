// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: a TCP connection (ckpt_rec_tcp): numbers, windows and what is in its queues, all of one instant.
 *
 * Read here and not by TCP_REPAIR, which a program's own socket would be left with, and with it a dead
 * connection, if whoever asks were killed in between; and which gives up what waits to be received.
 *
 * Owns nothing. Locks: the socket's, as a call of the program on it would take it, while its record is
 * written: packets that come in meanwhile wait in its backlog. Nothing of the socket is changed.
 */
#include <linux/delay.h>
#include <linux/lockdep.h>
#include <linux/net.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "record.h"
#include "state.h"

#define LOCK_TRIES	100
#define LOCK_WAIT_US	100

/* One that is connected, or has been: what was only made, or listens, is told by its file. */
static bool is_connection(const struct sock *sk)
{
	if (sk->sk_family != AF_INET && sk->sk_family != AF_INET6)
		return false;
	if (sk->sk_type != SOCK_STREAM || sk->sk_protocol != IPPROTO_TCP)
		return false;
	return sk->sk_state != TCP_LISTEN && (sk->sk_state != TCP_CLOSE || sk->sk_shutdown);
}

static void describe_ends(struct ckpt_rec_tcp *rec, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);
	struct in6_addr local, remote;

	ipv6_addr_set_v4mapped(inet->inet_rcv_saddr, &local);
	ipv6_addr_set_v4mapped(inet->inet_daddr, &remote);
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		local = sk->sk_v6_rcv_saddr;
		remote = sk->sk_v6_daddr;
	}
#endif
	memcpy(rec->local, &local, sizeof(rec->local));
	memcpy(rec->remote, &remote, sizeof(rec->remote));
	rec->local_port = ntohs(inet->inet_sport);
	rec->remote_port = ntohs(inet->inet_dport);
}

static u32 flags_of(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u32 flags = 0;

	if (tp->rx_opt.sack_ok)
		flags |= CKPT_TCP_SACK;
	if (tp->rx_opt.tstamp_ok)
		flags |= CKPT_TCP_TIMESTAMPS;
	if (tp->rx_opt.wscale_ok)
		flags |= CKPT_TCP_WSCALE;
	if (tp->urg_data)
		flags |= CKPT_TCP_URGENT;
	if (tp->repair)
		flags |= CKPT_TCP_REPAIR;
	if (atomic_read(&sk->sk_zckey))
		flags |= CKPT_TCP_ZEROCOPY;
	if (tp->saved_syn)
		flags |= CKPT_TCP_SAVED_SYN;
	return flags;
}

static void describe(struct ckpt_rec_tcp *rec, const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	*rec = (struct ckpt_rec_tcp) {
		.ino = SOCK_INODE(sk->sk_socket)->i_ino,
		.flags = flags_of(sk),
		.state = sk->sk_state,
		.shutdown = sk->sk_shutdown,
		.send_unacked = tp->snd_una,
		.send_end = tp->write_seq,
		.send_next = tp->snd_nxt,
		.send_window_seq = tp->snd_wl1,
		.send_window = tp->snd_wnd,
		.max_window = tp->max_window,
		.recv_read = tp->copied_seq,
		.recv_next = tp->rcv_nxt,
		.recv_window_seq = tp->rcv_wup,
		.recv_window = tp->rcv_wnd,
		.mss = tp->rx_opt.mss_clamp,
		.user_mss = tp->rx_opt.user_mss,
		.send_wscale = tp->rx_opt.snd_wscale,
		.recv_wscale = tp->rx_opt.rcv_wscale,
	};
	describe_ends(rec, sk);
}

/* Bytes of @skb from @from on. One may begin before, with what was acknowledged, or read, already. */
static u32 put_bytes(struct ckpt_records *r, const struct sk_buff *skb, u32 from)
{
	u32 skip = from - TCP_SKB_CB(skb)->seq, len;
	void *room;

	if (TCP_SKB_CB(skb)->tcp_flags & TCPHDR_SYN)
		skip--;
	if ((s32)skip < 0)
		skip = 0;
	if (skip >= skb->len)
		return 0;
	len = skb->len - skip;
	room = ckpt_record_room(r, len);
	if (room && skb_copy_bits(skb, skip, room, len))
		r->err = -EFAULT;
	return len;
}

/* What was sent and not acknowledged is in a tree, in order; what was not sent is in a list. */
static u32 put_send_queue(struct ckpt_records *r, struct sock *sk)
{
	u32 from = tcp_sk(sk)->snd_una, len = 0;
	struct sk_buff *skb;

	skb_rbtree_walk(skb, &sk->tcp_rtx_queue)
		len += put_bytes(r, skb, from);
	skb_queue_walk(&sk->sk_write_queue, skb)
		len += put_bytes(r, skb, from);
	return len;
}

/* What came out of order stays with the sender until what was missing has come. */
static u32 put_recv_queue(struct ckpt_records *r, struct sock *sk)
{
	u32 from = tcp_sk(sk)->copied_seq, len = 0;
	struct sk_buff *skb;

	skb_queue_walk(&sk->sk_receive_queue, skb)
		len += put_bytes(r, skb, from);
	return len;
}

static void add_locked(struct ckpt_records *r, struct sock *sk)
{
	struct ckpt_rec_tcp rec;
	size_t at;

	describe(&rec, sk);
	ckpt_record_begin(r, CKPT_REC_MUST | CKPT_REC_TCP);
	at = r->len;
	ckpt_record_put(r, &rec, sizeof(rec));
	rec.send_len = put_send_queue(r, sk);
	rec.recv_len = put_recv_queue(r, sk);
	/* Again: how much there is was not known before. */
	if (!r->err)
		memcpy(r->buf + at, &rec, sizeof(rec));
	ckpt_record_end(r);
}

/*
 * As lock_sock(), but not for ever: who has it may be a thread of the target that sleeps in a fault of the
 * memory it reads or writes, and wakes only when the target goes on.
 */
static bool try_lock(struct sock *sk)
{
	bool locked;

	spin_lock_bh(&sk->sk_lock.slock);
	locked = !sk->sk_lock.owned;
	if (locked) {
		sk->sk_lock.owned = 1;
		mutex_acquire(&sk->sk_lock.dep_map, 0, 1, _THIS_IP_);
	}
	spin_unlock_bh(&sk->sk_lock.slock);
	return locked;
}

static bool lock_soon(struct sock *sk)
{
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (try_lock(sk))
			return true;
		usleep_range(LOCK_WAIT_US, 2 * LOCK_WAIT_US);
	}
	return false;
}

/**
 * ckpt_tcp_add - the record of a TCP connection, if it is one
 * @r: stream
 * @sock: any socket
 */
void ckpt_tcp_add(struct ckpt_records *r, struct socket *sock)
{
	struct sock *sk = sock->sk;

	/* Looked at again when it is locked. Without a record it is refused. */
	if (r->err || !sk || !is_connection(sk) || !lock_soon(sk))
		return;
	if (is_connection(sk))
		add_locked(r, sk);
	release_sock(sk);
}
