/* SPDX-License-Identifier: GPL-2.0-only */
/* Storms that the program makes itself, a thread each. Each checks what it does, and counts it. */
#ifndef STRESS_INSIDE_H
#define STRESS_INSIDE_H

#include "witness.h"

enum {
	BIRTHS, MAPS, HUGE_PAGES, MERGING, COMPACTION, MOVES, SWAPPING, PROCESSORS, GROUP_FREEZE,
	STOPS, TRACER, UNLOADING, KILLED, DEATHS, PRESSURE, NR_STORMS,
};

static inline bool blows(const struct view *v, unsigned int storm)
{
	return v->storms >> storm & 1;
}

static inline void happened(struct view *v, unsigned int storm)
{
	add(&v->events[storm], 1);
}

/* ---- processes and threads that are born and die, and programs that are executed ---- */

#define EXEC_ENV	"CKPT_STRESS_EXEC"
#define EXEC_STATUS	7

/* Runs before main() in the program that was executed. */
static __attribute__((constructor)) void executed(void)
{
	if (getenv(EXEC_ENV))
		_exit(EXEC_STATUS);
}

static void *short_life(void *arg)
{
	add(arg, 1);
	return NULL;
}

static inline void child_ends_with(struct view *v, pid_t pid, int want)
{
	int status;

	/* wait4 is never seen to be interrupted: it begins anew by itself. */
	if (waitpid(pid, &status, 0) != pid)
		fault(v, "waitpid: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != want)
		fault(v, "child: status %#x, want exit %d", status, want);
}

/* What parent and child write is their own. */
static inline void fork_and_write(struct view *v, char *mem, size_t len, unsigned int n)
{
	pid_t pid;

	fill(mem, len, n);
	pid = must(fork());
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!is_filled(mem, len, n))
			_exit(1);
		fill(mem, len, n + 1);
		_exit(is_filled(mem, len, n + 1) ? 0 : 2);
	}
	if (!is_filled(mem, len, n))
		fault(v, "fork: the parent's memory has changed");
	fill(mem, len, n + 2);
	child_ends_with(v, pid, 0);
	if (!is_filled(mem, len, n + 2))
		fault(v, "fork: what the parent wrote has changed");
}

