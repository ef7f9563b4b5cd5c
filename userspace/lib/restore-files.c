// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-files.c - the files of the program: descriptors, mapped files,
 * executable, directories, locks.
 *
 * Everything is opened and checked by the caller before there is a child, in
 * ordinary code that can say what is wrong.  The child inherits the lot and
 * only sorts numbers:
 *  1. restore_files_open(): each open file becomes an entry.
 *  2. restore_files_adopt(), in the child: entry i moves to number base + i,
 *     above all numbers the program uses; all others close; then each
 *     descriptor of the program is duplicated from its entry.
 *  3. restore_files_finish(): the numbers from base on close.  Only now POSIX
 *     locks are taken: closing any descriptor of a file gives them up.
 *  4. restore_files_arm(): timers count on, in the open files that we share with the child.
 *  5. restore_files_commit(): files that grew are cut back.  Those changed in place were put back by then
 *     (restore-kept.c).
 *  6. restore_files_settle(): what all this was to those who watch is taken back.
 * restore_files_close() drops the caller's copies at any time; locks of open
 * files live on in the child, or go with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kind.h"
#include "nameless.h"
#include "restore-files.h"

#define NONE	SIZE_MAX

static size_t add_entry(struct restore_files *fs, int fd, bool borrowed)
{
	fs->entries[fs->nr_entries] = (struct entry){ fd, borrowed };
	return fs->nr_entries++;
}

static struct restore_files *alloc_files(const struct ckpt_model *m, size_t nr_files)
{
	struct restore_files *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return NULL;
	fs->entries = calloc(m->nr_fds + m->nr_vmas + 5, sizeof(*fs->entries));
	fs->slots = calloc(m->nr_fds + 1, sizeof(*fs->slots));
	fs->vma_entry = calloc(m->nr_vmas + 1, sizeof(*fs->vma_entry));
	fs->mapped = calloc(m->nr_vmas + 1, sizeof(*fs->mapped));
	fs->cuts = calloc(m->nr_fds + 1, sizeof(*fs->cuts));
	fs->pidfds = calloc(m->nr_fds + 1, sizeof(*fs->pidfds));
	fs->kept = calloc(nr_files + 1, sizeof(*fs->kept));
	fs->exe = fs->root = fs->cwd = fs->proc = fs->terminal = NONE;
	fs->root_fd = -1;
	return fs;
}

void restore_files_close(struct restore *rs)
{
	struct restore_files *fs = rs->files;

	if (!fs)
		return;
	for (size_t i = 0; fs->entries && i < fs->nr_entries; i++)
		if (!fs->entries[i].borrowed)
			close(fs->entries[i].fd);
	for (size_t i = 0; fs->cuts && i < fs->nr_cuts; i++)
		if (fs->cuts[i].fd >= 0)
			close(fs->cuts[i].fd);
	restore_sockets_close(rs);
	restore_kept_close(rs);
	restore_copies_close(rs);
	free(fs->entries);
	free(fs->slots);
	free(fs->vma_entry);
	free(fs->mapped);
	free(fs->cuts);
	free(fs->watches);
	free(fs->pidfds);
	free(fs);
	rs->files = NULL;
}

/* ------------------------------------------------------------ directories, executable */

