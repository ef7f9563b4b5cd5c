// SPDX-License-Identifier: GPL-2.0-only
/*
 * timers [ROUNDS] - timers, sleeps and signals whose exact number is known beforehand
 *
 * Six threads work through ROUNDS rounds each of
 *   clock  ITIMER_REAL, and POSIX timers on three clocks, one shot each, the next armed when the last
 *          has arrived: a signal lost stops the program, one too many is seen
 *   burn   ITIMER_VIRTUAL, ITIMER_PROF and a POSIX timer on the process's processor time, likewise
 *   sleep  nanosleep, clock_nanosleep, poll without descriptors; never EINTR, never early
 *   ping, pong  a turn passed back and forth by futex, and futex waits that time out
 *   storm  a stream of sigqueue() with counted payloads, to the process and to one thread, most of
 *          them while blocked, so that a queue of them is pending at nearly every moment
 *
 * A periodic timer and one with SIGEV_NONE run besides.  Output is the same in every run.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "work.h"

#define STORM_BURST	32		/* queued while the receiver has them blocked */
#define SIG_POSIX	(SIGRTMIN + 0)	/* one-shot POSIX timers */
#define SIG_PERIOD	(SIGRTMIN + 1)	/* the periodic one */
#define SIG_STORM	(SIGRTMIN + 2)	/* to the process */
#define SIG_STORM_THREAD (SIGRTMIN + 3)	/* to the receiving thread */

static long rounds;

static atomic_long alarms, virtuals, profs, posix_hits[4], period_hits;
static atomic_int armed_real, armed_virtual, armed_prof, armed_posix[4];
static atomic_long storm_process, storm_thread, storm_sum;
static atomic_int turn;
static pthread_t storm_receiver;

static pid_t my_tid(void)
{
	return syscall(SYS_gettid);
}

