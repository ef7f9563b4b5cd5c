// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-seccomp.c - seccomp(2) filters.
 *
 * A thread that makes another one gives it its filters, the very same ones, and only who has the same as
 * the others, or fewer, can be brought in line with them later (SECCOMP_FILTER_FLAG_TSYNC).  So what all threads
 * begin with is installed in the first before there are others, and the rest in each when all are there;
 * both as long as it has our privileges, for it may have had more when it installed them than it has.
 *
 * None of the calls that we have it make is to be stopped by them: they are suspended
 * (PTRACE_O_SUSPEND_SECCOMP) until the thread is let go.  No state.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "remote-queue.h"
#include "restore-priv.h"

static bool same(const struct ckpt_model_seccomp *a, const struct ckpt_model_seccomp *b)
{
	return a->rec.flags == b->rec.flags && a->rec.len == b->rec.len &&
	       !memcmp(a->insns, b->insns, a->rec.len * sizeof(*a->insns));
}

/* With how many all threads begin. */
static size_t count_shared(const struct ckpt_model *m)
{
	size_t nr, shared;
	const struct ckpt_model_seccomp *first = ckpt_model_seccomps(m, m->threads[0].rec.tid, &shared);

	for (size_t i = 1; shared && i < m->nr_threads; i++) {
		const struct ckpt_model_seccomp *v = ckpt_model_seccomps(m, m->threads[i].rec.tid, &nr);

		if (v == first)
			continue;
		shared = nr < shared ? nr : shared;
		for (size_t k = 0; k < shared; k++)
			shared = same(&first[k], &v[k]) ? shared : k;
	}
	return shared;
}

/* What a filter may do to speculation of the processor it has not done: such a thread is refused. */
static int queue_filter(struct remote_queue *q, const struct ckpt_model_seccomp *s)
{
	const uint64_t flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW |
			       (s->rec.flags & CKPT_SECCOMP_LOG ? SECCOMP_FILTER_FLAG_LOG : 0);
	const size_t len = s->rec.len * sizeof(*s->insns);
	struct sock_fprog program = { .len = (unsigned short)s->rec.len };
	int e = remote_queue_room(q, 1, len + sizeof(program));

	if (e)
		return e;
	program.filter = (void *)(uintptr_t)remote_queue_put(q, s->insns, len);
	return remote_queue_add(q, SYS_seccomp,
				REMOTE_ARGS(SECCOMP_SET_MODE_FILTER, flags,
					    remote_queue_put(q, &program, sizeof(program))),
				"thread %d: seccomp filter %u", q->r->tid, s->rec.index);
}

/* Those of a thread from @from to @to. */
static int install(struct restore *rs, struct restore_thread *th, size_t from, size_t to)
{
	const struct ckpt_model_seccomp *v;
	struct remote_queue q;
	size_t nr;
	int e = 0;

	v = ckpt_model_seccomps(rs->m, th->t->rec.tid, &nr);
	to = to < nr ? to : nr;
	if (from >= to)
		return 0;
	e = remote_suspend_seccomp(th->remote.tid, rs->err);
	if (e == -EPERM)
		ckpt_err_hint(rs->err, "seccomp filters are restored with CAP_SYS_ADMIN, as by root, "
			      "and by who has none");
	if (!e)
		e = remote_queue_begin(&q, &th->remote, rs->err);
	if (e)
		return e;
	for (size_t i = from; !e && i < to; i++)
		e = queue_filter(&q, &v[i]);
	if (!e)
		e = remote_queue_run(&q);
	remote_queue_end(&q);
	return e;
}

int restore_seccomp_shared(struct restore *rs)
{
	return install(rs, &rs->threads[0], 0, count_shared(rs->m));
}

int restore_seccomp(struct restore *rs)
{
	const size_t shared = count_shared(rs->m);
	int e = 0;

	for (size_t i = 0; !e && i < rs->m->nr_threads; i++)
		e = install(rs, &rs->threads[i], shared, SIZE_MAX);
	return e;
}
