// SPDX-License-Identifier: GPL-2.0-only
/*
 * hooks 4k|thp none|hooks - has memory it wants left out of snapshots, and hooks around them
 *
 *   SIGUSR1  "state SECRET FILE KEY EINTR": what the secret memory holds (own, zero, else), a private
 *            mapping of a file (own, file, else), and its session key (own, zero, else); how many
 *            calls of its other thread were interrupted
 *   SIGUSR2  the secret memory is no longer marked, or marked again: "marked", "unmarked"
 *   SIGHUP   the hook before a snapshot does not return until the next one: "hangs", "hangs not"
 *   SIGTERM  ends with status 0
 *
 * The hooks say "before" and "after taken|given up|restored"; the session key is zero in between.
 * The secrets are numbers that stand nowhere in the program: mix64(1000000 + i), file 2000000,
 * key 3000000.  Nothing copies them.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include <libckpt.h>

#include "err.h"
#include "work.h"

#define SMALL	(64ul << 10)
#define HUGE	(2ul << 20)
#define FILE_LEN	(16ul << 10)
#define SECRET_SEED	1000000
#define FILE_SEED	2000000
#define KEY_SEED	3000000

static uint64_t *secret, *file;
static size_t secret_len;
static uint64_t key[512] __attribute__((aligned(4096)));
static volatile bool hangs;
static volatile int interrupted;

static void fill(uint64_t *mem, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len / 8; i++)
		mem[i] = mix64(seed + i);
}

static const char *holds(const uint64_t *mem, size_t len, uint64_t seed)
{
	size_t own = 0, zero = 0;

	for (size_t i = 0; i < len / 8; i++) {
		own += mem[i] == mix64(seed + i);
		zero += !mem[i];
	}
	return own == len / 8 ? "own" : zero == len / 8 ? "zero" : "else";
}

static const char *file_holds(void)
{
	const char *bytes = (const char *)file;

	for (size_t i = 0; i < FILE_LEN; i++)
		if (bytes[i] != 'f')
			return holds(file, FILE_LEN, FILE_SEED);
	return "file";
}

/* A multiple of 2 MiB, so that no other mapping is merged with it, nor in its page table. */
static void make_secret(bool thp)
{
	secret_len = thp ? HUGE : SMALL;
	secret = mmap((void *)0x200000000000ul, secret_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (secret == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	advise_huge(secret, secret_len, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	fill(secret, secret_len, SECRET_SEED);
}

static void make_file(void)
{
	static char bytes[FILE_LEN];
	int fd = must(open("mapped", O_RDWR | O_CREAT | O_CLOEXEC, 0600));

	memset(bytes, 'f', sizeof(bytes));
	if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
		die("write: %s", strerror(errno));
	close(fd);
	fd = must(open("mapped", O_RDONLY | O_CLOEXEC));
	file = mmap(NULL, FILE_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	close(fd);
	fill(file, FILE_LEN, FILE_SEED);
}

static void mark(bool marked)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	if (marked && (ckpt_secret(secret, secret_len, &err) || ckpt_secret(file, FILE_LEN, &err)))
		die("%s", err.text);
	if (!marked) {
		must(madvise(secret, secret_len, MADV_DODUMP));
		must(madvise(file, FILE_LEN, MADV_DODUMP));
	}
}

static void before(void *arg)
{
	say("before");
	while (hangs)
		usleep(1000);
	memset(key, 0, sizeof(key));
}

static void after(void *arg, enum ckpt_after what)
{
	static const char * const whats[] = {
		[CKPT_AFTER_TAKEN] = "taken", [CKPT_AFTER_GIVEN_UP] = "given up",
		[CKPT_AFTER_RESTORED] = "restored",
	};

	fill(key, sizeof(key), KEY_SEED);
	say("after %s", whats[what]);
}

/* Waits in calls that a signal would interrupt. */
static void *waits(void *arg)
{
	for (;;)
		if (poll(NULL, 0, 20) < 0)
			interrupted++;
	return NULL;
}

/* What the library has to refuse. */
static void try_what_is_refused(const struct ckpt_hooks *hooks)
{
	void *shared = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ckpt_hooks bad = *hooks;

	if (shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	say("refused %d %d %d %d", ckpt_secret((char *)secret + 8, 4096, NULL),
	    ckpt_secret(shared, SMALL, NULL),
	    ckpt_secret((void *)((uintptr_t)&shared & ~4095ul), 4096, NULL), ckpt_secret(secret, 0, NULL));
	must(munmap(shared, SMALL));
	bad.signal = SIGUSR1;
	say("hooks refused %d %d", ckpt_hooks_stop(NULL), ckpt_hooks_start(&bad, NULL));
}

static void start_hooks(const struct ckpt_hooks *hooks)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	/* Once more, to see that it can be ended and begun again. */
	if (ckpt_hooks_start(hooks, &err) || ckpt_hooks_stop(&err) || ckpt_hooks_start(hooks, &err))
		die("%s", err.text);
	say("twice %d", ckpt_hooks_start(hooks, NULL));
}

int main(int argc, char **argv)
{
	static const struct ckpt_hooks hooks = { .size = sizeof(hooks), .before = before, .after = after };
	bool with_hooks = argc > 2 && !strcmp(argv[2], "hooks"), marked = true;
	pthread_t thread;
	sigset_t set;

	make_secret(argc > 1 && !strcmp(argv[1], "thp"));
	make_file();
	fill(key, sizeof(key), KEY_SEED);
	sigemptyset(&set);
	for (size_t i = 0; i < 4; i++)
		sigaddset(&set, (const int[]){ SIGUSR1, SIGUSR2, SIGHUP, SIGTERM }[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	try_what_is_refused(&hooks);
	mark(true);
	if (with_hooks)
		start_hooks(&hooks);
	if (pthread_create(&thread, NULL, waits, NULL))
		die("no thread");
	say("ready");
	for (;;) {
		int sig = sigwaitinfo(&set, NULL);

		if (sig < 0)
			interrupted++;
		if (sig == SIGUSR1)
			say("state %s %s %s %d", holds(secret, secret_len, SECRET_SEED), file_holds(),
			    holds(key, sizeof(key), KEY_SEED), interrupted);
		if (sig == SIGUSR2) {
			marked = !marked;
			mark(marked);
			say(marked ? "marked" : "unmarked");
		}
		if (sig == SIGHUP) {
			hangs = !hangs;
			say(hangs ? "hangs" : "hangs not");
		}
		if (sig == SIGTERM)
			return with_hooks && ckpt_hooks_stop(NULL) ? 1 : 0;
	}
}
