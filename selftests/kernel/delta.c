// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deltas never lose a page. A program changes its memory in every way there is (changes.h), deltas are
 * taken in between, and the memory put together from them must be that of the program, page by page,
 * at each of them.
 *
 * Sequences: CKPT_SEQUENCES, 2,000 in make check-full, some in make check. Each begins with a seed that it prints when
 * something is wrong; CKPT_SEED repeats it. CKPT_WAY takes one way alone, by its name.
 *
 * ckpt-run: timeout=3600
 */
#include <kselftest_harness.h>

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "changes.h"

/* ---- what the chain of generations says ---- */

#define SLOTS	(1 << 15)

struct page {
	unsigned long addr;	/* 0: none */
	unsigned int gen;	/* generation it was in last */
	unsigned char *bytes;
};

struct chain {
	unsigned int gen;	/* of the last that was committed; 0: none */
	struct page pages[SLOTS];
};

static struct page *page_of(struct chain *c, unsigned long addr)
{
	size_t i = addr / PAGE * 0x9e3779b97f4a7c15ull >> 49;

	while (c->pages[i].addr && c->pages[i].addr != addr)
		i = (i + 1) % SLOTS;
	return &c->pages[i];
}

static void forget_all(struct chain *c)
{
	size_t i;

	for (i = 0; i < SLOTS; i++)
		free(c->pages[i].bytes);
	memset(c, 0, sizeof(*c));
}

static void id_of(unsigned int gen, unsigned char *id)
{
	memset(id, 0, CKPT_ID_LEN);
	memcpy(id, &gen, sizeof(gen));
}

/* ---- the sessions ---- */

static int take(int session, unsigned int parent, unsigned int *ret_full)
{
	struct ckpt_snapshot s = { .size = sizeof(s), .flags = CKPT_SNAPSHOT_TRACK };
	int ret;

	id_of(parent, s.parent);
	ret = call(session, CKPT_SNAPSHOT, &s);
	if (ret)
		give_up("snapshot: %s, reason %u, address %#llx", strerror(-ret), s.out_reason,
			s.out_addr);
	*ret_full = s.out_full;
	return s.out_fd;
}

static int commit(int fd, unsigned int gen, unsigned int flags)
{
	struct ckpt_commit c = { .size = sizeof(c), .flags = flags };

	id_of(gen, c.id);
	return call(fd, CKPT_COMMIT, &c);
}

static const char *const run_names[] = {
	[CKPT_RUN_DATA] = "data", [CKPT_RUN_ZERO] = "zero", [CKPT_RUN_FILE] = "file",
	[CKPT_RUN_OPAQUE] = "opaque", [CKPT_RUN_PARENT] = "parent",
};

/*
 * Takes the pages of one run over into the chain. NULL, or what is wrong with one: @truth is what the
 * program has there.
 */
static const char *take_over(struct chain *c, int fd, const struct ckpt_run *run, int truth,
			     unsigned int gen, unsigned long *ret_addr)
{
	static unsigned char is[PAGE], want[PAGE];
	struct page *p;

	for (*ret_addr = run->start; *ret_addr < run->start + run->len; *ret_addr += PAGE) {
		unsigned long addr = *ret_addr;
		bool readable;

		if (run->kind == CKPT_RUN_FILE || run->kind == CKPT_RUN_OPAQUE)
			return NULL;
		/* Protected, and a newer kernel: it is compared when the program may read it again. */
		readable = pread(truth, want, PAGE, addr) == PAGE;
		if (!readable && errno != EIO)
			return "cannot be read";
		p = page_of(c, addr);
		switch (run->kind) {
		case CKPT_RUN_DATA:
			if (read_at(fd, (void *)addr, is, PAGE) != PAGE)
				return "is not in the snapshot";
			break;
		case CKPT_RUN_PARENT:
			if (!p->addr || p->gen != c->gen)
				return "is not in the parent";
			memcpy(is, p->bytes, PAGE);
			break;
		default:
			memset(is, 0, PAGE);
		}
		if (readable && memcmp(is, want, PAGE))
			return "is not what the program has";
		if (run->kind == CKPT_RUN_ZERO)
			continue;
		if (!p->addr) {
			p->addr = addr;
			p->bytes = malloc(PAGE);
		}
		memcpy(p->bytes, is, PAGE);
		p->gen = gen;
	}
	return NULL;
}

