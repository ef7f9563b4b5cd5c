// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-unix.c - unix sockets of several processes: each is made by the one that SO_PEERCRED tells, and
 * then handed to all that have it; and connections by name.
 *
 * A process is handed a descriptor by SCM_RIGHTS, over a pair of sockets that it makes for that and closes
 * again: when it has its credentials it may not take one from another process by itself.
 *
 * A connection by name is made as it was: one process connects to what listens, the one that listens
 * accepts.  Both ends have their names and credentials from there.  Nobody else waits there by then, since
 * a socket at which connections wait is refused by the snapshot; one that comes from outside meanwhile is
 * told by its peer, and ends the restore.
 *
 * A socket that sends datagrams to a name of others, as one of syslog(3) does, is connected to what has that
 * name now.  If nothing has, it is as if whoever did had ended: to send gives ECONNREFUSED.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "kind.h"
#include "restore-socket.h"

struct restore *restore_unix_process(struct restore *rs, pid_t pid)
{
	struct restore_set *set = rs->set;

	if (!pid || pid == rs->m->proc.pid)
		return rs;
	for (size_t i = 0; i < set->nr; i++)
		if (set->v[i].m->proc.pid == pid)
			return &set->v[i];
	return NULL;
}

struct own_socket *restore_unix_find(const struct restore *rs, uint64_t ino)
{
	for (size_t k = 0; k < rs->set->nr; k++) {
		struct restore_files *fs = rs->set->v[k].files;

		for (size_t i = 0; fs && i < fs->nr_sockets; i++)
			if (fs->sockets[i].f->rec.id.ino == ino)
				return &fs->sockets[i];
	}
	return NULL;
}

/* ------------------------------------------------------------------- where it belongs */

static int take(const struct restore *rs, int number)
{
	int pidfd = (int)syscall(SYS_pidfd_open, rs->pid, 0);
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	int code = errno;

	if (pidfd >= 0)
		close(pidfd);
	return fd < 0 ? -code : fd;
}

static int close_in(struct restore *rs, int number)
{
	return remote_call(leader(rs), rs->err, "close a socket", SYS_close, REMOTE_ARGS((uint64_t)number), NULL);
}

