// SPDX-License-Identifier: GPL-2.0-only
/*
 * No byte of an image changes unseen, no cut goes unseen, damage is named where it is, and nothing
 * wrong is ever handed out, verified or not.
 */
#include "images.h"

struct seen {
	uint64_t	pos;		/* of the damage made */
	unsigned int	count;
	bool		covers;		/* a report's byte range has it */
	struct image_damage last;
};

static void on_damage(const struct image_damage *d, void *arg)
{
	struct seen *seen = arg;

	seen->count++;
	seen->covers |= seen->pos >= d->offset && seen->pos < d->offset + d->size;
	seen->last = *d;
	REQUIRE(d->what && d->what[0]);
}

/* Whether the image in @fd is found damaged; a damage inside a section must be placed right. */
static bool found_damaged(int fd, uint64_t pos, struct seen *seen)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image *img;
	int ret;

	*seen = (struct seen){ .pos = pos };
	ret = image_open(fd, "flipped", &err, &img);
	if (!ret) {
		ret = image_verify(img, on_damage, seen, &err, NULL);
		image_close(img);
		if (ret)
			REQUIRE(seen->count && seen->covers);
	}
	REQUIRE(!ret == !err.text[0]);
	REQUIRE(!ret || ret == -EBADMSG || ret == -EOPNOTSUPP);
	return ret;
}

static void flip_each_byte(unsigned char mask)
{
	struct bytes b = small_image();
	int fd = fd_of_bytes(b.data, b.size);
	struct seen seen;

	REQUIRE(!found_damaged(fd, 0, &seen));
	for (size_t i = 0; i < b.size; i++) {
		unsigned char c = b.data[i] ^ mask;

		REQUIRE(pwrite(fd, &c, 1, i) == 1);
		if (!found_damaged(fd, i, &seen)) {
			printf("# byte %zu of %zu, mask 0x%02x: not seen\n", i, b.size, mask);
			REQUIRE(false);
		}
		REQUIRE(pwrite(fd, &b.data[i], 1, i) == 1);
	}
	REQUIRE(!found_damaged(fd, 0, &seen));
	close(fd);
	free(b.data);
}

static void every_flipped_bit_is_found(void)
{
	if (TAP_SANITIZED) {
		flip_each_byte(1 << rnd_below(8));
		return;
	}
	for (int bit = 0; bit < 8; bit++)
		flip_each_byte(1 << bit);
}

static void every_overwritten_byte_is_found(void)
{
	flip_each_byte(0xff);
	flip_each_byte(1 + rnd_below(255));
}

static void what_the_device_gives_back_is_compared_with_what_was_written(void)
{
	int fd = memfd_create("image", MFD_CLOEXEC), other = memfd_create("other", MFD_CLOEXEC);
	struct image_info written, more;
	struct ckpt_err err;
	struct bytes b;

	REQUIRE(fd >= 0 && other >= 0);
	write_small(fd, 1, NULL, &written);
	write_small(other, 1, NULL, &more);
	b = bytes_of_fd(fd);
	REQUIRE_EQ(image_read_back(fd, "sound", &written, NULL), 0);
	for (size_t i = 0; i < b.size; i++) {
		unsigned char c = b.data[i] ^ (1 << rnd_below(8));

		REQUIRE(pwrite(fd, &c, 1, i) == 1);
		memset(&err, 0, sizeof(err));
		REQUIRE_EQ(image_read_back(fd, "flipped", &written, &err), -EIO);
		REQUIRE(strstr(err.text, "does not give back what was written"));
		REQUIRE(pwrite(fd, &b.data[i], 1, i) == 1);
	}
	REQUIRE_EQ(image_read_back(fd, "sound again", &written, NULL), 0);
	REQUIRE_EQ(image_read_back(other, "another image, and a sound one", &written, NULL), -EIO);
	REQUIRE(!ftruncate(fd, b.size - 1));
	REQUIRE_EQ(image_read_back(fd, "cut", &written, NULL), -EIO);
	close(other);
	close(fd);
	free(b.data);
}

