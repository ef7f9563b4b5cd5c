// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freeze and thaw: everybody stands still in between, whoever ends the freeze, and nobody else
 * notices. Blocking calls are calls.c's matter, threads that come and go races.c's.
 */
#include <kselftest_harness.h>

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/time.h>

#include "snap.h"

#define THREADS	8

/* One for each thread of the target, in memory that the test sees too. */
struct counters {
	volatile uint64_t v[THREADS];
	volatile pid_t tid[THREADS];
	volatile int handled;		/* signals */
	int pipe[2];
};

FIXTURE(busy) {
	struct target target;
	struct counters *counters;
	int session;
};

static struct counters *mine;

static void *spin(void *arg)
{
	volatile uint64_t *v = &mine->v[(long)arg];

	mine->tid[(long)arg] = gettid();
	for (;;)
		++*v;
	return NULL;
}

static void *call_kernel(void *arg)
{
	mine->tid[(long)arg] = gettid();
	for (;;) {
		syscall(__NR_getppid);
		++mine->v[(long)arg];
	}
	return NULL;
}

static void *map_and_unmap(void *arg)
{
	mine->tid[(long)arg] = gettid();
	for (;;) {
		char *p = anon_memory(4 * PAGE);

		*p = 1;
		munmap(p, 4 * PAGE);
		++mine->v[(long)arg];
	}
	return NULL;
}

/* Falls asleep and is woken all the time. */
static void *play(void *arg)
{
	bool first = (long)arg & 1;
	char c = 0;

	mine->tid[(long)arg] = gettid();
	for (;;) {
		if (first)
			must(write(mine->pipe[1], &c, 1));
		else
			must(read(mine->pipe[0], &c, 1));
		++mine->v[(long)arg];
	}
	return NULL;
}

static void handle(int sig)
{
	mine->handled++;
}

static void busy_program(struct target *me, void *arg)
{
	struct sigaction sa = { .sa_handler = handle, .sa_flags = SA_RESTART };
	static void *(*const kinds[THREADS])(void *) = {
		spin, call_kernel, map_and_unmap, spin, call_kernel, play, play, spin,
	};
	pthread_t thread;
	long i;

	mine = arg;
	must(sigaction(SIGUSR1, &sa, NULL));
	must(pipe2(mine->pipe, O_CLOEXEC));
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, kinds[i], (void *)i))
			_exit(1);
	target_step(me);
}

/* Has every thread moved on from these values? */
static bool all_moved(const struct counters *c, const uint64_t *from)
{
	int i;

	for (i = 0; i < THREADS; i++)
		if (c->v[i] == from[i])
			return false;
	return true;
}

static bool goes_on(const struct counters *c)
{
	uint64_t from[THREADS];

	memcpy(from, (const void *)c->v, sizeof(from));
	return wait_until(all_moved(c, from));
}

/* Nobody moves while we look. */
static bool stands_still(const struct counters *c)
{
	uint64_t from[THREADS], end = clock_ns() + 3000000;

	memcpy(from, (const void *)c->v, sizeof(from));
	while (clock_ns() < end)
		if (memcmp(from, (const void *)c->v, sizeof(from)))
			return false;
	return true;
}

FIXTURE_SETUP(busy)
{
	self->counters = shared_memory(sizeof(*self->counters));
	target_begin(&self->target, busy_program, self->counters);
	self->session = attach(self->target.pid);
	ASSERT_TRUE(goes_on(self->counters));
}

FIXTURE_TEARDOWN(busy)
{
	if (self->session >= 0)
		close(self->session);
	if (self->target.pid)
		target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F(busy, all_threads_stand_still_until_the_thaw)
{
	struct ckpt_freeze f;
	int i;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, freeze_why(self->session, PATIENCE_MS, &f));
		ASSERT_TRUE(stands_still(self->counters));
		EXPECT_EQ(THREADS + 1, f.out_threads);
		EXPECT_EQ(THREADS + 1, f.out_parked + f.out_asleep);
		EXPECT_LE(THREADS - 2, f.out_parked);
		EXPECT_LT(0, f.out_freeze_ns);
		ASSERT_EQ(0, thaw(self->session));
		ASSERT_TRUE(goes_on(self->counters));
	}
}

