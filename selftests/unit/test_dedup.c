// SPDX-License-Identifier: GPL-2.0-only
/* Pages that are in a store already are found there, and stay as long as somebody needs them. */
#include <sys/file.h>
#include <sys/resource.h>

#include "compact.h"
#include "dedup-index.h"
#include "dedups.h"
#include "sealed.h"
#include "store-priv.h"
#include "tar.h"

#define PAGES	600		/* of a small one: three frames */

static const struct rank zero = { "zero", 0, PAGES, 0, 0 };
static const struct rank one = { "one", 0, PAGES, 10, 1000000 };

static void what_another_has_is_not_written_again(void)
{
	struct image_pages_stats stats;
	struct store *s;

	enter_scratch();
	s = open_store();
	stats = put_rank(s, &zero);
	REQUIRE_EQ(stats.data_pages, PAGES);
	REQUIRE_EQ(stats.shared_pages, 0);
	stats = put_rank(s, &one);
	REQUIRE_EQ(stats.data_pages, PAGES / 10);
	REQUIRE_EQ(stats.shared_pages, PAGES - PAGES / 10);
	check_rank(s, &zero, "zero");
	check_rank(s, &one, "one");
	check_no_garbage(s);
	store_close(s);
}

static uint64_t blocks;

static int add_blocks(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static ino_t seen[4096];
	static size_t n;

	(void)path;
	(void)ftw;
	for (size_t i = 0; type == FTW_F && i < n; i++)
		if (seen[i] == st->st_ino)
			return 0;
	REQUIRE(n < 4096);
	seen[n++] = st->st_ino;
	blocks += type == FTW_F ? st->st_blocks * 512 : 0;
	return 0;
}

/* Index and all counted, as blocks of the disk. */
static void sixty_four_alike_take_little_more_than_one(void)
{
	const size_t pages = 8192;
	uint64_t one_size = pages * PAGE, differs = 0;
	struct store *s;
	char job[64][16];

	enter_scratch();
	s = open_store();
	for (int i = 0; i < 64; i++) {
		struct rank r = { job[i], 0, pages, 512, 1000000ull * (i + 1) };
		struct image_pages_stats stats;

		snprintf(job[i], sizeof(job[i]), "r%d", i);
		stats = put_rank(s, &r);
		/* one that has lost its place in the index is written again */
		REQUIRE(!i || stats.data_pages <= pages / 512 + pages / 200);
		differs += i ? pages / 512 * PAGE : 0;
		if (i % 31 == 0)
			check_rank(s, &r, job[i]);
	}
	nftw("s", add_blocks, 16, FTW_PHYS);
	printf("# 64 of %zu KiB, %zu KiB differ: %zu KiB on the disk, %.3f of one and what differs\n",
	       (size_t)one_size / 1024, (size_t)differs / 1024, (size_t)blocks / 1024,
	       (double)blocks / (one_size + differs));
	REQUIRE(blocks <= one_size * 11 / 10 + differs);
	store_close(s);
}

static void what_is_shared_stays_when_its_job_is_removed(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct rank two = { "two", 0, PAGES, 0, 0 };
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	REQUIRE_OK(try_rm(s, "zero", &err, &removed), err);
	check_rank(s, &one, "one");
	check_no_garbage(s);
	/* and others find it there */
	REQUIRE_EQ(put_rank(s, &two).data_pages, 0);
	check_rank(s, &two, "two");
	REQUIRE_OK(try_rm(s, "one", &err, &removed), err);
	check_rank(s, &two, "two");
	check_no_garbage(s);
	REQUIRE_OK(try_rm(s, "two", &err, &removed), err);
	REQUIRE(removed.bytes > PAGES * PAGE);
	REQUIRE_EQ(count_entries("s/.shared", ""), -1);
	store_close(s);
}

static void overwrite_some(const char *path)
{
	int fd = open(path, O_RDWR);
	struct stat st;

	REQUIRE(fd >= 0 && !fstat(fd, &st));
	for (int i = 0; i < 20000; i++) {
		uint8_t byte = rnd();
		off_t at = (rnd() & 1) ? rnd_below(16384) : rnd_below(st.st_size);

		REQUIRE(pwrite(fd, &byte, 1, at) == 1);
	}
	close(fd);
}

