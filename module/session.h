/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_SESSION_H
#define _CKPT_SESSION_H

struct ckpt_call;

int ckpt_session_attach(struct ckpt_call *call);
int ckpt_session_snap(struct ckpt_call *call);
int ckpt_session_untrack(struct ckpt_call *call);

#endif /* _CKPT_SESSION_H */
