/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-priv.h - shared by the image*.c files; nobody else includes it. */
#ifndef CKPT_IMAGE_PRIV_H
#define CKPT_IMAGE_PRIV_H

#include "buf.h"
#include "crypt.h"
#include "image.h"

struct ZSTD_DCtx_s;
struct XXH3_state_s;

#define IMAGE_CACHED_FRAMES	4

/* Another image that this one has pages in. */
struct attached {
	struct image_source_disk disk;
	struct image		*image;		/* borrowed; NULL: not attached */
	struct image_pages	*pages;		/* NULL: not read yet */
};

struct image {
	int			fd;
	char			*label;
	struct image_info	info;
	struct image_section_disk *table;	/* info.sections entries, checked */
	struct attached		*sources;
	uint32_t		nr_sources;
	struct image_header_disk header;	/* these three: only when encrypted */
	struct image_trailer_disk trailer;
	struct buf		keys;		/* body of KEYS, checked */
	struct crypt		*crypt;		/* NULL: locked, or not encrypted */
};

struct cached_frame {
	bool		valid;
	uint32_t	frame;
	uint64_t	used;		/* value of image_pages.clock at its last use */
	unsigned char	*data;
	size_t		size;		/* allocated */
};

struct image_pages {
	struct image		*img;
	uint32_t		section;
	uint64_t		offset;		/* of the section in the file */
	struct buf		frames;		/* struct image_frame_disk, checked */
	struct buf		runs;		/* struct image_run_disk, checked */
	struct image_pages_stats stats;
	uint64_t		clock;
	int			keep;		/* of cache, as many are used */
	struct cached_frame	cache[IMAGE_CACHED_FRAMES];
	struct buf		stored;		/* a frame's bytes as they are in the file */
	struct buf		digests;	/* of one frame's pages */
	uint32_t		digests_of;	/* which; valid unless digests is empty */
	struct ZSTD_DCtx_s	*zstd;
};

static inline const struct image_frame_disk *pages_frame(const struct image_pages *p, uint64_t i)
{
	return (const struct image_frame_disk *)p->frames.data + i;
}

/* Pages that frame @i holds; 0: there is none. */
static inline uint32_t pages_in_frame(const struct image_pages *p, uint64_t i)
{
	return i < p->stats.frames ? pages_frame(p, i)->raw_size / p->img->info.page_size : 0;
}

static inline const struct image_run_disk *pages_run(const struct image_pages *p, uint64_t i)
{
	return (const struct image_run_disk *)p->runs.data + i;
}

/* The digest that commits to the whole file; @trailer up to its digest field.  0 or -ENOMEM. */
int image_root_digest(const struct image_header_disk *header, const void *table,
		      size_t table_size, const struct image_trailer_disk *trailer,
		      uint8_t ret_digest[IMAGE_HASH_SIZE]);

void image_info_from_disk(const struct image_header_disk *header,
			  const struct image_trailer_disk *trailer, struct image_info *ret_info);

/* The hash in the footer of a PAGES section; @foot up to its hash field.  0 or -ENOMEM. */
int image_index_hash(const struct buf *frames, const struct buf *runs,
		     const struct image_pages_footer_disk *foot,
		     uint8_t ret_hash[IMAGE_HASH_SIZE]);

/* Read @n bytes of @img; @what names them in the error text. */
int image_read(struct image *img, uint64_t off, void *p, size_t n, const char *what,
	       struct ckpt_err *err);

/* Printable ASCII, a NUL unless the field may be full, zeros behind it. */
bool image_text_ok(const char *s, size_t size, bool may_be_full);

/* Read which images @img has pages in; none, unless it is of that kind.  And let go of them. */
int image_load_sources(struct image *img, struct ckpt_err *err);
void image_drop_sources(struct image *img);

/* The index with the frame of SHARED run @r, which is within it. */
int image_shared_find(struct image_pages *p, const struct image_run_disk *r, struct ckpt_err *err,
		      struct image_pages **ret);

/* Give back the memory of their frames. */
void image_trim_sources(struct image *img);

/* The section header of @section agrees with its table entry. */
int image_check_section_header(struct image *img, uint32_t section, struct ckpt_err *err);

#define IMAGE_HASH_STEP	(256u << 10)

/*
 * Read section @section whole, through @step (IMAGE_HASH_STEP bytes).  0: its hash is right; 1: it is
 * not; else -errno (a read failed).
 */
int image_hash_section(struct image *img, uint32_t section, struct XXH3_state_s *hash, void *step,
		       struct ckpt_err *err);

/* Offset behind frame @f and its padding, from the section header: there digests begin. */
static inline uint64_t image_frame_end(const struct image_frame_disk *f)
{
	return (f->offset + f->stored_size + IMAGE_ALIGN - 1) & ~(uint64_t)(IMAGE_ALIGN - 1);
}

/*
 * image-crypt.c.  image_load_keys(): read and check KEYS of an encrypted image, and that no other has it.
 * image_keys_new(): the KEYS body of a new one and its keys.  0 or -errno with a text.
 */
int image_load_keys(struct image *img, struct ckpt_err *err);
int image_keys_new(const struct image_params *params, const char *label, struct ckpt_err *err,
		   struct buf *ret_keys, struct crypt **ret_crypt);
void image_keys_info(const struct buf *keys, struct image_info *info);
void image_root_mac(const struct crypt *c, const struct image_header_disk *header,
		    const struct buf *keys, const void *table, size_t table_size,
		    const struct image_trailer_disk *trailer, uint8_t ret_mac[IMAGE_ROOT_MAC]);
void image_index_mac(const struct crypt *c, const struct crypt_piece *section,
		     const struct buf *frames, const struct buf *runs,
		     const struct image_pages_footer_disk *foot, uint8_t ret_mac[IMAGE_INDEX_MAC]);

/* Section @section of @img as a piece; number and sizes are the caller's to fill in. */
struct crypt_piece image_piece(const struct image *img, uint32_t section);

/* -ENOKEY, in words. */
int image_locked(const struct image *img, struct ckpt_err *err);

/* Bytes that sealing adds to each piece of @info's image. */
static inline uint32_t image_tag_size(const struct image_info *info)
{
	return image_info_is_encrypted(info) ? CRYPT_TAG : 0;
}

/* Whether the stored bytes of frame @i have their checksum: 0, -EBADMSG, or it could not be read. */
int image_pages_check_frame(struct image_pages *pages, uint32_t i, struct ckpt_err *err);

/* Load frame @i into the cache, checked. */
int image_pages_load_frame(struct image_pages *pages, uint32_t i, struct ckpt_err *err,
			   const unsigned char **ret_data);

#endif