/* Whatever the index says, what is restored is what was there. */
static void a_lying_index_costs_room_alone(void)
{
	struct rank r = { "r", 0, PAGES, 7, 5000000 };
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	for (int i = 0; i < 20; i++) {
		overwrite_some("s/.dedup");
		if (i % 5 == 4)
			REQUIRE(!truncate("s/.dedup", rnd_below(9 << 20)));
		r.own = 5000000 + i;
		put_rank(s, &r);
		check_rank(s, &r, "r");
	}
	check_no_garbage(s);
	store_close(s);
}

/* A hint for a page of another content, as if both had one digest. */
static void a_page_of_the_same_digest_is_not_the_same_page(void)
{
	struct rank r = { "r", 7000000, 1, 0, 0 };
	struct dedup_hint hint = { .image = 1, .section = 0, .frame = 0, .page = 3 };
	unsigned char page[PAGE];
	struct dedup_index *x;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	rank_page(&r, 0, page);
	image_page_digest(page, PAGE, IMAGE_SEED_SHARED, hint.digest);
	REQUIRE(!dedup_index_open(s, PAGE, 0, &x));
	dedup_index_add(x, &hint);
	dedup_index_close(x);
	REQUIRE_EQ(put_rank(s, &r).shared_pages, 0);
	check_rank(s, &r, "r");
	store_close(s);
}

static void an_index_that_is_gone_is_made_anew(void)
{
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	REQUIRE(!unlink("s/.dedup"));
	REQUIRE_EQ(put_rank(s, &one).shared_pages, PAGES - PAGES / 10);
	REQUIRE(!unlink("s/.dedup") && !symlink("/etc/passwd", "s/.dedup"));
	REQUIRE_EQ(put_rank(s, &one).shared_pages, PAGES);
	check_rank(s, &one, "one");
	store_close(s);
}

/* More pages than a new index has room for. */
static void an_index_grows(void)
{
	struct rank big = { "big", 0, 70000, 0, 0 }, again = { "again", 0, 70000, 0, 0 };
	struct image_pages_stats stats;
	struct stat before, after;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	REQUIRE(!stat("s/.dedup", &before));
	put_rank(s, &big);
	REQUIRE(!stat("s/.dedup", &after) && after.st_size > before.st_size);
	stats = put_rank(s, &again);
	printf("# %zu of %zu pages found again\n", (size_t)stats.shared_pages, again.pages);
	REQUIRE(stats.shared_pages > again.pages * 98 / 100);
	check_rank(s, &again, "again");
	store_close(s);
}

static void a_missing_or_damaged_source_is_named(void)
{
	struct ckpt_err err = CKPT_ERR_INIT, why = CKPT_ERR_INIT;
	struct image_damage first = { 0 };
	unsigned char noise[1] = { 0 };
	struct chain *c;
	struct store *s;
	int fd;

	(void)first;
	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	fd = open("s/zero/gen-00000001.ckpt", O_RDWR);
	REQUIRE(fd >= 0 && pread(fd, noise, 1, 700000) == 1);
	noise[0] ^= 4;
	REQUIRE(pwrite(fd, noise, 1, 700000) == 1);
	close(fd);
	REQUIRE_OK(chain_open(s, "one", true, &err, &c), err);
	REQUIRE_EQ(image_verify(chain_image(c), NULL, NULL, &why, NULL), -EBADMSG);
	REQUIRE(strstr(why.text, "shared"));
	chain_close(c);
	REQUIRE(!system("rm s/.shared/*"));
	REQUIRE_EQ(chain_open(s, "one", true, &err, &c), -ENOENT);
	REQUIRE(strstr(err.text, "zero@1") && strstr(err.text, ".shared/"));
	store_close(s);
}

static void a_path_finds_what_it_shares(void)
{
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	check_rank(NULL, &one, "s/one/gen-00000001.ckpt");
	REQUIRE(!chdir("s/one"));
	check_rank(NULL, &one, "./gen-00000001.ckpt");
	REQUIRE(!chdir("../.."));
	store_close(s);
}

static void info_of(struct store *s, const char *ref, struct image_info *ret_info)
{
	int fd;
	struct image *img = open_ref(s, ref, &fd);

	*ret_info = *image_get_info(img);
	image_close(img);
	close(fd);
}