static void every_truncation_is_found(void)
{
	struct bytes b = small_image();
	int fd = fd_of_bytes(b.data, b.size);
	struct image *img;

	for (size_t n = b.size; n-- > 0;) {
		struct ckpt_err err = CKPT_ERR_INIT;

		REQUIRE(!ftruncate(fd, n));
		REQUIRE_EQ(image_open(fd, "cut", &err, &img), -EBADMSG);
		REQUIRE(err.text[0]);
	}
	close(fd);
	free(b.data);
}

static void every_extension_is_found(void)
{
	struct bytes b = small_image();
	int fd = fd_of_bytes(b.data, b.size);
	struct image *img;

	for (size_t n = 1; n < 2000; n++) {
		REQUIRE(!ftruncate(fd, b.size + n));
		REQUIRE_EQ(image_open(fd, "longer", NULL, &img), -EBADMSG);
	}
	/* the image twice: its trailer is at the end, but knows another size */
	REQUIRE(pwrite(fd, b.data, b.size, b.size) == (ssize_t)b.size);
	REQUIRE(!ftruncate(fd, 2 * b.size));
	REQUIRE_EQ(image_open(fd, "twice", NULL, &img), -EBADMSG);
	close(fd);
	free(b.data);
}

static void a_hole_of_zeros_is_found(void)
{
	static const unsigned char zeros[512];
	struct bytes b = small_image();
	int fd = fd_of_bytes(b.data, b.size);
	struct seen seen;

	for (unsigned int round = 0; round < 300; round++) {
		size_t n = 1 + rnd_below(sizeof(zeros)), at = rnd_below(b.size - n);
		bool same = !memcmp(b.data + at, zeros, n);

		REQUIRE(pwrite(fd, zeros, n, at) == (ssize_t)n);
		while (!same && !b.data[at])	/* where it really differs */
			at++, n--;
		if (!same) {
			struct ckpt_err err = CKPT_ERR_INIT;
			struct image *img;

			if (!image_open(fd, "hole", &err, &img)) {
				seen = (struct seen){ .pos = at };
				REQUIRE_EQ(image_verify(img, on_damage, &seen, &err, NULL),
					   -EBADMSG);
				REQUIRE(seen.covers);
				image_close(img);
			}
		}
		REQUIRE(pwrite(fd, b.data, b.size, 0) == (ssize_t)b.size);
	}
	close(fd);
	free(b.data);
}

/* Where frame @n of section 1 begins; the frame table is told by the section's footer. */
static uint64_t frame_at(const struct bytes *b, unsigned int n, struct image_frame_disk *ret_frame)
{
	struct image_trailer_disk t;
	struct image_section_disk s;
	struct image_pages_footer_disk f;

	memcpy(&t, b->data + b->size - sizeof(t), sizeof(t));
	memcpy(&s, b->data + t.table_offset + sizeof(s), sizeof(s));
	memcpy(&f, b->data + s.offset + s.size - sizeof(f), sizeof(f));
	memcpy(ret_frame, b->data + s.offset + f.frames_offset + n * sizeof(*ret_frame),
	       sizeof(*ret_frame));
	return s.offset + ret_frame->offset;
}

static void a_damaged_frame_is_named_with_its_addresses(void)
{
	static const struct { uint64_t start, end; } want[] = {
		{ SMALL_TEXT_ADDR, SMALL_TEXT_ADDR + 2 * PAGE },
		{ SMALL_NOISE_ADDR, SMALL_NOISE_ADDR + PAGE },
	};
	struct bytes b = small_image();
	int fd = fd_of_bytes(b.data, b.size);

	for (unsigned int n = 0; n < 2; n++) {
		struct image_frame_disk frame;
		uint64_t at = frame_at(&b, n, &frame);
		uint64_t pos = at + rnd_below(frame.stored_size);
		unsigned char c = b.data[pos] ^ 0x10;
		struct seen seen;

		REQUIRE(pwrite(fd, &c, 1, pos) == 1);
		REQUIRE(found_damaged(fd, pos, &seen));
		REQUIRE_EQ(seen.count, 1);
		REQUIRE(seen.last.is_frame);
		REQUIRE_EQ(seen.last.frame, n);
		REQUIRE_EQ(seen.last.owner, 4711);
		REQUIRE_EQ(seen.last.offset, at);
		REQUIRE_EQ(seen.last.size, frame.stored_size);
		REQUIRE_EQ(seen.last.addr_start, want[n].start);
		REQUIRE_EQ(seen.last.addr_end, want[n].end);
		REQUIRE(pwrite(fd, &b.data[pos], 1, pos) == 1);
	}
	close(fd);
	free(b.data);
}

