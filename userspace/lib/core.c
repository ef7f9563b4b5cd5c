// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * core.c - writes a snapshot as an ELF core.
 *
 *	layout		segments: what of each mapping has its content in the file
 *	headers		ELF header, program headers, notes (core-notes.c)
 *	memory		pages, to where the layout puts them, one generation of the chain after the other
 *
 * A page of a mapped file of which the program has no copy of its own is not in the image, and so not in
 * the core: its segment has a size in memory and none in the file, and the debugger takes it from the
 * mapped file, which NT_FILE names.  Of anonymous memory the pages that were never touched are holes, that is zeros, in
 * a mapping that has others; a mapping nothing of which was touched has no content.  What the program
 * exempted from dumps (MADV_DONTDUMP) has none either.
 *
 * Sources: elf(5), core(5), fs/binfmt_elf.c and fs/coredump.c of Linux.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"
#include "util.h"

#define STEP	(64ull << 20)	/* between two reports of progress */
#define ARGS	80		/* of a command line, as ps shows */

struct segment {
	uint64_t	start;
	uint64_t	end;
	uint64_t	offset;		/* in the file, when content */
	uint32_t	flags;		/* PF_* */
	bool		content;
};

struct core {
	struct chain		*chain;
	const struct ckpt_model	*model;
	int			fd;
	struct ckpt_err		*err;
	struct core_result	*result;
	struct buf		segments;
	struct buf		notes;
	uint64_t		page_size;
	stream_progress_fn	progress;
	void			*arg;
};

static size_t nr_segments(const struct core *c)
{
	return c->segments.len / sizeof(struct segment);
}

static struct segment *segment(const struct core *c, size_t i)
{
	return (struct segment *)c->segments.data + i;
}

/* -------------------------------------------------------------------------------- layout */

static int add_segment(struct core *c, const struct ckpt_model_vma *v, uint64_t start, uint64_t end,
		       bool content)
{
	const uint64_t f = v->rec.flags;
	const struct segment s = {
		.start = start, .end = end, .content = content,
		.flags = (f & CKPT_VMA_READ ? PF_R : 0) | (f & CKPT_VMA_WRITE ? PF_W : 0) |
			 (f & CKPT_VMA_EXEC ? PF_X : 0),
	};

	return start < end ? buf_append(&c->segments, &s, sizeof(s)) : 0;
}

static bool has_bytes(const struct chain_span *span)
{
	return span->kind == IMAGE_RUN_DATA || span->kind == IMAGE_RUN_ZERO;
}

/* The first stretch with bytes at or above @at and below @end; else both are @end. */
static void next_stretch(const struct core *c, uint64_t at, uint64_t end, uint64_t *ret_start,
			 uint64_t *ret_end)
{
	struct chain_span span;
	uint64_t last = at, most;

	*ret_start = end;
	*ret_end = end;
	for (size_t i = chain_find(c->chain, at); i < chain_spans(c->chain); i++) {
		chain_get_span(c->chain, i, &span);
		if (span.addr >= end || (*ret_start < end && span.addr > last))
			break;
		if (*ret_start < end && !has_bytes(&span))
			break;
		if (!has_bytes(&span))
			continue;
		if (*ret_start == end)
			*ret_start = span.addr < at ? at : span.addr;
		most = (end - span.addr) / c->page_size;	/* it may end at the top of all addresses */
		last = span.npages < most ? span.addr + span.npages * c->page_size : end;
	}
	if (*ret_start < end)
		*ret_end = last;
}

/* A file's: what is in the image has content, what is between is in the file. */
static int add_file(struct core *c, const struct ckpt_model_vma *v)
{
	uint64_t at = v->rec.start, start, end;
	int ret = 0;

	while (!ret && at < v->rec.end) {
		next_stretch(c, at, v->rec.end, &start, &end);
		ret = add_segment(c, v, at, start, false);
		if (!ret)
			ret = add_segment(c, v, start, end, true);
		at = end;
	}
	return ret;
}