/* The directory that is to be its root. */
static int open_given_root(struct restore *rs, struct opened *o)
{
	o->fd = open(rs->opts->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return o->fd < 0 ? ckpt_err_sys(rs->err, errno, "root directory %s", rs->opts->root) : 0;
}

static int open_dirs(struct restore *rs)
{
	const struct ckpt_model_path *root = &rs->m->paths[CKPT_PATH_ROOT];
	const struct ckpt_model_path *cwd = &rs->m->paths[CKPT_PATH_CWD];
	struct restore_files *fs = rs->files;
	struct opened o;
	int r;

	/* The program's own root may have none. */
	o.fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (o.fd < 0)
		return ckpt_err_sys(rs->err, errno, "/proc");
	fs->proc = add_entry(fs, o.fd, false);
	if (rs->opts->root || (root->present && root->path && strcmp(root->path, "/"))) {
		r = rs->opts->root ? open_given_root(rs, &o) :
		    restore_open(rs, -1, "root directory", root->path, &root->rec.id, O_PATH | O_DIRECTORY, &o);
		if (r)
			return r;
		fs->root = add_entry(fs, o.fd, false);
		fs->root_fd = o.fd;
	}
	if (!cwd->present)
		return 0;
	if (cwd->rec.flags & CKPT_PATHF_DELETED)
		return ckpt_err_set(rs->err, -EOPNOTSUPP, "working directory %s was deleted",
				    cwd->path);
	r = restore_open(rs, fs->root_fd, "working directory", cwd->path, &cwd->rec.id,
			 O_PATH | O_DIRECTORY, &o);
	if (!r)
		fs->cwd = add_entry(fs, o.fd, false);
	return r;
}

static int open_exe(struct restore *rs)
{
	const struct ckpt_model_path *exe = &rs->m->paths[CKPT_PATH_EXE];
	struct restore_files *fs = rs->files;
	struct opened o;
	int r;

	if (!exe->present)
		return ckpt_err_set(rs->err, -EINVAL, "the image does not name the executable");
	r = restore_open_fixed(rs, fs->root_fd, "executable", exe->path, &exe->rec.id, O_RDONLY, &o);
	if (!r)
		fs->exe = add_entry(fs, o.fd, false);
	return r;
}

/* ------------------------------------------------------------ mappings */

bool restore_maps_file(const struct ckpt_model_vma *v)
{
	uint64_t flags = v->rec.flags;

	if (flags & (CKPT_VMA_ANON | CKPT_VMA_SHMEM | CKPT_VMA_VDSO | CKPT_VMA_SPECIAL | CKPT_VMA_SYSVSHM))
		return false;
	/* Huge pages without a name are a file to the kernel alone. */
	return !(flags & CKPT_VMA_HUGETLB);
}

/* Names tell nothing of them: several may have the same. */
static int open_mapped_nameless(struct restore *rs, size_t i)
{
	const struct ckpt_model_vma *v = &rs->m->vmas[i];
	const int access = nameless_access(v);
	struct restore_files *fs = rs->files;
	struct nameless *n;
	char thing[48];
	int fd, r;

	for (size_t k = 0; k < i; k++)
		if (nameless_maps(&rs->m->vmas[k]) && nameless_same(&rs->m->vmas[k], v) &&
		    nameless_access(&rs->m->vmas[k]) == access) {
			fs->vma_entry[i] = fs->vma_entry[k];
			return 0;
		}
	snprintf(thing, sizeof(thing), "mapping %llx", (unsigned long long)v->rec.start);
	r = restore_nameless_get(rs, thing, &v->rec.id, v->path, v->rec.path_flags, &n);
	if (r)
		return r;
	fd = restore_reopen(n->fd, access);
	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: open %s again", thing, v->path ? v->path : "its file");
	fs->vma_entry[i] = add_entry(fs, fd, false);
	return 0;
}

static int open_mapped(struct restore *rs, size_t i)
{
	const struct ckpt_model_vma *v = &rs->m->vmas[i];
	struct restore_files *fs = rs->files;
	const struct meta_file *mf;
	int access = O_RDONLY;
	struct opened o;
	char thing[48];
	int r;

	if (nameless_maps(v))
		return open_mapped_nameless(rs, i);
	if (restore_is_shared(&v->rec) && (v->rec.file_flags & O_ACCMODE) == O_RDWR)
		access = O_RDWR;
	for (size_t k = fs->nr_mapped; v->path && k-- > 0;)
		if (fs->mapped[k].access == access && !strcmp(fs->mapped[k].path, v->path)) {
			fs->vma_entry[i] = fs->mapped[k].entry;
			return 0;
		}
	snprintf(thing, sizeof(thing), "mapping %llx", (unsigned long long)v->rec.start);
	if (v->rec.path_flags & CKPT_PATHF_DELETED)
		return ckpt_err_set(rs->err, -EOPNOTSUPP, "%s: %s was deleted", thing,
				    v->path ? v->path : "its file");
	mf = restore_kept_find(rs, v->path);
	if (mf) {
		o.fd = restore_kept_open(rs, thing, mf, access);
		r = o.fd < 0 ? o.fd : 0;
	} else {
		r = restore_open_fixed(rs, fs->root_fd, thing, v->path, &v->rec.id, access, &o);
	}
	if (r)
		return r;
	fs->vma_entry[i] = add_entry(fs, o.fd, false);
	fs->mapped[fs->nr_mapped++] = (struct mapped){ v->path, access, fs->vma_entry[i] };
	return 0;
}

static int open_all_mapped(struct restore *rs)
{
	for (size_t i = 0; i < rs->m->nr_vmas; i++) {
		int r;

		rs->files->vma_entry[i] = NONE;
		if (!restore_maps_file(&rs->m->vmas[i]))
			continue;
		r = open_mapped(rs, i);
		if (r)
			return r;
	}
	return 0;
}

/* ------------------------------------------------------------ descriptors */

static int open_fds(struct restore *rs)
{
	struct restore_files *fs = rs->files;
	const struct ckpt_model *m = rs->m;

	for (size_t i = 0; i < m->nr_fds; i++) {
		const struct ckpt_model_fd *f = &m->fds[i];
		struct slot *slot = &fs->slots[i];
		bool borrowed, split;
		size_t k;
		int fd;

		slot->fd = f->rec.fd;
		slot->cloexec = f->rec.flags & CKPT_FD_CLOEXEC;
		fd = restore_tree_shared_fd(rs, f);
		if (fd >= 0) {
			slot->entry = add_entry(fs, fd, true);
			fs->nr_slots++;
			continue;
		}
		/* The caller's output and error stay apart, also if they were one. */
		split = restore_fd_is_outside(rs, f) && f->rec.fd <= STDERR_FILENO &&
			!restore_fd_override(rs, f->rec.file);
		for (k = 0; k < i && !split; k++)
			if (m->fds[k].rec.file == f->rec.file)
				break;
		if (!split && k < i) {
			slot->entry = fs->slots[k].entry;
		} else {
			fd = restore_fd_open(rs, f, &borrowed);
			if (fd < 0)
				return fd;
			slot->entry = add_entry(fs, fd, borrowed);
		}
		fs->nr_slots++;
	}
	return 0;
}

/* ------------------------------------------------------------ locks */

static void to_flock(const struct ckpt_rec_lock *l, struct flock *ret)
{
	*ret = (struct flock){
		.l_type = (short)l->type,
		.l_whence = SEEK_SET,
		.l_start = l->start,
		.l_len = l->end == INT64_MAX ? 0 : l->end - l->start + 1,
	};
}

static int lock_failed(struct restore *rs, const struct ckpt_rec_lock *l, int code, pid_t holder)
{
	const struct ckpt_model_fd *f = ckpt_model_fd(rs->m, l->fd);
	char who[128] = "another process";

	if (code != -EAGAIN && code != -EACCES)
		return ckpt_err_sys(rs->err, code, "fd %d: lock %s", l->fd, f->path);
	if (holder > 0)
		restore_name_owner(holder, who, sizeof(who));
	return ckpt_err_set(rs->err, -EAGAIN, "fd %d: the lock it held on %s is held by %s now",
			    l->fd, f->path ? f->path : "its file", who);
}

/* Locks of open files can be taken by the caller, the child shares them. */
static int take_file_locks(struct restore *rs)
{
	struct restore_files *fs = rs->files;

	for (size_t i = 0; i < rs->m->nr_locks; i++) {
		const struct ckpt_rec_lock *l = &rs->m->locks[i];
		const struct ckpt_model_fd *f = ckpt_model_fd(rs->m, l->fd);
		int fd = fs->entries[fs->slots[f - rs->m->fds].entry].fd;
		struct flock fl;
		int r = 0;

		to_flock(l, &fl);
		if (l->kind == CKPT_LOCK_FLOCK)
			r = flock(fd, (l->type == F_WRLCK ? LOCK_EX : LOCK_SH) | LOCK_NB);
		else if (l->kind == CKPT_LOCK_OFD)
			r = fcntl(fd, F_OFD_SETLK, &fl);
		if (r < 0)
			return lock_failed(rs, l, -errno, 0);
	}
	return 0;
}

/*
 * A POSIX lock belongs to process and inode, not to a descriptor; but a write
 * lock is asked for by one that may write, a read lock by one that may read.
 * The recorded one is any of the inode.
 */
static int posix_lock_fd(const struct restore *rs, const struct ckpt_rec_lock *l)
{
	const uint32_t unfit = l->type == F_WRLCK ? O_RDONLY : O_WRONLY;
	const struct ckpt_model *m = rs->m;
	const struct ckpt_model_fd *any = ckpt_model_fd(m, l->fd);

	for (size_t i = 0; i < m->nr_fds; i++) {
		const struct ckpt_rec_fd *f = &m->fds[i].rec;

		if (f->id.dev == any->rec.id.dev && f->id.ino == any->rec.id.ino &&
		    !(f->file_flags & O_PATH) && (f->file_flags & O_ACCMODE) != unfit)
			return f->fd;
	}
	return l->fd;
}

static int take_posix_lock(struct restore *rs, const struct ckpt_rec_lock *l)
{
	const uint64_t fd = (uint64_t)posix_lock_fd(rs, l);
	struct remote *r = leader(rs);
	struct flock fl;
	long ret;
	int e;

	to_flock(l, &fl);
	e = remote_write(r, rs->err, r->scratch, &fl, sizeof(fl));
	if (!e)
		e = remote_try(r, rs->err, SYS_fcntl,
			       REMOTE_ARGS(fd, F_SETLK, r->scratch), &ret);
	if (e || !ret)
		return e;
	fl.l_pid = 0;
	if (!remote_try(r, rs->err, SYS_fcntl,
			REMOTE_ARGS(fd, F_GETLK, r->scratch), &(long){ 0 }))
		remote_read(r, rs->err, r->scratch, &fl, sizeof(fl));
	return lock_failed(rs, l, (int)ret, fl.l_pid);
}

/*
 * A lease is taken by the program, for its number is what a signal names; while it has privileges, which it may
 * have had; and tells nobody until restore_owners().
 */
static int take_lease(struct restore *rs, const struct ckpt_rec_lock *l)
{
	const struct ckpt_model_fd *f = ckpt_model_fd(rs->m, l->fd);
	long ret;
	int r;

	if (restore_fd_override(rs, f->rec.file) || restore_tree_shared_fd(rs, f) >= 0)
		return 0;
	r = remote_try(leader(rs), rs->err, SYS_fcntl, REMOTE_ARGS((uint64_t)l->fd, F_SETLEASE, l->type), &ret);
	if (r)
		return r;
	if (ret == -EAGAIN)
		return ckpt_err_set(rs->err, -EAGAIN, "fd %d: the lease it held on %s cannot be had while that is open "
				    "for writing", l->fd, f->path ? f->path : "its file");
	if (ret < 0)
		return ckpt_err_sys(rs->err, (int)ret, "fd %d: lease of %s", l->fd, f->path ? f->path : "its file");
	return remote_call(leader(rs), rs->err, "clear whom a lease tells (F_SETOWN)", SYS_fcntl,
			   REMOTE_ARGS((uint64_t)l->fd, F_SETOWN, 0), NULL);
}

/* ------------------------------------------------------------ entry points */

/* Numbers must fit, ours and the child's: entries lie above all of both. */
static int choose_base(struct restore *rs)
{
	struct restore_files *fs = rs->files;
	int base = STDERR_FILENO;

	for (size_t i = 0; i < fs->nr_entries; i++)
		if (fs->entries[i].fd > base)
			base = fs->entries[i].fd;
	if (fs->nr_slots && fs->slots[fs->nr_slots - 1].fd > base)
		base = fs->slots[fs->nr_slots - 1].fd;
	for (size_t i = 0; i < fs->nr_watches; i++)
		if (fs->watches[i].number > base)
			base = fs->watches[i].number;
	fs->base = base + 1;
	return 0;
}

int restore_files_open(struct restore *rs)
{
	int r;

	rs->files = alloc_files(rs->m, rs->meta.nr);
	if (!rs->files || !rs->files->entries || !rs->files->slots || !rs->files->vma_entry ||
	    !rs->files->mapped || !rs->files->cuts || !rs->files->pidfds || !rs->files->kept)
		return ckpt_err_set(rs->err, -ENOMEM, "no memory for the files of the process");
	r = is_root(rs) ? restore_ptys_make(rs) : 0;
	if (!r)
		r = open_dirs(rs);
	if (!r && restore_pty_leads(rs) >= 0)
		rs->files->terminal = add_entry(rs->files, restore_pty_leads(rs), true);
	if (!r)
		r = open_exe(rs);
	if (!r)
		r = open_all_mapped(rs);
	if (!r)
		r = open_fds(rs);
	if (!r)
		r = restore_kept_open_beside(rs);
	if (!r)
		r = take_file_locks(rs);
	return r ? r : choose_base(rs);
}

/* ------------------------------------------------------------ what epoll instances watch */

int restore_files_section(const struct restore *rs, const struct ckpt_model_fd *f)
{
	return image_find(rs->image, IMAGE_META, (uint32_t)rs->m->proc.pid,
			  META_SUB_DELETED + f->rec.file);
}

int restore_files_watch(struct restore *rs, const char *thing, const struct watch *w)
{
	struct restore_files *fs = rs->files;

	if (fs->nr_watches == fs->cap_watches) {
		size_t cap = fs->cap_watches ? 2 * fs->cap_watches : 64;
		struct watch *v = reallocarray(fs->watches, cap, sizeof(*v));

		if (!v)
			return ckpt_err_sys(rs->err, ENOMEM, "%s: what it watches", thing);
		fs->watches = v;
		fs->cap_watches = cap;
	}
	fs->watches[fs->nr_watches++] = *w;
	return 0;
}

/* The place of a descriptor in the model, SIZE_MAX: there is none of that number. */
static size_t place_of(const struct restore *rs, int number)
{
	const struct ckpt_model_fd *f = ckpt_model_fd(rs->m, number);

	return f ? (size_t)(f - rs->m->fds) : SIZE_MAX;
}

int restore_files_lend(const struct restore *rs, uint32_t file, int number)
{
	const struct restore_files *fs = rs->files;
	size_t at = place_of(rs, number), k = 0;

	if (at != SIZE_MAX && rs->m->fds[at].rec.file == file)
		return 0;
	while (k < fs->nr_slots && rs->m->fds[k].rec.file != file)
		k++;
	if (k == fs->nr_slots)
		return -EBADF;
	return dup3(fs->base + (int)fs->slots[k].entry, number, O_CLOEXEC) < 0 ? -errno : 0;
}

int restore_files_take_back(const struct restore *rs, uint32_t file, int number)
{
	const struct restore_files *fs = rs->files;
	size_t at = place_of(rs, number);
	int r = 0;

	if (at == SIZE_MAX)
		r = close(number);
	else if (rs->m->fds[at].rec.file != file)
		r = dup3(fs->base + (int)fs->slots[at].entry, number,
			 fs->slots[at].cloexec ? O_CLOEXEC : 0);
	return r < 0 ? -errno : 0;
}

/* The first of the descriptors that have the same entry. */
static bool is_first(const struct restore_files *fs, size_t slot)
{
	size_t k = 0;

	while (fs->slots[k].entry != fs->slots[slot].entry)
		k++;
	return k == slot;
}

/* ------------------------------------------------------------ pidfds of those that are restored */

void restore_files_pidfd(struct restore *rs, const struct ckpt_model_fd *f, pid_t pid)
{
	rs->files->pidfds[rs->files->nr_pidfds++] = (struct own_pidfd){ f, pid };
}

/* By the number of the open file, in one process. */
static pid_t noted_pid(const struct restore *rs, uint32_t file)
{
	for (size_t i = 0; i < rs->files->nr_pidfds; i++)
		if (rs->files->pidfds[i].f->rec.file == file)
			return rs->files->pidfds[i].pid;
	return 0;
}

/* One that several processes share was noted for the first of them. */
pid_t restore_files_pid_of(const struct restore *rs, const struct ckpt_model_fd *f)
{
	const struct tree *tree = &rs->set->tree;
	const struct tree_file *mine = tree_find_file(tree, rs->m->proc.pid, f->rec.file);
	pid_t pid = noted_pid(rs, f->rec.file);

	for (const struct restore *other = rs->set->v; mine && !pid && other < rs; other++)
		for (size_t i = 0; !pid && i < tree->nr_files; i++)
			if (tree->files[i].object == mine->object && tree->files[i].pid == other->m->proc.pid)
				pid = noted_pid(other, tree->files[i].file);
	return pid;
}

int restore_files_replace(const struct restore *rs, const struct ckpt_model_fd *f, int fd)
{
	const struct restore_files *fs = rs->files;
	const size_t entry = fs->slots[f - rs->m->fds].entry;

	if (dup3(fd, fs->base + (int)entry, O_CLOEXEC) < 0)
		return -errno;
	for (size_t i = 0; i < fs->nr_slots; i++)
		if (fs->slots[i].entry == entry &&
		    dup3(fd, fs->slots[i].fd, fs->slots[i].cloexec ? O_CLOEXEC : 0) < 0)
			return -errno;
	return 0;
}

/* What watches others comes last: those may be made here. */
static int adopt_kinds(const struct restore *rs, bool watching, const char **ret_what)
{
	const struct restore_files *fs = rs->files;
	int r = 0;

	for (size_t i = 0; !r && i < fs->nr_slots; i++) {
		const struct ckpt_model_fd *f = &rs->m->fds[i];
		const struct fd_kind *kind = fd_kind_of(f);

		if (kind->adopt && watching == (kind == &kind_epoll) && is_first(fs, i) &&
		    !restore_fd_override(rs, f->rec.file))
			r = kind->adopt(rs, f, fs->base + (int)fs->slots[i].entry, ret_what);
	}
	return r;
}

/* ------------------------------------------------------------ in the child, and after */

static int allow_numbers(unsigned int end)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return -errno;
	if (lim.rlim_cur >= end)
		return 0;
	lim.rlim_cur = end;
	if (lim.rlim_max < lim.rlim_cur)
		lim.rlim_max = lim.rlim_cur;
	return setrlimit(RLIMIT_NOFILE, &lim) < 0 ? -errno : 0;
}

