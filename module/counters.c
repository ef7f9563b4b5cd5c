// SPDX-License-Identifier: GPL-2.0-only
/*
 * Object counters, readable in debugfs: ckpt/counters, one "name value" a line.
 *
 * Owns the counters and the debugfs directory, both as long as the module. The
 * counters are atomics without further locking. A debugfs that is missing or
 * fails costs the file, not the module.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "alloc.h"
#include "counters.h"

atomic64_t ckpt_counters[CKPT_COUNT_NR];

static const char *const names[CKPT_COUNT_NR] = {
	[CKPT_COUNT_SESSIONS]	= "sessions",
	[CKPT_COUNT_FREEZES]	= "freezes",
	[CKPT_COUNT_THREADS]	= "threads",
	[CKPT_COUNT_SNAPSHOTS]	= "snapshots",
	[CKPT_COUNT_LEAVES]	= "leaves",
	[CKPT_COUNT_PAGES]	= "pages",
	[CKPT_COUNT_TRACKS]	= "tracks",
	[CKPT_COUNT_COVERS]	= "covers",
};

static struct dentry *dir;

static int counters_show(struct seq_file *m, void *unused)
{
	int i;

	for (i = 0; i < CKPT_COUNT_NR; i++)
		seq_printf(m, "%s %lld\n", names[i], atomic64_read(&ckpt_counters[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

void ckpt_counters_init(void)
{
	dir = debugfs_create_dir("ckpt", NULL);
	debugfs_create_file("counters", 0400, dir, NULL, &counters_fops);
	ckpt_alloc_init(dir);
}

void ckpt_counters_exit(void)
{
	debugfs_remove_recursive(dir);
}
