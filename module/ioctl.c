// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules every ioctl follows, in one place: sizes, flags, copying in and out, and
 * that a new descriptor is installed last, when nothing can fail any more.
 *
 * Owns nothing. Handlers see kernel memory only. The structure is written back also
 * when the handler failed, for the fields that tell why.
 */
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/ckpt.h>
#include "ioctl.h"

/* Every structure begins so. */
struct head {
	u32 size;
	u32 flags;
};

union any {
	struct head head;
	struct ckpt_query query;
	struct ckpt_attach attach;
	struct ckpt_snap snap;
	struct ckpt_freeze freeze;
	struct ckpt_thaw thaw;
	struct ckpt_steady steady;
	struct ckpt_state state;
	struct ckpt_snapshot snapshot;
	struct ckpt_map map;
	struct ckpt_barrier barrier;
	struct ckpt_stats stats;
};

/* The layout is a contract: it is the same for every compiler and for ever. */
static_assert(sizeof(struct ckpt_query) == 80);
static_assert(sizeof(struct ckpt_attach) == 24);
static_assert(sizeof(struct ckpt_snap) == 64);
static_assert(sizeof(struct ckpt_freeze) == 56);
static_assert(sizeof(struct ckpt_thaw) == 16);
static_assert(sizeof(struct ckpt_steady) == 16);
static_assert(sizeof(struct ckpt_state) == 48);
static_assert(sizeof(struct ckpt_snapshot) == 72);
static_assert(sizeof(struct ckpt_map) == 48);
static_assert(sizeof(struct ckpt_barrier) == 32);
static_assert(sizeof(struct ckpt_stats) == 160);
static_assert(sizeof(struct ckpt_untrack) == 24);
static_assert(sizeof(struct ckpt_commit) == 24);
static_assert(sizeof(struct ckpt_run) == 24);
static_assert(sizeof(struct ckpt_record) == 8);
static_assert(sizeof(struct ckpt_file_id) == 72);
static_assert(sizeof(struct ckpt_rec_system) == 200);
static_assert(sizeof(struct ckpt_rec_proc) == 88);
static_assert(sizeof(struct ckpt_rec_mm) == 112);
static_assert(sizeof(struct ckpt_rec_path) == 88);
static_assert(sizeof(struct ckpt_rec_vma) == 128);
static_assert(sizeof(struct ckpt_rec_fd) == 120);
static_assert(sizeof(struct ckpt_rec_lock) == 32);
static_assert(sizeof(struct ckpt_rec_sigaction) == 32);
static_assert(sizeof(struct ckpt_rec_sigpending) == 144);
static_assert(sizeof(struct ckpt_rec_posix_timer) == 56);
static_assert(sizeof(struct ckpt_rec_thread) == 208);
static_assert(sizeof(struct ckpt_rec_creds) == 88);
static_assert(sizeof(struct ckpt_rec_tcp) == 120);
static_assert(sizeof(struct ckpt_rec_guard) == 16);
static_assert(sizeof(struct ckpt_rec_semundo) == 8);

static const struct ckpt_ioctl *find(unsigned int cmd, const struct ckpt_ioctl *table, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (cmd == _IO(CKPT_IOC_TYPE, table[i].nr))
			return &table[i];
	return NULL;
}

static void finish_fd(struct ckpt_call *call, int ret)
{
	if (!call->file)
		return;
	if (ret) {
		put_unused_fd(call->fd);
		fput(call->file);
	} else {
		fd_install(call->fd, call->file);
	}
}

/**
 * ckpt_ioctl_run - find the handler of an ioctl and run it
 * @file: descriptor
 * @cmd: request
 * @arg: address of the caller's structure
 * @table: what this kind of descriptor knows
 * @nr: rows of @table
 */
long ckpt_ioctl_run(struct file *file, unsigned int cmd, unsigned long arg,
		    const struct ckpt_ioctl *table, size_t nr)
{
	const struct ckpt_ioctl *row = find(cmd, table, nr);
	void __user *ptr = (void __user *)arg;
	union any any = {};
	struct ckpt_call call = { .priv = file->private_data, .arg = &any };
	u32 size;
	int ret;

	if (!row)
		return -ENOTTY;
	if (get_user(size, (u32 __user *)ptr))
		return -EFAULT;
	if (size < row->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&any, row->size, ptr, size);
	if (ret)
		return ret;
	/* It may have changed between the two reads; ours is what counts. */
	any.head.size = size;
	if (any.head.flags & ~row->flags)
		return -EINVAL;
	/* A fault must be found before anything is done: a freeze cannot be reported back. */
	if (copy_to_user(ptr, &any, min_t(size_t, size, row->size)))
		return -EFAULT;

	ret = row->fn(&call);
	if (copy_to_user(ptr, &any, min_t(size_t, size, row->size)) && !ret)
		ret = -EFAULT;
	finish_fd(&call, ret);
	return ret;
}

/**
 * ckpt_call_make_fd - return a new descriptor from a call
 * @call: the call; its handler stores @call->fd in the structure
 * @file: what the descriptor shall be; given back on error
 */
int ckpt_call_make_fd(struct ckpt_call *call, struct file *file)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0) {
		fput(file);
		return fd;
	}
	call->fd = fd;
	call->file = file;
	return 0;
}
