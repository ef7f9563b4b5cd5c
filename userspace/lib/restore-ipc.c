// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-ipc.c - System V semaphore sets and message queues, see ipc.h: with number, key, owner, mode, and the
 * values or messages that they had.
 *
 * They outlive their program.  So one may still be there: then it is used, unless somebody else uses it, and
 * gets the content of the snapshot back if it has another one.
 *
 * Life of one:
 *  1. restore_ipc_open(): what the image tells of it; is there one of that number?  Nothing is touched.
 *  2. restore_ipc_make(): one that is not there is made by the first process, as the user who made it, and
 *     filled by it: then that process is its last user, and the next snapshot knows whose it is.
 *  3. restore_ipc_commit(), late, by the first process too: what was there gets its content back.
 *  4. restore_ipc_undo(): each process is given what it undoes at its end (SEM_UNDO), by two operations on a
 *     semaphore at once, the one of which is undone and the other leaves the value as it was.
 * A failure before 3 removes what was made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "buf.h"
#include "ipc.h"
#include "meta.h"
#include "restore-files.h"
#include "restore-segment.h"

/* SEMVMX of the kernel. */
#define SEM_VALUE_LIMIT	32767

struct own_ipc {
	const struct ipc_item *item;	/* its content is behind it */
	size_t len;			/* bytes of that */
	bool was_there;
	bool made;			/* and not removed yet */
};

static bool is_set(const struct own_ipc *o)
{
	return o->item->what == IPC_SEMAPHORES;
}

static int tell(struct restore *rs, const struct own_ipc *o, int code, const char *what)
{
	return ckpt_err_sys(rs->err, code, "System V %s %d (key %#x): %s",
			    is_set(o) ? "semaphores" : "message queue", o->item->id, (unsigned int)o->item->key, what);
}

static const struct ipc_message *next_message(const struct own_ipc *o, const struct ipc_message *m)
{
	return m ? (const void *)((const char *)(m + 1) + ipc_padded(m->len)) : (const void *)(o->item + 1);
}

/* ------------------------------------------------------------------------------- 1 */

static int parse(struct restore *rs, size_t len)
{
	struct restore_set *set = rs->set;

	set->ipc = calloc(len / sizeof(struct ipc_item) + 1, sizeof(*set->ipc));
	if (!set->ipc)
		return ckpt_err_sys(rs->err, ENOMEM, "System V semaphores and message queues");
	for (size_t at = 0; at < len;) {
		struct own_ipc *o = &set->ipc[set->nr_ipc];

		o->item = (const void *)((const char *)set->ipc_data + at);
		if (!ipc_measure(o->item, len - at, &o->len))
			return ckpt_err_set(rs->err, -EBADMSG, "the image does not tell what System V semaphores "
					    "and message queues there were");
		at += sizeof(*o->item) + o->len;
		set->nr_ipc++;
	}
	return 0;
}

static bool is_the_one(const struct ipc_item *item, const struct ipc_perm *p, unsigned long nr)
{
	return p->__key == item->key && p->cuid == item->cuid && p->cgid == item->cgid &&
	       (item->what == IPC_QUEUE || nr == item->nr);
}

static int look_for(struct restore *rs, struct own_ipc *o)
{
	struct semid_ds sem;
	struct msqid_ds msg;
	pid_t other;
	int r = is_set(o) ? semctl(o->item->id, 0, IPC_STAT, (union ipc_arg){ .ds = &sem }) :
			    msgctl(o->item->id, IPC_STAT, &msg);

	if (r)
		return errno == EINVAL || errno == EIDRM ? 0 : tell(rs, o, errno, "look for it");
	if (!(is_set(o) ? is_the_one(o->item, &sem.sem_perm, sem.sem_nsems) :
			  is_the_one(o->item, &msg.msg_perm, 0))) {
		r = tell(rs, o, EEXIST, "the number belongs to another one by now");
		ckpt_err_hint(rs->err, "remove that (ipcrm -%c %d) if nobody needs it", is_set(o) ? 's' : 'q',
			      o->item->id);
		return r;
	}
	o->was_there = true;
	other = ipc_stranger(rs->m, o->item->what, o->item->id);
	if (!other)
		return 0;
	r = tell(rs, o, EBUSY, "is used by others now");
	ckpt_err_hint(rs->err, "process %d has; end it first", other);
	return r;
}

int restore_ipc_open(struct restore *rs)
{
	struct restore_set *set = rs->set;
	int section = image_find(rs->image, IMAGE_META, (uint32_t)rs->m->proc.pid, META_SUB_IPC), r;
	size_t len;

	if (!is_root(rs) || section < 0)
		return 0;
	r = image_load(rs->image, (uint32_t)section, rs->err, &set->ipc_data, &len);
	if (!r)
		r = parse(rs, len);
	for (size_t i = 0; !r && i < set->nr_ipc; i++)
		r = look_for(rs, &set->ipc[i]);
	return r;
}

