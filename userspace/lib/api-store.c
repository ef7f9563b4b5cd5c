// SPDX-License-Identifier: LGPL-2.1-or-later
/* api-store.c - libckpt.h: a snapshot into a store, and what one can do with a store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libckpt.h"

#include "api-priv.h"
#include "cgroup.h"
#include "catalogue.h"
#include "compact.h"
#include "contents.h"
#include "report.h"
#include "snap.h"
#include "tar.h"

_Static_assert(CKPT_LEVEL_AUTO == IMAGE_LEVEL_AUTO && CKPT_LEVEL_NONE == IMAGE_LEVEL_NONE,
	       "they go through");

_Static_assert((int)CKPT_FILES_AUTO == SNAP_KEEP_AUTO && (int)CKPT_FILES_REFLINK == SNAP_KEEP_REFLINK &&
	       (int)CKPT_FILES_COPY == SNAP_KEEP_COPY && (int)CKPT_FILES_NONE == SNAP_KEEP_NONE &&
	       (int)CKPT_FILES_TRUNCATE == SNAP_KEEP_TRUNCATE &&
	       (int)CKPT_BARRIER_AFTER == SNAP_BARRIER_AFTER &&
	       (int)CKPT_BARRIER_STRICT == SNAP_BARRIER_STRICT &&
	       (int)CKPT_BARRIER_NONE == SNAP_BARRIER_NONE, "they go through");

_Static_assert((int)CKPT_OUTSIDE_REFUSE == META_TCP_REFUSE && (int)CKPT_OUTSIDE_CLOSE == META_TCP_CLOSE &&
	       (int)CKPT_OUTSIDE_RESET == META_TCP_RESET, "they go through");

struct ckpt_outcome {
	struct snap_result	result;
};

/* ---------------------------------------------------------------------------------- take */

int ckpt_take(const struct ckpt_take_request *request, struct ckpt_err *err,
	      struct ckpt_outcome **ret_outcome)
{
	struct recipients to = { 0 };
	struct ckpt_outcome *out;
	struct snap_opts o = { 0 };
	int ret = 0;

	*ret_outcome = NULL;
	if (request->size != sizeof(*request) ||
	    request->flags & ~(CKPT_TAKE_KILL | CKPT_TAKE_LOW_PRIORITY | CKPT_TAKE_FULL |
			       CKPT_TAKE_DELTA | CKPT_TAKE_NO_READBACK | CKPT_TAKE_DEDUP |
			       CKPT_TAKE_KEEP_DONTDUMP | CKPT_TAKE_NO_HOOKS | CKPT_TAKE_SELF_CONTAINED |
			       CKPT_TAKE_TREE | CKPT_TAKE_UNTRACKED | CKPT_TAKE_CUT_UNIX) ||
	    request->tcp > CKPT_OUTSIDE_REPAIR ||
	    request->files > CKPT_FILES_NONE || request->barrier > CKPT_BARRIER_NONE ||
	    !(~request->flags & (CKPT_TAKE_FULL | CKPT_TAKE_DELTA)) || (request->cgroup && request->pid))
		return ckpt_err_set(err, EINVAL, "ckpt_take: size or flags of the request");
	if (request->bwlimit && request->bwlimit < STREAM_LIMIT_MIN)
		return ckpt_err_set(err, EINVAL, "ckpt_take: less than %u bytes in a second",
				    STREAM_LIMIT_MIN);
	out = calloc(1, sizeof(*out));
	if (!out)
		return ckpt_err_sys(err, ENOMEM, "process %d", request->pid);
	o.pid = request->pid;
	o.store = request->store;
	o.name = request->name;
	o.tree = request->flags & CKPT_TAKE_TREE || request->cgroup;
	o.cgroup = request->cgroup;
	o.untracked = request->flags & CKPT_TAKE_UNTRACKED;
	o.kill = request->flags & CKPT_TAKE_KILL;
	o.keep_marked = request->flags & CKPT_TAKE_KEEP_DONTDUMP;
	o.no_hooks = request->flags & CKPT_TAKE_NO_HOOKS;
	o.hooks_timeout_ms = request->hooks_timeout_ms;
	o.no_readback = request->flags & CKPT_TAKE_NO_READBACK;
	o.dedup = request->flags & CKPT_TAKE_DEDUP;
	o.self_contained = request->flags & CKPT_TAKE_SELF_CONTAINED;
	o.low_priority = request->flags & CKPT_TAKE_LOW_PRIORITY;
	if (request->flags & CKPT_TAKE_FULL)
		o.mode = SNAP_FULL;
	else if (request->flags & CKPT_TAKE_DELTA)
		o.mode = SNAP_DELTA;
	o.timeout_ms = request->timeout_ms;
	o.level = request->level;
	o.keep = request->files;
	o.tcp = request->tcp;
	o.cut_unix = request->flags & CKPT_TAKE_CUT_UNIX;
	o.barrier = request->barrier;
	o.files_limit = request->files_limit;
	o.bwlimit = request->bwlimit;
	o.progress = request->progress;
	o.progress_arg = request->arg;
	if (o.cgroup)
		ret = cgroup_first(o.cgroup, err, &o.pid);
	for (size_t i = 0; !ret && i < request->nr_encrypt_to; i++)
		ret = recipients_parse(&to, request->encrypt_to[i], err);
	o.encrypt_to = request->nr_encrypt_to ? &to : NULL;
	*ret_outcome = out;
	if (!ret)
		ret = snap_run(&o, err, &out->result);
	recipients_free(&to);
	return ret;
}

