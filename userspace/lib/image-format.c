// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * image-format.c - what writer and reader must compute alike: the hashes that span several parts
 * of the file, and header and trailer as the library tells of them.
 */
#include <errno.h>
#include <string.h>

#include <xxhash.h>

#include "image-priv.h"
#include "util.h"

struct part {
	const void	*data;
	size_t		size;
};

static int hash_parts(const struct part *parts, size_t n, uint8_t ret_hash[IMAGE_HASH_SIZE])
{
	XXH3_state_t *state = XXH3_createState();

	if (!state)
		return -ENOMEM;
	XXH3_128bits_reset(state);
	for (size_t i = 0; i < n; i++)
		if (parts[i].size)
			XXH3_128bits_update(state, parts[i].data, parts[i].size);
	util_hash_final(state, ret_hash);
	XXH3_freeState(state);
	return 0;
}

int image_root_digest(const struct image_header_disk *header, const void *table,
		      size_t table_size, const struct image_trailer_disk *trailer,
		      uint8_t ret_digest[IMAGE_HASH_SIZE])
{
	struct part parts[] = {
		{ header, sizeof(*header) },
		{ table, table_size },
		{ trailer, offsetof(struct image_trailer_disk, digest) },
	};

	return hash_parts(parts, 3, ret_digest);
}

int image_index_hash(const struct buf *frames, const struct buf *runs,
		     const struct image_pages_footer_disk *foot,
		     uint8_t ret_hash[IMAGE_HASH_SIZE])
{
	struct part parts[] = {
		{ frames->data, frames->len },
		{ runs->data, runs->len },
		{ foot, offsetof(struct image_pages_footer_disk, hash) },
	};

	return hash_parts(parts, 3, ret_hash);
}

void image_info_from_disk(const struct image_header_disk *h, const struct image_trailer_disk *t,
			  struct image_info *ret_info)
{
	struct image_info *i = ret_info;

	memset(i, 0, sizeof(*i));
	i->version = h->version;
	i->page_size = h->page_size;
	i->incompat = h->incompat;
	i->compat = h->compat;
	i->machine = h->machine;
	i->pid = h->pid;
	i->generation = h->generation;
	i->parent_generation = h->parent_generation;
	i->created_ns = h->created_ns;
	i->digest_seed = h->digest_seed;
	i->file_size = t->file_size;
	i->sections = t->sections;
	memcpy(i->id, h->id, sizeof(i->id));
	memcpy(i->parent_id, h->parent_id, sizeof(i->parent_id));
	memcpy(i->parent_digest, h->parent_digest, sizeof(i->parent_digest));
	memcpy(i->replaced_digest, h->replaced_digest, sizeof(i->replaced_digest));
	memcpy(i->digest, t->digest, sizeof(i->digest));
	memcpy(i->comm, h->comm, sizeof(h->comm));
	memcpy(i->job, h->job, sizeof(i->job));
	memcpy(i->hostname, h->hostname, sizeof(i->hostname));
	memcpy(i->kernel, h->kernel, sizeof(i->kernel));
}

bool image_info_has_digests(const struct image_info *info)
{
	return info->compat & IMAGE_COMPAT_DIGESTS;
}

void image_page_digest(const void *page, uint32_t page_size, uint64_t seed,
		       uint8_t ret_digest[IMAGE_HASH_SIZE])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(page, page_size, seed));
	memcpy(ret_digest, canonical.digest, IMAGE_HASH_SIZE);
}

bool image_info_is_shared(const struct image_info *info)
{
	return info->incompat & IMAGE_INCOMPAT_SHARED;
}

bool image_info_is_encrypted(const struct image_info *info)
{
	return info->incompat & IMAGE_INCOMPAT_ENCRYPTED;
}

bool image_info_is_delta(const struct image_info *info)
{
	return info->incompat & IMAGE_INCOMPAT_DELTA;
}
