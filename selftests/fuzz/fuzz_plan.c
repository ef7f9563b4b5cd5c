// SPDX-License-Identifier: GPL-2.0-only
/*
 * Restores of any content, on a system that is made up: everything between an image that was read and
 * a program that runs, but for the program.
 *
 * The restore engine is the library's; its system calls (the Makefile renames them) and what it has a
 * stopped process do (remote.c) end here. The files are those the image speaks of, changed now and
 * then; any call may be the one that fails. What the engine asks for is held against what it may ask
 * for: memory where the program had some, scratch memory within its bounds, descriptors it has.
 *
 * An input is struct head, then state records, the list of files, and what snap noted of its machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "chain.h"
#include "remote-queue.h"
#include "restore-files.h"
#include "restore-segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct head {
	uint32_t state_len;
	uint32_t meta_len;
	uint16_t fail_at;	/* this call into the system fails, 0: none */
	uint8_t files;		/* how they have changed */
	uint8_t options;
};

#define OPT_OTHER_MACHINE	1
#define OPT_REMAP		2
#define OPT_REBIND		4
#define OPT_CONTENT		8	/* the image holds deleted files and pipes */
#define OPT_STRAY		16	/* and pages where there may be no mapping */

/* struct head.files, of those that descriptors alone refer to; of all with the last. */
#define FILES_DEVICE		1
#define FILES_INODE		2
#define FILES_LONGER		4
#define FILES_SHORTER		8
#define FILES_TIME		16
#define FILES_ALL		128

#define FIRST_FD	1000
#define NR_FDS		4096
#define PLAN_PID	4711

/* ---- the system ---- */

static struct plan {
	struct head head;
	struct restore *rs;
	const char *snap;	/* JSON */
	size_t snap_len;
	unsigned int calls;
	const struct ckpt_file_id *file[NR_FDS];	/* what is open; unknown: nothing's */
	bool open[NR_FDS];
	unsigned char scratch[AREA_SCRATCH];
} plan;

static const struct ckpt_file_id unknown;

/* Whether it is the turn of this call to fail. */
static bool fails(void)
{
	return ++plan.calls == plan.head.fail_at;
}

static int result(void)
{
	if (!fails())
		return 0;
	errno = EPERM;
	return -1;
}

static int new_fd(const struct ckpt_file_id *file)
{
	if (fails()) {
		errno = EACCES;
		return -1;
	}
	for (int i = 0; i < NR_FDS; i++)
		if (!plan.open[i]) {
			plan.open[i] = true;
			plan.file[i] = file;
			return FIRST_FD + i;
		}
	errno = EMFILE;
	return -1;
}

static bool is_open(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + NR_FDS && plan.open[fd - FIRST_FD];
}

static void check_fd(int fd)
{
	if (fd > STDERR_FILENO && !is_open(fd))
		abort();
}

/* @path is @name, or where restore_map_path() finds it, with what try_restore() asks for. */
static bool leads_to(const char *name, const char *path)
{
	if (!name)
		return false;
	if (plan.head.options & OPT_REMAP) {
		if (!strncmp(name, "/usr/", 5) && !strncmp(path, "/elsewhere/", 11))
			return !strcmp(name + 5, path + 11);
		if (!strncmp(name, "/tmp/", 5))
			return !strcmp(name + 4, path);
	}
	return !strcmp(name, path);
}

/* The file of that name, as the records know it. */
static const struct ckpt_file_id *find(const char *path)
{
	const struct ckpt_model *m = plan.rs->m;

	for (size_t i = 0; i < sizeof(m->paths) / sizeof(*m->paths); i++)
		if (leads_to(m->paths[i].path, path))
			return &m->paths[i].rec.id;
	for (size_t i = 0; i < m->nr_vmas; i++)
		if (restore_maps_file(&m->vmas[i]) && leads_to(m->vmas[i].path, path))
			return &m->vmas[i].rec.id;
	for (size_t i = 0; i < m->nr_fds; i++)
		if (leads_to(m->fds[i].path, path))
			return &m->fds[i].rec.id;
	return &unknown;
}

static int open_path(const char *path)
{
	int fd;

	/* One that is open, again; but an image, too, may speak of such a path. */
	if (sscanf(path, "/proc/self/fd/%d", &fd) == 1 && is_open(fd))
		return new_fd(plan.file[fd - FIRST_FD]);
	return new_fd(find(path));
}

