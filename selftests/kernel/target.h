/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The process that a test takes pictures of, and how the two keep in step.
 *
 * A target is a child of the test. It calls target_step() where the test shall look at it: there it
 * sleeps in a read of a pipe until the test calls target_go(). Nobody waits for time to pass; every
 * wait of the test has a deadline, and ends when the target does.
 *
 * What goes wrong with the means of a test, not with the fact it tests, ends it at once: must().
 */
#ifndef KERNEL_TEST_TARGET_H
#define KERNEL_TEST_TARGET_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define DEADLINE_MS	(25000ul * slowness())

#define give_up(fmt, ...)								\
	do {										\
		fprintf(stderr, "# %s:%d: " fmt "\n", __FILE__, __LINE__, ##__VA_ARGS__);\
		abort();								\
	} while (0)

#define must(call)									\
	({										\
		__typeof__(call) must_ret_ = (call);					\
		if ((long)must_ret_ == -1)						\
			give_up("%s: %s", #call, strerror(errno));			\
		must_ret_;								\
	})

/* A kernel with checkers is that many times slower. */
static inline unsigned int slowness(void)
{
	return atoi(getenv("CKPT_SLOW") ?: "1");
}

struct target {
	pid_t pid;
	int in;			/* this side reads */
	int out;		/* this side writes */
};

typedef void (target_fn)(struct target *me, void *arg);

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Wait for a condition; false at the deadline. */
#define wait_until(condition)								\
	({										\
		uint64_t end_ = clock_ns() + DEADLINE_MS * 1000000;			\
		bool true_;								\
		while (!(true_ = (condition)) && clock_ns() < end_)			\
			usleep(200);							\
		true_;									\
	})

/* In the target: here I am; sleep until told to go on. */
static inline void target_step(struct target *me)
{
	char c = 's';

	if (write(me->out, &c, 1) != 1)
		_exit(120);
	if (read(me->in, &c, 1) != 1)
		_exit(121);
}

/* In the target, which goes on by itself. */
static inline void target_say(struct target *me)
{
	char c = 's';

	if (write(me->out, &c, 1) != 1)
		_exit(120);
}

static inline void target_start(struct target *t, target_fn *fn, void *arg)
{
	int up[2], down[2];
	pid_t tester = getpid();

	must(pipe2(up, O_CLOEXEC));
	must(pipe2(down, O_CLOEXEC));
	fflush(NULL);
	t->pid = must(fork());
	if (!t->pid) {
		struct target me = { .pid = getpid(), .in = down[0], .out = up[1] };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != tester)
			_exit(122);
		close(up[0]);
		close(down[1]);
		fn(&me, arg);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	t->in = up[0];
	t->out = down[1];
}

/* In the test: until the target has come to its next step. */
static inline void target_await(struct target *t)
{
	struct pollfd p = { .fd = t->in, .events = POLLIN };
	int status = 0;
	char c;

	if (must(poll(&p, 1, DEADLINE_MS)) != 1)
		give_up("target %d did not come to its step", t->pid);
	if (read(t->in, &c, 1) != 1) {
		waitpid(t->pid, &status, 0);
		give_up("target %d ended: status %#x", t->pid, status);
	}
}

static inline void target_go(struct target *t)
{
	char c = 'g';

	must(write(t->out, &c, 1));
}

/* To the next step. */
static inline void target_next(struct target *t)
{
	target_go(t);
	target_await(t);
}

static inline void target_begin(struct target *t, target_fn *fn, void *arg)
{
	target_start(t, fn, arg);
	target_await(t);
}

/* The status a child ends with; gives up at the deadline. */
static inline int child_status(pid_t pid)
{
	int status;

	if (!wait_until(must(waitpid(pid, &status, WNOHANG)) == pid))
		give_up("process %d does not end", pid);
	return status;
}

/* Let it run to its end: 0 when it is content. */
static inline int target_finish(struct target *t)
{
	int status;

	target_go(t);
	status = child_status(t->pid);
	close(t->in);
	close(t->out);
	return status;
}

static inline void target_kill(struct target *t)
{
	kill(t->pid, SIGKILL);
	child_status(t->pid);
	close(t->in);
	close(t->out);
}

/* Memory that test and target both see. */
static inline void *shared_memory(size_t len)
{
	return must(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

static inline void *anon_memory(size_t len)
{
	return must(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* Private memory aligned to 2 MiB. */
static inline void *aligned_memory(size_t len)
{
	char *p = anon_memory(len + HUGE);
	char *q = (char *)(((unsigned long)p + HUGE - 1) & ~(HUGE - 1));

	if (q != p)
		munmap(p, q - p);
	munmap(q + len, p + HUGE - q);
	return q;
}

/* The state letter of /proc/PID/task/TID/stat; 0 when it is gone. */
static inline char task_state(pid_t pid, pid_t tid)
{
	char path[64], line[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	line[n] = 0;
	p = strrchr(line, ')');
	return p && p[1] ? p[2] : 0;
}

/* Until it sleeps: what it said came before it went to sleep. */
static inline void task_sleeps(pid_t pid, pid_t tid)
{
	if (!wait_until(task_state(pid, tid) == 'S'))
		give_up("thread %d does not sleep", tid);
}

/* A system-wide setting; returns false when it cannot be made. */
static inline bool set_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text);
}

/* The kernel for real time has no transparent huge pages, and takes no advice about them. */
static inline bool has_huge_pages(void)
{
	return !access("/sys/kernel/mm/transparent_hugepage", F_OK);
}

static inline void advise_huge(void *mem, size_t len, int advice)
{
	if (has_huge_pages())
		must(madvise(mem, len, advice));
}

/* Up to @room - 1 bytes of a file, as text; -1 when there is none. */
static inline ssize_t get_file_text(const char *path, char *buf, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (len < room - 1 && (n = read(fd, buf + len, room - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = 0;
	return n < 0 ? -1 : (ssize_t)len;
}

/* Asleep in user space's own call, and not on the way there. */
static inline bool is_in_call(pid_t pid)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	if (task_state(pid, pid) != 'S' || get_file_text(path, text, sizeof(text)) <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	return get_file_text(path, text, sizeof(text)) > 0 && strncmp(text, "running", 7);
}

/* Preparations sleep too, shortly: it must stay the same sleep for a while. */
static inline bool is_settled(pid_t pid)
{
	char path[64], a[1024], b[1024];
	int i;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	for (i = 0; i < 3; i++) {
		if (!is_in_call(pid) || get_file_text(path, a, sizeof(a)) <= 0)
			return false;
		usleep(3000);
		if (!is_in_call(pid) || get_file_text(path, b, sizeof(b)) <= 0 || strcmp(a, b))
			return false;
	}
	return true;
}

/* The number behind a name, in a file of lines "name number"; -1 when it is not there. */
static inline long number_in(const char *path, const char *name)
{
	char text[32768];
	size_t len = strlen(name);
	char *p;

	if (get_file_text(path, text, sizeof(text)) < 0)
		return -1;
	for (p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, name, len) && p[len] == ' ')
			return strtol(p + len, NULL, 10);
	}
	return -1;
}

#endif
