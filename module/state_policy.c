// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: NUMA policies of threads and mappings.
 *
 * Owns nothing. A thread sets its own policy, and those of its mappings, and is still; what nodes
 * there are may change (cpusets) and rebind it, hence the locks of the callers. A policy may be as
 * large as a mask of all nodes the kernel could have, so one is only copied where there is one.
 */
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/task.h>

#include "alloc.h"
#include "record.h"
#include "state.h"
#include "target.h"

#ifdef CONFIG_NUMA

#define WORDS	BITS_TO_LONGS(MAX_NUMNODES)

struct ckpt_policy {
	struct ckpt_rec_mempolicy rec;
	unsigned long nodes[WORDS];
};

static void describe(struct ckpt_policy *p, const struct mempolicy *pol)
{
	/* With these the mask is kept as it was asked for, and what of it is used follows the cpuset. */
	bool asked = pol->flags & (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES);

	p->rec.mode = pol->mode | (pol->flags & MPOL_MODE_FLAGS);
	p->rec.home_node = pol->home_node;
	p->rec.nr_words = WORDS;
	bitmap_copy(p->nodes, nodes_addr(asked ? pol->w.user_nodemask : pol->nodes), MAX_NUMNODES);
}

/* The policy of a mapping, to be freed by kfree(); NULL: none. Under mmap_lock. */
struct ckpt_policy *ckpt_policy_of(struct vm_area_struct *vma, int *err)
{
	struct ckpt_policy *p;

	if (!vma->vm_policy)
		return NULL;
	p = ckpt_alloc(sizeof(*p));
	if (!p) {
		*err = -ENOMEM;
		return NULL;
	}
	p->rec.start = vma->vm_start;
	describe(p, vma->vm_policy);
	return p;
}

void ckpt_policy_add(struct ckpt_records *r, const struct ckpt_policy *p)
{
	ckpt_record_begin(r, CKPT_REC_MUST | CKPT_REC_MEMPOLICY);
	ckpt_record_put(r, &p->rec, sizeof(p->rec));
	ckpt_record_put(r, p->nodes, sizeof(p->nodes));
	ckpt_record_end(r);
}

/* That of a thread, when it has one. */
void ckpt_state_policy(struct ckpt_records *r, struct task_struct *task)
{
	struct ckpt_policy *p;
	bool has;

	if (!READ_ONCE(task->mempolicy))
		return;
	p = ckpt_alloc(sizeof(*p));
	if (!p) {
		r->err = r->err ?: -ENOMEM;
		return;
	}
	task_lock(task);
	has = task->mempolicy;
	if (has)
		describe(p, task->mempolicy);
	task_unlock(task);
	p->rec.tid = ckpt_task_nr(task);
	if (has)
		ckpt_policy_add(r, p);
	kfree(p);
}

#else

struct ckpt_policy *ckpt_policy_of(struct vm_area_struct *vma, int *err)
{
	return NULL;
}

void ckpt_policy_add(struct ckpt_records *r, const struct ckpt_policy *p)
{
}

void ckpt_state_policy(struct ckpt_records *r, struct task_struct *task)
{
}

#endif
