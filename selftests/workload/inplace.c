// SPDX-License-Identifier: GPL-2.0-only
/*
 * inplace write|map FILE KIB - changes a file in place when told to, and knows what it holds
 *
 *   SIGUSR1  one round: some cells of the file get a new value. "round R"
 *   SIGUSR2  "file R HASH": a hash of all of it
 *   SIGTERM  ends with status 0
 *
 * At each of these it first reads the whole file and holds it against its memory.  Its middle third is
 * never written: a hole.  With "map" it writes through a shared mapping and the descriptor is closed.
 * kinds: file
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "work.h"

#define CELLS	200	/* a round */

static const char *path;
static size_t size;
static char *memory;
static char *mapped;
static int file = -1;

static void check(void)
{
	int fd = must(open(path, O_RDONLY));
	char *now = malloc(size);
	struct stat st;

	must(fstat(fd, &st));
	if ((size_t)st.st_size != size || pread(fd, now, size, 0) != (ssize_t)size)
		die("%s has %lld bytes, not %zu", path, (long long)st.st_size, size);
	for (size_t i = 0; i < size; i++)
		if (now[i] != memory[i])
			die("%s: byte %zu is %d, not %d", path, i, now[i], memory[i]);
	if (mapped && memcmp(mapped, memory, size))
		die("%s is not what is mapped", path);
	free(now);
	close(fd);
}

static void change(uint64_t round)
{
	for (uint64_t i = 0; i < CELLS; i++) {
		uint64_t value = mix64(round * CELLS + i), at = mix64(value) % (size / 8) * 8;

		if (at >= size / 3 && at < size / 3 * 2)
			continue;
		memcpy(memory + at, &value, sizeof(value));
		if (mapped)
			memcpy(mapped + at, &value, sizeof(value));
		else if (pwrite(file, &value, sizeof(value), at) != sizeof(value))
			die("%s: %s", path, strerror(errno));
	}
}

static uint64_t hash(void)
{
	uint64_t h = 1;

	for (size_t i = 0; i < size / 8; i++)
		h = mix64(h ^ ((uint64_t *)memory)[i]);
	return h;
}

int main(int argc, char **argv)
{
	unsigned long round = 0;
	sigset_t set;
	int sig;

	if (argc != 4)
		die("usage: inplace write|map FILE KIB");
	path = argv[2];
	size = arg_number(argc, argv, 3, 0) * 1024 - 1000;	/* not whole pages, and of 8 bytes */
	memory = calloc(1, size);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	file = must(open(path, O_RDWR | O_CREAT | O_TRUNC, 0640));
	must(ftruncate(file, size));
	if (!strcmp(argv[1], "map")) {
		mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		if (mapped == MAP_FAILED)
			die("mmap: %s", strerror(errno));
		close(file);
	}
	change(round);
	say("ready");
	for (;;) {
		if (sigwait(&set, &sig))
			die("sigwait");
		check();
		if (sig == SIGTERM)
			return 0;
		if (sig == SIGUSR1) {
			change(++round);
			say("round %lu", round);
		} else {
			say("file %lu %016llx", round, (unsigned long long)hash());
		}
	}
}
