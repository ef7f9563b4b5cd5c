// SPDX-License-Identifier: GPL-2.0-only
/*
 * registered [ALARMS] - what a program asked the kernel for once, and counts on ever after
 *
 * A worker has a timer on its own processor time and works until it has had ALARMS signals of it. All
 * along it uses the memory barriers the process registered for. The first thread sleeps: a timer that
 * went by its clock would never fire.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "work.h"

#define EVERY_NS	(5 * NSEC_PER_MSEC)

static long wanted;
static atomic_long alarms;

static void on_alarm(int sig)
{
	atomic_fetch_add(&alarms, 1);
}

static void barrier(int cmd, const char *what)
{
	if (syscall(SYS_membarrier, cmd, 0, 0))
		die("membarrier: %s: %s", what, strerror(errno));
}

static void *work(void *arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec its = { ns_to_timespec(EVERY_NS), ns_to_timespec(EVERY_NS) };
	timer_t timer;

	must(timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &timer));
	must(timer_settime(timer, 0, &its, NULL));
	say("ready");
	while (atomic_load(&alarms) < wanted) {
		for (volatile int i = 0; i < 10000; i++)
			;
		barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, "private");
		barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, "sync core");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	pthread_t worker;

	wanted = arg_number(argc, argv, 1, 100);
	must(sigaction(SIGALRM, &sa, NULL));
	barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, "register");
	barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, "register");
	errno = pthread_create(&worker, NULL, work, NULL);
	if (errno)
		die("pthread_create: %s", strerror(errno));
	pthread_join(worker, NULL);
	say("enough alarms");
	return 0;
}
