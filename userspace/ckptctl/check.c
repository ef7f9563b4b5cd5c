// SPDX-License-Identifier: GPL-2.0-only
/*
 * check.c - ckptctl check: what can be done on this machine, and why not.
 *
 * Each question has a function that tries the thing itself where it can, because a capability or a
 * kernel version only tells what ought to work.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "device.h"
#include "store.h"

static const struct ctl_opt opts[] = { { } };

/* How an answer counts. */
enum answer { GOOD, WORSE, BAD };	/* WORSE: works, with a restriction */

struct check {
	struct ctl	*ctl;
	json_t		*items;
	bool		snap_ok;
	bool		restore_ok;
};

enum need { FOR_NONE = 0, FOR_SNAP = 1, FOR_RESTORE = 2, FOR_BOTH = 3 };

static void item(struct check *c, const char *name, enum need need, enum answer answer,
		 const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void item(struct check *c, const char *name, enum need need, enum answer answer,
		 const char *fmt, ...)
{
	static const char * const words[] = { "ok", "limited", "missing" };
	char text[CKPT_ERR_TEXT];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (answer == BAD && need & FOR_SNAP)
		c->snap_ok = false;
	if (answer == BAD && need & FOR_RESTORE)
		c->restore_ok = false;
	json_array_append_new(c->items, json_pack("{s:s,s:s,s:o,s:b,s:b}", "name", name,
						  "answer", words[answer], "text", report_text(text),
						  "snap", !!(need & FOR_SNAP),
						  "restore", !!(need & FOR_RESTORE)));
}

/* ------------------------------------------------------------------------ kernel and module */

static void check_kernel(struct check *c)
{
	struct utsname u;

	uname(&u);
	if (strcmp(u.machine, "x86_64"))
		item(c, "kernel", FOR_BOTH, BAD, "%s %s: only x86_64 is supported", u.release,
		     u.machine);
	else
		item(c, "kernel", FOR_BOTH, GOOD, "%s %s", u.release, u.machine);
}

static void check_features(struct check *c, const struct ckpt_query *q)
{
	static const struct {
		uint64_t	bit;
		const char	*name;
		const char	*what;
	} features[] = {
		{ CKPT_FEATURE_COW, "copy-on-write", "memory is shared with the snapshot, not copied" },
		{ CKPT_FEATURE_QUIET_FREEZE, "quiet freeze", "sleeping calls are not interrupted" },
		{ CKPT_FEATURE_BARRIER, "barrier", "the program's files are synced first" },
		{ CKPT_FEATURE_CONSUME, "consume", "pages are given up as they are read" },
		{ CKPT_FEATURE_SHRINKER, "shrinker", "memory pressure ends a snapshot, not the job" },
		{ CKPT_FEATURE_SPLICE, "splice", "pages can be moved without a copy" },
		{ CKPT_FEATURE_BARRIER_SKIP, "no barrier", "snap --barrier=none can do without" },
		{ CKPT_FEATURE_TRACK, "track", "a snapshot can hold what changed" },
	};

	for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++)
		item(c, features[i].name, FOR_NONE, q->out_features & features[i].bit ? GOOD : WORSE,
		     "%s", features[i].what);
}

static void check_module(struct check *c)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct ckpt_query q;
	char size[OUT_SMALL];
	int fd;

	if (load_module(&err) || device_open(&err, &q, &fd)) {
		item(c, "module", FOR_SNAP, BAD, "%s", err.text);
		return;
	}
	item(c, "module", FOR_SNAP, GOOD, "version %s, interface %u; up to %llu threads and %s of "
	     "shared memory", q.out_module_version, q.out_version,
	     (unsigned long long)q.out_max_threads, out_size(q.out_max_copy, size));
	check_features(c, &q);
	close(fd);
}

/* --------------------------------------------------------------------------------- rights */

static bool have_cap(int cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &head, data) &&
	       data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap);
}

static int read_number(const char *path)
{
	char buf[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? atoi(buf) : -1;
}

static void check_rights(struct check *c)
{
	int scope = read_number("/proc/sys/kernel/yama/ptrace_scope");

	if (have_cap(CAP_SYS_PTRACE))
		item(c, "trace", FOR_SNAP, GOOD, "any process (CAP_SYS_PTRACE)");
	else if (scope >= 2)
		item(c, "trace", FOR_SNAP, BAD, "ptrace_scope is %d: only with CAP_SYS_PTRACE",
		     scope);
	else
		item(c, "trace", FOR_SNAP, WORSE, "own processes only%s; others need CAP_SYS_PTRACE",
		     scope == 1 ? ", children of the caller (ptrace_scope 1)" : "");
	if (scope == 3)
		item(c, "ptrace_scope", FOR_RESTORE, BAD, "3: nobody may trace; restore needs ptrace");
	if (have_cap(CAP_SYS_RESOURCE))
		item(c, "limits", FOR_NONE, GOOD, "can be raised (CAP_SYS_RESOURCE)");
	else
		item(c, "limits", FOR_NONE, WORSE, "a program with higher limits than the caller's "
		     "needs CAP_SYS_RESOURCE");
	if (have_cap(CAP_SETUID) && have_cap(CAP_SETGID))
		item(c, "users", FOR_NONE, GOOD, "any user's program (CAP_SETUID, CAP_SETGID)");
	else
		item(c, "users", FOR_NONE, WORSE, "own programs only; others need CAP_SETUID");
}

/* -------------------------------------------------------------------------------- restore */

/* Number of a process that has just ended: free again, and cheap to ask for. */
static pid_t free_pid(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid;
}

static void check_set_tid(struct check *c)
{
	pid_t want = free_pid(), pid;
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&want, .set_tid_size = 1,
	};

	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		_exit(0);
	if (pid < 0) {
		item(c, "process number", FOR_RESTORE, BAD, "cannot be chosen (clone3 set_tid: %s); "
		     "needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE", strerror(errno));
		return;
	}
	waitpid(pid, NULL, 0);
	item(c, "process number", FOR_RESTORE, GOOD, "can be chosen (clone3 set_tid)%s",
	     read_number("/proc/sys/kernel/ns_last_pid") >= 0 ? ", ns_last_pid too" : "");
}

