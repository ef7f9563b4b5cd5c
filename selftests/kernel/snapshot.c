// SPDX-License-Identifier: GPL-2.0-only
/*
 * The snapshot descriptor: map, reads at addresses, seeks, splice, consumption, life. What the
 * pages must hold is cow.c's matter; here the target's memory is simple and well known.
 */
#include <kselftest_harness.h>

#include <sys/sendfile.h>
#include <sys/uio.h>

#include "snap.h"
#include "system.h"

#define PAGES	16

/* Pages of the target, between two mappings that nothing merges with. */
/* Data, zero page, untouched, hole. */
static const char layout[PAGES + 1] = "DDDDZZUUDD..DDDD";

FIXTURE(snapshot) {
	struct target target;
	char *mem;
	int fd;
};

static void simple(struct target *me, void *arg)
{
	char *mem = arg;
	int i;

	for (i = 0; i < PAGES; i++) {
		if (layout[i] == 'D')
			fill(mem + i * PAGE, PAGE, i + 1);
		else if (layout[i] == 'Z')
			(void)*(volatile char *)(mem + i * PAGE);
		else if (layout[i] == '.')
			munmap(mem + i * PAGE, PAGE);
	}
	target_step(me);
	for (i = 0; i < PAGES; i++)
		if (layout[i] != '.')
			fill(mem + i * PAGE, PAGE, i + 101);
	target_step(me);
	for (i = 0; i < PAGES; i++)
		if (layout[i] != '.' && !is_filled(mem + i * PAGE, PAGE, i + 101))
			_exit(1);
}

FIXTURE_SETUP(snapshot)
{
	char *area = anon_memory((PAGES + 2) * PAGE);

	self->mem = area + PAGE;
	must(mprotect(area, PAGE, PROT_NONE));
	must(mprotect(area + (PAGES + 1) * PAGE, PAGE, PROT_NONE));
	advise_huge(self->mem, PAGES * PAGE, MADV_NOHUGEPAGE);
	target_begin(&self->target, simple, self->mem);
	self->fd = snap(self->target.pid, 0);
}

