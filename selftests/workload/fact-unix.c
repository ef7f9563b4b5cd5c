// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets of the program's own: pairs of each type with what waits in them, with credentials,
 * half closed, one end closed; bound by path and by abstract name; listening; options; and threads
 * asleep in accept and recv.
 * kinds: socket
 */
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "asleep.h"
#include "fact.h"

#define LONG_STREAM	150000

static int stream[2], dgram[2], seqpacket[2], half[2], lonely, creds[2], offset[2], odd[2], moved;
static int listening, gone, abstract, unbound, waiting[2], door;
static char abstract_name[64];
static volatile int accepted = -1;
static char heard[16];
static pthread_t in_accept, in_recv;

static void pair(int type, int p[2])
{
	must(socketpair(AF_UNIX, type, 0, p));
}

static socklen_t address(struct sockaddr_un *a, const char *name, bool is_abstract)
{
	size_t len = strlen(name);

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path + is_abstract, name, len);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

static int bound(int type, const char *name, bool is_abstract)
{
	struct sockaddr_un a;
	int fd = must(socket(AF_UNIX, type, 0));

	must(bind(fd, (void *)&a, address(&a, name, is_abstract)));
	return fd;
}

static void *accepts(void *arg)
{
	accepted = accept(door, NULL, NULL);
	return NULL;
}

static void *receives(void *arg)
{
	if (recv(waiting[0], heard, sizeof(heard), 0) != 6)
		die("recv: %s", strerror(errno));
	return NULL;
}

static char *pattern(void)
{
	static char bytes[LONG_STREAM];

	for (int i = 0; i < LONG_STREAM; i++)
		bytes[i] = (char)mix64((uint64_t)i);
	return bytes;
}

