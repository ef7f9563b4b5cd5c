// SPDX-License-Identifier: GPL-2.0-only
/*
 * A core has the bytes the image has, at the addresses they were at; says of no other byte that it has
 * it, but that of untouched anonymous memory it is zero; and an image that lies about its pages ends
 * in an error or a core, and never in a loop.
 */
#include <elf.h>
#include <sys/procfs.h>

#include "chain.h"
#include "core.h"
#include "stores.h"

#define OWNER	4711u
#define NPAGES	64u		/* of each mapping */
#define SIZE	(NPAGES * PAGE)
#define ANON	0x10000000ull
#define FILED	0x20000000ull
#define HIDDEN	0x30000000ull	/* not to be dumped */
#define IDLE	0x40000000ull	/* nothing of it was ever touched */
#define SPLIT	0x50000000ull	/* two mappings that touch */

enum page { NOTHING, ZERO, OF_FILE, CONTENT };	/* CONTENT and above: noise of that seed */

static struct ckpt_model_vma vmas[] = {
	{ .rec = { .start = ANON, .end = ANON + SIZE, .flags = CKPT_VMA_ANON | CKPT_VMA_READ | CKPT_VMA_WRITE } },
	{ .rec = { .start = FILED, .end = FILED + SIZE, .flags = CKPT_VMA_READ, .pgoff = 8 * PAGE }, .path = "/lib/it" },
	{ .rec = { .start = HIDDEN, .end = HIDDEN + SIZE, .flags = CKPT_VMA_ANON | CKPT_VMA_DONTDUMP } },
	{ .rec = { .start = IDLE, .end = IDLE + SIZE, .flags = CKPT_VMA_ANON } },
	{ .rec = { .start = SPLIT, .end = SPLIT + SIZE / 2, .flags = CKPT_VMA_ANON } },
	{ .rec = { .start = SPLIT + SIZE / 2, .end = SPLIT + SIZE, .flags = CKPT_VMA_ANON | CKPT_VMA_READ } },
};
#define NVMAS	(sizeof(vmas) / sizeof(vmas[0]))

static const uint64_t bases[] = { ANON, FILED, HIDDEN, IDLE, SPLIT };
#define NBASES	(sizeof(bases) / sizeof(bases[0]))

static enum page pages[NBASES][NPAGES];

static elf_gregset_t registers[2];
static unsigned char xstate[2][832];
static uint64_t auxv[] = { AT_PAGESZ, PAGE, AT_NULL, 0 };
static struct ckpt_model_thread threads[2] = {
	{ .rec = { .tid = OWNER, .comm = "leader" }, .prstatus = registers[0],
	  .prstatus_len = sizeof(registers[0]), .xstate = xstate[0], .xstate_len = sizeof(xstate[0]) },
	{ .rec = { .tid = OWNER + 1 }, .prstatus = registers[1],
	  .prstatus_len = sizeof(registers[1]), .xstate = xstate[1], .xstate_len = sizeof(xstate[1]) },
};
static const struct ckpt_model model = {
	.proc.pid = OWNER, .system.page_size = PAGE, .vmas = vmas, .nr_vmas = NVMAS,
	.threads = threads, .nr_threads = 2, .auxv = auxv, .mm.auxv_len = sizeof(auxv),
};

static void make_pages(void)
{
	memset(pages, 0, sizeof(pages));
	for (unsigned int b = 0; b < NBASES; b++)
		for (unsigned int i = 0; bases[b] != IDLE && i < NPAGES; i++)
			pages[b][i] = rnd_below(3) ? CONTENT + (enum page)rnd_below(1000) :
				(enum page)rnd_below(bases[b] == FILED ? 3 : 2);
}

static void put_page(struct image_writer *w, uint64_t addr, enum page what)
{
	unsigned char data[PAGE];
	struct ckpt_err err = CKPT_ERR_INIT;
	int ret = 0;

	if (what == ZERO)
		ret = image_writer_zero(w, addr, 1, &err);
	else if (what == OF_FILE)
		ret = image_writer_file(w, addr, 1, addr - FILED + 8 * PAGE, &err);
	if (what >= CONTENT) {
		fill_page(data, PAGE, FILL_NOISE, what);
		ret = image_writer_data(w, addr, 1, data, &err);
	}
	REQUIRE_OK(ret, err);
}

