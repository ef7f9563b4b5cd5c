// SPDX-License-Identifier: GPL-2.0-only
/*
 * counter [STEPS [KIB]] - the plain program of the soak and kill tests
 *
 * A chain of hashes through KIB KiB of memory by one thread, while two others check, asleep most of the
 * time, that nothing of it was lost.  A line every hundredth of the STEPS, the chain's end last.
 * Without STEPS it goes on until SIGTERM and then says "in order" instead: the soak does not know
 * beforehand how long it takes.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "work.h"

static uint64_t *cells;
static size_t nr_cells;
static atomic_ulong steps_done;
static atomic_int ending;

static void on_term(int sig)
{
	atomic_store(&ending, 1);
}

/* Each cell holds a value of the chain and, in the word beside it, what it must mix to. */
static void *watch(void *arg)
{
	const struct timespec nap = { .tv_nsec = 5 * NSEC_PER_MSEC };
	unsigned long last = 0, now;

	while (!atomic_load(&ending)) {
		if (nanosleep(&nap, NULL))
			die("nanosleep: %s", strerror(errno));
		now = atomic_load(&steps_done);
		if (now < last)
			die("the count went back from %lu to %lu", last, now);
		last = now;
	}
	return NULL;
}

static void step(uint64_t *hash, unsigned long n)
{
	uint64_t *cell = cells + 2 * (*hash % nr_cells);

	if (cell[1] != mix64(cell[0]))
		die("step %lu: a cell holds %#llx and %#llx", n, (unsigned long long)cell[0],
		    (unsigned long long)cell[1]);
	*hash = mix64(*hash ^ cell[0]);
	cell[0] = *hash;
	cell[1] = mix64(*hash);
}

int main(int argc, char **argv)
{
	unsigned long steps = arg_number(argc, argv, 1, 0);
	uint64_t hash = 1;
	pthread_t watchers[2];
	sigset_t set;

	nr_cells = arg_number(argc, argv, 2, 4096) * 1024 / 16;
	cells = malloc(nr_cells * 16);
	for (size_t i = 0; i < nr_cells; i++) {
		cells[2 * i] = i;
		cells[2 * i + 1] = mix64(i);
	}
	signal(SIGTERM, on_term);
	/* so that SIGTERM finds the main thread and no sleeper sees an EINTR it may blame on us */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&watchers[i], NULL, watch, NULL))
			die("pthread_create");
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	say("ready");
	for (unsigned long n = 1; steps ? n <= steps : !atomic_load(&ending); n++) {
		step(&hash, n);
		atomic_store_explicit(&steps_done, n, memory_order_relaxed);
		if (steps && n % (steps / 100 ? steps / 100 : 1) == 0)
			say("%lu %016llx", n, (unsigned long long)hash);
	}
	atomic_store(&ending, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(watchers[i], NULL);
	if (steps)
		say("end %016llx", (unsigned long long)hash);
	else
		say("in order");
	return 0;
}