/* Entries above, descriptors where they belong, all else closed but @report, which is moved. */
static int take_numbers(struct restore *rs, int *report, const char **ret_what)
{
	const struct restore_files *fs = rs->files;
	unsigned int base = (unsigned int)fs->base, end = base + (unsigned int)fs->nr_entries;
	int r;

	*ret_what = "raise the limit of open files";
	r = allow_numbers(end + 2);
	if (r)
		return r;
	*ret_what = "move descriptors";
	/* First, for its number may be one an entry moves to. */
	if (dup2(*report, (int)end) < 0)
		return -errno;
	*report = (int)end;
	for (size_t i = 0; i < fs->nr_entries; i++)
		if (dup3(fs->entries[i].fd, fs->base + (int)i, O_CLOEXEC) < 0)
			return -errno;
	if (syscall(SYS_close_range, 0, base - 1, 0) < 0 ||
	    syscall(SYS_close_range, end + 1, ~0U, 0) < 0)
		return -errno;
	for (size_t i = 0; i < fs->nr_slots; i++)
		if (dup3(fs->base + (int)fs->slots[i].entry, fs->slots[i].fd,
			 fs->slots[i].cloexec ? O_CLOEXEC : 0) < 0)
			return -errno;
	return 0;
}

/* In the child.  @report is moved as soon as its number may be wanted for something else. */
int restore_files_adopt(struct restore *rs, int *report, const char **ret_what)
{
	const struct restore_files *fs = rs->files;
	int r = take_numbers(rs, report, ret_what);

	if (!r)
		r = adopt_kinds(rs, false, ret_what);
	if (!r)
		r = adopt_kinds(rs, true, ret_what);
	if (r)
		return r;
	*ret_what = "change the root directory";
	if (fs->root != NONE &&
	    (fchdir(fs->base + (int)fs->root) < 0 || chroot(".") < 0))
		return -errno;
	*ret_what = "change the working directory";
	if (fs->cwd != NONE && fchdir(fs->base + (int)fs->cwd) < 0)
		return -errno;
	return 0;
}

