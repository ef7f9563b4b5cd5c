// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap-kept.c - files the program changes in place: their content belongs into the image, since the
 * program runs on and changes them again.
 *
 * Life of one:
 *  1. before the freeze what is dirty of it goes to the disk, if it seems to be such a file: a clone
 *     would have to wait for that
 *  2. in the pause a clone of it is made (FICLONE, ioctl_ficlonerange(2)), into a file without a name
 *     in the same directory, which costs next to nothing and leaves nothing behind when we die; or,
 *     where the file system cannot, a copy in memory
 *  3. after the thaw and the barrier clone or copy is written into the image, and given up
 * Unhappy: too much to copy is a refusal with the choices there are, noted in the judgement; all other
 * errors end the snapshot.  snap_files_free() drops what there is at any point.
 *
 * A database keeps what it needs for going back beside the file, and finds it by name.  SQLite's three
 * are looked for (sqlite.org/tempfiles.html): one that is there is kept too though it is not open, one
 * that is not must not be there after the restore, or the next to open the file would roll it back to
 * something it never was.
 *
 * What several processes of a tree have open is kept once, by the first of them that changes it in place;
 * the lists of the others name that one, also where they only read it.  What stands beside it is kept with it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "judge.h"
#include "snap.h"
#include "util.h"

#define BATCH	(1u << 20)

/* ------------------------------------------------------------------------- before the freeze */

/* A descriptor of the kind judge_in_place() tells, as far as /proc does. */
static bool seems_in_place(int dir, const char *number, const struct stat *st)
{
	char name[32], text[256];
	long long pos;
	unsigned int flags;
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "../fdinfo/%.16s", number);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return sscanf(text, "pos: %lld flags: %o", &pos, &flags) == 2 &&
	       (flags & O_ACCMODE) != O_RDONLY && !(flags & (O_APPEND | O_PATH)) && pos != st->st_size;
}

/*
 * To the disk with it.  An error must not be passed over: told to us, it is not told to the barrier any
 * more, which opens the file after it (lib/errseq.c).
 */
static int flush(int dir, const char *name, struct ckpt_err *err)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), ret = 0;
	char path[256] = "?";

	if (fd < 0)
		return 0;
	if (fdatasync(fd) && errno != EINVAL && errno != EROFS) {
		ret = -errno;
		(void)!readlinkat(dir, name, path, sizeof(path) - 1);
		ckpt_err_sys(err, ret, "%s cannot be synced to disk", path);
		ckpt_err_hint(err, "see to that disk; the generation before this one stays the newest");
	}
	close(fd);
	return ret;
}

/* Whether the /proc link @name, to @st, leads to a file that has a name; what is dirty of it is written then. */
static int look_at(int dir, const char *name, const struct stat *st, enum snap_keep keep,
		   struct ckpt_err *err, bool *found)
{
	if (!S_ISREG(st->st_mode) || !st->st_nlink)
		return 0;
	*found = true;
	return keep == SNAP_KEEP_COPY ? 0 : flush(dir, name, err);
}

/* A file without a name has to be read in the pause; shared anonymous memory looks like one. */
static bool is_of_deleted(const char *line)
{
	return strstr(line, " (deleted)\n") && !strstr(line, " /dev/zero (deleted)\n");
}

/* Files it has mapped shared and writable, also those it has no descriptor of. */
static int look_at_maps(pid_t pid, enum snap_keep keep, struct ckpt_err *err, bool *found)
{
	unsigned long long start, end, inode;
	char path[80], perms[8], *line = NULL;
	size_t room = 0;
	struct stat st;
	int ret = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (!ret && f && getline(&line, &room, f) > 0) {
		*found = *found || is_of_deleted(line);
		if (sscanf(line, "%llx-%llx %7s %*s %*s %llu", &start, &end, perms, &inode) != 4 ||
		    perms[3] != 's' || perms[1] != 'w' || !inode)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid, start, end);
		if (!fstatat(AT_FDCWD, path, &st, 0))
			ret = look_at(AT_FDCWD, path, &st, keep, err, found);
	}
	free(line);
	if (f)
		fclose(f);
	return ret;
}

int snap_kept_expected(pid_t pid, enum snap_keep keep, struct ckpt_err *err, bool *ret_found)
{
	struct dirent *de;
	char path[32];
	int ret = 0;
	DIR *dir;

	*ret_found = false;
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (!ret && dir && (de = readdir(dir))) {
		struct stat st;

		if (!fstatat(dirfd(dir), de->d_name, &st, 0) && seems_in_place(dirfd(dir), de->d_name, &st))
			ret = look_at(dirfd(dir), de->d_name, &st, keep, err, ret_found);
	}
	if (dir)
		closedir(dir);
	return ret ? ret : look_at_maps(pid, keep, err, ret_found);
}