int open(const char *path, int flags, ...)
{
	return open_path(path);
}

int close(int fd)
{
	if (!is_open(fd))
		abort();
	plan.open[fd - FIRST_FD] = false;
	return 0;
}

/* Whether nothing but descriptors refers to it. */
static bool is_data(const struct ckpt_file_id *id)
{
	const struct ckpt_model *m = plan.rs->m;

	for (size_t i = 0; i < m->nr_fds; i++)
		if (id == &m->fds[i].rec.id)
			return true;
	return false;
}

int fstat(int fd, struct stat *st)
{
	const struct ckpt_file_id *id;
	unsigned int changed = plan.head.files;

	check_fd(fd);
	memset(st, 0, sizeof(*st));
	if (!is_open(fd))
		return result();
	id = plan.file[fd - FIRST_FD];
	st->st_mode = id->mode;
	if (!(changed & FILES_ALL) && !is_data(id))
		changed = 0;
	st->st_rdev = id->rdev + !!(changed & FILES_DEVICE);
	st->st_ino = id->ino + !!(changed & FILES_INODE);
	st->st_size = (off_t)(id->size + (changed & FILES_LONGER ? 100 : 0) -
			      (changed & FILES_SHORTER ? 7 : 0));
	st->st_mtim.tv_sec = id->mtime_ns / (int64_t)NSEC_PER_SEC + !!(changed & FILES_TIME);
	st->st_mtim.tv_nsec = id->mtime_ns % (int64_t)NSEC_PER_SEC;
	return result();
}

int fcntl(int fd, int cmd, ...)
{
	check_fd(fd);
	if (cmd == F_DUPFD_CLOEXEC)
		return new_fd(plan.file[fd - FIRST_FD]);
	if (cmd == F_GETPIPE_SZ)
		return 65536;
	if (cmd == F_GETFL)
		return fails() ? -1 : O_RDWR;
	return result();
}

int pipe2(int ends[2], int flags)
{
	ends[0] = new_fd(&unknown);
	if (ends[0] < 0)
		return -1;
	ends[1] = new_fd(&unknown);
	if (ends[1] < 0) {
		close(ends[0]);
		return -1;
	}
	return 0;
}

int eventfd(unsigned int count, int flags)
{
	return new_fd(&unknown);
}

int timerfd_create(clockid_t clock, int flags)
{
	return new_fd(&unknown);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *its, struct itimerspec *old)
{
	check_fd(fd);
	return result();
}

int epoll_create1(int flags)
{
	return new_fd(&unknown);
}

int memfd_create(const char *name, unsigned int flags)
{
	return new_fd(&unknown);
}

int signalfd(int fd, const sigset_t *mask, int flags)
{
	return new_fd(&unknown);
}

int inotify_init1(int flags)
{
	return new_fd(&unknown);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	check_fd(fd);
	return result() ? -1 : 1;
}

ssize_t tee(int from, int to, size_t len, unsigned int flags)
{
	check_fd(from);
	check_fd(to);
	return result() ? -1 : (ssize_t)len;
}

#define PLAN_TERMINAL	3

/* Of a pseudo-terminal: its number, its slave, and the settings it was given. */
int ioctl(int fd, unsigned long cmd, ...)
{
	static char settings[64];
	size_t len = _IOC_SIZE(cmd) < sizeof(settings) ? _IOC_SIZE(cmd) : sizeof(settings);
	void *arg;
	va_list args;

	check_fd(fd);
	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (result())
		return -1;
	if (_IOC_TYPE(cmd) != 'T')
		return 0;
	if (cmd == TIOCGPTPEER)
		return new_fd(&unknown);
	if (cmd == TIOCGPTN)
		*(int *)arg = PLAN_TERMINAL;
	else if (_IOC_NR(cmd) == 0x2b)		/* TCSETS2, TCGETS2: in a header that is at odds with ours */
		memcpy(settings, arg, len);
	else if (_IOC_NR(cmd) == 0x2a)
		memcpy(arg, settings, len);
	return 0;
}

int poll(struct pollfd *fds, nfds_t nr, int timeout)
{
	return fails() ? -1 : 0;
}

int socket(int family, int type, int protocol)
{
	return new_fd(&unknown);
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	check_fd(fd);
	return result();
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return bind(fd, addr, len);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	check_fd(fd);
	return result() ? -1 : 1;
}

