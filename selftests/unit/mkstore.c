// SPDX-License-Identifier: GPL-2.0-only
/*
 * mkstore STORE STATE META: a store with job@1 and job@2, images of a process whose state records and
 * list of files are those in STATE and META (seeds of the fuzzers are), and whose memory is made up.
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
		 const struct bytes *meta)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char page[PAGE];

	REQUIRE_OK(image_writer_put(w, IMAGE_STATE, pid, 0, state->data, state->size, &err), err);
	REQUIRE_OK(image_writer_begin_pages(w, pid, &err), err);
	for (int i = 0; i < PAGES; i++) {
		fill_page(page, PAGE, i % FILL_KINDS, i);
		REQUIRE_OK(image_writer_data(w, i * PAGE, 1, page, &err), err);
	}
	REQUIRE_OK(image_writer_end_pages(w, &err, NULL), err);
	REQUIRE_OK(image_writer_put(w, IMAGE_META, pid, IMAGE_META_FILES, meta->data, meta->size,
				    &err), err);
	REQUIRE_OK(image_writer_put(w, IMAGE_META, 0, IMAGE_META_SNAP, SMALL_META,
				    strlen(SMALL_META), &err), err);
	REQUIRE_OK(image_writer_finish(w, &err, NULL), err);
}

static void make(struct store *store, const struct bytes *state, const struct bytes *meta)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_params params = {
		.job = "job", .comm = "counter", .page_size = PAGE, .frame_size = 4 * PAGE,
	};
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
	fill(iw, params.pid, state, meta);
	REQUIRE_OK(store_writer_commit(w, &err), err);
	image_writer_close(iw);
	store_writer_close(w);
}

int main(int argc, char **argv)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct bytes state, meta;
	struct store *store;

	if (argc != 4)
		return 2;
	state = file(argv[2]);
	meta = file(argv[3]);
	REQUIRE_OK(store_open(argv[1], true, &err, &store), err);
	for (int i = 0; i < 2; i++)
		make(store, &state, &meta);
	store_close(store);
	return 0;
}
