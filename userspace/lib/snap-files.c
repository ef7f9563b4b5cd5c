// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap-files.c - what of the program's files goes into the image: the content of those without a
 * name, read while the process stands still, and the identity of all others.
 *
 * Files are read by a description of our own (through /proc/PID/fd or map_files), so neither offset nor
 * flags of the program's are touched.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copies.h"
#include "ipc.h"
#include "judge.h"
#include "kind.h"
#include "nameless.h"
#include "segment.h"
#include "snap.h"
#include "util.h"

/* A digest costs a read of the whole file at each snapshot; longer ones go without. */
#define DIGEST_MAX	(256ull << 20)

/* --------------------------------------------------------------------------- deleted files */

bool saves_deleted(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	const struct ckpt_rec_fd *r = &fd->rec;

	return r->kind == CKPT_FDK_REG && r->path_flags & CKPT_PATHF_DELETED &&
	       !(r->file_flags & O_PATH);
}

/* Nobody else has an end of it: what is in it belongs to the process too. */
bool saves_pipe(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	return fd->rec.path_flags & CKPT_PATHF_NO_NAME &&
	       (judge_other_end(model, fd) || judge_dead_end(model, fd));
}

static bool saves(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	const struct fd_kind *kind = fd_kind_of(fd);

	return kind->saves && kind->saves(model, fd);
}

/* A mapping of what has no name, and so is not there for a restore to open. */
static bool is_kept(const struct ckpt_model_vma *v)
{
	return nameless_maps(v) || segment_maps(v);
}

bool snap_files_wanted(const struct ckpt_model *model)
{
	for (size_t i = 0; i < model->nr_fds; i++)
		if (saves(model, &model->fds[i]))
			return true;
	for (size_t i = 0; i < model->nr_vmas; i++)
		if (is_kept(&model->vmas[i]))
			return true;
	return false;
}

static bool is_fifo(int dir, const char *name)
{
	struct stat st;

	return atoi(name) > STDERR_FILENO && !fstatat(dir, name, &st, 0) && S_ISFIFO(st.st_mode);
}

bool snap_files_expected(pid_t pid)
{
	static const char mark[] = " (deleted)";
	char path[64], target[4096];
	struct dirent *de;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (de = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), de->d_name, target, sizeof(target) - 1);

		if (n < (ssize_t)sizeof(mark))
			continue;
		target[n] = '\0';
		found = !strcmp(target + n - strlen(mark), mark) ||
			!strcmp(target, "anon_inode:[eventpoll]") || !strcmp(target, "anon_inode:inotify") ||
			!strcmp(target, "anon_inode:[pidfd]") || !strncmp(target, "socket:", 7) ||
			(atoi(de->d_name) > STDERR_FILENO && !strncmp(target, "pipe:", 5)) ||
			is_fifo(dirfd(dir), de->d_name);
	}
	closedir(dir);
	return found;
}

int save_deleted(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		 struct ckpt_err *err, struct snap_deleted *d)
{
	const pid_t pid = model->proc.pid;
	char path[64];
	int in, ret;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd->rec.fd);
	in = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (in < 0) {
		ret = -errno;
	} else {
		ret = nameless_read(model, &fd->rec.id, NULL, in, &d->content);
		close(in);
	}
	if (ret)
		ckpt_err_sys(err, ret, "process %d: fd %d (%s) is a deleted file and cannot be read",
			     pid, fd->rec.fd, fd->path ? fd->path : "?");
	return ret;
}

/* What is only mapped: a description of our own again, by the link of the mapping. */
static int save_mapped(const struct ckpt_model *model, const struct ckpt_model_vma *v,
		       struct ckpt_err *err, struct snap_deleted *d)
{
	const pid_t pid = model->proc.pid;
	char path[80];
	int in, ret;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)v->rec.start,
		 (unsigned long long)v->rec.end);
	in = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ret = in < 0 ? -errno : 0;
	if (!ret && segment_maps(v))
		ret = segment_read(model, v, in, &d->content);
	else if (!ret && nameless_is_memfd(v->path, v->rec.path_flags))
		ret = save_memfd_content(model, &v->rec.id, in, &d->content);
	else if (!ret)
		ret = nameless_read(model, &v->rec.id, NULL, in, &d->content);
	if (in >= 0)
		close(in);
	if (!ret)
		return 0;
	ckpt_err_sys(err, ret, "process %d: mapping %#llx (%s) is of a file without a name and cannot be read",
		     pid, (unsigned long long)v->rec.start, v->path ? v->path : "?");
	if (ret == -EPERM || ret == -EACCES)
		ckpt_err_hint(err, "that takes CAP_CHECKPOINT_RESTORE");
	return ret;
}