/* The image of pages; or, with @zeros, only of that many pages of zeros at @addr. */
static struct chain *put_image(struct store *s, uint64_t addr, uint64_t zeros)
{
	struct image_params params = {
		.job = "job", .page_size = PAGE, .frame_size = 8 * PAGE, .pid = OWNER,
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_writer *iw;
	struct store_writer *w;
	struct chain *c;

	REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
	params.generation = store_writer_generation(w);
	REQUIRE_OK(image_writer_open(store_writer_fd(w), &params, &err, &iw), err);
	REQUIRE_OK(image_writer_begin_pages(iw, OWNER, &err), err);
	if (zeros)
		REQUIRE_OK(image_writer_zero(iw, addr, zeros, &err), err);
	for (unsigned int i = 0; !zeros && i < NBASES * NPAGES; i++)
		put_page(iw, bases[i / NPAGES] + i % NPAGES * PAGE, pages[i / NPAGES][i % NPAGES]);
	REQUIRE_OK(image_writer_end_pages(iw, &err, NULL), err);
	REQUIRE_OK(image_writer_finish(iw, &err, NULL), err);
	REQUIRE_OK(store_writer_commit(w, &err), err);
	image_writer_close(iw);
	store_writer_close(w);
	REQUIRE_OK(chain_open(s, "job", false, &err, &c), err);
	REQUIRE_OK(chain_load(c, OWNER, &err), err);
	return c;
}

static struct bytes core_of(struct chain *c, struct core_result *r)
{
	int fd = memfd_create("core", MFD_CLOEXEC);
	struct ckpt_err err = CKPT_ERR_INIT;
	struct bytes b;