static inline void births(struct view *v)
{
	static char *argv[] = { "exec", NULL }, *envp[] = { EXEC_ENV "=1", NULL };
	size_t len = 16 * PAGE;
	char *mem = anon_memory(len);
	volatile uint64_t lives;
	pthread_t t[4];
	unsigned int n;
	pid_t pid;
	int i;

	for (n = 1; !v->stop; n++) {
		fork_and_write(v, mem, len, n & 0xfff);
		pid = vfork();
		if (!pid) {
			execve("/proc/self/exe", argv, envp);
			_exit(1);
		}
		child_ends_with(v, pid, EXEC_STATUS);
		lives = 0;
		for (i = 0; i < 4; i++)
			begin(&t[i], short_life, (long)&lives);
		for (i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
		if (lives != 4)
			fault(v, "%d of 4 threads lived", (int)lives);
		happened(v, BIRTHS);
	}
}

/* ---- mappings ---- */

static inline void expect(struct view *v, bool good, const char *what)
{
	if (!good)
		fault(v, "%s", what);
}

static inline bool is_zero(const char *p, size_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

/* After MADV_FREE a page has its bytes, or none. */
static inline bool kept_or_zero(const char *p, size_t len, unsigned int n)
{
	char *want = anon_memory(len);
	bool good = true;
	size_t at;

	fill(want, len, n);
	for (at = 0; at < len && good; at += PAGE)
		good = is_zero(p + at, PAGE) || !memcmp(p + at, want + at, PAGE);
	munmap(want, len);
	return good;
}

static inline void maps(struct view *v)
{
	size_t len = 32 * PAGE;
	unsigned int n;
	char *p;

	for (n = 1; !v->stop; n = (n + 1) & 0xfff) {
		p = anon_memory(len);
		expect(v, is_zero(p, len), "new memory is not zero");
		fill(p, len, n);
		must(mprotect(p + 4 * PAGE, 8 * PAGE, PROT_READ));
		must(mprotect(p + 8 * PAGE, 8 * PAGE, PROT_NONE));
		must(mprotect(p, len, PROT_READ | PROT_WRITE));
		expect(v, is_filled(p, len, n), "mprotect changed memory");
		madvise(p, len, MADV_COLD);
		madvise(p, len, MADV_PAGEOUT);
		expect(v, is_filled(p, len, n), "advice changed memory");
		fill(p, len, n + 1);
		p = must(mremap(p, len, 2 * len, MREMAP_MAYMOVE));
		expect(v, is_filled(p, len, n + 1) && is_zero(p + len, len), "mremap changed memory");
		must(munmap(p + len, len));
		must(madvise(p, len, MADV_FREE));
		expect(v, kept_or_zero(p, len, n + 1), "MADV_FREE left something else");
		fill(p, len, n + 2);
		expect(v, is_filled(p, len, n + 2), "a write after MADV_FREE was lost");
		must(madvise(p, len, MADV_DONTNEED));
		expect(v, is_zero(p, len), "MADV_DONTNEED left something");
		fill(p, len / 2, n);
		must(munmap(p, len));
		happened(v, MAPS);
	}
}

/* ---- huge pages: made by khugepaged and by MADV_COLLAPSE, split by advice for a part ---- */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static inline void huge_pages(struct view *v)
{
	char *own = aligned_memory(HUGE), *writers = (char *)v->mem[1];
	unsigned int n;

	must(madvise(own, HUGE, MADV_HUGEPAGE));
	for (n = 1; !v->stop; n = (n + 1) & 0xfff) {
		size_t part = n % 500 * PAGE;

		fill(own, HUGE, n);
		/* Of a part only: the huge page is split first. While a snapshot holds it, neither. */
		madvise(own + part, 2 * PAGE, MADV_PAGEOUT);
		madvise(writers + part, 2 * PAGE, MADV_PAGEOUT);
		must(mprotect(own + part, PAGE, PROT_READ));
		must(mprotect(own + part, PAGE, PROT_READ | PROT_WRITE));
		expect(v, is_filled(own, HUGE, n), "the split changed memory");
		must(madvise(own + part, PAGE, MADV_DONTNEED));
		expect(v, is_zero(own + part, PAGE), "MADV_DONTNEED left something");
		fill(own, HUGE, n + 1);
		if (!madvise(own, HUGE, MADV_COLLAPSE))
			happened(v, HUGE_PAGES);
		madvise(writers, HUGE, MADV_COLLAPSE);
		expect(v, is_filled(own, HUGE, n + 1), "the collapse changed memory");
	}
}

/* ---- equal pages: merged by KSM, and parted again by writes ---- */

static inline void merging(struct view *v)
{
	size_t half = 16 * PAGE, at;
	char *p = anon_memory(2 * half);
	unsigned int n, merged;

	advise_huge(p, 2 * half, MADV_NOHUGEPAGE);
	must(madvise(p, 2 * half, MADV_MERGEABLE));
	for (n = 1; !v->stop; n = (n + 1) & 0xfff) {
		fill(p, half, n);
		fill(p + half, half, n);
		/* Those that are held by a snapshot are not merged: some will do. */
		do {
			usleep(1000);
			merged = 0;
			for (at = 0; at < half; at += PAGE) {
				uint64_t frame = frame_of(v->pid, p + at);

				merged += frame && frame == frame_of(v->pid, p + half + at);
			}
		} while (!merged && !v->stop);
		expect(v, is_filled(p, half, n) && is_filled(p + half, half, n),
		       "merging changed memory");
		fill(p, half, n + 1);
		expect(v, is_filled(p + half, half, n), "a write to a merged page went to the other");
		add(&v->events[MERGING], merged);
	}
}

/* ---- pages that move from node to node ---- */

#define MPOL_MF_MOVE	2

/* Asks for all pages of a range; how many moved. */
static inline unsigned int move_range(struct view *v, const volatile void *mem, size_t nr, int node)
{
	void *addr[HUGE / PAGE];
	int to[HUGE / PAGE], status[HUGE / PAGE];
	unsigned int moved = 0;
	size_t i;

	for (i = 0; i < nr; i++) {
		addr[i] = (char *)mem + i * PAGE;
		to[i] = node;
		status[i] = -1;
	}
	if (syscall(__NR_move_pages, 0, nr, addr, to, status, MPOL_MF_MOVE) < 0)
		fault(v, "move_pages: %s", strerror(errno));
	for (i = 0; i < nr; i++)
		moved += status[i] == node;
	return moved;
}

static inline void moves(struct view *v)
{
	size_t len = 64 * PAGE;
	char *own = anon_memory(len);
	unsigned int n;
	int i;

	for (n = 1; !v->stop; n = (n + 1) & 0xfff) {
		fill(own, len, n);
		add(&v->events[MOVES], move_range(v, own, len / PAGE, n & 1));
		expect(v, is_filled(own, len, n), "moving pages changed memory");
		for (i = 0; i < WRITERS; i++)
			move_range(v, v->mem[i], v->pages[i], n & 1);
	}
}

/* ---- pages that are swapped out, the writers' too ---- */

/* The kernel's count of something, since boot; -1 when it does not count it. */
static inline long vmstat(const char *name)
{
	return number_in("/proc/vmstat", name);
}

static inline void swapping(struct view *v)
{
	long before, after = vmstat("pswpout");
	size_t len = 256 * PAGE;
	char *own = anon_memory(len);
	unsigned int n;
	int i;

	advise_huge(own, len, MADV_NOHUGEPAGE);
	for (n = 1; !v->stop; n = (n + 1) & 0xfff) {
		fill(own, len, n);
		madvise(own, len, MADV_PAGEOUT);
		for (i = 0; i < WRITERS; i++)
			madvise((void *)v->mem[i], v->pages[i] * PAGE, MADV_PAGEOUT);
		expect(v, is_filled(own, len, n), "swapping changed memory");
		/* Some are swapped in again before anybody could look where they are. */
		before = after;
		after = vmstat("pswpout");
		add(&v->events[SWAPPING], after - before);
	}
}

#endif
