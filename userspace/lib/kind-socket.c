// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-socket.c - sockets: which can be made again, and what is read of them in the pause.
 *
 * The record tells what a socket is and whom it is connected to (sock_info()), so that most is refused
 * before the program has to stand still for it.  The rest is asked of a descriptor of our own of the
 * same socket (pidfd_getfd(2)): its name, its options, and what waits in it, by MSG_PEEK, which leaves it
 * there.  A peek begins at the peek offset (SO_PEEK_OFF) of a socket that has one, and moves it; and
 * messages behind the first are reached by it alone.  Then it is set for the time of the reading, in
 * which no signal can end us, and put back.  No state.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "kind.h"
#include "snap.h"
#include "sock.h"
#include "tcp.h"

#define CLOSE	"close it before the snapshot"
#define CUT	CLOSE ", or give it up with --unix=close"
#define AGAIN	"let the program take what waits in it, or try again"

/* One that is being read. */
struct reading {
	const struct ckpt_model *model;
	const struct ckpt_model_fd *fd;
	struct sock_info info;
	int sock;
	struct ckpt_err *err;
	struct buf *to;
};

/* ------------------------------------------------------------------------------- judge */

static uint64_t mirrored(uint64_t shutdown)
{
	return (shutdown & SOCK_SHUT_IN ? SOCK_SHUT_OUT : 0) | (shutdown & SOCK_SHUT_OUT ? SOCK_SHUT_IN : 0);
}

/* Both ends are in the program, and connected to each other alone; or it is one of 0..2, or sends to a name. */
static void judge_connected(const struct fd_case *c, const struct sock_info *i)
{
	const struct ckpt_model_fd *other = sock_by_ino(c->model, i->peer);
	struct sock_info o;

	/* Whether it is a pair or has a name to send to is not in the record: read_destination(). */
	if (i->type == SOCK_DGRAM)
		return;
	if (sock_is_callers(c->model, c->fd)) {
		if (i->queued)
			refuse_fd(c, "is a unix socket to the outside with input that was not read", AGAIN);
		return;
	}
	if (c->opts->cut_unix && sock_can_be_cut(c->model, c->fd))
		return;
	if (!i->peer || !other || !sock_info(other, &o))
		refuse_fd(c, "is a unix socket whose other end is not in the program", CUT);
	else if (o.peer != c->fd->rec.id.ino)
		refuse_fd(c, "is a unix socket connected to one that is not connected to it", CLOSE);
	else if (i->shutdown != mirrored(o.shutdown))
		refuse_fd(c, "is a unix socket that is being shut down", "try again");
}

static void judge_unix(const struct fd_case *c, const struct sock_info *i)
{
	if (i->type != SOCK_STREAM && i->type != SOCK_DGRAM && i->type != SOCK_SEQPACKET)
		refuse_fd(c, "is a unix socket of a type that is not supported", CLOSE);
	else if (i->urgent)
		refuse_fd(c, "is a unix socket in which urgent data (MSG_OOB) waits", AGAIN);
	else if (i->descriptors)
		refuse_fd(c, "is a unix socket in which descriptors (SCM_RIGHTS) wait", AGAIN);
	else if (i->state == SOCK_STATE_LISTEN && i->queued && !c->opts->cut_unix)
		refuse_fd(c, "is a unix socket with connections that wait to be accepted", AGAIN);
	else if (i->connected && !i->peer_gone)
		judge_connected(c, i);
	else if (!i->connected && i->queued && i->state != SOCK_STATE_LISTEN)
		refuse_fd(c, "is a unix socket in which messages of others wait", AGAIN);
	else if (!i->connected && i->shutdown)
		refuse_fd(c, "is a unix socket that is shut down and not connected", CLOSE);
}

static void judge_inet(const struct fd_case *c, const struct sock_info *i)
{
	if (i->multicast)
		refuse_fd(c, "is a socket that is a member of a multicast group", CLOSE);
	else if (i->chooser)
		refuse_fd(c, "is a socket with a program that chooses (SO_ATTACH_REUSEPORT_EBPF)", CLOSE);
	else if (i->keys)
		refuse_fd(c, "is a socket with keys or a policy of its own (TCP_MD5SIG, IP_XFRM_POLICY)", CLOSE);
	else if (i->type == SOCK_DGRAM && i->shutdown)
		refuse_fd(c, "is a UDP socket that is shut down", CLOSE);
	else if (i->type == SOCK_STREAM && i->state == SOCK_STATE_LISTEN && i->pending &&
		 c->opts->tcp != META_TCP_CLOSE && c->opts->tcp != META_TCP_RESET)
		refuse_fd(c, "is a TCP socket with connections that wait to be accepted", AGAIN);
	else if (i->type == SOCK_STREAM && i->state != SOCK_STATE_LISTEN &&
		 (i->state != SOCK_STATE_CLOSED || i->shutdown))
		judge_tcp(c, i);
}