/* The bytes in a pipe, which stay there: tee(2) shares them with a pipe of ours. */
static int read_pipe(int in, struct buf *content)
{
	int n, ours[2], ret = 0;

	if (ioctl(in, FIONREAD, &n))
		return -errno;
	if (!n)
		return 0;
	if (pipe2(ours, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	ret = buf_reserve(content, n);
	if (!ret && fcntl(ours[1], F_SETPIPE_SZ, fcntl(in, F_GETPIPE_SZ)) < 0)
		ret = -errno;
	if (!ret && tee(in, ours[1], n, SPLICE_F_NONBLOCK) != n)
		ret = -EIO;
	/* Of packets each read takes one. */
	while (!ret && content->len < (size_t)n) {
		ssize_t got = read(ours[0], content->data + content->len, n - content->len);

		if (got <= 0)
			ret = -EIO;
		else
			content->len += got;
	}
	close(ours[0]);
	close(ours[1]);
	return ret;
}

/*
 * A descriptor of ours to read a pipe by: of the reading end, if that is what the process has, since to open
 * and close one of our own would tell who waits that ends come and go.
 */
static int pipe_end(pid_t pid, const struct ckpt_model_fd *fd)
{
	char path[64];
	int pidfd, end;

	if (!(fd->rec.flags & CKPT_FD_OTHER_END_CLOSED)) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd->rec.fd);
		return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	end = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd->rec.fd, 0);
	if (pidfd >= 0)
		close(pidfd);
	return end;
}

/* Of a writing end that nobody reads from only its size. */
int save_pipe(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
	      struct ckpt_err *err, struct snap_deleted *d)
{
	const bool reads = (fd->rec.file_flags & O_ACCMODE) != O_WRONLY ||
			   !(fd->rec.flags & CKPT_FD_OTHER_END_CLOSED);
	const pid_t pid = model->proc.pid;
	int in, size, ret = 0;

	in = pipe_end(pid, fd);
	size = in < 0 ? -1 : fcntl(in, F_GETPIPE_SZ);
	if (size < 0)
		ret = -errno;
	else if (reads)
		ret = read_pipe(in, &d->content);
	d->capacity = size;
	if (in >= 0)
		close(in);
	if (ret)
		ckpt_err_sys(err, ret, "process %d: fd %d (%s) is a pipe and cannot be read",
			     pid, fd->rec.fd, fd->path ? fd->path : "?");
	return ret;
}

static bool have_before(const struct ckpt_model *model, const struct ckpt_model_fd *fd, size_t end)
{
	for (size_t i = 0; i < end; i++)
		if (fd_kind_same(&model->fds[i], fd) && saves(model, &model->fds[i]))
			return true;
	return false;
}

/* Several descriptors of one object: its content goes with the first of all, restore knows. */
static bool have(const struct ckpt_model *model, size_t n)
{
	const struct ckpt_model_fd *fd = &model->fds[n];
	const struct ckpt_model *m;

	/* What has no inode of its own is told apart within one process alone. */
	for (size_t k = 0; fd->rec.kind != CKPT_FDK_ANON && k < ckpt_set_size(model); k++) {
		m = ckpt_set_model(model, k);
		if (m == model)
			break;
		if (have_before(m, fd, m->nr_fds))
			return true;
	}
	return have_before(model, fd, n);
}

/* Whether the mapping, number @n, is of a file that goes with a descriptor or another mapping. */
static bool have_mapped(const struct ckpt_model *model, size_t n)
{
	const struct ckpt_model_vma *v = &model->vmas[n];
	bool before = true;

	for (size_t k = 0; k < ckpt_set_size(model); k++) {
		const struct ckpt_model *m = ckpt_set_model(model, k);

		for (size_t i = 0; i < m->nr_fds; i++)
			if (nameless_maps_file(v, &m->fds[i].rec.id) && saves(m, &m->fds[i]))
				return true;
		if (m == model)
			before = false;
		for (size_t i = 0; before ? i < m->nr_vmas : m == model && i < n; i++)
			if (nameless_same(&m->vmas[i], v))
				return true;
	}
	return false;
}

static int read_mapped(const struct ckpt_model *model, struct ckpt_err *err, struct snap_files *files)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < model->nr_vmas; i++) {
		struct snap_deleted *d = &files->deleted[files->nr];

		if (!is_kept(&model->vmas[i]) || have_mapped(model, i))
			continue;
		d->sub = META_SUB_MAPPED + (uint32_t)i;
		files->nr++;
		ret = save_mapped(model, &model->vmas[i], err, d);
	}
	return ret;
}

