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
 * @ppid: its parent's
 * @root: that is not in the tree; so of the first, and of others when a control group was taken
 * @pgid: its process group
 * @sid: its session
 * @ended: it is a zombie
 * @status: of a zombie: as waitpid(2) gives it
 * @clone: of a zombie: it did not tell of its end by SIGCHLD, so that it is waited for by __WCLONE
 * @comm: its name, for people
 */
struct tree_process {
	pid_t	pid, ppid, pgid, sid;
	bool	root, ended, clone;
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
 * What holds for one that tree_parse() returned: the first process is a root; roots live; every other
 * one's parent is a living one in front of it; each number is there once.  A file's @pid is that of a
 * living process; each @pid and @file together are there once.
 */
struct tree {
	struct tree_process *processes;
	size_t nr;
	uint32_t *slots;		/* tree.c: by number; one more than the place in processes, 0: none */
	size_t nr_slots;
	struct tree_file *files;
	size_t nr_files;
};

/* Append; 0, -ENOMEM, or -E2BIG at TREE_MAX. */
int tree_add(struct tree *t, const struct tree_process *p);
int tree_add_file(struct tree *t, const struct tree_file *f);

/* NULL when there is none. */
const struct tree_process *tree_find(const struct tree *t, pid_t pid);
const struct tree_file *tree_find_file(const struct tree *t, pid_t pid, uint32_t file);

/*
 * Whether a session or process group is one that no process of the tree leads any more.  That of a root is
 * somebody else's if none does.
 */
bool tree_session_is_headless(const struct tree *t, pid_t sid);
bool tree_group_is_headless(const struct tree *t, pid_t pgid);

/*
 * The session a process has to be born into, so that it and its children can be in theirs; 0: any.
 * A leader's children may be in the session that it was born into itself.
 */
pid_t tree_session_of_birth(const struct tree *t, const struct tree_process *p);

/* Whether a process can be born into its session by its parent; else it is an orphan that has another one now. */
bool tree_session_is_inherited(const struct tree *t, const struct tree_process *p);

/* Whether it is one of a session whose leader is gone. */
bool tree_is_orphan(const struct tree *t, const struct tree_process *p);

/* Whether it is a root, in the session of another process of the tree, which it can be born into by that alone. */
bool tree_is_adrift(const struct tree *t, const struct tree_process *p);

/* As JSON text, to be freed.  0 or -ENOMEM. */
int tree_format(const struct tree *t, char **ret_text);

/* Read a section.  0, -EBADMSG (not what it should be), -ENOMEM. */
int tree_parse(const void *text, size_t len, struct ckpt_err *err, struct tree *ret_tree);

void tree_free(struct tree *t);

#endif