/* The whole of a snapshot, whose target is still frozen. */
static bool check_all(struct chain *c, int fd, pid_t pid, unsigned int gen)
{
	struct ckpt_run run = {};
	const char *wrong = NULL;
	unsigned long addr;
	char path[64];
	int truth;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	truth = must(open(path, O_RDONLY | O_CLOEXEC));
	while (!wrong && run_at(fd, (void *)(run.start + run.len), &run))
		wrong = take_over(c, fd, &run, truth, gen, &addr);
	close(truth);
	if (wrong)
		fprintf(stderr, "# page %#lx (%s) %s\n", addr, run_names[run.kind], wrong);
	return !wrong;
}

/* ---- the program ---- */

static void changing_program(struct target *me, void *arg)
{
	struct world *w = arg;

	w->pid = getpid();
	target_step(me);
	while (!w->quit) {
		go(w, w->way);
		target_step(me);
	}
}

FIXTURE(delta) {
	struct world *w;
	struct chain *chain;
	struct target target;
	unsigned long deltas, fulls, pages, left_out;
};

FIXTURE_SETUP(delta)
{
	struct world *w = shared_memory(sizeof(*w));

	self->w = w;
	self->chain = calloc(1, sizeof(*self->chain));
	make_world(w);
	w->window = (char *)(1ul << 44);	/* where the kernel puts nothing by itself */
	if (!swap_on())
		fprintf(stderr, "# no swap\n");
	ksm_on();
}

FIXTURE_TEARDOWN(delta)
{
	if (self->target.pid)
		target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
	ksm_off();
	swap_off();
}

static int way_alone(void)
{
	const char *name = getenv("CKPT_WAY");
	unsigned int i;

	for (i = 0; name && i < WAYS; i++)
		if (!strcmp(ways[i].name, name))
			return i;
	return -1;
}

static void change(FIXTURE_DATA(delta) *self)
{
	struct world *w = self->w;
	int alone = way_alone();
	unsigned int i, nr = 1 + chance(w, 6);

	for (i = 0; i < nr; i++) {
		w->way = alone >= 0 && i ? (unsigned int)alone : chance(w, WAYS);
		if (ways[w->way].outside)
			go(w, w->way);
		else
			target_next(&self->target);
	}
}

/* One generation; false when it is wrong. */
static bool generation(FIXTURE_DATA(delta) *self, int session)
{
	struct chain *c = self->chain;
	unsigned int full, gen = c->gen + 1;
	bool drop = !chance(self->w, 8), good = true;
	struct ckpt_freeze f;
	struct ckpt_stats st;
	int fd, ret;

	/* A worker of a ring that is closed may take a while to go. */
	if (!wait_until((ret = freeze_why(session, PATIENCE_MS, &f)) != -EOPNOTSUPP) || ret)
		give_up("freeze: %s, reason %u", strerror(-ret), f.out_reason);
	fd = take(session, c->gen, &full);
	if (full != (c->gen ? CKPT_FULL_NO : CKPT_FULL_ASKED))
		give_up("generation %u: full because of %u", gen, full);
	ret = barrier(fd);
	if (ret)
		give_up("barrier: %s", strerror(-ret));
	if (!drop)
		good = check_all(c, fd, self->w->pid, gen);
	must(thaw(session));
	st = stats(fd);
	self->deltas += !full;
	self->fulls += !!full;
	self->pages += full ? 0 : st.out_armed + st.out_copied;
	self->left_out += st.out_parent;
	if (!drop) {
		if (commit(fd, gen, 0))
			give_up("commit");
		c->gen = gen;
	}
	close(fd);
	return good;
}

