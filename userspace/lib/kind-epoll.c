// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-epoll.c - epoll_create(2): a list of items, each of which watches an open file for events.  No state.
 *
 * What an item belongs to is an open file and the number it had when it was added; that number may be
 * closed by now, or be of another file.  Fdinfo tells number, events and data; which of the program's
 * open files it is kcmp(2) tells in the pause, and the image has that: ckpt_rec_fd.file of each item
 * (32 bits), in the order of fdinfo.
 *
 *  1. snap: save_epoll() has each item's open file found among the descriptors, else it is refused.
 *  2. restore: open_epoll() makes an empty one and notes the items (restore_files_watch()).
 *  3. adopt_epoll(), in the child when its descriptors have their numbers: items are added, and where a
 *     number is not of that file any more it is for that moment.  Those of an instance that watches a
 *     socket the program makes itself are added when it has (restore_watches()).
 *
 * What is ready is found anew when an item is added.  So an edge the program has seen is reported once
 * more (EPOLLET): events may be reported that way at any time, and one that is lost would never come.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kind.h"
#include "restore-files.h"
#include "snap.h"

/* What has to be done with events, and not events. */
#define HOW		(EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)
/* All that any file can be ready for. */
#define ANYTHING	0xffffu

/* More descriptors no process can have (fs.nr_open). */
#define NUMBERS		(1 << 30)

/* linux/eventpoll.h since Linux 6.9 */
struct busy_poll {
	uint32_t usecs;
	uint16_t budget;
	uint8_t prefer;
	uint8_t pad;
};

#define EPOLL_GET_BUSY_POLL	_IOR(0x8A, 0x02, struct busy_poll)

struct item {
	int number;
	struct epoll_event event;
	uint64_t ino;
};

static bool is_epoll(const struct ckpt_model_fd *fd)
{
	return fd_kind_is_anon(fd, "[eventpoll]");
}

/* ------------------------------------------------------------ fdinfo */

static bool take_number(const char **at, const char *key, int base, uint64_t *ret)
{
	const char *found = strstr(*at, key);
	char *end;

	if (!found)
		return false;
	found += strlen(key);
	errno = 0;
	*ret = strtoull(found, &end, base);
	*at = end;
	return end != found && !errno;
}

/* The item in the line at *at, which is moved to the next. */
static bool take_item(const char **at, struct item *i)
{
	uint64_t number, events, data;
	bool ok = !strncmp(*at, "tfd:", 4) && take_number(at, "tfd:", 10, &number) &&
		  take_number(at, " events:", 16, &events) && take_number(at, " data:", 16, &data) &&
		  take_number(at, " ino:", 16, &i->ino) && number < NUMBERS && events <= UINT32_MAX;

	if (!ok)
		return false;
	i->number = (int)number;
	i->event = (struct epoll_event){ .events = (uint32_t)events, .data.u64 = data };
	*at = strchr(*at, '\n');
	if (*at)
		++*at;
	return *at;
}

/* All items, to be freed; false: no text of an epoll instance, or there is no memory (*ret NULL). */
static bool take_items(const struct ckpt_model_fd *fd, struct item **ret, size_t *ret_nr)
{
	const char *at = fd->info ? fd->info : "";
	size_t lines = 0;

	for (const char *c = at; *c; c++)
		lines += *c == '\n';
	*ret_nr = 0;
	*ret = calloc(lines + 1, sizeof(**ret));
	while (*ret && !fd_kind_ends(at)) {
		if (!take_item(&at, &(*ret)[*ret_nr]))
			return false;
		++*ret_nr;
	}
	return *ret;
}

static void judge_epoll(const struct fd_case *c)
{
	const char *at = c->fd->info ? c->fd->info : "";
	struct item i;

	while (!fd_kind_ends(at))
		if (!take_item(&at, &i)) {
			refuse_fd(c, "is an epoll instance that watches too many descriptors, or one the "
				  "kernel does not tell enough of", "close it before the snapshot");
			return;
		}
}

/* ------------------------------------------------------------ in the pause */

static bool saves_epoll(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	return !(fd->rec.file_flags & O_PATH);
}

