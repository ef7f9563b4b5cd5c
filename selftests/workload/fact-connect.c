// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets connected by name, both ends the program's own: by a path and an abstract name, a client
 * with a name, what waits in both directions, either end closed.  Those of several processes:
 * workload/connected.c.
 * kinds: socket
 */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fact.h"

struct link {
	int client, server;
};

static int by_path, by_name;
static struct sockaddr_un path, name, own_name;
static socklen_t path_len, name_len, own_len;
static struct link stream, packets, no_client, no_server;

static socklen_t address(struct sockaddr_un *a, const char *text, bool is_abstract)
{
	size_t len = strlen(text);

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path + is_abstract, text, len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

static int listens(int type, const struct sockaddr_un *a, socklen_t len)
{
	int fd = must(socket(AF_UNIX, type, 0));

	must(bind(fd, (const void *)a, len));
	must(listen(fd, 3));
	return fd;
}

static struct link connects(int listener, int type, const struct sockaddr_un *a, socklen_t len)
{
	struct link l = { .client = must(socket(AF_UNIX, type, 0)) };

	must(connect(l.client, (const void *)a, len));
	l.server = must(accept(listener, NULL, NULL));
	return l;
}

static void set_up(void)
{
	const int on = 1;
	char text[100];

	must(getcwd(text, sizeof(text) - 6) ? 0 : -1);
	path_len = address(&path, strcat(text, "/door"), false);
	snprintf(text, sizeof(text), "ckpt-connect-%d", getpid());
	name_len = address(&name, text, true);
	own_len = address(&own_name, strcat(text, "-own"), true);
	by_path = listens(SOCK_STREAM, &path, path_len);
	by_name = listens(SOCK_SEQPACKET, &name, name_len);

	stream = connects(by_path, SOCK_STREAM, &path, path_len);
	must(setsockopt(stream.server, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	want(write(stream.client, "to the server", 13) == 13 && write(stream.server, "to the client", 13) == 13);

	packets.client = must(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	must(bind(packets.client, (void *)&own_name, own_len));
	must(connect(packets.client, (void *)&name, name_len));
	packets.server = must(accept(by_name, NULL, NULL));
	want(write(packets.client, "one", 3) == 3 && write(packets.client, "two", 3) == 3);

	no_client = connects(by_path, SOCK_STREAM, &path, path_len);
	want(write(no_client.client, "last words", 10) == 10);
	close(no_client.client);
	no_server = connects(by_path, SOCK_STREAM, &path, path_len);
	want(write(no_server.server, "gone", 4) == 4);
	close(no_server.server);
}

static void is_called(int fd, bool peer, const struct sockaddr_un *want_name, socklen_t want_len)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);

	must(peer ? getpeername(fd, (void *)&a, &len) : getsockname(fd, (void *)&a, &len));
	want(len == want_len && (len <= sizeof(sa_family_t) || !memcmp(&a, want_name, len)));
}

static void is_mine(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	must(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	want(cred.pid == getpid() && cred.uid == geteuid() && cred.gid == getegid());
}

static void holds(int fd, const char *text)
{
	char got[64];
	size_t n = strlen(text);

	want(recv(fd, got, sizeof(got), MSG_DONTWAIT) == (ssize_t)n && !memcmp(got, text, n));
}

static void look(void)
{
	const socklen_t none = sizeof(sa_family_t);
	int on = 0;
	socklen_t len = sizeof(on);

	is_called(stream.server, false, &path, path_len);
	is_called(stream.server, true, NULL, none);
	is_called(stream.client, false, NULL, none);
	is_called(stream.client, true, &path, path_len);
	must(getsockopt(stream.server, SOL_SOCKET, SO_PASSCRED, &on, &len));
	want(on);
	is_mine(stream.server);
	is_mine(stream.client);
	holds(stream.server, "to the server");
	holds(stream.client, "to the client");
	want(write(stream.server, "more", 4) == 4);
	holds(stream.client, "more");

	is_called(packets.server, true, &own_name, own_len);
	is_called(packets.client, false, &own_name, own_len);
	is_called(packets.client, true, &name, name_len);
	holds(packets.server, "one");
	holds(packets.server, "two");

	is_called(no_client.server, false, &path, path_len);
	holds(no_client.server, "last words");
	want(!read(no_client.server, &on, 1));
	holds(no_server.client, "gone");
	want(!read(no_server.client, &on, 1));
	want(send(no_server.client, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);

	/* What listens goes on to. */
	stream = connects(by_path, SOCK_STREAM, &path, path_len);
	want(write(stream.client, "new", 3) == 3);
	holds(stream.server, "new");
}

FACT(set_up, look)
