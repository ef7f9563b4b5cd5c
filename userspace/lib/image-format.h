/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-format.h - the bytes of an image, version 1.
 *
 * docs/image-format.rst tells what they mean; this file only gives them names.  All numbers are
 * little-endian and every struct is written as it lies in memory, so the library is built for
 * little-endian machines alone and each offset is asserted below.
 *
 *	header | section ... section | section table | trailer
 */
#ifndef CKPT_IMAGE_FORMAT_H
#define CKPT_IMAGE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "images are little-endian");

/* 0x89 and CR LF show a transfer that strips bit 7 or rewrites line ends, as in PNG. */
#define IMAGE_MAGIC		"\x89" "CKPT\r\n\x1a"
#define IMAGE_TRAILER_MAGIC	"\x89" "CKPTEND"
#define IMAGE_SECTION_MAGIC	"SECT"
#define IMAGE_PAGES_MAGIC	"PAGESEND"

#define IMAGE_VERSION		1
#define IMAGE_ALIGN		8u
#define IMAGE_ID_SIZE		16
#define IMAGE_HASH_SIZE		16
#define IMAGE_TEXT		72	/* job, host, kernel: at most 71 bytes and a NUL */
#define IMAGE_COMM		16

#define IMAGE_PAGE_MIN		4096u
#define IMAGE_PAGE_MAX		65536u
#define IMAGE_FRAME_MAX		(16u << 20)	/* raw bytes; bounds a reader's buffers */
#define IMAGE_SECTIONS_MAX	(1u << 20)
#define IMAGE_SOURCES_MAX	64u		/* other images that one shares pages with */
#define IMAGE_BLOB_MAX		(1u << 30)	/* STATE and META: they are read whole */
#define IMAGE_RECIPIENTS_MAX	64
#define IMAGE_INDEX_MAC		16
#define IMAGE_ROOT_MAC		32

/* Incompatible features: a reader that does not know a set bit must refuse the image. */
#define IMAGE_INCOMPAT_DELTA	(1ull << 0)	/* names a parent, holds only what changed */
#define IMAGE_INCOMPAT_ENCRYPTED (1ull << 1)	/* sealed to the keys of its KEYS section */
#define IMAGE_INCOMPAT_SHARED	(1ull << 2)	/* pages may be in other images of the store */
#define IMAGE_INCOMPAT_KNOWN \
	(IMAGE_INCOMPAT_DELTA | IMAGE_INCOMPAT_ENCRYPTED | IMAGE_INCOMPAT_SHARED)

/* Compatible features: a reader may go on without. */
#define IMAGE_COMPAT_DIGESTS	(1ull << 0)	/* digests of its pages behind each frame */

struct image_header_disk {
	uint8_t		magic[8];
	uint32_t	version;
	uint32_t	header_size;
	uint64_t	incompat;
	uint64_t	compat;
	uint32_t	page_size;
	uint32_t	machine;		/* ELF e_machine */
	uint8_t		id[IMAGE_ID_SIZE];
	uint8_t		parent_id[IMAGE_ID_SIZE];
	uint8_t		parent_digest[IMAGE_HASH_SIZE];
	uint64_t	generation;
	uint64_t	parent_generation;
	uint64_t	created_ns;
	uint32_t	pid;
	uint32_t	reserved0;
	char		comm[IMAGE_COMM];
	char		job[IMAGE_TEXT];
	char		hostname[IMAGE_TEXT];
	char		kernel[IMAGE_TEXT];
	uint64_t	digest_seed;
	uint8_t		replaced_digest[IMAGE_HASH_SIZE];
	uint8_t		reserved[120];
	uint8_t		hash[IMAGE_HASH_SIZE];	/* of all bytes before it */
};

struct image_section_header_disk {
	uint8_t		magic[4];
	uint32_t	kind;
	uint32_t	owner;
	uint32_t	sub;
	uint32_t	ordinal;
	uint32_t	flags;
	uint64_t	reserved;
};

/* An entry of the section table. */
struct image_section_disk {
	uint32_t	kind;
	uint32_t	owner;
	uint32_t	sub;
	uint32_t	flags;
	uint64_t	offset;			/* of the section header, in the file */
	uint64_t	size;			/* header, body and padding */
	uint64_t	body_size;		/* without header and padding */
	uint64_t	reserved;
	uint8_t		hash[IMAGE_HASH_SIZE];	/* of all size bytes */
};

struct image_frame_disk {
	uint64_t	offset;			/* from the section header */
	uint32_t	stored_size;
	uint32_t	raw_size;
	uint32_t	codec;
	uint32_t	reserved;
	uint8_t		hash[IMAGE_HASH_SIZE];	/* of the stored bytes */
};

