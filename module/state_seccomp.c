// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: seccomp(2) filters of a thread.
 *
 * Owns nothing. A filter is never changed once it is installed, and lives as long as a thread has it.
 * A thread that is killed meanwhile lets go of its filters when it has no signal handlers any more:
 * under their lock, if it can be had, the list is whole. So all of it is read under that lock, into a
 * buffer that was allocated for what was counted under the lock before.
 *
 * What a filter looks like is the kernel's own affair (compat.h), and seccomp_get_filter(), which would
 * tell, is safe for a tracer alone. So nothing found there is trusted before it is read: each read may
 * fail, as many filters must be found as the thread says it has, and each must be a program. If not,
 * there is no record, and the thread is one of whose filters nothing is known.
 */
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/uaccess.h>

#include "alloc.h"
#include "compat/compat.h"
#include "record.h"
#include "state.h"
#include "target.h"

#if defined(CONFIG_SECCOMP_FILTER) && defined(CONFIG_CHECKPOINT_RESTORE)

/* As many instructions as a thread may have in all its filters, and few enough filters to count. */
#define MAX_INSNS	((1 << 18) / sizeof(struct sock_filter))

/* Where the next one is put; with no buffer only what it takes is counted. */
struct filters {
	u8 *buf;
	size_t room;
	size_t len;
	u32 nr;
};

static bool read_kernel(void *to, const void *from, size_t len)
{
	return !copy_from_kernel_nofault(to, from, len);
}

#define FETCH(to, from)	read_kernel(&(to), &(from), sizeof(to))

/* The program as it was given; false: that is no program. */
static bool find_program(const struct bpf_prog *prog, struct sock_fprog_kern *ret)
{
	struct sock_fprog_kern *orig;
	struct sock_filter last;

	return FETCH(orig, prog->orig_prog) && orig && FETCH(*ret, *orig) && ret->len && ret->len <= BPF_MAXINSNS &&
	       FETCH(last, ret->filter[ret->len - 1]) && BPF_CLASS(last.code) == BPF_RET;
}

static bool put_one(struct filters *f, const struct ckpt_seccomp_filter *at, struct ckpt_rec_seccomp *rec)
{
	struct sock_fprog_kern program;
	struct bpf_prog *prog;
	void *notif;
	bool log;
	size_t len;

	if (!FETCH(prog, at->prog) || !FETCH(notif, at->notif) || !FETCH(log, at->log) ||
	    !find_program(prog, &program))
		return false;
	rec->flags = (log ? CKPT_SECCOMP_LOG : 0) | (notif ? CKPT_SECCOMP_LISTENER : 0);
	rec->len = program.len;
	len = sizeof(*rec) + program.len * sizeof(struct sock_filter);
	if (f->buf) {
		if (len > f->room - f->len)
			return false;
		memcpy(f->buf + f->len, rec, sizeof(*rec));
		if (!read_kernel(f->buf + f->len + sizeof(*rec), program.filter, len - sizeof(*rec)))
			return false;
	}
	f->len += len;
	return true;
}

/* Newest first, as they hang together. */
static bool put_all(struct filters *f, struct task_struct *task)
{
	const struct ckpt_seccomp_filter *at = (const void *)task->seccomp.filter;
	struct ckpt_rec_seccomp rec = {
		.tid = ckpt_task_nr(task), .nr = atomic_read(&task->seccomp.filter_count),
	};

	f->len = 0;
	f->nr = 0;
	if (!rec.nr || rec.nr > MAX_INSNS)
		return false;
	for (; at; f->nr++) {
		if (f->nr == rec.nr)
			return false;
		rec.index = rec.nr - 1 - f->nr;
		if (!put_one(f, at, &rec) || !FETCH(at, at->prev))
			return false;
	}
	return f->nr == rec.nr;
}

/* False: they cannot be read, or the thread has gone. */
static bool put_locked(struct filters *f, struct task_struct *task)
{
	struct sighand_struct *sighand = ckpt_lock_sighand(task);
	bool done;

	if (!sighand)
		return false;
	done = put_all(f, task);
	ckpt_unlock_sighand(sighand);
	return done;
}

static void add_filters(struct ckpt_records *r, struct task_struct *task)
{
	struct filters f = { };
	size_t at, len;

	if (!put_locked(&f, task))
		return;
	f.room = f.len;
	f.buf = ckpt_alloc_array(f.room, 1);
	if (!f.buf) {
		r->err = r->err ?: -ENOMEM;
		return;
	}
	if (!put_locked(&f, task))
		f.len = 0;
	for (at = 0; at < f.len; at += len) {
		const struct ckpt_rec_seccomp *rec = (const void *)(f.buf + at);

		len = sizeof(*rec) + rec->len * sizeof(struct sock_filter);
		ckpt_record_begin(r, CKPT_REC_MUST | CKPT_REC_SECCOMP);
		ckpt_record_put(r, rec, len);
		ckpt_record_end(r);
	}
	kvfree(f.buf);
}

/* Those of a thread under seccomp: most have inherited what the leader has. */
void ckpt_state_seccomp(struct ckpt_records *r, struct task_struct *task, struct task_struct *leader)
{
	struct ckpt_rec_seccomp rec = { .tid = ckpt_task_nr(task), .flags = CKPT_SECCOMP_STRICT };

	if (task->seccomp.mode == SECCOMP_MODE_STRICT) {
		ckpt_record_add(r, CKPT_REC_MUST | CKPT_REC_SECCOMP, &rec);
	} else if (task->seccomp.mode == SECCOMP_MODE_FILTER && task != leader &&
		   READ_ONCE(task->seccomp.filter) == READ_ONCE(leader->seccomp.filter)) {
		rec.flags = 0;
		rec.like = ckpt_task_nr(leader);
		ckpt_record_add(r, CKPT_REC_MUST | CKPT_REC_SECCOMP, &rec);
	} else if (task->seccomp.mode == SECCOMP_MODE_FILTER) {
		add_filters(r, task);
	}
}

#else

void ckpt_state_seccomp(struct ckpt_records *r, struct task_struct *task, struct task_struct *leader)
{
}

#endif
