// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets that have very much of something, so that looking at it takes long: as long as what there
 * is of it, not as the square, for the program chooses how much. No time is measured against a limit:
 * a target is taken with its tables at one size and again at GROWTH times that, and the processor
 * time of the second must not be GROWTH * GROWTH times that of the first, or anything like it.
 */
#include <kselftest_harness.h>

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "snap.h"

#define GROWTH	8

static char dir[] = "/tmp/ckpt-tables-XXXXXX";

static void raise_limit(int what, rlim_t to)
{
	const struct rlimit limit = { to, to };

	must(setrlimit(what, &limit));
}

static int has_records(int fd, unsigned int type, long expected)
{
	struct state st = snapshot_state(fd);
	long nr = record_count(&st, type);

	if (nr < expected)
		fprintf(stderr, "# %ld records of type %u, not %ld\n", nr, type, expected);
	free(st.buf);
	return nr < expected;
}

/* Not 0: the snapshot of a target of @nr does not have what it should. */
typedef int (check_fn)(int snapshot, long nr);

/* A snapshot taken by a process of its own: what that has used of the processor, in microseconds. */
static long snap_and_check(pid_t pid, check_fn *check, long nr)
{
	struct rusage use;
	int status;
	pid_t child;

	fflush(NULL);
	child = must(fork());
	if (!child) {
		int fd = snap_try(pid);

		if (fd < 0)
			give_up("snap: %s", strerror(-fd));
		_exit(check(fd, nr));
	}
	if (!wait_until(must(wait4(child, &status, WNOHANG, &use)) == child)) {
		kill(child, SIGKILL);
		give_up("no snapshot of %ld before the deadline", nr);
	}
	if (status)
		give_up("a snapshot of %ld is not right: %#x", nr, status);
	return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 + use.ru_utime.tv_usec +
	       use.ru_stime.tv_usec;
}

FIXTURE(tables) {
	struct target target;
};

FIXTURE_SETUP(tables)
{
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount("ckpt-test", dir, "tmpfs", 0, "nr_inodes=0"));
}