bool snap_kept_wanted(const struct ckpt_model *model)
{
	for (size_t i = 0; i < model->nr_fds; i++)
		if (judge_in_place(model, &model->fds[i].rec.id))
			return true;
	for (size_t i = 0; i < model->nr_vmas; i++)
		if (judge_writes_file(&model->vmas[i].rec) &&
		    judge_in_place(model, &model->vmas[i].rec.id))
			return true;
	return false;
}

/* --------------------------------------------------------------------------------- the pause */

struct keeper {
	const struct snap_keeper *procs;
	size_t			nr_procs;
	const struct ckpt_model	*model;		/* of the process at hand */
	struct snap_files	*files;
	uint32_t		sections;	/* their numbers are unique among all processes */
	struct judgement	*j;
	struct ckpt_err		*err;
	enum snap_keep		keep;
	uint64_t		room;		/* bytes that may be copied yet */
};

/* One file on its way in; @thing and @number name it in a refusal. */
struct source {
	const char		*thing;
	int64_t			number;
	const char		*path;
	int			fd;
	struct stat		st;
};

/* Make a clone without a name beside it.  Its descriptor or -errno. */
static int clone_file(const struct source *src)
{
	char *dir = strdup(src->path), *slash;
	int fd, ret;

	if (!dir)
		return -ENOMEM;
	slash = strrchr(dir, '/');
	if (!slash) {
		free(dir);
		return -EINVAL;
	}
	slash[slash == dir] = '\0';
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ret = fd < 0 ? -errno : 0;
	free(dir);
	if (!ret && ioctl(fd, FICLONE, src->fd))
		ret = -errno;
	if (ret && fd >= 0)
		close(fd);
	return ret ? ret : fd;
}

/* A FUSE server is asked where data is before it has been told of what is dirty (fs/fuse/file.c). */
static bool knows_holes(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type != FUSE_SUPER_MAGIC;
}

/* -E2BIG: more than there is room for. */
static int copy_data(struct keeper *k, const struct source *src, char *to)
{
	uint64_t begin = 0, end = 0, size = src->st.st_size;
	const bool holes = knows_holes(src->fd);
	int ret;

	for (;;) {
		if (holes) {
			ret = util_next_data(src->fd, size, end, &begin, &end);
		} else {
			ret = end < size;
			end = size;
		}
		if (ret <= 0)
			return ret;
		if (end - begin > k->room)
			return -E2BIG;
		ret = util_pread_full(src->fd, to + begin, end - begin, begin);
		if (ret)
			return ret;
		k->room -= end - begin;
		k->files->copied_bytes += end - begin;
	}
}

/* A copy in memory, holes and all.  Its descriptor or -errno. */
static int copy_file(struct keeper *k, const struct source *src)
{
	size_t size = src->st.st_size;
	int fd = memfd_create("kept", MFD_CLOEXEC), ret = 0;
	char *to;

	if (fd < 0)
		return -errno;
	if (!size)
		return fd;
	if (ftruncate(fd, size))
		ret = -errno;
	to = ret ? MAP_FAILED : mmap(NULL, size, PROT_WRITE, MAP_SHARED, fd, 0);
	if (!ret && to == MAP_FAILED)
		ret = -errno;
	if (!ret) {
		ret = copy_data(k, src, to);
		munmap(to, size);
	}
	if (ret)
		close(fd);
	return ret ? ret : fd;
}

/* What keeps a file system from cloning, but not from copying. */
static bool cannot_clone(int code)
{
	return code == -EOPNOTSUPP || code == -ENOTTY || code == -EINVAL || code == -EXDEV ||
	       code == -ENOSYS || code == -EISDIR || code == -EROFS || code == -EACCES ||
	       code == -EPERM || code == -ETXTBSY || code == -ENOSPC || code == -EDQUOT;
}

static int take_content(struct keeper *k, const struct source *src, struct snap_kept *kept)
{
	int fd = k->keep == SNAP_KEEP_COPY ? -EOPNOTSUPP : clone_file(src), why = fd;

	kept->cloned = fd >= 0;
	if (fd < 0 && cannot_clone(fd) && k->keep != SNAP_KEEP_REFLINK)
		fd = copy_file(k, src);
	kept->fd = fd < 0 ? -1 : fd;
	if (fd == -E2BIG)
		judge_refuse(k->j, src->thing, src->number, src->path,
			     "put it on a file system that clones (xfs, btrfs), raise --files-limit, or use "
			     "snap --kill", "is changed in place, and is more than may be copied while "
			     "the program stands still");
	else if (fd < 0 && cannot_clone(fd))
		judge_refuse(k->j, src->thing, src->number, src->path, "use --files=copy",
			     "is changed in place and cannot be cloned: %s", strerror(-why));
	else if (fd < 0)
		return ckpt_err_sys(k->err, fd, "%s %" PRId64 " (%s): content cannot be kept", src->thing,
				    src->number, src->path);
	return 0;
}