/* A delta of one that shares, which is then folded; and the one that it shares with. */
static void a_fold_goes_on_sharing(void)
{
	struct rank next = { "one", 0, PAGES, 10, 2000000 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct compact_result result;
	struct image_info parent;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	info_of(s, "one", &parent);
	REQUIRE_OK(try_put_rank(s, &next, &parent, &err, NULL), err);
	check_rank(s, &next, "one@2");
	REQUIRE_OK(compact_run(s, "one@2", 1, NULL, NULL, &err, &result), err);
	REQUIRE_EQ(result.pages.shared_pages, PAGES - PAGES / 10);
	check_rank(s, &next, "one@2");
	REQUIRE_OK(store_gc(s, NULL, 1, &err, &removed), err);
	REQUIRE_OK(store_sweep(s, &err, &removed), err);
	check_no_garbage(s);
	check_rank(s, &next, "one@2");
	check_rank(s, &zero, "zero");
	store_close(s);
}

/* Thirty deltas that all have pages in the same five images: those are opened once. */
static void a_long_chain_opens_what_it_shares_once(void)
{
	const struct rlimit few = { 64, 64 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_info parent;
	struct rank part = { "part", 0, PAGES, 0, 0 }, r = { "one", 0, PAGES, 0, 0 };
	struct store *s;

	enter_scratch();
	s = open_store();
	for (int i = 0; i < 5; i++) {
		part.base = i * 1000;
		put_rank(s, &part);
	}
	for (int i = 0; i < 30; i++) {
		r.base = i % 4 * 1000 + 300;	/* half of one, and of the next nothing */
		REQUIRE_OK(try_put_rank(s, &r, i ? &parent : NULL, &err, NULL), err);
		info_of(s, "one", &parent);
	}
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &few));
	check_rank(s, &r, "one");
	store_close(s);
}

static void an_archive_of_what_shares_is_refused(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct tar_export_opts o = { .ref = "one", .label = "archive" };
	struct tar_result result;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	o.fd = open("archive", O_CREAT | O_WRONLY, 0600);
	REQUIRE(o.fd >= 0);
	REQUIRE_EQ(tar_export(s, &o, &err, &result), -EOPNOTSUPP);
	REQUIRE(strstr(err.text, "one@1") && strstr(err.text, "zero@1"));
	ckpt_err_clear(&err);
	tar_result_free(&result);
	o.ref = "zero";
	REQUIRE_OK(tar_export(s, &o, &err, &result), err);
	tar_result_free(&result);
	close(o.fd);
	store_close(s);
}

static void what_is_encrypted_is_no_source_and_has_none(void)
{
	struct dedup_params dp = { .job = "sealed", .generation = 1, .page_size = PAGE };
	struct image_params params = { .job = "sealed", .generation = 1, .page_size = PAGE };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to;
	struct image_writer *iw;
	struct store_writer *w;
	unsigned char page[PAGE];
	struct dedup *d;
	struct store *s;

	enter_scratch();
	s = open_store();
	to = both();
	params.to = &to;
	REQUIRE_OK(dedup_open(s, &dp, &err, &d), err);
	params.share = dedup_share(d);
	REQUIRE_OK(store_writer_open(s, "sealed", &err, &w), err);
	REQUIRE_EQ(image_writer_open(store_writer_fd(w), &params, &err, &iw), -EINVAL);
	REQUIRE(strstr(err.text, "shares no pages"));
	ckpt_err_clear(&err);
	params.share = NULL;
	REQUIRE_OK(image_writer_open(store_writer_fd(w), &params, &err, &iw), err);
	dedup_begin(d, image_writer_id(iw));
	REQUIRE_OK(image_writer_begin_pages(iw, 1, &err), err);
	for (size_t i = 0; i < PAGES; i++) {
		rank_page(&zero, i, page);
		REQUIRE_OK(image_writer_data(iw, i * PAGE, 1, page, &err), err);
	}
	REQUIRE_OK(image_writer_end_pages(iw, &err, NULL), err);
	REQUIRE_OK(image_writer_finish(iw, &err, NULL), err);
	REQUIRE_OK(store_writer_commit(w, &err), err);
	image_writer_close(iw);
	store_writer_close(w);
	dedup_close(d);
	REQUIRE_EQ(put_rank(s, &zero).shared_pages, 0);
	recipients_free(&to);
	store_close(s);
}