TEST_F(busy, pause_is_told_and_covers_the_freeze)
{
	struct ckpt_thaw t = { .size = sizeof(t) };
	struct ckpt_freeze f;
	uint64_t begin = clock_ns(), frozen;

	ASSERT_EQ(0, freeze_why(self->session, PATIENCE_MS, &f));
	frozen = clock_ns();
	EXPECT_LE(f.out_freeze_ns, frozen - begin);
	ASSERT_TRUE(stands_still(self->counters));
	begin = clock_ns() - frozen;
	ASSERT_EQ(0, call(self->session, CKPT_THAW, &t));
	EXPECT_LE(f.out_freeze_ns + begin, t.out_pause_ns);
}

TEST_F(busy, closing_the_session_thaws)
{
	int copy = dup(self->session);

	ASSERT_EQ(0, freeze(self->session));
	close(self->session);
	self->session = -1;
	ASSERT_TRUE(stands_still(self->counters));
	close(copy);
	EXPECT_TRUE(goes_on(self->counters));
}

TEST_F(busy, death_of_the_freezer_thaws)
{
	int ready[2];
	pid_t pid;
	char c;

	must(pipe2(ready, O_CLOEXEC));
	pid = must(fork());
	if (!pid) {
		int session = attach(self->target.pid);

		if (freeze(session) || write(ready[1], "f", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	ASSERT_TRUE(stands_still(self->counters));
	kill(pid, SIGKILL);
	child_status(pid);
	EXPECT_TRUE(goes_on(self->counters));
}

TEST_F(busy, sigkill_ends_it_at_once)
{
	struct ckpt_freeze f;

	ASSERT_EQ(0, freeze(self->session));
	kill(self->target.pid, SIGKILL);
	EXPECT_EQ(SIGKILL, WTERMSIG(child_status(self->target.pid)));
	self->target.pid = 0;
	EXPECT_EQ(-ESRCH, snapshot(self->session));
	EXPECT_EQ(0, thaw(self->session));
	EXPECT_EQ(-ESRCH, freeze_why(self->session, PATIENCE_MS, &f));
	EXPECT_EQ(CKPT_REASON_EXITED, f.out_reason);
}

TEST_F(busy, signal_handlers_wait_for_the_thaw)
{
	ASSERT_EQ(0, freeze(self->session));
	kill(self->target.pid, SIGUSR1);
	ASSERT_TRUE(stands_still(self->counters));
	EXPECT_EQ(0, self->counters->handled);
	ASSERT_EQ(0, thaw(self->session));
	EXPECT_TRUE(wait_until(self->counters->handled == 1));
	EXPECT_TRUE(goes_on(self->counters));
}

TEST_F(busy, second_freezer_is_told_that_it_is_frozen)
{
	int other = attach(self->target.pid);
	struct ckpt_freeze f;
	struct ckpt_snap s;

	ASSERT_EQ(0, freeze(self->session));
	EXPECT_EQ(-EBUSY, freeze_why(self->session, PATIENCE_MS, &f));
	EXPECT_EQ(CKPT_REASON_FROZEN, f.out_reason);
	EXPECT_EQ(-EBUSY, freeze_why(other, 0, &f));
	EXPECT_EQ(CKPT_REASON_FROZEN, f.out_reason);
	EXPECT_EQ(-EBUSY, snap_with(self->target.pid, 0, &s));
	EXPECT_EQ(CKPT_REASON_FROZEN, s.out_reason);
	EXPECT_EQ(-EINVAL, thaw(other));
	EXPECT_TRUE(stands_still(self->counters));
	ASSERT_EQ(0, thaw(self->session));
	EXPECT_EQ(0, freeze(other));
	EXPECT_TRUE(stands_still(self->counters));
	close(other);
	EXPECT_TRUE(goes_on(self->counters));
}

TEST_F(busy, calls_that_need_a_freeze_say_so)
{
	struct ckpt_state s = { .size = sizeof(s) };

	EXPECT_EQ(-EINVAL, thaw(self->session));
	EXPECT_EQ(-EINVAL, snapshot(self->session));
	EXPECT_EQ(-EINVAL, call(self->session, CKPT_STATE, &s));
	ASSERT_EQ(0, freeze(self->session));
	ASSERT_EQ(0, thaw(self->session));
	EXPECT_EQ(-EINVAL, thaw(self->session));
	EXPECT_EQ(-EINVAL, snapshot(self->session));
}

TEST_F(busy, snapshot_of_a_session_outlives_it)
{
	int fd;

	ASSERT_EQ(0, freeze(self->session));
	fd = snapshot(self->session);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(stands_still(self->counters));
	EXPECT_EQ(0, stats(fd).out_pause_ns);
	close(self->session);
	self->session = -1;
	EXPECT_TRUE(goes_on(self->counters));
	EXPECT_LT(0, stats(fd).out_pause_ns);
	EXPECT_EQ(THREADS + 1, stats(fd).out_threads);
	close(fd);
}

TEST_F(busy, every_snapshot_of_one_freeze_is_told_the_pause)
{
	int a, b;

	ASSERT_EQ(0, freeze(self->session));
	a = snapshot(self->session);
	b = snapshot(self->session);
	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	ASSERT_EQ(0, thaw(self->session));
	EXPECT_LT(0, stats(a).out_pause_ns);
	EXPECT_EQ(stats(a).out_pause_ns, stats(b).out_pause_ns);
	close(a);
	close(b);
}

TEST_F(busy, stopped_process_stays_stopped)
{
	struct ckpt_freeze f;
	int status;

	kill(self->target.pid, SIGSTOP);
	must(waitpid(self->target.pid, &status, WUNTRACED));
	ASSERT_EQ(0, freeze_why(self->session, PATIENCE_MS, &f));
	EXPECT_EQ(THREADS + 1, f.out_asleep);
	EXPECT_EQ('T', task_state(self->target.pid, self->target.pid));
	ASSERT_EQ(0, thaw(self->session));
	EXPECT_EQ('T', task_state(self->target.pid, self->target.pid));
	EXPECT_TRUE(stands_still(self->counters));
	kill(self->target.pid, SIGCONT);
	EXPECT_TRUE(goes_on(self->counters));
}

TEST_F(busy, sigcont_does_not_end_a_freeze)
{
	int status;

	kill(self->target.pid, SIGSTOP);
	must(waitpid(self->target.pid, &status, WUNTRACED));
	ASSERT_EQ(0, freeze(self->session));
	kill(self->target.pid, SIGCONT);
	EXPECT_TRUE(stands_still(self->counters));
	ASSERT_EQ(0, thaw(self->session));
	EXPECT_TRUE(goes_on(self->counters));
}

#define ANYTHING (WEXITED | WSTOPPED | WCONTINUED)

TEST_F(busy, parent_sees_nothing)
{
	siginfo_t info = {};

	ASSERT_EQ(0, freeze(self->session));
	EXPECT_EQ(0, waitid(P_PID, self->target.pid, &info, ANYTHING | WNOHANG));
	EXPECT_EQ(0, info.si_pid);
	ASSERT_EQ(0, thaw(self->session));
	EXPECT_TRUE(goes_on(self->counters));
	EXPECT_EQ(0, waitid(P_PID, self->target.pid, &info, ANYTHING | WNOHANG));
	EXPECT_EQ(0, info.si_pid);
}

TEST_F(busy, process_under_a_tracer_can_be_frozen)
{
	pid_t tid = self->counters->tid[0];
	int status;

	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, tid, NULL, NULL));
	ASSERT_EQ(0, freeze(self->session));
	EXPECT_TRUE(stands_still(self->counters));
	EXPECT_EQ(0, waitpid(tid, &status, __WALL | WNOHANG));
	ASSERT_EQ(0, thaw(self->session));
	EXPECT_TRUE(goes_on(self->counters));
	EXPECT_EQ(0, waitpid(tid, &status, __WALL | WNOHANG));
	EXPECT_EQ(0, ptrace(PTRACE_INTERRUPT, tid, NULL, NULL));
	must(waitpid(tid, &status, __WALL));
	EXPECT_EQ(0, ptrace(PTRACE_DETACH, tid, NULL, NULL));
}

TEST_F(busy, thread_halted_by_a_tracer_stays_halted)
{
	pid_t tid = self->counters->tid[0];
	int status;

	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, tid, NULL, NULL));
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, tid, NULL, NULL));
	must(waitpid(tid, &status, __WALL));
	ASSERT_EQ(0, freeze(self->session));
	EXPECT_TRUE(stands_still(self->counters));
	/* The tracer lets it go: it comes as far as the freeze lets it. */
	EXPECT_EQ(0, ptrace(PTRACE_DETACH, tid, NULL, NULL));
	EXPECT_TRUE(stands_still(self->counters));
	ASSERT_EQ(0, thaw(self->session));
	EXPECT_TRUE(goes_on(self->counters));
}

