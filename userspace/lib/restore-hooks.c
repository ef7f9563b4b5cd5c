// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-hooks.c - what a restored program's hooks are told.
 *
 * The program is as it was captured: the thread of its hooks waits to be told how the snapshot went.
 * The signal that tells it is left with the thread before the process runs an instruction, so that
 * there is no moment in which it could take something else for the answer (hooks-page.h).
 *
 * Images of older versions note no hooks; what is noted is taken as hostile.
 */
#include <errno.h>

#include "restore-priv.h"

int restore_hooks_noted(struct restore *rs, json_t *hooks)
{
	if (!hooks || json_is_null(hooks))
		return 0;
	if (!hooks_from_json(hooks, &rs->hooks))
		return ckpt_err_set(rs->err, -EBADMSG, "%s: what it tells of the program's hooks is not "
				    "understood", image_label(rs->image));
	if (!ckpt_model_thread(rs->m, rs->hooks.own_tid))
		return ckpt_err_set(rs->err, -EBADMSG, "%s: the thread of its hooks, %d, is none of its threads",
				    image_label(rs->image), rs->hooks.own_tid);
	return 0;
}

int restore_hooks(struct restore *rs)
{
	for (size_t i = 0; i < rs->m->nr_threads; i++) {
		int r;

		if (!rs->hooks.own_tid || rs->threads[i].t->rec.tid != rs->hooks.own_tid)
			continue;
		r = hooks_restored(&rs->hooks, rs->pid, rs->threads[i].remote.tid);
		return r ? ckpt_err_sys(rs->err, r, "signal to the hooks (thread %d)", rs->hooks.own_tid) : 0;
	}
	return 0;
}
