// SPDX-License-Identifier: GPL-2.0-only
/* A job as a tar archive: what comes back is what went out, and of what lies nothing is taken. */
#include <archive.h>
#include <archive_entry.h>

#include "chain.h"
#include "compact.h"
#include "dedups.h"
#include "tar.h"

static const char FILE1[] = "job/gen-00000001.ckpt", FILE2[] = "job/gen-00000002.ckpt";

/* --------------------------------------------------------------------------- both ways */

static struct store *open_at(const char *path)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	REQUIRE_OK(store_open(path, true, &err, &s), err);
	return s;
}

/* A full one, and two deltas in a row. */
static struct store *make_chain(void)
{
	struct store *s = open_store();
	struct image_info info;

	put(s, "job", NULL, &info);
	put(s, "job", &info, &info);
	put(s, "job", &info, NULL);
	return s;
}

static int try_export(struct store *s, const char *ref, bool all, const char *path, struct ckpt_err *err)
{
	struct tar_export_opts o = { .ref = ref, .all = all, .label = path };
	struct tar_result r;
	int ret;

	o.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	REQUIRE(o.fd >= 0);
	ret = tar_export(s, &o, err, &r);
	close(o.fd);
	tar_result_free(&r);
	return ret;
}

static void export(struct store *s, const char *ref, bool all, const char *path)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	REQUIRE_OK(try_export(s, ref, all, path, &err), err);
}

/* Of what make_chain() makes. */
static void export_chain(const char *path)
{
	struct store *s = make_chain();

	export(s, "job", false, path);
	store_close(s);
}

static int import_as(struct store *s, const char *path, const char *name, struct ckpt_err *err)
{
	struct tar_import_opts o = { .label = path, .name = name };
	struct tar_result r;
	int ret;

	o.fd = open(path, O_RDONLY);
	REQUIRE(o.fd >= 0);
	ret = tar_import(s, &o, err, &r);
	close(o.fd);
	tar_result_free(&r);
	return ret;
}

static int import(struct store *s, const char *path, struct ckpt_err *err)
{
	return import_as(s, path, NULL, err);
}

static void put_bytes(const char *path, const struct bytes *b)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	REQUIRE(fd >= 0 && write(fd, b->data, b->size) == (ssize_t)b->size);
	close(fd);
}

static bool same_files(const char *a, const char *b)
{
	int fa = open(a, O_RDONLY), fb = open(b, O_RDONLY);
	struct bytes x, y;
	bool same;

	REQUIRE(fa >= 0 && fb >= 0);
	x = bytes_of_fd(fa);
	y = bytes_of_fd(fb);
	same = x.size == y.size && !memcmp(x.data, y.data, x.size);
	free(x.data);
	free(y.data);
	close(fa);
	close(fb);
	return same;
}

/* A store nothing is put into is gone when it is closed. */
static void is_refused(const char *path, int code)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s = open_at("refused");

	REQUIRE_EQ(import(s, path, &err), code);
	REQUIRE(err.text[0]);
	store_close(s);
	REQUIRE(access("refused", F_OK));
}

static void what_comes_in_is_what_went_out(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s, *t;
	struct stat st;

	umask(0);
	enter_scratch();
	s = make_chain();
	export(s, "job", false, "tar");
	t = open_at("t");
	REQUIRE_OK(import(t, "tar", &err), err);
	REQUIRE_EQ(verify_all(t), 3);
	REQUIRE(same_files("s/job/gen-00000001.ckpt", "t/job/gen-00000001.ckpt"));
	REQUIRE(same_files("s/job/gen-00000003.ckpt", "t/job/gen-00000003.ckpt"));
	REQUIRE(!stat("t/job", &st) && (st.st_mode & 07777) == 0700);
	REQUIRE(!stat("t/job/gen-00000002.ckpt", &st) && (st.st_mode & 07777) == 0600);
	REQUIRE_EQ(count_entries("t/job", ".tmp-"), 0);
	store_close(s);
	store_close(t);
}

