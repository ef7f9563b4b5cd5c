// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * chain.c - see chain.h.
 *
 *  1. chain_open() goes from child to parent; each is opened, and held against what its child says
 *     of it, before the next.  Generation numbers fall strictly, so it comes to an end.  A parent
 *     that is missing may have been folded away, with what was read before: then all is done anew.
 *  2. chain_load() reads the indexes and lays them over one another.  Laying over is associative,
 *     so members are joined by halves, and n runs in all cost n log(members).
 *  3. Content is read through the member that has it, and checked by its own frame checksums.
 *
 * Addresses are page numbers in here: then the end of the address space is no special case.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "chain.h"
#include "util.h"

/* One in whose place another is put, and what it was built on removed, while we look. */
#define OPEN_TRIES	3

/* Frames kept of each member: all of a long chain may be read by turns. */
#define LONG_CHAIN	8

struct member {
	int			fd;
	struct image		*image;
	struct image_pages	*pages;		/* of the owner loaded; NULL: none */
};

/* Pages @first to @first + @npages - 1 are what run @run of @member says. */
struct span {
	uint64_t	first;
	uint64_t	npages;
	uint64_t	run;
	uint32_t	member;
	uint32_t	kind;			/* enum image_run_kind */
};

struct span_list {
	struct span	*at;
	size_t		nr;
};

/* An image that members have pages in, however many of them. */
struct shared {
	int			fd;
	struct image		*image;
};

struct chain {
	struct store_ref	ref;
	struct buf		sources;	/* struct shared */
	struct member		members[CHAIN_MAX];
	size_t			nr;
	uint32_t		page_size;
	struct span_list	spans;
	size_t			*by_member;
	uint64_t		pages[IMAGE_RUN_GONE + 1];
};

static struct image_pages *pages_of(const struct chain *c, const struct span *s)
{
	return c->members[s->member].pages;
}

/* ------------------------------------------------------------------------------- opening */

/* Whether full image @image was put in the place of the delta that had @digest. */
static bool stands_for(const struct image_info *image, const uint8_t digest[IMAGE_HASH_SIZE])
{
	return !image_info_is_delta(image) &&
	       !util_is_zero(image->replaced_digest, sizeof(image->replaced_digest)) &&
	       !memcmp(image->replaced_digest, digest, sizeof(image->replaced_digest));
}

bool chain_is_meant(const struct image_info *child, const struct image_info *parent)
{
	if (memcmp(child->parent_id, parent->id, sizeof(parent->id)) ||
	    child->parent_generation != parent->generation ||
	    child->page_size != parent->page_size || child->machine != parent->machine)
		return false;
	return !memcmp(child->parent_digest, parent->digest, sizeof(parent->digest)) ||
	       stands_for(parent, child->parent_digest);
}

static struct image *find_source(const struct chain *c, const struct image_source *source)
{
	const struct shared *s = (const void *)c->sources.data;

	for (size_t i = 0; i < c->sources.len / sizeof(*s); i++)
		if (!memcmp(image_get_info(s[i].image)->digest, source->digest, sizeof(source->digest)))
			return s[i].image;
	return NULL;
}

static int open_source(struct chain *c, struct store *store, const struct store_ref *ref,
		       const struct image_source *source, bool to_run, struct ckpt_err *err,
		       struct image **ret_image)
{
	char label[IMAGE_TEXT + 40];
	struct shared s;
	int ret = store_open_source(store, ref, source, to_run, err, &s.fd);

	if (ret)
		return ret;
	snprintf(label, sizeof(label), "%s@%llu (shared)", source->job,
		 (unsigned long long)source->generation);
	ret = image_open(s.fd, label, err, &s.image);
	if (ret) {
		close(s.fd);
		return ret;
	}
	ret = buf_append(&c->sources, &s, sizeof(s));
	if (ret) {
		image_close(s.image);
		close(s.fd);
		return ckpt_err_sys(err, ret, "%s", label);
	}
	*ret_image = s.image;
	return 0;
}

