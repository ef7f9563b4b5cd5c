// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets that change while they are being frozen: threads that begin and end, exec, exit, sleepers
 * that wake in the window. Each case makes its race happen often rather than once.
 */
#include <kselftest_harness.h>

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>

#include "snap.h"
#include "uring.h"

static int rounds(int few, int many)
{
	return getenv("CKPT_FULL") ? many : few;
}

/* ---- threads that begin and end ---- */

struct storm {
	volatile uint64_t steps;	/* of every thread there ever was */
};

static struct storm *storm;

#define IDLE	200

static void *idle(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void *short_life(void *arg)
{
	int i;

	for (i = 0; i < 3000; i++)
		__atomic_add_fetch(&storm->steps, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *breed(void *arg)
{
	pthread_t t[2];
	int i;

	for (;;) {
		for (i = 0; i < 2; i++)
			if (pthread_create(&t[i], NULL, short_life, NULL))
				_exit(1);
		for (i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
	}
	return NULL;
}

static void breeding_program(struct target *me, void *arg)
{
	pthread_t t;
	int i;

	storm = arg;
	for (i = 0; i < 3; i++)
		if (pthread_create(&t, NULL, breed, NULL))
			_exit(1);
	target_step(me);
}

static void crowded_program(struct target *me, void *arg)
{
	pthread_attr_t small;
	pthread_t t;
	int i;

	/* Many that are soon looked at, so that the others have time to do something. */
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16 * PAGE);
	for (i = 0; i < IDLE; i++)
		if (pthread_create(&t, &small, idle, NULL))
			_exit(1);
	breeding_program(me, arg);
}

FIXTURE(storm) {
	struct target target;
	struct storm *storm;
	int session;
};

FIXTURE_SETUP(storm)
{
	self->storm = shared_memory(sizeof(*self->storm));
	target_begin(&self->target, crowded_program, self->storm);
	self->session = attach(self->target.pid);
}

FIXTURE_TEARDOWN(storm)
{
	close(self->session);
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F_TIMEOUT(storm, no_thread_runs_that_was_born_during_the_freeze, 900)
{
	int i, n = rounds(150, 3000);
	struct ckpt_freeze f;
	uint64_t steps, end;

	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, freeze_why(self->session, PATIENCE_MS, &f))
			fprintf(stderr, "# reason %u, thread %d, call %d\n", f.out_reason,
				f.out_tid, f.out_syscall);
		steps = self->storm->steps;
		end = clock_ns() + 1000000;
		while (clock_ns() < end)
			ASSERT_EQ(steps, self->storm->steps)
				fprintf(stderr, "# round %d, %u threads\n", i, f.out_threads);
		ASSERT_EQ(0, thaw(self->session));
	}
	EXPECT_TRUE(wait_until(self->storm->steps != steps));
}

TEST_F_TIMEOUT(storm, every_snapshot_has_all_records_of_all_its_threads, 900)
{
	int i, n = rounds(40, 500);

	for (i = 0; i < n; i++) {
		int fd = snap(self->target.pid, 0);
		struct state st = snapshot_state(fd);
		unsigned int threads = record_count(&st, CKPT_REC_THREAD);
		struct ckpt_rec_proc *proc = record_next(&st, CKPT_REC_PROC, NULL);

		ASSERT_EQ(proc->nr_threads, threads);
		ASSERT_EQ(2 * threads, record_count(&st, CKPT_REC_REGSET));
		ASSERT_EQ(threads, record_count(&st, CKPT_REC_CREDS));
		ASSERT_EQ(threads, stats(fd).out_threads);
		free(st.buf);
		close(fd);
	}
}

/* ---- a thread on its way out ---- */

#define ROBUST	2000
#define WORDS	2

struct leaving {
	int word[WORDS];	/* CLONE_CHILD_CLEARTID: zero once the thread is gone */
	int begun;		/* the page is there */
};

static struct robust_list_head robust;

static int leave(void *arg)
{
	syscall(__NR_set_robust_list, &robust, sizeof(robust));
	syscall(__NR_exit, 0);
	return 0;
}

/*
 * Between the mark that a thread exits and the clearing of its word the kernel walks the thread's
 * list of robust futexes: make it long, and in pages that have to be faulted in.
 */
static void make_long_robust_list(void)
{
	int file = must(memfd_create("robust", MFD_CLOEXEC)), i;
	char *mem = must(mmap(NULL, ROBUST * PAGE, PROT_READ, MAP_PRIVATE, file, 0));
	unsigned long next;

	must(ftruncate(file, ROBUST * PAGE));
	for (i = 0; i < ROBUST; i++) {
		next = (unsigned long)(i + 1 < ROBUST ? mem + (i + 1) * PAGE : (char *)&robust);
		must(pwrite(file, &next, sizeof(next), i * PAGE));
	}
	must(madvise(mem, ROBUST * PAGE, MADV_RANDOM));
	robust.list.next = (struct robust_list *)mem;
	robust.futex_offset = 8;
}

#define CLONE_LIKE_PTHREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | \
			    CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static void leaving_program(struct target *me, void *arg)
{
	struct leaving **shared = arg, *l = anon_memory(PAGE);
	char *stack = anon_memory(WORDS * 4 * PAGE);
	int i;

	*shared = l;
	l->begun = 1;
	make_long_robust_list();
	target_say(me);
	for (;;) {
		for (i = 0; i < WORDS; i++)
			must(clone(leave, stack + (i + 1) * 4 * PAGE, CLONE_LIKE_PTHREAD, NULL,
				   &l->word[i], NULL, &l->word[i]));
		for (i = 0; i < WORDS; i++)
			while (*(volatile int *)&l->word[i])
				sched_yield();
		madvise((void *)robust.list.next, ROBUST * PAGE, MADV_DONTNEED);
	}
}

FIXTURE(leaving) {
	struct target target;
	struct leaving **l;
};

FIXTURE_SETUP(leaving)
{
	self->l = shared_memory(PAGE);
	target_begin(&self->target, leaving_program, self->l);
}

FIXTURE_TEARDOWN(leaving)
{
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F_TIMEOUT(leaving, thread_is_in_the_snapshot_or_its_word_is_cleared, 900)
{
	int i, j, n = rounds(60, 1000), seen = 0, alive;

	for (i = 0; i < n; i++) {
		int fd = snap_ready(self->target.pid, 0);
		struct state st = snapshot_state(fd);
		struct leaving l;

		ASSERT_EQ((ssize_t)sizeof(l), read_at(fd, *self->l, &l, sizeof(l)));
		alive = 1;
		for (j = 0; j < WORDS; j++) {
			/* With a word that nobody will clear, pthread_join() waits for ever. */
			if (l.word[j])
				ASSERT_NE(NULL, thread_record(&st, l.word[j]))
					fprintf(stderr, "# round %d: thread %d is missing\n", i,
						l.word[j]);
			alive += !!l.word[j];
		}
		/* One that has left, and is there again after a restore, would return from its exit. */
		ASSERT_EQ(alive, record_count(&st, CKPT_REC_THREAD));
		seen += alive - 1;
		free(st.buf);
		close(fd);
	}
	fprintf(stderr, "# %d words were set in %d snapshots\n", seen, n);
}

/* A process with the same memory, which the freeze does not stop. */
static int sharer(void *arg)
{
	for (;;)
		syscall(__NR_pause);
	return 0;
}

static void shared_and_leaving(struct target *me, void *arg)
{
	char *stack = anon_memory(16 * PAGE);

	must(clone(sharer, stack + 16 * PAGE, CLONE_VM | SIGCHLD, NULL));
	leaving_program(me, arg);
}

TEST_F_TIMEOUT(leaving, threads_that_end_do_not_hide_a_process_that_shares_memory, 900)
{
	int i, n = rounds(60, 1000);
	struct ckpt_snap s;
	struct target t;
	char path[64], text[64];

	target_begin(&t, shared_and_leaving, self->l);
	for (i = 0; i < n; i++) {
		s = (struct ckpt_snap) {};
		ASSERT_EQ(-EOPNOTSUPP, snap_with(t.pid, 0, &s))
			fprintf(stderr, "# round %d: reason %u\n", i, s.out_reason);
		ASSERT_EQ(CKPT_REASON_SHARED_MM, s.out_reason);
	}
	/* The sharer is a child of the target: end it, too. */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", t.pid, t.pid);
	ASSERT_LT(0, get_file_text(path, text, sizeof(text)));
	EXPECT_EQ(s.out_tid, atoi(text));
	kill(atoi(text), SIGKILL);
	target_kill(&t);
}

/* ---- exec and exit ---- */

#define EXEC_ENV	"CKPT_TEST_EXEC"
#define EXEC_STATUS	7

static void exec_again(int left)
{
	char env[64], *argv[] = { "exec", NULL }, *envp[] = { env, NULL };

	snprintf(env, sizeof(env), EXEC_ENV "=%d", left);
	execve("/proc/self/exe", argv, envp);
	_exit(1);
}

static void *idle_thread(void *arg)
{
	for (;;)
		syscall(__NR_getppid);
	return NULL;
}

static void *exec_thread(void *arg)
{
	exec_again((long)arg);
	return NULL;
}

/* Runs before main() in the program that was executed: does it again, in turn by each thread. */
static __attribute__((constructor)) void executed(void)
{
	const char *value = getenv(EXEC_ENV);
	long left = value ? atoi(value) : -1;
	pthread_t t;

	if (left < 0)
		return;
	if (!left)
		_exit(EXEC_STATUS);
	pthread_create(&t, NULL, idle_thread, NULL);
	if (left % 2)
		exec_again(left - 1);
	pthread_create(&t, NULL, exec_thread, (void *)(left - 1));
	for (;;)
		pause();
}

/* Full counts take longer than the harness allows a test without a fixture. */
FIXTURE(race) {
};

FIXTURE_SETUP(race)
{
}

FIXTURE_TEARDOWN(race)
{
}

TEST_F_TIMEOUT(race, exec_during_a_freeze_is_answered_and_not_disturbed, 900)
{
	int i, n = rounds(12, 200), taken = 0, status = 0;
	pid_t pid = must(fork());

	if (!pid)
		exec_again(n);
	for (i = 0; !waitpid(pid, &status, WNOHANG); i++) {
		struct ckpt_snap s;
		int fd = snap_with(pid, 0, &s);

		/* ESRCH: the leader has been replaced by the thread that called. */
		if (fd < 0) {
			ASSERT_TRUE(fd == -EAGAIN || fd == -ESRCH)
				fprintf(stderr, "# %s, reason %u\n", strerror(-fd), s.out_reason);
		} else {
			taken++;
			close(fd);
		}
	}
	EXPECT_EQ(EXEC_STATUS, WEXITSTATUS(status));
	EXPECT_TRUE(wait_until(nothing_held()));
	fprintf(stderr, "# %d snapshots of %d tries\n", taken, i);
}

static void *spin_and_exit(void *arg)
{
	volatile long n = (long)arg;

	while (n--)
		;
	syscall(__NR_exit_group, 3);
	return NULL;
}

TEST_F_TIMEOUT(race, exit_during_a_freeze_is_answered_and_not_disturbed, 900)
{
	int i, j, n = rounds(40, 800);

	for (i = 0; i < n; i++) {
		struct ckpt_snap s = {};
		pid_t pid;
		int fd;

		fflush(NULL);
		pid = must(fork());
		if (!pid) {
			pthread_t t;

			long spin = i * 20000;

			for (j = 0; j < 3; j++)
				pthread_create(&t, NULL, spin_and_exit, (void *)(spin + 1000000));
			spin_and_exit((void *)spin);
		}
		while ((fd = snap_with(pid, 0, &s)) >= 0)
			close(fd);
		ASSERT_TRUE(fd == -ESRCH || fd == -EAGAIN)
			fprintf(stderr, "# %s, reason %u\n", strerror(-fd), s.out_reason);
		if (fd == -ESRCH)
			EXPECT_NE(CKPT_REASON_NONE, s.out_reason);
		EXPECT_EQ(3, WEXITSTATUS(child_status(pid)));
	}
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F_TIMEOUT(race, sigkill_at_any_moment_of_a_snapshot_is_harmless, 900)
{
	int i, n = rounds(80, 2000);
	unsigned int seed = atoi(getenv("CKPT_SEED") ?: "1");

	fprintf(stderr, "# CKPT_SEED=%u\n", seed);
	for (i = 0; i < n; i++) {
		struct storm *s = shared_memory(sizeof(*s));
		struct ckpt_snap c;
		struct target t;
		pid_t killer;
		int fd;

		target_begin(&t, breeding_program, s);
		fflush(NULL);
		killer = must(fork());
		if (!killer) {
			volatile int wait = rand_r(&seed) % 200000;

			while (wait--)
				;
			kill(t.pid, SIGKILL);
			_exit(0);
		}
		rand_r(&seed);
		while ((fd = snap_with(t.pid, 0, &c)) >= 0)
			close(fd);
		ASSERT_TRUE(fd == -ESRCH || fd == -EAGAIN)
			fprintf(stderr, "# %s, reason %u\n", strerror(-fd), c.out_reason);
		child_status(killer);
		ASSERT_EQ(SIGKILL, WTERMSIG(child_status(t.pid)));
		close(t.in);
		close(t.out);
		munmap(s, sizeof(*s));
	}
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* The last of a crowd are looked at long after the kill: whoever reads their stacks must have them. */
TEST_F_TIMEOUT(race, sigkill_while_many_threads_are_looked_at_is_harmless, 900)
{
	int i, n = rounds(20, 400), killed = 0;
	unsigned int seed = atoi(getenv("CKPT_SEED") ?: "1");
	uint64_t span = 0;

	fprintf(stderr, "# CKPT_SEED=%u\n", seed);
	for (i = 0; i <= n; i++) {
		struct storm *s = shared_memory(sizeof(*s));
		uint64_t begin, wait = span ? rand_r(&seed) % span : 0;
		struct ckpt_snap c;
		struct target t;
		pid_t killer;
		int fd;

		target_begin(&t, crowded_program, s);
		killer = span ? must(fork()) : 0;
		if (span && !killer) {
			for (begin = clock_ns(); clock_ns() < begin + wait;)
				;
			kill(t.pid, SIGKILL);
			_exit(0);
		}
		begin = clock_ns();
		fd = snap_with(t.pid, 0, &c);
		if (!span)
			span = clock_ns() - begin;
		if (fd >= 0)
			close(fd);
		else
			ASSERT_TRUE(fd == -ESRCH || fd == -EAGAIN)
				fprintf(stderr, "# %s, reason %u\n", strerror(-fd), c.out_reason);
		killed += fd < 0;
		if (killer)
			child_status(killer);
		else
			kill(t.pid, SIGKILL);
		ASSERT_EQ(SIGKILL, WTERMSIG(child_status(t.pid)));
		close(t.in);
		close(t.out);
		munmap(s, sizeof(*s));
	}
	fprintf(stderr, "# %d of %d were killed before their snapshot was done\n", killed, n);
	EXPECT_LT(0, killed);
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* ---- vfork, as posix_spawn() does it ---- */

static void spawning_program(struct target *me, void *arg)
{
	target_say(me);
	for (;;) {
		pid_t pid = vfork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

TEST_F_TIMEOUT(race, program_that_spawns_others_all_the_time_can_be_taken, 900)
{
	int i, n = rounds(60, 1000);
	struct target t;

	target_begin(&t, spawning_program, NULL);
	for (i = 0; i < n; i++)
		close(snap(t.pid, 0));
	target_kill(&t);
}

/* ---- kernel workers ---- */

static void works_in_background(struct target *me, void *arg)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_READ, .flags = IOSQE_ASYNC, .len = 8 };
	struct uring r;
	int fd[2];
	char buf[8];

	target_step(me);
	must(pipe2(fd, O_CLOEXEC));
	sqe.fd = fd[0];
	sqe.addr = (unsigned long)buf;
	if (!uring_open(&r, 0))
		_exit(1);
	uring_queue(&r, &sqe);
	must(syscall(__NR_io_uring_enter, r.fd, 1, 0, 0, NULL, 0));
	target_step(me);
}

TEST(io_uring_worker_is_refused_at_attach_and_at_freeze)
{
	struct ckpt_attach a;
	struct ckpt_freeze f;
	struct target t;
	int session;

	target_begin(&t, works_in_background, NULL);
	session = attach(t.pid);
	target_next(&t);
	EXPECT_EQ(-EOPNOTSUPP, freeze_why(session, 0, &f));
	EXPECT_EQ(CKPT_REASON_IO_WORKER, f.out_reason);
	EXPECT_NE(t.pid, f.out_tid);
	EXPECT_NE(0, task_state(t.pid, f.out_tid));
	EXPECT_EQ(-EOPNOTSUPP, attach_why(t.pid, &a));
	EXPECT_EQ(CKPT_REASON_IO_WORKER, a.out_reason);
	EXPECT_NE(0, task_state(t.pid, a.out_tid));
	close(session);
	target_kill(&t);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_HARNESS_MAIN