int restore_files_vma_fd(const struct restore *rs, size_t vma)
{
	size_t entry = rs->files->vma_entry[vma];

	return entry == NONE ? -1 : rs->files->base + (int)entry;
}

int restore_files_exe_fd(const struct restore *rs)
{
	return rs->files->base + (int)rs->files->exe;
}

int restore_files_proc_fd(const struct restore *rs)
{
	return rs->files->base + (int)rs->files->proc;
}

int restore_files_terminal_fd(const struct restore *rs)
{
	return rs->files->terminal == NONE ? -1 : rs->files->base + (int)rs->files->terminal;
}

int restore_files_finish(struct restore *rs)
{
	int r = remote_call(leader(rs), rs->err, "close descriptors used for the restore",
			    SYS_close_range,
			    REMOTE_ARGS((uint64_t)rs->files->base, ~0U, 0), NULL);

	for (size_t i = 0; !r && i < rs->m->nr_locks; i++) {
		const struct ckpt_rec_lock *l = &rs->m->locks[i];

		if (l->kind == CKPT_LOCK_POSIX)
			r = take_posix_lock(rs, l);
		else if (l->kind == CKPT_LOCK_LEASE)
			r = take_lease(rs, l);
	}
	return r;
}

static bool watches_late(const struct restore *rs)
{
	for (size_t i = 0; i < rs->m->nr_fds; i++)
		if (fd_kind_of(&rs->m->fds[i]) == &kind_epoll && restore_epoll_is_late(rs, &rs->m->fds[i]))
			return true;
	return false;
}

