// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets that send datagrams to a name: of the program's own, to each other, passing credentials, bound
 * by a path, half shut down; and to what was closed.
 * kinds: socket
 */
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fact.h"

static struct sockaddr_un path, name, own;
static socklen_t path_len, name_len, own_len;
static int by_path, by_name, to_path, to_name, closed, half, unconnected;

static socklen_t address(struct sockaddr_un *a, const char *text, bool is_abstract)
{
	size_t len = strlen(text);

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path + is_abstract, text, len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

static int receives(const struct sockaddr_un *a, socklen_t len)
{
	int fd = must(socket(AF_UNIX, SOCK_DGRAM, 0));

	must(bind(fd, (const void *)a, len));
	return fd;
}

static int sends(int flags, const struct sockaddr_un *a, socklen_t len)
{
	int fd = must(socket(AF_UNIX, SOCK_DGRAM | flags, 0));

	must(connect(fd, (const void *)a, len));
	return fd;
}

static void set_up(void)
{
	const int on = 1;
	char text[100];
	struct sockaddr_un a;
	socklen_t len;
	int fd;

	must(getcwd(text, sizeof(text) - 6) ? 0 : -1);
	path_len = address(&path, strcat(text, "/door"), false);
	snprintf(text, sizeof(text), "ckpt-datagrams-%d", getpid());
	name_len = address(&name, text, true);
	own_len = address(&own, strcat(text, "-own"), true);
	by_path = receives(&path, path_len);
	by_name = receives(&name, name_len);
	/* Before it is what it sends to: the numbers go the other way than the order in which they are made. */
	to_path = must(dup2(sends(SOCK_CLOEXEC, &path, path_len), 5));
	must(setsockopt(to_path, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	to_name = sends(SOCK_NONBLOCK, &name, name_len);
	must(bind(to_name, (void *)&own, own_len));
	must(connect(by_name, (void *)&own, own_len));
	len = address(&a, strcat(text, "-closed"), true);
	fd = receives(&a, len);
	closed = sends(0, &a, len);
	must(close(fd));
	half = sends(0, &path, path_len);
	must(shutdown(half, SHUT_RD));
	unconnected = must(socket(AF_UNIX, SOCK_DGRAM, 0));
}

static bool hears(int fd, const char *text)
{
	char buf[64];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

static bool goes_to(int fd, const struct sockaddr_un *a, socklen_t wanted)
{
	struct sockaddr_un now;
	socklen_t len = sizeof(now);

	return !getpeername(fd, (void *)&now, &len) && len == wanted && !memcmp(&now, a, len);
}

static bool is_called(int fd, const struct sockaddr_un *a, socklen_t wanted)
{
	struct sockaddr_un now;
	socklen_t len = sizeof(now);

	return !getsockname(fd, (void *)&now, &len) && len == wanted && !memcmp(&now, a, len);
}

static bool has_no_owner(int fd)
{
	struct ucred c = { .pid = 1 };
	socklen_t len = sizeof(c);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) && !c.pid;
}

static void look(void)
{
	struct sockaddr_un from;
	socklen_t len = sizeof(from);
	int on = 0;
	char buf[8];

	want(goes_to(to_path, &path, path_len) && goes_to(to_name, &name, name_len) && goes_to(half, &path, path_len));
	want(goes_to(by_name, &own, own_len) && is_called(to_name, &own, own_len));
	/* It was connected before it passed credentials: it has not been given a name. */
	want(is_called(to_path, &path, sizeof(sa_family_t)) && is_called(half, &path, sizeof(sa_family_t)));
	want(has_no_owner(to_path) && has_no_owner(by_name) && has_no_owner(closed));
	want(!getsockopt(to_path, SOL_SOCKET, SO_PASSCRED, &on, &(socklen_t){ sizeof(on) }) && on);
	want(fcntl(to_name, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(to_path, F_GETFL) == O_RDWR);
	want(send(half, "half", 4, 0) == 4 && hears(by_path, "half") && recv(half, buf, 1, 0) == 0);
	want(send(to_path, "first", 5, 0) == 5 && hears(by_path, "first"));
	want(send(to_name, "second", 6, 0) == 6);
	want(recvfrom(by_name, buf, sizeof(buf), MSG_DONTWAIT, (void *)&from, &len) == 6);
	want(len == own_len && !memcmp(&from, &own, len));
	want(send(by_name, "back", 4, 0) == 4 && hears(to_name, "back"));
	/* It hears nobody else. */
	want(sendto(unconnected, "x", 1, 0, (void *)&name, name_len) == -1 && errno == EPERM);
	want(send(closed, "x", 1, MSG_NOSIGNAL) == -1 && errno == ECONNREFUSED);
	want(send(closed, "x", 1, MSG_NOSIGNAL) == -1 && errno == ENOTCONN);
}

FACT(set_up, look)
