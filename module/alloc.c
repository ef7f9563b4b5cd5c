// SPDX-License-Identifier: GPL-2.0-only
/*
 * A test's way to make the n-th allocation of the module fail: debugfs ckpt/fail_nth.
 *
 * Written N, it lets the N-th allocation from now on fail, once, whoever makes it: the caller of an
 * ioctl, or a thread of the target that writes to a page. Read, it tells how many are left until
 * then: 0 when it has failed, or when none is wanted. A sweep writes 1, 2, ... and ends with the
 * first run after which the count is not down to 0.
 *
 * Owns the static key that leads here, on while a count is armed or has been reached but not yet
 * written back to 0. left is an atomic: several threads count down, one of them meets 1. Whoever
 * sets it holds set_lock, for a static key that is being enabled must not be disabled.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mutex.h>

#include "alloc.h"

DEFINE_STATIC_KEY_FALSE(ckpt_fail_key);

static atomic_t left = ATOMIC_INIT(0);
static DEFINE_MUTEX(set_lock);

bool ckpt_fail_now(void)
{
	return atomic_add_unless(&left, -1, 0) && !atomic_read(&left);
}

static int fail_get(void *unused, u64 *val)
{
	*val = atomic_read(&left);
	return 0;
}

static int fail_set(void *unused, u64 val)
{
	if (val > INT_MAX)
		return -EINVAL;
	mutex_lock(&set_lock);
	atomic_set(&left, val);
	if (val)
		static_branch_enable(&ckpt_fail_key);
	else
		static_branch_disable(&ckpt_fail_key);
	mutex_unlock(&set_lock);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(fail_fops, fail_get, fail_set, "%llu\n");

void ckpt_alloc_init(struct dentry *dir)
{
	debugfs_create_file("fail_nth", 0600, dir, NULL, &fail_fops);
}

void ckpt_alloc_exit(void)
{
	static_branch_disable(&ckpt_fail_key);
}
