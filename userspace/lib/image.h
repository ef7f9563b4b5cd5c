/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.h - write, read and verify one image: one generation of one job in one file.
 *
 * Conventions: 0 or -errno, the reason in @err (may be NULL), results through ret_* last.
 * Contexts are opaque and belong to one thread at a time; different contexts do not share
 * anything.  File descriptors are borrowed: they stay open, and the caller's, throughout.
 *
 * -EBADMSG: the file is damaged or is no image.  -EOPNOTSUPP: it is of a newer version or uses a
 * feature this library does not have.  -ENOKEY: it is encrypted and was not unlocked.
 */
#ifndef CKPT_IMAGE_H
#define CKPT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "image-format.h"

/* What a section holds.  Readers skip kinds they do not know. */
enum image_kind {
	IMAGE_STATE	= 1,	/* records of the kernel module; owner: a process */
	IMAGE_PAGES	= 2,	/* memory; owner: an address space */
	IMAGE_META	= 3,	/* made by userspace; owner: a process, or 0 for the image */
	IMAGE_FILE	= 4,	/* a file's content, laid out as PAGES; owner: a process */
	IMAGE_KEYS	= 5,	/* whom the image is encrypted to; its first section */
	IMAGE_SOURCES	= 6,	/* images that SHARED runs have their pages in; owner: 0 */
};

/* Whether a section of that kind is made of frames and runs. */
static inline bool image_has_runs(uint32_t kind)
{
	return kind == IMAGE_PAGES || kind == IMAGE_FILE;
}

/* sub of META sections.  All are JSON text, one object, UTF-8, no NUL. */
enum image_meta {
	IMAGE_META_SNAP		= 1,	/* figures of this snapshot: pause, sizes, times */
	IMAGE_META_FILES	= 2,	/* identities of files the restore needs */
	IMAGE_META_TREE		= 3,	/* the processes of a tree, see tree.h */
};

enum image_codec {
	IMAGE_CODEC_RAW		= 0,
	IMAGE_CODEC_ZSTD	= 1,
};

/* What is known of the pages of a run. */
enum image_run_kind {
	IMAGE_RUN_DATA	= 1,	/* content is in a frame */
	IMAGE_RUN_ZERO	= 2,	/* present, all bytes zero */
	IMAGE_RUN_FILE	= 3,	/* content is the mapped file's, at file_offset */
	IMAGE_RUN_GONE	= 4,	/* delta only: was in the parent, is no more */
};

/* What header and trailer say; strings are printable ASCII. */
struct image_info {
	uint32_t	version;
	uint32_t	page_size;
	uint64_t	incompat;
	uint64_t	compat;
	uint32_t	machine;		/* ELF e_machine */
	uint32_t	pid;			/* of the first process */
	uint64_t	generation;
	uint64_t	parent_generation;	/* 0: full image */
	uint64_t	created_ns;		/* since 1970, CLOCK_REALTIME */
	uint64_t	file_size;
	uint32_t	sections;
	uint8_t		id[IMAGE_ID_SIZE];
	uint8_t		parent_id[IMAGE_ID_SIZE];	/* zeros: full image */
	uint8_t		parent_digest[IMAGE_HASH_SIZE];
	uint8_t		digest[IMAGE_HASH_SIZE];	/* commits to every byte of the file */
	uint8_t		replaced_digest[IMAGE_HASH_SIZE]; /* of the delta it stands for; or zeros */
	uint64_t	digest_seed;
	uint8_t		key_id[32];		/* of its data key; zeros: not encrypted */
	uint8_t		parent_key_id[32];	/* of the parent's, when both are encrypted */
	char		comm[IMAGE_COMM + 1];
	char		job[IMAGE_TEXT];
	char		hostname[IMAGE_TEXT];
	char		kernel[IMAGE_TEXT];
};

bool image_info_is_delta(const struct image_info *info);
bool image_info_has_digests(const struct image_info *info);
bool image_info_is_shared(const struct image_info *info);
bool image_info_is_encrypted(const struct image_info *info);

/* What an image keeps of each of its pages, to tell later whether one has changed: seeded XXH3-128. */
void image_page_digest(const void *page, uint32_t page_size, uint64_t seed,
		       uint8_t ret_digest[IMAGE_HASH_SIZE]);

/* -------------------------------------------------------------------------------- writing */