static void verify_goes_on_after_the_first_damage(void)
{
	struct bytes b = small_image();
	int fd = fd_of_bytes(b.data, b.size);
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_frame_disk frame;
	struct seen seen = { 0 };
	struct image *img;
	uint64_t at;

	/* the STATE body, both frames */
	at = sizeof(struct image_header_disk) + sizeof(struct image_section_header_disk);
	REQUIRE(pwrite(fd, "!", 1, at) == 1);
	for (unsigned int n = 0; n < 2; n++) {
		at = frame_at(&b, n, &frame) + 9;
		b.data[at] ^= 1;
		REQUIRE(pwrite(fd, &b.data[at], 1, at) == 1);
	}
	REQUIRE_OK(image_open(fd, "thrice", &err, &img), err);
	REQUIRE_EQ(image_verify(img, on_damage, &seen, &err, NULL), -EBADMSG);
	REQUIRE_EQ(seen.count, 3);
	REQUIRE(strstr(err.text, "section 0"));
	image_close(img);
	close(fd);
	free(b.data);
}

/* Read all the small image holds, as a restore would; true if every call said it was fine. */
static bool restore_small(int fd)
{
	unsigned char want[PAGE], got[3 * PAGE];
	struct image_pages *ip = NULL;
	struct image *img;
	bool fine = false;
	void *data;
	size_t size;
	int n;

	if (image_open(fd, "r", NULL, &img))
		return false;
	n = image_find(img, IMAGE_STATE, 4711, 0);
	if (n < 0 || image_load(img, n, NULL, &data, &size))
		goto out;
	REQUIRE(size == 11 && !memcmp(data, SMALL_STATE, size));
	free(data);
	n = image_find(img, IMAGE_META, 0, IMAGE_META_SNAP);
	if (n < 0 || image_load(img, n, NULL, &data, &size))
		goto out;
	REQUIRE(size == strlen(SMALL_META) && !memcmp(data, SMALL_META, size));
	free(data);
	n = image_find(img, IMAGE_PAGES, 4711, 0);
	if (n < 0 || image_pages_open(img, n, NULL, &ip))
		goto out;
	if (image_pages_read(ip, SMALL_TEXT_ADDR, 2, got, NULL))
		goto out;
	for (int i = 0; i < 2; i++) {
		fill_page(want, PAGE, FILL_TEXT, 1 + i);
		REQUIRE(!memcmp(got + i * PAGE, want, PAGE));
	}
	if (image_pages_read(ip, SMALL_NOISE_ADDR, 1, got, NULL))
		goto out;
	fill_page(want, PAGE, FILL_NOISE, 3);
	REQUIRE(!memcmp(got, want, PAGE));
	if (image_pages_read(ip, 0x20000, 3, got, NULL))
		goto out;
	fine = true;
out:
	image_pages_close(ip);
	image_close(img);
	return fine;
}

/* A restore need not verify first: what it reads is right, or the call fails. */
static void no_wrong_byte_is_handed_out(void)
{
	struct bytes b = small_image();
	int fd = fd_of_bytes(b.data, b.size);
	size_t refused = 0;

	REQUIRE(restore_small(fd));
	for (size_t i = 0; i < b.size; i++) {
		unsigned char c = b.data[i] ^ (1 + rnd_below(255));

		REQUIRE(pwrite(fd, &c, 1, i) == 1);
		refused += !restore_small(fd);
		REQUIRE(pwrite(fd, &b.data[i], 1, i) == 1);
	}
	printf("# %zu of %zu damages touched what a restore reads\n", refused, b.size);
	REQUIRE(refused > 2 * PAGE / 3);
	close(fd);
	free(b.data);
}

#define MANY	11

