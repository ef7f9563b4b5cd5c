// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap-ipc.c - see ipc.h: which semaphore sets and message queues are the program's, and what is in them, in the
 * pause.  The kernel is asked for all of the machine, by index; a machine without any answers two calls.
 * No state.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#include "buf.h"
#include "err.h"
#include "ipc.h"

/* Newer than the headers this may be built with. */
#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY	20
#endif
#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY	13
#endif
#ifndef MSG_COPY
#define MSG_COPY	040000
#endif

/* Whose they may be: a process, or those of a model. */
struct users {
	pid_t pid;
	const struct ckpt_model *model;
};

typedef int found_fn(const struct users *u, int id, void *arg);

static bool is_user(const struct users *u, pid_t pid)
{
	if (!u->model)
		return pid == u->pid;
	for (size_t k = 0; k < ckpt_set_size(u->model); k++)
		if (ckpt_set_model(u->model, k)->proc.pid == pid)
			return true;
	return false;
}

/* *@ours: one of the users; *@other: somebody else, who lives. */
static void look_at(const struct users *u, pid_t pid, bool *ours, pid_t *other)
{
	if (pid <= 0)
		return;
	if (is_user(u, pid))
		*ours = true;
	else if (!kill(pid, 0) || errno == EPERM)
		*other = pid;
}

static pid_t users_of_set(const struct users *u, int id, unsigned long nr, bool *ours)
{
	pid_t other = 0;

	*ours = false;
	for (unsigned long i = 0; !other && i < nr; i++)
		look_at(u, semctl(id, (int)i, GETPID), ours, &other);
	return other;
}

static pid_t users_of_queue(const struct users *u, const struct msqid_ds *ds, bool *ours)
{
	pid_t other = 0;

	*ours = false;
	look_at(u, ds->msg_lspid, ours, &other);
	look_at(u, ds->msg_lrpid, ours, &other);
	return other;
}

pid_t ipc_stranger(const struct ckpt_model *model, uint32_t what, int id)
{
	const struct users u = { .model = model };
	struct semid_ds sem;
	struct msqid_ds msg;
	bool ours;

	if (what == IPC_SEMAPHORES)
		return semctl(id, 0, IPC_STAT, (union ipc_arg){ .ds = &sem }) ? 0 :
		       users_of_set(&u, id, sem.sem_nsems, &ours);
	return msgctl(id, IPC_STAT, &msg) ? 0 : users_of_queue(&u, &msg, &ours);
}

bool ipc_takes_set(const struct ckpt_model *model, int id, uint32_t nr)
{
	const struct users u = { .model = model };
	struct semid_ds ds;
	bool ours;

	return !semctl(id, 0, IPC_STAT, (union ipc_arg){ .ds = &ds }) && ds.sem_nsems == nr &&
	       !users_of_set(&u, id, nr, &ours) && ours;
}

/* Call for each set of the users, until one call gives something else than 0. */
static int each_set(const struct users *u, found_fn *fn, void *arg)
{
	struct seminfo info;
	struct semid_ds ds;
	bool ours;
	int top = semctl(0, 0, SEM_INFO, (union ipc_arg){ .info = &info }), ret = 0;

	for (int i = 0; !ret && i <= top; i++) {
		int id = semctl(i, 0, SEM_STAT_ANY, (union ipc_arg){ .ds = &ds });

		if (id >= 0 && !users_of_set(u, id, ds.sem_nsems, &ours) && ours)
			ret = fn(u, id, arg);
	}
	return ret;
}

static int each_queue(const struct users *u, found_fn *fn, void *arg)
{
	struct msqid_ds ds;
	struct msginfo info;
	bool ours;
	int top = msgctl(0, MSG_INFO, (struct msqid_ds *)&info), ret = 0;

	for (int i = 0; !ret && i <= top; i++) {
		int id = msgctl(i, MSG_STAT_ANY, &ds);

		if (id >= 0 && !users_of_queue(u, &ds, &ours) && ours)
			ret = fn(u, id, arg);
	}
	return ret;
}

static int note(const struct users *u, int id, void *arg)
{
	return 1;
}

static bool has_any(const struct users *u)
{
	return each_set(u, note, NULL) || each_queue(u, note, NULL);
}

bool ipc_expected(pid_t pid)
{
	return has_any(&(struct users){ .pid = pid });
}

bool ipc_wanted(const struct ckpt_model *model)
{
	return has_any(&(struct users){ .model = model });
}

