// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store-audit.c - STORE/.audit: a line for each snapshot, restore, removal, fold, export and import, also
 * for those that failed: when, who, what, and how it ended.
 *
 * JSON, one object a line, appended by one write(2), so that lines of several writers do not mix.  It is
 * an account, not part of the store: a line that cannot be written fails nothing, and nothing reads it.
 * A store that would hold nothing else gets none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "meta.h"
#include "report.h"
#include "store-priv.h"
#include "util.h"

#define AUDIT_NAME	".audit"

/* Who logged in, though it be root now: /proc/PID/loginuid, proc(5).  -1: nobody, or not known. */
static long long login_uid(void)
{
	long long uid = -1;
	FILE *f = fopen("/proc/self/loginuid", "re");

	if (!f)
		return -1;
	if (fscanf(f, "%lld", &uid) != 1 || uid == UINT32_MAX)
		uid = -1;
	fclose(f);
	return uid;
}

static json_t *to_json(const struct store_event *e)
{
	const bool told = e->code && e->err && e->err->text[0];
	struct timespec now;
	char when[40];
	struct tm tm;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(when, sizeof(when), "%FT%T", &tm);
	snprintf(when + len, sizeof(when) - len, ".%03ldZ", now.tv_nsec / 1000000);
	return json_pack("{s:s,s:s,s:o,s:I,s:I,s:I,s:I,s:I,s:o}", "time", when, "what", e->what,
			 "ref", e->ref ? report_text(e->ref) : json_null(), "uid", (json_int_t)getuid(),
			 "login", (json_int_t)login_uid(), "by", (json_int_t)getpid(),
			 "process", (json_int_t)e->pid, "removed", (json_int_t)e->removed,
			 "result", report_text(!e->code ? "ok" : told ? e->err->text :
					       strerror(abs(e->code))));
}

/* A file that is ours to write to, or -1. */
static int open_audit(const struct store *s)
{
	int fd = openat(s->fd, AUDIT_NAME, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK |
			O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid())
		return fd;
	close(fd);
	return -1;
}

void store_audit(const struct store *store, const struct store_event *event)
{
	int saved = errno, fd;
	json_t *o;
	char *text;

	if (!store || (store->made && event->code))
		return;
	fd = open_audit(store);
	if (fd < 0)
		return;
	o = to_json(event);
	text = o ? meta_text(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (text) {
		size_t len = strlen(text);

		text[len] = '\n';	/* in place of its end */
		(void)!write(fd, text, len + 1);
	}
	free(text);
	close(fd);
	errno = saved;
}
