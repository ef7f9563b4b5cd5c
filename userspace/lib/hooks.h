/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hooks.h - ask the hooks of a program, from outside: who takes a snapshot or restores one.
 */
#ifndef CKPT_HOOKS_H
#define CKPT_HOOKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "err.h"
#include "hooks-page.h"

/**
 * struct hooks - the hooks of one program, in one snapshot; all zero: it has none
 * @pid: the program
 * @tid: its hooks' thread; 0: none
 * @own_tid: as the program knows it
 * @signal: to send
 * @addr: of its struct hooks_page
 * @number: of this snapshot
 * @waiting: they have been asked, and not told how it went
 * @ns: what the call before took, by our clock
 */
struct hooks {
	pid_t		pid;
	pid_t		tid;
	int32_t		own_tid;
	int32_t		signal;
	uint64_t	addr;
	uint64_t	number;
	bool		waiting;
	uint64_t	ns;
};

/* Asked now and then.  Not 0: stop waiting, and return that. */
typedef int (*hooks_go_on_fn)(void *arg);

/*
 * Have process @pid call its hook before a snapshot, and wait until it has returned, @timeout_ms at
 * most.  A program without hooks is no error.  -ETIMEDOUT; -ECANCELED: it did not wait for us.  After
 * a failure too hooks_after() has to be called.
 */
int hooks_before(pid_t pid, uint32_t timeout_ms, hooks_go_on_fn go_on, void *arg, struct ckpt_err *err,
		 struct hooks *ret_hooks);

/* Whether it has waited ever since: -ECANCELED unless what was captured meanwhile is of that wait. */
int hooks_check(const struct hooks *h, struct ckpt_err *err);

/* Tell it how it went, once: TAKEN or GIVEN_UP.  It may be gone. */
void hooks_after(struct hooks *h, enum hooks_what what);

/* For the image, NULL: no memory; and from there: false if it is not that. */
json_t *hooks_to_json(const struct hooks *h);
bool hooks_from_json(json_t *o, struct hooks *ret_hooks);

/* Leave RESTORED with the thread, now @tid of process @pid, which does not run yet.  0 or -errno. */
int hooks_restored(const struct hooks *h, pid_t pid, pid_t tid);

#endif