static void a_generation_brings_what_it_is_built_on_and_no_more(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s, *t;
	struct chain *c;

	enter_scratch();
	s = make_chain();
	put(s, "job", NULL, NULL);
	export(s, "job@2", false, "two");
	export(s, "job", false, "newest");
	export(s, "job", true, "all");
	t = open_at("t");
	REQUIRE_OK(import(t, "two", &err), err);
	REQUIRE_EQ(list(t, "job")->count, 2);
	REQUIRE_OK(chain_open(t, "job", false, &err, &c), err);
	REQUIRE_EQ(chain_length(c), 2);
	chain_close(c);
	REQUIRE_OK(import(t, "newest", &err), err);
	REQUIRE_EQ(list(t, "job")->count, 3);
	REQUIRE_EQ(list(t, "job")->at[2].generation, 4);
	REQUIRE_OK(import(t, "all", &err), err);
	REQUIRE_EQ(verify_all(t), 4);
	REQUIRE_EQ(try_export(s, "job@2", true, "x", &err), -EINVAL);
	ckpt_err_clear(&err);
	REQUIRE_EQ(try_export(s, "./s/job/gen-00000001.ckpt", false, "x", &err), -EINVAL);
	store_close(s);
	store_close(t);
}

/* tar(1) of what is in the store, whoever unpacks it, makes a store that can be restored from. */
static void unpacked_in_a_store_it_is_a_job(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_ref ref;
	struct store *t;
	int fd;

	enter_scratch();
	export_chain("tar");
	umask(0002);
	REQUIRE(!mkdir("u", 0700) && !system("tar xf tar -C u"));
	t = open_at("u");
	REQUIRE_EQ(verify_all(t), 3);
	REQUIRE_OK(store_resolve_to_run(t, "job", &err, &fd, &ref), err);
	close(fd);
	store_close(t);
}

static void what_is_there_is_left_as_it_is(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct stat before, after;
	struct store *s, *t;

	enter_scratch();
	s = make_chain();
	export(s, "job", false, "tar");
	REQUIRE(!stat("s/job/gen-00000002.ckpt", &before));
	REQUIRE_OK(store_remove(s, "job", 3, &err, NULL), err);
	REQUIRE_OK(import(s, "tar", &err), err);
	REQUIRE(!stat("s/job/gen-00000002.ckpt", &after));
	REQUIRE(before.st_ino == after.st_ino);
	REQUIRE_EQ(verify_all(s), 3);
	/* another image of that number: neither it nor what comes after it */
	t = open_at("t");
	put(t, "job", NULL, NULL);
	REQUIRE_EQ(import(t, "tar", &err), -EEXIST);
	REQUIRE(strstr(err.text, "job@1") && strstr(err.text, "-n"));
	REQUIRE_EQ(list(t, NULL)->count, 1);
	ckpt_err_clear(&err);
	REQUIRE_OK(import_as(t, "tar", "other", &err), err);
	REQUIRE_EQ(verify_all(t), 4);
	store_close(s);
	store_close(t);
}

static void another_name_has_to_be_asked_for(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct compact_result folded;
	struct store *s, *t;

	enter_scratch();
	s = make_chain();
	export(s, "job", false, "tar");
	t = open_at("t");
	REQUIRE_OK(import_as(t, "tar", "new", &err), err);
	export(t, "new", false, "tar2");
	is_refused("tar2", -EINVAL);
	REQUIRE_OK(import_as(t, "tar2", "newer", &err), err);
	REQUIRE_EQ(verify_all(t), 6);
	/* and it is called so from then on */
	REQUIRE_OK(compact_run(t, "newer", 0, NULL, NULL, &err, &folded), err);
	REQUIRE(!strcmp(folded.label, "newer@3") && !strcmp(folded.info.job, "job"));
	REQUIRE_EQ(import_as(t, "tar2", "../x", &err), -EINVAL);
	store_close(s);
	store_close(t);
}

