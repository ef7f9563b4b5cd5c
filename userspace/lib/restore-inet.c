// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-inet.c - sockets of the network and of netlink: made by the caller before there is a child,
 * which does not matter to them, so that a port that is taken is found at once, with who has it.  No state.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "restore-socket.h"
#include "tcp.h"

/* How long what the killed program has left may take to be gone. */
#define CLAIM_TRIES	150
#define CLAIM_WAIT_US	20000

/* ------------------------------------------------------------------------------- who has it */

static unsigned int port_of(const struct sockaddr *name)
{
	return ntohs(name->sa_family == AF_INET ? ((const struct sockaddr_in *)name)->sin_port :
		     ((const struct sockaddr_in6 *)name)->sin6_port);
}

/* The inode of a socket at @port that listens, or hears datagrams; 0: there is none. */
static unsigned long find_inode(const char *table, unsigned int port, bool listens)
{
	unsigned long found = 0, inode;
	unsigned int at, state;
	char line[512];
	FILE *f = fopen(table, "re");

	if (!f)
		return 0;
	/* sl local_address:port remote_address:port st queues timer:when retransmits uid timeout inode */
	while (!found && fgets(line, sizeof(line), f))
		if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu", &at, &state,
			   &inode) == 3 && at == port && (!listens || state == SOCK_STATE_LISTEN))
			found = inode;
	fclose(f);
	return found;
}

static bool has_socket(const char *pid, unsigned long inode)
{
	char path[300], target[64], wanted[64];
	bool found = false;
	struct dirent *de;
	DIR *dir;

	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (de = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), de->d_name, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		found = !strcmp(target, wanted);
	}
	if (dir)
		closedir(dir);
	return found;
}

static pid_t find_holder(unsigned long inode)
{
	DIR *dir = inode ? opendir("/proc") : NULL;
	struct dirent *de;
	pid_t pid = 0;

	while (dir && !pid && (de = readdir(dir)))
		if (isdigit(de->d_name[0]) && has_socket(de->d_name, inode))
			pid = atoi(de->d_name);
	if (dir)
		closedir(dir);
	return pid;
}

/* That of whoever has the port of @s. */
static unsigned long find_inode_of(const struct own_socket *s)
{
	const bool tcp = s->info.type == SOCK_STREAM;
	const unsigned int port = port_of(s->content.name);
	unsigned long inode = find_inode(tcp ? "/proc/net/tcp" : "/proc/net/udp", port, tcp);

	return inode ? inode : find_inode(tcp ? "/proc/net/tcp6" : "/proc/net/udp6", port, tcp);
}

/* Bind, or listen at, a port that somebody else has. */
static int taken(const struct restore *rs, const struct own_socket *s, int code)
{
	const bool tcp = s->info.type == SOCK_STREAM;
	const unsigned int port = port_of(s->content.name);
	char who[128] = "another program";
	pid_t pid = find_holder(find_inode_of(s));

	if (pid > 0)
		restore_name_owner(pid, who, sizeof(who));
	ckpt_err_sys(rs->err, code, "fd %d: socket: %s port %u, which %s has", s->f->rec.fd,
		     tcp ? "TCP" : "UDP", port, who);
	ckpt_err_hint(rs->err, "end that, or give the program something else with --fd %d=PATH", s->f->rec.fd);
	return -code;
}

/* ------------------------------------------------------------------------------- making it */

static bool is_bound(const struct own_socket *s)
{
	const struct sockaddr *name = s->content.name;

	switch (s->info.family) {
	case AF_INET:
	case AF_INET6:
		return port_of(name);
	default:
		return ((const struct sockaddr_nl *)name)->nl_pid;
	}
}

/* An address of the family, one of those that are made here. */
static bool has_name(const struct own_socket *s)
{
	const socklen_t len = s->content.name_len;

	if (!s->content.name || s->content.name->sa_family != s->info.family)
		return false;
	switch (s->info.family) {
	case AF_INET:
		return len == sizeof(struct sockaddr_in);
	case AF_INET6:
		return len == sizeof(struct sockaddr_in6);
	case AF_NETLINK:
		return len == sizeof(struct sockaddr_nl);
	default:
		return false;
	}
}

static int bind_it(const struct own_socket *s)
{
	return bind(s->ours, s->content.name, s->content.name_len);
}

static int listen_at(const struct own_socket *s)
{
	return listen(s->ours, (int)s->info.backlog);
}

/* Take its port.  What the killed program's connections have left may be in the way. */
static int claim(struct restore *rs, const struct own_socket *s, int (*take)(const struct own_socket *s),
		 const char *what)
{
	const bool tcp = s->info.protocol == IPPROTO_TCP && s->info.family != AF_NETLINK;

	for (int i = 0; take(s); i++) {
		int code = errno;

		if (code != EADDRINUSE || s->info.family == AF_NETLINK)
			return restore_socket_failed(rs, s, code, what);
		if (!tcp || i == CLAIM_TRIES || find_inode_of(s))
			return taken(rs, s, code);
		restore_diag_clear(port_of(s->content.name), i > CLAIM_TRIES / 2);
		usleep(CLAIM_WAIT_US);
	}
	return 0;
}

int restore_inet_make(struct restore *rs, struct own_socket *s)
{
	int r;

	if (!has_name(s))
		return restore_socket_failed(rs, s, EBADMSG, "its address");
	s->ours = socket((int)s->info.family, (int)s->info.type | SOCK_CLOEXEC, (int)s->info.protocol);
	if (s->ours < 0)
		return restore_socket_failed(rs, s, errno, "make it");
	/* The rest is restore-tcp.c's. */
	if (tcp_of(rs->m, s->f))
		return s->content.has_clock && s->info.family != AF_NETLINK ? 0 :
		       restore_socket_failed(rs, s, EBADMSG, "its connection");
	r = restore_socket_options(rs, s, false);
	if (!r && is_bound(s))
		r = claim(rs, s, bind_it, "bind it");
	if (!r && s->content.peer && connect(s->ours, s->content.peer, s->content.peer_len))
		r = restore_socket_failed(rs, s, errno, "connect it");
	if (!r && s->info.state == SOCK_STATE_LISTEN)
		r = claim(rs, s, listen_at, "listen at it");
	return r ? r : restore_socket_dress(rs, s);
}
