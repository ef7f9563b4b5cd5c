// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deltas of a memory that is made up: written as snap writes them, from maps as the module gives them,
 * and put together again. The model is the memory at each generation, page by page.
 */
#include <sys/file.h>
#include <sys/syscall.h>

#include "chain.h"
#include "compact.h"
#include "retain.h"
#include "device.h"
#include "diff.h"
#include "stores.h"
#include "stream.h"

#define OWNER	4711u
#define BASE	0x7f0000000000ull
#define NPAGES	300u
#define PGOFF	0x20000ull

/* What is at a page; 0: nothing. */
enum { NOTHING, ZERO, FILEPAGE, CONTENT };	/* CONTENT and above: noise of that seed */

struct memory {
	uint32_t	page[NPAGES];
};

static struct memory now;		/* what snapshot_read() gives */
static void (*before_lock)(void);	/* what another does right before an exclusive lock */

/* The library's. */
int flock(int fd, int how)
{
	void (*act)(void) = before_lock;

	if (act && how & LOCK_EX) {
		before_lock = NULL;
		act();
	}
	return (int)syscall(SYS_flock, fd, how);
}

static void content_of(uint32_t what, unsigned char *page)
{
	fill_page(page, PAGE, what % 3 ? FILL_NOISE : FILL_TEXT, what);
	memcpy(page, &what, sizeof(what));
}

/* The module's part. */
int snapshot_read(int fd, uint64_t addr, void *buf, size_t len, struct ckpt_err *err)
{
	for (size_t off = 0; off < len; off += PAGE) {
		uint32_t what = now.page[(addr + off - BASE) / PAGE];

		REQUIRE(what == ZERO || what >= CONTENT);
		memset((char *)buf + off, 0, PAGE);
		if (what >= CONTENT)
			content_of(what, (unsigned char *)buf + off);
	}
	return 0;
}

int snapshot_map(int fd, uint64_t start, struct ckpt_run *runs, uint32_t nr, struct ckpt_err *err,
		 uint32_t *ret_nr, uint64_t *ret_next)
{
	return -ENOSYS;
}

static struct ckpt_model_vma vma = {
	.rec = { .start = BASE, .end = BASE + NPAGES * PAGE, .pgoff = PGOFF },
};
static const struct ckpt_model model = {
	.proc.pid = OWNER, .system.page_size = PAGE, .vmas = &vma, .nr_vmas = 1,
};

static uint32_t kind_of(uint32_t what)
{
	return what == ZERO ? CKPT_RUN_ZERO : what == FILEPAGE ? CKPT_RUN_FILE : CKPT_RUN_DATA;
}

/*
 * The map of a delta of @old (NULL: of all): unchanged pages are the parent's for the most part; some
 * are told of though, as if they were dirty, and some zeros as if they were data.
 */
static void make_map(const struct memory *old, struct stream_map *map)
{
	*map = (struct stream_map){ .runs = calloc(NPAGES, sizeof(*map->runs)) };
	REQUIRE(map->runs);
	for (uint32_t i = 0; i < NPAGES; i++) {
		struct ckpt_run *last = map->nr ? &map->runs[map->nr - 1] : NULL;
		uint32_t what = now.page[i], kind = kind_of(what);
		uint64_t addr = BASE + (uint64_t)i * PAGE;

		if (what == NOTHING)
			continue;
		if (old && old->page[i] == what && what != FILEPAGE && rnd_below(8))
			kind = CKPT_RUN_PARENT;
		else if (what == ZERO && !rnd_below(3))
			kind = CKPT_RUN_DATA;
		if (last && last->kind == kind && last->start + last->len == addr)
			last->len += PAGE;
		else
			map->runs[map->nr++] = (struct ckpt_run){ addr, PAGE, kind, 0 };
	}
}

static int put_memory(struct store *s, const struct memory *old, struct chain *parent,
		      struct ckpt_err *err, struct stream_stats *stats)
{
	struct image_params params = {
		.job = "job", .page_size = PAGE, .frame_size = 8 * PAGE, .pid = OWNER,
		.parent = parent ? image_get_info(chain_image(parent)) : NULL,
	};
	struct stream_job job = { .model = &model, .parent = parent };
	struct stream_map map;
	struct store_writer *w;
	int ret;

