// SPDX-License-Identifier: GPL-2.0-only
/* The catalogue saves reading, and whatever has become of it, what is listed is what is there. */
#include <sys/file.h>
#include <time.h>

#include <sqlite3.h>

#include "catalogue.h"
#include "chain.h"
#include "image-format.h"
#include "retain.h"
#include "sealed.h"
#include "snap.h"
#include "util.h"

#define GENERATIONS	3
#define FILE2		"s/job/gen-00000002.ckpt"
#define CATALOGUE	"s/.catalogue"

/* Images that were opened, by the library itself too. */
static unsigned int images_opened;

int __real_image_open(int fd, const char *label, struct ckpt_err *err, struct image **ret_image);
int __wrap_image_open(int fd, const char *label, struct ckpt_err *err, struct image **ret_image);

int __wrap_image_open(int fd, const char *label, struct ckpt_err *err, struct image **ret_image)
{
	images_opened++;
	return __real_image_open(fd, label, err, ret_image);
}

static uint64_t since_change(const char *path)
{
	struct timespec now;
	struct stat st;

	REQUIRE(!stat(path, &st) && !clock_gettime(CLOCK_REALTIME, &now));
	return (now.tv_sec - st.st_ctim.tv_sec) * 1000000000ull + now.tv_nsec - st.st_ctim.tv_nsec;
}

/* Until a change would show in the file's times. */
static void settle(const char *path)
{
	while (since_change(path) < 25000000 || since_change(path) > 1000000000000ull)
		usleep(1000);
}

struct seen {
	unsigned int	count, broken, verdicts[3];
	uint8_t		digests[GENERATIONS + 1][IMAGE_HASH_SIZE];
	uint64_t	parents[GENERATIONS + 1];
};

static int see(const struct store_entry *e, void *arg)
{
	struct seen *all = arg;

	REQUIRE(e->generation <= GENERATIONS && e->verdict <= STORE_DAMAGED);
	REQUIRE_EQ(!e->verified_ns, e->verdict == STORE_NOT_VERIFIED);
	all->count++;
	all->verdicts[e->verdict]++;
	all->broken += !e->info;
	if (e->info) {
		memcpy(all->digests[e->generation], e->info->digest, IMAGE_HASH_SIZE);
		all->parents[e->generation] = e->info->parent_generation;
	}
	return 0;
}

/* All of the store; how many images had to be opened for it. */
static unsigned int look(struct store *s, struct seen *ret)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	memset(ret, 0, sizeof(*ret));
	images_opened = 0;
	REQUIRE_OK(store_list(s, NULL, see, ret, &err), err);
	return images_opened;
}

static bool same_but_for_verdicts(const struct seen *a, const struct seen *b)
{
	return a->count == b->count && a->broken == b->broken &&
	       !memcmp(a->digests, b->digests, sizeof(a->digests)) &&
	       !memcmp(a->parents, b->parents, sizeof(a->parents));
}

static struct store *make_job(void)
{
	struct store *s;
	struct image_info info;

	enter_scratch();
	s = open_store();
	put(s, "job", NULL, &info);
	put(s, "job", &info, &info);
	put(s, "job", &info, NULL);
	settle("s/job/gen-00000003.ckpt");
	return s;
}

static int verify(struct store *s, const char *ref)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct catalogue *cat = catalogue_open(s);
	struct chain *c;
	int ret = 0;

	REQUIRE_OK(chain_open(s, ref, false, &err, &c), err);
	for (size_t i = 0; !ret && i < chain_length(c); i++)
		ret = catalogue_verify(cat, c, i, NULL, NULL, NULL, NULL);
	chain_close(c);
	catalogue_close(cat);
	return ret;
}