int listen(int fd, int backlog)
{
	check_fd(fd);
	return result();
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	check_fd(fd);
	return result() ? -1 : (ssize_t)len;
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
	check_fd(fd);
	return 0;
}

int usleep(useconds_t us)
{
	return 0;
}

int shutdown(int fd, int how)
{
	check_fd(fd);
	return result();
}

/* Some have the value they are to have, and some not. */
int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	check_fd(fd);
	memset(value, 0, *len);
	*len = 4;
	return result();
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	check_fd(fd);
	return result();
}

off_t lseek(int fd, off_t at, int whence)
{
	check_fd(fd);
	return result() ? -1 : at;
}

ssize_t read(int fd, void *buf, size_t len)
{
	check_fd(fd);
	return 0;
}

ssize_t write(int fd, const void *buf, size_t len)
{
	check_fd(fd);
	return result() ? -1 : (ssize_t)len;
}

ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
	check_fd(fd);
	return 0;
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	return write(fd, buf, len);
}

int ftruncate(int fd, off_t len)
{
	check_fd(fd);
	return result();
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	check_fd(fd);
	return result();
}

int fchmod(int fd, mode_t mode)
{
	check_fd(fd);
	return result();
}

int futimens(int fd, const struct timespec times[2])
{
	check_fd(fd);
	return result();
}

int flock(int fd, int how)
{
	check_fd(fd);
	return result();
}

int setpriority(__priority_which_t which, id_t who, int nice)
{
	return result();
}

int prlimit(pid_t pid, __rlimit_resource_t what, const struct rlimit *new, struct rlimit *old)
{
	if (pid != PLAN_PID)
		abort();
	if (old)
		*old = (struct rlimit){ 0 };
	return result();
}

/* openat2, scheduling, capabilities of our own. */
/* A process of ours that ends at once. */
#define CHILD	4712

pid_t waitpid(pid_t pid, int *status, int options)
{
	if (pid != CHILD)
		abort();
	*status = 0;
	return pid;
}

long syscall(long nr, ...)
{
	const char *path;
	va_list ap;

	if (nr == SYS_pidfd_open || nr == SYS_pidfd_getfd)
		return new_fd(&unknown);
	if (nr == SYS_clone3)
		return fails() ? -1 : CHILD;
	if (nr != SYS_openat2)
		return result();
	va_start(ap, nr);
	check_fd(va_arg(ap, int));
	path = va_arg(ap, const char *);
	va_end(ap);
	return open_path(path);
}

long ptrace(enum __ptrace_request request, ...)
{
	struct iovec *iov;
	va_list ap;

	if (request == PTRACE_GETREGSET) {
		va_start(ap, request);
		va_arg(ap, pid_t);
		va_arg(ap, int);
		iov = va_arg(ap, struct iovec *);
		va_end(ap);
		iov->iov_len = 2696;
		memset(iov->iov_base, 0, iov->iov_len);
	}
	return result();
}

int uname(struct utsname *un)
{
	const struct ckpt_rec_system *s = &plan.rs->m->system;

	memset(un, 0, sizeof(*un));
	memcpy(un->machine, s->machine, sizeof(s->machine));
	memcpy(un->release, s->release, sizeof(s->release));
	un->release[0] ^= plan.head.options & OPT_OTHER_MACHINE;
	return 0;
}

FILE *real_fopen(const char *path, const char *mode) __asm__("fopen");

/* The new process: what a stub has mapped. */
FILE *fopen(const char *path, const char *mode)
{
	static char maps[] =
		"00400000-00500000 r-xp 00000000 08:01 77 /usr/bin/ckptctl\n"
		"7ffff7dc4000-7ffff7de6000 r--p 00000000 08:01 78 /usr/lib/libc.so.6\n"
		"7ffff7fc4000-7ffff7fc8000 r--p 00000000 00:00 0 [vvar]\n"
		"7ffff7fc8000-7ffff7fca000 r-xp 00000000 00:00 0 [vdso]\n"
		"7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";

	if (!strcmp(path, "/proc/4711/maps"))
		return fmemopen(maps, sizeof(maps) - 1, "r");
	return strcmp(path, "/proc/self/maps") ? NULL : real_fopen(path, mode);
}

/* ---- memory of the program ---- */