	make_map(old, &map);
	job.map = &map;
	REQUIRE_OK(store_writer_open(s, "job", err, &w), *err);
	params.generation = store_writer_generation(w);
	REQUIRE_OK(image_writer_open(store_writer_fd(w), &params, err, &job.writer), *err);
	ret = stream_map_check(&map, &model, parent, err);
	if (!ret)
		REQUIRE_OK(image_writer_put(job.writer, IMAGE_STATE, OWNER, 0, "state", 5, err), *err);
	if (!ret)
		ret = stream_pages(&job, err, stats);
	if (!ret)
		REQUIRE_OK(image_writer_finish(job.writer, err, NULL), *err);
	if (!ret)
		REQUIRE_OK(store_writer_commit(w, err), *err);
	image_writer_close(job.writer);
	store_writer_close(w);
	stream_map_free(&map);
	return ret;
}

static struct chain *open_chain(struct store *s, const char *ref)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct chain *c;

	REQUIRE_OK(chain_open(s, ref, false, &err, &c), err);
	REQUIRE_OK(chain_load(c, OWNER, &err), err);
	return c;
}

/* The next generation: of @old, or full. */
static struct stream_stats put_next(struct store *s, const struct memory *old)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct stream_stats stats = { 0 };
	struct chain *parent = old ? open_chain(s, "job") : NULL;

	REQUIRE_OK(put_memory(s, old, parent, &err, &stats), err);
	chain_close(parent);
	return stats;
}

static void change(struct memory *m)
{
	for (uint64_t n = rnd_below(40); n; n--) {
		uint32_t at = (uint32_t)rnd_below(NPAGES), len = 1 + (uint32_t)rnd_below(12);
		uint64_t how = rnd_below(6);

		for (uint32_t i = at; i < NPAGES && i < at + len; i++)
			m->page[i] = how < 3 ? (uint32_t)how : CONTENT + (uint32_t)rnd_below(1u << 20);
	}
}

/* The memory a chain makes is @want. */
static void check_memory(struct chain *c, const struct memory *want)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct memory got = { { 0 } };
	uint64_t end = 0;

	for (size_t i = 0; i < chain_spans(c); i++) {
		unsigned char page[PAGE];
		const char *data = NULL;
		struct chain_span span;

		chain_get_span(c, i, &span);
		REQUIRE(span.addr >= end && span.npages && span.member < chain_length(c));
		end = span.addr + span.npages * PAGE;
		REQUIRE(span.addr >= BASE && end <= BASE + NPAGES * PAGE);
		if (span.kind == IMAGE_RUN_DATA)
			REQUIRE_OK(chain_borrow(c, i, &err, (const void **)&data), err);
		for (uint64_t k = 0; k < span.npages; k++) {
			uint64_t at = (span.addr - BASE) / PAGE + k;

			got.page[at] = span.kind == IMAGE_RUN_ZERO ? ZERO : FILEPAGE;
			if (span.kind == IMAGE_RUN_FILE)
				REQUIRE_EQ(span.file_offset + k * PAGE, PGOFF + at * PAGE);
			if (!data)
				continue;
			memcpy(&got.page[at], data + k * PAGE, sizeof(got.page[at]));
			content_of(got.page[at], page);
			REQUIRE(!memcmp(page, data + k * PAGE, PAGE));
		}
	}
	for (uint32_t i = 0; i < NPAGES; i++)
		if (got.page[i] != want->page[i]) {
			printf("# %s: page %u is %u, was %u\n", chain_ref(c)->label, i, got.page[i],
			       want->page[i]);
			REQUIRE(false);
		}
}

static void check_generation(struct store *s, uint64_t generation, const struct memory *want)
{
	char ref[32];
	struct chain *c;

	snprintf(ref, sizeof(ref), "job@%llu", (unsigned long long)generation);
	c = open_chain(s, ref);
	check_memory(c, want);
	/* by member it is the same list in another order */
	for (size_t k = 0, last = 0; k < chain_spans(c); k++) {
		struct chain_span span;

		chain_get_span(c, chain_by_member(c, k), &span);
		REQUIRE(span.member >= last);
		last = span.member;
	}
	chain_close(c);
}

#define GENERATIONS	12

static void compact(struct store *s, uint64_t generation, size_t length)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct compact_result r;
	char ref[32];

	snprintf(ref, sizeof(ref), "job@%llu", (unsigned long long)generation);
	REQUIRE_OK(compact_run(s, ref, 0, NULL, NULL, &err, &r), err);
	REQUIRE_EQ(r.length, length);
	REQUIRE(!image_info_is_delta(&r.info));
}

