// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * contents.c - see contents.h.  No state of its own: struct contents belongs to its caller, and is of a
 * chain that outlives it.  Lists and sections are read as hostile input, by the readers of meta.c and
 * image-pages.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "contents.h"

int contents_list_files(struct image *image, uint32_t owner, struct ckpt_err *err,
			struct meta_files *ret_files)
{
	int section = image_find(image, IMAGE_META, owner, IMAGE_META_FILES), ret;
	size_t len;
	void *data;

	memset(ret_files, 0, sizeof(*ret_files));
	if (section < 0)
		return 0;
	ret = image_load(image, (uint32_t)section, err, &data, &len);
	if (ret)
		return ret;
	ret = meta_files_parse(data, len, err, ret_files);
	free(data);
	return ret;
}

static int add_content(struct contents *c, size_t member, uint32_t owner, const struct meta_file *f,
		       struct ckpt_err *err)
{
	const struct image *image = chain_member(c->chain, member);
	int section = image_find(image, IMAGE_FILE, owner, f->section);
	struct content content = { .size = f->size, .member = member, .section = (uint32_t)section };

	if (section < 0)
		return ckpt_err_set(err, EBADMSG, "%s: does not hold the content of %s, as it says",
				    image_label(image), f->path);
	memcpy(content.digest, f->digest, sizeof(content.digest));
	return buf_append(&c->list, &content, sizeof(content)) ?
		ckpt_err_sys(err, ENOMEM, "list of files") : 0;
}

static int add_member(struct contents *c, size_t member, uint32_t owner, struct ckpt_err *err)
{
	struct meta_files m;
	int ret = contents_list_files(chain_member(c->chain, member), owner, err, &m);

	for (size_t i = 0; !ret && i < m.nr; i++)
		if (meta_has_content(&m.files[i]) && m.files[i].held)
			ret = add_content(c, member, owner, &m.files[i], err);
	meta_files_free(&m);
	return ret;
}

int contents_load(struct chain *chain, uint32_t owner, struct ckpt_err *err,
		  struct contents *ret_contents)
{
	struct contents c = { .chain = chain };
	int ret = 0;

	for (size_t i = 0; !ret && i < chain_length(chain); i++)
		ret = add_member(&c, i, owner, err);
	if (ret)
		contents_free(&c);
	*ret_contents = c;
	return ret;
}

void contents_free(struct contents *c)
{
	buf_free(&c->list);
}

int contents_find(const struct contents *c, const struct meta_file *file, struct ckpt_err *err,
		  const struct content **ret_content)
{
	const struct content *list = (const void *)c->list.data;

	for (size_t i = 0; i < c->list.len / sizeof(*list); i++)
		if (list[i].size == file->size && !strcmp(list[i].digest, file->digest)) {
			*ret_content = &list[i];
			return 0;
		}
	return ckpt_err_set(err, EBADMSG, "%s: the content of %s is neither in it nor in what it is built on",
			    chain_ref(c->chain)->label, file->path);
}

int contents_check(struct chain *chain, uint32_t owner, struct ckpt_err *err)
{
	const struct content *content;
	struct contents c;
	struct meta_files m;
	int ret = contents_list_files(chain_image(chain), owner, err, &m);

	if (ret)
		return ret;
	ret = contents_load(chain, owner, err, &c);
	for (size_t i = 0; !ret && i < m.nr; i++)
		if (meta_has_content(&m.files[i]))
			ret = contents_find(&c, &m.files[i], err, &content);
	contents_free(&c);
	meta_files_free(&m);
	return ret;
}

int contents_read(const struct contents *c, const struct content *content, contents_run_fn fn,
		  void *arg, struct ckpt_err *err)
{
	struct image *image = chain_member(c->chain, content->member);
	struct image_pages_stats stats;
	struct image_pages *pages;
	int ret = image_pages_open(image, content->section, err, &pages);

	if (ret)
		return ret;
	image_pages_keep_one(pages);
	image_pages_get_stats(pages, &stats);
	for (uint64_t i = 0; !ret && i < stats.runs; i++) {
		const void *data = NULL;
		struct image_run run;

		image_pages_get_run(pages, i, &run);
		if (run.kind == IMAGE_RUN_DATA)
			ret = image_pages_borrow(pages, i, err, &data);
		else if (run.kind != IMAGE_RUN_ZERO)
			ret = ckpt_err_set(err, EBADMSG, "%s: section %u is not the content of a file",
					   image_label(image), content->section);
		if (!ret)
			ret = fn(run.addr, run.npages, data, arg);
	}
	image_pages_close(pages);
	return ret;
}
