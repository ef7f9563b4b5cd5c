// SPDX-License-Identifier: GPL-2.0-only
/*
 * Encrypted images.  Whoever forges one here can do all that somebody can who writes to the store and
 * has no secret key: he makes every checksum right, encrypts to the same public keys, and puts pieces of
 * genuine images where they do not belong.
 */
#include "sealed.h"
#include "util.h"

static void fix_pages(const struct forged *f, uint32_t section)
{
	struct image_pages_footer_disk *foot = footer(f, section);
	struct buf frames = { (void *)frame(f, section, 0),
			      foot->frames * sizeof(struct image_frame_disk), 0 };
	struct buf runs = { (void *)run(f, section, 0), foot->runs * sizeof(struct image_run_disk), 0 };

	for (uint32_t i = 0; i < foot->frames; i++) {
		struct image_frame_disk *d = frame(f, section, i);

		util_hash(section_at(f, section) + d->offset, d->stored_size, d->hash);
	}
	REQUIRE(!image_index_hash(&frames, &runs, foot, foot->hash));
}

/* All checksums made right; a descriptor. */
static int put_together(struct forged *f)
{
	for (uint32_t i = 0; i < f->trailer->sections; i++) {
		if (image_has_runs(f->table[i].kind))
			fix_pages(f, i);
		util_hash(section_at(f, i), f->table[i].size, f->table[i].hash);
	}
	util_hash(f->header, offsetof(struct image_header_disk, hash), f->header->hash);
	REQUIRE(!image_root_digest(f->header, f->table, f->trailer->sections * sizeof(*f->table),
				   f->trailer, f->trailer->digest));
	return fd_of_bytes(f->file.data, f->file.size);
}

static int verify_locked(int fd)
{
	struct image *img = opened(fd);
	int ret = image_verify(img, NULL, NULL, NULL, NULL);

	image_close(img);
	return ret;
}

/* Checksums do not tell; the key does, on unlocking, and says that it is forged. */
static void require_forged(struct forged *f)
{
	struct keyring *k = keyring_of("alice");
	struct ckpt_err err = CKPT_ERR_INIT;
	int fd = put_together(f);
	struct image *img;

	REQUIRE_EQ(verify_locked(fd), 0);
	img = opened(fd);
	REQUIRE_EQ(image_unlock(img, k, &err), -EBADMSG);
	REQUIRE(image_is_locked(img) && strstr(err.text, "not what was sealed"));
	image_close(img);
	keyring_free(k);
	close(fd);
	free(f->file.data);
	image_close(f->genuine);
}

static void reseal_index(struct forged *f, uint32_t section)
{
	struct image_pages_footer_disk *foot = footer(f, section);
	struct buf frames = { (void *)frame(f, section, 0),
			      foot->frames * sizeof(struct image_frame_disk), 0 };
	struct buf runs = { (void *)run(f, section, 0), foot->runs * sizeof(struct image_run_disk), 0 };
	struct crypt_piece piece = image_piece(f->genuine, section);

	image_index_mac(f->genuine->crypt, &piece, &frames, &runs, foot, foot->mac);
}

/*
 * The same of a change below a section's checksum.  The section table has that, under the keyed hash, but
 * a checksum of two things can be made alike; as if it had been, here the hash is made anew with the key,
 * and of a frame, whose checksum is in the index, that of the index.  Then index or piece tells, with @what
 * in the text.
 */
static void require_forged_below(struct forged *f, const char *what)
{
	struct forged resealed = *f;
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image *img;

	close(put_together(f));
	resealed.file.data = malloc(f->file.size);
	REQUIRE(resealed.file.data);
	memcpy(resealed.file.data, f->file.data, f->file.size);
	locate(&resealed);
	if (strstr(what, "frame")) {
		reseal_index(&resealed, S_PAGES);
		reseal_index(&resealed, S_MORE);
		close(put_together(&resealed));
	}
	image_root_mac(f->genuine->crypt, resealed.header, &f->genuine->keys, resealed.table,
		       resealed.trailer->sections * sizeof(*resealed.table), resealed.trailer,
		       resealed.trailer->mac);
	img = unlocked(put_together(&resealed), "alice");
	REQUIRE_EQ(image_verify(img, NULL, NULL, &err, NULL), -EBADMSG);
	REQUIRE(strstr(err.text, what));
	image_close(img);
	free(resealed.file.data);
	require_forged(f);
}

