// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state record parser: a stream as the module writes it becomes the model it describes, and
 * nothing else is taken: missing, doubled, cut, overlapping or inconsistent records are refused,
 * and no damage makes it read or write where it must not (the sanitized build tells).
 */
#include <errno.h>
#include <sys/user.h>

#include "err.h"
#include "state.h"
#include "tap.h"

#define STREAM_MAX	(64 << 10)
#define XSTATE_LEN	832

struct stream {
	unsigned char	buf[STREAM_MAX];
	size_t		len;
	uint64_t	records;
};

static void put(struct stream *s, uint32_t type, const void *fixed, size_t fixed_len,
		const void *rest, size_t rest_len)
{
	struct ckpt_record head = { .type = type, .len = fixed_len + rest_len };
	size_t padded = (fixed_len + rest_len + 7) & ~7ul;

	REQUIRE(s->len + sizeof(head) + padded <= sizeof(s->buf));
	memset(s->buf + s->len, 0, sizeof(head) + padded);
	memcpy(s->buf + s->len, &head, sizeof(head));
	memcpy(s->buf + s->len + sizeof(head), fixed, fixed_len);
	if (rest_len)
		memcpy(s->buf + s->len + sizeof(head) + fixed_len, rest, rest_len);
	s->len += sizeof(head) + padded;
	s->records++;
}

static void put_system(struct stream *s)
{
	struct ckpt_rec_system sys = { .page_size = 4096, .release = "6.1.0", .machine = "x86_64" };

	put(s, CKPT_REC_SYSTEM, &sys, sizeof(sys), NULL, 0);
}

static void put_proc(struct stream *s, uint32_t threads)
{
	struct ckpt_rec_proc proc = { .pid = 100, .nr_threads = threads };

	put(s, CKPT_REC_PROC, &proc, sizeof(proc), NULL, 0);
}

static void put_mm(struct stream *s)
{
	static const uint64_t auxv[] = { 6, 4096, 0, 0 };
	struct ckpt_rec_mm mm = { .auxv_len = sizeof(auxv), .brk = 0x5000 };

	put(s, CKPT_REC_MM, &mm, sizeof(mm), auxv, sizeof(auxv));
}

static void put_arrays(struct stream *s)
{
	struct ckpt_rec_sigaction sa[64] = { [9] = { .handler = 0x1234 } };
	struct ckpt_rec_itimer it[3] = { { .value_ns = 5 } };
	struct ckpt_rec_rlimit rl[16] = { [7] = { 1024, 4096 } };

	put(s, CKPT_REC_SIGACTIONS, sa, sizeof(sa), NULL, 0);
	put(s, CKPT_REC_ITIMERS, it, sizeof(it), NULL, 0);
	put(s, CKPT_REC_RLIMITS, rl, sizeof(rl), NULL, 0);
}

static void put_path(struct stream *s, uint32_t what, const char *path)
{
	struct ckpt_rec_path rec = { .what = what, .path_len = strlen(path) };

	put(s, CKPT_REC_PATH, &rec, sizeof(rec), path, strlen(path));
}

static void put_flagged_vma(struct stream *s, uint64_t start, uint64_t end, uint64_t flags, const char *path)
{
	struct ckpt_rec_vma rec = {
		.start = start, .end = end, .flags = flags, .page_size = 4096,
		.path_len = strlen(path),
	};

	put(s, CKPT_REC_VMA, &rec, sizeof(rec), path, strlen(path));
}

static void put_vma(struct stream *s, uint64_t start, uint64_t end, const char *path)
{
	put_flagged_vma(s, start, end, CKPT_VMA_READ, path);
}

static void put_fd(struct stream *s, int fd, const char *path, const char *info)
{
	char text[256];
	struct ckpt_rec_fd rec = {
		.fd = fd, .kind = CKPT_FDK_REG, .file = 1, .path_len = strlen(path),
		.info_len = strlen(info),
	};

	snprintf(text, sizeof(text), "%s%s", path, info);
	put(s, CKPT_REC_FD, &rec, sizeof(rec), text, strlen(text));
}

