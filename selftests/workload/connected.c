// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unix sockets between processes: a fact (fact.h) of three.
 *
 *	root		listens; made a pair with each child, and one whose end both children have
 *	  first		has connected to root by name
 *	  second
 *
 * Each child serves: it waits for a letter on a pipe from root, looks, and answers.
 * kinds: socket, epoll
 */
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fact.h"

enum who { FIRST, SECOND, CHILDREN };

static int ask[CHILDREN][2], answer[CHILDREN][2], pair[CHILDREN][2], both[2];
static int door, connection, watching;
static pid_t root, child[CHILDREN];
static struct sockaddr_un name;
static socklen_t name_len;

static void tells(int fd, pid_t pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	must(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	want(cred.pid == pid && cred.uid == getuid());
}

/* Who it says has written it; 0: it does not say. */
static pid_t hear(int fd, const char *text)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char got[64];
	struct iovec iov = { got, strlen(text) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct ucred cred;

	want(recvmsg(fd, &msg, MSG_DONTWAIT) == (ssize_t)iov.iov_len && !memcmp(got, text, iov.iov_len));
	if (!CMSG_FIRSTHDR(&msg))
		return 0;
	memcpy(&cred, CMSG_DATA(&control.head), sizeof(cred));
	return cred.pid;
}

static void be_called(int fd, bool peer)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);

	must(peer ? getpeername(fd, (void *)&a, &len) : getsockname(fd, (void *)&a, &len));
	want(len == name_len && !memcmp(&a, &name, len));
}

/* ---- the children ---- */

/* Each child has an instance of its own for the end that both have; either may be the first to have it. */
static void watch_both(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 4711 };

	watching = must(epoll_create1(0));
	must(epoll_ctl(watching, EPOLL_CTL_ADD, both[1], &event));
}

static void look_as(enum who me)
{
	struct epoll_event event;

	want(epoll_wait(watching, &event, 1, 0) == 1 && event.data.u64 == 4711 && event.events == EPOLLIN);
	tells(pair[me][1], root);
	tells(both[1], root);
	want(!hear(pair[me][1], me == FIRST ? "you first" : "you second"));
	want(!hear(both[1], me == FIRST ? "11" : "22"));
	if (me != FIRST)
		return;
	tells(connection, root);
	be_called(connection, true);
	want(!hear(connection, "welcome"));
	want(write(connection, "thanks", 6) == 6);
}

static void serve(enum who me)
{
	char letter;

	while (read(ask[me][0], &letter, 1) == 1) {
		if (letter == 'l')
			look_as(me);
		want(write(answer[me][1], &letter, 1) == 1);
	}
	_exit(0);
}

static void be_child(enum who me)
{
	for (int i = 0; i < CHILDREN; i++) {
		close(ask[i][1]);
		close(pair[i][0]);
		if (i != (int)me)
			close(answer[i][1]);
	}
	close(both[0]);
	close(door);
	watch_both();
	if (me == FIRST) {
		connection = must(socket(AF_UNIX, SOCK_STREAM, 0));
		must(connect(connection, (void *)&name, name_len));
		want(write(connection, "hello", 5) == 5);
	}
	want(write(pair[me][1], "from a child", 12) == 12);
	serve(me);
}

/* ---- root ---- */

static void tell(enum who who, char letter)
{
	char said = 0;

	want(write(ask[who][1], &letter, 1) == 1);
	if (read(answer[who][0], &said, 1) != 1 || said != letter)
		die("child %d gave no answer", who);
}

static void set_up(void)
{
	const int on = 1;

	root = getpid();
	name.sun_family = AF_UNIX;
	must(getcwd(name.sun_path, sizeof(name.sun_path) - 6) ? 0 : -1);
	strcat(name.sun_path, "/door");
	name_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name.sun_path) + 1);
	door = must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(bind(door, (void *)&name, name_len));
	must(listen(door, 5));
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, both));
	for (int i = 0; i < CHILDREN; i++) {
		must(pipe(ask[i]));
		must(pipe(answer[i]));
		must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]));
		must(setsockopt(pair[i][0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	}
	for (int i = 0; i < CHILDREN; i++) {
		child[i] = must(fork());
		if (!child[i])
			be_child(i);
	}
	for (int i = 0; i < CHILDREN; i++)
		close(answer[i][1]);
	close(both[1]);
	connection = must(accept(door, NULL, NULL));
	for (int i = 0; i < CHILDREN; i++)
		tell(i, 'r');
	want(write(connection, "welcome", 7) == 7);
	want(write(pair[FIRST][0], "you first", 9) == 9 && write(pair[SECOND][0], "you second", 10) == 10);
	want(write(both[0], "11", 2) == 2 && write(both[0], "22", 2) == 2);
}

static void look(void)
{
	tells(connection, child[FIRST]);
	be_called(connection, false);
	want(!hear(connection, "hello"));
	for (int i = 0; i < CHILDREN; i++) {
		tells(pair[i][0], root);
		want(hear(pair[i][0], "from a child") == child[i]);
		tell(i, 'l');
	}
	want(!hear(connection, "thanks"));
	/* The last of the two is gone, and with it the other end. */
	for (int i = 0; i < CHILDREN; i++)
		close(ask[i][1]);
	want(!read(both[0], name.sun_path, 1));
	want(!read(connection, name.sun_path, 1));
}

FACT(set_up, look)
