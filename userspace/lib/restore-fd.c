// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-fd.c - what one descriptor of the program refers to: a file by name, a file without a
 * name, a pipe of its own, or something outside that the caller has to stand in for.
 *
 * Opened by the caller, in ordinary code; restore-files.c hands it to the child.  What must not be
 * kept longer than the restore is noted in struct restore_files and closed there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kind.h"
#include "nameless.h"
#include "restore-files.h"
#include "sock.h"


/* Flags worth a new open file when the caller's differs. */
#define STDIO_FLAGS	(O_NONBLOCK)

/* ------------------------------------------------------------ regular files */

static bool same_inode(const struct ckpt_file_id *a, const struct ckpt_file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static bool may_write(const struct ckpt_rec_fd *fd)
{
	return !(fd->file_flags & O_PATH) && (fd->file_flags & O_ACCMODE) != O_RDONLY;
}

/* What the program could do to the file after the snapshot, as far as the records tell. */
static enum meta_change change_of(const struct restore *rs, const struct ckpt_model_fd *f)
{
	const struct meta_file *mf = f->path ? meta_files_find(&rs->meta, f->path) : NULL;
	const struct ckpt_model *m = rs->m;
	enum meta_change change = META_FIXED;

	if (mf)
		return mf->change;
	for (size_t i = 0; i < m->nr_vmas; i++)
		if (restore_is_shared(&m->vmas[i].rec) && restore_maps_file(&m->vmas[i]) &&
		    (m->vmas[i].rec.flags & CKPT_VMA_MAYWRITE) &&
		    same_inode(&m->vmas[i].rec.id, &f->rec.id))
			return META_INPLACE;
	for (size_t i = 0; i < m->nr_fds; i++) {
		const struct ckpt_rec_fd *r = &m->fds[i].rec;

		if (!same_inode(&r->id, &f->rec.id) || !may_write(r))
			continue;
		if (!(r->file_flags & O_APPEND) && (uint64_t)r->pos < r->id.size)
			return META_INPLACE;
		change = META_GROW;
	}
	return change;
}

static int plan_cut(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		    const struct opened *o)
{
	struct restore_files *fs = rs->files;
	int fd;

	for (size_t i = 0; i < fs->nr_cuts; i++)
		if (same_inode(&fs->cuts[i].f->rec.id, &f->rec.id))
			return 0;
	fd = restore_reopen(o->fd, O_WRONLY);
	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: open %s to cut it back", thing, f->path);
	fs->cuts[fs->nr_cuts++] = (struct cut){ f, fd };
	return 0;
}

/*
 * Whether the recorded digest of the bytes up to the recorded size holds.  Not known when there is
 * none, or when the program may write what we may not read.
 */
enum answer { NO, YES, NOT_KNOWN };

static int same_beginning(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
			  const struct opened *o, enum answer *ret)
{
	const struct meta_file *mf = meta_files_find(&rs->meta, f->path);
	char digest[META_DIGEST + 1];
	int fd, r;

	*ret = NOT_KNOWN;
	if (!mf || !mf->digest[0])
		return 0;
	/* The program may have it open for writing alone. */
	fd = restore_reopen(o->fd, O_RDONLY);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return 0;
	r = fd < 0 ? -errno : meta_digest(fd, f->rec.id.size, digest);
	if (fd >= 0)
		close(fd);
	if (r && r != -ENODATA)
		return ckpt_err_sys(rs->err, r, "%s: read %s again", thing, f->path);
	*ret = !r && !strcmp(digest, mf->digest) ? YES : NO;
	return 0;
}

/*
 * A file that only grew begins as it was.  Where no digest tells, it must at
 * least be the same inode: a rotated log has another file under the name, which
 * is not to be touched.
 */
static int check_grown(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		       const struct opened *o)
{
	uint64_t size = (uint64_t)o->st.st_size;
	const char *how = NULL;
	enum answer same = NO;
	int r = 0;

	if (ckpt_file_unchanged(&f->rec.id, &o->st))
		return 0;
	if (size >= f->rec.id.size)
		r = same_beginning(rs, thing, f, o, &same);
	if (r)
		return r;
	if (size < f->rec.id.size)
		how = "is shorter than at the snapshot";
	else if (same == NO)
		how = "does not begin with what it held at the snapshot";
	else if (same == NOT_KNOWN && o->st.st_ino != f->rec.id.ino)
		how = "is another file now";
	if (how) {
		r = restore_file_differs(rs, thing, f->path, &f->rec.id, &o->st, how);
		ckpt_err_hint(rs->err, "put the old file back, or give it another with --fd %d=PATH",
			      f->rec.fd);
		return r;
	}
	return size > f->rec.id.size ? plan_cut(rs, thing, f, o) : 0;
}

static int check_content(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
			 const struct opened *o)
{
	if (!S_ISREG(f->rec.id.mode) || (f->rec.file_flags & O_PATH))
		return 0;
	if (change_of(rs, f) == META_GROW)
		return check_grown(rs, thing, f, o);
	return restore_same_file(rs, thing, f->path, &f->rec.id, o);
}

int restore_files_section_of_inode(const struct restore *rs, const struct ckpt_file_id *id)
{
	int section = -1;

	for (size_t k = 0; section < 0 && k < ckpt_set_size(rs->m); k++) {
		const struct ckpt_model *m = ckpt_set_model(rs->m, k);
		const uint32_t owner = (uint32_t)m->proc.pid;

		for (size_t i = 0; section < 0 && i < m->nr_fds; i++)
			if (same_inode(&m->fds[i].rec.id, id))
				section = image_find(rs->image, IMAGE_META, owner,
						     META_SUB_DELETED + m->fds[i].rec.file);
		for (size_t i = 0; section < 0 && i < m->nr_vmas; i++)
			if (nameless_maps_file(&m->vmas[i], id))
				section = image_find(rs->image, IMAGE_META, owner,
						     META_SUB_MAPPED + (uint32_t)i);
	}
	return section;
}

/* Further open files of a deleted inode share the one made for the first. */
static int open_nameless(struct restore *rs, const char *thing, const struct ckpt_model_fd *f)
{
	struct nameless *n;
	int fd, r = restore_nameless_get(rs, thing, &f->rec.id, f->path, f->rec.path_flags, &n);

	if (r)
		return r;
	/* The very open file: another would not show O_TMPFILE, by which the next snapshot knows. */
	if (n->made && n->rs == rs && n->made->rec.file == f->rec.file) {
		fd = fcntl(n->fd, F_DUPFD_CLOEXEC, 0);
		if (fd >= 0)
			fcntl(fd, F_SETFL, (int)f->rec.file_flags);
	} else {
		fd = restore_reopen(n->fd, (int)f->rec.file_flags);
	}
	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: open a deleted file again", thing);
	return fd;
}

/* One that the program has mapped too, so that the image may hold it. */
static bool reads_fixed(const struct restore *rs, const struct ckpt_model_fd *f)
{
	return S_ISREG(f->rec.id.mode) && !may_write(&f->rec) && !(f->rec.file_flags & O_PATH) &&
	       restore_has_copy(rs, f->path);
}

/* An open file of its own: one of a copy is for mapping, and has a lock the program never took. */
static int open_fixed(struct restore *rs, const char *thing, const struct ckpt_model_fd *f)
{
	struct opened o;
	int fd, r = restore_open_fixed(rs, rs->files->root_fd, thing, f->path, &f->rec.id, O_RDONLY, &o);

	if (r)
		return r;
	fd = restore_reopen(o.fd, (int)f->rec.file_flags);
	if (fd < 0)
		r = ckpt_err_sys(rs->err, errno, "%s: open %s", thing, f->path);
	close(o.fd);
	return r ? r : fd;
}

static int open_named(struct restore *rs, const char *thing, const struct ckpt_model_fd *f)
{
	const struct meta_file *mf = S_ISREG(f->rec.id.mode) ? restore_kept_find(rs, f->path) : NULL;
	struct opened o;
	int r;

	if (mf)
		return restore_kept_open(rs, thing, mf, (int)f->rec.file_flags);
	if (reads_fixed(rs, f))
		return open_fixed(rs, thing, f);
	r = restore_open(rs, rs->files->root_fd, thing, f->path, &f->rec.id,
			     (int)f->rec.file_flags, &o);

	if (r)
		return r;
	r = check_content(rs, thing, f, &o);
	if (r) {
		close(o.fd);
		return r;
	}
	return o.fd;
}

int open_file(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
	      bool *ret_borrowed)
{
	int fd, r;

	if ((f->rec.path_flags & CKPT_PATHF_DELETED) && f->rec.kind == CKPT_FDK_REG)
		fd = open_nameless(rs, thing, f);
	else
		fd = open_named(rs, thing, f);
	if (fd < 0 || (f->rec.file_flags & O_PATH) || lseek(fd, (off_t)f->rec.pos, SEEK_SET) >= 0)
		return fd;
	r = ckpt_err_sys(rs->err, errno, "%s: go to offset %lld of %s", thing,
			 (long long)f->rec.pos, f->path);
	close(fd);
	return r;
}

int open_device(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		bool *ret_borrowed)
{
	return open_named(rs, thing, f);
}

/* ------------------------------------------------------------ pipes of the program's own */

static bool may_read(const struct ckpt_rec_fd *fd)
{
	return !(fd->file_flags & O_PATH) && (fd->file_flags & O_ACCMODE) != O_WRONLY;
}

static bool is_own_pipe(const struct restore *rs, const struct ckpt_model_fd *f)
{
	bool reads = false, writes = false;

	if (f->rec.kind != CKPT_FDK_FIFO)
		return false;
	if (judge_dead_end(rs->m, f))
		return true;
	for (size_t k = 0; k < ckpt_set_size(rs->m); k++) {
		const struct ckpt_model *m = ckpt_set_model(rs->m, k);

		for (size_t i = 0; i < m->nr_fds; i++) {
			const struct ckpt_rec_fd *r = &m->fds[i].rec;

			if (r->kind != CKPT_FDK_FIFO || !same_inode(&r->id, &f->rec.id))
				continue;
			reads |= may_read(r);
			writes |= may_write(r);
		}
	}
	return reads && writes;
}

static bool is_meant(const struct ckpt_model *m, const struct meta_pipe *mp, const struct own_pipe *p)
{
	for (size_t i = 0; i < m->nr_fds; i++)
		if (m->fds[i].rec.file == mp->file && same_inode(&m->fds[i].rec.id, p->id))
			return true;
	return false;
}

/* Its capacity in the list of one process, which names a pipe by the number of either end; 0: it is not there. */
static uint32_t listed_capacity(const struct restore *rs, const struct own_pipe *p)
{
	for (size_t i = 0; i < rs->meta.nr_pipes; i++)
		if (is_meant(rs->m, &rs->meta.pipes[i], p))
			return rs->meta.pipes[i].capacity;
	return 0;
}

static uint32_t capacity_of(const struct restore *rs, const struct own_pipe *p)
{
	uint32_t capacity = 0;

	for (size_t k = 0; !capacity && k < rs->set->nr; k++)
		capacity = listed_capacity(&rs->set->v[k], p);
	return capacity;
}

int restore_pipe_capacity(const struct restore *rs, const struct ckpt_model_fd *f)
{
	return (int)capacity_of(rs, &(struct own_pipe){ .id = &f->rec.id });
}

/* As large as it was, when the image tells. */
static int size_pipe(struct restore *rs, const char *thing, const struct own_pipe *p)
{
	uint32_t capacity = capacity_of(rs, p);

	if (!capacity || fcntl(p->ends[1], F_GETPIPE_SZ) == (int)capacity ||
	    fcntl(p->ends[1], F_SETPIPE_SZ, (int)capacity) >= 0)
		return 0;
	return ckpt_err_sys(rs->err, errno, "%s: make a pipe for %u bytes", thing, capacity);
}

/* The bytes that were in it, when the image holds some, under the number of either end. */
static int fill_pipe(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		     const struct own_pipe *p)
{
	int section = restore_files_section_of_inode(rs, p->id), r;
	size_t len;
	void *data;

	if (section < 0)
		return 0;
	r = image_load(rs->image, (uint32_t)section, rs->err, &data, &len);
	if (r)
		return r;
	/* Pages in a pipe need not be full, so it may have held less than fits now. */
	if (len > (size_t)fcntl(p->ends[1], F_GETPIPE_SZ) &&
	    (len > INT_MAX || fcntl(p->ends[1], F_SETPIPE_SZ, (int)len) < 0))
		r = ckpt_err_sys(rs->err, errno, "%s: make a pipe for %zu bytes", thing, len);
	if (!r) {
		r = fd_pipe_fill(f, p->ends[1], data, len);
		if (r)
			ckpt_err_sys(rs->err, r, "%s: fill a pipe", thing);
	}
	free(data);
	return r;
}

/* Nobody had it, and nobody is to have it when the program runs. */
static void close_other_end(struct own_pipe *p, const struct ckpt_model_fd *f)
{
	int *other = &p->ends[may_read(&f->rec) ? 1 : 0];

	close(*other);
	*other = -1;
}

/* The end that was made, for the first that asks: one that is opened anew shows O_LARGEFILE. */
static int open_end(struct own_pipe *p, const struct ckpt_rec_fd *rec)
{
	const int end = may_read(rec) ? 0 : 1;

	if (p->given[end] || rec->file_flags & KIND_LARGEFILE || (rec->file_flags & O_ACCMODE) == O_RDWR)
		return restore_reopen(p->ends[end], (int)rec->file_flags & ~O_DIRECT);
	p->given[end] = true;
	return fcntl(p->ends[end], F_DUPFD_CLOEXEC, 0);
}

static int open_own_pipe(struct restore *rs, const char *thing, const struct ckpt_model_fd *f)
{
	struct restore_set *set = rs->set;
	struct own_pipe *p = NULL;
	int fd, r;

	for (size_t i = 0; i < set->nr_pipes; i++)
		if (same_inode(set->pipes[i].id, &f->rec.id))
			p = &set->pipes[i];
	if (!p) {
		struct own_pipe *made = &set->pipes[set->nr_pipes];

		made->id = &f->rec.id;
		if (pipe2(made->ends, O_CLOEXEC | O_NONBLOCK) < 0)
			return ckpt_err_sys(rs->err, errno, "%s: make a pipe", thing);
		set->nr_pipes++;
		p = made;
		r = size_pipe(rs, thing, p);
		if (!r)
			r = fill_pipe(rs, thing, f, p);
		if (r)
			return r;
		if (judge_dead_end(rs->m, f))
			close_other_end(made, f);
	}
	fd = open_end(p, &f->rec);
	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: open a pipe", thing);
	/* Packet mode, which an open takes for something else. */
	if (fcntl(fd, F_SETFL, (int)f->rec.file_flags & ~O_ASYNC) < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: set the flags of a pipe", thing);
		close(fd);
		return r;
	}
	return fd;
}

/* ------------------------------------------------------------ terminals and pipes to others */

bool restore_fd_is_outside(const struct restore *rs, const struct ckpt_model_fd *f)
{
	if (f->rec.file_flags & O_PATH)
		return false;
	/* A pipe with a name leads outside only where it is in the place of what the caller has. */
	return (f->rec.kind == CKPT_FDK_FIFO && !is_own_pipe(rs, f) &&
		(f->rec.path_flags & CKPT_PATHF_NO_NAME || fd_is_stdio(rs->m, f))) ||
	       (f->rec.kind == CKPT_FDK_TTY && !restore_pty_is_own(rs, f)) || sock_is_callers(rs->m, f);
}

/*
 * The caller's standard input, output or error.  When the program had it
 * non-blocking it gets an open file of its own: the flag would else show up in
 * the caller's shell.
 */
static int adopt_stdio(struct restore *rs, int number, const struct ckpt_model_fd *f,
		       bool *ret_borrowed)
{
	int flags = fcntl(number, F_GETFL), fd;

	*ret_borrowed = false;
	if (flags < 0) {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		return fd < 0 ? ckpt_err_sys(rs->err, errno, "/dev/null") : fd;
	}
	if (((uint32_t)flags ^ f->rec.file_flags) & STDIO_FLAGS) {
		struct stat st;

		if (!fstat(number, &st) && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))) {
			fd = restore_reopen(number, (flags & ~STDIO_FLAGS) |
					    (int)(f->rec.file_flags & STDIO_FLAGS));
			if (fd >= 0)
				return fd;
		}
	}
	*ret_borrowed = true;
	return number;
}

