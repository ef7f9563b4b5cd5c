// SPDX-License-Identifier: GPL-2.0-only
/*
 * A snapshot holds private memory as it was at the pause, whatever kind of page it was in and
 * whatever becomes of it afterwards: every kind (variant) against everything that can be done to it
 * (case). The program, for its part, must see its own writes and nothing of the snapshot.
 */
#include <kselftest_harness.h>

#include <sys/resource.h>
#include <sys/uio.h>

#include "snap.h"
#include "system.h"
#include "uring.h"

#define LEN	HUGE
#define SMALL	(64 * PAGE)

enum action {
	OVERWRITE, UNMAP, MOVE, DISCARD, FORK, KERNEL_WRITE, PAGE_OUT, PROTECT, PARTIAL,
};

/* Seen by test and target. */
struct job {
	pid_t pid;		/* to be taken */
	enum action action;
	char *mem;
	size_t len;
	size_t period;		/* the pattern begins anew after so many bytes */
	struct uring ring;
	int file;
};

struct needs {
	bool swap, huge_pool, ksm;
};

struct figures {
	unsigned long huge, copied, faulted;	/* at least */
};

FIXTURE(memory) {
	struct target target;
	struct job *job;
	int fd;
};

FIXTURE_VARIANT(memory) {
	void (*make)(struct job *job);
	struct needs needs;
	struct figures figures;
};

static void fill_all(struct job *job, unsigned int generation)
{
	size_t at;

	for (at = 0; at < job->len; at += job->period)
		fill(job->mem + at, job->period, generation);
}

static bool all_filled(struct job *job, unsigned int generation)
{
	size_t at;

	for (at = 0; at < job->len; at += job->period)
		if (!is_filled(job->mem + at, job->period, generation))
			return false;
	return true;
}

static void make(struct job *job, size_t len, int advice)
{
	job->mem = aligned_memory(len);
	job->len = job->period = len;
	if (advice)
		advise_huge(job->mem, len, advice);
	fill_all(job, 1);
}

/* ---- kinds of memory ---- */

static void small_pages(struct job *job)
{
	make(job, HUGE, MADV_NOHUGEPAGE);
}

static void huge_pages(struct job *job)
{
	make(job, LEN, MADV_HUGEPAGE);
}

/* A huge page of which every other part is mapped differently. */
static void split_huge_page(struct job *job)
{
	make(job, LEN, MADV_HUGEPAGE);
	must(mprotect(job->mem + 16 * PAGE, 16 * PAGE, PROT_READ));
	must(mprotect(job->mem + 16 * PAGE, 16 * PAGE, PROT_READ | PROT_WRITE));
}

static void no_access(struct job *job)
{
	make(job, SMALL, MADV_NOHUGEPAGE);
	must(mprotect(job->mem, job->len, PROT_NONE));
}

static void no_access_huge(struct job *job)
{
	make(job, LEN, MADV_HUGEPAGE);
	must(mprotect(job->mem, job->len, PROT_NONE));
}

static void read_only(struct job *job)
{
	make(job, SMALL, MADV_NOHUGEPAGE);
	must(mprotect(job->mem, job->len, PROT_READ));
}

static void locked(struct job *job)
{
	make(job, SMALL, MADV_NOHUGEPAGE);
	must(mlock(job->mem, job->len));
}

static void heap(struct job *job)
{
	char *now = sbrk(0);

	must(brk(now + PAGE - (unsigned long)now % PAGE + SMALL));
	job->mem = (char *)sbrk(0) - SMALL;
	job->len = job->period = SMALL;
	fill_all(job, 1);
}

static void private_file(struct job *job)
{
	char zero[PAGE] = { 1 };
	unsigned int i;

	job->file = must(open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	for (i = 0; i < SMALL / PAGE; i++)
		must(write(job->file, zero, PAGE));
	job->mem = must(mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_PRIVATE, job->file, 0));
	job->len = job->period = SMALL;
	fill_all(job, 1);
}