static void any_memory_comes_back_from_any_generation(void)
{
	static struct memory gen[GENERATIONS + 1];

	for (unsigned int round = 0; round < tap_count(40, 2000); round++) {
		size_t full[GENERATIONS + 1] = { 0 };
		struct store *s;

		if (!round)
			enter_scratch();
		s = open_store();
		memset(&now, 0, sizeof(now));
		for (uint64_t g = 1; g <= GENERATIONS; g++) {
			bool delta = g > 1 && rnd_below(6);

			change(&now);
			put_next(s, delta ? &gen[g - 1] : NULL);
			gen[g] = now;
			full[g] = delta ? full[g - 1] + 1 : 1;
		}
		for (uint64_t g = 1; g <= GENERATIONS; g++)
			check_generation(s, g, &gen[g]);
		for (int n = 0; n < 3; n++) {
			uint64_t at = 1 + rnd_below(GENERATIONS);

			compact(s, at, full[at]);
			for (uint64_t g = GENERATIONS; g >= at; g--)
				if (full[g] > g - at)	/* its chain goes through there */
					full[g] = g - at + 1;
		}
		for (uint64_t g = 1; g <= GENERATIONS; g++)
			check_generation(s, g, &gen[g]);
		REQUIRE_EQ(store_remove(s, "job", 0, NULL, NULL), 0);
		store_close(s);
	}
}

struct told {
	const struct memory *a, *b;
	uint8_t		kind[NPAGES];	/* 1 + enum diff_kind */
};

static int note(uint64_t addr, uint64_t npages, enum diff_kind kind, void *arg)
{
	struct told *t = arg;

	for (uint64_t i = 0; i < npages; i++) {
		REQUIRE(!t->kind[(addr - BASE) / PAGE + i]);
		t->kind[(addr - BASE) / PAGE + i] = 1 + kind;
	}
	return 0;
}

static void the_difference_is_what_changed(void)
{
	static struct memory gen[GENERATIONS + 1];
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	enter_scratch();
	s = open_store();
	for (uint64_t g = 1; g <= GENERATIONS; g++) {
		change(&now);
		put_next(s, g > 1 && g != 7 ? &gen[g - 1] : NULL);
		gen[g] = now;
	}
	for (unsigned int n = 0; n < 60; n++) {
		uint64_t x = 1 + rnd_below(GENERATIONS), y = 1 + rnd_below(GENERATIONS);
		struct told t = { .a = &gen[x], .b = &gen[y] };
		struct chain *a, *b;
		char ref[32];

		snprintf(ref, sizeof(ref), "job@%llu", (unsigned long long)x);
		a = open_chain(s, ref);
		snprintf(ref, sizeof(ref), "job@%llu", (unsigned long long)y);
		b = open_chain(s, ref);
		REQUIRE_OK(diff_run(a, b, note, &t, &err), err);
		for (uint32_t i = 0; i < NPAGES; i++) {
			uint32_t p = gen[x].page[i], q = gen[y].page[i];
			uint8_t want = p == q ? 0 : !p ? 1 + DIFF_NEW : !q ? 1 + DIFF_GONE :
				       1 + DIFF_CHANGED;

			REQUIRE_EQ(t.kind[i], want);
		}
		chain_close(a);
		chain_close(b);
	}
	store_close(s);
}

static void what_is_marked_and_the_same_is_left_out(void)
{
	struct memory old;
	struct stream_stats stats;
	struct store *s;

	enter_scratch();
	s = open_store();
	for (uint32_t i = 0; i < NPAGES; i++)
		now.page[i] = CONTENT + i;
	put_next(s, NULL);
	old = now;
	memset(&old.page, 0, 200 * sizeof(old.page[0]));	/* told of, though nothing changed */
	now.page[100] = CONTENT + 5000;
	stats = put_next(s, &old);
	/* of the last hundred some were told of by chance */
	REQUIRE_EQ(stats.pages.data_pages, 1);
	REQUIRE(stats.same_pages >= 199);
	check_generation(s, 2, &now);
	store_close(s);
}