static void put_lock(struct stream *s, int fd)
{
	struct ckpt_rec_lock rec = { .fd = fd, .kind = CKPT_LOCK_POSIX, .end = INT64_MAX };

	put(s, CKPT_REC_LOCK, &rec, sizeof(rec), NULL, 0);
}

static void put_pending(struct stream *s, int tid, int signo)
{
	struct ckpt_rec_sigpending rec = { .tid = tid, .signo = signo };

	put(s, CKPT_REC_SIGPENDING, &rec, sizeof(rec), NULL, 0);
}

static void put_policy(struct stream *s, int tid, uint64_t start)
{
	static const uint64_t nodes[] = { 5 };
	struct ckpt_rec_mempolicy rec = { .tid = tid, .start = start, .mode = 2, .nr_words = 1 };

	put(s, CKPT_REC_MEMPOLICY | CKPT_REC_MUST, &rec, sizeof(rec), nodes, sizeof(nodes));
}

/* @like: no filter of its own. */
static void put_filter(struct stream *s, int tid, uint32_t index, uint32_t nr, int like)
{
	static const struct sock_filter insns[] = { { .code = 6, .k = 0x7fff0000 }, { .code = 6 } };
	const struct ckpt_rec_seccomp rec = { .tid = tid, .like = like, .index = index, .nr = nr,
					      .len = like ? 0 : 2 };

	put(s, CKPT_REC_SECCOMP | CKPT_REC_MUST, &rec, sizeof(rec), insns, like ? 0 : sizeof(insns));
}

/* With so many sequence numbers more to send, and received, than there are bytes; @sent of them were sent. */
static void put_tcp(struct stream *s, uint32_t state, uint32_t to_send, uint32_t come, uint32_t sent)
{
	static const char bytes[] = "to sendcome";
	const struct ckpt_rec_tcp rec = {
		.ino = 7, .state = state, .send_unacked = 0xfffffffe, .send_end = 0xfffffffe + 7 + to_send,
		.send_next = 0xfffffffe + sent,
		.recv_read = 0xfffffffe, .recv_next = 0xfffffffe + 4 + come, .send_len = 7, .recv_len = 4,
	};

	put(s, CKPT_REC_TCP | CKPT_REC_MUST, &rec, sizeof(rec), bytes, 11);
}

static void put_thread(struct stream *s, int tid)
{
	static const uint32_t groups[] = { 4, 24, 27 };
	static const unsigned char zeros[XSTATE_LEN];
	static const uint64_t cpus[] = { 3 };
	struct user_regs_struct regs = { .rip = 0x4000 + tid };
	struct ckpt_rec_thread t = { .tid = tid, .run = CKPT_TRUN_PARKED, .comm = "worker" };
	struct ckpt_rec_creds c = { .tid = tid, .uid = 7, .nr_groups = 3 };
	struct ckpt_rec_regset rs = { .tid = tid, .note = 1, .len = sizeof(regs) };
	struct ckpt_rec_cpus cp = { .tid = tid, .nr_words = 1 };

	put(s, CKPT_REC_THREAD, &t, sizeof(t), NULL, 0);
	put(s, CKPT_REC_CREDS, &c, sizeof(c), groups, sizeof(groups));
	put(s, CKPT_REC_REGSET, &rs, sizeof(rs), &regs, sizeof(regs));
	rs.note = 0x202;
	rs.len = sizeof(zeros);
	put(s, CKPT_REC_REGSET, &rs, sizeof(rs), zeros, sizeof(zeros));
	put(s, CKPT_REC_CPUS, &cp, sizeof(cp), cpus, sizeof(cpus));
	put_policy(s, tid, 0);
	if (tid == 101) {
		put_filter(s, tid, 1, 2, 0);	/* sorted by the parser */
		put_filter(s, tid, 0, 2, 0);
	}
}

static void put_end(struct stream *s)
{
	struct ckpt_rec_end end = { .records = s->records, .bytes = s->len };

	put(s, CKPT_REC_END, &end, sizeof(end), NULL, 0);
}

