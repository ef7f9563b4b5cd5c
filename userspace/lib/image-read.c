// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-read.c - opens an image and hands out its sections.
 *
 * The file is hostile input.  Header, trailer and section table are checked before anything else
 * is believed; the sections must tile the file from header to table, so that each byte falls
 * under exactly one hash and the root digest commits to all of them.  Sizes are compared with the
 * file's before memory is taken for them, and tables are read in steps, so a sparse file that
 * claims much costs no more than the part that was found in order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "image-priv.h"
#include "util.h"

#define TABLE_STEP	(1u << 20)

int image_read(struct image *img, uint64_t off, void *p, size_t n, const char *what,
	       struct ckpt_err *err)
{
	int ret = util_pread_full(img->fd, p, n, off);

	if (ret == -ENODATA)
		return ckpt_err_set(err, EBADMSG, "%s: %s: file ends early", img->label, what);
	if (ret)
		return ckpt_err_sys(err, ret, "%s: cannot read %s", img->label, what);
	return 0;
}

static int damaged(struct image *img, const char *what, struct ckpt_err *err)
{
	return ckpt_err_set(err, EBADMSG, "%s: damaged image: %s", img->label, what);
}

bool image_text_ok(const char *s, size_t size, bool may_be_full)
{
	size_t i = 0;

	while (i < size && s[i] >= 0x20 && s[i] < 0x7f)
		i++;
	if (i == size)
		return may_be_full;
	while (i < size && !s[i])
		i++;
	return i == size;
}

static bool is_zero_id(const uint8_t id[IMAGE_ID_SIZE])
{
	return util_is_zero(id, IMAGE_ID_SIZE);
}

