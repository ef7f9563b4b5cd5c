// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-owner.c - whom open files tell by a signal that there is something to read or write: F_SETOWN,
 * F_SETSIG, O_ASYNC.
 *
 * Set by the program itself, with its credentials, for by those the right to tell is judged; and late: no
 * step of the restore is to be told.  What is signalled names the descriptor by which O_ASYNC or a lease was
 * set; of several of one open file that is taken to be the first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "kind.h"
#include "restore-files.h"

static int set_owner(struct restore *rs, uint64_t fd, const struct fd_owner *o)
{
	const struct f_owner_ex ex = { .type = (int)o->type, .pid = (pid_t)o->number };
	struct remote *child = leader(rs);
	int r = 0;

	if (o->number) {
		r = remote_write(child, rs->err, child->scratch, &ex, sizeof(ex));
		if (!r)
			r = remote_call(child, rs->err, "set whom a descriptor tells (F_SETOWN_EX)", SYS_fcntl,
					REMOTE_ARGS(fd, F_SETOWN_EX, child->scratch), NULL);
	}
	return r ? r : remote_call(child, rs->err, "set the signal of a descriptor (F_SETSIG)", SYS_fcntl,
				   REMOTE_ARGS(fd, F_SETSIG, o->signal), NULL);
}

/* Off first: whoever opened it may have set it, by a number that is not the program's. */
static int set_async(struct restore *rs, uint64_t fd, uint64_t flags)
{
	int r = remote_call(leader(rs), rs->err, "set the flags of a descriptor", SYS_fcntl,
			    REMOTE_ARGS(fd, F_SETFL, flags & ~(uint64_t)O_ASYNC), NULL);

	return r ? r : remote_call(leader(rs), rs->err, "set O_ASYNC of a descriptor", SYS_fcntl,
				   REMOTE_ARGS(fd, F_SETFL, flags), NULL);
}

/* Who wanted to write to the file while a lease told nobody has it broken. */
static int check_lease(struct restore *rs, const struct ckpt_model_fd *f)
{
	long type;
	int r = remote_call(leader(rs), rs->err, "look at a lease (F_GETLEASE)", SYS_fcntl,
			    REMOTE_ARGS((uint64_t)f->rec.fd, F_GETLEASE, 0), &type);

	if (r || type != F_UNLCK)
		return r;
	return ckpt_err_set(rs->err, -EAGAIN, "fd %d: the lease it held on %s was broken during the restore: "
			    "somebody opens that for writing", f->rec.fd, f->path ? f->path : "its file");
}

/* Another one of the program's before it has the same open file, or another process's. */
static bool is_set(const struct restore *rs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rs->m->fds[i].rec.file == rs->m->fds[n].rec.file)
			return true;
	return restore_tree_shared_fd(rs, &rs->m->fds[n]) >= 0;
}

int restore_owners(struct restore *rs)
{
	int r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_fds; i++) {
		const struct ckpt_model_fd *f = &rs->m->fds[i];
		const bool async = f->rec.file_flags & O_ASYNC;
		struct fd_owner o;

		if ((!(f->rec.flags & (CKPT_FD_ASYNC_OWNER | CKPT_FD_LEASE)) && !async) || f->rec.file_flags & O_PATH ||
		    restore_fd_override(rs, f->rec.file) || restore_fd_is_outside(rs, f) || is_set(rs, i))
			continue;
		if (f->rec.flags & CKPT_FD_ASYNC_OWNER)
			r = fd_owner(f, &o) ? set_owner(rs, (uint64_t)f->rec.fd, &o) :
			    ckpt_err_set(rs->err, -EINVAL, "fd %d: the image does not tell whom it signals", f->rec.fd);
		if (!r && f->rec.flags & CKPT_FD_LEASE)
			r = check_lease(rs, f);
		if (!r && async)
			r = set_async(rs, (uint64_t)f->rec.fd, f->rec.file_flags);
	}
	return r;
}
