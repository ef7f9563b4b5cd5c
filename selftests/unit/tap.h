/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tap.h - the little that tests of plain functions need: TAP out, each test in its own process
 * (so a crash, a leak found at exit or a limit set for it is that test's alone), a printed seed.
 *
 * Environment: CKPT_SEED=N repeats a run; CKPT_FULL=1 asks for large counts.
 */
#ifndef UNIT_TAP_H
#define UNIT_TAP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAP_SKIP	4

#ifdef __SANITIZE_ADDRESS__
#define TAP_SANITIZED	1
#else
#define TAP_SANITIZED	0
#endif

struct tap_test {
	const char	*name;
	void		(*run)(void);
};

#define REQUIRE(cond)								\
	do {									\
		if (!(cond)) {							\
			printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
			fflush(stdout);						\
			_exit(1);						\
		}								\
	} while (0)

#define REQUIRE_EQ(a, b)							\
	do {									\
		long long a_ = (long long)(a), b_ = (long long)(b);		\
		if (a_ != b_) {							\
			printf("# %s:%d: %s is %lld, not %s (%lld)\n", __FILE__, __LINE__, \
			       #a, a_, #b, b_);					\
			fflush(stdout);						\
			_exit(1);						\
		}								\
	} while (0)

/* A library call that has to succeed; E is its struct ckpt_err. */
#define REQUIRE_OK(call, e)							\
	do {									\
		int ret_ = (call);						\
		if (ret_) {							\
			printf("# %s:%d: %s: %d: %s\n", __FILE__, __LINE__, #call, ret_, \
			       (e).text);					\
			fflush(stdout);						\
			_exit(1);						\
		}								\
	} while (0)

#define SKIP(reason)								\
	do {									\
		printf("# skip: %s\n", reason);					\
		fflush(stdout);							\
		_exit(TAP_SKIP);						\
	} while (0)

static uint64_t tap_random_state;

/* splitmix64 */
static inline uint64_t rnd(void)
{
	uint64_t z = (tap_random_state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline uint64_t rnd_below(uint64_t n)
{
	return rnd() % n;
}

/* A child that does not outlive its test, and does not print the test's output again. */
static inline pid_t tap_fork(void)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

/* @few for each change, @many when asked for full counts; sanitized code gets a quarter. */
static inline unsigned int tap_count(unsigned int few, unsigned int many)
{
	unsigned int n = getenv("CKPT_FULL") ? many : few;

	return TAP_SANITIZED ? n / 4 + 1 : n;
}

static inline int tap_main(const struct tap_test *tests, size_t n)
{
	const char *env = getenv("CKPT_SEED");
	uint64_t seed = 0;
	int failed = 0;

	if (env)
		seed = strtoull(env, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return 1;
	printf("TAP version 13\n1..%zu\n# CKPT_SEED=0x%llx\n", n, (unsigned long long)seed);
	for (size_t i = 0; i < n; i++) {
		int status;
		pid_t pid;

		pid = tap_fork();
		if (!pid) {
			tap_random_state = seed + i;
			tests[i].run();
			exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return 1;
		if (WIFEXITED(status) && WEXITSTATUS(status) == TAP_SKIP) {
			printf("ok %zu %s # SKIP\n", i + 1, tests[i].name);
			continue;
		}
		if (WIFSIGNALED(status))
			printf("# killed by signal %d\n", WTERMSIG(status));
		printf("%sok %zu %s\n", status ? "not " : "", i + 1, tests[i].name);
		failed |= status;
	}
	return failed ? 1 : 0;
}

#define TAP_MAIN(tests)								\
	int main(void)								\
	{									\
		return tap_main(tests, sizeof(tests) / sizeof((tests)[0]));	\
	}

#endif
