// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whenever who shares, removes or sweeps dies, or whatever call of his fails: each generation that is
 * there has all it shares, one that was reported is there, and the next gc removes exactly the garbage.
 *
 * What is swept: three jobs, of which the second shares with the first and the third with both, written
 * and removed in an order that leaves content without its job.
 */
#include "faults.h"

#include "dedups.h"

#define PAGES	40

static const struct rank ranks[] = {
	{ "a", 0, PAGES, 0, 0 },
	{ "b", 0, PAGES, 4, 1000 },
	{ "c", 0, PAGES, 4, 1000 },
	{ "d", 0, PAGES, 5, 2000 },
};

/* Which have been reported to be there, and to be gone; shared with the process that dies. */
static struct progress {
	bool	put[4], removed[4];
} *progress;

static int put_one(struct store *s, int i, struct ckpt_err *err)
{
	int ret = try_put_rank(s, &ranks[i], NULL, err, NULL);

	progress->put[i] = !ret;
	return ret;
}

static int remove_one(struct store *s, int i, struct ckpt_err *err)
{
	struct store_removed removed = { 0 };
	int ret;

	progress->put[i] = false;	/* from now on it may be gone */
	ret = store_remove(s, ranks[i].job, 0, err, NULL);
	progress->removed[i] = !ret;
	return ret ? ret : store_sweep(s, err, &removed);
}

static int clean(struct store *s, struct ckpt_err *err)
{
	struct store_removed removed = { 0 };
	int ret = store_gc(s, NULL, 0, err, NULL);

	return ret ? ret : store_sweep(s, err, &removed);
}

static int operation(struct ckpt_err *err)
{
	struct store *s;
	int ret = store_open("s", true, err, &s);

	if (ret)
		return ret;
	ret = put_one(s, 0, err);
	if (!ret)
		ret = put_one(s, 1, err);
	if (!ret)
		ret = remove_one(s, 0, err);
	if (!ret)
		ret = put_one(s, 2, err);
	if (!ret)
		ret = remove_one(s, 1, err);
	if (!ret)
		ret = put_one(s, 3, err);
	if (!ret)
		ret = remove_one(s, 2, err);
	if (!ret)
		ret = clean(s, err);
	store_close(s);
	return ret;
}

static bool is_there(struct store *s, const char *job)
{
	return list(s, job)->count;
}

static void check_store(struct store *s)
{
	for (int i = 0; i < 4; i++) {
		bool there = is_there(s, ranks[i].job);

		REQUIRE(there || !progress->put[i]);
		REQUIRE(!there || !progress->removed[i]);
		if (there)
			check_rank(s, &ranks[i], ranks[i].job);
	}
}

/* Also with the index lost, sharing goes on. */
static void check_use(struct store *s)
{
	struct rank late = { "late", 0, PAGES, 4, 1000 };

	put_rank(s, &late);
	check_rank(s, &late, "late");
	REQUIRE(!unlink("s/.dedup"));
	late.job = "later";
	REQUIRE_EQ(put_rank(s, &late).data_pages, 0);
	check_rank(s, &late, "later");
}

static void check_recovery(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s = open_store();

	check_store(s);
	REQUIRE_OK(clean(s, &err), err);
	check_store(s);
	check_no_garbage(s);
	for (int i = 0; i < 4; i++) {
		char dir[16];

		snprintf(dir, sizeof(dir), "s/%s", ranks[i].job);
		REQUIRE_EQ(count_entries(dir, ".tmp"), is_there(s, ranks[i].job) ? 0 : -1);
	}
	check_use(s);
	REQUIRE_OK(clean(s, &err), err);
	check_no_garbage(s);
	store_close(s);
}

static void begin(void)
{
	map_fault();
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	REQUIRE(progress != MAP_FAILED);
	enter_scratch();
}

/* In smaller runs every few calls, beginning anywhere. */
static unsigned int step(void)
{
	return getenv("CKPT_FULL") ? 1 : TAP_SANITIZED ? 23 : 11;
}

static void sweep(enum mode mode, int error)
{
	unsigned int at = 1 + rnd_below(step()), tried = 0, failed = 0;

	for (;; at += step(), tried++) {
		int status;

		remove_tree("s");
		memset(progress, 0, sizeof(*progress));
		status = run_with_fault(operation, mode, error, at);
		if (fault->calls < at)
			break;
		if (mode == FAIL)
			REQUIRE(WIFEXITED(status) && (!WEXITSTATUS(status) || WEXITSTATUS(status) == 3));
		else
			REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		failed += !WIFEXITED(status) || WEXITSTATUS(status);
		check_recovery();
	}
	printf("# %u calls, %u of them hit, %u operations came to nothing\n", fault->calls, tried, failed);
	REQUIRE(tried > 5 && failed);	/* nearly half of them can be done without */
}

static void it_may_die_before_any_call(void)
{
	begin();
	sweep(KILL_BEFORE, 0);
}

static void it_may_die_after_any_call(void)
{
	begin();
	sweep(KILL_AFTER, 0);
}

static void any_call_may_fail(void)
{
	begin();
	sweep(FAIL, EIO);
}

static void any_call_may_find_no_space(void)
{
	begin();
	sweep(FAIL, ENOSPC);
}

static const struct tap_test tests[] = {
	{ "it_may_die_before_any_call", it_may_die_before_any_call },
	{ "it_may_die_after_any_call", it_may_die_after_any_call },
	{ "any_call_may_fail", any_call_may_fail },
	{ "any_call_may_find_no_space", any_call_may_find_no_space },
};

TAP_MAIN(tests)
