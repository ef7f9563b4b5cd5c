// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that has a file behind it, by name or without: shared mappings are copied in the pause,
 * private ones are told to be the file's where the program has not written.
 */
#include <kselftest_harness.h>

#include <sys/shm.h>
#include <sys/stat.h>

#include "snap.h"
#include "system.h"

#define PAGES	16
#define LEN	(PAGES * PAGE)

/* Which pages the target touches before the snapshot: written, read, left alone. */
static const char touched[PAGES + 1] = "WWWRR--WW-------";

struct job {
	void (*make)(struct job *job);
	char *mem;
	int file;
};

FIXTURE(shared) {
	struct target target;
	struct job *job;
	int fd;
};

FIXTURE_VARIANT(shared) {
	void (*make)(struct job *job);
};

static char *map(struct job *job, int prot, int flags, size_t offset)
{
	job->mem = must(mmap(NULL, LEN, prot, flags, job->file, offset));
	return job->mem;
}

#define RW (PROT_READ | PROT_WRITE)

static void anonymous(struct job *job)
{
	job->file = -1;
	map(job, RW, MAP_SHARED | MAP_ANONYMOUS, 0);
}

static void memory_file(struct job *job)
{
	job->file = must(memfd_create("test", MFD_CLOEXEC));
	must(ftruncate(job->file, LEN));
	map(job, RW, MAP_SHARED, 0);
}

static void part_of_memory_file(struct job *job)
{
	job->file = must(memfd_create("test", MFD_CLOEXEC));
	must(ftruncate(job->file, LEN + 8 * PAGE));
	fill(must(mmap(NULL, 8 * PAGE, RW, MAP_SHARED, job->file, 0)), 8 * PAGE, 9);
	map(job, RW, MAP_SHARED, 8 * PAGE);
}

static void closed_memory_file(struct job *job)
{
	memory_file(job);
	close(job->file);
}