/* A program from its birth to its end, with some tens of generations. */
static bool sequence(FIXTURE_DATA(delta) *self, unsigned int seed, unsigned int generations)
{
	struct world *w = self->w;
	bool good = true;
	int session;

	memset(w->state, NOTHING, sizeof(w->state));
	w->seed = seed;
	w->quit = false;
	target_begin(&self->target, changing_program, w);
	session = attach_flags(self->target.pid, CKPT_ATTACH_TRACK);
	for (; good && generations; generations--) {
		change(self);
		good = generation(self, session);
	}
	if (!good)
		fprintf(stderr, "# CKPT_SEED=%u\n", seed);
	close(session);
	w->quit = true;
	if (target_finish(&self->target))
		good = false;
	self->target.pid = 0;
	forget_all(self->chain);
	return good;
}

/* A way that nobody has gone yet, from whatever state of a chunk to whatever other; or NULL. */
static const char *never_gone(const struct world *w)
{
	unsigned int i, j;

	for (i = 0; i < WAYS; i++) {
		unsigned long times = 0;

		for (j = 0; j < WAYS; j++)
			times += ways[i].go == ways[j].go ? w->counts[j] : 0;
		if (!times)
			return ways[i].name;
	}
	return NULL;
}

#define GENERATIONS	10

TEST_F_TIMEOUT(delta, of_every_change_is_what_the_program_has, 3600)
{
	unsigned int seed = atoi(getenv("CKPT_SEED") ?: "1");
	unsigned int nr = slowness() > 1 ? 10 : 60, i;
	bool all;

	if (getenv("CKPT_FULL") || getenv("CKPT_SEQUENCES"))
		nr = atoi(getenv("CKPT_SEQUENCES") ?: "2000");

	/* Chance takes care that all ways are gone, or takes a little longer. */
	all = nr >= 50 && way_alone() < 0;
	for (i = 0; i < nr || (all && i < 10 * nr && never_gone(self->w)); i++) {
		if (i % 100 == 0)
			fprintf(stderr, "# sequence %u: CKPT_SEED=%u\n", i, seed + i);
		ASSERT_TRUE(sequence(self, seed + i, GENERATIONS));
	}
	fprintf(stderr, "# %u sequences from CKPT_SEED=%u on: %lu deltas, %lu fulls, %lu pages in deltas, %lu left out\n",
		i, seed, self->deltas, self->fulls, self->pages, self->left_out);
	if (all)
		EXPECT_STREQ("", never_gone(self->w) ?: "");
	EXPECT_LT(0, self->left_out);
}

/* ---- what deltas are and are not taken of ---- */

#define FEW	1024
#define SOME	(64 * PAGE)

struct touched {
	char *small, *huge;
	unsigned int pages;	/* to be written, from the first on, a step apart */
	unsigned int step;
	long faults, huge_faults;	/* that it took */
	bool restless;		/* threads wake again and again */
};

static void *wakes(void *arg)
{
	int fd = must(epoll_create1(EPOLL_CLOEXEC));
	unsigned int seed = (unsigned long)arg;
	struct epoll_event e;

	for (;;)
		must(epoll_wait(fd, &e, 1, 1 + rand_r(&seed) % 20));
	return NULL;
}

static void touching_program(struct target *me, void *arg)
{
	struct touched *t = arg;
	struct rusage before, after;
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < 24 && t->restless; i++)
		if (pthread_create(&thread, NULL, wakes, (void *)(long)i))
			_exit(1);

	fill(t->small, FEW * PAGE, 1);
	fill(t->huge, HUGE, 2);
	target_step(me);
	for (;;) {
		getrusage(RUSAGE_THREAD, &before);
		for (i = 0; i < t->pages; i++)
			t->small[i * t->step * PAGE] ^= 1;
		getrusage(RUSAGE_THREAD, &after);
		t->faults = after.ru_minflt - before.ru_minflt;
		getrusage(RUSAGE_THREAD, &before);
		for (i = 0; i < t->pages && i < HUGE / PAGE; i++)
			t->huge[i * PAGE] ^= 1;
		getrusage(RUSAGE_THREAD, &after);
		t->huge_faults = after.ru_minflt - before.ru_minflt;
		target_step(me);
	}
}