FIXTURE_TEARDOWN(tables)
{
	if (self->target.pid)
		target_kill(&self->target);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* An emulated processor's time has that of its host's other work in it: the least of some tries. */
static long least_of(int tries, pid_t pid, check_fn *check, long nr, long enough)
{
	long least = snap_and_check(pid, check, nr);

	while (--tries && least > enough) {
		long used = snap_and_check(pid, check, nr);

		if (used < least)
			least = used;
	}
	return least;
}

/*
 * The target fills its tables to @nr, then in steps to GROWTH times that. The bound lies between
 * GROWTH and its square.
 */
static bool grows_with_its_tables(struct target *t, target_fn *fn, check_fn *check, long nr)
{
	long small, large, bound, i;

	target_begin(t, fn, NULL);
	small = least_of(3, t->pid, check, nr, 0);
	bound = 3 * GROWTH * small;
	for (i = 1; i < GROWTH; i++)
		target_next(t);
	large = least_of(5, t->pid, check, nr * GROWTH, bound);
	fprintf(stderr, "# %ld: %ld us, %ld: %ld us\n", nr, small, nr * GROWTH, large);
	return large <= bound;
}

/* ---- files ---- */

#define FILES	3000

static void open_files(struct target *me, void *arg)
{
	long i, step;

	raise_limit(RLIMIT_NOFILE, FILES * GROWTH + 100);
	for (step = 0; step < GROWTH; step++) {
		for (i = 0; i < FILES; i++)
			must(open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
		target_step(me);
	}
}

static int has_files(int fd, long nr)
{
	struct ckpt_barrier b;

	if (has_records(fd, CKPT_REC_FD, nr) || barrier_why(fd, &b))
		return 1;
	return b.out_files != nr;
}

TEST_F_TIMEOUT(tables, of_many_files_open_for_writing_are_not_searched, 300)
{
	EXPECT_TRUE(grows_with_its_tables(&self->target, open_files, has_files, FILES));
}

static void open_file_often(struct target *me, void *arg)
{
	char path[64];
	int fd, i;

	snprintf(path, sizeof(path), "%s/file", dir);
	fd = must(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	must(ftruncate(fd, PAGE));
	must(dup(fd));
	for (i = 0; i < 3; i++)
		must(open(path, O_WRONLY | O_CLOEXEC));
	must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	must(open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	target_step(me);
}

TEST_F(tables, file_that_is_open_often_is_synced_once)
{
	target_begin(&self->target, open_file_often, NULL);
	snap_and_check(self->target.pid, has_files, 2);
}

#define LIMIT	"/sys/module/ckpt/parameters/max_state_bytes"

static void open_files_once(struct target *me, void *arg)
{
	long i;

	raise_limit(RLIMIT_NOFILE, FILES + 100);
	for (i = 0; i < FILES; i++)
		must(open("/dev/null", O_RDONLY | O_CLOEXEC));
	target_step(me);
}

TEST_F(tables, beyond_the_limit_are_refused_and_the_target_runs_on)
{
	char limit[32];
	int fd;

	ASSERT_LT(0, get_file_text(LIMIT, limit, sizeof(limit)));
	target_begin(&self->target, open_files_once, NULL);
	/* Enough for what is reserved in advance, not for a descriptor's 128 bytes each. */
	ASSERT_TRUE(set_file(LIMIT, "300000"));
	fd = snap_try(self->target.pid);
	ASSERT_TRUE(set_file(LIMIT, limit));
	EXPECT_EQ(-EFBIG, fd);
	EXPECT_EQ(0, target_finish(&self->target));
	self->target.pid = 0;
}

/* ---- locks ---- */

#define LOCKS	400
#define OPENS	40	/* descriptors of the locked file */
#define DECOYS	1000	/* before them, more in each step */

static void take_locks(struct target *me, void *arg)
{
	char path[64];
	long i, nr = 0;
	int fd, step;

	raise_limit(RLIMIT_NOFILE, DECOYS * GROWTH + OPENS + 100);
	snprintf(path, sizeof(path), "%s/file", dir);
	for (i = 0; i < OPENS; i++) {
		fd = must(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
		must(dup2(fd, DECOYS * GROWTH + 50 + i));
		close(fd);
	}
	fd = DECOYS * GROWTH + 50;
	for (step = 0; step < GROWTH; step++) {
		for (i = 0; i < DECOYS; i++)
			must(open("/dev/null", O_RDONLY | O_CLOEXEC));
		for (i = 0; i < LOCKS; i++) {
			struct flock one = { .l_type = F_WRLCK, .l_start = 2 * nr++, .l_len = 1 };

			must(fcntl(fd, F_SETLK, &one));
		}
		target_step(me);
	}
}

static int has_locks(int fd, long nr)
{
	struct state st = snapshot_state(fd);

	/* Neither fewer nor one of them twice. */
	return record_count(&st, CKPT_REC_LOCK) != nr;
}

TEST_F_TIMEOUT(tables, of_many_locks_are_not_searched, 300)
{
	EXPECT_TRUE(grows_with_its_tables(&self->target, take_locks, has_locks, LOCKS));
}

/* ---- mappings ---- */

#define MAPPINGS	1000

static void make_mappings(struct target *me, void *arg)
{
	char *mem = must(mmap(NULL, GROWTH * MAPPINGS * PAGE, PROT_READ,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	long i, step;

	for (step = 0; step < GROWTH; step++, mem += MAPPINGS * PAGE) {
		for (i = 0; i < MAPPINGS; i += 2)
			must(mprotect(mem + i * PAGE, PAGE, PROT_READ | PROT_WRITE));
		target_step(me);
	}
}

static int has_mappings(int fd, long nr)
{
	return has_records(fd, CKPT_REC_VMA, nr);
}

TEST_F_TIMEOUT(tables, of_many_mappings_are_not_searched, 300)
{
	EXPECT_TRUE(grows_with_its_tables(&self->target, make_mappings, has_mappings, MAPPINGS));
}

/* ---- signals, timers ---- */

#define SIGNALS	3000

static void queue_signals(struct target *me, void *arg)
{
	long i, step;
	sigset_t all;

	raise_limit(RLIMIT_SIGPENDING, GROWTH * SIGNALS + 100);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (step = 0; step < GROWTH; step++) {
		for (i = 0; i < SIGNALS; i++)
			must(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i }));
		target_step(me);
	}
}

static int has_signals(int fd, long nr)
{
	return has_records(fd, CKPT_REC_SIGPENDING, nr);
}

TEST_F_TIMEOUT(tables, of_many_pending_signals_are_not_searched, 300)
{
	EXPECT_TRUE(grows_with_its_tables(&self->target, queue_signals, has_signals, SIGNALS));
}

#define THREADS	60
#define TIMERS	2000

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void make_timers(struct target *me, void *arg)
{
	const struct itimerspec far = { .it_value.tv_sec = 1000000 };
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	pthread_attr_t attr;
	pthread_t thread;
	long i, step;
	int id;

	raise_limit(RLIMIT_SIGPENDING, GROWTH * TIMERS + 1000);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (step = 0; step < GROWTH; step++) {
		for (i = 0; i < THREADS; i++)
			if (pthread_create(&thread, &attr, wait_for_ever, NULL))
				_exit(1);
		for (i = 0; i < TIMERS; i++) {
			must(syscall(__NR_timer_create, CLOCK_PROCESS_CPUTIME_ID, &none, &id));
			must(syscall(__NR_timer_settime, id, 0, &far, NULL));
		}
		target_step(me);
	}
}

static int has_timers(int fd, long nr)
{
	return has_records(fd, CKPT_REC_POSIX_TIMER, nr);
}

/* Timers are copied with interrupts off: the times of all threads were not summed up for each. */
TEST_F_TIMEOUT(tables, of_many_timers_do_not_multiply_with_the_threads, 300)
{
	EXPECT_TRUE(grows_with_its_tables(&self->target, make_timers, has_timers, TIMERS));
}

/* ---- memory that is never there ---- */

static volatile char *missing;

static void *touch_missing(void *arg)
{
	*(volatile pid_t *)arg = gettid();
	return (void *)(long)(*missing + 7);
}

/* A thread waits in a page fault for an answer that only comes when the test is over. */
static void wait_in_fault(struct target *me, void *arg)
{
	volatile pid_t tid = 0;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = {};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);
	pthread_t thread;
	void *ret;

	if (fd < 0)
		_exit(100);
	must(ioctl(fd, UFFDIO_API, &api));
	missing = anon_memory(PAGE);
	reg.range.start = (unsigned long)missing;
	reg.range.len = PAGE;
	must(ioctl(fd, UFFDIO_REGISTER, &reg));
	pthread_create(&thread, NULL, touch_missing, (void *)&tid);
	while (!tid)
		usleep(100);
	task_sleeps(getpid(), tid);
	target_step(me);
	zero.range = reg.range;
	must(ioctl(fd, UFFDIO_ZEROPAGE, &zero));
	pthread_join(thread, &ret);
	_exit((long)ret != 7);
}

TEST_F_TIMEOUT(tables, memory_that_faults_for_ever_holds_neither_caller_nor_target, 120)
{
	struct ckpt_snap c;
	int fd;

	target_begin(&self->target, wait_in_fault, NULL);
	fd = snap_with(self->target.pid, 0, &c);
	if (fd < 0) {
		EXPECT_EQ(-ETIMEDOUT, fd);
		EXPECT_EQ(CKPT_REASON_BUSY_THREAD, c.out_reason);
	} else {
		/* It has no content to be had without the answer. */
		EXPECT_EQ(0, barrier(fd));
		close(fd);
	}
	EXPECT_EQ(0, target_finish(&self->target));
	self->target.pid = 0;
}

TEST_HARNESS_MAIN
