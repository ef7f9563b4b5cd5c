// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: what a pseudo-terminal is, as lines behind the text its own file gives (ckpt_rec_fd). Of the
 * slave which one it is; of the master also all the pair has: settings, whose controlling terminal it
 * is, and the bytes on their way in both directions, which stay where they are.
 *
 * A byte waits in two places: the port's buffers ("flip buffers"), and what the line discipline has made
 * of them. struct n_tty_data is private to drivers/tty/n_tty.c; what is here of it is its layout on all
 * kernels from 6.1 to 7.2. What of it cannot be is told as unsettled, and refused by userspace.
 *
 * Owns nothing. Locks, in this order: the port's buf.lock, which keeps bytes from going from one place to
 * the other; the terminal's termios_rwsem; ctrl.lock; winsize_mutex by itself.
 */
#include <linux/fs.h>
#include <linux/major.h>
#include <linux/pid.h>
#include <linux/seq_file.h>
#include <linux/tty.h>
#include <linux/tty_driver.h>
#include <linux/tty_flip.h>
#include <linux/tty_ldisc.h>
#include <linux/workqueue.h>

#include "state.h"

#define BUF_SIZE	4096	/* N_TTY_BUF_SIZE */
#define BUF_MASK	(BUF_SIZE - 1)

/* The line discipline's own. */
struct line {
	size_t read_head;
	size_t commit_head;
	size_t canon_head;
	size_t echo_head;
	size_t echo_commit;
	size_t echo_mark;
	DECLARE_BITMAP(char_map, 256);
	unsigned long overrun_time;
	unsigned int num_overrun;
	bool no_room;
	unsigned char lnext:1, erasing:1, raw:1, real_raw:1, icanon:1, push:1;
	u8 read_buf[BUF_SIZE];
	DECLARE_BITMAP(read_flags, BUF_SIZE);
	u8 echo_buf[BUF_SIZE];
	size_t read_tail;
	size_t line_start;
	size_t lookahead_count;
	unsigned int column;
	unsigned int canon_column;
	size_t echo_tail;
};

/* pty-unsettled: why it cannot be told exactly. */
#define ECHOES		1	/* echoes that have not been written */
#define QUOTING		2	/* the next character is to be taken as it is (^V) */
#define PUSHED		4	/* the last line was ended by a change of mode */
#define ERRORS		8	/* characters with errors */
#define AHEAD		16	/* flow control has been looked at in what waits */
#define NOT_KNOWN	32	/* another line discipline, or one of another layout */

/* Of lines the end is canon_head, and commit_head does not follow. */
static bool is_sane(const struct line *l)
{
	const size_t nr = l->read_head - l->read_tail;

	return nr <= BUF_SIZE && l->echo_head - l->echo_tail <= BUF_SIZE &&
	       (l->icanon ? l->canon_head - l->read_tail <= nr : l->commit_head == l->read_head);
}

static unsigned int unsettled(const struct line *l)
{
	if (!is_sane(l))
		return NOT_KNOWN;
	return (l->echo_head != l->echo_tail ? ECHOES : 0) | (l->lnext ? QUOTING : 0) |
	       (l->icanon && l->push ? PUSHED : 0) | (l->lookahead_count ? AHEAD : 0);
}

static void put_bytes(struct seq_file *m, const u8 *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		seq_printf(m, "%02x", bytes[i]);
}

/* Since the buffer goes round. */
static void put_line(struct seq_file *m, const struct line *l)
{
	size_t i;

	for (i = l->read_tail; i != l->read_head; i++)
		put_bytes(m, &l->read_buf[i & BUF_MASK], 1);
}

/* Of the bytes above those that end a line. */
static void put_ends(struct seq_file *m, const struct line *l)
{
	size_t i;

	for (i = l->read_tail; i != l->read_head; i++)
		if (test_bit(i & BUF_MASK, l->read_flags))
			seq_printf(m, " %zu", i - l->read_tail);
}

