// SPDX-License-Identifier: GPL-2.0-only
/*
 * target FIFO MIB 4k|thp [N [half]] - a program to be measured: memory of a known size, never at rest
 *
 * Touches MIB MiB, then reads the clock over and over and remembers the longest time between two
 * readings: what stopped it, and for how long, as the program itself sees it.  With "half", half of each
 * page is what does not compress; else nearly all is zeros.  Answers signals, each
 * with a line in FIFO, which is open only meanwhile (an open pipe would be part of a snapshot):
 *
 *   SIGUSR1  forks; "fork N": nanoseconds until fork() returned here
 *   SIGUSR2  writes every page anew; "written", and the search for the longest gap begins anew
 *   SIGWINCH writes to N pages here and there (1000); "touched NANOSECONDS FAULTS"
 *   SIGHUP   "gap N": the longest so far, nanoseconds
 *   SIGTERM  ends with status 0
 *
 * A fork, and a snapshot, leave pages write-protected: without new writes in between the next of
 * either finds its work half done.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../selftests/workload/work.h"

#define PAGE	4096

static volatile sig_atomic_t command;

static void on_signal(int sig)
{
	command = sig;
}

/* Returns the time just before the line could be read: what comes after may be a pause already. */
static __attribute__((format(printf, 2, 3))) uint64_t answer(const char *fifo, const char *fmt, ...)
{
	int fd = must(open(fifo, O_WRONLY | O_CLOEXEC));
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	va_list ap;

	va_start(ap, fmt);
	work_vsay(fd, fmt, ap);
	va_end(ap);
	close(fd);
	return now;
}

static void write_all(char *p, size_t len)
{
	static uint64_t round;

	for (size_t at = 0; at < len; at += PAGE)
		*(volatile uint64_t *)(p + at) = mix64(at + round);
	round++;
}

static void fill_half(char *p, size_t len)
{
	for (size_t at = 0; at < len; at += PAGE)
		for (size_t i = PAGE / 2; i < PAGE; i += 8)
			*(uint64_t *)(p + at + i) = mix64(at + i);
}

static uint64_t time_fork(void)
{
	uint64_t begin = now_ns(CLOCK_MONOTONIC), took;
	pid_t pid = must(fork());
	int status;

	if (!pid)
		_exit(0);
	took = now_ns(CLOCK_MONOTONIC) - begin;
	must(waitpid(pid, &status, 0));
	return took;
}

/* Each time other pages; no page twice in a row of calls, as far as there are enough. */
static uint64_t touch(const char *fifo, char *p, size_t len, long nr)
{
	static uint64_t next;
	uint64_t pages = len / PAGE, begin, took;
	struct rusage before, after;

	must(getrusage(RUSAGE_THREAD, &before));
	begin = now_ns(CLOCK_MONOTONIC);
	/* 40503 is odd: it comes to every page of a power of two before it comes to one again. */
	for (long i = 0; i < nr; i++)
		*(volatile uint64_t *)(p + next++ * 40503 % pages * PAGE + 64) = begin + i;
	took = now_ns(CLOCK_MONOTONIC) - begin;
	must(getrusage(RUSAGE_THREAD, &after));
	return answer(fifo, "touched %llu %ld", (unsigned long long)took,
		      after.ru_minflt - before.ru_minflt);
}

static void listen_to(int sig)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	must(sigaction(sig, &sa, NULL));
}

static uint64_t obey(const char *fifo, int sig, char *p, size_t len, long nr, uint64_t *gap)
{
	switch (sig) {
	case SIGUSR1:
		return answer(fifo, "fork %llu", (unsigned long long)time_fork());
	case SIGUSR2:
		write_all(p, len);
		*gap = 0;
		return answer(fifo, "written");
	case SIGWINCH:
		return touch(fifo, p, len, nr);
	case SIGHUP:
		return answer(fifo, "gap %llu", (unsigned long long)*gap);
	default:
		_exit(0);
	}
}

int main(int argc, char **argv)
{
	size_t len = (size_t)arg_number(argc, argv, 2, 64) << 20;
	long nr = arg_number(argc, argv, 4, 1000);
	uint64_t last, now, gap = 0;
	char *p;

	if (argc < 4)
		die("usage: target FIFO MIB 4k|thp [N [half]]");
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	must(madvise(p, len, strcmp(argv[3], "thp") ? MADV_NOHUGEPAGE : MADV_HUGEPAGE));
	listen_to(SIGUSR1);
	listen_to(SIGUSR2);
	listen_to(SIGHUP);
	listen_to(SIGWINCH);
	listen_to(SIGTERM);
	write_all(p, len);
	if (argc > 5 && !strcmp(argv[5], "half"))
		fill_half(p, len);
	last = answer(argv[1], "ready");

	for (;;) {
		now = now_ns(CLOCK_MONOTONIC);
		if (now - last > gap)
			gap = now - last;
		last = now;
		*(volatile uint64_t *)p = now;
		if (command) {
			int sig = command;

			command = 0;
			last = obey(argv[1], sig, p, len, nr, &gap);
		}
	}
}
