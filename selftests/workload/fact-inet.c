// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets of the network without a connection: TCP listening and not, UDP bound and connected, IPv4 and
 * IPv6, with options; and threads asleep in accept and recvfrom.
 * kinds: socket
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include "asleep.h"
#include "fact.h"

static int listening, listening6, plain, udp, udp6, connected, door;
static volatile int accepted = -1;
static char heard[16];
static pthread_t in_accept, in_recv;
static struct sockaddr_in was, was_udp, was_connected, peer_was, at_door;
static struct sockaddr_in6 was6, was_udp6;

static int bound(int type, struct sockaddr_in *ret)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(*ret);
	int fd = must(socket(AF_INET, type, 0));

	must(bind(fd, (void *)&a, sizeof(a)));
	must(getsockname(fd, (void *)ret, &len));
	return fd;
}

static int bound6(int type, struct sockaddr_in6 *ret)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(*ret);
	const int on = 1;
	int fd = must(socket(AF_INET6, type, 0));

	must(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
	must(bind(fd, (void *)&a, sizeof(a)));
	must(getsockname(fd, (void *)ret, &len));
	return fd;
}

static void *accepts(void *arg)
{
	accepted = accept(door, NULL, NULL);
	return NULL;
}

static void *receives(void *arg)
{
	if (recv(udp6, heard, sizeof(heard), 0) != 5)
		die("recv: %s", strerror(errno));
	return NULL;
}

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

static void set_up(void)
{
	socklen_t len = sizeof(was_connected);

	listening = bound(SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, &was);
	set(listening, SOL_SOCKET, SO_REUSEADDR, 1);
	set(listening, IPPROTO_TCP, TCP_NODELAY, 1);
	set(listening, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set(listening, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3);
	set(listening, IPPROTO_IP, IP_TOS, 0x10);
	must(listen(listening, 17));
	listening6 = bound6(SOCK_STREAM, &was6);
	must(listen(listening6, 3));
	plain = must(socket(AF_INET, SOCK_STREAM, 0));
	set(plain, SOL_SOCKET, SO_RCVBUF, 50000);
	set(plain, SOL_SOCKET, SO_PRIORITY, 5);
	set(plain, SOL_SOCKET, SO_KEEPALIVE, 1);
	udp = bound(SOCK_DGRAM, &was_udp);
	set(udp, SOL_SOCKET, SO_BROADCAST, 1);
	set(udp, IPPROTO_IP, IP_TTL, 9);
	set(udp, IPPROTO_IP, IP_PKTINFO, 1);
	udp6 = bound6(SOCK_DGRAM, &was_udp6);
	connected = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(connect(connected, (void *)&was_udp, sizeof(was_udp)));
	must(getsockname(connected, (void *)&was_connected, &len));
	peer_was = was_udp;
	door = bound(SOCK_STREAM, &at_door);
	must(listen(door, 1));
	want(!pthread_create(&in_accept, NULL, accepts, NULL));
	want(!pthread_create(&in_recv, NULL, receives, NULL));
	wait_asleep(2);
}

static bool is_at(int fd, const void *address, socklen_t size)
{
	struct sockaddr_storage now;
	socklen_t len = sizeof(now);

	return !getsockname(fd, (void *)&now, &len) && len == size && !memcmp(&now, address, size);
}

static int reaches(const void *address, socklen_t size, int family)
{
	int fd = must(socket(family, SOCK_STREAM, 0));

	return connect(fd, address, size) ? -1 : fd;
}

static void look_at_tcp(void)
{
	struct sockaddr_in6 loopback = was6;
	int fd;

	want(is_at(listening, &was, sizeof(was)) && is_at(listening6, &was6, sizeof(was6)));
	want(fcntl(listening, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(listening, F_GETFD) == FD_CLOEXEC);
	want(get(listening, SOL_SOCKET, SO_ACCEPTCONN) == 1 && get(plain, SOL_SOCKET, SO_ACCEPTCONN) == 0);
	want(get(listening, SOL_SOCKET, SO_REUSEADDR) == 1 && get(listening, IPPROTO_TCP, TCP_NODELAY) == 1);
	want(get(listening, IPPROTO_TCP, TCP_KEEPIDLE) == 77 && get(listening, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 3);
	want(get(listening, IPPROTO_IP, IP_TOS) == 0x10 && get(listening, SOL_SOCKET, SO_PRIORITY) == 6);
	want(get(listening6, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
	loopback.sin6_addr = in6addr_loopback;
	want(reaches(&loopback, sizeof(loopback), AF_INET6) >= 0 && accept(listening6, NULL, NULL) >= 0);
	want(get(plain, SOL_SOCKET, SO_RCVBUF) == 100000 && get(plain, SOL_SOCKET, SO_PRIORITY) == 5);
	want(get(plain, SOL_SOCKET, SO_KEEPALIVE) == 1);
	fd = reaches(&at_door, sizeof(at_door), AF_INET);
	want(fd >= 0 && !pthread_join(in_accept, NULL) && accepted >= 0);
}

static void look_at_udp(void)
{
	struct sockaddr_in from;
	struct sockaddr_in6 to = was_udp6;
	socklen_t len = sizeof(from);
	char buf[16];

	want(is_at(udp, &was_udp, sizeof(was_udp)) && is_at(connected, &was_connected, sizeof(was_connected)));
	want(get(udp, SOL_SOCKET, SO_BROADCAST) == 1 && get(udp, IPPROTO_IP, IP_TTL) == 9);
	want(get(udp, IPPROTO_IP, IP_PKTINFO) == 1 && get(connected, IPPROTO_IP, IP_TTL) == 64);
	want(!getpeername(connected, (void *)&from, &len) && !memcmp(&from, &peer_was, sizeof(from)));
	want(send(connected, "datagram", 8, 0) == 8);
	len = sizeof(from);
	want(recvfrom(udp, buf, sizeof(buf), 0, (void *)&from, &len) == 8 && !memcmp(buf, "datagram", 8));
	want(from.sin_port == was_connected.sin_port);
	to.sin6_addr = in6addr_loopback;
	want(sendto(udp6, "hello", 5, 0, (void *)&to, sizeof(to)) == 5);
	want(!pthread_join(in_recv, NULL) && !memcmp(heard, "hello", 5));
}

static void look(void)
{
	look_at_tcp();
	look_at_udp();
}

FACT(set_up, look)