FIXTURE_TEARDOWN(snapshot)
{
	if (self->fd >= 0)
		close(self->fd);
	if (self->target.pid)
		target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

#define AT(page) (self->mem + (page) * PAGE)

static unsigned int count_runs(int fd, struct ckpt_run *runs, unsigned int room, unsigned int chunk)
{
	struct ckpt_map m = { .size = sizeof(m), .nr = chunk };
	unsigned int nr = 0;

	do {
		m.runs = (unsigned long)(runs + nr);
		if (nr + chunk > room)
			give_up("more runs than expected");
		must(ioctl(fd, CKPT_MAP, &m));
		nr += m.out_nr;
		m.start = m.out_next;
	} while (m.out_nr);
	return nr;
}

TEST_F(snapshot, nothing_can_be_read_before_the_barrier)
{
	loff_t pos = (unsigned long)self->mem;
	char buf[64];
	int p[2];

	must(pipe2(p, O_CLOEXEC));
	EXPECT_EQ(-EBUSY, read_at(self->fd, self->mem, buf, sizeof(buf)));
	EXPECT_EQ(-1, splice(self->fd, &pos, p[1], NULL, PAGE, 0));
	EXPECT_EQ(EBUSY, errno);
	ASSERT_EQ(0, barrier(self->fd));
	EXPECT_EQ(64, read_at(self->fd, self->mem, buf, sizeof(buf)));
	EXPECT_EQ((ssize_t)PAGE, splice(self->fd, &pos, p[1], NULL, PAGE, 0));
}

TEST_F(snapshot, second_barrier_is_accepted)
{
	EXPECT_EQ(0, barrier(self->fd));
	EXPECT_EQ(0, barrier(self->fd));
}

TEST_F(snapshot, map_tells_data_zero_and_hole)
{
	int i;

	for (i = 0; i < PAGES; i++) {
		unsigned int kind = CKPT_RUN_ZERO;

		if (layout[i] == 'D')
			kind = CKPT_RUN_DATA;
		else if (layout[i] == '.')
			kind = 0;
		EXPECT_EQ(kind, kind_at(self->fd, AT(i)))
			fprintf(stderr, "# page %d\n", i);
	}
}

TEST_F(snapshot, map_does_not_depend_on_the_chunk_it_is_read_in)
{
	static struct ckpt_run one[4096], many[4096];
	unsigned int nr = count_runs(self->fd, one, 4096, 1);

	ASSERT_EQ(nr, count_runs(self->fd, many, 4096, 1000));
	EXPECT_EQ(0, memcmp(one, many, nr * sizeof(one[0])));
	ASSERT_EQ(nr, count_runs(self->fd, many, 4096, 7));
	EXPECT_EQ(0, memcmp(one, many, nr * sizeof(one[0])));
}

TEST_F(snapshot, map_covers_exactly_the_mappings)
{
	static struct ckpt_run runs[4096];
	unsigned int nr = count_runs(self->fd, runs, 4096, 512), i = 0;
	struct state st = snapshot_state(self->fd);
	struct ckpt_rec_vma *v = NULL;
	unsigned long at;

	while ((v = record_next(&st, CKPT_REC_VMA, v))) {
		for (at = v->start; at < v->end; at += runs[i++].len) {
			ASSERT_LT(i, nr);
			ASSERT_EQ(at, runs[i].start);
			ASSERT_GT(runs[i].len, 0);
			ASSERT_EQ(0, runs[i].len % PAGE);
			ASSERT_EQ(0, runs[i].reserved);
			ASSERT_GE(runs[i].kind, CKPT_RUN_DATA);
			ASSERT_LE(runs[i].kind, CKPT_RUN_OPAQUE);
			/* A run ends where the kind changes, or the mapping ends. */
			if (at > v->start)
				ASSERT_NE(runs[i].kind, runs[i - 1].kind);
		}
		ASSERT_EQ(at, v->end);
	}
	EXPECT_EQ(nr, i);
	free(st.buf);
}

TEST_F(snapshot, map_agrees_with_proc_maps)
{
	struct state st = snapshot_state(self->fd);
	struct ckpt_rec_vma *v = NULL;
	unsigned long start, end;
	char path[32], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", self->target.pid);
	f = fopen(path, "re");
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "[vsyscall]"))
			continue;
		ASSERT_EQ(2, sscanf(line, "%lx-%lx", &start, &end));
		v = record_next(&st, CKPT_REC_VMA, v);
		ASSERT_NE(NULL, v);
		EXPECT_EQ(start, v->start);
		EXPECT_EQ(end, v->end);
	}
	EXPECT_EQ(NULL, record_next(&st, CKPT_REC_VMA, v));
	fclose(f);
	free(st.buf);
}

TEST_F(snapshot, map_may_begin_inside_a_run)
{
	struct ckpt_run run;

	ASSERT_TRUE(run_at(self->fd, AT(1), &run));
	EXPECT_EQ((unsigned long)AT(1), run.start);
	EXPECT_EQ(3 * PAGE, run.len);
	ASSERT_TRUE(run_at(self->fd, AT(10), &run));
	EXPECT_EQ((unsigned long)AT(12), run.start);
	EXPECT_EQ(4 * PAGE, run.len);
}

TEST_F(snapshot, map_arguments_are_checked)
{
	struct ckpt_run run;
	struct ckpt_map m = { .size = sizeof(m), .runs = (unsigned long)&run };

	EXPECT_EQ(-EINVAL, call(self->fd, CKPT_MAP, &m));	/* no room */
	m.nr = 1;
	m.start = 1;
	EXPECT_EQ(-EINVAL, call(self->fd, CKPT_MAP, &m));
	m.start = 0;
	m.runs = 0;
	EXPECT_EQ(-EFAULT, call(self->fd, CKPT_MAP, &m));
	m.runs = -4096UL;
	EXPECT_EQ(-EFAULT, call(self->fd, CKPT_MAP, &m));
	m.start = -4096UL;
	EXPECT_EQ(0, call(self->fd, CKPT_MAP, &m));
	EXPECT_EQ(0, m.out_nr);
}

TEST_F(snapshot, pages_are_those_of_the_moment)
{
	int i;

	ASSERT_EQ(0, barrier(self->fd));
	target_next(&self->target);
	for (i = 0; i < PAGES; i++)
		if (layout[i] == 'D')
			EXPECT_TRUE(holds_pattern(self->fd, AT(i), PAGE, i + 1));
	EXPECT_EQ(0, target_finish(&self->target));
	self->target.pid = 0;
}

