/* SPDX-License-Identifier: GPL-2.0-only */
/* As much of io_uring as it takes to have memory pinned, and written by the kernel where it is. */
#ifndef KERNEL_TEST_URING_H
#define KERNEL_TEST_URING_H

#include <linux/io_uring.h>
#include <sys/uio.h>

#include "target.h"

struct uring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

/* False where the kernel has none. The rings are shared mappings. */
static inline bool uring_open(struct uring *r, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };
	char *sq, *cq;

	r->fd = syscall(__NR_io_uring_setup, 8, &p);
	if (r->fd < 0)
		return false;
	sq = must(mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED,
		       r->fd, IORING_OFF_SQ_RING));
	cq = must(mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*r->cqes),
		       PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_CQ_RING));
	r->sqes = must(mmap(NULL, p.sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE,
			    MAP_SHARED, r->fd, IORING_OFF_SQES));
	r->sq_tail = (unsigned int *)(sq + p.sq_off.tail);
	r->sq_mask = (unsigned int *)(sq + p.sq_off.ring_mask);
	r->sq_array = (unsigned int *)(sq + p.sq_off.array);
	r->cq_head = (unsigned int *)(cq + p.cq_off.head);
	r->cq_tail = (unsigned int *)(cq + p.cq_off.tail);
	r->cq_mask = (unsigned int *)(cq + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return true;
}

/* Pin this memory for as long as the ring lives. */
static inline int uring_pin(struct uring *r, void *mem, size_t len)
{
	struct iovec v = { mem, len };

	return syscall(__NR_io_uring_register, r->fd, IORING_REGISTER_BUFFERS, &v, 1);
}

static inline void uring_queue(struct uring *r, const struct io_uring_sqe *sqe)
{
	unsigned int at = *r->sq_tail & *r->sq_mask;

	r->sqes[at] = *sqe;
	r->sq_array[at] = at;
	__atomic_store_n(r->sq_tail, *r->sq_tail + 1, __ATOMIC_RELEASE);
}

/* One request, to its end: its result. */
static inline int uring_do(struct uring *r, const struct io_uring_sqe *sqe)
{
	int res;

	uring_queue(r, sqe);
	if (syscall(__NR_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	res = r->cqes[*r->cq_head & *r->cq_mask].res;
	__atomic_store_n(r->cq_head, *r->cq_head + 1, __ATOMIC_RELEASE);
	return res;
}

/* Transfer between a file's beginning and memory pinned as a whole. */
static inline int uring_fixed(struct uring *r, bool read, int file, void *mem, size_t len)
{
	struct io_uring_sqe sqe = {
		.opcode = read ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED,
		.fd = file, .addr = (unsigned long)mem, .len = len,
	};

	return uring_do(r, &sqe);
}

#endif
