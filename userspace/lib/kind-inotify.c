// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-inotify.c - inotify_init(2): a list of watches, each of a file or directory, and the events that
 * were not read.  No state.
 *
 * Fdinfo tells of each watch its number, its events, and of the file device, inode and handle; not by
 * which name it was asked for, which may lead elsewhere by now.  So in the pause the file is opened by its
 * handle, and the name it has is in the image: the names of all watches, each with its NUL, in the order
 * of fdinfo.  A file that has no name any more, or none that leads to it, is refused, and so is an
 * instance with events that wait to be read: nobody can put those back.
 *
 * Watches are set late (arm), so that the restore's own doings are no events; what it does after that is
 * taken out again (settle) before the program runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kind.h"
#include "restore-files.h"
#include "snap.h"

#ifndef INOTIFY_IOC_SETNEXTWD
#define INOTIFY_IOC_SETNEXTWD	_IOW('I', 0, __s32)	/* linux/inotify.h */
#endif

/* linux/kdev_t.h: how the kernel writes a device in fdinfo. */
#define KERNEL_MINORBITS	20

struct handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

struct watched {
	int wd;
	uint32_t mask;
	uint64_t ino;
	uint32_t dev;
	struct handle handle;
};

static bool is_inotify(const struct ckpt_model_fd *fd)
{
	return fd_kind_is_anon(fd, "inotify");
}

/* ------------------------------------------------------------ fdinfo */

static bool take_bytes(const char *hex, struct handle *h)
{
	for (unsigned int i = 0; i < h->head.handle_bytes; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		h->bytes[i] = (unsigned char)byte;
	}
	return true;
}

/* The handle in the rest of a line; without one, none of its bytes. */
static bool take_handle(const char *line, struct handle *h)
{
	unsigned int bytes, type;
	int at = 0;

	h->head.handle_bytes = 0;
	if (sscanf(line, " fhandle-bytes:%x fhandle-type:%x f_handle:%n", &bytes, &type, &at) != 2 || !at)
		return true;
	if (bytes > MAX_HANDLE_SZ)
		return false;
	h->head.handle_bytes = bytes;
	h->head.handle_type = (int)type;
	return take_bytes(line + at, h);
}

/* The watch in the line at *at, which is moved to the next. */
static bool take_watch(const char **at, struct watched *w)
{
	unsigned int wd, mask, dev;
	uint64_t ino;
	int rest = 0;

	if (sscanf(*at, "inotify wd:%x ino:%" SCNx64 " sdev:%x mask:%x ignored_mask:%*x%n", &wd, &ino, &dev,
		   &mask, &rest) != 4 || !rest || wd > INT32_MAX)
		return false;
	*w = (struct watched){ .wd = (int)wd, .mask = mask, .ino = ino, .dev = dev };
	if (!take_handle(*at + rest, &w->handle))
		return false;
	*at = strchr(*at, '\n');
	if (*at)
		++*at;
	return *at;
}

static void judge_inotify(const struct fd_case *c)
{
	const char *at = c->fd->info ? c->fd->info : "";
	struct watched w;

	while (!fd_kind_ends(at))
		if (!take_watch(&at, &w)) {
			refuse_fd(c, "is an inotify instance with too many watches, or one the kernel does "
				  "not tell enough of", "close it before the snapshot");
			return;
		}
}

/* ------------------------------------------------------------ in the pause */

static bool saves_inotify(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	return !(fd->rec.file_flags & O_PATH);
}

/* How many bytes of events wait, or -errno.  Asked by a descriptor of ours of the same open file. */
static int queued(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, model->proc.pid, 0), own, bytes = 0, r = 0;

	if (pidfd < 0)
		return -errno;
	own = (int)syscall(SYS_pidfd_getfd, pidfd, fd->rec.fd, 0);
	if (own < 0 || ioctl(own, FIONREAD, &bytes) < 0)
		r = -errno;
	if (own >= 0)
		close(own);
	close(pidfd);
	return r ? r : bytes;
}

/* One line of mountinfo, when it is a mount of that device and its place a directory: that, open. */
static int open_mount(const char *line, uint32_t dev)
{
	const unsigned int want[2] = { dev >> KERNEL_MINORBITS, dev & ((1u << KERNEL_MINORBITS) - 1) };
	unsigned int id, major, minor;
	char place[4096], name[4096];
	struct statx st;
	size_t n = 0;
	int fd;

	if (sscanf(line, "%u %*u %u:%u %*s %4095s", &id, &major, &minor, place) != 4 || major != want[0] ||
	    minor != want[1])
		return -1;
	for (const char *c = place; *c; c++) {
		unsigned int octal;

		if (*c == '\\' && sscanf(c + 1, "%3o", &octal) == 1) {
			name[n++] = (char)octal;
			c += 3;
		} else {
			name[n++] = *c;
		}
	}
	name[n] = '\0';
	/* Another mount may lie over it. */
	fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) || st.stx_mnt_id != id)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The name of what is open as @fd, if it leads there. */
static bool name_of(int fd, const struct watched *w, char *name, size_t size)
{
	struct stat seen, there;
	char link[40];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, size);
	if (n <= 0 || (size_t)n >= size)
		return false;
	name[n] = '\0';
	return name[0] == '/' && !fstat(fd, &seen) && seen.st_ino == w->ino && !lstat(name, &there) &&
	       there.st_ino == seen.st_ino && there.st_dev == seen.st_dev;
}