/* Contents go where the program had a mapping. */
static void check_content(uint64_t addr, size_t len, const void *data)
{
	const struct ckpt_model_vma *v = ckpt_model_vma(plan.rs->m, addr);
	volatile unsigned char last;

	if (!v || v->rec.end - addr < len || !len)
		abort();
	last = ((const unsigned char *)data)[len - 1];	/* all of it is there */
	(void)last;
}

ssize_t process_vm_writev(pid_t pid, const struct iovec *local, unsigned long nr_local,
			  const struct iovec *remote, unsigned long nr_remote, unsigned long flags)
{
	check_content((uintptr_t)remote->iov_base, remote->iov_len, local->iov_base);
	return result() ? -1 : (ssize_t)remote->iov_len;
}

/* A mapping is made where nothing of the restorer's is, but its own. */
static void check_mmap(const uint64_t args[6])
{
	uint64_t from = args[0], to = args[0] + args[1], area = plan.rs->area;

	if (from % RESTORE_PAGE || !args[1] || to < from || to > RESTORE_TASK_END)
		abort();
	if (from < area + AREA_SIZE && to > area &&
	    (from < area || to > area + AREA_CODE + AREA_SCRATCH))
		abort();
}

static void check_call(uint64_t nr, const uint64_t args[6])
{
	uint64_t to = args[0] + args[1];

	if (nr == SYS_mmap)
		check_mmap(args);
	if ((nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_madvise) &&
	    (to < args[0] || to > RESTORE_TASK_END || args[0] % RESTORE_PAGE))
		abort();
	if ((nr == SYS_mprotect || nr == SYS_madvise) && !ckpt_model_vma(plan.rs->m, args[0]))
		abort();
}

int remote_try(struct remote *r, struct ckpt_err *err, long nr, const uint64_t args[6], long *ret)
{
	check_call((uint64_t)nr, args);
	*ret = fails() ? -EAGAIN : nr == SYS_openat ? 77 : 0;
	return 0;
}

int remote_call(struct remote *r, struct ckpt_err *err, const char *what, long nr,
		const uint64_t args[6], long *ret)
{
	long got;

	remote_try(r, err, nr, args, &got);
	if (ret)
		*ret = got;
	return got < 0 ? ckpt_err_sys(err, (int)got, "%s", what) : 0;
}

int remote_interrupted_call(struct remote *r, struct ckpt_err *err, long nr,
			    const uint64_t args[6], long *ret)
{
	*ret = -516;
	return fails() ? ckpt_err_set(err, -EIO, "interrupted call") : 0;
}

static bool in_scratch(const struct remote *r, uint64_t addr, size_t len)
{
	if (addr + len <= r->scratch || addr >= r->scratch + r->scratch_len)
		return false;
	if (addr < r->scratch || len > r->scratch + r->scratch_len - addr)
		abort();
	return true;
}

int remote_write(const struct remote *r, struct ckpt_err *err, uint64_t addr, const void *buf,
		 size_t len)
{
	uint64_t area = plan.rs->area;

	if (fails())
		return ckpt_err_set(err, -EIO, "write");
	if (in_scratch(r, addr, len))
		memcpy(plan.scratch + (addr - r->scratch), buf, len);
	else if (addr < area || addr + len > area + AREA_CODE)
		/* Eight bytes are the rseq area's, wherever the program says that it is. */
		if (len != sizeof(uint64_t))
			check_content(addr, len, buf);
	return 0;
}

int remote_read(const struct remote *r, struct ckpt_err *err, uint64_t addr, void *buf, size_t len)
{
	if (fails())
		return ckpt_err_set(err, -EIO, "read");
	if (in_scratch(r, addr, len))
		memcpy(buf, plan.scratch + (addr - r->scratch), len);
	else
		memset(buf, 1, len);
	return 0;
}

int remote_loop(struct remote *r, struct ckpt_err *err, uint64_t entries, size_t nr, size_t *ret_left)
{
	struct remote_entry *e = (void *)plan.scratch;

	if (entries != r->scratch || nr * sizeof(*e) > r->scratch_len)
		abort();
	for (; nr; nr--, e++) {
		check_call(e->nr, e->args);
		e->ret = fails() ? -EINVAL : 0;
		if (e->ret)
			break;
	}
	*ret_left = nr;
	return 0;
}

int remote_await_new(pid_t tid, struct ckpt_err *err)
{
	return fails() ? ckpt_err_set(err, -ECHILD, "thread %d", tid) : 0;
}

int remote_settle(struct remote *r, struct ckpt_err *err)
{
	return fails() ? ckpt_err_set(err, -ECHILD, "thread %d", r->tid) : 0;
}

