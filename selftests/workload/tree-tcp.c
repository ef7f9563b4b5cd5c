// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server and three clients, processes of their own, that never stop talking: a fact (fact.h).
 *
 * Each client sends a stream that tells where one is in it, as fast as it goes, and reads what the
 * server, a thread for each, sends back; the third by IPv6. When they are asked to stop they shut down
 * and read to the end. A byte that is lost, doubled, or not what it was ends the client with status 1.
 *
 * kinds: socket
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "fact.h"

#define CLIENTS	3
#define CHUNK	50000

struct board {			/* shared by all */
	volatile int stop;
	volatile uint64_t echoed[CLIENTS];
};

static struct board *board;
static pid_t client[CLIENTS];
static pthread_t server[CLIENTS];
static int served[CLIENTS];

static unsigned char byte_at(uint64_t n)
{
	return (unsigned char)((n * 2654435761u) >> 13);
}

/* ---- a client */

static uint64_t send_some(int fd, uint64_t at)
{
	static unsigned char buf[CHUNK];
	ssize_t n;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = byte_at(at + i);
	n = send(fd, buf, 1 + at % sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN)
		return at;
	want(n > 0);
	return at + (uint64_t)n;
}

/* False: that was the end. */
static bool take_some(int fd, uint64_t *at)
{
	static unsigned char buf[CHUNK];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	want(n >= 0);
	for (ssize_t i = 0; i < n; i++)
		want(buf[i] == byte_at(*at + (uint64_t)i));
	*at += (uint64_t)n;
	return n;
}

static void talk(int fd, int me)
{
	uint64_t sent = 0, back = 0;
	bool shut = false, open = true;

	while (open) {
		struct pollfd p = { .fd = fd, .events = shut ? POLLIN : POLLIN | POLLOUT };

		want(poll(&p, 1, 60000) == 1);
		if (p.revents & POLLIN)
			open = take_some(fd, &back);
		if (!shut && p.revents & POLLOUT)
			sent = send_some(fd, sent);
		if (!shut && board->stop) {
			must(shutdown(fd, SHUT_WR));
			shut = true;
		}
		board->echoed[me] = back;
	}
	want(shut && back == sent);
}

/* ---- the server */

static void *serve(void *arg)
{
	const int fd = *(int *)arg;
	unsigned char buf[CHUNK];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		for (ssize_t done = 0; done < n;) {
			ssize_t one = send(fd, buf + done, (size_t)(n - done), MSG_NOSIGNAL);

			want(one > 0);
			done += one;
		}
	want(!n);
	must(close(fd));
	return NULL;
}

static int listen_at(struct sockaddr_in6 *ret)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
	socklen_t len = sizeof(*ret);
	int fd = must(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));

	must(bind(fd, (void *)&any, sizeof(any)));
	must(listen(fd, 5));
	must(getsockname(fd, (void *)ret, &len));
	ret->sin6_addr = in6addr_loopback;
	return fd;
}

static int connect_to(const struct sockaddr_in6 *to, bool six)
{
	const struct sockaddr_in four = {
		.sin_family = AF_INET, .sin_port = to->sin6_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = must(socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0));

	must(six ? connect(fd, (void *)to, sizeof(*to)) : connect(fd, (void *)&four, sizeof(four)));
	return fd;
}

/* Until all of them have had something back that they had not when it was called. */
static void wait_talking(void)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	for (int i = 0; i < CLIENTS; i++) {
		const uint64_t was = board->echoed[i];

		for (int tries = 0; board->echoed[i] < was + 10 * CHUNK; tries++) {
			want(tries < 60000);
			nanosleep(&moment, NULL);
		}
	}
}

static void set_up(void)
{
	struct sockaddr_in6 at;
	int door = listen_at(&at);

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	want(board != MAP_FAILED);
	for (int i = 0; i < CLIENTS; i++) {
		client[i] = must(fork());
		if (!client[i]) {
			close(door);
			for (int k = 0; k < i; k++)
				close(served[k]);
			talk(connect_to(&at, i == 2), i);
			_exit(0);
		}
		served[i] = must(accept(door, NULL, NULL));
	}
	for (int i = 0; i < CLIENTS; i++)
		want(!pthread_create(&server[i], NULL, serve, &served[i]));
	wait_talking();
}

static void look(void)
{
	int status;

	wait_talking();
	board->stop = 1;
	for (int i = 0; i < CLIENTS; i++) {
		want(waitpid(client[i], &status, 0) == client[i] && !status);
		want(!pthread_join(server[i], NULL));
	}
}

FACT(set_up, look)