/* A new entry, with @meta for what is known of the file; NULL: no memory, and the error is told. */
static struct snap_kept *add(struct keeper *k, const char *path, const struct meta_file *meta)
{
	struct snap_kept kept = { .meta = *meta, .fd = -1 };

	kept.meta.path = strdup(path);
	if (!kept.meta.path || buf_append(&k->files->kept, &kept, sizeof(kept))) {
		free(kept.meta.path);
		ckpt_err_sys(k->err, ENOMEM, "list of files");
		return NULL;
	}
	return snap_kept_at(k->files, k->files->nr_kept++);
}

static int keep(struct keeper *k, const struct source *src, const struct ckpt_file_id *id)
{
	const struct meta_file meta = {
		.change = META_KEPT, .dev = src->st.st_dev, .ino = src->st.st_ino,
		.size = src->st.st_size, .mtime_ns = ckpt_mtime_ns(&src->st), .mode = src->st.st_mode,
		.uid = src->st.st_uid, .gid = src->st.st_gid, .section = k->sections++,
	};
	struct snap_kept *kept = add(k, src->path, &meta);

	if (!kept)
		return -ENOMEM;
	kept->dev = id ? id->dev : 0;
	kept->ino = id ? id->ino : 0;
	return take_content(k, src, kept);
}

/* The entry of whoever keeps that file, and whose it is; NULL: nobody does so far. */
static const struct snap_kept *find_kept(const struct keeper *k, const struct ckpt_file_id *id,
					 const struct ckpt_model **ret_model)
{
	for (size_t p = 0; p < k->nr_procs; p++)
		for (size_t i = 0; i < k->procs[p].files->nr_kept; i++) {
			const struct snap_kept *have = snap_kept_at(k->procs[p].files, i);

			if (have->dev != id->dev || have->ino != id->ino)
				continue;
			*ret_model = k->procs[p].model;
			return have;
		}
	return NULL;
}

/* The file a /proc link of a process leads to. */
static int keep_open(struct keeper *k, const char *thing, int64_t number, const char *path,
		     const struct ckpt_file_id *id, const char *link)
{
	struct source src = { .thing = thing, .number = number, .path = path };
	const struct ckpt_model *whose;
	int ret = 0;

	if (find_kept(k, id, &whose))
		return 0;
	if (!judge_named(k->j, thing, number, path, id, link))
		return 0;
	src.fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (src.fd < 0)
		return ckpt_err_sys(k->err, errno, "%s %" PRId64 " (%s): content cannot be kept", thing,
				    number, path);
	if (fstat(src.fd, &src.st))
		ret = ckpt_err_sys(k->err, errno, "%s", path);
	else
		ret = keep(k, &src, id);
	close(src.fd);
	return ret;
}

/*
 * One of the process at hand that somebody keeps: its list names who.  One that is open by another name too
 * would be put back by one of them.
 */
static int list_kept(struct keeper *k, const char *thing, int64_t number, const char *path,
		     const struct ckpt_file_id *id)
{
	const struct ckpt_model *whose;
	const struct snap_kept *have = path ? find_kept(k, id, &whose) : NULL;
	struct snap_kept *mine;
	struct meta_file meta;

	if (!have)
		return 0;
	if (strcmp(have->meta.path, path))
		judge_refuse(k->j, thing, number, path, "use snap --kill",
			     "is %s too, which is changed in place", have->meta.path);
	if (whose == k->model)
		return 0;
	for (size_t i = 0; i < k->files->nr_kept; i++)
		if (!strcmp(snap_kept_at(k->files, i)->meta.path, path))
			return 0;
	meta = have->meta;
	meta.keeper = whose->proc.pid;
	mine = add(k, path, &meta);
	return mine ? 0 : -ENOMEM;
}