/* ---- files that are put back: restore-kept.c works in directories, of which there are none here ---- */

const struct meta_file *restore_kept_find(const struct restore *rs, const char *path)
{
	const struct meta_file *mf = path ? meta_files_find(&rs->meta, path) : NULL;

	return mf && mf->change == META_KEPT ? mf : NULL;
}

int restore_kept_open(struct restore *rs, const char *thing, const struct meta_file *mf, int flags)
{
	int fd = fails() ? -1 : open(mf->path, flags & ~(O_CREAT | O_EXCL | O_TRUNC));

	return fd < 0 ? ckpt_err_set(rs->err, -EIO, "%s: %s", thing, mf->path) : fd;
}

int restore_kept_open_beside(struct restore *rs)
{
	return fails() ? ckpt_err_set(rs->err, -EIO, "beside") : 0;
}

int restore_kept_check(struct restore *rs)
{
	return fails() ? ckpt_err_set(rs->err, -ESTALE, "put back") : 0;
}

int restore_kept_commit(struct restore *rs)
{
	return fails() ? ckpt_err_set(rs->err, -EIO, "put back") : 0;
}

void restore_kept_close(struct restore *rs)
{
	free(rs->files->kept);
}

/* ---- System V segments: likewise ---- */

int restore_segments_open(struct restore *rs)
{
	return fails() ? ckpt_err_set(rs->err, -EIO, "segments") : 0;
}

int restore_segment_write(struct restore *rs, const struct ckpt_model_vma *v, uint64_t addr,
			  const void *data, uint64_t len)
{
	return fails() ? ckpt_err_set(rs->err, -EIO, "segment") : 0;
}

/* ---- files of the image in the place of those that changed: likewise ---- */

bool restore_has_copy(const struct restore *rs, const char *path)
{
	const struct meta_file *mf = path ? meta_files_find(&rs->meta, path) : NULL;

	return mf && meta_has_content(mf);
}

int restore_copy_open(struct restore *rs, const char *thing, const char *path, int *ret_fd)
{
	*ret_fd = fails() ? -1 : open(path, O_RDONLY);
	return *ret_fd < 0 ? ckpt_err_set(rs->err, -EIO, "%s: %s", thing, path) : 0;
}

void restore_copies_close(struct restore *rs)
{
}

/* ---- the image: pages of every mapping, of every kind ---- */

static char content[4 * RESTORE_PAGE];

const char *image_label(const struct image *img)
{
	return "image";
}

int image_find(const struct image *img, uint32_t kind, uint32_t owner, uint32_t sub)
{
	if (kind == IMAGE_META && sub == IMAGE_META_SNAP)
		return plan.snap_len ? 1 : -1;
	return plan.head.options & OPT_CONTENT ? 2 : -1;
}

int image_load(struct image *img, uint32_t section, struct ckpt_err *err, void **ret_data,
	       size_t *ret_len)
{
	*ret_len = section == 1 ? plan.snap_len : 100;
	*ret_data = malloc(*ret_len + 1);
	memcpy(*ret_data, section == 1 ? plan.snap : content, *ret_len);
	return 0;
}

size_t chain_spans(const struct chain *chain)
{
	return plan.rs->m->nr_vmas;
}

size_t chain_by_member(const struct chain *chain, size_t k)
{
	return k;
}

uint64_t chain_pages(const struct chain *chain, enum image_run_kind kind)
{
	return 1;
}

void chain_trim(struct chain *chain, size_t member)
{
}

/* The mapping's last pages, and with OPT_STRAY what comes behind. */
void chain_get_span(const struct chain *chain, size_t i, struct chain_span *ret_span)
{
	const struct ckpt_rec_vma *v = &plan.rs->m->vmas[i].rec;
	uint64_t last = v->end - v->start > RESTORE_PAGE ? 2 : 1;
	bool stray = plan.head.options & OPT_STRAY;

	*ret_span = (struct chain_span){
		.addr = v->end - last * RESTORE_PAGE,
		.npages = last + stray,
		.kind = i % 5 == 4 ? IMAGE_RUN_FILE : i % 5 == 3 ? IMAGE_RUN_ZERO : IMAGE_RUN_DATA,
		.member = i % 3,
	};
	if (!stray && (v->flags & (CKPT_VMA_VDSO | CKPT_VMA_SPECIAL)))
		ret_span->kind = IMAGE_RUN_FILE;
}