/* Copies of a store that know no hard links, and what people put beside things. */
static void a_name_is_believed_of_that_very_image_alone(void)
{
	struct rank two = { "two", 0, PAGES, 10, 3000000 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	/* another file of that name, and empty */
	REQUIRE(!system("cd s/.shared && for f in *; do cat $f >../keep && rm $f && : >$f; done"));
	REQUIRE_EQ(put_rank(s, &two).shared_pages, 0);
	check_rank(s, &two, "two");
	/* another file of that name, and the same */
	REQUIRE(!system("cd s/.shared && for f in *; do cat ../keep >$f; done"));
	two.own++;
	REQUIRE(put_rank(s, &two).shared_pages);
	check_rank(s, &two, "two");
	/* one beside it, when its generation is gone */
	REQUIRE(!system("cd s/.shared && for f in *; do mv $f $f.bak; done"));
	REQUIRE_OK(store_remove(s, "zero", 0, &err, &removed), err);
	two.own++;
	put_rank(s, &two);
	check_rank(s, &two, "two");
	store_close(s);
}

static void what_a_damaged_generation_shares_stays(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	REQUIRE(!system("cd s/one && cp gen-00000001.ckpt ../good && truncate -s -1 gen-00000001.ckpt"));
	REQUIRE_OK(try_rm(s, "zero", &err, &removed), err);
	REQUIRE(removed.held);
	REQUIRE(!system("cd s/one && cp ../good gen-00000001.ckpt"));
	check_rank(s, &one, "one");
	store_close(s);
}

static void many_names_are_swept_with_few_descriptors(void)
{
	const struct rlimit few = { 100, 100 };
	struct store_removed removed = { 0 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	for (int i = 0; i < 300; i++) {
		uint8_t id[16] = { 1, i, i >> 8 };
		char name[STORE_SHARED_MAX], path[128];

		store_shared_name(id, id, name);
		snprintf(path, sizeof(path), "s/.shared/%s", name);
		close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &few));
	REQUIRE_OK(store_sweep(s, &err, &removed), err);
	REQUIRE_EQ(count_entries("s/.shared", ""), 1);
	check_rank(s, &one, "one");
	store_close(s);
}

/* Not twice, and not what stays for others. */
static void room_is_told_when_it_is_free(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct stat st;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	REQUIRE(!stat("s/zero/gen-00000001.ckpt", &st));
	REQUIRE_OK(try_rm(s, "zero", &err, &removed), err);
	REQUIRE_EQ(removed.bytes, 0);
	REQUIRE_OK(try_rm(s, "one", &err, &removed), err);
	REQUIRE(removed.bytes > (uint64_t)st.st_size && removed.bytes < 2 * (uint64_t)st.st_size);
	store_close(s);
}

/* The job under another name: what is folded there is in the index under the first, by its own identity. */
static void a_copy_of_a_job_is_folded(void)
{
	struct rank next = { "one", 0, PAGES, 10, 2000000 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct compact_result result;
	struct image_info parent;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &one);
	info_of(s, "one", &parent);
	REQUIRE_OK(try_put_rank(s, &next, &parent, &err, NULL), err);
	REQUIRE(!system("cp -r s/one s/copy"));
	REQUIRE_OK(compact_run(s, "copy@2", 1, NULL, NULL, &err, &result), err);
	check_rank(s, &next, "copy@2");
	check_rank(s, &next, "one@2");
	store_close(s);
}

static void an_index_without_numbers_is_made_anew(void)
{
	uint64_t images = DEDUP_IMAGES_MAX;
	struct store *s;
	int fd;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	fd = open("s/.dedup", O_RDWR);
	REQUIRE(fd >= 0 && pwrite(fd, &images, 8, 24) == 8);
	close(fd);
	REQUIRE_EQ(put_rank(s, &one).shared_pages, PAGES - PAGES / 10);
	REQUIRE_EQ(put_rank(s, &one).shared_pages, PAGES);
	store_close(s);
}

static void the_same_pages_again_do_not_make_it_grow(void)
{
	struct rank r = { "same", 0, PAGES, 0, 0 };
	struct stat before, after;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &r);
	REQUIRE(!stat("s/.dedup", &before));
	for (int i = 0; i < 40; i++) {
		/* nobody else has them any more: they are entered anew */
		REQUIRE(!system("rm -r s/same"));
		put_rank(s, &r);
	}
	REQUIRE(!stat("s/.dedup", &after));
	REQUIRE_EQ(after.st_size, before.st_size);
	store_close(s);
}

