// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * device.c - see device.h.  Owns the meaning of errno and enum ckpt_reason in words; holds no state.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"

/* What a failed call says of its cause. */
struct cause {
	pid_t		pid;
	uint32_t	reason;		/* enum ckpt_reason */
	int32_t		tid;
	int32_t		syscall;	/* -1: none */
	uint64_t	addr;
};

/* 0 or -errno. */
static int call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

/* First line of a small proc file of a thread; "" when there is none. */
static void read_task_line(pid_t pid, pid_t tid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	buf[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, buf, size - 1);
	close(fd);
	buf[n < 0 ? 0 : n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

static int busy_thread(const struct cause *c, int code, struct ckpt_err *err)
{
	char comm[32], wchan[64], call_text[48] = "";

	read_task_line(c->pid, c->tid, "comm", comm, sizeof(comm));
	read_task_line(c->pid, c->tid, "wchan", wchan, sizeof(wchan));
	if (c->syscall >= 0)
		snprintf(call_text, sizeof(call_text), " (system call %d)", c->syscall);
	ckpt_err_set(err, code, "process %d: thread %d%s%s did not leave the kernel in time%s%s%s",
		     c->pid, c->tid, comm[0] ? " " : "", comm, call_text,
		     wchan[0] && strcmp(wchan, "0") ? ", it waits in " : "",
		     strcmp(wchan, "0") ? wchan : "");
	ckpt_err_hint(err, "the process runs on; try again, or wait longer with --timeout");
	return code;
}

struct words {
	const char *what;
	const char *remedy;		/* NULL: none */
};

static const struct words reason_words[] = {
	[CKPT_REASON_NO_TARGET]	= { "no such process", "look the number up with ps" },
	[CKPT_REASON_ZOMBIE]	= { "has exited already (a zombie)",
				    "its parent has not waited for it yet" },
	[CKPT_REASON_EXITED]	= { "exited meanwhile", NULL },
	[CKPT_REASON_PERMISSION] = { "you may not trace it",
				    "run as its owner or as root, and see ptrace_scope in ptrace(2)" },
	[CKPT_REASON_SELF]	= { "is the calling process itself",
				    "a snapshot has to be asked for from outside" },
	[CKPT_REASON_KTHREAD]	= { "is a kernel thread", "only programs can be snapshotted" },
	[CKPT_REASON_IO_WORKER]	= { "has kernel workers: of an io_uring, or of a virtual machine (KVM, vhost)",
				    "close what they work for before the snapshot" },
	[CKPT_REASON_SHARED_FILES] = { "shares its table of open files with another process",
				    "unshare it (CLONE_FILES) before the snapshot" },
	[CKPT_REASON_FROZEN]	= { "is frozen by another session", "wait until that is done" },
	[CKPT_REASON_EXEC]	= { "executes a new program just now", "try again" },
	[CKPT_REASON_UNSTEADY]	= { "its threads or pages would not hold still", "try again" },
	[CKPT_REASON_SHMEM_LIMIT] = { "has more shared memory than may be copied in the pause",
				    "raise the module's parameter max_copy_bytes" },
	[CKPT_REASON_LEASE]	= { "maps a file shared that is under a write lease (F_SETLEASE)",
				    "give the lease up before the snapshot" },
};

/* Errors a call gives without a reason. */
static int plain_error(const struct cause *c, int code, struct ckpt_err *err)
{
	switch (-code) {
	case ESRCH:
		return ckpt_err_set(err, code, "process %d: no such process", c->pid);
	case ENOMEM:
		ckpt_err_set(err, code, "process %d: the kernel has no memory for the snapshot",
			     c->pid);
		ckpt_err_hint(err, "nothing was changed; free some memory");
		return code;
	case ECANCELED:
		ckpt_err_set(err, code, "process %d: the kernel needed the memory of the snapshot",
			     c->pid);
		ckpt_err_hint(err, "the process runs on; free some memory and try again");
		return code;
	case ENOTTY:
		ckpt_err_set(err, code, "process %d: the module does not know this call", c->pid);
		ckpt_err_hint(err, "load the module that belongs to this version");
		return code;
	default:
		return ckpt_err_sys(err, code, "process %d", c->pid);
	}
}

static int fail(const struct cause *c, int code, struct ckpt_err *err)
{
	const struct words *w;

	switch (c->reason) {
	case CKPT_REASON_BUSY_THREAD:
		return busy_thread(c, code, err);
	case CKPT_REASON_COMPAT:
		ckpt_err_set(err, code, "process %d: is a 32-bit or x32 program", c->pid);
		ckpt_err_hint(err, "only 64-bit programs are supported");
		return code;
	case CKPT_REASON_SHARED_MM:
		ckpt_err_set(err, code, "process %d: shares its memory with process %d", c->pid,
			     c->tid);
		ckpt_err_hint(err, "both run in one address space (vfork, CLONE_VM): "
			      "wait until that has ended");
		return code;
	case CKPT_REASON_PAGE:
		ckpt_err_set(err, code, "process %d: the page at %#llx cannot be read", c->pid,
			     (unsigned long long)c->addr);
		ckpt_err_hint(err, "memory or swap is damaged, see the kernel log");
		return code;
	case CKPT_REASON_GUARD:
		ckpt_err_set(err, code, "process %d: the page at %#llx is in a guard region (MADV_GUARD_INSTALL), and "
			     "the kernel does not say so of its mapping", c->pid, (unsigned long long)c->addr);
		ckpt_err_hint(err, "have it use mprotect(PROT_NONE) instead");
		return code;
	}
	if (c->reason >= sizeof(reason_words) / sizeof(*reason_words) ||
	    !reason_words[c->reason].what)
		return plain_error(c, code, err);
	w = &reason_words[c->reason];
	ckpt_err_set(err, code, "process %d: %s", c->pid, w->what);
	if (w->remedy)
		ckpt_err_hint(err, "%s", w->remedy);
	return code;
}

/* -------------------------------------------------------------------------------- device */

static int open_failed(int code, struct ckpt_err *err)
{
	switch (-code) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		ckpt_err_set(err, ENODEV, "%s: the kernel module ckpt is not loaded", CKPT_DEVICE);
		ckpt_err_hint(err, "load it with 'modprobe ckpt' or 'insmod ckpt.ko'");
		return -ENODEV;
	case EACCES:
	case EPERM:
		ckpt_err_sys(err, code, "%s", CKPT_DEVICE);
		ckpt_err_hint(err, "run as root, or let a group use the device");
		return code;
	default:
		return ckpt_err_sys(err, code, "%s", CKPT_DEVICE);
	}
}

int device_open(struct ckpt_err *err, struct ckpt_query *ret_query, int *ret_fd)
{
	struct ckpt_query q = { .size = sizeof(q) };
	int fd, ret;

	fd = open(CKPT_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return open_failed(-errno, err);
	ret = call(fd, CKPT_QUERY, &q);
	if (ret) {
		close(fd);
		ckpt_err_set(err, EPROTO, "%s: does not answer as a ckpt device (error %d)",
			     CKPT_DEVICE, -ret);
		ckpt_err_hint(err, "load the module that was built with this program");
		return -EPROTO;
	}
	q.out_module_version[sizeof(q.out_module_version) - 1] = '\0';
	if (ret_query)
		*ret_query = q;
	if (q.out_version != CKPT_UAPI_VERSION) {
		close(fd);
		ckpt_err_set(err, EPROTO,
			     "%s: module %s has interface version %u, this program needs %u",
			     CKPT_DEVICE, q.out_module_version, q.out_version, CKPT_UAPI_VERSION);
		ckpt_err_hint(err, "load the module that was built with this program");
		return -EPROTO;
	}
	*ret_fd = fd;
	return 0;
}

int device_attach(int dev, pid_t pid, uint32_t flags, struct ckpt_err *err, int *ret_session)
{
	struct ckpt_attach a = { .size = sizeof(a), .flags = flags, .pid = pid };
	struct cause c = { .pid = pid, .syscall = -1 };
	int ret = call(dev, CKPT_ATTACH, &a);

	if (ret) {
		c.reason = a.out_reason;
		c.tid = a.out_tid;
		return fail(&c, ret, err);
	}
	*ret_session = a.out_fd;
	return 0;
}

int device_snap(int dev, pid_t pid, uint32_t flags, uint32_t timeout_ms, const uint8_t *parent,
		struct ckpt_err *err, int *ret_snapshot)
{
	struct ckpt_snap s = { .size = sizeof(s), .flags = flags, .pid = pid,
			       .timeout_ms = timeout_ms };
	struct cause c = { .pid = pid, .syscall = -1 };
	int ret;

	if (parent)
		memcpy(s.parent, parent, sizeof(s.parent));
	ret = call(dev, CKPT_SNAP, &s);
	if (ret) {
		c.reason = s.out_reason;
		c.tid = s.out_tid;
		c.syscall = s.out_syscall;
		c.addr = s.out_addr;
		return fail(&c, ret, err);
	}
	*ret_snapshot = s.out_fd;
	return 0;
}

int device_untrack(int dev, pid_t pid, struct ckpt_err *err)
{
	struct ckpt_untrack u = { .size = sizeof(u), .pid = pid };
	struct cause c = { .pid = pid, .syscall = -1 };
	int ret = call(dev, CKPT_UNTRACK, &u);

	if (ret == -ENOENT)
		return ckpt_err_set(err, ENOENT, "process %d: is not tracked", pid);
	c.reason = u.out_reason;
	c.tid = u.out_tid;
	return ret ? fail(&c, ret, err) : 0;
}

/* ------------------------------------------------------------------------------- session */

int session_freeze(int session, pid_t pid, uint32_t timeout_ms, struct ckpt_err *err,
		   struct ckpt_freeze *ret_freeze)
{
	struct ckpt_freeze f = { .size = sizeof(f), .timeout_ms = timeout_ms };
	struct cause c = { .pid = pid, .syscall = -1 };
	int ret = call(session, CKPT_FREEZE, &f);

	if (ret_freeze)
		*ret_freeze = f;
	if (ret) {
		c.reason = f.out_reason;
		c.tid = f.out_tid;
		c.syscall = f.out_syscall;
		return fail(&c, ret, err);
	}
	return 0;
}

int session_thaw(int session, struct ckpt_err *err, uint64_t *ret_pause_ns)
{
	struct ckpt_thaw t = { .size = sizeof(t) };
	int ret = call(session, CKPT_THAW, &t);

	if (ret)
		return ckpt_err_sys(err, ret, "thaw");
	if (ret_pause_ns)
		*ret_pause_ns = t.out_pause_ns;
	return 0;
}

int session_steady(int session, struct ckpt_err *err, bool *ret_steady)
{
	struct ckpt_steady s = { .size = sizeof(s) };
	int ret = call(session, CKPT_STEADY, &s);

	if (ret)
		return ckpt_err_sys(err, ret, "whether all stood still");
	*ret_steady = s.out_steady;
	return 0;
}

int session_snapshot(int session, pid_t pid, uint32_t flags, const uint8_t *parent,
		     const struct device_others *others, struct ckpt_err *err, int *ret_snapshot)
{
	struct ckpt_snapshot s = {
		.size = sizeof(s), .flags = flags,
		.others = others ? (uintptr_t)others->snapshots : 0, .nr_others = others ? others->nr : 0,
	};
	struct cause c = { .pid = pid, .syscall = -1 };
	int ret;

	if (parent)
		memcpy(s.parent, parent, sizeof(s.parent));
	ret = call(session, CKPT_SNAPSHOT, &s);
	if (ret) {
		c.reason = s.out_reason;
		c.tid = s.out_tid;
		c.syscall = s.out_syscall;
		c.addr = s.out_addr;
		return fail(&c, ret, err);
	}
	*ret_snapshot = s.out_fd;
	return 0;
}

static int read_state(int fd, unsigned long cmd, struct ckpt_err *err, struct buf *ret_records)
{
	struct ckpt_state s = { .size = sizeof(s) };
	size_t begin = ret_records->len;
	int ret = call(fd, cmd, &s);

	/* A session captures anew at offset 0: what it gives then may differ in size. */
	while (!ret) {
		size_t have = ret_records->len - begin;

		if (have && have >= s.out_total)
			return 0;
		ret = buf_reserve(ret_records, s.out_total - have);
		if (ret)
			break;
		s.buf = (uintptr_t)(ret_records->data + ret_records->len);
		s.len = ret_records->cap - ret_records->len;
		s.offset = have;
		ret = call(fd, cmd, &s);
		if (!ret && !s.out_len)
			ret = -EIO;
		if (!ret)
			ret_records->len += s.out_len;
	}
	return ckpt_err_sys(err, ret, "state records");
}

int session_state(int fd, struct ckpt_err *err, struct buf *ret_records)
{
	return read_state(fd, CKPT_STATE, err, ret_records);
}

/* ------------------------------------------------------------------------------ snapshot */

int snapshot_state(int fd, struct ckpt_err *err, struct buf *ret_records)
{
	return read_state(fd, CKPT_SNAPSHOT_STATE, err, ret_records);
}

static int canceled(const char *what, int code, struct ckpt_err *err)
{
	if (code != -ECANCELED)
		return ckpt_err_sys(err, code, "%s", what);
	ckpt_err_set(err, code, "%s: the kernel needed the memory of the snapshot", what);
	ckpt_err_hint(err, "the process runs on; free some memory and try again");
	return code;
}

int snapshot_map(int fd, uint64_t start, struct ckpt_run *runs, uint32_t nr,
		 struct ckpt_err *err, uint32_t *ret_nr, uint64_t *ret_next)
{
	struct ckpt_map m = { .size = sizeof(m), .start = start, .runs = (uintptr_t)runs, .nr = nr };
	int ret = call(fd, CKPT_MAP, &m);

	if (ret)
		return canceled("map of the snapshot", ret, err);
	*ret_nr = m.out_nr;
	*ret_next = m.out_next;
	return 0;
}

int snapshot_barrier(int fd, uint32_t flags, struct ckpt_err *err, struct ckpt_barrier *ret_barrier)
{
	struct ckpt_barrier b = { .size = sizeof(b), .flags = flags };
	int ret = call(fd, CKPT_BARRIER, &b);

	if (ret_barrier)
		*ret_barrier = b;
	return ret ? canceled("sync of the program's files", ret, err) : 0;
}

int snapshot_commit(int fd, const uint8_t *id, uint32_t flags, struct ckpt_err *err)
{
	struct ckpt_commit c = { .size = sizeof(c), .flags = flags };
	int ret;

	memcpy(c.id, id, sizeof(c.id));
	ret = call(fd, CKPT_COMMIT, &c);
	return ret ? canceled("commit of the snapshot", ret, err) : 0;
}

int snapshot_stats(int fd, struct ckpt_err *err, struct ckpt_stats *ret_stats)
{
	struct ckpt_stats s = { .size = sizeof(s) };
	int ret = call(fd, CKPT_STATS, &s);

	if (ret)
		return ckpt_err_sys(err, ret, "figures of the snapshot");
	*ret_stats = s;
	return 0;
}

int snapshot_read(int fd, uint64_t addr, void *buf, size_t len, struct ckpt_err *err)
{
	char *at = buf;

	while (len) {
		ssize_t n = pread(fd, at, len, addr);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int code = n < 0 ? -errno : -ENODATA;

			if (code == -ECANCELED)
				return canceled("memory of the snapshot", code, err);
			return ckpt_err_sys(err, code, "memory of the snapshot at %#llx",
					    (unsigned long long)addr);
		}
		at += n;
		addr += n;
		len -= n;
	}
	return 0;
}
