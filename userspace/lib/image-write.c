// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-write.c - writes an image front to back: header, sections, section table, trailer.
 *
 * Life of a writer:
 *  1. image_writer_open() writes the header; the image's identity is fixed.
 *  2. Sections follow one another.  Each byte of one goes through writer_emit(), which feeds the
 *     section's hash; the table entry is made when the section ends, so nothing is patched later.
 *  3. image_writer_finish() writes table and trailer.  Only now is the file an image.
 *  4. One that is encrypted has KEYS as its first section, and whatever is put is sealed first; so are
 *     frames, where they are packed.  Its key goes with the writer.
 *  5. A failure at any point is final: state FAILED, every later call gives the same code.  The
 *     file lacks its trailer, and no reader takes it for an image.
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>
#include <zstd.h>

#include "image-write.h"
#include "util.h"

#define DEFAULT_FRAME	(1u << 20)

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#error "machine number of this architecture is not known"
#endif

int writer_fail(struct image_writer *w, int ret)
{
	if (w->state != WRITER_FAILED) {
		w->state = WRITER_FAILED;
		w->failed = ret;
	}
	return ret;
}

int writer_expect(struct image_writer *w, enum writer_state state, const char *call,
		  struct ckpt_err *err)
{
	if (w->state == state)
		return 0;
	if (w->state == WRITER_FAILED)
		return ckpt_err_set(err, w->failed, "%s: writing failed earlier", w->label);
	return writer_fail(w, ckpt_err_set(err, EINVAL, "%s: %s: not at this point of the image",
					   w->label, call));
}

static int emit_unhashed(struct image_writer *w, const void *p, size_t n, struct ckpt_err *err)
{
	const char *remedy;
	int ret;

	ret = util_write_full(w->fd, p, n);
	if (!ret)
		ret = write_behind(&w->behind, w->fd, w->off + n);
	if (ret) {
		ckpt_err_sys(err, ret, "%s: cannot write the image at byte %llu", w->label,
			     (unsigned long long)w->off);
		remedy = util_write_remedy(ret);
		if (remedy)
			ckpt_err_hint(err, "%s", remedy);
		return writer_fail(w, ret);
	}
	w->off += n;
	return 0;
}

int writer_emit(struct image_writer *w, const void *p, size_t n, struct ckpt_err *err)
{
	if (!n)
		return 0;
	XXH3_128bits_update(w->hash, p, n);
	return emit_unhashed(w, p, n, err);
}

int writer_pad(struct image_writer *w, struct ckpt_err *err)
{
	static const char zero[IMAGE_ALIGN];

	return writer_emit(w, zero, -w->off & (IMAGE_ALIGN - 1), err);
}

/* Few sections: an image has a handful for each process. */
static bool section_exists(const struct image_writer *w, uint32_t kind, uint32_t owner,
			   uint32_t sub)
{
	const struct image_section_disk *s = (const void *)w->table.data;
	size_t n = w->table.len / sizeof(*s);

	for (size_t i = 0; i < n; i++)
		if (s[i].kind == kind && s[i].owner == owner && s[i].sub == sub)
			return true;
	return false;
}

int writer_begin_section(struct image_writer *w, uint32_t kind, uint32_t owner, uint32_t sub,
			 struct ckpt_err *err)
{
	struct image_section_header_disk head = {
		.magic = IMAGE_SECTION_MAGIC,
		.kind = kind,
		.owner = owner,
		.sub = sub,
		.ordinal = w->table.len / sizeof(struct image_section_disk),
	};

	if (head.ordinal >= IMAGE_SECTIONS_MAX)
		return writer_fail(w, ckpt_err_set(err, E2BIG, "%s: more than %u sections",
						   w->label, IMAGE_SECTIONS_MAX));
	if (section_exists(w, kind, owner, sub))
		return writer_fail(w, ckpt_err_set(err, EEXIST,
						   "%s: section kind %u owner %u sub %u twice",
						   w->label, kind, owner, sub));
	w->cur = (struct image_section_disk){
		.kind = kind,
		.owner = owner,
		.sub = sub,
		.offset = w->off,
	};
	w->state = WRITER_SECTION;
	XXH3_128bits_reset(w->hash);
	return writer_emit(w, &head, sizeof(head), err);
}

