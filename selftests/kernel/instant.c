// SPDX-License-Identifier: GPL-2.0-only
/*
 * A snapshot shows one instant: memory agrees with itself, with the registers and with the records,
 * also when threads write all the time and sleepers wake in the middle of the capture.
 */
#include <kselftest_harness.h>

#include <elf.h>
#include <pthread.h>
#include <sys/user.h>
#include <sys/stat.h>

#include "snap.h"

static int rounds(int few, int many)
{
	return getenv("CKPT_FULL") ? many : few;
}

/* The general registers of a thread. */
static struct user_regs_struct *registers(const struct state *st, pid_t tid)
{
	struct ckpt_rec_regset *r = NULL;

	while ((r = record_next(st, CKPT_REC_REGSET, r)))
		if (r->tid == tid && r->note == NT_PRSTATUS)
			return (struct user_regs_struct *)(r + 1);
	give_up("no registers of thread %d", tid);
}

/* ---- writers ---- */

#define WRITERS	2

/* In shared memory: where everything is. */
struct writers {
	char *mem[WRITERS];		/* each writer's own */
	size_t len;
	int advice;
	volatile pid_t tid[WRITERS];
	volatile uint64_t round[WRITERS];
};

static struct writers *writers;

/*
 * Round by round, the round's number into each page, from the first to the last. r12 holds the
 * number, r13 the address written last.
 */
static void *write_rounds(void *arg)
{
	long i = (long)arg;
	char *mem = writers->mem[i], *end = mem + writers->len;
	uint64_t round;

	writers->tid[i] = gettid();
	for (round = 2;; round++) {
		asm volatile("mov %0, %%r12\n"
			     "mov %1, %%r13\n"
			     "1: mov %%r12, (%%r13)\n"
			     "add %3, %%r13\n"
			     "cmp %2, %%r13\n"
			     "jb 1b\n"
			     :: "r" (round), "r" (mem), "r" (end), "i" (PAGE)
			     : "r12", "r13", "memory", "cc");
		writers->round[i] = round;
	}
	return NULL;
}

static void writing_program(struct target *me, void *arg)
{
	pthread_t t;
	long i;

	writers = arg;
	for (i = 0; i < WRITERS; i++) {
		writers->mem[i] = aligned_memory(writers->len);
		advise_huge(writers->mem[i], writers->len, writers->advice);
		memset(writers->mem[i], 1, writers->len);
	}
	for (i = 0; i < WRITERS; i++)
		if (pthread_create(&t, NULL, write_rounds, (void *)i))
			_exit(1);
	target_step(me);
}

FIXTURE(writers) {
	struct target target;
	struct writers *w;
	uint64_t *pages;
};

FIXTURE_VARIANT(writers) {
	size_t len;
	int advice;
};

FIXTURE_VARIANT_ADD(writers, small) { .len = 2 * HUGE, .advice = MADV_NOHUGEPAGE };
FIXTURE_VARIANT_ADD(writers, huge) { .len = 4 * HUGE, .advice = MADV_HUGEPAGE };

FIXTURE_SETUP(writers)
{
	self->w = shared_memory(sizeof(*self->w));
	self->w->len = variant->len;
	self->w->advice = variant->advice;
	self->pages = malloc(variant->len);
	target_begin(&self->target, writing_program, self->w);
	ASSERT_TRUE(wait_until(self->w->round[0] > 2 && self->w->round[1] > 2));
}

