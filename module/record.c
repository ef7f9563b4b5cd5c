// SPDX-License-Identifier: GPL-2.0-only
/*
 * A growing buffer of state records.
 *
 * Owned by whoever builds it, no locks. The first error sticks and is seen once,
 * at the end, so that the code that fills records reads straight on. Room is
 * reserved before the freeze for what the target is expected to need; growing in
 * the window may fail, then the capture fails and the target goes on.
 */
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "alloc.h"
#include "params.h"
#include "record.h"

/**
 * ckpt_records_reserve - make sure that @bytes more fit
 * @r: stream
 * @bytes: room wanted behind what is written
 */
int ckpt_records_reserve(struct ckpt_records *r, size_t bytes)
{
	size_t limit = READ_ONCE(ckpt_max_state_bytes);
	size_t cap;
	u8 *buf;

	if (r->err)
		return r->err;
	if (r->cap - r->len >= bytes)
		return 0;
	if (bytes > limit || r->len > limit - bytes)
		return r->err = -EFBIG;

	/* Doubled, but not beyond the limit: what fits is not asked about again. */
	cap = PAGE_ALIGN(clamp(2 * r->cap, r->len + bytes, limit));
	buf = ckpt_alloc_fails() ? NULL : kvmalloc(cap, CKPT_GFP);
	if (!buf)
		return r->err = -ENOMEM;
	if (r->len)
		memcpy(buf, r->buf, r->len);
	kvfree(r->buf);
	r->buf = buf;
	r->cap = cap;
	return 0;
}

/* Forget what is written, keep the room. */
void ckpt_records_reset(struct ckpt_records *r)
{
	r->len = 0;
	r->nr = 0;
	r->err = 0;
}

void ckpt_records_free(struct ckpt_records *r)
{
	kvfree(r->buf);
	*r = (struct ckpt_records) {};
}

/**
 * ckpt_record_room - append zeroed bytes to the open record
 * @r: stream
 * @len: how many
 *
 * Return: where to write them; valid until the next call. NULL on error.
 */
void *ckpt_record_room(struct ckpt_records *r, size_t len)
{
	void *p;

	if (ckpt_records_reserve(r, len))
		return NULL;
	p = r->buf + r->len;
	memset(p, 0, len);
	r->len += len;
	return p;
}

/* Give back the last @len bytes of the open record. */
void ckpt_record_trim(struct ckpt_records *r, size_t len)
{
	if (!r->err)
		r->len -= len;
}

void ckpt_record_put(struct ckpt_records *r, const void *data, size_t len)
{
	void *p = ckpt_record_room(r, len);

	if (p)
		memcpy(p, data, len);
}

void ckpt_record_begin(struct ckpt_records *r, enum ckpt_record_type type)
{
	struct ckpt_record head = { .type = type };

	r->open = r->len;
	ckpt_record_put(r, &head, sizeof(head));
}

void ckpt_record_end(struct ckpt_records *r)
{
	struct ckpt_record *head;

	if (r->err)
		return;
	head = (struct ckpt_record *)(r->buf + r->open);
	head->len = r->len - r->open - sizeof(*head);
	ckpt_record_room(r, ALIGN(r->len, 8) - r->len);
	r->nr++;
}

/**
 * ckpt_records_read - serve CKPT_STATE and CKPT_SNAPSHOT_STATE
 * @r: complete stream
 * @cmd: the caller's structure
 */
int ckpt_records_read(const struct ckpt_records *r, struct ckpt_state *cmd)
{
	size_t n;

	cmd->out_len = 0;
	cmd->out_total = r->len;
	if (cmd->offset > r->len)
		return -EINVAL;
	n = min_t(u64, cmd->len, r->len - cmd->offset);
	if (copy_to_user(u64_to_user_ptr(cmd->buf), r->buf + cmd->offset, n))
		return -EFAULT;
	cmd->out_len = n;
	return 0;
}