static long futex(atomic_int *word, int op, int value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* ---- signal handlers: each takes one arming and counts one arrival ---- */

static void take(atomic_int *armed, atomic_long *count, const char *what)
{
	if (atomic_exchange(armed, 0) != 1)
		die("%s: a signal arrived that no timer was armed for", what);
	atomic_fetch_add(count, 1);
}

static void on_alarm(int sig)
{
	if (sig == SIGALRM)
		take(&armed_real, &alarms, "ITIMER_REAL");
	else if (sig == SIGVTALRM)
		take(&armed_virtual, &virtuals, "ITIMER_VIRTUAL");
	else
		take(&armed_prof, &profs, "ITIMER_PROF");
}

static void on_posix(int sig, siginfo_t *info, void *context)
{
	int which = info->si_value.sival_int & 0xff;

	if (info->si_code != SI_TIMER || (info->si_value.sival_int >> 8) != 0x5a5a00 || which > 3)
		die("POSIX timer: code %d, value %#x", info->si_code, info->si_value.sival_int);
	if (info->si_overrun)
		die("POSIX timer %d: a one-shot timer with %d overruns", which, info->si_overrun);
	take(&armed_posix[which], &posix_hits[which], "POSIX timer");
}

static void on_period(int sig, siginfo_t *info, void *context)
{
	if (info->si_code != SI_TIMER || info->si_overrun < 0)
		die("periodic timer: code %d, overrun %d", info->si_code, info->si_overrun);
	atomic_fetch_add(&period_hits, 1 + info->si_overrun);
}

static void on_storm(int sig, siginfo_t *info, void *context)
{
	atomic_long *count = sig == SIG_STORM ? &storm_process : &storm_thread;
	long expected = atomic_fetch_add(count, 1);

	if (info->si_code != SI_QUEUE || info->si_pid != getpid())
		die("storm: code %d from pid %d", info->si_code, info->si_pid);
	/* queued signals of one number to one place are delivered in order */
	if ((long)(uintptr_t)info->si_value.sival_ptr != expected)
		die("storm: signal %d carries %ld, expected %ld", sig,
		    (long)(uintptr_t)info->si_value.sival_ptr, expected);
	atomic_fetch_add(&storm_sum, mix64(expected) & 0xffff);
	if (!pthread_equal(pthread_self(), storm_receiver))
		die("storm: delivered to a thread that has it blocked");
}

static void handle(int sig, void *handler, int flags)
{
	struct sigaction sa = { .sa_flags = flags };

	sa.sa_sigaction = handler;
	sigemptyset(&sa.sa_mask);
	must(sigaction(sig, &sa, NULL));
}

static void let_in(const int *sigs, int n)
{
	sigset_t set;

	sigemptyset(&set);
	while (n--)
		sigaddset(&set, sigs[n]);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Wait for a count without a lost wakeup: the handler may run in any thread that lets it in. */
static void await(atomic_long *count, long value, bool (*work)(void))
{
	while (atomic_load(count) < value) {
		if (!work())
			usleep(500);
	}
	if (atomic_load(count) != value)
		die("counted %ld, expected %ld", atomic_load(count), value);
}

static bool idle(void)
{
	return false;
}

static bool burn(void)
{
	static volatile uint64_t sink;

	for (int i = 0; i < 2000; i++)
		sink = mix64(sink);
	return true;
}

/* Nobody is done long before the others: at each moment all of it is going on. */
static void keep_pace(long round)
{
	while (atomic_load(&alarms) < round - 2)
		usleep(500);
}

/* ---- threads ---- */

static timer_t make_timer(clockid_t clock, int which, pid_t tid)
{
	struct sigevent ev = {
		.sigev_notify = tid ? SIGEV_THREAD_ID : SIGEV_SIGNAL,
		.sigev_signo = SIG_POSIX,
		.sigev_value.sival_int = 0x5a5a00 << 8 | which,
	};
	timer_t t;

	ev._sigev_un._tid = tid;
	must(timer_create(clock, &ev, &t));
	return t;
}

static void shoot(timer_t t, int which, uint64_t ns, int flags)
{
	struct itimerspec its = { .it_value = ns_to_timespec(ns) };

	if (atomic_exchange(&armed_posix[which], 1))
		die("POSIX timer %d: armed already", which);
	must(timer_settime(t, flags, &its, NULL));
}

static void shoot_itimer(int which, atomic_int *armed, long usec)
{
	struct itimerval it = { .it_value.tv_usec = usec };

	if (atomic_exchange(armed, 1))
		die("itimer %d: armed already", which);
	must(setitimer(which, &it, NULL));
}

static void *clock_thread(void *arg)
{
	const int mine[] = { SIGALRM, SIG_POSIX, SIG_PERIOD };
	timer_t monotonic, realtime, directed;

	let_in(mine, 3);
	monotonic = make_timer(CLOCK_MONOTONIC, 0, 0);
	realtime = make_timer(CLOCK_REALTIME, 1, 0);
	directed = make_timer(CLOCK_BOOTTIME, 2, my_tid());
	for (long i = 1; i <= rounds; i++) {
		shoot_itimer(ITIMER_REAL, &armed_real, 3000);
		shoot(monotonic, 0, 4 * NSEC_PER_MSEC, 0);
		shoot(realtime, 1, now_ns(CLOCK_REALTIME) + 5 * NSEC_PER_MSEC, TIMER_ABSTIME);
		shoot(directed, 2, 2 * NSEC_PER_MSEC, 0);
		await(&alarms, i, idle);
		for (int k = 0; k < 3; k++)
			await(&posix_hits[k], i, idle);
	}
	return NULL;
}

static void *burn_thread(void *arg)
{
	const int mine[] = { SIGVTALRM, SIGPROF, SIG_POSIX };
	timer_t cpu;

	let_in(mine, 3);
	cpu = make_timer(CLOCK_PROCESS_CPUTIME_ID, 3, 0);
	for (long i = 1; i <= rounds / 4; i++) {
		keep_pace(4 * i);
		shoot_itimer(ITIMER_VIRTUAL, &armed_virtual, 2000);
		shoot_itimer(ITIMER_PROF, &armed_prof, 2000);
		shoot(cpu, 3, 2 * NSEC_PER_MSEC, 0);
		await(&virtuals, i, burn);
		await(&profs, i, burn);
		await(&posix_hits[3], i, burn);
	}
	return NULL;
}

static void not_early(const char *what, uint64_t begin, uint64_t ns)
{
	uint64_t took = now_ns(CLOCK_MONOTONIC) - begin;

	if (took < ns)
		die("%s: %llu ns too early", what, (unsigned long long)(ns - took));
}

static void *sleep_thread(void *arg)
{
	const uint64_t ns = 2 * NSEC_PER_MSEC;
	struct timespec rel = ns_to_timespec(ns), abs;
	uint64_t begin;
	int ret;

	for (long i = 1; i <= rounds; i++) {
		keep_pace(i);
		begin = now_ns(CLOCK_MONOTONIC);
		if (nanosleep(&rel, NULL))
			die("nanosleep: %s", strerror(errno));
		not_early("nanosleep", begin, ns);

		begin = now_ns(CLOCK_MONOTONIC);
		abs = ns_to_timespec(begin + ns);
		ret = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &abs, NULL);
		if (ret)
			die("clock_nanosleep: %s", strerror(ret));
		not_early("clock_nanosleep", begin, ns);

		begin = now_ns(CLOCK_MONOTONIC);
		ret = poll(NULL, 0, 2);
		if (ret)
			die("poll: %d, %s", ret, strerror(errno));
		not_early("poll", begin, ns);
	}
	return NULL;
}

/* Pass the turn: value 2i is ping's, 2i+1 is pong's. */
static void *ping_pong_thread(void *arg)
{
	const int odd = (int)(intptr_t)arg;
	const struct timespec short_wait = { .tv_nsec = NSEC_PER_MSEC };
	atomic_int never = 0;
	uint64_t begin;

	for (int i = 0; i < 10 * rounds; i++) {
		int now;

		while ((now = atomic_load(&turn)) != 2 * i + odd) {
			if (futex(&turn, FUTEX_WAIT_PRIVATE, now, NULL) && errno != EAGAIN)
				die("futex wait: %s", strerror(errno));
		}
		atomic_store(&turn, now + 1);
		must(futex(&turn, FUTEX_WAKE_PRIVATE, 1, NULL));
		if (i % 10 == 0) {
			keep_pace(i / 10);
			begin = now_ns(CLOCK_MONOTONIC);
			if (!futex(&never, FUTEX_WAIT_PRIVATE, 0, &short_wait) ||
			    errno != ETIMEDOUT)
				die("futex timeout: %s", strerror(errno));
			not_early("futex", begin, NSEC_PER_MSEC);
		}
	}
	return NULL;
}

static void *storm_receive_thread(void *arg)
{
	const struct timespec pause = { .tv_nsec = NSEC_PER_MSEC };
	const long total = rounds * STORM_BURST;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG_STORM);
	sigaddset(&set, SIG_STORM_THREAD);
	while (atomic_load(&storm_process) < total || atomic_load(&storm_thread) < total) {
		nanosleep(&pause, NULL);
		/* the queue of the last millisecond comes in at once */
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	}
	return NULL;
}

