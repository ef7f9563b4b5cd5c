/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tree.h - who belongs to a snapshot of a process tree: section IMAGE_META_TREE of owner 0, JSON.
 * Made by snap, read by restore and show.  Image-format.rst describes it.
 *
 * Each process that lives has its own STATE, META and PAGES sections, by its number as owner; one that
 * has ended and was not waited for has nothing but its entry here.
 */
#ifndef CKPT_LIB_TREE_H
#define CKPT_LIB_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

#define TREE_MAX	4096	/* processes */

/**
 * struct tree_process - one process
 * @pid: its number
 * @ppid: its parent's; that of the first is not in the tree
 * @pgid: its process group
 * @sid: its session
 * @ended: it is a zombie
 * @status: of a zombie: as waitpid(2) gives it
 * @comm: its name, for people
 */
struct tree_process {
	pid_t	pid, ppid, pgid, sid;
	bool	ended;
	int	status;
	char	comm[16];
};

/**
 * struct tree_file - an open file that several processes have
 * @object: equal for descriptors of one open file
 * @pid: whose
 * @file: ckpt_rec_fd.file there
 */
struct tree_file {
	uint32_t object;
	pid_t	 pid;
	uint32_t file;
};

/**
 * struct tree - a process and all that descend from it
 *
 * What holds for one that tree_parse() returned: the first process is the root and lives; every other
 * one's parent is a living one in front of it; each number is there once.  A file's @pid is that of a
 * living process; each @pid and @file together are there once.
 */
struct tree {
	struct tree_process *processes;
	size_t nr;
	struct tree_file *files;
	size_t nr_files;
};

/* Append; 0, -ENOMEM, or -E2BIG at TREE_MAX. */
int tree_add(struct tree *t, const struct tree_process *p);
int tree_add_file(struct tree *t, const struct tree_file *f);

/* NULL when there is none. */
const struct tree_process *tree_find(const struct tree *t, pid_t pid);
const struct tree_file *tree_find_file(const struct tree *t, pid_t pid, uint32_t file);

/* As JSON text, to be freed.  0 or -ENOMEM. */
int tree_format(const struct tree *t, char **ret_text);

/* Read a section.  0, -EBADMSG (not what it should be), -ENOMEM. */
int tree_parse(const void *text, size_t len, struct ckpt_err *err, struct tree *ret_tree);

void tree_free(struct tree *t);

#endif