static void set_up_pairs(void)
{
	const struct timeval tv = { 7, 40000 };
	const int on = 1, zero = 0, size = 400000, low = 3;

	pair(SOCK_STREAM | SOCK_NONBLOCK, stream);
	must(setsockopt(stream[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)));
	must(setsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	want(write(stream[1], pattern(), LONG_STREAM) == LONG_STREAM);
	want(write(stream[0], "back", 4) == 4);
	pair(SOCK_DGRAM | SOCK_CLOEXEC, dgram);
	want(send(dgram[0], "one", 3, 0) == 3 && send(dgram[0], "second", 6, 0) == 6 &&
	     send(dgram[0], "3", 1, 0) == 1);
	pair(SOCK_SEQPACKET, seqpacket);
	want(send(seqpacket[1], "first", 5, 0) == 5 && send(seqpacket[1], "2nd", 3, 0) == 3);
	pair(SOCK_STREAM, half);
	want(write(half[0], "last words", 10) == 10);
	must(shutdown(half[0], SHUT_WR));
	pair(SOCK_STREAM, creds);
	lonely = creds[0];
	want(write(creds[1], "orphan", 6) == 6);
	must(close(creds[1]));
	pair(SOCK_DGRAM, creds);
	must(setsockopt(creds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	want(send(creds[1], "mine", 4, 0) == 4);
	pair(SOCK_SEQPACKET, offset);
	want(send(offset[1], "abc", 3, 0) == 3 && send(offset[1], "defg", 4, 0) == 4);
	must(setsockopt(offset[0], SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)));
	pair(SOCK_STREAM, odd);
	must(setsockopt(odd[0], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	must(setsockopt(odd[0], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 9 }, sizeof(struct linger)));
	must(setsockopt(odd[0], SOL_SOCKET, SO_PRIORITY, &low, sizeof(low)));
	moved = must(dup3(odd[1], 90, O_CLOEXEC));
}

static void set_up(void)
{
	set_up_pairs();
	snprintf(abstract_name, sizeof(abstract_name), "ckpt-fact-%d", getpid());
	listening = bound(SOCK_STREAM, "./listening", false);
	must(chmod("./listening", 0741));
	must(listen(listening, 5));
	gone = bound(SOCK_DGRAM, "gone", false);
	must(unlink("gone"));
	abstract = bound(SOCK_SEQPACKET, abstract_name, true);
	must(listen(abstract, 2));
	unbound = must(socket(AF_UNIX, SOCK_STREAM, 0));
	door = bound(SOCK_STREAM, "door", false);
	must(listen(door, 1));
	pair(SOCK_SEQPACKET, waiting);
	want(!pthread_create(&in_accept, NULL, accepts, NULL));
	want(!pthread_create(&in_recv, NULL, receives, NULL));
	wait_asleep(2);
}

static bool owner_is_self(int fd)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) && c.pid == getpid() && c.uid == geteuid() &&
	       c.gid == getegid();
}

static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

static bool hears(int fd, const char *text)
{
	char buf[64];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

static void look_at_pairs(void)
{
	static char buf[LONG_STREAM + 1];
	struct timeval tv;
	struct linger linger;
	socklen_t len = sizeof(tv);

	want(owner_is_self(stream[0]) && owner_is_self(dgram[1]) && owner_is_self(seqpacket[0]));
	want(fcntl(stream[0], F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(half[0], F_GETFL) == O_RDWR);
	want(fcntl(dgram[0], F_GETFD) == FD_CLOEXEC && !fcntl(stream[0], F_GETFD));
	want(option(stream[1], SO_SNDBUF) == 800000 && option(stream[0], SO_SNDBUF) != 800000);
	want(!getsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &tv, &len) && tv.tv_sec == 7 && tv.tv_usec == 40000);
	want(recv(stream[0], buf, sizeof(buf), MSG_WAITALL) == LONG_STREAM);
	want(!memcmp(buf, pattern(), LONG_STREAM));
	want(hears(stream[1], "back"));
	want(read(stream[0], buf, 1) == -1 && errno == EAGAIN);
	want(hears(dgram[1], "one") && hears(dgram[1], "second") && hears(dgram[1], "3"));
	want(option(dgram[1], SO_PEEK_OFF) == -1);
	want(send(dgram[1], "new", 3, 0) == 3 && hears(dgram[0], "new"));
	want(hears(seqpacket[0], "first") && hears(seqpacket[0], "2nd"));
	want(recv(seqpacket[0], buf, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	want(hears(half[1], "last words") && read(half[1], buf, 1) == 0);
	want(send(half[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	want(send(half[1], "y", 1, 0) == 1 && hears(half[0], "y"));
	want(option(lonely, SO_ERROR) == 0 && hears(lonely, "orphan") && read(lonely, buf, 1) == 0);
	want(send(lonely, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	len = sizeof(linger);
	want(option(odd[0], SO_RCVLOWAT) == 3 && option(odd[0], SO_PRIORITY) == 3);
	want(!getsockopt(odd[0], SOL_SOCKET, SO_LINGER, &linger, &len) && linger.l_onoff && linger.l_linger == 9);
	want(fcntl(moved, F_GETFD) == FD_CLOEXEC && write(moved, "by both", 7) == 7 && hears(odd[0], "by both"));
}

static void look_at_credentials(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char buf[16];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct ucred c;
	struct sockaddr_un name;
	socklen_t len = sizeof(name);

	want(recvmsg(creds[0], &msg, MSG_DONTWAIT) == 4 && !memcmp(buf, "mine", 4));
	want(control.head.cmsg_type == SCM_CREDENTIALS);
	memcpy(&c, CMSG_DATA(&control.head), sizeof(c));
	want(c.pid == getpid() && c.uid == getuid() && c.gid == getgid());
	want(!getsockname(creds[1], (void *)&name, &len) && len == sizeof(sa_family_t));
	want(option(offset[0], SO_PEEK_OFF) == 0);
	want(recv(offset[0], buf, 16, MSG_PEEK) == 3 && !memcmp(buf, "abc", 3));
	want(recv(offset[0], buf, 16, MSG_PEEK) == 4 && !memcmp(buf, "defg", 4));
}

static int connected(int type, const char *name, bool is_abstract)
{
	struct sockaddr_un a;
	int fd = must(socket(AF_UNIX, type, 0));

	if (!connect(fd, (void *)&a, address(&a, name, is_abstract)))
		return fd;
	close(fd);
	return -1;
}

static void look_at_names(void)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	struct stat st;
	int fd;

	want(!getsockname(listening, (void *)&name, &len) && !strcmp(name.sun_path, "./listening"));
	want(!stat("listening", &st) && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0741);
	want(option(listening, SO_ACCEPTCONN) == 1);
	fd = connected(SOCK_STREAM, "listening", false);
	want(fd >= 0 && owner_is_self(fd) && accept(listening, NULL, NULL) >= 0);
	len = sizeof(name);
	want(!getsockname(gone, (void *)&name, &len) && !strcmp(name.sun_path, "gone"));
	want(stat("gone", &st) && errno == ENOENT);
	fd = connected(SOCK_SEQPACKET, abstract_name, true);
	want(fd >= 0 && accept(abstract, NULL, NULL) >= 0);
	len = sizeof(name);
	want(!getsockname(unbound, (void *)&name, &len) && len == sizeof(sa_family_t));
	want(option(unbound, SO_ACCEPTCONN) == 0);
}

static void look_at_threads(void)
{
	int fd = connected(SOCK_STREAM, "door", false);

	want(fd >= 0 && !pthread_join(in_accept, NULL) && accepted >= 0);
	want(write(fd, "hello", 5) == 5 && hears(accepted, "hello"));
	want(send(waiting[1], "awake!", 6, 0) == 6 && !pthread_join(in_recv, NULL));
	want(!memcmp(heard, "awake!", 6));
}

static void look(void)
{
	look_at_pairs();
	look_at_credentials();
	look_at_names();
	look_at_threads();
}

FACT(set_up, look)