static int refuse(const struct ckpt_model *model, const struct ckpt_model_fd *fd, struct ckpt_err *err,
		  const char *why, int number, const char *remedy)
{
	char watched[24] = "";

	if (number >= 0)
		snprintf(watched, sizeof(watched), "%d", number);
	ckpt_err_set(err, EOPNOTSUPP, "process %d: fd %d (%s): is an epoll instance %s%s; %s",
		     model->proc.pid, fd->rec.fd, fd->path, why, watched, remedy);
	return -EOPNOTSUPP;
}

/* Whether descriptor @fd is of the open file of the @nth item with that number. */
static bool is_of(const struct ckpt_model *model, const struct ckpt_model_fd *epoll,
		  const struct item *i, uint32_t nth, const struct ckpt_model_fd *fd)
{
	const struct kcmp_epoll_slot slot = {
		.efd = (uint32_t)epoll->rec.fd, .tfd = (uint32_t)i->number, .toff = nth,
	};
	const pid_t pid = model->proc.pid;

	return fd->rec.id.ino == i->ino &&
	       !syscall(SYS_kcmp, pid, pid, KCMP_EPOLL_TFD, (unsigned long)fd->rec.fd, &slot);
}

/* The open file of item @k, 0: none of the program's. */
static uint32_t file_of(const struct ckpt_model *model, const struct ckpt_model_fd *epoll,
			const struct item *items, size_t k)
{
	const struct ckpt_model_fd *same = ckpt_model_fd(model, items[k].number);
	uint32_t nth = 0;

	for (size_t i = 0; i < k; i++)
		nth += items[i].number == items[k].number;
	if (same && is_of(model, epoll, &items[k], nth, same))
		return same->rec.file;
	for (size_t i = 0; i < model->nr_fds; i++)
		if (is_of(model, epoll, &items[k], nth, &model->fds[i]))
			return model->fds[i].rec.file;
	return 0;
}

/* Nobody's fdinfo tells it, and no other process can ask but with a descriptor of its own. */
static bool polls_busily(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, model->proc.pid, 0);
	int own = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd->rec.fd, 0);
	struct busy_poll p = { 0 };
	bool set = own >= 0 && !ioctl(own, EPOLL_GET_BUSY_POLL, &p) && (p.usecs || p.budget || p.prefer);

	if (own >= 0)
		close(own);
	if (pidfd >= 0)
		close(pidfd);
	return set;
}

static int save_items(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		      const struct item *items, size_t nr, struct ckpt_err *err, struct buf *content)
{
	uint32_t *files;
	int r = buf_reserve(content, nr * sizeof(*files) + 1);

	if (r)
		return ckpt_err_sys(err, r, "items of an epoll instance");
	files = (uint32_t *)content->data;
	for (size_t i = 0; i < nr; i++) {
		files[i] = file_of(model, fd, items, i);
		if (!files[i])
			return refuse(model, fd, err, "that watches a file which is no open file of the "
				      "program any more, added to it as ", items[i].number,
				      "remove it from the instance (EPOLL_CTL_DEL) before the last close");
	}
	content->len = nr * sizeof(*files);
	return 0;
}

static int save_epoll(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		      struct ckpt_err *err, struct snap_deleted *d)
{
	struct item *items;
	size_t nr;
	int r;

	if (polls_busily(model, fd))
		return refuse(model, fd, err, "with parameters for busy polling (EPIOCSPARAMS)", -1,
			      "close it before the snapshot");
	if (take_items(fd, &items, &nr))
		r = save_items(model, fd, items, nr, err, &d->content);
	else
		r = ckpt_err_sys(err, items ? EINVAL : ENOMEM, "items of an epoll instance");
	free(items);
	return r;
}

/* ------------------------------------------------------------ restore, in our process */

/* Without it the kernel drops the flag and says nothing. */
static bool may_keep_awake(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &head, data) &&
	       data[CAP_TO_INDEX(CAP_BLOCK_SUSPEND)].effective & CAP_TO_MASK(CAP_BLOCK_SUSPEND);
}

static int note_items(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		      const struct item *items, size_t nr, const uint32_t *files)
{
	int r = 0;

	for (size_t i = 0; !r && i < nr; i++) {
		if (items[i].event.events & EPOLLWAKEUP && !may_keep_awake())
			return ckpt_err_set(rs->err, -EPERM, "%s: an event that keeps the machine awake "
					    "(EPOLLWAKEUP) takes CAP_BLOCK_SUSPEND", thing);
		r = restore_files_watch(rs, thing, &(struct watch){
			.epoll = f, .file = files[i], .number = items[i].number,
			.event = items[i].event });
	}
	return r;
}

