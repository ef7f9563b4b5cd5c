// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshot descriptor: /proc/PID/mem as it was at one instant, with a barrier in
 * front.
 *
 * Owns the file and its reference to the picture. Offsets are virtual addresses.
 * Every call may meet a picture that has been canceled, and says -ECANCELED.
 *
 * Locks: none across copies to the user; a page is read with a reference of its own.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pipe_fs_i.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "alloc.h"
#include "ioctl.h"
#include "picture.h"
#include "trace.h"

static int may_read(struct ckpt_picture *picture)
{
	if (READ_ONCE(picture->canceled))
		return -ECANCELED;
	/* Pairs with the release in do_barrier(). */
	return smp_load_acquire(&picture->durable) ? 0 : -EBUSY;
}

static void consume(struct ckpt_picture *picture, unsigned long addr)
{
	if (picture->flags & CKPT_SNAPSHOT_CONSUME)
		ckpt_pages_consume(&picture->pages, addr);
}

static ssize_t snapshot_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct ckpt_picture *picture = iocb->ki_filp->private_data;
	unsigned long addr = iocb->ki_pos;
	int ret = may_read(picture);
	struct page *page;
	ssize_t done = 0;
	size_t n;

	while (!ret && iov_iter_count(to)) {
		ret = ckpt_pages_get(&picture->pages, addr, &page);
		if (ret)
			break;
		n = min_t(size_t, PAGE_SIZE - offset_in_page(addr), iov_iter_count(to));
		n = copy_page_to_iter(page, offset_in_page(addr), n, to);
		put_page(page);
		if (!n) {
			ret = -EFAULT;
			break;
		}
		if (!offset_in_page(addr + n))
			consume(picture, addr);
		addr += n;
		done += n;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	iocb->ki_pos = addr;
	return done ?: ret;
}

static void release_splice_page(struct splice_pipe_desc *spd, unsigned int i)
{
	put_page(spd->pages[i]);
}

/* Pages go into the pipe as they are; each with its own reference. */
static ssize_t snapshot_splice_read(struct file *in, loff_t *ppos, struct pipe_inode_info *pipe,
				    size_t len, unsigned int flags)
{
	struct page *pages[PIPE_DEF_BUFFERS];
	struct partial_page partial[PIPE_DEF_BUFFERS];
	struct splice_pipe_desc spd = {
		.pages = pages,
		.partial = partial,
		.nr_pages_max = PIPE_DEF_BUFFERS,
		.ops = &nosteal_pipe_buf_ops,
		.spd_release = release_splice_page,
	};
	struct ckpt_picture *picture = in->private_data;
	unsigned long addr = *ppos;
	ssize_t ret = may_read(picture);
	unsigned int room = pipe->max_usage - pipe_occupancy(pipe->head, pipe->tail);

	while (!ret && len && spd.nr_pages < min_t(unsigned int, room, PIPE_DEF_BUFFERS)) {
		unsigned int off = offset_in_page(addr);
		size_t n = min_t(size_t, PAGE_SIZE - off, len);

		ret = ckpt_pages_get(&picture->pages, addr, &pages[spd.nr_pages]);
		if (ret)
			break;
		partial[spd.nr_pages++] = (struct partial_page) { .offset = off, .len = n };
		addr += n;
		len -= n;
	}
	if (!spd.nr_pages)
		return ret ?: (len ? -EAGAIN : 0);

	ret = splice_to_pipe(pipe, &spd);
	if (ret > 0) {
		/* Only what lies whole below the new position has been taken. */
		for (addr = PAGE_ALIGN_DOWN(*ppos); addr + PAGE_SIZE <= *ppos + ret;
		     addr += PAGE_SIZE)
			consume(picture, addr);
		*ppos += ret;
	}
	return ret;
}

/* The next address from @addr on that is DATA, or is not. */
static loff_t seek_entry(struct ckpt_picture *picture, unsigned long addr, bool data)
{
	unsigned long end;

	while (addr < TASK_SIZE_MAX) {
		enum ckpt_entry entry = ckpt_pages_entry(&picture->pages, addr & PAGE_MASK, &end);

		if ((entry == CKPT_ENTRY_DATA) == data)
			return addr;
		addr = end;
	}
	return -ENXIO;
}