union rights {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static int send_rights(int mail, int fd)
{
	union rights control = { .head = { .cmsg_len = CMSG_LEN(sizeof(fd)), .cmsg_level = SOL_SOCKET,
					   .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { "", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(mail, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno;
}

/* What the process reads into: one behind the other in its scratch memory. */
struct letter {
	struct msghdr msg;
	struct iovec iov;
	char byte;
	union rights control;		/* last, for it ends in an array of any length */
};

static int receive_rights(struct restore *rs, int mail, int *ret_number)
{
	struct remote *child = leader(rs);
	const uint64_t at = child->scratch;
	struct letter l = {
		.msg = {
			.msg_iov = (void *)(uintptr_t)(at + offsetof(struct letter, iov)), .msg_iovlen = 1,
			.msg_control = (void *)(uintptr_t)(at + offsetof(struct letter, control)),
			.msg_controllen = sizeof(l.control),
		},
		.iov = { (void *)(uintptr_t)(at + offsetof(struct letter, byte)), 1 },
	};
	int r = remote_write(child, rs->err, at, &l, sizeof(l));

	if (!r)
		r = remote_call(child, rs->err, "receive a socket", SYS_recvmsg,
				REMOTE_ARGS((uint64_t)mail, at, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), NULL);
	if (!r)
		r = remote_read(child, rs->err, at, &l, sizeof(l));
	if (r)
		return r;
	if (l.msg.msg_controllen < CMSG_LEN(sizeof(int)) || l.control.head.cmsg_type != SCM_RIGHTS)
		return ckpt_err_set(rs->err, EMFILE, "hand a socket to process %d", rs->m->proc.pid);
	memcpy(ret_number, CMSG_DATA(&l.control.head), sizeof(*ret_number));
	return 0;
}

/* Hand it @fd of ours; the number it has there. */
static int hand_over(struct restore *rs, int fd, int *ret_number)
{
	struct remote *child = leader(rs);
	int ends[2], mail, r;

	r = remote_call(child, rs->err, "make a pair of sockets", SYS_socketpair,
			REMOTE_ARGS(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, child->scratch), NULL);
	if (!r)
		r = remote_read(child, rs->err, child->scratch, ends, sizeof(ends));
	if (r)
		return r;
	mail = take(rs, ends[1]);
	r = mail < 0 ? mail : send_rights(mail, fd);
	if (mail >= 0)
		close(mail);
	if (r)
		return ckpt_err_sys(rs->err, r, "hand a socket to process %d", rs->m->proc.pid);
	r = receive_rights(rs, ends[0], ret_number);
	if (!r)
		r = close_in(rs, ends[0]);
	return r ? r : close_in(rs, ends[1]);
}

/* Under all its numbers in one process, in the place of what keeps them taken. */
static int place_in(struct restore *rs, const struct own_socket *s)
{
	const bool own = rs == s->maker;
	int number = own ? s->child : -1, r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_fds; i++) {
		const struct ckpt_rec_fd *rec = &rs->m->fds[i].rec;

		if (rec->kind != CKPT_FDK_SOCK || rec->id.ino != s->f->rec.id.ino)
			continue;
		if (number < 0)
			r = hand_over(rs, s->ours, &number);
		if (!r)
			r = remote_call(leader(rs), rs->err, "put a socket in its place", SYS_dup3,
					REMOTE_ARGS((uint64_t)number, (uint64_t)rec->fd,
						    rec->flags & CKPT_FD_CLOEXEC ? O_CLOEXEC : 0), NULL);
	}
	return r || own || number < 0 ? r : close_in(rs, number);
}

int restore_unix_made(struct own_socket *s, struct restore *maker, long number)
{
	int r = 0;

	s->maker = maker;
	s->child = (int)number;
	s->ours = take(maker, s->child);
	if (s->ours < 0)
		return restore_socket_failed(maker, s, s->ours, "get hold of it");
	for (size_t k = 0; !r && k < maker->set->nr; k++)
		r = place_in(&maker->set->v[k], s);
	return r;
}

/* ------------------------------------------------------------------- connected by name */

/* One that is being made; an end that was closed is NULL. */
struct connection {
	struct own_socket *server, *client;
	struct own_socket *listener;
	struct restore *by;		/* who connects */
	long from, to;			/* numbers: of the client in @by, of the server where it was accepted */
};

static int connect_client(struct connection *c, const struct own_socket *s)
{
	struct restore *rs = c->by;
	struct remote *child = leader(rs);
	const struct own_socket *l = c->listener;
	int r;

	r = remote_call(child, rs->err, "make a socket", SYS_socket,
			REMOTE_ARGS(AF_UNIX, s->info.type | SOCK_CLOEXEC, s->info.protocol), &c->from);
	if (!r && c->client) {
		c->client->child = (int)c->from;
		r = restore_socket_bind(rs, c->client);
	}
	if (!r)
		r = remote_write(child, rs->err, child->scratch, l->content.name, l->content.name_len);
	return r ? r : remote_call(child, rs->err, "connect a socket", SYS_connect,
				   REMOTE_ARGS((uint64_t)c->from, child->scratch, l->content.name_len), NULL);
}

/* Whether it is the one that has connected, and nobody else. */
static int check_accepted(const struct connection *c, const struct own_socket *s)
{
	struct restore *rs = c->listener->rs;
	int fd = take(rs, (int)c->to);
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);
	int r = 0;

