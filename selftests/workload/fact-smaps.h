/* SPDX-License-Identifier: GPL-2.0-only */
/* What /proc/self/smaps says of a mapping. */
#ifndef CKPT_FACT_SMAPS_H
#define CKPT_FACT_SMAPS_H

#include <string.h>

#include "fact.h"

/*
 * The line that begins with @key ("VmFlags:"), of the mapping @p lies in, behind the key; without "sd"
 * (soft dirty). In one of a few buffers, which are reused in turn.
 */
static inline const char *smaps_line(const void *p, const char *key)
{
	static char texts[4][512];
	static int turn;
	char line[4400], *text = texts[turn++ % 4], *sd;
	unsigned long start, end;
	bool inside = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	if (!f)
		die("smaps: %s", strerror(errno));
	*text = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (unsigned long)p >= start && (unsigned long)p < end;
		else if (inside && !strncmp(line, key, strlen(key)))
			snprintf(text, sizeof(texts[0]), "%.500s", line + strlen(key));
	}
	fclose(f);
	sd = strstr(text, " sd");
	if (sd)
		memmove(sd, sd + 3, strlen(sd + 3) + 1);
	return text;
}

/* Memory with a hole on both sides: it does not grow together with its neighbours. */
static inline char *lone_pages(size_t len, int prot, int flags)
{
	char *p = mmap(NULL, len + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || mmap(p + 4096, len, prot, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	must(munmap(p, 4096));
	must(munmap(p + 4096 + len, 4096));
	return p + 4096;
}

#endif