static void close_sources(struct chain *c)
{
	struct shared *s = (void *)c->sources.data;

	for (size_t i = 0; i < c->sources.len / sizeof(*s); i++) {
		image_close(s[i].image);
		close(s[i].fd);
	}
	buf_free(&c->sources);
}

/* Open what @image, of @ref, has pages in. */
static int attach_sources(struct chain *c, struct image *image, struct store *store,
			  const struct store_ref *ref, bool to_run, struct ckpt_err *err)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < image_nr_sources(image); i++) {
		struct image_source source;
		struct image *other;

		image_get_source(image, i, &source);
		other = find_source(c, &source);
		if (!other)
			ret = open_source(c, store, ref, &source, to_run, err, &other);
		if (!ret)
			ret = image_attach_source(image, i, other, err);
	}
	return ret;
}

static int add_member(struct chain *c, int fd, struct store *store, const struct store_ref *ref,
		      bool to_run, struct ckpt_err *err)
{
	struct member *m = &c->members[c->nr];
	int ret;

	m->fd = fd;
	ret = image_open(fd, ref->label, err, &m->image);
	if (ret) {
		close(fd);
		return ret;
	}
	c->nr++;
	return attach_sources(c, m->image, store, ref, to_run, err);
}

static int add_parent(struct chain *c, struct store *store, const struct image *child, bool to_run,
		      struct ckpt_err *err)
{
	const struct image_info *info = image_get_info(child);
	struct ckpt_err why = CKPT_ERR_INIT;
	struct store_ref ref;
	int fd, ret;

	if (c->nr == CHAIN_MAX)
		return ckpt_err_set(err, E2BIG, "%s: is built on more than %d generations",
				    c->ref.label, CHAIN_MAX - 1);
	ret = store_resolve_sibling(store, &c->ref, info->parent_generation, to_run, &why, &fd,
				    &ref);
	if (ret == -ENOENT) {
		ckpt_err_set(err, ENOENT, "%s: is built on %s, which is missing",
			     image_label(child), ref.label);
		ckpt_err_hint(err, "put %s back", ref.path);
		return ret;
	}
	if (!ret)
		ret = add_member(c, fd, store, &ref, to_run, &why);
	if (ret)
		return ckpt_err_set(err, ret, "%s: is built on another: %s", image_label(child),
				    why.text);
	if (chain_is_meant(info, image_get_info(c->members[c->nr - 1].image)))
		return 0;
	return ckpt_err_set(err, ESTALE, "%s: is built on another image than %s is now",
			    image_label(child), ref.label);
}

static int open_once(struct store *store, const char *ref, bool to_run, struct ckpt_err *err,
		     struct chain **ret_chain)
{
	struct chain *c = calloc(1, sizeof(*c));
	int fd, ret;

	if (!c)
		return ckpt_err_sys(err, ENOMEM, "%s", ref);
	ret = (to_run ? store_resolve_to_run : store_resolve)(store, ref, err, &fd, &c->ref);
	if (!ret)
		ret = add_member(c, fd, store, &c->ref, to_run, err);
	if (!ret)
		c->page_size = image_get_info(chain_image(c))->page_size;
	while (!ret) {
		const struct image *last = c->members[c->nr - 1].image;

		if (!image_info_is_delta(image_get_info(last)))
			break;
		ret = add_parent(c, store, last, to_run, err);
	}
	if (ret)
		chain_close(c);
	else
		*ret_chain = c;
	return ret;
}

int chain_open(struct store *store, const char *ref, bool to_run, struct ckpt_err *err,
	       struct chain **ret_chain)
{
	struct ckpt_err why;
	int ret = -ENOENT;

	for (int i = 0; i < OPEN_TRIES && (ret == -ENOENT || ret == -ESTALE); i++) {
		why = (struct ckpt_err)CKPT_ERR_INIT;
		ret = open_once(store, ref, to_run, &why, ret_chain);
	}
	if (ret && err && !err->code)
		*err = why;
	return ret;
}