static void what_a_dead_maker_of_an_index_left_is_swept(void)
{
	struct store_removed removed = { 0 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	int fd;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	close(open("s/.dedup.99999", O_CREAT | O_WRONLY, 0600));
	fd = open("s/.dedup.99998", O_CREAT | O_WRONLY, 0600);
	REQUIRE(fd >= 0 && !flock(fd, LOCK_EX));
	REQUIRE_OK(store_sweep(s, &err, &removed), err);
	REQUIRE(access("s/.dedup.99999", F_OK) && !access("s/.dedup.99998", F_OK));
	close(fd);
	store_close(s);
}

/* Who writes an image holds what it has found, from then until the image is there. */
static void a_source_in_use_is_not_removed(void)
{
	struct dedup_params dp = { .job = "one", .generation = 1, .page_size = PAGE };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct image_place place;
	unsigned char page[PAGE];
	struct dedup *d;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_rank(s, &zero);
	REQUIRE_OK(dedup_open(s, &dp, &err, &d), err);
	rank_page(&zero, 5, page);
	REQUIRE(dedup_share(d)->find(dedup_share(d)->arg, page, &place));
	REQUIRE_EQ(try_rm(s, "zero", &err, &removed), -EBUSY);
	dedup_close(d);
	ckpt_err_clear(&err);
	REQUIRE_OK(try_rm(s, "zero", &err, &removed), err);
	store_close(s);
}

static void nothing_is_swept_while_a_generation_cannot_be_read(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct store *s;

	enter_scratch();
	if (geteuid() == 0)
		REQUIRE(!chown(".", 65534, 65534) && !seteuid(65534));
	s = open_store();
	put_rank(s, &zero);
	put_rank(s, &one);
	REQUIRE(!chmod("s/one/gen-00000001.ckpt", 0));
	REQUIRE(try_rm(s, "zero", &err, &removed));
	REQUIRE(strstr(err.text, "all that is shared stays") && strstr(err.text, "s/one: "));
	REQUIRE(!chmod("s/one/gen-00000001.ckpt", 0600));
	check_rank(s, &one, "one");
	store_close(s);
	REQUIRE(getuid() || !seteuid(0));
}

static const struct tap_test tests[] = {
	{ "what_another_has_is_not_written_again", what_another_has_is_not_written_again },
	{ "sixty_four_alike_take_little_more_than_one", sixty_four_alike_take_little_more_than_one },
	{ "what_is_shared_stays_when_its_job_is_removed", what_is_shared_stays_when_its_job_is_removed },
	{ "a_lying_index_costs_room_alone", a_lying_index_costs_room_alone },
	{ "a_page_of_the_same_digest_is_not_the_same_page",
	  a_page_of_the_same_digest_is_not_the_same_page },
	{ "an_index_that_is_gone_is_made_anew", an_index_that_is_gone_is_made_anew },
	{ "an_index_grows", an_index_grows },
	{ "a_missing_or_damaged_source_is_named", a_missing_or_damaged_source_is_named },
	{ "a_path_finds_what_it_shares", a_path_finds_what_it_shares },
	{ "a_fold_goes_on_sharing", a_fold_goes_on_sharing },
	{ "a_long_chain_opens_what_it_shares_once", a_long_chain_opens_what_it_shares_once },
	{ "an_archive_of_what_shares_is_refused", an_archive_of_what_shares_is_refused },
	{ "what_is_encrypted_is_no_source_and_has_none", what_is_encrypted_is_no_source_and_has_none },
	{ "a_name_is_believed_of_that_very_image_alone",
	  a_name_is_believed_of_that_very_image_alone },
	{ "what_a_damaged_generation_shares_stays",
	  what_a_damaged_generation_shares_stays },
	{ "many_names_are_swept_with_few_descriptors",
	  many_names_are_swept_with_few_descriptors },
	{ "room_is_told_when_it_is_free",
	  room_is_told_when_it_is_free },
	{ "a_copy_of_a_job_is_folded",
	  a_copy_of_a_job_is_folded },
	{ "an_index_without_numbers_is_made_anew",
	  an_index_without_numbers_is_made_anew },
	{ "the_same_pages_again_do_not_make_it_grow",
	  the_same_pages_again_do_not_make_it_grow },
	{ "what_a_dead_maker_of_an_index_left_is_swept",
	  what_a_dead_maker_of_an_index_left_is_swept },
	{ "a_source_in_use_is_not_removed", a_source_in_use_is_not_removed },
	{ "nothing_is_swept_while_a_generation_cannot_be_read",
	  nothing_is_swept_while_a_generation_cannot_be_read },
};

TAP_MAIN(tests)
