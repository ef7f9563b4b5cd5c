// SPDX-License-Identifier: GPL-2.0-only
/*
 * State: whom an open file tells by a signal (F_SETOWN, F_SETSIG), as lines behind what it says of itself
 * (ckpt_rec_fd). Any descriptor of it could be asked, but by its process alone.
 *
 *	owner-type: F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP
 *	owner-number: in the caller's name space; 0: none, or none that is there still
 *	owner-signal: 0: SIGIO
 *	owner-uid: of who set it, by which the right to tell is judged
 *	owner-euid: likewise
 *
 * Owns nothing. Locks: the owner's.
 */
#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/pid.h>
#include <linux/seq_file.h>
#include <linux/user_namespace.h>

#include "compat/compat.h"
#include "state.h"

static int type_of(enum pid_type type)
{
	switch (type) {
	case PIDTYPE_PID:
		return F_OWNER_TID;
	case PIDTYPE_TGID:
		return F_OWNER_PID;
	case PIDTYPE_PGID:
		return F_OWNER_PGRP;
	default:
		return -1;
	}
}

/**
 * ckpt_owner_show - whom an open file tells
 * @m: where to
 * @file: the file; ckpt_file_has_owner()
 */
void ckpt_owner_show(struct seq_file *m, struct file *file)
{
	struct fown_struct *owner = ckpt_file_owner(file);
	int type, number = 0, signal;
	kuid_t uid, euid;

	read_lock_irq(&owner->lock);
	type = type_of(owner->pid_type);
	signal = owner->signum;
	uid = owner->uid;
	euid = owner->euid;
	rcu_read_lock();
	if (owner->pid && pid_task(owner->pid, owner->pid_type))
		number = pid_vnr(owner->pid);
	rcu_read_unlock();
	read_unlock_irq(&owner->lock);
	seq_printf(m, "owner-type: %d\nowner-number: %d\nowner-signal: %d\n", type, number, signal);
	seq_printf(m, "owner-uid: %u\nowner-euid: %u\n", from_kuid_munged(current_user_ns(), uid),
		   from_kuid_munged(current_user_ns(), euid));
}