static void *storm_send_thread(void *arg)
{
	for (long i = 0; i < rounds * STORM_BURST; i++) {
		union sigval v = { .sival_ptr = (void *)(uintptr_t)i };

		while (sigqueue(getpid(), SIG_STORM, v)) {
			if (errno != EAGAIN)
				die("sigqueue: %s", strerror(errno));
			usleep(200);
		}
		while ((errno = pthread_sigqueue(storm_receiver, SIG_STORM_THREAD, v))) {
			if (errno != EAGAIN)
				die("pthread_sigqueue: %s", strerror(errno));
			usleep(200);
		}
		if (i % STORM_BURST == STORM_BURST - 1)
			keep_pace(i / STORM_BURST);
	}
	return NULL;
}

static timer_t start_periodic(void)
{
	struct itimerspec its = {
		.it_value.tv_nsec = NSEC_PER_MSEC, .it_interval.tv_nsec = 7 * NSEC_PER_MSEC,
	};
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIG_PERIOD };
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	timer_t period, silent;

	must(timer_create(CLOCK_MONOTONIC, &ev, &period));
	must(timer_settime(period, 0, &its, NULL));
	must(timer_create(CLOCK_MONOTONIC, &none, &silent));
	its.it_value.tv_sec = 100000;
	must(timer_settime(silent, 0, &its, NULL));
	return silent;
}

static void check_silent(timer_t silent)
{
	struct itimerspec left;

	must(timer_gettime(silent, &left));
	if (left.it_value.tv_sec >= 100000 || left.it_value.tv_sec < 90000 ||
	    left.it_interval.tv_nsec != 7 * NSEC_PER_MSEC)
		die("silent timer: %ld s left, interval %ld ns", (long)left.it_value.tv_sec,
		    left.it_interval.tv_nsec);
}

int main(int argc, char **argv)
{
	void *(*threads[])(void *) = { clock_thread, burn_thread, sleep_thread, ping_pong_thread,
				       ping_pong_thread, storm_send_thread };
	pthread_t tid[6];
	timer_t silent;
	sigset_t all;

	rounds = arg_number(argc, argv, 1, 200);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	handle(SIGALRM, on_alarm, SA_RESTART);
	handle(SIGVTALRM, on_alarm, SA_RESTART);
	handle(SIGPROF, on_alarm, SA_RESTART);
	handle(SIG_POSIX, on_posix, SA_RESTART | SA_SIGINFO);
	handle(SIG_PERIOD, on_period, SA_RESTART | SA_SIGINFO);
	handle(SIG_STORM, on_storm, SA_RESTART | SA_SIGINFO);
	handle(SIG_STORM_THREAD, on_storm, SA_RESTART | SA_SIGINFO);
	say("ready");

	silent = start_periodic();
	if (pthread_create(&storm_receiver, NULL, storm_receive_thread, NULL))
		die("pthread_create");
	for (int i = 0; i < 6; i++) {
		if (pthread_create(&tid[i], NULL, threads[i], (void *)(intptr_t)(i == 4)))
			die("pthread_create");
	}
	for (long i = 1; i <= 20; i++) {
		while (atomic_load(&alarms) < i * rounds / 20)
			usleep(1000);
		say("%ld %%", i * 5);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(tid[i], NULL);
	pthread_join(storm_receiver, NULL);

	check_silent(silent);
	if (!atomic_load(&period_hits))
		die("the periodic timer never fired");
	say("alarm %ld virtual %ld prof %ld", alarms, virtuals, profs);
	say("posix %ld %ld %ld %ld", posix_hits[0], posix_hits[1], posix_hits[2], posix_hits[3]);
	say("storm %ld %ld sum %ld turns %d", storm_process, storm_thread, storm_sum, turn);
	return 0;
}
