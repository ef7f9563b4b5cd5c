// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * retain.c - see retain.h.  Of each job the newest readable generations are counted off; the oldest of
 * them, if it is a delta, is folded, so that nothing before it is needed; then store_gc() removes what
 * nobody needs.  Dying in between leaves more than was asked for, never less.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "compact.h"
#include "retain.h"
#include "util.h"

/* A readable generation of a job, in rising order. */
struct kept_generation {
	char		name[STORE_NAME_MAX + 1];
	uint64_t	generation;
	uint64_t	created_ns;
	bool		delta;
	bool		encrypted;
};

static int note(const struct store_entry *e, void *arg)
{
	struct kept_generation g = { .generation = e->generation };

	if (!e->info)
		return 0;
	snprintf(g.name, sizeof(g.name), "%s", e->name);
	g.created_ns = e->info->created_ns;
	g.delta = image_info_is_delta(e->info);
	g.encrypted = image_info_is_encrypted(e->info);
	return buf_append(arg, &g, sizeof(g));
}

/* How many of the @n generations of one job, the newest last, are to stay. */
static unsigned int count_kept(const struct retain_opts *o, const struct kept_generation *g, size_t n)
{
	uint64_t now = util_clock_ns(CLOCK_REALTIME);
	unsigned int keep = o->keep ? o->keep : o->max_age_ns ? RETAIN_MIN : 0, young = 0;

	while (o->max_age_ns && young < n &&
	       (g[n - 1 - young].created_ns >= now || now - g[n - 1 - young].created_ns <= o->max_age_ns))
		young++;
	return keep > young ? keep : young;
}

static int fold(struct store *store, const struct retain_opts *o, const struct kept_generation *g,
		struct ckpt_err *err, struct retain_result *r)
{
	char ref[STORE_NAME_MAX + 24];
	struct compact_result folded;
	int ret;

	if (g->encrypted && !store_keyring(store)) {
		r->locked++;
		return 0;
	}
	snprintf(ref, sizeof(ref), "%s@%llu", g->name, (unsigned long long)g->generation);
	ret = compact_run(store, ref, o->level, o->progress, o->progress_arg, err, &folded);
	if (ret == -ENOKEY) {
		ckpt_err_clear(err);
		r->locked++;
		return 0;
	}
	r->folded += !ret;
	return ret;
}

/* One job; @g are its @n readable generations. */
static int retain_job(struct store *store, const struct retain_opts *o, const struct kept_generation *g,
		      size_t n, struct ckpt_err *err, struct retain_result *r)
{
	unsigned int keep = count_kept(o, g, n);
	struct store_removed removed = { 0 };
	int ret = 0, gone;

	if (keep && keep < n && g[n - keep].delta && !o->no_fold)
		ret = fold(store, o, &g[n - keep], err, r);
	if (ret == -EINTR)
		return ret;
	gone = store_gc(store, g->name, keep, ret ? NULL : err, &removed);
	r->removed.generations += removed.generations;
	r->removed.temporaries += removed.temporaries;
	r->removed.bytes += removed.bytes;
	r->removed.held += removed.held;
	r->removed.unreadable += removed.unreadable;
	return ret ? ret : gone;
}

/* Jobs one after the other, in @all. */
static int retain_all(struct store *store, const struct retain_opts *o, const struct buf *all,
		      struct ckpt_err *err, struct retain_result *r)
{
	const struct kept_generation *g = (const void *)all->data;
	size_t n = all->len / sizeof(*g);
	int first = 0;

	for (size_t i = 0, next; i < n; i = next) {
		struct ckpt_err why = CKPT_ERR_INIT;
		int ret;

		for (next = i + 1; next < n && !strcmp(g[next].name, g[i].name);)
			next++;
		ret = retain_job(store, o, &g[i], next - i, &why, r);
		if (ret && !first)
			first = ckpt_err_set(err, ret, "%s", why.text);
		if (ret == -EINTR)
			break;
	}
	return first;
}

static int retain_generations(struct store *store, const struct retain_opts *opts, struct ckpt_err *err,
			      struct retain_result *r)
{
	struct buf all = { 0 };
	int ret;

	r->removed.held = 0;
	r->removed.unreadable = 0;
	ret = store_list_anew(store, opts->name, note, &all, err);
	if (ret == -ENOMEM)
		ckpt_err_sys(err, ret, "list of generations");
	if (!ret)
		ret = retain_all(store, opts, &all, err, r);
	buf_free(&all);
	return ret;
}

int retain_run(struct store *store, const struct retain_opts *opts, struct ckpt_err *err,
	       struct retain_result *ret_result)
{
	int ret;

	memset(ret_result, 0, sizeof(*ret_result));
	/* What dead writers left goes in any case, also of jobs nothing of which can be read. */
	ret = store_gc(store, opts->name, 0, err, &ret_result->removed);
	if (!ret && (opts->keep || opts->max_age_ns))
		ret = retain_generations(store, opts, err, ret_result);
	/* once, since it looks at all of the store */
	return ret ? ret : store_sweep(store, err, &ret_result->removed);
}
