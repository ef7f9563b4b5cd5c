// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of any content, in any order, on any descriptor, by several threads at once: the programs
 * they are about must not notice, the kernel must not complain, nothing may be left or hang.
 *
 *	CKPT_FUZZ_SECONDS	how long (15; ten minutes under CKPT_FULL=1)
 *	CKPT_SEED		begin with these random numbers; the order of threads is not told
 *
 * Two processes of some threads call; the first has the second among its targets. An input
 * (fuzz_input.h) that had an answer nobody had before is kept, and changed further; on a kernel
 * with kcov also one that led to code of the module not reached before. So that it cannot pass
 * by being refused all the time, the test goes on until each kind of call has also succeeded.
 *
 * ckpt-run: timeout=3600
 */
#include <kselftest_harness.h>

#include <dirent.h>
#include <sys/resource.h>

#include "fuzz_call.h"

/* Successes of each kind of call. Where checkers make few of all calls, one shows that it can. */
static unsigned int enough(void)
{
	return slowness() > 1 ? 1 : 5;
}

/* ---- what else goes on in a machine ---- */

static void set_number(const char *path, unsigned long number)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", number);
	set_file(path, text);
}

#define PARAMETER(name)	"/sys/module/ckpt/parameters/" name
#define FAIL_NTH	"/sys/kernel/debug/ckpt/fail_nth"

/* Everything as it was. */
static void settle(void)
{
	set_number(PARAMETER("max_state_bytes"), 64ul << 20);
	set_number(PARAMETER("max_copy_bytes"), 4ul << 30);
	set_number(PARAMETER("freeze_timeout_ms"), 1000);
	set_number(FAIL_NTH, 0);
	kill(all->target[WHO_STOPPED], SIGCONT);
}

static void mischief(uint64_t *rng, pthread_t *threads)
{
	struct rlimit files;

	switch (pick(rng, 12)) {
	case 0:
		kill(all->target[WHO_STOPPED], SIGSTOP);
		break;
	case 1:
		kill(all->target[WHO_STOPPED], SIGCONT);
		break;
	case 2:
		set_number(PARAMETER("max_state_bytes"), pick(rng, 60000));
		break;
	case 3:
		set_number(PARAMETER("max_copy_bytes"), pick(rng, 2) * PAGE);
		break;
	case 4:
		set_number(PARAMETER("freeze_timeout_ms"), pick(rng, 50));
		break;
	case 5:
		set_number(FAIL_NTH, 1 + pick(rng, 200));
		break;
	case 6:
		must(getrlimit(RLIMIT_NOFILE, &files));
		files.rlim_cur = run.first_fd + pick(rng, SLOTS);
		must(setrlimit(RLIMIT_NOFILE, &files));
		break;
	case 7:
		close_lost();
		break;
	case 8:
		pthread_kill(threads[pick(rng, THREADS)], SIGUSR1);
		break;
	default:		/* most of the time all is well */
		files.rlim_cur = files.rlim_max = 1024;
		must(setrlimit(RLIMIT_NOFILE, &files));
		settle();
	}
}

static void interrupted(int sig)
{
}

