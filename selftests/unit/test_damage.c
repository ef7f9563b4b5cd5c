// SPDX-License-Identifier: GPL-2.0-only
/*
 * A generation built on another, with all that images can have, and a byte of either changed, or the file
 * cut: verify finds it, a restore fails and says where it is, and what a restore was given until then is
 * what it has to be. Bytes that a restore does not read are known here from the format alone; with one of
 * those changed it gets all, bit for bit.
 *
 * A restore is here what it reads of an image: see restore.c, restore-fill.c and restore-kept.c.
 */
#include "buf.h"
#include "chain.h"
#include "stores.h"

#define OWNER		4711u
#define DELETED		(0x10000u + 3)
#define KEPT		0u
#define BASE		0x10000ull
#define FRAME		(4 * PAGE)

#define NEWEST		0	/* as a chain counts */
#define PARENT		1
static const char * const labels[] = { "job@2", "job@1" };
static const char * const paths[] = { "s/job/gen-00000002.ckpt", "s/job/gen-00000001.ckpt" };

/* What a byte belongs to. */
enum part { HEADER, BLOB, SECTION_HEADER, FRAME_DATA, BEHIND_FRAME, INDEX, TABLE, TRAILER };

struct place {
	uint8_t		part;
	bool		read;		/* by a restore */
	uint32_t	section;
	uint32_t	frame;
};

struct subject {
	int		fd;
	struct bytes	bytes;
	struct place	*places;	/* one for each byte */
};

/* ------------------------------------------------------------------------------ the images */

static void put_data(struct image_writer *w, uint64_t page, unsigned int n, enum fill kind,
		     uint64_t seed)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char data[PAGE];

	for (unsigned int i = 0; i < n; i++) {
		fill_page(data, PAGE, kind, seed + i);
		REQUIRE_OK(image_writer_data(w, BASE + (page + i) * PAGE, 1, data, &err), err);
	}
}

static void put_memory(struct image_writer *w, bool delta)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	REQUIRE_OK(image_writer_begin_pages(w, OWNER, &err), err);
	if (delta) {
		put_data(w, 0, 5, FILL_TEXT, 70);	/* all of a frame below, and a page */
		REQUIRE_OK(image_writer_gone(w, BASE + 12 * PAGE, 2, &err), err);
		put_data(w, 18, 2, FILL_NOISE, 80);
		REQUIRE_OK(image_writer_zero(w, BASE + 23 * PAGE, 1, &err), err);
		put_data(w, 90, 3, FILL_ONE_BYTE, 90);
	} else {
		put_data(w, 0, 16, FILL_TEXT, 10);
		put_data(w, 16, 8, FILL_NOISE, 30);
		REQUIRE_OK(image_writer_zero(w, BASE + 40 * PAGE, 3, &err), err);
		REQUIRE_OK(image_writer_file(w, BASE + 50 * PAGE, 4, 0x5000, &err), err);
		put_data(w, 60, 5, FILL_ONE_BYTE, 50);
	}
	REQUIRE_OK(image_writer_end_pages(w, &err, NULL), err);
}

static void put_content(struct image_writer *w, uint64_t seed)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char data[PAGE];

	REQUIRE_OK(image_writer_begin_file(w, OWNER, KEPT, &err), err);
	for (unsigned int i = 0; i < 6; i++) {
		fill_page(data, PAGE, i % 2 ? FILL_NOISE : FILL_TEXT, seed + i);
		if (i == 3)
			REQUIRE_OK(image_writer_zero(w, i * PAGE, 1, &err), err);
		else
			REQUIRE_OK(image_writer_data(w, i * PAGE, 1, data, &err), err);
	}
	REQUIRE_OK(image_writer_end_pages(w, &err, NULL), err);
}

static void put_blob(struct image_writer *w, enum image_kind kind, uint32_t owner, uint32_t sub,
		     size_t size, uint64_t seed)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char data[PAGE];

	fill_page(data, size, FILL_NOISE, seed);
	REQUIRE_OK(image_writer_put(w, kind, owner, sub, data, size, &err), err);
}

