/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every way in which the memory of a program changes: by itself, by its system calls, by others.
 *
 * A window of the target's addresses is divided into chunks, each of which is in one state (below).
 * A way (struct way) is given a random chunk of the state it wants, changes some of it and tells its
 * new state. The window lies in an area that nothing else is mapped to.
 */
#ifndef KERNEL_TEST_CHANGES_H
#define KERNEL_TEST_CHANGES_H

#include <linux/aio_abi.h>
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "snap.h"
#include "system.h"
#include "uring.h"

#define CHUNK		(32 * PAGE)
#define CHUNKS		96
#define WINDOW		(CHUNKS * CHUNK)	/* 12 MiB */
#define FILE_LEN	(16 * CHUNK)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102	/* since Linux 6.13; before, it fails and nothing changes */
#define MADV_GUARD_REMOVE	103
#endif

#define WAYS_MAX	128

enum chunk {
	NOTHING,	/* not mapped */
	ANON,		/* private, anonymous, may be written */
	READ_ONLY,	/* the same, protected */
	GUARDED,	/* the same, with a guard region */
	PRIVATE,	/* of the file, privately */
	SHARED,		/* of the file, shared */
	WATCHED,	/* registered with userfaultfd: no snapshot has it */
	CHUNK_STATES,
};

struct world {
	char *window;
	unsigned char state[CHUNKS];
	int file;		/* memfd behind PRIVATE and SHARED */
	int source;		/* memfd of random bytes to read */
	int direct;		/* the same on a disk, O_DIRECT */
	int uncached;		/* the same on 9p without a cache, or -1 */
	pid_t pid;		/* of the target */
	unsigned int seed;
	unsigned int way;	/* to be gone by the target */
	volatile bool quit;
	unsigned long counts[WAYS_MAX];
};

static inline unsigned int chance(struct world *w, unsigned int n)
{
	return rand_r(&w->seed) % n;
}

static inline char *chunk_at(struct world *w, unsigned int i)
{
	return w->window + i * CHUNK;
}

static inline void scribble(struct world *w, char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += 64)
		p[i + chance(w, 64)] ^= 1 + chance(w, 255);
}

/* Some pages of a chunk, at least one. */
static inline size_t some(struct world *w, char **p)
{
	size_t nr = 1 + chance(w, 8);

	*p += chance(w, 32 - nr + 1) * PAGE;
	return nr * PAGE;
}

/* ---- by the program itself ---- */

static inline void stores(struct world *w, char *p)
{
	unsigned int i;

	for (i = chance(w, 8) + 1; i; i--)
		p[chance(w, CHUNK)] ^= 1 + chance(w, 255);
}

static inline void sets(struct world *w, char *p)
{
	size_t len = some(w, &p);

	/* Also to what it was, and to nothing. */
	memset(p, chance(w, 3), len);
}

/* ---- by calls that write where they are told to ---- */

static inline void reads(struct world *w, char *p)
{
	size_t len = some(w, &p);

	must(pread(w->source, p, len, chance(w, 64) * 512));
}

static inline void reads_direct(struct world *w, char *p)
{
	size_t len = some(w, &p);

	if (pread(w->direct, p, len, chance(w, 64) * PAGE) != (ssize_t)len)
		give_up("O_DIRECT: %s", strerror(errno));
}

/* Zero copy, and nobody calls the page dirty (net/9p/trans_virtio.c). */
static inline void reads_uncached(struct world *w, char *p)
{
	size_t len = some(w, &p);

	if (w->uncached < 0)
		return;
	if (pread(w->uncached, p, len, chance(w, 64) * PAGE) != (ssize_t)len)
		give_up("9p: %s", strerror(errno));
}

static inline void reads_async(struct world *w, char *p)
{
	size_t len = some(w, &p);
	struct iocb cb = {
		.aio_fildes = w->direct, .aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_buf = (unsigned long)p, .aio_nbytes = len, .aio_offset = chance(w, 64) * PAGE,
	}, *list = &cb;
	struct io_event event;
	aio_context_t ctx = 0;

	must(syscall(__NR_io_setup, 1, &ctx));
	if (syscall(__NR_io_submit, ctx, 1, &list) != 1 ||
	    syscall(__NR_io_getevents, ctx, 1, 1, &event, NULL) != 1 || event.res != (long)len)
		give_up("aio: %s", strerror(errno));
	must(syscall(__NR_io_destroy, ctx));
}

