/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The processes of ioctl_fuzz.c that call: their descriptors, one call, and one after the other.
 *
 * struct run is one such process; struct common is shared by all. Descriptors lie in slots that any
 * thread takes from, puts to and closes at any time, so a call may meet one that is being closed,
 * or another under the same number.
 */
#ifndef KERNEL_TEST_FUZZ_CALL_H
#define KERNEL_TEST_FUZZ_CALL_H

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "fuzz_input.h"
#include "fuzz_target.h"
#include "kcov.h"

#define RUNS	2		/* processes that call */
#define THREADS	3		/* of each */
#define SLOTS	40
#define KEPT	512
#define ANSWERS	(1 << 14)
#define BABIES	3		/* forked processes at a time */

/* Of all processes. */
struct common {
	volatile bool stop;
	volatile unsigned int babies;
	pid_t pid[RUNS];
	struct life *life[WHO_TARGETS];
	pid_t target[WHO_TARGETS];
	unsigned long calls[OPS], good[OPS];
	volatile int now[RUNS][THREADS];	/* the call that a thread is in, 1 + enum op */
	unsigned int answers;
	uint64_t answer[ANSWERS];		/* hashed, 0: free */
	unsigned int kept;			/* ever; the last KEPT of them are there */
	struct input keep[KEPT];
	struct kcov_seen seen;
};

static struct common *all;

/* A process that calls: its descriptors, and memory for structures that all its threads use. */
static struct run {
	unsigned int nr;
	int first_fd;			/* lower ones are not played with */
	int fd[SLOTS];			/* -1: free */
	int kind[SLOTS];
	int mail[2];
	struct arena common;
	struct worker {
		unsigned int nr;
		uint64_t rng;
		struct arena arena;
		struct kcov kcov;
		int pipe[2];
		uint64_t known[16];	/* addresses that had content */
	} worker[THREADS];
} run;

/* ---- descriptors ---- */

/*
 * Another thread may close it meanwhile: that is wanted. Not one of the test's own, below the first:
 * it would wait on the pipe to a target, or take from its own what keeps it from waiting.
 */
static inline int take_fd(struct worker *w, enum kind kind)
{
	unsigned int i, at;
	int odd;

	for (i = 0; i < SLOTS; i++) {
		at = pick(&w->rng, SLOTS);
		if (run.kind[at] == (int)kind && run.fd[at] >= 0)
			return run.fd[at];
	}
	if (!one_in(&w->rng, 3))
		return run.fd[at];
	odd = odd_number(&w->rng);
	return odd < run.first_fd ? -1 : odd;
}

static inline void keep_fd(struct worker *w, int fd, enum kind kind)
{
	unsigned int at = pick(&w->rng, SLOTS);
	int old;

	/* The number was in memory that others write to: it may be any. */
	if (fd < run.first_fd || fd > 4096)
		return;
	old = __atomic_exchange_n(&run.fd[at], fd, __ATOMIC_SEQ_CST);
	run.kind[at] = kind;
	if (old >= 0)
		close(old);
}

static inline int drop_fd(struct worker *w)
{
	int old = __atomic_exchange_n(&run.fd[pick(&w->rng, SLOTS)], -1, __ATOMIC_SEQ_CST);

	return old < 0 ? -EBADF : close(old) ? -errno : 0;
}

/* Descriptors whose number was lost (see keep_fd()) would keep a target frozen. */
static inline void close_lost(void)
{
	unsigned int i;
	int fd;

	for (fd = run.first_fd; fd < 1024; fd++) {
		for (i = 0; i < SLOTS && run.fd[i] != fd; i++)
			;
		if (i == SLOTS)
			close(fd);
	}
}

