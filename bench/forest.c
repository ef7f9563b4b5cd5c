// SPDX-License-Identifier: GPL-2.0-only
/*
 * forest FIFO N MIB - N processes for bench/tree: one, and its N - 1 children.
 *
 * Each has MIB of memory of its own, written to, and of all pipes by which it is asked and answers those
 * that it inherited: what processes of one program that forks have in common.  By SIGUSR1 each in turn
 * writes its memory anew and forks; the first one writes "fork NANOSECONDS" to the FIFO, the sum of what
 * their forks took.  "ready" is the first line.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST	200

static char *mem;
static size_t bytes;

static void __attribute__((noreturn)) die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t fork_ns(void)
{
	uint64_t begin, ns;
	pid_t pid;

	for (size_t i = 0; i < bytes; i += 4096)
		mem[i]++;
	begin = now_ns();
	pid = fork();
	if (!pid)
		_exit(0);
	ns = now_ns() - begin;
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("fork");
	return ns;
}

static void take_memory(void)
{
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED || madvise(mem, bytes, MADV_NOHUGEPAGE))
		die("memory");
	for (size_t i = 0; i < bytes; i += 4096)
		memset(mem + i, (int)(i / 4096) | 1, 4096);
}

static void serve(int ask, int answer)
{
	uint64_t ns;
	char letter;

	take_memory();
	ns = 0;
	if (write(answer, &ns, sizeof(ns)) != sizeof(ns))
		die("answer");
	while (read(ask, &letter, 1) == 1) {
		ns = fork_ns();
		if (write(answer, &ns, sizeof(ns)) != sizeof(ns))
			die("answer");
	}
	_exit(0);
}

static uint64_t hear(int answer)
{
	uint64_t ns;

	if (read(answer, &ns, sizeof(ns)) != sizeof(ns))
		die("answer");
	return ns;
}

static void say(int fifo, const char *word, uint64_t number)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%s %llu\n", word, (unsigned long long)number);

	if (write(fifo, line, (size_t)len) != len)
		die("fifo");
}

int main(int argc, char **argv)
{
	int ask[MOST][2], answer[MOST][2], nr, fifo;
	sigset_t usr1;

	if (argc != 4)
		return 2;
	nr = atoi(argv[2]);
	bytes = (size_t)atoi(argv[3]) << 20;
	if (nr < 1 || nr > MOST)
		return 2;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	for (int i = 1; i < nr; i++) {
		if (pipe(ask[i]) || pipe(answer[i]))
			die("pipe");
		if (!fork())
			serve(ask[i][0], answer[i][1]);
		hear(answer[i][0]);
	}
	take_memory();
	for (const char *word = "ready";; word = "fork") {
		uint64_t ns = strcmp(word, "ready") ? fork_ns() : 0;

		for (int i = 1; strcmp(word, "ready") && i < nr; i++) {
			if (write(ask[i][1], "?", 1) != 1)
				die("ask");
			ns += hear(answer[i][0]);
		}
		/* Open for the time of a line alone: CRIU dumps no named pipe with an end outside. */
		fifo = open(argv[1], O_WRONLY);
		if (fifo < 0)
			die(argv[1]);
		say(fifo, word, ns);
		close(fifo);
		while (sigwaitinfo(&usr1, NULL) < 0 && errno == EINTR)
			;
	}
}
