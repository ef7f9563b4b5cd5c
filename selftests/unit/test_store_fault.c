// SPDX-License-Identifier: GPL-2.0-only
/*
 * A generation is there whole or not at all, whatever fails and whenever the writer dies.
 *
 * The system calls a writer makes are wrapped (see faults.h).  A sweep repeats one operation in a
 * fresh process with its 1st, 2nd, 3rd ... call failing, or being the one before or after which the
 * process is killed, until the operation gets by with fewer calls.  Then real full, read-only and
 * forbidden file systems, and SIGKILL at random moments.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <time.h>

#include "faults.h"

/* What is swept: open or make the store, write one generation of nine pages. */
static int operation(struct ckpt_err *err)
{
	struct store *s;
	int ret;

	ret = store_open("s", true, err, &s);
	if (ret)
		return ret;
	ret = try_put(s, "job", 9, NULL, err, NULL);
	store_close(s);
	return ret;
}

static size_t generations(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	size_t n;
	int ret = store_open("s", false, &err, &s);

	if (ret == -ENOENT)
		return 0;
	REQUIRE_OK(ret, err);
	n = verify_all(s);
	store_close(s);
	return n;
}

/* The next writer finds its feet, and nothing but generations stays. */
static void check_recovery(size_t before)
{
	struct store *s = open_store();

	put(s, "job", NULL, NULL);
	REQUIRE_EQ(verify_all(s), before + 1);
	REQUIRE_EQ(count_entries("s/job", ""), before + 1);
	store_close(s);
}

static void reset_store(bool fresh)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	int fd;

	remove_tree("s");
	if (fresh)
		return;
	s = open_store();
	REQUIRE_OK(try_put(s, "job", 1, NULL, &err, NULL), err);
	store_close(s);
	fd = open("s/job/.tmp-00000002", O_CREAT | O_WRONLY, 0600);	/* of a dead writer */
	REQUIRE(fd >= 0);
	close(fd);
}

/* A failure of these makes cleaning up itself fail: leftovers go with the next writer. */
static bool spoils_cleanup(const char *call)
{
	static const char *const calls[] = { "unlinkat", "rmdir", "fstat", "fstatat" };

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(call, calls[i]))
			return true;
	return false;
}

static void sweep_failures(bool fresh, int error)
{
	unsigned int at, failed = 0;

	for (at = 1;; at++) {
		size_t before, after;
		int status;

		reset_store(fresh);
		before = generations();
		status = run_with_fault(operation, FAIL, error, at);
		after = generations();
		if (fault->calls < at)
			break;
		REQUIRE(WIFEXITED(status));
		if (WEXITSTATUS(status) == 3) {
			failed++;
			REQUIRE(fault->err.code && strlen(fault->err.text) > 10);
			REQUIRE_EQ(after, before);
			if (fresh && !spoils_cleanup(fault->hit) &&
			    count_entries("s", "") != -1) {
				printf("# call %u, %s: something is left\n", at, fault->hit);
				REQUIRE(false);
			}
		} else {
			REQUIRE_EQ(WEXITSTATUS(status), 0);
			REQUIRE_EQ(after, before + 1);
		}
		check_recovery(after);
	}
	printf("# %u calls, %u of them cannot be done without\n", at - 1, failed);
	REQUIRE(at > 20 && failed > 15);
}

static void any_call_may_fail_in_a_new_store(void)
{
	map_fault();
	enter_scratch();
	sweep_failures(true, EIO);
	sweep_failures(true, ENOSPC);
}

static void any_call_may_fail_in_a_used_store(void)
{
	map_fault();
	enter_scratch();
	sweep_failures(false, EIO);
	sweep_failures(false, EACCES);
}

static void sweep_kills(bool fresh, enum mode mode)
{
	unsigned int at, whole = 0;

	for (at = 1;; at++) {
		size_t before, after;
		int status;

		reset_store(fresh);
		before = generations();
		status = run_with_fault(operation, mode, 0, at);
		after = generations();
		if (fault->calls < at)
			break;
		REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		REQUIRE(after == before || after == before + 1);
		whole += after > before;
		check_recovery(after);
	}
	printf("# killed at %u calls, the generation was there %u times\n", at - 1, whole);
	REQUIRE(whole && whole < at / 2);
}

static void a_writer_may_die_at_any_call(void)
{
	map_fault();
	enter_scratch();
	for (int fresh = 0; fresh < 2; fresh++) {
		sweep_kills(fresh, KILL_BEFORE);
		sweep_kills(fresh, KILL_AFTER);
	}
}

