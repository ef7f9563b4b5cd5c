// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * archive-lib.c - see archive-lib.h.  Loaded once and for good, by whichever thread comes first; what it
 * fills does not change any more.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "archive-lib.h"

#define ARCHIVE_SONAME	"libarchive.so.13"

struct archive_calls archive_lib;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char why_not[200];

static void fail(void)
{
	const char *why = dlerror();

	snprintf(why_not, sizeof(why_not), "%s", why ? why : ARCHIVE_SONAME);
}

static void load(void)
{
	void *lib = dlopen(ARCHIVE_SONAME, RTLD_NOW | RTLD_LOCAL);

	if (!lib) {
		fail();
		return;
	}
#define ARCHIVE_CALL(name) \
	archive_lib.name = (__typeof__(&name))dlsym(lib, #name); \
	if (!archive_lib.name) \
		fail();
	ARCHIVE_CALLS(ARCHIVE_CALL)
#undef ARCHIVE_CALL
}

int archive_load(struct ckpt_err *err)
{
	pthread_once(&once, load);
	if (!why_not[0])
		return 0;
	ckpt_err_set(err, ENOSYS, "libarchive: %s", why_not);
	ckpt_err_hint(err, "install it (libarchive13)");
	return -ENOSYS;
}
