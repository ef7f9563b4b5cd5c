// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: what is in a pipe and who holds it, as lines (ckpt_rec_fd); a pipe says nothing of itself.
 *
 *	pipe-readers: open files that may read, those of other processes too
 *	pipe-writers: likewise
 *	pipe-bytes: in it
 *	pipe-notifies: 1, the kernel writes into it (O_NOTIFICATION_PIPE)
 *	pipe-hung-up: 1, this open file has seen a writer, and there is none any more
 *	pipe-runs: only of one with packets (O_DIRECT) in it: bytes of each, "p" behind it, and of what is
 *		between them
 *
 * Owns nothing. Locks: the pipe's, while its buffers are looked at.
 */
#include <linux/fs.h>
#include <linux/pipe_fs_i.h>
#include <linux/seq_file.h>

#include "compat/compat.h"
#include "state.h"

static struct pipe_buffer *buffer_of(const struct pipe_inode_info *pipe, unsigned int slot)
{
	return &pipe->bufs[slot & (pipe->ring_size - 1)];
}

static void show_runs(struct seq_file *m, const struct pipe_inode_info *pipe)
{
	unsigned int slot, plain = 0;

	seq_puts(m, "pipe-runs:");
	for (slot = pipe->tail; slot != pipe->head; slot++) {
		const struct pipe_buffer *buf = buffer_of(pipe, slot);

		if (!(buf->flags & PIPE_BUF_FLAG_PACKET)) {
			plain += buf->len;
			continue;
		}
		if (plain)
			seq_printf(m, " %u", plain);
		plain = 0;
		seq_printf(m, " %up", buf->len);
	}
	if (plain)
		seq_printf(m, " %u", plain);
	seq_putc(m, '\n');
}

static bool is_notified(const struct pipe_inode_info *pipe)
{
#ifdef CONFIG_WATCH_QUEUE
	return pipe->watch_queue;
#else
	return false;
#endif
}

/**
 * ckpt_pipe_show - what a pipe or FIFO has
 * @m: where to
 * @file: open for reading or writing, not only to be looked at (O_PATH)
 */
void ckpt_pipe_show(struct seq_file *m, struct file *file)
{
	struct pipe_inode_info *pipe = file_inode(file)->i_pipe;
	unsigned int slot, bytes = 0;
	bool packets = false;

	pipe_lock(pipe);
	for (slot = pipe->tail; slot != pipe->head; slot++) {
		const struct pipe_buffer *buf = buffer_of(pipe, slot);

		bytes += buf->len;
		packets |= buf->flags & PIPE_BUF_FLAG_PACKET;
	}
	seq_printf(m, "pipe-readers: %u\npipe-writers: %u\npipe-bytes: %u\n", pipe->readers,
		   pipe->writers, bytes);
	seq_printf(m, "pipe-notifies: %d\npipe-hung-up: %d\n", is_notified(pipe),
		   !pipe->writers && ckpt_pipe_seen(file) != pipe->w_counter);
	if (packets)
		show_runs(m, pipe);
	pipe_unlock(pipe);
}
