// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-pty.c - pseudo-terminals of the program, and whose controlling terminal they are.
 *
 *  1. restore_ptys_make(): every pair whose master is among the processes is made, with its old number,
 *     settings and what was on its way; before any descriptor is opened.
 *  2. open_pty(): a descriptor of either side.  One of /dev/tty can only be opened by who has that
 *     terminal; until then its number is that of the slave.
 *  3. restore_pty_take(), in the child that leads a session, before it makes the others of it: they have
 *     the terminal from it.
 *  4. restore_pty_group(): the foreground process group, when all groups are there.
 *  5. arm_pty(): what would have been in the way: locks; and our own slave is closed.
 * struct own_pty belongs to struct restore_set; restore_ptys_close() ends it at any time.
 *
 * What was typed is typed again, with settings in which no character means anything but the end of a
 * line, and echoed: by the echoes, which we take, we know that it has arrived.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kind.h"
#include "pty.h"
#include "restore-files.h"

#define NUMBERS_MAX	4096	/* /proc/sys/kernel/pty/max, unless somebody changed it */
#define ECHO_MS		10000
#define PIECE		256	/* typed at once: its echoes fit */
#define COLUMN_MAX	4096	/* farther to the right only the distance to the next tab matters */

struct own_pty {
	struct pty p;
	const struct ckpt_model_fd *f;		/* its master's */
	int master;
	int slave;				/* -1: closed again, or not needed */
};

/* What is being made. */
struct making {
	struct restore *rs;
	struct own_pty *t;
	char thing[48];
};

static int failed(const struct making *k, int code, const char *what)
{
	return ckpt_err_sys(k->rs->err, code, "%s: %s", k->thing, what);
}

/* ------------------------------------------------------------------------------- the pair */

