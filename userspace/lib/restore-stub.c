// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-stub.c - the child that becomes the program.
 *
 *  1. The caller clones it with the recorded process number.  A helper does so
 *     on the caller's behalf, and ends, in three cases: when monotonic time would
 *     go backwards for the program (the machine was rebooted) it enters a new
 *     time namespace first, for the caller itself must not change namespaces;
 *     when the program is to be detached it leaves it to init, so that it
 *     does not see its parent die when the caller ends; and when there are
 *     several roots, which are to be in one time namespace.
 *  2. The child, still a copy of the caller, takes session, process group,
 *     files and directories as recorded: restore_files_adopt().  It makes
 *     system calls only; the caller may have had other threads.
 *  3. It reports 0, or what failed, through a socket and reads from it.  Nothing
 *     ever comes; but should the caller die it reads the end, and ends.
 *  4. The caller seizes it.  It dies with the caller from here on, too.
 * From then on its own code never runs again.  restore_stub_kill() ends it, and
 * all its threads, at any point.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore-priv.h"
#include "util.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x00000080
#endif

/* What the child tells: one packet. */
struct report {
	int code;
	pid_t pid;		/* PROCESS_NUMBER: which */
	char what[64];
};

/* What the helper says when that is what failed. */
#define PROCESS_NUMBER	"process number"

/* The first system calls are made from here: it is in the child's memory too. */
extern const char ckpt_stub_syscall[];
__asm__(".pushsection .text\n"
	".hidden ckpt_stub_syscall\n"
	".globl ckpt_stub_syscall\n"
	"ckpt_stub_syscall: syscall\n"
	"ud2\n"
	".popsection\n");

/* Nobody there to hear it: no reason to live. */
static void say(int fd, int code, pid_t pid, const char *what)
{
	struct report rep = { .code = code, .pid = pid };

	strncpy(rep.what, what, sizeof(rep.what) - 1);
	if (write(fd, &rep, sizeof(rep)) != sizeof(rep))
		_exit(1);
}

static void reset_ignored_signals(void)
{
	/* CLONE_CLEAR_SIGHAND left ignored ones ignored; raw as above. */
	const uint64_t dfl[4] = { 0 };

	for (int sig = 1; sig <= CKPT_NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, 8);
}

/*
 * Limits must not stand in the way, neither the caller's nor the program's: its
 * signals may fill up all it is allowed to have.  The program's come last.  As
 * far as it goes: without privilege up to the hard limit.
 */
static void raise_limits(void)
{
	const struct rlimit infinite = { RLIM_INFINITY, RLIM_INFINITY };

	for (int i = 0; i < CKPT_NRLIMITS; i++) {
		struct rlimit lim;

		if (setrlimit(i, &infinite) == 0 || getrlimit(i, &lim) < 0)
			continue;
		lim.rlim_cur = lim.rlim_max;
		setrlimit(i, &lim);
	}
}

void restore_stub_child(struct restore *rs)
{
	const struct ckpt_rec_proc *p = &rs->m->proc;
	const char *what = PROCESS_NUMBER;
	const uint64_t all = ~0ULL;
	int r, report = rs->report[1];
	pid_t pid = p->pid;

	/* Raw: the C library keeps two signals to itself and never blocks them. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
	reset_ignored_signals();
	raise_limits();
	errno = -restore_tree_spawn(rs, true, &pid);
	if (errno)
		goto failed;
	if (p->sid == p->pid) {
		what = "lead a session";
		if (setsid() < 0)
			goto failed;
	} else if (p->pgid == p->pid) {
		what = "lead a process group";
		if (setpgid(0, 0) < 0)
			goto failed;
	}
	what = "have its controlling terminal";
	errno = -restore_pty_take(rs);
	if (errno)
		goto failed;
	what = PROCESS_NUMBER;
	pid = p->pgid;
	errno = -restore_tree_found_group(rs);
	if (!errno)
		errno = -restore_tree_spawn(rs, false, &pid);
	if (errno)
		goto failed;
	what = "give up its controlling terminal";
	errno = -restore_pty_leave(rs);
	if (!errno)
		errno = -restore_files_adopt(rs, &report, &what);
	if (errno)
		goto failed;
	umask(p->umask);
	say(report, 0, 0, "");
	/* All signals are blocked: what ends this is the caller, by its hand or its end; not an error. */
	while (read(report, &r, sizeof(r)) < 0)
		;
	_exit(1);
failed:
	say(report, -errno, pid, what);
	_exit(1);
}

