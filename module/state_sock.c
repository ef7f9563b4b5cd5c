// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: what a socket is and whom it is connected to, as lines behind the text its own file gives
 * (ckpt_rec_fd). All that can be asked of it by a descriptor is left to userspace; here is what
 * cannot, or not without taking something out of it.
 *
 * Owns nothing. Locks: the state lock of a unix socket while its peer and path are looked at.
 */
#include <linux/ipv6.h>
#include <linux/net.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/af_unix.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/sock_reuseport.h>

#include "identity.h"
#include "state.h"

/* The other end: its inode number, 0 when it has none; then whether it is gone for ever. */
static void show_unix(struct seq_file *m, struct sock *sk, const struct ckpt_identities *ids)
{
	struct ckpt_file_id id = {};
	u64 peer_ino = 0;
	bool dead = false, urgent = false;
	struct path path = {};
	struct sock *peer;

	unix_state_lock(sk);
	peer = unix_peer(sk);
	if (peer) {
		peer_ino = sock_i_ino(peer);
		dead = sock_flag(peer, SOCK_DEAD);
	}
#if IS_ENABLED(CONFIG_AF_UNIX_OOB)
	urgent = unix_sk(sk)->oob_skb;
#endif
	if (unix_sk(sk)->path.dentry) {
		path = unix_sk(sk)->path;
		path_get(&path);
	}
	unix_state_unlock(sk);

	seq_printf(m, "sock-connected: %d\nsock-peer: %llu\nsock-peer-gone: %d\nsock-urgent: %d\n",
		   !!peer, peer_ino, dead, urgent);
	if (!path.dentry)
		return;
	ckpt_identity(ids, &path, &id);
	path_put(&path);
	seq_printf(m, "sock-file-dev: %llu\nsock-file-ino: %llu\n", id.dev, id.ino);
}

/* What it does to packets that no descriptor tells. */
static bool has_keys(const struct sock *sk)
{
	bool keys = false;

#if IS_ENABLED(CONFIG_XFRM)
	keys |= rcu_access_pointer(sk->sk_policy[0]) || rcu_access_pointer(sk->sk_policy[1]);
#endif
	if (sk->sk_type != SOCK_STREAM || sk->sk_protocol != IPPROTO_TCP)
		return keys;
#ifdef CONFIG_TCP_MD5SIG
	keys |= !!rcu_access_pointer(tcp_sk(sk)->md5sig_info);
#endif
#ifdef CONFIG_TCP_AO
	keys |= !!rcu_access_pointer(tcp_sk(sk)->ao_info);
#endif
	return keys;
}

static void show_inet(struct seq_file *m, struct sock *sk)
{
	bool member = rcu_access_pointer(inet_sk(sk)->mc_list);
	struct sock_reuseport *group;
	bool chooser = false;

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		member |= rcu_access_pointer(inet6_sk(sk)->ipv6_mc_list) || inet6_sk(sk)->ipv6_ac_list;
#endif
	rcu_read_lock();
	group = rcu_dereference(sk->sk_reuseport_cb);
	chooser = group && rcu_access_pointer(group->prog);
	rcu_read_unlock();
	seq_printf(m, "sock-multicast: %d\nsock-chooser: %d\nsock-keys: %d\n", member, chooser, has_keys(sk));
}

/**
 * ckpt_socket_show - what a socket is, in lines of "sock-NAME: NUMBER"
 * @m: where to
 * @sock: the socket
 * @ids: identities of files
 */
void ckpt_socket_show(struct seq_file *m, struct socket *sock, const struct ckpt_identities *ids)
{
	struct sock *sk = sock->sk;

	if (!sk)
		return;
	seq_printf(m, "sock-family: %u\nsock-type: %d\nsock-protocol: %u\n", sk->sk_family, sock->type,
		   sk->sk_protocol);
	seq_printf(m, "sock-state: %u\nsock-shutdown: %u\nsock-error: %d\n", sk->sk_state,
		   sk->sk_shutdown, READ_ONCE(sk->sk_err));
	seq_printf(m, "sock-queued: %u\nsock-errors: %u\n", skb_queue_len_lockless(&sk->sk_receive_queue),
		   skb_queue_len_lockless(&sk->sk_error_queue));
	seq_printf(m, "sock-backlog: %u\nsock-pending: %u\n", READ_ONCE(sk->sk_max_ack_backlog),
		   READ_ONCE(sk->sk_ack_backlog));
	if (sk->sk_family == AF_UNIX)
		show_unix(m, sk, ids);
	else if (sk->sk_family == AF_INET || sk->sk_family == AF_INET6)
		show_inet(m, sk);
}
