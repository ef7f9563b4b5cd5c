// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: open files and the locks on them.
 *
 * Owns nothing that lasts: references to the open files are taken for the time of the
 * capture and dropped before the thaw, while the program still holds its own.
 *
 * Locks: task_lock for task->files, then files->file_lock while references are taken;
 * an inode's flc_lock while its locks are counted and copied. Asking a file who it is
 * happens with none of them.
 */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <linux/net.h>
#include <linux/pipe_fs_i.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "alloc.h"
#include "barrier.h"
#include "compat/compat.h"
#include "freeze.h"
#include "identity.h"
#include "record.h"
#include "state.h"
#include "symbols.h"

/* What a file may say of itself. An epoll instance has a line of some 90 bytes for each descriptor. */
#define INFO_MIN	PAGE_SIZE
#define INFO_MAX	SZ_16M
#define INFO_TOO_LONG	"too long\n"

struct info {
	char *buf;	/* kvmalloc */
	size_t room;
	size_t len;
};

struct open_fd {
	struct file *file;	/* reference */
	int fd;
	bool cloexec;
	u32 group;		/* number of the open file */
	bool first_of_file;	/* no lower descriptor has this open file */
	bool first_of_inode;	/* nor another one of the same inode */
};

struct open_fds {
	struct files_struct *files;
	struct open_fd *v;
	unsigned int nr;
	unsigned int cap;
	struct timens_offsets offsets;	/* of the clocks of the process */
};

/* Under files->file_lock. Stops when the array is full. */
static int list_fd(const void *data, struct file *file, unsigned int fd)
{
	struct open_fds *fds = (struct open_fds *)data;

	if (fds->nr == fds->cap)
		return 1;
	fds->v[fds->nr++] = (struct open_fd) {
		.file = get_file(file),
		.fd = fd,
		.cloexec = ckpt_close_on_exec(fds->files, fd),
	};
	return 0;
}

static void put_fds(struct open_fds *fds)
{
	while (fds->nr)
		fput(fds->v[--fds->nr].file);
	kvfree(fds->v);
	fds->v = NULL;
}

/* Reference every open file; with a larger array if there were more than expected. */
static int take_fds(struct open_fds *fds, struct task_struct *leader)
{
	unsigned int cap;
	int full;

	for (cap = 64; ; cap *= 4) {
		fds->v = ckpt_alloc_array(cap, sizeof(*fds->v));
		if (!fds->v)
			return -ENOMEM;
		fds->cap = cap;
		task_lock(leader);
		fds->files = leader->files;
		full = iterate_fd(fds->files, 0, list_fd, fds);
		task_unlock(leader);
		if (!full)
			return 0;
		put_fds(fds);
	}
}

static int by_file(const void *a, const void *b)
{
	const struct open_fd *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->fd - y->fd;
}

static int by_inode(const void *a, const void *b)
{
	const struct open_fd *x = a, *y = b;
	const struct inode *i = file_inode(x->file), *j = file_inode(y->file);

	if (i != j)
		return i < j ? -1 : 1;
	return x->fd - y->fd;
}

static int by_fd(const void *a, const void *b)
{
	return ((const struct open_fd *)a)->fd - ((const struct open_fd *)b)->fd;
}

/* Descriptors of one open file (dup) get one number. */
static void number_files(struct open_fds *fds)
{
	unsigned int i;
	u32 group = 0;

	sort(fds->v, fds->nr, sizeof(*fds->v), by_file, NULL);
	for (i = 0; i < fds->nr; i++) {
		fds->v[i].first_of_file = !i || fds->v[i].file != fds->v[i - 1].file;
		group += fds->v[i].first_of_file;
		fds->v[i].group = group;
	}
	cond_resched();
	sort(fds->v, fds->nr, sizeof(*fds->v), by_inode, NULL);
	for (i = 0; i < fds->nr; i++)
		fds->v[i].first_of_inode = !i || file_inode(fds->v[i].file) !=
						 file_inode(fds->v[i - 1].file);
	cond_resched();
	sort(fds->v, fds->nr, sizeof(*fds->v), by_fd, NULL);
}