int writer_end_section(struct image_writer *w, struct ckpt_err *err)
{
	int ret;

	w->cur.body_size = w->off - w->cur.offset - sizeof(struct image_section_header_disk);
	ret = writer_pad(w, err);
	if (ret)
		return ret;
	w->cur.size = w->off - w->cur.offset;
	util_hash_final(w->hash, w->cur.hash);
	ret = buf_append(&w->table, &w->cur, sizeof(w->cur));
	if (ret)
		return writer_fail(w, ckpt_err_sys(err, ret, "%s: section table", w->label));
	w->state = WRITER_IDLE;
	return 0;
}

struct crypt_piece writer_piece(const struct image_writer *w)
{
	return (struct crypt_piece){
		.kind = w->cur.kind, .owner = w->cur.owner, .sub = w->cur.sub,
		.ordinal = w->table.len / sizeof(struct image_section_disk),
	};
}

/* A sealed copy of the body of the open section. */
static int emit_sealed(struct image_writer *w, const void *data, size_t size, struct ckpt_err *err)
{
	struct crypt_piece piece = writer_piece(w);
	unsigned char *copy = malloc(size + CRYPT_TAG);
	int ret;

	if (!copy)
		return writer_fail(w, ckpt_err_sys(err, ENOMEM, "%s: section of %zu bytes", w->label,
						   size));
	if (size)
		memcpy(copy, data, size);
	piece.raw_size = size;
	crypt_seal(w->crypt, &piece, copy, size);
	ret = writer_emit(w, copy, size + CRYPT_TAG, err);
	free(copy);
	return ret;
}

static int put_section(struct image_writer *w, uint32_t kind, uint32_t owner, uint32_t sub,
		       const void *data, size_t size, struct ckpt_err *err)
{
	int ret = writer_begin_section(w, kind, owner, sub, err);

	if (!ret)
		ret = w->crypt && kind != IMAGE_KEYS ? emit_sealed(w, data, size, err) :
			writer_emit(w, data, size, err);
	return ret ? ret : writer_end_section(w, err);
}

int image_writer_put(struct image_writer *w, enum image_kind kind, uint32_t owner, uint32_t sub,
		     const void *data, size_t size, struct ckpt_err *err)
{
	int ret;

	ret = writer_expect(w, WRITER_IDLE, "put", err);
	if (ret)
		return ret;
	if (kind != IMAGE_STATE && kind != IMAGE_META && kind != IMAGE_SOURCES)
		return writer_fail(w, ckpt_err_set(err, EINVAL, "%s: put: section kind %d",
						   w->label, kind));
	if (size > IMAGE_BLOB_MAX - (w->crypt ? CRYPT_TAG : 0))
		return writer_fail(w, ckpt_err_set(err, EFBIG,
						   "%s: section of %zu bytes, limit %u", w->label,
						   size, IMAGE_BLOB_MAX));
	return put_section(w, kind, owner, sub, data, size, err);
}

static int fill_parent(struct image_header_disk *h, const struct image_info *parent)
{
	if (!parent)
		return 0;
	if (parent->page_size != h->page_size || parent->generation >= h->generation)
		return -EINVAL;
	h->incompat |= IMAGE_INCOMPAT_DELTA;
	h->parent_generation = parent->generation;
	memcpy(h->parent_id, parent->id, sizeof(h->parent_id));
	memcpy(h->parent_digest, parent->digest, sizeof(h->parent_digest));
	return 0;
}

/*
 * Deltas inherit the seed, so that digests can be compared along a chain.  It is random, so that
 * pages that look the same to us, and cost us a look at their bytes, are not made easily; unless they
 * are to be found by all images of a store.  An encrypted image has none: they would tell which pages are
 * alike, and of short secrets what they are.
 */
