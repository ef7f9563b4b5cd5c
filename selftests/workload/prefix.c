// SPDX-License-Identifier: GPL-2.0-only
/*
 * prefix MIB 4k|thp - write what prefix.h describes
 *
 * After the first lap, when all pages exist, it says "ready"; at the end of the lap in which SIGTERM
 * comes it checks its own memory and prints the answer.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "prefix.h"
#include "work.h"

static struct prefix_head *head = (void *)PREFIX_HEAD;

static void on_term(int sig)
{
	atomic_store(&head->stop, 1);
}

static void *writer(void *arg)
{
	const int t = (int)(intptr_t)arg;
	const uint64_t size = head->size, slots = prefix_slots(size);
	struct prefix_slot *half = (void *)(PREFIX_BASE + t * size / 2);
	atomic_ulong *mine = &head->published[t].v, *other = &head->published[!t].v;

	for (uint64_t lap = 0;; lap++) {
		if (lap && atomic_load(&head->stop))
			return NULL;
		for (uint64_t v = lap * slots + 1; v <= (lap + 1) * slots; v++) {
			struct prefix_slot *s = &half[prefix_slot_of(size, v)];

			s->seen = atomic_load_explicit(other, memory_order_acquire);
			__atomic_store_n(&s->v, v, __ATOMIC_RELEASE);
			atomic_store_explicit(mine, v, memory_order_release);
		}
	}
}

static void map(uint64_t at, uint64_t len)
{
	void *p = mmap((void *)at, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != (void *)at)
		die("mmap: %s", strerror(errno));
}

static void check(void)
{
	uint64_t n[2], seen[2], published[2];

	for (int t = 0; t < 2; t++) {
		const struct prefix_slot *half = (void *)(PREFIX_BASE + t * head->size / 2);

		if (!prefix_check_half(half, t, head->size, &n[t], &seen[t]))
			die("half %d is torn", t);
		published[t] = head->published[t].v;
		if (published[t] != n[t] || n[t] % prefix_slots(head->size))
			die("half %d ends at %llu, published %llu", t, (unsigned long long)n[t],
			    (unsigned long long)published[t]);
	}
	if (!prefix_check_pair(n, seen, published))
		die("the halves are torn");
}

int main(int argc, char **argv)
{
	long mib = arg_number(argc, argv, 1, 64);
	bool thp = argc > 2 && !strcmp(argv[2], "thp");
	pthread_t threads[2];
	uint64_t size = (uint64_t)mib << 20;

	if (!mib || size & (size - 1))
		die("the size has to be a power of two");
	map(PREFIX_HEAD, 4096);
	map(PREFIX_BASE, size);
	advise_huge((void *)PREFIX_BASE, size, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	head->magic = PREFIX_MAGIC;
	head->size = size;
	signal(SIGTERM, on_term);
	for (int t = 0; t < 2; t++) {
		errno = pthread_create(&threads[t], NULL, writer, (void *)(intptr_t)t);
		if (errno)
			die("pthread_create: %s", strerror(errno));
	}
	while (head->published[0].v < prefix_slots(size) ||
	       head->published[1].v < prefix_slots(size))
		usleep(1000);
	say("ready");
	for (int t = 0; t < 2; t++)
		pthread_join(threads[t], NULL);
	check();
	say("both halves are whole");
	return 0;
}