static void judge_netlink(const struct fd_case *c, const struct sock_info *i)
{
	if (i->queued)
		refuse_fd(c, "is a netlink socket in which messages wait", AGAIN);
	else if (i->state == SOCK_STATE_OPEN)
		refuse_fd(c, "is a netlink socket that is connected", CLOSE);
}

static bool is_supported(const struct sock_info *i)
{
	switch (i->family) {
	case AF_UNIX:
		return true;
	case AF_INET:
	case AF_INET6:
		return (i->type == SOCK_STREAM && i->protocol == IPPROTO_TCP) ||
		       (i->type == SOCK_DGRAM && i->protocol == IPPROTO_UDP);
	case AF_NETLINK:
		return i->protocol == NETLINK_ROUTE || i->protocol == NETLINK_KOBJECT_UEVENT;
	default:
		return false;
	}
}

/* "an IPv4 raw socket", "a TIPC socket". */
static void judge_unsupported(const struct fd_case *c, const struct sock_info *i)
{
	const char *type = i->type == SOCK_RAW && i->family != AF_NETLINK && i->family != AF_PACKET ? "raw " : "";

	judge_refuse(c->j, "fd", c->fd->rec.fd, c->fd->path, CLOSE,
		     "is %s %ssocket (protocol %llu), which is not supported yet", sock_family_name(i->family),
		     type, (unsigned long long)i->protocol);
}

static void judge_socket(const struct fd_case *c)
{
	struct sock_info i;

	if (!sock_info(c->fd, &i)) {
		refuse_fd(c, "is a socket the module does not tell enough of", CLOSE);
		return;
	}
	if (!is_supported(&i)) {
		judge_unsupported(c, &i);
		return;
	}
	if (i.error || i.errors)
		refuse_fd(c, "is a socket in which an error waits to be asked for", "let the program ask (SO_ERROR)");
	else if (i.family == AF_UNIX)
		judge_unix(c, &i);
	else if (i.family == AF_NETLINK)
		judge_netlink(c, &i);
	else
		judge_inet(c, &i);
}

/* ------------------------------------------------------------------------------- save */

/* Refuse it now that more is known. */
static int refuse(const struct reading *r, const char *reason, const char *remedy)
{
	ckpt_err_set(r->err, EOPNOTSUPP, "process %d: fd %d (%s): %s", r->model->proc.pid, r->fd->rec.fd,
		     r->fd->path ? r->fd->path : "?", reason);
	ckpt_err_hint(r->err, "%s", remedy);
	return -EOPNOTSUPP;
}

static int cannot(const struct reading *r, const char *what)
{
	return ckpt_err_sys(r->err, errno, "process %d: fd %d (%s): %s", r->model->proc.pid, r->fd->rec.fd,
			    r->fd->path ? r->fd->path : "?", what);
}

static int put(const struct reading *r, enum sock_item_what what, uint32_t a, uint32_t b, const void *data,
	       size_t len)
{
	int ret = sock_put(r->to, what, a, b, data, len);

	return ret ? ckpt_err_sys(r->err, ret, "content of a socket") : 0;
}

/* Room for groups that it hears none of is no value. */
static bool is_none(const struct sock_option *o, const char *value, socklen_t len)
{
	if (o->level != SOL_NETLINK || o->name != NETLINK_LIST_MEMBERSHIPS)
		return false;
	while (len && !value[len - 1])
		len--;
	return !len;
}