/* A terminal to talk to. The master side of a pseudo-terminal (/dev/ptmx) is none. */
static bool is_terminal(const struct inode *inode)
{
	unsigned int major = imajor(inode);

	if (major == TTYAUX_MAJOR)
		return iminor(inode) < 2;	/* /dev/tty, /dev/console */
	return major == TTY_MAJOR || major == 229 /* hvc */ ||
	       (major >= UNIX98_PTY_SLAVE_MAJOR &&
		major < UNIX98_PTY_SLAVE_MAJOR + UNIX98_PTY_MAJOR_COUNT);
}

static enum ckpt_fd_kind kind_of(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (inode->i_sb->s_magic == ANON_INODE_FS_MAGIC)
		return CKPT_FDK_ANON;
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		return CKPT_FDK_REG;
	case S_IFDIR:
		return CKPT_FDK_DIR;
	case S_IFIFO:
		return CKPT_FDK_FIFO;
	case S_IFSOCK:
		return CKPT_FDK_SOCK;
	case S_IFBLK:
		return CKPT_FDK_BLK;
	case S_IFCHR:
		return is_terminal(inode) ? CKPT_FDK_TTY : CKPT_FDK_CHR;
	default:
		return inode->i_mode & S_IFMT ? CKPT_FDK_OTHER : CKPT_FDK_ANON;
	}
}

static struct file_lock_context *lock_context(struct file *file)
{
	/* Pairs with the cmpxchg in locks_get_lock_context(). */
	return smp_load_acquire(&file_inode(file)->i_flctx);
}

#define EVENTFD	"anon_inode:[eventfd]"
#define TIMERFD	"anon_inode:[timerfd]"

/* Kinds whose fdinfo says what they are made of. */
static const char *const talkative[] = {
	EVENTFD, "anon_inode:[eventpoll]", "anon_inode:[signalfd]",
	TIMERFD, "anon_inode:inotify", "anon_inode:[fanotify]",
};

static bool is_named(const char *kind, const char *name, size_t len)
{
	return len == strlen(kind) && !memcmp(name, kind, len);
}

static bool is_pipe(const struct file *file)
{
	return S_ISFIFO(file_inode(file)->i_mode) && !(file->f_mode & FMODE_PATH);
}

/*
 * Only kinds known to need no more than the buffer are asked: others look for a proc file behind it
 * (pidfd).
 */
static bool may_ask(struct file *file, const char *name, size_t len)
{
	bool asked = sock_from_file(file) || ckpt_file_is_tty(file);
	int i;

	for (i = 0; i < ARRAY_SIZE(talkative); i++)
		asked |= is_named(talkative[i], name, len);
	return asked && file->f_op->show_fdinfo;
}

static void show_info(struct ckpt_records *r, struct seq_file *m, struct file *file,
		      const struct open_fds *fds, const char *name, size_t len)
{
	struct socket *sock = sock_from_file(file);

	if (is_named(TIMERFD, name, len))
		ckpt_timerfd_show(m, file, &fds->offsets);
	else if (may_ask(file, name, len))
		file->f_op->show_fdinfo(m, file);
	if (is_pipe(file))
		ckpt_pipe_show(m, file);
	if (is_named(EVENTFD, name, len))
		ckpt_eventfd_show_semaphore(m, file);
	if (ckpt_file_is_tty(file))
		ckpt_tty_show(m, file);
	if (sock && file->f_op->show_fdinfo)
		ckpt_socket_show(m, sock, r->ids);
	if (ckpt_file_has_owner(file))
		ckpt_owner_show(m, file);
}

static int grow_info(struct info *info, size_t room)
{
	char *buf = ckpt_alloc_array(room, 1);

	if (!buf)
		return -ENOMEM;
	kvfree(info->buf);
	info->buf = buf;
	info->room = room;
	return 0;
}

/*
 * What the file says of itself in /proc/PID/fdinfo, and what we say of it. What is too long even for the
 * largest buffer is not cut, but says so.
 */
static int info_text(struct ckpt_records *r, struct file *file, const struct open_fds *fds, const char *name,
		     size_t len, struct info *info)
{
	int ret = 0;

	info->len = 0;
	if (!may_ask(file, name, len) && !is_pipe(file) && !ckpt_file_has_owner(file))
		return 0;
	while (!ret) {
		struct seq_file m = { .buf = info->buf, .size = info->room, .file = file };

		mutex_init(&m.lock);
		show_info(r, &m, file, fds, name, len);
		info->len = m.count;
		if (!seq_has_overflowed(&m))
			return 0;
		if (info->room >= INFO_MAX) {
			info->len = strscpy(info->buf, INFO_TOO_LONG, info->room);
			return 0;
		}
		ret = grow_info(info, 4 * info->room);
	}
	return ret;
}

