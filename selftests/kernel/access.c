// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may have a picture of whom: the rule of ptrace(2), asked with the caller's own rights at attach
 * and again in each freeze. Callers here got the device from root, as over a socket: without it
 * nobody comes this far.
 */
#include <kselftest_harness.h>

#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "snap.h"

#define USER	1000
#define YAMA	"/proc/sys/kernel/yama/ptrace_scope"

/* What a process does to its own rights first; not 0: this kernel does not have it. */
typedef int (rights_fn)(void);

static int as_user(void)
{
	must(setgroups(0, NULL));
	must(setresgid(USER, USER, USER));
	must(setresuid(USER, USER, USER));
	return 0;
}

/* A change of numbers makes a process untouchable, until it says otherwise. */
static int as_plain_user(void)
{
	as_user();
	return must(prctl(PR_SET_DUMPABLE, 1));
}

static int as_root(void)
{
	return 0;
}

static int in_another_group(void)
{
	must(setgroups(0, NULL));
	must(setresgid(USER + 1, USER + 1, USER + 1));
	must(setresuid(USER, USER, USER));
	return must(prctl(PR_SET_DUMPABLE, 1));
}

static int with_saved_root(void)
{
	must(setgroups(0, NULL));
	must(setresgid(USER, USER, USER));
	must(setresuid(USER, USER, 0));
	return must(prctl(PR_SET_DUMPABLE, 1));
}

static int with_capabilities(void)
{
	must(prctl(PR_SET_KEEPCAPS, 1));
	return as_plain_user();
}

/* From within a chroot, which the test machine is, nobody gets a user namespace. */
static void leave_chroot(void)
{
	int i, fd = must(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));

	must(chroot("/tmp"));
	must(fchdir(fd));
	for (i = 0; i < 32; i++)
		must(chdir(".."));
	must(chroot("."));
}

/* Root here, with all capabilities there. */
static int in_a_user_namespace(void)
{
	leave_chroot();
	return unshare(CLONE_NEWUSER);
}

static int in_a_landlock_domain(void)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE };
	int rules = syscall(__NR_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (rules < 0)
		return -1;
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	return syscall(__NR_landlock_restrict_self, rules, 0);
}

static void with_rights(struct target *me, void *arg)
{
	rights_fn *rights = arg;

	rights();
	target_step(me);
}

#define LACKING	200	/* exit status: this kernel does not have such rights */

/* What the device tells a caller of these rights, 0 or -errno; by either call the same. */
static int answer_to(rights_fn *rights, pid_t pid)
{
	pid_t child;
	int status;

	fflush(NULL);
	child = must(fork());
	if (!child) {
		int dev = ckpt_open(), ret, again;
		struct ckpt_attach a = { .size = sizeof(a), .pid = pid };
		struct ckpt_snap s = { .size = sizeof(s), .pid = pid, .timeout_ms = PATIENCE_MS };

		if (rights())
			_exit(LACKING);
		ret = call(dev, CKPT_ATTACH, &a);
		again = call(dev, CKPT_SNAP, &s);
		if (ret != again || (ret == -EPERM && (a.out_reason != CKPT_REASON_PERMISSION ||
						       s.out_reason != CKPT_REASON_PERMISSION)))
			give_up("attach %d, reason %u; snap %d, reason %u", ret, a.out_reason, again,
				s.out_reason);
		_exit(-ret);
	}
	status = child_status(child);
	if (!WIFEXITED(status))
		give_up("the caller died: %#x", status);
	return -WEXITSTATUS(status);
}

FIXTURE(access) {
	struct target target;
	char dir[32];		/* a file system that lets set-uid programs be */
	char yama[8];
};