static void what_the_parent_lacks_is_not_left_out(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct stream_stats stats;
	struct memory wrong;
	struct chain *parent;
	struct store *s;

	enter_scratch();
	s = open_store();
	for (uint32_t i = 10; i < NPAGES; i++)
		now.page[i] = CONTENT + i;
	now.page[20] = FILEPAGE;
	put_next(s, NULL);
	for (uint32_t i = 0; i < 10; i++)
		now.page[i] = CONTENT + i;
	wrong = now;		/* a module that says "as in the parent" of pages that are new */
	parent = open_chain(s, "job");
	REQUIRE_EQ(put_memory(s, &wrong, parent, &err, &stats), -EIO);
	REQUIRE(strstr(err.text, "does not have it"));
	wrong = now;
	for (uint32_t i = 0; i < 10; i++)
		wrong.page[i] = NOTHING;
	wrong.page[20] = now.page[20] = CONTENT;	/* or of one that was the file's */
	ckpt_err_clear(&err);
	for (int tries = 0; tries < 100; tries++)	/* until make_map() says so of that one */
		if (put_memory(s, &wrong, parent, &err, &stats) == -EIO)
			break;
	REQUIRE(strstr(err.text, "does not have it"));
	chain_close(parent);
	store_close(s);
}

/* ---- what is built on what ---- */

static void small_chain(struct store *s, unsigned int length)
{
	struct memory old;

	memset(&now, 0, sizeof(now));
	for (unsigned int i = 0; i < length; i++) {
		old = now;
		now.page[i % NPAGES] = CONTENT + i;
		put_next(s, i ? &old : NULL);
	}
}

static int chain_error(struct store *s, const char *ref, struct ckpt_err *err)
{
	struct chain *c;
	int ret;

	ckpt_err_clear(err);
	ret = chain_open(s, ref, false, err, &c);
	if (!ret)
		chain_close(c);
	return ret;
}

static void a_missing_foreign_or_damaged_parent_is_named(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	int fd;

	enter_scratch();
	s = open_store();
	small_chain(s, 4);
	REQUIRE_EQ(chain_error(s, "job@4", &err), 0);

	REQUIRE(!rename("s/job/gen-00000002.ckpt", "two"));
	REQUIRE_EQ(chain_error(s, "job@4", &err), -ENOENT);
	REQUIRE(strstr(err.text, "job@3") && strstr(err.text, "job@2") && strstr(err.text, "missing"));
	REQUIRE_EQ(chain_error(s, "job@1", &err), 0);

	/* another one of that number, sound in itself */
	small_chain(s, 1);		/* job@5 */
	REQUIRE(!rename("s/job/gen-00000005.ckpt", "s/job/gen-00000002.ckpt"));
	REQUIRE_EQ(chain_error(s, "job@3", &err), -ESTALE);
	REQUIRE(strstr(err.text, "job@3") && strstr(err.text, "job@2"));

	REQUIRE(!rename("two", "s/job/gen-00000002.ckpt"));
	REQUIRE_EQ(chain_error(s, "job@4", &err), 0);
	fd = open("s/job/gen-00000002.ckpt", O_RDWR);
	REQUIRE(fd >= 0 && pwrite(fd, "x", 1, 100) == 1);
	close(fd);
	REQUIRE_EQ(chain_error(s, "job@4", &err), -EBADMSG);
	REQUIRE(strstr(err.text, "job@3") && strstr(err.text, "job@2"));
	store_close(s);
}

/* The same identity with other bytes: a parent that was made anew, or tampered with. */
static void a_parent_of_another_digest_is_foreign(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	struct compact_result r;

	enter_scratch();
	s = open_store();
	small_chain(s, 3);
	REQUIRE(!link("s/job/gen-00000002.ckpt", "two"));
	compact(s, 2, 2);
	REQUIRE_EQ(chain_error(s, "job@3", &err), 0);	/* it stands for the one it replaced */
	small_chain(s, 0);
	now.page[7] = CONTENT + 99;
	put_next(s, NULL);				/* job@4, on its own */
	REQUIRE(!rename("s/job/gen-00000002.ckpt", "compacted"));
	REQUIRE(!rename("two", "s/job/gen-00000002.ckpt"));
	REQUIRE_EQ(chain_error(s, "job@3", &err), 0);
	/* of one that was built on the compacted one the old delta is no parent */
	REQUIRE(!rename("s/job/gen-00000002.ckpt", "two"));
	REQUIRE(!rename("compacted", "s/job/gen-00000002.ckpt"));
	REQUIRE_EQ(store_remove(s, "job", 4, &err, NULL), 0);
	REQUIRE_EQ(store_remove(s, "job", 3, &err, NULL), 0);
	memset(&now, 0, sizeof(now));
	put_next(s, &now);				/* job@3, of the compacted job@2 */
	REQUIRE_EQ(chain_error(s, "job@3", &err), 0);
	REQUIRE(!rename("two", "s/job/gen-00000002.ckpt"));
	REQUIRE_EQ(chain_error(s, "job@3", &err), -ESTALE);
	REQUIRE_EQ(compact_run(s, "job@3", 0, NULL, NULL, &err, &r), -ESTALE);
	store_close(s);
}