FIXTURE_TEARDOWN(writers)
{
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* How many pages hold the newer of two rounds; -1 when it is not a prefix. */
static long prefix(const uint64_t *mem, size_t len, uint64_t *ret_round)
{
	size_t i, nr = len / PAGE, k = 0;
	uint64_t first = mem[0];

	while (k < nr && mem[k * PAGE / 8] == first)
		k++;
	for (i = k; i < nr; i++)
		if (mem[i * PAGE / 8] != first - 1)
			return -1;
	*ret_round = first;
	return k;
}

TEST_F_TIMEOUT(writers, memory_and_registers_are_of_one_instant, 600)
{
	int i, j, n = rounds(20, 300);

	for (i = 0; i < n; i++) {
		int fd = snap_ready(self->target.pid, i & 1 ? CKPT_SNAPSHOT_CONSUME : 0);
		struct state st = snapshot_state(fd);

		for (j = 0; j < WRITERS; j++) {
			struct user_regs_struct *r = registers(&st, self->w->tid[j]);
			char *mem = self->w->mem[j];
			uint64_t round = 0;
			long k, at;

			ASSERT_EQ((ssize_t)variant->len,
				  read_at(fd, mem, self->pages, variant->len));
			k = prefix(self->pages, variant->len, &round);
			ASSERT_LT(0, k)
				fprintf(stderr, "# snapshot %d, writer %d: torn\n", i, j);
			/* Outside of the loop the registers hold something else. */
			at = r->r13 - (unsigned long)mem;
			if (at < 0 || at >= (long)variant->len || r->r12 != round)
				continue;
			/* The store at r13 is done, or it is the next to be done. */
			ASSERT_GE(1, labs(at / (long)PAGE - k + 1))
				fprintf(stderr, "# at page %ld, %ld written\n", at / (long)PAGE, k);
		}
		free(st.buf);
		close(fd);
	}
}

/* ---- a sleeper that is woken from outside while pictures are taken ---- */

#define BALLAST	(8 * HUGE)		/* so that a capture takes a while */

struct reader {
	int fd;
	volatile uint64_t *buf;		/* what was read last */
	volatile uint64_t *count;	/* what was taken over from there */
	volatile uint64_t seen;		/* for the test: it runs */
};

static struct reader *reader;

static void reading_program(struct target *me, void *arg)
{
	volatile uint64_t *m = anon_memory(PAGE);
	char *ballast = anon_memory(BALLAST);
	size_t i;

	reader = arg;
	advise_huge(ballast, BALLAST, MADV_NOHUGEPAGE);
	for (i = 0; i < BALLAST; i += PAGE)
		ballast[i] = 1;
	reader->buf = m;
	reader->count = m + 64;
	*m = m[64] = 0;
	target_say(me);
	/* r12 follows the count. */
	asm volatile("xor %%r12d, %%r12d\n"
		     "1: xor %%eax, %%eax\n"
		     "mov %0, %%edi\n"
		     "mov %1, %%rsi\n"
		     "mov $8, %%edx\n"
		     "syscall\n"
		     "cmp $8, %%rax\n"
		     "jne 2f\n"
		     "mov (%1), %%r12\n"
		     "mov %%r12, (%2)\n"
		     "mov %%r12, (%3)\n"
		     "jmp 1b\n"
		     "2:\n"
		     :: "r" (reader->fd), "r" (m), "r" (m + 64), "r" (&reader->seen)
		     : "rax", "rcx", "rdx", "rsi", "rdi", "r11", "r12", "memory", "cc");
	_exit(9);		/* the read failed: EINTR, or a short one */
}

/*
 * Writes @n and what follows, with small pauses, so that the reader falls asleep each time, and now
 * and then a pause long enough for a whole snapshot of a sleeper.
 */
static pid_t start_feeder(int fd, uint64_t n)
{
	unsigned int seed = atoi(getenv("CKPT_SEED") ?: "1");
	unsigned int longest = slowness() > 1 ? 200000 : 5000;
	pid_t tester = getpid(), pid;

	fflush(NULL);
	pid = must(fork());
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != tester)
		_exit(1);
	for (;; n++) {
		volatile int wait = rand_r(&seed) % 20000;

		must(write(fd, &n, sizeof(n)));
		while (wait--)
			;
		if (rand_r(&seed) % 16 == 0)
			usleep(rand_r(&seed) % longest);
	}
}

FIXTURE(sleeper) {
	struct target target;
	struct reader *r;
	pid_t feeder;
	int pipe[2];
};

FIXTURE_SETUP(sleeper)
{
	must(pipe2(self->pipe, O_CLOEXEC));
	self->r = shared_memory(sizeof(*self->r));
	self->r->fd = self->pipe[0];
	target_begin(&self->target, reading_program, self->r);
}

