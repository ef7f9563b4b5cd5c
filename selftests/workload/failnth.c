// SPDX-License-Identifier: GPL-2.0-only
/*
 * For ckptctl to load (LD_PRELOAD): the n-th call of one kind fails, before it does anything.
 *
 *	FAILNTH=KIND:N		N counted from 1; 0 only counts
 *	FAILNTH_REPORT=FILE	an existing file of at least sizeof(struct report) bytes
 *
 * The report is mapped and shared, so that calls of children made by clone() are counted with their
 * parent's, and it is right whatever the process dies of.  Counting begins where main() does, or
 * nearly: what the loader does is not ckptctl's to handle.
 *
 * Calls that the C library makes inside itself do not come through here (write() of stdio), except
 * those of malloc(); hence fopen() and opendir() stand for the open() in them.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The driver (prog/failnth.py) reads it: "IIQ24s64s". */
struct report {
	uint32_t	calls;		/* of that kind, so far */
	uint32_t	failed;		/* 1: the n-th was reached */
	uint64_t	where;		/* its caller, as an offset in the file below */
	char		call[24];
	char		file[64];
};

enum kind { WRITE, READ, FSYNC, RENAME, MMAP, MALLOC, OPEN, FORK, NR_KINDS };

static const struct {
	const char	*name;
	int		error;
} kinds[NR_KINDS] = {
	[WRITE] = { "write", ENOSPC }, [READ] = { "read", EIO }, [FSYNC] = { "fsync", EIO },
	[RENAME] = { "rename", EIO }, [MMAP] = { "mmap", ENOMEM }, [MALLOC] = { "malloc", ENOMEM },
	[OPEN] = { "open", EMFILE }, [FORK] = { "fork", EAGAIN },
};

static struct report *report;		/* NULL: not armed */
static enum kind wanted;
static uint32_t nth;

/* glibc's own: dlsym() may allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);

static void note(const char *call, const void *caller)
{
	const char *name;
	Dl_info info;

	snprintf(report->call, sizeof(report->call), "%s", call);
	if (!dladdr(caller, &info) || !info.dli_fname)
		return;
	name = strrchr(info.dli_fname, '/');
	snprintf(report->file, sizeof(report->file), "%s", name ? name + 1 : info.dli_fname);
	report->where = (uintptr_t)caller - (uintptr_t)info.dli_fbase;
}

/* Whether this call is the one that fails; errno is set then. */
static bool fails(enum kind kind, const char *call, const void *caller)
{
	if (!report || kind != wanted)
		return false;
	if (__atomic_add_fetch(&report->calls, 1, __ATOMIC_SEQ_CST) != nth)
		return false;
	note(call, caller);
	report->failed = 1;
	errno = kinds[kind].error;
	return true;
}