/* In a process of its own, whose table of open files is then as the program's. */
static int watch_late(struct restore *rs)
{
	struct restore_files *fs = rs->files;
	const int above = fs->base + (int)fs->nr_entries + 2;
	int report = fs->entries[fs->proc].fd, r;
	const char *what;

	fs->sockets_made = true;
	r = allow_numbers((unsigned int)above + (unsigned int)fs->nr_slots);
	for (size_t i = 0; !r && i < fs->nr_slots; i++) {
		int fd = restore_socket_made(rs, rs->m->fds[i].rec.file);

		if (fd < 0 || !is_first(fs, i))
			continue;
		/* It is of now, and may have a number an entry is to move to. */
		fd = fcntl(fd, F_DUPFD_CLOEXEC, above);
		fs->entries[fs->slots[i].entry].fd = fd;
		r = fd < 0 ? -errno : 0;
	}
	if (r)
		return r;
	r = take_numbers(rs, &report, &what);
	return r ? r : adopt_kinds(rs, true, &what);
}

/*
 * What instances watch that watch a socket the program had to make: an item is of an open file and a number, and
 * only who has the file by that number can add it.
 */
int restore_watches(struct restore *rs)
{
	int status = 0;
	pid_t pid;

	if (!watches_late(rs))
		return 0;
	pid = fork();
	if (!pid)
		_exit(-watch_late(rs));
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			pid = -1;
	if (pid < 0)
		return ckpt_err_sys(rs->err, errno, "watch sockets by an epoll instance");
	if (!WIFEXITED(status))
		return ckpt_err_set(rs->err, -EIO, "watch sockets by an epoll instance: whoever did it was ended");
	return WEXITSTATUS(status) ? ckpt_err_sys(rs->err, WEXITSTATUS(status), "watch sockets by an epoll instance") : 0;
}