static int add_mapping(struct core *c, const struct ckpt_model_vma *v)
{
	const uint64_t f = v->rec.flags;
	uint64_t start, end;

	if (f & (CKPT_VMA_DONTDUMP | CKPT_VMA_VDSO | CKPT_VMA_SPECIAL))
		return add_segment(c, v, v->rec.start, v->rec.end, false);
	if (!(f & (CKPT_VMA_ANON | CKPT_VMA_SHMEM | CKPT_VMA_HUGETLB)))
		return add_file(c, v);
	next_stretch(c, v->rec.start, v->rec.end, &start, &end);
	return add_segment(c, v, v->rec.start, v->rec.end, start < end);
}

/* From PN_XNUM segments on their number is in a section header (elf(5), e_phnum). */
static bool many(const struct core *c)
{
	return nr_segments(c) + 1 >= PN_XNUM;
}

static uint64_t notes_offset(const struct core *c)
{
	return sizeof(Elf64_Ehdr) + (nr_segments(c) + 1) * sizeof(Elf64_Phdr) +
	       (many(c) ? sizeof(Elf64_Shdr) : 0);
}

static int layout(struct core *c)
{
	uint64_t at;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->model->nr_vmas; i++)
		ret = add_mapping(c, &c->model->vmas[i]);
	if (ret)
		return ckpt_err_sys(c->err, ret, "layout of the core");
	at = notes_offset(c) + c->notes.len;
	at = (at + c->page_size - 1) & ~(c->page_size - 1);
	for (size_t i = 0; i < nr_segments(c); i++) {
		struct segment *s = segment(c, i);

		s->offset = at;
		if (s->content && __builtin_add_overflow(at, s->end - s->start, &at))
			return ckpt_err_sys(c->err, EFBIG, "layout of the core");
	}
	c->result->segments = nr_segments(c);
	c->result->size = at;
	return 0;
}

/* -------------------------------------------------------------------------------- headers */

static int append_headers(const struct core *c, struct buf *b)
{
	const Elf64_Ehdr elf = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_ehsize = sizeof(elf), .e_phoff = sizeof(elf), .e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = many(c) ? PN_XNUM : nr_segments(c) + 1,
		.e_shoff = many(c) ? notes_offset(c) - sizeof(Elf64_Shdr) : 0,
		.e_shentsize = many(c) ? sizeof(Elf64_Shdr) : 0, .e_shnum = many(c),
	};
	const Elf64_Phdr notes = {
		.p_type = PT_NOTE, .p_offset = notes_offset(c), .p_filesz = c->notes.len, .p_align = 4,
	};
	const Elf64_Shdr number = { .sh_info = nr_segments(c) + 1, .sh_size = 1 };
	int ret = buf_append(b, &elf, sizeof(elf));

	if (!ret)
		ret = buf_append(b, &notes, sizeof(notes));
	for (size_t i = 0; !ret && i < nr_segments(c); i++) {
		const struct segment *s = segment(c, i);
		const Elf64_Phdr load = {
			.p_type = PT_LOAD, .p_flags = s->flags, .p_offset = s->offset,
			.p_vaddr = s->start, .p_memsz = s->end - s->start,
			.p_filesz = s->content ? s->end - s->start : 0, .p_align = c->page_size,
		};

		ret = buf_append(b, &load, sizeof(load));
	}
	if (!ret && many(c))
		ret = buf_append(b, &number, sizeof(number));
	return ret ? ret : buf_append(b, c->notes.data, c->notes.len);
}

static int write_headers(struct core *c)
{
	struct buf b = { 0 };
	int ret = append_headers(c, &b);

	if (!ret)
		ret = util_write_full(c->fd, b.data, b.len);
	if (!ret && ftruncate(c->fd, c->result->size))
		ret = -errno;
	buf_free(&b);
	return ret ? ckpt_err_sys(c->err, ret, "cannot write the core") : 0;
}

/* --------------------------------------------------------------------------------- memory */

static int compare_segment(const void *key, const void *entry)
{
	const uint64_t addr = *(const uint64_t *)key;
	const struct segment *s = entry;

	if (addr < s->start)
		return -1;
	return addr >= s->end;
}

static const struct segment *find_segment(const struct core *c, uint64_t addr)
{
	return nr_segments(c) ? bsearch(&addr, c->segments.data, nr_segments(c), sizeof(struct segment),
					compare_segment) : NULL;
}