static void run_open(unsigned int nr, uint64_t seed)
{
	unsigned int i;

	run.nr = nr;
	arena_open(&run.common, THREADS);
	must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, run.mail));
	for (i = 0; i < THREADS; i++) {
		struct worker *w = &run.worker[i];

		w->nr = i;
		w->rng = (seed + 1) * 0x9e3779b97f4a7c15ull + nr * 1000 + i;
		arena_open(&w->arena, i);
		must(pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK));
		/* The smallest, the common and the largest. */
		must(fcntl(w->pipe[1], F_SETPIPE_SZ, PAGE << 4 * (i % 3)));
		if (kcov_exists())
			kcov_open(&w->kcov);
	}
	for (i = 0; i < SLOTS; i++)
		run.fd[i] = -1;
	run.first_fd = must(open("/dev/null", O_RDWR | O_CLOEXEC));
	run.fd[0] = run.first_fd;
	run.fd[1] = must(memfd_create("foreign", MFD_CLOEXEC));
	run.fd[2] = must(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
	run.fd[3] = must(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	run.fd[4] = must(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
	for (i = 0; i < 5; i++)
		run.kind[i] = FOREIGN;
	for (; i < 8; i++) {
		run.fd[i] = ckpt_open();
		run.kind[i] = DEVICE;
	}
}

static void run_all(unsigned int nr, uint64_t seed)
{
	struct sigaction on_usr1 = { .sa_handler = interrupted };
	struct sigaction no_zombies = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
	pthread_t threads[THREADS];
	uint64_t rng = seed * 77 + nr + 1;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	must(sigaction(SIGUSR1, &on_usr1, NULL));
	must(sigaction(SIGCHLD, &no_zombies, NULL));
	signal(SIGPIPE, SIG_IGN);
	run_open(nr, seed);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, &run.worker[i]))
			_exit(1);
	while (!all->stop) {
		mischief(&rng, threads);
		usleep(pick(&rng, 4000));	/* a pace, nothing waits for it */
	}
	/* Nobody is told to hurry: what waits here must be over by itself. */
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* ---- the test ---- */

static unsigned int seconds(void)
{
	const char *s = getenv("CKPT_FUZZ_SECONDS");

	return s ? atoi(s) : getenv("CKPT_FULL") ? 600 : 15;
}

/* Calls that have not succeeded often enough, as text; "" when there are none. */
static const char *missing(void)
{
	static char text[512];
	size_t at = 0;
	unsigned int i;

	text[0] = 0;
	for (i = 0; i < OPS; i++)
		if (ops[i].vital && all->good[i] < enough())
			at += snprintf(text + at, sizeof(text) - at, "%s ", ops[i].name);
	return text;
}

static void report(void)
{
	unsigned long calls = 0, good = 0;
	unsigned int i;

	for (i = 0; i < OPS; i++) {
		fprintf(stderr, "# %-14s %8lu calls, %8lu succeeded\n", ops[i].name, all->calls[i],
			all->good[i]);
		calls += all->calls[i];
		good += all->good[i];
	}
	fprintf(stderr, "# %lu calls, %lu succeeded, %u different answers, %u inputs kept\n",
		calls, good, all->answers, all->kept);
	if (kcov_exists())
		fprintf(stderr, "# kcov: %u places reached, %u of them in the module\n",
			all->seen.nr, all->seen.nr_module);
}

static const char *what_is_wrong(void)
{
	unsigned int i;

	for (i = 0; i < WHO_TARGETS; i++)
		if (all->life[i]->wrong[0])
			return all->life[i]->wrong;
	return "";
}

static bool is_gone(pid_t pid)
{
	siginfo_t info = {};

	return !waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == pid;
}

/* Every worker of a target goes on, from now on. */
static bool all_go_on(enum who who)
{
	struct life *l = all->life[who];
	uint64_t steps[WORKERS];
	unsigned int i;

	memcpy(steps, (void *)l->steps, sizeof(steps));
	for (i = 0; i < l->nr; i++)
		if (!wait_until(l->steps[i] != steps[i])) {
			fprintf(stderr, "# target %u: worker %u does not go on\n", who, i);
			return false;
		}
	return true;
}

FIXTURE(fuzz) {
	struct target target[WHO_TARGETS];
	uint64_t seed;
};

FIXTURE_SETUP(fuzz)
{
	static target_fn * const programs[WHO_TARGETS] = {
		[WHO_ALONE] = alone, [WHO_LARGE] = large, [WHO_CROWD] = crowd,
		[WHO_STOPPED] = stopped_at_times, [WHO_PARENT] = parent,
	};
	unsigned int i;

	self->seed = strtoull(getenv("CKPT_SEED") ?: "1", NULL, 10);
	all = shared_memory(sizeof(*all));
	for (i = 0; i < WHO_TARGETS; i++) {
		all->life[i] = shared_memory(sizeof(struct life));
		target_begin(&self->target[i], programs[i], all->life[i]);
		all->target[i] = self->target[i].pid;
	}
	if (kcov_exists())
		kcov_find_module(&all->seen);
}

FIXTURE_TEARDOWN(fuzz)
{
	unsigned int i;

	settle();
	for (i = 0; i < WHO_TARGETS; i++)
		if (self->target[i].pid)
			target_kill(&self->target[i]);
}

static void start_runs(uint64_t seed)
{
	unsigned int i;
	pid_t pid;

	fflush(NULL);
	for (i = RUNS; i-- > 0; all->pid[i] = pid) {
		pid = must(fork());
		if (!pid)
			run_all(i, seed);
	}
}

/*
 * A process number made up at random is somebody's at times, mostly init's. A tracker pinned to one
 * that is not of this test lasts longer than the test. A child asks, since this process may be one of
 * them, and nobody can be his own target.
 */
static void untrack_everybody(void)
{
	pid_t pid = must(fork());
	struct dirent *entry;
	DIR *proc;
	int dev;

	if (pid) {
		if (child_status(pid))
			give_up("not everybody could be untracked");
		return;
	}
	dev = ckpt_open();
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		struct ckpt_untrack u = { .size = sizeof(u), .pid = atoi(entry->d_name) };

		/* Refused where there is nothing to take away; nothing_held() tells the rest. */
		call(dev, CKPT_UNTRACK, &u);
	}
	_exit(!proc);
}

