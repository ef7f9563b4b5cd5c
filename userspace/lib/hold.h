/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hold.h - TCP connections held still: nothing of them leaves this machine, and nothing reaches their sockets.
 *
 * What was read of such a connection stays true.  Its other end, somewhere else, takes it for a network that
 * loses packets, and sends again for a quarter of an hour or so.  A hold is a table of nftables (nft(8)):
 *
 *	hold_begin()	one that ends with its owner: with us, however we end, so that a program that goes on
 *			after all has its connections
 *	hold_keep()	one that stays, by name, for connections of a program that was ended; until
 *			hold_release(), 'nft delete table inet NAME', or the machine starts anew
 */
#ifndef CKPT_LIB_HOLD_H
#define CKPT_LIB_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* A connection, by its ends: addresses of IPv4 mapped to IPv6. */
struct hold_ends {
	uint8_t		local[16];
	uint8_t		remote[16];
	uint32_t	local_port;
	uint32_t	remote_port;
};

struct hold;

/* 0, with nothing of them under way any more; -ENOSYS: libnftables or the kernel's part is not there; -errno. */
int hold_begin(const struct hold_ends *v, size_t nr, struct ckpt_err *err, struct hold **ret);
void hold_end(struct hold *h);		/* NULL is fine */

#define HOLD_NAME_SIZE	22

int hold_new_name(struct ckpt_err *err, char *ret_name);	/* HOLD_NAME_SIZE bytes, 0 or -errno */
bool hold_name_valid(const char *name);

/* @why: words for people, in the table.  0 or -errno. */
int hold_keep(const char *name, const char *why, const struct hold_ends *v, size_t nr, struct ckpt_err *err);
/* 0, also when there is none of that name; -errno. */
int hold_release(const char *name, struct ckpt_err *err);

#endif
