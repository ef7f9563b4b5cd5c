// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-pty.c - pseudo-terminals: what their records tell, and which can be made again: see pty.h.
 *
 * A slave whose master is not in the snapshot is a terminal like any other, which leads outside.  No state.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "kind.h"
#include "pty.h"

#define AGAIN	"let the program take what waits in it, or try again"
#define CLOSE	"close it before the snapshot"

#define LINUX_EXTPROC	0200000		/* asm/termbits.h */

/* ------------------------------------------------------------------------------- reading */

bool pty_id(const struct ckpt_model_fd *fd, struct pty_id *ret)
{
	return fd_kind_info(fd, "pty-side:", 10, &ret->side) && fd_kind_info(fd, "pty-dev:", 10, &ret->dev) &&
	       fd_kind_info(fd, "pty-index:", 10, &ret->index) &&
	       (ret->side == PTY_MASTER || ret->side == PTY_SLAVE) && ret->index < INT32_MAX;
}

/* Two digits a byte, up to the end of the line; -1: it is something else, or more than @room. */
static ssize_t parse_bytes(const char *text, uint8_t *bytes, size_t room)
{
	size_t n = 0;

	for (; text && *text && *text != '\n'; text += 2) {
		unsigned int v;
		int used = 0;

		if (n == room || sscanf(text, "%2x%n", &v, &used) != 1 || used != 2)
			return -1;
		bytes[n++] = (uint8_t)v;
	}
	return text ? (ssize_t)n : -1;
}

bool pty_parse(const struct ckpt_model_fd *fd, struct pty *p)
{
	const struct {
		const char *key;
		uint64_t *to;
	} lines[] = {
		{ "pty-iflag:", &p->iflag }, { "pty-oflag:", &p->oflag }, { "pty-cflag:", &p->cflag },
		{ "pty-lflag:", &p->lflag }, { "pty-discipline:", &p->discipline },
		{ "pty-ispeed:", &p->ispeed }, { "pty-ospeed:", &p->ospeed }, { "pty-fixed:", &p->fixed },
		{ "pty-session:", &p->session }, { "pty-group:", &p->group }, { "pty-rows:", &p->rows },
		{ "pty-columns:", &p->columns }, { "pty-width:", &p->width }, { "pty-height:", &p->height },
		{ "pty-packet:", &p->packet }, { "pty-status:", &p->status }, { "pty-locked:", &p->locked },
		{ "pty-exclusive:", &p->exclusive }, { "pty-stopped:", &p->stopped }, { "pty-left:", &p->left },
		{ "pty-unsettled:", &p->unsettled },
	}, settled[] = {
		{ "pty-canonical:", &p->canonical }, { "pty-column:", &p->column },
		{ "pty-line-column:", &p->line_column },
	};

	memset(p, 0, sizeof(*p));
	if (!pty_id(fd, &p->id) || p->id.side != PTY_MASTER)
		return false;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (!fd_kind_info(fd, lines[i].key, 10, lines[i].to) || *lines[i].to > UINT32_MAX)
			return false;
	for (size_t i = 0; !p->unsettled && i < sizeof(settled) / sizeof(*settled); i++)
		if (!fd_kind_info(fd, settled[i].key, 10, settled[i].to) || *settled[i].to > UINT32_MAX)
			return false;
	return parse_bytes(fd_kind_line(fd, "pty-characters: "), p->cc, PTY_CHARACTERS) == PTY_CHARACTERS;
}

bool pty_input(const struct ckpt_model_fd *fd, const struct pty *p, struct pty_input *in)
{
	const char *at = fd_kind_line(fd, "pty-ends:");
	ssize_t n = parse_bytes(fd_kind_line(fd, "pty-input: "), in->bytes, PTY_INPUT_MAX);

	if (n < 0 || !at)
		return false;
	in->len = (size_t)n;
	memset(in->ends, 0, sizeof(in->ends));
	while (*at == ' ') {
		char *end;
		unsigned long i = strtoul(at + 1, &end, 10);

		if (end == at + 1 || i >= in->len || !p->canonical)
			return false;
		in->ends[i] = true;
		at = end;
	}
	return true;
}

int pty_bytes(const struct ckpt_model_fd *fd, const char *key, struct buf *ret)
{
	const char *line = fd_kind_line(fd, key);
	size_t len = line ? strcspn(line, "\n") / 2 : 0;
	int r = line ? buf_reserve(ret, len + 1) : -EINVAL;

	if (r)
		return r;
	if (parse_bytes(line, ret->data, len) != (ssize_t)len)
		return -EINVAL;
	ret->len = len;
	return 0;
}

/*
 * A line ends with a newline; with what VEOL or VEOL2 are; or, as a byte 0, where VEOF was typed.  A byte
 * that ends one in one place and in another does not, since it was typed behind VLNEXT, cannot be.
 */
bool pty_keys(const struct pty_input *in, struct pty_keys *ret)
{
	bool used[256] = { false }, ends[256] = { false };

	*ret = (struct pty_keys){ 0 };
	for (size_t i = 0; i < in->len; i++)
		*(in->ends[i] ? &ends[in->bytes[i]] : &used[in->bytes[i]]) = true;
	for (int b = 1; b < 256; b++) {
		if (b != '\n' && ends[b]) {
			if (ret->eol || used[b])
				return false;
			ret->eol = (uint8_t)b;
		}
		if (b != '\n' && !ends[b] && !used[b] && ends[0] && !ret->eof)
			ret->eof = (uint8_t)b;
	}
	return !used['\n'] && (!ends[0] || ret->eof);
}