TEST_F_TIMEOUT(busy, can_be_frozen_a_thousand_times, 600)
{
	int i, rounds = getenv("CKPT_FULL") ? 1000 : 200;

	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, freeze(self->session));
		ASSERT_EQ(0, thaw(self->session));
	}
	EXPECT_TRUE(goes_on(self->counters));
	EXPECT_EQ(0, counter("freezes"));
}

/* ---- a thread that does not leave the kernel: parent of a vfork, while the child lives ---- */

FIXTURE(stuck) {
	struct target target;
	volatile pid_t *child;
	int session;
};

static void vfork_and_hold(struct target *me, void *arg)
{
	volatile pid_t *child = arg;

	target_say(me);
	if (!vfork()) {
		*child = getpid();
		for (;;)
			pause();
	}
	target_step(me);
}

FIXTURE_SETUP(stuck)
{
	self->child = shared_memory(PAGE);
	target_begin(&self->target, vfork_and_hold, (void *)self->child);
	ASSERT_TRUE(wait_until(*self->child));
	ASSERT_TRUE(wait_until(task_state(self->target.pid, self->target.pid) == 'D'));
	self->session = attach(self->target.pid);
}

FIXTURE_TEARDOWN(stuck)
{
	close(self->session);
	kill(*self->child, SIGKILL);
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F(stuck, thread_is_named_when_the_time_is_up)
{
	uint64_t begin = clock_ns();
	struct ckpt_freeze f;

	ASSERT_EQ(-ETIMEDOUT, freeze_why(self->session, 50, &f));
	EXPECT_LE(50000000ull, clock_ns() - begin);
	EXPECT_EQ(CKPT_REASON_BUSY_THREAD, f.out_reason);
	EXPECT_EQ(self->target.pid, f.out_tid);
	EXPECT_TRUE(f.out_syscall == __NR_vfork || f.out_syscall == __NR_clone);
}

TEST_F(stuck, thread_is_named_by_the_one_shot_call_too)
{
	struct ckpt_snap s = { .size = sizeof(s), .pid = self->target.pid, .timeout_ms = 50 };
	int dev = ckpt_open();

	ASSERT_EQ(-ETIMEDOUT, call(dev, CKPT_SNAP, &s));
	EXPECT_EQ(-1, s.out_fd);
	EXPECT_EQ(CKPT_REASON_BUSY_THREAD, s.out_reason);
	EXPECT_EQ(self->target.pid, s.out_tid);
	close(dev);
}

TEST_F(stuck, target_goes_on_as_if_nothing_had_been)
{
	struct ckpt_freeze f;

	ASSERT_EQ(-ETIMEDOUT, freeze_why(self->session, 20, &f));
	EXPECT_EQ(-EINVAL, thaw(self->session));
	EXPECT_TRUE(wait_until(!counter("freezes")));
	kill(*self->child, SIGKILL);
	target_await(&self->target);
	ASSERT_TRUE(wait_until(task_state(*self->child, *self->child) == 'Z'));
	EXPECT_EQ(0, freeze(self->session));
	EXPECT_EQ(0, thaw(self->session));
}

TEST_F(stuck, freeze_succeeds_when_it_leaves_in_time)
{
	int session = self->session;
	pid_t freezer = must(fork());

	if (!freezer) {
		struct ckpt_freeze f;

		_exit(-freeze_why(session, DEADLINE_MS, &f));
	}
	/* It has begun, and cannot end yet. */
	ASSERT_TRUE(wait_until(counter("freezes") == 1));
	EXPECT_EQ(0, waitpid(freezer, NULL, WNOHANG));
	kill(*self->child, SIGKILL);
	EXPECT_EQ(0, child_status(freezer));
	EXPECT_EQ(0, thaw(self->session));
	target_await(&self->target);
}

static void on_alarm(int sig)
{
}

TEST_F(stuck, signal_to_the_freezer_ends_the_wait)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval it = { .it_value.tv_usec = 20000, .it_interval.tv_usec = 20000 };
	struct ckpt_freeze f;

	must(sigaction(SIGALRM, &sa, NULL));
	must(setitimer(ITIMER_REAL, &it, NULL));
	EXPECT_EQ(-EINTR, freeze_why(self->session, DEADLINE_MS, &f));
	memset(&it, 0, sizeof(it));
	must(setitimer(ITIMER_REAL, &it, NULL));
	EXPECT_TRUE(wait_until(!counter("freezes")));
}