/* Packets keep their borders (O_DIRECT), which only who wrote them can ask for. */
static bool holds_packets(const struct pipe_inode_info *pipe)
{
	unsigned int i;

	for (i = pipe->tail; i != pipe->head; i++)
		if (pipe->bufs[i & (pipe->ring_size - 1)].flags & PIPE_BUF_FLAG_PACKET)
			return true;
	return false;
}

/*
 * One end of a pipe, and nobody has the other. Others who have this end too may be in the middle of a
 * copy, for as long as their memory takes: not waited for, the pipe then counts as one that leads outside.
 */
static bool other_end_is_closed(struct file *file)
{
	struct pipe_inode_info *pipe;
	bool closed;

	/* What was opened by O_PATH does not hold the pipe. */
	if (!S_ISFIFO(file_inode(file)->i_mode) || !(file->f_mode & (FMODE_READ | FMODE_WRITE)))
		return false;
	pipe = file_inode(file)->i_pipe;
	if (!mutex_trylock(&pipe->mutex))
		return false;
	closed = (file->f_mode & FMODE_READ && !pipe->writers && !holds_packets(pipe)) ||
		 (file->f_mode & FMODE_WRITE && !pipe->readers);
	mutex_unlock(&pipe->mutex);
	return closed;
}

static void add_open(struct ckpt_records *r, const struct open_fds *fds, const struct open_fd *open,
		     char *buf, struct info *info)
{
	struct file *file = open->file;
	struct ckpt_rec_fd rec = {
		.fd = open->fd,
		.kind = kind_of(file),
		.file_flags = file->f_flags,
		.pos = file->f_pos,
		.file = open->group,
		.refs = min_t(u64, file_count(file), U32_MAX),
	};
	const struct path *path = ckpt_file_path(file);
	const char *text = ckpt_path_text(path, buf, &rec.path_flags, &rec.path_len);

	ckpt_identity(r->ids, path, &rec.id);
	r->err = r->err ?: info_text(r, file, fds, text, rec.path_len, info);
	rec.info_len = info->len;
	if (open->cloexec)
		rec.flags |= CKPT_FD_CLOEXEC;
	if (ckpt_file_has_owner(file))
		rec.flags |= CKPT_FD_ASYNC_OWNER;
	if (ckpt_has_lease(file_inode(file), file))
		rec.flags |= CKPT_FD_LEASE;
	if (other_end_is_closed(file))
		rec.flags |= CKPT_FD_OTHER_END_CLOSED;

	ckpt_record_begin(r, CKPT_REC_FD);
	ckpt_record_put(r, &rec, sizeof(rec));
	ckpt_record_put(r, text, rec.path_len);
	ckpt_record_put(r, info->buf, rec.info_len);
	ckpt_record_end(r);
	if (open->first_of_inode && sock_from_file(file))
		ckpt_tcp_add(r, sock_from_file(file));
}

/* The locks of an open file and of the process on its inode; only counted where there is no room. */
struct found_locks {
	const struct open_fd *open;
	struct files_struct *files;
	struct ckpt_rec_lock *v;
	unsigned int nr;
	unsigned int cap;
};

/* Is this lock the open file's, or (POSIX) the process's? Not one a parent took through it. */
static bool is_ours(const struct found_locks *found, enum ckpt_lock_kind list,
		    const struct ckpt_lock_core *lock)
{
	if (list != CKPT_LOCK_POSIX)
		return ckpt_lock_file(lock) == found->open->file;
	return ckpt_lock_owner(lock) == (fl_owner_t)found->open->file ||
	       ckpt_lock_owner(lock) == (fl_owner_t)found->files;
}

static void describe_lock(struct ckpt_rec_lock *rec, enum ckpt_lock_kind list,
			  struct ckpt_lock_core *lock, int fd)
{
	rec->fd = fd;
	rec->kind = list;
	rec->type = ckpt_lock_type(lock);
	rec->start = 0;
	rec->end = OFFSET_MAX;
	if (list == CKPT_LOCK_POSIX) {
		rec->start = ckpt_lock_start(lock);
		rec->end = ckpt_lock_end(lock);
		if (ckpt_lock_flags(lock) & FL_OFDLCK)
			rec->kind = CKPT_LOCK_OFD;
	} else if (list == CKPT_LOCK_LEASE) {
		if (ckpt_lock_flags(lock) & (FL_UNLOCK_PENDING | FL_DOWNGRADE_PENDING))
			rec->type = F_UNLCK;
		if (!(ckpt_lock_flags(lock) & FL_LEASE))
			rec->kind = CKPT_LOCK_DELEGATION;
	}
}