static loff_t snapshot_llseek(struct file *file, loff_t offset, int whence)
{
	struct ckpt_picture *picture = file->private_data;

	if (offset < 0 || offset >= TASK_SIZE_MAX)
		return whence == SEEK_DATA || whence == SEEK_HOLE ? -ENXIO : -EINVAL;
	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		if (READ_ONCE(picture->canceled))
			return -ECANCELED;
		offset = seek_entry(picture, offset, whence == SEEK_DATA);
		if (READ_ONCE(picture->canceled))
			return -ECANCELED;
		if (offset < 0)
			return offset;
		break;
	default:
		return -EINVAL;
	}
	return vfs_setpos(file, offset, TASK_SIZE_MAX);
}

static enum ckpt_run_kind kind_of(const struct ckpt_area *area, enum ckpt_entry entry)
{
	switch (entry) {
	case CKPT_ENTRY_DATA:
	case CKPT_ENTRY_CONSUMED:
		return CKPT_RUN_DATA;
	case CKPT_ENTRY_ZERO:
		return CKPT_RUN_ZERO;
	case CKPT_ENTRY_PARENT:
		return CKPT_RUN_PARENT;
	default:
		if (area->kind == CKPT_AREA_OPAQUE)
			return CKPT_RUN_OPAQUE;
		if (area->elsewhere)
			return CKPT_RUN_OTHER;
		return area->anon ? CKPT_RUN_ZERO : CKPT_RUN_FILE;
	}
}

/* The run that begins at @addr, or at the first mapping behind it. */
static bool next_run(struct ckpt_picture *picture, unsigned long addr, struct ckpt_run *run)
{
	const struct ckpt_area *area = ckpt_areas_find(&picture->areas, addr);
	unsigned long end = 0;

	if (!area)
		return false;
	addr = max(addr, area->start);
	*run = (struct ckpt_run) { .start = addr };
	while (addr < area->end) {
		enum ckpt_entry entry = ckpt_pages_entry(&picture->pages, addr, &end);
		u32 kind = kind_of(area, entry);

		if (run->kind && run->kind != kind)
			break;
		run->kind = kind;
		addr = min(end, area->end);
	}
	run->len = addr - run->start;
	return true;
}

