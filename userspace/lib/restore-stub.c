// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-stub.c - the child that becomes the program.
 *
 *  1. The caller clones it with the recorded process number.  When monotonic
 *     time would go backwards for the program (the machine was rebooted), a
 *     helper enters a new time namespace first and clones on the caller's
 *     behalf (CLONE_PARENT): the caller itself must not change namespaces.
 *  2. The child, still a copy of the caller, takes session, process group,
 *     files and directories as recorded: restore_files_adopt().  It makes
 *     system calls only; the caller may have had other threads.
 *  3. It reports 0, or what failed, through a pipe and sleeps.
 *  4. The caller seizes it.
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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore-priv.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x00000080
#endif

/* What the child tells: one write, so it arrives whole or not at all. */
struct report {
	int code;
	char what[64];
};

/* The first system calls are made from here: it is in the child's memory too. */
extern const char ckpt_stub_syscall[];
__asm__(".pushsection .text\n"
	".hidden ckpt_stub_syscall\n"
	".globl ckpt_stub_syscall\n"
	"ckpt_stub_syscall: syscall\n"
	"ud2\n"
	".popsection\n");

static void say(int fd, int code, const char *what)
{
	struct report rep = { .code = code };
	ssize_t n;

	strncpy(rep.what, what, sizeof(rep.what) - 1);
	n = write(fd, &rep, sizeof(rep));
	(void)n;
}

static void reset_ignored_signals(void)
{
	/* CLONE_CLEAR_SIGHAND left ignored ones ignored; raw as above. */
	const uint64_t dfl[4] = { 0 };

	for (int sig = 1; sig <= CKPT_NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, 8);
}

static void child(struct restore *rs, int report)
{
	const struct ckpt_rec_proc *p = &rs->m->proc;
	const char *what = "lead a session";
	const uint64_t all = ~0ULL;
	int r;

	/* Raw: the C library keeps two signals to itself and never blocks them. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
	reset_ignored_signals();
	if (p->sid == p->pid) {
		if (setsid() < 0)
			goto failed;
	} else if (p->pgid == p->pid) {
		what = "lead a process group";
		if (setpgid(0, 0) < 0)
			goto failed;
	}
	r = restore_files_adopt(rs, &report, &what);
	if (r) {
		errno = -r;
		goto failed;
	}
	umask(p->umask);
	say(report, 0, "");
	for (;;)
		pause();
failed:
	say(report, -errno, what);
	_exit(1);
}

static pid_t clone_with_pid(pid_t pid, uint64_t flags)
{
	struct clone_args args = {
		.flags = flags,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&pid,
		.set_tid_size = 1,
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
	int64_t mono = (int64_t)(rs->m->system.monotonic_ns - now_ns(CLOCK_MONOTONIC));
	int64_t boot = (int64_t)(rs->m->system.boottime_ns - now_ns(CLOCK_BOOTTIME));

	if (mono <= 0 && boot <= 0)
		return false;
	rs->mono_offset = mono > 0 ? mono : 0;
	rs->boot_offset = boot > 0 ? boot : 0;
	return true;
}

/* In the helper: does not return except in the child of the right number. */
static void helper(struct restore *rs, int report)
{
	const char *what = "enter a new time namespace";
	pid_t pid;
	int fd, r;

	if (unshare(CLONE_NEWTIME) < 0) {
		r = -errno;
		goto failed;
	}
	what = "set the clocks of a time namespace";
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		goto failed;
	}
	r = write_offset(fd, "monotonic", rs->mono_offset);
	if (!r)
		r = write_offset(fd, "boottime", rs->boot_offset);
	if (r)
		goto failed;
	close(fd);
	what = "process number";
	r = pid = clone_with_pid(rs->m->proc.pid, CLONE_PARENT | CLONE_CLEAR_SIGHAND);
	if (!pid)
		child(rs, report);
	if (pid > 0)
		_exit(0);
failed:
	say(report, r, what);
	_exit(1);
}

/* Returns the child's number or -errno; failures the helper reported have text. */
static pid_t clone_in_time_namespace(struct restore *rs, int report)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	int status;
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		return -errno;
	if (!pid)
		helper(rs, report);
	if (waitpid((pid_t)pid, &status, __WALL) < 0)
		return -errno;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return -ECHILD;
	return rs->m->proc.pid;
}

/* ------------------------------------------------------------ start */

static int number_failed(struct restore *rs, int code)
{
	char who[160];

	if (code == -EEXIST) {
		restore_name_owner(rs->m->proc.pid, who, sizeof(who));
		ckpt_err_set(rs->err, code, "process number %d is in use by %s",
			     rs->m->proc.pid, who);
		ckpt_err_hint(rs->err, "end it, or wait until it has ended");
		return code;
	}
	ckpt_err_sys(rs->err, code, "make a process with number %d", rs->m->proc.pid);
	if (code == -EPERM)
		ckpt_err_hint(rs->err, "this needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN");
	if (code == -EINVAL)
		ckpt_err_hint(rs->err, "kernel.pid_max may be below that number");
	return code;
}

/* Wait until the child has said how it went. */
static int hear(struct restore *rs, int fd)
{
	struct report rep;
	ssize_t n;

	do {
		n = read(fd, &rep, sizeof(rep));
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(rep))
		return ckpt_err_set(rs->err, -ECHILD, "process %d ended at its very beginning",
				    rs->m->proc.pid);
	if (!rep.code)
		return 0;
	rep.what[sizeof(rep.what) - 1] = 0;
	if (!strcmp(rep.what, "process number"))
		return number_failed(rs, rep.code);
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

int restore_stub_start(struct restore *rs)
{
	int pipefd[2], r;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return ckpt_err_sys(rs->err, errno, "make a pipe");
	if (needs_time_namespace(rs)) {
		pid = clone_in_time_namespace(rs, pipefd[1]);
	} else {
		pid = clone_with_pid(rs->m->proc.pid, CLONE_CLEAR_SIGHAND);
		if (!pid)
			child(rs, pipefd[1]);
	}
	close(pipefd[1]);
	if (pid > 0)
		rs->pid = pid;
	if (pid < 0 && pid != -ECHILD)
		r = number_failed(rs, pid);
	else
		r = hear(rs, pipefd[0]);
	close(pipefd[0]);
	return r ? r : seize(rs);
}

/* Nothing of it may be left, traced threads must be waited for one by one. */
void restore_stub_kill(struct restore *rs)
{
	if (rs->pid <= 0)
		return;
	kill(rs->pid, SIGKILL);
	for (size_t i = 1; i < rs->m->nr_threads; i++)
		if (rs->threads[i].there)
			while (waitpid(rs->threads[i].remote.tid, NULL, __WALL) < 0 &&
			       errno == EINTR)
				;
	while (waitpid(rs->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	rs->pid = 0;
}