/* ------------------------------------------------------------------------- what is broken */

static void cut_anywhere_it_leaves_nothing(void)
{
	struct stat st;

	enter_scratch();
	export_chain("tar");
	REQUIRE(!stat("tar", &st));
	for (off_t at = 0; at < st.st_size; at += 512) {
		off_t size = st.st_size - 512 - at;

		/* the members' ends among them, where what there is looks whole */
		REQUIRE(!truncate("tar", size));
		is_refused("tar", -EBADMSG);
	}
}

static void a_flipped_bit_is_found_or_means_nothing(void)
{
	unsigned int n = tap_count(300, 3000);
	struct bytes good;
	int fd;

	enter_scratch();
	export_chain("tar");
	fd = open("tar", O_RDONLY);
	good = bytes_of_fd(fd);
	close(fd);
	for (unsigned int i = 0; i < n; i++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		size_t at = rnd_below(good.size);
		struct store *t = open_at("t");

		unsigned char bit = 1 << rnd_below(8);

		good.data[at] ^= bit;
		put_bytes("tar", &good);
		good.data[at] ^= bit;
		if (!import(t, "tar", &err)) {
			REQUIRE_EQ(verify_all(t), 3);
			REQUIRE(same_files("s/job/gen-00000002.ckpt", "t/job/gen-00000002.ckpt"));
		} else {
			REQUIRE(err.text[0]);
			REQUIRE_EQ(list(t, NULL)->count, 0);
			REQUIRE_EQ(count_entries("t", ""), 0);
		}
		store_close(t);
		remove_tree("t");
	}
	free(good.data);
}

/* ------------------------------------------------------------------------------ what lies */

struct piece {
	const char	*path;
	const char	*from;		/* file with its content; NULL: none */
	unsigned int	type;		/* 0: a regular file */
	const char	*symlink, *hardlink;
	bool		sparse;
};

static void make_tar(const char *path, const struct piece *p, size_t n)
{
	struct archive *a = archive_write_new();

	REQUIRE(a && !archive_write_set_format_pax(a) && !archive_write_open_filename(a, path));
	for (size_t i = 0; i < n; i++) {
		struct archive_entry *e = archive_entry_new();
		struct bytes b = { 0 };

		if (p[i].from) {
			int fd = open(p[i].from, O_RDONLY);

			REQUIRE(fd >= 0);
			b = bytes_of_fd(fd);
			close(fd);
		}
		archive_entry_set_pathname(e, p[i].path);
		archive_entry_set_filetype(e, p[i].type ? p[i].type : AE_IFREG);
		archive_entry_set_perm(e, 0600);
		archive_entry_set_size(e, b.size);
		if (p[i].symlink)
			archive_entry_set_symlink(e, p[i].symlink);
		if (p[i].hardlink)
			archive_entry_set_hardlink(e, p[i].hardlink);
		if (p[i].sparse)
			archive_entry_sparse_add_entry(e, 0, 512);
		REQUIRE_EQ(archive_write_header(a, e), ARCHIVE_OK);
		if (b.size)
			REQUIRE(archive_write_data(a, b.data, b.size) >= 0);
		archive_entry_free(e);
		free(b.data);
	}
	REQUIRE(!archive_write_free(a));
}