static void short_and_interrupted_writes_are_gone_on_with(void)
{
	map_fault();
	enter_scratch();
	REQUIRE_EQ(run_with_fault(operation, SHORT_WRITES, 0, 0), 0);
	REQUIRE(fault->calls > 100);
	REQUIRE_EQ(generations(), 1);
}

/* Position in the log of the @nth call of @name from position @from on. */
static unsigned int find_call(const char *name, unsigned int from)
{
	while (from < fault->logged && strcmp(fault->log[from].call, name))
		from++;
	if (from == fault->logged)
		printf("# no %s behind it\n", name);
	REQUIRE(from < fault->logged);
	return from;
}

/* fsync of the file, then rename, then fsync of the directory it is in and the one above. */
static void commit_syncs_in_the_order_that_survives_power_loss(void)
{
	unsigned int at, made, first_sync, last_write = 0, file_sync, rename, job_sync;

	map_fault();
	enter_scratch();
	REQUIRE_EQ(run_with_fault(operation, COUNT, 0, 0), 0);
	made = find_call("mkdir", 0);
	first_sync = find_call("fsync", made);		/* of the store's parent */
	REQUIRE(first_sync < find_call("mkdirat", 0));
	rename = find_call("renameat2", 0);
	for (at = 0; at < rename; at++)
		if (!strcmp(fault->log[at].call, "write"))
			last_write = at;
	for (at = rename; at < fault->logged; at++)
		REQUIRE(strcmp(fault->log[at].call, "write"));
	file_sync = find_call("fsync", last_write);
	REQUIRE(file_sync < rename);
	REQUIRE_EQ(fault->log[file_sync].fd, fault->log[last_write].fd);
	job_sync = find_call("fsync", rename);
	REQUIRE_EQ(fault->log[job_sync].fd, fault->log[rename].fd);
	at = find_call("fsync", job_sync + 1);		/* the store's directory */
	REQUIRE_EQ(fault->log[at].fd, fault->log[find_call("mkdirat", 0)].fd);
}

/* ---- others at the worst moment ---------------------------------------------------------- */

static void make_file(const char *path)
{
	int fd = __real_open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);

	REQUIRE(fd >= 0);
	close(fd);
}

static void commit_second(void)
{
	make_file("s/job/gen-00000002.ckpt");
}

/* The scan saw neither the other's temporary nor, a moment later, its generation. */
static void a_number_committed_since_the_scan_is_not_claimed(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_writer *w;
	struct store *s;

	enter_scratch();
	s = open_store();
	put(s, "job", NULL, NULL);
	before_exclusive_open = commit_second;
	REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
	REQUIRE_EQ(store_writer_generation(w), 3);
	REQUIRE_EQ(count_entries("s/job", ".tmp-"), 1);
	store_writer_close(w);
	store_close(s);
}

static void remove_job_directory(void)
{
	REQUIRE(!rmdir("s/job"));
}

static void a_job_directory_may_go_before_the_claim(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	enter_scratch();
	s = open_store();
	before_exclusive_open = remove_job_directory;
	REQUIRE_OK(try_put(s, "job", 1, NULL, &err, NULL), err);
	REQUIRE(!before_exclusive_open && !err.code);
	REQUIRE_EQ(verify_all(s), 1);
	store_close(s);
}

static int other_writer = -1;

/* The writer the cleaner looks at is gone, its number claimed again by one that lives. */
static void replace_temporary(void)
{
	REQUIRE(!unlink("s/job/.tmp-00000002"));
	other_writer = __real_open("s/job/.tmp-00000002", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC,
				   0600);
	REQUIRE(other_writer >= 0 && !__real_flock(other_writer, LOCK_EX | LOCK_NB));
}

static void a_cleaner_removes_only_what_it_has_locked(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct store *s;

	enter_scratch();
	s = open_store();
	put(s, "job", NULL, NULL);
	make_file("s/job/.tmp-00000002");
	before_flock = replace_temporary;
	REQUIRE_OK(store_gc(s, NULL, 0, &err, &removed), err);
	REQUIRE_EQ(removed.temporaries, 0);
	REQUIRE_EQ(count_entries("s/job", ".tmp-"), 1);
	close(other_writer);
	REQUIRE_OK(store_gc(s, NULL, 0, &err, &removed), err);
	REQUIRE_EQ(removed.temporaries, 1);
	store_close(s);
}

/* A cleaner that comes between O_EXCL and flock() of a writer takes its file away. */
static void clean_now(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct store *s = open_store();

	REQUIRE_OK(store_gc(s, NULL, 0, &err, &removed), err);
	REQUIRE_EQ(removed.temporaries, 1);
	store_close(s);
}