static void tmpfs_file(struct job *job)
{
	job->file = must(open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	must(ftruncate(job->file, LEN));
	map(job, RW, MAP_SHARED, 0);
}

static void disk_file(struct job *job)
{
	job->file = must(open("/scratch/shared", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	must(ftruncate(job->file, LEN));
	map(job, RW, MAP_SHARED, 0);
}

static void deleted_disk_file(struct job *job)
{
	disk_file(job);
	must(unlink("/scratch/shared"));
}

static void sysv_segment(struct job *job)
{
	int id = must(shmget(IPC_PRIVATE, LEN, IPC_CREAT | 0600));

	job->mem = must(shmat(id, NULL, 0));
	must(shmctl(id, IPC_RMID, NULL));
}

FIXTURE_VARIANT_ADD(shared, anonymous) { .make = anonymous };
FIXTURE_VARIANT_ADD(shared, memory_file) { .make = memory_file };
FIXTURE_VARIANT_ADD(shared, part_of_memory_file) { .make = part_of_memory_file };
FIXTURE_VARIANT_ADD(shared, closed_memory_file) { .make = closed_memory_file };
FIXTURE_VARIANT_ADD(shared, tmpfs_file) { .make = tmpfs_file };
FIXTURE_VARIANT_ADD(shared, disk_file) { .make = disk_file };
FIXTURE_VARIANT_ADD(shared, deleted_disk_file) { .make = deleted_disk_file };
FIXTURE_VARIANT_ADD(shared, sysv_segment) { .make = sysv_segment };

static void worker(struct target *me, void *arg)
{
	struct job *job = arg;
	int i;

	job->make(job);
	for (i = 0; i < PAGES; i++) {
		if (touched[i] == 'W')
			fill(job->mem + i * PAGE, PAGE, i + 1);
		else if (touched[i] == 'R')
			(void)*(volatile char *)(job->mem + i * PAGE);
	}
	target_step(me);
	fill(job->mem, LEN, 99);
	target_step(me);
	if (!is_filled(job->mem, LEN, 99))
		_exit(1);
}

FIXTURE_SETUP(shared)
{
	self->job = shared_memory(sizeof(*self->job));
	self->job->make = variant->make;
	target_begin(&self->target, worker, self->job);
	self->fd = snap(self->target.pid, 0);
}

FIXTURE_TEARDOWN(shared)
{
	close(self->fd);
	if (self->target.pid)
		target_kill(&self->target);
	unlink("/scratch/shared");
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F(shared, is_held_as_it_was_after_it_was_overwritten)
{
	char *mem = self->job->mem;
	int i;

	ASSERT_EQ(0, barrier(self->fd));
	target_next(&self->target);
	for (i = 0; i < PAGES; i++)
		if (touched[i] == 'W')
			EXPECT_TRUE(holds_pattern(self->fd, mem + i * PAGE, PAGE, i + 1));
	EXPECT_EQ(0, target_finish(&self->target));
	self->target.pid = 0;
}

/* Zero or the file's own, but not data that was never there. */
TEST_F(shared, holes_are_not_data)
{
	int i;

	for (i = 0; i < PAGES; i++) {
		unsigned int kind = kind_at(self->fd, self->job->mem + i * PAGE);

		if (touched[i] == 'W') {
			EXPECT_EQ(CKPT_RUN_DATA, kind);
		} else {
			EXPECT_NE(CKPT_RUN_DATA, kind);
			EXPECT_NE(CKPT_RUN_OPAQUE, kind);
		}
	}
}

TEST_F(shared, its_file_keeps_its_offset)
{
	char path[64], text[512];
	long at = -1;

	if (self->job->file <= 0 || variant->make == closed_memory_file)
		return;		/* no descriptor */
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", self->target.pid, self->job->file);
	ASSERT_LT(0, get_file_text(path, text, sizeof(text)));
	ASSERT_EQ(1, sscanf(text, "pos: %ld", &at));
	EXPECT_EQ(0, at);
}

/* ---- what is mapped privately, or read-only ---- */

FIXTURE(file) {
	struct target target;
	struct job *job;
	int fd;
};

FIXTURE_VARIANT(file) {
	void (*make)(struct job *job);
};

static void fill_file(struct job *job)
{
	char page[PAGE];
	int i;

	for (i = 0; i < PAGES; i++) {
		fill(page, PAGE, i + 41);
		must(pwrite(job->file, page, PAGE, i * PAGE));
	}
}

static void private_disk_file(struct job *job)
{
	job->file = must(open("/scratch/private", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	fill_file(job);
	map(job, RW, MAP_PRIVATE, 0);
}

static void private_memory_file(struct job *job)
{
	job->file = must(memfd_create("test", MFD_CLOEXEC));
	fill_file(job);
	map(job, RW, MAP_PRIVATE, 0);
}

static void private_deleted_tmpfs_file(struct job *job)
{
	job->file = must(open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	fill_file(job);
	map(job, RW, MAP_PRIVATE, 0);
}

FIXTURE_VARIANT_ADD(file, private_disk_file) { .make = private_disk_file };
FIXTURE_VARIANT_ADD(file, private_memory_file) { .make = private_memory_file };
FIXTURE_VARIANT_ADD(file, private_deleted_tmpfs_file) { .make = private_deleted_tmpfs_file };

FIXTURE_SETUP(file)
{
	self->job = shared_memory(sizeof(*self->job));
	self->job->make = variant->make;
	target_begin(&self->target, worker, self->job);
	self->fd = snap_ready(self->target.pid, 0);
}

FIXTURE_TEARDOWN(file)
{
	close(self->fd);
	target_kill(&self->target);
	unlink("/scratch/private");
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F(file, pages_the_program_wrote_are_data)
{
	int i;

	target_next(&self->target);
	for (i = 0; i < PAGES; i++)
		if (touched[i] == 'W')
			EXPECT_TRUE(holds_pattern(self->fd, self->job->mem + i * PAGE, PAGE,
						  i + 1));
}

TEST_F(file, pages_it_did_not_write_are_never_told_to_be_zero)
{
	int i;

	for (i = 0; i < PAGES; i++) {
		char *at = self->job->mem + i * PAGE;
		unsigned int kind = kind_at(self->fd, at);

		if (touched[i] == 'W')
			continue;
		/* Its content is the file's: by reference, or in a copy. */
		if (kind == CKPT_RUN_DATA) {
			EXPECT_TRUE(holds_pattern(self->fd, at, PAGE, i + 41));
		} else {
			EXPECT_EQ(CKPT_RUN_FILE, kind);
		}
	}
}

/* A memory file mapped shared and only for reading, by an open file that cannot write. */
static void reader(struct target *me, void *arg)
{
	struct job *job = arg;
	char path[64];

	job->file = must(memfd_create("test", MFD_CLOEXEC));
	fill_file(job);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", job->file);
	job->file = must(open(path, O_RDONLY | O_CLOEXEC));
	map(job, PROT_READ, MAP_SHARED, 0);
	target_step(me);
}

TEST(shared_memory_file_open_for_reading_is_not_zero)
{
	struct job *job = shared_memory(sizeof(*job));
	struct target t;
	unsigned int kind;
	int fd;

	target_begin(&t, reader, job);
	fd = snap_ready(t.pid, 0);
	kind = kind_at(fd, job->mem);
	if (kind == CKPT_RUN_DATA) {
		EXPECT_TRUE(holds_pattern(fd, job->mem, PAGE, 41));
	} else {
		EXPECT_EQ(CKPT_RUN_FILE, kind);
	}
	close(fd);
	target_kill(&t);
}

/* ---- the rest ---- */

static void huge_shared(struct target *me, void *arg)
{
	char **mem = arg;

	*mem = must(mmap(NULL, 2 * HUGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0));
	fill(*mem, HUGE, 1);
	target_step(me);
	fill(*mem, 2 * HUGE, 2);
	target_step(me);
}

TEST(shared_hugetlb_is_held_as_it_was)
{
	char **mem = shared_memory(PAGE);
	struct target t;
	int fd;

	if (!huge_pool("4"))
		SKIP(return, "no hugetlb");
	target_begin(&t, huge_shared, mem);
	fd = snap_ready(t.pid, 0);
	target_next(&t);
	EXPECT_TRUE(holds_pattern(fd, *mem, HUGE, 1));
	EXPECT_EQ(CKPT_RUN_ZERO, kind_at(fd, *mem + HUGE));
	close(fd);
	EXPECT_EQ(0, target_finish(&t));
	huge_pool("0");
}

static void huge_private_file(struct target *me, void *arg)
{
	char **mem = arg;
	int file = must(memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB));

	must(ftruncate(file, 2 * HUGE));
	fill(must(mmap(NULL, 2 * HUGE, RW, MAP_SHARED, file, 0)), 2 * HUGE, 1);
	*mem = must(mmap(NULL, 2 * HUGE, RW, MAP_PRIVATE, file, 0));
	fill(*mem, HUGE, 2);
	target_step(me);
}

/* The second half was never touched through this mapping: there is nothing in its page table. */
TEST(private_mapping_of_a_hugetlb_file_is_not_zero)
{
	char **mem = shared_memory(PAGE);
	unsigned int kind;
	struct target t;
	int fd;

	if (!huge_pool("6"))
		SKIP(return, "no hugetlb");
	target_begin(&t, huge_private_file, mem);
	fd = snap_ready(t.pid, 0);
	EXPECT_TRUE(holds_pattern(fd, *mem, HUGE, 2));
	kind = kind_at(fd, *mem + HUGE);
	EXPECT_TRUE(kind == CKPT_RUN_FILE || kind == CKPT_RUN_DATA)
		fprintf(stderr, "# kind %u\n", kind);
	close(fd);
	target_kill(&t);
	huge_pool("0");
}

static void sleeper(struct target *me, void *arg)
{
	target_step(me);
}

TEST(text_is_the_files_and_the_kernels_pages_are_opaque)
{
	struct ckpt_rec_vma *v = NULL;
	unsigned int text = 0, special = 0;
	struct target t;
	struct state st;
	int fd;

	target_begin(&t, sleeper, NULL);
	fd = snap(t.pid, 0);
	st = snapshot_state(fd);
	while ((v = record_next(&st, CKPT_REC_VMA, v))) {
		if (v->flags & CKPT_VMA_SPECIAL) {
			EXPECT_EQ(CKPT_RUN_OPAQUE, kind_at(fd, (void *)(unsigned long)v->start));
			special++;
		} else if ((v->flags & CKPT_VMA_EXEC) && v->path_len) {
			EXPECT_EQ(CKPT_RUN_FILE, kind_of_range(fd, (void *)(unsigned long)v->start,
							       v->end - v->start));
			text++;
		}
	}
	EXPECT_LE(2, special);
	EXPECT_LE(2, text);
	close(fd);
	target_kill(&t);
}

static void truncated(struct target *me, void *arg)
{
	char **mem = arg;
	int file = must(memfd_create("test", MFD_CLOEXEC));

	must(ftruncate(file, LEN));
	*mem = must(mmap(NULL, LEN, RW, MAP_SHARED, file, 0));
	fill(*mem, LEN, 1);
	must(ftruncate(file, 2 * PAGE + 100));
	target_step(me);
}

TEST(mapping_that_reaches_beyond_its_file_is_taken_to_the_files_end)
{
	char **mem = shared_memory(PAGE), want[3 * PAGE] = {};
	struct target t;
	int fd;

	target_begin(&t, truncated, mem);
	fd = snap_ready(t.pid, 0);
	fill(want, 3 * PAGE, 1);
	memset(want + 2 * PAGE + 100, 0, PAGE - 100);
	EXPECT_TRUE(holds(fd, *mem, want, 3 * PAGE));
	EXPECT_NE(CKPT_RUN_DATA, kind_at(fd, *mem + 3 * PAGE));
	close(fd);
	target_kill(&t);
}

TEST_HARNESS_MAIN
