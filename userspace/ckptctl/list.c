// SPDX-License-Identifier: GPL-2.0-only
/* list.c - ckptctl list: what is in the store. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "ctl.h"
#include "store.h"

static const struct ctl_opt opts[] = { { } };

#define I(x)	((json_int_t)(x))

static int add(const struct store_entry *e, void *arg)
{
	json_t *list = arg, *o, *more;
	char ref[STORE_NAME_MAX + 24];

	snprintf(ref, sizeof(ref), "%s@%llu", e->name, (unsigned long long)e->generation);
	o = json_pack("{s:s,s:s,s:I,s:I,s:o}", "ref", ref, "name", e->name,
		      "generation", I(e->generation), "size", I(e->size),
		      "path", report_text(e->path));
	if (e->info)
		more = json_pack("{s:i,s:o,s:I,s:b,s:I,s:o,s:o}", "pid", (int)e->info->pid,
				 "comm", report_text(e->info->comm),
				 "created_ns", I(e->info->created_ns),
				 "delta", image_info_is_delta(e->info),
				 "parent_generation", I(e->info->parent_generation),
				 "hostname", report_text(e->info->hostname),
				 "kernel", report_text(e->info->kernel));
	else
		more = json_pack("{s:o}", "error", report_text(e->error->text));
	if (json_object_update_new(o, more)) {
		json_decref(o);
		return -ENOMEM;
	}
	return json_array_append_new(list, o) ? -ENOMEM : 0;
}

static void human(const struct ctl *ctl, json_t *report)
{
	json_t *list = json_object_get(report, "generations"), *o;
	char size[OUT_SMALL], date[OUT_SMALL];
	size_t i;

	if (out_tty() && json_array_size(list))
		printf("%s%-28s %10s  %-5s  %-19s %8s  %s%s\n", out_bold(), "REF", "SIZE", "KIND", "TAKEN",
		       "PID", "COMMAND", out_plain());
	json_array_foreach(list, i, o) {
		printf("%-28s %10s  ", out_get_text(o, "ref"), out_size(out_get(o, "size"), size));
		if (json_object_get(o, "error"))
			printf("%s%s%s\n", out_red(), out_get_text(o, "error"), out_plain());
		else
			printf("%-5s  %-19s %8u  %s\n",
			       json_is_true(json_object_get(o, "delta")) ? "delta" : "full",
			       out_date(out_get(o, "created_ns"), date),
			       (unsigned int)out_get(o, "pid"), out_get_text(o, "comm"));
	}
	if (!json_array_size(list))
		ctl_note(ctl, "%s is empty", out_get_text(report, "store"));
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct store *store = NULL;
	const char *arg, *path;
	json_t *list;
	int ret;

	while (ctl_next(ctl, argc, argv, &arg))
		;
	if (argc - optind > 1)
		return ctl_usage(ctl, "one job at a time");
	list = json_array();
	ret = store_open(ctl->store, false, &ctl->err, &store);
	if (!ret)
		ret = store_list(store, argv[optind], add, list, &ctl->err);
	else if (ret == -ENOENT && !argv[optind])
		ret = 0;		/* nothing was ever put into it */
	if (ret) {
		ckpt_err_sys(&ctl->err, ret, "list of snapshots");	/* if it was add() */
		store_close(store);
		json_decref(list);
		return ctl_fail(ctl, NULL);
	}
	path = store ? store_path(store) : ctl->store ? ctl->store : "the store";
	ret = ctl_report(ctl, json_pack("{s:b,s:o,s:o}", "ok", 1, "store", report_text(path),
					"generations", list), human);
	store_close(store);
	return ret;
}

const struct verb verb_list = {
	.name = "list", .args = "[OPTION]... [JOB]", .opts = opts, .run = run,
	.summary = "List the snapshots in the store",
};
