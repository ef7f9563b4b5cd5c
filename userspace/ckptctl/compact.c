// SPDX-License-Identifier: GPL-2.0-only
/* compact.c - ckptctl compact: make a delta a full snapshot. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "ctl.h"
#include "compact.h"

enum { OPT_COMPRESS = CTL_LONG };

static const struct ctl_opt opts[] = {
	{ OPT_COMPRESS, "compress", "HOW", CTL_COMPRESS },
	CTL_OPT_IDENTITY,
	{ }
};

static void human(const struct ctl *ctl, json_t *o)
{
	char was[OUT_SMALL], is[OUT_SMALL];

	printf("%s%s%s\n", out_bold(), out_get_text(o, "ref"), out_plain());
	if (!json_is_true(json_object_get(o, "changed"))) {
		printf("  is a full snapshot already\n");
		return;
	}
	printf("  of %u generations, now on its own; %s, was %s\n",
	       (unsigned int)out_get(o, "generations"), out_size(out_get(o, "size"), is),
	       out_size(out_get(o, "old_size"), was));
}

static json_t *report(const struct compact_result *r)
{
	return json_pack("{s:b,s:o,s:b,s:I,s:I,s:I,s:I}", "ok", 1, "ref", report_text(r->label),
			 "changed", r->length > 1, "generations", (json_int_t)r->length,
			 "size", (json_int_t)r->info.file_size,
			 "old_size", (json_int_t)r->old_size,
			 "data_pages", (json_int_t)r->pages.data_pages);
}

static int compact(struct ctl *ctl, const char *ref, int level)
{
	struct compact_result r;
	struct store *store;
	int ret, sig;

	if (ctl_keyring_if_can(ctl) || store_open(ctl->store, false, &ctl->err, &store))
		return ctl_fail(ctl, NULL);
	store_set_keyring(store, ctl->keyring);
	progress_begin(ctl, "compact");
	ret = compact_run(store, ref, level, progress_tell, NULL, &ctl->err, &r);
	sig = progress_end();
	store_close(store);
	if (ret && sig && ret == -EINTR) {
		ckpt_err_clear(&ctl->err);
		ckpt_err_set(&ctl->err, EINTR, "interrupted: %s is as it was", ref);
	}
	if (ret)
		return ctl_fail(ctl, NULL);
	return ctl_report(ctl, report(&r), human);
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *arg;
	int level = IMAGE_LEVEL_AUTO;

	while (ctl_next(ctl, argc, argv, &arg) == OPT_COMPRESS)
		if (!ctl_compress(ctl, arg, &level))
			return CTL_USAGE;
	if (argc - optind != 1)
		return ctl_usage(ctl, argc == optind ? "what to compact is missing" :
				 "one snapshot at a time");
	return compact(ctl, argv[optind], level);
}

const struct verb verb_compact = {
	.name = "compact", .args = "[OPTION]... REF", .opts = opts, .run = run,
	.summary = "Make a snapshot of changes a full one",
	.about = "\nREF is JOB (its newest generation) or JOB@GENERATION. What is built on it stays so;\n"
		 "what it was built on is not needed by it any more: see gc.",
};
