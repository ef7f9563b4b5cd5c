// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules that every ioctl follows, as the uapi header states them, by table: one row a call, one
 * case a rule and row. What a single call does is in the other files.
 */
#include <linux/ckpt.h>		/* first, and so by itself */

#include <kselftest_harness.h>

#include <dirent.h>
#include <stddef.h>

#include "snap.h"

enum kind { DEVICE, SESSION, SNAPSHOT, KINDS };

#define NONE	((size_t)-1)

FIXTURE(ioctl) {
	struct target target;
	int fd[KINDS];
	char *page;		/* the structure lies at its end; behind it nothing is mapped */
	struct ckpt_run run;
};

FIXTURE_VARIANT(ioctl) {
	enum kind kind;
	unsigned long cmd;
	size_t size;
	size_t published;	/* its first size */
	__u32 flags;		/* known */
	size_t reserved[2];	/* offsets of __u32 that must be zero */
	size_t pid;		/* offset of the field, NONE: has none */
	size_t out_fd;
	bool frozen;		/* needs a frozen target */
};

#define ROW(name, kind_, cmd_, type, ...)					\
	FIXTURE_VARIANT_ADD(ioctl, name) {					\
		.kind = kind_, .cmd = cmd_, .size = sizeof(struct type),	\
		.published = sizeof(struct type),				\
		.reserved = { NONE, NONE }, .pid = NONE, .out_fd = NONE,	\
		__VA_ARGS__							\
	}

#pragma GCC diagnostic ignored "-Woverride-init"
ROW(query, DEVICE, CKPT_QUERY, ckpt_query);
ROW(attach, DEVICE, CKPT_ATTACH, ckpt_attach, .pid = offsetof(struct ckpt_attach, pid),
    .out_fd = offsetof(struct ckpt_attach, out_fd), .flags = CKPT_ATTACH_TRACK);
ROW(untrack, DEVICE, CKPT_UNTRACK, ckpt_untrack, .pid = offsetof(struct ckpt_untrack, pid));
ROW(snap, DEVICE, CKPT_SNAP, ckpt_snap, .flags = CKPT_SNAPSHOT_CONSUME | CKPT_SNAPSHOT_TRACK,
    .published = offsetof(struct ckpt_snap, parent), .pid = offsetof(struct ckpt_snap, pid), .out_fd = offsetof(struct ckpt_snap, out_fd));
ROW(freeze, SESSION, CKPT_FREEZE, ckpt_freeze,
    .reserved = { offsetof(struct ckpt_freeze, reserved), NONE });
ROW(thaw, SESSION, CKPT_THAW, ckpt_thaw, .frozen = true);
ROW(steady, SESSION, CKPT_STEADY, ckpt_steady, .frozen = true);
ROW(state, SESSION, CKPT_STATE, ckpt_state, .frozen = true);
ROW(snapshot, SESSION, CKPT_SNAPSHOT, ckpt_snapshot,
    .flags = CKPT_SNAPSHOT_CONSUME | CKPT_SNAPSHOT_TRACK,
    .published = offsetof(struct ckpt_snapshot, parent),
    .reserved = { offsetof(struct ckpt_snapshot, reserved), NONE },
    .out_fd = offsetof(struct ckpt_snapshot, out_fd), .frozen = true);
ROW(map, SNAPSHOT, CKPT_MAP, ckpt_map, .reserved = { offsetof(struct ckpt_map, reserved), NONE });
ROW(barrier, SNAPSHOT, CKPT_BARRIER, ckpt_barrier, .flags = CKPT_BARRIER_SKIP);
ROW(stats, SNAPSHOT, CKPT_STATS, ckpt_stats, .published = offsetof(struct ckpt_stats, out_full));
ROW(commit, SNAPSHOT, CKPT_COMMIT, ckpt_commit, .flags = CKPT_COMMIT_PIN);
ROW(snapshot_state, SNAPSHOT, CKPT_SNAPSHOT_STATE, ckpt_state);