FIXTURE_SETUP(access)
{
	/* Its own cases are below. */
	if (get_file_text(YAMA, self->yama, sizeof(self->yama)) > 0)
		ASSERT_TRUE(set_file(YAMA, "0"));
	strcpy(self->dir, "/tmp/ckpt-access-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, mount("ckpt-test", self->dir, "tmpfs", 0, "mode=755"));
}

FIXTURE_TEARDOWN(access)
{
	if (self->target.pid)
		target_kill(&self->target);
	umount2(self->dir, MNT_DETACH);
	rmdir(self->dir);
	if (self->yama[0])
		set_file(YAMA, self->yama);
	EXPECT_TRUE(wait_until(nothing_held()));
}

#define ANSWER(expected, caller, of)							\
	do {										\
		int answer_;								\
		target_begin(&self->target, with_rights, of);				\
		answer_ = answer_to(caller, self->target.pid);				\
		if (answer_ == -LACKING)						\
			SKIP(return, "this kernel has nothing like " #caller);		\
		EXPECT_EQ(expected, answer_);						\
	} while (0)

TEST_F(access, own_program_is_allowed)
{
	ANSWER(0, as_user, as_plain_user);
}

TEST_F(access, program_of_another_user_is_refused)
{
	ANSWER(-EPERM, as_user, as_root);
}

TEST_F(access, program_with_another_group_is_refused)
{
	ANSWER(-EPERM, as_user, in_another_group);
}

TEST_F(access, program_that_could_become_root_again_is_refused)
{
	ANSWER(-EPERM, as_user, with_saved_root);
}

TEST_F(access, program_that_is_not_dumpable_is_refused)
{
	ANSWER(-EPERM, as_user, as_user);
}

TEST_F(access, program_with_capabilities_the_caller_lacks_is_refused)
{
	ANSWER(-EPERM, as_user, with_capabilities);
}

TEST_F(access, capabilities_of_a_user_namespace_do_not_reach_out_of_it)
{
	ANSWER(-EPERM, in_a_user_namespace, as_root);
}

TEST_F(access, root_in_a_landlock_domain_does_not_reach_out_of_it)
{
	ANSWER(-EPERM, in_a_landlock_domain, as_root);
}

TEST_F(access, yama_keeps_those_apart_that_are_not_parent_and_child)
{
	if (!self->yama[0])
		SKIP(return, "this kernel has no Yama");
	ASSERT_TRUE(set_file(YAMA, "1"));
	ANSWER(-EPERM, as_user, as_plain_user);
}

/* ---- programs that are executed ---- */

static void copy_program(const char *dir, char *path, size_t room, mode_t mode)
{
	static char bytes[1 << 20];
	int in = must(open("/bin/sleep", O_RDONLY | O_CLOEXEC));
	ssize_t n = must(read(in, bytes, sizeof(bytes)));
	int out;

	snprintf(path, room, "%s/program", dir);
	out = must(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	must(write(out, bytes, n));
	must(fchmod(out, mode));
	close(out);
	close(in);
}

/* In the target: from one step to the next another program, which stays there. */
struct executed {
	rights_fn *rights;
	char path[64];
};

static void execute(struct target *me, void *arg)
{
	const struct executed *e = arg;

	e->rights();
	target_step(me);
	execl(e->path, "program", "1000", NULL);
}

static bool has_executed(pid_t pid)
{
	char path[32], text[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	return get_file_text(path, text, sizeof(text)) > 0 && !strcmp(text, "program\n");
}

/* A caller of no rights of its own, with a session made before its target executes a program. */
struct holder {
	pid_t pid;
	int answer;		/* to the freeze; shared */
	unsigned int reason;
};

static void hold_session(struct target *me, void *arg)
{
	struct holder *h = arg;
	int dev = ckpt_open(), session;
	struct ckpt_attach a = { .size = sizeof(a), .pid = h->pid };
	struct ckpt_freeze f;

	as_user();
	must(ioctl(dev, CKPT_ATTACH, &a));
	session = a.out_fd;
	target_step(me);
	h->answer = freeze_why(session, PATIENCE_MS, &f);
	h->reason = f.out_reason;
}

/* What the freeze says to one who attached before the exec. */
static struct holder *freeze_after_exec(struct target *t, struct executed *e)
{
	struct holder *h = shared_memory(sizeof(*h));
	struct target caller;

	target_begin(t, execute, e);
	h->pid = t->pid;
	h->answer = 1;
	target_begin(&caller, hold_session, h);
	target_go(t);
	if (!wait_until(has_executed(t->pid)))
		give_up("%s was not executed", e->path);
	if (target_finish(&caller))
		give_up("the caller failed");
	return h;
}

TEST_F(access, exec_of_a_set_uid_program_ends_what_attach_allowed)
{
	struct executed e = { .rights = as_plain_user };
	struct holder *h;

	copy_program(self->dir, e.path, sizeof(e.path), 04755);
	h = freeze_after_exec(&self->target, &e);
	EXPECT_EQ(-EPERM, h->answer);
	EXPECT_EQ(CKPT_REASON_PERMISSION, h->reason);
	EXPECT_EQ(-EPERM, answer_to(as_user, self->target.pid));
	EXPECT_TRUE(wait_until(task_state(self->target.pid, self->target.pid) == 'S'));
}

TEST_F(access, exec_of_a_program_that_cannot_be_read_ends_what_attach_allowed)
{
	struct executed e = { .rights = as_plain_user };
	struct holder *h;

	copy_program(self->dir, e.path, sizeof(e.path), 0711);
	h = freeze_after_exec(&self->target, &e);
	EXPECT_EQ(-EPERM, h->answer);
	EXPECT_EQ(-EPERM, answer_to(as_user, self->target.pid));
}

static int without_new_privileges(void)
{
	as_plain_user();
	return must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* It gained nothing, so nothing is to be kept from the caller: rights count, not mode bits. */
TEST_F(access, exec_of_a_set_uid_program_without_new_privileges_changes_nothing)
{
	struct executed e = { .rights = without_new_privileges };

	copy_program(self->dir, e.path, sizeof(e.path), 04755);
	EXPECT_EQ(0, freeze_after_exec(&self->target, &e)->answer);
}

/* ---- descriptors in other hands ---- */

struct hands {
	int fd;
	int answer;		/* shared */
};

static void freeze_with_it(struct target *me, void *arg)
{
	struct hands *h = arg;

	as_user();
	h->answer = freeze(h->fd);
	target_step(me);
}

TEST_F(access, session_made_by_root_does_not_let_another_user_freeze)
{
	struct hands *h = shared_memory(sizeof(*h));
	struct target other;

	target_begin(&self->target, with_rights, as_root);
	h->fd = attach(self->target.pid);
	target_begin(&other, freeze_with_it, h);
	EXPECT_EQ(-EPERM, h->answer);
	EXPECT_EQ(0, target_finish(&other));
	EXPECT_EQ(0, freeze(h->fd));
	close(h->fd);
}

static void look_at_it(struct target *me, void *arg)
{
	struct hands *h = arg;
	struct ckpt_barrier b;
	struct ckpt_run run;
	char byte;

	as_user();
	if (barrier_why(h->fd, &b) || !run_at(h->fd, NULL, &run))
		_exit(1);
	while (run.kind != CKPT_RUN_DATA)
		if (!run_at(h->fd, (void *)(run.start + run.len), &run))
			_exit(2);
	h->answer = read_at(h->fd, (void *)run.start, &byte, 1);
	target_step(me);
}

/* As of every open file: so it is close-on-exec, and nothing else keeps it from others. */
TEST_F(access, snapshot_is_for_whoever_holds_its_descriptor)
{
	struct hands *h = shared_memory(sizeof(*h));
	struct target other;

	target_begin(&self->target, with_rights, as_root);
	h->fd = snap(self->target.pid, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(h->fd, F_GETFD));
	target_begin(&other, look_at_it, h);
	EXPECT_EQ(1, h->answer);
	EXPECT_EQ(0, target_finish(&other));
	close(h->fd);
}

TEST(device_and_counters_are_for_root_alone)
{
	struct stat st;

	ASSERT_EQ(0, stat(CKPT_DEVICE, &st));
	EXPECT_EQ(S_IFCHR | 0600, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	ASSERT_EQ(0, stat("/sys/kernel/debug/ckpt/counters", &st));
	EXPECT_EQ(S_IFREG | 0400, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	ASSERT_EQ(0, stat("/sys/module/ckpt/parameters/max_state_bytes", &st));
	EXPECT_EQ(S_IFREG | 0644, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
}

TEST_HARNESS_MAIN
