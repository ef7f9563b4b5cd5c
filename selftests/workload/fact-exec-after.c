// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program that is executed afterwards gets: descriptors but those closed by exec, the mask and what is
 * ignored, limits, directory, umask; and threads and memory can be made as ever.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fact.h"

#define SCRIPT	"test ! -e /proc/self/fd/%d && test -e /proc/self/fd/%d && test $(umask) = 0027 && "	\
		"test $(ulimit -n) = 321 && test \"$LEFT\" = there && test ${PWD##*/} = below && "	\
		"grep -q 'SigIgn:.*200$' /proc/self/status && cat <&%d >/dev/null"

static int goes, stays;

static void set_up(void)
{
	const struct rlimit files = { 321, 4000 };

	must(mkdir("below", 0700));
	must(chdir("below"));
	goes = must(open("/dev/null", O_RDONLY | O_CLOEXEC));
	stays = must(open("stays", O_RDWR | O_CREAT, 0600));
	want(write(stays, "ab", 2) == 2);
	must(lseek(stays, 0, SEEK_SET));
	umask(027);
	must(setrlimit(RLIMIT_NOFILE, &files));
	must(setenv("LEFT", "there", 1));
	signal(SIGUSR1, SIG_IGN);
}

static void *add(void *arg)
{
	char *memory = malloc(1 << 20);

	memset(memory, 1, 1 << 20);
	*(int *)arg += memory[12345];
	free(memory);
	return NULL;
}

static void look(void)
{
	char script[512];
	pthread_t thread;
	int status, sum = 0;

	for (int i = 0; i < 100; i++)
		want(!pthread_create(&thread, NULL, add, &sum) && !pthread_join(thread, NULL));
	want(sum == 100);
	snprintf(script, sizeof(script), SCRIPT, goes, stays, stays);
	status = system(script);
	want(WIFEXITED(status) && !WEXITSTATUS(status));
	want(lseek(stays, 0, SEEK_CUR) == 2);
}

FACT(set_up, look)
