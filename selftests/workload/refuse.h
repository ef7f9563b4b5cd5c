/* SPDX-License-Identifier: GPL-2.0-only */
/* refuse.h - see refuse.c: things that are refused, each made by a function; what it returns is a descriptor, or one of: */
#ifndef CKPT_REFUSE_H
#define CKPT_REFUSE_H

#define ABSENT	-1	/* the kernel said no; errno tells */
#define DONE	-2	/* no descriptor, but done */

/* Another descriptor that is refused with it; -1: none is. */
extern int second_fd;

/* refuse-socket.c */
int make_unix(void);
int make_unix_gone(void);
int make_unix_names(void);
int make_unix_relative(void);
int make_unix_astray(void);
int make_unix_rights(void);
int make_tcp(void);
int make_tcp_urgent(void);
int make_udp(void);
int make_raw(void);
int make_packet(void);
int make_filtered(void);
int make_netlink(void);

#endif