static void flip(const char *path, off_t at)
{
	unsigned char c;
	int fd = open(path, O_RDWR);

	REQUIRE(fd >= 0 && pread(fd, &c, 1, at) == 1);
	c ^= 1 << rnd_below(8);
	REQUIRE_EQ(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static struct bytes content(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct bytes b;

	REQUIRE(fd >= 0);
	b = bytes_of_fd(fd);
	close(fd);
	return b;
}

static void write_content(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

/* ------------------------------------------------------------------------------- using it */

static void what_has_not_changed_is_not_read_again(void)
{
	struct seen first, second;
	struct store *s = make_job();
	struct stat st;

	REQUIRE_EQ(look(s, &first), GENERATIONS);
	REQUIRE_EQ(first.count, GENERATIONS);
	REQUIRE(!stat(CATALOGUE, &st) && st.st_mode == (S_IFREG | 0600));
	REQUIRE_EQ(look(s, &second), 0);
	REQUIRE(same_but_for_verdicts(&first, &second));
	REQUIRE(access("s/.catalogue.new", F_OK));
	store_close(s);
}

static void what_has_changed_is_read_again(void)
{
	struct store *s = make_job();
	struct seen before, all;

	look(s, &before);
	flip(FILE2, 2);				/* in place: no image any more */
	REQUIRE_EQ(look(s, &all), 1);
	REQUIRE_EQ(all.broken, 1);
	REQUIRE_EQ(look(s, &all), 1);		/* what cannot be read is never remembered */
	REQUIRE(!rename("s/job/gen-00000003.ckpt", FILE2));
	REQUIRE_EQ(look(s, &all), 1);
	REQUIRE_EQ(all.count, 2);
	REQUIRE(!memcmp(all.digests[2], before.digests[3], IMAGE_HASH_SIZE) ||
		!memcmp(all.digests[3], before.digests[3], IMAGE_HASH_SIZE));
	REQUIRE(!truncate("s/job/gen-00000001.ckpt", 700));
	look(s, &all);
	REQUIRE_EQ(all.broken, 1);
	store_close(s);
}

/* A second change within one tick would leave the times as they are. */
static void what_has_just_changed_is_not_remembered(void)
{
	struct store *s = make_job();
	bool in_time = false;
	struct seen all;

	for (int i = 0; i < 1000 && !in_time; i++) {
		unlink(CATALOGUE);
		REQUIRE(!chmod(FILE2, 0600));
		look(s, &all);
		in_time = since_change(FILE2) < 15000000;
		if (in_time)
			REQUIRE_EQ(look(s, &all), 1);
	}
	if (!in_time)
		SKIP("this machine is too slow for that");
	store_close(s);
}

static void without_it_nothing_but_time_is_lost(void)
{
	struct store *s = make_job();
	struct seen with, without;

	look(s, &with);
	REQUIRE(!unlink(CATALOGUE));
	REQUIRE_EQ(look(s, &without), GENERATIONS);
	REQUIRE(same_but_for_verdicts(&with, &without));
	store_close(s);
}

static void what_is_gone_is_forgotten(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s = make_job();
	struct seen all;
	sqlite3_stmt *q;
	sqlite3 *db;

	look(s, &all);
	REQUIRE_OK(store_remove(s, "job", 3, &err, NULL), err);
	REQUIRE_OK(verify(s, "job"), err);
	REQUIRE_EQ(sqlite3_open(CATALOGUE, &db), SQLITE_OK);
	REQUIRE_EQ(sqlite3_prepare_v2(db, "SELECT count(*) FROM generations", -1, &q, NULL), SQLITE_OK);
	REQUIRE_EQ(sqlite3_step(q), SQLITE_ROW);
	REQUIRE_EQ(sqlite3_column_int(q, 0), 2);
	sqlite3_finalize(q);
	sqlite3_close(db);
	store_close(s);
}

static void what_verify_found_is_told(void)
{
	struct store *s = make_job();
	struct seen all;

	look(s, &all);
	REQUIRE_EQ(all.verdicts[STORE_NOT_VERIFIED], GENERATIONS);
	REQUIRE_EQ(verify(s, "job@2"), 0);
	look(s, &all);
	REQUIRE_EQ(all.verdicts[STORE_SOUND], 2);
	/* listing again, when one is not known, does not cover it */
	REQUIRE(!chmod("s/job/gen-00000003.ckpt", 0400));
	settle("s/job/gen-00000003.ckpt");
	look(s, &all);
	REQUIRE_EQ(all.verdicts[STORE_SOUND], 2);
	/* damage in a page, which listing does not see */
	flip(FILE2, 512 + 32 + 40);
	look(s, &all);
	REQUIRE_EQ(all.broken, 0);
	REQUIRE_EQ(all.verdicts[STORE_SOUND], 1);
	REQUIRE_EQ(all.verdicts[STORE_DAMAGED], 0);
	settle(FILE2);
	REQUIRE_EQ(verify(s, "job@2"), -EBADMSG);
	look(s, &all);
	REQUIRE_EQ(all.verdicts[STORE_DAMAGED], 1);
	REQUIRE_EQ(verify(s, "./" FILE2), -EBADMSG);	/* of a path nothing is kept */
	store_close(s);
}

/* Who began to list before it was verified, and writes after that, knows less. */
static void what_verify_found_is_not_lost_to_a_look(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s = make_job();
	struct catalogue *early = catalogue_open(s);
	struct image *image;
	struct seen all;
	struct stat st;
	int fd = open(FILE2, O_RDONLY);

	REQUIRE(fd >= 0 && !fstat(fd, &st));
	REQUIRE_EQ(verify(s, "job@2"), 0);
	REQUIRE_OK(image_open(fd, "job@2", &err, &image), err);
	catalogue_learn(early, "job", 2, fd, &st, image_get_info(image));
	image_close(image);
	close(fd);
	catalogue_close(early);
	look(s, &all);
	REQUIRE_EQ(all.verdicts[STORE_SOUND], 2);
	store_close(s);
}

/* As ckptctl and the library do it; @key: NULL without. */
static int verify_with(struct store *s, const char *ref, const char *key)
{
	struct keyring *k = key ? keyring_of(key) : NULL;
	struct ckpt_err err = CKPT_ERR_INIT;
	struct catalogue *cat = catalogue_open(s);
	struct chain *c;
	int ret = 0;

	REQUIRE_OK(chain_open(s, ref, false, &err, &c), err);
	if (k)
		ret = chain_unlock(c, k, &err);
	if (ret == -EBADMSG)
		catalogue_forged(cat, c);
	for (size_t i = 0; !ret && i < chain_length(c); i++)
		ret = catalogue_verify(cat, c, i, NULL, NULL, NULL, NULL);
	chain_close(c);
	catalogue_close(cat);
	keyring_free(k);
	return ret;
}

/* As one does who has no key: a trailer with another hash under the key, and the checksum made right. */
static void forge(const char *path)
{
	int fd = open(path, O_RDWR);
	struct forged f = { .file = bytes_of_fd(fd) };

	locate(&f);
	f.trailer->mac[3] ^= 0x10;
	REQUIRE(!image_root_digest(f.header, f.table, f.trailer->sections * sizeof(*f.table), f.trailer,
				   f.trailer->digest));
	REQUIRE_EQ(pwrite(fd, f.file.data, f.file.size, 0), (ssize_t)f.file.size);
	free(f.file.data);
	close(fd);
	settle(path);
}

static struct seen looked(struct store *s)
{
	struct seen all;

	look(s, &all);
	return all;
}

/* Checksums alone say nothing of what is encrypted; a forgery that the key has shown stays known. */
static void without_the_key_nothing_is_found_sound(void)
{
	struct recipients to;
	struct image_info info;
	struct store *s;

	enter_scratch();
	to = both();
	s = open_store();
	put_sealed(s, NULL, &to, &info);
	put_sealed(s, &info, &to, NULL);
	settle(FILE2);
	REQUIRE_EQ(verify_with(s, "job", NULL), 0);
	REQUIRE_EQ(looked(s).verdicts[STORE_NOT_VERIFIED], 2);
	REQUIRE_EQ(verify_with(s, "job", "alice"), 0);
	REQUIRE_EQ(verify_with(s, "job", NULL), 0);
	REQUIRE_EQ(looked(s).verdicts[STORE_SOUND], 2);
	forge(FILE2);
	REQUIRE_EQ(verify_with(s, "job", NULL), 0);
	REQUIRE_EQ(looked(s).verdicts[STORE_NOT_VERIFIED], 1);
	REQUIRE_EQ(looked(s).verdicts[STORE_SOUND], 1);
	REQUIRE_EQ(verify_with(s, "job", "bob"), -EBADMSG);
	REQUIRE_EQ(looked(s).verdicts[STORE_DAMAGED], 1);
	REQUIRE_EQ(verify_with(s, "job", NULL), 0);
	REQUIRE_EQ(looked(s).verdicts[STORE_DAMAGED], 1);
	REQUIRE_EQ(looked(s).verdicts[STORE_SOUND], 1);
	/* damage is found without the key too */
	flip("s/job/gen-00000001.ckpt", 3 * PAGE);
	settle("s/job/gen-00000001.ckpt");
	REQUIRE_EQ(verify_with(s, "job@1", NULL), -EBADMSG);
	REQUIRE_EQ(looked(s).verdicts[STORE_DAMAGED], 2);
	store_close(s);
	recipients_free(&to);
}

/* ------------------------------------------------------------------------------ broken */

/* Answers are those of @good, verdicts too or there are none. */
static void still_tells(struct store *s, const struct seen *good)
{
	struct seen all;

	look(s, &all);
	REQUIRE(same_but_for_verdicts(good, &all));
	REQUIRE_EQ(all.verdicts[STORE_DAMAGED], 0);
	REQUIRE(all.verdicts[STORE_SOUND] <= good->verdicts[STORE_SOUND]);
}

static void flipped_bits_change_no_answer(void)
{
	unsigned int n = tap_count(500, 5000);
	struct store *s = make_job();
	struct bytes good;
	struct seen all;

	REQUIRE_EQ(verify(s, "job@2"), 0);
	look(s, &all);
	good = content(CATALOGUE);
	for (unsigned int i = 0; i < n; i++) {
		write_content(CATALOGUE, good.data, good.size);
		for (unsigned int k = 1 + rnd_below(3); k--;)
			flip(CATALOGUE, rnd_below(good.size));
		still_tells(s, &all);
	}
	free(good.data);
	store_close(s);
}

static void cut_short_or_noise_it_is_made_anew(void)
{
	struct store *s = make_job();
	unsigned char noise[8192];
	struct bytes good;
	struct seen all;

	look(s, &all);
	good = content(CATALOGUE);
	for (size_t size = 0; size < good.size; size += 1 + rnd_below(300)) {
		write_content(CATALOGUE, good.data, size);
		still_tells(s, &all);
	}
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = rnd();
	write_content(CATALOGUE, noise, sizeof(noise));
	REQUIRE_EQ(look(s, &all), GENERATIONS);
	REQUIRE_EQ(look(s, &all), 0);
	free(good.data);
	store_close(s);
}

/* ------------------------------------------------------------------------------ others */

static void while_another_writes_it_nothing_waits_for_long(void)
{
	struct store *s = make_job();
	int fd = open("s", O_RDONLY | O_DIRECTORY);
	struct seen all;

	REQUIRE(fd >= 0 && !flock(fd, LOCK_EX));
	REQUIRE_EQ(look(s, &all), GENERATIONS);
	REQUIRE_EQ(all.count, GENERATIONS);
	REQUIRE(access(CATALOGUE, F_OK));
	close(fd);
	look(s, &all);
	REQUIRE(!access(CATALOGUE, F_OK));
	store_close(s);
}

/* Make what the file is by @sql, and see that it is neither asked nor changed. */
static void is_left_alone(struct store *s, const char *sql)
{
	struct bytes before, after;
	struct seen all;
	sqlite3 *db;

	if (sql) {
		REQUIRE_EQ(sqlite3_open(CATALOGUE, &db), SQLITE_OK);
		REQUIRE_EQ(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
	}
	before = content(CATALOGUE);
	REQUIRE_EQ(look(s, &all), GENERATIONS);
	after = content(CATALOGUE);
	REQUIRE(before.size == after.size && !memcmp(before.data, after.data, before.size));
	free(before.data);
	free(after.data);
}

static void another_schema_is_left_alone(void)
{
	struct store *s = make_job();
	struct seen all;

	look(s, &all);
	is_left_alone(s, "PRAGMA user_version=2");
	REQUIRE(!unlink(CATALOGUE));
	is_left_alone(s, "CREATE TABLE generations (job TEXT)");
	store_close(s);
}

static void what_others_may_write_is_not_believed(void)
{
	struct store *s = make_job();
	struct seen all;

	look(s, &all);
	REQUIRE_EQ(look(s, &all), 0);
	REQUIRE(!chmod(CATALOGUE, 0620));
	is_left_alone(s, NULL);
	REQUIRE(!chmod(CATALOGUE, 0600));
	REQUIRE_EQ(look(s, &all), 0);
	REQUIRE(!link(CATALOGUE, "other"));
	is_left_alone(s, NULL);
	REQUIRE(!unlink(CATALOGUE) && !symlink("../other", CATALOGUE));
	REQUIRE_EQ(look(s, &all), GENERATIONS);
	REQUIRE(!unlink(CATALOGUE) && !rename("other", CATALOGUE));
	REQUIRE_EQ(look(s, &all), 0);
	REQUIRE(!chmod("s", 0777));
	REQUIRE_EQ(look(s, &all), GENERATIONS);
	REQUIRE(!chmod("s", 0700));
	REQUIRE(!unlink(CATALOGUE) && !mkdir(CATALOGUE, 0700));
	REQUIRE_EQ(look(s, &all), GENERATIONS);
	REQUIRE(!rmdir(CATALOGUE));
	if (geteuid())
		SKIP("needs root");
	look(s, &all);
	REQUIRE(!chown(CATALOGUE, 12345, 0));
	is_left_alone(s, NULL);
	store_close(s);
}

static void a_store_one_may_only_read_is_listed(void)
{
	struct store *s = make_job();
	struct seen all;

	if (!geteuid()) {
		REQUIRE(!chmod(".", 0755) && !chown("s", 12345, 12345) && !chown("s/job", 12345, 12345));
		for (int i = 1; i <= GENERATIONS; i++) {
			char path[64];

			snprintf(path, sizeof(path), "s/job/gen-%08d.ckpt", i);
			REQUIRE(!chown(path, 12345, 12345));
		}
		settle("s/job/gen-00000003.ckpt");
		REQUIRE(!chmod("s", 0500) && !setresuid(12345, 12345, 12345));
	}
	REQUIRE(!geteuid() || !chmod("s", 0500));
	REQUIRE_EQ(look(s, &all), GENERATIONS);
	REQUIRE_EQ(all.count, GENERATIONS);
	REQUIRE_EQ(all.broken, 0);
	REQUIRE(access(CATALOGUE, F_OK));
	chmod("s", 0700);
	REQUIRE_EQ(look(s, &all), GENERATIONS);
	REQUIRE_EQ(look(s, &all), 0);
	store_close(s);
}

/* ------------------------------------------------------------------------- it may lie */

/* As catalogue.c hashes it. */
struct row {
	uint64_t			numbers[8];
	struct image_header_disk	header;
	struct image_trailer_disk	trailer;
	char				job[72];
};

/* Have the catalogue say that generation 2 is one with this header and trailer. */
static void lie_with(const struct image_header_disk *header, const struct image_trailer_disk *trailer)
{
	static const char sql[] = "UPDATE generations SET header=?1,trailer=?2,size=?3,hash=?4 WHERE generation=2";
	uint8_t hash[UTIL_HASH_SIZE];
	struct row r = { .numbers = { 2 } };
	sqlite3_stmt *q;
	struct stat st;
	sqlite3 *db;

	REQUIRE(!stat(FILE2, &st));
	r.header = *header;
	r.trailer = *trailer;
	r.numbers[1] = st.st_dev;
	r.numbers[2] = st.st_ino;
	r.numbers[3] = st.st_size;
	r.numbers[4] = st.st_mtim.tv_sec * 1000000000ull + st.st_mtim.tv_nsec;
	r.numbers[5] = st.st_ctim.tv_sec * 1000000000ull + st.st_ctim.tv_nsec;
	strcpy(r.job, "job");
	util_hash(&r, sizeof(r), hash);
	REQUIRE_EQ(sqlite3_open(CATALOGUE, &db), SQLITE_OK);
	REQUIRE_EQ(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	sqlite3_bind_blob(q, 1, &r.header, sizeof(r.header), SQLITE_STATIC);
	sqlite3_bind_blob(q, 2, &r.trailer, sizeof(r.trailer), SQLITE_STATIC);
	sqlite3_bind_int64(q, 3, st.st_size);
	sqlite3_bind_blob(q, 4, hash, sizeof(hash), SQLITE_STATIC);
	REQUIRE_EQ(sqlite3_step(q), SQLITE_DONE);
	sqlite3_finalize(q);
	sqlite3_close(db);
}

/* That it is what generation 1 is: a full one. */
static void lie(void)
{
	struct bytes one = content("s/job/gen-00000001.ckpt");

	lie_with((void *)one.data, (void *)(one.data + one.size - sizeof(struct image_trailer_disk)));
	free(one.data);
}

/* That it is not encrypted. */
static void lie_that_it_is_plain(void)
{
	struct forged f = { .file = content(FILE2) };

	locate(&f);
	f.header->incompat &= ~(uint64_t)IMAGE_INCOMPAT_ENCRYPTED;
	util_hash(f.header, offsetof(struct image_header_disk, hash), f.header->hash);
	lie_with(f.header, f.trailer);
	free(f.file.data);
}

static int see_encrypted(const struct store_entry *e, void *arg)
{
	REQUIRE(e->info);
	*(bool *)arg |= image_info_is_encrypted(e->info);
	return 0;
}

/* Memory in the clear does not follow encrypted memory because somebody says that it was not. */
static void who_follows_does_not_ask_it(void)
{
	struct recipients to = both();
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	bool told = false;

	remove_tree("s");
	s = open_store();
	put_sealed(s, NULL, NULL, NULL);
	REQUIRE_OK(snap_parent_plain(s, "job", &err), err);
	put_sealed(s, NULL, &to, NULL);
	settle(FILE2);
	looked(s);
	lie_that_it_is_plain();
	REQUIRE_OK(store_list(s, "job", see_encrypted, &told, &err), err);
	REQUIRE(!told);
	REQUIRE_EQ(snap_parent_plain(s, "job", &err), -ENOKEY);
	REQUIRE(strstr(err.text, "job@2"));
	store_close(s);
	recipients_free(&to);
}

/* Even the best of lies: who acts on what is there has read it. */
static void who_removes_or_builds_does_not_ask_it(void)
{
	const struct retain_opts keep_one = { .keep = 1 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct retain_result kept;
	struct store *s = make_job();
	struct seen all;
	struct chain *c;

	REQUIRE_OK(store_remove(s, "job", 3, &err, NULL), err);
	look(s, &all);
	REQUIRE_EQ(all.parents[2], 1);
	lie();
	REQUIRE_EQ(look(s, &all), 0);
	REQUIRE_EQ(all.parents[2], 0);
	REQUIRE_EQ(store_remove(s, "job", 1, NULL, NULL), -EBUSY);
	REQUIRE_OK(store_gc(s, "job", 1, &err, &removed), err);
	REQUIRE_EQ(removed.generations, 0);
	REQUIRE_OK(chain_open(s, "job", false, &err, &c), err);
	REQUIRE_EQ(chain_length(c), 2);
	chain_close(c);
	/* one that is full already would not be folded */
	REQUIRE_OK(retain_run(s, &keep_one, &err, &kept), err);
	REQUIRE_EQ(kept.folded, 1);
	REQUIRE_EQ(kept.removed.generations, 1);
	store_close(s);
	who_follows_does_not_ask_it();
}

static const struct tap_test tests[] = {
	{ "what_has_not_changed_is_not_read_again", what_has_not_changed_is_not_read_again },
	{ "what_has_changed_is_read_again", what_has_changed_is_read_again },
	{ "what_has_just_changed_is_not_remembered", what_has_just_changed_is_not_remembered },
	{ "without_it_nothing_but_time_is_lost", without_it_nothing_but_time_is_lost },
	{ "what_is_gone_is_forgotten", what_is_gone_is_forgotten },
	{ "what_verify_found_is_told", what_verify_found_is_told },
	{ "without_the_key_nothing_is_found_sound", without_the_key_nothing_is_found_sound },
	{ "what_verify_found_is_not_lost_to_a_look", what_verify_found_is_not_lost_to_a_look },
	{ "flipped_bits_change_no_answer", flipped_bits_change_no_answer },
	{ "cut_short_or_noise_it_is_made_anew", cut_short_or_noise_it_is_made_anew },
	{ "while_another_writes_it_nothing_waits_for_long",
	  while_another_writes_it_nothing_waits_for_long },
	{ "another_schema_is_left_alone", another_schema_is_left_alone },
	{ "what_others_may_write_is_not_believed", what_others_may_write_is_not_believed },
	{ "a_store_one_may_only_read_is_listed", a_store_one_may_only_read_is_listed },
	{ "who_removes_or_builds_does_not_ask_it", who_removes_or_builds_does_not_ask_it },
};

TAP_MAIN(tests)
