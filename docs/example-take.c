// SPDX-License-Identifier: GPL-2.0-only
/* example-take STORE JOB PID: a snapshot of a process and all that descend from it. Needs -lckpt. */
#include <stdio.h>
#include <stdlib.h>
#include <libckpt.h>

static void tell(const struct ckpt_outcome *outcome)
{
	printf("%s: %zu processes, paused for %lu us\n", ckpt_outcome_ref(outcome),
	       ckpt_outcome_processes(outcome),
	       (unsigned long)(ckpt_outcome_stats(outcome)->out_pause_ns / 1000));
}

/* Why it was refused: all of it, not the first reason alone. */
static void tell_refusals(const struct ckpt_outcome *outcome)
{
	struct ckpt_refusal r;
	size_t i;

	for (i = 0; i < ckpt_outcome_refusals(outcome); i++) {
		ckpt_outcome_refusal(outcome, i, &r);
		fprintf(stderr, "process %d: %s %ld%s%s: %s%s%s\n", r.pid, r.thing, (long)r.number,
			r.path ? " " : "", r.path ?: "", r.reason, r.remedy ? "; " : "", r.remedy ?: "");
	}
}

int main(int argc, char **argv)
{
	struct ckpt_take_request request = { .size = sizeof(request), .flags = CKPT_TAKE_TREE };
	struct ckpt_outcome *outcome;
	struct ckpt_err *err = ckpt_err_new();
	int ret;

	if (argc != 4)
		return fprintf(stderr, "usage: %s STORE JOB PID\n", argv[0]), 2;
	request.store = argv[1];
	request.name = argv[2];
	request.pid = atoi(argv[3]);
	ret = ckpt_take(&request, err, &outcome);
	if (ret)
		fprintf(stderr, "%s\n", ckpt_err_text(err));
	if (outcome && ret)
		tell_refusals(outcome);
	else if (!ret)
		tell(outcome);
	ckpt_outcome_free(outcome);
	ckpt_err_free(err);
	return ret ? 1 : 0;
}
