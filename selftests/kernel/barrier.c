// SPDX-License-Identifier: GPL-2.0-only
/*
 * The barrier: what the program wrote to its files is on the disk when it returns, and each file is
 * synced once, however many ask for it.
 */
#include <kselftest_harness.h>

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <pthread.h>

#include "snap.h"

#define DIR	"/scratch"
#define FILES	24
#define CALLERS	4
#define LEN	(16 * PAGE)

static char known = 1;		/* a byte of the target's own */

static int new_file(int nr)
{
	char path[64];
	int file;

	snprintf(path, sizeof(path), DIR "/barrier-%d", nr);
	file = must(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	must(unlink(path));
	return file;
}

/* Has the file system not even a place for it on the disk yet? Asks without making it choose one. */
static bool is_only_in_memory(int file)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + 32 * sizeof(struct fiemap_extent)];
	} u = { .map = { .fm_length = FIEMAP_MAX_OFFSET, .fm_extent_count = 32 } };
	unsigned int i;

	must(ioctl(file, FS_IOC_FIEMAP, &u.map));
	for (i = 0; i < u.map.fm_mapped_extents; i++)
		if (u.map.fm_extents[i].fe_flags & FIEMAP_EXTENT_DELALLOC)
			return true;
	return false;
}

/* ---- one file ---- */

static void write_by_descriptor(int file)
{
	static char text[LEN];

	fill(text, LEN, 1);
	must(pwrite(file, text, LEN, 0));
}

/* Without a descriptor that could tell of it. */
static void write_by_mapping(int file)
{
	must(ftruncate(file, LEN));
	fill(must(mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)), LEN, 1);
}

FIXTURE(written) {
	struct target target;
	int file;
};

FIXTURE_VARIANT(written) {
	void (*write)(int file);
};

FIXTURE_VARIANT_ADD(written, by_descriptor) { .write = write_by_descriptor };
FIXTURE_VARIANT_ADD(written, by_mapping) { .write = write_by_mapping };

struct job {
	void (*write)(int file);
	int file;
};

static void writer(struct target *me, void *arg)
{
	struct job *job = arg;

	known++;
	/* The kernel may have written it back by chance: then again. Not by a truncation to nothing:
	 * after one ext4 finds the file its place when anybody closes it.
	 */
	job->write(job->file);
	while (!is_only_in_memory(job->file)) {
		must(fallocate(job->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LEN));
		job->write(job->file);
	}
	if (job->write == write_by_mapping)
		close(job->file);
	target_step(me);
}

FIXTURE_SETUP(written)
{
	struct job job = { .write = variant->write, .file = new_file(0) };

	if (ioctl(job.file, FS_IOC_FIEMAP, &(struct fiemap) { .fm_length = 1 }))
		SKIP(_exit(255), "a file system that does not tell where its files are");
	self->file = job.file;
	target_begin(&self->target, writer, &job);
}

FIXTURE_TEARDOWN(written)
{
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F(written, file_is_on_disk_after_the_barrier)
{
	struct ckpt_barrier b;
	int fd = snap(self->target.pid, 0);

	ASSERT_EQ(0, barrier_why(fd, &b));
	EXPECT_LE(1, b.out_files);
	EXPECT_FALSE(is_only_in_memory(self->file));
	close(fd);
}

TEST_F(written, barrier_that_is_skipped_syncs_nothing_and_lets_read)
{
	struct ckpt_barrier b = { .size = sizeof(b), .flags = CKPT_BARRIER_SKIP };
	int fd = snap(self->target.pid, 0);
	char byte;

	EXPECT_EQ(-EBUSY, read_at(fd, &known, &byte, 1));
	ASSERT_EQ(0, call(fd, CKPT_BARRIER, &b));
	EXPECT_EQ(0, b.out_files);
	EXPECT_TRUE(is_only_in_memory(self->file));
	EXPECT_EQ(1, read_at(fd, &known, &byte, 1));
	/* It can still be had. */
	ASSERT_EQ(0, barrier_why(fd, &b));
	EXPECT_LE(1, b.out_files);
	EXPECT_FALSE(is_only_in_memory(self->file));
	close(fd);
}

/* ---- written through ---- */

static void open_through(struct target *me, void *arg)
{
	int *flags = arg;
	char path[64] = DIR "/barrier-through";

	write_by_descriptor(must(open(path, O_RDWR | O_CREAT | O_CLOEXEC | *flags, 0600)));
	if (*flags & O_DSYNC)
		write_by_descriptor(must(open(path, O_RDWR | O_CLOEXEC | O_SYNC)));
	target_step(me);
}

static int files_synced(int flags)
{
	struct ckpt_barrier b;
	struct target t;
	int fd, ret;

	target_begin(&t, open_through, &flags);
	fd = snap(t.pid, 0);
	ret = barrier_why(fd, &b);
	close(fd);
	target_kill(&t);
	return ret ? ret : (int)b.out_files;
}

TEST(file_that_is_written_through_is_not_synced_again)
{
	int plain = files_synced(0);

	EXPECT_LE(1, plain);
	EXPECT_EQ(plain - 1, files_synced(O_DSYNC));
	unlink(DIR "/barrier-through");
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* ---- many callers ---- */

static void write_many(struct target *me, void *arg)
{
	int i;

	for (i = 0; i < FILES; i++)
		write_by_descriptor(new_file(i));
	target_step(me);
}

struct caller {
	pthread_t thread;
	pthread_barrier_t *start;
	struct ckpt_barrier b;
	int fd, ret;
};

static void *call_barrier(void *arg)
{
	struct caller *c = arg;

	pthread_barrier_wait(c->start);
	c->ret = barrier_why(c->fd, &c->b);
	return NULL;
}

TEST(barriers_at_once_sync_each_file_once)
{
	struct caller callers[CALLERS];
	pthread_barrier_t start;
	struct ckpt_barrier b;
	struct target t;
	int i, fd, alone;
	unsigned int files = 0;

	target_begin(&t, write_many, NULL);
	/* By one caller: how many there are, the test's own streams among them. */
	fd = snap(t.pid, 0);
	ASSERT_EQ(0, barrier_why(fd, &b));
	alone = b.out_files;
	EXPECT_LE(FILES, alone);
	close(fd);
	target_kill(&t);

	target_begin(&t, write_many, NULL);
	fd = snap(t.pid, 0);
	pthread_barrier_init(&start, NULL, CALLERS);
	for (i = 0; i < CALLERS; i++) {
		callers[i] = (struct caller) { .start = &start, .fd = fd };
		ASSERT_EQ(0, pthread_create(&callers[i].thread, NULL, call_barrier, &callers[i]));
	}
	for (i = 0; i < CALLERS; i++) {
		pthread_join(callers[i].thread, NULL);
		EXPECT_EQ(0, callers[i].ret);
		files += callers[i].b.out_files;
	}
	EXPECT_EQ(alone, files);
	close(fd);
	target_kill(&t);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_HARNESS_MAIN