	REQUIRE(fd >= 0);
	REQUIRE_OK(core_write(c, &model, fd, NULL, NULL, &err, r), err);
	b = bytes_of_fd(fd);
	REQUIRE_EQ(b.size, r->size);
	close(fd);
	return b;
}

/* Where the core has the page at @addr; NULL: it has none. Its address has to be in one segment. */
static const unsigned char *page_of(const struct bytes *core, uint64_t addr)
{
	const Elf64_Ehdr *elf = (const void *)core->data;
	const Elf64_Phdr *ph = (const void *)(core->data + elf->e_phoff);
	const unsigned char *found = NULL;
	unsigned int segments = 0;

	for (unsigned int i = 0; i < elf->e_phnum; i++, ph++) {
		if (ph->p_type != PT_LOAD || addr < ph->p_vaddr || addr >= ph->p_vaddr + ph->p_memsz)
			continue;
		segments++;
		REQUIRE(ph->p_offset % PAGE == 0 && (!ph->p_filesz || ph->p_filesz == ph->p_memsz));
		REQUIRE(ph->p_offset + ph->p_filesz <= core->size);
		if (ph->p_filesz)
			found = core->data + ph->p_offset + (addr - ph->p_vaddr);
	}
	REQUIRE_EQ(segments, 1);
	return found;
}

static void check_page(const struct bytes *core, uint64_t base, uint64_t addr, enum page what)
{
	const unsigned char *got = page_of(core, addr);
	unsigned char want[PAGE] = { 0 };

	if (what >= CONTENT)
		fill_page(want, PAGE, FILL_NOISE, what);
	if (base == HIDDEN || base == IDLE || what == OF_FILE || (base == FILED && what == NOTHING))
		REQUIRE(!got);
	else
		REQUIRE(got && !memcmp(got, want, PAGE));
}

static void a_core_has_what_the_image_has(void)
{
	struct core_result r;
	struct store *s;

	enter_scratch();
	s = open_store();
	for (int n = 0; n < 20; n++) {
		struct chain *c;
		struct bytes core;

		make_pages();
		c = put_image(s, 0, 0);
		core = core_of(c, &r);
		for (unsigned int i = 0; i < NBASES * NPAGES; i++)
			check_page(&core, bases[i / NPAGES], bases[i / NPAGES] + i % NPAGES * PAGE,
				   pages[i / NPAGES][i % NPAGES]);
		free(core.data);
		chain_close(c);
	}
	store_close(s);
}

/* The note of that type of thread @nth; its body, which is aligned to 4 bytes and no more. */
static const void *find_note(const struct bytes *core, uint32_t type, unsigned int nth, size_t *len)
{
	const Elf64_Phdr *ph = (const void *)(core->data + sizeof(Elf64_Ehdr));
	const unsigned char *at = core->data + ph->p_offset, *end = at + ph->p_filesz;

	REQUIRE_EQ(ph->p_type, PT_NOTE);
	while (at < end) {
		const Elf64_Nhdr *n = (const void *)at;
		const unsigned char *body = at + sizeof(*n) + ((n->n_namesz + 3) & ~3u);

		REQUIRE(body + n->n_descsz <= end);
		*len = n->n_descsz;
		if (n->n_type == type && !nth--)
			return body;
		at = body + ((n->n_descsz + 3) & ~3u);
	}
	return NULL;
}

static void notes_tell_of_threads_and_files(void)
{
	struct elf_prstatus status;
	const void *note;
	uint64_t files[5];
	struct core_result r;
	struct bytes core;
	struct store *s;
	struct chain *c;
	size_t len;

	enter_scratch();
	s = open_store();
	make_pages();
	registers[1][0] = 0x1234567;
	memset(xstate[1], 7, sizeof(xstate[1]));
	c = put_image(s, 0, 0);
	core = core_of(c, &r);
	note = find_note(&core, NT_PRSTATUS, 1, &len);
	REQUIRE(note && len == sizeof(status));
	memcpy(&status, note, sizeof(status));
	REQUIRE(status.pr_pid == (pid_t)OWNER + 1 && status.pr_reg[0] == 0x1234567);
	REQUIRE(!find_note(&core, NT_PRSTATUS, 2, &len));
	REQUIRE(!memcmp(find_note(&core, NT_X86_XSTATE, 1, &len), xstate[1], sizeof(xstate[1])));
	REQUIRE(!memcmp(find_note(&core, NT_FPREGSET, 1, &len), xstate[1], 512));
	REQUIRE(!memcmp(find_note(&core, NT_AUXV, 0, &len), auxv, sizeof(auxv)));
	note = find_note(&core, NT_FILE, 0, &len);
	REQUIRE(note && len == sizeof(files) + sizeof("/lib/it"));
	memcpy(files, note, sizeof(files));
	REQUIRE(files[0] == 1 && files[1] == PAGE && files[2] == FILED && files[4] == 8);
	REQUIRE(!strcmp((const char *)note + sizeof(files), "/lib/it"));
	free(core.data);
	chain_close(c);
	store_close(s);
}

static void pages_up_to_the_top_of_all_addresses_end(void)
{
	static const uint64_t starts[] = { ANON, FILED, FILED + SIZE - PAGE, IDLE + PAGE, SPLIT };
	struct core_result r;
	struct store *s;

	enter_scratch();
	s = open_store();
	for (unsigned int i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct chain *c = put_image(s, starts[i], -starts[i] / PAGE);
		struct bytes core = core_of(c, &r);

		REQUIRE(page_of(&core, starts[i]));
		free(core.data);
		chain_close(c);
	}
	store_close(s);
}

static void pages_of_no_mapping_are_damage(void)
{
	struct ckpt_model empty = model;
	struct ckpt_err err = CKPT_ERR_INIT;
	struct core_result r;
	struct store *s;
	struct chain *c;

	enter_scratch();
	s = open_store();
	make_pages();
	pages[0][0] = CONTENT;
	c = put_image(s, 0, 0);
	empty.nr_vmas = 0;
	REQUIRE_EQ(core_write(c, &empty, memfd_create("core", MFD_CLOEXEC), NULL, NULL, &err, &r), -EBADMSG);
	REQUIRE(strstr(err.text, "where nothing is mapped"));
	chain_close(c);
	store_close(s);
}

static const struct tap_test tests[] = {
	{ "a_core_has_what_the_image_has", a_core_has_what_the_image_has },
	{ "notes_tell_of_threads_and_files", notes_tell_of_threads_and_files },
	{ "pages_up_to_the_top_of_all_addresses_end", pages_up_to_the_top_of_all_addresses_end },
	{ "pages_of_no_mapping_are_damage", pages_of_no_mapping_are_damage },
};

TAP_MAIN(tests)
