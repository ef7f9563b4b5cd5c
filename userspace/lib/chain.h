/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chain.h - a generation and those it is built on, and the memory they make together.
 *
 * A delta holds what changed; of all other memory it says "as in my parent".  The chain of a
 * generation is itself, its parent, the parent's parent, down to one that is full.  Of each page the
 * newest member that mentions it counts.
 *
 * A chain belongs to one thread at a time.  0 or -errno, the reason in @err, results last.
 */
#ifndef CKPT_CHAIN_H
#define CKPT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "image.h"
#include "store.h"

/* The longest chain; each member is an open file. */
#define CHAIN_MAX	256

struct chain;

/*
 * Open what @ref names (see store_resolve(); @to_run: store_resolve_to_run()) and all it is built
 * on.  Each parent is the one that was meant, by identity and digest: -ENOENT one is missing,
 * -ESTALE another image lies in its place, -EBADMSG one is damaged, -E2BIG there are more than
 * CHAIN_MAX.  The text names which.
 *
 * At a cost that does not depend on the memory: the content is checked when it is read.
 */
int chain_open(struct store *store, const char *ref, bool to_run, struct ckpt_err *err,
	       struct chain **ret_chain);
void chain_close(struct chain *chain);

/* Whether @parent is the image @child was built on, or the full one that took its place. */
bool chain_is_meant(const struct image_info *child, const struct image_info *parent);

/*
 * Unlock what is encrypted of it, before chain_load(): image_unlock() of each.  And see that they belong
 * together by their keys: -ESTALE when one that is encrypted is built on another image than is there, or
 * when one is not and what it is built on is, since nobody knows then who made it.
 */
bool chain_is_encrypted(const struct chain *chain);
int chain_unlock(struct chain *chain, const struct keyring *keyring, struct ckpt_err *err);

/* Forget all keys; what is encrypted cannot be read any more. */
void chain_lock(struct chain *chain);

/* Members, the newest (what was asked for) first. */
size_t chain_length(const struct chain *chain);
struct image *chain_member(const struct chain *chain, size_t i);
int chain_member_fd(const struct chain *chain, size_t i);

/* The newest one. */
struct image *chain_image(const struct chain *chain);
const struct store_ref *chain_ref(const struct chain *chain);
int chain_fd(const struct chain *chain);

/* Keep the newest member from being removed: store_hold(). */
int chain_hold(struct chain *chain, struct store *store);

/*
 * Read the page indexes of address space @owner of all members.  -ENOENT: the newest lacks it;
 * -EBADMSG: one it is built on does.  May be called again with another owner.
 */
int chain_load(struct chain *chain, uint32_t owner, struct ckpt_err *err);

/* A stretch of pages of which one member knows one thing. */
struct chain_span {
	uint64_t	addr;
	uint64_t	npages;
	enum image_run_kind kind;	/* never GONE */
	size_t		member;
	uint64_t	file_offset;	/* FILE */
};

/* Spans by rising address; they do not overlap. */
size_t chain_spans(const struct chain *chain);
void chain_get_span(const struct chain *chain, size_t i, struct chain_span *ret_span);

/* The first span that ends above @addr; chain_spans() if there is none. */
size_t chain_find(const struct chain *chain, uint64_t addr);

/* The @k-th span when those of one member stand together: for who reads all and keeps little. */
size_t chain_by_member(const struct chain *chain, size_t k);

/* Pages of kind @kind in all spans. */
uint64_t chain_pages(const struct chain *chain, enum image_run_kind kind);

/* Content of DATA span @i, whole; valid until the next call with the chain. */
int chain_borrow(struct chain *chain, size_t i, struct ckpt_err *err, const void **ret_data);

/* Give back what member @member has cached. */
void chain_trim(struct chain *chain, size_t member);

/* Whether the chain has the content of each of @npages pages from @addr on; a file's is not its own. */
bool chain_has(const struct chain *chain, uint64_t addr, uint64_t npages);

/*
 * Whether @page, now at @addr, holds what the chain has there.  Digests tell that it does not; that
 * it does is told by the bytes.  What cannot be read is not the same.
 */
bool chain_same_page(struct chain *chain, uint64_t addr, const void *page);

/* Whether both spans are the same bytes of the same image. */
bool chain_same_source(const struct chain *a, size_t span_a, const struct chain *b, size_t span_b,
		       uint64_t addr);

#endif
