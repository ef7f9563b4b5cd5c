// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * diff.c - see diff.h.  Both lists of spans are gone through together; a stretch begins and ends
 * where a span of either does.
 */
#include <errno.h>
#include <string.h>

#include "diff.h"
#include "util.h"

/* Where one chain is. Page numbers: then the end of the address space is no special case. */
struct side {
	struct chain		*chain;
	size_t			i;
	struct chain_span	span;
	bool			there;		/* span is valid: not at the end */
	uint64_t		first;		/* of span, pages */
	uint64_t		end;
};

struct diff {
	struct side	a, b;
	uint64_t	page_size;	/* of both */
	diff_fn		fn;
	void		*arg;
	struct ckpt_err	*err;
	/* the stretch that may still grow */
	uint64_t	first;
	uint64_t	npages;
	enum diff_kind	kind;
};

static void step_to(const struct diff *d, struct side *s, size_t i)
{
	s->i = i;
	s->there = i < chain_spans(s->chain);
	if (!s->there)
		return;
	chain_get_span(s->chain, i, &s->span);
	s->first = s->span.addr / d->page_size;
	s->end = s->first + s->span.npages;
}

static int flush(struct diff *d)
{
	int ret = d->npages ? d->fn(d->first * d->page_size, d->npages, d->kind, d->arg) : 0;

	d->npages = 0;
	return ret;
}

static int tell(struct diff *d, uint64_t page, uint64_t npages, enum diff_kind kind)
{
	int ret = 0;

	if (d->npages && (d->kind != kind || d->first + d->npages != page))
		ret = flush(d);
	if (!d->npages) {
		d->first = page;
		d->kind = kind;
	}
	d->npages += npages;
	return ret;
}

/* The bytes of @page on, or NULL for zeros. */
static int bytes_at(const struct diff *d, struct side *s, uint64_t page, const char **ret_data)
{
	const void *data;
	int ret;

	*ret_data = NULL;
	if (s->span.kind != IMAGE_RUN_DATA)
		return 0;
	ret = chain_borrow(s->chain, s->i, d->err, &data);
	if (!ret)
		*ret_data = (const char *)data + (page - s->first) * d->page_size;
	return ret;
}

static bool same_bytes(const char *x, const char *y, size_t size)
{
	if (x && y)
		return !memcmp(x, y, size);
	return (!x || util_is_zero(x, size)) && (!y || util_is_zero(y, size));
}

static int compare_pages(struct diff *d, uint64_t page, uint64_t npages)
{
	const char *x, *y;
	int ret = bytes_at(d, &d->a, page, &x);

	if (!ret)
		ret = bytes_at(d, &d->b, page, &y);
	for (uint64_t i = 0; !ret && i < npages; i++) {
		uint64_t off = i * d->page_size;

		if (!same_bytes(x ? x + off : NULL, y ? y + off : NULL, d->page_size))
			ret = tell(d, page + i, 1, DIFF_CHANGED);
	}
	return ret;
}

/* Both have these pages, each from one span. */
static int compare(struct diff *d, uint64_t page, uint64_t npages)
{
	const struct chain_span *x = &d->a.span, *y = &d->b.span;
	bool file_x = x->kind == IMAGE_RUN_FILE, file_y = y->kind == IMAGE_RUN_FILE;

	if (file_x != file_y)
		return tell(d, page, npages, DIFF_CHANGED);
	if (file_x)
		return x->file_offset - x->addr == y->file_offset - y->addr ? 0 :
		       tell(d, page, npages, DIFF_CHANGED);
	if (x->kind == IMAGE_RUN_ZERO && y->kind == IMAGE_RUN_ZERO)
		return 0;
	if (x->kind == IMAGE_RUN_DATA && y->kind == IMAGE_RUN_DATA &&
	    chain_same_source(d->a.chain, d->a.i, d->b.chain, d->b.i, page * d->page_size))
		return 0;
	return compare_pages(d, page, npages);
}

/* From @page on to the next border of either side; *ret_next is there. */
static int one_stretch(struct diff *d, uint64_t page, uint64_t *ret_next)
{
	bool in_a = d->a.there && d->a.first <= page, in_b = d->b.there && d->b.first <= page;
	uint64_t next = UINT64_MAX, border;

	if (d->a.there)
		next = in_a ? d->a.end : d->a.first;
	border = in_b ? d->b.end : d->b.first;
	if (d->b.there && border < next)
		next = border;
	*ret_next = next;
	if (in_a && in_b)
		return compare(d, page, next - page);
	if (in_a || in_b)
		return tell(d, page, next - page, in_a ? DIFF_GONE : DIFF_NEW);
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
	step_to(&d, &d.a, 0);
	step_to(&d, &d.b, 0);
	while (!ret && (d.a.there || d.b.there)) {
		ret = one_stretch(&d, at, &at);
		if (d.a.there && d.a.end <= at)
			step_to(&d, &d.a, d.a.i + 1);
		if (d.b.there && d.b.end <= at)
			step_to(&d, &d.b, d.b.i + 1);
	}
	return ret ? ret : flush(&d);
}