/* Under the port's buf.lock: nobody takes from its buffers, and writers only add. */
static unsigned int put_port(struct seq_file *m, struct tty_port *port)
{
	struct tty_buffer *b;
	unsigned int odd = 0;

	/* Pairs with the releases of tty_buffer.c: a buffer is full before it has one behind it. */
	for (b = port->buf.head; b; b = smp_load_acquire(&b->next)) {
		/* Pairs with the release of whoever has filled it up to there. */
		unsigned int n = smp_load_acquire(&b->commit) - b->read;

		put_bytes(m, char_buf_ptr(b, b->read), n);
		if (ckpt_tty_buffer_has_flags(b) && memchr_inv(flag_buf_ptr(b, b->read), TTY_NORMAL, n))
			odd = ERRORS;
	}
	return odd;
}

/*
 * NULL: its line discipline is not the usual one, or is being changed. Not waited for: whoever changes it may
 * wait for one that wants the port's buf.lock.
 */
static struct line *line_of(struct tty_struct *tty, struct tty_ldisc **ret)
{
	*ret = tty_ldisc_ref(tty);
	if (!*ret)
		return NULL;
	return (*ret)->ops->num == N_TTY ? tty->disc_data : NULL;
}

static void put_ldisc(struct tty_ldisc *ld)
{
	if (ld)
		tty_ldisc_deref(ld);
}

/* What was typed: as the program will read it, then as nobody has looked at it yet. */
static unsigned int show_input(struct seq_file *m, struct tty_struct *slave)
{
	struct tty_ldisc *ld;
	unsigned int odd;
	struct line *l;

	mutex_lock(&slave->port->buf.lock);
	l = line_of(slave, &ld);
	down_read(&slave->termios_rwsem);
	odd = l ? unsettled(l) : NOT_KNOWN;
	if (!(odd & NOT_KNOWN)) {
		seq_printf(m, "pty-canonical: %d\npty-column: %u\npty-line-column: %u\npty-ends:", l->icanon,
			   l->column, l->canon_column);
		if (l->icanon)
			put_ends(m, l);
		seq_puts(m, "\npty-input: ");
		put_line(m, l);
	}
	up_read(&slave->termios_rwsem);
	seq_puts(m, "\npty-typed: ");
	odd |= put_port(m, slave->port);
	seq_putc(m, '\n');
	put_ldisc(ld);
	mutex_unlock(&slave->port->buf.lock);
	return odd;
}

/* What was written to the slave. The master takes it as it is. */
static unsigned int show_output(struct seq_file *m, struct tty_struct *master)
{
	struct tty_ldisc *ld;
	unsigned int odd;
	struct line *l;

	mutex_lock(&master->port->buf.lock);
	l = line_of(master, &ld);
	odd = l ? unsettled(l) & ~AHEAD : NOT_KNOWN;
	seq_puts(m, "pty-output: ");
	if (!(odd & NOT_KNOWN))
		put_line(m, l);
	odd |= put_port(m, master->port);
	seq_putc(m, '\n');
	put_ldisc(ld);
	mutex_unlock(&master->port->buf.lock);
	return odd;
}

static void show_termios(struct seq_file *m, struct tty_struct *slave)
{
	struct ktermios t, none = {};
	bool locked;

	down_read(&slave->termios_rwsem);
	t = slave->termios;
	locked = memcmp(&slave->termios_locked, &none, sizeof(none));
	up_read(&slave->termios_rwsem);
	seq_printf(m, "pty-iflag: %u\npty-oflag: %u\npty-cflag: %u\npty-lflag: %u\npty-discipline: %u\n",
		   t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_line);
	seq_printf(m, "pty-ispeed: %u\npty-ospeed: %u\npty-fixed: %d\npty-characters: ", t.c_ispeed,
		   t.c_ospeed, locked);
	put_bytes(m, t.c_cc, sizeof(t.c_cc));
	seq_putc(m, '\n');
}

