// SPDX-License-Identifier: GPL-2.0-only
/* Which bytes of a file without a name are in pages of a mapping, and which are read. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "nameless.h"
#include "state.h"
#include "tap.h"

#define PAGE	4096u
#define SHARED	(CKPT_VMA_READ | CKPT_VMA_SHARED)

static const struct ckpt_file_id id = { .dev = 1, .ino = 7, .mode = S_IFREG | 0600, .size = 8 * PAGE + 100 };

/* @pages from page @first on, mapped with @flags. */
static struct ckpt_model_vma of(uint64_t first, uint64_t pages, uint64_t flags)
{
	static uint64_t at = 0x10000;
	struct ckpt_model_vma v = {
		.rec = { .start = at, .end = at + pages * PAGE, .pgoff = first * PAGE, .flags = flags,
			 .page_size = PAGE, .path_flags = CKPT_PATHF_DELETED, .id = id },
	};

	at += (pages + 1) * PAGE;
	return v;
}

static uint64_t length(struct ckpt_model_vma *v, size_t nr)
{
	const struct ckpt_model m = { .vmas = v, .nr_vmas = nr };

	return nameless_length(&m, &id, NULL);
}

static void what_is_mapped_shared_need_not_be_read(void)
{
	struct ckpt_model_vma all = of(0, 9, SHARED), more = of(0, 20, SHARED), end = of(6, 3, SHARED);
	struct ckpt_model_vma middle = of(2, 3, SHARED), private = of(0, 9, CKPT_VMA_READ);
	struct ckpt_model_vma two[] = { of(3, 6, SHARED), of(0, 4, SHARED) };
	struct ckpt_model_vma other = of(0, 9, SHARED), segment = of(0, 9, SHARED | CKPT_VMA_SYSVSHM);

	other.rec.id.ino = 8;
	REQUIRE_EQ(length(NULL, 0), id.size);
	REQUIRE_EQ(length(&all, 1), 0);
	REQUIRE_EQ(length(&more, 1), 0);
	REQUIRE_EQ(length(two, 2), 0);
	REQUIRE_EQ(length(&end, 1), 6 * PAGE);
	REQUIRE_EQ(length(&middle, 1), id.size);
	REQUIRE_EQ(length(&private, 1), id.size);
	REQUIRE_EQ(length(&other, 1), id.size);
	/* A segment's inode number is its own: a memfd may have the same. */
	REQUIRE_EQ(length(&segment, 1), id.size);
	REQUIRE(!nameless_maps(&segment));
}

static void a_far_offset_is_no_overflow(void)
{
	struct ckpt_model_vma far = of(0, 9, SHARED);

	far.rec.pgoff = -4096ull;
	REQUIRE_EQ(length(&far, 1), id.size);
}

static void what_others_have_mapped_counts_too(void)
{
	struct ckpt_model_vma mine = of(0, 4, SHARED), theirs = of(4, 5, SHARED);
	struct ckpt_model a = { .vmas = &mine, .nr_vmas = 1 }, b = { .vmas = &theirs, .nr_vmas = 1 };
	struct ckpt_model *models[] = { &a, &b };
	const struct ckpt_set set = { .models = models, .nr = 2 };

	REQUIRE_EQ(nameless_length(&a, &id, NULL), id.size);
	a.set = b.set = &set;
	REQUIRE_EQ(nameless_length(&a, &id, NULL), 0);
}

static void the_rest_is_read_with_zeros_between(void)
{
	struct ckpt_model_vma v[] = { of(1, 2, SHARED), of(5, 1, SHARED), of(7, 2, SHARED) };
	const struct ckpt_model m = { .vmas = v, .nr_vmas = 3 };
	int fd = memfd_create("file", MFD_CLOEXEC);
	char *bytes = malloc(id.size);
	struct buf content = { 0 };

	memset(bytes, 'x', id.size);
	REQUIRE_EQ(pwrite(fd, bytes, id.size, 0), (ssize_t)id.size);
	REQUIRE_EQ(buf_append(&content, "head", 4), 0);
	REQUIRE_EQ(nameless_read(&m, &id, NULL, fd, &content), 0);
	REQUIRE_EQ(content.len, 4 + 7 * PAGE);
	memset(bytes + PAGE, 0, 2 * PAGE);
	memset(bytes + 5 * PAGE, 0, PAGE);
	REQUIRE(!memcmp(content.data, "head", 4) && !memcmp(content.data + 4, bytes, 7 * PAGE));
	buf_free(&content);
	/* Shorter than the records say: it is not what was captured. */
	REQUIRE_EQ(ftruncate(fd, 6 * PAGE), 0);
	REQUIRE(nameless_read(&m, &id, NULL, fd, &content) < 0);
	buf_free(&content);
	free(bytes);
	close(fd);
}

static void a_name_the_kernel_made_up_is_a_memfd_only_by_its_beginning(void)
{
	REQUIRE(nameless_is_memfd("/memfd:x", CKPT_PATHF_NO_NAME));
	REQUIRE(!nameless_is_memfd("/memfd:x", CKPT_PATHF_DELETED));
	REQUIRE(!nameless_is_memfd("/secretmem", CKPT_PATHF_NO_NAME));
	REQUIRE(!nameless_is_memfd(NULL, CKPT_PATHF_NO_NAME));
}

static const struct tap_test tests[] = {
	{ "what_is_mapped_shared_need_not_be_read", what_is_mapped_shared_need_not_be_read },
	{ "a_far_offset_is_no_overflow", a_far_offset_is_no_overflow },
	{ "what_others_have_mapped_counts_too", what_others_have_mapped_counts_too },
	{ "the_rest_is_read_with_zeros_between", the_rest_is_read_with_zeros_between },
	{ "a_name_the_kernel_made_up_is_a_memfd_only_by_its_beginning",
	  a_name_the_kernel_made_up_is_a_memfd_only_by_its_beginning },
};

TAP_MAIN(tests)
