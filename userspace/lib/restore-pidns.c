// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-pidns.c - a restore in a PID namespace of its own, where all process numbers are free.
 *
 * A helper leaves for a new PID and mount namespace, makes the first process there, "init", and ends:
 * init is nobody's here, so that no caller has a child it knows nothing of.  Init mounts a /proc of
 * its own, restores as anybody would, and tells the caller of it over a socket: first a hello, by which
 * the caller knows its number; what callbacks are told, to be called there; how it went.  From then on
 * it does what an init does: it takes on orphans, waits for all, and ends when nobody is left, who
 * came from outside (nsenter) included.  It tells what becomes of the program as long as anybody listens.
 *
 * The program's number in the caller's namespace comes with the credentials of a message, and a pidfd
 * of it as a passed descriptor: when the message is read the program may have ended and been waited for.
 *
 * Whoever ends the caller by force ends neither init nor the program.  If init is killed, the kernel
 * kills all of the namespace; the caller sees the end of the messages.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore-priv.h"

#define TEXT_MAX	(2 * 4096 + CKPT_ERR_TEXT)	/* two paths, or an error */
#define LOOK_AGAIN_MS	100

enum what { SAYS_HELLO, SAYS_PROGRESS, SAYS_CUT, SAYS_PUT_BACK, SAYS_LEFT_OUT, SAYS_FROM_IMAGE, SAYS_DONE,
	    SAYS_STATUS };

/* @first and @second are lengths in @text, 0: no string; a string's NUL counts. */
struct says {
	uint32_t	what;
	int32_t		code;
	uint64_t	a, b;
	uint32_t	first, second;
	char		text[TEXT_MAX];
};

#define SAYS_HEAD	offsetof(struct says, text)

/* What comes with a message. */
struct from {
	pid_t		pid;	/* of the credentials, as this namespace numbers it */
	int		fd;	/* -1: none was passed */
};

/* ------------------------------------------------------------ messages */

/* Room for both that may come with a message, in this order. */
struct room {
	union {
		struct cmsghdr	head;
		char		space[CMSG_SPACE(sizeof(struct ucred))];
	} cred;
	union {
		struct cmsghdr	head;
		char		space[CMSG_SPACE(sizeof(int))];
	} fd;
};

static void put(struct cmsghdr *to, int type, const void *data, size_t len)
{
	to->cmsg_level = SOL_SOCKET;
	to->cmsg_type = type;
	to->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(to), data, len);
}