static void idle_child(void)
{
	if (must(fork()))
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

/* The target has a child that shares its pages and must go on seeing them. */
static void shared_with_child(struct job *job)
{
	make(job, SMALL, MADV_NOHUGEPAGE);
	idle_child();
}

/* The target is the child. Its parent sees its own pages unchanged at the end. */
static void shared_with_parent(struct job *job)
{
	int status;
	pid_t pid;

	make(job, LEN, MADV_HUGEPAGE);
	pid = must(fork());
	if (pid) {
		must(waitpid(pid, &status, 0));
		_exit(status || !all_filled(job, 1));
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	job->pid = getpid();
}

static void merged(struct job *job)
{
	size_t half = SMALL / 2, at;

	make(job, SMALL, MADV_NOHUGEPAGE);
	job->period = half;
	fill_all(job, 1);
	must(madvise(job->mem, job->len, MADV_MERGEABLE));
	/* The wake-up of one that found nothing to do may be lost to it (__ksm_enter()): ask again. */
	for (at = 0; at < half; at += PAGE)
		if (!wait_until(frame_of(job->pid, job->mem + at) == frame_of(job->pid, job->mem + half + at) ||
				(ksm_on() && false)))
			give_up("pages were not merged");
}

static void swap_out(struct job *job)
{
	size_t at;

	/* Pages on their way in a per-processor list are passed over: ask again. */
	for (at = 0; at < job->len; at += PAGE)
		if (!wait_until(is_swapped(job->pid, job->mem + at) ||
				(madvise(job->mem, job->len, MADV_PAGEOUT) && false)))
			give_up("page %zu was not swapped out", at / PAGE);
}

static void swapped(struct job *job)
{
	make(job, SMALL, MADV_NOHUGEPAGE);
	swap_out(job);
}

static void swapped_no_access(struct job *job)
{
	swapped(job);
	must(mprotect(job->mem, job->len, PROT_NONE));
}

/* In the swap cache, clean, with a swap slot of the same content. */
static void swapped_and_read(struct job *job)
{
	swapped(job);
	if (!all_filled(job, 1))
		_exit(1);
}

static void swapped_before_fork(struct job *job)
{
	swapped(job);
	idle_child();
}

static void pin(struct job *job)
{
	if (!uring_open(&job->ring, 0))
		_exit(1);
	must(uring_pin(&job->ring, job->mem, job->len));
}

static void pinned(struct job *job)
{
	make(job, SMALL, MADV_NOHUGEPAGE);
	pin(job);
}

/* In a pipe by vmsplice: a reference that the page tables do not explain. */
static void held(struct job *job)
{
	struct iovec v;
	int fd[2];

	make(job, SMALL, MADV_NOHUGEPAGE);
	v = (struct iovec) { job->mem, job->len };
	must(pipe2(fd, O_CLOEXEC | O_NONBLOCK));
	must(fcntl(fd[1], F_SETPIPE_SZ, job->len));
	if (vmsplice(fd[1], &v, 1, 0) != (ssize_t)job->len)
		give_up("vmsplice: not all of it");
}

static void pinned_huge(struct job *job)
{
	make(job, LEN, MADV_HUGEPAGE);
	pin(job);
}

/* Small entries of a page that is large: its count does not tell which of them are pinned. */
static void pinned_split(struct job *job)
{
	split_huge_page(job);
	pin(job);
}

static void hugetlb(struct job *job)
{
	job->len = job->period = LEN;
	job->mem = must(mmap(NULL, job->len, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0));
	fill_all(job, 1);
}

static void lazily_freed(struct job *job)
{
	make(job, SMALL, MADV_NOHUGEPAGE);
	must(madvise(job->mem, job->len, MADV_FREE));
}

#define KIND(name, ...) FIXTURE_VARIANT_ADD(memory, name) { .make = name, __VA_ARGS__ }

KIND(small_pages);
KIND(huge_pages, .figures.huge = 512);
KIND(split_huge_page);
KIND(no_access);
KIND(no_access_huge, .figures.huge = 512);
KIND(read_only);
KIND(locked);
KIND(heap);
KIND(private_file);
KIND(shared_with_child);
KIND(shared_with_parent);
KIND(merged, .needs.ksm = true);
KIND(swapped, .needs.swap = true, .figures.faulted = 64);
KIND(swapped_no_access, .needs.swap = true, .figures.faulted = 64);
KIND(swapped_and_read, .needs.swap = true);
KIND(swapped_before_fork, .needs.swap = true, .figures.faulted = 64);
KIND(pinned, .figures.copied = 64);
KIND(held, .figures.copied = 64);
KIND(pinned_huge, .figures.copied = 512);
KIND(pinned_split, .figures.copied = 512);
KIND(hugetlb, .needs.huge_pool = true, .figures.copied = 512);
KIND(lazily_freed);

/* ---- what becomes of it ---- */

static void overwrite(struct job *job)
{
	must(mprotect(job->mem, job->len, PROT_READ | PROT_WRITE));
	fill_all(job, 2);
	if (!all_filled(job, 2))
		_exit(2);
}

static void unmap(struct job *job)
{
	must(munmap(job->mem, job->len));
	/* Somebody else's now. */
	must(mmap(job->mem, job->len, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	fill_all(job, 2);
}

static void move(struct job *job)
{
	char *from = job->mem, *to = aligned_memory(job->len);

	/* A mapping that was cut in pieces moves in pieces; the heap loses its place. */
	must(mprotect(from, job->len, PROT_READ | PROT_WRITE));
	must(mremap(from, job->len, job->len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	job->mem = to;
	if (!all_filled(job, 1))
		_exit(3);
	fill_all(job, 2);
	if (!all_filled(job, 2))
		_exit(4);
	job->mem = from;
}

static void discard(struct job *job)
{
	munlock(job->mem, job->len);
	must(mprotect(job->mem, job->len, PROT_READ | PROT_WRITE));
	must(madvise(job->mem, job->len, MADV_DONTNEED));
	fill_all(job, 2);
}

static void fork_and_write(struct job *job)
{
	pid_t pid;

	must(mprotect(job->mem, job->len, PROT_READ | PROT_WRITE));
	pid = must(fork());
	if (!pid) {
		fill_all(job, 3);
		_exit(!all_filled(job, 3));
	}
	fill_all(job, 2);
	if (child_status(pid) || !all_filled(job, 2))
		_exit(5);
}

/* The kernel writes, through the page tables or, pinned, around them. */
static void kernel_write(struct job *job)
{
	int file = must(memfd_create("source", MFD_CLOEXEC));
	char *from = anon_memory(job->len);
	struct job source = *job;

	source.mem = from;
	fill_all(&source, 2);
	must(mprotect(job->mem, job->len, PROT_READ | PROT_WRITE));
	if (pwrite(file, from, job->len, 0) != (ssize_t)job->len)
		_exit(6);
	if (job->ring.fd > 0) {
		if (uring_fixed(&job->ring, true, file, job->mem, job->len) != (int)job->len)
			_exit(7);
		if (!all_filled(job, 2))
			_exit(8);
		/* And the device sees what the program writes: the pin still holds. */
		fill_all(job, 3);
		if (uring_fixed(&job->ring, false, file, job->mem, job->len) != (int)job->len ||
		    pread(file, from, job->len, 0) != (ssize_t)job->len || !all_filled(&source, 3))
			_exit(9);
	} else if (pread(file, job->mem, job->len, 0) != (ssize_t)job->len || !all_filled(job, 2)) {
		_exit(10);
	}
}

static void page_out(struct job *job)
{
	madvise(job->mem, job->len, MADV_COLD);
	madvise(job->mem, job->len, MADV_PAGEOUT);
	overwrite(job);
}

static void protect(struct job *job)
{
	must(mprotect(job->mem, job->len, PROT_NONE));
	overwrite(job);
}

/* One byte a page, and not in every page. */
static void partial(struct job *job)
{
	size_t at;

	must(mprotect(job->mem, job->len, PROT_READ | PROT_WRITE));
	for (at = 0; at < job->len; at += 3 * PAGE)
		job->mem[at + at % PAGE] ^= 0xff;
}

static void (*const actions[])(struct job *) = {
	[OVERWRITE] = overwrite, [UNMAP] = unmap, [MOVE] = move, [DISCARD] = discard,
	[FORK] = fork_and_write, [KERNEL_WRITE] = kernel_write, [PAGE_OUT] = page_out,
	[PROTECT] = protect, [PARTIAL] = partial,
};

static const FIXTURE_VARIANT(memory) *kind;

static void worker(struct target *me, void *arg)
{
	struct job *job = arg;

	job->pid = getpid();
	kind->make(job);
	target_step(me);
	actions[job->action](job);
	target_step(me);
}

FIXTURE_SETUP(memory)
{
	if (variant->needs.swap && !swap_on())
		SKIP(_exit(255), "no zram to swap to");
	if (variant->needs.huge_pool && !huge_pool("8"))
		SKIP(_exit(255), "no hugetlb");
	if (variant->needs.ksm && !ksm_on())
		SKIP(_exit(255), "no KSM");
	kind = variant;
	self->job = shared_memory(sizeof(*self->job));
	target_begin(&self->target, worker, self->job);
	if (variant->needs.ksm)
		ksm_off();
	self->fd = snap_ready(self->job->pid, 0);
}

FIXTURE_TEARDOWN(memory)
{
	close(self->fd);
	if (self->target.pid)
		target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
	if (variant->needs.swap)
		swap_off();
	if (variant->needs.huge_pool)
		EXPECT_TRUE(wait_until(huge_pool_off()));
}

static bool holds_all(FIXTURE_DATA(memory) *self)
{
	struct job *job = self->job;
	size_t at;

	if (kind_of_range(self->fd, job->mem, job->len) != CKPT_RUN_DATA)
		return false;
	for (at = 0; at < job->len; at += job->period)
		if (!holds_pattern(self->fd, job->mem + at, job->period, 1))
			return false;
	return true;
}

#define AFTER(name, what)							\
	TEST_F(memory, name)							\
	{									\
		self->job->action = what;					\
		target_next(&self->target);					\
		EXPECT_TRUE(holds_all(self));					\
		EXPECT_EQ(0, target_finish(&self->target));			\
		self->target.pid = 0;						\
	}

TEST_F(memory, was_taken_the_way_meant_for_it)
{
	struct ckpt_stats s = stats(self->fd);

	if (variant->figures.huge && !has_huge_pages())
		SKIP(return, "this kernel has no transparent huge pages");
	EXPECT_LE(variant->figures.huge, s.out_armed_huge);
	EXPECT_LE(variant->figures.copied, s.out_copied);
	EXPECT_LE(variant->figures.faulted, s.out_faulted);
	EXPECT_TRUE(holds_all(self));
}

AFTER(is_held_after_it_was_overwritten, OVERWRITE)
AFTER(is_held_after_it_was_unmapped, UNMAP)
AFTER(is_held_after_it_was_moved, MOVE)
AFTER(is_held_after_it_was_discarded, DISCARD)
AFTER(is_held_after_a_fork_and_writes_of_both, FORK)
AFTER(is_held_after_the_kernel_wrote, KERNEL_WRITE)
AFTER(is_held_after_it_was_paged_out, PAGE_OUT)
AFTER(is_held_after_its_protection_changed, PROTECT)
AFTER(is_held_after_it_was_written_here_and_there, PARTIAL)

TEST_F(memory, is_held_after_an_outsider_wrote)
{
	struct job source = *self->job;
	struct iovec from, to;

	source.mem = malloc(source.len);
	fill_all(&source, 2);
	from = (struct iovec) { source.mem, source.len };
	to = (struct iovec) { self->job->mem, source.len };
	if (process_vm_writev(self->job->pid, &from, 1, &to, 1, 0) < 0)
		ASSERT_EQ(EFAULT, errno);	/* where the target may not write either */
	EXPECT_TRUE(holds_all(self));
}

TEST_F(memory, is_held_after_a_second_snapshot_and_an_overwrite)
{
	int second = snap_ready(self->job->pid, 0);

	self->job->action = OVERWRITE;
	target_next(&self->target);
	EXPECT_TRUE(holds_all(self));
	close(self->fd);
	self->fd = second;
	EXPECT_TRUE(holds_all(self));
}

TEST_HARNESS_MAIN
