// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * compact.c - see compact.h.  Sections are copied in the order they have; those of memory are put
 * together from the chain.  One that is encrypted is so again, to the same keys.  Memory: the indexes of the chain, and the frames being read of each
 * member, since addresses rise and each member has them in that order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compact.h"
#include "contents.h"
#include "store-dedup.h"

struct compact {
	struct chain		*chain;
	struct store_writer	*store_writer;
	struct image_writer	*writer;
	struct dedup		*dedup;		/* NULL: what is folded shares nothing */
	stream_progress_fn	progress;
	void			*arg;
	uint64_t		done;
	struct contents		contents;	/* of the owner whose list of files is being copied */
	uint32_t		owner;
	struct buf		placed;		/* struct placed */
	struct ckpt_err		*err;
	struct compact_result	*result;
};

/* A content that is in the new image. */
struct placed {
	const struct content	*content;
	uint32_t		sub;
};

static int copy_blob(struct compact *c, uint32_t i, const struct image_section *s)
{
	size_t size;
	void *data;
	int ret = image_load(chain_image(c->chain), i, c->err, &data, &size);

	if (ret)
		return ret;
	ret = image_writer_put(c->writer, s->kind, s->owner, s->sub, data, size, c->err);
	free(data);
	return ret;
}

static int copy_span(struct compact *c, size_t i)
{
	const void *data;
	struct chain_span s;
	int ret;

	chain_get_span(c->chain, i, &s);
	switch (s.kind) {
	case IMAGE_RUN_ZERO:
		return image_writer_zero(c->writer, s.addr, s.npages, c->err);
	case IMAGE_RUN_FILE:
		return image_writer_file(c->writer, s.addr, s.npages, s.file_offset, c->err);
	default:
		ret = chain_borrow(c->chain, i, c->err, &data);
		return ret ? ret : image_writer_data(c->writer, s.addr, s.npages, data, c->err);
	}
}

static int advance(struct compact *c, size_t i)
{
	uint64_t page_size = image_get_info(chain_image(c->chain))->page_size;
	struct chain_span s;
	int ret = 0;

	chain_get_span(c->chain, i, &s);
	if (s.kind != IMAGE_RUN_DATA)
		return 0;
	c->done += s.npages * page_size;
	if (c->progress)
		ret = c->progress(c->done, chain_pages(c->chain, IMAGE_RUN_DATA) * page_size,
				  c->arg);
	return ret ? ckpt_err_sys(c->err, ret, "%s: given up", chain_ref(c->chain)->label) : 0;
}

static int copy_pages(struct compact *c, uint32_t owner)
{
	int ret = chain_load(c->chain, owner, c->err);

	c->done = 0;
	if (!ret)
		ret = image_writer_begin_pages(c->writer, owner, c->err);
	for (size_t i = 0; !ret && i < chain_spans(c->chain); i++) {
		ret = copy_span(c, i);
		if (!ret)
			ret = advance(c, i);
	}
	return ret ? ret : image_writer_end_pages(c->writer, c->err, &c->result->pages);
}

/* Of a file that changes each generation has the content. */
static int copy_file(struct compact *c, uint32_t i, const struct image_section *s)
{
	struct image_pages_stats stats;
	struct image_pages *pages;
	int ret = image_pages_open(chain_image(c->chain), i, c->err, &pages);

	if (ret)
		return ret;
	image_pages_get_stats(pages, &stats);
	ret = image_writer_begin_file(c->writer, s->owner, s->sub, c->err);
	for (uint64_t k = 0; !ret && k < stats.runs; k++) {
		struct image_run run;
		const void *data;

		image_pages_get_run(pages, k, &run);
		if (run.kind == IMAGE_RUN_ZERO) {
			ret = image_writer_zero(c->writer, run.addr, run.npages, c->err);
			continue;
		}
		ret = image_pages_borrow(pages, k, c->err, &data);
		if (!ret)
			ret = image_writer_data(c->writer, run.addr, run.npages, data, c->err);
	}
	image_pages_close(pages);
	return ret ? ret : image_writer_end_pages(c->writer, c->err, NULL);
}

static int put_run(uint64_t addr, uint64_t npages, const void *data, void *arg)
{
	struct compact *c = arg;

	return data ? image_writer_data(c->writer, addr, npages, data, c->err) :
		image_writer_zero(c->writer, addr, npages, c->err);
}

/* What must not change may be in an older one alone: it comes along, each content once. */
static int place_content(const struct meta_file *file, void *arg, uint32_t *ret_section)
{
	struct compact *c = arg;
	const struct placed *list = (const void *)c->placed.data;
	size_t nr = c->placed.len / sizeof(*list);
	struct placed p = { .sub = META_CONTENT_FIRST + (uint32_t)nr };
	int ret = contents_find(&c->contents, file, c->err, &p.content);

	if (ret)
		return ret;
	for (size_t i = 0; i < nr; i++)
		if (list[i].content == p.content) {
			*ret_section = list[i].sub;
			return 0;
		}
	ret = image_writer_begin_file(c->writer, c->owner, p.sub, c->err);
	if (!ret)
		ret = contents_read(&c->contents, p.content, put_run, c, c->err);
	if (!ret)
		ret = image_writer_end_pages(c->writer, c->err, NULL);
	if (!ret && buf_append(&c->placed, &p, sizeof(p)))
		ret = ckpt_err_sys(c->err, ENOMEM, "list of files");
	*ret_section = p.sub;
	return ret;
}

