// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is written is what is read: random sparse address spaces against a model, then the writer's
 * rules one by one.
 */
#include <pthread.h>
#include <time.h>

#include "images.h"

#define MODEL_PAGES	400
#define SPACES_MAX	3
#define BLOBS_MAX	5

struct model_page {
	uint64_t	addr;
	enum image_run_kind kind;
	enum fill	fill;
	uint64_t	seed;
	uint64_t	file_offset;
};

struct space {
	struct model_page pages[MODEL_PAGES];
	size_t		count;
};

struct model {
	struct image_params params;
	struct space	spaces[SPACES_MAX];
	size_t		nspaces;
	struct bytes	blobs[BLOBS_MAX];
	size_t		nblobs;
};

/* Runs of neighbours and gaps of all sizes; one space in four ends at the top of all addresses. */
static void make_space(struct space *s, uint32_t page_size, bool delta)
{
	uint64_t addr = rnd_below(1000) * page_size;

	s->count = rnd_below(8) ? rnd_below(MODEL_PAGES) : 0;
	for (size_t i = 0; i < s->count;) {
		size_t n = 1 + rnd_below(rnd_below(2) ? 3 : 60);
		unsigned int what = rnd_below(delta ? 8 : 7);
		uint64_t file_offset = rnd_below(1 << 20) * page_size;

		for (; n && i < s->count; n--, i++, addr += page_size) {
			struct model_page *p = &s->pages[i];

			p->addr = addr;
			p->kind = what < 4 ? IMAGE_RUN_DATA : what == 4 ? IMAGE_RUN_ZERO :
				  what < 7 ? IMAGE_RUN_FILE : IMAGE_RUN_GONE;
			p->fill = what < 4 ? rnd_below(FILL_KINDS) : FILL_ZERO;
			p->seed = rnd();
			p->file_offset = file_offset;
			file_offset += page_size;
		}
		if (rnd_below(3))
			addr += rnd_below(1ull << rnd_below(40)) * page_size;
	}
	if (s->count && !rnd_below(4))
		s->pages[s->count - 1].addr = -(uint64_t)page_size;
}

static void write_page(struct image_writer *w, const struct model_page *p, uint32_t page_size,
		       size_t n)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char *data;

	switch (p->kind) {
	case IMAGE_RUN_DATA:
		data = malloc(n * page_size);
		REQUIRE(data);
		for (size_t i = 0; i < n; i++)
			fill_page(data + i * page_size, page_size, p[i].fill, p[i].seed);
		REQUIRE_OK(image_writer_data(w, p->addr, n, data, &err), err);
		free(data);
		break;
	case IMAGE_RUN_ZERO:
		REQUIRE_OK(image_writer_zero(w, p->addr, n, &err), err);
		break;
	case IMAGE_RUN_FILE:
		REQUIRE_OK(image_writer_file(w, p->addr, n, p->file_offset, &err), err);
		break;
	case IMAGE_RUN_GONE:
		REQUIRE_OK(image_writer_gone(w, p->addr, n, &err), err);
		break;
	}
}

static bool same_run(const struct model_page *a, const struct model_page *b, uint32_t page_size)
{
	return a->kind == b->kind && a->addr + page_size == b->addr &&
	       (a->kind != IMAGE_RUN_FILE || a->file_offset + page_size == b->file_offset);
}

/* Calls of random length, so that joining is the writer's work. */
static void write_space(struct image_writer *w, const struct space *s, uint32_t page_size)
{
	for (size_t i = 0; i < s->count;) {
		size_t n = 1, most = 1 + rnd_below(20);

		while (n < most && i + n < s->count &&
		       same_run(&s->pages[i + n - 1], &s->pages[i + n], page_size))
			n++;
		write_page(w, &s->pages[i], page_size, n);
		i += n;
	}
}

