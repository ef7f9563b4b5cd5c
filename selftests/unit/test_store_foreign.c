// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores that others had their hands in: an image is run with the rights of who restores it, so
 * what somebody else could have put there is read, listed and removed, but neither restored nor
 * added to.
 */
#include "stores.h"

#define SOMEBODY	4711

/* What an owner or mode makes of restore; everything else goes on. */
static void restore_is_refused(struct store *s, const char *ref, const char *words)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_ref r;
	int fd;

	REQUIRE_EQ(store_resolve_to_run(s, ref, &err, &fd, &r), -EPERM);
	if (!strstr(err.text, words))
		printf("# %s\n", err.text);
	REQUIRE(strstr(err.text, words));
	ckpt_err_clear(&err);
	REQUIRE_OK(store_resolve(s, ref, &err, &fd, &r), err);
	close(fd);
}

static void restore_is_allowed(struct store *s, const char *ref)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_ref r;
	int fd;

	REQUIRE_OK(store_resolve_to_run(s, ref, &err, &fd, &r), err);
	close(fd);
}

static void snap_is_refused(struct store *s, const char *words)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_writer *w;
	int before = count_entries("s/job", "");

	REQUIRE_EQ(store_writer_open(s, "job", &err, &w), -EPERM);
	REQUIRE(strstr(err.text, words));
	REQUIRE(count_entries("s/job", "") <= before);	/* an empty directory goes */
}

static struct store *store_with_an_image(void)
{
	struct store *s;

	enter_scratch();
	s = open_store();
	put(s, "job", NULL, NULL);
	restore_is_allowed(s, "job");
	restore_is_allowed(NULL, "./s/job/gen-00000001.ckpt");
	return s;
}

static void an_image_others_may_write_to_is_not_restored(void)
{
	static const mode_t bad[] = { 0620, 0602, 0666 };
	struct store *s = store_with_an_image();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		REQUIRE(!chmod("s/job/gen-00000001.ckpt", bad[i]));
		restore_is_refused(s, "job", "gen-00000001.ckpt: others may write to it");
		restore_is_refused(s, "job@1", "others may write to it");
		restore_is_refused(NULL, "./s/job/gen-00000001.ckpt", "others may write to it");
	}
	REQUIRE(!chmod("s/job/gen-00000001.ckpt", 0644));	/* to read is another matter */
	restore_is_allowed(s, "job");
	store_close(s);
}

static void a_store_others_may_write_to_is_neither_restored_from_nor_added_to(void)
{
	static const char *const where[] = { "s", "s/job" };
	struct store *s = store_with_an_image();

	for (size_t i = 0; i < 2; i++) {
		REQUIRE(!chmod(where[i], 0770));
		restore_is_refused(s, "job", "others may write to it (mode 770)");
		snap_is_refused(s, "others may write to it (mode 770)");
		REQUIRE(!chmod(where[i], 01777));	/* they can add, but not rename ours */
		restore_is_allowed(s, "job");
		REQUIRE(!chmod(where[i], 0755));
		restore_is_allowed(s, "job");
	}
	store_close(s);
}

static void what_belongs_to_others_is_neither_restored_nor_added_to(void)
{
	static const char *const where[] = { "s", "s/job", "s/job/gen-00000001.ckpt" };
	struct store *s;

	if (geteuid())
		SKIP("only root can give files away");
	s = store_with_an_image();
	for (size_t i = 0; i < 3; i++) {
		REQUIRE(!chown(where[i], SOMEBODY, 0));
		restore_is_refused(s, "job", "belongs to user 4711");
		if (i < 2)
			snap_is_refused(s, "belongs to user 4711");
		REQUIRE(!chown(where[i], 0, 0));
		restore_is_allowed(s, "job");
	}
	REQUIRE(!chown("s/job/gen-00000001.ckpt", SOMEBODY, 0));
	restore_is_refused(NULL, "./s/job/gen-00000001.ckpt", "belongs to user 4711");
	store_close(s);
}

/* A directory for a job that has none yet, made by who can write there: of a sticky one, anybody. */
static void a_job_planted_by_others_is_not_added_to(void)
{
	struct store *s;

	if (geteuid())
		SKIP("only root can give files away");
	enter_scratch();
	s = open_store();
	REQUIRE(!chmod("s", 01777) && !mkdir("s/job", 0700) && !chown("s/job", SOMEBODY, SOMEBODY));
	snap_is_refused(s, "s/job: belongs to user 4711");
	store_close(s);
}

/* Root's images are for others to restore, if they can read them. */
static void what_belongs_to_root_is_restored_by_others(void)
{
	struct store *s;

	if (geteuid())
		SKIP("only root can become somebody else");
	s = store_with_an_image();
	REQUIRE(!chmod(scratch, 0755) && !chmod("s", 0755) && !chmod("s/job", 0755) &&
		!chmod("s/job/gen-00000001.ckpt", 0644));
	REQUIRE(!seteuid(SOMEBODY));
	restore_is_allowed(s, "job");
	REQUIRE(!seteuid(0));
	store_close(s);
}

static const struct tap_test tests[] = {
	{ "an_image_others_may_write_to_is_not_restored",
	  an_image_others_may_write_to_is_not_restored },
	{ "a_store_others_may_write_to_is_neither_restored_from_nor_added_to",
	  a_store_others_may_write_to_is_neither_restored_from_nor_added_to },
	{ "what_belongs_to_others_is_neither_restored_nor_added_to",
	  what_belongs_to_others_is_neither_restored_nor_added_to },
	{ "a_job_planted_by_others_is_not_added_to", a_job_planted_by_others_is_not_added_to },
	{ "what_belongs_to_root_is_restored_by_others", what_belongs_to_root_is_restored_by_others },
};

TAP_MAIN(tests)