static int list_all_kept(struct keeper *k)
{
	const struct ckpt_model *m = k->model;
	int ret = 0;

	for (size_t i = 0; !ret && i < m->nr_fds; i++)
		if (m->fds[i].rec.kind == CKPT_FDK_REG && !m->fds[i].rec.path_flags)
			ret = list_kept(k, "fd", m->fds[i].rec.fd, m->fds[i].path, &m->fds[i].rec.id);
	for (size_t i = 0; !ret && i < m->nr_vmas; i++)
		if (S_ISREG(m->vmas[i].rec.id.mode) && !m->vmas[i].rec.path_flags &&
		    !(m->vmas[i].rec.flags & (CKPT_VMA_ANON | CKPT_VMA_SHMEM)))
			ret = list_kept(k, "mapping", m->vmas[i].rec.start, m->vmas[i].path,
					&m->vmas[i].rec.id);
	return ret;
}

static int keep_all_open(struct keeper *k)
{
	const struct ckpt_model *m = k->model;
	char link[80];
	int ret = 0;

	for (size_t i = 0; !ret && i < m->nr_fds; i++) {
		const struct ckpt_rec_fd *r = &m->fds[i].rec;

		if (!judge_changes_in_place(r))
			continue;
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", m->proc.pid, r->fd);
		ret = keep_open(k, "fd", r->fd, m->fds[i].path, &r->id, link);
	}
	for (size_t i = 0; !ret && i < m->nr_vmas; i++) {
		const struct ckpt_rec_vma *v = &m->vmas[i].rec;

		if (!judge_writes_file(v))
			continue;
		snprintf(link, sizeof(link), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, m->proc.pid,
			 (uint64_t)v->start, (uint64_t)v->end);
		ret = keep_open(k, "mapping", v->start, m->vmas[i].path, &v->id, link);
	}
	return ret;
}

/* ---------------------------------------------------------------------- what stands beside it */

static const struct ckpt_model_fd *find_open(const struct ckpt_model *model, const char *path)
{
	for (size_t i = 0; i < model->nr_fds; i++)
		if (model->fds[i].rec.kind == CKPT_FDK_REG && !model->fds[i].rec.path_flags &&
		    model->fds[i].path && !strcmp(model->fds[i].path, path))
			return &model->fds[i];
	return NULL;
}

static bool has_mapped(const struct ckpt_model *model, const char *path)
{
	for (size_t i = 0; i < model->nr_vmas; i++)
		if (judge_writes_file(&model->vmas[i].rec) && model->vmas[i].path &&
		    !strcmp(model->vmas[i].path, path))
			return true;
	return false;
}

/* One that only grows could be cut back, if it were there: but a journal goes when it has done its work. */
static int keep_grown(struct keeper *k, const struct ckpt_model *m, const struct ckpt_model_fd *f)
{
	char link[40];

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", m->proc.pid, f->rec.fd);
	return keep_open(k, "fd", f->rec.fd, f->path, &f->rec.id, link);
}

/* Looked at before it is opened, and by no link on the way: others may write to that directory. */
static int look_beside(const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

/* What is no file, or another user's, is not the program's journal. */
static int keep_beside(struct keeper *k, const char *path, uint32_t uid)
{
	struct source src = { .thing = "file", .number = -1, .path = path };
	const struct meta_file absent = { .change = META_ABSENT };
	int seen, ret = 0;
	char link[40];

	for (size_t i = 0; i < k->nr_procs; i++) {
		const struct ckpt_model *m = k->procs[i].model;
		const struct ckpt_model_fd *open_one = find_open(m, path);

		if (open_one)
			return keep_grown(k, m, open_one);
		if (has_mapped(m, path))
			return 0;	/* has been looked at */
	}
	seen = look_beside(path);
	if (seen < 0 && (errno == ENAMETOOLONG || errno == ELOOP))
		return 0;
	if (seen < 0)
		return errno == ENOENT ? (add(k, path, &absent) ? 0 : -ENOMEM) :
		       ckpt_err_sys(k->err, errno, "%s: content cannot be kept", path);
	src.fd = -1;
	if (fstat(seen, &src.st)) {
		ret = ckpt_err_sys(k->err, errno, "%s", path);
	} else if (S_ISREG(src.st.st_mode) && src.st.st_uid == uid) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", seen);
		src.fd = open(link, O_RDONLY | O_CLOEXEC);
		ret = src.fd < 0 ? ckpt_err_sys(k->err, errno, "%s: content cannot be kept", path) :
			keep(k, &src, NULL);
	}
	if (src.fd >= 0)
		close(src.fd);
	close(seen);
	return ret;
}

static int keep_all_beside(struct keeper *k)
{
	size_t nr = k->files->nr_kept;
	int ret = 0;

	for (size_t i = 0; !ret && i < nr; i++) {
		for (size_t e = 0; !ret && e < META_BESIDE; e++) {
			char *path;

			if (asprintf(&path, "%s%s", snap_kept_at(k->files, i)->meta.path, meta_beside[e]) < 0)
				return ckpt_err_sys(k->err, ENOMEM, "list of files");
			ret = keep_beside(k, path, snap_kept_at(k->files, i)->meta.uid);
			free(path);
		}
	}
	return ret;
}

