// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation fails once, by turn: the sequence of calls is run with the first one failing, the
 * second one, and so on, until a run comes to its end before the count does. Each run ends well or
 * with -ENOMEM, leaves nothing behind, and the target notices nothing.
 *
 * Two ways to fail: the module's own (debugfs ckpt/fail_nth), on every kernel; and the kernel's fault
 * injection where it has one (Documentation/fault-injection), which also takes the allocations that
 * the kernel makes on the way, and copies from and to the caller's memory (-EFAULT).
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/time.h>

#include "snap.h"

#define RUNS_MAX	20000	/* a sweep that does not end by then goes in circles */

/* ---- the target: something of everything that the module allocates for ---- */

#define SHARED_LEN	(4 * PAGE)

struct world {
	volatile uint64_t turns;	/* of the thread that never sleeps */
	char *small, *huge;		/* private memory, in small and in huge pages */
	char *shared;
	volatile int woken;		/* a sleeper that should not have been */
};

static void *spin(void *arg)
{
	struct world *w = arg;

	for (;;)
		w->turns++;
	return NULL;
}

static void *sleep_on(void *arg)
{
	struct world *w = arg;
	sigset_t none;

	sigemptyset(&none);
	sigaddset(&none, SIGUSR2);
	sigtimedwait(&none, NULL, &(struct timespec){ .tv_sec = 100000 });
	w->woken = 1;
	return NULL;
}

static void queue_signal(int value)
{
	must(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = value }));
}

static void live(struct target *me, void *arg)
{
	char path[] = "/tmp/failnth.XXXXXX";
	struct world *w = arg;
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	siginfo_t info;
	timer_t timer;
	sigset_t block;
	pthread_t t;
	int fd, i;

	sigfillset(&block);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	fill(w->small, 64 * PAGE, 1);
	fill(w->huge, HUGE, 2);
	fill(w->shared, SHARED_LEN, 3);
	fd = must(mkstemp(path));
	must(unlink(path));
	must(write(fd, w->small, PAGE));
	must(timer_create(CLOCK_MONOTONIC, &none, &timer));
	for (i = 0; i < 3; i++)
		queue_signal(i);
	if (pthread_create(&t, NULL, spin, w) || pthread_create(&t, NULL, sleep_on, w))
		_exit(1);
	target_step(me);
	if (w->woken || !is_filled(w->small, 64 * PAGE, 1) || !is_filled(w->huge, HUGE, 2) ||
	    !is_filled(w->shared, SHARED_LEN, 3))
		_exit(2);
	for (i = 0; i < 3; i++)
		if (sigwaitinfo(&block, &info) != SIGRTMIN + 1 || info.si_value.sival_int != i)
			_exit(3);
	if (sigtimedwait(&block, &info, &(struct timespec){}) != -1 || errno != EAGAIN)
		_exit(4);
}

FIXTURE(nth) {
	struct target target;
	struct world *world;
};

FIXTURE_SETUP(nth)
{
	struct world *w = shared_memory(PAGE);

	self->world = w;
	w->small = aligned_memory(64 * PAGE);
	w->huge = aligned_memory(HUGE);
	w->shared = shared_memory(SHARED_LEN);
	advise_huge(w->small, 64 * PAGE, MADV_NOHUGEPAGE);
	advise_huge(w->huge, HUGE, MADV_HUGEPAGE);
	target_begin(&self->target, live, w);
	if (!wait_until(w->turns))
		give_up("the target does not run");
}