/* A span may cross mappings that were merged since, or never were one. */
static int put_pages(struct core *c, uint64_t addr, const char *data, uint64_t len)
{
	int ret = 0;

	while (!ret && len) {
		const struct segment *s = find_segment(c, addr);
		uint64_t n;

		if (!s)
			return ckpt_err_set(c->err, EBADMSG, "the image has a page at %#llx, where nothing "
					    "is mapped", (unsigned long long)addr);
		n = s->end - addr < len ? s->end - addr : len;
		if (s->content) {
			ret = util_pwrite_full(c->fd, data, n, s->offset + (addr - s->start));
			if (ret)
				ckpt_err_sys(c->err, ret, "cannot write the core");
			c->result->data_pages += n / c->page_size;
		}
		addr += n;
		data += n;
		len -= n;
	}
	return ret;
}

static int put_span(struct core *c, size_t i, const struct chain_span *span)
{
	const void *data;
	int ret;

	if (span->kind != IMAGE_RUN_DATA)
		return 0;
	ret = chain_borrow(c->chain, i, c->err, &data);
	return ret ? ret : put_pages(c, span->addr, data, span->npages * c->page_size);
}

static int write_memory(struct core *c)
{
	uint64_t total = chain_pages(c->chain, IMAGE_RUN_DATA) * c->page_size, done = 0, told = 0;
	size_t member = 0;
	int ret = 0;

	for (size_t k = 0; !ret && k < chain_spans(c->chain); k++) {
		size_t i = chain_by_member(c->chain, k);
		struct chain_span span;

		chain_get_span(c->chain, i, &span);
		if (span.member != member)
			chain_trim(c->chain, member);
		member = span.member;
		ret = put_span(c, i, &span);
		done += span.kind == IMAGE_RUN_DATA ? span.npages * c->page_size : 0;
		if (!ret && c->progress && (done - told >= STEP || !k)) {
			told = done;
			ret = c->progress(done, total, c->arg);
			if (ret)
				ckpt_err_sys(c->err, ret, "core");
		}
	}
	chain_trim(c->chain, member);
	return ret;
}

/* -------------------------------------------------------------------------------------------- */

/* The beginning of the command line; "" where it cannot be read. */
static void read_args(struct core *c, char *args)
{
	uint64_t addr = c->model->mm.arg_start, n = c->model->mm.arg_end - addr;
	size_t i = chain_find(c->chain, addr);
	struct chain_span span;
	const char *data;

	args[0] = '\0';
	if (i == chain_spans(c->chain) || n > UINT32_MAX)
		return;
	chain_get_span(c->chain, i, &span);
	if (span.kind != IMAGE_RUN_DATA || span.addr > addr ||
	    chain_borrow(c->chain, i, NULL, (const void **)&data))
		return;
	if (n > ARGS - 1)
		n = ARGS - 1;
	if (n > span.addr + span.npages * c->page_size - addr)
		n = span.addr + span.npages * c->page_size - addr;
	memcpy(args, data + (addr - span.addr), n);
	for (uint64_t k = 0; k < n; k++)
		if (!args[k])
			args[k] = k + 1 < n ? ' ' : '\0';
	args[n] = '\0';
}

int core_write(struct chain *chain, const struct ckpt_model *model, int fd,
	       stream_progress_fn progress, void *arg, struct ckpt_err *err,
	       struct core_result *ret_result)
{
	const struct image_info *info = image_get_info(chain_image(chain));
	struct core c = {
		.chain = chain, .model = model, .fd = fd, .err = err, .result = ret_result,
		.page_size = info->page_size, .progress = progress, .arg = arg,
	};
	char args[ARGS];
	int ret;

	memset(ret_result, 0, sizeof(*ret_result));
	if (info->machine != EM_X86_64)
		return ckpt_err_set(err, EOPNOTSUPP, "%s: of another processor (ELF machine %u)",
				    image_label(chain_image(chain)), info->machine);
	read_args(&c, args);
	ret = core_notes(model, args, &c.notes);
	if (ret)
		ckpt_err_sys(err, ret, "notes of the core");
	if (!ret)
		ret = layout(&c);
	if (!ret)
		ret = write_headers(&c);
	if (!ret)
		ret = write_memory(&c);
	buf_free(&c.segments);
	buf_free(&c.notes);
	return ret;
}
