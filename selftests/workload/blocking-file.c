// SPDX-License-Identifier: GPL-2.0-only
/* Calls that wait on a descriptor: pipes, events, notifications, terminals, and sets of them. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>

#include "blocking.h"

static void setup_pipe(struct seat *s)
{
	must(pipe2(s->fd, O_CLOEXEC));
}

/* One byte a round, its value the round's. */
static void serve_byte(struct seat *s)
{
	char byte = atomic_load(&s->open);

	if (write(s->fd[1], &byte, 1) != 1)
		wrong(s, "serving: %s", strerror(errno));
}

static void take_byte(struct seat *s)
{
	char byte = 0;
	ssize_t n = read(s->fd[0], &byte, 1);

	if (n != 1 || byte != (char)s->round)
		wrong(s, "%zd, %s, byte %d in round %d", n, strerror(errno), byte, s->round);
}

/* ---- 1 MiB into a pipe that takes 64 KiB ---- */

static unsigned char pattern(size_t i, int round)
{
	return (unsigned char)(i * 31 + (i >> 12) + round);
}

static void block_write_big(struct seat *s)
{
	unsigned char *buf = malloc(BIG);
	size_t done = 0;

	for (size_t i = 0; i < BIG; i++)
		buf[i] = pattern(i, s->round);
	/* a short count is lawful, an error is not */
	while (done < BIG) {
		ssize_t n = write(s->fd[1], buf + done, BIG - done);

		if (n <= 0)
			wrong(s, "%zd after %zu bytes, %s", n, done, strerror(errno));
		done += n;
	}
	free(buf);
}

static void serve_read_big(struct seat *s)
{
	unsigned char buf[3000];
	size_t done = 0;

	while (done < BIG) {
		size_t want = BIG - done < sizeof(buf) ? BIG - done : sizeof(buf);
		ssize_t n = read(s->fd[0], buf, want);

		if (n <= 0)
			wrong(s, "reading: %zd, %s", n, strerror(errno));
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != pattern(done + i, atomic_load(&s->open)))
				wrong(s, "byte %zu is wrong: lost or doubled before it", done + i);
		done += n;
	}
}

/* The byte goes to nowhere; that it went is the fact. */
static void block_splice(struct seat *s)
{
	int sink = must(open("/dev/null", O_WRONLY | O_CLOEXEC));
	ssize_t n = splice(s->fd[0], NULL, sink, NULL, 1, 0);

	if (n != 1)
		wrong(s, "%zd, %s", n, strerror(errno));
	close(sink);
}

/* ---- events ---- */

static void setup_eventfd(struct seat *s)
{
	s->fd[0] = must(eventfd(0, EFD_CLOEXEC));
}

static void serve_eventfd(struct seat *s)
{
	uint64_t n = 100 + atomic_load(&s->open);

	if (write(s->fd[0], &n, 8) != 8)
		wrong(s, "serving: %s", strerror(errno));
}

static void block_eventfd(struct seat *s)
{
	uint64_t got = 0;
	ssize_t n = read(s->fd[0], &got, 8);

	if (n != 8 || got != 100ul + s->round)
		wrong(s, "%zd, %s, value %llu", n, strerror(errno), (unsigned long long)got);
}

static void setup_timerfd(struct seat *s)
{
	s->fd[0] = must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
}

static void block_timerfd(struct seat *s)
{
	struct itimerspec its = { .it_value = ns_to_timespec(WAIT_NS) };
	uint64_t begin = mono(), got = 0;
	ssize_t n;

	must(timerfd_settime(s->fd[0], 0, &its, NULL));
	n = read(s->fd[0], &got, 8);
	seat_timed_out(s, n == 8 && got == 1, begin);
}

static void setup_inotify(struct seat *s)
{
	must(mkdir("watched", 0700));
	s->fd[0] = must(inotify_init1(IN_CLOEXEC));
	must(inotify_add_watch(s->fd[0], "watched", IN_CREATE));
}

static void serve_inotify(struct seat *s)
{
	close(must(open("watched/file", O_CREAT | O_WRONLY, 0600)));
	must(unlink("watched/file"));
}

static void block_inotify(struct seat *s)
{
	char buf[sizeof(struct inotify_event) + NAME_MAX + 1] = "";
	struct inotify_event *e = (void *)buf;
	ssize_t n = read(s->fd[0], buf, sizeof(buf));

	if (n < (ssize_t)sizeof(*e) || strcmp(e->name, "file"))
		wrong(s, "%zd, %s", n, strerror(errno));
}

/* ---- waiting for a set ---- */

