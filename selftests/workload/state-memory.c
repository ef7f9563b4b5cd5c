// SPDX-License-Identifier: GPL-2.0-only
/* The address space: every kind of mapping, its protection, advice and content. */
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "state.h"

#define PAGE	4096ul
#define AREA	(16 * PAGE)

static void fill(void *p, size_t len, uint64_t seed)
{
	uint64_t *w = p;

	for (size_t i = 0; i < len / 8; i++)
		w[i] = mix64(seed + i);
}

static bool filled(const void *p, size_t len, uint64_t seed)
{
	const uint64_t *w = p;

	for (size_t i = 0; i < len / 8; i++)
		if (w[i] != mix64(seed + i))
			return false;
	return true;
}

static void *map(size_t len, int prot, int flags, int fd)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return p;
}

static void *anon(size_t len)
{
	return map(len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* ---- content by kind ---- */

static char *plain, *read_only, *none, *shared, *sparse, *zeroed, *huge;
static int (*code)(void);

static void set_anon(void)
{
	static const unsigned char ret42[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	char *text = anon(PAGE);

	plain = anon(AREA);
	fill(plain, AREA, 1);
	read_only = anon(AREA);
	fill(read_only, AREA, 2);
	must(mprotect(read_only, AREA, PROT_READ));
	none = anon(AREA);
	fill(none, AREA, 3);
	must(mprotect(none, AREA, PROT_NONE));
	shared = map(AREA, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	fill(shared, AREA, 4);
	sparse = map(1ul << 32, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	for (uint64_t at = 0; at < 1ul << 32; at += 1ul << 28)
		fill(sparse + at, PAGE, at);
	zeroed = anon(AREA);
	want(*(volatile char *)zeroed == 0);	/* the zero page, mapped by a read */
	huge = anon(4 << 20);
	advise_huge(huge, 4 << 20, MADV_HUGEPAGE);
	fill(huge, 4 << 20, 5);
	memcpy(text, ret42, sizeof(ret42));
	must(mprotect(text, PAGE, PROT_READ | PROT_EXEC));
	code = (void *)text;
}

static void check_anon(void)
{
	want(filled(plain, AREA, 1));
	want(filled(read_only, AREA, 2));
	must(mprotect(none, AREA, PROT_READ));
	want(filled(none, AREA, 3));
	want(filled(shared, AREA, 4));
	for (uint64_t at = 0; at < 1ul << 32; at += 1ul << 28) {
		want(filled(sparse + at, PAGE, at));
		want(sparse[at + PAGE] == 0);
	}
	for (size_t i = 0; i < AREA; i++)
		want(zeroed[i] == 0);
	want(filled(huge, 4 << 20, 5));
	want(code() == 42);
	/* and they can be written as before */
	plain[5] ^= 1;
	zeroed[AREA - 1] = 1;
	shared[7] ^= 1;
}

/* ---- files ---- */

static char *file_private, *file_shared;

static void set_file(void)
{
	char *content = malloc(AREA);
	int fd = must(open("mapped-file", O_RDWR | O_CREAT, 0600));

	fill(content, AREA, 6);
	want(write(fd, content, AREA) == (ssize_t)AREA);
	file_private = map(AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	fill(file_private + 3 * PAGE, PAGE, 7);
	must(close(fd));
	fd = must(open("mapped-file", O_RDONLY));
	file_shared = map(AREA, PROT_READ, MAP_SHARED, fd);
	must(close(fd));
	free(content);
}

static void check_file(void)
{
	for (size_t i = 0; i < AREA / PAGE; i++) {
		want(filled(file_private + i * PAGE, PAGE, i == 3 ? 7 : 6 + i * PAGE / 8));
		want(filled(file_shared + i * PAGE, PAGE, 6 + i * PAGE / 8));
	}
}

/* ---- heap, and the numbers prctl(PR_SET_MM) sets ---- */

static char *heap, *heap_end;
static char *cmdline, *environ_text, *auxv;

static void set_numbers(void)
{
	heap = sbrk(5 * PAGE + 120);
	fill(heap, 5 * PAGE + 120, 8);
	cmdline = read_whole("/proc/self/cmdline");
	environ_text = read_whole("/proc/self/environ");
	auxv = read_whole("/proc/self/auxv");
}

static void check_numbers(void)
{
	want(filled(heap, 5 * PAGE + 120, 8));
	setfsuid(geteuid());	/* else environ is not ours to read; a change takes dumpable away */
	must(prctl(PR_SET_DUMPABLE, 1));
	want(!strcmp(cmdline, read_whole("/proc/self/cmdline")));
	want(!strcmp(environ_text, read_whole("/proc/self/environ")));
	want(!memcmp(auxv, read_whole("/proc/self/auxv"), 16));
	want(getauxval(AT_PAGESZ) == PAGE);
}

/* ---- the map itself, with its advice ---- */

static char *advised[5];
static char *smaps;

static void set_map(void)
{
	static const int advice[] = { MADV_DONTFORK, MADV_DONTDUMP, MADV_WIPEONFORK,
				      MADV_NOHUGEPAGE, MADV_RANDOM };

	for (int i = 0; i < 5; i++) {
		/* a hole on both sides: it is not to grow together with its neighbour */
		char *p = map(3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

		must(munmap(p, PAGE));
		must(munmap(p + 2 * PAGE, PAGE));
		advised[i] = p + PAGE;
		must(mprotect(advised[i], PAGE, PROT_READ | PROT_WRITE));
		if (advice[i] == MADV_NOHUGEPAGE)
			advise_huge(advised[i], PAGE, advice[i]);
		else
			must(madvise(advised[i], PAGE, advice[i]));
		fill(advised[i], PAGE, 100 + i);
	}
	must(mlock(plain, PAGE));
	must(mlock2(plain + 4 * PAGE, PAGE, MLOCK_ONFAULT));
}

/*
 * Line by line: address, protection and name of each mapping, and its VmFlags without "sd" (soft
 * dirty). Taken down late, when no mapping changes any more, into memory that is there already.
 */
static size_t boil_down(char *text, char *out)
{
	char *line, *save = NULL, range[64], perms[8], flags[256];
	size_t n = 0;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *name = strchr(line, '/'), *sd;

		if (sscanf(line, "%63[0-9a-f-] %7s", range, perms) == 2 && strchr(range, '-')) {
			n += sprintf(out + n, "%s %s %s\n", range, perms,
				     name && !strstr(name, "(deleted)") ? name : "");
		} else if (sscanf(line, "VmFlags: %255[^\n]", flags) == 1) {
			sd = strstr(flags, "sd ");
			if (sd)
				memmove(sd, sd + 3, strlen(sd + 3) + 1);
			n += sprintf(out + n, "\t%s\n", flags);
		}
	}
	return n;
}

static void set_smaps(void)
{
	static char kept[1 << 18];
	char *text;

	/* once for nothing: then the allocator has what it needs, and the second is the truth */
	free(read_whole("/proc/self/smaps"));
	text = read_whole("/proc/self/smaps");
	boil_down(text, kept);
	free(text);
	smaps = kept;
	heap_end = sbrk(0);
}

static void check_smaps(void)
{
	static char now[1 << 18];
	char *text, *a, *b, *sa = NULL, *sb = NULL;

	want(sbrk(0) == heap_end);
	text = read_whole("/proc/self/smaps");
	boil_down(text, now);
	free(text);
	a = strtok_r(smaps, "\n", &sa);
	b = strtok_r(now, "\n", &sb);
	while (a && b && !strcmp(a, b)) {
		a = strtok_r(NULL, "\n", &sa);
		b = strtok_r(NULL, "\n", &sb);
	}
	if (a || b)
		die("mapping was '%s', is '%s'", a ? a : "", b ? b : "");
	want(sbrk(3 * PAGE) == heap_end);
	*(volatile char *)heap_end = 1;
}

static void check_map(void)
{
	for (int i = 0; i < 5; i++)
		want(filled(advised[i], PAGE, 100 + i));
}

const struct aspect memory_aspects[] = {
	{ "anonymous memory", set_anon, check_anon },
	{ "memory of files", set_file, check_file },
	{ "heap, arguments, environment, auxiliary vector", set_numbers, check_numbers },
	{ "memory with advice", set_map, check_map },
	{ NULL }
};

/* First looked at, last taken down. */
const struct aspect map_aspects[] = {
	{ "the map", set_smaps, check_smaps },
	{ NULL }
};
