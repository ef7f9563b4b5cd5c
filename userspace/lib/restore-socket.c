// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-socket.c - sockets of the program, from their records and what sock.h describes.
 *
 * Whoever makes a pair of unix sockets, or listens at one, is told to the other end for ever
 * (SO_PEERCRED).  So the program itself has to do that, as the process and user it will be:
 *  1. open_socket() reads what the image holds, and gives something that keeps the numbers taken.
 *  2. restore_sockets(), when all have their credentials, has the process make them that did so, and put
 *     them where they belong: restore-unix.c.  A descriptor of our own of each (pidfd_getfd(2)) is for what
 *     needs our privileges.
 *  3. restore_connections(), when all that listen do, makes those that are connected by name, and connects
 *     those that send datagrams to one.
 * In between and afterwards struct own_socket belongs to struct restore_files.
 *
 * Order for a pair: sizes of its buffers, what waited in it, all options, shut down.  What waits is
 * sent by the program as well, for messages may carry credentials.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "kind.h"
#include "restore-socket.h"

void restore_sockets_close(struct restore *rs)
{
	struct restore_files *fs = rs->files;

	for (size_t i = 0; i < fs->nr_sockets; i++) {
		free((void *)fs->sockets[i].content.data);
		if (fs->sockets[i].ours >= 0)
			close(fs->sockets[i].ours);
	}
	free(fs->sockets);
}

/* Another process may be the one that it was opened for. */
static const struct own_socket *late_socket(const struct restore *rs, uint32_t file)
{
	const struct own_socket *s = NULL;

	for (size_t i = 0; !s && i < rs->m->nr_fds; i++)
		if (rs->m->fds[i].rec.file == file && rs->m->fds[i].rec.kind == CKPT_FDK_SOCK)
			s = restore_unix_find(rs, rs->m->fds[i].rec.id.ino);
	return s && s->info.family == AF_UNIX ? s : NULL;
}

bool restore_socket_is_late(const struct restore *rs, uint32_t file)
{
	return late_socket(rs, file);
}

int restore_socket_made(const struct restore *rs, uint32_t file)
{
	const struct own_socket *s = late_socket(rs, file);

	return s ? s->ours : -1;
}

static int load_content(struct restore *rs, const char *thing, struct own_socket *s)
{
	int section = image_find(rs->image, IMAGE_META, (uint32_t)rs->m->proc.pid,
				 META_SUB_DELETED + s->f->rec.file);
	void *data;
	size_t len;
	int r;

	if (section < 0 || !sock_info(s->f, &s->info))
		return ckpt_err_set(rs->err, -EBADMSG, "%s: the image does not tell what its socket was", thing);
	r = image_load(rs->image, (uint32_t)section, rs->err, &data, &len);
	if (r)
		return r;
	s->content.data = data;
	r = sock_parse(data, len, rs->err, &s->content);
	if (r || !sock_can_be_cut(rs->m, s->f))
		return r;
	if (!s->content.cut)
		return ckpt_err_set(rs->err, -EBADMSG, "%s: the image does not have the other end of a socket", thing);
	s->info.peer_gone = 1;
	s->info.peer = 0;
	return 0;
}