/* 0, or why there is no name: -EPERM, or what else the last attempt failed with. */
static int find_name(const struct ckpt_model *model, struct watched *w, char *name, size_t size)
{
	char path[40], *line = NULL;
	int r = -EOPNOTSUPP, mount, fd;
	size_t room = 0;
	FILE *mounts;

	if (!w->handle.head.handle_bytes)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", model->proc.pid);
	mounts = fopen(path, "re");
	if (!mounts)
		return -errno;
	while (r && getline(&line, &room, mounts) > 0) {
		mount = open_mount(line, w->dev);
		if (mount < 0)
			continue;
		fd = open_by_handle_at(mount, &w->handle.head, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? -errno : name_of(fd, w, name, size) ? 0 : -ENOENT;
		if (fd >= 0)
			close(fd);
		close(mount);
	}
	free(line);
	fclose(mounts);
	return r;
}

static int refuse(const struct ckpt_model *model, const struct ckpt_model_fd *fd, struct ckpt_err *err,
		  const char *what, const char *remedy)
{
	return ckpt_err_set(err, -EOPNOTSUPP, "process %d: fd %d (%s): is an inotify instance %s; %s",
			    model->proc.pid, fd->rec.fd, fd->path, what, remedy);
}

static int refuse_watch(const struct ckpt_model *model, const struct ckpt_model_fd *fd, struct ckpt_err *err,
			const struct watched *w, int why)
{
	char what[160];

	snprintf(what, sizeof(what), "whose watch %d is of a file that %s (inode %" PRIu64 ")", w->wd,
		 why == -EPERM ? "only root can find (CAP_DAC_READ_SEARCH)" :
		 why == -EOPNOTSUPP ? "its file system has no handle for" :
		 "has no name any more, or none that is known", w->ino);
	return refuse(model, fd, err, what, why == -EPERM ? "take the snapshot as root" :
		      "remove the watch (inotify_rm_watch), or close it");
}

static int save_inotify(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
			struct ckpt_err *err, struct snap_deleted *d)
{
	const char *at = fd->info ? fd->info : "";
	char name[4096];
	struct watched w;
	int r = queued(model, fd);

	if (r < 0)
		return ckpt_err_sys(err, r, "process %d: fd %d: ask for events", model->proc.pid, fd->rec.fd);
	if (r)
		return refuse(model, fd, err, "with events that were not read", "take it again when the program has");
	while (!fd_kind_ends(at)) {
		if (!take_watch(&at, &w))
			return ckpt_err_sys(err, EINVAL, "watches of an inotify instance");
		r = find_name(model, &w, name, sizeof(name));
		if (r)
			return refuse_watch(model, fd, err, &w, r);
		r = buf_append(&d->content, name, strlen(name) + 1);
		if (r)
			return ckpt_err_sys(err, r, "watches of an inotify instance");
	}
	return 0;
}

/* ------------------------------------------------------------ restore */

static int open_inotify(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
			bool *ret_borrowed)
{
	int fd = inotify_init1(IN_CLOEXEC), r;

	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: make an inotify instance", thing);
	if (fcntl(fd, F_SETFL, (int)f->rec.file_flags) < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: set the flags of an inotify instance", thing);
		close(fd);
		return r;
	}
	return fd;
}

/* What has that name now, with the number the program knows. */
static int watch_file(struct restore *rs, const char *thing, int fd, const struct watched *w,
		      const char *name)
{
	char link[40];
	int file, got, r = restore_look(rs, thing, name, O_NOFOLLOW, &file);

	if (r)
		return r;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	/* With a flag that means nothing here: a watch for no events has to be asked for something. */
	got = ioctl(fd, INOTIFY_IOC_SETNEXTWD, w->wd) < 0 ? -1 :
	      inotify_add_watch(fd, link, w->mask | IN_MASK_ADD);
	if (got < 0)
		r = ckpt_err_sys(rs->err, errno, "%s: watch %s", thing, name);
	else if (got != w->wd)
		r = ckpt_err_set(rs->err, -ESTALE, "%s: %s is what another watch of it has by now", thing, name);
	close(file);
	return r;
}

static int arm_inotify(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, int fd)
{
	int section = restore_files_section(rs, f), r = 0;
	const char *at = f->info ? f->info : "", *name, *end;
	size_t len = 0;
	char *names = NULL;

	if (section >= 0)
		r = image_load(rs->image, (uint32_t)section, rs->err, (void **)&names, &len);
	name = names;
	end = names ? names + len : NULL;
	while (!r && !fd_kind_ends(at)) {
		struct watched w;

		if (!take_watch(&at, &w) || name >= end || !memchr(name, 0, (size_t)(end - name))) {
			r = ckpt_err_set(rs->err, -EINVAL, "%s: the image does not tell what its inotify instance watched",
					 thing);
			break;
		}
		r = watch_file(rs, thing, fd, &w, name);
		name += strlen(name) + 1;
	}
	free(names);
	return r;
}

/* Nothing was in it at the snapshot: what is there now is about the restore itself. */
static void settle_inotify(int fd)
{
	char events[4096];
	int bytes = 0;

	while (!ioctl(fd, FIONREAD, &bytes) && bytes > 0 && read(fd, events, sizeof(events)) > 0)
		;
}

const struct fd_kind kind_inotify = {
	.what = "an inotify instance", .is = is_inotify, .judge = judge_inotify,
	.saves = saves_inotify, .save = save_inotify, .open = open_inotify,
	.arm = arm_inotify, .settle = settle_inotify,
};