FIXTURE(tracked) {
	struct touched *t;
	struct target target;
};

FIXTURE_SETUP(tracked)
{
	struct touched *t = shared_memory(sizeof(*t));

	self->t = t;
	t->step = 1;
	t->small = aligned_memory(FEW * PAGE);
	t->huge = aligned_memory(HUGE);
	advise_huge(t->small, FEW * PAGE, MADV_NOHUGEPAGE);
	advise_huge(t->huge, HUGE, MADV_HUGEPAGE);
	target_begin(&self->target, touching_program, t);
	task_sleeps(self->target.pid, self->target.pid);
}

FIXTURE_TEARDOWN(tracked)
{
	if (self->target.pid)
		target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* By the one-shot call, ready to be read. */
static int snap_tracked(pid_t pid, unsigned int parent, unsigned int want_full)
{
	struct ckpt_snap s = {
		.size = sizeof(s), .flags = CKPT_SNAPSHOT_TRACK, .pid = pid,
		.timeout_ms = PATIENCE_MS,
	};
	int dev = ckpt_open(), ret;

	id_of(parent, s.parent);
	ret = call(dev, CKPT_SNAP, &s);
	if (ret)
		give_up("snap: %s, reason %u", strerror(-ret), s.out_reason);
	close(dev);
	if (s.out_full != want_full)
		give_up("full because of %u, not %u", s.out_full, want_full);
	ret = barrier(s.out_fd);
	if (ret)
		give_up("barrier: %s", strerror(-ret));
	return s.out_fd;
}

/* On disk, as far as the kernel knows. */
static void generation_of(pid_t pid, unsigned int parent, unsigned int gen, unsigned int want_full)
{
	int fd = snap_tracked(pid, parent, want_full);

	must(commit(fd, gen, CKPT_COMMIT_PIN));
	close(fd);
}

static unsigned int pages_of_kind(int fd, const void *mem, size_t len, unsigned int kind)
{
	struct ckpt_run run = {};
	unsigned int pages = 0;
	unsigned long from = (unsigned long)mem, end = from + len, a, b;

	while (run_at(fd, (void *)(run.start + run.len), &run)) {
		a = run.start > from ? run.start : from;
		b = run.start + run.len < end ? run.start + run.len : end;
		if (run.kind == kind && a < b)
			pages += (b - a) / PAGE;
	}
	return pages;
}

TEST_F(tracked, delta_holds_the_pages_that_were_written_and_hardly_more)
{
	struct touched *t = self->t;
	unsigned int held, i;
	int fd;

	generation_of(self->target.pid, 0, 1, CKPT_FULL_ASKED);
	t->pages = 100;
	t->step = 7;
	target_next(&self->target);
	fd = snap_tracked(self->target.pid, 1, CKPT_FULL_NO);
	/* New pages are in a processor's list for a while, which holds them. */
	held = pages_of_kind(fd, t->small, FEW * PAGE, CKPT_RUN_DATA);
	EXPECT_LE(100, held);
	EXPECT_EQ(FEW - held, pages_of_kind(fd, t->small, FEW * PAGE, CKPT_RUN_PARENT));
	EXPECT_LE(100, pages_of_kind(fd, t->huge, HUGE, CKPT_RUN_DATA));
	EXPECT_GE(100 + HUGE / PAGE + 64, pages_of_kind(fd, 0, ~PAGE, CKPT_RUN_DATA));
	for (i = 0; i < FEW; i++)
		if (kind_at(fd, t->small + i * PAGE) == CKPT_RUN_PARENT)
			ASSERT_EQ(-ENODATA, read_at(fd, t->small + i * PAGE, &(char){ 0 }, 1));
	close(fd);
}

TEST_F(tracked, page_that_did_not_change_costs_no_fault_when_it_is_written)
{
	struct touched *t = self->t;

	generation_of(self->target.pid, 0, 1, CKPT_FULL_ASKED);
	/* The first time there are others: the stack's page was written meanwhile, for one. */
	target_next(&self->target);
	t->pages = FEW;
	target_next(&self->target);
	EXPECT_EQ(0, t->faults);
	EXPECT_GE(1, t->huge_faults);	/* on kernels before 6.12 */
	generation_of(self->target.pid, 1, 2, CKPT_FULL_NO);
	target_next(&self->target);
	EXPECT_EQ(0, t->faults);
	EXPECT_GE(1, t->huge_faults);
}

TEST_F(tracked, page_that_a_snapshot_holds_stays_as_it_was)
{
	struct touched *t = self->t;
	int fd, other;

	generation_of(self->target.pid, 0, 1, CKPT_FULL_ASKED);
	fd = snap_ready(self->target.pid, 0);
	/* Its end makes pages writable, but not those of the first. */
	other = snap_tracked(self->target.pid, 1, CKPT_FULL_NO);
	close(other);
	t->pages = FEW;
	target_next(&self->target);
	EXPECT_TRUE(holds_pattern(fd, t->small, FEW * PAGE, 1));
	EXPECT_TRUE(holds_pattern(fd, t->huge, HUGE, 2));
	close(fd);
}

TEST_F(tracked, delta_is_of_the_generation_that_was_committed_last)
{
	pid_t pid = self->target.pid;
	int fd;

	generation_of(pid, 7, 1, CKPT_FULL_UNTRACKED);
	generation_of(pid, 7, 2, CKPT_FULL_PARENT);
	generation_of(pid, 1, 3, CKPT_FULL_PARENT);
	generation_of(pid, 3, 4, CKPT_FULL_NO);
	/* Not committed: as if it had not been. */
	self->t->pages = 10;
	target_next(&self->target);
	close(snap_tracked(pid, 4, CKPT_FULL_NO));
	fd = snap_tracked(pid, 4, CKPT_FULL_NO);
	EXPECT_LE(10, pages_of_kind(fd, self->t->small, FEW * PAGE, CKPT_RUN_DATA));
	close(fd);
	close(snap_ready(pid, 0));
	generation_of(pid, 4, 5, CKPT_FULL_NO);
}

TEST_F(tracked, second_snapshot_before_the_commit_is_taken_whole_and_untracked)
{
	pid_t pid = self->target.pid;
	int first, second;

	generation_of(pid, 0, 1, CKPT_FULL_ASKED);
	first = snap_tracked(pid, 1, CKPT_FULL_NO);
	second = snap_tracked(pid, 1, CKPT_FULL_PENDING);
	EXPECT_EQ(FEW, pages_of_kind(second, self->t->small, FEW * PAGE, CKPT_RUN_DATA));
	EXPECT_EQ(-ESTALE, commit(second, 3, 0));
	EXPECT_EQ(0, commit(first, 2, 0));
	EXPECT_EQ(-ESTALE, commit(first, 2, 0));
	close(second);
	close(first);
	generation_of(pid, 2, 3, CKPT_FULL_NO);
}

TEST_F_TIMEOUT(tracked, capture_that_is_spoiled_takes_nothing_out_of_the_next, 600)
{
	struct touched *t = self->t;
	unsigned int i, spoiled = 0;
	struct target target;
	int fd;

	t->restless = true;
	t->pages = FEW;
	target_begin(&target, touching_program, t);
	generation_of(target.pid, 0, 1, CKPT_FULL_ASKED);
	for (i = 1; i < 1000 && spoiled < 3; i++) {
		target_next(&target);
		fd = snap_tracked(target.pid, i, CKPT_FULL_NO);
		spoiled += stats(fd).out_retries > 0;
		ASSERT_EQ(FEW, pages_of_kind(fd, t->small, FEW * PAGE, CKPT_RUN_DATA));
		ASSERT_EQ(0, commit(fd, i + 1, 0));
		close(fd);
	}
	EXPECT_LE(3, spoiled);
	target_kill(&target);
}

/* ---- who asks for pages, and sleeps before he gets them ---- */

struct asleep {
	char *mem;	/* a page that userfaultfd has to bring, and others behind it */
	int fd;
};

static void owner_of_missing(struct target *me, void *arg)
{
	struct asleep *a = arg;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (unsigned long)a->mem, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_zeropage zero = { .range = reg.range };
	int fd = must(syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK));

	fill(a->mem + PAGE, 15 * PAGE, 1);
	must(ioctl(fd, UFFDIO_API, &api));
	must(ioctl(fd, UFFDIO_REGISTER, &reg));
	target_step(me);
	must(ioctl(fd, UFFDIO_ZEROPAGE, &zero));
	target_step(me);
}