static bool is_of(const struct ckpt_model_fd *fd, const struct pty_id *id, enum pty_side side)
{
	struct pty_id other;

	return pty_id(fd, &other) && other.side == side && other.dev == id->dev && other.index == id->index;
}

const struct ckpt_model_fd *pty_master(const struct ckpt_model *model, const struct ckpt_model_fd *fd)
{
	struct pty_id id;

	if (!pty_id(fd, &id))
		return NULL;
	for (size_t k = 0; k < ckpt_set_size(model); k++) {
		const struct ckpt_model *m = ckpt_set_model(model, k);

		for (size_t i = 0; i < m->nr_fds; i++)
			if (is_of(&m->fds[i], &id, PTY_MASTER))
				return &m->fds[i];
	}
	return NULL;
}

bool pty_is_own_name(const struct ckpt_model_fd *fd)
{
	return fd->rec.id.rdev == makedev(5, 0);
}

/* ------------------------------------------------------------------------------- judge */

static bool has_process(const struct ckpt_model *model, uint64_t pid)
{
	for (size_t k = 0; k < ckpt_set_size(model); k++)
		if ((uint64_t)ckpt_set_model(model, k)->proc.pid == pid)
			return true;
	return false;
}

static bool has_group(const struct ckpt_model *model, const struct pty *p)
{
	for (size_t k = 0; k < ckpt_set_size(model); k++) {
		const struct ckpt_rec_proc *q = &ckpt_set_model(model, k)->proc;

		if ((uint64_t)q->sid == p->session && (uint64_t)q->pgid == p->group)
			return true;
	}
	return false;
}

static void judge_session(const struct fd_case *c, const struct pty *p)
{
	if (!p->session)
		return;
	if (!has_process(c->model, p->session))
		refuse_fd(c, "is the terminal of a session whose leader is not in the program",
			  "take both with snap --tree");
	else if (!has_group(c->model, p))
		refuse_fd(c, "is a terminal whose foreground process group is not in the program", "try again");
}

static void judge_content(const struct fd_case *c, const struct pty *p)
{
	struct pty_input in;
	struct pty_keys keys;

	if (p->unsettled)
		refuse_fd(c, "is a pseudo-terminal with input or output that cannot be told exactly (half an "
			  "echo, a character to be quoted, an error, another line discipline)", AGAIN);
	else if (!pty_input(c->fd, p, &in))
		refuse_fd(c, "is a pseudo-terminal the module does not tell enough of", CLOSE);
	else if (p->canonical && !pty_keys(&in, &keys))
		refuse_fd(c, "is a pseudo-terminal with lines that were typed with special characters in them", AGAIN);
}

static void judge_master(const struct fd_case *c)
{
	struct pty p;

	if (!pty_parse(c->fd, &p)) {
		refuse_fd(c, "is a pseudo-terminal the module does not tell enough of", CLOSE);
		return;
	}
	if (c->fd->rec.path_flags || (c->fd->rec.file_flags & O_ACCMODE) != O_RDWR)
		refuse_fd(c, "is the master of a pseudo-terminal without a name, or not open for reading and "
			  "writing", CLOSE);
	else if (p.discipline)
		refuse_fd(c, "is a pseudo-terminal with another line discipline", CLOSE);
	else if (p.fixed || p.lflag & LINUX_EXTPROC)
		refuse_fd(c, "is a pseudo-terminal with settings that are locked or external (TIOCSLCKTRMIOS, "
			  "EXTPROC)", CLOSE);
	else if (p.stopped)
		refuse_fd(c, "is a pseudo-terminal whose output is stopped (^S)", "let it go on (^Q)");
	else if (p.status)
		refuse_fd(c, "is a pseudo-terminal in packet mode with a change nobody has been told of", AGAIN);
	else
		judge_content(c, &p);
	judge_session(c, &p);
}

static void judge_slave(const struct fd_case *c, const struct ckpt_model_fd *master)
{
	char name[32];
	struct pty p;

	if (!pty_parse(master, &p))
		return;		/* which is refused */
	snprintf(name, sizeof(name), "/dev/pts/%u", (unsigned int)p.id.index);
	if (pty_is_own_name(c->fd)) {
		/* Who has given the terminal up may have it open still. */
		if ((uint64_t)c->model->proc.sid != p.session)
			refuse_fd(c, "is /dev/tty of another session", CLOSE);
	} else if (c->fd->rec.path_flags || !c->fd->path || strcmp(c->fd->path, name)) {
		refuse_fd(c, "is a pseudo-terminal by another name than /dev/pts has for it", CLOSE);
	}
}

static void judge_pty(const struct fd_case *c)
{
	const struct ckpt_model_fd *master = pty_master(c->model, c->fd);
	struct pty_id id;

	if (!master)
		judge_tty(c);
	else if (pty_id(c->fd, &id) && id.side == PTY_MASTER)
		judge_master(c);
	else
		judge_slave(c, master);
}

/* ------------------------------------------------------------------------------- */

static bool is_pty(const struct ckpt_model_fd *fd)
{
	struct pty_id id;

	return (fd->rec.kind == CKPT_FDK_TTY || fd->rec.kind == CKPT_FDK_CHR) && pty_id(fd, &id);
}

const struct fd_kind kind_pty = {
	.what = "a pseudo-terminal", .is = is_pty, .judge = judge_pty, .open = open_pty, .arm = arm_pty,
};