static void a_path_finds_its_parents_beside_it(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	struct chain *c;

	enter_scratch();
	s = open_store();
	small_chain(s, 3);
	store_close(s);
	REQUIRE_OK(chain_open(NULL, "./s/job/gen-00000003.ckpt", false, &err, &c), err);
	REQUIRE_EQ(chain_length(c), 3);
	REQUIRE_OK(chain_load(c, OWNER, &err), err);
	check_memory(c, &now);
	chain_close(c);
	REQUIRE(!rename("s/job/gen-00000003.ckpt", "three"));
	REQUIRE_EQ(chain_error(NULL, "./three", &err), -ENOENT);
	REQUIRE(!chdir("s/job") && !link("../../three", "other-name"));
	REQUIRE_EQ(chain_error(NULL, "./other-name", &err), 0);
	REQUIRE(!chmod("gen-00000001.ckpt", 0666));
	REQUIRE_EQ(chain_open(NULL, "./other-name", true, &err, &c), -EPERM);
	REQUIRE(strstr(err.text, "gen-00000001.ckpt"));
	REQUIRE(!chdir("/"));
}

static void a_chain_has_an_end(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;

	enter_scratch();
	s = open_store();
	small_chain(s, CHAIN_MAX);
	check_generation(s, CHAIN_MAX, &now);
	compact(s, CHAIN_MAX / 2, CHAIN_MAX / 2);
	check_generation(s, CHAIN_MAX, &now);
	REQUIRE_EQ(chain_error(s, "job", &err), 0);
	store_close(s);
}

static void a_chain_that_is_too_long_is_refused(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s;
	struct memory old;
	struct chain *c;
	struct stream_stats stats;

	enter_scratch();
	s = open_store();
	small_chain(s, CHAIN_MAX);
	old = now;
	c = open_chain(s, "job");
	REQUIRE_OK(put_memory(s, &old, c, &err, &stats), err);
	chain_close(c);
	REQUIRE_EQ(chain_error(s, "job", &err), -E2BIG);
	REQUIRE(strstr(err.text, "256") || strstr(err.text, "255"));
	store_close(s);
}

static void what_is_built_on_is_not_removed(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct compact_result r;
	struct store *s;
	struct chain *c;

	enter_scratch();
	s = open_store();
	small_chain(s, 3);
	REQUIRE_EQ(store_remove(s, "job", 2, NULL, NULL), -EBUSY);
	c = open_chain(s, "job@3");
	REQUIRE_EQ(chain_hold(c, s), 0);
	REQUIRE_EQ(store_remove(s, "job", 3, &err, NULL), -EBUSY);
	REQUIRE(strstr(err.text, "in use"));
	REQUIRE_EQ(store_remove(s, "job", 0, NULL, NULL), -EBUSY);
	REQUIRE_EQ(compact_run(s, "job@3", 0, NULL, NULL, NULL, &r), -EBUSY);
	REQUIRE_EQ(count_entries("s/job", ""), 3);	/* and no temporary */
	chain_close(c);
	c = open_chain(s, "job@3");
	REQUIRE_EQ(store_remove(s, "job", 3, NULL, NULL), 0);
	REQUIRE_EQ(chain_hold(c, s), -ENOENT);		/* too late */
	chain_close(c);
	REQUIRE_EQ(store_remove(s, "job", 0, NULL, NULL), 0);
	store_close(s);
}

static void what_was_folded_is_needed_no_more(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store_removed removed;
	struct store *s;

	enter_scratch();
	s = open_store();
	small_chain(s, 5);
	REQUIRE_OK(store_gc(s, NULL, 1, &err, &removed), err);
	REQUIRE_EQ(removed.generations, 0);
	compact(s, 5, 5);
	compact(s, 5, 1);		/* a second time there is nothing to do */
	REQUIRE_OK(store_gc(s, NULL, 1, &err, &removed), err);
	REQUIRE_EQ(removed.generations, 4);
	check_generation(s, 5, &now);
	store_close(s);
}

