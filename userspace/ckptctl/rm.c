// SPDX-License-Identifier: GPL-2.0-only
/* rm.c - ckptctl rm: remove snapshots. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "ctl.h"
#include "store.h"

enum { OPT_ALL = CTL_LONG };

static const struct ctl_opt opts[] = {
	{ OPT_ALL, "all", NULL, "with JOB: all of its generations" },
	{ }
};

static void human(const struct ctl *ctl, json_t *o)
{
	char size[OUT_SMALL];

	printf("removed %u generation(s), %s\n", (unsigned int)out_get(o, "generations"),
	       out_size(out_get(o, "bytes"), size));
}

static int remove_one(struct ctl *ctl, struct store *store, const char *text, bool all,
		      struct store_removed *sum)
{
	struct store_removed removed = { 0 };
	struct store_ref ref;
	int ret;

	if (store_ref_is_path(text))
		return ckpt_err_set(&ctl->err, EINVAL, "%s: is a path; rm works in a store, by name",
				    text);
	ret = store_ref_parse(text, &ctl->err, &ref);
	if (ret)
		return ret;
	if (!ref.generation && !all) {
		ret = ckpt_err_set(&ctl->err, EINVAL, "%s: names all generations of the job", text);
		ckpt_err_hint(&ctl->err, "give one as %s@GENERATION, or use --all", text);
		return ret;
	}
	ret = store_remove(store, ref.name, ref.generation, &ctl->err, &removed);
	sum->generations += removed.generations;
	sum->bytes += removed.bytes;
	return ret;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct store_removed sum = { 0 };
	struct store *store;
	const char *arg;
	bool all = false;
	int ret;

	while (ctl_next(ctl, argc, argv, &arg) == OPT_ALL)
		all = true;
	if (argc == optind)
		return ctl_usage(ctl, "what to remove is missing");
	ret = store_open(ctl->store, false, &ctl->err, &store);
	if (ret)
		return ctl_fail(ctl, NULL);
	for (int i = optind; !ret && i < argc; i++)
		ret = remove_one(ctl, store, argv[i], all, &sum);
	if (!ret)
		ret = store_sweep(store, &ctl->err, &sum);
	store_close(store);
	if (ret)
		return ctl_fail(ctl, NULL);
	return ctl_report(ctl, json_pack("{s:b,s:I,s:I}", "ok", 1, "generations",
					 (json_int_t)sum.generations, "bytes",
					 (json_int_t)sum.bytes), human);
}

const struct verb verb_rm = {
	.name = "rm", .args = "[OPTION]... REF...", .opts = opts, .run = run,
	.summary = "Remove snapshots from the store",
	.about = "\nREF is JOB@GENERATION, or JOB together with --all.",
};