/* When the program is about to run: of each open file that was made for it, what counts time. */
int restore_files_arm(struct restore *rs)
{
	struct restore_files *fs = rs->files;
	int r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_fds; i++) {
		const struct ckpt_model_fd *f = &rs->m->fds[i];
		const struct fd_kind *kind = fd_kind_of(f);
		char thing[24];

		/* What another process has too is that one's to set going. */
		if (!kind->arm || !is_first(fs, i) || fs->entries[fs->slots[i].entry].borrowed ||
		    restore_fd_override(rs, f->rec.file))
			continue;
		snprintf(thing, sizeof(thing), "fd %d", f->rec.fd);
		r = kind->arm(rs, thing, f, fs->entries[fs->slots[i].entry].fd);
	}
	return r;
}

int restore_files_commit(struct restore *rs)
{
	struct restore_files *fs = rs->files;

	for (size_t i = 0; i < fs->nr_cuts; i++) {
		const struct ckpt_model_fd *f = fs->cuts[i].f;
		struct stat st;

		if (fstat(fs->cuts[i].fd, &st) < 0 ||
		    ftruncate(fs->cuts[i].fd, (off_t)f->rec.id.size) < 0)
			return ckpt_err_sys(rs->err, errno, "fd %d: cut %s back to %llu bytes",
					    f->rec.fd, f->path, (unsigned long long)f->rec.id.size);
		if (rs->opts->cut && (uint64_t)st.st_size > f->rec.id.size)
			rs->opts->cut(f->path, (uint64_t)st.st_size - f->rec.id.size, rs->opts->arg);
		/* So that a second restore from the same image finds what it expects. */
		restore_set_mtime(fs->cuts[i].fd, f->rec.id.mtime_ns);
		/* Now: it is something that can be watched (inotify). */
		close(fs->cuts[i].fd);
		fs->cuts[i].fd = -1;
	}
	return 0;
}

/* The program has read nothing yet, and nobody else has these. */
int restore_files_settle(struct restore *rs)
{
	struct restore_files *fs = rs->files;

	for (size_t i = 0; i < rs->m->nr_fds; i++) {
		const struct fd_kind *kind = fd_kind_of(&rs->m->fds[i]);

		if (kind->settle && is_first(fs, i) && !restore_fd_override(rs, rs->m->fds[i].rec.file))
			kind->settle(fs->entries[fs->slots[i].entry].fd);
	}
	return 0;
}