/* What a connection tells by them is not what they were set to: the kernel keeps other numbers there. */
static bool is_of_moment(const struct reading *r, const struct sock_option *o)
{
	static const struct sock_option those[] = {
		{ IPPROTO_TCP, TCP_MAXSEG, "" }, { IPPROTO_TCP, TCP_QUICKACK, "" },
		{ IPPROTO_IP, IP_MULTICAST_IF, "" }, { IPPROTO_IP, IP_MULTICAST_TTL, "" },
		{ IPPROTO_IPV6, IPV6_MULTICAST_IF, "" }, { IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "" },
		{ IPPROTO_IPV6, IPV6_V6ONLY, "" },
	};

	if (r->info.type != SOCK_STREAM)
		return false;
	for (size_t i = 0; i < sizeof(those) / sizeof(*those); i++)
		if (o->level == those[i].level && o->name == those[i].name)
			return tcp_of(r->model, r->fd);
	return false;
}

static int read_options(const struct reading *r)
{
	const struct sock_option *o = sock_options((int)r->info.family, (int)r->info.type);
	int ret = 0;

	for (; !ret && o->text; o++) {
		char value[SOCK_OPTION_MAX] = { 0 };
		socklen_t len = sizeof(value);

		if (is_of_moment(r, o))
			continue;
		if (!getsockopt(r->sock, o->level, o->name, value, &len))
			ret = is_none(o, value, len) ? 0 :
			      put(r, SOCK_OPTION, (uint32_t)o->level, (uint32_t)o->name, value, len);
		else if (errno != ENOPROTOOPT && errno != EOPNOTSUPP && errno != EINVAL)
			ret = cannot(r, o->text);
	}
	return ret;
}

/* A socket of another network than ours would become one of ours. */
static int check_network(const struct reading *r)
{
	int ours = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0, own = 0;
	socklen_t len = sizeof(cookie);
	int ret = 0;

	if (ours < 0)
		return cannot(r, "make a socket");
	if (getsockopt(r->sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) ||
	    getsockopt(ours, SOL_SOCKET, SO_NETNS_COOKIE, &own, &len))
		ret = cannot(r, "ask for its network name space");
	else if (cookie != own)
		ret = refuse(r, "is a socket of another network name space", CLOSE);
	close(ours);
	return ret;
}

static int check_filter(const struct reading *r)
{
	socklen_t len = 0;

	if (!getsockopt(r->sock, SOL_SOCKET, SO_GET_FILTER, NULL, &len) && !len)
		return 0;
	return refuse(r, "is a socket with a filter (SO_ATTACH_FILTER, SO_ATTACH_BPF)", CLOSE);
}

static int read_name(const struct reading *r)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	memset(&name, 0, sizeof(name));
	if (getsockname(r->sock, (struct sockaddr *)&name, &len))
		return cannot(r, "ask for its name");
	return put(r, SOCK_NAME, 0, 0, &name, len);
}

/* Of those that are captured; NULL: it is none of them. */
static const struct ckpt_model *process_of(const struct reading *r, pid_t pid)
{
	for (size_t k = 0; k < ckpt_set_size(r->model); k++)
		if (ckpt_set_model(r->model, k)->proc.pid == pid)
			return ckpt_set_model(r->model, k);
	return NULL;
}

static int check_groups(const struct reading *r, const struct ckpt_model_thread *owner)
{
	socklen_t len = (owner->creds.nr_groups + 1) * sizeof(gid_t);
	gid_t *groups = calloc(1, len);
	int n, ret = 0;

	if (!groups)
		return ckpt_err_sys(r->err, ENOMEM, "groups of a socket");
	n = getsockopt(r->sock, SOL_SOCKET, SO_PEERGROUPS, groups, &len);
	if (n || len != owner->creds.nr_groups * sizeof(*groups) ||
	    (len && memcmp(groups, owner->groups, len)))
		ret = refuse(r, "is a unix socket of which SO_PEERGROUPS tells other groups than the program "
			     "has now", CLOSE);
	free(groups);
	return ret;
}

static pid_t owner_of(const struct reading *r)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	return getsockopt(r->sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) ? 0 : cred.pid;
}