static void sleeper(struct target *me, void *arg)
{
	target_step(me);
}

FIXTURE_SETUP(ioctl)
{
	target_begin(&self->target, sleeper, NULL);
	self->fd[DEVICE] = ckpt_open();
	self->fd[SESSION] = attach_flags(self->target.pid, CKPT_ATTACH_TRACK);
	self->fd[SNAPSHOT] = snap(self->target.pid, 0);
	if (variant->frozen)
		ASSERT_EQ(0, freeze(self->fd[SESSION]));
	self->page = anon_memory(3 * PAGE);
	must(mprotect(self->page + 2 * PAGE, PAGE, PROT_NONE));
}

FIXTURE_TEARDOWN(ioctl)
{
	int i;

	for (i = 0; i < KINDS; i++)
		close(self->fd[i]);
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

/* What can be done once only can be done again: a snapshot to be committed, a tracker that is pinned. */
static void renew(FIXTURE_DATA(ioctl) *self, unsigned long cmd)
{
	struct ckpt_commit c = { .size = sizeof(c), .flags = CKPT_COMMIT_PIN, .id = { 1 } };

	if (cmd != CKPT_COMMIT && cmd != CKPT_UNTRACK)
		return;
	close(self->fd[SNAPSHOT]);
	self->fd[SNAPSHOT] = snap(self->target.pid, CKPT_SNAPSHOT_TRACK);
	if (cmd == CKPT_UNTRACK)
		must(ioctl(self->fd[SNAPSHOT], CKPT_COMMIT, &c));
}

#define REQUEST(size) request(self, variant, size)

/* A valid request of @size bytes, which ends where the memory ends. */
static char *request(FIXTURE_DATA(ioctl) *self, const FIXTURE_VARIANT(ioctl) *v, size_t size)
{
	char *p = self->page + 2 * PAGE - size;
	char whole[PAGE] = {};
	struct ckpt_map *map = (struct ckpt_map *)whole;

	renew(self, v->cmd);
	if (v->cmd == CKPT_COMMIT)
		((struct ckpt_commit *)whole)->id[0] = 1;
	if (v->pid != NONE)
		*(__s32 *)(whole + v->pid) = self->target.pid;
	if (v->cmd == CKPT_MAP) {
		map->runs = (unsigned long)&self->run;
		map->nr = 1;
	}
	((__u32 *)whole)[0] = size;
	memcpy(p, whole, size);
	return p;
}

/* Close the descriptor a call made. */
static void drop(const FIXTURE_VARIANT(ioctl) *v, const char *p)
{
	if (v->out_fd != NONE && *(const __s32 *)(p + v->out_fd) >= 0)
		must(close(*(const __s32 *)(p + v->out_fd)));
}

#define CALL(p) call(self->fd[variant->kind], variant->cmd, p)

TEST_F(ioctl, size_below_the_published_one_is_rejected)
{
	size_t size;

	for (size = 4; size < variant->published; size++)
		ASSERT_EQ(-EINVAL, CALL(REQUEST(size))) TH_LOG("size %zu", size);
	*(__u32 *)REQUEST(4) = 0;
	ASSERT_EQ(-EINVAL, CALL(self->page + 2 * PAGE - 4));
}

TEST_F(ioctl, published_size_is_accepted)
{
	char *p = REQUEST(variant->size);

	ASSERT_EQ(0, CALL(p));
	EXPECT_EQ(variant->size, *(__u32 *)p);
	drop(variant, p);
}

TEST_F(ioctl, larger_size_with_zero_tail_is_accepted)
{
	char *p = REQUEST(variant->size + 24);

	ASSERT_EQ(0, CALL(p));
	EXPECT_EQ(variant->size + 24, *(__u32 *)p);
	drop(variant, p);
	if (variant->cmd == CKPT_FREEZE || variant->cmd == CKPT_THAW)
		return;		/* once only */
	p = REQUEST(variant->size + 1);
	ASSERT_EQ(0, CALL(p));
	drop(variant, p);
}

TEST_F(ioctl, larger_size_with_nonzero_tail_is_rejected)
{
	static const size_t more[] = { 1, 8, 9, 64 };
	unsigned int i;
	char *p;

	for (i = 0; i < ARRAY_SIZE(more); i++) {
		p = REQUEST(variant->size + more[i]);
		p[variant->size + more[i] - 1] = 1;
		ASSERT_EQ(-E2BIG, CALL(p)) TH_LOG("%zu more", more[i]);
		p = REQUEST(variant->size + more[i]);
		p[variant->size] = 0x80;
		ASSERT_EQ(-E2BIG, CALL(p)) TH_LOG("%zu more", more[i]);
	}
}

TEST_F(ioctl, every_unknown_flag_is_rejected)
{
	unsigned int bit;
	char *p;

	for (bit = 0; bit < 32; bit++) {
		if (variant->flags & (1U << bit))
			continue;
		p = REQUEST(variant->size);
		((__u32 *)p)[1] = 1U << bit;
		ASSERT_EQ(-EINVAL, CALL(p)) TH_LOG("flag %u", bit);
		((__u32 *)p)[1] = (1U << bit) | variant->flags;
		ASSERT_EQ(-EINVAL, CALL(p)) TH_LOG("flag %u", bit);
	}
}

TEST_F(ioctl, every_known_flag_is_accepted)
{
	unsigned int bit;
	char *p;

	for (bit = 0; bit < 32; bit++) {
		if (!(variant->flags & (1U << bit)))
			continue;
		p = REQUEST(variant->size);
		((__u32 *)p)[1] = 1U << bit;
		ASSERT_EQ(0, CALL(p)) TH_LOG("flag %u", bit);
		drop(variant, p);
	}
}

TEST_F(ioctl, nonzero_reserved_field_is_rejected)
{
	unsigned int i, bit;
	char *p;

	for (i = 0; i < ARRAY_SIZE(variant->reserved); i++) {
		for (bit = 0; bit < 32 && variant->reserved[i] != NONE; bit += 31) {
			p = REQUEST(variant->size);
			*(__u32 *)(p + variant->reserved[i]) = 1U << bit;
			ASSERT_EQ(-EINVAL, CALL(p));
		}
	}
}

TEST_F(ioctl, other_descriptors_do_not_know_the_call)
{
	int other = must(open("/dev/null", O_RDWR | O_CLOEXEC));
	char *p = REQUEST(variant->size);
	int kind;

	for (kind = 0; kind < KINDS; kind++)
		if (kind != (int)variant->kind)
			EXPECT_EQ(-ENOTTY, call(self->fd[kind], variant->cmd, p));
	EXPECT_EQ(-ENOTTY, call(other, variant->cmd, p));
	close(other);
}

TEST_F(ioctl, number_alone_is_not_the_call)
{
	char *p = REQUEST(variant->size);
	unsigned int nr = _IOC_NR(variant->cmd);
	int fd = self->fd[variant->kind];

	EXPECT_EQ(-ENOTTY, call(fd, _IO(CKPT_IOC_TYPE + 1, nr), p));
	EXPECT_EQ(-ENOTTY, call(fd, _IOC(_IOC_READ, CKPT_IOC_TYPE, nr, variant->size), p));
	EXPECT_EQ(-ENOTTY, call(fd, _IO(CKPT_IOC_TYPE, 0x7f), p));
}

TEST_F(ioctl, unmapped_structure_is_a_fault)
{
	char *p = REQUEST(variant->size);

	EXPECT_EQ(-EFAULT, CALL(NULL));
	EXPECT_EQ(-EFAULT, CALL((void *)-4096L));
	EXPECT_EQ(-EFAULT, CALL(self->page + 2 * PAGE));
	/* It says that it is longer than what is mapped. */
	*(__u32 *)p += 8;
	EXPECT_EQ(-EFAULT, CALL(p));
}

static unsigned int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int nr = 0;

	while (readdir(d))
		nr++;
	closedir(d);
	return nr;
}