static void a_writer_cleaned_away_before_its_lock_starts_anew(void)
{
	struct store *s;

	enter_scratch();
	s = open_store();
	put(s, "job", NULL, NULL);
	before_flock = clean_now;
	put(s, "job", NULL, NULL);
	REQUIRE(!before_flock);
	REQUIRE_EQ(verify_all(s), 2);
	REQUIRE_EQ(count_entries("s/job", ""), 2);
	store_close(s);
}

/* ---- real faults --------------------------------------------------------------------------- */

/* A tmpfs of our own on "mnt"; skips where that is not allowed. */
static void mount_tmpfs(const char *options)
{
	uid_t uid = getuid();

	if (unshare(CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0)))
		SKIP("no mount namespace for this user");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mkdir("mnt", 0700) ||
	    mount("tmpfs", "mnt", "tmpfs", 0, options))
		SKIP("cannot mount a tmpfs");
}

static void give_back_tmpfs(void)
{
	REQUIRE(!chdir(scratch) && !umount2("mnt", MNT_DETACH) && !rmdir("mnt"));
}

/* From nothing fits to all fits, in pages and in inodes. */
static void a_full_disk_is_told_and_nothing_left(void)
{
	unsigned int full = 0, fitted = 0;

	for (unsigned int i = 1; i < 30; i++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		char options[64];
		int ret;

		if (i < 20)
			snprintf(options, sizeof(options), "size=%uk,nr_inodes=100", i * 4);
		else
			snprintf(options, sizeof(options), "size=1m,nr_inodes=%u", i - 19);
		if (i == 1)
			enter_scratch();
		mount_tmpfs(options);
		REQUIRE(!chdir("mnt"));
		ret = operation(&err);
		if (ret) {
			REQUIRE_EQ(ret, -ENOSPC);
			REQUIRE(strstr(err.text, "No space left on device; free some space"));
			REQUIRE_EQ(count_entries(".", ""), 0);
			full++;
		} else {
			REQUIRE_EQ(generations(), 1);
			fitted++;
		}
		give_back_tmpfs();
	}
	printf("# full %u times, fitted %u times\n", full, fitted);
	REQUIRE(full > 8 && fitted > 8);
}

static void a_full_disk_spares_what_is_there(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	size_t n = 0;
	int ret;

	enter_scratch();
	mount_tmpfs("size=256k");
	REQUIRE(!chdir("mnt"));
	s = open_store();
	while (!(ret = try_put(s, "job", 9, NULL, &err, NULL)))
		n++;
	REQUIRE_EQ(ret, -ENOSPC);
	REQUIRE(n > 2);
	REQUIRE_EQ(verify_all(s), n);
	REQUIRE_EQ(count_entries("s/job", ""), n);
	store_close(s);
	give_back_tmpfs();
}