/* Which calls did not come back; the process has to end when it is killed, at least. */
static void tell_stuck(unsigned int nr)
{
	unsigned int i;
	int op;

	for (i = 0; i < THREADS; i++) {
		op = all->now[nr][i];
		if (op)
			fprintf(stderr, "# process %u, thread %u is in %s\n", nr, i,
				ops[op - 1].name);
	}
	kill(all->pid[nr], SIGKILL);
}

TEST_F_TIMEOUT(fuzz, no_call_hurts_a_program_or_hangs_or_leaves_anything, 3500)
{
	uint64_t end = clock_ns() + seconds() * 1000000000ull;
	uint64_t last = end + DEADLINE_MS * 4000000ull;
	unsigned int i;

	fprintf(stderr, "# CKPT_SEED=%lu, %u seconds\n", (unsigned long)self->seed, seconds());
	start_runs(self->seed);
	while (clock_ns() < end || (missing()[0] && clock_ns() < last)) {
		usleep(10000);
		if (what_is_wrong()[0] || is_gone(all->pid[0]) || is_gone(all->pid[1]))
			break;
		for (i = 0; i < WHO_TARGETS; i++)
			if (is_gone(self->target[i].pid))
				end = last = 0;
	}
	all->stop = true;
	for (i = 0; i < RUNS; i++) {
		EXPECT_TRUE(wait_until(is_gone(all->pid[i])))
			tell_stuck(i);
		EXPECT_EQ(0, child_status(all->pid[i]));
	}
	EXPECT_TRUE(wait_until(!all->babies));
	settle();
	report();
	EXPECT_STREQ("", missing());

	for (i = 0; i < WHO_TARGETS; i++) {
		ASSERT_FALSE(is_gone(self->target[i].pid)) TH_LOG("target %u ended", i);
		EXPECT_TRUE(all_go_on(i));
	}
	for (i = 0; i < WHO_TARGETS; i++) {
		all->life[i]->quit = true;
		EXPECT_EQ(0, child_status(self->target[i].pid)) TH_LOG("target %u", i);
		/* For the teardown: it has been waited for. */
		self->target[i].pid = 0;
	}
	/* Pinned trackers go with the targets; those of others, which live on, do not. */
	untrack_everybody();
	EXPECT_TRUE(wait_until(nothing_held()));
	EXPECT_STREQ("", what_is_wrong());
}

TEST_HARNESS_MAIN
