// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: the whole record stream of a frozen process, in the order of the format.
 *
 * Owns nothing; the parts are in state_*.c, one for each kind of state.
 */
#include "freeze.h"
#include "record.h"
#include "state.h"

/**
 * ckpt_state_capture - write every record of a frozen process
 * @r: stream, empty
 * @frozen: the process
 * @written: NULL, or gets the files open for writing
 *
 * Return: 0, -ENOMEM, -EFBIG, -EAGAIN, -EINTR, -ESRCH.
 */
int ckpt_state_capture(struct ckpt_records *r, struct ckpt_frozen *frozen,
		       struct ckpt_written_list *written)
{
	struct ckpt_rec_end end;
	struct ckpt_thread *thread;

	/* Gone? The next look at the threads will tell why. */
	if (!ckpt_freeze_hold(frozen)) {
		ckpt_freeze_release(frozen);
		return -EAGAIN;
	}
	ckpt_state_process(r, frozen);
	ckpt_state_memory(r, frozen);
	ckpt_state_files(r, frozen, written);
	ckpt_state_signals(r, frozen);
	list_for_each_entry(thread, ckpt_frozen_threads(frozen), link)
		if (thread->state != CKPT_THREAD_GONE)
			ckpt_state_thread(r, frozen, thread);
	ckpt_freeze_release(frozen);

	end.records = r->nr;
	end.bytes = r->len;
	ckpt_record_add(r, CKPT_REC_END, &end);
	return r->err;
}