static int fill_seed(struct image_header_disk *h, const struct image_params *p)
{
	const struct image_info *from = p->parent ? p->parent : p->replaces;

	if (h->incompat & IMAGE_INCOMPAT_ENCRYPTED)
		return 0;
	h->compat |= IMAGE_COMPAT_DIGESTS;
	if (from && image_info_has_digests(from))
		h->digest_seed = from->digest_seed;
	else if (p->share)
		h->digest_seed = IMAGE_SEED_SHARED;
	else if (getrandom(&h->digest_seed, sizeof(h->digest_seed), 0) != sizeof(h->digest_seed))
		return -EIO;
	return 0;
}

static void keep_identity(struct image_header_disk *h, const struct image_info *old)
{
	memcpy(h->id, old->id, sizeof(h->id));
	memcpy(h->replaced_digest, old->digest, sizeof(h->replaced_digest));
	h->machine = old->machine;
	h->created_ns = old->created_ns;
	memcpy(h->hostname, old->hostname, sizeof(h->hostname));
	memcpy(h->kernel, old->kernel, sizeof(h->kernel));
}

static int fill_identity(struct image_header_disk *h)
{
	static const uint8_t none[IMAGE_ID_SIZE];
	struct timespec now;
	struct utsname uts;

	do {
		if (getrandom(h->id, sizeof(h->id), 0) != sizeof(h->id))
			return -EIO;
	} while (!memcmp(h->id, none, sizeof(none)));
	if (clock_gettime(CLOCK_REALTIME, &now) || uname(&uts))
		return -errno;
	h->created_ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	util_copy_printable(h->hostname, sizeof(h->hostname), uts.nodename);
	util_copy_printable(h->kernel, sizeof(h->kernel), uts.release);
	return 0;
}

static int fill_header(struct image_writer *w, const struct image_params *p, struct ckpt_err *err)
{
	struct image_header_disk *h = &w->header;
	char comm[IMAGE_COMM + 1];
	int ret;

	memcpy(h->magic, IMAGE_MAGIC, sizeof(h->magic));
	h->version = IMAGE_VERSION;
	h->header_size = sizeof(*h);
	h->page_size = w->page_size;
	h->machine = MACHINE;
	h->generation = p->generation;
	h->pid = p->pid;
	util_copy_printable(comm, sizeof(comm), p->comm);
	memcpy(h->comm, comm, sizeof(h->comm));
	util_copy_printable(h->job, sizeof(h->job), p->job);
	if (p->share)
		h->incompat |= IMAGE_INCOMPAT_SHARED;
	ret = fill_parent(h, p->parent);
	if (ret)
		return ckpt_err_set(err, ret, "%s: generation %llu (pages of %u) is no parent for it",
				    w->label, (unsigned long long)p->parent->generation,
				    p->parent->page_size);
	if (p->replaces)
		keep_identity(h, p->replaces);
	else
		ret = fill_identity(h);
	if (!ret)
		ret = fill_seed(h, p);
	if (ret)
		return ckpt_err_sys(err, ret, "%s: identity of a new image", w->label);
	util_hash(h, offsetof(struct image_header_disk, hash), h->hash);
	return 0;
}

static int check_params(struct image_writer *w, const struct image_params *p, struct ckpt_err *err)
{
	w->page_size = p->page_size ? p->page_size : (uint32_t)sysconf(_SC_PAGESIZE);
	w->frame_size = p->frame_size ? p->frame_size : DEFAULT_FRAME;
	w->level = p->level;
	w->threads = p->threads;
	w->share = p->share;

	if (!p->generation || !p->job || (p->parent && p->replaces))
		return ckpt_err_set(err, EINVAL, "%s: no job name or generation, or a parent for what replaces one", w->label);
	if (p->share && (p->to || p->sealed_as))
		return ckpt_err_set(err, EINVAL, "%s: an encrypted image shares no pages", w->label);
	if (w->page_size < IMAGE_PAGE_MIN || w->page_size > IMAGE_PAGE_MAX ||
	    w->page_size & (w->page_size - 1))
		return ckpt_err_set(err, EINVAL, "%s: page size %u", w->label, w->page_size);
	if (w->frame_size < w->page_size || w->frame_size > IMAGE_FRAME_MAX ||
	    w->frame_size % w->page_size)
		return ckpt_err_set(err, EINVAL, "%s: frame size %u: not whole pages up to %u",
				    w->label, w->frame_size, IMAGE_FRAME_MAX);
	if (w->level == IMAGE_LEVEL_NONE)
		return 0;
	if (w->level < ZSTD_minCLevel() || w->level > ZSTD_maxCLevel())
		return ckpt_err_set(err, EINVAL, "%s: compression level %d: not in %d..%d",
				    w->label, w->level, ZSTD_minCLevel(), ZSTD_maxCLevel());
	return 0;
}

