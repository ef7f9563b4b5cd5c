/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restore-files.h - what restore-files.c and restore-fd.c share: the files opened for the child.
 */
#ifndef CKPT_LIB_RESTORE_FILES_H
#define CKPT_LIB_RESTORE_FILES_H

#include <limits.h>
#include <sys/epoll.h>

#include "restore-priv.h"

struct entry {
	int fd;
	bool borrowed;		/* the caller's own */
};

struct slot {
	int fd;			/* number in the program */
	size_t entry;
	bool cloexec;
};

struct mapped {
	const char *path;
	int access;
	size_t entry;
};

struct nameless {
	const struct ckpt_file_id *id;
	const char *path;
	const struct ckpt_model_fd *made;	/* by O_TMPFILE: fd is its open file; or NULL */
	const struct restore *rs;		/* whose that is */
	uint32_t seals;				/* to be set when all content is there */
	int fd;
};

/* A pipe both of whose ends belong to the processes that are restored. */
struct own_pipe {
	const struct ckpt_file_id *id;
	int ends[2];
	bool given[2];		/* to the program: no other open file is to be that */
};

struct cut {
	const struct ckpt_model_fd *f;
	int fd;
};

/* A file that is put back, or that must not be there. */
struct kept {
	const struct meta_file *mf;
	int dir;			/* O_PATH; -1: not looked for yet */
	int fd;
	struct stat st;			/* as it was compared and copied */
	off_t was_short;		/* its length, if it was lengthened for the restore */
	bool lengthened;
	bool differs;			/* it is there, and to be written */
	bool is_new;			/* it was not there; has the name made as yet */
	char name[NAME_MAX + 1];	/* in dir */
	char made[NAME_MAX + 1];	/* of the copy of the newer one, of the new one, or what was
					 * put aside; "": none
					 */
};

/* An item of an epoll instance. */
struct watch {
	const struct ckpt_model_fd *epoll;	/* the descriptor it was opened for */
	uint32_t file;				/* what is watched, see ckpt_rec_fd */
	int number;				/* and by which number, whatever has that now */
	struct epoll_event event;
};

/* A pidfd of one of the processes that are restored. */
struct own_pidfd {
	const struct ckpt_model_fd *f;
	pid_t pid;
};

struct restore_copies;
struct own_socket;

/* Arrays are as long as the model allows them to become, made once. */
struct restore_files {
	struct entry *entries;
	size_t nr_entries;
	struct slot *slots;		/* one a descriptor, in the model's order */
	size_t nr_slots;
	size_t *vma_entry;
	struct mapped *mapped;
	size_t nr_mapped;
	struct own_socket *sockets;	/* restore-socket.c; NULL: none so far */
	size_t nr_sockets;
	bool sockets_made;		/* those that the program itself makes */
	struct cut *cuts;
	size_t nr_cuts;
	struct watch *watches;		/* grows: as many as the epoll instances have */
	size_t nr_watches;
	size_t cap_watches;
	struct own_pidfd *pidfds;
	size_t nr_pidfds;
	struct kept *kept;		/* as many as the list of files has */
	size_t nr_kept;
	struct restore_copies *copies;	/* NULL: none was needed so far */
	size_t exe, root, cwd, proc, terminal;
	int root_fd;			/* -1: ours */
	int base;
};

/*
 * Open what a descriptor of the program refers to.  Returns a descriptor of ours, or -errno;
 * *ret_borrowed: it is the caller's own, not to be closed.
 */
int restore_fd_open(struct restore *rs, const struct ckpt_model_fd *f, bool *ret_borrowed);

/* Whether it leads out of the program: a terminal, or pipe with somebody else. */
bool restore_fd_is_outside(const struct restore *rs, const struct ckpt_model_fd *f);

/* How many bytes its pipe was made for, 0: not known. */
int restore_pipe_capacity(const struct restore *rs, const struct ckpt_model_fd *f);

/* Path given by the caller for this open file, or NULL. */
const char *restore_fd_override(const struct restore *rs, uint32_t file);

/* The section with what was saved of an open file, -1: none. */
int restore_files_section(const struct restore *rs, const struct ckpt_model_fd *f);

/* Likewise of an inode, under the number of any of its open files. */
int restore_files_section_of_inode(const struct restore *rs, const struct ckpt_file_id *id);

/* Note an item to be added in the child; copied. */
int restore_files_watch(struct restore *rs, const char *thing, const struct watch *w);
/*
 * In the child: have a number be of an open file for a moment, and what it was again.  0 or -errno.
 */
int restore_files_lend(const struct restore *rs, uint32_t file, int number);
int restore_files_take_back(const struct restore *rs, uint32_t file, int number);

/*
 * restore-nameless.c: the file without a name that was @id's, made if nobody asked for it before.  0 or
 * -errno with the text in rs->err.
 */
int restore_nameless_get(struct restore *rs, const char *thing, const struct ckpt_file_id *id,
			 const char *path, uint32_t path_flags, struct nameless **ret);
/* @data at the beginning of an empty file, pages of zeros left out.  0 or -errno. */
int restore_fill_file(int fd, const char *data, size_t len);
/* kind-memfd.c: make @n->fd, of @n->id and path; and what seals it is to have. */
int restore_memfd_make(struct restore *rs, const char *thing, struct nameless *n);

/* restore-pty.c: a slave, and its master is in the program too */
bool restore_pty_is_own(const struct restore *rs, const struct ckpt_model_fd *f);
/* The descriptor of ours of what is to be the controlling terminal of the session it leads, -1: none. */
int restore_pty_leads(const struct restore *rs);

/* Note of whom the child has to make a pidfd; of whom, 0: nobody it has to make one of. */
void restore_files_pidfd(struct restore *rs, const struct ckpt_model_fd *f, pid_t pid);
pid_t restore_files_pid_of(const struct restore *rs, const struct ckpt_model_fd *f);
/* In the child: put another open file in the place of that of a descriptor.  0 or -errno. */
int restore_files_replace(const struct restore *rs, const struct ckpt_model_fd *f, int fd);

/* restore-socket.c */
void restore_sockets_close(struct restore *rs);
/* Whether an open file is a socket that the program itself makes; the one it has made, -1: none. */
bool restore_socket_is_late(const struct restore *rs, uint32_t file);
int restore_socket_made(const struct restore *rs, uint32_t file);

/* kind-epoll.c: it watches such a socket, so that its items can only be added when that has been made */
bool restore_epoll_is_late(const struct restore *rs, const struct ckpt_model_fd *f);

/* restore-kept.c: the entry of a file to be put back, or NULL. */
const struct meta_file *restore_kept_find(const struct restore *rs, const char *path);
/* A descriptor of what will have its name when the program runs, or -errno. */
int restore_kept_open(struct restore *rs, const char *thing, const struct meta_file *mf, int flags);
/* Likewise prepare what stands beside those, when all have been opened. */
int restore_kept_open_beside(struct restore *rs);
void restore_kept_close(struct restore *rs);

bool restore_maps_file(const struct ckpt_model_vma *v);

#endif