/* Who made it, or its other end, is told for ever: it has to be a process of the program, as it is now. */
static int read_owner(const struct reading *r)
{
	const struct ckpt_model *owner;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int ret;

	if (getsockopt(r->sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return cannot(r, "SO_PEERCRED");
	owner = process_of(r, cred.pid);
	if (!owner || cred.uid != owner->threads[0].creds.euid || cred.gid != owner->threads[0].creds.egid)
		return refuse(r, "is a unix socket of which SO_PEERCRED tells another process or user than the "
			      "program is now", CLOSE);
	ret = check_groups(r, &owner->threads[0]);
	return ret ? ret : put(r, SOCK_OWNER, (uint32_t)cred.pid, 0, NULL, 0);
}

/* ------------------------------------------------------------------- connected by name */

/* A descriptor of ours of the same socket. */
static int borrow(pid_t pid, int number)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	if (pidfd >= 0)
		close(pidfd);
	return fd;
}

struct name {
	struct sockaddr_un un;
	socklen_t len;
};

static bool has_name(const struct name *n)
{
	return n->len > sizeof(sa_family_t);
}

/*
 * Whether what listens at that name still can be reached by it; a relative one is different things to
 * different processes.
 */
static bool is_there(const struct name *n, const struct sock_info *i)
{
	struct stat st;

	if (!n->un.sun_path[0])
		return true;
	return n->un.sun_path[0] == '/' && n->len <= sizeof(n->un) && !lstat(n->un.sun_path, &st) &&
	       st.st_ino == i->file_ino && st.st_dev == i->file_dev;
}

static bool listens_at(const struct reading *r, const struct ckpt_model *m, const struct ckpt_model_fd *fd,
		       const struct name *wanted)
{
	struct name n = { .len = sizeof(n.un) };
	struct sock_info i;
	int sock;
	bool same;

	if (!sock_info(fd, &i) || i.family != AF_UNIX || i.state != SOCK_STATE_LISTEN || i.type != r->info.type)
		return false;
	sock = borrow(m->proc.pid, fd->rec.fd);
	same = sock >= 0 && !getsockname(sock, (struct sockaddr *)&n.un, &n.len) && n.len == wanted->len &&
	       !memcmp(&n.un, &wanted->un, n.len < sizeof(n.un) ? n.len : sizeof(n.un)) && is_there(&n, &i);
	if (sock >= 0)
		close(sock);
	return same;
}

/* The inode number of what listens at that name, 0: nothing of the program does. */
static uint64_t listener_at(const struct reading *r, const struct name *wanted)
{
	for (size_t k = 0; k < ckpt_set_size(r->model); k++) {
		const struct ckpt_model *m = ckpt_set_model(r->model, k);

		for (size_t i = 0; i < m->nr_listening; i++) {
			const struct ckpt_model_fd *fd = &m->fds[m->listening[i]];

			if (listens_at(r, m, fd, wanted))
				return fd->rec.id.ino;
		}
	}
	return 0;
}

/* Made by connect(): the end that accept() made has the name of what listened, for ever. */
static int read_connection(const struct reading *r)
{
	struct name own = { .len = sizeof(own.un) }, peer = { .len = sizeof(peer.un) };
	uint64_t ino;
	bool client = false;

	if (getsockname(r->sock, (struct sockaddr *)&own.un, &own.len) ||
	    getpeername(r->sock, (struct sockaddr *)&peer.un, &peer.len))
		return cannot(r, "ask for its names");
	if (!has_name(&own) && !has_name(&peer))
		return 0;
	if (r->info.peer_gone && has_name(&own) && has_name(&peer))
		return refuse(r, "is a unix socket whose other end had a name and was closed", CLOSE);
	ino = has_name(&own) ? listener_at(r, &own) : 0;
	if (!ino && has_name(&peer)) {
		client = true;
		ino = listener_at(r, &peer);
	}
	if (!ino)
		return refuse(r, "is a unix socket connected by a name at which the program listens no longer, or "
			      "which does not begin at the root directory", CLOSE);
	return put(r, SOCK_LISTENER, client, 0, &ino, sizeof(ino));
}

/* Whether datagrams go where that was made with it (socketpair()), and come from there. */
static int check_pair(const struct reading *r)
{
	const struct ckpt_model_fd *other = sock_by_ino(r->model, r->info.peer);
	struct sock_info o;

	if (r->info.peer_gone || (other && sock_info(other, &o) && o.peer == r->fd->rec.id.ino))
		return 0;
	return refuse(r, "is a unix datagram socket of a pair, and is connected to something else now", CLOSE);
}

/* Datagrams to a name, of which SO_PEERCRED tells nothing. */
static int read_destination(const struct reading *r)
{
	struct name peer = { .len = sizeof(peer.un) };
	const struct ckpt_model_fd *other = sock_by_ino(r->model, r->info.peer);
	struct sock_info o;

	if (r->info.queued)
		return refuse(r, "is a unix datagram socket, connected by name, in which messages wait", AGAIN);
	if (getpeername(r->sock, (struct sockaddr *)&peer.un, &peer.len))
		return cannot(r, "ask whom it is connected to");
	if (!has_name(&peer) || peer.len > sizeof(peer.un) || (peer.un.sun_path[0] && peer.un.sun_path[0] != '/'))
		return refuse(r, "is a unix datagram socket connected by a name that does not begin at the root "
			      "directory", CLOSE);
	if (other && !(sock_info(other, &o) && is_there(&peer, &o)))
		return refuse(r, "is a unix datagram socket connected by a name at which the program does not "
			      "receive any longer", CLOSE);
	if (other && o.peer && o.peer != r->fd->rec.id.ino)
		return refuse(r, "is a unix datagram socket connected to one that is connected to another", CLOSE);
	return put(r, SOCK_PEER, 0, 0, &peer.un, peer.len);
}

static bool sends_to_name(const struct reading *r)
{
	return r->info.connected && r->info.type == SOCK_DGRAM && !owner_of(r);
}

/* ------------------------------------------------------------------- what waits in a socket */

/*
 * Look at a message, which stays.  Room for credentials and nothing else: descriptors are then not
 * installed with us, but MSG_CTRUNC tells of them, as of all that a message made now would not have.
 */
static ssize_t peek(const struct reading *r, void *data, size_t len, struct msghdr *ret_msg,
		    struct sockaddr_storage *ret_from, void *control, size_t control_len)
{
	struct iovec iov = { data, len };

	*ret_msg = (struct msghdr){
		.msg_iov = &iov, .msg_iovlen = 1, .msg_name = ret_from, .msg_namelen = sizeof(*ret_from),
		.msg_control = control, .msg_controllen = control_len,
	};
	return recvmsg(r->sock, ret_msg, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
}

union credentials {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(struct ucred))];
};