static inline int pass_fd(struct worker *w, int fd, enum kind kind)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	unsigned char byte = kind;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	*c = (struct cmsghdr) {
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(sizeof(int)),
	};
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(run.mail[0], &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	/* It stays on its way for a while, with nobody's number. */
	if (one_in(&w->rng, 2))
		return 0;
	msg.msg_controllen = sizeof(control);
	if (recvmsg(run.mail[1], &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (!c)
		return -EMFILE;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	keep_fd(w, fd, byte % KINDS);
	return 0;
}

/* ---- processes ---- */

static inline pid_t number_of(struct worker *w, enum who who)
{
	static const pid_t nobody[] = { 0, -1, 0x7fffffff, (pid_t)0x80000000, 4194304, 99999 };

	switch (who) {
	case WHO_CHILD:
		return all->life[WHO_PARENT]->child;
	case WHO_RIVAL:
		/* One way only: two that froze each other would wait for ever to be thawed. */
		return run.nr == 0 ? all->pid[1] : 0;
	case WHO_SELF:
		return getpid();
	case WHO_THREAD:
		return syscall(__NR_gettid);
	case WHO_KTHREAD:
		return 2 + pick(&w->rng, 8);
	case WHO_NOBODY:
		return nobody[pick(&w->rng, 6)];
	default:
		return all->target[who];
	}
}

/* ---- one call ---- */

static inline char *place_of(struct worker *w, const struct input *in, size_t len)
{
	return arena_place(&w->arena, &run.common, in->place, in->bytes, len, in->where);
}

static inline char *buffer_of(struct worker *w, const struct input *in, size_t len, char *self)
{
	return arena_buffer(&w->arena, &run.common, in->buf_place, len, self);
}

/* What is known only now: process numbers and addresses. */
static inline void prepare(struct worker *w, struct input *in, char *to)
{
	struct ckpt_state *state = (void *)in->bytes;
	struct ckpt_map *map = (void *)in->bytes;

	switch (in->op) {
	case OP_ATTACH:
		if (!in->raw)
			((struct ckpt_attach *)in->bytes)->pid = number_of(w, in->who);
		break;
	case OP_UNTRACK:
		if (!in->raw)
			((struct ckpt_untrack *)in->bytes)->pid = number_of(w, in->who);
		break;
	case OP_SNAP:
		if (!in->raw)
			((struct ckpt_snap *)in->bytes)->pid = number_of(w, in->who);
		break;
	case OP_STATE:
	case OP_SNAPSHOT_STATE:
		if (!in->raw)
			state->buf = (unsigned long)buffer_of(w, in, state->len, to);
		break;
	case OP_MAP:
		if (!in->raw)
			map->runs = (unsigned long)buffer_of(w, in, map->nr * 24ul, to);
		break;
	}
}

/* What an answered call tells for the next ones. The structure may be anywhere, so not all do. */
static inline void learn(struct worker *w, const struct input *in, const char *p)
{
	struct ckpt_run runs[16];
	unsigned int i, nr;
	int fd;

	if (in->place > PLACE_COMMON && in->place != PLACE_ODD)
		return;
	/* Where the kernel sees it, another thread may have protected it by now (do_scribble()). */
	if (in->place == PLACE_COMMON)
		p = run.common.own + (p - run.common.view);
	switch (in->op) {
	case OP_ATTACH:
		memcpy(&fd, p + offsetof(struct ckpt_attach, out_fd), sizeof(fd));
		keep_fd(w, fd, SESSION);
		break;
	case OP_SNAP:
		memcpy(&fd, p + offsetof(struct ckpt_snap, out_fd), sizeof(fd));
		keep_fd(w, fd, SNAPSHOT);
		break;
	case OP_SNAPSHOT:
		memcpy(&fd, p + offsetof(struct ckpt_snapshot, out_fd), sizeof(fd));
		keep_fd(w, fd, SNAPSHOT);
		break;
	case OP_MAP:
		if (in->buf_place != PLACE_GOOD || in->raw)
			break;
		memcpy(&nr, p + offsetof(struct ckpt_map, out_nr), sizeof(nr));
		memcpy(runs, w->arena.own + ARENA_BUFFER * PAGE, sizeof(runs));
		for (i = 0; i < 16 && i < nr; i++)
			if (runs[i].kind == CKPT_RUN_DATA)
				w->known[pick(&w->rng, 16)] = runs[i].start;
		break;
	}
}

/* Of an answer, what makes it another one. */
static inline uint64_t answer_of(const struct input *in, int ret, const char *p)
{
	uint32_t reason = 0;

	if (in->place == PLACE_GOOD && in->op == OP_ATTACH)
		memcpy(&reason, p + offsetof(struct ckpt_attach, out_reason), 4);
	if (in->place == PLACE_GOOD && in->op == OP_SNAP)
		memcpy(&reason, p + offsetof(struct ckpt_snap, out_reason), 4);
	if (in->place == PLACE_GOOD && in->op == OP_FREEZE)
		memcpy(&reason, p + offsetof(struct ckpt_freeze, out_reason), 4);
	if (in->place == PLACE_GOOD && in->op == OP_SNAPSHOT)
		memcpy(&reason, p + offsetof(struct ckpt_snapshot, out_reason), 4);
	return 1 + in->op + 64ull * in->kind + 1024ull * (ret < 0 ? -ret : 0) +
	       (1ull << 24) * (reason % 64) + (1ull << 32) * in->place;
}

static inline int do_ioctl(struct worker *w, struct input *in, int fd, uint64_t *ret_answer)
{
	bool roomy = in->place == PLACE_GOOD || in->place == PLACE_COMMON || in->place == PLACE_ODD;
	size_t len = roomy ? INPUT_BYTES : ops[in->op].size;
	char *p = place_of(w, in, len);
	int ret;

	/* Where it points to may depend on where it is. */
	prepare(w, in, p);
	place_of(w, in, len);
	ret = call(fd, ops[in->op].cmd, p);
	if (!ret)
		learn(w, in, p);
	*ret_answer = answer_of(in, ret, p);
	return ret;
}

static inline int do_any_ioctl(struct worker *w, const struct input *in, int fd)
{
	char *p = place_of(w, in, INPUT_BYTES);
	unsigned int request = in->len;

	/* Of our type always: other devices' requests are not what is tried here. */
	request = (request & 0xffff00ff) | CKPT_IOC_TYPE << 8;
	if (in->where % 2)
		request &= 0xff3f;
	return call(fd, request, p);
}

static inline int answer(ssize_t ret)
{
	return ret < 0 ? -errno : 0;
}

static inline int do_readv(struct worker *w, const struct input *in, int fd, char *buf)
{
	struct iovec v[3] = {
		{ w->arena.view + ARENA_BUFFER * PAGE, in->len % 5000 },
		{ buf, in->len },
		{ w->arena.view + (ARENA_BUFFER + 4) * PAGE, in->offset & 0xffff },
	};
	ssize_t ret = in->where % 2 ? preadv2(fd, v, 3, in->offset, in->where % 16) :
		      readv(fd, v, 3);

	return answer(ret);
}

static inline int do_splice(struct worker *w, const struct input *in, int fd, loff_t at)
{
	ssize_t ret = splice(fd, in->where % 4 ? &at : NULL, w->pipe[1], NULL, in->len,
			     SPLICE_F_NONBLOCK | in->where % 8);
	int err = answer(ret);

	/* Left in the pipe now and then, until the thread's next. */
	while (!one_in(&w->rng, 4) &&
	       read(w->pipe[0], w->arena.own + ARENA_BUFFER * PAGE, 16 * PAGE) > 0)
		;
	return err ?: ret ? 0 : -ENODATA;
}

static inline int do_mmap(const struct input *in, int fd, loff_t at)
{
	void *p = mmap(NULL, 1 + in->len % (16 * PAGE), PROT_READ | (in->where & 2),
		       in->where % 2 ? MAP_SHARED : MAP_PRIVATE, fd, at);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, 1 + in->len % (16 * PAGE));
	return 0;
}

static inline int do_fcntl(struct worker *w, const struct input *in, int fd)
{
	static const int flags[] = { 0, O_DIRECT, O_APPEND, O_ASYNC, O_NOATIME };

	/* Or a read of the eventfd waits for what nobody writes. */
	return answer(fcntl(fd, F_SETFL, O_NONBLOCK | flags[pick(&w->rng, 5)]));
}

static inline int do_reopen(struct worker *w, const struct input *in, int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, (in->where % 2 ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	keep_fd(w, fd, in->kind);
	return 0;
}

static inline int do_dup(struct worker *w, const struct input *in, int fd)
{
	fd = fcntl(fd, F_DUPFD_CLOEXEC, run.first_fd);
	if (fd < 0)
		return -errno;
	keep_fd(w, fd, in->kind);
	return 0;
}

static inline int do_open(struct worker *w)
{
	int fd = open(CKPT_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	keep_fd(w, fd, DEVICE);
	return 0;
}

/* The memory that several threads' structures are in: changed, protected, dropped under them. */
static inline int do_scribble(struct worker *w)
{
	char *page = run.common.view + pick(&w->rng, 2) * PAGE;
	uint32_t *words = (uint32_t *)run.common.own;
	uint64_t value = odd_number(&w->rng);

	switch (pick(&w->rng, 4)) {
	case 0:
		mprotect(page, PAGE, pick(&w->rng, 4));
		break;
	case 1:
		madvise(page, PAGE, MADV_DONTNEED);
		break;
	default:
		memcpy(words + pick(&w->rng, 3 * 16 + 32), &value, 4);
		mprotect(run.common.view, 2 * PAGE, PROT_READ | PROT_WRITE);
	}
	return 0;
}

static inline int do_fork(struct worker *w);

static inline int do_other(struct worker *w, struct input *in, int fd)
{
	char *buf = buffer_of(w, in, in->len, NULL);
	loff_t at = in->raw ? in->offset : (loff_t)w->known[in->where % 16] + in->offset;
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	switch (in->op) {
	case OP_ANY_IOCTL:
		return do_any_ioctl(w, in, fd);
	case OP_PREAD:
		return answer(pread(fd, buf, in->len, at));
	case OP_READV:
		return do_readv(w, in, fd, buf);
	case OP_LSEEK:
		at = lseek(fd, at, in->where % 3 == 0 ? SEEK_DATA : in->where % 3 == 1 ? SEEK_HOLE :
			   in->where % 6);
		if (at >= 0 && in->where % 3 == 0)
			w->known[pick(&w->rng, 16)] = at;
		return answer(at);
	case OP_SPLICE:
		return do_splice(w, in, fd, at);
	case OP_SENDFILE:
		return answer(sendfile(w->pipe[1], fd, in->where % 2 ? &at : NULL, in->len % PAGE));
	case OP_MMAP:
		return do_mmap(in, fd, at);
	case OP_POLL:
		return answer(poll(&p, 1, 0));
	case OP_WRITE:
		return answer(pwrite(fd, buf, in->len % PAGE, at));
	case OP_FCNTL:
		return do_fcntl(w, in, fd);
	case OP_REOPEN:
		return do_reopen(w, in, fd);
	case OP_OPEN:
		return do_open(w);
	case OP_DUP:
		return do_dup(w, in, fd);
	case OP_PASS:
		return pass_fd(w, fd, in->kind);
	case OP_CLOSE:
		return drop_fd(w);
	case OP_FORK:
		return do_fork(w);
	default:
		return do_scribble(w);
	}
}

static inline bool new_answer(uint64_t answer)
{
	unsigned int at = (answer * 0x9e3779b97f4a7c15ull) >> 50, i;
	uint64_t none;

	for (i = 0; i < 64; i++, at = (at + 1) % ANSWERS) {
		none = 0;
		if (all->answer[at] == answer)
			return false;
		if (__atomic_compare_exchange_n(&all->answer[at], &none, answer, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
	}
	__atomic_add_fetch(&all->answers, 1, __ATOMIC_RELAXED);
	return true;
}

static inline int try_input(struct worker *w, struct input *in, int fd)
{
	const struct input as_it_was = *in;
	uint64_t answer = 0;
	bool new;
	int ret;

	__atomic_add_fetch(&all->calls[in->op], 1, __ATOMIC_RELAXED);
	all->now[run.nr][w->nr] = 1 + in->op;
	kcov_begin(&w->kcov);
	if (in->op < OP_IOCTLS)
		ret = do_ioctl(w, in, fd, &answer);
	else
		ret = do_other(w, in, fd);
	new = kcov_end(&w->kcov, &all->seen);
	all->now[run.nr][w->nr] = 0;
	if (!ret)
		__atomic_add_fetch(&all->good[in->op], 1, __ATOMIC_RELAXED);
	new |= new_answer(answer ?: 1 + in->op + 64ull * in->kind + 1024ull * -ret);
	if (new)
		all->keep[__atomic_fetch_add(&all->kept, 1, __ATOMIC_RELAXED) % KEPT] = as_it_was;
	return ret;
}

/* ---- one after the other ---- */

static inline void try_op(struct worker *w, enum op op, int fd)
{
	struct input in;

	make_input(&in, &w->rng);
	in.op = op;
	in.kind = ops[op].kind;
	if (op < OP_IOCTLS)
		fill_valid(&in, &w->rng);
	try_input(w, &in, fd);
}

/* Whose tracker is pinned is not known here. */
static inline void untrack_all(struct worker *w)
{
	struct input in;
	unsigned int i;

	for (i = 0; i < WHO_TARGETS; i++) {
		make_input(&in, &w->rng);
		in.op = OP_UNTRACK;
		in.kind = DEVICE;
		in.place = PLACE_GOOD;
		in.who = i;
		in.raw = false;
		fill_valid(&in, &w->rng);
		try_input(w, &in, take_fd(w, DEVICE));
	}
}

/* What mostly follows, else few would get that far, and targets would stand still for long. */
static inline void go_on(struct worker *w, enum op op, int fd)
{
	if (op == OP_FREEZE) {
		if (!one_in(&w->rng, 3))
			try_op(w, one_in(&w->rng, 2) ? OP_SNAPSHOT : OP_STATE, fd);
		if (!one_in(&w->rng, 6))
			try_op(w, OP_THAW, fd);
	} else if (op == OP_SNAP || op == OP_SNAPSHOT) {
		fd = take_fd(w, SNAPSHOT);
		if (!one_in(&w->rng, 3))
			try_op(w, OP_BARRIER, fd);
		if (!one_in(&w->rng, 3))
			try_op(w, OP_MAP, fd);
		if (one_in(&w->rng, 2))
			try_op(w, OP_COMMIT, fd);
		if (one_in(&w->rng, 4))
			untrack_all(w);
	}
}

static inline void step(struct worker *w)
{
	unsigned int kept = all->kept, changes;
	struct input in;
	int fd;

	if (kept && one_in(&w->rng, 3))
		in = all->keep[pick(&w->rng, kept < KEPT ? kept : KEPT)];
	else
		make_input(&in, &w->rng);
	for (changes = pick(&w->rng, 4); changes > 1; changes--)
		change_input(&in, &w->rng);
	if (in.op >= OPS || in.kind >= KINDS)	/* kept by two at a time */
		return;
	fd = take_fd(w, in.kind);
	if (!try_input(w, &in, fd))
		go_on(w, in.op, fd);
}

/* Nobody wakes a copy that waits for a full pipe; so it does itself, with the signal of the others. */
static inline void wake_yourself(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec often = { .it_value.tv_nsec = 200000000, .it_interval.tv_nsec = 200000000 };
	timer_t timer;

	must(timer_create(CLOCK_MONOTONIC, &event, &timer));
	must(timer_settime(timer, 0, &often, NULL));
}

/* A copy of this process, with all its descriptors; they close when it ends. */
static inline int do_fork(struct worker *w)
{
	unsigned int i;
	pid_t pid;

	if (__atomic_add_fetch(&all->babies, 1, __ATOMIC_SEQ_CST) > BABIES) {
		__atomic_sub_fetch(&all->babies, 1, __ATOMIC_SEQ_CST);
		return -EAGAIN;
	}
	pid = fork();
	if (!pid) {
		w->kcov.trace = NULL;	/* follows the thread that was forked */
		wake_yourself();
		for (i = 0; i < 10; i++)
			if (all->babies <= BABIES)
				step(w);
		__atomic_sub_fetch(&all->babies, 1, __ATOMIC_SEQ_CST);
		_exit(0);
	}
	if (pid < 0)
		__atomic_sub_fetch(&all->babies, 1, __ATOMIC_SEQ_CST);
	return pid < 0 ? -errno : 0;
}

static inline void *work(void *arg)
{
	struct worker *w = arg;

	kcov_trace(&w->kcov);
	while (!all->stop)
		step(w);
	kcov_stop(&w->kcov);
	return NULL;
}

#endif