/* --------------------------------------------------------------------------------- tests */

static void each_recipient_reads_it(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to;
	struct image *img;
	int fd;

	enter_scratch();
	to = both();
	fd = new_image(&to, 1);
	for (int i = 0; i < 2; i++) {
		img = unlocked(fd, i ? "bob" : "alice");
		check_content(img, 1);
		REQUIRE_OK(image_verify(img, NULL, NULL, &err, NULL), err);
		REQUIRE_EQ(image_recipients(img), 2);
		REQUIRE(!memcmp(image_recipient(img, i), recipients_at(&to, i), CRYPT_KEY));
		image_lock(img);
		REQUIRE(image_is_locked(img));
		image_close(img);
	}
	recipients_free(&to);
}

static void without_a_key_that_fits_nothing_is_read(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char page[PAGE];
	struct recipients to;
	struct image_pages *p;
	struct keyring *eve;
	struct image *img;
	size_t size;
	void *data;

	enter_scratch();
	to = both();
	eve = keyring_of("eve");
	img = opened(new_image(&to, 1));
	REQUIRE(image_is_locked(img) && image_info_is_encrypted(image_get_info(img)));
	REQUIRE_EQ(image_unlock(img, NULL, &err), -ENOKEY);
	REQUIRE(strstr(err.text, "ckpt-public-1:") && strstr(err.text, "--identity"));
	REQUIRE_EQ(image_unlock(img, eve, NULL), -ENOKEY);
	REQUIRE_EQ(image_load(img, S_STATE, NULL, &data, &size), -ENOKEY);
	REQUIRE_OK(image_pages_open(img, S_PAGES, (ckpt_err_clear(&err), &err), &p), err);
	REQUIRE_EQ(image_pages_find(p, 3 * PAGE), 1);
	REQUIRE_EQ(image_pages_read(p, PAGE, 1, page, &err), -ENOKEY);
	image_pages_close(p);
	REQUIRE_EQ(image_verify(img, NULL, NULL, NULL, NULL), 0);
	image_close(img);
	keyring_free(eve);
	recipients_free(&to);
}

static bool holds(const struct bytes *b, const void *what, size_t n)
{
	return memmem(b->data, b->size, what, n) != NULL;
}

static void nothing_of_the_content_is_in_the_file(void)
{
	unsigned char page[PAGE];
	struct bytes plain, sealed;
	struct recipients to;

	enter_scratch();
	to = both();
	plain = bytes_of_fd(new_image(NULL, 1));
	sealed = bytes_of_fd(new_image(&to, 1));
	fill_page(page, PAGE, FILL_NOISE, 2);
	REQUIRE(holds(&plain, STATE, 20) && holds(&plain, page, 64) && holds(&plain, SMALL_META, 10));
	REQUIRE(!holds(&sealed, STATE, 20) && !holds(&sealed, page, 64) && !holds(&sealed, SMALL_META, 10));
	free(plain.data);
	free(sealed.data);
	recipients_free(&to);
}