/* The parts of a stream that a test may want to leave out or do differently. */
enum { NO_SYSTEM = 1, NO_PROC = 2, NO_MM = 4, NO_ARRAYS = 8, NO_THREADS = 16, NO_END = 32 };

static void begin(struct stream *s, unsigned int without)
{
	memset(s, 0, sizeof(*s));
	if (!(without & NO_SYSTEM))
		put_system(s);
	if (!(without & NO_PROC))
		put_proc(s, 2);
	if (!(without & NO_MM))
		put_mm(s);
	if (!(without & NO_ARRAYS))
		put_arrays(s);
	put_path(s, CKPT_PATH_EXE, "/bin/prog");
	put_path(s, CKPT_PATH_CWD, "/tmp");
	put_vma(s, 0x400000, 0x402000, "/bin/prog");
	put_vma(s, 0x402000, 0x403000, "");
	put_policy(s, 0, 0x402000);
	put_fd(s, 5, "/tmp/out", "pos:\t0\n");
	put_fd(s, 1, "/tmp/log", "");
	put_tcp(s, 1, 0, 0, 3);
	put_lock(s, 5);
	if (!(without & NO_THREADS)) {
		put_thread(s, 100);
		put_thread(s, 101);
	}
}

static void finish(struct stream *s, unsigned int without)
{
	put_pending(s, without & NO_THREADS ? 0 : 101, 34);
	put_pending(s, 0, 10);
	if (!(without & NO_END))
		put_end(s);
}

static int parse(const struct stream *s)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct ckpt_model *m = NULL;
	unsigned char *exact = malloc(s->len ? s->len : 1);
	int ret;

	/* So that a byte beyond the end is beyond the allocation. */
	memcpy(exact, s->buf, s->len);
	ret = ckpt_model_parse(exact, s->len, &err, &m);
	free(exact);
	if (ret) {
		REQUIRE_EQ(-ret, err.code);
		REQUIRE(err.text[0]);
	} else {
		ckpt_model_free(m);
	}
	return ret;
}

/* --------------------------------------------------------------------------------------------- */

static void stream_becomes_its_model(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	static struct stream s;
	struct ckpt_model *m;

	begin(&s, 0);
	finish(&s, 0);
	REQUIRE_OK(ckpt_model_parse(s.buf, s.len, &err, &m), err);
	memset(s.buf, 0xff, sizeof(s.buf));	/* the model has copies */
	REQUIRE(!strcmp(m->system.release, "6.1.0"));
	REQUIRE_EQ(m->proc.pid, 100);
	REQUIRE_EQ(m->auxv[1], 4096);
	REQUIRE(!strcmp(m->paths[CKPT_PATH_CWD].path, "/tmp"));
	REQUIRE(!m->paths[CKPT_PATH_ROOT].present);
	REQUIRE_EQ(m->nr_vmas, 2);
	REQUIRE(!m->vmas[1].path);
	REQUIRE(ckpt_model_vma(m, 0x401fff) == &m->vmas[0]);
	REQUIRE(ckpt_model_vma(m, 0x402000) == &m->vmas[1]);
	REQUIRE(!ckpt_model_vma(m, 0x403000));
	REQUIRE(!ckpt_model_vma(m, 0x3fffff));
	REQUIRE_EQ(m->nr_fds, 2);
	REQUIRE_EQ(m->fds[0].rec.fd, 1);	/* sorted */
	REQUIRE(!strcmp(ckpt_model_fd(m, 5)->info, "pos:\t0\n"));
	REQUIRE(!strcmp(ckpt_model_fd(m, 5)->path, "/tmp/out"));
	REQUIRE(!ckpt_model_fd(m, 2));
	REQUIRE_EQ(m->locks[0].fd, 5);
	REQUIRE_EQ(m->sigactions[9].handler, 0x1234);
	REQUIRE_EQ(m->rlimits[7].max, 4096);
	REQUIRE_EQ(m->nr_sigpending, 2);
	REQUIRE_EQ(m->sigpending[0].signo, 34);
	REQUIRE_EQ(m->nr_threads, 2);
	REQUIRE_EQ(m->threads[1].groups[2], 27);
	REQUIRE_EQ(m->threads[1].cpus[0], 3);
	REQUIRE_EQ(m->nr_policies, 3);
	REQUIRE(m->nr_tcps == 1 && m->tcps[0].rec.ino == 7 && !memcmp(m->tcps[0].send, "to send", 7) &&
		!memcmp(m->tcps[0].recv, "come", 4));
	REQUIRE_EQ(m->policies[0].rec.start, 0x402000);
	REQUIRE_EQ(m->policies[2].rec.tid, 101);
	REQUIRE_EQ(m->policies[2].nodes[0], 5);
	REQUIRE_EQ(m->threads[1].xstate_len, XSTATE_LEN);
	REQUIRE_EQ(((struct user_regs_struct *)m->threads[1].prstatus)->rip, 0x4000 + 101);
	REQUIRE(ckpt_model_thread(m, 101) == &m->threads[1]);
	ckpt_model_free(m);
}