void ckpt_outcome_free(struct ckpt_outcome *outcome)
{
	if (outcome)
		snap_result_free(&outcome->result);
	free(outcome);
}

const char *ckpt_outcome_ref(const struct ckpt_outcome *outcome)
{
	return outcome->result.ref;
}

const char *ckpt_outcome_path(const struct ckpt_outcome *outcome)
{
	return outcome->result.path;
}

const char *ckpt_outcome_parent(const struct ckpt_outcome *outcome)
{
	return outcome->result.parent;
}

const char *ckpt_outcome_why_full(const struct ckpt_outcome *outcome)
{
	return outcome->result.why_full;
}

uint64_t ckpt_outcome_size(const struct ckpt_outcome *outcome)
{
	return outcome->result.info.file_size;
}

const struct ckpt_stats *ckpt_outcome_stats(const struct ckpt_outcome *outcome)
{
	return &outcome->result.stats;
}

size_t ckpt_outcome_processes(const struct ckpt_outcome *outcome)
{
	return outcome->result.processes;
}

size_t ckpt_outcome_tcp_lost(const struct ckpt_outcome *outcome)
{
	return outcome->result.tcp_lost;
}

size_t ckpt_outcome_unix_lost(const struct ckpt_outcome *outcome)
{
	return outcome->result.unix_lost;
}

size_t ckpt_outcome_tcp_held(const struct ckpt_outcome *outcome)
{
	return outcome->result.tcp_held;
}

uint64_t ckpt_outcome_left_out(const struct ckpt_outcome *outcome)
{
	return outcome->result.omit.bytes;
}

uint64_t ckpt_outcome_hooks_ns(const struct ckpt_outcome *outcome)
{
	return outcome->result.hooks.ns;
}

size_t ckpt_outcome_refusals(const struct ckpt_outcome *outcome)
{
	return outcome->result.judgement.nr;
}

void ckpt_outcome_refusal(const struct ckpt_outcome *outcome, size_t i,
			  struct ckpt_refusal *ret_refusal)
{
	const struct refusal *r = &outcome->result.judgement.refusals[i];

	ret_refusal->pid = r->pid;
	ret_refusal->thing = r->thing;
	ret_refusal->number = r->number;
	ret_refusal->path = r->path;
	ret_refusal->reason = r->reason;
	ret_refusal->remedy = r->remedy;
}

/* --------------------------------------------------------------------------------- store */

int ckpt_store_open(const char *path, struct ckpt_err *err, struct ckpt_store **ret_store)
{
	struct ckpt_store *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return ckpt_err_sys(err, ENOMEM, "store");
	ret = store_open(path, false, err, &s->store);
	if (ret)
		free(s);
	else
		*ret_store = s;
	return ret;
}

void ckpt_store_close(struct ckpt_store *store)
{
	if (store) {
		store_close(store->store);
		keyring_free(store->keyring);
	}
	free(store);
}

struct lister {
	ckpt_generation_fn	fn;
	void			*arg;
};

static int tell(const struct store_entry *e, void *arg)
{
	const struct lister *l = arg;
	struct ckpt_generation g = {
		.name = e->name, .generation = e->generation, .size = e->size, .path = e->path,
		.error = e->error ? e->error->text : NULL,
	};

	if (e->info) {
		g.created_ns = e->info->created_ns;
		g.pid = e->info->pid;
		g.comm = e->info->comm;
	}
	return l->fn(&g, l->arg);
}