int open_socket(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, bool *ret_borrowed)
{
	struct restore_files *fs = rs->files;
	struct own_socket *s;
	int fd, r;

	if (sock_is_callers(rs->m, f))
		return open_outside(rs, thing, f, ret_borrowed);
	if (!fs->sockets)
		fs->sockets = calloc(rs->m->nr_fds, sizeof(*fs->sockets));
	if (!fs->sockets)
		return ckpt_err_sys(rs->err, ENOMEM, "%s", thing);
	s = &fs->sockets[fs->nr_sockets++];
	s->f = f;
	s->rs = rs;
	s->child = s->ours = -1;
	r = load_content(rs, thing, s);
	if (r)
		return r;
	r = s->info.family == AF_UNIX ? 0 : restore_inet_make(rs, s);
	if (r)
		return r;
	fd = fcntl(s->ours >= 0 ? s->ours : fs->entries[fs->proc].fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? ckpt_err_sys(rs->err, errno, "%s", thing) : fd;
}

/* ------------------------------------------------------------------------------- options */

int restore_socket_failed(const struct restore *rs, const struct own_socket *s, int code, const char *what)
{
	return ckpt_err_sys(rs->err, code, "fd %d: socket: %s", s->f->rec.fd, what);
}

static const char *option_text(const struct own_socket *s, const struct sock_item *item)
{
	const struct sock_option *o = sock_options((int)s->info.family, (int)s->info.type);

	for (; o && o->text; o++)
		if (o->level == (int)item->a && o->name == (int)item->b)
			return o->text;
	return NULL;
}

static bool has_value(int fd, const struct sock_item *item)
{
	char now[SOCK_OPTION_MAX];
	socklen_t len = sizeof(now);

	return !getsockopt(fd, (int)item->a, (int)item->b, now, &len) && len == item->len &&
	       !memcmp(now, sock_data(item), len);
}

static bool is_size(const struct sock_item *item)
{
	return item->a == SOL_SOCKET && (item->b == SO_SNDBUF || item->b == SO_RCVBUF);
}

/* The kernel doubles what it is given, and a privilege gets past the limit of the system. */
static int set_size(int fd, const struct sock_item *item)
{
	int half;

	if (item->len != sizeof(half))
		return -EINVAL;
	memcpy(&half, sock_data(item), sizeof(half));
	half /= 2;
	if (!setsockopt(fd, SOL_SOCKET, item->b == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &half,
			sizeof(half)))
		return 0;
	return setsockopt(fd, SOL_SOCKET, (int)item->b, &half, sizeof(half)) ? -errno : 0;
}

/* The kernel sets even sizes, and may have grown one to an odd. */
static bool is_near(int fd, const struct sock_item *item)
{
	int now = 0, wanted = 0;
	socklen_t len = sizeof(now);

	if (!is_size(item) || item->len != sizeof(wanted))
		return false;
	memcpy(&wanted, sock_data(item), sizeof(wanted));
	return !getsockopt(fd, SOL_SOCKET, (int)item->b, &now, &len) && (now | 1) == (wanted | 1);
}

/* A bit for each group it hears; the first is number 1. */
static int join_groups(int fd, const struct sock_item *item)
{
	const uint32_t *words = sock_data(item);

	for (int i = 0; i < (int)(item->len / sizeof(*words)) * 32; i++) {
		int group = i + 1;

		if (words[i / 32] >> i % 32 & 1 &&
		    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)))
			return -errno;
	}
	return 0;
}

/* What it has already is not set: that may need a privilege, or mean more than not to have set it. */
static int set_option(const struct restore *rs, const struct own_socket *s, const struct sock_item *item)
{
	const char *text = option_text(s, item);
	int r = 0;

	if (!text)
		return ckpt_err_set(rs->err, -EBADMSG, "fd %d: the image has a socket option nobody knows (%u, %u)",
				    s->f->rec.fd, item->a, item->b);
	if (has_value(s->ours, item))
		return 0;
	if (is_size(item))
		r = set_size(s->ours, item);
	else if (item->a == SOL_NETLINK && item->b == NETLINK_LIST_MEMBERSHIPS)
		r = join_groups(s->ours, item);
	else if (setsockopt(s->ours, (int)item->a, (int)item->b, sock_data(item), item->len))
		r = -errno;
	if (r)
		return restore_socket_failed(rs, s, r, text);
	if (has_value(s->ours, item) || is_near(s->ours, item))
		return 0;
	return restore_socket_failed(rs, s, -ERANGE, text);
}

int restore_socket_options(const struct restore *rs, const struct own_socket *s, bool sizes)
{
	const struct sock_item *item = NULL;
	int r = 0;

	while (!r && (item = sock_next(&s->content, item)))
		if (item->what == SOCK_OPTION && (!sizes || is_size(item)))
			r = set_option(rs, s, item);
	return r;
}

/* ------------------------------------------------------------------- what waited in it */