int snap_files_read(const struct ckpt_model *model, struct ckpt_err *err, struct snap_files *files)
{
	files->deleted = calloc(model->nr_fds + model->nr_vmas + 2, sizeof(*files->deleted));
	if (!files->deleted)
		return ckpt_err_sys(err, ENOMEM, "content of open files");
	for (size_t i = 0; i < model->nr_fds; i++) {
		const struct ckpt_model_fd *fd = &model->fds[i];
		struct snap_deleted *d = &files->deleted[files->nr];
		int ret;

		if (!saves(model, fd) || have(model, i))
			continue;
		d->file = fd->rec.file;
		d->sub = META_SUB_DELETED + d->file;
		files->nr++;
		ret = fd_kind_of(fd)->save(model, fd, err, d);
		if (ret)
			return ret;
	}
	return read_mapped(model, err, files);
}

int snap_files_read_ipc(const struct ckpt_model *model, struct ckpt_err *err, struct snap_files *files)
{
	struct snap_deleted *d = &files->deleted[files->nr];

	int ret = ipc_read(model, &d->content, err);

	d->sub = META_SUB_IPC;
	files->nr += ret || d->content.len;	/* nothing: no section */
	return ret;
}

void snap_files_free(struct snap_files *files)
{
	for (size_t i = 0; i < files->nr; i++)
		buf_free(&files->deleted[i].content);
	free(files->deleted);
	snap_kept_free(files);
	memset(files, 0, sizeof(*files));
}

/* ------------------------------------------------------------------------------ identities */

/*
 * Identity and digest are a plus: the program may write what we may not read, or have cut it since.
 * But an image must not know less of its files because we were short of something.
 */
static int read_identity(struct meta_file *f, int seen, bool build_id)
{
	char path[64];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", seen);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		ret = -errno;
	if (!ret && build_id)
		ret = meta_build_id(fd, f->build_id);
	if (!ret && f->change == META_GROW && f->size <= DIGEST_MAX)
		ret = meta_digest(fd, f->size, f->digest);
	if (fd >= 0)
		close(fd);
	return ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE ? ret : 0;
}

/*
 * Fill in what a look at the file tells.  The program runs again, so the name may lead to anything
 * by now: only a file that was looked at is opened, for opening a device may do something.
 */
static int identify(struct meta_file *f, bool build_id, struct ckpt_err *err)
{
	struct stat st;
	int seen, ret = 0;

	seen = open(f->path, O_PATH | O_CLOEXEC);
	if (seen < 0 && errno == ENOENT) {
		ckpt_err_set(err, ENOENT, "%s: was removed when the program ran on, and a restore would need it",
			     f->path);
		ckpt_err_hint(err, "try again, or end the program with it: snap --kill");
		return -ENOENT;
	}
	if (seen < 0)
		return ckpt_err_sys(err, errno, "%s", f->path);
	if (fstat(seen, &st))
		ret = ckpt_err_sys(err, errno, "%s", f->path);
	else if (!S_ISREG(st.st_mode))
		ret = ckpt_err_set(err, ESTALE, "%s: is not the file it was any more", f->path);
	if (ret)
		goto out;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->mode = st.st_mode;
	if (f->change != META_GROW) {
		f->size = st.st_size;
		f->mtime_ns = ckpt_mtime_ns(&st);
	}
	if (build_id || (f->change == META_GROW && f->size <= DIGEST_MAX))
		ret = read_identity(f, seen, build_id);
	if (ret)
		ret = ckpt_err_sys(err, ret, "%s: cannot be read", f->path);
out:
	close(seen);
	return ret;
}

static int add_file(struct meta_files *m, struct meta_file *f, bool build_id, struct ckpt_err *err)
{
	const struct meta_file *old = meta_files_find(m, f->path);
	int ret;

	if (old && old->change >= f->change)
		return 0;
	ret = identify(f, build_id, err);
	if (ret)
		return ret;
	ret = meta_files_add(m, f);
	return ret ? ckpt_err_sys(err, ret, "list of files") : 0;
}

static enum meta_change change_of(const struct ckpt_rec_fd *fd)
{
	if (fd->file_flags & O_PATH || (fd->file_flags & O_ACCMODE) == O_RDONLY)
		return META_FIXED;
	return judge_grows_only(fd) ? META_GROW : META_INPLACE;
}

/* Whether a process of the set makes it longer: then it grows for those too who only read it. */
static bool grows(const struct ckpt_model *model, const struct ckpt_file_id *id)
{
	for (size_t i = 0; i < ckpt_set_size(model); i++) {
		const struct ckpt_model *m = ckpt_set_model(model, i);

		for (size_t k = 0; k < m->nr_fds; k++) {
			const struct ckpt_rec_fd *r = &m->fds[k].rec;

			if (r->id.ino == id->ino && r->id.dev == id->dev && change_of(r) == META_GROW)
				return true;
		}
	}
	return false;
}

