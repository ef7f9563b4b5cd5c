// SPDX-License-Identifier: LGPL-2.1-or-later
/* api-retain.c - libckpt.h: which generations of a store stay. */
#include <errno.h>

#include "libckpt.h"

#include "api-priv.h"
#include "retain.h"

/* The numbers, as far as the caller knows them; also those of what failed half way. */
static void tell(const struct retain_result *r, struct ckpt_retained *ret)
{
	ret->generations = r->removed.generations;
	ret->temporaries = r->removed.temporaries;
	ret->copies = r->removed.copies;
	ret->bytes = r->removed.bytes;
	ret->held = r->removed.held;
	ret->unreadable = r->removed.unreadable;
	ret->folded = r->folded;
	ret->locked = r->locked;
}

int ckpt_store_retain(struct ckpt_store *store, const struct ckpt_retain_request *request,
		      struct ckpt_err *err, struct ckpt_retained *ret_retained)
{
	struct retain_result result = { 0 };
	struct retain_opts o = { 0 };
	int ret;

	if (request->size != sizeof(*request) || request->flags & ~CKPT_RETAIN_NO_FOLD ||
	    request->reserved || (ret_retained && ret_retained->size != sizeof(*ret_retained)))
		return ckpt_err_set(err, EINVAL, "ckpt_store_retain: size or flags of the request, or size "
				    "of the result");
	o.name = request->name;
	o.keep = request->keep;
	o.max_age_ns = request->max_age_ns;
	o.no_fold = request->flags & CKPT_RETAIN_NO_FOLD;
	o.level = request->level;
	o.progress = request->progress;
	o.progress_arg = request->arg;
	ret = api_identities(store, err);
	if (!ret)
		ret = retain_run(store->store, &o, err, &result);
	if (ret_retained)
		tell(&result, ret_retained);
	return ret;
}
