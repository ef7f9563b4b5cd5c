// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tcp.c - see tcp.h: the ends of connections, and which are refused.  No state.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kind.h"
#include "tcp.h"

#define LOSE	"close it before the snapshot, lose it in a restore (--tcp=close, --tcp=reset), or end the program " \
		"and have the other end wait (--tcp=repair --kill)"
#define CLOSE	"close it before the snapshot"
#define AGAIN	"let the program take what waits in it, or try again"

static const struct ckpt_model_tcp *by_ino(const struct ckpt_model *m, uint64_t ino)
{
	for (size_t i = 0; i < m->nr_tcps; i++)
		if (m->tcps[i].rec.ino == ino)
			return &m->tcps[i];
	return NULL;
}

const struct ckpt_model_tcp *tcp_of(const struct ckpt_model *m, const struct ckpt_model_fd *fd)
{
	const struct ckpt_model_tcp *t = NULL;

	for (size_t k = 0; !t && k < ckpt_set_size(m); k++)
		t = by_ino(ckpt_set_model(m, k), fd->rec.id.ino);
	return t;
}

static bool is_mirrored(const struct ckpt_rec_tcp *a, const struct ckpt_rec_tcp *b)
{
	return a->local_port == b->remote_port && a->remote_port == b->local_port &&
	       !memcmp(a->local, b->remote, sizeof(a->local)) &&
	       !memcmp(a->remote, b->local, sizeof(a->remote));
}

/* One that is closed has let go of its addresses: another may have them. */
const struct ckpt_model_tcp *tcp_peer(const struct ckpt_model *m, const struct ckpt_model_tcp *t)
{
	if (t->rec.state == TCP_IS_CLOSE)
		return NULL;
	for (size_t k = 0; k < ckpt_set_size(m); k++) {
		const struct ckpt_model *one = ckpt_set_model(m, k);

		for (size_t i = 0; i < one->nr_tcps; i++)
			if (one->tcps[i].rec.state != TCP_IS_CLOSE && one->tcps[i].rec.ino != t->rec.ino &&
			    is_mirrored(&t->rec, &one->tcps[i].rec))
				return &one->tcps[i];
	}
	return NULL;
}

bool tcp_fin_sent(const struct ckpt_rec_tcp *t)
{
	return t->state == TCP_IS_FIN_WAIT1 || t->state == TCP_IS_FIN_WAIT2 || t->state == TCP_IS_CLOSING ||
	       t->state == TCP_IS_LAST_ACK;
}

bool tcp_fin_come(const struct ckpt_rec_tcp *t)
{
	return t->state == TCP_IS_CLOSE_WAIT || t->state == TCP_IS_CLOSING || t->state == TCP_IS_LAST_ACK;
}

bool tcp_is_over(const struct ckpt_model *m, const struct ckpt_model_tcp *t)
{
	if (t->rec.state == TCP_IS_CLOSE)
		return true;
	return tcp_fin_sent(&t->rec) && tcp_fin_come(&t->rec) && !t->rec.send_len && !tcp_peer(m, t);
}

bool tcp_is_outside(const struct ckpt_model *m, const struct ckpt_model_tcp *t)
{
	return !tcp_is_over(m, t) && !tcp_peer(m, t);
}

size_t tcp_count_outside(const struct ckpt_model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nr_tcps; i++)
		n += tcp_is_outside(m, &m->tcps[i]);
	return n;
}

/* A socket that several processes have has a record in each. */
static int compare_ends(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct hold_ends));
}

static void put_ends(const struct ckpt_rec_tcp *t, struct hold_ends *ret)
{
	memcpy(ret->local, t->local, sizeof(ret->local));
	memcpy(ret->remote, t->remote, sizeof(ret->remote));
	ret->local_port = t->local_port;
	ret->remote_port = t->remote_port;
}