int image_writer_open(int fd, const struct image_params *params, struct ckpt_err *err,
		      struct image_writer **ret_writer)
{
	struct image_writer *w;
	int ret;

	w = calloc(1, sizeof(*w));
	if (!w)
		return ckpt_err_sys(err, ENOMEM, "%s: image writer",
				    params->job ? params->job : "image");
	w->fd = fd;
	if (params->to || params->sealed_as)
		w->header.incompat |= IMAGE_INCOMPAT_ENCRYPTED;
	util_copy_printable(w->label, sizeof(w->label), params->label ? params->label : params->job);
	ret = check_params(w, params, err);
	if (!ret)
		ret = fill_header(w, params, err);
	if (!ret && w->header.incompat & IMAGE_INCOMPAT_ENCRYPTED)
		ret = image_keys_new(params, w->label, err, &w->keys, &w->crypt);
	if (!ret) {
		w->hash = XXH3_createState();
		if (!w->hash)
			ret = ckpt_err_sys(err, ENOMEM, "%s: image writer", w->label);
	}
	if (!ret)
		ret = emit_unhashed(w, &w->header, sizeof(w->header), err);
	if (!ret && w->crypt)
		ret = put_section(w, IMAGE_KEYS, 0, 0, w->keys.data, w->keys.len, err);
	if (ret) {
		image_writer_close(w);
		return ret;
	}
	*ret_writer = w;
	return 0;
}

void image_writer_close(struct image_writer *w)
{
	if (!w)
		return;
	XXH3_freeState(w->hash);
	buf_free(&w->table);
	pages_writer_free(&w->pages);
	buf_free(&w->keys);
	crypt_free(w->crypt);
	free(w);
}

const uint8_t *image_writer_id(const struct image_writer *w)
{
	return w->header.id;
}

int image_writer_finish(struct image_writer *w, struct ckpt_err *err, struct image_info *ret_info)
{
	struct image_trailer_disk t = {
		.magic = IMAGE_TRAILER_MAGIC,
		.version = IMAGE_VERSION,
		.trailer_size = sizeof(t),
		.file_size = w->off + w->table.len + sizeof(t),
		.table_offset = w->off,
		.sections = w->table.len / sizeof(struct image_section_disk),
		.entry_size = sizeof(struct image_section_disk),
	};
	int ret;

	ret = writer_expect(w, WRITER_IDLE, "finish", err);
	if (ret)
		return ret;
	memcpy(t.id, w->header.id, sizeof(t.id));
	memcpy(t.parent_id, w->header.parent_id, sizeof(t.parent_id));
	if (w->crypt)
		image_root_mac(w->crypt, &w->header, &w->keys, w->table.data, w->table.len, &t, t.mac);
	ret = image_root_digest(&w->header, w->table.data, w->table.len, &t, t.digest);
	if (ret)
		return writer_fail(w, ckpt_err_sys(err, ret, "%s: digest", w->label));
	ret = emit_unhashed(w, w->table.data, w->table.len, err);
	if (!ret)
		ret = emit_unhashed(w, &t, sizeof(t), err);
	if (ret)
		return ret;
	w->state = WRITER_FINISHED;
	if (ret_info) {
		image_info_from_disk(&w->header, &t, ret_info);
		image_keys_info(&w->keys, ret_info);
	}
	return 0;
}