static inline void by_ring(struct world *w, char *p, bool fixed)
{
	size_t len = some(w, &p);
	struct io_uring_sqe sqe = {
		.opcode = fixed ? IORING_OP_READ_FIXED : IORING_OP_READ,
		.fd = w->direct, .addr = (unsigned long)p, .len = len,
		.off = chance(w, 64) * PAGE,
	};
	struct uring r;

	if (!uring_open(&r, 0))
		return;
	if (fixed)
		must(uring_pin(&r, p, len));
	if (uring_do(&r, &sqe) != (int)len)
		give_up("io_uring");
	close(r.fd);
	munmap((void *)((unsigned long)r.sq_tail & ~(PAGE - 1)), PAGE);
	munmap((void *)((unsigned long)r.cq_tail & ~(PAGE - 1)), PAGE);
	munmap(r.sqes, PAGE);
}

static inline void reads_by_ring(struct world *w, char *p)
{
	by_ring(w, p, false);
}

static inline void reads_by_ring_fixed(struct world *w, char *p)
{
	by_ring(w, p, true);
}

/*
 * Memory that is pinned for long, as for RDMA: what is written to it later nobody asks for page by
 * page. It may have been unmapped since.
 */
static inline void writes_to_pinned(struct world *w, char *p)
{
	static struct uring r = { .fd = -1 };
	static char *mem;

	if (r.fd < 0) {
		if (!uring_open(&r, 0))
			return;
		mem = p;
		must(uring_pin(&r, mem, 4 * PAGE));
	}
	if (uring_fixed(&r, true, w->direct, mem, (1 + chance(w, 4)) * PAGE) < 0)
		give_up("io_uring");
}

/* Pages lie in a pipe for a while, and are written meanwhile. */
static inline void splices(struct world *w, char *p)
{
	struct iovec v = { p, 8 * PAGE };
	char buf[PAGE];
	int fd[2];

	must(pipe2(fd, O_CLOEXEC | O_NONBLOCK));
	must(vmsplice(fd[1], &v, 1, chance(w, 2) ? SPLICE_F_GIFT : 0));
	stores(w, p);
	while (read(fd[0], buf, sizeof(buf)) > 0)
		;
	close(fd[0]);
	close(fd[1]);
}

static inline void reads_into_many(struct world *w, char *p)
{
	struct iovec v[2] = { { p + 100, 5000 }, { p + 9 * PAGE + 8, 3 } };

	must(preadv(w->source, v, 2, chance(w, 64) * 256));
}

/* ---- mappings ---- */

