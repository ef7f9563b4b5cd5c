// SPDX-License-Identifier: GPL-2.0-only
/* The store's rules: names, references, listing, removal, several at once, and links that lie. */
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>

#include "stores.h"

static void names_are_validated(void)
{
	static const char *const good[] = { "a", "A-b_c.9", "0", "x.", "x-", "_",
		"0123456789012345678901234567890123456789012345678901234567890123" };
	static const char *const bad[] = { "", ".", "..", ".a", "-a", "a/b", "/", "a b", "a@1",
		"a\n", "\xc3\xa4", "a*", "a\\b", "a:b",
		"01234567890123456789012345678901234567890123456789012345678901234" };
	struct store *s;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		REQUIRE(store_name_valid(good[i]));
	for (int c = 1; c < 256; c++) {
		char name[3] = { 'a', (char)c, 0 };

		REQUIRE_EQ(store_name_valid(name), strchr("abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", c) != NULL);
	}
	enter_scratch();
	s = open_store();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		struct store_writer *w;

		REQUIRE(!store_name_valid(bad[i]));
		REQUIRE_EQ(store_writer_open(s, bad[i], &err, &w), -EINVAL);
		REQUIRE(err.text[0]);
		REQUIRE_EQ(store_remove(s, bad[i], 0, NULL, NULL), -EINVAL);
		REQUIRE_EQ(store_list(s, bad[i], collect, NULL, NULL), -EINVAL);
	}
	REQUIRE_EQ(count_entries("s", ""), 0);
	store_close(s);
}

static void default_names_are_valid_for_any_comm(void)
{
	for (int i = 0; i < 20000; i++) {
		char comm[100], name[STORE_NAME_MAX + 1];
		size_t n = rnd_below(sizeof(comm));

		for (size_t k = 0; k < n; k++)
			comm[k] = (char)(1 + rnd_below(255));
		comm[n] = '\0';
		store_name_default(comm, (pid_t)rnd_below(1u << 31), name);
		REQUIRE(store_name_valid(name));
	}
	{
		char name[STORE_NAME_MAX + 1];

		store_name_default("python3.11", 4711, name);
		REQUIRE(!strcmp(name, "python3.11-4711"));
		store_name_default("-kworker/0:1", 1, name);
		REQUIRE(!strcmp(name, "_kworker_0_1-1"));
	}
}

static void references_are_parsed(void)
{
	static const char *const bad[] = { "", "@1", "a@", "a@0", "a@-1", "a@+1", "a@ 1", "a@1x",
		"a@1@2", "a@0x1", "a@99999999999999999999", "a@1000000000000000", ".a@1", "a b@1" };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_ref ref;

	REQUIRE_OK(store_ref_parse("job", &err, &ref), err);
	REQUIRE(!strcmp(ref.name, "job") && !ref.generation);
	REQUIRE_OK(store_ref_parse("job@17", &err, &ref), err);
	REQUIRE(!strcmp(ref.name, "job") && ref.generation == 17);
	REQUIRE_OK(store_ref_parse("job@00017", &err, &ref), err);
	REQUIRE_EQ(ref.generation, 17);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ckpt_err_clear(&err);
		REQUIRE_EQ(store_ref_parse(bad[i], &err, &ref), -EINVAL);
		REQUIRE(err.text[0]);
	}
	REQUIRE(store_ref_is_path("./a") && store_ref_is_path("/a") && !store_ref_is_path("a@1"));
}

static void resolve_finds_newest_named_and_path(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_ref ref;
	struct store *s;
	int fd;

	enter_scratch();
	s = open_store();
	for (int i = 0; i < 12; i++)
		put(s, "job", NULL, NULL);
	REQUIRE_OK(store_resolve(s, "job", &err, &fd, &ref), err);
	REQUIRE_EQ(ref.generation, 12);
	REQUIRE(!strcmp(ref.label, "job@12"));
	REQUIRE(!strcmp(ref.path, "s/job/gen-00000012.ckpt"));
	close(fd);
	REQUIRE_OK(store_resolve(s, "job@3", &err, &fd, &ref), err);
	REQUIRE_EQ(ref.generation, 3);
	close(fd);
	REQUIRE_OK(store_resolve(NULL, "./s/job/gen-00000004.ckpt", &err, &fd, &ref), err);
	REQUIRE(!ref.name[0] && !ref.generation);
	close(fd);
	REQUIRE_EQ(store_resolve(s, "job@13", &err, &fd, &ref), -ENOENT);
	REQUIRE(strstr(err.text, "job@13"));
	ckpt_err_clear(&err);
	REQUIRE_EQ(store_resolve(s, "other", &err, &fd, &ref), -ENOENT);
	REQUIRE(strstr(err.text, "other: no such job"));
	store_close(s);
}