int open_outside(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		 bool *ret_borrowed)
{
	int fd, r;

	if (f->rec.fd <= STDERR_FILENO)
		return adopt_stdio(rs, f->rec.fd, f, ret_borrowed);
	if (f->rec.kind == CKPT_FDK_TTY) {
		fd = open("/dev/tty", (int)(f->rec.file_flags & (O_ACCMODE | O_NONBLOCK | O_APPEND)) |
			  O_CLOEXEC | O_NOCTTY);
		if (fd >= 0)
			return fd;
		r = ckpt_err_sys(rs->err, errno, "%s: was the terminal %s; open /dev/tty", thing,
				 f->path ? f->path : "");
	} else {
		r = ckpt_err_set(rs->err, -EOPNOTSUPP, "%s: was %s, which leads outside", thing,
				 f->path ? f->path : "a pipe");
	}
	ckpt_err_hint(rs->err, "give it something else with --fd %d=PATH", f->rec.fd);
	return r;
}

int open_pipe(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
	      bool *ret_borrowed)
{
	return is_own_pipe(rs, f) ? open_own_pipe(rs, thing, f) :
	       open_outside(rs, thing, f, ret_borrowed);
}

const char *restore_fd_override(const struct restore *rs, uint32_t file)
{
	/* Of a tree it is the root's descriptors that are meant; who shares them, shares what is given. */
	for (size_t i = 0; is_root(rs) && i < rs->opts->nr_fds; i++) {
		const struct ckpt_model_fd *f = ckpt_model_fd(rs->m, rs->opts->fds[i].fd);

		if (f && f->rec.file == file)
			return rs->opts->fds[i].path;
	}
	return NULL;
}

static int open_override(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
			 const char *path)
{
	int flags = (int)(f->rec.file_flags & (O_ACCMODE | O_APPEND | O_NONBLOCK));
	int fd;

	if ((flags & O_ACCMODE) != O_RDONLY)
		flags |= O_CREAT;
	fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
	return fd < 0 ? ckpt_err_sys(rs->err, errno, "%s: open %s", thing, path) : fd;
}

/* ------------------------------------------------------------ descriptors */

int restore_fd_open(struct restore *rs, const struct ckpt_model_fd *f, bool *ret_borrowed)
{
	const char *path = restore_fd_override(rs, f->rec.file);
	const struct fd_kind *kind;
	char thing[24];

	*ret_borrowed = false;
	snprintf(thing, sizeof(thing), "fd %d", f->rec.fd);
	if (path)
		return open_override(rs, thing, f, path);
	kind = fd_kind_of(f);
	if (!kind->open)
		return ckpt_err_set(rs->err, -EOPNOTSUPP, "%s: %s cannot be restored", thing,
				    f->path ? f->path : "an object of the kernel");
	return kind->open(rs, thing, f, ret_borrowed);
}