static void write_model(int fd, const struct model *m)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_pages_stats stats;
	struct image_info info;
	struct image_writer *w;

	REQUIRE_OK(image_writer_open(fd, &m->params, &err, &w), err);
	for (size_t i = 0; i < m->nblobs; i++)
		REQUIRE_OK(image_writer_put(w, i % 2 ? IMAGE_META : IMAGE_STATE, i, i * 3,
					    m->blobs[i].data, m->blobs[i].size, &err), err);
	for (size_t i = 0; i < m->nspaces; i++) {
		REQUIRE_OK(image_writer_begin_pages(w, i, &err), err);
		write_space(w, &m->spaces[i], m->params.page_size);
		REQUIRE_OK(image_writer_end_pages(w, &err, &stats), err);
		REQUIRE_EQ(stats.data_pages + stats.zero_pages + stats.file_pages +
			   stats.gone_pages, m->spaces[i].count);
	}
	REQUIRE_OK(image_writer_finish(w, &err, &info), err);
	REQUIRE(!memcmp(info.id, image_writer_id(w), sizeof(info.id)));
	image_writer_close(w);
}

/* The kind a reader must find: zero pages given as data are recorded as ZERO. */
static enum image_run_kind stored_kind(const struct model_page *p)
{
	return p->kind == IMAGE_RUN_DATA && p->fill == FILL_ZERO ? IMAGE_RUN_ZERO : p->kind;
}

/* The runs, page by page, are the model's pages: none missing, none added. */
static void check_runs(struct image_pages *ip, const struct space *s, uint32_t page_size)
{
	struct image_pages_stats stats;
	size_t at = 0;

	image_pages_get_stats(ip, &stats);
	for (uint64_t i = 0; i < stats.runs; i++) {
		struct image_run run;

		image_pages_get_run(ip, i, &run);
		for (uint64_t n = 0; n < run.npages; n++, at++) {
			const struct model_page *p = &s->pages[at];

			REQUIRE(at < s->count);
			REQUIRE_EQ(p->addr, run.addr + n * page_size);
			REQUIRE_EQ(stored_kind(p), run.kind);
			if (run.kind == IMAGE_RUN_FILE)
				REQUIRE_EQ(p->file_offset, run.file_offset + n * page_size);
			REQUIRE_EQ(image_pages_find(ip, p->addr), i);
		}
	}
	REQUIRE_EQ(at, s->count);
}

static void check_page(struct image_pages *ip, const struct model_page *p, uint32_t page_size)
{
	unsigned char *want = malloc(page_size), *got = malloc(page_size);
	struct ckpt_err err = CKPT_ERR_INIT;

	REQUIRE(want && got);
	if (p->kind == IMAGE_RUN_FILE || p->kind == IMAGE_RUN_GONE) {
		REQUIRE_EQ(image_pages_read(ip, p->addr, 1, got, &err), -ENODATA);
	} else {
		fill_page(want, page_size, p->fill, p->seed);
		REQUIRE_OK(image_pages_read(ip, p->addr, 1, got, &err), err);
		REQUIRE(!memcmp(want, got, page_size));
	}
	free(want);
	free(got);
}

/* One read over as many neighbours as have content. */
static void check_stretch(struct image_pages *ip, const struct space *s, size_t first,
			  uint32_t page_size)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char *want, *got;
	size_t n = 0;

	while (first + n < s->count && s->pages[first + n].addr ==
	       s->pages[first].addr + n * page_size && s->pages[first + n].kind <= IMAGE_RUN_ZERO)
		n++;
	want = malloc(n * page_size + 1);
	got = malloc(n * page_size + 1);
	REQUIRE(want && got);
	for (size_t i = 0; i < n; i++)
		fill_page(want + i * page_size, page_size, s->pages[first + i].fill,
			  s->pages[first + i].seed);
	if (n)
		REQUIRE_OK(image_pages_read(ip, s->pages[first].addr, n, got, &err), err);
	REQUIRE(!memcmp(want, got, n * page_size));
	free(want);
	free(got);
}

