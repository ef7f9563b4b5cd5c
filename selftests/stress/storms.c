// SPDX-License-Identifier: GPL-2.0-only
/*
 * Storms: everything that goes on in a machine, as much of it as there can be, while snapshots are
 * taken of a program that checks itself (witness.h). A storm blows for CKPT_STRESS seconds, and on
 * until it has happened and snapshots were taken; one that never does has failed.
 *
 * The test, each snapshotter, and each storm from outside (outside.h) are processes; storms from
 * inside (inside.h) are threads of the program. They meet in struct view.
 *
 * A VM of its own, with two memory nodes for pages to move between.
 *
 * ckpt-run: timeout=900 stress=17 append=numa=fake=2
 */
#include <kselftest_harness.h>

#include "outside.h"

#define HELPERS	(NR_STORMS + 3)

struct storm {
	const char *events;			/* what is counted */
	void (*inside)(struct view *v);
	void (*outside)(struct view *v);
	const char *(*begin)(struct view *v);	/* makes it possible, or says what lacks */
	void (*end)(struct view *v);
	bool interrupts, cancels;		/* it does so to any program, with snapshots or without */
	const char *figures[3];			/* of /proc/vmstat, to be told */
};

static const struct storm storms[NR_STORMS];

/* ---- what storms need of the machine ---- */

static char old_setting[8][64];

static bool save_and_set(unsigned int nr, const char *path, const char *text)
{
	return get_file_text(path, old_setting[nr], sizeof(old_setting[nr])) > 0 &&
	       set_file(path, text);
}

#define THP		"/sys/kernel/mm/transparent_hugepage/khugepaged/"

static const char *need_huge_pages(struct view *v)
{
	if (!has_huge_pages())
		return "this kernel has no transparent huge pages";
	if (!save_and_set(0, THP "scan_sleep_millisecs", "1") ||
	    !save_and_set(1, THP "alloc_sleep_millisecs", "1") ||
	    !save_and_set(2, THP "pages_to_scan", "65536"))
		return "khugepaged cannot be turned up";
	return NULL;
}

static void huge_pages_over(struct view *v)
{
	set_file(THP "scan_sleep_millisecs", old_setting[0]);
	set_file(THP "alloc_sleep_millisecs", old_setting[1]);
	set_file(THP "pages_to_scan", old_setting[2]);
}

static const char *need_merging(struct view *v)
{
	return ksm_on() ? NULL : "this kernel has no KSM";
}

static void merging_over(struct view *v)
{
	ksm_off();
}

static const char *need_compaction(struct view *v)
{
	return access("/proc/sys/vm/compact_memory", W_OK) ? "this kernel has no compaction" : NULL;
}

static const char *need_nodes(struct view *v)
{
	return access("/sys/devices/system/node/node1", F_OK) ? "this machine has one memory node" : NULL;
}

static const char *need_processor(struct view *v)
{
	return access(PROCESSOR, W_OK) ? "this machine has one processor, or cannot unplug it" : NULL;
}

static void processors_over(struct view *v)
{
	wait_until(set_file(PROCESSOR, "1"));
}

static const char *need_group(struct view *v)
{
	if (v->group[0])
		return NULL;
	snprintf(v->group, sizeof(v->group), "/sys/fs/cgroup/ckpt-stress-%d", getpid());
	if (!mkdir(v->group, 0700))
		return NULL;
	v->group[0] = 0;
	return "no cgroup v2";
}

static const char *need_limit(struct view *v)
{
	const char *lack;

	set_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	lack = need_group(v);
	if (!lack && !group_set(v, "memory.max", "max"))
		lack = "no memory controller";
	return lack;
}

static const char *need_swap(struct view *v)
{
	const char *lack = need_limit(v);

	if (!lack && !swap_on())
		lack = "no zram to swap to";
	return lack;
}

static void swap_over(struct view *v)
{
	swap_off();
}