/* More frames than the cache holds, one damaged: the others stay right, however they are read. */
static void a_damaged_frame_does_not_spoil_the_cache(void)
{
	struct image_params params = {
		.job = "job", .generation = 1, .page_size = PAGE, .frame_size = PAGE,
	};
	unsigned char want[MANY][PAGE], got[PAGE];
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_frame_disk frame;
	struct image_writer *w;
	struct image_pages *ip;
	struct image *img;
	struct bytes b;
	uint64_t at;
	int fd = memfd_create("image", MFD_CLOEXEC);

	REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
	REQUIRE_OK(image_writer_put(w, IMAGE_STATE, 1, 0, "", 0, &err), err);
	REQUIRE_OK(image_writer_begin_pages(w, 1, &err), err);
	for (int i = 0; i < MANY; i++) {
		fill_page(want[i], PAGE, i % 2 ? FILL_TEXT : FILL_NOISE, i);
		REQUIRE_OK(image_writer_data(w, i * PAGE, 1, want[i], &err), err);
	}
	REQUIRE_OK(image_writer_end_pages(w, &err, NULL), err);
	REQUIRE_OK(image_writer_finish(w, &err, NULL), err);
	image_writer_close(w);
	b = bytes_of_fd(fd);
	at = frame_at(&b, 6, &frame) + 3;	/* a raw one: read straight into the cache */
	b.data[at] ^= 4;
	REQUIRE(pwrite(fd, &b.data[at], 1, at) == 1);
	REQUIRE_OK(image_open(fd, "many", &err, &img), err);
	REQUIRE_OK(image_pages_open(img, 1, &err, &ip), err);
	for (int n = 0; n < 3000; n++) {
		int i = rnd_below(MANY), ret = image_pages_read(ip, i * PAGE, 1, got, NULL);

		REQUIRE_EQ(ret, i == 6 ? -EBADMSG : 0);
		REQUIRE(ret || !memcmp(got, want[i], PAGE));
	}
	image_pages_close(ip);
	image_close(img);
	close(fd);
	free(b.data);
}

static void a_damaged_header_is_called_so(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct bytes b = small_image();
	struct image *img;
	int fd;

	((struct image_header_disk *)b.data)->kernel[2] ^= 1;
	fd = fd_of_bytes(b.data, b.size);
	REQUIRE_EQ(image_open(fd, "x", &err, &img), -EBADMSG);
	REQUIRE(strstr(err.text, "header: wrong checksum"));
	close(fd);
	free(b.data);
}

static void what_is_no_image_is_called_so(void)
{
	static const char *const content[] = { "", "x", "hello, world\n",
		"\x7f" "ELF\x02\x01\x01 and then a good deal more" };

	for (size_t i = 0; i < 4; i++) {
		struct ckpt_err err = CKPT_ERR_INIT;
		int fd = fd_of_bytes(content[i], strlen(content[i]));
		struct image *img;

		REQUIRE_EQ(image_open(fd, "f", &err, &img), -EBADMSG);
		REQUIRE(!strcmp(err.text, "f: not an image"));
		close(fd);
	}
}

static void only_regular_files_are_opened(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image *img;
	int ends[2];

	REQUIRE(!pipe(ends));
	REQUIRE_EQ(image_open(ends[0], "pipe", &err, &img), -EBADMSG);
	REQUIRE(strstr(err.text, "not a regular file"));
}

static const struct tap_test tests[] = {
	{ "every_flipped_bit_is_found", every_flipped_bit_is_found },
	{ "every_overwritten_byte_is_found", every_overwritten_byte_is_found },
	{ "what_the_device_gives_back_is_compared_with_what_was_written",
	  what_the_device_gives_back_is_compared_with_what_was_written },
	{ "every_truncation_is_found", every_truncation_is_found },
	{ "every_extension_is_found", every_extension_is_found },
	{ "a_hole_of_zeros_is_found", a_hole_of_zeros_is_found },
	{ "a_damaged_frame_is_named_with_its_addresses",
	  a_damaged_frame_is_named_with_its_addresses },
	{ "verify_goes_on_after_the_first_damage", verify_goes_on_after_the_first_damage },
	{ "no_wrong_byte_is_handed_out", no_wrong_byte_is_handed_out },
	{ "a_damaged_frame_does_not_spoil_the_cache", a_damaged_frame_does_not_spoil_the_cache },
	{ "a_damaged_header_is_called_so", a_damaged_header_is_called_so },
	{ "what_is_no_image_is_called_so", what_is_no_image_is_called_so },
	{ "only_regular_files_are_opened", only_regular_files_are_opened },
};

TAP_MAIN(tests)
