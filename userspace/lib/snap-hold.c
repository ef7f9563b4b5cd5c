// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap-hold.c - snap --tcp=repair: connections whose other end is outside are held still from before their
 * state is read until a restore has them.
 *
 * Which they are is known when the processes stand still and have been captured: then they are held, and all
 * is captured again.  Nobody makes another one meanwhile, but for who was in a system call: so it may
 * take more than one turn.
 * Until the processes are killed it is a hold that goes with us, and they have their connections again
 * whatever becomes of this snapshot; then, before they vanish and the kernel tells the other ends, one that
 * stays.  The image has its name.
 *
 * struct snap owns the hold and the list of what it holds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snap-priv.h"
#include "tcp.h"

static bool is_held(const struct snap *s, const struct hold_ends *v, size_t nr)
{
	return nr == s->nr_held && (!nr || !memcmp(v, s->held, nr * sizeof(*v)));
}

/* The new one before the old one goes: those of both are never let go. */
static int hold_them(struct snap *s, struct hold_ends *v, size_t nr)
{
	struct hold *h = NULL;
	int ret = *s->hold_name ? 0 : hold_new_name(s->err, s->hold_name);

	if (!ret && nr)
		ret = hold_begin(v, nr, s->err, &h);
	if (ret)
		return ret;
	snap_hold_end(s);
	s->hold = h;
	s->held = v;
	s->nr_held = s->r->tcp_held = nr;
	return 0;
}

int snap_hold(struct snap *s, bool *ret_again)
{
	struct hold_ends *v;
	size_t nr;
	int ret;

	*ret_again = false;
	if (s->opts->tcp != META_TCP_REPAIR)
		return 0;
	ret = tcp_list_outside(snap_root(s)->model, &v, &nr);
	if (ret)
		return ckpt_err_sys(s->err, ret, "connections of process %d", s->opts->pid);
	*ret_again = !is_held(s, v, nr);
	ret = *ret_again ? hold_them(s, v, nr) : 0;
	if (ret || !*ret_again)
		free(v);
	return ret;
}

int snap_hold_keep(struct snap *s)
{
	return s->nr_held ? hold_keep(s->hold_name, s->r->ref, s->held, s->nr_held, s->err) : 0;
}

void snap_hold_end(struct snap *s)
{
	hold_end(s->hold);
	free(s->held);
	s->hold = NULL;
	s->held = NULL;
	s->nr_held = 0;
}
