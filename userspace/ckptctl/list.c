// SPDX-License-Identifier: GPL-2.0-only
/* list.c - ckptctl list: what is in the store. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "store.h"
#include "util.h"

static const struct ctl_opt opts[] = { { } };

#define I(x)	((json_int_t)(x))

/* When it was read whole, "no", or "damaged". */
static json_t *verified(const struct store_entry *e)
{
	time_t t = e->verified_ns / 1000000000;
	char text[OUT_SMALL];
	struct tm tm;

	if (e->verdict == STORE_DAMAGED)
		return json_string("damaged");
	if (e->verdict != STORE_SOUND || !gmtime_r(&t, &tm) ||
	    !strftime(text, sizeof(text), "%FT%TZ", &tm))
		return json_string("no");
	return json_string(text);
}

static int add(const struct store_entry *e, void *arg)
{
	json_t *list = arg, *o, *more;
	char ref[STORE_NAME_MAX + 24];

	snprintf(ref, sizeof(ref), "%s@%llu", e->name, (unsigned long long)e->generation);
	o = json_pack("{s:s,s:s,s:I,s:I,s:o,s:o,s:I}", "ref", ref, "name", e->name,
		      "generation", I(e->generation), "size", I(e->size),
		      "path", report_text(e->path), "verified", verified(e),
		      "verified_ns", I(e->verified_ns));
	if (e->info)
		more = json_pack("{s:i,s:o,s:I,s:b,s:b,s:I,s:o,s:o}", "pid", (int)e->info->pid,
				 "comm", report_text(e->info->comm),
				 "created_ns", I(e->info->created_ns),
				 "delta", image_info_is_delta(e->info),
				 "encrypted", image_info_is_encrypted(e->info),
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

/* ---------------------------------------------------------------------------- for people */

/* How long ago, in the one unit that says most. */
static const char *age(uint64_t then_ns, char *buf)
{
	static const struct {
		uint64_t	seconds;
		const char	*unit;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	uint64_t now = util_clock_ns(CLOCK_REALTIME);
	uint64_t s = now > then_ns ? (now - then_ns) / 1000000000 : 0;
	size_t i = 0;

	while (i < 3 && s < 2 * units[i].seconds)
		i++;
	snprintf(buf, OUT_SMALL, "%llu %s", (unsigned long long)(s / units[i].seconds), units[i].unit);
	return buf;
}

static const char *kind(json_t *o, char *buf)
{
	if (!json_is_true(json_object_get(o, "delta")))
		return "full";
	snprintf(buf, OUT_SMALL, "delta of %llu",
		 (unsigned long long)out_get(o, "parent_generation"));
	return buf;
}

static const char *when_verified(json_t *o, char *buf)
{
	const char *said = out_get_text(o, "verified");

	return strcmp(said, "no") && strcmp(said, "damaged") ?
	       out_date(out_get(o, "verified_ns"), buf) : said;
}

/* The job those from @i on are of. */
static void human_job(json_t *list, size_t i)
{
	const char *name = out_get_text(json_array_get(list, i), "name");
	char size[OUT_SMALL];
	uint64_t bytes = 0;
	size_t n = 0;

	for (; i < json_array_size(list); i++, n++) {
		json_t *o = json_array_get(list, i);

		if (strcmp(out_get_text(o, "name"), name))
			break;
		bytes += out_get(o, "size");
	}
	printf("%s%s%s  %zu generation%s, %s\n", out_bold(), name, out_plain(), n, n == 1 ? "" : "s",
	       out_size(bytes, size));
}

static void human_generation(json_t *o)
{
	char size[OUT_SMALL], old[OUT_SMALL], of[OUT_SMALL], date[OUT_SMALL];
	const bool bad = !strcmp(out_get_text(o, "verified"), "damaged");

	if (json_object_get(o, "error")) {
		printf("  %-26s %-16s %10s  %s%s%s\n", out_get_text(o, "ref"), "?",
		       out_size(out_get(o, "size"), size), out_red(), out_get_text(o, "error"),
		       out_plain());
		return;
	}
	printf("  %-26s %-16s %10s  %7s  %s%-19s%s %8u  %s\n", out_get_text(o, "ref"), kind(o, of),
	       out_size(out_get(o, "size"), size), age(out_get(o, "created_ns"), old),
	       bad ? out_red() : "", when_verified(o, date), bad ? out_plain() : "",
	       (unsigned int)out_get(o, "pid"), out_get_text(o, "comm"));
}

static void human(const struct ctl *ctl, json_t *report)
{
	json_t *list = json_object_get(report, "generations"), *o;
	const char *name = "";
	size_t i;

	if (out_tty() && json_array_size(list))
		printf("%s  %-26s %-16s %10s  %7s  %-19s %8s  %s%s\n", out_bold(), "REF", "KIND", "SIZE",
		       "AGE", "VERIFIED", "PID", "COMMAND", out_plain());
	json_array_foreach(list, i, o) {
		if (strcmp(out_get_text(o, "name"), name))
			human_job(list, i);
		name = out_get_text(o, "name");
		human_generation(o);
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
	.about = "\nVERIFIED is when 'ckptctl verify' last read it whole, and found it sound; or no, or damaged.",
};
