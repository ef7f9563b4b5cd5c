// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/ckpt: the module's parameters, its device, its coming and going.
 *
 * Owns the misc device. Init in the order symbols, shrinker, trackers, counters, device;
 * the device is last, because with it calls come in. What fails undoes what was done.
 * Exit is called when no descriptor is left (each holds a reference to the module): then
 * only works on their way through a target's return to user mode may remain, and
 * ckpt_freeze_exit() waits for them; and pinned trackers, which ckpt_track_exit() ends.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include <uapi/linux/ckpt.h>
#include "counters.h"
#include "freeze.h"
#include "ioctl.h"
#include "params.h"
#include "session.h"
#include "shrink.h"
#include "symbols.h"
#include "track.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

unsigned int ckpt_freeze_timeout_ms = 1000;
module_param_named(freeze_timeout_ms, ckpt_freeze_timeout_ms, uint, 0644);
MODULE_PARM_DESC(freeze_timeout_ms,
		 "Give up a freeze after this long when the caller names no time (default 1000)");

unsigned long ckpt_max_state_bytes = 64UL << 20;
module_param_named(max_state_bytes, ckpt_max_state_bytes, ulong, 0644);
MODULE_PARM_DESC(max_state_bytes, "Most bytes of state records in a snapshot (default 64 MiB)");

unsigned long ckpt_max_copy_bytes = 4UL << 30;
module_param_named(max_copy_bytes, ckpt_max_copy_bytes, ulong, 0644);
MODULE_PARM_DESC(max_copy_bytes,
		 "Most bytes of shared memory copied inside a pause (default 4 GiB)");

static int do_query(struct ckpt_call *call)
{
	struct ckpt_query *cmd = call->arg;

	*cmd = (struct ckpt_query) {
		.size = cmd->size,
		.out_version = CKPT_UAPI_VERSION,
		.out_page_size = PAGE_SIZE,
		.out_features = CKPT_FEATURE_COW | CKPT_FEATURE_QUIET_FREEZE |
				CKPT_FEATURE_BARRIER | CKPT_FEATURE_CONSUME |
				CKPT_FEATURE_SHRINKER | CKPT_FEATURE_SPLICE |
				CKPT_FEATURE_TRACK | CKPT_FEATURE_BARRIER_SKIP,
		.out_max_threads = PID_MAX_LIMIT,
		.out_max_state = READ_ONCE(ckpt_max_state_bytes),
		.out_max_copy = READ_ONCE(ckpt_max_copy_bytes),
	};
	strscpy(cmd->out_module_version, CKPT_VERSION, sizeof(cmd->out_module_version));
	return 0;
}

static const struct ckpt_ioctl device_ioctls[] = {
	CKPT_IOCTL(CKPT_CMD_QUERY, ckpt_query, out_module_version, 0, do_query),
	CKPT_IOCTL(CKPT_CMD_ATTACH, ckpt_attach, out_tid, CKPT_ATTACH_TRACK, ckpt_session_attach),
	CKPT_IOCTL(CKPT_CMD_SNAP, ckpt_snap, out_addr, CKPT_SNAPSHOT_CONSUME | CKPT_SNAPSHOT_TRACK,
		   ckpt_session_snap),
	CKPT_IOCTL(CKPT_CMD_UNTRACK, ckpt_untrack, out_reserved, 0, ckpt_session_untrack),
};

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return ckpt_ioctl_run(file, cmd, arg, device_ioctls, ARRAY_SIZE(device_ioctls));
}

static const struct file_operations device_fops = {
	.owner		= THIS_MODULE,
	.open		= nonseekable_open,
	.unlocked_ioctl	= device_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "ckpt",
	.fops	= &device_fops,
	.mode	= 0600,
};

static int __init ckpt_init(void)
{
	int ret;

	ret = ckpt_symbols_init();
	if (ret)
		return ret;
	ret = ckpt_shrink_init();
	if (ret)
		return ret;
	ret = ckpt_track_init();
	if (ret)
		goto err_shrink;
	ckpt_counters_init();
	ret = misc_register(&device);
	if (ret)
		goto err_counters;
	return 0;

err_counters:
	ckpt_counters_exit();
	ckpt_track_exit();
err_shrink:
	ckpt_shrink_exit();
	return ret;
}

static void __exit ckpt_exit(void)
{
	misc_deregister(&device);
	ckpt_freeze_exit();
	ckpt_track_exit();
	ckpt_counters_exit();
	ckpt_shrink_exit();
}

module_init(ckpt_init);
module_exit(ckpt_exit);

MODULE_DESCRIPTION("Consistent snapshots of running processes");
MODULE_LICENSE("GPL");
MODULE_VERSION(CKPT_VERSION);