/* @pid and @fd of the program, or 0 and -1.  Nobody may listen any more: that is no failure. */
static void say(int sock, struct says *s, pid_t pid, int fd)
{
	const struct ucred cred = { .pid = pid, .uid = geteuid(), .gid = getegid() };
	struct iovec iov = { s, SAYS_HEAD + s->first + s->second };
	struct room room = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (pid) {
		put(&room.cred.head, SCM_CREDENTIALS, &cred, sizeof(cred));
		m.msg_control = &room;
		m.msg_controllen = sizeof(room.cred);
	}
	if (pid && fd >= 0) {
		put(&room.fd.head, SCM_RIGHTS, &fd, sizeof(fd));
		m.msg_controllen = sizeof(room);
	}
	while (sendmsg(sock, &m, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void say_text(int sock, struct says *s, const char *first, const char *second)
{
	s->first = s->second = 0;
	if (first)
		s->first = (uint32_t)strnlen(first, TEXT_MAX / 2 - 1) + 1;
	if (second)
		s->second = (uint32_t)strnlen(second, TEXT_MAX / 2 - 1) + 1;
	memcpy(s->text, first ? first : "", s->first);
	memcpy(s->text + s->first, second ? second : "", s->second);
	say(sock, s, 0, -1);
}

/* 1: a message, 0: nobody will say anything any more, -errno. */
static int hear(int sock, int flags, struct says *s, struct from *from)
{
	struct iovec iov = { s, sizeof(*s) };
	struct room room;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &room,
			    .msg_controllen = sizeof(room) };
	ssize_t n;

	*from = (struct from){ .fd = -1 };
	do {
		n = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == SCM_CREDENTIALS)
			memcpy(&from->pid, CMSG_DATA(c) + offsetof(struct ucred, pid), sizeof(from->pid));
		else if (c->cmsg_type == SCM_RIGHTS)
			memcpy(&from->fd, CMSG_DATA(c), sizeof(from->fd));
	}
	return (size_t)n >= SAYS_HEAD && (size_t)n == SAYS_HEAD + s->first + s->second ? 1 : -EPROTO;
}

/* ------------------------------------------------------------ init */

static void tell_progress(uint64_t done, uint64_t total, void *arg)
{
	struct says s = { .what = SAYS_PROGRESS, .a = done, .b = total };

	say(*(int *)arg, &s, 0, -1);
}

static void tell_cut(const char *path, uint64_t bytes, void *arg)
{
	struct says s = { .what = SAYS_CUT, .a = bytes };

	say_text(*(int *)arg, &s, path, NULL);
}

static void tell_put_back(const char *path, const char *backup, bool back, void *arg)
{
	struct says s = { .what = SAYS_PUT_BACK, .code = back };

	say_text(*(int *)arg, &s, path, backup);
}

static void tell_left_out(uint64_t bytes, void *arg)
{
	struct says s = { .what = SAYS_LEFT_OUT, .a = bytes };

	say(*(int *)arg, &s, 0, -1);
}

static void tell_from_image(const char *path, const char *copy, void *arg)
{
	struct says s = { .what = SAYS_FROM_IMAGE };

	say_text(*(int *)arg, &s, path, copy);
}

static void __attribute__((noreturn)) give_up(int sock, const struct ckpt_err *err, int code)
{
	struct says s = { .what = SAYS_DONE, .code = code };

	say_text(sock, &s, err->text, NULL);
	_exit(1);
}

/* Nothing of the caller's is kept but the socket: who reads from a pipe to it waits for its end. */
static void let_go(int sock)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_NAME, "ckpt-init");
	if (chdir("/") < 0 || null < 0)
		_exit(1);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	close_range(STDERR_FILENO + 1, (unsigned int)sock - 1, 0);
	close_range((unsigned int)sock + 1, ~0U, 0);
}

/* Those who came from outside (nsenter) are not its children: whoever is there has a directory here. */
static bool is_alone(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool others = !proc;

	while (proc && !others && (e = readdir(proc)))
		others = e->d_name[0] >= '1' && e->d_name[0] <= '9' && strcmp(e->d_name, "1") != 0;
	if (proc)
		closedir(proc);
	return !others;
}

/* Its end is that of all who are there. */
static void __attribute__((noreturn)) attend_all(int sock, pid_t program)
{
	for (;;) {
		struct says s = { .what = SAYS_STATUS };
		pid_t pid = waitpid(-1, &s.code, WUNTRACED | __WALL);

		if (pid < 0 && errno != EINTR) {
			if (is_alone())
				_exit(0);
			usleep(LOOK_AGAIN_MS * 1000);
		}
		if (pid == program)
			say(sock, &s, 0, -1);
	}
}

static void __attribute__((noreturn)) init(const struct ckpt_restore_opts *opts, const sigset_t *old_mask,
					   int sock)
{
	struct ckpt_restore_opts o = *opts;
	struct ckpt_err err = CKPT_ERR_INIT;
	struct says s = { .what = SAYS_HELLO };
	pid_t pid;
	int r;

	say(sock, &s, getpid(), -1);
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		give_up(sock, &err, ckpt_err_sys(&err, errno, "mount the /proc of a PID namespace"));
	o.pidns = o.detach = false;
	o.arg = &sock;
	o.progress = opts->progress ? tell_progress : NULL;
	o.cut = opts->cut ? tell_cut : NULL;
	o.put_back = opts->put_back ? tell_put_back : NULL;
	o.left_out = opts->left_out ? tell_left_out : NULL;
	o.from_image = opts->from_image ? tell_from_image : NULL;
	r = restore_run(&o, old_mask, &err, &pid, NULL);
	if (r)
		give_up(sock, &err, r);
	s.what = SAYS_DONE;
	say(sock, &s, pid, (int)syscall(SYS_pidfd_open, pid, 0));
	let_go(sock);
	attend_all(sock, pid);
}

