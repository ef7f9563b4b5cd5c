// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that wait for a signal.  Each seat has a signal of its own, blocked in every thread; a call
 * lets it in by a mask of its own, or takes it from the queue.
 */
#include <poll.h>
#include <sys/select.h>
#include <sys/signalfd.h>

#include "blocking.h"

static void serve_signal(struct seat *s)
{
	union sigval v = { .sival_int = 1000 + atomic_load(&s->open) };

	errno = pthread_sigqueue(s->thread, s->sig, v);
	if (errno)
		wrong(s, "pthread_sigqueue: %s", strerror(errno));
}

/* The seat's own signal and nothing else let in. */
static sigset_t own_signal_let_in(struct seat *s)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, s->sig);
	return set;
}

static sigset_t own_signal_only(struct seat *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, s->sig);
	return set;
}

/* EINTR is right here, if and only if the handler has run, and once. */
static void interrupted(struct seat *s, int ret)
{
	if (ret != -1 || errno != EINTR)
		wrong(s, "%d, %s", ret, strerror(errno));
	if (atomic_load(&s->handled) != s->round)
		wrong(s, "interrupted, but the handler ran %d times in %d rounds", s->handled,
		      s->round);
	seat_expect_mask(s);
}

static void block_sigsuspend(struct seat *s)
{
	sigset_t set = own_signal_let_in(s);

	interrupted(s, sigsuspend(&set));
}

static void block_ppoll_signal(struct seat *s)
{
	sigset_t set = own_signal_let_in(s);

	interrupted(s, ppoll(NULL, 0, NULL, &set));
}

static void block_pselect_signal(struct seat *s)
{
	struct timespec ts = { .tv_sec = LONG_S };
	sigset_t set = own_signal_let_in(s);

	interrupted(s, pselect(0, NULL, NULL, NULL, &ts, &set));
}

/* pause() lets the signal in for good, so it may come before the call: serve until it is seen. */
static void block_pause(struct seat *s)
{
	int before = atomic_load(&s->handled), ret;
	sigset_t own = own_signal_only(s);

	pthread_sigmask(SIG_UNBLOCK, &own, NULL);
	ret = pause();
	pthread_sigmask(SIG_BLOCK, &own, NULL);
	if (ret != -1 || errno != EINTR || atomic_load(&s->handled) == before)
		wrong(s, "returned without a signal");
	seat_expect_mask(s);
}

static void serve_pause(struct seat *s)
{
	while (!seat_done(s)) {
		pthread_kill(s->thread, s->sig);
		usleep(20000);
	}
}

static void took_signal(struct seat *s, int sig, siginfo_t *info)
{
	if (sig != s->sig || info->si_code != SI_QUEUE ||
	    info->si_value.sival_int != 1000 + s->round)
		wrong(s, "%d, %s, value %d", sig, strerror(errno), info->si_value.sival_int);
	seat_expect_mask(s);
}

static void block_sigwaitinfo(struct seat *s)
{
	sigset_t set = own_signal_only(s);
	siginfo_t info;

	took_signal(s, sigwaitinfo(&set, &info), &info);
}

static void block_sigtimedwait_served(struct seat *s)
{
	struct timespec ts = { .tv_sec = LONG_S };
	sigset_t set = own_signal_only(s);
	siginfo_t info;

	took_signal(s, sigtimedwait(&set, &info, &ts), &info);
}

static void block_sigtimedwait(struct seat *s)
{
	struct timespec ts = ns_to_timespec(WAIT_NS);
	sigset_t set = own_signal_only(s);
	uint64_t begin = mono();

	seat_timed_out(s, sigtimedwait(&set, NULL, &ts) == -1 && errno == EAGAIN, begin);
	seat_expect_mask(s);
}

static void setup_signalfd(struct seat *s)
{
	sigset_t set;

	seat_signal(s);
	set = own_signal_only(s);
	s->fd[0] = must(signalfd(-1, &set, SFD_CLOEXEC));
}

static void block_signalfd(struct seat *s)
{
	struct signalfd_siginfo info = { 0 };
	ssize_t n = read(s->fd[0], &info, sizeof(info));

	if (n != sizeof(info) || info.ssi_signo != (unsigned int)s->sig ||
	    info.ssi_int != 1000 + s->round)
		wrong(s, "%zd, %s, signal %u value %d", n, strerror(errno), info.ssi_signo,
		      info.ssi_int);
}

const struct kind signal_kinds[] = {
	{ "sigsuspend", true, false, seat_signal, block_sigsuspend, serve_signal },
	{ "pause", true, false, seat_signal, block_pause, serve_pause },
	{ "ppoll until a signal", true, false, seat_signal, block_ppoll_signal, serve_signal },
	{ "pselect until a signal", true, false, seat_signal, block_pselect_signal, serve_signal },
	{ "sigwaitinfo", true, false, seat_signal, block_sigwaitinfo, serve_signal },
	{ "sigtimedwait served", true, false, seat_signal, block_sigtimedwait_served,
	  serve_signal },
	{ "sigtimedwait", true, false, seat_signal, block_sigtimedwait },
	{ "signalfd", false, false, setup_signalfd, block_signalfd, serve_signal },
	{ NULL }
};