pid_t restore_stub_clone(pid_t pid, uint64_t flags, int exit_signal)
{
	struct clone_args args = {
		.flags = flags,
		.exit_signal = (uint64_t)exit_signal,
		.set_tid = pid ? (uint64_t)(uintptr_t)&pid : 0,
		.set_tid_size = pid ? 1 : 0,
	};
	long r = syscall(SYS_clone3, &args, sizeof(args));

	return r < 0 ? -errno : (pid_t)r;
}

/* ------------------------------------------------------------ time namespace */

static int write_offset(int fd, const char *clock, int64_t ns)
{
	int64_t sec = ns / (int64_t)NSEC_PER_SEC, rest = ns % (int64_t)NSEC_PER_SEC;
	char line[64];
	int len;

	if (rest < 0) {
		sec--;
		rest += (int64_t)NSEC_PER_SEC;
	}
	len = snprintf(line, sizeof(line), "%s %lld %lld\n", clock, (long long)sec,
		       (long long)rest);
	return write(fd, line, (size_t)len) == len ? 0 : -errno;
}

/*
 * Never backwards, for either clock: CLOCK_BOOTTIME counts sleep of the machine
 * too, so one may be behind where the other is not.
 */
static bool needs_time_namespace(struct restore *rs)
{
	int64_t mono = (int64_t)(rs->m->system.monotonic_ns - util_clock_ns(CLOCK_MONOTONIC));
	int64_t boot = (int64_t)(rs->m->system.boottime_ns - util_clock_ns(CLOCK_BOOTTIME));

	if (mono <= 0 && boot <= 0)
		return false;
	for (size_t i = 0; i < rs->set->nr; i++) {
		rs->set->v[i].mono_offset = mono > 0 ? mono : 0;
		rs->set->v[i].boot_offset = boot > 0 ? boot : 0;
	}
	return true;
}

/* For the children of this process. */
static int make_time_namespace(const struct restore *rs)
{
	int fd, r;

	if (unshare(CLONE_NEWTIME) < 0)
		return -errno;
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_offset(fd, "monotonic", rs->mono_offset);
	if (!r)
		r = write_offset(fd, "boottime", rs->boot_offset);
	close(fd);
	return r;
}

/* In the helper: all roots, and which of them are made. */
static void __attribute__((noreturn)) helper(struct restore_set *set, bool new_time, bool *made)
{
	const bool detach = set->v->opts->detach;
	int r = new_time ? make_time_namespace(set->v) : 0;

	if (r)
		say(set->v->report[1], r, 0, "make a time namespace, for the clocks were reset by a reboot");
	for (size_t i = 0; !r && i < set->nr; i++) {
		struct restore *rs = &set->v[i];
		pid_t pid;

		if (!restore_tree_is_first(rs))
			continue;
		pid = restore_stub_clone(rs->m->proc.pid, CLONE_CLEAR_SIGHAND | (detach ? 0 : CLONE_PARENT),
					 detach ? SIGCHLD : 0);
		if (!pid)
			restore_stub_child(rs);
		made[i] = pid > 0;
		r = pid < 0 ? pid : 0;
		if (r)
			say(rs->report[1], r, rs->m->proc.pid, PROCESS_NUMBER);
	}
	_exit(r < 0);
}

