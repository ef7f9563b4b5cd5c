// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images made to hurt: fields of any value under checksums that are right.  Named cases first, each
 * with the answer it must get; then random ones, which may get any answer but a crash, a hang or
 * memory that the file does not pay for.  The plain build runs with little address space, so that
 * believing a length is seen; the sanitized one sees reads and writes out of bounds.
 */
#include <sys/resource.h>

#include "image-priv.h"
#include "images.h"
#include "util.h"

/* The small image taken apart, to be changed and put together again with fresh checksums. */
struct forge {
	struct bytes	file;
	struct image_header_disk *header;
	struct image_trailer_disk *trailer;
	struct image_section_disk *table;
	uint32_t	sections;	/* as written, whatever the fields say later */
	unsigned char	*pages;		/* section 1 */
	uint64_t	pages_size;
	struct image_pages_footer_disk *footer;
	struct image_frame_disk *frames;
	struct image_run_disk *runs;
	size_t		nframes;
	size_t		nruns;
};

static struct forge forge_new(void)
{
	struct forge f = { .file = small_image() };

	f.header = (void *)f.file.data;
	f.trailer = (void *)(f.file.data + f.file.size - sizeof(*f.trailer));
	f.table = (void *)(f.file.data + f.trailer->table_offset);
	f.sections = f.trailer->sections;
	f.pages = f.file.data + f.table[1].offset;
	f.pages_size = f.table[1].size;
	f.footer = (void *)(f.pages + f.pages_size - sizeof(*f.footer));
	f.frames = (void *)(f.pages + f.footer->frames_offset);
	f.runs = (void *)(f.pages + f.footer->runs_offset);
	f.nframes = f.footer->frames;
	f.nruns = f.footer->runs;
	return f;
}

/* Make all checksums right, from the inside out; a file descriptor of the result. */
static int forge_seal(struct forge *f)
{
	struct buf frames = { (void *)f->frames, f->nframes * sizeof(*f->frames), 0 };
	struct buf runs = { (void *)f->runs, f->nruns * sizeof(*f->runs), 0 };
	uint64_t at = sizeof(*f->header);

	for (size_t i = 0; i < f->nframes; i++) {
		uint64_t off = f->frames[i].offset, size = f->frames[i].stored_size;

		if (off < f->pages_size && size <= f->pages_size - off)
			util_hash(f->pages + off, size, f->frames[i].hash);
	}
	REQUIRE(!image_index_hash(&frames, &runs, f->footer, f->footer->hash));
	for (uint32_t i = 0; i < f->sections; i++) {
		/* sections as they lie, unless this entry was changed */
		uint64_t size = f->table[i].size;

		if (f->table[i].offset != at || size > f->file.size - at)
			break;
		util_hash(f->file.data + at, size, f->table[i].hash);
		at += size;
	}
	util_hash(f->header, offsetof(struct image_header_disk, hash), f->header->hash);
	REQUIRE(!image_root_digest(f->header, f->table, f->sections * sizeof(*f->table),
				   f->trailer, f->trailer->digest));
	return fd_of_bytes(f->file.data, f->file.size);
}

/* Call all a restorer calls, with what the image itself says; the first failure. */
static int read_all(int fd, struct ckpt_err *err)
{
	const struct image_info *info;
	unsigned char *page = malloc(IMAGE_PAGE_MAX);
	struct image *img;
	int ret;

	REQUIRE(page);
	ret = image_open(fd, "hostile", err, &img);
	if (ret) {
		free(page);
		return ret;
	}
	info = image_get_info(img);
	image_verify(img, NULL, NULL, NULL, NULL);
	for (uint32_t i = 0; i < info->sections; i++) {
		struct image_section s;
		int one = 0;

		image_get_section(img, i, &s);
		if (image_has_runs(s.kind)) {
			struct image_pages_stats stats;
			struct image_pages *ip;

			one = image_pages_open(img, i, err, &ip);
			if (one)
				goto next;
			image_pages_get_stats(ip, &stats);
			for (uint64_t n = 0; n < stats.runs; n++) {
				struct image_run run;
				int r;

				image_pages_get_run(ip, n, &run);
				r = image_pages_read(ip, run.addr, 1, page, NULL);
				if (r && r != -ENODATA && !one)
					one = image_pages_read(ip, run.addr, 1, page, err);
				r = image_pages_read(ip, run.addr + (run.npages - 1) *
						     info->page_size, 1, page, NULL);
				REQUIRE(r <= 0);
			}
			image_pages_close(ip);
		} else if (s.kind == IMAGE_STATE || s.kind == IMAGE_META) {
			size_t size;
			void *data;

			one = image_load(img, i, err, &data, &size);
			if (!one)
				free(data);
		}
next:
		if (one && !ret)
			ret = one;
	}
	image_close(img);
	free(page);
	return ret;
}

