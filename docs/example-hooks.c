// SPDX-License-Identifier: GPL-2.0-only
/* example-hooks: a program that drops its session key before a snapshot of it, and gets another. Needs -lckpt. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include <libckpt.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char session[32];	/* gone while a snapshot is taken */
static unsigned char *cache;		/* never in a snapshot, zero in a restored program */

static void before(void *arg)
{
	pthread_mutex_lock(&lock);	/* nobody connects meanwhile */
	memset(session, 0, sizeof(session));
}

static void after(void *arg, enum ckpt_after what)
{
	getrandom(session, sizeof(session), 0);	/* that is: connect anew */
	pthread_mutex_unlock(&lock);
	puts(what == CKPT_AFTER_RESTORED ? "restored" : what == CKPT_AFTER_TAKEN ? "taken" : "given up");
	fflush(stdout);
}

int main(void)
{
	const struct ckpt_hooks hooks = { .size = sizeof(hooks), .before = before, .after = after };
	struct ckpt_err *err = ckpt_err_new();

	cache = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cache == MAP_FAILED)
		return perror("mmap"), 1;
	if (ckpt_secret(cache, 1 << 20, err) || ckpt_hooks_start(&hooks, err))
		return fprintf(stderr, "%s\n", ckpt_err_text(err)), 1;
	cache[0] = 1;
	for (;;) {			/* a restored program fills its cache again */
		if (!cache[0])
			cache[0] = 1;
		sleep(1);
	}
}
