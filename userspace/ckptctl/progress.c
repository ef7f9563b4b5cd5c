// SPDX-License-Identifier: GPL-2.0-only
/*
 * progress.c - the bar, and being interrupted.
 *
 * The state is static because a signal handler needs it; one bar at a time.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"

#define QUIET_NS	1000000000ull	/* shorter work needs no bar */
#define STEP_NS		100000000ull

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

#define NR_SIGNALS	(sizeof(signals) / sizeof(*signals))

static volatile sig_atomic_t came;	/* the signal */
static struct sigaction old[NR_SIGNALS];

static struct {
	const char	*what;
	bool		wanted;
	bool		shown;
	uint64_t	begin;
	uint64_t	last;
} bar;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void on_signal(int sig)
{
	came = sig;
}

void progress_begin(const struct ctl *ctl, const char *what)
{
	struct sigaction sa = { .sa_handler = on_signal };	/* no SA_RESTART: waits end */

	came = 0;
	for (size_t i = 0; i < NR_SIGNALS; i++) {
		sigaction(signals[i], NULL, &old[i]);
		if (old[i].sa_handler != SIG_IGN)		/* nohup */
			sigaction(signals[i], &sa, NULL);
	}
	bar.what = what;
	bar.wanted = !ctl->quiet && !ctl->json && isatty(STDERR_FILENO);
	bar.shown = false;
	bar.begin = bar.last = now();
}

static void draw(uint64_t done, uint64_t total, uint64_t elapsed)
{
	char have[OUT_SMALL], all[OUT_SMALL], rate[OUT_SMALL];
	static const char marks[] = "##############################";
	const int width = sizeof(marks) - 1;
	int full = total ? done * width / total : 0;

	fprintf(stderr, "\r%s [%.*s%*s] %3u%%  %s of %s, %s/s \033[K", bar.what, full, marks,
		width - full, "", total ? (unsigned int)(done * 100 / total) : 0,
		out_size(done, have), out_size(total, all),
		out_size(done * 1000000 / (elapsed / 1000 + 1), rate));
	bar.shown = true;
}

int progress_tell(uint64_t done, uint64_t total, void *arg)
{
	uint64_t t = now();

	if (came)
		return -EINTR;
	if (!bar.wanted || !total || t - bar.begin < QUIET_NS || t - bar.last < STEP_NS)
		return 0;
	bar.last = t;
	draw(done, total, t - bar.begin);
	return 0;
}

int progress_end(void)
{
	if (bar.shown)
		fputs("\r\033[K", stderr);
	for (size_t i = 0; i < NR_SIGNALS; i++)
		sigaction(signals[i], &old[i], NULL);
	return came;
}
