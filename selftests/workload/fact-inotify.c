// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inotify instances: which files and directories they watch, by which numbers, for what; a name with odd
 * characters, a link itself, a file that was renamed since; nothing but what happens is told.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "fact.h"

#define ODD	"d \\\n\303\244"

static int many, twin, quiet, epfd;
static int dir_wd, file_wd, link_wd, moved_wd, once_wd, log_wd, log_fd;

static int touch(const char *name)
{
	return must(open(name, O_RDWR | O_CREAT | O_APPEND, 0600));
}

static void set_up(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	must(mkdir(ODD, 0700));
	close(touch("watched"));
	close(touch("before"));
	close(touch("once"));
	must(symlink("watched", "link"));
	log_fd = touch("log");
	must(write(log_fd, "begin", 5));

	many = must(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	/* Numbers with holes. */
	for (int i = 0; i < 5; i++)
		must(inotify_rm_watch(many, must(inotify_add_watch(many, ".", IN_OPEN))));
	dir_wd = must(inotify_add_watch(many, ODD, IN_CREATE | IN_DELETE | IN_EXCL_UNLINK));
	must(inotify_rm_watch(many, must(inotify_add_watch(many, ".", IN_OPEN))));
	file_wd = must(inotify_add_watch(many, "link", IN_MODIFY));
	link_wd = must(inotify_add_watch(many, "link", IN_ATTRIB | IN_DONT_FOLLOW));
	moved_wd = must(inotify_add_watch(many, "before", IN_MODIFY));
	once_wd = must(inotify_add_watch(many, "once", IN_MODIFY | IN_ONESHOT));
	/* The restore opens it, and may cut it back. */
	log_wd = must(inotify_add_watch(many, "log", IN_MODIFY | IN_CLOSE_WRITE));
	must(rename("before", "after"));
	while (read(many, &(char[4096]){ 0 }, 4096) > 0)
		;
	twin = must(dup(many));
	quiet = must(inotify_init());
	epfd = must(epoll_create1(0));
	must(epoll_ctl(epfd, EPOLL_CTL_ADD, many, &event));
}

static void expect(int fd, int wd, uint32_t mask, const char *name)
{
	char room[sizeof(struct inotify_event) + 256] __attribute__((aligned(8)));
	struct inotify_event *e = (void *)room;
	struct epoll_event event;
	int bytes;

	want(!ioctl(fd, FIONREAD, &bytes) && bytes > 0);
	want(epoll_wait(epfd, &event, 1, 0) == 1);
	want(read(fd, room, bytes) == bytes);
	want((size_t)bytes == sizeof(*e) + e->len);
	want(e->wd == wd);
	want(e->mask == mask);
	want(name ? e->len && !strcmp(e->name, name) : !e->len);
}

static void change(const char *name)
{
	int fd = must(open(name, O_WRONLY));

	must(write(fd, "x", 1));
	close(fd);
}

static void look(void)
{
	char room[256];

	want((fcntl(many, F_GETFD) & FD_CLOEXEC) && !(fcntl(quiet, F_GETFD) & FD_CLOEXEC));
	want(fcntl(many, F_GETFL) & O_NONBLOCK);
	want(!(fcntl(quiet, F_GETFL) & O_NONBLOCK));
	/* Nothing has happened. */
	want(read(many, room, sizeof(room)) < 0 && errno == EAGAIN);
	close(touch(ODD "/new"));
	expect(many, dir_wd, IN_CREATE, "new");
	change("watched");
	expect(twin, file_wd, IN_MODIFY, NULL);
	must(fchownat(AT_FDCWD, "link", getuid(), getgid(), AT_SYMLINK_NOFOLLOW));
	expect(many, link_wd, IN_ATTRIB, NULL);
	change("after");
	expect(many, moved_wd, IN_MODIFY, NULL);
	must(write(log_fd, "x", 1));
	expect(many, log_wd, IN_MODIFY, NULL);
	change("once");
	want(read(many, room, sizeof(room)) == 2 * sizeof(struct inotify_event));
	change("once");
	want(read(many, room, sizeof(room)) < 0 && errno == EAGAIN);
	must(inotify_rm_watch(many, file_wd));
	want(inotify_rm_watch(many, once_wd) < 0);
	want(inotify_add_watch(quiet, ".", IN_CREATE) == 1);
}

FACT(set_up, look)