static void missing_parts_are_refused(void)
{
	static struct stream s;

	for (unsigned int without = 1; without < 64; without++) {
		begin(&s, without);
		finish(&s, without);
		REQUIRE_EQ(parse(&s), -EINVAL);
	}
}

static void every_cut_is_refused(void)
{
	static struct stream whole, s;

	begin(&whole, 0);
	finish(&whole, 0);
	for (size_t len = 0; len < whole.len; len++) {
		s = whole;
		s.len = len;
		REQUIRE_EQ(parse(&s), -EINVAL);
	}
}

static void unknown_record_is_skipped(void)
{
	static struct stream s;

	begin(&s, 0);
	put(&s, 999, "what a newer module may say", 27, NULL, 0);
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), 0);
}

static void unknown_record_that_must_be_understood_is_refused(void)
{
	static struct stream s;

	begin(&s, 0);
	put(&s, 999 | CKPT_REC_MUST, "x", 1, NULL, 0);
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EOPNOTSUPP);
}

static void known_record_that_must_be_understood_is_taken(void)
{
	struct ckpt_rec_lock lock = { .fd = 5, .kind = CKPT_LOCK_FLOCK, .end = 1 };
	static struct stream s;

	begin(&s, 0);
	put(&s, CKPT_REC_LOCK | CKPT_REC_MUST, &lock, sizeof(lock), NULL, 0);
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), 0);
}

static void longer_record_is_taken_when_the_rest_is_zero(void)
{
	struct ckpt_rec_lock lock = { .fd = 5, .kind = CKPT_LOCK_FLOCK, .end = 1 };
	static const unsigned char zeros[24], late[24] = { [23] = 1 };
	static struct stream s;

	begin(&s, 0);
	put(&s, CKPT_REC_LOCK, &lock, sizeof(lock), zeros, sizeof(zeros));
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), 0);
	begin(&s, 0);
	put(&s, CKPT_REC_LOCK, &lock, sizeof(lock), late, sizeof(late));
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
}

static void padding_must_be_zero(void)
{
	static struct stream s;
	size_t at;

	begin(&s, 0);
	at = s.len;
	put(&s, 999, "abc", 3, NULL, 0);
	finish(&s, 0);
	s.buf[at + sizeof(struct ckpt_record) + 3] = 1;
	REQUIRE_EQ(parse(&s), -EINVAL);
}

static void doubled_records_are_refused(void)
{
	static void (* const again[])(struct stream *) = { put_system, put_mm, put_arrays };
	static struct stream s;

	for (size_t i = 0; i < sizeof(again) / sizeof(*again); i++) {
		begin(&s, 0);
		again[i](&s);
		finish(&s, 0);
		REQUIRE_EQ(parse(&s), -EINVAL);
	}
	begin(&s, 0);
	put_path(&s, CKPT_PATH_CWD, "/");
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put_fd(&s, 5, "/again", "");
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	finish(&s, 0);
	put_end(&s);
	REQUIRE_EQ(parse(&s), -EINVAL);
}

