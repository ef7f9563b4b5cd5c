/* SPDX-License-Identifier: GPL-2.0-only */
/* asleep.h - for a fact that is about threads in the middle of a call. */
#ifndef CKPT_ASLEEP_H
#define CKPT_ASLEEP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Until @nr threads beside the first one sleep. */
static void wait_asleep(int nr)
{
	for (int asleep = 0; asleep < nr;) {
		DIR *dir = opendir("/proc/self/task");
		struct dirent *de;
		char path[64], line[256];

		asleep = 0;
		while ((de = readdir(dir))) {
			FILE *f;

			if (de->d_name[0] == '.' || atoi(de->d_name) == getpid())
				continue;
			snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", de->d_name);
			f = fopen(path, "r");
			asleep += f && fgets(line, sizeof(line), f) && strstr(line, ") S");
			if (f)
				fclose(f);
		}
		closedir(dir);
	}
}

#endif