TEST_F(tracked, writer_that_slept_while_he_asked_is_heard)
{
	struct iovec from, to;
	struct asleep a;
	struct target t;
	pid_t writer;
	int fd;

	a.mem = aligned_memory(HUGE);
	advise_huge(a.mem, HUGE, MADV_NOHUGEPAGE);
	target_begin(&t, owner_of_missing, &a);
	from = (struct iovec) { aligned_memory(HUGE), 16 * PAGE };
	to = (struct iovec) { a.mem, 16 * PAGE };
	memset(from.iov_base, 0x5a, from.iov_len);
	fflush(NULL);
	writer = must(fork());
	if (!writer)
		_exit(process_vm_writev(t.pid, &from, 1, &to, 1, 0) != (ssize_t)from.iov_len);
	ASSERT_TRUE(wait_until(task_state(writer, writer) == 'D'));
	/* He holds nothing yet; this covers what he has asked for, and makes it writable. */
	generation_of(t.pid, 0, 1, CKPT_FULL_ASKED);
	target_next(&t);
	ASSERT_EQ(0, child_status(writer));
	fd = snap_tracked(t.pid, 1, CKPT_FULL_NO);
	EXPECT_EQ(15, pages_of_kind(fd, a.mem + PAGE, 15 * PAGE, CKPT_RUN_DATA));
	EXPECT_TRUE(holds(fd, a.mem + PAGE, from.iov_base, 15 * PAGE));
	close(fd);
	target_kill(&t);
	munmap(from.iov_base, HUGE);
	munmap(a.mem, HUGE);
}

