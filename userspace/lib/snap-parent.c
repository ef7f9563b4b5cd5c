// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap-parent.c - what a delta is of.
 *
 * Two sides have to agree.  The store names the newest generation of the job; the module knows since
 * which generation it keeps account of this very address space.  Only when both are the same image,
 * by identity, is there a delta: so a name that is used again, another program, a restored one, a
 * generation that was removed, or a snapshot into another store all lead to a full one.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "snap.h"

/* That there is none is told in other words than that one lacks its parent. */
static int need_generation(struct store *store, const char *job, struct ckpt_err *why)
{
	struct ckpt_err own = CKPT_ERR_INIT;
	int fd, ret = store_resolve(store, job, &own, &fd, NULL);

	if (ret == -ENOENT)
		return ckpt_err_set(why, ENOENT, "%s has no generation yet", job);
	if (ret)
		return ckpt_err_set(why, ret, "%s", own.text);
	close(fd);
	return 0;
}

/*
 * 0, or why it cannot serve.  An image knows an address space by a process number, so that has to
 * stay the same: it is another one in another PID namespace, or when the process that was tracked
 * has ended and one that shared its memory goes on.
 */
static int check(struct store *store, struct chain *c, uint64_t generation, pid_t pid,
		 struct ckpt_err *why)
{
	const struct store_ref *ref = chain_ref(c);
	const struct image_info *info = image_get_info(chain_image(c));

	if (chain_length(c) == CHAIN_MAX)
		return ckpt_err_set(why, E2BIG, "%s is built on %d others already", ref->label,
				    CHAIN_MAX - 1);
	if (info->pid != (uint32_t)pid)
		return ckpt_err_set(why, ESTALE, "%s is of process %u", ref->label, info->pid);
	if (image_find(chain_image(c), IMAGE_META, 0, IMAGE_META_TREE) >= 0)
		return ckpt_err_set(why, ESTALE, "%s is of a tree", ref->label);
	if (info->generation >= generation)
		return ckpt_err_set(why, ESTALE, "%s was finished meanwhile", ref->label);
	if (chain_hold(c, store))
		return ckpt_err_set(why, EBUSY, "%s is being removed or replaced", ref->label);
	return chain_load(c, info->pid, why);
}

struct chain *snap_parent_open(struct store *store, const char *job, uint64_t generation, pid_t pid,
			       char *ret_why)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	struct chain *c = NULL;
	int ret = need_generation(store, job, &why);

	/* As if it were to be run: what is built on one that restore refuses could not be restored. */
	if (!ret)
		ret = chain_open(store, job, true, &why, &c);
	if (!ret)
		ret = check(store, c, generation, pid, &why);
	if (!ret)
		return c;
	chain_close(c);
	snprintf(ret_why, CKPT_ERR_TEXT, "%s", why.text);
	return NULL;
}

/* The last one counts: they are told of in rising order. */
static int note_encrypted(const struct store_entry *e, void *arg)
{
	if (e->info)
		*(uint64_t *)arg = image_info_is_encrypted(e->info) ? e->generation : 0;
	return 0;
}

/*
 * Whoever once said that a job is to be encrypted may have left that out by mistake; its memory in the
 * clear is not to be made up for.
 */
int snap_parent_plain(struct store *store, const char *job, struct ckpt_err *err)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	uint64_t encrypted = 0;
	int ret = store_list_anew(store, job, note_encrypted, &encrypted, &why);

	if (ret && ret != -ENOENT)
		return ckpt_err_set(err, ret, "%s", why.text);
	if (!encrypted)
		return 0;
	ckpt_err_set(err, ENOKEY, "%s@%llu: is encrypted, and what would be built on it or follow it is not",
		     job, (unsigned long long)encrypted);
	ckpt_err_hint(err, "say whom to encrypt to (--encrypt-to), or take a full one in the clear (--full)");
	return -ENOKEY;
}

const char *snap_why_full(uint32_t full)
{
	switch (full) {
	case CKPT_FULL_UNASKED:
		return "no account is to be kept of what changes";
	case CKPT_FULL_UNTRACKED:
		return "no account was kept of what it changed";
	case CKPT_FULL_PARENT:
		return "account was kept since another snapshot than the newest generation";
	case CKPT_FULL_PENDING:
		return "another snapshot of it is being written";
	case CKPT_FULL_WATCH:
		return "this kernel does not let us watch who writes past its page tables";
	default:
		return "the module gave all of it";
	}
}