static void impossible_mappings_are_refused(void)
{
	static const struct {
		uint64_t start, end;
	} bad[] = {
		{ 0x402000, 0x404000 },		/* overlaps */
		{ 0x1000, 0x2000 },		/* out of order */
		{ 0x500000, 0x500000 },		/* empty */
		{ 0x501000, 0x500000 },
		{ 0x500100, 0x501000 },		/* not aligned */
		{ 0x500000, 0x501001 },
		{ 0x500000, ~0xfffull },	/* kernel */
	};
	static struct stream s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		begin(&s, 0);
		put_vma(&s, bad[i].start, bad[i].end, "");
		finish(&s, 0);
		REQUIRE_EQ(parse(&s), -EINVAL);
	}
}

static void strangers_are_refused(void)
{
	static struct stream s;

	begin(&s, 0);
	put_lock(&s, 6);			/* a descriptor that is not open */
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put_pending(&s, 102, 10);		/* a thread that is not there */
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put_policy(&s, 102, 0);
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put_policy(&s, 0, 0x401000);		/* not where a mapping begins */
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put_pending(&s, 0, 65);
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put_thread(&s, 102);			/* a third of two */
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, NO_THREADS);
	put_thread(&s, 100);
	put_thread(&s, 100);			/* one twice */
	finish(&s, NO_THREADS);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, NO_THREADS);
	put_thread(&s, 101);			/* the leader is not first */
	put_thread(&s, 100);
	finish(&s, NO_THREADS);
	REQUIRE_EQ(parse(&s), -EINVAL);
}

static void text_with_a_nul_inside_is_refused(void)
{
	struct ckpt_rec_path rec = { .what = CKPT_PATH_ROOT, .path_len = 4 };
	static struct stream s;

	begin(&s, 0);
	put(&s, CKPT_REC_PATH, &rec, sizeof(rec), "/a\0b", 4);
	finish(&s, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
}

/* A FIN counts, and there is one in some states alone. */
static void connections_that_lack_bytes_are_refused(void)
{
	static const struct {
		uint32_t state, to_send, come, sent;
		int ret;
	} cases[] = {
		{ 1, 0, 1, 0, -EINVAL }, { 1, 1, 0, 0, -EINVAL }, { 1, -1, 0, 0, -EINVAL },
		{ 1, 0, -1, 0, -EINVAL }, { 4, 1, 0, 0, 0 }, { 4, 2, 0, 0, -EINVAL },
		{ 4, 0, 1, 0, -EINVAL }, { 8, 0, 1, 0, 0 }, { 8, 1, 0, 0, -EINVAL }, { 9, 1, 1, 0, 0 },
		{ 9, 1, 2, 0, -EINVAL }, { 0, 0, 0, 0, -EINVAL }, { 13, 0, 0, 0, -EINVAL }, { 7, 5, 5, 0, 0 },
		{ 1, 0, 0, 7, 0 }, { 1, 0, 0, 8, -EINVAL }, { 1, 0, 0, -1, -EINVAL }, { 4, 1, 0, 8, 0 },
	};
	static struct stream s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		begin(&s, 0);
		put_tcp(&s, cases[i].state, cases[i].to_send, cases[i].come, cases[i].sent);
		finish(&s, 0);
		REQUIRE_EQ(parse(&s), cases[i].ret);
	}
}