/* ---- what is not in every generation ---- */

static void sometimes_watched(struct target *me, void *arg)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (unsigned long)arg, SOME }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = must(syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK));

	fill(arg, SOME, 1);
	must(ioctl(fd, UFFDIO_API, &api));
	target_step(me);
	must(ioctl(fd, UFFDIO_REGISTER, &reg));
	target_step(me);
	must(ioctl(fd, UFFDIO_UNREGISTER, &reg.range));
	target_step(me);
}

TEST_F(tracked, page_that_the_parent_does_not_have_is_in_the_delta)
{
	char *mem = aligned_memory(HUGE);
	struct target t;
	int fd;

	advise_huge(mem, HUGE, MADV_NOHUGEPAGE);
	target_begin(&t, sometimes_watched, mem);
	generation_of(t.pid, 0, 1, CKPT_FULL_ASKED);
	target_next(&t);
	generation_of(t.pid, 1, 2, CKPT_FULL_NO);
	target_next(&t);
	fd = snap_tracked(t.pid, 2, CKPT_FULL_NO);
	EXPECT_TRUE(holds_pattern(fd, mem, SOME, 1));
	close(fd);
	target_kill(&t);
	munmap(mem, HUGE);
}

/* ---- what reclaim knows of a page ---- */

struct shared_page {
	char *mem;
	char group[64];
	bool kept;
};

static void parent_of_a_waster(struct target *me, void *arg)
{
	struct shared_page *s = arg;
	pid_t pid;

	if (!set_file(s->group, "0"))
		_exit(1);
	fill(s->mem, SOME, 1);
	target_step(me);
	pid = must(fork());
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		madvise(s->mem, SOME, MADV_FREE);
		for (;;)
			pause();
	}
	target_step(me);
	s->kept = is_filled(s->mem, SOME, 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	target_step(me);
}