static inline void map_anon(struct world *w, char *p)
{
	must(mmap(p, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	if (chance(w, 4))
		stores(w, p);
}

static inline void map_private(struct world *w, char *p)
{
	must(mmap(p, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, w->file,
		  chance(w, 16) * CHUNK));
	if (chance(w, 2))
		stores(w, p);
}

static inline void map_shared(struct world *w, char *p)
{
	must(mmap(p, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->file,
		  chance(w, 16) * CHUNK));
}

static inline void unmaps(struct world *w, char *p)
{
	must(munmap(p, CHUNK));
}

/* To a chunk where nothing is. */
static inline void moves(struct world *w, char *p)
{
	unsigned int i = (p - w->window) / CHUNK, to = chance(w, CHUNKS);

	for (; w->state[to % CHUNKS] != NOTHING; to++)
		if (to == 3 * CHUNKS)
			return;
	to %= CHUNKS;
	/* Not in several pieces. */
	if (mremap(p, CHUNK, CHUNK, MREMAP_MAYMOVE | MREMAP_FIXED, chunk_at(w, to)) == MAP_FAILED)
		return;
	w->state[to] = ANON;
	w->state[i] = NOTHING;
}

static inline void protects(struct world *w, char *p)
{
	must(mprotect(p, CHUNK, chance(w, 2) ? PROT_READ : PROT_NONE));
}

static inline void unprotects(struct world *w, char *p)
{
	must(mprotect(p, CHUNK, PROT_READ | PROT_WRITE));
}

static inline void protects_a_part(struct world *w, char *p)
{
	char *q = p;
	size_t len = some(w, &q);

	must(mprotect(q, len, PROT_READ));
	must(mprotect(q, len, PROT_READ | PROT_WRITE));
	stores(w, p);
}

static inline void grows_the_heap(struct world *w, char *p)
{
	static long grown;
	long by = (long)(chance(w, 9) - 4) * (long)PAGE;

	if (grown + by < 0 || grown + by > 64 * (long)PAGE)
		return;
	must((long)sbrk(by));
	grown += by;
	if (grown)
		scribble(w, (char *)sbrk(0) - grown, grown);
}

static inline void grows_the_stack(struct world *w, char *p)
{
	volatile char deep[16 * PAGE];
	unsigned int i;

	for (i = 0; i < 16; i++)
		deep[i * PAGE + chance(w, PAGE)] = i;
	(void)deep[0];
}

/* ---- advice ---- */

static inline void advises(struct world *w, char *p, int advice)
{
	size_t len = some(w, &p);

	madvise(p, len, advice);
}

static inline void guards(struct world *w, char *p)
{
	advises(w, p, MADV_GUARD_INSTALL);
}

/* What was there before is not there again. */
static inline void removes_guards(struct world *w, char *p)
{
	madvise(p, CHUNK, MADV_GUARD_REMOVE);
	if (chance(w, 2))
		stores(w, p);
}

static inline void drops(struct world *w, char *p)
{
	advises(w, p, MADV_DONTNEED);
}

static inline void drops_and_reads(struct world *w, char *p)
{
	volatile char *q = p;

	must(madvise(p, 8 * PAGE, MADV_DONTNEED));
	(void)q[PAGE];
	(void)q[2 * PAGE];
	stores(w, p);
}

static inline void frees(struct world *w, char *p)
{
	madvise(p, 8 * PAGE, MADV_FREE);
	if (chance(w, 2))
		stores(w, p);
	if (chance(w, 2))
		madvise(p, 8 * PAGE, MADV_PAGEOUT);
}

static inline void pages_out(struct world *w, char *p)
{
	advises(w, p, MADV_PAGEOUT);
}

/* Out, in again by reading, so that the entry is clean and the slot still there; and written. */
static inline void pages_out_and_in(struct world *w, char *p)
{
	volatile char *q = p;
	unsigned int i;

	madvise(p, CHUNK, MADV_PAGEOUT);
	for (i = 0; i < 32; i++)
		(void)q[i * PAGE];
	if (chance(w, 2))
		stores(w, p);
}

/* Written, out, and in again: nothing tells any more that it was written. */
static inline void writes_and_pages_out_and_in(struct world *w, char *p)
{
	stores(w, p);
	pages_out_and_in(w, p);
}

static inline void cools(struct world *w, char *p)
{
	advises(w, p, MADV_COLD);
}

static inline char *huge_of(struct world *w, char *p)
{
	return w->window + (p - w->window) / HUGE * HUGE;
}

static inline bool is_all_anon(struct world *w, char *p)
{
	unsigned int i = (p - w->window) / CHUNK, n;

	for (n = 0; n < HUGE / CHUNK; n++)
		if (w->state[i + n] != ANON)
			return false;
	return true;
}

static inline void wants_huge_pages(struct world *w, char *p)
{
	char *huge = huge_of(w, p);

	if (!is_all_anon(w, huge) || !has_huge_pages())
		return;
	must(madvise(huge, HUGE, MADV_DONTNEED));
	must(madvise(huge, HUGE, MADV_HUGEPAGE));
	stores(w, p);
}

static inline void collapses(struct world *w, char *p)
{
	char *huge = huge_of(w, p);

	if (!is_all_anon(w, huge) || !has_huge_pages())
		return;
	must(madvise(huge, HUGE, MADV_HUGEPAGE));
	madvise(huge, HUGE, MADV_COLLAPSE);
	if (chance(w, 2))
		stores(w, p);
}

static inline void no_huge_pages(struct world *w, char *p)
{
	if (has_huge_pages())
		must(madvise(p, CHUNK, MADV_NOHUGEPAGE));
	stores(w, p);
}

/* ---- with others ---- */

static inline void merges(struct world *w, char *p)
{
	size_t at;

	for (at = PAGE; at < 8 * PAGE; at += PAGE)
		memcpy(p + at, p, PAGE);
	madvise(p, 8 * PAGE, MADV_MERGEABLE);
	for (at = 0; at < 50 && frame_of(w->pid, p) != frame_of(w->pid, p + PAGE); at++)
		usleep(1000);
	if (chance(w, 2))
		stores(w, p);
}

static inline void unmerges(struct world *w, char *p)
{
	madvise(p, CHUNK, MADV_UNMERGEABLE);
}

static pid_t child;

/* One lives on with its copies, so that they stay shared. */
static inline void forks(struct world *w, char *p)
{
	if (child) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	if (!chance(w, 4))
		madvise(p, 4 * PAGE, MADV_WIPEONFORK);
	child = must(fork());
	if (!child) {
		struct world mine = *w;		/* that of the others is not to change in a freeze */

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		stores(&mine, p);
		for (;;)
			pause();
	}
	if (chance(w, 2))
		stores(w, p);
}

static inline void writes_the_file(struct world *w, char *p)
{
	char buf[3 * PAGE];

	memset(buf, 0, sizeof(buf));
	scribble(w, buf, sizeof(buf));
	must(pwrite(w->file, buf, sizeof(buf), chance(w, FILE_LEN / PAGE - 3) * PAGE));
}

/* A page is put in place by whoever handles the fault; here it is done beforehand. */
static inline void fills_by_userfaultfd(struct world *w, char *p)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (unsigned long)p, CHUNK }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_copy copy = {
		.dst = (unsigned long)p, .src = (unsigned long)p + CHUNK - PAGE, .len = PAGE,
	};
	struct uffdio_zeropage zero = { .range = { (unsigned long)p + PAGE, PAGE } };
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	stores(w, p);
	p[CHUNK - 1] ^= 1;
	must(madvise(p, 2 * PAGE, MADV_DONTNEED));
	if (fd < 0)
		return;
	must(ioctl(fd, UFFDIO_API, &api));
	must(ioctl(fd, UFFDIO_REGISTER, &reg));
	ioctl(fd, UFFDIO_COPY, &copy);
	ioctl(fd, UFFDIO_ZEROPAGE, &zero);
	must(ioctl(fd, UFFDIO_UNREGISTER, &reg.range));
	close(fd);
}