TEST_F(snapshot, reads_at_odd_offsets_and_lengths_are_exact)
{
	static const size_t offs[] = { 0, 1, 7, 8, 511, 2048, 4095 };
	static const size_t lens[] = { 1, 3, 8, 100, 4096, 4097, 8191 };
	char want[4 * PAGE];
	unsigned int i, j;

	ASSERT_EQ(0, barrier(self->fd));
	for (i = 0; i < 4; i++)
		fill(want + i * PAGE, PAGE, i + 1);
	for (i = 0; i < ARRAY_SIZE(offs); i++)
		for (j = 0; j < ARRAY_SIZE(lens); j++)
			ASSERT_TRUE(holds(self->fd, self->mem + offs[i], want + offs[i], lens[j]));
}

TEST_F(snapshot, reads_that_begin_outside_of_data_find_none)
{
	char buf[2 * PAGE];

	ASSERT_EQ(0, barrier(self->fd));
	EXPECT_EQ(-ENODATA, read_at(self->fd, AT(4), buf, PAGE));	/* zero page */
	EXPECT_EQ(-ENODATA, read_at(self->fd, AT(6), buf, PAGE));	/* untouched */
	EXPECT_EQ(-ENODATA, read_at(self->fd, AT(10), buf, PAGE));	/* not mapped */
	EXPECT_EQ(-ENODATA, read_at(self->fd, NULL, buf, PAGE));
	EXPECT_EQ(-ENODATA, read_at(self->fd, (void *)0x7fffffffe000, buf, PAGE));
	EXPECT_GT(0, read_at(self->fd, (void *)-4096L, buf, PAGE));
}

TEST_F(snapshot, reads_that_reach_beyond_data_are_short)
{
	char buf[4 * PAGE];

	ASSERT_EQ(0, barrier(self->fd));
	EXPECT_EQ((ssize_t)PAGE, pread(self->fd, buf, sizeof(buf), (unsigned long)AT(3)));
	EXPECT_EQ(10, pread(self->fd, buf, sizeof(buf), (unsigned long)AT(4) - 10));
}

TEST_F(snapshot, a_buffer_that_cannot_be_written_is_a_fault)
{
	char *buf = anon_memory(2 * PAGE);

	ASSERT_EQ(0, barrier(self->fd));
	must(munmap(buf + PAGE, PAGE));
	EXPECT_EQ(-EFAULT, read_at(self->fd, self->mem, buf + PAGE, PAGE));
	EXPECT_EQ(100, pread(self->fd, buf + PAGE - 100, PAGE, (unsigned long)self->mem));
}

TEST_F(snapshot, read_goes_on_where_it_was)
{
	off_t at = (unsigned long)self->mem;
	char want[2 * PAGE], a[1000], b[1000];
	struct iovec v[] = { { a, sizeof(a) }, { b, sizeof(b) } };

	ASSERT_EQ(0, barrier(self->fd));
	fill(want, PAGE, 1);
	ASSERT_EQ(at, lseek(self->fd, at, SEEK_SET));
	ASSERT_EQ(1000, read(self->fd, a, 1000));
	EXPECT_EQ(0, memcmp(a, want, 1000));
	ASSERT_EQ(2000, readv(self->fd, v, 2));
	EXPECT_EQ(0, memcmp(a, want + 1000, 1000));
	EXPECT_EQ(0, memcmp(b, want + 2000, 1000));
}

TEST_F(snapshot, seeks_walk_the_data_of_the_map)
{
	static struct ckpt_run runs[4096];
	unsigned int nr = count_runs(self->fd, runs, 4096, 512), i;
	off_t at = 0;

	for (i = 0; i < nr; i++) {
		if (runs[i].kind != CKPT_RUN_DATA)
			continue;
		/* Where two mappings of data touch there is no hole between them. */
		if (at != (off_t)runs[i].start) {
			ASSERT_EQ((off_t)runs[i].start, lseek(self->fd, at, SEEK_DATA));
			ASSERT_EQ(at, lseek(self->fd, at, SEEK_HOLE));
		}
		at = runs[i].start + runs[i].len;
		if (i + 1 == nr || runs[i + 1].start != (unsigned long)at ||
		    runs[i + 1].kind != CKPT_RUN_DATA)
			ASSERT_EQ(at, lseek(self->fd, runs[i].start, SEEK_HOLE));
		ASSERT_EQ((off_t)runs[i].start + 5, lseek(self->fd, runs[i].start + 5, SEEK_DATA));
	}
	EXPECT_EQ(-1, lseek(self->fd, at, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
}

TEST_F(snapshot, seeks_that_mean_nothing_are_refused)
{
	EXPECT_EQ(-1, lseek(self->fd, -1, SEEK_SET));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->fd, -1, SEEK_DATA));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(-1, lseek(self->fd, 1L << 62, SEEK_HOLE));
	EXPECT_EQ(ENXIO, errno);
}