	if (fd < 0)
		return restore_socket_failed(rs, s, fd, "get hold of it");
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) || cred.pid != c->by->pid)
		r = restore_socket_failed(rs, s, EBUSY, "connect it before others do");
	close(fd);
	return r;
}

static int make_ends(struct connection *c, const struct own_socket *s)
{
	struct restore *rs = c->listener->rs;
	int r = connect_client(c, s);

	if (!r)
		r = remote_call(leader(rs), rs->err, "accept a connection", SYS_accept4,
				REMOTE_ARGS((uint64_t)c->listener->f->rec.fd, 0, 0, SOCK_CLOEXEC), &c->to);
	if (!r)
		r = check_accepted(c, s);
	if (!r && c->client)
		r = restore_unix_made(c->client, c->by, c->from);
	return r || !c->server ? r : restore_unix_made(c->server, rs, c->to);
}

static int fill_ends(const struct connection *c)
{
	struct restore *rs = c->listener->rs;
	int r = c->client ? restore_socket_options(rs, c->client, true) : 0;

	if (!r && c->server)
		r = restore_socket_options(rs, c->server, true);
	if (!r && c->client)
		r = restore_socket_fill(c->client, rs, (int)c->to);
	return r || !c->server ? r : restore_socket_fill(c->server, c->by, (int)c->from);
}

static int finish_ends(const struct connection *c)
{
	int r = c->client ? 0 : close_in(c->by, (int)c->from);

	if (!r && !c->server)
		r = close_in(c->listener->rs, (int)c->to);
	if (!r && c->client)
		r = restore_socket_finish(c->client);
	return r || !c->server ? r : restore_socket_finish(c->server);
}

static int make_connection(struct restore *rs, struct own_socket *s)
{
	struct own_socket *other = s->info.peer ? restore_unix_find(rs, s->info.peer) : NULL;
	struct connection c = {
		.server = s->content.client ? other : s, .client = s->content.client ? s : other,
		.listener = restore_unix_find(rs, s->content.listener),
	};
	int r;

	/* What accept() has made tells who connected. */
	c.by = c.server ? restore_unix_process(c.server->rs, c.server->content.owner) : c.client->rs;
	if (!c.by || !c.listener || c.listener->ours < 0 || c.listener->info.state != SOCK_STATE_LISTEN ||
	    !c.listener->content.name || (other && other->ours >= 0))
		return restore_socket_failed(rs, s, EBADMSG, "find what it was connected to");
	r = make_ends(&c, s);
	if (!r)
		r = fill_ends(&c);
	return r ? r : finish_ends(&c);
}

/* ------------------------------------------------------------------- datagrams to a name */

/* To one that the kernel gives a name, and that is closed then. */
static int connect_nowhere(struct restore *rs, int number)
{
	struct remote *child = leader(rs);
	const uint64_t at = child->scratch, len_at = at + sizeof(struct sockaddr_storage);
	const struct sockaddr_un none = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(none);
	long fd;
	int r;

	r = remote_call(child, rs->err, "make a socket", SYS_socket,
			REMOTE_ARGS(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), &fd);
	if (!r)
		r = remote_write(child, rs->err, at, &none, sizeof(none));
	if (!r)
		r = remote_write(child, rs->err, len_at, &len, sizeof(len));
	if (!r)
		r = remote_call(child, rs->err, "name a socket", SYS_bind,
				REMOTE_ARGS((uint64_t)fd, at, sizeof(sa_family_t)), NULL);
	if (!r)
		r = remote_call(child, rs->err, "ask for the name of a socket", SYS_getsockname,
				REMOTE_ARGS((uint64_t)fd, at, len_at), NULL);
	if (!r)
		r = remote_read(child, rs->err, len_at, &len, sizeof(len));
	if (!r)
		r = remote_call(child, rs->err, "connect a socket", SYS_connect,
				REMOTE_ARGS((uint64_t)number, at, len), NULL);
	return r ? r : close_in(rs, (int)fd);
}

static void tell_unheard(const struct restore *rs, const struct own_socket *s)
{
	char name[sizeof(struct sockaddr_un) + 1] = "";

	if (!rs->opts->unheard || s->content.peer_len <= sizeof(sa_family_t) ||
	    s->content.peer_len > sizeof(struct sockaddr_un))
		return;
	memcpy(name, s->content.peer->sa_data, s->content.peer_len - sizeof(sa_family_t));
	if (!name[0])
		name[0] = '@';
	rs->opts->unheard(name, rs->opts->arg);
}

static int connect_datagrams(struct restore *rs, const struct own_socket *s)
{
	struct remote *child = leader(rs);
	long ret;
	int r;

	if (s->info.peer_gone)
		return connect_nowhere(rs, s->child);
	r = remote_write(child, rs->err, child->scratch, s->content.peer, s->content.peer_len);
	if (!r)
		r = remote_try(child, rs->err, SYS_connect,
			       REMOTE_ARGS((uint64_t)s->child, child->scratch, s->content.peer_len), &ret);
	if (r || !ret)
		return r;
	if (restore_unix_find(rs, s->info.peer))
		return restore_socket_failed(rs, s, (int)ret, "connect it");
	tell_unheard(rs, s);
	return connect_nowhere(rs, s->child);
}

static int finish_datagrams(struct own_socket *s)
{
	int r = connect_datagrams(s->maker, s);

	return r ? r : restore_socket_finish(s);
}

/* ------------------------------------------------------------------------------- */

int restore_connections(struct restore *rs)
{
	struct restore_files *fs = rs->files;
	int r = 0;

	for (size_t i = 0; !r && i < fs->nr_sockets; i++) {
		struct own_socket *s = &fs->sockets[i];

		if (s->content.listener && s->ours < 0)
			r = make_connection(rs, s);
		else if (s->info.family == AF_UNIX && s->content.peer)
			r = finish_datagrams(s);
	}
	return r;
}