static int uffd[CHUNKS];

static inline void registers(struct world *w, char *p)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (unsigned long)p, CHUNK }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = must(syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK));

	must(ioctl(fd, UFFDIO_API, &api));
	must(ioctl(fd, UFFDIO_REGISTER, &reg));
	uffd[(p - w->window) / CHUNK] = fd;
}

/* By name, too: a child that was forked meanwhile holds the descriptor as well. */
static inline void unregisters(struct world *w, char *p)
{
	struct uffdio_range range = { (unsigned long)p, CHUNK };

	ioctl(uffd[(p - w->window) / CHUNK], UFFDIO_UNREGISTER, &range);
	must(close(uffd[(p - w->window) / CHUNK]));
}

/* ---- by others: the tester ---- */

static inline void outsider_writes(struct world *w, char *p)
{
	char buf[2 * PAGE + 40];
	struct iovec from = { buf, sizeof(buf) }, to = { p + chance(w, 8 * PAGE), sizeof(buf) };

	memset(buf, 0, sizeof(buf));
	scribble(w, buf, sizeof(buf) - 40);
	must(process_vm_writev(w->pid, &from, 1, &to, 1, 0));
}

static inline void outsider_writes_by_proc(struct world *w, char *p)
{
	char path[64], buf[600];
	int fd;

	memset(buf, chance(w, 256), sizeof(buf));
	snprintf(path, sizeof(path), "/proc/%d/mem", w->pid);
	fd = must(open(path, O_RDWR | O_CLOEXEC));
	/* Newer kernels let nobody but a tracer write where the program may not (proc_mem.force_override). */
	if (pwrite(fd, buf, sizeof(buf), (unsigned long)p + chance(w, CHUNK - sizeof(buf))) < 0 &&
	    errno != EIO)
		give_up("%s: %s", path, strerror(errno));
	close(fd);
}

static inline void outsider_pokes(struct world *w, char *p)
{
	char *at = p + chance(w, CHUNK / 8) * 8;

	must(ptrace(PTRACE_SEIZE, w->pid, NULL, NULL));
	must(ptrace(PTRACE_INTERRUPT, w->pid, NULL, NULL));
	must(waitpid(w->pid, NULL, __WALL));
	must(ptrace(PTRACE_POKEDATA, w->pid, at, (void *)(long)rand_r(&w->seed)));
	must(ptrace(PTRACE_DETACH, w->pid, NULL, NULL));
}

static inline void outsider_writes_the_file(struct world *w, char *p)
{
	char *map = must(mmap(NULL, FILE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, w->file, 0));

	scribble(w, map + chance(w, FILE_LEN / PAGE) * PAGE, PAGE);
	munmap(map, FILE_LEN);
}

struct way {
	const char *name;
	void (*go)(struct world *w, char *p);
	enum chunk from, to;
	bool outside;
};

#define BY(fn, from, to)	{ #fn, fn, from, to, false }
#define BY_OTHERS(fn, from, to)	{ #fn, fn, from, to, true }