static void a_generation_is_private(void)
{
	struct store *s;
	struct stat st;

	umask(0);
	enter_scratch();
	s = open_store();
	put(s, "job", NULL, NULL);
	REQUIRE(!stat("s", &st) && (st.st_mode & 07777) == 0700);
	REQUIRE(!stat("s/job", &st) && (st.st_mode & 07777) == 0700);
	REQUIRE(!stat("s/job/gen-00000001.ckpt", &st) && (st.st_mode & 07777) == 0600);
	store_close(s);
}

static void list_is_sorted_and_knows_strangers(void)
{
	struct entries *all;
	struct store *s;
	int fd;

	enter_scratch();
	s = open_store();
	REQUIRE_EQ(list(s, NULL)->count, 0);
	put(s, "zz", NULL, NULL);
	for (int i = 0; i < 11; i++)
		put(s, "aa", NULL, NULL);
	REQUIRE(!mkdir("s/empty", 0700) && !mkdir("s/.hidden", 0700) && !mkdir("s/bad name", 0700));
	fd = open("s/file", O_CREAT | O_WRONLY, 0600);
	close(fd);
	fd = open("s/aa/gen-00000007.ckpt.bak", O_CREAT | O_WRONLY, 0600);
	close(fd);
	fd = open("s/aa/gen-7.ckpt", O_CREAT | O_WRONLY, 0600);
	close(fd);
	fd = open("s/aa/gen-00000020.ckpt", O_CREAT | O_WRONLY, 0600);	/* ours, but no image */
	close(fd);
	all = list(s, NULL);
	REQUIRE_EQ(all->count, 13);
	REQUIRE_EQ(all->broken, 1);
	for (int i = 0; i < 11; i++)
		REQUIRE(!strcmp(all->at[i].name, "aa") && all->at[i].generation == i + 1u);
	REQUIRE_EQ(all->at[11].generation, 20);
	REQUIRE(!strcmp(all->at[12].name, "zz"));
	REQUIRE_EQ(list(s, "zz")->count, 1);
	REQUIRE_EQ(store_list(s, "empty", collect, NULL, NULL), -ENOENT);
	REQUIRE_EQ(store_list(s, "none", collect, NULL, NULL), -ENOENT);
	/* a number that was seen is not given again */
	put(s, "aa", NULL, NULL);
	REQUIRE_EQ(list(s, "aa")->at[12].generation, 21);
	store_close(s);
}

static void giving_up_leaves_nothing(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_writer *w;
	struct store *s;

	enter_scratch();
	s = open_store();
	REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
	REQUIRE_EQ(count_entries("s/job", ".tmp-"), 1);
	REQUIRE_EQ(list(s, NULL)->count, 0);
	store_writer_close(w);
	REQUIRE_EQ(count_entries("s", ""), 0);
	store_close(s);
	REQUIRE_EQ(count_entries("s", ""), -1);	/* nor the store it had made */

	s = open_store();
	put(s, "job", NULL, NULL);
	REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
	REQUIRE_EQ(store_writer_generation(w), 2);
	store_writer_close(w);
	store_close(s);
	REQUIRE_EQ(count_entries("s/job", ""), 1);
}

