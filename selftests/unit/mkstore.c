// SPDX-License-Identifier: GPL-2.0-only
/*
 * mkstore STORE STATE META [delta]: a store with job@1 and job@2, images of a process whose state records and
 * list of files are those in STATE and META (seeds of the fuzzers are), and whose memory is made up.  With "delta" job@2 is
 * built on job@1.
 */
#include "state.h"
#include "stores.h"

#define PAGES	9

static struct bytes file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bytes b;

	REQUIRE(fd >= 0);
	b = bytes_of_fd(fd);
	close(fd);
	return b;
}

static void fill(struct image_writer *w, uint32_t pid, const struct bytes *state,
		 const struct bytes *meta, bool delta, struct image_info *ret_info)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char page[PAGE];

	REQUIRE_OK(image_writer_put(w, IMAGE_STATE, pid, 0, state->data, state->size, &err), err);
	REQUIRE_OK(image_writer_begin_pages(w, pid, &err), err);
	for (int i = 0; i < PAGES; i += 1 + delta) {
		fill_page(page, PAGE, i % FILL_KINDS, i + delta);
		REQUIRE_OK(image_writer_data(w, i * PAGE, 1, page, &err), err);
	}
	REQUIRE_OK(image_writer_end_pages(w, &err, NULL), err);
	REQUIRE_OK(image_writer_put(w, IMAGE_META, pid, IMAGE_META_FILES, meta->data, meta->size,
				    &err), err);
	REQUIRE_OK(image_writer_put(w, IMAGE_META, 0, IMAGE_META_SNAP, SMALL_META,
				    strlen(SMALL_META), &err), err);
	REQUIRE_OK(image_writer_finish(w, &err, ret_info), err);
}

/* @parent: what it is built on, NULL: of none. */
static struct image_info make(struct store *store, const struct bytes *state,
			      const struct bytes *meta, const struct image_info *parent)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_params params = {
		.job = "job", .comm = "counter", .page_size = PAGE, .frame_size = 4 * PAGE,
		.parent = parent,
	};
	struct image_info info;
	struct ckpt_model *model;
	struct image_writer *iw;
	struct store_writer *w;

	REQUIRE_OK(ckpt_model_parse(state->data, state->size, &err, &model), err);
	params.pid = model->proc.pid;
	ckpt_model_free(model);
	REQUIRE_OK(store_writer_open(store, "job", &err, &w), err);
	params.generation = store_writer_generation(w);
	params.label = store_writer_label(w);
	REQUIRE_OK(image_writer_open(store_writer_fd(w), &params, &err, &iw), err);
	fill(iw, params.pid, state, meta, parent, &info);
	REQUIRE_OK(store_writer_commit(w, &err), err);
	image_writer_close(iw);
	store_writer_close(w);
	return info;
}

int main(int argc, char **argv)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct bytes state, meta;
	struct image_info first;
	struct store *store;

	if (argc < 4)
		return 2;
	state = file(argv[2]);
	meta = file(argv[3]);
	REQUIRE_OK(store_open(argv[1], true, &err, &store), err);
	first = make(store, &state, &meta, NULL);
	make(store, &state, &meta, argc > 4 ? &first : NULL);
	store_close(store);
	return 0;
}