static void *next(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

/* CALL(ret, what a failure returns, kind, name, (parameters), arguments) */
#define CALL(type, bad, kind, name, params, ...)			\
	type name params;						\
	type name params						\
	{								\
		static type (*real) params;				\
									\
		if (fails(kind, #name, __builtin_return_address(0)))	\
			return bad;					\
		if (!real)						\
			real = next(#name);				\
		return real(__VA_ARGS__);				\
	}

CALL(ssize_t, -1, WRITE, write, (int fd, const void *p, size_t n), fd, p, n)
CALL(ssize_t, -1, WRITE, pwrite, (int fd, const void *p, size_t n, off_t at), fd, p, n, at)
CALL(ssize_t, -1, WRITE, pwrite64, (int fd, const void *p, size_t n, off_t at), fd, p, n, at)
CALL(ssize_t, -1, WRITE, writev, (int fd, const struct iovec *v, int n), fd, v, n)
CALL(int, -1, WRITE, ftruncate, (int fd, off_t size), fd, size)
CALL(int, -1, WRITE, ftruncate64, (int fd, off_t size), fd, size)
CALL(ssize_t, -1, READ, read, (int fd, void *p, size_t n), fd, p, n)
CALL(ssize_t, -1, READ, pread, (int fd, void *p, size_t n, off_t at), fd, p, n, at)
CALL(ssize_t, -1, READ, pread64, (int fd, void *p, size_t n, off_t at), fd, p, n, at)
CALL(int, -1, FSYNC, fsync, (int fd), fd)
CALL(int, -1, FSYNC, fdatasync, (int fd), fd)
CALL(int, -1, RENAME, rename, (const char *from, const char *to), from, to)
CALL(int, -1, RENAME, renameat, (int a, const char *from, int b, const char *to), a, from, b, to)
CALL(int, -1, RENAME, renameat2,
     (int a, const char *from, int b, const char *to, unsigned int flags), a, from, b, to, flags)
CALL(int, -1, RENAME, linkat,
     (int a, const char *from, int b, const char *to, int flags), a, from, b, to, flags)
CALL(void *, MAP_FAILED, MMAP, mmap,
     (void *p, size_t n, int prot, int flags, int fd, off_t at), p, n, prot, flags, fd, at)
CALL(void *, MAP_FAILED, MMAP, mmap64,
     (void *p, size_t n, int prot, int flags, int fd, off_t at), p, n, prot, flags, fd, at)
CALL(FILE *, NULL, OPEN, fopen, (const char *path, const char *mode), path, mode)
CALL(FILE *, NULL, OPEN, fopen64, (const char *path, const char *mode), path, mode)
CALL(DIR *, NULL, OPEN, opendir, (const char *path), path)
CALL(int, -1, OPEN, pipe2, (int ends[2], int flags), ends, flags)
CALL(int, -1, OPEN, socketpair, (int a, int b, int c, int ends[2]), a, b, c, ends)
CALL(pid_t, -1, FORK, fork, (void))

/* open() and its relatives take a mode only sometimes; passing one on always does no harm. */
#define OPEN_CALL(name, params, last, ...)				\
	int name params;						\
	int name params							\
	{								\
		static int (*real) params;				\
		va_list ap;						\
		int mode;						\
									\
		if (fails(OPEN, #name, __builtin_return_address(0)))	\
			return -1;					\
		va_start(ap, last);					\
		mode = va_arg(ap, int);					\
		va_end(ap);						\
		if (!real)						\
			real = next(#name);				\
		return real(__VA_ARGS__, mode);				\
	}

OPEN_CALL(open, (const char *path, int flags, ...), flags, path, flags)
OPEN_CALL(open64, (const char *path, int flags, ...), flags, path, flags)
OPEN_CALL(openat, (int dir, const char *path, int flags, ...), flags, dir, path, flags)
OPEN_CALL(openat64, (int dir, const char *path, int flags, ...), flags, dir, path, flags)

/* Calls without a wrapper in the C library; the child of a clone3() returns through here too. */
long syscall(long nr, ...)
{
	static long (*real)(long, ...);
	enum kind kind = nr == SYS_clone3 ? FORK :
			 nr == SYS_pidfd_open || nr == SYS_openat2 ? OPEN : NR_KINDS;
	va_list ap;
	long a[6];

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (fails(kind, nr == SYS_clone3 ? "clone3" : nr == SYS_openat2 ? "openat2" : "pidfd_open",
		  __builtin_return_address(0)))
		return -1;
	if (!real)
		real = next("syscall");
	return real(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void *malloc(size_t size)
{
	return fails(MALLOC, "malloc", __builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	return fails(MALLOC, "calloc", __builtin_return_address(0)) ? NULL :
	       __libc_calloc(nr, size);
}

void *realloc(void *p, size_t size)
{
	return fails(MALLOC, "realloc", __builtin_return_address(0)) ? NULL :
	       __libc_realloc(p, size);
}

void *reallocarray(void *p, size_t nr, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(nr, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	return fails(MALLOC, "reallocarray", __builtin_return_address(0)) ? NULL :
	       __libc_realloc(p, all);
}

void *aligned_alloc(size_t align, size_t size)
{
	return fails(MALLOC, "aligned_alloc", __builtin_return_address(0)) ? NULL :
	       __libc_memalign(align, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
	if (fails(MALLOC, "posix_memalign", __builtin_return_address(0)))
		return ENOMEM;
	*ret = __libc_memalign(align, size);
	return *ret ? 0 : ENOMEM;
}

/* Not a word when it is asked for nothing; but what is asked for and cannot be done is fatal. */
static void __attribute__((constructor)) arm(void)
{
	const char *ask = getenv("FAILNTH"), *path = getenv("FAILNTH_REPORT");
	const char *colon = ask ? strchr(ask, ':') : NULL;
	struct report *r;
	int fd;

	if (!ask)
		return;
	for (wanted = 0; wanted < NR_KINDS; wanted++)
		if (colon && strlen(kinds[wanted].name) == (size_t)(colon - ask) &&
		    !strncmp(ask, kinds[wanted].name, colon - ask))
			break;
	fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (wanted == NR_KINDS || r == MAP_FAILED) {
		fprintf(stderr, "failnth: FAILNTH or FAILNTH_REPORT is wrong\n");
		abort();
	}
	close(fd);
	nth = strtoul(colon + 1, NULL, 10);
	report = r;
}