static int give_up(uint64_t done, uint64_t total, void *arg)
{
	return -EINTR;
}

static void a_compaction_that_fails_leaves_the_delta(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct compact_result r;
	struct store *s;

	enter_scratch();
	s = open_store();
	small_chain(s, 3);
	REQUIRE_EQ(compact_run(s, "job", 0, give_up, NULL, &err, &r), -EINTR);
	REQUIRE_EQ(count_entries("s/job", ""), 3);
	check_generation(s, 3, &now);
	REQUIRE_EQ(compact_run(s, "./s/job/gen-00000003.ckpt", 0, NULL, NULL, NULL, &r), -EINVAL);
	store_close(s);
}

/* ---- what is kept ---- */

static struct retain_result retain(struct store *s, const struct retain_opts *o)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct retain_result r;

	REQUIRE_OK(retain_run(s, o, &err, &r), err);
	return r;
}

/* Generations @first to 9 are there, each with its memory. */
static void check_from(struct store *s, uint64_t first, const struct memory *was)
{
	REQUIRE_EQ(list(s, "job")->count, 9 - first + 1);
	for (uint64_t g = first; g <= 9; g++) {
		REQUIRE_EQ(list(s, "job")->at[g - first].generation, g);
		check_generation(s, g, &was[g]);
	}
}

static struct store *nine_generations(struct memory *was)
{
	struct store *s;

	enter_scratch();
	s = open_store();
	for (uint64_t g = 1; g <= 9; g++) {
		put_next(s, g > 1 ? &was[g - 1] : NULL);
		was[g] = now;
		change(&now);
	}
	return s;
}

static void what_is_kept_needs_nothing_that_goes(void)
{
	struct memory *was = calloc(10, sizeof(*was));
	struct store *s = nine_generations(was);
	struct retain_result r;

	r = retain(s, &(struct retain_opts){ .keep = 5, .no_fold = true });
	REQUIRE(!r.folded && !r.removed.generations);
	check_from(s, 1, was);
	r = retain(s, &(struct retain_opts){ .keep = 5 });
	REQUIRE(r.folded == 1 && r.removed.generations == 4);
	r = retain(s, &(struct retain_opts){ .keep = 2, .name = "job" });
	REQUIRE(r.folded == 1 && r.removed.generations == 3);
	check_from(s, 8, was);
	store_close(s);
	free(was);
}

static void what_is_young_is_kept_and_three_however_old(void)
{
	struct memory *was = calloc(10, sizeof(*was));
	struct store *s = nine_generations(was);
	struct retain_result r;

	r = retain(s, &(struct retain_opts){ .max_age_ns = 3600ull * 1000000000, .keep = 2 });
	REQUIRE(!r.folded && !r.removed.generations);
	r = retain(s, &(struct retain_opts){ .max_age_ns = 1, .keep = 6 });
	REQUIRE(r.folded == 1 && r.removed.generations == 3);
	check_from(s, 4, was);
	r = retain(s, &(struct retain_opts){ .max_age_ns = 1 });
	REQUIRE(r.folded == 1 && r.removed.generations == 3);
	check_from(s, 7, was);
	store_close(s);
	free(was);
}

static void what_cannot_be_folded_keeps_what_it_is_built_on(void)
{
	struct retain_opts o = { .keep = 3 };
	struct memory *was = calloc(10, sizeof(*was));
	struct store *s = nine_generations(was);
	struct ckpt_err err = CKPT_ERR_INIT;
	struct retain_result r;
	struct chain *c = open_chain(s, "job@7");

	REQUIRE_EQ(chain_hold(c, s), 0);	/* a snapshot is built on it */
	REQUIRE_EQ(retain_run(s, &o, &err, &r), -EBUSY);
	REQUIRE(!r.folded && !r.removed.generations && err.text[0]);
	check_from(s, 1, was);
	chain_close(c);
	o.progress = give_up;
	REQUIRE_EQ(retain_run(s, &o, &err, &r), -EINTR);
	check_from(s, 1, was);
	store_close(s);
	free(was);
}

/* ---- pages of one's own ---- */

struct piece {
	uint64_t	addr;
	uint64_t	npages;
	const void	*data;		/* NULL: zeros */
};

