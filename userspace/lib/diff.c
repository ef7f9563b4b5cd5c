// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * diff.c - see diff.h.  Both lists of spans are gone through together; a stretch begins and ends
 * where a span of either does.
 */
#include <errno.h>
#include <string.h>

#include "diff.h"
#include "util.h"

struct side {
	struct chain		*chain;
	size_t			i;
	struct chain_span	span;
	bool			there;		/* span is valid: not at the end */
};

struct diff {
	struct side	a, b;
	uint64_t	page_size;
	diff_fn		fn;
	void		*arg;
	struct ckpt_err	*err;
	/* the stretch that may still grow */
	uint64_t	addr;
	uint64_t	npages;
	enum diff_kind	kind;
};

static void step_to(struct side *s, size_t i)
{
	s->i = i;
	s->there = i < chain_spans(s->chain);
	if (s->there)
		chain_get_span(s->chain, i, &s->span);
}

static int flush(struct diff *d)
{
	int ret = d->npages ? d->fn(d->addr, d->npages, d->kind, d->arg) : 0;

	d->npages = 0;
	return ret;
}

static int tell(struct diff *d, uint64_t addr, uint64_t npages, enum diff_kind kind)
{
	int ret = 0;

	if (d->npages && (d->kind != kind || d->addr + d->npages * d->page_size != addr))
		ret = flush(d);
	if (!d->npages) {
		d->addr = addr;
		d->kind = kind;
	}
	d->npages += npages;
	return ret;
}

/* The bytes at @addr, or NULL for zeros. */
static int bytes_at(struct side *s, uint64_t addr, struct ckpt_err *err, const char **ret_data)
{
	const void *data;
	int ret;

	*ret_data = NULL;
	if (s->span.kind != IMAGE_RUN_DATA)
		return 0;
	ret = chain_borrow(s->chain, s->i, err, &data);
	if (!ret)
		*ret_data = (const char *)data + (addr - s->span.addr);
	return ret;
}

static bool same_bytes(const char *x, const char *y, size_t size)
{
	if (x && y)
		return !memcmp(x, y, size);
	return (!x || util_is_zero(x, size)) && (!y || util_is_zero(y, size));
}

static int compare_pages(struct diff *d, uint64_t addr, uint64_t npages)
{
	const char *x, *y;
	int ret = bytes_at(&d->a, addr, d->err, &x);

	if (!ret)
		ret = bytes_at(&d->b, addr, d->err, &y);
	for (uint64_t i = 0; !ret && i < npages; i++) {
		uint64_t off = i * d->page_size;

		if (!same_bytes(x ? x + off : NULL, y ? y + off : NULL, d->page_size))
			ret = tell(d, addr + off, 1, DIFF_CHANGED);
	}
	return ret;
}

/* Both have @addr: what is in common and alike in kind. */
static int compare(struct diff *d, uint64_t addr, uint64_t npages)
{
	const struct chain_span *x = &d->a.span, *y = &d->b.span;
	bool file_x = x->kind == IMAGE_RUN_FILE, file_y = y->kind == IMAGE_RUN_FILE;

	if (file_x != file_y)
		return tell(d, addr, npages, DIFF_CHANGED);
	if (file_x)
		return x->file_offset - x->addr == y->file_offset - y->addr ? 0 :
		       tell(d, addr, npages, DIFF_CHANGED);
	if (x->kind == IMAGE_RUN_ZERO && y->kind == IMAGE_RUN_ZERO)
		return 0;
	if (x->kind == IMAGE_RUN_DATA && y->kind == IMAGE_RUN_DATA &&
	    chain_same_source(d->a.chain, d->a.i, d->b.chain, d->b.i, addr))
		return 0;
	return compare_pages(d, addr, npages);
}

static uint64_t end_of(const struct diff *d, const struct side *s)
{
	return s->span.addr + s->span.npages * d->page_size;
}

/* From @addr on to the next border of either side; *ret_next is there. */
static int one_stretch(struct diff *d, uint64_t addr, uint64_t *ret_next)
{
	bool in_a = d->a.there && d->a.span.addr <= addr;
	bool in_b = d->b.there && d->b.span.addr <= addr;
	uint64_t next = UINT64_MAX;

	if (d->a.there)
		next = in_a ? end_of(d, &d->a) : d->a.span.addr;
	if (d->b.there && (in_b ? end_of(d, &d->b) : d->b.span.addr) < next)
		next = in_b ? end_of(d, &d->b) : d->b.span.addr;
	*ret_next = next;
	if (in_a && in_b)
		return compare(d, addr, (next - addr) / d->page_size);
	if (in_a || in_b)
		return tell(d, addr, (next - addr) / d->page_size, in_a ? DIFF_GONE : DIFF_NEW);
	return 0;
}

int diff_run(struct chain *a, struct chain *b, diff_fn fn, void *arg, struct ckpt_err *err)
{
	struct diff d = { .a = { .chain = a }, .b = { .chain = b }, .fn = fn, .arg = arg,
			  .page_size = image_get_info(chain_image(a))->page_size, .err = err };
	uint64_t at = 0;
	int ret = 0;

	if (d.page_size != image_get_info(chain_image(b))->page_size)
		return ckpt_err_set(err, EINVAL, "%s and %s have pages of different size",
				    chain_ref(a)->label, chain_ref(b)->label);
	step_to(&d.a, 0);
	step_to(&d.b, 0);
	while (!ret && (d.a.there || d.b.there)) {
		ret = one_stretch(&d, at, &at);
		if (d.a.there && end_of(&d, &d.a) <= at)
			step_to(&d.a, d.a.i + 1);
		if (d.b.there && end_of(&d, &d.b) <= at)
			step_to(&d.b, d.b.i + 1);
	}
	return ret ? ret : flush(&d);
}