TEST_F(stuck, sigkill_to_the_freezer_ends_the_wait)
{
	int session = self->session;
	pid_t freezer = must(fork());

	if (!freezer) {
		struct ckpt_freeze f;

		freeze_why(session, 600000, &f);
		_exit(0);
	}
	ASSERT_TRUE(wait_until(counter("freezes") == 1));
	kill(freezer, SIGKILL);
	EXPECT_EQ(SIGKILL, WTERMSIG(child_status(freezer)));
	EXPECT_TRUE(wait_until(!counter("freezes")));
}

#define PARAMETER "/sys/module/ckpt/parameters/freeze_timeout_ms"

TEST_F(stuck, time_without_a_number_is_the_modules)
{
	struct ckpt_freeze f;
	char old[32];

	ASSERT_LT(0, get_file_text(PARAMETER, old, sizeof(old)));
	ASSERT_TRUE(set_file(PARAMETER, "10"));
	EXPECT_EQ(-ETIMEDOUT, freeze_why(self->session, 0, &f));
	ASSERT_TRUE(set_file(PARAMETER, old));
}

TEST_F(stuck, child_of_a_vfork_is_refused_with_its_parents_number)
{
	int session = attach(*self->child);
	struct ckpt_freeze f;

	EXPECT_EQ(-EOPNOTSUPP, freeze_why(session, 0, &f));
	EXPECT_EQ(CKPT_REASON_SHARED_MM, f.out_reason);
	EXPECT_EQ(self->target.pid, f.out_tid);
	close(session);
}

