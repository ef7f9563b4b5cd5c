// SPDX-License-Identifier: GPL-2.0-only
/*
 * A test's way to make the n-th allocation of the module fail: debugfs ckpt/fail_nth.
 *
 * Written N, it lets the N-th allocation from now on fail, once, whoever makes it: the caller of an
 * ioctl, or a thread of the target that writes to a page. Read, it tells how many are left until
 * then: 0 when it has failed, or when none is wanted. A sweep writes 1, 2, ... and ends with the
 * first run after which the count is not down to 0.
 *
 * Owns the count. Several threads count down, one of them meets 1. It is no static key: a test that
 * arms it a hundred times a second would patch code that other processors are in, and emulated ones
 * (QEMU 10.0, TCG with a thread each) may go on with what they have translated half-way, to an int3.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>

#include "alloc.h"

atomic_t ckpt_fail_left = ATOMIC_INIT(0);

bool ckpt_fail_now(void)
{
	return atomic_add_unless(&ckpt_fail_left, -1, 0) && !atomic_read(&ckpt_fail_left);
}

static int fail_get(void *unused, u64 *val)
{
	*val = atomic_read(&ckpt_fail_left);
	return 0;
}

static int fail_set(void *unused, u64 val)
{
	if (val > INT_MAX)
		return -EINVAL;
	atomic_set(&ckpt_fail_left, val);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(fail_fops, fail_get, fail_set, "%llu\n");

void ckpt_alloc_init(struct dentry *dir)
{
	debugfs_create_file("fail_nth", 0600, dir, NULL, &fail_fops);
}