static const struct storm storms[NR_STORMS] = {
	[BIRTHS] = {
		.events = "forks, execs and four threads each", .inside = births,
	},
	[MAPS] = {
		.events = "mappings made, changed and taken away", .inside = maps,
	},
	[HUGE_PAGES] = {
		.events = "huge pages split and collapsed", .inside = huge_pages,
		.outside = huge_pages_split, .begin = need_huge_pages, .end = huge_pages_over,
		.figures = { "thp_split_page", "thp_split_pmd", "thp_collapse_alloc" },
	},
	[MERGING] = {
		.events = "pages merged and parted", .inside = merging, .begin = need_merging,
		.end = merging_over, .figures = { "cow_ksm" },
	},
	[COMPACTION] = {
		.events = "pages migrated by compaction", .outside = compaction,
		.begin = need_compaction, .figures = { "compact_migrate_scanned" },
	},
	[MOVES] = {
		.events = "pages moved to another node", .inside = moves, .begin = need_nodes,
		.figures = { "pgmigrate_success", "pgmigrate_fail" },
	},
	[SWAPPING] = {
		.events = "pages swapped out", .inside = swapping, .begin = need_swap,
		.end = swap_over, .cancels = true, .figures = { "pswpin" },
	},
	[PROCESSORS] = {
		.events = "processors unplugged and plugged", .outside = processors,
		.begin = need_processor, .end = processors_over,
	},
	[GROUP_FREEZE] = {
		.events = "freezes and thaws of the cgroup", .outside = group_freeze,
		.begin = need_group, .interrupts = true,
	},
	[STOPS] = {
		.events = "SIGSTOPs and SIGCONTs", .outside = stops, .interrupts = true,
	},
	[TRACER] = {
		.events = "threads halted by a tracer", .outside = tracer, .interrupts = true,
	},
	[UNLOADING] = {
		.events = "times the module was unloaded and loaded", .outside = unloading,
	},
	[KILLED] = {
		.events = "snapshotters killed", .outside = killed,
	},
	[DEATHS] = {
		.events = "programs that ended in the freeze or about it", .outside = deaths,
	},
	[PRESSURE] = {
		.events = "snapshots given up under memory pressure", .begin = need_limit,
		.cancels = true,
	},
};

/* ---- the test ---- */

FIXTURE(storm) {
	struct view *v;
	struct target target;
	pid_t helpers[HELPERS];
	unsigned int nr;
};

FIXTURE_VARIANT(storm) {
	unsigned int storms;
};

#define BIT(nr)		(1U << (nr))
#define ONE(name, nr)	FIXTURE_VARIANT_ADD(storm, name) { .storms = BIT(nr) }

ONE(births, BIRTHS);
ONE(mappings, MAPS);
ONE(huge_pages, HUGE_PAGES);
ONE(merging, MERGING);
ONE(compaction, COMPACTION);
ONE(moves, MOVES);
ONE(swapping, SWAPPING);
ONE(processors, PROCESSORS);
ONE(group_freeze, GROUP_FREEZE);
ONE(stops, STOPS);
ONE(tracer, TRACER);
ONE(unloading, UNLOADING);
ONE(killed, KILLED);
ONE(deaths, DEATHS);
ONE(pressure, PRESSURE);
/* Those that do not change what the program may see. */
FIXTURE_VARIANT_ADD(storm, quiet_ones_at_once) {
	.storms = BIT(BIRTHS) | BIT(MAPS) | BIT(HUGE_PAGES) | BIT(MERGING) | BIT(COMPACTION) |
		  BIT(MOVES) | BIT(PROCESSORS) | BIT(KILLED),
};
FIXTURE_VARIANT_ADD(storm, all_at_once) {
	.storms = BIT(NR_STORMS) - 1 - BIT(PRESSURE),
};

static void *inside(void *arg)
{
	storms[(long)arg].inside(mine);
	return NULL;
}

static pthread_t inner[NR_STORMS];

static void begin_inner(struct view *v)
{
	long i;

	for (i = 0; i < NR_STORMS; i++)
		if (blows(v, i) && storms[i].inside)
			begin(&inner[i], inside, i);
}

