// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory runs out: a snapshot is given up, the program is not.
 */
#include <kselftest_harness.h>

#include <sys/stat.h>

#include "snap.h"

#define LEN	(24UL << 20)
#define TRIES	20
#define ROOM	"40M"		/* for the program alone, not for it and its snapshot */

static char dir[64];

static void put(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!set_file(path, text))
		give_up("%s: %s", path, strerror(errno));
}

/* Its limit is what it uses. What processors have charged ahead is given back first. */
static void leave_no_room(void)
{
	char path[96], used[32];

	put("memory.high", "0");
	put("memory.high", "max");
	snprintf(path, sizeof(path), "%s/memory.current", dir);
	if (get_file_text(path, used, sizeof(used)) <= 0)
		give_up("%s: %s", path, strerror(errno));
	put("memory.max", used);
}

static void program(struct target *me, void *arg)
{
	char *mem = arg, pid[32];

	snprintf(pid, sizeof(pid), "%d", getpid());
	put("cgroup.procs", pid);
	fill(mem, LEN, 1);
	target_step(me);
	fill(mem, LEN, 2);
	if (!is_filled(mem, LEN, 2))
		_exit(1);
	target_step(me);
}

FIXTURE(pressure) {
	struct target target;
	char *mem;
	int fd;
};

FIXTURE_SETUP(pressure)
{
	snprintf(dir, sizeof(dir), "/sys/fs/cgroup/ckpt-pressure-%d", getpid());
	if (mkdir(dir, 0700))
		SKIP(_exit(255), "no cgroup v2: %s", strerror(errno));
	put("memory.max", ROOM);
	put("memory.swap.max", "0");
	self->mem = aligned_memory(LEN);
	advise_huge(self->mem, LEN, MADV_NOHUGEPAGE);
	target_begin(&self->target, program, self->mem);
	self->fd = snap_ready(self->target.pid, 0);
}

FIXTURE_TEARDOWN(pressure)
{
	close(self->fd);
	if (self->target.pid)
		target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
	EXPECT_TRUE(wait_until(!rmdir(dir)));
}

TEST_F(pressure, snapshot_is_given_up_before_the_program_is_killed)
{
	struct ckpt_map m = { .size = sizeof(m), .nr = 1 };
	struct ckpt_run run;
	char c;

	ASSERT_EQ(1, read_at(self->fd, self->mem, &c, 1));
	EXPECT_LE((long)(LEN / PAGE), counter("pages"));
	/* It writes all of its memory: that is a copy of each page, and no room. */
	target_next(&self->target);
	EXPECT_EQ(1, stats(self->fd).out_canceled);
	EXPECT_TRUE(wait_until(!counter("pages")));
	EXPECT_EQ(1, counter("snapshots"));
	EXPECT_EQ(-ECANCELED, read_at(self->fd, self->mem, &c, 1));
	EXPECT_EQ(-ECANCELED, barrier(self->fd));
	m.runs = (unsigned long)&run;
	EXPECT_EQ(-ECANCELED, call(self->fd, CKPT_MAP, &m));
	EXPECT_EQ(-1, lseek(self->fd, 0, SEEK_DATA));
	EXPECT_EQ(ECANCELED, errno);
	EXPECT_EQ(0, target_finish(&self->target));
	self->target.pid = 0;
}

/*
 * Part of a snapshot is charged to the program's cgroup, and none of it may call the OOM killer. What the
 * kernel has been late to give back may be room for one, or for another.
 */
TEST_F(pressure, a_snapshot_for_which_there_is_no_room_fails)
{
	struct ckpt_snap s;

	for (int i = 0; i < TRIES && self->fd >= 0; i++) {
		close(self->fd);
		ASSERT_TRUE(wait_until(nothing_held()));
		leave_no_room();
		self->fd = snap_with(self->target.pid, 0, &s);
		put("memory.max", ROOM);
	}
	EXPECT_EQ(-ENOMEM, self->fd);
	self->fd = snap_with(self->target.pid, 0, &s);
	EXPECT_LE(0, self->fd);
	target_next(&self->target);
	EXPECT_EQ(0, target_finish(&self->target));
	self->target.pid = 0;
}

TEST_F(pressure, of_page_cache_alone_cancels_nothing)
{
	int disk = must(open("/scratch", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	char pid[32], *buf = malloc(1 << 20);
	off_t at;

	/* A hole is read into the cache as a file is; no disk is waited for. */
	must(ftruncate(disk, 4 * LEN));
	snprintf(pid, sizeof(pid), "%d", getpid());
	put("cgroup.procs", pid);
	for (at = 0; at < 4 * (off_t)LEN; at += 1 << 20)
		must(pread(disk, buf, 1 << 20, at));
	EXPECT_TRUE(set_file("/sys/fs/cgroup/cgroup.procs", pid));
	EXPECT_EQ(0, stats(self->fd).out_canceled);
	EXPECT_TRUE(holds_pattern(self->fd, self->mem, LEN, 1));
	close(disk);
}

TEST_HARNESS_MAIN