static void unload(struct chain *c)
{
	for (size_t i = 0; i < c->nr; i++) {
		image_pages_close(c->members[i].pages);
		c->members[i].pages = NULL;
	}
	free(c->spans.at);
	free(c->by_member);
	c->spans = (struct span_list){ 0 };
	c->by_member = NULL;
	memset(c->pages, 0, sizeof(c->pages));
}

void chain_close(struct chain *c)
{
	if (!c)
		return;
	unload(c);
	for (size_t i = 0; i < c->nr; i++) {
		image_close(c->members[i].image);
		close(c->members[i].fd);
	}
	close_sources(c);
	free(c);
}

/* ------------------------------------------------------------------------------- unlocking */

bool chain_is_encrypted(const struct chain *c)
{
	for (size_t i = 0; i < c->nr; i++)
		if (image_info_is_encrypted(image_get_info(c->members[i].image)))
			return true;
	return false;
}

/* That what it is built on has the right digest was seen on opening, and proves nothing against malice. */
static int check_keys(const struct image *child, const struct image *parent, struct ckpt_err *err)
{
	const struct image_info *c = image_get_info(child), *p = image_get_info(parent);

	if (image_info_is_encrypted(p) && !image_info_is_encrypted(c))
		return ckpt_err_set(err, ESTALE, "%s: is not encrypted and is built on %s, which is: "
				    "nobody knows who made it", image_label(child), image_label(parent));
	if (!image_info_is_encrypted(c) || !memcmp(c->parent_key_id, p->key_id, sizeof(p->key_id)))
		return 0;
	return ckpt_err_set(err, ESTALE, "%s: is built on another image than %s is now: the key is "
			    "another one", image_label(child), image_label(parent));
}

int chain_unlock(struct chain *c, const struct keyring *keyring, struct ckpt_err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < c->nr; i++)
		ret = image_unlock(c->members[i].image, keyring, err);
	for (size_t i = 0; !ret && i + 1 < c->nr; i++)
		ret = check_keys(c->members[i].image, c->members[i + 1].image, err);
	return ret;
}

void chain_lock(struct chain *c)
{
	for (size_t i = 0; i < c->nr; i++)
		image_lock(c->members[i].image);
}

size_t chain_length(const struct chain *c)
{
	return c->nr;
}

int chain_member_fd(const struct chain *c, size_t i)
{
	return c->members[i].fd;
}

struct image *chain_member(const struct chain *c, size_t i)
{
	return c->members[i].image;
}

struct image *chain_image(const struct chain *c)
{
	return c->members[0].image;
}

const struct store_ref *chain_ref(const struct chain *c)
{
	return &c->ref;
}

int chain_fd(const struct chain *c)
{
	return c->members[0].fd;
}

int chain_hold(struct chain *c, struct store *store)
{
	return store_hold(store, &c->ref, c->members[0].fd);
}

/* -------------------------------------------------------------------------------- loading */

static int list_runs(const struct chain *c, size_t member, struct span_list *ret)
{
	const struct image_pages *pages = c->members[member].pages;
	struct image_pages_stats stats = { 0 };

	if (pages)
		image_pages_get_stats(pages, &stats);
	ret->at = calloc(stats.runs + 1, sizeof(*ret->at));
	if (!ret->at)
		return -ENOMEM;
	for (uint64_t i = 0; i < stats.runs; i++) {
		struct image_run run;

		image_pages_get_run(pages, i, &run);
		ret->at[i] = (struct span){ run.addr / c->page_size, run.npages, i,
					    (uint32_t)member, run.kind };
	}
	ret->nr = stats.runs;
	return 0;
}

/* Into @out: @newer, and of @older what is between. Room is for 2 * newer + older. */
static void lay_over(const struct span_list *newer, const struct span_list *older,
		     struct span_list *out)
{
	size_t k = 0;
	uint64_t from = 0;	/* of @older, only what begins here counts */

