/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_CALLS_H
#define _CKPT_CALLS_H

struct task_struct;

/* What a freeze does with a thread asleep in a call. */
enum ckpt_call_rest {
	CKPT_CALL_WAKE,		/* has to be woken, to tell what it did or how long it has yet to wait */
	CKPT_CALL_EITHER,	/* may be captured as it is, and may be woken: nobody sees it */
	CKPT_CALL_LEAVE,	/* may be captured as it is; to wake it could be seen */
};

enum ckpt_call_rest ckpt_call_rest(struct task_struct *task);

#endif /* _CKPT_CALLS_H */
