/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * faults.h - an operation repeated with its 1st, 2nd, 3rd ... system call failing, or being the one before
 * or after which the process is killed.
 *
 * The calls are wrapped (see WRAPPED in Makefile).  Include it in one file of a test.
 */
#ifndef UNIT_FAULTS_H
#define UNIT_FAULTS_H

#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "stores.h"

enum mode {
	COUNT,			/* let everything pass */
	FAIL,			/* the call gives an error and does nothing */
	KILL_BEFORE,
	KILL_AFTER,
	SHORT_WRITES,		/* write() takes little, and is interrupted */
};

#define LOG_MAX	4096

/* Shared with the process the operation runs in. */
struct fault {
	bool		armed;
	enum mode	mode;
	int		error;
	unsigned int	at;		/* the call that is hit, from 1 */
	unsigned int	calls;
	char		hit[16];	/* its name */
	unsigned int	logged;
	struct {
		char	call[16];
		int	fd;
	} log[LOG_MAX];
	struct ckpt_err	err;
};

static struct fault *fault;

/* What others do at the worst moment: run once, before the next call of that kind. */
static void (*before_exclusive_open)(void) __attribute__((unused));
static void (*before_flock)(void) __attribute__((unused));

static void run_once(void (**hook)(void))
{
	void (*run)(void) = *hook;

	*hook = NULL;
	if (run)
		run();
}

/* Called before the real call; true: it has to fail. */
static bool enter(const char *call, int fd)
{
	if (!fault || !fault->armed)
		return false;
	if (fault->logged < LOG_MAX) {
		snprintf(fault->log[fault->logged].call, 16, "%s", call);
		fault->log[fault->logged++].fd = fd;
	}
	if (++fault->calls != fault->at)
		return false;
	snprintf(fault->hit, sizeof(fault->hit), "%s", call);
	if (fault->mode == KILL_BEFORE)
		raise(SIGKILL);
	errno = fault->error;
	return fault->mode == FAIL;
}

static void leave(void)
{
	if (fault && fault->armed && fault->calls == fault->at && fault->mode == KILL_AFTER)
		raise(SIGKILL);
}

#define WRAP(name, fd, params, ...)			\
	int __real_##name params;			\
	int __wrap_##name params;			\
	int __wrap_##name params			\
	{						\
		int ret;				\
							\
		if (enter(#name, fd))			\
			return -1;			\
		ret = __real_##name(__VA_ARGS__);	\
		leave();				\
		return ret;				\
	}

WRAP(mkdir, -1, (const char *path, mode_t mode), path, mode)
WRAP(mkdirat, dir, (int dir, const char *path, mode_t mode), dir, path, mode)
WRAP(fsync, fd, (int fd), fd)
WRAP(renameat2, from_dir,
     (int from_dir, const char *from, int to_dir, const char *to, unsigned int flags),
     from_dir, from, to_dir, to, flags)
WRAP(unlinkat, dir, (int dir, const char *path, int flags), dir, path, flags)
WRAP(linkat, to_dir, (int from_dir, const char *from, int to_dir, const char *to, int flags),
     from_dir, from, to_dir, to, flags)
WRAP(renameat, from_dir, (int from_dir, const char *from, int to_dir, const char *to),
     from_dir, from, to_dir, to)
WRAP(rmdir, -1, (const char *path), path)
WRAP(fstat, fd, (int fd, struct stat *st), fd, st)
WRAP(fstatat, dir, (int dir, const char *path, struct stat *st, int flags), dir, path, st, flags)

int __real_flock(int fd, int op);
int __wrap_flock(int fd, int op);
int __wrap_flock(int fd, int op)
{
	int ret;

	run_once(&before_flock);
	if (enter("flock", fd))
		return -1;
	ret = __real_flock(fd, op);
	leave();
	return ret;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;
	int ret;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	if (enter("open", -1))
		return -1;
	ret = __real_open(path, flags, mode);
	leave();
	return ret;
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;
	int ret;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	if (flags & O_EXCL)
		run_once(&before_exclusive_open);
	if (enter("openat", dir))
		return -1;
	ret = __real_openat(dir, path, flags, mode);
	leave();
	return ret;
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	ssize_t ret;

	if (enter("write", fd))
		return -1;
	if (fault && fault->armed && fault->mode == SHORT_WRITES) {
		if (fault->calls % 3 == 0) {
			errno = EINTR;
			return -1;
		}
		n = n > 700 ? 1 + n % 700 : 1 + n / 2;
	}
	ret = __real_write(fd, p, n);
	leave();
	return ret;
}

ssize_t __real_getrandom(void *p, size_t n, unsigned int flags);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned int flags);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned int flags)
{
	ssize_t ret;

	if (enter("getrandom", -1))
		return -1;
	ret = __real_getrandom(p, n, flags);
	leave();
	return ret;
}

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t ret;

	if (enter("pwrite", fd))
		return -1;
	ret = __real_pwrite(fd, p, n, at);
	leave();
	return ret;
}

static inline void map_fault(void)
{
	fault = mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	REQUIRE(fault != MAP_FAILED);
}

/* Run the operation in a process of its own; its wait status. */
static inline int run_with_fault(int (*operation)(struct ckpt_err *err), enum mode mode, int error,
				 unsigned int at)
{
	int status;
	pid_t pid;

	memset(fault, 0, sizeof(*fault));
	fault->mode = mode;
	fault->error = error;
	fault->at = at;
	pid = tap_fork();
	if (!pid) {
		int ret;

		fault->armed = true;
		ret = operation(&fault->err);
		fault->armed = false;
		REQUIRE(!ret == !fault->err.text[0]);
		exit(ret ? 3 : 0);	/* not _exit(): the sanitizer looks for leaks */
	}
	REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

#endif