	for (size_t i = 0; i <= newer->nr; i++) {
		uint64_t to = i < newer->nr ? newer->at[i].first : UINT64_MAX;

		for (; k < older->nr && older->at[k].first < to; k++) {
			struct span s = older->at[k];
			uint64_t end = s.first + s.npages, stop = end < to ? end : to;

			if (s.first < from)
				s.first = from;
			if (stop > s.first) {
				s.npages = stop - s.first;
				out->at[out->nr++] = s;
			}
			if (end > to)
				break;		/* goes on, perhaps, behind the newer one */
		}
		if (i < newer->nr) {
			out->at[out->nr++] = newer->at[i];
			from = to + newer->at[i].npages;
		}
	}
}

/* Members @begin to @end - 1, as one list. */
static int join(const struct chain *c, size_t begin, size_t end, struct span_list *ret)
{
	struct span_list newer = { 0 }, older = { 0 };
	size_t mid = begin + (end - begin) / 2;
	int r;

	if (end - begin == 1)
		return list_runs(c, begin, ret);
	r = join(c, begin, mid, &newer);
	if (!r)
		r = join(c, mid, end, &older);
	if (!r) {
		ret->at = calloc(2 * newer.nr + older.nr + 1, sizeof(*ret->at));
		r = ret->at ? 0 : -ENOMEM;
	}
	if (!r)
		lay_over(&newer, &older, ret);
	free(newer.at);
	free(older.at);
	return r;
}

/* What is gone in the end is in no span. */
static void drop_gone(struct chain *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->spans.nr; i++) {
		if (c->spans.at[i].kind == IMAGE_RUN_GONE)
			continue;
		c->pages[c->spans.at[i].kind] += c->spans.at[i].npages;
		c->spans.at[n++] = c->spans.at[i];
	}
	c->spans.nr = n;
}

static int sort_by_member(struct chain *c)
{
	size_t start[CHAIN_MAX + 1] = { 0 };

	c->by_member = calloc(c->spans.nr + 1, sizeof(*c->by_member));
	if (!c->by_member)
		return -ENOMEM;
	for (size_t i = 0; i < c->spans.nr; i++)
		start[c->spans.at[i].member + 1]++;
	for (size_t i = 1; i <= c->nr; i++)
		start[i] += start[i - 1];
	for (size_t i = 0; i < c->spans.nr; i++)
		c->by_member[start[c->spans.at[i].member]++] = i;
	return 0;
}

int chain_load(struct chain *c, uint32_t owner, struct ckpt_err *err)
{
	int ret = 0;

	unload(c);
	for (size_t i = 0; !ret && i < c->nr; i++) {
		struct image *image = c->members[i].image;
		int section = image_find(image, IMAGE_PAGES, owner, 0);

		if (section < 0) {
			ret = ckpt_err_set(err, i ? EBADMSG : ENOENT,
					   "%s: has no memory of process %u", image_label(image),
					   owner);
			break;
		}
		ret = image_pages_open(image, (uint32_t)section, err, &c->members[i].pages);
		if (!ret && c->nr > LONG_CHAIN)
			image_pages_keep_one(c->members[i].pages);
	}
	if (!ret) {
		ret = join(c, 0, c->nr, &c->spans);
		if (!ret) {
			drop_gone(c);
			ret = sort_by_member(c);
		}
		if (ret)
			ckpt_err_sys(err, ret, "%s: memory", c->ref.label);
	}
	if (ret)
		unload(c);
	return ret;
}

/* -------------------------------------------------------------------------------- reading */

size_t chain_spans(const struct chain *c)
{
	return c->spans.nr;
}

/* The run span @s is cut from, and how many of its pages come before. */
static uint64_t source(const struct chain *c, const struct span *s, struct image_run *ret_run)
{
	image_pages_get_run(pages_of(c, s), s->run, ret_run);
	return s->first - ret_run->addr / c->page_size;
}