int ckpt_store_list(struct ckpt_store *store, const char *name, ckpt_generation_fn fn, void *arg,
		    struct ckpt_err *err)
{
	struct lister l = { fn, arg };

	return store_list(store->store, name, tell, &l, err);
}

int ckpt_store_show(struct ckpt_store *store, const char *ref, struct ckpt_err *err,
		    char **ret_json)
{
	struct store_ref found;
	struct image *image;
	json_t *report;
	char *text;
	int fd, ret = store_resolve(api_store(store), ref, err, &fd, &found);

	if (ret)
		return ret;
	ret = image_open(fd, found.label, err, &image);
	if (!ret) {
		ret = api_unlock_image(store, image, err);
		if (!ret)
			ret = report_image(image, found.label, err, &report);
		image_close(image);
	}
	close(fd);
	if (ret)
		return ret;
	text = meta_text(report, JSON_INDENT(2));
	json_decref(report);
	if (!text)
		return ckpt_err_sys(err, ENOMEM, "%s", ref);
	*ret_json = text;
	return 0;
}

int ckpt_store_verify(struct ckpt_store *store, const char *ref, struct ckpt_err *err)
{
	struct catalogue *catalogue;
	struct chain *chain;
	int ret = chain_open(api_store(store), ref, false, err, &chain);

	if (ret)
		return ret;
	catalogue = catalogue_open(api_store(store));
	ret = api_unlock_if_can(store, chain, err);
	if (ret == -EBADMSG)
		catalogue_forged(catalogue, chain);
	for (size_t i = 0; !ret && i < chain_length(chain); i++)
		ret = catalogue_verify(catalogue, chain, i, NULL, NULL, err, NULL);
	catalogue_close(catalogue);
	if (!ret)
		ret = chain_load(chain, image_get_info(chain_image(chain))->pid, err);
	if (!ret && !image_is_locked(chain_image(chain)))
		ret = contents_check(chain, image_get_info(chain_image(chain))->pid, err);
	chain_close(chain);
	return ret;
}

int ckpt_store_compact(struct ckpt_store *store, const char *ref, struct ckpt_err *err)
{
	struct compact_result result;
	int ret = store ? api_identities(store, err) : 0;

	return ret ? ret : compact_run(api_store(store), ref, 0, NULL, NULL, err, &result);
}

int ckpt_store_remove(struct ckpt_store *store, const char *ref, struct ckpt_err *err,
		      uint64_t *ret_bytes)
{
	struct store_removed removed = { 0 };
	struct store_ref r;
	int ret = store_ref_parse(ref, err, &r);

	if (!ret)
		ret = store_remove(store->store, r.name, r.generation, err, &removed);
	if (!ret)
		ret = store_sweep(store->store, err, &removed);
	if (!ret && ret_bytes)
		*ret_bytes = removed.bytes;
	return ret;
}

int ckpt_store_gc(struct ckpt_store *store, const char *name, unsigned int keep,
		  struct ckpt_err *err, uint64_t *ret_bytes)
{
	struct store_removed removed = { 0 };
	int ret = store_gc(store->store, name, keep, err, &removed);

	if (!ret)
		ret = store_sweep(store->store, err, &removed);
	if (!ret && ret_bytes)
		*ret_bytes = removed.bytes;
	return ret;
}

int ckpt_store_export(struct ckpt_store *store, const char *ref, uint32_t flags, int fd,
		      struct ckpt_err *err, uint64_t *ret_generations)
{
	const struct tar_export_opts o = {
		.ref = ref, .all = flags & CKPT_EXPORT_ALL, .fd = fd, .label = "archive",
	};
	struct tar_result r;
	int ret;

	if (flags & ~CKPT_EXPORT_ALL)
		return ckpt_err_set(err, EINVAL, "ckpt_store_export: flags");
	ret = tar_export(store->store, &o, err, &r);
	if (!ret && ret_generations)
		*ret_generations = r.generations.len / sizeof(struct tar_generation);
	tar_result_free(&r);
	return ret;
}

int ckpt_store_import(struct ckpt_store *store, int fd, const char *name, struct ckpt_err *err,
		      uint64_t *ret_new)
{
	const struct tar_import_opts o = { .fd = fd, .label = "archive", .name = name };
	struct tar_result r;
	int ret = tar_import(store->store, &o, err, &r);
	const struct tar_generation *g = (const void *)r.generations.data;

	if (!ret && ret_new) {
		*ret_new = 0;
		for (size_t i = 0; i < r.generations.len / sizeof(*g); i++)
			*ret_new += !g[i].present;
	}
	tar_result_free(&r);
	return ret;
}
