/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restore-socket.h - what the files that make sockets share.
 *
 *	restore-socket.c	all of them; unix sockets, made by the child
 *	restore-unix.c		unix sockets: who has them, and who is connected to whom by name
 *	restore-inet.c		those of the network and netlink, made by us
 *	restore-tcp.c		TCP connections
 *	restore-hold.c		those to outside, held still until they are there
 *	restore-rst.c		segments that are not the other end's
 *	restore-diag.c		what the kernel keeps of those of the killed program
 */
#ifndef CKPT_LIB_RESTORE_SOCKET_H
#define CKPT_LIB_RESTORE_SOCKET_H

#include "restore-files.h"
#include "sock.h"

struct own_socket {
	const struct ckpt_model_fd *f;
	struct sock_info info;
	struct sock_content content;	/* its data is ours */
	struct restore *rs;		/* the first process that has it */
	struct restore *maker;		/* which made it: that which SO_PEERCRED tells */
	int child;			/* a number of its own there, until all is done; -1: none */
	int ours;			/* -1: none */
};

/* "fd 5: socket: WHAT: reason"; -errno. */
int restore_socket_failed(const struct restore *rs, const struct own_socket *s, int code, const char *what);

/* Give @s->ours the options of the image; @sizes: those of its buffers alone. */
int restore_socket_options(const struct restore *rs, const struct own_socket *s, bool sizes);

/* All but what was there when it was made: options, name, listening, shutdown; then its number in the maker goes. */
int restore_socket_finish(struct own_socket *s);

/* As the child's own name.  0 or -errno. */
int restore_socket_bind(struct restore *rs, const struct own_socket *s);

/*
 * What waited in @s, in the order in which it came, from the other end: number @far of process @from, or any
 * that @s->info.peer has in the process that wrote it.
 */
int restore_socket_fill(struct own_socket *s, struct restore *from, int far);

/* restore-unix.c: @maker has just made it as @number: a descriptor of ours; and in all places it belongs. */
int restore_unix_made(struct own_socket *s, struct restore *maker, long number);
/* The process of that number, @rs when it is 0; NULL: there is none. */
struct restore *restore_unix_process(struct restore *rs, pid_t pid);
/* Of all processes. */
struct own_socket *restore_unix_find(const struct restore *rs, uint64_t ino);

/* Flags of the open file; and of its inode what fstat(2) tells. */
int restore_socket_dress(const struct restore *rs, const struct own_socket *s);

/*
 * restore-diag.c: end a TCP socket, 0 or -errno; end those of a port, or of one connection, that are nobody's:
 * of a program that was killed.  @all: also when they have something to send still.
 */
struct inet_diag_sockid;
int restore_diag_destroy(int family, const struct inet_diag_sockid *id);
void restore_diag_clear(unsigned int port, bool all);
void restore_diag_clear_one(const struct hold_ends *ends);	/* whatever it has to send */

/*
 * restore-rst.c: give a connection a segment that is not the other end's, which hears nothing of it; @seq and
 * @ack being what it expects.  A reset, and 0 when it is closed; or a FIN, with the window as it is in a
 * segment, and 0 when it has come.  -ETIMEDOUT: the segment did not get through; -errno.
 */
int restore_rst(int sock, uint32_t seq, uint32_t ack);
int restore_fin(int sock, uint32_t seq, uint32_t ack, uint32_t window);

/* restore-inet.c: make it as @s->ours. */
int restore_inet_make(struct restore *rs, struct own_socket *s);

#endif
