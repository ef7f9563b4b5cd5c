// SPDX-License-Identifier: GPL-2.0-only
/* ctl.c - options, exit codes and errors, alike for all verbs.  No state but getopt's. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "util.h"

#define OPTS_MAX	32
#define ID_JSON		(CTL_LONG + 1000)

static const struct ctl_opt common[] = {
	{ 'o', "store", "DIR", "where images are kept (CKPT_STORE, else /var/lib/ckpt)" },
	{ ID_JSON, "json", NULL, "print one JSON object instead of text" },
	{ 'v', "verbose", NULL, "tell more" },
	{ 'q', "quiet", NULL, "tell errors only" },
	{ 'h', "help", NULL, "show this" },
	{ 'V', "version", NULL, "show the version" },
	{ }
};

static void help_opts(const struct ctl_opt *opts)
{
	for (; opts->id; opts++) {
		char left[40];
		int n = 0;

		n += snprintf(left, sizeof(left), opts->id < CTL_LONG ? "  -%c, " : "      ", opts->id);
		n += snprintf(left + n, sizeof(left) - n, "--%s%s%s", opts->name,
			      opts->arg ? " " : "", opts->arg ? opts->arg : "");
		printf("%-26s %s\n", left, opts->help);
	}
}

static void help_verb(const struct verb *verb)
{
	printf("usage: ckptctl %s %s\n\n%s.\n", verb->name, verb->args, verb->summary);
	if (verb->about)
		printf("%s\n", verb->about);
	putchar('\n');
	help_opts(verb->opts);
	if (verb->opts->id)
		putchar('\n');
	help_opts(common);
}

void ctl_help_all(const struct verb * const *verbs)
{
	puts("usage: ckptctl VERB [OPTION]... [ARGUMENT]...\n\n"
	     "Snapshots of running programs, and programs brought back from them.\n");
	for (; *verbs; verbs++)
		printf("  %-9s %s\n", (*verbs)->name, (*verbs)->summary);
	puts("\n'ckptctl VERB --help' tells more; so does ckptctl(8).\n"
	     "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not supported here, 4 process gone.");
}

/* The one way to standard error. */
static void say(const struct ctl *ctl, const char *fmt, va_list args)
{
	char *text = NULL;

	if (ctl)
		fprintf(stderr, "ckptctl: %s%s", ctl->verb ? ctl->verb->name : "",
			ctl->verb ? ": " : "");
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	if (text)
		util_make_printable(text);
	fprintf(stderr, "%s\n", text ? text : "no memory");
	free(text);
}

static void __attribute__((format(printf, 2, 3))) tell(const struct ctl *ctl, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(ctl, fmt, args);
	va_end(args);
}

void ctl_say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(NULL, fmt, args);
	va_end(args);
}

int ctl_usage(const struct ctl *ctl, const char *fmt, ...)
{
	char text[CKPT_ERR_TEXT];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	tell(ctl, "%s; see 'ckptctl %s%s--help'", text, ctl->verb ? ctl->verb->name : "",
	     ctl->verb ? " " : "");
	return CTL_USAGE;
}

/* ------------------------------------------------------------------------------- options */

struct tables {
	struct option	longs[OPTS_MAX];
	char		shorts[3 * OPTS_MAX];
	size_t		nr;
};

static void add_opts(struct tables *t, const struct ctl_opt *opts)
{
	for (; opts->id && t->nr + 1 < OPTS_MAX; opts++) {
		size_t len = strlen(t->shorts);

		t->longs[t->nr++] = (struct option){ opts->name, opts->arg ? required_argument :
						     no_argument, NULL, opts->id };
		if (opts->id < CTL_LONG)
			snprintf(t->shorts + len, sizeof(t->shorts) - len, "%c%s", opts->id,
				 opts->arg ? ":" : "");
	}
}

