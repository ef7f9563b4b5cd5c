// SPDX-License-Identifier: GPL-2.0-only
/* memory.c - a snapshot's memory and the state that goes with it, for the verbs that look at both. */
#include <errno.h>

#include "ctl.h"

int memory_open(struct ctl *ctl, struct store *store, const char *ref, struct memory *m)
{
	struct ckpt_err *err = &ctl->err;
	const struct image_info *info;
	int ret = chain_open(store, ref, false, err, &m->chain);

	if (!ret)
		ret = ctl_unlock(ctl, m->chain, err);
	if (ret)
		return ret;
	info = image_get_info(chain_image(m->chain));
	ret = chain_load(m->chain, info->pid, err);
	if (!ret)
		ret = report_model(chain_image(m->chain), info->pid, err, &m->model);
	if (!ret && m->model->system.page_size != info->page_size)
		ret = ckpt_err_set(err, EBADMSG, "%s: its memory and its state have pages of "
				   "different size", chain_ref(m->chain)->label);
	return ret;
}

void memory_close(struct memory *m)
{
	ckpt_model_free(m->model);
	chain_close(m->chain);
}