TEST_F(ioctl, structure_that_cannot_be_written_is_a_fault_and_changes_nothing)
{
	char *p = REQUEST(variant->size);
	unsigned int fds = open_fds();

	must(mprotect(self->page, 2 * PAGE, PROT_READ));
	ASSERT_EQ(-EFAULT, CALL(p));
	must(mprotect(self->page, 2 * PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(fds, open_fds());
	/* In particular it was neither frozen nor thawed: the same call can be made again. */
	p = REQUEST(variant->size);
	EXPECT_EQ(0, CALL(p));
	drop(variant, p);
}

TEST_F(ioctl, made_descriptor_is_close_on_exec)
{
	char *p = REQUEST(variant->size);

	ASSERT_EQ(0, CALL(p));
	if (variant->out_fd != NONE)
		EXPECT_EQ(FD_CLOEXEC, fcntl(*(__s32 *)(p + variant->out_fd), F_GETFD));
	drop(variant, p);
}

/* ---- layout ---- */

struct field {
	const char *name;
	size_t offset, want;
};

#define F(type, field, at) { #type "." #field, offsetof(struct type, field), at }
#define S(type, len) { "sizeof " #type, sizeof(struct type), len }

static const struct field layout[] = {
	S(ckpt_query, 80), F(ckpt_query, size, 0), F(ckpt_query, flags, 4),
	F(ckpt_query, out_version, 8), F(ckpt_query, out_page_size, 12),
	F(ckpt_query, out_features, 16), F(ckpt_query, out_max_threads, 24),
	F(ckpt_query, out_max_state, 32), F(ckpt_query, out_max_copy, 40),
	F(ckpt_query, out_module_version, 48),
	S(ckpt_attach, 24), F(ckpt_attach, pid, 8), F(ckpt_attach, out_fd, 12),
	F(ckpt_attach, out_reason, 16), F(ckpt_attach, out_tid, 20),
	S(ckpt_snap, 64), F(ckpt_snap, pid, 8), F(ckpt_snap, timeout_ms, 12),
	F(ckpt_snap, out_fd, 16), F(ckpt_snap, out_reason, 20), F(ckpt_snap, out_tid, 24),
	F(ckpt_snap, out_syscall, 28), F(ckpt_snap, out_addr, 32), F(ckpt_snap, parent, 40),
	F(ckpt_snap, out_full, 56),
	S(ckpt_untrack, 24), F(ckpt_untrack, pid, 8), F(ckpt_untrack, out_reason, 12),
	F(ckpt_untrack, out_tid, 16),
	S(ckpt_freeze, 56), F(ckpt_freeze, timeout_ms, 8), F(ckpt_freeze, reserved, 12),
	F(ckpt_freeze, out_threads, 16), F(ckpt_freeze, out_parked, 20),
	F(ckpt_freeze, out_asleep, 24), F(ckpt_freeze, out_woken, 28),
	F(ckpt_freeze, out_reason, 32), F(ckpt_freeze, out_tid, 36),
	F(ckpt_freeze, out_syscall, 40), F(ckpt_freeze, out_freeze_ns, 48),
	S(ckpt_thaw, 16), F(ckpt_thaw, out_pause_ns, 8),
	S(ckpt_state, 48), F(ckpt_state, buf, 8), F(ckpt_state, len, 16), F(ckpt_state, offset, 24),
	F(ckpt_state, out_len, 32), F(ckpt_state, out_total, 40),
	S(ckpt_snapshot, 72), F(ckpt_snapshot, out_fd, 8), F(ckpt_snapshot, out_reason, 12),
	F(ckpt_snapshot, out_tid, 16), F(ckpt_snapshot, out_syscall, 20),
	F(ckpt_snapshot, out_addr, 24), F(ckpt_snapshot, parent, 32),
	F(ckpt_snapshot, out_full, 48), F(ckpt_snapshot, others, 56), F(ckpt_snapshot, nr_others, 64),
	S(ckpt_commit, 24), F(ckpt_commit, id, 8),
	S(ckpt_run, 24), F(ckpt_run, start, 0), F(ckpt_run, len, 8), F(ckpt_run, kind, 16),
	S(ckpt_map, 48), F(ckpt_map, start, 8), F(ckpt_map, runs, 16), F(ckpt_map, nr, 24),
	F(ckpt_map, reserved, 28), F(ckpt_map, out_nr, 32), F(ckpt_map, out_next, 40),
	S(ckpt_barrier, 32), F(ckpt_barrier, out_files, 8), F(ckpt_barrier, out_failed_fd, 12),
	F(ckpt_barrier, out_failed_addr, 16), F(ckpt_barrier, out_ns, 24),
	S(ckpt_stats, 160), F(ckpt_stats, out_pause_ns, 8), F(ckpt_stats, out_barrier_ns, 48),
	F(ckpt_stats, out_threads, 56), F(ckpt_stats, out_woken, 68),
	F(ckpt_stats, out_retries, 72), F(ckpt_stats, out_canceled, 76),
	F(ckpt_stats, out_armed, 80), F(ckpt_stats, out_copied, 96),
	F(ckpt_stats, out_state_bytes, 120), F(ckpt_stats, out_full, 128),
	F(ckpt_stats, out_parent, 136), F(ckpt_stats, out_uncovered, 152),
	S(ckpt_record, 8), F(ckpt_record, type, 0), F(ckpt_record, len, 4),
	S(ckpt_rec_system, 200), F(ckpt_rec_system, page_size, 32), F(ckpt_rec_system, release, 40),
	F(ckpt_rec_system, machine, 104), F(ckpt_rec_system, module_version, 168),
	S(ckpt_rec_proc, 88), F(ckpt_rec_proc, flags, 16), F(ckpt_rec_proc, umask, 36),
	F(ckpt_rec_proc, mnt_ns, 56), F(ckpt_rec_proc, time_ns, 84),
	S(ckpt_rec_mm, 112), F(ckpt_rec_mm, brk, 40), F(ckpt_rec_mm, vdso, 88),
	F(ckpt_rec_mm, auxv_len, 104),
	S(ckpt_file_id, 72), F(ckpt_file_id, size, 24), F(ckpt_file_id, mode, 48),
	S(ckpt_rec_path, 88), F(ckpt_rec_path, id, 8), F(ckpt_rec_path, path_len, 80),
	S(ckpt_rec_vma, 128), F(ckpt_rec_vma, page_size, 40), F(ckpt_rec_vma, id, 48),
	F(ckpt_rec_vma, file_flags, 120), F(ckpt_rec_vma, path_len, 124),
	S(ckpt_rec_fd, 120), F(ckpt_rec_fd, pos, 16), F(ckpt_rec_fd, id, 40),
	F(ckpt_rec_fd, path_len, 112), F(ckpt_rec_fd, info_len, 116),
	S(ckpt_rec_lock, 32), F(ckpt_rec_lock, start, 16),
	S(ckpt_rec_sigaction, 32), S(ckpt_rec_sigpending, 144), F(ckpt_rec_sigpending, info, 16),
	S(ckpt_rec_itimer, 16), S(ckpt_rec_posix_timer, 56), F(ckpt_rec_posix_timer, sigval, 16),
	F(ckpt_rec_posix_timer, value_ns, 32), F(ckpt_rec_posix_timer, flags, 48),
	S(ckpt_rec_rlimit, 16), S(ckpt_rec_thread, 208), F(ckpt_rec_thread, sigmask, 16),
	F(ckpt_rec_thread, syscall_nr, 52), F(ckpt_rec_thread, restart_args, 72),
	F(ckpt_rec_thread, rseq, 120), F(ckpt_rec_thread, comm, 192),
	S(ckpt_rec_creds, 88), F(ckpt_rec_creds, cap_inheritable, 48),
	S(ckpt_rec_tcp, 120), F(ckpt_rec_tcp, local, 16), F(ckpt_rec_tcp, send_unacked, 60),
	F(ckpt_rec_tcp, mss, 96), F(ckpt_rec_tcp, recv_len, 108), F(ckpt_rec_tcp, send_next, 112),
	S(ckpt_rec_regset, 16), S(ckpt_rec_cpus, 8), S(ckpt_rec_end, 16), S(ckpt_rec_guard, 16),
	S(ckpt_rec_semundo, 8),
};

TEST(structures_have_their_published_layout)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(layout); i++) {
		const struct field *f = &layout[i];

		EXPECT_EQ(f->want, f->offset)
			fprintf(stderr, "# %s\n", f->name);
	}
}

