// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guard regions, MADV_GUARD_INSTALL (Linux 6.13; of files and shared memory 6.15): nobody can touch
 * their pages, and all beside them are as they were; in locked memory, too, and again when they are removed.
 * An older kernel has none, and this is memory as any other.
 */
#include <fcntl.h>
#include <sys/uio.h>

#include "fact-smaps.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif
#define PAGE	4096ul
#define NR	1200ul			/* of several page tables */

struct region {
	unsigned long from, to;
};

struct memory {
	int flags;
	bool file, locked;
	char *p;
	bool has;
	char vm_flags[512];
};

static const struct region regions[] = { { 0, 2 }, { 5, 6 }, { 500, 700 }, { 701, 1199 } };
static struct memory memories[] = {
	{ .flags = MAP_PRIVATE | MAP_ANONYMOUS },
	{ .flags = MAP_PRIVATE | MAP_ANONYMOUS, .locked = true },
	{ .flags = MAP_SHARED | MAP_ANONYMOUS },
	{ .flags = MAP_PRIVATE, .file = true },
};

#define NR_MEMORIES	(sizeof(memories) / sizeof(memories[0]))
#define NR_REGIONS	(sizeof(regions) / sizeof(regions[0]))

static bool is_guarded(const struct memory *m, unsigned long i)
{
	for (size_t k = 0; k < NR_REGIONS; k++)
		if (i >= regions[k].from && i < regions[k].to)
			return m->has;
	return false;
}

static bool can_be_read(char *p)
{
	char c;
	struct iovec to = { &c, 1 }, from = { p, 1 };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1;
}

/* The file has nothing but zeroes; every third page is never written. */
static char content(unsigned long i)
{
	return i % 3 ? (char)(i % 100 + 1) : 0;
}

static void make(struct memory *m)
{
	int fd = m->file ? must(open("guarded", O_RDWR | O_CREAT | O_TRUNC, 0600)) : -1;

	if (m->file)
		must(ftruncate(fd, NR * PAGE));
	m->p = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, m->flags, fd, 0);
	want(m->p != MAP_FAILED);
	if (m->file)
		must(close(fd));
	for (unsigned long i = 0; i < NR; i++)
		if (content(i))
			m->p[i * PAGE] = content(i);
	m->has = true;
	for (size_t k = 0; k < NR_REGIONS; k++)
		m->has &= !madvise(m->p + regions[k].from * PAGE, (regions[k].to - regions[k].from) * PAGE,
				   MADV_GUARD_INSTALL);
	if (m->locked)			/* fails where it cannot bring pages in, and marks it all the same */
		want(mlock(m->p, NR * PAGE) ? m->has && errno == ENOMEM : !m->has);
	strcpy(m->vm_flags, smaps_line(m->p, "VmFlags:"));
}

static void set_up(void)
{
	for (size_t i = 0; i < NR_MEMORIES; i++)
		make(&memories[i]);
}

static void look_at(struct memory *m)
{
	want(!strcmp(m->vm_flags, smaps_line(m->p, "VmFlags:")));
	for (unsigned long i = 0; i < NR; i++) {
		want(can_be_read(m->p + i * PAGE) == !is_guarded(m, i));
		want(is_guarded(m, i) || m->p[i * PAGE] == content(i));
	}
	if (!m->has)
		return;
	must(madvise(m->p, NR * PAGE, MADV_GUARD_REMOVE));
	for (unsigned long i = 0; i < NR; i++)
		want(m->p[i * PAGE] == (is_guarded(m, i) && !(m->flags & MAP_SHARED) ? 0 : content(i)));
}

static void look(void)
{
	for (size_t i = 0; i < NR_MEMORIES; i++)
		look_at(&memories[i]);
}

FACT(set_up, look)