static int add_fds(struct meta_files *m, const struct ckpt_model *model, struct ckpt_err *err)
{
	for (size_t i = 0; i < model->nr_fds; i++) {
		const struct ckpt_model_fd *fd = &model->fds[i];
		struct meta_file f = { .path = fd->path, .size = fd->rec.id.size };
		int ret;

		if (fd->rec.kind != CKPT_FDK_REG || fd->rec.path_flags || !fd->path)
			continue;
		f.change = change_of(&fd->rec);
		if (f.change == META_FIXED && !(fd->rec.file_flags & O_PATH) && grows(model, &fd->rec.id))
			f.change = META_GROW;
		ret = add_file(m, &f, false, err);
		if (ret)
			return ret;
	}
	return 0;
}

bool snap_maps_file(const struct ckpt_model_vma *v)
{
	return S_ISREG(v->rec.id.mode) && !v->rec.path_flags && v->path &&
	       !(v->rec.flags & (CKPT_VMA_ANON | CKPT_VMA_SHMEM | CKPT_VMA_SPECIAL | CKPT_VMA_HUGETLB));
}

/* It may have unmapped its own text. */
static int add_exe(struct meta_files *m, const struct ckpt_model *model, bool all,
		   struct ckpt_err *err)
{
	const struct ckpt_model_path *exe = &model->paths[CKPT_PATH_EXE];
	struct meta_file f = { .path = exe->path, .size = exe->rec.id.size };

	if (!exe->present || !exe->path || exe->rec.flags || !(all || copies_is_one(exe->path)))
		return 0;
	return add_file(m, &f, true, err);
}

static int add_vmas(struct meta_files *m, const struct ckpt_model *model, struct ckpt_err *err)
{
	for (size_t i = 0; i < model->nr_vmas; i++) {
		const struct ckpt_model_vma *v = &model->vmas[i];
		struct meta_file f = { .path = v->path, .size = v->rec.id.size };
		int ret;

		if (!snap_maps_file(v))
			continue;
		if (v->rec.flags & CKPT_VMA_SHARED && v->rec.flags & CKPT_VMA_MAYWRITE &&
		    (v->rec.file_flags & O_ACCMODE) == O_RDWR)
			f.change = META_INPLACE;
		ret = add_file(m, &f, true, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int add_pipes(struct meta_files *m, const struct snap_files *files, struct ckpt_err *err)
{
	for (size_t i = 0; i < files->nr; i++) {
		const struct snap_deleted *d = &files->deleted[i];
		const struct meta_pipe p = { d->file, d->capacity };
		int ret = d->capacity ? meta_files_add_pipe(m, &p) : 0;

		if (ret)
			return ckpt_err_sys(err, ret, "list of files");
	}
	return 0;
}

static int write_list(const struct snap_files *files, const struct stream_job *job, const struct snap_opts *opts,
		      const char *hold, struct ckpt_err *err, struct snap_contents *ret_contents)
{
	const struct ckpt_model *model = job->model;
	const bool all = opts->self_contained;
	struct meta_files m = { .tcp = opts->tcp };
	char *text = NULL;
	int ret;

	snprintf(m.hold, sizeof(m.hold), "%s", hold);
	ret = snap_kept_list(files, &m);
	if (ret)
		ckpt_err_sys(err, ret, "list of files");
	if (!ret)
		ret = add_vmas(&m, model, err);
	if (!ret)
		ret = add_fds(&m, model, err);
	if (!ret)
		ret = add_exe(&m, model, all, err);
	if (!ret)
		ret = add_pipes(&m, files, err);
	if (!ret)
		ret = snap_contents_write(job, all, &m, err, ret_contents);
	if (!ret) {
		ret = meta_files_format(&m, &text);
		if (ret)
			ckpt_err_sys(err, ret, "list of files");
	}
	if (!ret)
		ret = image_writer_put(job->writer, IMAGE_META, model->proc.pid, IMAGE_META_FILES, text,
				       strlen(text), err);
	free(text);
	meta_files_free(&m);
	return ret;
}

int snap_files_write(const struct snap_files *files, const struct stream_job *job, const struct snap_opts *opts,
		     const char *hold, struct ckpt_err *err, struct snap_contents *ret_contents)
{
	int ret = write_list(files, job, opts, hold, err, ret_contents);

	for (size_t i = 0; !ret && i < files->nr; i++) {
		const struct snap_deleted *d = &files->deleted[i];

		if (d->capacity && !d->content.len)
			continue;	/* no section: an empty pipe */
		ret = image_writer_put(job->writer, IMAGE_META, job->model->proc.pid,
				       d->sub, d->content.data, d->content.len, err);
	}
	return ret;
}
