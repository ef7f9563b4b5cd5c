/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remote-queue.h - many calls of a thread for the price of one stop.
 *
 * A call by remote_call() costs two stops of the thread, some ten microseconds.
 * Rebuilding a process takes a few calls a mapping and a thread, so those are
 * queued: a loop of a few instructions in the thread's memory makes one after
 * the other, up to the first that fails.
 *
 * The loop ends in a breakpoint.  The kernel forces SIGTRAP for it, which resets
 * the action of that signal if it is ignored: set that one afterwards.
 */
#ifndef CKPT_LIB_REMOTE_QUEUE_H
#define CKPT_LIB_REMOTE_QUEUE_H

#include "remote.h"

/* As the loop reads them. */
struct remote_entry {
	uint64_t nr;
	uint64_t args[6];
	int64_t ret;
};

/**
 * struct remote_queue - calls to be made
 * @r: by whom
 * @err: where failures are told; may be NULL
 * @entries: the calls; after remote_queue_run() with their results
 * @nr: how many
 * @done: how many succeeded in the last run
 * @texts: step and thing of each, for the error
 * @data: copies of their arguments, at the same offset as in scratch memory
 * @used: bytes of @data
 */
struct remote_queue {
	struct remote *r;
	struct ckpt_err *err;
	struct remote_entry *entries;
	size_t nr, done;
	char **texts;
	unsigned char *data;
	size_t used;
};

/* The loop; to be put at remote.loop in executable memory. */
extern const unsigned char remote_queue_code[], remote_queue_code_end[];

/* Calls go to scratch memory of @r, which must be there until the queue is ended. */
int remote_queue_begin(struct remote_queue *q, struct remote *r, struct ckpt_err *err);
void remote_queue_end(struct remote_queue *q);

/*
 * Queue a call.  Runs the queue first when it is full; so, and only then, may
 * it return the failure of an earlier call.  Arguments that point to data from
 * remote_queue_put() must have been put since the last run, hence
 * remote_queue_room().
 */
int remote_queue_add(struct remote_queue *q, long nr, const uint64_t args[6], const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Make sure that @calls calls and @bytes of data fit without a run in between. */
int remote_queue_room(struct remote_queue *q, size_t calls, size_t bytes);

/* Copy an argument; its address in the thread.  There must be room. */
uint64_t remote_queue_put(struct remote_queue *q, const void *data, size_t len);

/* Make the calls; the queue is empty afterwards but for the results. */
int remote_queue_run(struct remote_queue *q);

#endif