/* Returns the child's number or -errno; failures the helper reported have text. */
static pid_t clone_by_helper(struct restore_set *set, bool new_time)
{
	bool *made = mmap(NULL, set->nr * sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t ret = set->v->m->proc.pid, pid;
	int status;

	if (made == MAP_FAILED)
		return -errno;
	pid = restore_stub_clone(0, 0, SIGCHLD);
	if (!pid)
		helper(set, new_time, made);
	if (pid < 0)
		ret = pid;
	else if (waitpid(pid, &status, __WALL) < 0)
		ret = -errno;
	else if (!WIFEXITED(status) || WEXITSTATUS(status))
		ret = -ECHILD;
	for (size_t i = 0; i < set->nr; i++)
		set->v[i].born = made[i] && !set->v->opts->detach;
	munmap(made, set->nr * sizeof(*made));
	return ret;
}

/* ------------------------------------------------------------ start */

static int number_failed(struct restore *rs, pid_t pid, int code)
{
	char who[160];

	if (code == -EEXIST) {
		restore_name_owner(pid, who, sizeof(who));
		ckpt_err_set(rs->err, code, "process number %d is in use by %s", pid, who);
		ckpt_err_hint(rs->err, "end it, or restore in a PID namespace of its own (--pidns)");
		return code;
	}
	ckpt_err_sys(rs->err, code, "make a process with number %d", pid);
	if (code == -EPERM)
		ckpt_err_hint(rs->err, "this needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN");
	if (code == -EINVAL)
		ckpt_err_hint(rs->err, "kernel.pid_max may be below that number");
	return code;
}

/* Wait until the child has said how it went. */
static int hear(struct restore *rs)
{
	struct report rep;
	ssize_t n;

	do {
		n = read(rs->report[0], &rep, sizeof(rep));
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(rep))
		return ckpt_err_set(rs->err, -ECHILD, "process %d ended at its very beginning",
				    rs->m->proc.pid);
	if (!rep.code)
		return 0;
	rep.what[sizeof(rep.what) - 1] = 0;
	if (!strcmp(rep.what, PROCESS_NUMBER))
		return number_failed(rs, rep.pid, rep.code);
	return ckpt_err_sys(rs->err, rep.code, "%s", rep.what);
}

static int seize(struct restore *rs)
{
	struct remote *r = leader(rs);
	char path[40];
	int e;

	snprintf(path, sizeof(path), "/proc/%d/mem", rs->pid);
	rs->mem = open(path, O_RDWR | O_CLOEXEC);
	if (rs->mem < 0)
		return ckpt_err_sys(rs->err, errno, "%s", path);
	e = remote_seize(rs->pid, rs->err);
	if (e)
		return e;
	rs->threads[0].there = true;
	r->tid = rs->pid;
	r->insn = (uint64_t)(uintptr_t)ckpt_stub_syscall;
	/* No scratch memory yet: the stack it has will do for a stack pointer. */
	r->scratch = (uint64_t)(uintptr_t)&e & ~(RESTORE_PAGE - 1);
	r->scratch_len = 0;
	r->mem = rs->mem;
	return 0;
}

static bool has_several_roots(const struct restore_set *set)
{
	for (size_t i = 1; i < set->nr; i++)
		if (restore_tree_is_first(&set->v[i]))
			return true;
	return false;
}

static pid_t clone_roots(struct restore *rs)
{
	bool new_time = needs_time_namespace(rs);
	pid_t pid;

	if (new_time || rs->opts->detach || has_several_roots(rs->set))
		return clone_by_helper(rs->set, new_time);
	pid = restore_stub_clone(rs->m->proc.pid, CLONE_CLEAR_SIGHAND, SIGCHLD);
	if (!pid)
		restore_stub_child(rs);
	return pid;
}

/* Our ends; and, when all processes that need them have been made, theirs. */
static void close_reports(struct restore_set *set, int end)
{
	for (size_t i = 0; i < set->nr; i++) {
		if (set->v[i].report[end] >= 0)
			close(set->v[i].report[end]);
		set->v[i].report[end] = -1;
	}
}

static int open_reports(struct restore_set *set)
{
	for (size_t i = 0; i < set->nr; i++)
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, set->v[i].report) < 0)
			return ckpt_err_sys(set->v[i].err, errno, "make a socket pair");
	return 0;
}

/* A child that could not be made is its parent's to tell of: parents come first. */
static int hear_all(struct restore_set *set)
{
	int r = 0;

	for (size_t i = 0; !r && i < set->nr; i++) {
		struct restore *rs = &set->v[i];

		r = hear(rs);
		if (r)
			break;
		rs->pid = rs->m->proc.pid;
		r = seize(rs);
	}
	return r;
}

/* Of the root: it makes the others. */
int restore_stub_start(struct restore *rs)
{
	struct restore_set *set = rs->set;
	pid_t pid;
	int r;

	if (!is_root(rs))
		return 0;
	r = open_reports(set);
	if (r)
		goto out;
	pid = clone_roots(rs);
	close_reports(set, 1);
	if (pid > 0)
		rs->pid = pid;
	if (pid < 0 && pid != -ECHILD)
		r = number_failed(rs, rs->m->proc.pid, pid);
	else
		r = hear_all(set);
	/* One that did not say that it is there ends by itself, and its number is not ours to use. */
	if (r && rs->opts->detach && !rs->threads[0].there)
		rs->pid = 0;
out:
	close_reports(set, 0);
	close_reports(set, 1);
	/* Those who have not said that they are there read the end now. */
	for (size_t i = 0; r && i < set->nr; i++)
		if (set->v[i].born && set->v[i].pid <= 0)
			waitpid(set->v[i].m->proc.pid, NULL, __WALL);
	return r;
}

/* Nothing of it may be left, traced threads must be waited for one by one. */
void restore_stub_kill(struct restore *rs)
{
	if (rs->pid <= 0)
		return;
	kill(rs->pid, SIGKILL);
	for (size_t i = 1; i < rs->m->nr_threads; i++)
		if (rs->threads[i].there)
			remote_bury(rs->threads[i].remote.tid);
	remote_bury(rs->pid);
	rs->pid = 0;
}