static void put_generation(struct store *s, const struct image_info *parent,
			   struct image_info *ret_info)
{
	struct image_params params = {
		.job = "job", .parent = parent, .pid = OWNER, .comm = "program", .page_size = PAGE,
		.frame_size = FRAME, .threads = 1,
	};
	const uint64_t seed = parent ? 1000 : 2000;
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_writer *iw;
	struct store_writer *w;

	REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
	params.generation = store_writer_generation(w);
	params.label = store_writer_label(w);
	REQUIRE_OK(image_writer_open(store_writer_fd(w), &params, &err, &iw), err);
	put_blob(iw, IMAGE_STATE, OWNER, 0, 1000, seed);	/* sizes that need no padding, and some */
	put_memory(iw, parent);
	put_content(iw, seed + 1);
	put_blob(iw, IMAGE_META, OWNER, IMAGE_META_FILES, 333, seed + 2);
	put_blob(iw, IMAGE_META, OWNER, DELETED, 801, seed + 3);
	put_blob(iw, IMAGE_META, 0, IMAGE_META_SNAP, 64, seed + 4);
	REQUIRE_OK(image_writer_finish(iw, &err, ret_info), err);
	REQUIRE_OK(store_writer_commit(w, &err), err);
	image_writer_close(iw);
	store_writer_close(w);
}

/* ------------------------------------------------------------------- where each byte belongs */

static void mark(struct subject *s, uint64_t at, uint64_t n, struct place place)
{
	REQUIRE(at <= s->bytes.size && n <= s->bytes.size - at);
	for (uint64_t i = at; i < at + n; i++)
		s->places[i] = place;
}

struct index_disk {
	struct image_pages_footer_disk	foot;
	const struct image_frame_disk	*frames;
	const struct image_run_disk	*runs;
};

static struct index_disk index_of(const struct subject *s, const struct image_section_disk *sec)
{
	const unsigned char *begin = s->bytes.data + sec->offset;
	struct index_disk x;

	memcpy(&x.foot, begin + sec->size - sizeof(x.foot), sizeof(x.foot));
	x.frames = (const void *)(begin + x.foot.frames_offset);
	x.runs = (const void *)(begin + x.foot.runs_offset);
	return x;
}

/* Whether a run of the newer image has that address. */
static bool mentioned(const struct index_disk *newer, uint64_t addr)
{
	for (uint64_t i = 0; newer && i < newer->foot.runs; i++)
		if (addr >= newer->runs[i].addr && addr - newer->runs[i].addr < newer->runs[i].npages * PAGE)
			return true;
	return false;
}

/* Whether any page of that frame is still what the program has. */
static bool wanted(const struct index_disk *x, uint32_t frame, const struct index_disk *newer)
{
	for (uint64_t i = 0; i < x->foot.runs; i++)
		for (uint64_t k = 0; x->runs[i].kind == IMAGE_RUN_DATA && x->runs[i].frame == frame &&
				     k < x->runs[i].npages; k++)
			if (!mentioned(newer, x->runs[i].addr + k * PAGE))
				return true;
	return false;
}

static void mark_pages(struct subject *s, uint32_t n, const struct image_section_disk *sec, bool read,
		       const struct index_disk *newer)
{
	const struct index_disk x = index_of(s, sec);

	/* flags and what is reserved in a section's header mean nothing to a reader */
	mark(s, sec->offset, 32, (struct place){ SECTION_HEADER, false, n, 0 });
	mark(s, sec->offset, 20, (struct place){ SECTION_HEADER, read, n, 0 });
	mark(s, sec->offset + 32, x.foot.frames_offset - 32, (struct place){ BEHIND_FRAME, false, n, 0 });
	mark(s, sec->offset + x.foot.frames_offset, sec->size - x.foot.frames_offset,
	     (struct place){ INDEX, read, n, 0 });
	for (uint32_t i = 0; i < x.foot.frames; i++) {
		const uint64_t end = i + 1 < x.foot.frames ? x.frames[i + 1].offset : x.foot.frames_offset;

		mark(s, sec->offset + x.frames[i].offset, end - x.frames[i].offset,
		     (struct place){ BEHIND_FRAME, false, n, i });
		mark(s, sec->offset + x.frames[i].offset, x.frames[i].stored_size,
		     (struct place){ FRAME_DATA, read && wanted(&x, i, newer), n, i });
	}
}