/* ------------------------------------------------------------------------------- contents */

static int send_message(struct restore *rs, const struct own_ipc *o, const struct ipc_message *m)
{
	struct remote *child = leader(rs);
	const uint64_t at = child->scratch;
	long ret;
	int r = remote_write(child, rs->err, at, &m->type, sizeof(m->type));

	if (!r)
		r = remote_write(child, rs->err, at + sizeof(m->type), m + 1, m->len);
	if (!r)
		r = remote_try(child, rs->err, SYS_msgsnd,
			       REMOTE_ARGS((uint64_t)o->item->id, at, m->len, IPC_NOWAIT), &ret);
	if (r || !ret)
		return r;
	/* It may have had more rights when it did that. */
	if (ret == -EACCES) {
		struct {
			long type;
			char text[];
		} *own = malloc(sizeof(*own) + m->len);

		if (!own)
			return tell(rs, o, ENOMEM, "fill it");
		own->type = (long)m->type;
		memcpy(own->text, m + 1, m->len);
		ret = msgsnd(o->item->id, own, m->len, IPC_NOWAIT) ? -errno : 0;
		free(own);
	}
	return ret ? tell(rs, o, (int)ret, "fill it") : 0;
}

static int set_values(struct restore *rs, const struct own_ipc *o)
{
	struct remote *child = leader(rs);
	long ret;
	int r = remote_write(child, rs->err, child->scratch, o->item + 1, o->len);

	if (!r)
		r = remote_try(child, rs->err, SYS_semctl,
			       REMOTE_ARGS((uint64_t)o->item->id, 0, SETALL, child->scratch), &ret);
	if (r || !ret)
		return r;
	if (ret == -EACCES)
		ret = semctl(o->item->id, 0, SETALL, (union ipc_arg){ .values = (void *)(o->item + 1) }) ? -errno : 0;
	return ret ? tell(rs, o, (int)ret, "set its values") : 0;
}

static int fill(struct restore *rs, const struct own_ipc *o)
{
	const struct ipc_message *m = NULL;
	int r = 0;

	if (is_set(o))
		return set_values(rs, o);
	for (uint32_t i = 0; !r && i < o->item->nr; i++) {
		m = next_message(o, m);
		r = send_message(rs, o, m);
	}
	return r;
}

/* Owner and mode; and how much a queue takes. */
static int set_owner(struct restore *rs, const struct own_ipc *o)
{
	const struct ipc_item *i = o->item;
	struct semid_ds sem = { .sem_perm = { .uid = i->uid, .gid = i->gid, .mode = (unsigned short)i->mode } };
	struct msqid_ds msg = {
		.msg_perm = { .uid = i->uid, .gid = i->gid, .mode = (unsigned short)i->mode },
		.msg_qbytes = i->room,
	};
	int r = is_set(o) ? semctl(i->id, 0, IPC_SET, (union ipc_arg){ .ds = &sem }) : msgctl(i->id, IPC_SET, &msg);

	return r ? tell(rs, o, errno, "set owner and mode") : 0;
}

/* ------------------------------------------------------------------------------- 2 */

static int get(struct restore *rs, const struct own_ipc *o, long *ret_id)
{
	const struct ipc_item *i = o->item;
	const uint32_t uid = geteuid(), gid = getegid();
	const uint64_t key = (uint64_t)i->key, flags = IPC_CREAT | IPC_EXCL | i->mode;
	const bool other = i->cuid != uid || i->cgid != gid;
	int r = other ? restore_become(rs, i->cuid, i->cgid, true) : 0;

	if (r)
		return r;
	r = restore_next_number(is_set(o) ? "sem" : "msg", i->id);
	if (r)
		return tell(rs, o, r, "choose its number (/proc/sys/kernel)");
	if (is_set(o))
		r = remote_try(leader(rs), rs->err, SYS_semget, REMOTE_ARGS(key, i->nr, flags), ret_id);
	else
		r = remote_try(leader(rs), rs->err, SYS_msgget, REMOTE_ARGS(key, flags), ret_id);
	return r || !other ? r : restore_become(rs, uid, gid, false);
}

static void remove_one(const struct own_ipc *o, int id)
{
	if (is_set(o))
		semctl(id, 0, IPC_RMID);
	else
		msgctl(id, IPC_RMID, NULL);
}

static int make(struct restore *rs, struct own_ipc *o)
{
	long id = -EINTR;
	int r = get(rs, o, &id);

	if (r)
		return r;
	if (id == -EEXIST) {
		r = tell(rs, o, EEXIST, "another one has its key by now");
		ckpt_err_hint(rs->err, "remove that (ipcrm -%c %#x) if nobody needs it", is_set(o) ? 'S' : 'Q',
			      (unsigned int)o->item->key);
		return r;
	}
	if (id < 0)
		return tell(rs, o, (int)id, "make it again");
	if (id != o->item->id) {
		remove_one(o, (int)id);
		r = tell(rs, o, EEXIST, "its place is taken by another one");
		ckpt_err_hint(rs->err, "that has the same number modulo 32768; ipcs lists them");
		return r;
	}
	o->made = true;
	/* The room comes before the messages. */
	r = set_owner(rs, o);
	return r ? r : fill(rs, o);
}

