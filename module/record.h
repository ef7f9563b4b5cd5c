/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _CKPT_RECORD_H
#define _CKPT_RECORD_H

#include <linux/types.h>
#include <uapi/linux/ckpt.h>

struct ckpt_identities;

/**
 * struct ckpt_records - a stream of state records being built
 * @buf: bytes, vmalloc or kmalloc
 * @len: bytes written
 * @cap: bytes allocated
 * @nr: records written
 * @open: offset of the record being written, when there is one
 * @err: the first error; everything after it does nothing
 * @ids: files that were asked before the pause, or NULL; not owned
 */
struct ckpt_records {
	u8 *buf;
	size_t len;
	size_t cap;
	u64 nr;
	size_t open;
	int err;
	const struct ckpt_identities *ids;
};

int ckpt_records_reserve(struct ckpt_records *r, size_t bytes);
void ckpt_records_reset(struct ckpt_records *r);
void ckpt_records_free(struct ckpt_records *r);
int ckpt_records_read(const struct ckpt_records *r, struct ckpt_state *cmd);

void ckpt_record_begin(struct ckpt_records *r, enum ckpt_record_type type);
void ckpt_record_put(struct ckpt_records *r, const void *data, size_t len);
void *ckpt_record_room(struct ckpt_records *r, size_t len);
void ckpt_record_trim(struct ckpt_records *r, size_t len);
void ckpt_record_end(struct ckpt_records *r);

/* A record that is one structure. */
#define ckpt_record_add(r, type, ptr)				\
	do {							\
		ckpt_record_begin(r, type);			\
		ckpt_record_put(r, ptr, sizeof(*(ptr)));	\
		ckpt_record_end(r);				\
	} while (0)

#endif /* _CKPT_RECORD_H */