static int load_items(struct restore *rs, const char *thing, const struct ckpt_model_fd *f)
{
	int section = restore_files_section(rs, f), r = 0;
	struct item *items = NULL;
	void *files = NULL;
	size_t nr, len = 0;

	if (section >= 0)
		r = image_load(rs->image, (uint32_t)section, rs->err, &files, &len);
	if (!r && (!take_items(f, &items, &nr) || len != nr * sizeof(uint32_t)))
		r = ckpt_err_set(rs->err, -EINVAL, "%s: the image does not tell what its epoll instance watched",
				 thing);
	if (!r)
		r = note_items(rs, thing, f, items, nr, files);
	free(items);
	free(files);
	return r;
}

static int open_epoll(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		      bool *ret_borrowed)
{
	int fd = epoll_create1(EPOLL_CLOEXEC), r;

	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: make an epoll instance", thing);
	r = fcntl(fd, F_SETFL, (int)f->rec.file_flags) < 0 ?
	    ckpt_err_sys(rs->err, errno, "%s: set the flags of an epoll instance", thing) :
	    load_items(rs, thing, f);
	if (r) {
		close(fd);
		return r;
	}
	return fd;
}

/* ------------------------------------------------------------ restore, in the child */

/* It has fired, and is to report nothing until it is set again. */
static bool has_fired(const struct watch *w)
{
	return w->event.events & EPOLLONESHOT && !(w->event.events & ~HOW);
}

/*
 * An item that is added reports errors and hangups in any case.  One that fires does not; so it is made
 * to, if its file is ready for anything, while nothing else is in the instance that could be reported.
 */
static int add_fired(int epfd, const struct watch *w)
{
	struct epoll_event event = w->event, said;
	int nr;

	event.events |= ANYTHING;
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, w->number, &event) < 0)
		return -errno;
	do
		nr = epoll_wait(epfd, &said, 1, 0);
	while (nr > 0 && said.data.u64 != w->event.data.u64);
	if (nr)
		return nr < 0 ? -errno : 0;
	event = w->event;
	return epoll_ctl(epfd, EPOLL_CTL_MOD, w->number, &event) < 0 ? -errno : 0;
}

static int add(const struct restore *rs, int epfd, const struct watch *w)
{
	struct epoll_event event = w->event;
	int r = restore_files_lend(rs, w->file, w->number), back;

	if (r)
		return r;
	if (has_fired(w))
		r = add_fired(epfd, w);
	else if (epoll_ctl(epfd, EPOLL_CTL_ADD, w->number, &event) < 0)
		r = -errno;
	back = restore_files_take_back(rs, w->file, w->number);
	return r ? r : back;
}

bool restore_epoll_is_late(const struct restore *rs, const struct ckpt_model_fd *f)
{
	const struct restore_files *fs = rs->files;

	for (size_t i = 0; i < fs->nr_watches; i++)
		if (fs->watches[i].epoll == f && restore_socket_is_late(rs, fs->watches[i].file))
			return true;
	return false;
}

static int adopt_epoll(const struct restore *rs, const struct ckpt_model_fd *f, int fd,
		       const char **ret_what)
{
	static char what[80];
	const struct restore_files *fs = rs->files;

	if (fs->sockets_made != restore_epoll_is_late(rs, f))
		return 0;
	for (int fired = 1; fired >= 0; fired--)
		for (size_t i = 0; i < fs->nr_watches; i++) {
			const struct watch *w = &fs->watches[i];
			int r;

			if (w->epoll != f || has_fired(w) != fired)
				continue;
			r = add(rs, fd, w);
			if (!r)
				continue;
			snprintf(what, sizeof(what), "fd %d: watch fd %d by an epoll instance",
				 f->rec.fd, w->number);
			*ret_what = what;
			return r;
		}
	return 0;
}

const struct fd_kind kind_epoll = {
	.what = "an epoll instance", .is = is_epoll, .judge = judge_epoll,
	.saves = saves_epoll, .save = save_epoll, .open = open_epoll, .adopt = adopt_epoll,
};