int ctl_next(struct ctl *ctl, int argc, char **argv, const char **ret_arg)
{
	struct tables t = { 0 };
	int id;

	add_opts(&t, ctl->verb->opts);
	add_opts(&t, common);
	opterr = 0;
	for (;;) {
		id = getopt_long(argc, argv, t.shorts, t.longs, NULL);
		switch (id) {
		case -1:
			return 0;
		case 'o':
			ctl->store = optarg;
			break;
		case ID_JSON:
			ctl->json = true;
			break;
		case 'v':
			ctl->verbose++;
			break;
		case 'q':
			ctl->quiet = true;
			break;
		case CTL_IDENTITY:
			if (ctl->nr_identities == CTL_IDENTITIES)
				exit(ctl_usage(ctl, "--identity: at most %d files", CTL_IDENTITIES));
			ctl->identities[ctl->nr_identities++] = optarg;
			break;
		case 'h':
			help_verb(ctl->verb);
			exit(CTL_OK);
		case 'V':
			puts("ckptctl " CKPT_VERSION);
			exit(CTL_OK);
		case '?':
			exit(ctl_usage(ctl, "'%s' is no option of it, or lacks its argument",
				       argv[optind - 1]));
		default:
			*ret_arg = optarg;
			return id;
		}
	}
}

bool ctl_number(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	char *end;
	long long n;

	if (!text[0] || strchr(" \t\n+", text[0]))
		return false;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || *end || n < min || n > max)
		return false;
	*ret = n;
	return true;
}

bool ctl_bytes(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	char digits[24];
	size_t n = strspn(text, "0123456789");
	const char *unit = text[n] ? strchr(units, text[n]) : NULL;
	int shift = unit ? 10 * (unit - units + 1) : 0;
	int64_t value;

	if (n >= sizeof(digits) || (text[n] && (!unit || text[n + 1])))
		return false;
	snprintf(digits, sizeof(digits), "%.*s", (int)n, text);
	if (!ctl_number(digits, 1, INT64_MAX >> shift, &value))
		return false;
	*ret = (uint64_t)value << shift;
	return true;
}

bool ctl_compress(const struct ctl *ctl, const char *text, int *ret_level)
{
	int64_t n;

	if (!strcmp(text, "auto")) {
		*ret_level = IMAGE_LEVEL_AUTO;
	} else if (!strcmp(text, "none")) {
		*ret_level = IMAGE_LEVEL_NONE;
	} else if (ctl_number(text, -7, 19, &n) && n) {
		*ret_level = n;
	} else {
		ctl_usage(ctl, "'%s' is no compression: auto, none, or a zstd level, -7 to 19", text);
		return false;
	}
	return true;
}

/* -------------------------------------------------------------------------------- errors */

int ctl_exit_code(int error)
{
	switch (abs(error)) {
	case 0:
		return CTL_OK;
	case ESRCH:
		return CTL_GONE;
	case EOPNOTSUPP:	/* the program, the image */
	case ENODEV:		/* no module */
	case EPROTO:		/* another version of it */
	case ENOSYS:		/* the kernel */
	case EDEADLK:		/* ourselves */
		return CTL_UNSUPPORTED;
	default:
		return CTL_FAILED;
	}
}

int ctl_fail(struct ctl *ctl, json_t *more)
{
	struct ckpt_err *err = &ctl->err;
	int code = ctl_exit_code(err->code);
	json_t *o;

	tell(ctl, "%s", err->text[0] ? err->text : strerror(err->code));
	if (ctl->json) {
		o = json_pack("{s:b,s:o,s:i,s:i}", "ok", 0, "error", report_text(err->text),
			      "errno", err->code, "exit", code);
		if (o && more)
			json_object_update(o, more);
		if (o)
			json_dumpf(o, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(o);
	}
	json_decref(more);
	return code == CTL_OK ? CTL_FAILED : code;
}

void ctl_note(const struct ctl *ctl, const char *fmt, ...)
{
	va_list args;

	if (ctl->quiet)
		return;
	va_start(args, fmt);
	say(ctl, fmt, args);
	va_end(args);
}

void ctl_detail(const struct ctl *ctl, const char *fmt, ...)
{
	va_list args;

	if (!ctl->verbose)
		return;
	va_start(args, fmt);
	say(ctl, fmt, args);
	va_end(args);
}