/* ------------------------------------------------------------------------------- contents */

struct reading {
	struct buf *to;
	struct ckpt_err *err;
};

static int append(struct buf *to, const void *data, size_t len)
{
	static const char zeros[8];
	int ret = buf_append(to, data, len);

	return ret ? ret : buf_append(to, zeros, ipc_padded(len) - len);
}

static void take_perm(struct ipc_item *item, const struct ipc_perm *p)
{
	item->key = p->__key;
	item->uid = p->uid;
	item->gid = p->gid;
	item->cuid = p->cuid;
	item->cgid = p->cgid;
	item->mode = p->mode & IPC_MODE_BITS;
}

static int read_set(const struct users *u, int id, void *arg)
{
	const struct reading *r = arg;
	struct ipc_item item = { .what = IPC_SEMAPHORES, .id = id };
	unsigned short *values = NULL;
	struct semid_ds ds;
	int ret = semctl(id, 0, IPC_STAT, (union ipc_arg){ .ds = &ds }) ? -errno : 0;

	if (!ret) {
		take_perm(&item, &ds.sem_perm);
		item.nr = (uint32_t)ds.sem_nsems;
		values = calloc(item.nr, sizeof(*values));
		ret = values ? 0 : -ENOMEM;
	}
	if (!ret && semctl(id, 0, GETALL, (union ipc_arg){ .values = values }))
		ret = -errno;
	if (!ret)
		ret = append(r->to, &item, sizeof(item));
	if (!ret)
		ret = append(r->to, values, item.nr * sizeof(*values));
	free(values);
	return ret ? ckpt_err_sys(r->err, ret, "read System V semaphores %d (key %#x)", id,
				  (unsigned int)item.key) : 0;
}

/* A message as msgrcv(2) gives it. */
struct letter {
	long type;
	char text[IPC_MESSAGE_MAX];
};

int ipc_read_messages(int id, struct buf *to, uint32_t *ret_nr)
{
	struct letter *l = malloc(sizeof(*l));
	int ret = l ? 0 : -ENOMEM;

	for (*ret_nr = 0; !ret; ++*ret_nr) {
		ssize_t n = msgrcv(id, l, sizeof(l->text), (long)*ret_nr, IPC_NOWAIT | MSG_COPY);
		struct ipc_message m = { 0 };

		if (n < 0 && errno == ENOMSG)
			break;
		if (n < 0) {
			ret = errno == E2BIG ? -EFBIG : -errno;
			break;
		}
		m.type = l->type;
		m.len = (uint32_t)n;
		ret = append(to, &m, sizeof(m));
		if (!ret)
			ret = append(to, l->text, m.len);
	}
	free(l);
	return ret;
}

static int refuse(const struct reading *r, const struct ipc_item *item, const char *reason)
{
	ckpt_err_set(r->err, EOPNOTSUPP, "System V %d (key %#x): %s", item->id,
		     (unsigned int)item->key, reason);
	ckpt_err_hint(r->err, "take the snapshot when the program has taken what waits");
	return -EOPNOTSUPP;
}

static int read_queue(const struct users *u, int id, void *arg)
{
	const struct reading *r = arg;
	struct ipc_item item = { .what = IPC_QUEUE, .id = id };
	const size_t at = r->to->len;
	struct msqid_ds ds;
	int ret = msgctl(id, IPC_STAT, &ds) ? -errno : 0;

	if (!ret) {
		take_perm(&item, &ds.msg_perm);
		item.room = ds.msg_qbytes;
		ret = append(r->to, &item, sizeof(item));
	}
	if (!ret && ds.msg_qnum)
		ret = ipc_read_messages(id, r->to, &item.nr);
	if (ret == -EFBIG)
		return refuse(r, &item, "is a message queue in which a very long message waits");
	if (ret == -ENOSYS)
		return refuse(r, &item, "is a message queue of a kernel that does not show what waits in it "
			      "(CONFIG_CHECKPOINT_RESTORE)");
	if (!ret)
		memcpy((char *)r->to->data + at, &item, sizeof(item));
	return ret ? ckpt_err_sys(r->err, ret, "read System V message queue %d (key %#x)", id,
				  (unsigned int)item.key) : 0;
}

int ipc_read(const struct ckpt_model *model, struct buf *to, struct ckpt_err *err)
{
	const struct users u = { .model = model };
	struct reading r = { to, err };
	int ret = each_set(&u, read_set, &r);

	return ret ? ret : each_queue(&u, read_queue, &r);
}
