// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hooks.c - see hooks.h and hooks-page.h.
 *
 *  1. find: the thread by its name, the page by the call it waits in.  One that is in no such call is
 *     starting, or in a callback of an earlier snapshot: looked at again, until the deadline.
 *  2. ask: BEFORE, when the page says IDLE; again now and then, as another's signal may have been in
 *     front of ours.  Twice does no harm: the number is the same.
 *  3. wait for READY, by reading the page.
 *  4. hooks_check(), when the capture is done: it is READY with our number only if it was all the time.
 *  5. hooks_after(): however it went.  Was the deadline passed, the signal waits for the thread, which
 *     finds it when its callback returns.
 *
 * The program is not trusted: what is read of it is bounded and compared, and all it can do is to let
 * the deadline pass.  If we die in between it sees that we are gone.
 *
 * Owns nothing but the number.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hooks.h"
#include "util.h"

#define PAGE_MIN	4096u
#define POLL_MIN_NS	100000ull
#define POLL_MAX_NS	2000000ull
#define ASK_AGAIN_NS	250000000ull
#define NSEC_PER_MSEC	1000000ull

/* ---------------------------------------------------------------------------------- find */

/* Answers to whether a thread, or a process, has them; else -errno: that could not be found out. */
enum found { FOUND_NONE, FOUND_BUSY, FOUND };

/* What has ended has none. */
static int none_or(int code)
{
	return code == -ENOENT || code == -ESRCH ? FOUND_NONE : code;
}

/* The beginning of a small file of /proc, a string.  0 or -errno. */
static int read_text(const char *path, char *text, size_t size)
{
	int ret = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		ret = -errno;
	else
		text[n] = '\0';
	close(fd);
	return ret;
}

static int is_named(pid_t pid, pid_t tid)
{
	char path[64], text[32];
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, tid);
	ret = read_text(path, text, sizeof(text));
	if (ret)
		return none_or(ret);
	return strcmp(text, HOOKS_THREAD "\n") ? FOUND_NONE : FOUND;
}

/* First argument of the rt_sigtimedwait() a thread is in. */
static int waits_with(pid_t pid, pid_t tid, uint64_t *ret_set)
{
	char path[64], text[256];
	long nr;
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	ret = read_text(path, text, sizeof(text));
	if (ret)
		return none_or(ret);
	if (sscanf(text, "%ld 0x%" SCNx64, &nr, ret_set) != 2 || nr != SYS_rt_sigtimedwait)
		return FOUND_BUSY;
	return FOUND;
}

/* FOUND, or FOUND_NONE: it is no page of this kind.  The thread is there when the first one has ended. */
static int read_page(pid_t tid, uint64_t addr, struct hooks_page *page)
{
	struct iovec local = { page, sizeof(*page) };
	struct iovec remote = { (void *)(uintptr_t)addr, sizeof(*page) };
	ssize_t n = process_vm_readv(tid, &local, 1, &remote, 1, 0);

	if (n < 0)
		return errno == EFAULT ? FOUND_NONE : none_or(-errno);
	if ((size_t)n != sizeof(*page) || page->magic != HOOKS_MAGIC || page->version != HOOKS_VERSION ||
	    page->size != sizeof(*page) || page->signal < SIGRTMIN || page->signal > SIGRTMAX)
		return FOUND_NONE;
	return FOUND;
}

/* Whether thread @tid is that of the hooks.  By the name alone it may be a stranger's. */
static int look_at(struct hooks *h, pid_t tid)
{
	struct hooks_page page;
	uint64_t set;
	int ret = is_named(h->pid, tid);

	if (ret == FOUND)
		ret = waits_with(h->pid, tid, &set);
	if (ret != FOUND)
		return ret;
	h->addr = set - offsetof(struct hooks_page, set);
	ret = h->addr % PAGE_MIN ? FOUND_NONE : read_page(tid, h->addr, &page);
	if (ret != FOUND)
		return ret;
	h->tid = tid;
	h->own_tid = page.tid;
	h->signal = page.signal;
	return FOUND;
}

