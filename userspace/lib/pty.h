/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pty.h - a pseudo-terminal, as the lines "pty-NAME: VALUE" of its records tell (module/state_tty.c).
 *
 * Each descriptor of either side tells which pair it is of; that of the master tells all of both.  So a
 * pair can be made again when its master is in the snapshot; a slave alone leads outside.
 *
 *	kind-pty.c	reading the lines; what can be made again
 *	restore-pty.c	making pairs, and whose controlling terminal they are
 */
#ifndef CKPT_LIB_PTY_H
#define CKPT_LIB_PTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "state.h"

#define PTY_CHARACTERS	19	/* of the kernel's struct termios2 */
#define PTY_INPUT_MAX	4096	/* what a line discipline holds */

enum pty_side {
	PTY_MASTER	= 1,
	PTY_SLAVE	= 2,
};

/* Which one. */
struct pty_id {
	uint64_t side, dev, index;
};

/**
 * struct pty - a pair, as its master tells
 * @iflag: like @oflag, @cflag, @lflag, @discipline, @ispeed, @ospeed, @cc: struct termios2
 * @fixed: some of it must not be changed (TIOCSLCKTRMIOS)
 * @session: whose controlling terminal it is; 0: nobody's
 * @group: the foreground process group
 * @packet: packet mode; @status: what the next read would tell of in it
 * @locked: the slave cannot be opened (TIOCSPTLCK)
 * @exclusive: likewise (TIOCEXCL)
 * @stopped: output is held (^S)
 * @left: the slave was open, and is no longer
 * @unsettled: bits, why it cannot be told exactly; the fields behind it are then not there
 * @canonical: what was typed are lines
 * @column: of the cursor; @line_column: where the line that is being typed began
 */
struct pty {
	struct pty_id id;
	uint64_t iflag, oflag, cflag, lflag, discipline, ispeed, ospeed, fixed;
	uint64_t session, group, rows, columns, width, height, packet, status, locked, exclusive;
	uint64_t stopped, left, unsettled, canonical, column, line_column;
	uint8_t cc[PTY_CHARACTERS];
};

/* Lines that were typed: each byte, and whether it ends one. */
struct pty_input {
	uint8_t bytes[PTY_INPUT_MAX];
	bool ends[PTY_INPUT_MAX];
	size_t len;
};

/* What has to mean "end of file" and "end of line" to have the same lines typed again; 0: nothing. */
struct pty_keys {
	uint8_t eof, eol;
};

/* False: the descriptor is of no pseudo-terminal. */
bool pty_id(const struct ckpt_model_fd *fd, struct pty_id *ret);

/* False: it is no master, or does not tell enough. */
bool pty_parse(const struct ckpt_model_fd *fd, struct pty *ret);

bool pty_input(const struct ckpt_model_fd *fd, const struct pty *p, struct pty_input *ret);

/* The bytes of line "pty-typed: " or "pty-output: ".  0, -EINVAL, -ENOMEM. */
int pty_bytes(const struct ckpt_model_fd *fd, const char *key, struct buf *ret);

/* False: these lines cannot be typed again. */
bool pty_keys(const struct pty_input *in, struct pty_keys *ret);

/* The master of a descriptor's pair, among the processes of the model; NULL: it is outside. */
const struct ckpt_model_fd *pty_master(const struct ckpt_model *m, const struct ckpt_model_fd *fd);

/* Whether it was opened as /dev/tty. */
bool pty_is_own_name(const struct ckpt_model_fd *fd);

#endif