static void damage_does_not_go_out_or_in_unnoticed(void)
{
	static const struct piece damaged[] = {
		{ .path = FILE1, .from = "s/job/gen-00000001.ckpt" },
		{ .path = FILE2, .from = "s/job/gen-00000002.ckpt" },
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	unsigned char c;
	int fd;

	enter_scratch();
	s = make_chain();
	fd = open("s/job/gen-00000002.ckpt", O_RDWR);
	REQUIRE(fd >= 0 && pread(fd, &c, 1, 600) == 1);
	c ^= 4;
	REQUIRE_EQ(pwrite(fd, &c, 1, 600), 1);
	close(fd);
	REQUIRE_EQ(try_export(s, "job", false, "tar", &err), -EBADMSG);
	REQUIRE(strstr(err.text, "job@2"));
	/* nor in, not even where it is already */
	make_tar("tar", damaged, 2);
	is_refused("tar", -EBADMSG);
	ckpt_err_clear(&err);
	REQUIRE_EQ(import(s, "tar", &err), -EBADMSG);
	REQUIRE(!unlink("s/job/gen-00000002.ckpt"));
	ckpt_err_clear(&err);
	REQUIRE_EQ(try_export(s, "job", true, "tar", &err), -ENOENT);
	REQUIRE(strstr(err.text, "job@3"));
	store_close(s);
}

static void what_is_no_generation_is_refused(void)
{
	static const struct piece bad[] = {
		{ .path = "gen-00000002.ckpt" }, { .path = "/job/gen-00000002.ckpt" },
		{ .path = "../job/gen-00000002.ckpt" }, { .path = "job/../job/gen-00000002.ckpt" },
		{ .path = "./job/gen-00000002.ckpt" }, { .path = "job/x/gen-00000002.ckpt" },
		{ .path = "job/gen-2.ckpt" }, { .path = "job/gen-000000002.ckpt" },
		{ .path = "job/gen-00000000.ckpt" }, { .path = "job/gen-00000002.ckpt.old" },
		{ .path = "job/gen-9999999999999999.ckpt" }, { .path = "job/.tmp-00000002" },
		{ .path = "job/.audit" }, { .path = ".audit" }, { .path = ".catalogue" },
		{ .path = "-job/gen-00000002.ckpt" }, { .path = "other/gen-00000002.ckpt" },
		{ .path = FILE1 }, { .path = "job\n/gen-00000002.ckpt" },
		{ .path = FILE2, .type = AE_IFLNK, .symlink = "/etc/passwd" },
		{ .path = FILE2, .hardlink = FILE1 }, { .path = FILE2, .type = AE_IFIFO },
		{ .path = FILE2, .type = AE_IFDIR }, { .path = FILE2, .type = AE_IFCHR },
		{ .path = "job/x/", .type = AE_IFDIR }, { .path = "other/", .type = AE_IFDIR },
		{ .path = "job/", .type = AE_IFLNK, .symlink = "/tmp" },
		{ .path = FILE2, .from = "s/job/gen-00000002.ckpt", .sparse = true },
	};

	enter_scratch();
	store_close(make_chain());
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct piece two[] = { { .path = FILE1, .from = "s/job/gen-00000001.ckpt" }, bad[i] };

		make_tar("tar", two, 2);
		is_refused("tar", -EINVAL);
	}
	make_tar("tar", NULL, 0);
	is_refused("tar", -EINVAL);
}

static void an_image_has_to_be_what_its_name_says(void)
{
	static const struct piece
	other_number = { .path = FILE2, .from = "s/job/gen-00000001.ckpt" },
	other_job = { .path = "jab/gen-00000001.ckpt", .from = "s/job/gen-00000001.ckpt" },
	empty = { .path = FILE1 },
	wrong_order[] = {
		{ .path = FILE2, .from = "s/job/gen-00000002.ckpt" },
		{ .path = FILE1, .from = "s/job/gen-00000001.ckpt" },
	};

	enter_scratch();
	store_close(make_chain());
	make_tar("tar", &other_number, 1);
	is_refused("tar", -EINVAL);
	make_tar("tar", &other_job, 1);
	is_refused("tar", -EINVAL);
	REQUIRE(!system("head -c 100000 /dev/urandom > noise"));
	make_tar("tar", &(struct piece){ .path = FILE1, .from = "noise" }, 1);
	is_refused("tar", -EBADMSG);
	make_tar("tar", &empty, 1);
	is_refused("tar", -EBADMSG);
	make_tar("tar", wrong_order, 2);
	is_refused("tar", -ENOENT);
}

