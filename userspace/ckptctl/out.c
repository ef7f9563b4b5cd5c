// SPDX-License-Identifier: GPL-2.0-only
/* out.c - figures for people, JSON for scripts; a verb makes one report for both.  No state. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "util.h"

/*
 * Names of files, threads and commands are what the program made them.  All that people are shown
 * comes out of a report, so it is made harmless here and not where it is printed.  0 or -1.
 */
static int make_printable(json_t *o)
{
	const char *name;
	json_t *member;
	int bad = 0;
	char *text;
	size_t i;

	if (json_is_string(o) && !util_is_printable(json_string_value(o))) {
		text = strdup(json_string_value(o));
		if (text)
			util_make_printable(text);
		bad = text ? json_string_set(o, text) : -1;
		free(text);
	}
	json_array_foreach(o, i, member)
		bad |= make_printable(member);
	json_object_foreach(o, name, member)
		bad |= make_printable(member);
	return bad;
}

/* Without memory a report would come out short, and look whole. */
static int no_memory(const struct ctl *ctl, json_t *report)
{
	json_decref(report);
	fprintf(stderr, "ckptctl: %s: report: %s\n", ctl->verb->name, strerror(ENOMEM));
	return CTL_FAILED;
}

int ctl_report(const struct ctl *ctl, json_t *report, void (*human)(const struct ctl *, json_t *))
{
	if (!report)
		return no_memory(ctl, NULL);
	if (ctl->json) {
		/* of a failed write ferror() tells */
		if (json_dumpf(report, stdout, JSON_INDENT(2)) && !ferror(stdout))
			return no_memory(ctl, report);
		putchar('\n');
	} else if (!ctl->quiet) {
		if (make_printable(report))
			return no_memory(ctl, report);
		human(ctl, report);
	}
	json_decref(report);
	if (fflush(stdout) || ferror(stdout)) {
		perror("ckptctl: standard output");
		return CTL_FAILED;
	}
	return CTL_OK;
}

const char *out_size(uint64_t bytes, char *buf)
{
	static const char * const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = bytes;
	int u = 0;

	while (n >= 1024 && u < 5) {
		n /= 1024;
		u++;
	}
	snprintf(buf, OUT_SMALL, u && n < 100 ? "%.1f %s" : "%.0f %s", n, units[u]);
	return buf;
}

const char *out_time(uint64_t ns, char *buf)
{
	if (ns < 1000)
		snprintf(buf, OUT_SMALL, "%u ns", (unsigned int)ns);
	else if (ns < 1000000)
		snprintf(buf, OUT_SMALL, ns < 100000 ? "%.1f us" : "%.0f us", ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, OUT_SMALL, ns < 100000000 ? "%.2f ms" : "%.0f ms", ns / 1e6);
	else
		snprintf(buf, OUT_SMALL, "%.2f s", ns / 1e9);
	return buf;
}

const char *out_date(uint64_t realtime_ns, char *buf)
{
	time_t t = realtime_ns / 1000000000;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(buf, OUT_SMALL, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buf, OUT_SMALL, "?");
	return buf;
}

uint64_t out_get(json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

const char *out_get_text(json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

bool out_tty(void)
{
	return isatty(STDOUT_FILENO);
}

static const char *colour(const char *code)
{
	return out_tty() && !getenv("NO_COLOR") ? code : "";
}

const char *out_bold(void)
{
	return colour("\033[1m");
}

const char *out_red(void)
{
	return colour("\033[31m");
}

const char *out_green(void)
{
	return colour("\033[32m");
}

const char *out_yellow(void)
{
	return colour("\033[33m");
}

const char *out_plain(void)
{
	return colour("\033[0m");
}