/* Levels beside zstd's: as high as the disk is slow; and memory stored as it is. */
#define IMAGE_LEVEL_AUTO	0
#define IMAGE_LEVEL_NONE	(-1000000)

/* Of images whose pages others may share: their digests are the same for the same page. */
#define IMAGE_SEED_SHARED	0

struct image_writer;
struct image;
struct recipients;
struct keyring;

/* Where a page is that another image has already. */
struct image_place {
	uint32_t	source;		/* number in the image's SOURCES section */
	uint32_t	frame;
	uint32_t	page;
};

/**
 * struct image_share - asked of each page with content, before it is put into a frame
 * @find: whether another image of the store has @page, and where: it is the same, byte for byte
 * @kept: told of one that no other has, and where it is now: section, frame, page of it
 * @arg: the first argument of both
 */
struct image_share {
	bool	(*find)(void *arg, const void *page, struct image_place *ret_place);
	void	(*kept)(void *arg, uint32_t section, uint32_t frame, uint32_t page);
	void	*arg;
};

struct image_params {
	const char	*label;		/* names the image in error texts; NULL: the job */
	const char	*job;
	uint64_t	generation;	/* 1 or more */
	const struct image_info *parent; /* NULL: full image */
	const struct image_info *replaces; /* a delta that is folded with its parents: keep its identity */
	uint32_t	pid;
	const char	*comm;
	uint32_t	page_size;	/* 0: the machine's */
	uint32_t	frame_size;	/* raw bytes a frame, whole pages; 0: 1 MiB */
	int		level;		/* zstd's, its negative ones too, or IMAGE_LEVEL_... */
	unsigned int	threads;	/* that compress; 0: as many as there are processors; at most 8 */
	const struct image_share *share; /* NULL: the image has all its pages itself; borrowed */
	const struct recipients *to;	/* encrypt to these; NULL: do not */
	const struct image *sealed_as;	/* encrypt to those of that unlocked image, with its data key; or NULL */
};

/* Totals of one address space, or of all in an image. */
struct image_pages_stats {
	uint64_t	frames;
	uint64_t	runs;
	uint64_t	data_pages;
	uint64_t	zero_pages;
	uint64_t	file_pages;
	uint64_t	gone_pages;
	uint64_t	shared_pages;	/* with content, that other images have */
	uint64_t	stored_bytes;	/* of data_pages, after compression */
};

/*
 * Begin an image at the (empty) file's start.  @fd is only written to, front to back, so it
 * may be a pipe; of a file's memory some 16 MiB are in the page cache at a time.  Memory: two frames
 * for each thread and two more, zstd's own (1 MiB each up to level 3, 4 MiB up to 6), 32 bytes a run
 * and 40 a frame; 48 MiB in frames of 1 MiB at the most, unless a level above 6 was asked for.
 *
 * What the image holds does not depend on how many threads there are.
 *
 * With @replaces the image is full and stands for that one: same identity, generation, time and
 * machine, so that what names it as parent goes on to find it.
 *
 * After any failure the writer is dead: each later call fails with the same code and the file is
 * no image.  Durability is the caller's (see store.h).
 */
int image_writer_open(int fd, const struct image_params *params, struct ckpt_err *err,
		      struct image_writer **ret_writer);

/* Free; writes nothing.  NULL is fine. */
void image_writer_close(struct image_writer *w);

/* The image's identity; valid as long as the writer. */
const uint8_t *image_writer_id(const struct image_writer *w);

/* A whole STATE, META or SOURCES section (@size up to IMAGE_BLOB_MAX).  Kind, owner, sub: once each. */
int image_writer_put(struct image_writer *w, enum image_kind kind, uint32_t owner, uint32_t sub,
		     const void *data, size_t size, struct ckpt_err *err);

/* Open the PAGES section of address space @owner; runs follow in rising, disjoint addresses. */
int image_writer_begin_pages(struct image_writer *w, uint32_t owner, struct ckpt_err *err);

/*
 * Open the FILE section of @owner's file @sub; its runs, DATA and ZERO alone, have offsets for addresses.
 * It is closed as PAGES is.
 */
int image_writer_begin_file(struct image_writer *w, uint32_t owner, uint32_t sub,
			    struct ckpt_err *err);