FIXTURE_TEARDOWN(nth)
{
	EXPECT_EQ(0, target_finish(&self->target));
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* ---- the sequences: 0 or the first -errno; all they opened is closed ---- */

static int read_back(int fd, const void *addr, unsigned int generation)
{
	static char buf[PAGE];
	ssize_t n = read_at(fd, addr, buf, PAGE);

	if (n != (ssize_t)PAGE)
		return n < 0 ? n : -EIO;
	return is_filled(buf, PAGE, generation) ? 0 : -EIO;
}

static int spliced(int fd, const void *addr)
{
	loff_t pos = (unsigned long)addr;
	int p[2], ret = 0;

	if (pipe2(p, O_CLOEXEC))
		return errno == ENFILE ? -ENOMEM : -errno;	/* which pipe(2) does not tell apart */
	if (splice(fd, &pos, p[1], NULL, PAGE, 0) < 0)
		ret = -errno;
	close(p[0]);
	close(p[1]);
	return ret;
}

static int use_snapshot(int fd, struct world *w)
{
	static struct ckpt_run runs[16];
	struct ckpt_map m = { .size = sizeof(m), .runs = (unsigned long)runs, .nr = 16 };
	static char state[1 << 20];
	struct ckpt_state st = {
		.size = sizeof(st), .buf = (unsigned long)state, .len = sizeof(state),
	};
	struct ckpt_stats stats = { .size = sizeof(stats) };
	struct ckpt_commit commit = {
		.size = sizeof(commit), .flags = CKPT_COMMIT_PIN, .id = { 1 },
	};
	int ret;

	ret = call(fd, CKPT_SNAPSHOT_STATE, &st);
	ret = ret ?: call(fd, CKPT_MAP, &m);
	ret = ret ?: barrier(fd);
	ret = ret ?: read_back(fd, w->small, 1);
	ret = ret ?: read_back(fd, w->huge, 2);
	ret = ret ?: read_back(fd, w->shared, 3);
	ret = ret ?: spliced(fd, w->small + PAGE);
	ret = ret ?: call(fd, CKPT_STATS, &stats);
	/* What could not be tracked is whole, and cannot be committed. */
	ret = ret ?: call(fd, CKPT_COMMIT, &commit);
	close(fd);
	return ret == -ESTALE ? 0 : ret;
}

static int one_call(pid_t pid, struct world *w)
{
	int dev = open(CKPT_DEVICE, O_RDWR | O_CLOEXEC);
	struct ckpt_snap s = {
		.size = sizeof(s), .flags = CKPT_SNAPSHOT_CONSUME | CKPT_SNAPSHOT_TRACK, .pid = pid,
		.timeout_ms = PATIENCE_MS,
	};
	int ret;

	if (dev < 0)
		return -errno;
	ret = call(dev, CKPT_SNAP, &s);
	close(dev);
	return ret ?: use_snapshot(s.out_fd, w);
}

static int step_by_step(pid_t pid, struct world *w)
{
	int dev = open(CKPT_DEVICE, O_RDWR | O_CLOEXEC);
	struct ckpt_attach a = { .size = sizeof(a), .flags = CKPT_ATTACH_TRACK, .pid = pid };
	struct ckpt_snapshot s = { .size = sizeof(s), .flags = CKPT_SNAPSHOT_TRACK };
	static char state[1 << 20];
	struct ckpt_state st = {
		.size = sizeof(st), .buf = (unsigned long)state, .len = sizeof(state),
	};
	int ret, fd = -1;

	if (dev < 0)
		return -errno;
	ret = call(dev, CKPT_ATTACH, &a);
	close(dev);
	if (ret)
		return ret;
	ret = freeze(a.out_fd);
	ret = ret ?: call(a.out_fd, CKPT_STATE, &st);
	ret = ret ?: thaw(a.out_fd);
	ret = ret ?: freeze(a.out_fd);
	if (!ret) {
		ret = call(a.out_fd, CKPT_SNAPSHOT, &s);
		fd = ret ? -1 : s.out_fd;
	}
	ret = ret ?: thaw(a.out_fd);
	if (fd >= 0)
		ret = use_snapshot(fd, w) ?: ret;
	close(a.out_fd);
	return ret;
}

/* ---- the ways to fail ---- */

struct way {
	const char *path;
	bool faults;		/* copies fail too, with -EFAULT */
};

static const struct way own = { .path = "/sys/kernel/debug/ckpt/fail_nth" };
static const struct way kernels = { .path = "/proc/thread-self/fail-nth", .faults = true };

static bool arm(const struct way *way, unsigned int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", nth);
	return set_file(way->path, text);
}

/* What is left of the count, which ends with this. If this itself fails, the rest of it was one. */
static unsigned int disarm(const struct way *way)
{
	int fd = open(way->path, O_RDONLY | O_CLOEXEC);
	unsigned int left = 1;
	char text[16] = "";

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0)
		left = strtoul(text, NULL, 10);
	close(fd);
	must(arm(way, 0) ? 0 : -1);
	return left;
}