int tcp_list_outside(const struct ckpt_model *m, struct hold_ends **ret, size_t *ret_nr)
{
	struct hold_ends *v;
	size_t nr = 0, left = 0;

	for (size_t k = 0; k < ckpt_set_size(m); k++)
		nr += ckpt_set_model(m, k)->nr_tcps;
	v = calloc(nr + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	nr = 0;
	for (size_t k = 0; k < ckpt_set_size(m); k++) {
		const struct ckpt_model *one = ckpt_set_model(m, k);

		for (size_t i = 0; i < one->nr_tcps; i++)
			if (tcp_is_outside(m, &one->tcps[i]))
				put_ends(&one->tcps[i].rec, &v[nr++]);
	}
	qsort(v, nr, sizeof(*v), compare_ends);
	for (size_t i = 0; i < nr; i++)
		if (!left || compare_ends(&v[left - 1], &v[i]))
			v[left++] = v[i];
	*ret = v;
	*ret_nr = left;
	return 0;
}

/* Sequence numbers go round. */
static bool is_between(uint32_t from, uint32_t at, uint32_t to)
{
	return at - from <= to - from;
}

bool tcp_all_steady(const struct ckpt_model *m)
{
	for (size_t k = 0; k < ckpt_set_size(m); k++) {
		const struct ckpt_model *one = ckpt_set_model(m, k);

		for (size_t i = 0; i < one->nr_tcps; i++) {
			const struct ckpt_rec_tcp *t = &one->tcps[i].rec;
			const struct ckpt_model_tcp *peer = tcp_peer(m, &one->tcps[i]);

			if (peer && !is_between(t->send_unacked, peer->rec.recv_next, t->send_end))
				return false;
		}
	}
	return true;
}

socklen_t tcp_remote(const struct ckpt_rec_tcp *t, const struct sockaddr *name, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = name->sa_family;
	if (name->sa_family == AF_INET) {
		v4->sin_port = htons((uint16_t)t->remote_port);
		memcpy(&v4->sin_addr, t->remote + 12, sizeof(v4->sin_addr));
		return sizeof(*v4);
	}
	v6->sin6_port = htons((uint16_t)t->remote_port);
	memcpy(&v6->sin6_addr, t->remote, sizeof(v6->sin6_addr));
	/* A link: both ends are on the same. */
	v6->sin6_scope_id = ((const struct sockaddr_in6 *)name)->sin6_scope_id;
	return sizeof(*v6);
}

/* ------------------------------------------------------------------------------- judge */

/* "127.0.0.1:80", "[::1]:80". */
static void format_remote(const struct ckpt_rec_tcp *t, char *buf, size_t size)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const bool v4 = !memcmp(t->remote, mapped, sizeof(mapped));
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(v4 ? AF_INET : AF_INET6, t->remote + (v4 ? 12 : 0), text, sizeof(text));
	snprintf(buf, size, v4 ? "%s:%u" : "[%s]:%u", text, t->remote_port);
}

static void judge_alone(const struct fd_case *c, const struct ckpt_rec_tcp *t)
{
	char remote[INET6_ADDRSTRLEN + 16];

	format_remote(t, remote, sizeof(remote));
	judge_refuse(c->j, "fd", c->fd->rec.fd, c->fd->path, LOSE,
		     "is a TCP connection to %s, whose other end is not in the snapshot", remote);
}

void judge_tcp(const struct fd_case *c, const struct sock_info *i)
{
	const struct ckpt_model_tcp *t = tcp_of(c->model, c->fd);

	if (!t)
		refuse_fd(c, "is a TCP connection that somebody is busy with", "try again");
	else if (t->rec.flags & CKPT_TCP_REPAIR)
		refuse_fd(c, "is a TCP connection that the program has in TCP_REPAIR", CLOSE);
	else if (t->rec.flags & CKPT_TCP_URGENT)
		refuse_fd(c, "is a TCP connection in which urgent data (MSG_OOB) waits", AGAIN);
	else if (t->rec.flags & CKPT_TCP_ZEROCOPY)
		refuse_fd(c, "is a TCP connection that was sent by with MSG_ZEROCOPY", CLOSE);
	else if (t->rec.flags & CKPT_TCP_SAVED_SYN)
		refuse_fd(c, "is a TCP connection with a TCP_SAVED_SYN that was not read", AGAIN);
	else if (t->rec.state == TCP_IS_SYN_SENT || t->rec.state == TCP_IS_SYN_RECV)
		refuse_fd(c, "is a TCP connection that is being made", "try again");
	else if (!t->rec.remote_port)
		refuse_fd(c, "is a TCP socket that was shut down and never connected", CLOSE);
	else if (c->opts->tcp == META_TCP_REFUSE && tcp_is_outside(c->model, t))
		judge_alone(c, &t->rec);
}