TEST_F(snapshot, can_be_neither_written_nor_mapped)
{
	char c = 0;

	EXPECT_EQ(-1, write(self->fd, &c, 1));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, pwrite(self->fd, &c, 1, (unsigned long)self->mem));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self->fd, 0));
}

/* Everything from @pos on that goes through a pipe of one page less than is asked for. */
static ssize_t splice_all(int fd, loff_t pos, char *buf, size_t len)
{
	size_t done = 0;
	ssize_t n, m;
	int p[2];

	must(pipe2(p, O_CLOEXEC));
	must(fcntl(p[1], F_SETPIPE_SZ, 2 * PAGE));
	while (done < len) {
		n = splice(fd, &pos, p[1], NULL, len - done, 0);
		if (n <= 0)
			break;
		while (n) {
			m = must(read(p[0], buf + done, n));
			n -= m;
			done += m;
		}
	}
	close(p[0]);
	close(p[1]);
	return done;
}

TEST_F(snapshot, splice_gives_the_same_bytes)
{
	static const size_t offs[] = { 0, 1, 4095, 5000 };
	char a[4 * PAGE], b[4 * PAGE];
	unsigned int i;

	ASSERT_EQ(0, barrier(self->fd));
	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		char *from = self->mem + offs[i];
		ssize_t n = 4 * PAGE - offs[i];

		ASSERT_EQ(n, splice_all(self->fd, (unsigned long)from, a, sizeof(a)));
		ASSERT_EQ(n, read_at(self->fd, from, b, sizeof(b)));
		ASSERT_EQ(0, memcmp(a, b, n));
	}
}