/* @err tells why it cannot be known. */
static int find(struct hooks *h, struct ckpt_err *err)
{
	int found = FOUND_NONE;
	struct dirent *e = NULL;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", h->pid);
	dir = opendir(path);
	if (!dir)
		found = none_or(-errno);
	while (dir && found >= 0 && found != FOUND) {
		int one;

		errno = 0;
		e = readdir(dir);
		if (!e) {
			found = errno && none_or(-errno) ? -errno : found;
			break;
		}
		one = e->d_name[0] == '.' ? FOUND_NONE : look_at(h, atoi(e->d_name));
		if (one != FOUND_NONE)
			found = one;
	}
	if (dir)
		closedir(dir);
	if (found >= 0)
		return found;
	ckpt_err_sys(err, found, "process %d: whether it has hooks cannot be found out", h->pid);
	ckpt_err_hint(err, "snapshot without asking them (--no-hooks)");
	return found;
}

/* ----------------------------------------------------------------------------------- ask */

static int send_word(pid_t pid, pid_t tid, int signal, pid_t from, uint64_t word)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = signal;
	info.si_code = SI_QUEUE;
	info.si_pid = from;
	info.si_uid = getuid();
	info.si_value.sival_ptr = (void *)(uintptr_t)word;
	return syscall(SYS_rt_tgsigqueueinfo, pid, tid, signal, &info) ? -errno : 0;
}

/* Our process number as @pid knows it; 0: it does not. */
static pid_t known_as(pid_t pid)
{
	struct stat ours, theirs;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	if (stat("/proc/self/ns/pid", &ours) || stat(path, &theirs) || ours.st_dev != theirs.st_dev ||
	    ours.st_ino != theirs.st_ino)
		return 0;
	return getpid();
}

static int send_to(const struct hooks *h, enum hooks_what what)
{
	return send_word(h->pid, h->tid, h->signal, known_as(h->pid), hooks_word(h->number, what));
}

static int new_number(struct ckpt_err *err, uint64_t *ret)
{
	do {
		if (getrandom(ret, sizeof(*ret), 0) != sizeof(*ret))
			return ckpt_err_sys(err, errno, "random number");
		*ret &= HOOKS_NUMBER_MAX;
	} while (!*ret);
	return 0;
}

static int gone_back_on(const struct hooks *h, struct ckpt_err *err)
{
	ckpt_err_set(err, ECANCELED, "process %d: its hooks did not wait for the snapshot, which took too "
		     "long", h->pid);
	ckpt_err_hint(err, "try again");
	return -ECANCELED;
}

static int too_late(const struct hooks *h, uint32_t timeout_ms, struct ckpt_err *err)
{
	struct hooks_page page;

	if (h->waiting && read_page(h->tid, h->addr, &page) == FOUND && page.word >> 8 == h->number)
		ckpt_err_set(err, ETIMEDOUT, "process %d: its hook before a snapshot (thread %d) did not "
			     "return within %u ms, the snapshot is given up", h->pid, h->tid, timeout_ms);
	else
		ckpt_err_set(err, ETIMEDOUT, "process %d: its hooks (thread %s) did not answer within %u ms, "
			     "being busy with another snapshot or stopped: this one is given up", h->pid,
			     HOOKS_THREAD, timeout_ms);
	ckpt_err_hint(err, "see what that thread does, give it longer (--hooks-timeout), or snapshot without "
		      "asking it (--no-hooks)");
	return -ETIMEDOUT;
}