TEST(numbers_are_the_published_ones)
{
	EXPECT_EQ(0xbc00UL, CKPT_QUERY);
	EXPECT_EQ(0xbc01UL, CKPT_ATTACH);
	EXPECT_EQ(0xbc02UL, CKPT_SNAP);
	EXPECT_EQ(0xbc03UL, CKPT_UNTRACK);
	EXPECT_EQ(0xbc10UL, CKPT_FREEZE);
	EXPECT_EQ(0xbc11UL, CKPT_THAW);
	EXPECT_EQ(0xbc12UL, CKPT_STATE);
	EXPECT_EQ(0xbc13UL, CKPT_SNAPSHOT);
	EXPECT_EQ(0xbc14UL, CKPT_STEADY);
	EXPECT_EQ(0xbc20UL, CKPT_MAP);
	EXPECT_EQ(0xbc21UL, CKPT_BARRIER);
	EXPECT_EQ(0xbc22UL, CKPT_STATS);
	EXPECT_EQ(0xbc23UL, CKPT_SNAPSHOT_STATE);
	EXPECT_EQ(0xbc24UL, CKPT_COMMIT);
	EXPECT_EQ(1, CKPT_UAPI_VERSION);
	EXPECT_EQ(17, CKPT_REASON_LEASE);
	EXPECT_EQ(18, CKPT_REASON_GUARD);
	EXPECT_EQ(17, CKPT_REC_END);
	EXPECT_EQ(18, CKPT_REC_MEMPOLICY);
	EXPECT_EQ(21, CKPT_REC_TCP);
	EXPECT_EQ(22, CKPT_REC_SECCOMP);
	EXPECT_EQ(23, CKPT_REC_GUARD);
	EXPECT_EQ(24, CKPT_REC_SEMUNDO);
	EXPECT_EQ(6, CKPT_FULL_WATCH);
	EXPECT_EQ(5, CKPT_RUN_PARENT);
	EXPECT_EQ(6, CKPT_RUN_OTHER);
}

/* By the compiler of the machine, each language by itself, nothing included before. */
static int compile(const char *compiler, const char *language)
{
	const char *top = getenv("CKPT_TOP") ?: ".";
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "command -v %s >/dev/null || exit 77; "
		 "printf '#include <linux/ckpt.h>\\n#include <linux/ckpt.h>\\n' | "
		 "%s -I%s/uapi -Wall -Wextra -Werror -fsyntax-only -x %s -", compiler, compiler,
		 top, language);
	return WEXITSTATUS(must(system(cmd)));
}

TEST(header_stands_alone_in_c)
{
	int status = compile("gcc", "c -ansi");

	if (status == 77)
		SKIP(return, "no C compiler");
	EXPECT_EQ(0, status);
}

TEST(header_stands_alone_in_cplusplus)
{
	int status = compile("g++", "c++");

	if (status == 77)
		SKIP(return, "no C++ compiler");
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