static const struct image_section_disk *table_of(const struct subject *s, uint32_t *ret_n)
{
	const struct image_trailer_disk *t = (const void *)(s->bytes.data + s->bytes.size - sizeof(*t));

	*ret_n = t->sections;
	return (const void *)(s->bytes.data + t->table_offset);
}

static const struct image_section_disk *memory_of(const struct subject *s)
{
	const struct image_section_disk *sec;
	uint32_t n;

	for (sec = table_of(s, &n); sec->kind != IMAGE_PAGES; sec++)
		REQUIRE(n--);
	return sec;
}

/* Of the parent nothing but the memory is read. */
static void mark_all(struct subject *s, bool parent, const struct subject *newest)
{
	struct index_disk newer;
	const struct image_section_disk *sec;
	uint32_t n;

	s->places = calloc(s->bytes.size, sizeof(*s->places));
	REQUIRE(s->places);
	if (parent)
		newer = index_of(newest, memory_of(newest));
	sec = table_of(s, &n);
	mark(s, 0, 512, (struct place){ HEADER, true, 0, 0 });
	for (uint32_t i = 0; i < n; i++) {
		if (image_has_runs(sec[i].kind))
			mark_pages(s, i, &sec[i], !parent || sec[i].kind == IMAGE_PAGES,
				   parent ? &newer : NULL);
		else
			mark(s, sec[i].offset, sec[i].size, (struct place){ BLOB, !parent, i, 0 });
	}
	mark(s, (const unsigned char *)sec - s->bytes.data, n * sizeof(*sec),
	     (struct place){ TABLE, true, 0, 0 });
	mark(s, s->bytes.size - 128, 128, (struct place){ TRAILER, true, 0, 0 });
}

static void make(struct subject *subjects)
{
	struct image_info info;
	struct store *s;

	enter_scratch();
	s = open_store();
	put_generation(s, NULL, &info);
	put_generation(s, &info, &info);
	store_close(s);
	for (int i = NEWEST; i <= PARENT; i++) {
		subjects[i].fd = open(paths[i], O_RDWR | O_CLOEXEC);
		REQUIRE(subjects[i].fd >= 0);
		subjects[i].bytes = bytes_of_fd(subjects[i].fd);
		mark_all(&subjects[i], i == PARENT, &subjects[NEWEST]);
	}
}

static void forget(struct subject *subjects)
{
	for (int i = NEWEST; i <= PARENT; i++) {
		close(subjects[i].fd);
		free(subjects[i].bytes.data);
		free(subjects[i].places);
	}
}

/* --------------------------------------------------------------------------- what a restore reads */

static int read_blob(struct image *img, enum image_kind kind, uint32_t owner, uint32_t sub,
		     struct ckpt_err *err, struct buf *got)
{
	int section = image_find(img, kind, owner, sub), ret;
	size_t size;
	void *data;

	REQUIRE(section >= 0);	/* the table has been checked */
	ret = image_load(img, section, err, &data, &size);
	if (ret)
		return ret;
	REQUIRE(!buf_append(got, data, size));
	free(data);
	return 0;
}

static int read_content(struct image *img, struct ckpt_err *err, struct buf *got)
{
	int section = image_find(img, IMAGE_FILE, OWNER, KEPT), ret;
	struct image_pages_stats stats;
	struct image_pages *pages;

	REQUIRE(section >= 0);
	ret = image_pages_open(img, section, err, &pages);
	if (ret)
		return ret;
	image_pages_get_stats(pages, &stats);
	for (uint64_t i = 0; !ret && i < stats.runs; i++) {
		struct image_run run;
		const void *data;

		image_pages_get_run(pages, i, &run);
		REQUIRE(!buf_append(got, &run, sizeof(run)));
		if (run.kind != IMAGE_RUN_DATA)
			continue;
		ret = image_pages_borrow(pages, i, err, &data);
		if (!ret)
			REQUIRE(!buf_append(got, data, run.npages * PAGE));
	}
	image_pages_close(pages);
	return ret;
}