/* The list of files, behind the contents it tells of. */
static int copy_files_list(struct compact *c, uint32_t i, const struct image_section *s)
{
	char *text = NULL;
	size_t size;
	void *data;
	int ret = image_load(chain_image(c->chain), i, c->err, &data, &size);

	if (ret)
		return ret;
	c->owner = s->owner;
	ret = contents_load(c->chain, s->owner, c->err, &c->contents);
	if (!ret)
		ret = meta_files_place(data, size, place_content, c, c->err, &text);
	if (!ret)
		ret = image_writer_put(c->writer, s->kind, s->owner, s->sub, text, strlen(text), c->err);
	contents_free(&c->contents);
	buf_free(&c->placed);
	free(text);
	free(data);
	return ret;
}

static int copy_section(struct compact *c, uint32_t i)
{
	struct image *image = chain_image(c->chain);
	struct image_section s;

	image_get_section(image, i, &s);
	switch (s.kind) {
	case IMAGE_META:
		if (s.sub == IMAGE_META_FILES)
			return copy_files_list(c, i, &s);
		return copy_blob(c, i, &s);
	case IMAGE_STATE:
		return copy_blob(c, i, &s);
	case IMAGE_PAGES:
		return copy_pages(c, s.owner);
	case IMAGE_FILE:
		/* A content comes with the list that names it. */
		return s.sub >= META_CONTENT_FIRST ? 0 : copy_file(c, i, &s);
	case IMAGE_SOURCES:
		return 0;		/* anew, at the end */
	case IMAGE_KEYS:
		return 0;		/* the writer has made its own */
	default:
		return ckpt_err_set(c->err, EOPNOTSUPP, "%s: section %u is of unknown kind %u",
				    image_label(image), i, s.kind);
	}
}

/*
 * What shares pages with other jobs goes on doing so, unless it is encrypted by now; with its own it would
 * hold what it replaces.
 */
static void begin_dedup(struct compact *c, struct store *store)
{
	const struct image_info *info = image_get_info(chain_image(c->chain));
	const struct dedup_params params = {
		.job = chain_ref(c->chain)->name, .generation = info->generation,
		.page_size = info->page_size, .others = true,
	};

	for (size_t i = 0; i < chain_length(c->chain) && !image_info_is_encrypted(info); i++) {
		if (!image_info_is_shared(image_get_info(chain_member(c->chain, i))))
			continue;
		/* what comes in the way of it costs room alone */
		if (dedup_open(store, &params, NULL, &c->dedup))
			c->dedup = NULL;
		return;
	}
}

static int finish(struct compact *c)
{
	int ret = c->dedup ? dedup_finish(c->dedup, c->writer, c->err) : 0;

	return ret ? ret : image_writer_finish(c->writer, c->err, &c->result->info);
}

static int write_image(struct compact *c, struct store *store, int level)
{
	const struct image_info *info = image_get_info(chain_image(c->chain));
	struct image_params params = {
		.sealed_as = image_info_is_encrypted(info) ? chain_image(c->chain) : NULL,
		.label = store_writer_path(c->store_writer), .job = info->job,
		.generation = info->generation, .replaces = info, .pid = info->pid,
		.comm = info->comm, .page_size = info->page_size, .level = level,
	};
	int ret;

	begin_dedup(c, store);
	if (c->dedup)
		params.share = dedup_share(c->dedup);
	ret = image_writer_open(store_writer_fd(c->store_writer), &params, c->err, &c->writer);
	if (!ret && c->dedup)
		dedup_begin(c->dedup, info->id);
	for (uint32_t i = 0; !ret && i < info->sections; i++)
		ret = copy_section(c, i);
	if (!ret)
		ret = finish(c);
	if (!ret)
		ret = store_writer_sync(c->store_writer, c->err);
	if (!ret)
		ret = image_read_back(store_writer_fd(c->store_writer), params.label,
				      &c->result->info, c->err);
	return ret ? ret : store_writer_commit(c->store_writer, c->err);
}

int compact_run(struct store *store, const char *ref, int level, stream_progress_fn progress,
		void *arg, struct ckpt_err *err, struct compact_result *ret_result)
{
	struct compact c = { .progress = progress, .arg = arg, .err = err, .result = ret_result };
	const struct image_info *info;
	int ret;

	memset(ret_result, 0, sizeof(*ret_result));
	if (!store || store_ref_is_path(ref))
		return ckpt_err_set(err, EINVAL, "%s: is a path; only what is in a store, by name, "
				    "can be compacted", ref);
	ret = chain_open(store, ref, false, err, &c.chain);
	if (ret)
		return ret;
	info = image_get_info(chain_image(c.chain));
	snprintf(ret_result->label, sizeof(ret_result->label), "%s@%llu", chain_ref(c.chain)->name,
		 (unsigned long long)chain_ref(c.chain)->generation);
	ret_result->length = chain_length(c.chain);
	ret_result->old_size = info->file_size;
	ret_result->info = *info;
	if (image_info_is_delta(info))
		ret = chain_unlock(c.chain, store_keyring(store), err);
	if (!ret && image_info_is_delta(info))
		ret = store_writer_open_over(store, chain_ref(c.chain), chain_fd(c.chain), err,
					     &c.store_writer);
	if (!ret && c.store_writer)
		ret = write_image(&c, store, level);
	store_audit(store, &(struct store_event){ .what = "compact", .ref = chain_ref(c.chain)->label,
						  .code = ret, .err = err });
	image_writer_close(c.writer);
	dedup_close(c.dedup);
	store_writer_close(c.store_writer);
	chain_close(c.chain);
	return ret;
}