/* As the caller numbers them, 0: none. */
static void show_session(struct seq_file *m, struct tty_struct *slave)
{
	unsigned long flags;
	int session, group;

	spin_lock_irqsave(&slave->ctrl.lock, flags);
	session = pid_vnr(slave->ctrl.session);
	group = pid_vnr(slave->ctrl.pgrp);
	spin_unlock_irqrestore(&slave->ctrl.lock, flags);
	seq_printf(m, "pty-session: %d\npty-group: %d\n", session, group);
}

static void show_pair(struct seq_file *m, struct tty_struct *master, struct tty_struct *slave)
{
	struct winsize ws;
	unsigned int odd;

	/* What was written has been worked off as far as there is room. Echoes go the other way. */
	flush_work(&slave->port->buf.work);
	flush_work(&master->port->buf.work);
	mutex_lock(&slave->winsize_mutex);
	ws = slave->winsize;
	mutex_unlock(&slave->winsize_mutex);
	show_termios(m, slave);
	show_session(m, slave);
	seq_printf(m, "pty-rows: %u\npty-columns: %u\npty-width: %u\npty-height: %u\n", ws.ws_row, ws.ws_col,
		   ws.ws_xpixel, ws.ws_ypixel);
	seq_printf(m, "pty-packet: %d\npty-status: %u\npty-locked: %d\npty-exclusive: %d\n",
		   master->ctrl.packet, master->ctrl.pktstatus, test_bit(TTY_PTY_LOCK, &master->flags),
		   test_bit(TTY_EXCLUSIVE, &slave->flags) || test_bit(TTY_EXCLUSIVE, &master->flags));
	seq_printf(m, "pty-stopped: %d\npty-left: %d\n", slave->flow.stopped || master->flow.stopped,
		   test_bit(TTY_OTHER_CLOSED, &master->flags));
	odd = show_input(m, slave) | show_output(m, master);
	seq_printf(m, "pty-unsettled: %u\n", odd);
}

/* Whether the file is of a terminal that may be a pseudo-terminal, and was not hung up. */
bool ckpt_file_is_tty(struct file *file)
{
	struct inode *inode = file_inode(file);
	unsigned int major;

	if (!S_ISCHR(inode->i_mode) || file->f_mode & FMODE_PATH || !file->f_op->show_fdinfo)
		return false;
	major = imajor(inode);
	/* /dev/tty, /dev/ptmx */
	if (major == TTYAUX_MAJOR)
		return iminor(inode) == 0 || iminor(inode) == 2;
	return major >= UNIX98_PTY_SLAVE_MAJOR && major < UNIX98_PTY_SLAVE_MAJOR + UNIX98_PTY_MAJOR_COUNT;
}

/**
 * ckpt_tty_show - what a pseudo-terminal is, in lines of "pty-NAME: VALUE"
 * @m: where to
 * @file: one ckpt_file_is_tty() has said yes to
 *
 * The pair is told apart from others by the file system its slave is in (/dev/pts) and its number there.
 */
void ckpt_tty_show(struct seq_file *m, struct file *file)
{
	struct tty_struct *tty = ((struct tty_file_private *)file->private_data)->tty;
	struct tty_struct *slave;
	struct dentry *name;
	bool master;

	if (tty->driver->type != TTY_DRIVER_TYPE_PTY || !tty->link)
		return;
	master = tty->driver->subtype == PTY_TYPE_MASTER;
	slave = master ? tty->link : tty;
	name = slave->driver_data;
	/* The old kind, of which the kernel has a fixed number, has no names of its own. */
	if (slave->driver->major != UNIX98_PTY_SLAVE_MAJOR || !name)
		return;
	seq_printf(m, "pty-side: %d\npty-dev: %u\npty-index: %d\n", master ? 1 : 2,
		   new_encode_dev(name->d_sb->s_dev), slave->index);
	if (master)
		show_pair(m, tty, slave);
}