static int check_version(struct image *img, const struct image_header_disk *h,
			 struct ckpt_err *err)
{
	if (memcmp(h->magic, IMAGE_MAGIC, sizeof(h->magic)))
		return ckpt_err_set(err, EBADMSG, "%s: not an image", img->label);
	if (h->version != IMAGE_VERSION) {
		ckpt_err_set(err, EOPNOTSUPP, "%s: image version %u, this library reads version %u",
			     img->label, h->version, IMAGE_VERSION);
		ckpt_err_hint(err, "use the ckpt that wrote it, or a newer one");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int check_header(struct image *img, const struct image_header_disk *h,
			struct ckpt_err *err)
{
	uint8_t hash[IMAGE_HASH_SIZE];
	bool delta = h->incompat & IMAGE_INCOMPAT_DELTA;
	int ret;

	ret = check_version(img, h, err);
	if (ret)
		return ret;
	util_hash(h, offsetof(struct image_header_disk, hash), hash);
	if (memcmp(hash, h->hash, sizeof(hash)))
		return damaged(img, "header: wrong checksum", err);
	if (h->incompat & ~IMAGE_INCOMPAT_KNOWN) {
		ckpt_err_set(err, EOPNOTSUPP, "%s: image uses features 0x%llx", img->label,
			     (unsigned long long)(h->incompat & ~IMAGE_INCOMPAT_KNOWN));
		ckpt_err_hint(err, "use the ckpt that wrote it, or a newer one");
		return -EOPNOTSUPP;
	}
	if (h->header_size != sizeof(*h))
		return damaged(img, "header: wrong size", err);
	if (h->page_size < IMAGE_PAGE_MIN || h->page_size > IMAGE_PAGE_MAX ||
	    h->page_size & (h->page_size - 1))
		return damaged(img, "header: impossible page size", err);
	if (is_zero_id(h->id) || !h->generation)
		return damaged(img, "header: no identity", err);
	if (delta == is_zero_id(h->parent_id) || delta != !!h->parent_generation ||
	    h->parent_generation >= h->generation)
		return damaged(img, "header: impossible parent", err);
	if (!image_text_ok(h->comm, sizeof(h->comm), true) ||
	    !image_text_ok(h->job, sizeof(h->job), false) ||
	    !image_text_ok(h->hostname, sizeof(h->hostname), false) ||
	    !image_text_ok(h->kernel, sizeof(h->kernel), false))
		return damaged(img, "header: text is not printable", err);
	return 0;
}

static int check_trailer(struct image *img, const struct image_header_disk *h,
			 const struct image_trailer_disk *t, uint64_t file_size,
			 struct ckpt_err *err)
{
	uint64_t table_size = (uint64_t)t->sections * sizeof(struct image_section_disk);

	if (memcmp(t->magic, IMAGE_TRAILER_MAGIC, sizeof(t->magic)))
		return damaged(img, "no trailer: the file is cut short or has bytes added", err);
	if (t->version != h->version || t->trailer_size != sizeof(*t) ||
	    t->entry_size != sizeof(struct image_section_disk))
		return damaged(img, "trailer: wrong version or sizes", err);
	if (t->file_size != file_size)
		return damaged(img, "trailer: the file had another size when written", err);
	if (t->sections > IMAGE_SECTIONS_MAX ||
	    table_size > file_size - sizeof(*h) - sizeof(*t) ||
	    t->table_offset != file_size - sizeof(*t) - table_size)
		return damaged(img, "trailer: impossible section table", err);
	if (memcmp(t->id, h->id, sizeof(t->id)) ||
	    memcmp(t->parent_id, h->parent_id, sizeof(t->parent_id)))
		return damaged(img, "header and trailer are of different images", err);
	return 0;
}

/* @table_offset: where the last section must end. */
static int check_tiling(struct image *img, uint64_t table_offset, struct ckpt_err *err)
{
	uint64_t at = sizeof(struct image_header_disk);

	for (uint32_t i = 0; i < img->info.sections; i++) {
		const struct image_section_disk *s = &img->table[i];
		uint64_t room, pad;

		if (s->offset != at || s->size % IMAGE_ALIGN || s->size > table_offset - at ||
		    s->size < sizeof(struct image_section_header_disk))
			return damaged(img, "section table: section out of place", err);
		room = s->size - sizeof(struct image_section_header_disk);
		if (s->body_size > room)
			return damaged(img, "section table: body larger than its section", err);
		pad = room - s->body_size;
		if (pad >= IMAGE_ALIGN)
			return damaged(img, "section table: gap after a section", err);
		at += s->size;
	}
	if (at != table_offset)
		return damaged(img, "section table: gap before the table", err);
	return 0;
}

static int compare_identity(const void *a, const void *b)
{
	const struct image_section_disk *x = *(const struct image_section_disk *const *)a;
	const struct image_section_disk *y = *(const struct image_section_disk *const *)b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	if (x->sub != y->sub)
		return x->sub < y->sub ? -1 : 1;
	return 0;
}

/* Two sections that answer to one name would let two readers see two images. */
static int check_unique(struct image *img, struct ckpt_err *err)
{
	const struct image_section_disk **sorted;
	uint32_t n = img->info.sections;
	int ret = 0;

	if (n < 2)
		return 0;
	sorted = malloc(n * sizeof(*sorted));
	if (!sorted)
		return ckpt_err_sys(err, ENOMEM, "%s: section table", img->label);
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = &img->table[i];
	qsort(sorted, n, sizeof(*sorted), compare_identity);
	for (uint32_t i = 1; i < n && !ret; i++)
		if (!compare_identity(&sorted[i - 1], &sorted[i]))
			ret = damaged(img, "section table: two sections of one name", err);
	free(sorted);
	return ret;
}

static int load_table(struct image *img, const struct image_header_disk *h,
		      const struct image_trailer_disk *t, struct ckpt_err *err)
{
	size_t size = (size_t)t->sections * sizeof(struct image_section_disk);
	uint8_t digest[IMAGE_HASH_SIZE];
	int ret;

	img->table = malloc(size ? size : 1);
	if (!img->table)
		return ckpt_err_sys(err, ENOMEM, "%s: section table", img->label);
	ret = image_read(img, t->table_offset, img->table, size, "section table", err);
	if (ret)
		return ret;
	ret = image_root_digest(h, img->table, size, t, digest);
	if (ret)
		return ckpt_err_sys(err, ret, "%s: digest", img->label);
	if (memcmp(digest, t->digest, sizeof(digest)))
		return damaged(img, "section table or trailer: wrong checksum", err);
	ret = check_tiling(img, t->table_offset, err);
	if (!ret)
		ret = check_unique(img, err);
	return ret;
}

static int open_checked(struct image *img, struct ckpt_err *err)
{
	struct image_header_disk h;
	struct image_trailer_disk t;
	struct stat st;
	int ret;

	if (fstat(img->fd, &st))
		return ckpt_err_sys(err, errno, "%s: cannot read", img->label);
	if (!S_ISREG(st.st_mode))
		return ckpt_err_set(err, EBADMSG, "%s: not a regular file", img->label);
	if (st.st_size < (off_t)offsetof(struct image_header_disk, header_size))
		return ckpt_err_set(err, EBADMSG, "%s: not an image", img->label);
	memset(&h, 0, sizeof(h));
	ret = image_read(img, 0, &h, st.st_size < (off_t)sizeof(h) ? (size_t)st.st_size : sizeof(h),
			 "header", err);
	if (!ret)
		ret = check_version(img, &h, err);
	if (ret)
		return ret;
	if (st.st_size < (off_t)(sizeof(h) + sizeof(t)))
		return damaged(img, "the file is cut short", err);
	ret = check_header(img, &h, err);
	if (!ret)
		ret = image_read(img, st.st_size - sizeof(t), &t, sizeof(t), "trailer", err);
	if (!ret)
		ret = check_trailer(img, &h, &t, st.st_size, err);
	if (ret)
		return ret;
	image_info_from_disk(&h, &t, &img->info);
	img->header = h;
	img->trailer = t;
	ret = load_table(img, &h, &t, err);
	if (!ret)
		ret = image_load_keys(img, err);
	return ret ? ret : image_load_sources(img, err);
}

int image_parse_ends(const struct image_header_disk *h, const struct image_trailer_disk *t,
		     uint64_t file_size, struct image_info *ret_info)
{
	struct image nowhere = { .fd = -1, .label = "" };
	int ret;

	if (file_size < sizeof(*h) + sizeof(*t))
		return -EBADMSG;
	ret = check_header(&nowhere, h, NULL);
	if (!ret)
		ret = check_trailer(&nowhere, h, t, file_size, NULL);
	if (!ret)
		image_info_from_disk(h, t, ret_info);
	return ret;
}

int image_open(int fd, const char *label, struct ckpt_err *err, struct image **ret_image)
{
	struct image *img;
	int ret;

	img = calloc(1, sizeof(*img));
	if (img)
		img->label = strdup(label);
	if (!img || !img->label) {
		free(img);
		return ckpt_err_sys(err, ENOMEM, "%s", label);
	}
	img->fd = fd;
	ret = open_checked(img, err);
	if (ret) {
		image_close(img);
		return ret;
	}
	*ret_image = img;
	return 0;
}

void image_close(struct image *img)
{
	if (!img)
		return;
	image_drop_sources(img);
	image_lock(img);
	buf_free(&img->keys);
	free(img->table);
	free(img->label);
	free(img);
}

const struct image_info *image_get_info(const struct image *img)
{
	return &img->info;
}

const char *image_label(const struct image *img)
{
	return img->label;
}

void image_get_section(const struct image *img, uint32_t i, struct image_section *ret_section)
{
	const struct image_section_disk *s = &img->table[i];

	*ret_section = (struct image_section){
		.kind = s->kind,
		.owner = s->owner,
		.sub = s->sub,
		.offset = s->offset,
		.size = s->size,
		.body_size = s->body_size,
	};
}

int image_find(const struct image *img, enum image_kind kind, uint32_t owner, uint32_t sub)
{
	for (uint32_t i = 0; i < img->info.sections; i++) {
		const struct image_section_disk *s = &img->table[i];

		if (s->kind == (uint32_t)kind && s->owner == owner && s->sub == sub)
			return i;
	}
	return -ENOENT;
}

static bool section_header_ok(const struct image *img, uint32_t section,
			      const struct image_section_header_disk *h)
{
	const struct image_section_disk *s = &img->table[section];

	return !memcmp(h->magic, IMAGE_SECTION_MAGIC, sizeof(h->magic)) && h->kind == s->kind &&
	       h->owner == s->owner && h->sub == s->sub && h->ordinal == section;
}

static int other_header(struct image *img, uint32_t section, struct ckpt_err *err)
{
	return ckpt_err_set(err, EBADMSG, "%s: damaged image: section %u: section header and section table "
			    "disagree", img->label, section);
}

int image_check_section_header(struct image *img, uint32_t section, struct ckpt_err *err)
{
	struct image_section_header_disk h;
	int ret;

	ret = image_read(img, img->table[section].offset, &h, sizeof(h), "section header", err);
	if (ret)
		return ret;
	return section_header_ok(img, section, &h) ? 0 : other_header(img, section, err);
}

/* The body of section @section, @b without its tag afterwards. */
static int open_blob(struct image *img, uint32_t section, struct buf *b, struct ckpt_err *err)
{
	const struct image_section_disk *s = &img->table[section];
	struct crypt_piece piece = image_piece(img, section);

	if (s->body_size < CRYPT_TAG)
		return damaged(img, "section without a tag", err);
	piece.raw_size = s->body_size - CRYPT_TAG;
	if (crypt_open(img->crypt, &piece, b->data + sizeof(struct image_section_header_disk),
		       s->body_size))
		return ckpt_err_set(err, EBADMSG, "%s: section %u: is not what was sealed there",
				    img->label, section);
	return 0;
}

/* Read in steps: memory follows what was really there. */
static int read_section(struct image *img, uint64_t off, uint64_t size, struct buf *out,
			struct ckpt_err *err)
{
	while (size) {
		size_t step = size < TABLE_STEP ? size : TABLE_STEP;
		int ret = buf_reserve(out, step + 1);

		if (ret)
			return ckpt_err_sys(err, ret, "%s: section", img->label);
		ret = image_read(img, off, out->data + out->len, step, "section", err);
		if (ret)
			return ret;
		out->len += step;
		off += step;
		size -= step;
	}
	return 0;
}

int image_load(struct image *img, uint32_t section, struct ckpt_err *err,
	       void **ret_data, size_t *ret_size)
{
	const struct image_section_disk *s = &img->table[section];
	const size_t head = sizeof(struct image_section_header_disk);
	uint8_t hash[IMAGE_HASH_SIZE];
	struct buf b = { 0 };
	size_t size;
	int ret;

	if (s->kind != IMAGE_STATE && s->kind != IMAGE_META && s->kind != IMAGE_SOURCES)
		return ckpt_err_set(err, EINVAL, "%s: section %u is of kind %u: not one to load whole",
				    img->label, section, s->kind);
	if (image_is_locked(img))
		return image_locked(img, err);
	if (s->body_size > IMAGE_BLOB_MAX)
		return ckpt_err_set(err, EFBIG, "%s: section %u has %llu bytes, limit %u",
				    img->label, section, (unsigned long long)s->body_size,
				    IMAGE_BLOB_MAX);
	ret = read_section(img, s->offset, s->size, &b, err);
	if (ret)
		goto out;
	util_hash(b.data, b.len, hash);
	if (memcmp(hash, s->hash, sizeof(hash)))
		ret = ckpt_err_set(err, EBADMSG, "%s: damaged image: section %u: wrong checksum",
				   img->label, section);
	else if (!section_header_ok(img, section, (const void *)b.data))
		ret = other_header(img, section, err);
	if (!ret && img->crypt)
		ret = open_blob(img, section, &b, err);
	if (ret)
		goto out;
	size = s->body_size - image_tag_size(&img->info);
	/* the body moves to the front, where free() can find it */
	memmove(b.data, b.data + head, size);
	b.data[size] = '\0';
	*ret_data = b.data;
	*ret_size = size;
	return 0;
out:
	buf_free(&b);
	return ret;
}
