// SPDX-License-Identifier: GPL-2.0-only
/*
 * blocking [ROUNDS] [HOLD_MS] [OUTSIDE] - one thread in each kind of blocking call
 *
 * Called as blocking-restorable it takes only the calls that need no socket, event descriptor,
 * System V IPC or child.  OUTSIDE is a file which somebody else holds a POSIX lock on; one thread waits for it.
 *
 * A round: the conductor opens it, every thread enters its call, and after HOLD_MS the conductor
 * serves the calls that wait for something one by one; the others end by their timeouts, as often as
 * fit.  Every call checks its result, so an EINTR, a byte lost or doubled, an early timeout or a
 * changed signal mask ends the program with status 1.  Output is the same in every run; the worst
 * lateness of each timeout goes to standard error.
 */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "blocking.h"

#define MAX_SEATS	96
/* Socket timeouts count in jiffies, which lag behind the clock where a virtual machine is starved. */
#define EARLY_NS	(100 * NSEC_PER_MSEC)

static struct seat seats[MAX_SEATS];
static struct seat *seat_of_signal[128];
static int nr_seats;
static int next_signal;
static long rounds, hold_ms;
static __thread sigset_t own_mask;
const char *outside_path;

static void count_signal(int sig)
{
	atomic_fetch_add(&seat_of_signal[sig]->handled, 1);
}

void seat_signal(struct seat *s)
{
	struct sigaction sa = { .sa_handler = count_signal };

	s->sig = SIGRTMIN + next_signal++;
	if (s->sig > SIGRTMAX)
		wrong(s, "no signal left");
	seat_of_signal[s->sig] = s;
	must(sigaction(s->sig, &sa, NULL));
}

/* The mask of a call was for that call only. */
void seat_expect_mask(struct seat *s)
{
	sigset_t now;

	pthread_sigmask(SIG_SETMASK, NULL, &now);
	if (memcmp(&now, &own_mask, 8))
		wrong(s, "the signal mask is not what it was before the call");
}

bool seat_done(struct seat *s)
{
	return atomic_load(&s->done) == atomic_load(&s->open);
}

void seat_timed_out(struct seat *s, bool as_expected, uint64_t begin)
{
	int err = errno;
	uint64_t took = mono() - begin;

	if (!as_expected)
		wrong(s, "no timeout but %s", strerror(err));
	if (took + EARLY_NS < WAIT_NS)
		wrong(s, "%llu us too early", (unsigned long long)(WAIT_NS - took) / 1000);
	if (took > WAIT_NS && took - WAIT_NS > s->late_ns)
		s->late_ns = took - WAIT_NS;
}

static void wait_for_round(struct seat *s, int round)
{
	int now;

	while ((now = atomic_load(&s->open)) < round)
		syscall(SYS_futex, &s->open, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void *sit(void *arg)
{
	struct seat *s = arg;
	int timeouts = (rounds * hold_ms + WAIT_MS - 1) / WAIT_MS;

	pthread_sigmask(SIG_SETMASK, NULL, &own_mask);
	if (s->kind->outside) {
		s->kind->block(s);
		return NULL;
	}
	if (!s->kind->serve) {
		for (s->round = 1; s->round <= timeouts; s->round++)
			s->kind->block(s);
		return NULL;
	}
	for (s->round = 1; s->round <= rounds; s->round++) {
		wait_for_round(s, s->round);
		s->kind->block(s);
		atomic_store(&s->done, s->round);
	}
	return NULL;
}

static void take_seats(const struct kind *k, bool restorable)
{
	for (; k->name; k++) {
		struct seat *s = &seats[nr_seats];

		if ((restorable && !k->restorable) || (k->outside && !outside_path))
			continue;
		if (++nr_seats > MAX_SEATS)
			die("too many kinds");
		s->kind = k;
		if (k->setup)
			k->setup(s);
	}
}

static void conduct(int round)
{
	struct timespec hold = ns_to_timespec(hold_ms * NSEC_PER_MSEC);

	for (struct seat *s = seats; s < seats + nr_seats; s++) {
		if (s->kind->reset)
			s->kind->reset(s);
		atomic_store(&s->open, round);
		syscall(SYS_futex, &s->open, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	if (nanosleep(&hold, NULL))
		die("conductor: nanosleep: %s", strerror(errno));
	for (struct seat *s = seats; s < seats + nr_seats; s++) {
		if (!s->kind->serve)
			continue;
		s->kind->serve(s);
		while (!seat_done(s))
			usleep(500);
	}
	say("round %d", round);
}

int main(int argc, char **argv)
{
	bool restorable = strstr(argv[0], "restorable") != NULL;
	sigset_t all;

	rounds = arg_number(argc, argv, 1, 4);
	hold_ms = arg_number(argc, argv, 2, 1000);
	outside_path = argc > 3 ? argv[3] : NULL;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);

	take_seats(time_kinds, restorable);
	take_seats(lock_kinds, restorable);
	take_seats(signal_kinds, restorable);
	take_seats(file_kinds, restorable);
	take_seats(ipc_kinds, restorable);
	for (struct seat *s = seats; s < seats + nr_seats; s++) {
		errno = pthread_create(&s->thread, NULL, sit, s);
		if (errno)
			die("pthread_create: %s", strerror(errno));
	}
	say("ready");
	for (int round = 1; round <= rounds; round++)
		conduct(round);
	say("rounds done");
	for (struct seat *s = seats; s < seats + nr_seats; s++) {
		pthread_join(s->thread, NULL);
		say("%s: right %s", s->kind->name, s->kind->serve ? "each time" : "and in time");
		if (s->late_ns)
			note("%s: latest by %llu us", s->kind->name,
			     (unsigned long long)s->late_ns / 1000);
	}
	ipc_remove();
	say("%d kinds of call", nr_seats);
	return 0;
}
