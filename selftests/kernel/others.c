// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared memory that the snapshot of another process holds is not copied again: all of it, or not at all, and
 * only where that one really has it.
 */
#include <kselftest_harness.h>

#include "snap.h"
#include "system.h"

#define PAGES	16
#define LEN	(PAGES * PAGE)

/* Which of the processes has what of the memory. */
enum has { ALL, FRONT, ELSEWHERE, OTHER_FILE, HAS };

struct job {
	char *mem;		/* mapped before they are forked */
	enum has has;
};

FIXTURE(others) {
	struct target target[HAS];
	struct job *job[HAS];
	int session[HAS];
	char *mem;
};

static void worker(struct target *me, void *arg)
{
	struct job *job = arg;

	if (job->has == FRONT)
		must(munmap(job->mem + LEN / 2, LEN / 2));
	if (job->has == ELSEWHERE)
		job->mem = must(mremap(job->mem + LEN / 2, LEN / 2, LEN / 2, MREMAP_MAYMOVE | MREMAP_FIXED,
				       job->mem));
	if (job->has == OTHER_FILE) {
		must(mmap(job->mem, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
			  -1, 0));
		fill(job->mem, LEN, 77);
	}
	target_step(me);
}

FIXTURE_SETUP(others)
{
	int i;

	self->mem = shared_memory(LEN);
	fill(self->mem, LEN, 1);
	for (i = 0; i < HAS; i++) {
		self->job[i] = shared_memory(sizeof(*self->job[i]));
		*self->job[i] = (struct job) { self->mem, i };
		target_begin(&self->target[i], worker, self->job[i]);
		self->session[i] = attach(self->target[i].pid);
		ASSERT_EQ(0, freeze(self->session[i]));
	}
}

FIXTURE_TEARDOWN(others)
{
	int i;

	for (i = 0; i < HAS; i++) {
		close(self->session[i]);
		target_kill(&self->target[i]);
	}
	EXPECT_TRUE(wait_until(nothing_held()));
}

static int with_nr(int session, const int *fds, unsigned int nr)
{
	struct ckpt_snapshot s = { .size = sizeof(s), .others = (uintptr_t)fds, .nr_others = nr };

	return call(session, CKPT_SNAPSHOT, &s) ?: s.out_fd;
}

static int with(int session, int fd)
{
	return with_nr(session, &fd, 1);
}

TEST_F(others, what_one_shows_is_not_copied_for_another)
{
	int first = snapshot(self->session[ALL]), fd;
	enum has has;

	ASSERT_LE(0, first);
	EXPECT_EQ(CKPT_RUN_DATA, kind_of_range(first, self->mem, LEN));
	for (has = FRONT; has <= ELSEWHERE; has++) {
		fd = with(self->session[has], first);
		ASSERT_LE(0, fd);
		EXPECT_EQ(CKPT_RUN_OTHER, kind_of_range(fd, self->mem, LEN / 2));
		ASSERT_EQ(0, barrier(fd));
		EXPECT_FALSE(holds_pattern(fd, self->mem, LEN / 2, 1));
		close(fd);
	}
	ASSERT_EQ(0, barrier(first));
	EXPECT_TRUE(holds_pattern(first, self->mem, LEN, 1));
	close(first);
}

TEST_F(others, what_one_shows_in_part_is_copied_whole)
{
	int first = snapshot(self->session[FRONT]), second = snapshot(self->session[ELSEWHERE]);
	int fds[] = { first, second };
	int fd = with_nr(self->session[ALL], fds, 2);

	ASSERT_LE(0, fd);
	EXPECT_EQ(CKPT_RUN_DATA, kind_of_range(fd, self->mem, LEN));
	close(fd);
	/* The halves are not each other's either, though they lie at one address. */
	fd = with(self->session[ELSEWHERE], first);
	ASSERT_LE(0, fd);
	EXPECT_EQ(CKPT_RUN_DATA, kind_of_range(fd, self->mem, LEN / 2));
	close(fd);
	close(first);
	close(second);
}

TEST_F(others, another_file_at_the_same_place_is_copied)
{
	int first = snapshot(self->session[ALL]), fd = with(self->session[OTHER_FILE], first);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, barrier(fd));
	EXPECT_TRUE(holds_pattern(fd, self->mem, LEN, 77));
	close(fd);
	close(first);
}

TEST_F(others, what_one_left_to_a_third_is_copied)
{
	int first = snapshot(self->session[ALL]), second = with(self->session[FRONT], first);
	int fd = with(self->session[FRONT], second);

	ASSERT_LE(0, fd);
	EXPECT_EQ(CKPT_RUN_DATA, kind_of_range(fd, self->mem, LEN / 2));
	close(fd);
	close(second);
	close(first);
}

TEST_F(others, what_is_no_snapshot_is_told)
{
	int first = snapshot(self->session[ALL]), closed = dup(first), many[CKPT_OTHERS_MAX + 1];
	int i;

	for (i = 0; i <= CKPT_OTHERS_MAX; i++)
		many[i] = first;
	close(closed);
	EXPECT_EQ(-EINVAL, with(self->session[FRONT], self->session[ALL]));
	EXPECT_EQ(-EBADF, with(self->session[FRONT], closed));
	EXPECT_EQ(-EFAULT, with_nr(self->session[FRONT], NULL, 1));
	EXPECT_EQ(-EINVAL, with_nr(self->session[FRONT], many, CKPT_OTHERS_MAX + 1));
	i = with_nr(self->session[FRONT], many, CKPT_OTHERS_MAX);
	EXPECT_LE(0, i);
	close(i);
	close(first);
}

TEST_HARNESS_MAIN
