// SPDX-License-Identifier: GPL-2.0-only
/*
 * pipes [ROUNDS] - pipes both of whose ends the program has
 *
 * One lies still with bytes in it, one is empty and non-blocking (the wake-up pipe of an event loop),
 * one was made larger and is full, one was made larger and is half empty, one smaller, one has its ends
 * several times over. And four threads stream
 * numbers: through a pipe, reader slower than writer, so that it is full most of the time; and through
 * another the other way round. Every byte is checked. Output is the same in every run.
 * kinds: pipe
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>

#include "work.h"

#define BLOCK	(100 * 1024)	/* more than a pipe takes at once, and no multiple of a page */
#define LARGE	(256 * 1024)
#define PAGE	4096

static int still[2], wake[2], large[2], half[2], small[2], twin[2], full[2], empty[2];
static int twin_again;
static long rounds;

static unsigned char byte_at(uint64_t i)
{
	return i * 31 + (i >> 8) * 7 + (i >> 16);
}

/* ---- the ones that lie still ---- */

static void write_large(void)
{
	unsigned char buf[LARGE];

	for (int i = 0; i < LARGE; i++)
		buf[i] = byte_at(i);
	if (must(write(large[1], buf, LARGE)) != LARGE)
		die("the large pipe takes less than it should");
}

/* A non-blocking pipe takes @n bytes. */
static void take(const int *p, int n)
{
	unsigned char page[PAGE] = { 0 };

	for (; n > 0; n -= PAGE)
		if (must(write(p[1], page, PAGE)) != PAGE)
			die("a pipe takes less than it should");
}

/* And then no more. */
static void take_rest(const int *p, int n)
{
	take(p, n);
	if (write(p[1], "x", 1) != -1 || errno != EAGAIN)
		die("a pipe takes more than %d bytes", n);
}

static void set_up(void)
{
	must(pipe(still));
	must(write(still[1], "not read yet", 12));
	must(pipe2(wake, O_NONBLOCK | O_CLOEXEC));
	must(pipe(large));
	must(fcntl(large[1], F_SETPIPE_SZ, LARGE));
	write_large();
	must(pipe2(half, O_NONBLOCK));
	must(fcntl(half[1], F_SETPIPE_SZ, LARGE));
	take(half, LARGE / 2);
	must(pipe2(small, O_NONBLOCK));
	must(fcntl(small[1], F_SETPIPE_SZ, PAGE));
	must(pipe(twin));
	twin_again = must(fcntl(twin[1], F_DUPFD_CLOEXEC, 50));
	must(pipe(full));
	must(pipe(empty));
}

static void check_still(void)
{
	unsigned char buf[LARGE];
	char text[32] = "";
	int n = 0, queued;

	must(ioctl(still[0], FIONREAD, &queued));
	if (queued != 12 || must(read(still[0], text, sizeof(text))) != 12 ||
	    strcmp(text, "not read yet"))
		die("the still pipe holds %d bytes: %s", queued, text);

	if (read(wake[0], text, 1) != -1 || errno != EAGAIN)
		die("the wake-up pipe is not empty or blocks");
	if (must(write(wake[1], "w", 1)) != 1 || must(read(wake[0], text, 1)) != 1)
		die("the wake-up pipe does not work");
	if (fcntl(wake[0], F_GETFD) != FD_CLOEXEC || fcntl(still[0], F_GETFD))
		die("close on exec is not what it was");

	while (n < LARGE)
		n += must(read(large[0], buf + n, LARGE - n));
	for (int i = 0; i < LARGE; i++)
		if (buf[i] != byte_at(i))
			die("byte %d of the large pipe is wrong", i);
	write_large();			/* it still takes that much at once */

	take_rest(half, LARGE / 2);
	take_rest(small, PAGE);

	must(write(twin_again, "t", 1));
	must(close(twin_again));
	must(close(twin[1]));
	if (must(read(twin[0], text, 2)) != 1 || must(read(twin[0], text, 2)) != 0)
		die("a pipe closed on all its numbers does not end");
}

/* ---- the ones that flow ---- */

static void *write_stream(void *arg)
{
	const int *p = arg;
	const struct timespec nap = { .tv_nsec = 3 * NSEC_PER_MSEC };
	unsigned char *buf = malloc(BLOCK);
	uint64_t at = 0;

	for (long r = 0; r < rounds; r++) {
		for (int i = 0; i < BLOCK; i++)
			buf[i] = byte_at(at + i);
		for (int done = 0; done < BLOCK;) {
			ssize_t n = write(p[1], buf + done, BLOCK - done);

			if (n <= 0)
				die("write: %zd, %s", n, strerror(errno));
			done += n;
		}
		at += BLOCK;
		if (p == empty)
			nanosleep(&nap, NULL);
	}
	free(buf);
	return NULL;
}

static void *read_stream(void *arg)
{
	const int *p = arg;
	const struct timespec nap = { .tv_nsec = NSEC_PER_MSEC };
	unsigned char buf[7001];
	uint64_t at = 0;

	while (at < (uint64_t)rounds * BLOCK) {
		ssize_t n = read(p[0], buf, sizeof(buf));

		if (n <= 0)
			die("read: %zd, %s", n, strerror(errno));
		for (int i = 0; i < n; i++)
			if (buf[i] != byte_at(at + i))
				die("byte %llu is wrong: lost or doubled before it",
				    (unsigned long long)at + i);
		if (p == full && at / (BLOCK * 10) != (at + n) / (BLOCK * 10))
			say("%llu blocks", (unsigned long long)(at + n) / BLOCK);
		at += n;
		if (p == full)
			nanosleep(&nap, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	void *(*work[4])(void *) = { write_stream, read_stream, write_stream, read_stream };
	pthread_t threads[4];

	rounds = arg_number(argc, argv, 1, 100);
	set_up();
	say("ready");
	for (int i = 0; i < 4; i++) {
		errno = pthread_create(&threads[i], NULL, work[i], i < 2 ? full : empty);
		if (errno)
			die("pthread_create: %s", strerror(errno));
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	check_still();
	say("all bytes, in order");
	return 0;
}