static const struct way ways[] = {
	BY(stores, ANON, ANON), BY(stores, PRIVATE, PRIVATE), BY(stores, SHARED, SHARED),
	BY(sets, ANON, ANON), BY(reads, ANON, ANON), BY(reads, PRIVATE, PRIVATE),
	BY(reads_direct, ANON, ANON), BY(reads_direct, PRIVATE, PRIVATE),
	BY(reads_uncached, ANON, ANON), BY(reads_async, ANON, ANON),
	BY(reads_by_ring, ANON, ANON), BY(reads_by_ring_fixed, ANON, ANON),
	BY(writes_to_pinned, ANON, ANON), BY(writes_to_pinned, ANON, ANON), BY(splices, ANON, ANON), BY(reads_into_many, ANON, ANON),
	BY(map_anon, NOTHING, ANON), BY(map_anon, NOTHING, ANON), BY(map_anon, ANON, ANON),
	BY(map_anon, READ_ONLY, ANON), BY(map_anon, SHARED, ANON), BY(map_private, NOTHING, PRIVATE),
	BY(map_shared, ANON, SHARED), BY(unmaps, ANON, NOTHING), BY(unmaps, PRIVATE, NOTHING),
	BY(unmaps, SHARED, NOTHING), BY(moves, ANON, CHUNK_STATES),
	BY(protects, ANON, READ_ONLY), BY(unprotects, READ_ONLY, ANON),
	BY(guards, ANON, GUARDED), BY(guards, ANON, GUARDED), BY(guards, GUARDED, GUARDED),
	BY(removes_guards, GUARDED, ANON), BY(drops, GUARDED, GUARDED), BY(unmaps, GUARDED, NOTHING),
	BY(protects_a_part, ANON, ANON), BY(grows_the_heap, ANON, ANON),
	BY(grows_the_stack, ANON, ANON), BY(drops, ANON, ANON), BY(drops, PRIVATE, PRIVATE),
	BY(drops_and_reads, ANON, ANON), BY(frees, ANON, ANON), BY(pages_out, ANON, ANON),
	BY(pages_out_and_in, ANON, ANON), BY(writes_and_pages_out_and_in, ANON, ANON),
	BY(cools, ANON, ANON), BY(wants_huge_pages, ANON, ANON), BY(collapses, ANON, ANON),
	BY(no_huge_pages, ANON, ANON), BY(merges, ANON, ANON), BY(unmerges, ANON, ANON),
	BY(forks, ANON, ANON), BY(writes_the_file, ANON, ANON),
	BY(fills_by_userfaultfd, ANON, ANON), BY(registers, ANON, WATCHED),
	BY(unregisters, WATCHED, ANON), BY_OTHERS(outsider_writes, ANON, ANON),
	BY_OTHERS(outsider_writes_by_proc, ANON, ANON),
	BY_OTHERS(outsider_writes_by_proc, READ_ONLY, READ_ONLY),
	BY_OTHERS(outsider_pokes, ANON, ANON), BY_OTHERS(outsider_writes_the_file, ANON, ANON),
};

#define WAYS	(sizeof(ways) / sizeof(ways[0]))
_Static_assert(WAYS <= WAYS_MAX, "each way is counted");

/* Go a way, if there is a chunk for it. In the target, or for others in the tester. */
static inline void go(struct world *w, unsigned int nr)
{
	const struct way *way = &ways[nr];
	unsigned int i = chance(w, CHUNKS), tries;

	for (tries = 0; w->state[i] != way->from; tries++, i = (i + 1) % CHUNKS)
		if (tries == CHUNKS)
			return;
	if (way->to != CHUNK_STATES)
		w->state[i] = way->to;
	way->go(w, chunk_at(w, i));
	w->counts[nr]++;
}

/* In the tester, before the target is born: it inherits what is open. */
static inline void make_world(struct world *w)
{
	static const char *const dirs[] = { "/scratch", "/run/ckpt-vm" };
	int *const files[] = { &w->direct, &w->uncached };
	size_t len = 256 * PAGE;
	char *bytes = aligned_memory(len);
	unsigned int i;

	w->file = must(memfd_create("file", MFD_CLOEXEC));
	w->source = must(memfd_create("source", MFD_CLOEXEC));
	must(ftruncate(w->file, FILE_LEN));
	scribble(w, bytes, len);
	must(pwrite(w->source, bytes, len, 0));
	must(pwrite(w->file, bytes, FILE_LEN / 2, 0));
	for (i = 0; i < 2; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/changes-%d", dirs[i], getpid());
		*files[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (i ? 0 : O_DIRECT), 0600);
		if (*files[i] < 0 && !i)
			give_up("%s: %s", path, strerror(errno));
		if (*files[i] < 0)
			continue;
		if (pwrite(*files[i], bytes, len, 0) != (ssize_t)len)
			give_up("%s: %s", path, strerror(errno));
		close(*files[i]);
		*files[i] = must(open(path, O_RDONLY | O_CLOEXEC | (i ? 0 : O_DIRECT)));
		unlink(path);
	}
	munmap(bytes, len);
}

#endif