/* Equal pages in two frames, two sections, two images: the nonce or the key is another one each time. */
static void equal_pages_do_not_look_equal(void)
{
	unsigned char *seen[4 * NFRAMES];
	struct forged f[2];
	struct recipients to;
	size_t n = 0;

	enter_scratch();
	to = both();
	for (int k = 0; k < 2; k++) {
		f[k] = take_apart(new_image(&to, 1));
		for (uint32_t s = S_PAGES; s <= S_MORE; s++)
			for (uint32_t i = 0; i < NFRAMES; i++)
				seen[n++] = section_at(&f[k], s) + frame(&f[k], s, i)->offset;
		REQUIRE(!(f[k].header->compat & IMAGE_COMPAT_DIGESTS) && !f[k].header->digest_seed);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			REQUIRE(memcmp(seen[i], seen[k], 24));
	forget(&f[0]);
	forget(&f[1]);
	recipients_free(&to);
}

static void any_flipped_byte_is_found_without_a_key(void)
{
	struct recipients to;
	struct bytes b;
	size_t step;

	enter_scratch();
	to = both();
	b = bytes_of_fd(new_image(&to, 1));
	step = b.size / tap_count(1500, b.size) + 1;
	for (size_t at = rnd_below(step); at < b.size; at += step) {
		unsigned char bit = 1 << rnd_below(8);
		struct image *img;
		int fd, ret;

		b.data[at] ^= bit;
		fd = fd_of_bytes(b.data, b.size);
		b.data[at] ^= bit;
		ret = image_open(fd, "flipped", NULL, &img);
		if (!ret) {
			ret = image_verify(img, NULL, NULL, NULL, NULL);
			image_close(img);
		}
		REQUIRE(ret == -EBADMSG || ret == -EOPNOTSUPP);
		close(fd);
	}
	free(b.data);
	recipients_free(&to);
}

static void one_that_is_cut_short_is_refused(void)
{
	struct recipients to;
	struct image *img;
	struct bytes b;

	enter_scratch();
	to = both();
	b = bytes_of_fd(new_image(&to, 1));
	for (unsigned int i = 0; i < tap_count(200, 3000); i++) {
		int fd = fd_of_bytes(b.data, rnd_below(b.size));

		REQUIRE_EQ(image_open(fd, "cut", NULL, &img), -EBADMSG);
		close(fd);
	}
	free(b.data);
	recipients_free(&to);
}

static void frames_in_another_order_are_refused(void)
{
	unsigned char held[PAGE + CRYPT_TAG];
	struct recipients to;

	enter_scratch();
	to = both();
	/* within a section, and the same frame of two sections; the tables are as they were */
	for (int other = 0; other < 2; other++) {
		struct forged f = take_apart(new_image(&to, 1));
		struct image_frame_disk *a = frame(&f, S_PAGES, 1);
		struct image_frame_disk *b = frame(&f, other ? S_MORE : S_PAGES, other ? 1 : 2);
		unsigned char *at = section_at(&f, S_PAGES) + a->offset;
		unsigned char *to_at = section_at(&f, other ? S_MORE : S_PAGES) + b->offset;

		REQUIRE_EQ(a->stored_size, sizeof(held));
		REQUIRE_EQ(b->stored_size, sizeof(held));
		memcpy(held, at, sizeof(held));
		memcpy(at, to_at, sizeof(held));
		memcpy(to_at, held, sizeof(held));
		require_forged_below(&f, "page frame: is not what was sealed");
	}
	recipients_free(&to);
}

static void pieces_of_another_generation_are_refused(void)
{
	struct recipients to;

	enter_scratch();
	to = both();
	for (int what = 0; what < 4; what++) {
		struct forged a = take_apart(new_image(&to, 1)), b = take_apart(new_image(&to, 1));
		uint32_t s = what == 0 ? S_STATE : what == 3 ? S_KEYS : S_PAGES;
		uint64_t off = 0, size = a.table[s].size;

		if (what == 1) {	/* one frame */
			off = frame(&a, s, 3)->offset;
			size = frame(&a, s, 3)->stored_size;
		}
		REQUIRE_EQ(b.table[s].size, a.table[s].size);
		memcpy(section_at(&a, s) + off, section_at(&b, s) + off, size);
		forget(&b);
		if (what == 3)
			require_forged(&a);
		else
			require_forged_below(&a, what == 0 ? "section: is not what was sealed" : what == 1 ?
					     "page frame: is not what was sealed" : "page index");
	}
	recipients_free(&to);
}

/* Where its bytes go: only the keyed hash tells. */
static void another_index_is_refused(void)
{
	struct recipients to;

	enter_scratch();
	to = both();
	for (int what = 0; what < 4; what++) {
		struct forged f = take_apart(new_image(&to, 1));
		struct image_run_disk *r = run(&f, S_PAGES, 0);

		if (what == 0) {
			r->addr = 0;
		} else if (what == 1) {
			r->frame = 2;
		} else if (what == 2) {
			run(&f, S_PAGES, NFRAMES)->npages++;
			footer(&f, S_PAGES)->zero_pages++;
		} else {
			const size_t head = sizeof(struct image_section_header_disk);

			/* genuine, and of the other section; no frame in it to tell */
			REQUIRE_EQ(f.table[S_ZEROS].size, f.table[S_MORE_ZEROS].size);
			memcpy(section_at(&f, S_ZEROS) + head, section_at(&f, S_MORE_ZEROS) + head,
			       f.table[S_ZEROS].body_size);
		}
		require_forged_below(&f, "page index");
	}
	recipients_free(&to);
}

static void another_header_is_refused(void)
{
	struct recipients to;

	enter_scratch();
	to = both();
	for (int what = 0; what < 6; what++) {
		struct forged f = take_apart(new_image(&to, 1));
		struct image_keys_disk *keys = (void *)(section_at(&f, S_KEYS) +
							sizeof(struct image_section_header_disk));

		if (what == 0)
			f.header->pid++;
		else if (what == 1)
			f.header->generation++;
		else if (what == 2)
			f.header->comm[0] ^= 1;
		else if (what == 3)
			f.trailer->mac[31] ^= 1;
		else if (what == 4)
			keys->parent_key_id[0] ^= 1;
		else
			f.table[S_META].flags = 1;
		require_forged(&f);
	}
	recipients_free(&to);
}

/* A reader that does not ask for the key must not be had, nor one that skips what it does not know. */
static void the_header_and_the_keys_go_together(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to;
	struct image *img;

	enter_scratch();
	to = both();
	for (int what = 0; what < 4; what++) {
		struct forged f = take_apart(new_image(&to, 1));
		struct image_section_header_disk *h = (void *)section_at(&f, S_KEYS);
		struct image_keys_disk *keys = (void *)(h + 1);

		if (what == 0)
			f.header->incompat &= ~IMAGE_INCOMPAT_ENCRYPTED;
		else if (what == 1)
			f.table[S_KEYS].kind = h->kind = 99;
		else if (what == 2)
			keys->recipients = 1;
		else
			f.header->compat |= IMAGE_COMPAT_DIGESTS;
		ckpt_err_clear(&err);
		REQUIRE_EQ(image_open(put_together(&f), "torn", &err, &img), -EBADMSG);
		REQUIRE(strstr(err.text, "keys"));
		forget(&f);
	}
	recipients_free(&to);
}

static const struct tap_test tests[] = {
	{ "each_recipient_reads_it", each_recipient_reads_it },
	{ "without_a_key_that_fits_nothing_is_read", without_a_key_that_fits_nothing_is_read },
	{ "nothing_of_the_content_is_in_the_file", nothing_of_the_content_is_in_the_file },
	{ "equal_pages_do_not_look_equal", equal_pages_do_not_look_equal },
	{ "any_flipped_byte_is_found_without_a_key", any_flipped_byte_is_found_without_a_key },
	{ "one_that_is_cut_short_is_refused", one_that_is_cut_short_is_refused },
	{ "frames_in_another_order_are_refused", frames_in_another_order_are_refused },
	{ "pieces_of_another_generation_are_refused", pieces_of_another_generation_are_refused },
	{ "another_index_is_refused", another_index_is_refused },
	{ "another_header_is_refused", another_header_is_refused },
	{ "the_header_and_the_keys_go_together", the_header_and_the_keys_go_together },
};

TAP_MAIN(tests)
