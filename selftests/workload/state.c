// SPDX-License-Identifier: GPL-2.0-only
/*
 * state [creds] - everything a single process can have, put into an unusual state, and checked
 *
 * Sets it all up, says "ready", waits for SIGTERM and looks whether all is as it was: the same calls
 * that a program would make to ask. One line for each aspect. With creds it gives up being root first.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "state.h"

static const struct aspect *sets[7];
static int nr_sets;

char *read_whole(const char *path)
{
	size_t size = 1 << 20, done = 0;
	char *buf = malloc(size);
	int fd = must(open(path, O_RDONLY | O_CLOEXEC));
	ssize_t n;

	while ((n = must(read(fd, buf + done, size - 1 - done))) > 0)
		done += n;
	close(fd);
	buf[done] = '\0';
	return buf;
}

static void set_all(void)
{
	for (int i = 0; i < nr_sets; i++)
		for (const struct aspect *a = sets[i]; a->name; a++)
			a->set();
}

/* What was set up last is looked at first: a check may change what came before. */
static void check_all(void)
{
	for (int i = nr_sets; i--;) {
		for (const struct aspect *a = sets[i]; a->name; a++) {
			a->check();
			say("%s: as it was", a->name);
		}
	}
}

int main(int argc, char **argv)
{
	int sig;
	bool creds = argc > 1 && !strcmp(argv[1], "creds");
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	sets[nr_sets++] = memory_aspects;
	if (!creds)
		sets[nr_sets++] = file_aspects;	/* some of it only root may look at */
	sets[nr_sets++] = process_aspects;
	if (creds)
		sets[nr_sets++] = creds_aspects;
	sets[nr_sets++] = signal_aspects;
	sets[nr_sets++] = map_aspects;
	set_all();
	say("ready");
	want(!sigwait(&term, &sig));
	check_all();
	say("all as it was");
	return 0;
}