FIXTURE_TEARDOWN(sleeper)
{
	if (self->feeder) {
		kill(self->feeder, SIGKILL);
		child_status(self->feeder);
	}
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* Does the snapshot show the reader between two messages, or in the middle of one, consistently? */
static const char *what_is_wrong(FIXTURE_DATA(sleeper) *self, int fd)
{
	struct state st = snapshot_state(fd);
	struct ckpt_rec_thread *t = thread_record(&st, self->target.pid);
	struct user_regs_struct *r = registers(&st, self->target.pid);
	uint64_t buf, count;
	const char *wrong = NULL;

	read_at(fd, (void *)self->r->buf, &buf, 8);
	read_at(fd, (void *)self->r->count, &count, 8);
	if (t->run == CKPT_TRUN_ASLEEP && t->syscall_nr >= 0) {
		/* The restored thread reads again: nothing may have been read yet. */
		if (t->syscall_nr != __NR_read || buf != count || r->r12 != count)
			wrong = "asleep, but it has read";
	} else if (t->syscall_nr == __NR_read && r->rax == 8) {
		if (buf != r->r12 + 1 || r->r12 != count)
			wrong = "it has read, but memory does not show it";
	} else if (buf - count > 1) {
		wrong = "memory is ahead of the program";
	}
	if (wrong)
		fprintf(stderr, "# buf %lu, count %lu, r12 %llu, rax %lld, run %u, call %d\n", buf,
			count, r->r12, r->rax, t->run, t->syscall_nr);
	free(st.buf);
	return wrong;
}

TEST_F_TIMEOUT(sleeper, that_wakes_in_the_window_is_captured_anew, 600)
{
	int i, n = rounds(60, 2000), retries = 0, asleep = 0;

	self->feeder = start_feeder(self->pipe[1], self->r->seen + 1);
	ASSERT_TRUE(wait_until(self->r->seen > 100));
	/* What a snapshot hits is chance, and the machine weighs it: go on until both were met. */
	for (i = 0; i < n || (i < 50 * n && !(retries && asleep)); i++) {
		int fd = snap_ready(self->target.pid, 0);
		const char *wrong = what_is_wrong(self, fd);

		ASSERT_EQ(NULL, wrong)
			fprintf(stderr, "# snapshot %d: %s\n", i, wrong);
		retries += stats(fd).out_retries;
		asleep += stats(fd).out_asleep;
		close(fd);
	}
	fprintf(stderr, "# %d snapshots, asleep in %d, %d repeated\n", i, asleep, retries);
	EXPECT_LT(0, retries);
	EXPECT_LT(0, asleep);
	EXPECT_EQ(0, waitpid(self->target.pid, NULL, WNOHANG));
}

static void put_text(const char *dir, const char *name, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = must(open(path, O_WRONLY | O_CLOEXEC));
	must(write(fd, text, strlen(text)));
	close(fd);
}

static bool is_frozen(const char *dir)
{
	char path[256], text[256];

	snprintf(path, sizeof(path), "%s/cgroup.events", dir);
	return get_file_text(path, text, sizeof(text)) > 0 && strstr(text, "frozen 1");
}

/* There it sleeps interruptibly too, but at the border: its call is over, and has moved bytes. */
TEST_F_TIMEOUT(sleeper, in_a_frozen_cgroup_has_left_its_call, 600)
{
	int i, n = rounds(100, 2000), over = 0;
	char dir[64], text[32];

	snprintf(dir, sizeof(dir), "/sys/fs/cgroup/ckpt-instant-%d", getpid());
	if (mkdir(dir, 0700))
		SKIP(return, "no cgroup v2: %s", strerror(errno));
	snprintf(text, sizeof(text), "%d", self->target.pid);
	put_text(dir, "cgroup.procs", text);
	self->feeder = start_feeder(self->pipe[1], self->r->seen + 1);
	ASSERT_TRUE(wait_until(self->r->seen > 100));
	for (i = 0; i < n || (i < 50 * n && !over); i++) {
		const char *wrong;
		struct state st;
		int fd;

		put_text(dir, "cgroup.freeze", "1");
		ASSERT_TRUE(wait_until(is_frozen(dir)));
		fd = snap_ready(self->target.pid, 0);
		wrong = what_is_wrong(self, fd);
		ASSERT_EQ(NULL, wrong)
			fprintf(stderr, "# snapshot %d: %s\n", i, wrong);
		st = snapshot_state(fd);
		over += registers(&st, self->target.pid)->rax == 8;
		free(st.buf);
		close(fd);
		put_text(dir, "cgroup.freeze", "0");
	}
	fprintf(stderr, "# %d snapshots, %d with the call done\n", i, over);
	EXPECT_LT(0, over);
	EXPECT_EQ(0, waitpid(self->target.pid, NULL, WNOHANG));
	put_text("/sys/fs/cgroup", "cgroup.procs", text);
	EXPECT_EQ(0, rmdir(dir));
}

TEST_F_TIMEOUT(sleeper, that_wakes_long_after_the_freeze_is_no_timeout, 600)
{
	int session = attach(self->target.pid), i, n = rounds(30, 500);
	uint64_t end;

	for (i = 0; i < n; i++) {
		struct ckpt_freeze f;
		int fd;

		if (self->feeder) {
			kill(self->feeder, SIGKILL);
			child_status(self->feeder);
			self->feeder = 0;
		}
		task_sleeps(self->target.pid, self->target.pid);
		/* The time for the freeze is over when the sleeper wakes, but it is frozen. */
		ASSERT_EQ(0, freeze_why(session, 2000, &f));
		ASSERT_EQ(1, f.out_asleep);
		ASSERT_EQ(0, thaw(session));
		ASSERT_EQ(0, freeze_why(session, 20, &f));
		end = clock_ns() + 21000000;
		while (clock_ns() < end)
			;
		self->feeder = start_feeder(self->pipe[1], self->r->seen + 1);
		fd = snapshot(session);
		ASSERT_LE(0, fd)
			fprintf(stderr, "# %s\n", strerror(-fd));
		ASSERT_EQ(0, barrier(fd));
		ASSERT_EQ(NULL, what_is_wrong(self, fd));
		close(fd);
		ASSERT_EQ(0, thaw(session));
	}
	close(session);
}

TEST_F_TIMEOUT(sleeper, state_by_the_session_agrees_with_itself_too, 600)
{
	int session = attach(self->target.pid), i, n = rounds(60, 1000);

	self->feeder = start_feeder(self->pipe[1], self->r->seen + 1);
	for (i = 0; i < n; i++) {
		struct ckpt_rec_thread *t;
		struct user_regs_struct *r;
		struct state st;

		ASSERT_EQ(0, freeze(session));
		st = state_of(session, CKPT_STATE);
		t = thread_record(&st, self->target.pid);
		r = registers(&st, self->target.pid);
		if (t->run == CKPT_TRUN_ASLEEP)
			ASSERT_EQ(__NR_read, (int)r->orig_rax);
		ASSERT_EQ(0, thaw(session));
		free(st.buf);
	}
	close(session);
}

TEST_HARNESS_MAIN