/* Each step for all processes before the next: what one has is another's too. */
static int keep_all(struct keeper *k)
{
	static int (* const steps[])(struct keeper *k) = { keep_all_open, keep_all_beside, list_all_kept };
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(steps) / sizeof(*steps); i++)
		for (size_t p = 0; !ret && p < k->nr_procs; p++) {
			k->model = k->procs[p].model;
			k->files = k->procs[p].files;
			k->j->pid = p ? k->model->proc.pid : 0;
			ret = steps[i](k);
		}
	k->j->pid = 0;
	return ret;
}

int snap_kept_read(const struct snap_keeper *v, size_t nr, enum snap_keep keep_how, uint64_t limit,
		   struct judgement *j, struct ckpt_err *err)
{
	struct keeper k = {
		.procs = v, .nr_procs = nr, .j = j, .err = err, .keep = keep_how,
		.room = limit ? limit : SNAP_FILES_LIMIT,
	};
	uint64_t begin = util_clock_ns(CLOCK_MONOTONIC);
	int ret = keep_all(&k);

	v[0].files->kept_ns = util_clock_ns(CLOCK_MONOTONIC) - begin;
	return ret;
}

void snap_kept_free(struct snap_files *files)
{
	for (size_t i = 0; i < files->nr_kept; i++) {
		free(snap_kept_at(files, i)->meta.path);
		if (snap_kept_at(files, i)->fd >= 0)
			close(snap_kept_at(files, i)->fd);
	}
	buf_free(&files->kept);
}

/* --------------------------------------------------------------------------------- the image */

int snap_kept_list(const struct snap_files *files, struct meta_files *m)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < files->nr_kept; i++)
		ret = meta_files_add(m, &snap_kept_at(files, i)->meta);
	return ret;
}

/* Whole pages from @at on, with zeros behind the end of the file. */
static int write_batch(const struct snap_kept *kept, uint64_t at, uint64_t end, uint32_t page_size,
		       char *buf, struct image_writer *w, struct ckpt_err *err)
{
	uint64_t size = kept->meta.size, len = (end < size ? end : size) - at;
	int ret = util_pread_full(kept->fd, buf, len, at);

	if (ret)
		return ckpt_err_sys(err, ret, "%s: what was kept of it", kept->meta.path);
	memset(buf + len, 0, end - at - len);
	return image_writer_data(w, at, (end - at) / page_size, buf, err);
}

static int write_content(const struct snap_kept *kept, uint32_t page_size, char *buf,
			 const struct stream_job *job, struct ckpt_err *err)
{
	uint64_t begin, end = 0, at = 0;
	int ret;

	while ((ret = util_next_data(kept->fd, kept->meta.size, end, &begin, &end)) > 0) {
		if (at < begin - begin % page_size)
			at = begin - begin % page_size;
		end = (end + page_size - 1) / page_size * page_size;
		for (; at < end; at += BATCH) {
			ret = write_batch(kept, at, end - at < BATCH ? end : at + BATCH, page_size, buf,
					  job->writer, err);
			if (ret)
				return ret;
			if (kept->cloned)	/* another inode: the program's own cache stays */
				posix_fadvise(kept->fd, at, BATCH, POSIX_FADV_DONTNEED);
			if (job->progress)
				ret = job->progress(0, 0, job->arg);
			if (ret)
				return ckpt_err_sys(err, ret, "%s: given up", kept->meta.path);
		}
		at = end;
	}
	return ret ? ckpt_err_sys(err, ret, "%s: what was kept of it", kept->meta.path) : 0;
}

int snap_kept_write(struct snap_files *files, const struct stream_job *job, struct ckpt_err *err)
{
	uint32_t owner = job->model->proc.pid;
	char *buf = malloc(BATCH);
	int ret = buf ? 0 : ckpt_err_sys(err, ENOMEM, "buffer for files");

	for (size_t i = 0; !ret && i < files->nr_kept; i++) {
		struct snap_kept *kept = snap_kept_at(files, i);

		if (kept->meta.change == META_ABSENT || kept->meta.keeper)
			continue;
		ret = image_writer_begin_file(job->writer, owner, kept->meta.section, err);
		if (!ret)
			ret = write_content(kept, job->model->system.page_size, buf, job, err);
		if (!ret)
			ret = image_writer_end_pages(job->writer, err, NULL);
		close(kept->fd);
		kept->fd = -1;
	}
	free(buf);
	return ret;
}