/* One look: 1: it is READY; 0: look again; -errno. */
static int step(struct hooks *h, uint64_t *asked_ns, struct ckpt_err *err)
{
	uint64_t now = util_clock_ns(CLOCK_MONOTONIC);
	struct hooks_page page;
	int ret;

	ret = read_page(h->tid, h->addr, &page);
	if (ret < 0)
		return ckpt_err_sys(err, ret, "process %d: page of its hooks (thread %d)", h->pid, h->tid);
	if (ret != FOUND) {
		h->tid = 0;		/* stopped meanwhile: look for it anew */
		h->waiting = false;
		return 0;
	}
	if (page.word == hooks_word(h->number, HOOKS_READY))
		return 1;
	if (page.word == hooks_word(h->number, HOOKS_BEFORE))
		return 0;
	if (page.word >> 8 == h->number)
		return gone_back_on(h, err);
	if ((page.word & 0xff) != HOOKS_IDLE || (h->waiting && now - *asked_ns < ASK_AGAIN_NS))
		return 0;
	ret = send_to(h, HOOKS_BEFORE);
	if (ret && ret != -ESRCH && ret != -EAGAIN)
		return ckpt_err_sys(err, ret, "process %d: signal to its hooks (thread %d)", h->pid, h->tid);
	h->waiting = true;
	*asked_ns = now;
	return 0;
}

int hooks_before(pid_t pid, uint32_t timeout_ms, hooks_go_on_fn go_on, void *arg, struct ckpt_err *err,
		 struct hooks *ret_hooks)
{
	const uint64_t begin = util_clock_ns(CLOCK_MONOTONIC);
	uint64_t asked_ns = 0, pause = POLL_MIN_NS;
	struct hooks *h = ret_hooks;
	int ret;

	memset(h, 0, sizeof(*h));
	h->pid = pid;
	ret = new_number(err, &h->number);
	while (!ret) {
		const struct timespec nap = { .tv_nsec = (long)pause };

		if (!h->tid) {
			ret = find(h, err);
			if (ret < 0 || ret == FOUND_NONE)
				return ret;
		}
		ret = h->tid ? step(h, &asked_ns, err) : 0;
		if (ret)
			break;
		if (util_clock_ns(CLOCK_MONOTONIC) - begin > timeout_ms * NSEC_PER_MSEC)
			return too_late(h, timeout_ms, err);
		ret = go_on(arg);
		nanosleep(&nap, NULL);
		pause = pause < POLL_MAX_NS ? pause * 2 : POLL_MAX_NS;
	}
	h->ns = util_clock_ns(CLOCK_MONOTONIC) - begin;
	return ret < 0 ? ret : 0;
}

int hooks_check(const struct hooks *h, struct ckpt_err *err)
{
	struct hooks_page page;

	if (!h->waiting)
		return 0;
	if (read_page(h->tid, h->addr, &page) == FOUND && page.word == hooks_word(h->number, HOOKS_READY))
		return 0;
	return gone_back_on(h, err);
}

void hooks_after(struct hooks *h, enum hooks_what what)
{
	struct hooks_page page;

	/* A number may be another's by now, whom such a signal would end. */
	if (h->waiting && read_page(h->tid, h->addr, &page) == FOUND)
		send_to(h, what);
	h->waiting = false;
}

/* -------------------------------------------------------------------------------- restore */

json_t *hooks_to_json(const struct hooks *h)
{
	if (!h->tid)
		return json_null();
	return json_pack("{s:i,s:i,s:I,s:I}", "tid", (int)h->own_tid, "signal", (int)h->signal,
			 "number", (json_int_t)h->number, "ns", (json_int_t)h->ns);
}

bool hooks_from_json(json_t *o, struct hooks *ret_hooks)
{
	json_int_t tid = json_integer_value(json_object_get(o, "tid"));
	json_int_t signal = json_integer_value(json_object_get(o, "signal"));
	json_int_t number = json_integer_value(json_object_get(o, "number"));

	if (tid <= 0 || tid > INT32_MAX || signal < SIGRTMIN || signal > SIGRTMAX || number <= 0 ||
	    (uint64_t)number > HOOKS_NUMBER_MAX)
		return false;
	*ret_hooks = (struct hooks){ .own_tid = tid, .signal = signal, .number = number };
	return true;
}

int hooks_restored(const struct hooks *h, pid_t pid, pid_t tid)
{
	return send_word(pid, tid, h->signal, 0, hooks_word(h->number, HOOKS_RESTORED));
}
