// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-hold.c - connections to outside that go on (snap --tcp=repair): nothing of them moves while they
 * are made.
 *
 * On the machine of the snapshot they are held already, by the table whose name is in the image; on another
 * one their addresses may be there already, and what comes in would find no socket, or half of one.  So they
 * are held by us, too, from before what the killed program's ends have left is cleared away, until all of
 * them are there.  Then both holds go.
 * A restore that fails after that holds them again, by name, before its sockets close: it can be tried again.
 *
 * struct restore_set owns our hold.
 */
#include <errno.h>
#include <stdlib.h>

#include "restore-socket.h"
#include "tcp.h"

static int list_them(const struct restore *root, struct hold_ends **ret, size_t *ret_nr)
{
	if (!is_root(root) || root->meta.tcp != META_TCP_REPAIR || !*root->meta.hold) {
		*ret = NULL;
		*ret_nr = 0;
		return 0;
	}
	return tcp_list_outside(root->m, ret, ret_nr);
}

int restore_hold(struct restore *rs)
{
	struct hold_ends *v;
	size_t nr;
	int r = list_them(rs, &v, &nr);

	if (r)
		return ckpt_err_sys(rs->err, r, "connections of process %d", rs->m->proc.pid);
	if (nr)
		r = hold_begin(v, nr, rs->err, &rs->set->hold);
	for (size_t i = 0; !r && i < nr; i++)
		restore_diag_clear_one(&v[i]);
	free(v);
	return r;
}

int restore_hold_release(struct restore *rs)
{
	int r;

	if (!is_root(rs) || !rs->set->hold)
		return 0;
	r = hold_release(rs->meta.hold, rs->err);
	if (r)
		return r;
	hold_end(rs->set->hold);
	rs->set->hold = NULL;
	rs->set->released = true;
	return 0;
}

void restore_hold_again(struct restore_set *set)
{
	struct hold_ends *v;
	size_t nr;

	if (!set->released || list_them(set->v, &v, &nr))
		return;
	if (nr)
		hold_keep(set->v->meta.hold, "a restore that failed", v, nr, NULL);
	free(v);
}
