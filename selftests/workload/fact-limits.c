// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every limit there is, each below what the program has by then: an open file above the highest number,
 * signals that wait though none may, locked memory, more memory and threads than are allowed.
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "fact-aside.h"

#define HIGH	500
#define PAGE	4096ul

static const rlim_t wanted[RLIM_NLIMITS][2] = {
	[RLIMIT_CPU] = { 90000, 100000 }, [RLIMIT_FSIZE] = { 65536, 1 << 20 },
	[RLIMIT_DATA] = { 4096, 1 << 16 }, [RLIMIT_STACK] = { 1 << 16, 1 << 24 },
	[RLIMIT_CORE] = { 0, 4096 }, [RLIMIT_RSS] = { 1, 2 }, [RLIMIT_NPROC] = { 0, 1 },
	[RLIMIT_NOFILE] = { 3, 64 }, [RLIMIT_MEMLOCK] = { 0, 4096 }, [RLIMIT_AS] = { 4096, 8192 },
	[RLIMIT_LOCKS] = { 7, 8 }, [RLIMIT_SIGPENDING] = { 0, 1 }, [RLIMIT_MSGQUEUE] = { 5, 6 },
	[RLIMIT_NICE] = { 3, 30 }, [RLIMIT_RTPRIO] = { 9, 10 }, [RLIMIT_RTTIME] = { 1 << 30, RLIM_INFINITY },
};

static struct aside other;
static char *locked;

static void nothing(void)
{
}

static void set_up(void)
{
	union sigval v = { .sival_int = 77 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(sigqueue(getpid(), SIGRTMIN + 2, v));
	must(dup2(1, HIGH));
	locked = must(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
	strcpy(locked, "locked");
	aside_begin(&other, nothing, nothing);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		must(setrlimit(i, &(struct rlimit){ wanted[i][0], wanted[i][1] }));
}

static void look(void)
{
	const struct timespec none = { 0 };
	siginfo_t info;
	sigset_t set;
	struct rlimit now;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		must(getrlimit(i, &now));
		if (now.rlim_cur != wanted[i][0] || now.rlim_max != wanted[i][1])
			die("limit %d is %llu, %llu", i, (unsigned long long)now.rlim_cur,
			    (unsigned long long)now.rlim_max);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	want(sigtimedwait(&set, &info, &none) == SIGRTMIN + 2);
	want(info.si_value.sival_int == 77);
	want(fcntl(HIGH, F_GETFD) == 0 && dup(1) == -1 && errno == EMFILE);
	want(!strcmp(locked, "locked"));
	want(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	aside_look(&other);
}

FACT(set_up, look)