/* Pages with content.  All-zero ones are recorded as ZERO.  @data is not kept. */
int image_writer_data(struct image_writer *w, uint64_t addr, uint64_t npages, const void *data,
		      struct ckpt_err *err);
int image_writer_zero(struct image_writer *w, uint64_t addr, uint64_t npages,
		      struct ckpt_err *err);
int image_writer_file(struct image_writer *w, uint64_t addr, uint64_t npages,
		      uint64_t file_offset, struct ckpt_err *err);
/* Only in an image that names a parent. */
int image_writer_gone(struct image_writer *w, uint64_t addr, uint64_t npages,
		      struct ckpt_err *err);

/* Close the PAGES section.  @ret_stats may be NULL. */
int image_writer_end_pages(struct image_writer *w, struct ckpt_err *err,
			   struct image_pages_stats *ret_stats);

/* Write section table and trailer: now it is an image.  @ret_info may be NULL. */
int image_writer_finish(struct image_writer *w, struct ckpt_err *err, struct image_info *ret_info);

/* -------------------------------------------------------------------------------- reading */

struct image_pages;

struct image_section {
	uint32_t	kind;
	uint32_t	owner;
	uint32_t	sub;
	uint64_t	offset;		/* in the file */
	uint64_t	size;		/* with section header and padding */
	uint64_t	body_size;
};

/* One of the other images that this one has pages in. */
struct image_source {
	uint8_t		id[IMAGE_ID_SIZE];
	uint8_t		digest[IMAGE_HASH_SIZE];
	uint64_t	generation;
	uint32_t	section;
	char		job[IMAGE_TEXT];
};

struct image_run {
	uint64_t	addr;
	uint64_t	npages;
	enum image_run_kind kind;
	uint32_t	frame;		/* DATA */
	uint32_t	page;		/* DATA: of the first page, in its frame */
	uint64_t	file_offset;	/* FILE */
};

/*
 * Check header, trailer and section table of the regular file @fd: cost does not depend on how
 * much memory the image holds.  @label names the file in error texts.  No byte of a section is
 * handed out by the functions below before its own hash was right.
 */
int image_open(int fd, const char *label, struct ckpt_err *err, struct image **ret_image);
void image_close(struct image *img);

const struct image_info *image_get_info(const struct image *img);
const char *image_label(const struct image *img);

/* How many other images it has pages in, and which. */
uint32_t image_nr_sources(const struct image *img);
void image_get_source(const struct image *img, uint32_t i, struct image_source *ret_source);

/*
 * Have the pages of source @i read from @source, which is the caller's and is closed after @img.  -ESTALE:
 * it is another image.  Until then what is there cannot be read (-ENODATA).
 */
int image_attach_source(struct image *img, uint32_t i, struct image *source, struct ckpt_err *err);

/*
 * Encrypted images: all that image_get_info(), image_get_section() and the index of pages tell can be had
 * without a key, and is not authenticated then.  image_unlock() takes the data key out with a key of
 * @keyring (may be NULL) and authenticates header, section table and trailer; what is read afterwards is
 * authenticated before it is handed out.  Before anything is opened of it.  -ENOKEY: no key fits, with
 * whom it is encrypted to in the text; -EBADMSG: it is not what was sealed.  0 if it is not encrypted.
 */
int image_unlock(struct image *img, const struct keyring *keyring, struct ckpt_err *err);

/* Forget the key. */
void image_lock(struct image *img);

/* Whether it is encrypted and has not been unlocked. */
bool image_is_locked(const struct image *img);

/* Public keys it is encrypted to, 32 bytes each. */
size_t image_recipients(const struct image *img);
const uint8_t *image_recipient(const struct image *img, size_t i);

/* Section @i of info->sections. */
void image_get_section(const struct image *img, uint32_t i, struct image_section *ret_section);

/* Number of that section, or -ENOENT.  No error text: absence may be fine. */
int image_find(const struct image *img, enum image_kind kind, uint32_t owner, uint32_t sub);

/* A copy of a STATE or META body, to be freed; a NUL follows its last byte. */
int image_load(struct image *img, uint32_t section, struct ckpt_err *err,
	       void **ret_data, size_t *ret_size);

/* Read and check the page index of PAGES or FILE section @section.  Close it before the image. */
int image_pages_open(struct image *img, uint32_t section, struct ckpt_err *err,
		     struct image_pages **ret_pages);
