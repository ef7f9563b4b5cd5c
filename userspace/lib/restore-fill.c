// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-fill.c - page contents.
 *
 * Straight from the frame caches of the chain into the child.  process_vm_writev()
 * where the mapping is writable; /proc/PID/mem, which like a debugger ignores
 * the protection of private mappings, where it is not.
 */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "nameless.h"
#include "restore-priv.h"
#include "restore-segment.h"
#include "segment.h"

/* Check for an interrupt and report progress about this often. */
#define STEP	(64ULL << 20)

struct fill {
	struct restore *rs;
	uint64_t done, total, said;
};

static const unsigned char zeros[RESTORE_PAGE];

static int put(struct restore *rs, const struct ckpt_model_vma *v, uint64_t addr,
	       const void *data, uint64_t len)
{
	const char *p = data;

	if (!(v->rec.flags & CKPT_VMA_WRITE) && !restore_protect_late(&v->rec))
		return remote_write(leader(rs), rs->err, addr, data, len);
	while (len) {
		struct iovec local = { (void *)(uintptr_t)p, len };
		struct iovec remote = { (void *)(uintptr_t)addr, len };
		ssize_t n = process_vm_writev(rs->pid, &local, 1, &remote, 1, 0);

		if (n <= 0)
			return ckpt_err_sys(rs->err, n < 0 ? errno : EIO, "fill memory at %#llx",
					    (unsigned long long)addr);
		p += n;
		addr += n;
		len -= n;
	}
	return 0;
}

/* Fresh anonymous memory is zero already; a private page over a file is not. */
static bool zero_by_itself(const struct ckpt_model_vma *v)
{
	return v->rec.flags & (CKPT_VMA_ANON | CKPT_VMA_SHMEM | CKPT_VMA_HUGETLB);
}

static int put_zeros(struct restore *rs, const struct ckpt_model_vma *v, uint64_t addr,
		     uint64_t len)
{
	int r = 0;

	if (zero_by_itself(v))
		return 0;
	for (; !r && len; addr += RESTORE_PAGE, len -= RESTORE_PAGE)
		r = put(rs, v, addr, zeros, RESTORE_PAGE);
	return r;
}

/*
 * What is mapped shared from a file is in the file: one with a name was found unchanged, one without is
 * filled, whether it is mapped for writing or not.
 */
static bool is_the_files(const struct ckpt_model_vma *v)
{
	return restore_is_shared(&v->rec) &&
	       !(v->rec.flags & (CKPT_VMA_SHMEM | CKPT_VMA_HUGETLB));
}

/* A run may cross mappings that were merged since, or never were one. */
static int put_run(struct restore *rs, uint64_t addr, const char *data, uint64_t len)
{
	while (len) {
		const struct ckpt_model_vma *v = ckpt_model_vma(rs->m, addr);
		uint64_t part;
		int r;

		if (!v)
			return ckpt_err_set(rs->err, -EBADMSG,
					    "the image has a page at %#llx, where nothing is mapped",
					    (unsigned long long)addr);
		if (v->rec.flags & (CKPT_VMA_VDSO | CKPT_VMA_SPECIAL))
			return ckpt_err_set(rs->err, -EBADMSG,
					    "the image has a page at %#llx, in memory that is the kernel's",
					    (unsigned long long)addr);
		part = v->rec.end - addr < len ? v->rec.end - addr : len;
		if (segment_maps(v))
			r = restore_segment_write(rs, v, addr, data, part);
		else if (is_the_files(v))
			r = nameless_maps(v) ? restore_nameless_write(rs, v, addr, data, part) : 0;
		else
			r = data ? put(rs, v, addr, data, part) : put_zeros(rs, v, addr, part);
		if (r)
			return r;
		if (data)
			data += part;
		addr += part;
		len -= part;
	}
	return 0;
}

static int advance(struct fill *f, uint64_t len)
{
	const struct ckpt_restore_opts *o = f->rs->opts;

	f->done += len;
	if (f->done - f->said < STEP && f->done != f->total)
		return 0;
	f->said = f->done;
	if (o->progress)
		o->progress(f->done, f->total, o->arg);
	/* This near the end a signal is better sent on to the program. */
	return f->done == f->total ? 0 : restore_interrupted(f->rs);
}

static int fill_span(struct fill *f, size_t i, const struct chain_span *span)
{
	struct restore *rs = f->rs;
	const void *data = NULL;
	uint64_t len = span->npages * RESTORE_PAGE;
	int r = 0;

	switch (span->kind) {
	case IMAGE_RUN_ZERO:
		return put_run(rs, span->addr, NULL, len);
	case IMAGE_RUN_DATA:
		r = chain_borrow(rs->opts->chain, i, rs->err, &data);
		if (!r)
			r = put_run(rs, span->addr, data, len);
		return r ? r : advance(f, len);
	default:
		return 0;		/* FILE: is there by being mapped */
	}
}

/* One generation after the other, so that only one has frames in memory. */
int restore_fill(struct restore *rs)
{
	struct chain *chain = rs->opts->chain;
	struct fill f = { .rs = rs };
	size_t member = 0;
	int r = 0;

	if (rs->set->nr > 1)
		r = chain_load(chain, (uint32_t)rs->m->proc.pid, rs->err);
	if (r)
		return r;
	f.total = chain_pages(chain, IMAGE_RUN_DATA) * RESTORE_PAGE;
	for (size_t k = 0; !r && k < chain_spans(chain); k++) {
		size_t i = chain_by_member(chain, k);
		struct chain_span span;

		chain_get_span(chain, i, &span);
		if (span.member != member)
			chain_trim(chain, member);
		member = span.member;
		r = fill_span(&f, i, &span);
	}
	chain_trim(chain, member);
	return r;
}

int restore_tell_left_out(struct restore *rs)
{
	if (rs->left_out && rs->opts->left_out)
		rs->opts->left_out(rs->left_out, rs->opts->arg);
	return 0;
}