static void __attribute__((noreturn)) helper(const struct ckpt_restore_opts *opts, const sigset_t *old_mask,
					     int sock)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	pid_t pid;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
		give_up(sock, &err, ckpt_err_sys(&err, errno, "make a PID namespace"));
	pid = fork();
	if (!pid)
		init(opts, old_mask, sock);
	if (pid < 0)
		give_up(sock, &err, ckpt_err_sys(&err, errno, "make the first process of a PID namespace"));
	_exit(0);
}

/* ------------------------------------------------------------ the caller */

static void call_back(const struct ckpt_restore_opts *o, const struct says *s)
{
	const char *first = s->first ? s->text : NULL, *second = s->second ? s->text + s->first : NULL;

	if (s->what == SAYS_PROGRESS)
		o->progress(s->a, s->b, o->arg);
	else if (s->what == SAYS_CUT)
		o->cut(first, s->a, o->arg);
	else if (s->what == SAYS_PUT_BACK)
		o->put_back(first, second, s->code, o->arg);
	else if (s->what == SAYS_LEFT_OUT)
		o->left_out(s->a, o->arg);
	else if (s->what == SAYS_FROM_IMAGE)
		o->from_image(first, second, o->arg);
}

/* Until it is done.  A signal that shall stop the restore goes to init, which looks for it. */
static int follow(const struct ckpt_restore_opts *opts, const sigset_t *old_mask, int sock,
		  struct ckpt_err *err, struct restore_away *away)
{
	bool stopped = false;
	pid_t init_pid = 0;

	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		int sig = restore_stop_signal(old_mask), r;
		struct from from;
		struct says s;

		if (sig && !stopped && init_pid)
			stopped = !kill(init_pid, sig);
		if (!poll(&p, 1, LOOK_AGAIN_MS))
			continue;
		r = hear(sock, 0, &s, &from);
		if (r == 1 && s.what == SAYS_HELLO) {
			init_pid = from.pid;
		} else if (r == 1 && s.what == SAYS_DONE && s.code) {
			return ckpt_err_set(err, s.code, "%s", s.first ? s.text : "?");
		} else if (r == 1 && s.what == SAYS_DONE) {
			*away = (struct restore_away){ .pid = from.pid, .pidfd = from.fd, .sock = sock };
			return 0;
		} else if (r == 1) {
			call_back(opts, &s);
		} else {
			return ckpt_err_set(err, r < 0 ? r : -ECHILD,
					    "the first process of the PID namespace ended");
		}
	}
}

int restore_pidns_run(const struct ckpt_restore_opts *opts, const sigset_t *old_mask, struct ckpt_err *err,
		      struct restore_away *ret)
{
	const int on = 1;
	pid_t pid;
	int socks[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0 ||
	    setsockopt(socks[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return ckpt_err_sys(err, errno, "a socket to the first process of a PID namespace");
	pid = fork();
	if (!pid) {
		close(socks[0]);
		helper(opts, old_mask, socks[1]);
	}
	close(socks[1]);
	if (pid > 0) {
		chain_lock(opts->chain);	/* init has what it needs of the key, and forgets it */
		waitpid(pid, NULL, 0);
		r = follow(opts, old_mask, socks[0], err, ret);
	} else {
		r = ckpt_err_sys(err, errno, "make a process");
	}
	if (r)
		close(socks[0]);
	return r;
}

void restore_away_close(struct restore_away *away)
{
	close(away->sock);
	if (away->pidfd >= 0)
		close(away->pidfd);
}

/* Each message that comes is a SIGCHLD, as is what becomes of a child. */
int restore_away_listen(const struct restore_away *away, struct ckpt_err *err)
{
	if (fcntl(away->sock, F_SETOWN, getpid()) < 0 || fcntl(away->sock, F_SETSIG, SIGCHLD) < 0 ||
	    fcntl(away->sock, F_SETFL, O_ASYNC | O_NONBLOCK) < 0)
		return ckpt_err_sys(err, errno, "listen to the first process of a PID namespace");
	return 0;
}

int restore_away_look(const struct restore_away *away, int *ret_status)
{
	struct from from;
	struct says s;
	int r;

	do {
		r = hear(away->sock, 0, &s, &from);
	} while (r == 1 && s.what != SAYS_STATUS);
	if (r == -EAGAIN)
		return 0;
	*ret_status = r == 1 ? s.code : SIGKILL;	/* as all of a namespace whose init has gone */
	return 1;
}