static int do_map(struct ckpt_call *call)
{
	struct ckpt_picture *picture = call->priv;
	struct ckpt_map *cmd = call->arg;
	struct ckpt_run __user *out = u64_to_user_ptr(cmd->runs);
	struct ckpt_run run;

	cmd->out_nr = 0;
	cmd->out_reserved = 0;
	if (!cmd->nr || cmd->reserved || offset_in_page(cmd->start))
		return -EINVAL;
	if (READ_ONCE(picture->canceled))
		return -ECANCELED;

	cmd->out_next = cmd->start;
	while (cmd->out_nr < cmd->nr && next_run(picture, cmd->out_next, &run)) {
		if (copy_to_user(&out[cmd->out_nr], &run, sizeof(run)))
			return -EFAULT;
		cmd->out_nr++;
		cmd->out_next = run.start + run.len;
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	/* Was it whole until here? It is called canceled before the first page goes. */
	return READ_ONCE(picture->canceled) ? -ECANCELED : 0;
}

static int do_barrier(struct ckpt_call *call)
{
	struct ckpt_picture *picture = call->priv;
	struct ckpt_barrier *cmd = call->arg;
	struct ckpt_written *failed = NULL;
	ktime_t begun = ktime_get();
	int ret;

	cmd->out_files = 0;
	cmd->out_failed_fd = -1;
	cmd->out_failed_addr = 0;
	cmd->out_ns = 0;
	if (READ_ONCE(picture->canceled))
		return -ECANCELED;
	if (mutex_lock_interruptible(&picture->barrier_lock))
		return -EINTR;

	ret = cmd->flags & CKPT_BARRIER_SKIP ? 0 : ckpt_written_sync(&picture->written, &failed);
	if (ret < 0 && failed) {
		cmd->out_failed_fd = failed->fd;
		cmd->out_failed_addr = failed->addr;
	} else if (ret >= 0) {
		cmd->out_files = ret;
		/* Pairs with the acquire in may_read(). */
		smp_store_release(&picture->durable, true);
	}
	cmd->out_ns = ktime_to_ns(ktime_sub(ktime_get(), begun));
	picture->barrier_ns += cmd->out_ns;
	mutex_unlock(&picture->barrier_lock);

	trace_barrier(cmd->out_files, cmd->out_ns, min(ret, 0));
	return min(ret, 0);
}

static int do_stats(struct ckpt_call *call)
{
	struct ckpt_picture *picture = call->priv;
	struct ckpt_stats *cmd = call->arg;

	*cmd = (struct ckpt_stats) {
		.size = cmd->size,
		.out_pause_ns = READ_ONCE(picture->pause->ns),
		.out_freeze_ns = picture->frozen.freeze_ns,
		.out_state_ns = picture->state_ns,
		.out_copy_ns = picture->copy_ns,
		.out_arm_ns = picture->arm_ns,
		.out_barrier_ns = READ_ONCE(picture->barrier_ns),
		.out_threads = picture->frozen.threads,
		.out_parked = picture->frozen.parked,
		.out_asleep = picture->frozen.asleep,
		.out_woken = picture->frozen.woken,
		.out_retries = picture->retries,
		.out_canceled = READ_ONCE(picture->canceled),
		.out_armed = picture->arm.armed,
		.out_armed_huge = picture->arm.armed_huge,
		.out_copied = picture->arm.copied,
		.out_zero = picture->arm.zero,
		.out_faulted = picture->arm.faulted,
		.out_state_bytes = picture->records.len,
		.out_full = picture->full,
		.out_parent = picture->arm.parent,
		.out_dirty = picture->arm.dirty,
		.out_uncovered = picture->arm.uncovered,
	};
	return 0;
}

static int do_state(struct ckpt_call *call)
{
	struct ckpt_picture *picture = call->priv;

	return ckpt_records_read(&picture->records, call->arg);
}

static int do_commit(struct ckpt_call *call)
{
	struct ckpt_commit *cmd = call->arg;

	if (!memchr_inv(cmd->id, 0, CKPT_ID_LEN))
		return -EINVAL;
	return ckpt_picture_commit(call->priv, cmd->id, cmd->flags & CKPT_COMMIT_PIN);
}

static const struct ckpt_ioctl snapshot_ioctls[] = {
	CKPT_IOCTL(CKPT_CMD_MAP, ckpt_map, out_next, 0, do_map),
	CKPT_IOCTL(CKPT_CMD_BARRIER, ckpt_barrier, out_ns, CKPT_BARRIER_SKIP, do_barrier),
	CKPT_IOCTL(CKPT_CMD_STATS, ckpt_stats, out_state_bytes, 0, do_stats),
	CKPT_IOCTL(CKPT_CMD_SNAPSHOT_STATE, ckpt_state, out_total, 0, do_state),
	CKPT_IOCTL(CKPT_CMD_COMMIT, ckpt_commit, id, CKPT_COMMIT_PIN, do_commit),
};

static long snapshot_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return ckpt_ioctl_run(file, cmd, arg, snapshot_ioctls, ARRAY_SIZE(snapshot_ioctls));
}

static int snapshot_release(struct inode *inode, struct file *file)
{
	ckpt_picture_put(file->private_data);
	return 0;
}

static const struct file_operations snapshot_fops = {
	.owner		= THIS_MODULE,
	.llseek		= snapshot_llseek,
	.read_iter	= snapshot_read_iter,
	.splice_read	= snapshot_splice_read,
	.unlocked_ioctl	= snapshot_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.release	= snapshot_release,
};

/* What a descriptor holds; NULL when it is no snapshot. */
struct ckpt_picture *ckpt_picture_of(struct file *file)
{
	return file->f_op == &snapshot_fops ? file->private_data : NULL;
}

/**
 * ckpt_picture_fd - make the descriptor of a picture
 * @picture: published; the descriptor takes over the caller's reference, also on error
 * @call: the call that returns it
 */
int ckpt_picture_fd(struct ckpt_picture *picture, struct ckpt_call *call)
{
	struct file *file = ckpt_anon_file("[ckpt-snapshot]", &snapshot_fops, picture, O_RDONLY);

	if (IS_ERR(file)) {
		ckpt_picture_put(picture);
		return PTR_ERR(file);
	}
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD;
	return ckpt_call_make_fd(call, file);
}
