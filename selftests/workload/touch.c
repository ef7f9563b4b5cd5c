// SPDX-License-Identifier: GPL-2.0-only
/*
 * touch MIB 4k|thp N plain|mixed - changes a little of its memory when told to
 *
 *   SIGUSR1  one round: N pages here and there get a new value; mixed: in some rounds a part of the
 *            memory is also dropped, mapped anew, moved, or written with what it holds already.
 *            "round R"
 *   SIGUSR2  "memory R HASH": a hash of all of it
 *   SIGTERM  ends with status 0
 *
 * What a round does depends on its number alone. Signals are blocked and waited for, so between two
 * of them nothing changes but what the wait itself writes to the stack.
 */
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "work.h"

#define PAGE	4096ul
#define BASE	((char *)0x200000000000ul)
#define PART	16	/* of the memory, for the changes of mixed rounds */

static size_t size;
static uint64_t moves;	/* the last part is there or at its other place */

static char *last_part(void)
{
	return BASE + size - size / PART + (moves % 2 ? size : 0);
}

static char *page_at(uint64_t i)
{
	char *at = BASE + i * PAGE;

	return at < BASE + size - size / PART ? at :
	       last_part() + (at - (BASE + size - size / PART));
}

static void map(char *at, size_t len, bool thp)
{
	if (mmap(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
		die("mmap: %s", strerror(errno));
	advise_huge(at, len, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static void write_some(uint64_t round, long n)
{
	uint64_t pages = size / PAGE;

	/* an odd step comes to every page of a power of two before it comes to one again */
	for (long i = 0; i < n; i++)
		*(volatile uint64_t *)(page_at((mix64(round) + i * 40503ul) % pages) + 64) =
			mix64(round * 1000003 + i);
}

static void mix(uint64_t round, bool thp)
{
	char *part = BASE + mix64(round) % (PART - 1) * (size / PART);

	switch (round % 6) {
	case 1:
		must(madvise(part, size / PART, MADV_DONTNEED));
		break;
	case 2:
		map(part, size / PART, thp);
		memset(part, (int)round, size / PART / 2);
		break;
	case 3:
		for (size_t i = 0; i < size / PART; i += 8)
			*(volatile uint64_t *)(part + i) = *(volatile uint64_t *)(part + i);
		break;
	case 4:
		part = last_part();
		moves++;
		if (mremap(part, size / PART, size / PART, MREMAP_MAYMOVE | MREMAP_FIXED,
			   last_part()) != last_part())
			die("mremap: %s", strerror(errno));
		break;
	}
}

static uint64_t hash(void)
{
	uint64_t h = 0;

	for (uint64_t i = 0; i < size / PAGE; i++)
		for (uint64_t *p = (void *)page_at(i), *end = p + PAGE / 8; p < end; p++)
			h = (h ^ *p) * 0x9e3779b97f4a7c15ul + (h >> 29);
	return h;
}

int main(int argc, char **argv)
{
	long mib = arg_number(argc, argv, 1, 16), n = arg_number(argc, argv, 3, 100);
	bool thp = argc > 2 && !strcmp(argv[2], "thp");
	bool mixed = argc > 4 && !strcmp(argv[4], "mixed");
	uint64_t round = 0;
	sigset_t set;

	if (argc != 5 || !mib || mib & (mib - 1))
		die("usage: touch MIB 4k|thp N plain|mixed (MIB a power of two)");
	size = (size_t)mib << 20;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	map(BASE, size, thp);
	for (uint64_t i = 0; i < size / PAGE; i++)
		for (uint64_t *p = (void *)page_at(i), k = 0; k < PAGE / 8; k++)
			p[k] = k % 16 ? k : mix64(i * 512 + k);
	say("ready");
	for (;;) {
		switch (must(sigwaitinfo(&set, NULL))) {
		case SIGUSR1:
			write_some(++round, n);
			if (mixed)
				mix(round, thp);
			say("round %llu", (unsigned long long)round);
			break;
		case SIGUSR2:
			say("memory %llu %016llx", (unsigned long long)round, (unsigned long long)hash());
			break;
		default:
			return 0;
		}
	}
}