void chain_get_span(const struct chain *c, size_t i, struct chain_span *ret)
{
	const struct span *s = &c->spans.at[i];
	struct image_run run;
	uint64_t skip = source(c, s, &run);

	*ret = (struct chain_span){
		.addr = s->first * c->page_size, .npages = s->npages,
		.kind = (enum image_run_kind)s->kind, .member = s->member,
	};
	if (ret->kind == IMAGE_RUN_FILE)
		ret->file_offset = run.file_offset + skip * c->page_size;
}

size_t chain_find(const struct chain *c, uint64_t addr)
{
	uint64_t page = addr / c->page_size;
	size_t low = 0, high = c->spans.nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c->spans.at[mid].first + c->spans.at[mid].npages <= page)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t chain_by_member(const struct chain *c, size_t k)
{
	return c->by_member[k];
}

uint64_t chain_pages(const struct chain *c, enum image_run_kind kind)
{
	return c->pages[kind];
}

int chain_borrow(struct chain *c, size_t i, struct ckpt_err *err, const void **ret_data)
{
	const struct span *s = &c->spans.at[i];
	struct image_run run;
	uint64_t skip = source(c, s, &run);
	const void *data;
	int ret = image_pages_borrow(pages_of(c, s), s->run, err, &data);

	if (!ret)
		*ret_data = (const char *)data + skip * c->page_size;
	return ret;
}

void chain_trim(struct chain *c, size_t member)
{
	if (c->members[member].pages)
		image_pages_trim(c->members[member].pages);
}

bool chain_has(const struct chain *c, uint64_t addr, uint64_t npages)
{
	uint64_t page = addr / c->page_size, end = page + npages;

	for (size_t i = chain_find(c, addr); page < end; i++) {
		if (i == c->spans.nr || c->spans.at[i].first > page ||
		    c->spans.at[i].kind == IMAGE_RUN_FILE)
			return false;
		page = c->spans.at[i].first + c->spans.at[i].npages;
	}
	return true;
}

static bool same_digest(const struct chain *c, const struct span *s, uint64_t page_nr,
			const void *page)
{
	uint8_t had[IMAGE_HASH_SIZE], has[IMAGE_HASH_SIZE];
	struct image_run run;
	uint64_t seed;

	image_pages_get_run(pages_of(c, s), s->run, &run);
	if (image_pages_run_digest(pages_of(c, s), s->run, page_nr - run.addr / c->page_size, NULL,
				   &seed, had))
		return false;
	image_page_digest(page, c->page_size, seed, has);
	return !memcmp(had, has, sizeof(had));
}

/* XXH3 is quick, and no secret: pages can be made that it does not tell apart. */
static bool same_data(struct chain *c, size_t i, uint64_t page_nr, const void *page)
{
	const struct span *s = &c->spans.at[i];
	const void *data;

	if (!same_digest(c, s, page_nr, page) || chain_borrow(c, i, NULL, &data))
		return false;
	return !memcmp((const char *)data + (page_nr - s->first) * c->page_size, page,
		       c->page_size);
}

bool chain_same_page(struct chain *c, uint64_t addr, const void *page)
{
	size_t i = chain_find(c, addr);
	const struct span *s = &c->spans.at[i];

	if (i == c->spans.nr || s->first > addr / c->page_size)
		return false;
	switch (s->kind) {
	case IMAGE_RUN_ZERO:
		return util_is_zero(page, c->page_size);
	case IMAGE_RUN_DATA:
		return same_data(c, i, addr / c->page_size, page);
	default:
		return false;
	}
}

bool chain_same_source(const struct chain *a, size_t span_a, const struct chain *b, size_t span_b,
		       uint64_t addr)
{
	const struct span *x = &a->spans.at[span_a], *y = &b->spans.at[span_b];
	const struct image_info *i = image_get_info(a->members[x->member].image);
	const struct image_info *k = image_get_info(b->members[y->member].image);

	/* one digest is one file, so one run number is one run */
	return !memcmp(i->digest, k->digest, sizeof(i->digest)) && x->run == y->run &&
	       addr / a->page_size >= x->first && addr / b->page_size >= y->first;
}