/* Who wrote it, if that is told: one of those that have the other end, as it is now; it has to write it again. */
static bool is_own(const struct reading *r, struct msghdr *msg, uint32_t *ret_writer)
{
	const struct cmsghdr *h = CMSG_FIRSTHDR(msg);
	const struct ckpt_model *writer;
	const struct ckpt_rec_creds *c;
	struct ucred cred;

	*ret_writer = 0;
	if (!h)
		return true;
	if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_CREDENTIALS ||
	    h->cmsg_len != CMSG_LEN(sizeof(cred)))
		return false;
	memcpy(&cred, CMSG_DATA(h), sizeof(cred));
	writer = process_of(r, cred.pid);
	/* An end that was closed is made by the owner, and closed again. */
	if (!writer || (r->info.peer_gone ? cred.pid != owner_of(r) : !sock_in_process(writer, r->info.peer)))
		return false;
	c = &writer->threads[0].creds;
	*ret_writer = (uint32_t)cred.pid;
	return cred.uid == c->uid && cred.gid == c->gid;
}

static int option(const struct reading *r, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(r->sock, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

static int check_message(const struct reading *r, struct msghdr *msg, uint32_t *ret_writer)
{
	if (msg->msg_flags & MSG_CTRUNC)
		return refuse(r, "is a unix socket in which messages wait with more than their bytes", AGAIN);
	if (!is_own(r, msg, ret_writer))
		return refuse(r, "is a unix socket in which messages of another process or user wait", AGAIN);
	return 0;
}

/* A stream, of which a peek gives all, up to where the writer changes. */
static int read_stream(const struct reading *r)
{
	struct sockaddr_storage from;
	union credentials control;
	struct msghdr msg;
	uint32_t writer = 0;
	int len, ret = 0;
	char *data;
	ssize_t n;

	if (ioctl(r->sock, FIONREAD, &len))
		return cannot(r, "ask how much waits in it");
	if (!len)
		return 0;
	data = malloc((size_t)len);
	if (!data)
		return ckpt_err_sys(r->err, ENOMEM, "content of a socket");
	n = peek(r, data, (size_t)len, &msg, &from, &control, sizeof(control));
	if (n < 0)
		ret = cannot(r, "read what waits in it");
	else if (n < len)
		ret = refuse(r, "is a unix socket in which data of several writers waits", AGAIN);
	else
		ret = check_message(r, &msg, &writer);
	for (int at = 0; !ret && at < len; at += SOCK_MESSAGE_MAX) {
		size_t piece = (size_t)(len - at);

		if (piece > SOCK_MESSAGE_MAX)
			piece = SOCK_MESSAGE_MAX;
		ret = put(r, SOCK_MESSAGE, writer, 0, data + at, piece);
	}
	free(data);
	return ret;
}

/* Messages, one by one: each peek begins where the one before has ended. */
static int read_messages(const struct reading *r)
{
	struct sockaddr_storage from;
	union credentials control;
	struct msghdr msg;
	uint32_t writer = 0;
	uint64_t nr;
	int ret = 0;
	char *data = malloc(SOCK_MESSAGE_MAX);

	if (!data)
		return ckpt_err_sys(r->err, ENOMEM, "content of a socket");
	for (nr = 0; !ret && nr < r->info.queued; nr++) {
		ssize_t n = peek(r, data, SOCK_MESSAGE_MAX, &msg, &from, &control, sizeof(control));

		if (n < 0 && errno != EAGAIN)
			ret = cannot(r, "read what waits in it");
		/* One that was looked at before is not seen again. */
		else if (n <= 0)
			ret = refuse(r, "is a unix socket in which a message of no bytes waits", AGAIN);
		else if (msg.msg_flags & MSG_TRUNC)
			ret = refuse(r, "is a unix socket in which a very long message waits", AGAIN);
		else
			ret = check_message(r, &msg, &writer);
		if (!ret)
			ret = put(r, SOCK_MESSAGE, writer, 0, data, (size_t)n);
	}
	free(data);
	return ret;
}

static int read_queue(const struct reading *r)
{
	const int own = option(r, SO_PEEK_OFF), wanted = r->info.type == SOCK_STREAM ? -1 : 0;
	sigset_t all, old;
	int ret = 0;

	if (!r->info.queued)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (own != wanted && setsockopt(r->sock, SOL_SOCKET, SO_PEEK_OFF, &wanted, sizeof(wanted)))
		ret = cannot(r, "SO_PEEK_OFF");
	if (!ret)
		ret = r->info.type == SOCK_STREAM ? read_stream(r) : read_messages(r);
	if (setsockopt(r->sock, SOL_SOCKET, SO_PEEK_OFF, &own, sizeof(own)) && !ret)
		ret = cannot(r, "SO_PEEK_OFF");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

/* ------------------------------------------------------------------------------- by family */

/* The file it is bound to, if the name leads to it still. */
static int read_file(const struct reading *r)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	struct sock_file file = { 0 };
	char path[64 + sizeof(name)];
	struct stat st;

	memset(&name, 0, sizeof(name));
	if (getsockname(r->sock, (struct sockaddr *)&name, &len))
		return cannot(r, "ask for its name");
	snprintf(path, sizeof(path), "/proc/%d/%s/%.*s", r->model->proc.pid,
		 name.sun_path[0] == '/' ? "root" : "cwd", (int)sizeof(name.sun_path), name.sun_path);
	if (lstat(path, &st) || st.st_ino != r->info.file_ino || st.st_dev != r->info.file_dev)
		return 0;
	file.mode = st.st_mode & 07777;
	file.uid = st.st_uid;
	file.gid = st.st_gid;
	return put(r, SOCK_FILE, 0, 0, &file, sizeof(file));
}

/* It has no names then: one would be of what others have, or of what listens still. */
static bool is_cut(const struct reading *r)
{
	return sock_can_be_cut(r->model, r->fd);
}

static int save_unix(const struct reading *r)
{
	const bool by_name = sends_to_name(r);
	int ret = by_name ? read_destination(r) : 0;

	if (is_cut(r)) {
		ret = put(r, SOCK_CUT, 0, 0, NULL, 0);
		return ret ? ret : read_queue(r);
	}
	if (!by_name && (r->info.connected || r->info.state == SOCK_STATE_LISTEN))
		ret = read_owner(r);
	if (!ret && !by_name && r->info.connected)
		ret = r->info.type == SOCK_DGRAM ? check_pair(r) : read_connection(r);
	if (!ret && r->info.has_file)
		ret = read_file(r);
	if (!ret && r->info.connected && !by_name)
		ret = read_queue(r);
	return ret;
}

/* Whether an option has a value of any length, where none is what a new socket has. */
static bool has_option(const struct reading *r, int level, int name)
{
	char value[256];
	socklen_t len = sizeof(value);

	return !getsockopt(r->sock, level, name, value, &len) && len;
}

static int value_of(const struct reading *r, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(r->sock, level, name, &value, &len) ? 0 : value;
}

static int check_inet(const struct reading *r)
{
	struct pollfd p = { .fd = r->sock, .events = POLLIN };

	if (has_option(r, IPPROTO_IP, IP_OPTIONS) ||
	    (r->info.family == AF_INET6 &&
	     (has_option(r, IPPROTO_IPV6, IPV6_RTHDR) || has_option(r, IPPROTO_IPV6, IPV6_HOPOPTS) ||
	      has_option(r, IPPROTO_IPV6, IPV6_DSTOPTS))))
		return refuse(r, "is a socket with IP options", CLOSE);
	if (r->info.type == SOCK_STREAM)
		return has_option(r, IPPROTO_TCP, TCP_ULP) ?
		       refuse(r, "is a TCP socket with an upper layer (TCP_ULP)", CLOSE) : 0;
	if (value_of(r, IPPROTO_UDP, UDP_CORK) || value_of(r, IPPROTO_UDP, UDP_ENCAP))
		return refuse(r, "is a UDP socket with UDP_CORK or UDP_ENCAP", CLOSE);
	if (poll(&p, 1, 0) > 0 && p.revents & POLLIN)
		return refuse(r, "is a UDP socket in which datagrams wait", AGAIN);
	return 0;
}

/* Its time stamps go on from here, with segments as long as they are now. */
static int save_connection(const struct reading *r)
{
	socklen_t len = sizeof(uint32_t), mss_len = sizeof(uint32_t);
	uint32_t clock = 0, mss = 0;

	if (getsockopt(r->sock, IPPROTO_TCP, TCP_TIMESTAMP, &clock, &len) ||
	    getsockopt(r->sock, IPPROTO_TCP, TCP_MAXSEG, &mss, &mss_len))
		return cannot(r, "TCP_TIMESTAMP");
	return put(r, SOCK_CLOCK, clock, mss, NULL, 0);
}

static int save_inet(const struct reading *r)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int ret = check_inet(r);

	if (!ret && tcp_of(r->model, r->fd))
		return save_connection(r);
	if (ret || r->info.type != SOCK_DGRAM || r->info.state != SOCK_STATE_OPEN)
		return ret;
	memset(&peer, 0, sizeof(peer));
	if (getpeername(r->sock, (struct sockaddr *)&peer, &len))
		return cannot(r, "ask whom it is connected to");
	return put(r, SOCK_PEER, 0, 0, &peer, len);
}

static int save_family(const struct reading *r)
{
	if (r->info.family == AF_UNIX)
		return save_unix(r);
	return r->info.family == AF_NETLINK ? 0 : save_inet(r);
}

static bool saves_socket(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	struct sock_info i;

	return sock_info(fd, &i) && is_supported(&i) && !sock_is_callers(model, fd);
}

static int open_ours(struct reading *r)
{
	r->sock = borrow(r->model->proc.pid, r->fd->rec.fd);
	return r->sock < 0 ? cannot(r, "get hold of the socket") : 0;
}

static int save_socket(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		       struct ckpt_err *err, struct snap_deleted *d)
{
	struct reading r = { .model = model, .fd = fd, .err = err, .to = &d->content };
	int ret;

	if (!sock_info(fd, &r.info))
		return ckpt_err_set(err, EINVAL, "fd %d: is a socket the module does not tell enough of",
				    fd->rec.fd);
	ret = open_ours(&r);
	if (ret)
		return ret;
	ret = check_network(&r);
	if (!ret)
		ret = check_filter(&r);
	if (!ret && !is_cut(&r))
		ret = read_name(&r);
	if (!ret)
		ret = read_options(&r);
	if (!ret)
		ret = save_family(&r);
	close(r.sock);
	return ret;
}

/* ------------------------------------------------------------------------------- */

static bool is_socket(const struct ckpt_model_fd *fd)
{
	return fd->rec.kind == CKPT_FDK_SOCK;
}

const struct fd_kind kind_socket = {
	.what = "a socket", .is = is_socket, .judge = judge_socket,
	.saves = saves_socket, .save = save_socket, .open = open_socket,
};
