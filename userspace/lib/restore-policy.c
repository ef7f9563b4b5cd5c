// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-policy.c - NUMA policies of mappings and threads: where their memory is to come from.
 *
 * Those of mappings are set before the contents are put in, so that these come to lie where the program
 * wants them, as far as a policy tells; on which node a page was is not in the image.  The kernel
 * refuses nodes that it does not have.  No state.
 */
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "remote-queue.h"
#include "restore-priv.h"

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node	450	/* since Linux 5.17 */
#endif

/* The mask as an argument, with its length as the kernel counts it: one bit more than there are. */
static int put_nodes(struct remote_queue *q, const struct ckpt_model_policy *p, uint64_t *ret_at,
		     uint64_t *ret_bits)
{
	const size_t len = p->rec.nr_words * sizeof(uint64_t);
	int r = remote_queue_room(q, 2, len);

	if (r)
		return r;
	*ret_at = len ? remote_queue_put(q, p->nodes, len) : 0;
	*ret_bits = len ? len * 8 + 1 : 0;
	return 0;
}

static int bind(struct restore *rs, struct remote_queue *q, const struct ckpt_model_policy *p)
{
	const struct ckpt_rec_vma *v = &ckpt_model_vma(rs->m, p->rec.start)->rec;
	const uint64_t len = v->end - v->start;
	uint64_t at, bits;
	int r = put_nodes(q, p, &at, &bits);

	if (!r)
		r = remote_queue_add(q, SYS_mbind, REMOTE_ARGS(v->start, len, p->rec.mode, at, bits, 0),
				     "set the NUMA memory policy of mapping %#llx",
				     (unsigned long long)v->start);
	if (!r && p->rec.home_node >= 0)
		r = remote_queue_add(q, SYS_set_mempolicy_home_node,
				     REMOTE_ARGS(v->start, len, (uint64_t)p->rec.home_node, 0),
				     "set the home node of mapping %#llx", (unsigned long long)v->start);
	return r;
}

int restore_policy_map(struct restore *rs, struct remote_queue *q)
{
	int r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_policies; i++)
		if (!rs->m->policies[i].rec.tid)
			r = bind(rs, q, &rs->m->policies[i]);
	return r;
}

/* A thread that had none has that of whoever restores it (numactl) by now. */
static int drop_inherited(struct remote_queue *q, int tid)
{
	int mode = MPOL_DEFAULT;

	if (syscall(SYS_get_mempolicy, &mode, NULL, 0UL, NULL, 0UL) || mode == MPOL_DEFAULT)
		return 0;
	return remote_queue_add(q, SYS_set_mempolicy, REMOTE_ARGS(MPOL_DEFAULT, 0, 0),
				"thread %d: drop the NUMA memory policy of the caller", tid);
}

int restore_policy_thread(struct restore *rs, struct remote_queue *q, int tid)
{
	const struct ckpt_model_thread *t = ckpt_model_thread(rs->m, tid);
	uint64_t at, bits;
	int r = 0;

	if (!(t->rec.flags & CKPT_THREAD_MEMPOLICY))
		return drop_inherited(q, tid);

	for (size_t i = 0; !r && i < rs->m->nr_policies; i++) {
		const struct ckpt_model_policy *p = &rs->m->policies[i];

		if (p->rec.tid != tid)
			continue;
		r = put_nodes(q, p, &at, &bits);
		if (!r)
			r = remote_queue_add(q, SYS_set_mempolicy, REMOTE_ARGS(p->rec.mode, at, bits),
					     "thread %d: set its NUMA memory policy", tid);
	}
	return r;
}
