/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ipc.h - System V semaphore sets and message queues of a set of processes: section META_SUB_IPC of the root.
 *
 * They belong to no process: nothing but their last users tells whose they are.  Those are the program's that
 * a process of it has used last, and no other process that lives.  Each is a struct ipc_item, and behind it
 *
 *	a set		@nr values of 16 bits, filled up with zeros to a multiple of 8 bytes
 *	a queue		@nr messages: struct ipc_message, and @len bytes, likewise filled up
 *
 * All numbers are little-endian.  An item nobody knows is an error.
 */
#ifndef CKPT_IPC_H
#define CKPT_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "state.h"

struct buf;
struct ckpt_err;

enum ipc_what {
	IPC_SEMAPHORES	= 1,
	IPC_QUEUE	= 2,
};

struct ipc_item {
	uint32_t	what;
	int32_t		id;
	int32_t		key;		/* 0: IPC_PRIVATE */
	uint32_t	uid, gid;
	uint32_t	cuid, cgid;	/* who made it */
	uint32_t	mode;
	uint32_t	nr;
	uint32_t	zero;
	uint64_t	room;		/* of a queue: bytes it takes */
};

struct ipc_message {
	int64_t		type;
	uint32_t	len;
	uint32_t	zero;
};

#define IPC_MODE_BITS	0777

/* Most semaphores of a set, SEMMSL's limit in the kernel; and bytes of a message that are kept. */
#define IPC_VALUES_MAX	65536
#define IPC_MESSAGE_MAX	(256u << 10)

/* semctl(2) wants its caller to have this. */
union ipc_arg {
	int val;
	struct semid_ds *ds;
	unsigned short *values;
	struct seminfo *info;
};

/*
 * ipc.c: whether @left bytes from @item on begin with one, and bytes of the content behind it.  What is said of
 * itself by an image is not to be believed.
 */
bool ipc_measure(const struct ipc_item *item, size_t left, size_t *ret_content);

/* snap-ipc.c */
/* Whether process @pid was the last to use one. */
bool ipc_expected(pid_t pid);
/* Likewise one of those @model was captured with. */
bool ipc_wanted(const struct ckpt_model *model);
/* Append an item for each that is the program's, which stands still.  0 or -errno with the text in @err. */
int ipc_read(const struct ckpt_model *model, struct buf *to, struct ckpt_err *err);

/*
 * The messages of a queue, appended: *ret_nr of them.  They stay in it.  -EFBIG: one has more than
 * IPC_MESSAGE_MAX; -ENOSYS: this kernel has no MSG_COPY; -errno.
 */
int ipc_read_messages(int id, struct buf *to, uint32_t *ret_nr);

/* Whether ipc_read() takes a set of that number, with @nr semaphores. */
bool ipc_takes_set(const struct ckpt_model *model, int id, uint32_t nr);

/* A process that lives, is none of @model's set and has used that one last; 0: there is none. */
pid_t ipc_stranger(const struct ckpt_model *model, uint32_t what, int id);

static inline size_t ipc_padded(size_t len)
{
	return (len + 7) & ~(size_t)7;
}

#endif