static void check_model(int fd, const struct model *m)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	uint32_t page_size = m->params.page_size;
	const struct image_info *info;
	struct image *img;

	REQUIRE_OK(image_open(fd, "model", &err, &img), err);
	info = image_get_info(img);
	REQUIRE_EQ(info->generation, m->params.generation);
	REQUIRE_EQ(info->page_size, page_size);
	REQUIRE_EQ(info->sections, m->nspaces + m->nblobs);
	REQUIRE(!strcmp(info->job, m->params.job) && !strcmp(info->comm, m->params.comm));
	REQUIRE_EQ(image_info_is_delta(info), m->params.parent != NULL);
	for (size_t i = 0; i < m->nblobs; i++) {
		int n = image_find(img, i % 2 ? IMAGE_META : IMAGE_STATE, i, i * 3);
		size_t size;
		void *data;

		REQUIRE(n >= 0);
		REQUIRE_OK(image_load(img, n, &err, &data, &size), err);
		REQUIRE_EQ(size, m->blobs[i].size);
		REQUIRE(!memcmp(data, m->blobs[i].data, size) && !((char *)data)[size]);
		free(data);
	}
	for (size_t i = 0; i < m->nspaces; i++) {
		const struct space *s = &m->spaces[i];
		struct image_pages *ip;

		REQUIRE_OK(image_pages_open(img, image_find(img, IMAGE_PAGES, i, 0), &err, &ip), err);
		check_runs(ip, s, page_size);
		for (size_t n = 0; n < s->count; n++)
			check_page(ip, &s->pages[n], page_size);
		for (size_t n = 0; n < 20 && s->count; n++) {
			check_page(ip, &s->pages[rnd_below(s->count)], page_size);
			check_stretch(ip, s, rnd_below(s->count), page_size);
		}
		image_pages_close(ip);
	}
	REQUIRE_OK(image_verify(img, NULL, NULL, &err, NULL), err);
	image_close(img);
}

static void what_is_written_is_what_is_read(void)
{
	static const struct image_info parent = { .page_size = 0, .generation = 1, .id = { 1 } };
	struct model *m = calloc(1, sizeof(*m));

	REQUIRE(m);
	for (unsigned int round = tap_count(120, 2000); round; round--) {
		struct image_info p = parent;
		int fd = memfd_create("image", MFD_CLOEXEC);

		REQUIRE(fd >= 0);
		p.page_size = IMAGE_PAGE_MIN << rnd_below(3);
		m->params = (struct image_params){
			.job = "model", .generation = 2 + rnd_below(100), .comm = "prog",
			.page_size = p.page_size,
			.frame_size = p.page_size * (1 + rnd_below(16)),
			.level = (int)rnd_below(8) - 3,
			.parent = rnd_below(2) ? &p : NULL,
		};
		m->nspaces = rnd_below(SPACES_MAX + 1);
		for (size_t i = 0; i < m->nspaces; i++)
			make_space(&m->spaces[i], p.page_size, m->params.parent);
		m->nblobs = rnd_below(BLOBS_MAX + 1);
		for (size_t i = 0; i < m->nblobs; i++) {
			m->blobs[i].size = rnd_below(2) ? rnd_below(20) : rnd_below(3000000);
			m->blobs[i].data = malloc(m->blobs[i].size + 1);
			REQUIRE(m->blobs[i].data);
			memset(m->blobs[i].data, (int)rnd(), m->blobs[i].size);
		}
		write_model(fd, m);
		check_model(fd, m);
		for (size_t i = 0; i < m->nblobs; i++)
			free(m->blobs[i].data);
		close(fd);
	}
	free(m);
}

/* The writer's end of a pipe; the reader's bytes must be a whole image. */
static void a_pipe_is_enough_to_write_to(void)
{
	int ends[2], fd = memfd_create("image", MFD_CLOEXEC);
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char buf[4096];
	struct image *img;
	int status;
	ssize_t n;
	pid_t pid;

	REQUIRE(fd >= 0 && !pipe(ends));
	pid = tap_fork();
	if (!pid) {
		close(ends[0]);
		write_small(ends[1], 1, NULL, NULL);
		_exit(0);
	}
	close(ends[1]);
	while ((n = read(ends[0], buf, sizeof(buf))) > 0)
		REQUIRE(write(fd, buf, n) == n);
	REQUIRE(waitpid(pid, &status, 0) == pid && !status);
	REQUIRE_OK(image_open(fd, "piped", &err, &img), err);
	REQUIRE_OK(image_verify(img, NULL, NULL, &err, NULL), err);
	image_close(img);
	close(ends[0]);
	close(fd);
}

