// SPDX-License-Identifier: GPL-2.0-only
/*
 * State records of any content: parsed, and what was parsed judged and walked as a restore would.
 */
#include <stdlib.h>

#include "err.h"
#include "judge.h"
#include "state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was parsed is found by its number. */
static void walk(const struct ckpt_model *m)
{
	for (size_t i = 0; i < m->nr_fds; i++)
		if (ckpt_model_fd(m, m->fds[i].rec.fd) != &m->fds[i])
			abort();
	for (size_t i = 0; i < m->nr_vmas; i++)
		if (ckpt_model_vma(m, m->vmas[i].rec.start) != &m->vmas[i])
			abort();
	for (size_t i = 0; i < m->nr_threads; i++)
		if (ckpt_model_thread(m, m->threads[i].rec.tid) != &m->threads[i])
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct judge_opts opts = { .killed = size & 1 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct ckpt_model *model;
	struct judgement j = { 0 };

	if (ckpt_model_parse(data, size, &err, &model))
		return 0;
	walk(model);
	judge(model, &opts, &j);
	judgement_free(&j);
	ckpt_model_free(model);
	return 0;
}