static void lengths_beyond_the_record_are_refused(void)
{
	struct ckpt_rec_tcp tcp = { .state = 7, .recv_len = UINT32_MAX };
	struct ckpt_rec_path path = { .what = CKPT_PATH_ROOT, .path_len = UINT32_MAX };
	struct ckpt_rec_regset rs = { .tid = 100, .note = 0x202, .len = UINT32_MAX };
	struct ckpt_rec_cpus cp = { .tid = 100, .nr_words = UINT32_MAX };
	struct ckpt_rec_creds c = { .tid = 100, .nr_groups = UINT32_MAX };
	struct ckpt_rec_mempolicy mp = { .tid = 100, .nr_words = UINT32_MAX };
	struct ckpt_rec_semundo su = { .nr = UINT32_MAX };
	static struct stream s;

	begin(&s, 0);
	put(&s, CKPT_REC_PATH, &path, sizeof(path), "/", 1);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put(&s, CKPT_REC_REGSET, &rs, sizeof(rs), NULL, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put(&s, CKPT_REC_CPUS, &cp, sizeof(cp), NULL, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put(&s, CKPT_REC_CREDS, &c, sizeof(c), NULL, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put(&s, CKPT_REC_MEMPOLICY, &mp, sizeof(mp), NULL, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put(&s, CKPT_REC_SEMUNDO, &su, sizeof(su), NULL, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
	begin(&s, 0);
	put(&s, CKPT_REC_TCP, &tcp, sizeof(tcp), NULL, 0);
	REQUIRE_EQ(parse(&s), -EINVAL);
}

/* Of thread 100, the leader. */
static int parse_filters(const uint32_t (*v)[3], size_t nr)
{
	static struct stream s;

	begin(&s, 0);
	for (size_t i = 0; i < nr; i++)
		put_filter(&s, 100, v[i][0], v[i][1], (int)v[i][2]);
	finish(&s, 0);
	return parse(&s);
}

static void filters_that_are_not_all_there_are_refused(void)
{
	static const uint32_t one[][3] = { { 0, 1, 0 } }, three[][3] = { { 2, 3, 0 }, { 0, 3, 0 }, { 1, 3, 0 } };
	static const uint32_t gap[][3] = { { 2, 3, 0 }, { 0, 3, 0 } }, twice[][3] = { { 0, 2, 0 }, { 0, 2, 0 } };
	static const uint32_t more[][3] = { { 0, 1, 0 }, { 1, 1, 0 } }, other[][3] = { { 0, 2, 0 }, { 1, 3, 0 } };
	static const uint32_t self[][3] = { { 0, 0, 100 } }, nobody[][3] = { { 0, 0, 999 } };

	REQUIRE_EQ(parse_filters(one, 1), 0);
	REQUIRE_EQ(parse_filters(three, 3), 0);
	REQUIRE_EQ(parse_filters(gap, 2), -EINVAL);
	REQUIRE_EQ(parse_filters(twice, 2), -EINVAL);
	REQUIRE_EQ(parse_filters(more, 2), -EINVAL);
	REQUIRE_EQ(parse_filters(other, 2), -EINVAL);
	REQUIRE_EQ(parse_filters(self, 1), -EINVAL);
	REQUIRE_EQ(parse_filters(nobody, 1), -EINVAL);
}

/* In mappings 0x10000000-0x10008000, which may have such, the same behind it, and the next, which may not. */
static int parse_guards(const uint64_t (*v)[2], size_t nr)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct ckpt_model *model;
	static struct stream s;
	size_t found;
	int r;

	begin(&s, 0);
	put_flagged_vma(&s, 0x10000000, 0x10008000, CKPT_VMA_GUARDS, "");
	put_flagged_vma(&s, 0x10008000, 0x10010000, CKPT_VMA_GUARDS, "");
	put_vma(&s, 0x10010000, 0x10018000, "");
	for (size_t i = 0; i < nr; i++) {
		const struct ckpt_rec_guard g = { v[i][0], v[i][1] };

		put(&s, CKPT_REC_GUARD | CKPT_REC_MUST, &g, sizeof(g), NULL, 0);
	}
	finish(&s, 0);
	r = ckpt_model_parse(s.buf, s.len, &err, &model);
	if (r)
		return r;
	/* Those of the first. */
	ckpt_model_guards(model, &ckpt_model_vma(model, 0x10000000)->rec, &found);
	ckpt_model_free(model);
	return (int)found;
}

static void guards_are_of_one_mapping_in_order(void)
{
	static const uint64_t good[][2] = {
		{ 0x10000000, 0x10001000 }, { 0x10007000, 0x10008000 }, { 0x10008000, 0x10009000 },
	};
	static const uint64_t across[][2] = { { 0x10007000, 0x10009000 } }, empty[][2] = { { 0x10001000, 0x10001000 } };
	static const uint64_t nowhere[][2] = { { 0x20000000, 0x20001000 } }, odd[][2] = { { 0x10001000, 0x10001800 } };
	static const uint64_t unmarked[][2] = { { 0x10010000, 0x10011000 } };
	static const uint64_t twice[][2] = { { 0x10001000, 0x10003000 }, { 0x10002000, 0x10004000 } };

	REQUIRE_EQ(parse_guards(good, 3), 2);
	REQUIRE_EQ(parse_guards(good, 0), 0);
	REQUIRE_EQ(parse_guards(good + 2, 1), 0);
	REQUIRE_EQ(parse_guards(across, 1), -EINVAL);
	REQUIRE_EQ(parse_guards(empty, 1), -EINVAL);
	REQUIRE_EQ(parse_guards(nowhere, 1), -EINVAL);
	REQUIRE_EQ(parse_guards(odd, 1), -EINVAL);
	REQUIRE_EQ(parse_guards(unmarked, 1), -EINVAL);
	REQUIRE_EQ(parse_guards(twice, 2), -EINVAL);
}

/* Any bit may be wrong: the parser may take it or refuse it, but must not fall over it. */
static void no_flipped_bit_does_harm(void)
{
	static struct stream whole, s;

	begin(&whole, 0);
	finish(&whole, 0);
	for (size_t bit = 0; bit < whole.len * 8; bit += TAP_SANITIZED ? 3 : 1) {
		s = whole;
		s.buf[bit / 8] ^= 1 << (bit % 8);
		parse(&s);
	}
}

static void no_random_damage_does_harm(void)
{
	unsigned int rounds = tap_count(20000, 400000);
	static struct stream whole, s;

	begin(&whole, 0);
	finish(&whole, 0);
	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int hits = 1 + rnd_below(8);

		s = whole;
		while (hits--) {
			size_t at = rnd_below(s.len / 4) * 4;
			uint32_t word = rnd_below(2) ? rnd() : rnd_below(2) ? UINT32_MAX : rnd_below(300);

			memcpy(s.buf + at, &word, sizeof(word));
		}
		if (!rnd_below(4))
			s.len = rnd_below(s.len + 1);
		parse(&s);
	}
}

static const struct tap_test tests[] = {
	{ "stream_becomes_its_model", stream_becomes_its_model },
	{ "missing_parts_are_refused", missing_parts_are_refused },
	{ "every_cut_is_refused", every_cut_is_refused },
	{ "unknown_record_is_skipped", unknown_record_is_skipped },
	{ "unknown_record_that_must_be_understood_is_refused",
	  unknown_record_that_must_be_understood_is_refused },
	{ "known_record_that_must_be_understood_is_taken",
	  known_record_that_must_be_understood_is_taken },
	{ "longer_record_is_taken_when_the_rest_is_zero",
	  longer_record_is_taken_when_the_rest_is_zero },
	{ "padding_must_be_zero", padding_must_be_zero },
	{ "doubled_records_are_refused", doubled_records_are_refused },
	{ "impossible_mappings_are_refused", impossible_mappings_are_refused },
	{ "strangers_are_refused", strangers_are_refused },
	{ "text_with_a_nul_inside_is_refused", text_with_a_nul_inside_is_refused },
	{ "connections_that_lack_bytes_are_refused", connections_that_lack_bytes_are_refused },
	{ "lengths_beyond_the_record_are_refused", lengths_beyond_the_record_are_refused },
	{ "filters_that_are_not_all_there_are_refused", filters_that_are_not_all_there_are_refused },
	{ "guards_are_of_one_mapping_in_order", guards_are_of_one_mapping_in_order },
	{ "no_flipped_bit_does_harm", no_flipped_bit_does_harm },
	{ "no_random_damage_does_harm", no_random_damage_does_harm },
};

int main(void)
{
	return tap_main(tests, sizeof(tests) / sizeof(*tests));
}