/* On disk alone, beside enum image_run_kind: content is in a frame of another image; told as DATA. */
#define IMAGE_RUN_SHARED	5u

struct image_run_disk {
	uint64_t	addr;
	uint64_t	npages;
	uint32_t	kind;
	uint32_t	source;			/* SHARED: number in the SOURCES section */
	union {
		struct {
			uint32_t	frame;
			uint32_t	page;	/* of the first page, within the frame */
		};
		uint64_t	file_offset;	/* bytes */
	};
};

struct image_pages_footer_disk {
	uint8_t		magic[8];
	uint32_t	footer_size;
	uint32_t	frame_pages;		/* the most pages any frame holds */
	uint64_t	frames;
	uint64_t	runs;
	uint64_t	frames_offset;		/* from the section header */
	uint64_t	runs_offset;
	uint64_t	data_pages;
	uint64_t	zero_pages;
	uint64_t	file_pages;
	uint64_t	gone_pages;
	uint64_t	stored_bytes;		/* sum of the frames' stored_size */
	uint64_t	shared_pages;
	uint8_t		mac[IMAGE_INDEX_MAC];	/* encrypted: of place, both tables, this footer so far */
	uint8_t		hash[IMAGE_HASH_SIZE];	/* of frame table, run table and this footer */
};

/* A section of another image: SHARED runs name frames of it. */
struct image_source_disk {
	uint8_t		id[IMAGE_ID_SIZE];
	uint8_t		digest[IMAGE_HASH_SIZE];	/* of that image's trailer */
	uint64_t	generation;
	uint32_t	section;
	uint32_t	reserved0;
	char		job[IMAGE_TEXT];
	uint8_t		reserved[8];
};

/* The body of KEYS: this, and an entry for each recipient. */
struct image_keys_disk {
	uint8_t		key_id[32];		/* tells the data key from others */
	uint8_t		parent_key_id[32];	/* the parent's; zeros: it is not encrypted, or there is none */
	uint8_t		salt[16];
	uint32_t	recipients;
	uint32_t	reserved;
};

struct image_recipient_disk {
	uint8_t		key[32];		/* public, X25519 */
	uint8_t		sealed[80];		/* the data key */
};

struct image_trailer_disk {
	uint8_t		magic[8];
	uint32_t	version;
	uint32_t	trailer_size;
	uint64_t	file_size;
	uint64_t	table_offset;
	uint32_t	sections;
	uint32_t	entry_size;
	uint8_t		id[IMAGE_ID_SIZE];
	uint8_t		parent_id[IMAGE_ID_SIZE];
	uint8_t		mac[IMAGE_ROOT_MAC];	/* encrypted: of header, KEYS, section table, trailer so far */
	uint8_t		reserved[8];
	uint8_t		digest[IMAGE_HASH_SIZE]; /* of header, section table, trailer so far */
};