TEST_F(snapshot, splice_into_a_full_pipe_does_not_block_when_told_so)
{
	loff_t pos = (unsigned long)self->mem;
	ssize_t n;
	int p[2];

	ASSERT_EQ(0, barrier(self->fd));
	must(pipe2(p, O_CLOEXEC));
	must(fcntl(p[1], F_SETPIPE_SZ, 2 * PAGE));
	n = splice(self->fd, &pos, p[1], NULL, 4 * PAGE, SPLICE_F_NONBLOCK);
	EXPECT_EQ(2 * (ssize_t)PAGE, n);
	EXPECT_EQ((loff_t)(unsigned long)self->mem + n, pos);
	EXPECT_EQ(-1, splice(self->fd, &pos, p[1], NULL, PAGE, SPLICE_F_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
}

TEST_F(snapshot, pages_in_a_pipe_outlive_the_snapshot)
{
	loff_t pos = (unsigned long)self->mem;
	char want[PAGE], got[PAGE];
	int p[2];

	ASSERT_EQ(0, barrier(self->fd));
	must(pipe2(p, O_CLOEXEC));
	ASSERT_EQ((ssize_t)PAGE, splice(self->fd, &pos, p[1], NULL, PAGE, 0));
	close(self->fd);
	self->fd = -1;
	target_next(&self->target);
	ASSERT_EQ((ssize_t)PAGE, read(p[0], got, PAGE));
	fill(want, PAGE, 1);
	EXPECT_EQ(0, memcmp(want, got, PAGE));
}

TEST_F(snapshot, sendfile_gives_the_same_bytes)
{
	int file = must(memfd_create("copy", MFD_CLOEXEC));
	off_t pos = (unsigned long)self->mem;
	char want[4 * PAGE], got[4 * PAGE];
	size_t done = 0;
	ssize_t n;

	ASSERT_EQ(0, barrier(self->fd));
	while (done < sizeof(got) && (n = sendfile(file, self->fd, &pos, sizeof(got) - done)) > 0)
		done += n;
	ASSERT_EQ(sizeof(got), done);
	ASSERT_EQ((ssize_t)sizeof(got), pread(file, got, sizeof(got), 0));
	ASSERT_EQ((ssize_t)sizeof(want), read_at(self->fd, self->mem, want, sizeof(want)));
	EXPECT_EQ(0, memcmp(want, got, sizeof(got)));
}

TEST_F(snapshot, outlives_its_target)
{
	int i;

	ASSERT_EQ(0, barrier(self->fd));
	target_kill(&self->target);
	self->target.pid = 0;
	for (i = 0; i < PAGES; i++)
		if (layout[i] == 'D')
			EXPECT_TRUE(holds_pattern(self->fd, AT(i), PAGE, i + 1));
	EXPECT_EQ(CKPT_RUN_DATA, kind_at(self->fd, self->mem));
}

TEST_F(snapshot, is_freed_by_its_last_descriptor)
{
	int copy = dup(self->fd);

	ASSERT_EQ(0, barrier(self->fd));
	close(self->fd);
	self->fd = copy;
	EXPECT_TRUE(holds_pattern(copy, self->mem, PAGE, 1));
	EXPECT_LE(10, counter("pages"));
	EXPECT_EQ(1, counter("snapshots"));
	close(copy);
	self->fd = -1;
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F(snapshot, two_of_one_target_are_independent)
{
	int second;
	int i;

	ASSERT_EQ(0, barrier(self->fd));
	target_next(&self->target);
	second = snap_ready(self->target.pid, 0);
	for (i = 0; i < PAGES; i++) {
		if (layout[i] == 'D')
			EXPECT_TRUE(holds_pattern(self->fd, AT(i), PAGE, i + 1));
		if (layout[i] != '.')
			EXPECT_TRUE(holds_pattern(second, AT(i), PAGE, i + 101));
	}
	close(self->fd);
	self->fd = second;
	EXPECT_TRUE(holds_pattern(second, self->mem, PAGE, 101));
	EXPECT_EQ(0, target_finish(&self->target));
	self->target.pid = 0;
}

TEST_F(snapshot, figures_are_plausible)
{
	struct ckpt_stats s;

	close(self->fd);
	task_sleeps(self->target.pid, self->target.pid);
	self->fd = snap(self->target.pid, 0);
	s = stats(self->fd);
	EXPECT_EQ(1, s.out_threads);
	EXPECT_EQ(1, s.out_asleep);
	EXPECT_EQ(0, s.out_parked);
	EXPECT_EQ(0, s.out_woken);
	EXPECT_EQ(0, s.out_canceled);
	EXPECT_EQ(0, s.out_barrier_ns);
	EXPECT_LE(10, s.out_armed);
	EXPECT_LE(2, s.out_zero);
	EXPECT_LT(0, s.out_arm_ns);
	EXPECT_LE(s.out_freeze_ns + s.out_state_ns + s.out_copy_ns + s.out_arm_ns, s.out_pause_ns);
	/* A copy that turns out to be all zero is not kept. */
	EXPECT_LE((long)s.out_armed, counter("pages"));
	EXPECT_GE((long)(s.out_armed + s.out_copied), counter("pages"));
	EXPECT_EQ(s.out_state_bytes, snapshot_state(self->fd).len);
	ASSERT_EQ(0, barrier(self->fd));
	EXPECT_LT(0, stats(self->fd).out_barrier_ns);
}

TEST_F(snapshot, state_can_be_read_in_any_pieces)
{
	struct state st = snapshot_state(self->fd);
	char *copy = calloc(1, st.len);
	struct ckpt_state s = { .size = sizeof(s), .len = 1000 };

	for (s.offset = 0; s.offset < st.len; s.offset += s.out_len) {
		s.buf = (unsigned long)copy + s.offset;
		ASSERT_EQ(0, call(self->fd, CKPT_SNAPSHOT_STATE, &s));
		ASSERT_EQ(st.len, s.out_total);
		ASSERT_LT(0, s.out_len);
	}
	EXPECT_EQ(0, memcmp(copy, st.buf, st.len));

	s.offset = st.len;
	EXPECT_EQ(0, call(self->fd, CKPT_SNAPSHOT_STATE, &s));
	EXPECT_EQ(0, s.out_len);
	s.offset++;
	EXPECT_EQ(-EINVAL, call(self->fd, CKPT_SNAPSHOT_STATE, &s));
	s.offset = -1;
	EXPECT_EQ(-EINVAL, call(self->fd, CKPT_SNAPSHOT_STATE, &s));
	s.offset = 0;
	s.buf = 0;
	EXPECT_EQ(-EFAULT, call(self->fd, CKPT_SNAPSHOT_STATE, &s));
	s.buf = (unsigned long)copy;
	s.len = -1;
	EXPECT_EQ(0, call(self->fd, CKPT_SNAPSHOT_STATE, &s));
	EXPECT_EQ(st.len, s.out_len);
}

/* ---- consumption ---- */

FIXTURE(consumed) {
	struct target target;
	char *mem;
	int fd;
};

static void writer(struct target *me, void *arg)
{
	fill(arg, 2 * HUGE, 1);
	target_step(me);
	fill(arg, 2 * HUGE, 2);
	target_step(me);
}

FIXTURE_VARIANT(consumed) {
	int advice;
};

FIXTURE_VARIANT_ADD(consumed, small) { .advice = MADV_NOHUGEPAGE };
FIXTURE_VARIANT_ADD(consumed, huge) { .advice = MADV_HUGEPAGE };

FIXTURE_SETUP(consumed)
{
	self->mem = aligned_memory(2 * HUGE);
	advise_huge(self->mem, 2 * HUGE, variant->advice);
	target_begin(&self->target, writer, self->mem);
	self->fd = snap_ready(self->target.pid, CKPT_SNAPSHOT_CONSUME);
	if (variant->advice == MADV_HUGEPAGE && has_huge_pages())
		ASSERT_LE(1024, stats(self->fd).out_armed_huge);
}

FIXTURE_TEARDOWN(consumed)
{
	close(self->fd);
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F(consumed, page_is_given_up_once_it_was_read)
{
	long before = counter("pages");
	char *want = malloc(HUGE);
	char c;

	fill(want, HUGE, 1);
	ASSERT_TRUE(holds(self->fd, self->mem, want, HUGE));
	EXPECT_EQ(before - 512, counter("pages"));
	EXPECT_EQ(-ENODATA, read_at(self->fd, self->mem, &c, 1));
	EXPECT_EQ(-ENODATA, read_at(self->fd, self->mem + HUGE - 1, &c, 1));
	EXPECT_EQ(1, read_at(self->fd, self->mem + HUGE, &c, 1));
	/* The map goes on telling what was there. */
	EXPECT_EQ(CKPT_RUN_DATA, kind_of_range(self->fd, self->mem, 2 * HUGE));
}

TEST_F(consumed, page_read_in_part_is_kept)
{
	long before = counter("pages");
	char buf[PAGE];

	ASSERT_EQ(4095, read_at(self->fd, self->mem, buf, 4095));
	ASSERT_EQ(4095, read_at(self->fd, self->mem, buf, 4095));
	EXPECT_EQ(before, counter("pages"));
	ASSERT_EQ(1, read_at(self->fd, self->mem + 4095, buf, 1));
	if (variant->advice != MADV_HUGEPAGE || !has_huge_pages())
		before--;
	EXPECT_EQ(before, counter("pages"));
}

TEST_F(consumed, splice_consumes_too)
{
	long before = counter("pages");
	loff_t pos = (unsigned long)self->mem;
	char *buf = malloc(HUGE);
	char c;

	ASSERT_EQ((ssize_t)HUGE, splice_all(self->fd, pos, buf, HUGE));
	EXPECT_TRUE(is_filled(buf, HUGE, 1));
	EXPECT_EQ(before - 512, counter("pages"));
	EXPECT_EQ(-ENODATA, read_at(self->fd, self->mem, &c, 1));
}

TEST_F(consumed, next_write_does_not_copy)
{
	uint64_t read = frame_of(self->target.pid, self->mem);
	uint64_t held = frame_of(self->target.pid, self->mem + HUGE);

	ASSERT_NE(0, read);
	ASSERT_NE(0, held);
	ASSERT_TRUE(holds_pattern(self->fd, self->mem, HUGE, 1));
	target_next(&self->target);
	EXPECT_EQ(read, frame_of(self->target.pid, self->mem));
	EXPECT_NE(held, frame_of(self->target.pid, self->mem + HUGE));
}

TEST_F(consumed, release_lets_the_next_write_reuse_the_page)
{
	uint64_t frame = frame_of(self->target.pid, self->mem);

	close(self->fd);
	self->fd = -1;
	ASSERT_TRUE(wait_until(nothing_held()));
	target_next(&self->target);
	EXPECT_EQ(frame, frame_of(self->target.pid, self->mem));
}

TEST_HARNESS_MAIN