int chain_borrow(struct chain *chain, size_t i, struct ckpt_err *err, const void **ret_data)
{
	*ret_data = content;
	return fails() ? ckpt_err_set(err, -EBADMSG, "a page") : 0;
}

/* ---- the steps of restore.c, but for the process ---- */

static int start_stub(struct restore *rs)
{
	struct remote *r = leader(rs);

	rs->pid = PLAN_PID;
	r->tid = rs->m->threads[0].rec.tid;
	return 0;
}

static int restore_all(struct restore *rs)
{
	static int (* const steps[])(struct restore *rs) = {
		restore_check, restore_files_open, restore_segments_open, start_stub, restore_mm_empty,
		restore_mm_map, restore_fill, restore_nameless_finish, restore_mm_finish, restore_threads_make,
		restore_sigactions, restore_timers_make, restore_threads_set, restore_pty_group,
		restore_files_finish, restore_creds, restore_sockets, restore_connections, restore_tcp_over,
		restore_tcp_connect, restore_sigpending, restore_limits, restore_trap_action, restore_tcp_go,
		restore_tcp_send, restore_tcp_await, restore_calls, restore_timers_arm, restore_files_arm,
		restore_mm_leave, restore_regs, restore_rseq_finish, restore_hooks, restore_tell_left_out,
		restore_files_commit,
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(steps) / sizeof(*steps); i++)
		r = steps[i](rs);
	return r;
}

static void try_restore(struct restore *rs)
{
	const struct ckpt_restore_path paths[] = { { "/usr", "/elsewhere" }, { "/tmp/", "" } };
	const struct ckpt_restore_fd fds[] = { { 1, "/dev/null" }, { 0, "/tmp/three" } };
	const struct ckpt_restore_opts opts = {
		.paths = paths, .nr_paths = plan.head.options & OPT_REMAP ? 2 : 0,
		.fds = fds, .nr_fds = plan.head.options & OPT_REBIND ? 2 : 0,
	};
	int r;

	rs->opts = &opts;
	rs->threads = calloc(rs->m->nr_threads, sizeof(*rs->threads));
	for (size_t i = 0; i < rs->m->nr_threads; i++)
		rs->threads[i].t = &rs->m->threads[i];
	/* What the processor lacks cannot be made up: most records would be refused for it. */
	rs->m->system.xfeatures &= 3;
	r = restore_all(rs);
	/* Refused and not told why, or told why and not refused. */
	if (!r != !rs->err->code)
		abort();
	restore_files_close(rs);
	for (size_t i = 0; i < rs->set->nr_nameless; i++)
		close(rs->set->nameless[i].fd);
	for (size_t i = 0; i < 2 * rs->set->nr_pipes; i++)
		if (rs->set->pipes[i / 2].ends[i % 2] >= 0)
			close(rs->set->pipes[i / 2].ends[i % 2]);
	restore_ptys_close(rs->set);
	for (int i = 0; i < NR_FDS; i++)
		if (plan.open[i])
			abort();
	free(rs->threads);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct nameless nameless[NR_FDS + 1];
	struct own_pipe pipes[NR_FDS];
	struct restore_set set = { .nr = 1, .nameless = nameless, .pipes = pipes };
	struct restore rs = { .set = &set, .err = &err, .mem = -1 };
	const char *rest;
	size_t left;

	memset(&plan, 0, offsetof(struct plan, scratch));
	if (size < sizeof(plan.head))
		return 0;
	memcpy(&plan.head, data, sizeof(plan.head));
	left = size - sizeof(plan.head);
	if (plan.head.state_len > left || plan.head.meta_len > left - plan.head.state_len)
		return 0;
	set.v = &rs;
	plan.rs = &rs;
	if (ckpt_model_parse(data + sizeof(plan.head), plan.head.state_len, &err, &rs.m))
		return 0;
	rest = (const char *)data + sizeof(plan.head) + plan.head.state_len;
	if (plan.head.meta_len)
		meta_files_parse(rest, plan.head.meta_len, &err, &rs.meta);
	ckpt_err_clear(&err);
	plan.snap = rest + plan.head.meta_len;
	plan.snap_len = left - plan.head.state_len - plan.head.meta_len;
	try_restore(&rs);
	meta_files_free(&rs.meta);
	ckpt_model_free(rs.m);
	return 0;
}
