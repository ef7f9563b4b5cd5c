// SPDX-License-Identifier: GPL-2.0-only
/*
 * forkcmp MIB [4k|thp] - memory of a known size, and what fork() of it costs
 *
 * Touches MIB MiB, says "ready" and then answers signals, one line each:
 *   SIGUSR1  write every page anew, then fork; "fork_ns N": time until fork() returned in the parent
 *   SIGUSR2  write every page anew; "written"
 *   SIGTERM  end with status 0
 * Pages are written before the fork because fork and snapshot alike leave them write-protected, and the
 * next of either would find its work half done.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "work.h"

static void write_all(char *p, size_t len, int round)
{
	for (size_t at = 0; at < len; at += 4096)
		*(volatile uint64_t *)(p + at) = mix64(at + round);
}

static uint64_t time_fork(void)
{
	uint64_t begin = now_ns(CLOCK_MONOTONIC), took;
	int status;
	pid_t pid = must(fork());

	if (!pid)
		_exit(0);
	took = now_ns(CLOCK_MONOTONIC) - begin;
	must(waitpid(pid, &status, 0));
	return took;
}

int main(int argc, char **argv)
{
	size_t len = arg_number(argc, argv, 1, 64) << 20;
	int thp = argc > 2 && !strcmp(argv[2], "thp"), sig, round = 0;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigset_t set;

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	must(madvise(p, len, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	write_all(p, len, round++);
	say("ready");
	while (!sigwait(&set, &sig) && sig != SIGTERM) {
		write_all(p, len, round++);
		if (sig == SIGUSR1)
			say("fork_ns %llu", (unsigned long long)time_fork());
		else
			say("written");
	}
	return 0;
}
