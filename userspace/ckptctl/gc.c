// SPDX-License-Identifier: GPL-2.0-only
/* gc.c - ckptctl gc: remove what interrupted snapshots left, and old generations. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "retain.h"

enum { OPT_KEEP_FOR = CTL_LONG, OPT_NO_COMPACT };

static const struct ctl_opt opts[] = {
	{ 'k', "keep", "N", "keep the N newest generations of each job, remove older ones" },
	{ OPT_KEEP_FOR, "keep-for", "TIME", "keep what is not older, and 3 in any case (12h, 7d)" },
	CTL_OPT_IDENTITY,
	{ OPT_NO_COMPACT, "no-compact", NULL, "keep what the kept ones are built on, fold nothing" },
	{ }
};

static void human(const struct ctl *ctl, json_t *o)
{
	char size[OUT_SMALL];

	printf("removed %u generation(s) and %u left-over file(s), %s\n",
	       (unsigned int)out_get(o, "generations"), (unsigned int)out_get(o, "temporaries"),
	       out_size(out_get(o, "bytes"), size));
	if (out_get(o, "copies"))
		printf("removed %u file(s) made out of images that no program uses\n",
		       (unsigned int)out_get(o, "copies"));
	if (out_get(o, "folded"))
		printf("folded %u generation(s) into full ones\n", (unsigned int)out_get(o, "folded"));
	if (out_get(o, "locked"))
		printf("%s%u encrypted generation(s) not folded, and what they are built on kept: no --identity "
		       "opens them%s\n", out_yellow(), (unsigned int)out_get(o, "locked"), out_plain());
	if (out_get(o, "held"))
		printf("%skept %u generation(s) because a newer one cannot be read%s\n", out_yellow(),
		       (unsigned int)out_get(o, "held"), out_plain());
	if (out_get(o, "unreadable"))
		printf("%skept %u generation(s) that cannot be read: 'ckptctl list' tells why%s\n",
		       out_yellow(), (unsigned int)out_get(o, "unreadable"), out_plain());
}

static json_t *report(const struct retain_result *r)
{
	return json_pack("{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "ok", 1,
			 "generations", (json_int_t)r->removed.generations,
			 "temporaries", (json_int_t)r->removed.temporaries,
			 "copies", (json_int_t)r->removed.copies,
			 "bytes", (json_int_t)r->removed.bytes, "held", (json_int_t)r->removed.held,
			 "unreadable", (json_int_t)r->removed.unreadable,
			 "folded", (json_int_t)r->folded, "locked", (json_int_t)r->locked);
}

static int clean(struct ctl *ctl, struct retain_opts *o)
{
	struct retain_result r;
	struct store *store;
	int ret, sig;

	if (ctl_keyring_if_can(ctl) || store_open(ctl->store, false, &ctl->err, &store))
		return ctl_fail(ctl, NULL);
	store_set_keyring(store, ctl->keyring);
	o->progress = progress_tell;
	progress_begin(ctl, "gc");
	ret = retain_run(store, o, &ctl->err, &r);
	sig = progress_end();
	store_close(store);
	if (ret && sig && ret == -EINTR) {
		ckpt_err_clear(&ctl->err);
		ckpt_err_set(&ctl->err, EINTR, "interrupted: what was removed is gone, the rest is as it was");
	}
	return ret ? ctl_fail(ctl, NULL) : ctl_report(ctl, report(&r), human);
}

/* A number and s, m, h, d or w. */
static bool parse_age(const char *text, uint64_t *ret_ns)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	size_t n = strspn(text, "0123456789");
	char digits[12];
	int64_t value;

	if (n >= sizeof(digits) || !text[n] || text[n + 1])
		return false;
	snprintf(digits, sizeof(digits), "%.*s", (int)n, text);
	if (!ctl_number(digits, 1, 1000000000, &value))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (units[i].unit == text[n] &&
		    !__builtin_mul_overflow(value * units[i].seconds, 1000000000ull, ret_ns))
			return true;
	return false;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct retain_opts o = { 0 };
	const char *arg;
	int64_t keep;
	int id;

	while ((id = ctl_next(ctl, argc, argv, &arg))) {
		if (id == 'k' && !ctl_number(arg, 1, INT_MAX, &keep))
			return ctl_usage(ctl, "'%s' is no number of generations", arg);
		if (id == OPT_KEEP_FOR && !parse_age(arg, &o.max_age_ns))
			return ctl_usage(ctl, "'%s' is no time: 90s, 30m, 12h, 7d, 4w", arg);
		if (id == 'k')
			o.keep = keep;
		else if (id == OPT_NO_COMPACT)
			o.no_fold = true;
	}
	if (argc - optind > 1)
		return ctl_usage(ctl, "one job at a time");
	o.name = argv[optind];
	return clean(ctl, &o);
}

const struct verb verb_gc = {
	.name = "gc", .args = "[OPTION]... [JOB]", .opts = opts, .run = run,
	.summary = "Remove left-over files and old snapshots",
	.about = "\nWithout --keep and --keep-for only what interrupted snapshots left is removed. The oldest\n"
		 "snapshot that is kept becomes a full one, if it is of changes, so that those it is built on\n"
		 "can go. A snapshot that another one needs is never removed.",
};
