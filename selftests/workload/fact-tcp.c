// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP connections of a program with itself, IPv4 and IPv6: with data under way in both directions, more
 * than fits, shut down on one side, over; their addresses, what was agreed on, options; and a thread
 * asleep in one. The socket that listens came first and shares their port, without SO_REUSEADDR.
 *
 * kinds: socket
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "asleep.h"
#include "fact.h"

/* What it wrote to it, and what of that was read. */
struct end {
	int fd;
	uint64_t wrote, read;
	struct sockaddr_storage name, peer;
	struct tcp_info info;
};

/* One may be closed: -1. */
struct pair {
	struct end a, b;
};

static int listening, listening6;
static struct pair idle, busy, full, small, six, mapped, half, half_full, both_half, over, slept_in;
static char heard[16];
static pthread_t sleeper;

static void set(int fd, int level, int name, int value)
{
	must(setsockopt(fd, level, name, &value, sizeof(value)));
}

static int get(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, level, name, &value, &len) ? -1 : value;
}

/* ---- a stream that tells where one is in it */

static unsigned char byte_at(uint64_t n)
{
	return (unsigned char)((n * 2654435761u) >> 13);
}

/* As much as it takes, @most bytes. */
static void write_some(struct end *e, uint64_t most)
{
	static unsigned char buf[65536];
	const uint64_t until = e->wrote + most;

	while (e->wrote < until) {
		size_t n = until - e->wrote < sizeof(buf) ? until - e->wrote : sizeof(buf);
		ssize_t done;

		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(e->wrote + i);
		done = send(e->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (done < 0 && errno == EAGAIN)
			return;
		want(done > 0);
		e->wrote += (uint64_t)done;
	}
}

/* All that @from wrote comes out of @to. */
static void read_all(struct end *to, const struct end *from)
{
	static unsigned char buf[65536];

	while (to->read < from->wrote) {
		struct pollfd p = { .fd = to->fd, .events = POLLIN };
		ssize_t n;

		want(poll(&p, 1, 20000) == 1);
		n = recv(to->fd, buf, sizeof(buf), 0);
		want(n > 0 && (uint64_t)n <= from->wrote - to->read);
		for (ssize_t i = 0; i < n; i++)
			want(buf[i] == byte_at(to->read + (uint64_t)i));
		to->read += (uint64_t)n;
	}
}

static bool reads_end(const struct end *e)
{
	struct pollfd p = { .fd = e->fd, .events = POLLRDHUP };
	char c;

	return poll(&p, 1, 20000) == 1 && recv(e->fd, &c, 1, 0) == 0;
}

/* ---- making them */

static int listen_at(int family)
{
	struct sockaddr_in6 six_any = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = must(socket(family, SOCK_STREAM, 0));

	must(family == AF_INET ? bind(fd, (void *)&four, sizeof(four)) :
	     bind(fd, (void *)&six_any, sizeof(six_any)));
	must(listen(fd, 20));
	return fd;
}

static void describe(struct end *e)
{
	socklen_t len = sizeof(e->name), info_len = sizeof(e->info);

	if (e->fd < 0)
		return;
	must(getsockname(e->fd, (void *)&e->name, &len));
	len = sizeof(e->peer);
	getpeername(e->fd, (void *)&e->peer, &len);
	must(getsockopt(e->fd, IPPROTO_TCP, TCP_INFO, &e->info, &info_len));
}

/* @family: of the end that connects. */
static struct pair pair(int door, int family, int rcvbuf)
{
	struct sockaddr_in6 at = { 0 };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	struct pair p = { 0 };

	must(getsockname(door, (void *)&at, &len));
	four.sin_port = at.sin6_port;
	at.sin6_addr = in6addr_loopback;
	p.a.fd = must(socket(family, SOCK_STREAM, 0));
	if (rcvbuf)
		set(p.a.fd, SOL_SOCKET, SO_RCVBUF, rcvbuf);
	must(family == AF_INET ? connect(p.a.fd, (void *)&four, sizeof(four)) :
	     connect(p.a.fd, (void *)&at, sizeof(at)));
	p.b.fd = must(accept(door, NULL, NULL));
	return p;
}

static void *receives(void *arg)
{
	if (recv(slept_in.b.fd, heard, sizeof(heard), 0) != 5)
		die("recv: %s", strerror(errno));
	return NULL;
}

static struct pair *const all[] = {
	&idle, &busy, &full, &small, &six, &mapped, &half, &half_full, &both_half, &over, &slept_in,
};

static void dress(void)
{
	set(idle.a.fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(idle.a.fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(idle.a.fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set(idle.a.fd, IPPROTO_TCP, TCP_KEEPINTVL, 7);
	set(idle.a.fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set(idle.a.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 12345);
	set(idle.a.fd, SOL_SOCKET, SO_SNDBUF, 40000);
	set(idle.a.fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set(idle.b.fd, IPPROTO_TCP, TCP_CORK, 1);
	set(idle.b.fd, IPPROTO_IP, IP_TOS, 0x10);
	must(fcntl(idle.b.fd, F_SETFL, O_NONBLOCK));
	must(fcntl(idle.b.fd, F_SETFD, FD_CLOEXEC));
}

static void fill(void)
{
	write_some(&busy.a, 70000);
	write_some(&busy.b, 10);
	write_some(&full.a, 64 << 20);
	write_some(&full.b, 64 << 20);
	write_some(&small.b, 64 << 20);
	write_some(&six.a, 1000);
	write_some(&mapped.a, 64 << 20);
	write_some(&mapped.b, 3);
	write_some(&half.a, 5000);
	must(shutdown(half.a.fd, SHUT_WR));
	write_some(&half_full.a, 64 << 20);
	must(shutdown(half_full.a.fd, SHUT_WR));
	must(shutdown(both_half.a.fd, SHUT_WR));
	write_some(&both_half.b, 64 << 20);
	must(shutdown(both_half.b.fd, SHUT_WR));
	write_some(&over.b, 3000);
	must(close(over.b.fd));
	over.b.fd = -1;
	must(shutdown(over.a.fd, SHUT_WR));
}

static void set_up(void)
{
	int high;

	listening = listen_at(AF_INET);
	listening6 = listen_at(AF_INET6);
	idle = pair(listening, AF_INET, 0);
	busy = pair(listening, AF_INET, 0);
	full = pair(listening, AF_INET, 0);
	small = pair(listening, AF_INET, 5000);
	six = pair(listening6, AF_INET6, 0);
	mapped = pair(listening6, AF_INET, 0);
	half = pair(listening, AF_INET, 0);
	half_full = pair(listening, AF_INET, 0);
	both_half = pair(listening6, AF_INET6, 0);
	over = pair(listening, AF_INET, 0);
	slept_in = pair(listening, AF_INET, 0);
	/* Its number is above those of the connections. */
	high = must(fcntl(listening, F_DUPFD, 500));
	must(close(listening));
	listening = high;
	dress();
	fill();
	want(full.a.wrote < 64 << 20 && half_full.a.wrote < 64 << 20);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		describe(&all[i]->a);
		describe(&all[i]->b);
	}
	want(!pthread_create(&sleeper, NULL, receives, NULL));
	wait_asleep(1);
}

/* ---- looking */

static void same_end(const struct end *was)
{
	struct end now = { .fd = was->fd };

	if (was->fd < 0)
		return;
	describe(&now);
	want(!memcmp(&now.name, &was->name, sizeof(now.name)));
	want(!memcmp(&now.peer, &was->peer, sizeof(now.peer)));
	want(now.info.tcpi_options == was->info.tcpi_options);
	want(now.info.tcpi_snd_wscale == was->info.tcpi_snd_wscale);
	want(now.info.tcpi_rcv_wscale == was->info.tcpi_rcv_wscale);
	/* No more can be asked for than 32767 with what belongs to a segment. */
	want(now.info.tcpi_snd_mss == was->info.tcpi_snd_mss || now.info.tcpi_snd_mss >= 32767 - 12);
	want(get(was->fd, SOL_SOCKET, SO_ERROR) == 0);
}

static void look_at_options(void)
{
	want(get(idle.a.fd, IPPROTO_TCP, TCP_NODELAY) == 1 && get(idle.b.fd, IPPROTO_TCP, TCP_NODELAY) == 0);
	want(get(idle.a.fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
	want(get(idle.a.fd, IPPROTO_TCP, TCP_KEEPIDLE) == 77);
	want(get(idle.a.fd, IPPROTO_TCP, TCP_KEEPINTVL) == 7);
	want(get(idle.a.fd, IPPROTO_TCP, TCP_KEEPCNT) == 3);
	want(get(idle.a.fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 12345);
	want(get(idle.a.fd, SOL_SOCKET, SO_SNDBUF) == 80000);
	want(get(idle.a.fd, SOL_SOCKET, SO_REUSEADDR) == 1 && get(idle.b.fd, SOL_SOCKET, SO_REUSEADDR) == 0);
	want(get(idle.b.fd, IPPROTO_TCP, TCP_CORK) == 1 && get(idle.b.fd, IPPROTO_IP, IP_TOS) == 0x10);
	want(fcntl(idle.b.fd, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(idle.b.fd, F_GETFD) == FD_CLOEXEC);
	want(get(small.a.fd, SOL_SOCKET, SO_RCVBUF) == 10000);
	set(idle.b.fd, IPPROTO_TCP, TCP_CORK, 0);
}

/* What was written, and what is written now. */
static void look_at_stream(struct end *from, struct end *to)
{
	read_all(to, from);
	write_some(from, 100000);
	read_all(to, from);
}

static void look_at_halves(void)
{
	want(send(half.a.fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	read_all(&half.b, &half.a);
	want(reads_end(&half.b));
	look_at_stream(&half.b, &half.a);
	must(close(half.b.fd));
	want(reads_end(&half.a));

	read_all(&half_full.b, &half_full.a);
	want(reads_end(&half_full.b));
	look_at_stream(&half_full.b, &half_full.a);

	want(reads_end(&both_half.b));
	read_all(&both_half.a, &both_half.b);
	want(reads_end(&both_half.a));
}

static void look_at_over(void)
{
	read_all(&over.a, &over.b);
	want(reads_end(&over.a));
	want(send(over.a.fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
}

static void look(void)
{
	static struct pair *const open[] = { &idle, &busy, &full, &small, &six, &mapped };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		same_end(&all[i]->a);
		same_end(&all[i]->b);
	}
	look_at_options();
	want(send(slept_in.a.fd, "hello", 5, 0) == 5);
	want(!pthread_join(sleeper, NULL) && !memcmp(heard, "hello", 5));
	for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++) {
		look_at_stream(&open[i]->a, &open[i]->b);
		look_at_stream(&open[i]->b, &open[i]->a);
	}
	look_at_halves();
	look_at_over();
	idle = pair(listening, AF_INET, 0);
	look_at_stream(&idle.a, &idle.b);
}

FACT(set_up, look)