void image_pages_close(struct image_pages *pages);

void image_pages_get_stats(const struct image_pages *pages, struct image_pages_stats *ret_stats);

/* Runs 0 .. stats.runs - 1, by rising address. */
void image_pages_get_run(const struct image_pages *pages, uint64_t i, struct image_run *ret_run);

/* First run that ends above @addr; stats.runs if there is none. */
uint64_t image_pages_find(const struct image_pages *pages, uint64_t addr);

/*
 * The content of DATA run @i, in the frame cache: valid until the next call on @pages.  For
 * restorers that can write from where the bytes are.
 */
int image_pages_borrow(struct image_pages *pages, uint64_t i, struct ckpt_err *err,
		       const void **ret_data);

/* Page @page of frame @frame, which need not exist; valid as with image_pages_borrow(). */
int image_pages_at(struct image_pages *pages, uint32_t frame, uint32_t page, struct ckpt_err *err,
		   const void **ret_data);

/* Digest of page @page of DATA run @i, made with *ret_seed; as below. */
int image_pages_run_digest(struct image_pages *pages, uint64_t i, uint64_t page, struct ckpt_err *err,
			   uint64_t *ret_seed, uint8_t ret_digest[IMAGE_HASH_SIZE]);

/*
 * Digest of page @page of frame @frame, from the file; of images that have them.  Not held against
 * a checksum: one that is damaged says that the page has changed, no more.
 */
int image_pages_digest(struct image_pages *pages, uint32_t frame, uint32_t page,
		       struct ckpt_err *err, uint8_t ret_digest[IMAGE_HASH_SIZE]);

/* Keep but one frame in memory from now on; before anything was read. */
void image_pages_keep_one(struct image_pages *pages);

/* Give back the memory of frames that were read. */
void image_pages_trim(struct image_pages *pages);

/*
 * Copy @npages pages from @addr; they may span runs, of DATA and ZERO only: -ENODATA for pages
 * whose content is not in this image.
 */
int image_pages_read(struct image_pages *pages, uint64_t addr, uint64_t npages, void *buf,
		     struct ckpt_err *err);

/*
 * What header and trailer (as they are in the file) of an image of @file_size bytes say, checked as
 * image_open() does; that they are those of a file with the sections they speak of, is the caller's word.
 */
int image_parse_ends(const struct image_header_disk *header, const struct image_trailer_disk *trailer,
		     uint64_t file_size, struct image_info *ret_info);

/* ------------------------------------------------------------------------------ verifying */

struct image_damage {
	uint32_t	section;	/* number of the section */
	uint32_t	kind;		/* its kind, owner, sub */
	uint32_t	owner;
	uint32_t	sub;
	uint64_t	offset;		/* of the damaged bytes in the file */
	uint64_t	size;
	bool		is_frame;	/* then the next three count */
	uint32_t	frame;
	uint64_t	addr_start;	/* first address that cannot be restored */
	uint64_t	addr_end;	/* one beyond the last */
	const char	*what;		/* one line, for people */
};

typedef void (*image_damage_fn)(const struct image_damage *damage, void *arg);

/*
 * Read everything and do what a restore would: hashes, indexes, decompression of each frame.
 * @fn (may be NULL) is told of each damage; the check goes on behind it.  -EBADMSG if there was
 * any, with the first in @err.  @ret_stats (may be NULL): sums over the sound PAGES sections.
 * Of a locked image the checksums alone, which find damage and no forgery.
 */
int image_verify(struct image *img, image_damage_fn fn, void *arg, struct ckpt_err *err,
		 struct image_pages_stats *ret_stats);

/*
 * Read what was written and synced from the device, past the page cache, and compare it with @written,
 * of image_writer_finish().  -EIO: the device gives back something else, or nothing.
 */
int image_read_back(int fd, const char *label, const struct image_info *written,
		    struct ckpt_err *err);

/* 0 or -errno, which ends it. */
typedef int (*image_bytes_fn)(const void *data, size_t n, void *arg);

/*
 * Give @fn all bytes of the file, front to back, in pieces.  -EBADMSG: a section is damaged, which is
 * known when it has been given; what @fn returned, without text; else a read failed.
 */
int image_copy(struct image *img, image_bytes_fn fn, void *arg, struct ckpt_err *err);

#endif