/* Send @item by descriptor @from of the process @child. */
static int send_message(const struct own_socket *s, struct restore *rs, int from, const struct sock_item *item)
{
	struct remote *child = leader(rs);
	long n;
	int r = remote_write(child, rs->err, child->scratch, sock_data(item), item->len);

	if (!r)
		r = remote_try(child, rs->err, SYS_sendto,
			       REMOTE_ARGS((uint64_t)from, child->scratch, item->len,
					   MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0), &n);
	if (r)
		return r;
	return n == (long)item->len ? 0 : restore_socket_failed(rs, s, n < 0 ? (int)n : -ENOBUFS, "fill it");
}

/* As the process that wrote it, if that was told. */
static int send_as(const struct own_socket *s, struct restore *from, int far, const struct sock_item *item)
{
	struct restore *writer = item->a ? restore_unix_process(from, (pid_t)item->a) : from;
	const struct ckpt_model_fd *f = writer && writer != from ? sock_in_process(writer->m, s->info.peer) : NULL;

	if (writer != from && !f)
		return restore_socket_failed(from, s, EBADMSG, "find who wrote what waits in it");
	return send_message(s, writer, f ? f->rec.fd : far, item);
}

static int pass_credentials(const struct restore *rs, const struct own_socket *s, int on)
{
	return setsockopt(s->ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ?
	       restore_socket_failed(rs, s, errno, "SO_PASSCRED") : 0;
}

static bool wants_credentials(const struct own_socket *s)
{
	const struct sock_item *item = NULL;
	int on = 0;

	while ((item = sock_next(&s->content, item)))
		if (item->what == SOCK_OPTION && item->a == SOL_SOCKET && item->b == SO_PASSCRED &&
		    item->len == sizeof(on))
			memcpy(&on, sock_data(item), sizeof(on));
	return on;
}

/*
 * Only for the receiver credentials are passed meanwhile: a sender that passes them is given a name by
 * the kernel.
 */
int restore_socket_fill(struct own_socket *s, struct restore *from, int far)
{
	const struct sock_item *item = NULL;
	int r = wants_credentials(s) ? pass_credentials(s->rs, s, 1) : 0;

	while (!r && (item = sock_next(&s->content, item)))
		if (item->what == SOCK_MESSAGE)
			r = send_as(s, from, far, item);
	return r || !wants_credentials(s) ? r : pass_credentials(s->rs, s, 0);
}

static int shut_down(const struct restore *rs, const struct own_socket *s)
{
	static const int how[] = { [SOCK_SHUT_IN] = SHUT_RD, [SOCK_SHUT_OUT] = SHUT_WR, SHUT_RDWR };

	if (!s->info.shutdown || (s->info.peer_gone && s->info.type != SOCK_DGRAM))
		return 0;
	if (s->info.shutdown > 3 || shutdown(s->ours, how[s->info.shutdown]))
		return restore_socket_failed(rs, s, EINVAL, "shut it down");
	return 0;
}

/* ------------------------------------------------------------------------------- names */

/* As the child's, a path of its: what is there, 0: nothing. */
static int look(struct restore *rs, uint64_t path, uint32_t *ret_mode)
{
	struct remote *child = leader(rs);
	const uint64_t at = child->scratch + 4096;
	struct stat st;
	long ret;
	int r = remote_try(child, rs->err, SYS_newfstatat,
			   REMOTE_ARGS((uint64_t)AT_FDCWD, path, at, AT_SYMLINK_NOFOLLOW), &ret);

	if (r)
		return r;
	*ret_mode = 0;
	if (ret)
		return ret == -ENOENT ? 0 : ckpt_err_sys(rs->err, (int)ret, "look at the name of a socket");
	r = remote_read(child, rs->err, at, &st, sizeof(st));
	*ret_mode = st.st_mode;
	return r;
}

/*
 * Whether nobody has a socket of that name any more.  A datagram socket of ours does not disturb
 * one that is in use: either it is not of the kind, or it hears nothing of it.
 */
static int ask_stale(struct restore *rs, uint64_t name, socklen_t len, bool *ret)
{
	struct remote *child = leader(rs);
	long fd, got = 0;
	int r = remote_call(child, rs->err, "make a socket", SYS_socket,
			    REMOTE_ARGS(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), &fd);

	if (!r)
		r = remote_try(child, rs->err, SYS_connect, REMOTE_ARGS((uint64_t)fd, name, len), &got);
	if (!r)
		r = remote_call(child, rs->err, "close a socket", SYS_close, REMOTE_ARGS((uint64_t)fd), NULL);
	*ret = got == -ECONNREFUSED;
	return r;
}

/* What the killed program has left at that name goes. */
static int clear_name(struct restore *rs, const struct own_socket *s, const struct sockaddr_un *name,
		      socklen_t len)
{
	struct remote *child = leader(rs);
	const uint64_t path = child->scratch + offsetof(struct sockaddr_un, sun_path);
	bool stale = false;
	uint32_t mode;
	int r = look(rs, path, &mode);

	if (r || !mode)
		return r;
	if (S_ISSOCK(mode) && s->content.file)
		r = ask_stale(rs, child->scratch, len, &stale);
	if (r)
		return r;
	if (!stale) {
		ckpt_err_set(rs->err, -EADDRINUSE, "fd %d: socket: its name %s is that of %s now", s->f->rec.fd,
			     name->sun_path, S_ISSOCK(mode) ? "another socket" : "another file");
		ckpt_err_hint(rs->err, "end who uses it, or move it out of the way");
		return -EADDRINUSE;
	}
	return remote_call(child, rs->err, "remove the old file of a socket", SYS_unlink, REMOTE_ARGS(path), NULL);
}

/* The file as it was: there, with owner and mode, or gone. */
static int dress_file(struct restore *rs, const struct own_socket *s)
{
	struct remote *child = leader(rs);
	const uint64_t path = child->scratch + offsetof(struct sockaddr_un, sun_path);
	const struct ckpt_rec_creds *c = &rs->m->threads[0].creds;
	const struct sock_file *file = s->content.file;
	int r = 0;

	if (!file)
		return remote_call(child, rs->err, "remove the file of a socket", SYS_unlink, REMOTE_ARGS(path),
				   NULL);
	if (file->uid != c->fsuid || file->gid != c->fsgid)
		r = remote_call(child, rs->err, "set the owner of a socket", SYS_chown,
				REMOTE_ARGS(path, file->uid, file->gid), NULL);
	return r ? r : remote_call(child, rs->err, "set the mode of a socket", SYS_chmod,
				   REMOTE_ARGS(path, file->mode & 07777), NULL);
}

/* By the child: a path may begin at its working directory. */
int restore_socket_bind(struct restore *rs, const struct own_socket *s)
{
	struct remote *child = leader(rs);
	/* The longest path fills it, and has its end behind it. */
	union {
		struct sockaddr_un un;
		char room[sizeof(struct sockaddr_un) + 1];
	} name = { 0 };
	socklen_t len = s->content.name_len;
	long ret;
	int r;

	if (!s->content.name || len <= sizeof(sa_family_t))
		return 0;
	if (len > sizeof(name.un))
		len = sizeof(name.un);
	memcpy(&name, s->content.name, len);
	r = remote_write(child, rs->err, child->scratch, &name, sizeof(name));
	if (!r && name.un.sun_path[0])
		r = clear_name(rs, s, &name.un, len);
	if (!r)
		r = remote_try(child, rs->err, SYS_bind, REMOTE_ARGS((uint64_t)s->child, child->scratch, len), &ret);
	if (r)
		return r;
	if (!ret)
		return name.un.sun_path[0] ? dress_file(rs, s) : 0;
	return ckpt_err_sys(rs->err, (int)ret, "fd %d: socket: bind it to %s%.*s", s->f->rec.fd,
			    name.un.sun_path[0] ? "" : "@", (int)(len - sizeof(sa_family_t)),
			    name.un.sun_path + !name.un.sun_path[0]);
}

/* ------------------------------------------------------------------------------- unix sockets */

/* Flags of the open file; and its inode, for what fstat(2) tells. */
int restore_socket_dress(const struct restore *rs, const struct own_socket *s)
{
	const struct ckpt_rec_fd *rec = &s->f->rec;
	struct stat st;

	if (fcntl(s->ours, F_SETFL, (int)rec->file_flags) < 0 || fstat(s->ours, &st))
		return restore_socket_failed(rs, s, errno, "set its flags");
	if ((st.st_uid != rec->id.uid || st.st_gid != rec->id.gid) && fchown(s->ours, rec->id.uid, rec->id.gid))
		return restore_socket_failed(rs, s, errno, "set its owner");
	if (st.st_mode != rec->id.mode && fchmod(s->ours, rec->id.mode & 07777))
		return restore_socket_failed(rs, s, errno, "set its mode");
	return 0;
}

int restore_socket_finish(struct own_socket *s)
{
	struct restore *rs = s->maker;
	int r = restore_socket_options(rs, s, false);

	if (!r && !s->content.listener && !s->content.peer)
		r = restore_socket_bind(rs, s);
	if (!r && s->info.state == SOCK_STATE_LISTEN)
		r = remote_call(leader(rs), rs->err, "listen at a socket", SYS_listen,
				REMOTE_ARGS((uint64_t)s->child, s->info.backlog), NULL);
	if (!r)
		r = shut_down(rs, s);
	if (!r)
		r = restore_socket_dress(rs, s);
	return r ? r : remote_call(leader(rs), rs->err, "close a socket", SYS_close,
				   REMOTE_ARGS((uint64_t)s->child), NULL);
}

static struct own_socket *other_end(const struct own_socket *s)
{
	struct own_socket *o = s->info.peer ? restore_unix_find(s->rs, s->info.peer) : NULL;

	return o && o != s && o->ours < 0 ? o : NULL;
}

static int make_one(struct restore *rs, struct own_socket *s)
{
	long fd;
	int r = remote_call(leader(rs), rs->err, "make a socket", SYS_socket,
			    REMOTE_ARGS(AF_UNIX, s->info.type, s->info.protocol), &fd);

	if (!r)
		r = restore_unix_made(s, rs, fd);
	if (r)
		return r;
	return s->content.peer ? restore_socket_bind(rs, s) : restore_socket_finish(s);
}

static int fill_pair(struct own_socket *s, struct own_socket *other, struct restore *from, int far)
{
	int r = restore_socket_options(from, s, true);

	if (!r && other)
		r = restore_socket_options(from, other, true);
	if (!r)
		r = restore_socket_fill(s, from, far);
	return r || !other ? r : restore_socket_fill(other, from, s->child);
}

/* Without @other, whose end was closed, or is something else now. */
static int make_pair(struct restore *rs, struct own_socket *s, struct own_socket *other)
{
	struct remote *child = leader(rs);
	int ends[2], r;

	r = remote_call(child, rs->err, "make a pair of sockets", SYS_socketpair,
			REMOTE_ARGS(AF_UNIX, s->info.type, s->info.protocol, child->scratch), NULL);
	if (!r)
		r = remote_read(child, rs->err, child->scratch, ends, sizeof(ends));
	if (!r)
		r = restore_unix_made(s, rs, ends[0]);
	if (!r && other)
		r = restore_unix_made(other, rs, ends[1]);
	if (!r)
		r = fill_pair(s, other, rs, ends[1]);
	if (!r && !other)
		r = remote_call(child, rs->err, "close a socket", SYS_close, REMOTE_ARGS((uint64_t)ends[1]), NULL);
	if (!r)
		r = restore_socket_finish(s);
	return r || !other ? r : restore_socket_finish(other);
}

int restore_sockets(struct restore *rs)
{
	struct restore_files *fs = rs->files;
	int r = 0;

	for (size_t i = 0; !r && i < fs->nr_sockets; i++) {
		struct own_socket *s = &fs->sockets[i];
		struct restore *maker = restore_unix_process(rs, s->content.owner);

		if (s->ours >= 0 || s->content.listener)
			continue;
		if (!maker)
			r = restore_socket_failed(rs, s, EBADMSG, "find who made it");
		else
			r = s->info.connected && !s->content.peer ? make_pair(maker, s, other_end(s)) : make_one(maker, s);
	}
	return r;
}
