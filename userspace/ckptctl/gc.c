// SPDX-License-Identifier: GPL-2.0-only
/* gc.c - ckptctl gc: remove what interrupted snapshots left, and old generations. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>

#include "ctl.h"
#include "store.h"

static const struct ctl_opt opts[] = {
	{ 'k', "keep", "N", "keep the N newest generations of each job, remove older ones" },
	{ }
};

static void human(const struct ctl *ctl, json_t *o)
{
	char size[OUT_SMALL];

	printf("removed %u generation(s) and %u left-over file(s), %s\n",
	       (unsigned int)out_get(o, "generations"), (unsigned int)out_get(o, "temporaries"),
	       out_size(out_get(o, "bytes"), size));
	if (out_get(o, "held"))
		printf("%skept %u generation(s) because a newer one cannot be read%s\n", out_yellow(),
		       (unsigned int)out_get(o, "held"), out_plain());
	if (out_get(o, "unreadable"))
		printf("%skept %u generation(s) that cannot be read: 'ckptctl list' tells why%s\n",
		       out_yellow(), (unsigned int)out_get(o, "unreadable"), out_plain());
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct store_removed r = { 0 };
	struct store *store;
	const char *arg;
	int64_t keep = 0;
	int ret;

	while (ctl_next(ctl, argc, argv, &arg) == 'k')
		if (!ctl_number(arg, 1, INT_MAX, &keep))
			return ctl_usage(ctl, "'%s' is no number of generations", arg);
	if (argc - optind > 1)
		return ctl_usage(ctl, "one job at a time");
	ret = store_open(ctl->store, false, &ctl->err, &store);
	if (ret)
		return ctl_fail(ctl, NULL);
	ret = store_gc(store, argv[optind], keep, &ctl->err, &r);
	store_close(store);
	if (ret)
		return ctl_fail(ctl, NULL);
	return ctl_report(ctl, json_pack("{s:b,s:I,s:I,s:I,s:I,s:I}", "ok", 1,
					 "generations", (json_int_t)r.generations,
					 "temporaries", (json_int_t)r.temporaries,
					 "bytes", (json_int_t)r.bytes,
					 "held", (json_int_t)r.held,
					 "unreadable", (json_int_t)r.unreadable), human);
}

const struct verb verb_gc = {
	.name = "gc", .args = "[OPTION]... [JOB]", .opts = opts, .run = run,
	.summary = "Remove left-over files and old snapshots",
};
