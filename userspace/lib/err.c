// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * err.c - see err.h.  Owns nothing; every function works on the caller's struct and can run
 * when memory is exhausted.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "util.h"

static const char hint_mark[] = "; ";

static void append(struct ckpt_err *err, const char *sep, const char *fmt, va_list args)
{
	size_t len = strlen(err->text);
	int n;

	n = snprintf(err->text + len, sizeof(err->text) - len, "%s", sep);
	if (n < 0 || len + n >= sizeof(err->text))
		return;
	len += n;
	vsnprintf(err->text + len, sizeof(err->text) - len, fmt, args);
	util_make_printable(err->text);
}

void ckpt_err_clear(struct ckpt_err *err)
{
	if (!err)
		return;
	err->code = 0;
	err->text[0] = '\0';
}

static int record(struct ckpt_err *err, int code, int with_system_text, const char *fmt,
		  va_list args)
{
	size_t len;

	code = abs(code);
	if (!err || err->code)
		return -code;
	err->code = code;
	err->text[0] = '\0';
	append(err, "", fmt, args);
	if (with_system_text) {
		len = strlen(err->text);
		errno = code;	/* %m is strerror() without its static buffer */
		snprintf(err->text + len, sizeof(err->text) - len, ": %m");
	}
	return -code;
}

int ckpt_err_set(struct ckpt_err *err, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	code = record(err, code, 0, fmt, args);
	va_end(args);
	return code;
}

int ckpt_err_sys(struct ckpt_err *err, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	code = record(err, code, 1, fmt, args);
	va_end(args);
	return code;
}

void ckpt_err_hint(struct ckpt_err *err, const char *fmt, ...)
{
	va_list args;

	if (!err || !err->code || strstr(err->text, hint_mark))
		return;
	va_start(args, fmt);
	append(err, hint_mark, fmt, args);
	va_end(args);
}

void ckpt_err_prefix(struct ckpt_err *err, const char *fmt, ...)
{
	struct ckpt_err whole = CKPT_ERR_INIT;
	va_list args;
	size_t len;

	if (!err || !err->code)
		return;
	va_start(args, fmt);
	append(&whole, "", fmt, args);
	va_end(args);
	len = strlen(whole.text);
	snprintf(whole.text + len, sizeof(whole.text) - len, ": %.*s",
		 (int)(sizeof(whole.text) - len), err->text);
	memcpy(err->text, whole.text, sizeof(err->text));
}
