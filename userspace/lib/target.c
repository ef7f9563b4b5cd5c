// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * target.c - see target.h.  A struct target owns its pidfd from target_open() to target_close().
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc-stat.h"
#include "target.h"

#define PF_KTHREAD	0x00200000	/* field 9 of /proc/PID/stat */
#define ENDING_MS	1000		/* the longest that threads take to end after the first */

/* The whole of /proc/PID/NAME as text; -errno. */
static int read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	buf[n < 0 ? 0 : n] = '\0';
	return n < 0 ? n : 0;
}

/* Number behind "NAME:" in a status file, 0 when there is none. */
static uint64_t status_number(const char *status, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = status; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, name, len) && at[len] == ':')
			return strtoull(at + len + 1, NULL, 10);
	}
	return 0;
}

static int no_process(pid_t pid, struct ckpt_err *err)
{
	ckpt_err_set(err, ESRCH, "process %d: no such process", pid);
	ckpt_err_hint(err, "look the number up with ps");
	return -ESRCH;
}

/* Gone, or there and not to be read: a caller who is told it is gone acts on it. */
static int unreadable(pid_t pid, const char *name, int code, struct ckpt_err *err)
{
	if (code == -ENOENT || code == -ESRCH)
		return no_process(pid, err);
	return ckpt_err_sys(err, code, "process %d: cannot read /proc/%d/%s", pid, pid, name);
}

static int look(struct target *t, struct ckpt_err *err)
{
	struct proc_stat st;
	char status[4096];
	int ret;

	ret = proc_stat_read(t->pid, &st);
	if (ret)
		return unreadable(t->pid, "stat", ret, err);
	t->start_ticks = st.start_ticks;
	/* Or is just ending: the first thread may be through with that before the others. */
	if (st.state == 'X' || (st.state == 'Z' && !target_wait(t, ENDING_MS, NULL))) {
		ckpt_err_set(err, ESRCH, "process %d: has exited already (a zombie)", t->pid);
		ckpt_err_hint(err, "its parent has not waited for it yet");
		return -ESRCH;
	}
	if (st.state == 'Z') {
		ckpt_err_set(err, EOPNOTSUPP, "process %d: its first thread has ended and others run on",
			     t->pid);
		ckpt_err_hint(err, "this is not supported yet; the process is alive");
		return -EOPNOTSUPP;
	}
	if (st.flags & PF_KTHREAD) {
		ckpt_err_set(err, EOPNOTSUPP, "process %d: is a kernel thread", t->pid);
		ckpt_err_hint(err, "only programs can be snapshotted");
		return -EOPNOTSUPP;
	}
	ret = read_proc(t->pid, "comm", t->comm, sizeof(t->comm));
	if (ret)
		return unreadable(t->pid, "comm", ret, err);
	t->comm[strcspn(t->comm, "\n")] = '\0';
	if (!read_proc(t->pid, "status", status, sizeof(status)))
		t->rss_bytes = 1024 * (status_number(status, "RssAnon") +
				       status_number(status, "RssShmem"));
	return 0;
}

static int pidfd_failed(pid_t pid, int code, struct ckpt_err *err)
{
	char status[4096];
	uint64_t tgid;
	int ret;

	if (code == -ESRCH)
		return no_process(pid, err);
	if (code != -EINVAL && code != -ENOENT)
		return ckpt_err_sys(err, code, "process %d", pid);
	ret = read_proc(pid, "status", status, sizeof(status));
	if (ret)
		return unreadable(pid, "status", ret, err);
	tgid = status_number(status, "Tgid");
	if (!tgid || tgid == (uint64_t)pid)
		return no_process(pid, err);
	ckpt_err_set(err, EINVAL, "process %d: is a thread", pid);
	ckpt_err_hint(err, "name its process, %" PRIu64, tgid);
	return -EINVAL;
}

int target_open(pid_t pid, struct ckpt_err *err, struct target *ret_target)
{
	struct target t = { .pid = pid };
	int ret;

	if (pid <= 0)
		return ckpt_err_set(err, EINVAL, "process %d: not a process number", pid);
	if (pid == getpid()) {
		ckpt_err_set(err, EDEADLK, "process %d: is the calling process itself", pid);
		ckpt_err_hint(err, "a snapshot has to be asked for from outside");
		return -EDEADLK;
	}
	t.pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (t.pidfd < 0)
		return pidfd_failed(pid, -errno, err);
	ret = look(&t, err);
	if (ret) {
		close(t.pidfd);
		return ret;
	}
	*ret_target = t;
	return 0;
}

void target_close(struct target *t)
{
	if (t->pidfd >= 0)
		close(t->pidfd);
	t->pidfd = -1;
}

bool target_ended(const struct target *t)
{
	struct pollfd p = { .fd = t->pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

int target_verify(const struct target *t, uint64_t start_boottime_ns, struct ckpt_err *err)
{
	uint64_t tick = 1000000000ull / sysconf(_SC_CLK_TCK);

	if (!target_ended(t))
		return 0;
	/* It may have ended after the capture; who was started when it was is the same. */
	if (start_boottime_ns && start_boottime_ns / tick == t->start_ticks)
		return 0;
	ckpt_err_set(err, ESRCH, "process %d: exited meanwhile", t->pid);
	return -ESRCH;
}

int target_kill(const struct target *t, struct ckpt_err *err)
{
	if (!syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0))
		return 0;
	if (errno == ESRCH)
		return 0;		/* somebody else was faster */
	return ckpt_err_sys(err, errno, "process %d: cannot be killed", t->pid);
}

int target_wait(const struct target *t, int timeout_ms, struct ckpt_err *err)
{
	struct pollfd p = { .fd = t->pidfd, .events = POLLIN };
	int n;

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return ckpt_err_sys(err, errno, "process %d", t->pid);
	if (!n) {
		ckpt_err_set(err, ETIMEDOUT, "process %d: was killed and has not ended yet", t->pid);
		ckpt_err_hint(err, "a thread of it waits in the kernel");
		return -ETIMEDOUT;
	}
	return 0;
}