static int read_memory(struct chain *c, struct ckpt_err *err, struct buf *got)
{
	int ret = chain_load(c, OWNER, err);

	for (size_t k = 0; !ret && k < chain_spans(c); k++) {
		size_t i = chain_by_member(c, k);
		struct chain_span span;
		const void *data;

		memset(&span, 0, sizeof(span));
		chain_get_span(c, i, &span);
		REQUIRE(!buf_append(got, &span.addr, sizeof(span.addr)));
		REQUIRE(!buf_append(got, &span.npages, sizeof(span.npages)));
		REQUIRE(!buf_append(got, &span.kind, sizeof(span.kind)));
		REQUIRE(!buf_append(got, &span.file_offset, sizeof(span.file_offset)));
		if (span.kind != IMAGE_RUN_DATA)
			continue;
		ret = chain_borrow(c, i, err, &data);
		if (!ret)
			REQUIRE(!buf_append(got, data, span.npages * PAGE));
	}
	return ret;
}

/* All of it into @got, as far as it comes. */
static int restore(struct store *s, struct ckpt_err *err, struct buf *got)
{
	struct chain *c;
	int ret = chain_open(s, "job", true, err, &c);

	if (ret)
		return ret;
	ret = read_blob(chain_image(c), IMAGE_STATE, OWNER, 0, err, got);
	if (!ret)
		ret = read_blob(chain_image(c), IMAGE_META, OWNER, IMAGE_META_FILES, err, got);
	if (!ret)
		ret = read_blob(chain_image(c), IMAGE_META, 0, IMAGE_META_SNAP, err, got);
	if (!ret)
		ret = read_blob(chain_image(c), IMAGE_META, OWNER, DELETED, err, got);
	if (!ret)
		ret = read_content(chain_image(c), err, got);
	if (!ret)
		ret = read_memory(c, err, got);
	chain_close(c);
	return ret;
}

/* ------------------------------------------------------------------------------- the judgement */

/* Words the error must have for damage at @pos. */
static void name_place(const struct place *p, uint64_t pos, char *ret, size_t size)
{
	switch (p->part) {
	case HEADER:
		snprintf(ret, size, "%s", pos < 8 ? ": not an image" : pos < 12 ? ": image version" :
			 ": damaged image: header");
		break;
	case BLOB:
		snprintf(ret, size, ": damaged image: section %u: wrong checksum", p->section);
		break;
	case SECTION_HEADER:
		snprintf(ret, size, ": damaged image: section %u: ", p->section);
		break;
	case FRAME_DATA:
		snprintf(ret, size, ": damaged image: section %u: frame %u: wrong checksum", p->section,
			 p->frame);
		break;
	case INDEX:
		snprintf(ret, size, ": damaged image: section %u: page index: ", p->section);
		break;
	default:
		snprintf(ret, size, p->part == TABLE ? "section table" : "trailer");
	}
}

/* Whether @text names image and place. */
static bool is_named(const char *text, int which, const struct place *p, uint64_t pos)
{
	char place[128];
	const char *at = strstr(text, labels[which]);

	name_place(p, pos, place, sizeof(place));
	if (!at || !strstr(at, place)) {
		printf("# '%s' does not say '%s' of %s\n", text, place, labels[which]);
		return false;
	}
	return true;
}

struct seen {
	uint64_t	pos;
	bool		covers;
	struct image_damage first;
	unsigned int	count;
};

static void on_damage(const struct image_damage *d, void *arg)
{
	struct seen *seen = arg;

	seen->covers |= seen->pos >= d->offset && seen->pos - d->offset < d->size;
	if (!seen->count++)
		seen->first = *d;
}

static void verify_finds(const struct subject *s, int which, uint64_t pos)
{
	const struct place *p = &s->places[pos];
	struct ckpt_err err = CKPT_ERR_INIT;
	struct seen seen = { .pos = pos };
	struct image *img;
	int ret = image_open(s->fd, labels[which], &err, &img);

	if (ret) {
		REQUIRE(ret == -EBADMSG || (ret == -EOPNOTSUPP && p->part == HEADER));
		REQUIRE(p->part == HEADER || p->part == TABLE || p->part == TRAILER);
		REQUIRE(is_named(err.text, which, p, pos));
		return;
	}
	REQUIRE_EQ(image_verify(img, on_damage, &seen, &err, NULL), -EBADMSG);
	REQUIRE(strstr(err.text, labels[which]) && seen.covers && seen.count == 1);
	REQUIRE_EQ(seen.first.section, p->section);
	if (p->part == FRAME_DATA)
		REQUIRE(seen.first.is_frame && seen.first.frame == p->frame);
	image_close(img);
}