static void limit_memory(uint64_t more)
{
	struct rlimit limit;
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (TAP_SANITIZED)	/* its shadow needs all the addresses there are */
		return;
	REQUIRE(f && fscanf(f, "%lu", &pages) == 1);
	fclose(f);
	limit.rlim_cur = limit.rlim_max = pages * sysconf(_SC_PAGESIZE) + more;
	REQUIRE(!setrlimit(RLIMIT_AS, &limit));
}

/* @reason: NULL, or words of the error that say which check found it. */
static void check_answer(struct forge *f, const char *change, const char *reason)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	int fd = forge_seal(f);
	int ret = read_all(fd, &err);
	bool right;

	if (!reason)
		right = !ret;
	else
		right = strstr(err.text, reason) && (ret == -EBADMSG || ret == -EOPNOTSUPP);
	if (!right)
		printf("# %s: %d %s\n", change, ret, err.text);
	REQUIRE(right);
	close(fd);
	free(f->file.data);
}

#define FORGED(reason, change)			\
	do {					\
		struct forge f = forge_new();	\
						\
		change;				\
		check_answer(&f, #change, reason); \
	} while (0)

static void the_forger_makes_good_images(void)
{
	FORGED(NULL, (void)0);
	FORGED(NULL, f.header->pid = 1);
	FORGED(NULL, f.header->compat = 1ull << 63);
	FORGED(NULL, f.header->reserved[3] = 1);
	FORGED(NULL, f.runs[3].kind = IMAGE_RUN_FILE;
		  f.footer->data_pages -= f.runs[3].npages;
		  f.footer->file_pages += f.runs[3].npages);
}

static void the_header_is_checked(void)
{
	FORGED("this library reads version", f.header->version = 2);
	FORGED("this library reads version", f.header->version = 0);
	FORGED("image uses features", f.header->incompat = 1ull << 40);
	FORGED("keys: the header says", f.header->incompat = IMAGE_INCOMPAT_ENCRYPTED);
	FORGED("header: impossible parent", f.header->incompat = IMAGE_INCOMPAT_DELTA);
	FORGED("header: wrong size", f.header->header_size = 1024);
	FORGED("header: impossible page size", f.header->page_size = 0);
	FORGED("header: impossible page size", f.header->page_size = 2048);
	FORGED("header: impossible page size", f.header->page_size = 12288);
	FORGED("header: impossible page size", f.header->page_size = 1u << 31);
	FORGED("header: no identity", f.header->generation = 0);
	FORGED("header: impossible parent", f.header->parent_generation = 1);
	FORGED("header: no identity", memset(f.header->id, 0, 16));
	FORGED("header: impossible parent", f.header->parent_id[0] = 1; f.trailer->parent_id[0] = 1);
	FORGED("header: text is not printable", memset(f.header->job, 'x', sizeof(f.header->job)));
	FORGED("header: text is not printable", f.header->hostname[0] = 27);
	FORGED("header: text is not printable", f.header->kernel[70] = 'x');
	FORGED("header: text is not printable", f.header->comm[3] = 0);
	FORGED("header: text is not printable", f.header->comm[3] = (char)0x9b);
}

static void the_trailer_is_checked(void)
{
	FORGED("trailer: wrong version or sizes", f.trailer->version = 2);
	FORGED("trailer: wrong version or sizes", f.trailer->trailer_size = 64);
	FORGED("trailer: wrong version or sizes", f.trailer->entry_size = 32);
	FORGED("trailer: the file had another size when written", f.trailer->file_size++);
	FORGED("header and trailer are of different images", f.trailer->id[5] ^= 1);
	FORGED("header and trailer are of different images", f.trailer->parent_id[5] ^= 1);
	FORGED("trailer: impossible section table", f.trailer->sections--);
	FORGED("trailer: impossible section table", f.trailer->sections = 0);
	FORGED("trailer: impossible section table", f.trailer->sections = UINT32_MAX);
	FORGED("trailer: impossible section table", f.trailer->sections = IMAGE_SECTIONS_MAX);
	FORGED("gap before the table", f.sections = f.trailer->sections = 0;
				       f.trailer->table_offset = f.file.size - 128);
	FORGED("trailer: impossible section table", f.trailer->table_offset = 0);
	FORGED("trailer: impossible section table", f.trailer->table_offset = UINT64_MAX - 63);
	FORGED("trailer: impossible section table", f.trailer->table_offset += 64);
}

static void the_section_table_is_checked(void)
{
	FORGED("section table: section out of place", f.table[0].offset = 0);
	FORGED("section table: section out of place", f.table[1].offset = f.table[0].offset);
	FORGED("section table: section out of place", f.table[1].offset += 8);
	FORGED("section table: section out of place", f.table[0].size = UINT64_MAX - 7);
	FORGED("section table: section out of place", f.table[0].size = 8);
	FORGED("section table: gap after a section", f.table[0].size += 8);
	FORGED("section table: body larger than its section", f.table[0].size -= 8);
	FORGED("section table: body larger than its section", f.table[0].body_size = UINT64_MAX);
	FORGED("section table: body larger than its section", f.table[0].body_size += 8);
	FORGED("section table: gap after a section", f.table[0].body_size -= 8);
	FORGED("section table: section out of place", f.table[3].size += 64);
	FORGED("section table: two sections of one name", f.table[2].owner = f.table[1].owner);
	FORGED("section header and section table disagree", f.table[0].owner++);
	FORGED("section header and section table disagree", f.table[0].kind = IMAGE_META);
	FORGED("section table: two sections of one name", f.table[0].kind = IMAGE_PAGES);
	FORGED("section header and section table disagree", f.table[3].kind = IMAGE_PAGES);
	FORGED("section table: two sections of one name", f.table[1].kind = IMAGE_STATE);
	FORGED(NULL, f.table[0].kind = 77);			/* unknown kinds are skipped */
}

static void the_page_index_is_checked(void)
{
	FORGED("no footer", f.footer->footer_size = 64);
	FORGED("no footer", f.footer->magic[0] = 'Q');
	FORGED("impossible frame size", f.footer->frame_pages = 0);
	FORGED("impossible frame", f.footer->frame_pages = 1);
	FORGED("impossible frame size", f.footer->frame_pages = UINT32_MAX);
	FORGED("tables out of place", f.footer->frames++);
	FORGED("tables out of place", f.footer->frames = UINT64_MAX / 40 + 2);
	FORGED("tables out of place", f.footer->frames = 1ull << 40);
	FORGED("tables out of place", f.footer->runs++);
	FORGED("tables out of place", f.footer->runs = 1ull << 59);
	FORGED("tables out of place", f.footer->runs = (1ull << 59) + f.nruns);
	FORGED("tables out of place", f.footer->frames_offset = 0; f.footer->runs_offset = 80);
	FORGED("tables out of place", f.footer->frames_offset = UINT64_MAX - 7);
	FORGED("tables out of place", f.footer->runs_offset += 8);
	FORGED("totals do not match", f.footer->data_pages++);
	FORGED("totals do not match", f.footer->stored_bytes--);
}

static void the_frames_are_checked(void)
{
	FORGED("frame out of place", f.frames[0].offset = 0);
	FORGED("frame out of place", f.frames[1].offset = f.frames[0].offset);
	FORGED("frame out of place", f.frames[1].offset = UINT64_MAX - 7);
	FORGED("frame out of place", f.frames[1].offset = f.footer->frames_offset);
	FORGED("frame of unknown coding", f.frames[0].stored_size = 0);
	FORGED("frame out of place", f.frames[0].stored_size = UINT32_MAX);
	FORGED("does not decompress", f.frames[0].stored_size -= 1; f.footer->stored_bytes -= 1);
	FORGED("impossible frame", f.frames[0].raw_size = 0);
	FORGED("run leaves its frame", f.frames[0].raw_size = PAGE);		/* the run then leaves it */
	FORGED("impossible frame", f.frames[0].raw_size += 8);
	FORGED("frame out of place", f.frames[0].raw_size = 4 * PAGE; f.footer->frame_pages = 4);
	FORGED("does not decompress", f.header->compat = 0; f.frames[0].raw_size = 4 * PAGE;
		  f.footer->frame_pages = 4);
	FORGED("does not decompress", f.header->compat = 0; f.frames[0].raw_size = IMAGE_FRAME_MAX;
			 f.footer->frame_pages = IMAGE_FRAME_MAX / PAGE);
	FORGED("impossible frame", f.frames[0].raw_size = 1u << 31);
	FORGED("frame of unknown coding", f.frames[0].codec = 2);
	FORGED("frame of unknown coding", f.frames[0].codec = IMAGE_CODEC_RAW);
	FORGED("frame of unknown coding", f.frames[1].codec = IMAGE_CODEC_ZSTD);
	FORGED("does not decompress",
	       memset(f.pages + f.frames[0].offset, 0xaa, f.frames[0].stored_size));
}

static void the_runs_are_checked(void)
{
	FORGED("run out of place", f.runs[0].addr++);
	FORGED("run out of place", f.runs[0].addr = f.runs[1].addr);
	FORGED("run out of place", f.runs[1].addr = 0);
	FORGED("run out of place", f.runs[1].npages = 0);
	FORGED("run out of place", f.runs[1].npages = UINT64_MAX);
	FORGED("run out of place", f.runs[1].npages = 1ull << 52);
	FORGED("run out of place", f.runs[1].npages = 17);		/* into the next */
	FORGED("run out of place", f.runs[3].addr = -(uint64_t)PAGE; f.runs[3].npages = 2);
	FORGED("run of unknown kind", f.runs[0].kind = 0);
	FORGED("run of unknown kind", f.runs[0].kind = 99);
	FORGED("run of unknown kind", f.runs[1].kind = IMAGE_RUN_GONE;	/* in a full image */
			 f.footer->zero_pages = 0; f.footer->gone_pages = 3);
	FORGED("run names no frame", f.runs[0].frame = 2);
	FORGED("run names no frame", f.runs[0].frame = UINT32_MAX);
	FORGED("run leaves its frame", f.runs[0].page = 1);
	FORGED("run leaves its frame", f.runs[0].page = UINT32_MAX);
	FORGED("run leaves its frame", f.runs[0].npages = 3; f.footer->data_pages++);
	FORGED(NULL, f.runs[1].npages = 16; f.footer->zero_pages += 13);
}

/* STATE, of eleven bytes, becomes SOURCES of an image that shares. */
static void forge_sources(struct forge *f)
{
	struct image_section_header_disk *head = (void *)(f->file.data + f->table[0].offset);

	f->header->incompat = IMAGE_INCOMPAT_SHARED;
	f->table[0].kind = head->kind = IMAGE_SOURCES;
	f->table[0].owner = head->owner = 0;
}

static void the_sources_are_checked(void)
{
	FORGED("no sources", f.header->incompat = IMAGE_INCOMPAT_SHARED);
	FORGED("sources: odd size", forge_sources(&f));
	FORGED("run names no source", f.runs[0].kind = IMAGE_RUN_SHARED; f.footer->shared_pages = 2;
	       f.footer->data_pages -= 2);
	FORGED("totals do not match", f.footer->shared_pages = 1);
}

/* A terabyte of file that costs its maker nothing must not cost the reader memory. */
static void a_sparse_file_does_not_eat_memory(void)
{
	const uint64_t huge = 1ull << 40;
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_section_header_disk head = {
		.magic = IMAGE_SECTION_MAGIC, .kind = IMAGE_PAGES, .owner = 1,
	};
	struct image_section_disk entry = {
		.kind = IMAGE_PAGES, .owner = 1, .offset = 512, .size = huge,
		.body_size = huge - sizeof(head),
	};
	struct image_pages_footer_disk foot = {
		.magic = IMAGE_PAGES_MAGIC, .footer_size = 128, .frame_pages = 1,
		.frames_offset = 32, .runs_offset = 32,
		.runs = (huge - 32 - 128) / sizeof(struct image_run_disk),
	};
	struct image_trailer_disk t = {
		.magic = IMAGE_TRAILER_MAGIC, .version = 1, .trailer_size = 128,
		.file_size = 512 + huge + 64 + 128, .table_offset = 512 + huge, .sections = 1,
		.entry_size = 64,
	};
	struct forge f = forge_new();
	struct image *img;
	struct image_pages *ip;
	int fd = memfd_create("sparse", MFD_CLOEXEC);

	memcpy(t.id, f.header->id, sizeof(t.id));
	REQUIRE(!image_root_digest(f.header, &entry, sizeof(entry), &t, t.digest));
	REQUIRE(pwrite(fd, f.header, 512, 0) == 512);
	REQUIRE(pwrite(fd, &head, sizeof(head), 512) == sizeof(head));
	REQUIRE(pwrite(fd, &foot, sizeof(foot), 512 + huge - 128) == 128);
	REQUIRE(pwrite(fd, &entry, sizeof(entry), 512 + huge) == 64);
	REQUIRE(pwrite(fd, &t, sizeof(t), 512 + huge + 64) == 128);
	REQUIRE_OK(image_open(fd, "sparse", &err, &img), err);
	REQUIRE_EQ(image_pages_open(img, 0, &err, &ip), -EBADMSG);
	image_close(img);
	close(fd);
	free(f.file.data);
}

static void a_state_of_two_gigabytes_is_not_loaded(void)
{
	const uint64_t huge = 2ull << 30;
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_section_disk entry = {
		.kind = IMAGE_STATE, .owner = 1, .offset = 512, .size = huge,
		.body_size = huge - 32,
	};
	struct image_trailer_disk t = {
		.magic = IMAGE_TRAILER_MAGIC, .version = 1, .trailer_size = 128,
		.file_size = 512 + huge + 64 + 128, .table_offset = 512 + huge, .sections = 1,
		.entry_size = 64,
	};
	struct forge f = forge_new();
	struct image *img;
	size_t size;
	void *data;
	int fd = memfd_create("sparse", MFD_CLOEXEC);

	memcpy(t.id, f.header->id, sizeof(t.id));
	REQUIRE(!image_root_digest(f.header, &entry, sizeof(entry), &t, t.digest));
	REQUIRE(pwrite(fd, f.header, 512, 0) == 512);
	REQUIRE(pwrite(fd, &entry, sizeof(entry), 512 + huge) == 64);
	REQUIRE(pwrite(fd, &t, sizeof(t), 512 + huge + 64) == 128);
	REQUIRE_OK(image_open(fd, "sparse", &err, &img), err);
	REQUIRE_EQ(image_load(img, 0, &err, &data, &size), -EFBIG);
	image_close(img);
	close(fd);
	free(f.file.data);
}

/* 8 bytes at a random place of the structures become something interesting. */
static void mutate(struct forge *f)
{
	static const uint64_t values[] = {
		0, 1, 7, 8, 31, 32, 40, 63, 64, 127, 128, 4095, 4096, 4097, 8192, 1ull << 31,
		UINT32_MAX, 1ull << 32, 1ull << 52, INT64_MAX, 1ull << 63, UINT64_MAX - 4095,
		UINT64_MAX - 7, UINT64_MAX,
	};
	struct { void *p; size_t n; } place[] = {
		{ f->header, 120 },
		{ f->trailer, 72 },
		{ f->table, f->sections * sizeof(*f->table) },
		{ f->footer, 88 },
		{ f->frames, f->nframes * sizeof(*f->frames) },
		{ f->runs, f->nruns * sizeof(*f->runs) },
		{ f->pages + 32, 64 },	/* compressed data */
	};
	size_t which = rnd_below(sizeof(place) / sizeof(place[0]));
	size_t width = rnd_below(2) ? 4 : 8;
	unsigned char *at = (unsigned char *)place[which].p +
			    rnd_below(place[which].n / width) * width;
	uint64_t v = 0;

	memcpy(&v, at, width);
	switch (rnd_below(4)) {
	case 0:
		v = values[rnd_below(sizeof(values) / sizeof(values[0]))];
		break;
	case 1:
		v += values[rnd_below(16)] * (rnd_below(2) ? 1 : -1);
		break;
	case 2:
		v ^= 1ull << rnd_below(width * 8);
		break;
	default:
		v = rnd();
	}
	memcpy(at, &v, width);
}

static void random_forgeries_do_no_harm(void)
{
	unsigned int rounds = tap_count(8000, 400000), passed = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		struct forge f = forge_new();
		int fd;

		for (uint64_t n = 1 + rnd_below(3); n; n--)
			mutate(&f);
		fd = forge_seal(&f);
		passed += !read_all(fd, &err);
		close(fd);
		free(f.file.data);
	}
	printf("# %u of %u were harmless as images\n", passed, rounds);
	REQUIRE(passed < rounds);
}