/* Open a writer in a process of its own; it ends when told, without cleaning up. */
static pid_t hold_writer(int *ret_stop)
{
	int ready[2], stop[2];
	char c;
	pid_t pid;

	REQUIRE(!pipe(ready) && !pipe(stop));
	pid = tap_fork();
	if (!pid) {
		struct ckpt_err err = CKPT_ERR_INIT;
		struct store_writer *w;
		struct store *s;

		close(stop[1]);
		s = open_store();
		REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
		REQUIRE(write(store_writer_fd(w), "partly", 6) == 6);
		REQUIRE(write(ready[1], "r", 1) == 1);
		_exit(read(stop[0], &c, 1));
	}
	close(stop[0]);
	close(ready[1]);
	REQUIRE(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	*ret_stop = stop[1];
	return pid;
}

static void leftovers_of_the_dead_go_those_of_the_living_stay(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct store *s;
	int stop;
	pid_t pid;

	enter_scratch();
	s = open_store();
	put(s, "job", NULL, NULL);
	pid = hold_writer(&stop);
	REQUIRE_OK(store_gc(s, NULL, 0, &err, &removed), err);
	REQUIRE_EQ(removed.temporaries, 0);
	put(s, "job", NULL, NULL);	/* a living writer holds number 2 */
	REQUIRE_EQ(count_entries("s/job", ".tmp-"), 1);
	REQUIRE_EQ(list(s, "job")->at[1].generation, 3);
	REQUIRE_OK(store_remove(s, "job", 3, &err, NULL), err);
	REQUIRE_EQ(count_entries("s/job", ".tmp-"), 1);

	REQUIRE(!kill(pid, SIGKILL) && waitpid(pid, NULL, 0) == pid);
	close(stop);
	REQUIRE_EQ(count_entries("s/job", ".tmp-"), 1);
	REQUIRE_EQ(list(s, "job")->count, 1);
	put(s, "job", NULL, NULL);
	REQUIRE_EQ(count_entries("s/job", ".tmp-"), 0);
	REQUIRE_EQ(list(s, "job")->at[1].generation, 2);

	pid = hold_writer(&stop);
	REQUIRE(!kill(pid, SIGKILL) && waitpid(pid, NULL, 0) == pid);
	close(stop);
	REQUIRE_OK(store_gc(s, NULL, 0, &err, &removed), err);
	REQUIRE_EQ(removed.temporaries, 1);
	REQUIRE_EQ(removed.bytes, 6);
	REQUIRE_EQ(removed.generations, 0);
	REQUIRE_EQ(count_entries("s/job", ".tmp-"), 0);
	REQUIRE_EQ(verify_all(s), 2);
	store_close(s);
}

#define WRITERS		6

struct tally {
	unsigned int	committed;
	unsigned int	given_up;
	volatile int	stop;
};

static void write_many(struct tally *tally, unsigned int rounds)
{
	struct store *s = open_store();

	for (unsigned int i = 0; i < rounds; i++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		struct store_writer *w;

		if (rnd_below(3)) {
			put(s, "job", NULL, NULL);
			__atomic_add_fetch(&tally->committed, 1, __ATOMIC_SEQ_CST);
		} else {
			REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
			store_writer_close(w);
			__atomic_add_fetch(&tally->given_up, 1, __ATOMIC_SEQ_CST);
		}
	}
	store_close(s);
}

static void clean_until_told(struct tally *tally)
{
	struct store *s = open_store();

	while (!tally->stop) {
		struct ckpt_err err = CKPT_ERR_INIT;
		struct store_removed removed;

		REQUIRE_OK(store_gc(s, NULL, 0, &err, &removed), err);
		REQUIRE_EQ(removed.generations, 0);
		REQUIRE_EQ(list(s, NULL)->broken, 0);
	}
	store_close(s);
}

static void writers_and_cleaners_at_once_lose_nothing(void)
{
	unsigned int rounds = tap_count(60, 1000);
	struct tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[WRITERS + 2];
	struct store *s, *keep_made;
	struct entries *all;
	int status;

	REQUIRE(tally != MAP_FAILED);
	enter_scratch();
	keep_made = open_store();
	for (int i = 0; i < WRITERS + 2; i++) {
		pids[i] = tap_fork();
		if (pids[i])
			continue;
		tap_random_state += i * 7919;
		if (i < WRITERS)
			write_many(tally, rounds);
		else
			clean_until_told(tally);
		_exit(0);
	}
	for (int i = 0; i < WRITERS + 2; i++) {
		if (i == WRITERS)
			tally->stop = 1;
		REQUIRE(waitpid(pids[i], &status, 0) == pids[i] && !status);
	}
	printf("# %u committed, %u given up\n", tally->committed, tally->given_up);
	s = open_store();
	REQUIRE_EQ(verify_all(s), tally->committed);
	all = list(s, "job");
	for (size_t i = 1; i < all->count; i++)
		REQUIRE(all->at[i - 1].generation < all->at[i].generation);
	REQUIRE_EQ(count_entries("s/job", ""), tally->committed);
	store_close(s);
	store_close(keep_made);
	munmap(tally, sizeof(*tally));
}

static void remove_takes_one_or_all(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct store *s;

	enter_scratch();
	s = open_store();
	for (int i = 0; i < 4; i++)
		put(s, "job", NULL, NULL);
	put(s, "other", NULL, NULL);
	REQUIRE_EQ(store_remove(s, "job", 9, &err, NULL), -ENOENT);
	REQUIRE(strstr(err.text, "job@9"));
	ckpt_err_clear(&err);
	REQUIRE_EQ(store_remove(s, "none", 0, &err, NULL), -ENOENT);
	ckpt_err_clear(&err);
	REQUIRE_OK(store_remove(s, "job", 2, &err, &removed), err);
	REQUIRE(removed.generations == 1 && removed.bytes > PAGE);
	REQUIRE_EQ(list(s, "job")->count, 3);
	REQUIRE_OK(store_remove(s, "job", 0, &err, &removed), err);
	REQUIRE_EQ(removed.generations, 3);
	REQUIRE_EQ(count_entries("s/job", ""), -1);
	REQUIRE_EQ(verify_all(s), 1);
	REQUIRE_OK(store_remove(s, "other", 1, &err, NULL), err);
	REQUIRE_EQ(count_entries("s", ""), 0);
	store_close(s);
}

/* 1 <- 2 <- 3, 4 full, 4 <- 5 */
static void put_chains(struct store *s)
{
	struct image_info one, two, four;

	put(s, "job", NULL, &one);
	put(s, "job", &one, &two);
	put(s, "job", &two, NULL);
	put(s, "job", NULL, &four);
	put(s, "job", &four, NULL);
}

static void a_parent_is_not_removed(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_chains(s);
	REQUIRE_EQ(store_remove(s, "job", 1, &err, NULL), -EBUSY);
	REQUIRE(strstr(err.text, "job@2 is built on it"));
	ckpt_err_clear(&err);
	REQUIRE_EQ(store_remove(s, "job", 2, &err, NULL), -EBUSY);
	ckpt_err_clear(&err);
	REQUIRE_EQ(store_remove(s, "job", 4, &err, NULL), -EBUSY);
	ckpt_err_clear(&err);
	for (int i = 3; i; i--)
		REQUIRE_OK(store_remove(s, "job", i, &err, NULL), err);
	REQUIRE_EQ(verify_all(s), 2);
	store_close(s);
}

static void gc_keeps_the_newest_and_their_ancestors(void)
{
	/* what stays of the two chains for each keep, as a string of digits */
	static const char *const want[] = { "12345", "45", "45", "12345", "12345", "12345" };
	struct store *s;

	enter_scratch();
	for (unsigned int keep = 0; keep < 6; keep++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		struct store_removed removed;
		struct entries *all;
		char got[8] = "";

		s = open_store();
		put_chains(s);
		put(s, "other", NULL, NULL);
		put(s, "other", NULL, NULL);
		REQUIRE_OK(store_gc(s, "job", keep, &err, &removed), err);
		all = list(s, "job");
		for (size_t i = 0; i < all->count; i++)
			got[i] = '0' + all->at[i].generation;
		printf("# keep %u: %s\n", keep, got);
		REQUIRE(!strcmp(got, want[keep]));
		REQUIRE_EQ(removed.generations, 5 - strlen(got));
		REQUIRE_EQ(list(s, "other")->count, 2);
		REQUIRE_OK(store_gc(s, NULL, keep, &err, NULL), err);
		REQUIRE_EQ(list(s, "other")->count, keep == 1 ? 1 : 2);
		REQUIRE_OK(store_remove(s, "job", 0, &err, NULL), err);
		REQUIRE_OK(store_remove(s, "other", 0, &err, NULL), err);
		store_close(s);
	}
}

static void gc_holds_what_an_unreadable_one_may_need(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct store *s;
	int fd;

	enter_scratch();
	s = open_store();
	for (int i = 0; i < 5; i++)
		put(s, "job", NULL, NULL);
	fd = open("s/job/gen-00000003.ckpt", O_WRONLY);
	REQUIRE(fd >= 0 && pwrite(fd, "x", 1, 300) == 1);
	close(fd);
	REQUIRE_OK(store_gc(s, NULL, 1, &err, &removed), err);
	REQUIRE_EQ(removed.generations, 1);	/* 4; not 1 and 2 */
	REQUIRE_EQ(removed.held, 2);
	REQUIRE_EQ(list(s, "job")->count, 4);
	REQUIRE_OK(store_remove(s, "job", 3, &err, NULL), err);
	REQUIRE_OK(store_gc(s, NULL, 1, &err, &removed), err);
	REQUIRE_EQ(removed.generations, 2);
	REQUIRE_EQ(verify_all(s), 1);
	store_close(s);
}

static void gc_removes_empty_job_directories(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	enter_scratch();
	s = open_store();
	REQUIRE(!mkdir("s/empty", 0700) && !mkdir("s/used", 0700) && !mkdir("s/used/x", 0700));
	REQUIRE_OK(store_gc(s, NULL, 0, &err, NULL), err);
	REQUIRE_EQ(count_entries("s", ""), 1);
	store_close(s);
}

/* ---- links and worse ------------------------------------------------------------------- */

static void make_victim(void)
{
	int fd;

	REQUIRE(!mkdir("victim", 0700));
	fd = open("victim/precious", O_CREAT | O_WRONLY, 0600);
	REQUIRE(fd >= 0 && write(fd, "precious", 8) == 8);
	close(fd);
}

static void victim_is_untouched(void)
{
	struct stat st;

	REQUIRE_EQ(count_entries("victim", ""), 1);
	REQUIRE(!stat("victim/precious", &st) && st.st_size == 8);
}

static void a_link_for_a_job_is_not_followed(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_writer *w;
	struct store *s;
	int fd;

	enter_scratch();
	make_victim();
	s = open_store();
	REQUIRE(!symlink("../victim", "s/job"));
	REQUIRE(store_writer_open(s, "job", &err, &w) < 0);
	REQUIRE(strstr(err.text, "symbolic link"));
	REQUIRE(store_remove(s, "job", 0, NULL, NULL) < 0);
	REQUIRE(store_resolve(s, "job", NULL, &fd, NULL) < 0);
	REQUIRE_EQ(list(s, NULL)->count, 0);
	REQUIRE(!store_gc(s, NULL, 1, NULL, NULL));
	victim_is_untouched();
	store_close(s);
}

static void a_link_for_a_generation_is_not_followed(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	int fd;

	enter_scratch();
	make_victim();
	s = open_store();
	put(s, "job", NULL, NULL);
	/* even one that leads to a good image */
	REQUIRE(!symlink("gen-00000001.ckpt", "s/job/gen-00000002.ckpt"));
	REQUIRE(!symlink("../../victim/precious", "s/job/gen-00000003.ckpt"));
	REQUIRE_EQ(store_resolve(s, "job@2", &err, &fd, NULL), -ELOOP);
	ckpt_err_clear(&err);
	REQUIRE_EQ(store_resolve(s, "job", &err, &fd, NULL), -ELOOP);
	REQUIRE_EQ(list(s, NULL)->count, 3);
	REQUIRE_EQ(list(s, NULL)->broken, 2);
	REQUIRE(!store_remove(s, "job", 0, NULL, NULL));
	victim_is_untouched();
	store_close(s);
}

/* A link, a hard link and a FIFO where the next temporary would be. */
static void a_planted_temporary_is_not_written_to(void)
{
	struct store *s;
	struct stat st;

	enter_scratch();
	make_victim();
	s = open_store();
	REQUIRE(!mkdir("s/job", 0700));
	REQUIRE(!symlink("../../victim/precious", "s/job/.tmp-00000001"));
	put(s, "job", NULL, NULL);
	REQUIRE_EQ(list(s, "job")->at[0].generation, 2);
	REQUIRE(!mkfifo("s/job/.tmp-00000003", 0600));
	put(s, "job", NULL, NULL);
	REQUIRE(!symlink("nowhere", "s/job/.tmp-00000005"));
	put(s, "job", NULL, NULL);
	REQUIRE_EQ(list(s, "job")->at[2].generation, 6);
	REQUIRE(!lstat("s/job/.tmp-00000001", &st) && S_ISLNK(st.st_mode));
	REQUIRE(!link("victim/precious", "s/job/.tmp-00000007"));
	put(s, "job", NULL, NULL);	/* unlinks the name: no writer holds it */
	victim_is_untouched();
	store_close(s);
}

static void a_fifo_for_a_generation_does_not_hang(void)
{
	struct store *s;
	int fd;

	enter_scratch();
	s = open_store();
	REQUIRE(!mkdir("s/job", 0700) && !mkfifo("s/job/gen-00000001.ckpt", 0600));
	REQUIRE(!mkfifo("pipe", 0600));
	REQUIRE_EQ(list(s, NULL)->broken, 1);
	REQUIRE_EQ(store_resolve(s, "job", NULL, &fd, NULL), -EINVAL);
	put(s, "job", NULL, NULL);
	REQUIRE_EQ(list(s, NULL)->at[1].generation, 2);
	store_close(s);
}

static void an_existing_generation_is_never_replaced(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_writer *w;
	struct store *s;
	struct stat st;
	int fd;

	enter_scratch();
	s = open_store();
	REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
	fd = open("s/job/gen-00000001.ckpt", O_CREAT | O_WRONLY, 0600);	/* by other ways */
	REQUIRE(fd >= 0 && write(fd, "mine", 4) == 4);
	close(fd);
	REQUIRE_EQ(store_writer_commit(w, &err), -EEXIST);
	store_writer_close(w);
	REQUIRE(!stat("s/job/gen-00000001.ckpt", &st) && st.st_size == 4);
	REQUIRE_EQ(count_entries("s/job", ""), 1);
	store_close(s);
}

static void a_store_that_is_not_there_is_said_so(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	enter_scratch();
	REQUIRE_EQ(store_open("s", false, &err, &s), -ENOENT);
	REQUIRE(strstr(err.text, "s: cannot open the store"));
	ckpt_err_clear(&err);
	REQUIRE_EQ(store_open("no/such/place", true, &err, &s), -ENOENT);
	REQUIRE(strstr(err.text, "make the directory"));
	REQUIRE(!setenv(STORE_ENV, "from-env", 1));
	ckpt_err_clear(&err);
	REQUIRE_OK(store_open(NULL, true, &err, &s), err);
	REQUIRE(!strcmp(store_path(s), "from-env"));
	REQUIRE_EQ(count_entries("from-env", ""), 0);
	store_close(s);
}

static const struct tap_test tests[] = {
	{ "names_are_validated", names_are_validated },
	{ "default_names_are_valid_for_any_comm", default_names_are_valid_for_any_comm },
	{ "references_are_parsed", references_are_parsed },
	{ "resolve_finds_newest_named_and_path", resolve_finds_newest_named_and_path },
	{ "a_generation_is_private", a_generation_is_private },
	{ "list_is_sorted_and_knows_strangers", list_is_sorted_and_knows_strangers },
	{ "giving_up_leaves_nothing", giving_up_leaves_nothing },
	{ "leftovers_of_the_dead_go_those_of_the_living_stay",
	  leftovers_of_the_dead_go_those_of_the_living_stay },
	{ "writers_and_cleaners_at_once_lose_nothing", writers_and_cleaners_at_once_lose_nothing },
	{ "remove_takes_one_or_all", remove_takes_one_or_all },
	{ "a_parent_is_not_removed", a_parent_is_not_removed },
	{ "gc_keeps_the_newest_and_their_ancestors", gc_keeps_the_newest_and_their_ancestors },
	{ "gc_holds_what_an_unreadable_one_may_need", gc_holds_what_an_unreadable_one_may_need },
	{ "gc_removes_empty_job_directories", gc_removes_empty_job_directories },
	{ "a_link_for_a_job_is_not_followed", a_link_for_a_job_is_not_followed },
	{ "a_link_for_a_generation_is_not_followed", a_link_for_a_generation_is_not_followed },
	{ "a_planted_temporary_is_not_written_to", a_planted_temporary_is_not_written_to },
	{ "a_fifo_for_a_generation_does_not_hang", a_fifo_for_a_generation_does_not_hang },
	{ "an_existing_generation_is_never_replaced", an_existing_generation_is_never_replaced },
	{ "a_store_that_is_not_there_is_said_so", a_store_that_is_not_there_is_said_so },
};

TAP_MAIN(tests)