/* Small allocations that may sleep are spared unless told otherwise. */
static bool kernel_injects(void)
{
	static const char *const files[] = {
		"failslab/ignore-gfp-wait", "fail_page_alloc/ignore-gfp-wait",
		"fail_page_alloc/ignore-gfp-highmem",
	};
	static const char *const quiet[] = {
		"failslab/verbose", "fail_page_alloc/verbose", "fail_usercopy/verbose",
	};
	char path[128];
	unsigned int i;

	if (access(kernels.path, W_OK))
		return false;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", files[i]);
		if (!set_file(path, "N"))
			return false;
	}
	for (i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", quiet[i]);
		set_file(path, "0");
	}
	return set_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
}

struct sweep {
	unsigned int runs, failed, survived;
};

static bool is_expected(const struct way *way, int ret)
{
	return ret == 0 || ret == -ENOMEM || (way->faults && ret == -EFAULT);
}

static bool runs_on(struct world *w)
{
	uint64_t before = w->turns;

	return wait_until(w->turns != before);
}

/* The pin that the last call may have left. */
static void unpin(pid_t pid)
{
	struct ckpt_untrack u = { .size = sizeof(u), .pid = pid };
	int dev = ckpt_open(), ret = call(dev, CKPT_UNTRACK, &u);

	if (ret && ret != -ENOENT)
		give_up("untrack: %s", strerror(-ret));
	close(dev);
}

/* False, with the reason told, when a run shows what it must not. */
static bool sweep(const struct way *way, int (*sequence)(pid_t, struct world *), struct target *t,
		  struct world *w, struct sweep *s)
{
	unsigned int nth, left = 0;
	int ret;

	for (nth = 1; !left && nth < RUNS_MAX; nth++) {
		if (!arm(way, nth))
			give_up("%s: %s", way->path, strerror(errno));
		ret = sequence(t->pid, w);
		left = disarm(way);
		unpin(t->pid);
		s->runs++;
		s->failed += !left && ret;
		s->survived += !left && !ret;
		if (!is_expected(way, ret) || (left && ret)) {
			fprintf(stderr, "# allocation %u: %s\n", nth, strerror(-ret));
			return false;
		}
		if (!runs_on(w)) {
			fprintf(stderr, "# allocation %u: the target has stopped\n", nth);
			return false;
		}
		if (!wait_until(nothing_held())) {
			fprintf(stderr, "# allocation %u: something is still held\n", nth);
			return false;
		}
	}
	fprintf(stderr, "# %u runs, in each another allocation failed: %u calls failed, %u went on without\n",
		s->runs - 1, s->failed, s->survived);
	return left;
}

TEST_F_TIMEOUT(nth, each_allocation_of_the_module_fails_in_the_one_shot_call, 900)
{
	struct sweep s = {};

	ASSERT_TRUE(sweep(&own, one_call, &self->target, self->world, &s));
	EXPECT_LT(20, s.failed);
}

TEST_F_TIMEOUT(nth, each_allocation_of_the_module_fails_step_by_step, 900)
{
	struct sweep s = {};

	ASSERT_TRUE(sweep(&own, step_by_step, &self->target, self->world, &s));
	EXPECT_LT(20, s.failed);
}

TEST_F_TIMEOUT(nth, each_allocation_of_the_kernel_fails_in_the_one_shot_call, 1800)
{
	struct sweep s = {};

	if (!kernel_injects())
		SKIP(return, "this kernel has no fault injection");
	ASSERT_TRUE(sweep(&kernels, one_call, &self->target, self->world, &s));
	EXPECT_LT(40, s.failed);
}

TEST_F_TIMEOUT(nth, each_allocation_of_the_kernel_fails_step_by_step, 1800)
{
	struct sweep s = {};

	if (!kernel_injects())
		SKIP(return, "this kernel has no fault injection");
	ASSERT_TRUE(sweep(&kernels, step_by_step, &self->target, self->world, &s));
	EXPECT_LT(40, s.failed);
}

TEST_HARNESS_MAIN