#define LIMITED(name)				\
	static void limited_##name(void)	\
	{					\
		limit_memory(160 << 20);	\
		name();				\
	}
LIMITED(the_forger_makes_good_images)
LIMITED(the_header_is_checked)
LIMITED(the_trailer_is_checked)
LIMITED(the_section_table_is_checked)
LIMITED(the_page_index_is_checked)
LIMITED(the_frames_are_checked)
LIMITED(the_runs_are_checked)
LIMITED(the_sources_are_checked)
LIMITED(a_sparse_file_does_not_eat_memory)
LIMITED(a_state_of_two_gigabytes_is_not_loaded)
LIMITED(random_forgeries_do_no_harm)

#define TEST(name) { #name, limited_##name }
static const struct tap_test tests[] = {
	TEST(the_forger_makes_good_images),
	TEST(the_header_is_checked),
	TEST(the_trailer_is_checked),
	TEST(the_section_table_is_checked),
	TEST(the_page_index_is_checked),
	TEST(the_frames_are_checked),
	TEST(the_runs_are_checked),
	TEST(the_sources_are_checked),
	TEST(a_sparse_file_does_not_eat_memory),
	TEST(a_state_of_two_gigabytes_is_not_loaded),
	TEST(random_forgeries_do_no_harm),
};

TAP_MAIN(tests)
