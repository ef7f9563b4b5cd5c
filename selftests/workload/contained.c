// SPDX-License-Identifier: GPL-2.0-only
/*
 * contained FILE - a program whose answer depends on every file it maps
 *
 *   SIGUSR1  one round. "round R"
 *   SIGTERM  "answer R HASH", and ends with status 0
 *
 * The answer takes code it has not run before, of its own and of its library, in pages of their own, and
 * bytes of FILE it has not looked at: they come from the files when it is asked for.  FILE is mapped
 * private, and shared by a descriptor for reading, which stays open.  Built with another VERSION, program
 * and library are other files with another answer.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "contained.h"
#include "work.h"

const char own_padding[VERSION * 40000] = { VERSION };

static __attribute__((noinline, aligned(4096))) uint64_t finish(uint64_t h)
{
	for (int i = 0; i < VERSION * 3; i++)
		h = mix64(h ^ (uint64_t)own_padding[i * 1000]);
	return mix64(h + VERSION);
}

static uint64_t add_up(uint64_t h, const unsigned char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = mix64(h ^ at[i]);
	return h;
}

int main(int argc, char **argv)
{
	const unsigned char *own, *shared;
	unsigned long round = 0;
	uint64_t h = 1;
	struct stat st;
	sigset_t set;
	int fd, sig;

	if (argc != 2)
		die("usage: contained FILE");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = must(open(argv[1], O_RDONLY | O_NONBLOCK));
	must(fstat(fd, &st));
	own = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	shared = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (own == MAP_FAILED || shared == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	say("ready");
	for (;;) {
		if (sigwait(&set, &sig))
			die("sigwait");
		if (sig == SIGTERM)
			break;
		h = contained_round(h + round);
		say("round %lu", ++round);
	}
	h = contained_finish(finish(h));
	h = add_up(add_up(h, own, st.st_size), shared, st.st_size);
	if (lseek(fd, 0, SEEK_END) != st.st_size || !(fcntl(fd, F_GETFL) & O_NONBLOCK))
		die("the descriptor leads to another file, or has other flags");
	say("answer %lu %016llx", round, (unsigned long long)h);
	return 0;
}
