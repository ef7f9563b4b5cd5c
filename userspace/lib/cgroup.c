// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * cgroup.c - see cgroup.h.  No state: a group is read anew each time, for processes come and go.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cgroup.h"
#include "proc-stat.h"

#define MOUNT	"/sys/fs/cgroup"

struct members {
	pid_t *v;
	size_t nr, cap;
};

static int add(struct members *m, pid_t pid)
{
	if (m->nr == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 64;
		pid_t *v = reallocarray(m->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		m->v = v;
		m->cap = cap;
	}
	m->v[m->nr++] = pid;
	return 0;
}

/* Those of one group.  One that is part of a threaded group shows none: its head does. */
static int read_procs(int dir, struct members *m)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC), ret = 0;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	pid_t pid;

	if (!f) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	errno = 0;
	while (!ret && fscanf(f, "%d", &pid) == 1)
		ret = pid > 0 ? add(m, pid) : -EXDEV;
	if (!ret && ferror(f) && errno != EOPNOTSUPP)
		ret = -errno;
	fclose(f);
	return ret;
}

/* Takes @fd.  A group that is removed meanwhile had nobody in it. */
static int read_group(int fd, struct members *m)
{
	DIR *dir = fdopendir(fd);
	struct dirent *de;
	int ret;

	if (!dir) {
		ret = -errno;
		close(fd);
		return ret;
	}
	ret = read_procs(fd, m);
	if (ret == -ENODEV)
		ret = 0;
	while (!ret && (de = readdir(dir))) {
		int below;

		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		below = openat(fd, de->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (below >= 0)
			ret = read_group(below, m);
		else if (errno != ENOENT)
			ret = -errno;
	}
	closedir(dir);
	return ret;
}

static bool is_group(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (fs.f_type == CGROUP2_SUPER_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC);
}

static int open_group(const char *path, struct ckpt_err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = errno;
	char below[PATH_MAX];

	if (fd >= 0 && is_group(fd))
		return fd;
	if (fd >= 0) {
		close(fd);
		code = ENOTDIR;
	}
	if (snprintf(below, sizeof(below), MOUNT "/%s", path) < (int)sizeof(below)) {
		fd = open(below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && is_group(fd))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return ckpt_err_set(err, code, "%s: is not a control group", path);
}

int cgroup_list(const char *path, struct ckpt_err *err, pid_t **ret_pids, size_t *ret_nr)
{
	struct members m = { 0 };
	int fd = open_group(path, err), ret;

	if (fd < 0)
		return fd;
	ret = read_group(fd, &m);
	if (ret == -EXDEV)
		ckpt_err_set(err, EXDEV, "control group %s: has processes of another PID namespace", path);
	else if (ret)
		ckpt_err_sys(err, ret, "control group %s", path);
	if (ret) {
		free(m.v);
		return ret;
	}
	*ret_pids = m.v;
	*ret_nr = m.nr;
	return 0;
}

static bool has(const pid_t *v, size_t nr, pid_t pid)
{
	while (nr-- > 0)
		if (v[nr] == pid)
			return true;
	return false;
}

int cgroup_first(const char *path, struct ckpt_err *err, pid_t *ret_pid)
{
	struct proc_stat st, best = { 0 };
	pid_t *v, pid = 0;
	size_t nr;
	int ret = cgroup_list(path, err, &v, &nr);

	if (ret)
		return ret;
	for (size_t i = 0; i < nr; i++) {
		if (proc_stat_read(v[i], &st) || has(v, nr, st.ppid) || (st.sid != v[i] && has(v, nr, st.sid)))
			continue;
		if (!pid || st.start_ticks < best.start_ticks) {
			pid = v[i];
			best = st;
		}
	}
	free(v);
	if (!pid)
		return ckpt_err_set(err, ESRCH, "control group %s: has no processes", path);
	*ret_pid = pid;
	return 0;
}
