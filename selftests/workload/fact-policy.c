// SPDX-License-Identifier: GPL-2.0-only
/*
 * NUMA policies: of two threads and of mappings, private and shared. Every machine has node 0; a mask
 * that is kept as it was asked for may name nodes it does not have.
 */
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "fact-smaps.h"

#define PAGE	4096ul
#define AREA	(4 * PAGE)
#define NODES	1024ul

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node	450
#endif

static const struct {
	int mode;
	unsigned long nodes;
} wanted[] = {
	{ MPOL_BIND, 1 },
	{ MPOL_PREFERRED, 1 },
	{ MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, 5 },
	{ MPOL_BIND | MPOL_F_RELATIVE_NODES, 6 },
	{ MPOL_PREFERRED_MANY, 1 },
	{ MPOL_LOCAL, 0 },
	{ MPOL_BIND, 1 },		/* shared memory */
};

#define NR	(sizeof(wanted) / sizeof(*wanted))

static char *areas[NR], *homed;
static pthread_t other;
static pthread_barrier_t barrier;
static char home[256];

/* Of the mapping at @p, or of the thread. */
static bool has(void *p, int mode, unsigned long nodes)
{
	unsigned long mask[NODES / 64] = { 0 };
	int got = -1;

	want(!syscall(SYS_get_mempolicy, &got, mask, NODES, p, p ? MPOL_F_ADDR : 0));
	return got == mode && mask[0] == nodes;
}

static void *in_other(void *arg)
{
	unsigned long nodes = 1;

	must(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &nodes, 64ul));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	want(has(NULL, MPOL_INTERLEAVE, 1));
	return NULL;
}

/* The line of a mapping in /proc/self/numa_maps: its policy alone. */
static void show(const void *p, char *text, size_t size)
{
	unsigned long start;
	char line[4400], policy[200];
	FILE *f = fopen("/proc/self/numa_maps", "re");

	want(f);
	*text = 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx %199s", &start, policy) == 2 && start == (unsigned long)p)
			snprintf(text, size, "%s", policy);
	fclose(f);
}

static void set_up(void)
{
	unsigned long nodes = 1;

	must(pthread_barrier_init(&barrier, NULL, 2));
	must(pthread_create(&other, NULL, in_other, NULL));
	pthread_barrier_wait(&barrier);
	must(syscall(SYS_set_mempolicy, MPOL_BIND | MPOL_F_STATIC_NODES, &nodes, 64ul));
	for (size_t i = 0; i < NR; i++) {
		unsigned long mask = wanted[i].nodes;

		areas[i] = lone_pages(AREA, PROT_READ | PROT_WRITE, i == NR - 1 ? MAP_SHARED : MAP_PRIVATE);
		must(syscall(SYS_mbind, areas[i], AREA, wanted[i].mode, mask ? &mask : NULL, 64ul, 0));
		areas[i][PAGE] = (char)i;
		want(has(areas[i], wanted[i].mode, wanted[i].nodes));
	}
	homed = lone_pages(AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	must(syscall(SYS_mbind, homed, AREA, MPOL_BIND, &nodes, 64ul, 0));
	must(syscall(SYS_set_mempolicy_home_node, homed, AREA, 0ul, 0ul));
	show(homed, home, sizeof(home));
}

static void look(void)
{
	char now[256];

	want(has(NULL, MPOL_BIND | MPOL_F_STATIC_NODES, 1));
	for (size_t i = 0; i < NR; i++)
		want(has(areas[i], wanted[i].mode, wanted[i].nodes) && areas[i][PAGE] == (char)i);
	show(homed, now, sizeof(now));
	want(!strcmp(now, home) && *now);
	pthread_barrier_wait(&barrier);
	must(pthread_join(other, NULL));
}

FACT(set_up, look)