static void setup_epoll(struct seat *s)
{
	struct epoll_event e = { .events = EPOLLIN };
	int pair[2];

	must(pipe2(pair, O_CLOEXEC));
	s->id = pair[0];
	s->fd[1] = pair[1];
	s->fd[0] = must(epoll_create1(EPOLL_CLOEXEC));
	e.data.u64 = 77;
	must(epoll_ctl(s->fd[0], EPOLL_CTL_ADD, s->id, &e));
}

static void block_epoll(struct seat *s)
{
	struct epoll_event e;
	char byte;
	int n = epoll_wait(s->fd[0], &e, 1, -1);

	if (n != 1 || e.data.u64 != 77)
		wrong(s, "%d, %s", n, strerror(errno));
	if (read(s->id, &byte, 1) != 1 || byte != (char)s->round)
		wrong(s, "the byte is not there");
}

static void block_epoll_timeout(struct seat *s)
{
	struct epoll_event e;
	uint64_t begin = mono();

	seat_timed_out(s, epoll_wait(s->fd[0], &e, 1, WAIT_MS) == 0, begin);
}

static void block_epoll_mask(struct seat *s)
{
	struct epoll_event e;
	uint64_t begin = mono();
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGUSR1);
	seat_timed_out(s, epoll_pwait(s->fd[0], &e, 1, WAIT_MS, &set) == 0, begin);
	seat_expect_mask(s);
}

static void block_poll_timeout(struct seat *s)
{
	struct pollfd p = { .fd = s->fd[0], .events = POLLIN };
	uint64_t begin = mono();

	seat_timed_out(s, poll(&p, 1, WAIT_MS) == 0, begin);
}

static void block_poll_infinite(struct seat *s)
{
	struct pollfd p = { .fd = s->fd[0], .events = POLLIN };
	int n = poll(&p, 1, -1);

	if (n != 1 || p.revents != POLLIN)
		wrong(s, "%d, %s", n, strerror(errno));
	take_byte(s);
}

static void block_select_infinite(struct seat *s)
{
	fd_set set;
	int n;

	FD_ZERO(&set);
	FD_SET(s->fd[0], &set);
	n = select(s->fd[0] + 1, &set, NULL, NULL, NULL);
	if (n != 1 || !FD_ISSET(s->fd[0], &set))
		wrong(s, "%d, %s", n, strerror(errno));
	take_byte(s);
}

/* ---- by name ---- */

static void setup_fifo(struct seat *s)
{
	must(mkfifo("fifo", 0600));
}

static void block_open_fifo(struct seat *s)
{
	int fd = open("fifo", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		wrong(s, "%s", strerror(errno));
	close(fd);
}

static void serve_open_fifo(struct seat *s)
{
	/* ENXIO: nobody is waiting on the other side yet */
	while (!seat_done(s)) {
		int fd = open("fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
		usleep(1000);
	}
}

static void setup_tty(struct seat *s)
{
	struct termios raw;
	char name[64];

	s->fd[1] = must(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	must(grantpt(s->fd[1]));
	must(unlockpt(s->fd[1]));
	must(ptsname_r(s->fd[1], name, sizeof(name)) ? -1 : 0);
	s->fd[0] = must(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
	must(tcgetattr(s->fd[0], &raw));
	cfmakeraw(&raw);
	must(tcsetattr(s->fd[0], TCSANOW, &raw));
}

const struct kind file_kinds[] = {
	{ "read of an empty pipe", true, false, setup_pipe, take_byte, serve_byte },
	{ "write of 1 MiB to a full pipe", true, false, setup_pipe, block_write_big,
	  serve_read_big },
	{ "splice from an empty pipe", true, false, setup_pipe, block_splice, serve_byte },
	{ "eventfd", false, false, setup_eventfd, block_eventfd, serve_eventfd },
	{ "timerfd", false, false, setup_timerfd, block_timerfd },
	{ "inotify", false, false, setup_inotify, block_inotify, serve_inotify },
	{ "epoll_wait", false, false, setup_epoll, block_epoll, serve_byte },
	{ "epoll_wait with timeout", false, false, setup_epoll, block_epoll_timeout },
	{ "epoll_pwait with a mask", false, false, setup_epoll, block_epoll_mask },
	{ "poll of a pipe", true, false, setup_pipe, block_poll_infinite, serve_byte },
	{ "poll of a pipe with timeout", true, false, setup_pipe, block_poll_timeout },
	{ "select of a pipe", true, false, setup_pipe, block_select_infinite, serve_byte },
	{ "open of a fifo", false, false, setup_fifo, block_open_fifo, serve_open_fifo },
	{ "read of a terminal", false, false, setup_tty, take_byte, serve_byte },
	{ NULL }
};
