// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private memory that was one before fork() and is two now: each has what it wrote, and what neither
 * wrote; what was not for the child (MADV_DONTFORK) or empty for it (MADV_WIPEONFORK) is so.
 */

#include "fact-child.h"

#define PAGE	4096ul
#define PAGES	1024ul

static char *memory, *mine, *wiped;
static struct child child;
static bool is_child;

static void write_own(void)
{
	for (size_t i = is_child; i < PAGES; i += 4)
		memory[i * PAGE + is_child] = is_child ? 'c' : 'p';
}

static void has_own(void)
{
	for (size_t i = 0; i < PAGES; i++) {
		const char *p = memory + i * PAGE;

		want(p[0] == (!is_child && i % 4 == 0 ? 'p' : 'b'));
		want(p[1] == (is_child && i % 4 == 1 ? 'c' : 'b') && p[PAGE - 1] == 'b');
	}
}

static void set_up_child(void)
{
	is_child = true;
	write_own();
}

static void child_looks(void)
{
	unsigned char there;

	has_own();
	want(mincore(mine, PAGE, &there) == -1 && errno == ENOMEM && !*wiped);
}

static void set_up(void)
{
	memory = must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	mine = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	wiped = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	memset(memory, 'b', PAGES * PAGE);
	*mine = *wiped = 'm';
	must(madvise(mine, PAGE, MADV_DONTFORK));
	must(madvise(wiped, PAGE, MADV_WIPEONFORK));
	child_begin(&child, set_up_child, child_looks);
	write_own();
}

static void look(void)
{
	has_own();
	want(*mine == 'm' && *wiped == 'm');
	child_look(&child);
}

FACT(set_up, look)
