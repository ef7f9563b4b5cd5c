// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: what a process does to System V semaphores when it ends: semop(2), SEM_UNDO.
 *
 * Owns nothing. A process has a list of such adjustments, one for each set, shared by its threads; the list
 * is as private to ipc/sem.c as the sets are (compat.h), and no call tells of it. So what is found there is
 * believed only when it fits: the adjustments are those of this list, their set has the number they say, and they
 * are in the list of the set. How many semaphores that has is then compared by userspace with what semctl(2)
 * says. If anything does not fit there are no records, and the process is one of whose adjustments nothing is known.
 *
 * Locks: the list's, which keeps the adjustments, and RCU, which keeps the sets.
 */
#include <linux/idr.h>
#include <linux/ipc.h>
#include <linux/ipc_namespace.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "alloc.h"
#include "compat/compat.h"
#include "freeze.h"
#include "record.h"
#include "state.h"

/* ipc/util.h */
#define SEM_IDS		0
#define INDEX_MASK	((1 << 15) - 1)
#define LONG_INDEX_MASK	((1 << 24) - 1)		/* with ipcmni_extend */
/* SEMMSL's limit; and as many programs as may have adjustments of one set. */
#define MAX_NR		65536
#define MAX_BYTES	(1 << 20)

/* Where the next one is put; with no buffer only what it takes is counted. */
struct adjustments {
	u8 *buf;
	size_t room;
	size_t len;
};

static struct kern_ipc_perm *find_set(struct ipc_namespace *ns, int id)
{
	struct idr *idr = &ns->ids[SEM_IDS].ipcs_idr;
	struct kern_ipc_perm *perm = idr_find(idr, id & INDEX_MASK);

	if (!perm || perm->id != id)
		perm = idr_find(idr, id & LONG_INDEX_MASK);
	return perm && perm->id == id && !READ_ONCE(perm->deleted) ? perm : NULL;
}

/* Others take theirs out of that list, and leave a poisoned link. */
static bool is_in_list(const struct list_head *at, const struct list_head *head)
{
	unsigned int i;

	for (i = 0; i < MAX_NR && at != head; i++)
		if (copy_from_kernel_nofault(&at, &at->next, sizeof(at)))
			return false;
	return at == head;
}

/* How many semaphores the set has; 0: it is not as we think. */
static unsigned int size_of_set(struct ipc_namespace *ns, const struct ckpt_sem_undo *un)
{
	struct kern_ipc_perm *perm = find_set(ns, un->semid);
	struct ckpt_sem_array *set = container_of(perm, struct ckpt_sem_array, sem_perm);

	if (!perm || !is_in_list(&un->list_id, &set->list_id) || set->sem_nsems < 0 || set->sem_nsems > MAX_NR)
		return 0;
	return set->sem_nsems;
}

static bool put_all(struct adjustments *a, struct ckpt_sem_undo_list *list, struct ipc_namespace *ns)
{
	struct ckpt_sem_undo *un;

	a->len = 0;
	list_for_each_entry(un, &list->list_proc, list_proc) {
		struct ckpt_rec_semundo rec = { .semid = un->semid };
		size_t len;

		if (un->semid == -1)
			continue;		/* the set is being removed */
		rec.nr = un->ulp == list ? size_of_set(ns, un) : 0;
		len = sizeof(rec) + rec.nr * sizeof(s16);
		if (!rec.nr || len > (a->buf ? a->room : MAX_BYTES) - a->len)
			return false;
		if (a->buf) {
			memcpy(a->buf + a->len, &rec, sizeof(rec));
			memcpy(a->buf + a->len + sizeof(rec), un->semadj, len - sizeof(rec));
		}
		a->len += len;
	}
	return true;
}

static bool put_locked(struct adjustments *a, struct ckpt_sem_undo_list *list, struct ipc_namespace *ns)
{
	bool done;

	rcu_read_lock();
	spin_lock(&list->lock);
	done = put_all(a, list, ns);
	spin_unlock(&list->lock);
	rcu_read_unlock();
	return done;
}

static struct ckpt_sem_undo_list *list_of(const struct ckpt_thread *thread)
{
	return thread->state == CKPT_THREAD_GONE ? NULL : (void *)READ_ONCE(thread->task->sysvsem.undo_list);
}

/* The list of them all, if they share one with each other and nobody else; and a thread that has it. */
static struct ckpt_sem_undo_list *common_list(struct ckpt_frozen *frozen, struct task_struct **ret_task)
{
	struct ckpt_sem_undo_list *list = NULL, *its;
	struct ckpt_thread *thread;
	unsigned int users = 0;

	list_for_each_entry(thread, ckpt_frozen_threads(frozen), link) {
		its = list_of(thread);
		if (!its)
			continue;
		if (list && its != list)
			return NULL;
		list = its;
		*ret_task = thread->task;
		users++;
	}
	return list && refcount_read(&list->refcnt) == users ? list : NULL;
}

static void add_all(struct ckpt_records *r, struct ckpt_sem_undo_list *list, struct ipc_namespace *ns)
{
	struct adjustments a = { };
	size_t at, len;

	if (!put_locked(&a, list, ns))
		return;
	a.room = a.len;
	a.buf = ckpt_alloc_array(a.room, 1);
	if (!a.buf) {
		r->err = r->err ?: -ENOMEM;
		return;
	}
	/* Others may have removed a set, but nobody adds one. */
	if (!put_locked(&a, list, ns))
		a.len = 0;
	for (at = 0; at < a.len; at += len) {
		struct ckpt_rec_semundo rec;

		memcpy(&rec, a.buf + at, sizeof(rec));
		len = sizeof(rec) + rec.nr * sizeof(s16);
		ckpt_record_begin(r, CKPT_REC_MUST | CKPT_REC_SEMUNDO);
		ckpt_record_put(r, a.buf + at, len);
		ckpt_record_end(r);
	}
	kvfree(a.buf);
}

/* Does any thread have adjustments? The list exists as soon as there is a thread (CLONE_SYSVSEM). */
bool ckpt_has_sem_undo(struct ckpt_frozen *frozen)
{
	const struct ckpt_sem_undo_list *list;
	struct ckpt_thread *thread;

	list_for_each_entry(thread, ckpt_frozen_threads(frozen), link) {
		list = list_of(thread);
		if (list && !list_empty(&list->list_proc))
			return true;
	}
	return false;
}

/* Those of a process that has any; its threads are held, and with them list and name space. */
void ckpt_state_sem(struct ckpt_records *r, struct ckpt_frozen *frozen)
{
	struct ckpt_sem_undo_list *list;
	struct task_struct *task;

	list = common_list(frozen, &task);
	if (list && !list_empty(&list->list_proc))
		add_all(r, list, task->nsproxy->ipc_ns);
}