/* Numbers are given from the lowest that is free: those in front of ours are kept until we have it. */
static int open_number(const struct making *k, int *held, size_t *nr)
{
	const int wanted = (int)k->t->p.id.index;
	int number = -1;

	while (*nr < NUMBERS_MAX) {
		int fd = open(k->t->f->path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

		if (fd < 0)
			return failed(k, errno, k->t->f->path);
		if (ioctl(fd, TIOCGPTN, &number) || number == wanted) {
			k->t->master = fd;
			return number == wanted ? 0 : failed(k, errno, "ask for its number");
		}
		held[(*nr)++] = fd;
		if (number > wanted)
			break;
	}
	ckpt_err_set(k->rs->err, EADDRINUSE, "%s: /dev/pts/%d is another terminal now", k->thing, wanted);
	ckpt_err_hint(k->rs->err, "close that terminal: the program knows its own by that name");
	return -EADDRINUSE;
}

static int make_number(const struct making *k)
{
	int *held = calloc(NUMBERS_MAX, sizeof(*held)), r;
	size_t nr = 0;

	if (!held)
		return failed(k, ENOMEM, "open it");
	r = open_number(k, held, &nr);
	while (nr)
		close(held[--nr]);
	free(held);
	return r;
}

static int open_slave(const struct making *k)
{
	const int unlocked = 0;

	if (ioctl(k->t->master, TIOCSPTLCK, &unlocked))
		return failed(k, errno, "unlock it");
	k->t->slave = ioctl(k->t->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	return k->t->slave < 0 ? failed(k, errno, "open its slave") : 0;
}

/* ------------------------------------------------------------------------------- what is on its way */

static int set_termios(const struct making *k, const struct termios2 *t)
{
	return ioctl(k->t->master, TCSETS2, t) ? failed(k, errno, "set it") : 0;
}

static int write_all(const struct making *k, int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno != EAGAIN)
			return failed(k, errno, "fill it");
		if (n < 0 && poll(&p, 1, ECHO_MS) != 1)
			return failed(k, ENOSPC, "fill it");
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Take what came out of the slave, which is for nobody else. */
static int take(const struct making *k, size_t len)
{
	uint8_t bytes[COLUMN_MAX];

	while (len) {
		struct pollfd p = { .fd = k->t->master, .events = POLLIN };
		ssize_t n = read(k->t->master, bytes, len < sizeof(bytes) ? len : sizeof(bytes));

		if (n < 0 && errno == EAGAIN && poll(&p, 1, ECHO_MS) == 1)
			continue;
		if (n <= 0)
			return failed(k, n < 0 ? errno : EIO, "hear its echo");
		len -= (size_t)n;
	}
	return 0;
}

/* By writing: only with output processing the cursor is followed. */
static int move_to_column(const struct making *k, struct termios2 t, uint64_t column)
{
	uint8_t line[COLUMN_MAX + 9] = { '\r' };
	size_t n = column <= COLUMN_MAX ? column : 8 + column % 8;
	int r;

	t.c_oflag = OPOST;
	memset(line + 1, ' ', n);
	r = set_termios(k, &t);
	if (!r)
		r = write_all(k, k->t->slave, line, n + 1);
	if (!r)
		r = take(k, n + 1);
	t.c_oflag = 0;
	return r ? r : set_termios(k, &t);
}

/* A byte 0 that ends a line stands for VEOF, which is not echoed. */
static int type_piece(const struct making *k, const struct pty_input *in, const struct pty_keys *keys, size_t at,
		      size_t len)
{
	uint8_t bytes[PIECE];
	size_t echoes = len;
	int r;

	for (size_t i = 0; i < len; i++) {
		const bool eof = in->ends[at + i] && !in->bytes[at + i];

		bytes[i] = eof ? keys->eof : in->bytes[at + i];
		echoes -= eof;
	}
	r = write_all(k, k->t->master, bytes, len);
	return r ? r : take(k, echoes);
}

static int type_again(const struct making *k, const struct pty_input *in, const struct pty_keys *keys)
{
	int r = 0;

	for (size_t at = 0; !r && at < in->len; at += PIECE)
		r = type_piece(k, in, keys, at, in->len - at < PIECE ? in->len - at : PIECE);
	return r;
}

/* @key: of a line of the master's record. */
static int pass_on(const struct making *k, int fd, const char *key)
{
	struct buf bytes = { 0 };
	int r = pty_bytes(k->t->f, key, &bytes);

	if (r)
		r = ckpt_err_set(k->rs->err, r, "%s: the image does not tell what was in it", k->thing);
	else if (bytes.len)
		r = write_all(k, fd, bytes.data, bytes.len);
	buf_free(&bytes);
	return r;
}

static int fill(const struct making *k)
{
	const struct pty *p = &k->t->p;
	struct termios2 plain = { .c_cflag = CS8 | CREAD | B38400, .c_lflag = ECHO };
	struct pty_input *in = malloc(sizeof(*in));
	struct pty_keys keys = { 0 };
	int r = 0;

	if (!in)
		return failed(k, ENOMEM, "fill it");
	if (!pty_input(k->t->f, p, in) || (p->canonical && !pty_keys(in, &keys)))
		r = ckpt_err_set(k->rs->err, EBADMSG, "%s: the image does not tell what was typed", k->thing);
	if (p->canonical)
		plain.c_lflag |= ICANON;
	plain.c_cc[VEOF] = keys.eof;
	plain.c_cc[VEOL] = keys.eol;
	if (!r)
		r = move_to_column(k, plain, p->line_column);
	if (!r)
		r = type_again(k, in, &keys);
	if (!r)
		r = move_to_column(k, plain, p->column);
	if (!r)
		r = pass_on(k, k->t->slave, "pty-output: ");
	free(in);
	return r;
}

/* ------------------------------------------------------------------------------- settings */

static int set_up(const struct making *k)
{
	const struct pty *p = &k->t->p;
	const int packet = (int)p->packet;
	struct termios2 t = {
		.c_iflag = (tcflag_t)p->iflag, .c_oflag = (tcflag_t)p->oflag, .c_cflag = (tcflag_t)p->cflag,
		.c_lflag = (tcflag_t)p->lflag, .c_line = (cc_t)p->discipline,
		.c_ispeed = (speed_t)p->ispeed, .c_ospeed = (speed_t)p->ospeed,
	}, now;
	const struct winsize size = {
		.ws_row = (uint16_t)p->rows, .ws_col = (uint16_t)p->columns,
		.ws_xpixel = (uint16_t)p->width, .ws_ypixel = (uint16_t)p->height,
	};
	int r;

	memcpy(t.c_cc, p->cc, sizeof(t.c_cc));
	r = set_termios(k, &t);
	if (r)
		return r;
	memset(&now, 0, sizeof(now));
	if (ioctl(k->t->master, TCGETS2, &now) || memcmp(&now, &t, sizeof(t)))
		return failed(k, ERANGE, "have its settings again");
	if (ioctl(k->t->master, TIOCSWINSZ, &size) || (packet && ioctl(k->t->master, TIOCPKT, &packet)))
		return failed(k, errno, "set its size and mode");
	return pass_on(k, k->t->master, "pty-typed: ");
}

/* Whether the slave has ever been open. */
static bool was_open(const struct restore_set *set, const struct own_pty *t)
{
	bool open = t->p.left || t->p.session;

	for (size_t k = 0; !open && k < set->nr; k++) {
		const struct ckpt_model *m = set->v[k].m;

		for (size_t i = 0; !open && i < m->nr_fds; i++)
			open = m->fds[i].rec.file && &m->fds[i] != t->f && pty_master(m, &m->fds[i]) == t->f;
	}
	return open;
}

static int make_pair(struct restore *rs, struct own_pty *t)
{
	struct making k = { .rs = rs, .t = t };
	int r;

	snprintf(k.thing, sizeof(k.thing), "fd %d: pseudo-terminal %u", t->f->rec.fd, (unsigned int)t->p.id.index);
	r = make_number(&k);
	/* Nothing can be in one that was never open. */
	if (!r && was_open(rs->set, t)) {
		r = open_slave(&k);
		if (!r)
			r = fill(&k);
	}
	return r ? r : set_up(&k);
}

/* ------------------------------------------------------------------------------- all of them */

static struct own_pty *find(const struct restore_set *set, const struct ckpt_model_fd *master)
{
	for (size_t i = 0; master && i < set->nr_ptys; i++)
		if (set->ptys[i].f == master)
			return &set->ptys[i];
	return NULL;
}

static int add_pair(struct restore *rs, const struct ckpt_model_fd *f)
{
	struct restore_set *set = rs->set;
	struct own_pty *t = &set->ptys[set->nr_ptys];

	*t = (struct own_pty){ .f = f, .master = -1, .slave = -1 };
	if (!pty_parse(f, &t->p) || t->p.unsettled || !f->path)
		return ckpt_err_set(rs->err, EBADMSG, "fd %d: the image does not tell what its pseudo-terminal was",
				    f->rec.fd);
	set->nr_ptys++;
	return make_pair(rs, t);
}

int restore_ptys_make(struct restore *rs)
{
	struct restore_set *set = rs->set;
	size_t fds = 0;
	int r = 0;

	for (size_t k = 0; k < set->nr; k++)
		fds += set->v[k].m->nr_fds;
	set->ptys = calloc(fds + 1, sizeof(*set->ptys));
	if (!set->ptys)
		return ckpt_err_sys(rs->err, ENOMEM, "pseudo-terminals");
	for (size_t k = 0; !r && k < set->nr; k++) {
		const struct ckpt_model *m = set->v[k].m;

		/* Several descriptors of a master find the first. */
		for (size_t i = 0; !r && i < m->nr_fds; i++)
			if (pty_master(m, &m->fds[i]) == &m->fds[i])
				r = add_pair(&set->v[k], &m->fds[i]);
	}
	return r;
}

void restore_ptys_close(struct restore_set *set)
{
	for (size_t i = 0; i < set->nr_ptys; i++) {
		if (set->ptys[i].slave >= 0)
			close(set->ptys[i].slave);
		if (set->ptys[i].master >= 0)
			close(set->ptys[i].master);
	}
	free(set->ptys);
	set->ptys = NULL;
	set->nr_ptys = 0;
}

bool restore_pty_is_own(const struct restore *rs, const struct ckpt_model_fd *f)
{
	return pty_master(rs->m, f);
}

/* ------------------------------------------------------------------------------- one descriptor */

static int dress(const struct restore *rs, const char *thing, int fd, const struct ckpt_file_id *id)
{
	struct stat st;

	if (fstat(fd, &st))
		return ckpt_err_sys(rs->err, errno, "%s", thing);
	if ((st.st_uid != id->uid || st.st_gid != id->gid) && fchown(fd, id->uid, id->gid))
		return ckpt_err_sys(rs->err, errno, "%s: set the owner of its terminal", thing);
	if ((st.st_mode ^ id->mode) & 07777 && fchmod(fd, id->mode & 07777))
		return ckpt_err_sys(rs->err, errno, "%s: set the mode of its terminal", thing);
	return 0;
}

int open_pty(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, bool *ret_borrowed)
{
	const struct own_pty *t = find(rs->set, pty_master(rs->m, f));
	struct pty_id id;
	int fd, r = 0;

	if (!t)
		return open_outside(rs, thing, f, ret_borrowed);
	if (!pty_id(f, &id))
		return ckpt_err_set(rs->err, EBADMSG, "%s: not a pseudo-terminal", thing);
	if (id.side == PTY_MASTER || pty_is_own_name(f))
		fd = fcntl(id.side == PTY_MASTER ? t->master : t->slave, F_DUPFD_CLOEXEC, 0);
	else
		fd = restore_reopen(t->slave, (int)f->rec.file_flags);
	if (fd < 0)
		return ckpt_err_sys(rs->err, errno, "%s: open pseudo-terminal %u", thing, (unsigned int)id.index);
	if (id.side == PTY_MASTER && fcntl(fd, F_SETFL, (int)f->rec.file_flags) < 0)
		r = ckpt_err_sys(rs->err, errno, "%s: set its flags", thing);
	else if (id.side == PTY_SLAVE && !pty_is_own_name(f))
		r = dress(rs, thing, fd, &f->rec.id);
	if (r)
		close(fd);
	return r ? r : fd;
}

/* Of a master: when all that have to open the slave have done so. */
int arm_pty(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, int fd)
{
	struct own_pty *t = find(rs->set, f);
	const int locked = 1;

	if (!t)
		return 0;
	if (t->p.locked && ioctl(t->master, TIOCSPTLCK, &locked))
		return ckpt_err_sys(rs->err, errno, "%s: lock its terminal", thing);
	if (t->p.exclusive && t->slave >= 0 && ioctl(t->slave, TIOCEXCL))
		return ckpt_err_sys(rs->err, errno, "%s: have its terminal for itself (TIOCEXCL)", thing);
	if (t->slave >= 0)
		close(t->slave);
	t->slave = -1;
	return 0;
}

/* ------------------------------------------------------------------------------- sessions */

static const struct own_pty *of_session(const struct restore_set *set, pid_t sid)
{
	for (size_t i = 0; i < set->nr_ptys; i++)
		if (set->ptys[i].p.session == (uint64_t)sid && set->ptys[i].slave >= 0)
			return &set->ptys[i];
	return NULL;
}

/* Now that /dev/tty is the terminal, have it in the place of what keeps its number taken. */
static int open_own_names(const struct restore *rs, const struct own_pty *t)
{
	const struct restore_files *fs = rs->files;

	for (size_t i = 0; i < fs->nr_slots; i++) {
		const struct ckpt_model_fd *f = &rs->m->fds[i];
		int fd;

		if (!pty_is_own_name(f) || pty_master(rs->m, f) != t->f || restore_fd_override(rs, f->rec.file))
			continue;
		fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/tty",
				  (f->rec.file_flags & (O_ACCMODE | O_NONBLOCK | O_APPEND)) | O_NOCTTY | O_CLOEXEC);
		if (fd < 0 || dup3(fd, fs->entries[fs->slots[i].entry].fd, O_CLOEXEC) < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

int restore_pty_take(const struct restore *rs)
{
	const struct restore_set *set = rs->set;
	const struct own_pty *t = of_session(set, rs->m->proc.pid);
	int r = 0;

	if (!t)
		return 0;
	if (ioctl(t->slave, TIOCSCTTY, 0))
		return -errno;
	for (size_t k = 0; !r && k < set->nr; k++)
		if (set->v[k].m->proc.sid == rs->m->proc.pid)
			r = open_own_names(&set->v[k], t);
	return r;
}

int restore_pty_leave(const struct restore *rs)
{
	const struct ckpt_rec_proc *p = &rs->m->proc;
	const struct own_pty *t = of_session(rs->set, p->sid);

	if (!t || p->sid == p->pid || p->flags & CKPT_PROC_HAS_TTY)
		return 0;
	return ioctl(t->slave, TIOCNOTTY) ? -errno : 0;
}

/* The descriptor of the terminal in a process that has one to set up, -1: none. */
int restore_pty_leads(const struct restore *rs)
{
	const struct own_pty *t = of_session(rs->set, rs->m->proc.pid);

	return t ? t->slave : -1;
}

int restore_pty_group(struct restore *rs)
{
	const struct own_pty *t = of_session(rs->set, rs->m->proc.pid);
	const int fd = restore_files_terminal_fd(rs);
	struct remote *child = leader(rs);
	pid_t group;
	int r;

	if (!t || fd < 0)
		return 0;
	group = (pid_t)t->p.group;
	r = remote_write(child, rs->err, child->scratch, &group, sizeof(group));
	return r ? r : remote_call(child, rs->err, "have a foreground process group", SYS_ioctl,
				   REMOTE_ARGS((uint64_t)fd, TIOCSPGRP, child->scratch), NULL);
}