static void text_is_packed_noise_is_not(void)
{
	struct image_pages_stats stats;
	struct ckpt_err err = CKPT_ERR_INIT;
	struct bytes b = small_image();
	int fd = fd_of_bytes(b.data, b.size);
	struct image *img;

	REQUIRE_OK(image_open(fd, "small", &err, &img), err);
	REQUIRE_OK(image_verify(img, NULL, NULL, &err, &stats), err);
	REQUIRE_EQ(stats.frames, 2);
	REQUIRE_EQ(stats.data_pages, 3);
	REQUIRE(stats.stored_bytes > PAGE && stats.stored_bytes < PAGE + 500);
	image_close(img);
	close(fd);
	free(b.data);
}

static struct image_writer *open_writer(const struct image_info *parent)
{
	struct image_params params = {
		.job = "job", .generation = 9, .parent = parent, .page_size = PAGE,
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_writer *w;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	REQUIRE(fd >= 0);
	REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
	return w;
}

/* Each misuse is -EINVAL (or what is said), with a text, and the writer is dead after it. */
static void misuse_is_refused_and_final(void)
{
	static const unsigned char page[PAGE] = { 1 };

	for (int what = 0; what < 12; what++) {
		struct image_writer *w = open_writer(NULL);
		struct ckpt_err err = CKPT_ERR_INIT, again = CKPT_ERR_INIT;
		int ret = 0, want = -EINVAL;

		if (what >= 6)
			REQUIRE(!image_writer_begin_pages(w, 1, &err));
		switch (what) {
		case 0:
			ret = image_writer_data(w, PAGE, 1, page, &err);
			break;
		case 1:
			ret = image_writer_end_pages(w, &err, NULL);
			break;
		case 2:
			ret = image_writer_put(w, IMAGE_PAGES, 1, 0, "", 0, &err);
			break;
		case 3:
			REQUIRE(!image_writer_put(w, IMAGE_META, 1, 2, "", 0, &err));
			ret = image_writer_put(w, IMAGE_META, 1, 2, "", 0, &err);
			want = -EEXIST;
			break;
		case 4:
			REQUIRE(!image_writer_finish(w, &err, NULL));
			ret = image_writer_put(w, IMAGE_META, 1, 2, "", 0, &err);
			break;
		case 5:
			ret = image_writer_put(w, IMAGE_STATE, 1, 0, "", IMAGE_BLOB_MAX + 1ul, &err);
			want = -EFBIG;
			break;
		case 6:
			ret = image_writer_data(w, PAGE + 1, 1, page, &err);
			break;
		case 7:
			REQUIRE(!image_writer_data(w, 4 * PAGE, 1, page, &err));
			ret = image_writer_data(w, 4 * PAGE, 1, page, &err);
			break;
		case 8:
			ret = image_writer_zero(w, PAGE, UINT64_MAX / PAGE + 1, &err);
			break;
		case 9:
			REQUIRE(!image_writer_zero(w, -(uint64_t)PAGE, 1, &err));
			ret = image_writer_zero(w, 0, 1, &err);
			break;
		case 10:
			ret = image_writer_gone(w, PAGE, 1, &err);
			break;
		case 11:
			ret = image_writer_finish(w, &err, NULL);
			break;
		}
		printf("# case %d: %s\n", what, err.text);
		REQUIRE_EQ(ret, want);
		REQUIRE(err.code == -want && err.text[0]);
		REQUIRE_EQ(image_writer_finish(w, &again, NULL), want);
		REQUIRE(strstr(again.text, "failed earlier"));
		image_writer_close(w);
	}
}

static void bad_parameters_are_refused(void)
{
	struct image_info other_pages = { .page_size = 2 * PAGE, .generation = 1, .id = { 1 } };
	struct image_info not_older = { .page_size = PAGE, .generation = 5, .id = { 1 } };
	struct image_params bad[] = {
		{ .job = "j", .generation = 0 },
		{ .job = NULL, .generation = 1, .label = "x" },
		{ .job = "j", .generation = 1, .page_size = 2048 },
		{ .job = "j", .generation = 1, .page_size = 12288 },
		{ .job = "j", .generation = 1, .page_size = 1 << 17 },
		{ .job = "j", .generation = 1, .page_size = PAGE, .frame_size = 5000 },
		{ .job = "j", .generation = 1, .page_size = PAGE, .frame_size = 2048 },
		{ .job = "j", .generation = 1, .page_size = PAGE,
		  .frame_size = IMAGE_FRAME_MAX + PAGE },
		{ .job = "j", .generation = 1, .level = 100 },
		{ .job = "j", .generation = 5, .page_size = PAGE, .parent = &other_pages },
		{ .job = "j", .generation = 5, .page_size = PAGE, .parent = &not_older },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		int fd = memfd_create("image", MFD_CLOEXEC);
		struct image_writer *w;

		REQUIRE_EQ(image_writer_open(fd, &bad[i], &err, &w), -EINVAL);
		REQUIRE(err.text[0]);
		REQUIRE_EQ(lseek(fd, 0, SEEK_END), 0);
		close(fd);
	}
}

static void hostile_names_are_made_printable(void)
{
	struct image_params params = {
		.job = "job", .generation = 1, .comm = "\x1b[31mred\n\xff and more text",
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct image_writer *w;
	struct image *img;

	REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
	REQUIRE_OK(image_writer_finish(w, &err, NULL), err);
	image_writer_close(w);
	REQUIRE_OK(image_open(fd, "x", &err, &img), err);
	REQUIRE(!strcmp(image_get_info(img)->comm, "?[31mred?? and m"));
	image_close(img);
	close(fd);
}

/* Frames of all kinds, of the identity of @like. */
static struct bytes image_by(unsigned int threads, int level, const struct image_info *like)
{
	struct image_params params = {
		.job = "j", .generation = 1, .page_size = PAGE, .frame_size = 8 * PAGE, .level = level,
		.threads = threads, .replaces = like,
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	int fd = memfd_create("image", MFD_CLOEXEC);
	unsigned char page[PAGE];
	struct image_writer *w;
	struct bytes b;

	REQUIRE(fd >= 0);
	REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
	for (uint32_t owner = 1; owner < 4; owner++) {
		REQUIRE_OK(image_writer_begin_pages(w, owner, &err), err);
		for (uint64_t i = 0; i < 1000 + owner; i++) {
			fill_page(page, PAGE, i / 8 % FILL_KINDS, i);
			REQUIRE_OK(image_writer_data(w, i * PAGE, 1, page, &err), err);
		}
		REQUIRE_OK(image_writer_end_pages(w, &err, NULL), err);
	}
	REQUIRE_OK(image_writer_finish(w, &err, NULL), err);
	image_writer_close(w);
	b = bytes_of_fd(fd);
	close(fd);
	return b;
}

static void the_number_of_threads_makes_no_difference(void)
{
	struct image_info like;
	int fd = memfd_create("like", MFD_CLOEXEC);
	struct bytes one, many;

	REQUIRE(fd >= 0);
	write_small(fd, 1, NULL, &like);
	one = image_by(1, 1, &like);
	for (unsigned int threads = 2; threads < 20; threads += 3) {
		many = image_by(threads, 1, &like);
		REQUIRE_EQ(many.size, one.size);
		REQUIRE(!memcmp(many.data, one.data, one.size));
		free(many.data);
	}
	many = image_by(3, IMAGE_LEVEL_NONE, &like);
	REQUIRE(many.size > one.size + 1000 * PAGE);	/* the text of three */
	free(many.data);
	free(one.data);
	close(fd);
}

#define FRAMES	96	/* enough for the level to go from end to end */

/* A pipe's other end, which takes its time. */
static void *slow_disk(void *arg)
{
	const struct timespec t = { 0, 2 * 1000 * 1000 };
	int fd = *(int *)arg;
	char buf[16 << 10];

	while (read(fd, buf, sizeof(buf)) > 0)
		nanosleep(&t, NULL);
	close(fd);
	return NULL;
}

/* Words in no order: each level makes something else of it. */
static void fill_words(unsigned char *page)
{
	for (size_t i = 0; i < PAGE; i += 8) {
		uint64_t word = (rnd() % 3000) * 0x9e3779b97f4a7c15ull;

		memcpy(page + i, &word, 8);
	}
}

/* Size of the image of FRAMES frames of them, written to @fd. */
static uint64_t size_of_words(int level, int fd)
{
	const struct image_params params = {
		.job = "j", .generation = 1, .page_size = PAGE, .frame_size = 64 * PAGE, .level = level,
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char page[PAGE];
	struct image_info info;
	struct image_writer *w;

	REQUIRE(fd >= 0);
	REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
	REQUIRE_OK(image_writer_begin_pages(w, 1, &err), err);
	for (uint64_t i = 0; i < FRAMES * 64; i++) {
		fill_words(page);
		REQUIRE_OK(image_writer_data(w, i * PAGE, 1, page, &err), err);
	}
	REQUIRE_OK(image_writer_end_pages(w, &err, NULL), err);
	REQUIRE_OK(image_writer_finish(w, &err, &info), err);
	image_writer_close(w);
	close(fd);
	return info.file_size;
}

/* Memory is faster than any level, the pipe slower. */
static void the_level_follows_the_disk(void)
{
	uint64_t fixed = size_of_words(1, memfd_create("image", MFD_CLOEXEC));
	uint64_t fast = size_of_words(IMAGE_LEVEL_AUTO, memfd_create("image", MFD_CLOEXEC)), slow;
	pthread_t thread;
	int fds[2];

	REQUIRE(!pipe(fds));
	REQUIRE(!pthread_create(&thread, NULL, slow_disk, &fds[0]));
	slow = size_of_words(IMAGE_LEVEL_AUTO, fds[1]);
	pthread_join(thread, NULL);
	printf("# slow %llu, level 1 %llu, fast %llu bytes\n", (unsigned long long)slow,
	       (unsigned long long)fixed, (unsigned long long)fast);
	REQUIRE(slow < fixed);
	REQUIRE(fast > fixed);
}

static void a_writer_given_up_ends_its_threads(void)
{
	const struct image_params params = {
		.job = "j", .generation = 1, .page_size = PAGE, .frame_size = 8 * PAGE, .threads = 4,
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char page[PAGE];
	struct image_writer *w;

	fill_page(page, PAGE, FILL_TEXT, 1);
	for (uint64_t n = 0; n < 100; n += 7) {
		int fd = memfd_create("image", MFD_CLOEXEC);

		REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
		REQUIRE_OK(image_writer_begin_pages(w, 1, &err), err);
		for (uint64_t i = 0; i < n; i++)
			REQUIRE_OK(image_writer_data(w, i * PAGE, 1, page, &err), err);
		image_writer_close(w);
		close(fd);
	}
}

static const struct tap_test tests[] = {
	{ "what_is_written_is_what_is_read", what_is_written_is_what_is_read },
	{ "a_pipe_is_enough_to_write_to", a_pipe_is_enough_to_write_to },
	{ "text_is_packed_noise_is_not", text_is_packed_noise_is_not },
	{ "misuse_is_refused_and_final", misuse_is_refused_and_final },
	{ "bad_parameters_are_refused", bad_parameters_are_refused },
	{ "hostile_names_are_made_printable", hostile_names_are_made_printable },
	{ "the_number_of_threads_makes_no_difference", the_number_of_threads_makes_no_difference },
	{ "the_level_follows_the_disk", the_level_follows_the_disk },
	{ "a_writer_given_up_ends_its_threads", a_writer_given_up_ends_its_threads },
};

TAP_MAIN(tests)