static void find_locks(struct found_locks *found, enum ckpt_lock_kind list_kind,
		       struct list_head *list)
{
	struct ckpt_lock_core *lock;

	list_for_each_entry(lock, list, ckpt_lock_list) {
		if (!is_ours(found, list_kind, lock))
			continue;
		if (found->nr < found->cap)
			describe_lock(&found->v[found->nr], list_kind, lock, found->open->fd);
		found->nr++;
	}
}

static unsigned int find_all_locks(struct file_lock_context *ctx, struct found_locks *found)
{
	found->nr = 0;
	spin_lock(&ctx->flc_lock);
	find_locks(found, CKPT_LOCK_POSIX, &ctx->flc_posix);
	find_locks(found, CKPT_LOCK_FLOCK, &ctx->flc_flock);
	find_locks(found, CKPT_LOCK_LEASE, &ctx->flc_lease);
	spin_unlock(&ctx->flc_lock);
	return found->nr;
}

/*
 * Each lock is shown once: with the lowest descriptor of its open file or, one of the
 * process (POSIX), of its inode.
 */
static bool shows(const struct open_fd *open, const struct ckpt_rec_lock *lock)
{
	return lock->kind == CKPT_LOCK_POSIX ? open->first_of_inode : open->first_of_file;
}

static void add_locks(struct ckpt_records *r, const struct open_fds *fds, unsigned int self)
{
	const struct open_fd *open = &fds->v[self];
	struct file_lock_context *ctx = open->first_of_file ? lock_context(open->file) : NULL;
	struct found_locks found = { .open = open, .files = fds->files };
	unsigned int i, nr;

	nr = ctx ? find_all_locks(ctx, &found) : 0;
	if (!nr)
		return;
	found.v = ckpt_alloc_array(nr, sizeof(*found.v));
	if (!found.v) {
		r->err = r->err ?: -ENOMEM;
		return;
	}
	/* The target is still: its locks are as many as a moment ago. */
	found.cap = nr;
	nr = min(nr, find_all_locks(ctx, &found));
	for (i = 0; i < nr; i++)
		if (shows(open, &found.v[i]))
			ckpt_record_add(r, CKPT_REC_LOCK, &found.v[i]);
	kvfree(found.v);
}

/* How many there are is the program's choice: the processor is shared, and we can be killed. */
static bool may_go_on(struct ckpt_records *r)
{
	cond_resched();
	if (fatal_signal_pending(current))
		r->err = r->err ?: -EINTR;
	return !r->err;
}

static void add_all(struct ckpt_records *r, const struct open_fds *fds,
		    struct ckpt_written_list *written)
{
	char *buf = ckpt_alloc(CKPT_PATH_ROOM);
	struct info info = {};
	unsigned int i;

	if (buf && !grow_info(&info, INFO_MIN)) {
		for (i = 0; i < fds->nr && may_go_on(r); i++) {
			add_open(r, fds, &fds->v[i], buf, &info);
			if (written)
				r->err = r->err ?: ckpt_written_add_file(written, fds->v[i].file,
									 fds->v[i].fd);
		}
		for (i = 0; i < fds->nr && may_go_on(r); i++)
			add_locks(r, fds, i);
	} else {
		r->err = r->err ?: -ENOMEM;
	}
	kfree(buf);
	kvfree(info.buf);
}

/* Descriptors, then locks. @written, when given, gets the files open for writing. */
void ckpt_state_files(struct ckpt_records *r, struct ckpt_frozen *frozen,
		      struct ckpt_written_list *written)
{
	struct open_fds fds = { .offsets = ckpt_clock_offsets(ckpt_frozen_leader(frozen)) };

	r->err = r->err ?: take_fds(&fds, ckpt_frozen_leader(frozen));
	if (r->err)
		return;
	number_files(&fds);
	add_all(r, &fds, written);
	put_fds(&fds);
}