static void a_delta_needs_its_parent_in_archive_or_store(void)
{
	static const struct piece delta = { .path = FILE2, .from = "s/job/gen-00000002.ckpt" };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s, *t;

	enter_scratch();
	s = make_chain();
	make_tar("tar", &delta, 1);
	is_refused("tar", -ENOENT);
	t = open_at("t");
	put(t, "job", NULL, NULL);
	REQUIRE_EQ(import(t, "tar", &err), -ESTALE);
	REQUIRE_EQ(list(t, NULL)->count, 1);
	store_close(t);
	export(s, "job@1", false, "parent");
	t = open_at("u");
	ckpt_err_clear(&err);
	REQUIRE_OK(import(t, "parent", &err), err);
	REQUIRE_OK(import(t, "tar", &err), err);
	REQUIRE_EQ(verify_all(t), 2);
	store_close(s);
	store_close(t);
}

/* As tar(1) makes one; an export refuses to. */
static void what_shares_pages_with_others_is_refused(void)
{
	static const struct rank base = { .job = "job", .base = 100, .pages = 40 },
				 same = { .job = "same", .base = 100, .pages = 40 };
	static const struct piece tar[] = {
		{ .path = "same/gen-00000001.ckpt", .from = "s/same/gen-00000001.ckpt" },
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s, *t;

	enter_scratch();
	s = open_store();
	put_rank(s, &base);
	REQUIRE(put_rank(s, &same).shared_pages);
	REQUIRE_EQ(try_export(s, "same", false, "tar", &err), -EOPNOTSUPP);
	make_tar("tar", tar, 1);
	is_refused("tar", -EOPNOTSUPP);
	t = open_at("t");
	ckpt_err_clear(&err);
	REQUIRE_EQ(import(t, "tar", &err), -EOPNOTSUPP);
	REQUIRE(strstr(err.text, "same@1: shares pages with job@1"));
	/* not even where all of it is */
	ckpt_err_clear(&err);
	REQUIRE_EQ(import_as(s, "tar", "other", &err), -EOPNOTSUPP);
	REQUIRE_EQ(list(s, "other")->count, 0);
	store_close(s);
	store_close(t);
}

static void an_archive_of_somebody_else_is_refused(void)
{
	enter_scratch();
	export_chain("tar");
	REQUIRE(!chmod("tar", 0620));
	is_refused("tar", -EPERM);
	if (geteuid())
		SKIP("needs root");
	REQUIRE(!chmod("tar", 0600) && !chown("tar", 12345, 0));
	is_refused("tar", -EPERM);
}

static int give_up(uint64_t done, uint64_t total, void *arg)
{
	unsigned int *left = arg;

	return (*left)-- ? 0 : -EINTR;
}

static void given_up_it_leaves_nothing(void)
{
	struct store *s;
	unsigned int steps = 0;
	int ret;

	enter_scratch();
	s = make_chain();
	export(s, "job", false, "tar");
	do {
		unsigned int left = steps++;
		struct tar_import_opts o = { .label = "tar", .progress = give_up, .progress_arg = &left };
		struct ckpt_err err = CKPT_ERR_INIT;
		struct store *t = open_at("t");
		struct tar_result r;

		o.fd = open("tar", O_RDONLY);
		ret = tar_import(t, &o, &err, &r);
		tar_result_free(&r);
		close(o.fd);
		store_close(t);
		REQUIRE(!ret || (ret == -EINTR && access("t", F_OK)));
	} while (ret);
	REQUIRE(steps > 1);
	store_close(s);
}

static void an_export_that_was_given_up_has_no_end(void)
{
	unsigned int steps = 0;
	struct store *s;
	int ret;

	enter_scratch();
	s = make_chain();
	do {
		unsigned int left = steps++;
		struct tar_export_opts o = { .ref = "job", .label = "tar", .progress = give_up,
					     .progress_arg = &left };
		struct ckpt_err err = CKPT_ERR_INIT;
		struct tar_result r;

		o.fd = open("tar", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		ret = tar_export(s, &o, &err, &r);
		tar_result_free(&r);
		close(o.fd);
		REQUIRE(!ret || ret == -EINTR);
		if (ret)
			is_refused("tar", -EBADMSG);
	} while (ret);
	REQUIRE(steps > 3);
	store_close(s);
}

/* -------------------------------------------------------------------------------- numbers */

static void a_given_number_is_claimed_or_refused(void)
{
	struct store_writer *a, *b;
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	enter_scratch();
	s = open_store();
	put(s, "job", NULL, NULL);
	REQUIRE_EQ(store_writer_open_as(s, "job", 1, &err, &a), -EEXIST);
	REQUIRE(strstr(err.text, "job@1"));
	REQUIRE_EQ(store_writer_open_as(s, "job", 0, NULL, &a), -EINVAL);
	REQUIRE_EQ(store_writer_open_as(s, "job", STORE_GENERATION_MAX + 1, NULL, &a), -EINVAL);
	REQUIRE_EQ(store_writer_open_as(s, "../job", 1, NULL, &a), -EINVAL);
	ckpt_err_clear(&err);
	REQUIRE_OK(store_writer_open_as(s, "job", 7, &err, &a), err);
	REQUIRE_EQ(store_writer_generation(a), 7);
	REQUIRE_EQ(store_writer_open_as(s, "job", 7, NULL, &b), -EBUSY);
	/* a snapshot that comes meanwhile takes one that is free */
	REQUIRE_OK(store_writer_open(s, "job", &err, &b), err);
	REQUIRE_EQ(store_writer_generation(b), 8);
	store_writer_close(b);
	store_writer_close(a);
	REQUIRE_EQ(count_entries("s/job", ".tmp-"), 0);
	/* what a dead writer left is in nobody's way */
	REQUIRE(!close(open("s/job/.tmp-00000007", O_CREAT | O_WRONLY, 0600)));
	REQUIRE_OK(store_writer_open_as(s, "job", 7, &err, &a), err);
	store_writer_close(a);
	store_close(s);
}

static const struct tap_test tests[] = {
	{ "what_comes_in_is_what_went_out", what_comes_in_is_what_went_out },
	{ "a_generation_brings_what_it_is_built_on_and_no_more", a_generation_brings_what_it_is_built_on_and_no_more },
	{ "unpacked_in_a_store_it_is_a_job", unpacked_in_a_store_it_is_a_job },
	{ "what_is_there_is_left_as_it_is", what_is_there_is_left_as_it_is },
	{ "another_name_has_to_be_asked_for", another_name_has_to_be_asked_for },
	{ "cut_anywhere_it_leaves_nothing", cut_anywhere_it_leaves_nothing },
	{ "a_flipped_bit_is_found_or_means_nothing", a_flipped_bit_is_found_or_means_nothing },
	{ "damage_does_not_go_out_or_in_unnoticed", damage_does_not_go_out_or_in_unnoticed },
	{ "what_is_no_generation_is_refused", what_is_no_generation_is_refused },
	{ "an_image_has_to_be_what_its_name_says", an_image_has_to_be_what_its_name_says },
	{ "a_delta_needs_its_parent_in_archive_or_store", a_delta_needs_its_parent_in_archive_or_store },
	{ "what_shares_pages_with_others_is_refused", what_shares_pages_with_others_is_refused },
	{ "an_archive_of_somebody_else_is_refused", an_archive_of_somebody_else_is_refused },
	{ "given_up_it_leaves_nothing", given_up_it_leaves_nothing },
	{ "an_export_that_was_given_up_has_no_end", an_export_that_was_given_up_has_no_end },
	{ "a_given_number_is_claimed_or_refused", a_given_number_is_claimed_or_refused },
};

TAP_MAIN(tests)