static void program(struct target *me, void *arg)
{
	struct view *v = arg;
	int i;

	/*
	 * A huge page that is written in parts takes its own size once more until all of it has been,
	 * and the fault that finds no room for a part keeps it from being split. So it is after fork(),
	 * too, and more than the room that is left here.
	 */
	if (blows(v, PRESSURE))
		must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	witness(me, v, begin_inner);
	for (i = 0; i < NR_STORMS; i++)
		if (inner[i])
			pthread_join(inner[i], NULL);
}

static void help(FIXTURE_DATA(storm) *self, void (*outside)(struct view *v),
		 void (*take)(struct view *v, unsigned int seed))
{
	pid_t tester = getpid();
	struct view *v = self->v;
	unsigned int nr = self->nr++;

	fflush(NULL);
	self->helpers[nr] = must(fork());
	if (self->helpers[nr])
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != tester)
		_exit(1);
	if (outside)
		outside(v);
	else
		take_all_the_time(v, take, v->seed + nr);
	_exit(0);
}

/* A storm that this machine cannot make is left out, and named; true when one is left. */
static bool begin_storms(struct view *v, const char **ret_lack)
{
	int i;

	for (i = 0; i < NR_STORMS; i++) {
		const char *lack = blows(v, i) && storms[i].begin ? storms[i].begin(v) : NULL;

		if (!blows(v, i))
			continue;
		v->interrupts |= storms[i].interrupts;
		v->cancels |= storms[i].cancels;
		if (!lack)
			continue;
		fprintf(stderr, "# %s: %s\n", storms[i].events, lack);
		*ret_lack = lack;
		v->storms &= ~BIT(i);
	}
	return v->storms;
}

/* A little more than it needs without snapshots, or, with swap, more than it holds at a time. */
static bool limit(struct view *v)
{
	long room = blows(v, PRESSURE) ? 1L << 20 : 16L << 20;
	char path[128], text[32];

	snprintf(path, sizeof(path), "%s/memory.current", v->group);
	if (get_file_text(path, text, sizeof(text)) < 0)
		return false;
	snprintf(text, sizeof(text), "%ld", atol(text) + room);
	return group_set(v, "memory.max", text);
}

FIXTURE_SETUP(storm)
{
	const char *lack = NULL;
	struct view *v = shared_memory(sizeof(*v));
	int i;

	/* Then each gets so little that seconds show nothing. */
	if (__builtin_popcountl(variant->storms) >= NR_STORMS - 1 && !getenv("CKPT_STRESS"))
		SKIP(_exit(255), "all storms at once take minutes: make stress");
	self->v = v;
	v->storms = variant->storms;
	v->seed = atoi(getenv("CKPT_SEED") ?: "1");
	if (!begin_storms(v, &lack))
		SKIP(_exit(255), "%s", lack);
	fprintf(stderr, "# CKPT_SEED=%d\n", v->seed);
	target_begin(&self->target, program, v);
	ASSERT_TRUE(wait_until(all_got_on(v, (uint64_t[THREADS]) {}) || v->told_why));
	ASSERT_STREQ("", v->why);
	if (blows(v, PRESSURE) || blows(v, SWAPPING))
		ASSERT_TRUE(limit(v));
	for (i = 0; i < NR_STORMS; i++)
		if (blows(v, i) && storms[i].outside)
			help(self, storms[i].outside, NULL);
	help(self, NULL, take_at_once);
	help(self, NULL, take_at_once);
	help(self, NULL, take_by_session);
}

FIXTURE_TEARDOWN(storm)
{
	int i;

	self->v->stop = true;
	if (self->target.pid)
		target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
	for (i = 0; i < NR_STORMS; i++)
		if (blows(self->v, i) && storms[i].end)
			storms[i].end(self->v);
	if (self->v->group[0])
		EXPECT_TRUE(wait_until(!rmdir(self->v->group)));
}

