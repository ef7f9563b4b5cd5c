// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * api-secret.c - libckpt.h, for the program that is snapshotted: memory to leave out.  Owns nothing: the
 * mark is the kernel's, and what it means to an image is in omit.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libckpt.h"

#include "err.h"

/* Why the memory of a mapping, a line of /proc/self/maps, would be saved all the same; or NULL. */
static const char *why_saved(const char *line, uint64_t start, uint64_t end)
{
	const uint64_t here = (uintptr_t)__builtin_frame_address(0);
	const char *mode = strchr(line, ' ');

	if (mode && strlen(mode) > 4 && mode[4] == 's')
		return "is shared, and not this program's alone";
	if (strstr(line, "[stack]") || (here >= start && here < end))
		return "is a stack, which a restored program cannot do without";
	return NULL;
}

static int check_secret(uint64_t addr, uint64_t end, struct ckpt_err *err)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char *line = NULL;
	size_t room = 0;
	int ret = 0;

	if (!f)
		return ckpt_err_sys(err, errno, "/proc/self/maps");
	while (!ret && getline(&line, &room, f) > 0) {
		const char *why;
		uint64_t from, to;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) != 2 || to <= addr || from >= end)
			continue;
		why = why_saved(line, from, to);
		if (why)
			ret = ckpt_err_set(err, EOPNOTSUPP, "memory %#llx: %s: it cannot be left out of "
					   "snapshots", (unsigned long long)addr, why);
	}
	free(line);
	fclose(f);
	return ret;
}

int ckpt_secret(void *addr, size_t len, struct ckpt_err *err)
{
	const uintptr_t page = sysconf(_SC_PAGESIZE), at = (uintptr_t)addr;
	int ret;

	if (!len || at % page || len % page || at + len < at) {
		ckpt_err_set(err, EINVAL, "memory %p, %zu bytes: not whole pages", addr, len);
		ckpt_err_hint(err, "map it with mmap(2), or use aligned_alloc(3) and whole pages");
		return -EINVAL;
	}
	ret = check_secret(at, at + len, err);
	if (!ret && madvise(addr, len, MADV_DONTDUMP))
		ret = ckpt_err_sys(err, errno, "memory %p, %zu bytes", addr, len);
	return ret;
}
