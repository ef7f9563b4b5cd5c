// SPDX-License-Identifier: GPL-2.0-only
/* diff.c - ckptctl diff: what changed in memory from one snapshot to another. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl.h"
#include "diff.h"

static const struct ctl_opt opts[] = { CTL_OPT_IDENTITY, { } };

#define I(x)	((json_int_t)(x))

/* What is different in one mapping; of memory in none, start and end are 0. */
struct mapping {
	const struct ckpt_model_vma *vma;
	uint64_t	pages[3];	/* by enum diff_kind */
	json_t		*ranges;
};

struct work {
	struct memory	a, b;
	struct mapping	now;
	json_t		*mappings;
	uint64_t	pages[3];
};

static const char * const kind_names[] = {
	[DIFF_CHANGED] = "changed", [DIFF_NEW] = "new", [DIFF_GONE] = "gone",
};

static int close_mapping(struct work *w)
{
	const struct ckpt_model_vma *v = w->now.vma;
	json_t *o;

	if (!w->now.ranges)
		return 0;
	o = json_pack("{s:o,s:o,s:o,s:I,s:I,s:I,s:o}",
		      "start", json_sprintf("%" PRIx64, v ? (uint64_t)v->rec.start : 0),
		      "end", json_sprintf("%" PRIx64, v ? (uint64_t)v->rec.end : 0),
		      "path", report_text(v ? v->path : NULL),
		      "changed", I(w->now.pages[DIFF_CHANGED]), "new", I(w->now.pages[DIFF_NEW]),
		      "gone", I(w->now.pages[DIFF_GONE]), "ranges", w->now.ranges);
	w->now = (struct mapping){ 0 };
	return json_array_append_new(w->mappings, o) ? -ENOMEM : 0;
}

static int add_range(struct work *w, uint64_t addr, uint64_t npages, enum diff_kind kind)
{
	json_t *o = json_pack("{s:o,s:I,s:s}", "start", json_sprintf("%" PRIx64, addr),
			      "pages", I(npages), "kind", kind_names[kind]);

	w->now.pages[kind] += npages;
	w->pages[kind] += npages;
	return json_array_append_new(w->now.ranges, o) ? -ENOMEM : 0;
}

/* A mapping is looked up where the page is: gone ones in the first, all others in the second. */
static int note(uint64_t addr, uint64_t npages, enum diff_kind kind, void *arg)
{
	struct work *w = arg;
	const struct memory *e = kind == DIFF_GONE ? &w->a : &w->b;
	uint64_t page_size = e->model->system.page_size;
	int ret = 0;

	while (!ret && npages) {
		const struct ckpt_model_vma *v = ckpt_model_vma(e->model, addr);
		uint64_t n = npages;

		if (v && (v->rec.end - addr) / page_size < n)
			n = (v->rec.end - addr) / page_size;
		if (!w->now.ranges || w->now.vma != v) {
			ret = close_mapping(w);
			w->now.vma = v;
			w->now.ranges = json_array();
		}
		if (!ret)
			ret = add_range(w, addr, n, kind);
		addr += n * page_size;
		npages -= n;
	}
	return ret;
}

static void human_mapping(const struct ctl *ctl, json_t *o)
{
	json_t *r;
	size_t i;

	printf("  %12s-%-12s %7u changed %7u new %7u gone  %s\n", out_get_text(o, "start"),
	       out_get_text(o, "end"), (unsigned int)out_get(o, "changed"),
	       (unsigned int)out_get(o, "new"), (unsigned int)out_get(o, "gone"),
	       out_get_text(o, "path"));
	if (!ctl->verbose)
		return;
	json_array_foreach(json_object_get(o, "ranges"), i, r)
		printf("      %s  %u page(s) %s\n", out_get_text(r, "start"),
		       (unsigned int)out_get(r, "pages"), out_get_text(r, "kind"));
}

static void human(const struct ctl *ctl, json_t *report)
{
	json_t *o;
	size_t i;

	printf("%s%s%s to %s%s%s: pages changed %" PRIu64 ", new %" PRIu64 ", gone %" PRIu64 "\n",
	       out_bold(), out_get_text(report, "from"), out_plain(), out_bold(),
	       out_get_text(report, "to"), out_plain(), out_get(report, "changed"),
	       out_get(report, "new"), out_get(report, "gone"));
	json_array_foreach(json_object_get(report, "mappings"), i, o)
		human_mapping(ctl, o);
}

/* NULL: ctl->err tells why. */
static json_t *compare(struct ctl *ctl, struct store *store, char **refs)
{
	struct work w = { .mappings = json_array() };
	json_t *report = NULL;
	int ret = memory_open(ctl, store, refs[0], &w.a);

	if (!ret)
		ret = memory_open(ctl, store, refs[1], &w.b);
	if (!ret)
		ret = diff_run(w.a.chain, w.b.chain, note, &w, &ctl->err);
	if (!ret)
		ret = close_mapping(&w);
	if (!ret)
		report = json_pack("{s:b,s:o,s:o,s:I,s:I,s:I,s:O}", "ok", 1,
				   "from", report_text(chain_ref(w.a.chain)->label),
				   "to", report_text(chain_ref(w.b.chain)->label),
				   "changed", I(w.pages[DIFF_CHANGED]), "new", I(w.pages[DIFF_NEW]),
				   "gone", I(w.pages[DIFF_GONE]), "mappings", w.mappings);
	if (!report)
		ckpt_err_sys(&ctl->err, ret ? ret : -ENOMEM, "%s", refs[1]);
	json_decref(w.now.ranges);
	json_decref(w.mappings);
	memory_close(&w.a);
	memory_close(&w.b);
	return report;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct store *store = NULL;
	const char *arg;
	json_t *report;

	while (ctl_next(ctl, argc, argv, &arg))
		;
	if (argc - optind != 2)
		return ctl_usage(ctl, "two snapshots are compared, no more and no less");
	if (!(store_ref_is_path(argv[optind]) && store_ref_is_path(argv[optind + 1])) &&
	    store_open(ctl->store, false, &ctl->err, &store))
		return ctl_fail(ctl, NULL);
	report = compare(ctl, store, argv + optind);
	store_close(store);
	return report ? ctl_report(ctl, report, human) : ctl_fail(ctl, NULL);
}

const struct verb verb_diff = {
	.name = "diff", .args = "[OPTION]... REF REF", .opts = opts, .run = run,
	.summary = "Tell what changed in memory between two snapshots",
	.about = "\nREF is JOB, JOB@GENERATION, or the path of an image. Bytes are compared, page by page,\n"
		 "and counted by mapping; with -v and --json each stretch of pages is told.",
};
