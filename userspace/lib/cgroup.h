/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup.h - the processes of a control group, cgroups(7).
 */
#ifndef CKPT_LIB_CGROUP_H
#define CKPT_LIB_CGROUP_H

#include <stddef.h>
#include <sys/types.h>

#include "err.h"

/*
 * Those of the group and of all groups below it that had not ended, in no order; to be freed.  @path is a
 * directory of a cgroup file system, or what /proc/PID/cgroup shows of the unified one.
 * -ENOENT, -ENOTDIR: there is no such group; -EXDEV: some are in another PID namespace.
 */
int cgroup_list(const char *path, struct ckpt_err *err, pid_t **ret_pids, size_t *ret_nr);

/*
 * The process to begin with: the one started first of those whose parent is not in the group.
 * -ESRCH: nobody is in it.
 */
int cgroup_first(const char *path, struct ckpt_err *err, pid_t *ret_pid);

#endif
