// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel knows of a program's pages beside their content is the same after a snapshot, and
 * so is what it has promised about its files.
 */
#include <kselftest_harness.h>

#include <signal.h>

#include "snap.h"
#include "system.h"

#define PAGES	64
#define LEN	(PAGES * PAGE)

static bool is_soft_dirty(pid_t pid, const char *addr)
{
	return pagemap_entry(pid, addr) >> 55 & 1;
}

static void writes_every_other_page(struct target *me, void *arg)
{
	volatile char *mem = arg;
	int i;

	fill(arg, LEN, 1);
	target_step(me);
	for (i = 0; i < PAGES; i += 2)
		mem[i * PAGE] = 2;
	target_step(me);
}

TEST(soft_dirty_bits_stay_as_they_were)
{
	char *mem = aligned_memory(LEN), path[64];
	struct target t;
	int fd, i;

	advise_huge(mem, LEN, MADV_NOHUGEPAGE);
	target_begin(&t, writes_every_other_page, mem);
	if (!is_soft_dirty(t.pid, mem)) {
		target_kill(&t);
		SKIP(return, "this kernel does not keep soft-dirty bits");
	}
	snprintf(path, sizeof(path), "/proc/%d/clear_refs", t.pid);
	ASSERT_TRUE(set_file(path, "4"));
	target_next(&t);
	fd = snap(t.pid, 0);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(i % 2 == 0, is_soft_dirty(t.pid, mem + i * PAGE))
			fprintf(stderr, "# page %d\n", i);
	close(fd);
	target_kill(&t);
}

/* ---- MADV_FREE ---- */

/* Pages given up and written anew, and beside them pages given up and left. */
struct freed {
	char *again;
	char *left;
	volatile bool discarded;
	volatile bool kept;
};

static bool any_zero(const char *mem)
{
	int i;

	for (i = 0; i < PAGES; i++)
		if (!*(const uint64_t *)(mem + i * PAGE))
			return true;
	return false;
}

static void frees_and_writes(struct target *me, void *arg)
{
	struct freed *f = arg;

	fill(f->again, LEN, 1);
	fill(f->left, LEN, 1);
	/* Pages still on a processor's list of new ones are passed over: put them in their place. */
	set_file("/proc/sys/vm/compact_memory", "1");
	must(madvise(f->again, LEN, MADV_FREE));
	must(madvise(f->left, LEN, MADV_FREE));
	set_file("/proc/sys/vm/compact_memory", "1");
	/* Only the bit in the page table tells the kernel that these are in use again. */
	fill(f->again, LEN, 2);
	target_step(me);
	must(madvise(f->again, LEN, MADV_PAGEOUT));
	must(madvise(f->left, LEN, MADV_PAGEOUT));
	f->discarded = any_zero(f->left);
	f->kept = is_filled(f->again, LEN, 2);
	target_step(me);
}

static bool survives(unsigned int flags)
{
	struct freed *f = shared_memory(sizeof(*f));
	struct target t;

	f->again = aligned_memory(LEN);
	f->left = aligned_memory(LEN);
	advise_huge(f->again, LEN, MADV_NOHUGEPAGE);
	advise_huge(f->left, LEN, MADV_NOHUGEPAGE);
	target_begin(&t, frees_and_writes, f);
	close(snap(t.pid, flags));
	if (!wait_until(nothing_held()))
		give_up("something is still held");
	target_next(&t);
	target_kill(&t);
	if (!f->discarded)
		fprintf(stderr, "# nothing was reclaimed: this shows nothing\n");
	return f->discarded && f->kept;
}

TEST(what_was_written_after_madv_free_survives_reclaim)
{
	EXPECT_TRUE(survives(0));
	EXPECT_TRUE(survives(CKPT_SNAPSHOT_TRACK));
}

/* ---- leases ---- */

struct leased {
	bool maps;
	volatile bool kept;
};

static void holds_a_lease(struct target *me, void *arg)
{
	struct leased *l = arg;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	fd = must(open("/scratch/leased", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	must(ftruncate(fd, LEN));
	if (l->maps)
		fill(must(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)), LEN, 1);
	must(fcntl(fd, F_SETLEASE, F_WRLCK));
	target_step(me);
	must(sigpending(&set));
	l->kept = fcntl(fd, F_GETLEASE) == F_WRLCK && !sigismember(&set, SIGIO);
	target_step(me);
}

/* Whoever opens the file has its holder signalled, and waits for an answer. */
TEST(write_lease_is_not_broken_by_the_copy)
{
	struct leased *l = shared_memory(sizeof(*l));
	struct ckpt_snap s;
	struct target t;

	l->maps = true;
	target_begin(&t, holds_a_lease, l);
	EXPECT_EQ(-EBUSY, snap_with(t.pid, 0, &s));
	EXPECT_EQ(CKPT_REASON_LEASE, s.out_reason);
	EXPECT_NE(0, s.out_addr);
	target_next(&t);
	EXPECT_TRUE(l->kept);
	target_kill(&t);
}

TEST(write_lease_is_not_broken_by_the_barrier)
{
	struct leased *l = shared_memory(sizeof(*l));
	struct target t;
	int fd;

	target_begin(&t, holds_a_lease, l);
	fd = snap(t.pid, 0);
	EXPECT_EQ(-EBUSY, barrier(fd));
	target_next(&t);
	EXPECT_TRUE(l->kept);
	close(fd);
	target_kill(&t);
}

TEST_HARNESS_MAIN