static struct image_info put_piece(struct store *s, const char *name,
				   const struct image_info *parent, uint32_t owner,
				   const struct piece *piece)
{
	struct image_params params = {
		.job = name, .page_size = PAGE, .frame_size = 8 * PAGE, .pid = owner, .parent = parent,
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_info info;
	struct image_writer *iw;
	struct store_writer *w;

	REQUIRE_OK(store_writer_open(s, name, &err, &w), err);
	params.generation = store_writer_generation(w);
	REQUIRE_OK(image_writer_open(store_writer_fd(w), &params, &err, &iw), err);
	REQUIRE_OK(image_writer_begin_pages(iw, owner, &err), err);
	if (piece->data)
		REQUIRE_OK(image_writer_data(iw, piece->addr, piece->npages, piece->data, &err), err);
	else
		REQUIRE_OK(image_writer_zero(iw, piece->addr, piece->npages, &err), err);
	REQUIRE_OK(image_writer_end_pages(iw, &err, NULL), err);
	REQUIRE_OK(image_writer_finish(iw, &err, &info), err);
	REQUIRE_OK(store_writer_commit(w, &err), err);
	image_writer_close(iw);
	store_writer_close(w);
	return info;
}

static void a_parent_that_lacks_the_address_space_is_no_parent(void)
{
	const struct piece piece = { BASE, 4, NULL };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct compact_result r;
	struct image_info info;
	struct store *s;
	struct chain *c;

	enter_scratch();
	s = open_store();
	info = put_piece(s, "job", NULL, OWNER, &piece);
	put_piece(s, "job", &info, 1, &piece);
	REQUIRE_OK(chain_open(s, "job", false, &err, &c), err);
	REQUIRE_EQ(chain_load(c, 1, &err), -EBADMSG);
	REQUIRE(strstr(err.text, "job@1") && strstr(err.text, "process 1"));
	chain_close(c);
	REQUIRE_EQ(compact_run(s, "job", 0, NULL, NULL, NULL, &r), -EBADMSG);
	store_close(s);
}

static struct store *racing;
static struct image_info first;

static void another_builds_on_it(void)
{
	const struct piece piece = { BASE, 1, NULL };

	put_piece(racing, "job", &first, OWNER, &piece);
}

static void what_was_built_on_since_the_look_is_not_removed(void)
{
	const struct piece piece = { BASE, 4, NULL };
	struct ckpt_err err = CKPT_ERR_INIT;

	enter_scratch();
	racing = open_store();
	first = put_piece(racing, "job", NULL, OWNER, &piece);
	before_lock = another_builds_on_it;
	REQUIRE_EQ(store_remove(racing, "job", 1, &err, NULL), -EBUSY);
	REQUIRE_EQ(chain_error(racing, "job@2", &err), 0);
	store_close(racing);
}

static int count_pages(uint64_t addr, uint64_t npages, enum diff_kind kind, void *arg)
{
	*(uint64_t *)arg += npages;
	return 0;
}

static void the_end_of_the_address_space_is_compared_too(void)
{
	static unsigned char data[8 * PAGE];
	const struct piece top = { -(uint64_t)(8 * PAGE), 8, data };
	const struct piece below = { -(uint64_t)(12 * PAGE), 8, data };
	struct ckpt_err err = CKPT_ERR_INIT;
	uint64_t pages = 0;
	struct chain *a, *b;
	struct store *s;

	enter_scratch();
	s = open_store();
	for (int i = 0; i < 8; i++)
		fill_page(data + i * PAGE, PAGE, FILL_NOISE, i);
	put_piece(s, "a", NULL, OWNER, &top);
	put_piece(s, "b", NULL, OWNER, &below);
	a = open_chain(s, "a");
	b = open_chain(s, "b");
	REQUIRE_OK(diff_run(a, b, count_pages, &pages, &err), err);
	REQUIRE_EQ(pages, 12);		/* four gone, four new, four other bytes */
	chain_close(a);
	chain_close(b);
	store_close(s);
}

/*
 * Two pages of one digest. XXH3 multiplies the halves of data and key that were xored; where the
 * low one is zero the high one does not count but in a sum with another's. Keys of its default
 * secret, to which it adds the seed.
 */
static void make_twins(uint64_t seed, unsigned char *p, unsigned char *q)
{
	uint32_t key0 = 0x396cfeb8u + (uint32_t)seed, key2 = 0xe96dd4deu + (uint32_t)seed, high;

	fill_page(p, PAGE, FILL_NOISE, 5);
	memcpy(p, &key0, sizeof(key0));
	memcpy(p + 128, &key2, sizeof(key2));
	memcpy(q, p, PAGE);
	memcpy(&high, q + 4, sizeof(high));
	high += 4711;
	memcpy(q + 4, &high, sizeof(high));
	memcpy(&high, q + 132, sizeof(high));
	high -= 4711;
	memcpy(q + 132, &high, sizeof(high));
}

static void pages_that_digests_do_not_tell_apart_are_not_the_same(void)
{
	uint8_t digest_p[IMAGE_HASH_SIZE], digest_q[IMAGE_HASH_SIZE];
	unsigned char p[PAGE], q[PAGE];
	const struct piece zeros = { BASE, 1, NULL }, twin = { BASE, 1, p };
	struct image_info info;
	struct store *s;
	struct chain *c;

	enter_scratch();
	s = open_store();
	info = put_piece(s, "job", NULL, OWNER, &zeros);
	make_twins(info.digest_seed, p, q);
	put_piece(s, "job", &info, OWNER, &twin);
	image_page_digest(p, PAGE, info.digest_seed, digest_p);
	image_page_digest(q, PAGE, info.digest_seed, digest_q);
	REQUIRE(memcmp(p, q, PAGE) && !memcmp(digest_p, digest_q, sizeof(digest_p)));
	c = open_chain(s, "job");
	REQUIRE(chain_same_page(c, BASE, p));
	REQUIRE(!chain_same_page(c, BASE, q));
	chain_close(c);
	store_close(s);
}

static void digests_tell_pages_apart(void)
{
	unsigned char page[PAGE];
	uint8_t digest[IMAGE_HASH_SIZE], other[IMAGE_HASH_SIZE];

	fill_page(page, PAGE, FILL_NOISE, 1);
	image_page_digest(page, PAGE, 1, digest);
	image_page_digest(page, PAGE, 2, other);
	REQUIRE(memcmp(digest, other, sizeof(digest)));	/* the seed counts */
	page[PAGE - 1] ^= 1;
	image_page_digest(page, PAGE, 1, other);
	REQUIRE(memcmp(digest, other, sizeof(digest)));
}

static const struct tap_test tests[] = {
	{ "any_memory_comes_back_from_any_generation", any_memory_comes_back_from_any_generation },
	{ "the_difference_is_what_changed", the_difference_is_what_changed },
	{ "what_is_marked_and_the_same_is_left_out", what_is_marked_and_the_same_is_left_out },
	{ "what_the_parent_lacks_is_not_left_out", what_the_parent_lacks_is_not_left_out },
	{ "a_missing_foreign_or_damaged_parent_is_named",
	  a_missing_foreign_or_damaged_parent_is_named },
	{ "a_parent_of_another_digest_is_foreign", a_parent_of_another_digest_is_foreign },
	{ "a_path_finds_its_parents_beside_it", a_path_finds_its_parents_beside_it },
	{ "a_chain_has_an_end", a_chain_has_an_end },
	{ "a_chain_that_is_too_long_is_refused", a_chain_that_is_too_long_is_refused },
	{ "what_is_built_on_is_not_removed", what_is_built_on_is_not_removed },
	{ "what_was_folded_is_needed_no_more", what_was_folded_is_needed_no_more },
	{ "what_is_kept_needs_nothing_that_goes", what_is_kept_needs_nothing_that_goes },
	{ "what_is_young_is_kept_and_three_however_old", what_is_young_is_kept_and_three_however_old },
	{ "what_cannot_be_folded_keeps_what_it_is_built_on",
	  what_cannot_be_folded_keeps_what_it_is_built_on },
	{ "a_compaction_that_fails_leaves_the_delta", a_compaction_that_fails_leaves_the_delta },
	{ "a_parent_that_lacks_the_address_space_is_no_parent",
	  a_parent_that_lacks_the_address_space_is_no_parent },
	{ "what_was_built_on_since_the_look_is_not_removed",
	  what_was_built_on_since_the_look_is_not_removed },
	{ "the_end_of_the_address_space_is_compared_too",
	  the_end_of_the_address_space_is_compared_too },
	{ "pages_that_digests_do_not_tell_apart_are_not_the_same",
	  pages_that_digests_do_not_tell_apart_are_not_the_same },
	{ "digests_tell_pages_apart", digests_tell_pages_apart },
};

TAP_MAIN(tests)
