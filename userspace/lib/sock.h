/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sock.h - what an image holds of a socket beside the records: a list of items.
 *
 * Made by kind-socket.c in the pause, read by restore-socket.c.  Each item is a struct sock_item and
 * @len bytes, filled up with zeros to a multiple of 8.  An item nobody knows is an error: what a
 * socket had is not to be dropped.  image-format.rst describes them.
 */
#ifndef CKPT_SOCK_H
#define CKPT_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "buf.h"
#include "err.h"
#include "state.h"

/* Most bytes of one message, and of the value of an option. */
#define SOCK_MESSAGE_MAX	(256u << 10)
#define SOCK_OPTION_MAX		64

enum sock_item_what {
	SOCK_NAME	= 1,	/* what it is bound to: struct sockaddr; at most one */
	SOCK_PEER	= 2,	/* whom it is connected to by address (UDP, unix datagrams): likewise */
	SOCK_FILE	= 3,	/* the file of its name is there: struct sock_file; at most one */
	SOCK_OPTION	= 4,	/* @a level, @b name: setsockopt(2)'s value */
	SOCK_MESSAGE	= 5,	/* what waits to be received, in order; a stream: pieces of it; @a who wrote it,
				 * 0: any of those that have the other end
				 */
	SOCK_CLOCK	= 6,	/* of a connection, @a: TCP_TIMESTAMP, @b: TCP_MAXSEG; at most one */
	SOCK_OWNER	= 7,	/* @a: the process SO_PEERCRED tells; at most one */
	SOCK_LISTENER	= 8,	/* connected by name: inode number of the socket that listened, 8 bytes; @a 1: it
				 * is the end that connect() made; at most one
				 */
	SOCK_CUT	= 9,	/* its other end was not taken: that is closed in a restore; at most one */
};

struct sock_item {
	uint32_t	what;
	uint32_t	a;
	uint32_t	b;
	uint32_t	len;
};

struct sock_file {
	uint32_t	mode;
	uint32_t	uid;
	uint32_t	gid;
	uint32_t	reserved;
};

/* Append an item.  0 or -ENOMEM. */
int sock_put(struct buf *to, enum sock_item_what what, uint32_t a, uint32_t b, const void *data, size_t len);

/**
 * struct sock_content - items of a socket, checked
 * @data: all of them
 * @len: bytes
 * @name: SOCK_NAME, or NULL; @name_len bytes
 * @peer: SOCK_PEER, or NULL; @peer_len bytes
 * @file: SOCK_FILE, or NULL
 * @clock: of SOCK_CLOCK, if @has_clock; @mss likewise
 * @owner: SOCK_OWNER, or 0
 * @listener: SOCK_LISTENER, or 0; @client: this is the end that connect() made
 * @cut: SOCK_CUT is there
 *
 * Pointers are into @data.
 */
struct sock_content {
	const void	*data;
	size_t		len;
	const struct sockaddr *name;
	const struct sockaddr *peer;
	socklen_t	name_len;
	socklen_t	peer_len;
	const struct sock_file *file;
	uint32_t	clock;
	uint32_t	mss;
	bool		has_clock;
	pid_t		owner;
	uint64_t	listener;
	bool		client;
	bool		cut;
};

/* Read what sock_put() wrote; @data stays the caller's, aligned to 8.  0, or -EBADMSG with the text. */
int sock_parse(const void *data, size_t len, struct ckpt_err *err, struct sock_content *ret);

/* The item behind @item, the first if that is NULL; NULL: there is none. */
const struct sock_item *sock_next(const struct sock_content *c, const struct sock_item *item);
static inline const void *sock_data(const struct sock_item *item)
{
	return item + 1;
}

/**
 * struct sock_info - a socket, as its record tells
 * @family: AF_*
 * @type: SOCK_*
 * @protocol: IPPROTO_*, NETLINK_*
 * @state: as TCP_* of the kernel, for all families
 * @shutdown: 1: nothing comes in; 2: nothing goes out
 * @error: errno that waits for SO_ERROR
 * @queued: messages to be received; of a listening unix socket: connections
 * @errors: messages of the error queue
 * @backlog: of listen(2)
 * @pending: connections to be accepted
 * @connected: AF_UNIX: it has an other end,
 * @peer: with that inode number; 0: none, as @peer_gone: it was closed
 * @urgent: AF_UNIX: urgent data waits
 * @has_file: AF_UNIX: it is bound to a file, @file_dev, @file_ino
 * @descriptors: AF_UNIX: descriptors in its queue
 * @multicast: AF_INET, AF_INET6: it is a member of a group
 * @chooser: likewise: a program chooses among sockets of one port
 * @keys: likewise: it signs or encrypts (TCP_MD5SIG, TCP_AO_ADD_KEY, IP_XFRM_POLICY)
 */
struct sock_info {
	uint64_t family, type, protocol, state, shutdown, error, queued, errors, backlog, pending;
	uint64_t connected, peer, peer_gone, urgent, file_dev, file_ino, descriptors;
	uint64_t multicast, chooser, keys;
	bool has_file;
};

#define SOCK_STATE_OPEN		1	/* TCP_ESTABLISHED */
#define SOCK_STATE_CLOSED	7	/* TCP_CLOSE */
#define SOCK_STATE_LISTEN	10	/* TCP_LISTEN */
#define SOCK_SHUT_IN		1
#define SOCK_SHUT_OUT		2

/* False: the record does not tell enough. */
bool sock_info(const struct ckpt_model_fd *fd, struct sock_info *ret);

/* A descriptor of the model's process that has the socket of that inode number; NULL: none. */
const struct ckpt_model_fd *sock_in_process(const struct ckpt_model *m, uint64_t ino);

/* Likewise of any process it was captured with. */
const struct ckpt_model_fd *sock_by_ino(const struct ckpt_model *m, uint64_t ino);

/*
 * A unix connection whose other end is in no process the model was captured with, and was not closed: standard
 * input, output or error of this process comes back as the caller's; what is that of none can be cut off.
 */
bool sock_is_callers(const struct ckpt_model *m, const struct ckpt_model_fd *fd);
bool sock_can_be_cut(const struct ckpt_model *m, const struct ckpt_model_fd *fd);
/* Connections a restored program has lost when they are: also those that wait to be accepted. */
size_t sock_count_cut(const struct ckpt_model *m);

/* "an AF_VSOCK" and the like, for a sentence. */
const char *sock_family_name(uint64_t family);

/* One option that is asked for and set. */
struct sock_option {
	int level;
	int name;
	const char *text;
};

/* Those of a family, the order in which they are set; ended by a text of NULL. */
const struct sock_option *sock_options(int family, int type);

#endif