#define IMAGE_AT(type, field, off) \
	_Static_assert(offsetof(struct type, field) == (off), #type "." #field)
#define IMAGE_SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), "size of " #type)

IMAGE_AT(image_header_disk, magic, 0);
IMAGE_AT(image_header_disk, version, 8);
IMAGE_AT(image_header_disk, header_size, 12);
IMAGE_AT(image_header_disk, incompat, 16);
IMAGE_AT(image_header_disk, compat, 24);
IMAGE_AT(image_header_disk, page_size, 32);
IMAGE_AT(image_header_disk, machine, 36);
IMAGE_AT(image_header_disk, id, 40);
IMAGE_AT(image_header_disk, parent_id, 56);
IMAGE_AT(image_header_disk, parent_digest, 72);
IMAGE_AT(image_header_disk, generation, 88);
IMAGE_AT(image_header_disk, parent_generation, 96);
IMAGE_AT(image_header_disk, created_ns, 104);
IMAGE_AT(image_header_disk, pid, 112);
IMAGE_AT(image_header_disk, reserved0, 116);
IMAGE_AT(image_header_disk, comm, 120);
IMAGE_AT(image_header_disk, job, 136);
IMAGE_AT(image_header_disk, hostname, 208);
IMAGE_AT(image_header_disk, kernel, 280);
IMAGE_AT(image_header_disk, digest_seed, 352);
IMAGE_AT(image_header_disk, replaced_digest, 360);
IMAGE_AT(image_header_disk, reserved, 376);
IMAGE_AT(image_header_disk, hash, 496);
IMAGE_SIZE(image_header_disk, 512);

IMAGE_AT(image_section_header_disk, magic, 0);
IMAGE_AT(image_section_header_disk, kind, 4);
IMAGE_AT(image_section_header_disk, owner, 8);
IMAGE_AT(image_section_header_disk, sub, 12);
IMAGE_AT(image_section_header_disk, ordinal, 16);
IMAGE_AT(image_section_header_disk, flags, 20);
IMAGE_AT(image_section_header_disk, reserved, 24);
IMAGE_SIZE(image_section_header_disk, 32);

IMAGE_AT(image_section_disk, kind, 0);
IMAGE_AT(image_section_disk, owner, 4);
IMAGE_AT(image_section_disk, sub, 8);
IMAGE_AT(image_section_disk, flags, 12);
IMAGE_AT(image_section_disk, offset, 16);
IMAGE_AT(image_section_disk, size, 24);
IMAGE_AT(image_section_disk, body_size, 32);
IMAGE_AT(image_section_disk, reserved, 40);
IMAGE_AT(image_section_disk, hash, 48);
IMAGE_SIZE(image_section_disk, 64);

IMAGE_AT(image_frame_disk, offset, 0);
IMAGE_AT(image_frame_disk, stored_size, 8);
IMAGE_AT(image_frame_disk, raw_size, 12);
IMAGE_AT(image_frame_disk, codec, 16);
IMAGE_AT(image_frame_disk, reserved, 20);
IMAGE_AT(image_frame_disk, hash, 24);
IMAGE_SIZE(image_frame_disk, 40);

IMAGE_AT(image_run_disk, addr, 0);
IMAGE_AT(image_run_disk, npages, 8);
IMAGE_AT(image_run_disk, kind, 16);
IMAGE_AT(image_run_disk, source, 20);
IMAGE_AT(image_run_disk, frame, 24);
IMAGE_AT(image_run_disk, page, 28);
IMAGE_AT(image_run_disk, file_offset, 24);
IMAGE_SIZE(image_run_disk, 32);

IMAGE_AT(image_pages_footer_disk, magic, 0);
IMAGE_AT(image_pages_footer_disk, footer_size, 8);
IMAGE_AT(image_pages_footer_disk, frame_pages, 12);
IMAGE_AT(image_pages_footer_disk, frames, 16);
IMAGE_AT(image_pages_footer_disk, runs, 24);
IMAGE_AT(image_pages_footer_disk, frames_offset, 32);
IMAGE_AT(image_pages_footer_disk, runs_offset, 40);
IMAGE_AT(image_pages_footer_disk, data_pages, 48);
IMAGE_AT(image_pages_footer_disk, zero_pages, 56);
IMAGE_AT(image_pages_footer_disk, file_pages, 64);
IMAGE_AT(image_pages_footer_disk, gone_pages, 72);
IMAGE_AT(image_pages_footer_disk, stored_bytes, 80);
IMAGE_AT(image_pages_footer_disk, shared_pages, 88);
IMAGE_AT(image_pages_footer_disk, mac, 96);
IMAGE_AT(image_pages_footer_disk, hash, 112);
IMAGE_SIZE(image_pages_footer_disk, 128);

IMAGE_AT(image_source_disk, id, 0);
IMAGE_AT(image_source_disk, digest, 16);
IMAGE_AT(image_source_disk, generation, 32);
IMAGE_AT(image_source_disk, section, 40);
IMAGE_AT(image_source_disk, reserved0, 44);
IMAGE_AT(image_source_disk, job, 48);
IMAGE_AT(image_source_disk, reserved, 120);
IMAGE_SIZE(image_source_disk, 128);

IMAGE_AT(image_keys_disk, key_id, 0);
IMAGE_AT(image_keys_disk, parent_key_id, 32);
IMAGE_AT(image_keys_disk, salt, 64);
IMAGE_AT(image_keys_disk, recipients, 80);
IMAGE_AT(image_keys_disk, reserved, 84);
IMAGE_SIZE(image_keys_disk, 88);

IMAGE_AT(image_recipient_disk, key, 0);
IMAGE_AT(image_recipient_disk, sealed, 32);
IMAGE_SIZE(image_recipient_disk, 112);

IMAGE_AT(image_trailer_disk, magic, 0);
IMAGE_AT(image_trailer_disk, version, 8);
IMAGE_AT(image_trailer_disk, trailer_size, 12);
IMAGE_AT(image_trailer_disk, file_size, 16);
IMAGE_AT(image_trailer_disk, table_offset, 24);
IMAGE_AT(image_trailer_disk, sections, 32);
IMAGE_AT(image_trailer_disk, entry_size, 36);
IMAGE_AT(image_trailer_disk, id, 40);
IMAGE_AT(image_trailer_disk, parent_id, 56);
IMAGE_AT(image_trailer_disk, mac, 72);
IMAGE_AT(image_trailer_disk, reserved, 104);
IMAGE_AT(image_trailer_disk, digest, 112);
IMAGE_SIZE(image_trailer_disk, 128);

#undef IMAGE_AT
#undef IMAGE_SIZE

#endif