TEST_F(tracked, page_that_a_child_frees_lazily_is_the_parents_still)
{
	struct shared_page *s = shared_memory(sizeof(*s));
	char dir[48], path[96];
	struct target t;
	int i;

	snprintf(dir, sizeof(dir), "/sys/fs/cgroup/ckpt-delta-%d", getpid());
	if (mkdir(dir, 0700))
		SKIP(return, "no cgroup v2: %s", strerror(errno));
	set_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	snprintf(path, sizeof(path), "%s/memory.reclaim", dir);
	if (access(path, W_OK)) {
		rmdir(dir);
		SKIP(return, "no memory.reclaim");
	}
	snprintf(s->group, sizeof(s->group), "%s/cgroup.procs", dir);
	s->mem = aligned_memory(HUGE);
	advise_huge(s->mem, HUGE, MADV_NOHUGEPAGE);
	ASSERT_TRUE(swap_on());
	target_begin(&t, parent_of_a_waster, s);
	generation_of(t.pid, 0, 1, CKPT_FULL_ASKED);
	target_next(&t);
	/* It may well not get as much as it is asked for. */
	for (i = 0; i < 20; i++)
		set_file(path, "4M");
	target_next(&t);
	EXPECT_TRUE(s->kept);
	target_kill(&t);
	swap_off();
	EXPECT_TRUE(wait_until(!rmdir(dir)));
	munmap(s->mem, HUGE);
}

TEST_F(tracked, tracker_goes_with_its_last_user)
{
	struct ckpt_untrack u = { .size = sizeof(u), .pid = self->target.pid };
	int dev = ckpt_open(), fd, session;

	EXPECT_EQ(-ENOENT, call(dev, CKPT_UNTRACK, &u));
	fd = snap_tracked(self->target.pid, 0, CKPT_FULL_ASKED);
	EXPECT_EQ(0, commit(fd, 1, 0));
	EXPECT_EQ(1, counter("tracks"));
	close(fd);
	EXPECT_TRUE(wait_until(!counter("tracks")));
	/* A session's, and the pin's. */
	session = attach_flags(self->target.pid, CKPT_ATTACH_TRACK);
	must(freeze(session));
	must(thaw(session));
	generation_of(self->target.pid, 1, 2, CKPT_FULL_UNTRACKED);
	EXPECT_EQ(0, call(dev, CKPT_UNTRACK, &u));
	EXPECT_EQ(-ENOENT, call(dev, CKPT_UNTRACK, &u));
	generation_of(self->target.pid, 2, 3, CKPT_FULL_NO);
	close(session);
	EXPECT_EQ(1, counter("tracks"));
	EXPECT_EQ(0, call(dev, CKPT_UNTRACK, &u));
	EXPECT_TRUE(wait_until(!counter("tracks")));
	/* Its target's end ends it too: see the teardown. */
	generation_of(self->target.pid, 0, 4, CKPT_FULL_ASKED);
	close(dev);
}

TEST_F(tracked, account_takes_less_than_a_two_thousandth_of_the_memory)
{
	size_t len = 512ul << 20;
	char *mem = aligned_memory(len);
	long covers, leaves;
	struct target t;
	size_t at;
	int fd;

	advise_huge(mem, len, MADV_NOHUGEPAGE);
	for (at = 0; at < len; at += 16 * PAGE)
		mem[at] = 1;
	target_begin(&t, touching_program, self->t);
	fd = snap_tracked(t.pid, 0, CKPT_FULL_ASKED);
	covers = counter("covers");
	leaves = counter("leaves");
	must(commit(fd, 1, CKPT_COMMIT_PIN));
	close(fd);
	/* One for each 2 MiB in use, of less than 128 bytes; an array of 64 of them is one of 576. */
	EXPECT_GE(leaves, covers);
	EXPECT_LT(covers * 128 + (covers / 64 + 8) * 576, (long)(covers * HUGE / 2000));
	EXPECT_LE((long)(len / HUGE), covers);
	target_kill(&t);
	munmap(mem, len);
}

TEST_HARNESS_MAIN
