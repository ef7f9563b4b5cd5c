/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kind.h - the kinds of open files, and what is done with each: one handler a kind, in one list.
 *
 * A snapshot asks a handler whether a descriptor can be brought back (judge), and what has to be read
 * in the pause because the module's records do not tell it (saves, save); a restore has it made again
 * (open).  Whatever no handler claims is refused, so a kind that is not known is never dropped.
 *
 *	kind.c			the list
 *	judge-fd.c		files, directories, devices, terminals, pipes: judge
 *	snap-files.c		likewise: save
 *	restore-fd.c		likewise: open
 *	kind-NAME.c		the handler of one kind of object
 *
 * Several descriptors of one open file (dup) are saved and made once; so are several open files of one
 * pipe, deleted file or socket.  A handler has no state of its own.
 */
#ifndef CKPT_LIB_KIND_H
#define CKPT_LIB_KIND_H

#include <stdbool.h>

#include "judge.h"

struct buf;
struct restore;
struct snap_deleted;

/* One descriptor, and what it is judged against. */
struct fd_case {
	const struct ckpt_model		*model;
	const struct ckpt_model_fd	*fd;
	const struct judge_opts		*opts;
	const struct fd_kind		*kind;
	struct judgement		*j;
	uint64_t			*deleted_bytes;	/* so far, of all */
};

/**
 * struct fd_kind - the handler of a kind of open file
 * @what: what one of them is called in a sentence, "an eventfd"
 * @is: whether a descriptor is of the kind; the first in the list that says so has it
 * @judge: refuse what a restore would not make the same again (refuse_fd()).  NULL: nothing is refused
 * @saves: whether something is to be read in the pause.  NULL: never
 * @save: read it, into the empty @d->content (and @d->capacity).  The process stands still; nothing of
 *	it is to change, not even an offset.  0 or -errno with the text in the error
 * @open: make it again, from the records and the image.  A descriptor of ours, or -errno with the text
 *	in rs->err; *ret_borrowed (false before): it is the caller's own, not to be closed.  NULL: it
 *	cannot be made, and @judge refuses all of them
 * @adopt: what takes the numbers of the program's descriptors, in the child when it has them: system
 *	calls alone.  @fd is of the open file that @open made.  0 or -errno, with *ret_what it was about
 * @arm: set going what counts time, late, when the program is about to run; @fd is of the open file that
 *	@open made.  0 or -errno with the text in rs->err.  NULL: nothing of it does
 * @settle: forget what the restore itself has brought about in it, the last before the program runs;
 *	@fd is of the open file that @open made.  NULL: there is no such thing
 */
struct fd_kind {
	const char *what;
	bool (*is)(const struct ckpt_model_fd *fd);
	void (*judge)(const struct fd_case *c);
	bool (*saves)(const struct ckpt_model *model, const struct ckpt_model_fd *fd);
	int (*save)(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		    struct ckpt_err *err, struct snap_deleted *d);
	int (*open)(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		    bool *ret_borrowed);
	int (*adopt)(const struct restore *rs, const struct ckpt_model_fd *f, int fd,
		     const char **ret_what);
	int (*arm)(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, int fd);
	void (*settle)(int fd);
};

/* O_LARGEFILE as the kernel shows it; to the C library it is 0 here. */
#define KIND_LARGEFILE	0100000u

/* The handler of a descriptor; one that refuses it when the kind is not known. */
const struct fd_kind *fd_kind_of(const struct ckpt_model_fd *fd);

/* Whether two descriptors are of one object: what is saved for one is saved for both. */
bool fd_kind_same(const struct ckpt_model_fd *a, const struct ckpt_model_fd *b);

/* Whether a descriptor is of the anonymous kind of that name, "[eventfd]". */
bool fd_kind_is_anon(const struct ckpt_model_fd *fd, const char *name);

/* What follows @key at the beginning of a line of the fdinfo text; NULL: there is no such line. */
const char *fd_kind_line(const struct ckpt_model_fd *fd, const char *key);

/* Whether a text of fdinfo has no more lines of the kind's own: the end, or what any file may have. */
bool fd_kind_ends(const char *at);

/* The number behind @key ("eventfd-count:") at the beginning of a line of the fdinfo text; false: there is none. */
bool fd_kind_info(const struct ckpt_model_fd *fd, const char *key, int base, uint64_t *ret);

/* Note that a descriptor cannot be brought back. */
void refuse_fd(const struct fd_case *c, const char *reason, const char *remedy);

/* What the module tells of a pipe; kind-fifo.c has the words. */
struct pipe_facts {
	uint64_t readers, writers, bytes, notifies, hung_up;
};

/* False: the image is of a module that did not. */
bool fd_pipe_facts(const struct ckpt_model_fd *fd, struct pipe_facts *ret);
/* Write what was in the pipe of @f, with the borders of its packets.  0 or -errno. */
int fd_pipe_fill(const struct ckpt_model_fd *f, int fd, const char *data, size_t len);

/* Whom an open file tells: module/state_owner.c has the words. */
struct fd_owner {
	uint64_t type, number, signal, uid, euid;
};

/* False: the image does not tell. */
bool fd_owner(const struct ckpt_model_fd *fd, struct fd_owner *ret);

/* judge-fd.c */
/* Whether it is, or shares its open file with, one of 0..2. */
bool fd_is_stdio(const struct ckpt_model *m, const struct ckpt_model_fd *fd);
bool judge_is_stdio(const struct fd_case *c);
void judge_file(const struct fd_case *c);
void judge_deleted(const struct fd_case *c);
void judge_device(const struct fd_case *c);
void judge_tty(const struct fd_case *c);
void judge_pipe(const struct fd_case *c);

/* kind-memfd.c: what the image holds of one, that @in is a descriptor of. */
int save_memfd_content(const struct ckpt_model *model, const struct ckpt_file_id *id, int in,
		       struct buf *content);

/* snap-files.c */
bool saves_deleted(const struct ckpt_model *model, const struct ckpt_model_fd *fd);
int save_deleted(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
		 struct ckpt_err *err, struct snap_deleted *d);
bool saves_pipe(const struct ckpt_model *model, const struct ckpt_model_fd *fd);
int save_pipe(const struct ckpt_model *model, const struct ckpt_model_fd *fd,
	      struct ckpt_err *err, struct snap_deleted *d);

/* restore-fd.c */
int open_file(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
	      bool *ret_borrowed);
int open_device(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		bool *ret_borrowed);
int open_pipe(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
	      bool *ret_borrowed);
int open_outside(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		 bool *ret_borrowed);

/* restore-pty.c */
int open_pty(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
	     bool *ret_borrowed);
int arm_pty(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, int fd);

/* restore-socket.c */
int open_socket(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
		bool *ret_borrowed);

/* kind-NAME.c */
extern const struct fd_kind kind_epoll;
extern const struct fd_kind kind_eventfd;
extern const struct fd_kind kind_fifo;
extern const struct fd_kind kind_inotify;
extern const struct fd_kind kind_memfd;
extern const struct fd_kind kind_path;
extern const struct fd_kind kind_pidfd;
extern const struct fd_kind kind_pty;
extern const struct fd_kind kind_shown;
extern const struct fd_kind kind_signalfd;
extern const struct fd_kind kind_socket;
extern const struct fd_kind kind_timerfd;

#endif