static uint64_t events(const struct view *v, int storm)
{
	return storm == PRESSURE ? v->canceled : v->events[storm];
}

static bool all_happened(const struct view *v)
{
	int i;

	for (i = 0; i < NR_STORMS; i++)
		if (blows(v, i) && !events(v, i))
			return false;
	return v->taken >= 3;
}

static void tell(const struct view *v, const long *before)
{
	int i, j;

	fprintf(stderr, "# %lu snapshots taken, %lu refused as busy, %lu as unsteady, %lu given up\n",
		v->taken, v->busy, v->unsteady, v->canceled);
	if (v->interrupted)
		fprintf(stderr, "# %lu calls interrupted\n", v->interrupted);
	if (v->refused)
		fprintf(stderr, "# %lu attempts to unload refused\n", v->refused);
	for (i = 0; i < NR_STORMS; i++) {
		if (!blows(v, i))
			continue;
		fprintf(stderr, "# %lu %s", events(v, i), storms[i].events);
		for (j = 0; j < 3 && storms[i].figures[j]; j++)
			fprintf(stderr, ", %s %ld", storms[i].figures[j],
				vmstat(storms[i].figures[j]) - before[3 * i + j]);
		fprintf(stderr, "\n");
	}
}

static void measure(long *figures)
{
	int i, j;

	for (i = 0; i < NR_STORMS; i++)
		for (j = 0; j < 3 && storms[i].figures[j]; j++)
			figures[3 * i + j] = vmstat(storms[i].figures[j]);
}

/* Something is wrong, and was told. The program itself may have been killed. */
static bool has_failed(FIXTURE_DATA(storm) *self)
{
	struct view *v = self->v;
	siginfo_t info = {};

	if (!v->told_why && !waitid(P_PID, self->target.pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	    info.si_pid && !v->told_why) {
		v->told_why = 1;
		snprintf(v->why, sizeof(v->why), "the program has ended: %s %d",
			 info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
	}
	return v->told_why;
}

/* Its end, in order: a group stop that nobody else will end is ended here. */
static int program_ends(FIXTURE_DATA(storm) *self)
{
	pid_t pid = self->target.pid;
	int status;

	self->target.pid = 0;
	target_go(&self->target);
	if (!wait_until(kill(pid, SIGCONT) || must(waitpid(pid, &status, WNOHANG)) == pid))
		give_up("the program does not end");
	close(self->target.in);
	close(self->target.out);
	return status;
}

/* The rig's deadline guards this: it cannot be known here how long CKPT_STRESS is. */
TEST_F_TIMEOUT(storm, neither_program_nor_snapshot_has_a_wrong_byte, 1000000)
{
	uint64_t end = clock_ns() + atoi(getenv("CKPT_STRESS") ?: "1") * 1000000000ull;
	struct view *v = self->v;
	uint64_t since[THREADS];
	long before[3 * NR_STORMS] = {};
	unsigned int i;

	measure(before);
	while (clock_ns() < end && !has_failed(self))
		usleep(10000);
	/* Many at once leave little time to each. */
	for (i = 0; i < 4; i++)
		if (wait_until(all_happened(v) || has_failed(self)))
			break;
	EXPECT_TRUE(all_happened(v))
		fprintf(stderr, "# not everything has happened\n");
	v->stop = true;
	for (i = 0; i < self->nr; i++) {
		/* Once one has failed the others may wait for what does not come. */
		if (has_failed(self))
			kill(self->helpers[i], SIGKILL);
		EXPECT_TRUE(!child_status(self->helpers[i]) || has_failed(self));
	}
	tell(v, before);
	ASSERT_STREQ("", v->why);
	kill(self->target.pid, SIGCONT);
	memcpy(since, (void *)v->done, sizeof(since));
	EXPECT_TRUE(wait_until(all_got_on(v, since) || has_failed(self)));
	ASSERT_STREQ("", v->why);
	EXPECT_EQ(0, program_ends(self));
}

TEST_HARNESS_MAIN