static void a_read_only_disk_is_told(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	int fd;

	enter_scratch();
	mount_tmpfs("size=256k");
	REQUIRE(!chdir("mnt"));
	s = open_store();
	put(s, "job", NULL, NULL);
	REQUIRE(!mount(NULL, ".", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	REQUIRE_EQ(try_put(s, "job", 1, NULL, &err, NULL), -EROFS);
	REQUIRE(strstr(err.text, "Read-only file system; use a store"));
	ckpt_err_clear(&err);
	REQUIRE_EQ(try_put(s, "new", 1, NULL, &err, NULL), -EROFS);
	ckpt_err_clear(&err);
	REQUIRE_EQ(store_remove(s, "job", 1, &err, NULL), -EROFS);
	REQUIRE_EQ(verify_all(s), 1);	/* reading needs no writing */
	ckpt_err_clear(&err);
	REQUIRE_OK(store_resolve(s, "job", &err, &fd, NULL), err);
	close(fd);
	store_close(s);
	ckpt_err_clear(&err);
	REQUIRE_EQ(store_open("t", true, &err, &s), -EROFS);
	give_back_tmpfs();
}

/* As a user who is not root: root may do all this. */
static void use_forbidden_store(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	REQUIRE(getuid() || (!setresgid(65534, 65534, 65534) && !setresuid(65534, 65534, 65534)));
	REQUIRE(!chmod("s/job", 0500));
	s = open_store();
	REQUIRE_EQ(try_put(s, "job", 1, NULL, &err, NULL), -EACCES);
	REQUIRE(strstr(err.text, "Permission denied; use a store you may write to"));
	REQUIRE_EQ(verify_all(s), 1);
	REQUIRE(!chmod("s", 0500));
	ckpt_err_clear(&err);
	REQUIRE_EQ(try_put(s, "new", 1, NULL, &err, NULL), -EACCES);
	REQUIRE(strstr(err.text, "s/new"));
	REQUIRE(!chmod("s", 0700) && !chmod("s/job", 0700));
	REQUIRE_EQ(count_entries("s", ""), 1);
	REQUIRE_EQ(count_entries("s/job", ""), 1);
	store_close(s);
}

static void a_forbidden_store_is_told(void)
{
	struct store *s;
	int status;
	pid_t pid;

	enter_scratch();
	s = open_store();
	put(s, "job", NULL, NULL);
	store_close(s);
	if (!getuid())
		REQUIRE(!chmod(".", 0755) && !chown("s", 65534, 65534) &&
			!chown("s/job", 65534, 65534) &&
			!chown("s/job/gen-00000001.ckpt", 65534, 65534));
	pid = tap_fork();
	if (!pid) {
		use_forbidden_store();
		exit(0);
	}
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid && !status);
}

/* ---- SIGKILL at random moments ------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* Until the writer has committed @count, and then some part of the next. */
static void let_it_work(const unsigned int *done, unsigned int count, uint64_t ns)
{
	uint64_t start = now_ns();

	while (__atomic_load_n(done, __ATOMIC_SEQ_CST) < count)
		REQUIRE(now_ns() - start < 60000000000ull);
	start = now_ns();
	while (now_ns() - start < ns)
		;
}

static void a_writer_may_die_at_any_moment(void)
{
	unsigned int rounds = tap_count(120, 2000);
	unsigned int *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				  -1, 0);
	size_t partly = 0;

	REQUIRE(done != MAP_FAILED);
	enter_scratch();
	for (unsigned int i = 0; i < rounds; i++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		struct store *s;
		size_t found;
		pid_t pid;

		__atomic_store_n(done, 0, __ATOMIC_SEQ_CST);
		pid = tap_fork();
		if (!pid) {
			s = open_store();
			for (;;) {
				REQUIRE_OK(try_put(s, "job", 40, NULL, &err, NULL), err);
				__atomic_add_fetch(done, 1, __ATOMIC_SEQ_CST);
			}
		}
		let_it_work(done, rnd_below(4), rnd_below(3000000));
		REQUIRE(!kill(pid, SIGKILL) && waitpid(pid, NULL, 0) == pid);
		s = open_store();
		partly += count_entries("s/job", ".tmp-") > 0;
		found = verify_all(s);
		/* the last may have been committed and not yet counted */
		REQUIRE(found == *done || found == *done + 1);
		put(s, "job", NULL, NULL);
		REQUIRE_EQ(count_entries("s/job", ""), found + 1);
		REQUIRE_OK(store_remove(s, "job", 0, &err, NULL), err);
		store_close(s);
	}
	printf("# killed %u times, %zu of them half way through a file\n", rounds, partly);
	REQUIRE(partly > 0);
}

static const struct tap_test tests[] = {
	{ "any_call_may_fail_in_a_new_store", any_call_may_fail_in_a_new_store },
	{ "any_call_may_fail_in_a_used_store", any_call_may_fail_in_a_used_store },
	{ "a_writer_may_die_at_any_call", a_writer_may_die_at_any_call },
	{ "short_and_interrupted_writes_are_gone_on_with",
	  short_and_interrupted_writes_are_gone_on_with },
	{ "commit_syncs_in_the_order_that_survives_power_loss",
	  commit_syncs_in_the_order_that_survives_power_loss },
	{ "a_number_committed_since_the_scan_is_not_claimed",
	  a_number_committed_since_the_scan_is_not_claimed },
	{ "a_job_directory_may_go_before_the_claim", a_job_directory_may_go_before_the_claim },
	{ "a_cleaner_removes_only_what_it_has_locked",
	  a_cleaner_removes_only_what_it_has_locked },
	{ "a_writer_cleaned_away_before_its_lock_starts_anew",
	  a_writer_cleaned_away_before_its_lock_starts_anew },
	{ "a_full_disk_is_told_and_nothing_left", a_full_disk_is_told_and_nothing_left },
	{ "a_full_disk_spares_what_is_there", a_full_disk_spares_what_is_there },
	{ "a_read_only_disk_is_told", a_read_only_disk_is_told },
	{ "a_forbidden_store_is_told", a_forbidden_store_is_told },
	{ "a_writer_may_die_at_any_moment", a_writer_may_die_at_any_moment },
};

TAP_MAIN(tests)
