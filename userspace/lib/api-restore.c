// SPDX-License-Identifier: LGPL-2.1-or-later
/* api-restore.c - libckpt.h: bring a process back. */
#include <errno.h>
#include <stdlib.h>

#include "libckpt.h"

#include "api-priv.h"
#include "restore.h"

#define CKPT_RESTORE_ALL	(CKPT_RESTORE_DISCARD_NEWER | CKPT_RESTORE_PIDNS)

/* Both arrays are laid out alike in both headers, but are other types: copy. */
struct options {
	struct ckpt_restore_opts	opts;
	struct ckpt_restore_fd		*fds;
	struct ckpt_restore_path	*paths;
};

static void free_options(struct options *o)
{
	free(o->fds);
	free(o->paths);
}

/* @o is the caller's to free, after a failure too. */
static int make_options(const struct ckpt_restore_request *q, struct ckpt_err *err,
			struct options *o)
{
	if (q->size != sizeof(*q) || !q->ref || q->reserved || q->flags & ~CKPT_RESTORE_ALL)
		return ckpt_err_set(err, EINVAL, "restore: size, flags or reference of the request");
	o->fds = calloc(q->nr_fds + 1, sizeof(*o->fds));
	o->paths = calloc(q->nr_paths + 1, sizeof(*o->paths));
	if (!o->fds || !o->paths)
		return ckpt_err_sys(err, ENOMEM, "%s", q->ref);
	for (size_t i = 0; i < q->nr_fds; i++)
		o->fds[i] = (struct ckpt_restore_fd){ q->fds[i].fd, q->fds[i].path };
	for (size_t i = 0; i < q->nr_paths; i++)
		o->paths[i] = (struct ckpt_restore_path){ q->paths[i].from, q->paths[i].to };
	o->opts.fds = o->fds;
	o->opts.nr_fds = q->nr_fds;
	o->opts.paths = o->paths;
	o->opts.nr_paths = q->nr_paths;
	o->opts.files_dir = q->files_dir;
	o->opts.root = q->root;
	o->opts.discard_newer = q->flags & CKPT_RESTORE_DISCARD_NEWER;
	o->opts.pidns = q->flags & CKPT_RESTORE_PIDNS;
	return 0;
}

/*
 * One of @ret_pid and @ret_status is NULL: that is the difference between the two calls.  Either way
 * the process is the caller's child, never detached: who else would hear how it ended?
 */
static int restore(struct ckpt_store *store, const struct ckpt_restore_request *request,
		   struct ckpt_err *err, pid_t *ret_pid, int *ret_status)
{
	struct options o = { 0 };
	struct chain *chain;
	int ret = make_options(request, err, &o);

	if (!ret)
		ret = chain_open(api_store(store), request->ref, true, err, &chain);
	if (!ret) {
		o.opts.chain = chain;
		o.opts.store = api_store(store);
		ret = api_unlock(store, chain, err);
		if (!ret)
			ret = ret_pid ? ckpt_restore_run(&o.opts, err, ret_pid) :
				ckpt_restore_foreground(&o.opts, err, ret_status);
		chain_close(chain);
	}
	free_options(&o);
	return ret;
}

int ckpt_restore_start(struct ckpt_store *store, const struct ckpt_restore_request *request,
		       struct ckpt_err *err, pid_t *ret_pid)
{
	return restore(store, request, err, ret_pid, NULL);
}

int ckpt_restore_wait(struct ckpt_store *store, const struct ckpt_restore_request *request,
		      struct ckpt_err *err, int *ret_status)
{
	return restore(store, request, err, NULL, ret_status);
}
