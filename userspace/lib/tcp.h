/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tcp.h - TCP connections of a snapshot: who is the other end of whom.
 *
 * The two ends of a connection are captured one after the other.  What the kernel does meanwhile (it
 * sends again, acknowledges) may leave the later further than the earlier knows; that is no harm as
 * long as each byte is in one of the two: no end may have been acknowledged what the other has not yet.
 * A restore then takes the receiver's word for what has come, and all behind it is sent anew.
 *
 *	tcp.c		this; and what is refused
 *	restore-tcp.c	makes them again
 */
#ifndef CKPT_LIB_TCP_H
#define CKPT_LIB_TCP_H

#include <stdbool.h>
#include <sys/socket.h>

#include "hold.h"
#include "sock.h"
#include "state.h"

struct fd_case;

/* What TCP calls its states (enum of linux/tcp_states.h). */
enum tcp_state_name {
	TCP_IS_ESTABLISHED = 1, TCP_IS_SYN_SENT, TCP_IS_SYN_RECV, TCP_IS_FIN_WAIT1, TCP_IS_FIN_WAIT2,
	TCP_IS_TIME_WAIT, TCP_IS_CLOSE, TCP_IS_CLOSE_WAIT, TCP_IS_LAST_ACK, TCP_IS_LISTEN, TCP_IS_CLOSING,
};

/* Its record; NULL: it is no connection. The first of all processes, whose moment counts. */
const struct ckpt_model_tcp *tcp_of(const struct ckpt_model *m, const struct ckpt_model_fd *fd);

/* The other end, if a process of the snapshot has it. */
const struct ckpt_model_tcp *tcp_peer(const struct ckpt_model *m, const struct ckpt_model_tcp *t);

/* Whether this end has sent a FIN, and whether that of the other end has come. */
bool tcp_fin_sent(const struct ckpt_rec_tcp *t);
bool tcp_fin_come(const struct ckpt_rec_tcp *t);

/* Whether both directions have ended and nothing is left to be sent: what waits can be read, no more. */
bool tcp_is_over(const struct ckpt_model *m, const struct ckpt_model_tcp *t);

/* Whether the other end is somebody else's; and how many such connections @m itself has. */
bool tcp_is_outside(const struct ckpt_model *m, const struct ckpt_model_tcp *t);
size_t tcp_count_outside(const struct ckpt_model *m);
/* Those of all processes, each once, in an order of their own; to be freed.  0 or -ENOMEM. */
int tcp_list_outside(const struct ckpt_model *m, struct hold_ends **ret, size_t *ret_nr);

/* Whether each byte between the ends of each connection is with one of them, as told above. */
bool tcp_all_steady(const struct ckpt_model *m);

/* The other end's address, for a socket whose own is @name.  Its length. */
socklen_t tcp_remote(const struct ckpt_rec_tcp *t, const struct sockaddr *name, struct sockaddr_storage *ret);

/* Refuse a connection that cannot be brought back. */
void judge_tcp(const struct fd_case *c, const struct sock_info *i);

#endif