int restore_ipc_make(struct restore *rs)
{
	struct restore_set *set = rs->set;
	int r = 0;

	for (size_t i = 0; is_root(rs) && !r && i < set->nr_ipc; i++)
		if (!set->ipc[i].was_there)
			r = make(rs, &set->ipc[i]);
	return r;
}

/* ------------------------------------------------------------------------------- 3 */

/* Whether it holds what it held then. */
static int compare(struct restore *rs, const struct own_ipc *o, bool *ret_same)
{
	struct buf now = { 0 };
	uint32_t nr = o->item->nr;
	int r;

	if (is_set(o)) {
		r = buf_reserve(&now, o->len);
		if (!r) {
			memset(now.data, 0, o->len);
			now.len = o->len;
			r = semctl(o->item->id, 0, GETALL, (union ipc_arg){ .values = (void *)now.data }) ? -errno : 0;
		}
	} else {
		r = ipc_read_messages(o->item->id, &now, &nr);
		if (r == -EFBIG)
			r = 0;		/* that is another one */
	}
	*ret_same = !r && nr == o->item->nr && now.len == o->len &&
		    (!o->len || !memcmp(now.data, o->item + 1, o->len));
	buf_free(&now);
	return r ? tell(rs, o, r, "look what it holds") : 0;
}

static void empty(const struct own_ipc *o)
{
	struct {
		long type;
		char text[8];
	} one;

	while (!is_set(o) && msgrcv(o->item->id, &one, sizeof(one.text), 0, IPC_NOWAIT | MSG_NOERROR) >= 0)
		;
}

int restore_ipc_commit(struct restore *rs)
{
	struct restore_set *set = rs->set;
	int r = 0;

	for (size_t i = 0; is_root(rs) && !r && i < set->nr_ipc; i++) {
		const struct own_ipc *o = &set->ipc[i];
		bool same;

		if (!o->was_there)
			continue;
		r = compare(rs, o, &same);
		if (r || same)
			continue;
		empty(o);
		r = set_owner(rs, o);
		if (!r)
			r = fill(rs, o);
	}
	return r;
}

/* ------------------------------------------------------------------------------- 4 */

static const struct own_ipc *find_set(const struct restore *rs, const struct ckpt_model_semundo *s)
{
	for (size_t i = 0; i < rs->set->nr_ipc; i++) {
		const struct own_ipc *o = &rs->set->ipc[i];

		if (is_set(o) && o->item->id == s->rec.semid)
			return o->item->nr == s->rec.nr ? o : NULL;
	}
	return NULL;
}

/* The value must not leave its range in between. */
static int adjust(struct restore *rs, const struct own_ipc *o, uint32_t nr, int by)
{
	const int value = ((const uint16_t *)(o->item + 1))[nr];
	const struct sembuf undone = { (unsigned short)nr, (short)-by, SEM_UNDO | IPC_NOWAIT };
	const struct sembuf back = { (unsigned short)nr, (short)by, IPC_NOWAIT };
	const bool undone_first = value - by >= 0 && value - by <= SEM_VALUE_LIMIT;
	const struct sembuf ops[] = { undone_first ? undone : back, undone_first ? back : undone };
	struct remote *child = leader(rs);
	long ret;
	int r;

	r = remote_write(child, rs->err, child->scratch, ops, sizeof(ops));
	if (!r)
		r = remote_try(child, rs->err, SYS_semop, REMOTE_ARGS((uint64_t)o->item->id, child->scratch, 2), &ret);
	if (r || !ret)
		return r;
	return tell(rs, o, (int)ret, "have the process undo at its end what it did to them");
}

int restore_ipc_undo(struct restore *rs)
{
	int r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_semundos; i++) {
		const struct ckpt_model_semundo *s = &rs->m->semundos[i];
		const struct own_ipc *o = find_set(rs, s);

		if (!ckpt_model_undoes(s))
			continue;
		if (!o)
			return ckpt_err_set(rs->err, -EBADMSG, "the image has no semaphores %d, of which a process undoes "
					    "something at its end", s->rec.semid);
		for (uint32_t k = 0; !r && k < s->rec.nr; k++)
			if (s->adjustments[k])
				r = adjust(rs, o, k, s->adjustments[k]);
	}
	return r;
}

void restore_ipc_close(struct restore_set *set, bool failed)
{
	for (size_t i = 0; failed && i < set->nr_ipc; i++)
		if (set->ipc[i].made)
			remove_one(&set->ipc[i], set->ipc[i].item->id);
	free(set->ipc);
	free(set->ipc_data);
	set->ipc = NULL;
	set->ipc_data = NULL;
	set->nr_ipc = 0;
}