/* ---- whose process it is ---- */

#define NOBODY	65534

static void become_nobody(void)
{
	must(setresgid(NOBODY, NOBODY, NOBODY));
	must(setresuid(NOBODY, NOBODY, NOBODY));
	must(prctl(PR_SET_DUMPABLE, 1));
}

static void nobodys_program(struct target *me, void *arg)
{
	become_nobody();
	target_step(me);
	/* As by the execve of a program with the set-user-ID bit. */
	must(prctl(PR_SET_DUMPABLE, 0));
	target_step(me);
}

static void sleeping_program(struct target *me, void *arg)
{
	target_step(me);
}

static int is_steady(int session)
{
	struct ckpt_steady s = { .size = sizeof(s) };

	return call(session, CKPT_STEADY, &s) ?: (int)s.out_steady;
}

TEST(a_sleeper_that_came_out_of_its_call_is_told)
{
	struct target target;
	struct ckpt_freeze f;
	int session, fd;

	target_begin(&target, sleeping_program, NULL);
	ASSERT_TRUE(wait_until(is_settled(target.pid)));
	session = attach(target.pid);
	EXPECT_EQ(-EINVAL, is_steady(session));
	ASSERT_EQ(0, freeze_why(session, PATIENCE_MS, &f));
	ASSERT_EQ(1, f.out_asleep);
	EXPECT_EQ(1, is_steady(session));
	EXPECT_EQ(1, is_steady(session));

	target_go(&target);
	EXPECT_TRUE(wait_until(!is_steady(session)));
	fd = snapshot(session);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, is_steady(session));
	close(fd);
	ASSERT_EQ(0, thaw(session));
	EXPECT_EQ(-EINVAL, is_steady(session));
	EXPECT_EQ(0, child_status(target.pid));
	close(session);
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* The device was opened by root, and its descriptor is nobody's now. */
TEST(process_has_to_be_the_callers_at_attach_and_still_at_freeze)
{
	struct ckpt_attach a = { .size = sizeof(a) };
	struct ckpt_snap s = { .size = sizeof(s), .timeout_ms = PATIENCE_MS };
	struct target mine, roots;
	struct ckpt_freeze f;
	int dev = ckpt_open();

	target_begin(&roots, sleeping_program, NULL);
	target_begin(&mine, nobodys_program, NULL);
	become_nobody();

	a.pid = s.pid = roots.pid;
	EXPECT_EQ(-EPERM, call(dev, CKPT_ATTACH, &a));
	EXPECT_EQ(CKPT_REASON_PERMISSION, a.out_reason);
	EXPECT_EQ(-EPERM, call(dev, CKPT_SNAP, &s));
	EXPECT_EQ(CKPT_REASON_PERMISSION, s.out_reason);

	a.pid = s.pid = mine.pid;
	ASSERT_EQ(0, call(dev, CKPT_ATTACH, &a));
	ASSERT_EQ(0, freeze_why(a.out_fd, PATIENCE_MS, &f));
	ASSERT_EQ(0, thaw(a.out_fd));
	target_next(&mine);
	EXPECT_EQ(-EPERM, freeze_why(a.out_fd, PATIENCE_MS, &f));
	EXPECT_EQ(CKPT_REASON_PERMISSION, f.out_reason);
	EXPECT_EQ(-EPERM, call(dev, CKPT_SNAP, &s));
	close(a.out_fd);
	close(dev);
	target_go(&roots);
	target_go(&mine);
	EXPECT_EQ(0, child_status(roots.pid));
	EXPECT_EQ(0, child_status(mine.pid));
}

TEST_HARNESS_MAIN