static void check_ptrace(struct check *c)
{
	int status, error = 0;
	pid_t pid = fork();

	if (!pid) {
		raise(SIGSTOP);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid) {
		item(c, "ptrace", FOR_RESTORE, BAD, "no process to try it on: %s", strerror(errno));
		return;
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL))
		error = errno;
	kill(pid, SIGKILL);
	waitpid(pid, &status, __WALL);
	if (error)
		item(c, "ptrace", FOR_RESTORE, BAD, "of a child is refused: %s", strerror(error));
	else
		item(c, "ptrace", FOR_RESTORE, GOOD, "of a child works");
}

static void check_vdso(struct check *c)
{
	unsigned long at = getauxval(AT_SYSINFO_EHDR);

	if (at)
		item(c, "vdso", FOR_NONE, GOOD, "present");
	else
		item(c, "vdso", FOR_NONE, WORSE, "none: programs that use one cannot be restored here");
}

static void check_xsave(struct check *c)
{
	static const struct {
		int		bit;
		const char	*name;
	} names[] = {
		{ 0, "x87" }, { 1, "SSE" }, { 2, "AVX" }, { 5, "AVX-512" }, { 9, "PKRU" },
		{ 11, "CET" }, { 17, "AMX" },
	};
	unsigned int a, b, cx, d, lo, hi;
	char text[128] = "";

	if (!__get_cpuid(1, &a, &b, &cx, &d) || !(cx & bit_OSXSAVE)) {
		item(c, "registers", FOR_BOTH, BAD, "this processor has no XSAVE");
		return;
	}
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (lo & 1u << names[i].bit)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				 text[0] ? ", " : "", names[i].name);
	item(c, "registers", FOR_BOTH, GOOD, "%s (XCR0 %#x)", text, lo);
}

/* ---------------------------------------------------------------------------------- store */

static void check_store(struct check *c)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_writer *w = NULL;
	struct store *store;
	char size[OUT_SMALL];
	struct statvfs vfs;

	if (store_open(c->ctl->store, true, &err, &store)) {
		item(c, "store", FOR_SNAP, BAD, "%s", err.text);
		return;
	}
	if (store_writer_open(store, "check", &err, &w))
		item(c, "store", FOR_SNAP, BAD, "%s", err.text);
	else if (fstatvfs(store_writer_fd(w), &vfs))
		item(c, "store", FOR_SNAP, BAD, "%s: %s", store_path(store), strerror(errno));
	else
		item(c, "store", FOR_SNAP, vfs.f_bavail ? GOOD : BAD, "%s: writable, %s free",
		     store_path(store), out_size((uint64_t)vfs.f_bavail * vfs.f_frsize, size));
	store_writer_close(w);
	store_close(store);
}

/* ------------------------------------------------------------------------------------------- */

static void human(const struct ctl *ctl, json_t *report)
{
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(report, "items"), i, o) {
		const char *answer = out_get_text(o, "answer");
		bool good = !strcmp(answer, "ok"), bad = !strcmp(answer, "missing");

		printf("%s%-8s%s %-15s %s\n", good ? out_green() : bad ? out_red() : out_yellow(),
		       answer, out_plain(), out_get_text(o, "name"), out_get_text(o, "text"));
	}
	printf("snap: %s; restore: %s\n",
	       json_is_true(json_object_get(report, "snap")) ? "works" : "does not work",
	       json_is_true(json_object_get(report, "restore")) ? "works" : "does not work");
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct check c = { .ctl = ctl, .snap_ok = true, .restore_ok = true };
	const char *arg;
	int code;

	while (ctl_next(ctl, argc, argv, &arg))
		;
	if (argc != optind)
		return ctl_usage(ctl, "takes no arguments");
	c.items = json_array();
	check_kernel(&c);
	check_module(&c);
	check_rights(&c);
	check_set_tid(&c);
	check_ptrace(&c);
	check_vdso(&c);
	check_xsave(&c);
	check_store(&c);
	code = ctl_report(ctl, json_pack("{s:b,s:b,s:b,s:o}", "ok", c.snap_ok && c.restore_ok,
					 "snap", c.snap_ok, "restore", c.restore_ok,
					 "items", c.items), human);
	if (code)
		return code;
	return c.snap_ok && c.restore_ok ? CTL_OK : CTL_UNSUPPORTED;
}

const struct verb verb_check = {
	.name = "check", .args = "[OPTION]...", .opts = opts, .run = run,
	.summary = "Tell what can be done on this machine, and why not",
	.about = "\nLoads the module if it may, as snap does. Exit status 0: snap and restore can work.",
};