static void restore_finds(struct store *store, const struct subject *s, int which, uint64_t pos,
			  const struct buf *whole)
{
	const struct place *p = &s->places[pos];
	struct ckpt_err err = CKPT_ERR_INIT;
	struct buf got = { 0 };
	int ret = restore(store, &err, &got);

	if (p->read) {
		REQUIRE(ret == -EBADMSG || (ret == -EOPNOTSUPP && p->part == HEADER && pos < 12));
		REQUIRE(is_named(err.text, which, p, pos));
		REQUIRE(got.len < whole->len);
	} else {
		REQUIRE_OK(ret, err);
		REQUIRE_EQ(got.len, whole->len);
	}
	REQUIRE(!got.len || !memcmp(got.data, whole->data, got.len));
	buf_free(&got);
}

/* Most bytes are frames'; half of the places are chosen among parts, so that the others come up too. */
static uint64_t choose(const struct subject *s)
{
	uint64_t pos = rnd_below(s->bytes.size);
	unsigned int part = rnd_below(TRAILER + 1);

	if (rnd_below(2))
		return pos;
	while (s->places[pos].part != part)
		pos = rnd_below(s->bytes.size);
	return pos;
}

static unsigned int samples(void)
{
	return getenv("CKPT_FULL") ? 20000 : TAP_SANITIZED ? 300 : 1500;
}

static void every_changed_byte_is_found_by_verify_and_by_restore(void)
{
	struct subject subjects[2];
	unsigned int parts[TRAILER + 1] = { 0 }, unread = 0, n = samples();
	struct buf whole = { 0 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *store;

	make(subjects);
	store = open_store();
	REQUIRE_OK(restore(store, &err, &whole), err);
	for (unsigned int i = 0; i < n; i++) {
		const int which = rnd_below(2);
		const struct subject *s = &subjects[which];
		const uint64_t pos = choose(s);
		const unsigned char c = s->bytes.data[pos] ^ (1 + rnd_below(255));

		REQUIRE(pwrite(s->fd, &c, 1, pos) == 1);
		verify_finds(s, which, pos);
		restore_finds(store, s, which, pos, &whole);
		REQUIRE(pwrite(s->fd, &s->bytes.data[pos], 1, pos) == 1);
		parts[s->places[pos].part]++;
		unread += !s->places[pos].read;
	}
	for (int i = 0; i <= TRAILER; i++)
		REQUIRE(parts[i]);
	printf("# %u bytes changed, one at a time; %u of them are none that a restore reads\n", n, unread);
	REQUIRE(unread && unread < n);
	buf_free(&whole);
	store_close(store);
	forget(subjects);
}

static void every_cut_is_found_by_verify_and_by_restore(void)
{
	struct subject subjects[2];
	struct store *store;
	unsigned int cuts = 0;

	make(subjects);
	store = open_store();
	for (int which = NEWEST; which <= PARENT; which++) {
		const struct subject *s = &subjects[which];

		for (size_t n = s->bytes.size; n-- > 0; cuts++) {
			struct ckpt_err err = CKPT_ERR_INIT;
			struct buf got = { 0 };
			struct image *img;

			REQUIRE(!ftruncate(s->fd, n));
			REQUIRE_EQ(image_open(s->fd, labels[which], NULL, &img), -EBADMSG);
			REQUIRE_EQ(restore(store, &err, &got), -EBADMSG);
			REQUIRE(strstr(err.text, labels[which]) && !got.len);
		}
		REQUIRE(pwrite(s->fd, s->bytes.data, s->bytes.size, 0) == (ssize_t)s->bytes.size);
	}
	printf("# %u cuts\n", cuts);
	store_close(store);
	forget(subjects);
}

static const struct tap_test tests[] = {
	{ "every_changed_byte_is_found_by_verify_and_by_restore",
	  every_changed_byte_is_found_by_verify_and_by_restore },
	{ "every_cut_is_found_by_verify_and_by_restore", every_cut_is_found_by_verify_and_by_restore },
};

TAP_MAIN(tests)
