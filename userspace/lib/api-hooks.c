// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * api-hooks.c - libckpt.h, for the program that is snapshotted: its hooks.
 *
 * Owns the one thing of this library that belongs to the process and not to a context: its hooks, a
 * thread and the page it shows (hooks-page.h), since who takes a snapshot has to find them.
 *
 * Life:
 *  1. start() maps the page and makes the thread, signals blocked but for those of its own faults; it returns when that waits.
 *  2. The thread runs one round for each snapshot: before(), wait, after().  Whoever asked and died, or
 *     forgot, is told from one who stopped the program for long: the wait counts only time in which the
 *     thread has run (slices), and looks at his process number.
 *  3. stop() has the thread end, behind a round that is under way, joins it, and unmaps the page.
 *  4. fork(): the child has no such thread, and for it there are no hooks; it may start its own.
 *  5. A restored program has thread and page as they were.
 *
 * Locks: @lock for the pointer to the hooks, and one start or stop at a time.  The page is written by
 * the thread alone, its word atomically, as others read it at any time.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libckpt.h"

#include "err.h"
#include "hooks-page.h"

#define SLICE_SEC	1
#define SLICES_MOST	600	/* of who is there and does not answer: cloning files may take that long */
#define SLICES_UNKNOWN	60	/* of who cannot be looked at */

struct program_hooks {
	struct ckpt_hooks	hooks;
	struct hooks_page	*page;
	pid_t			pid;
	pthread_t		thread;
	sem_t			waits;
	bool			stop;		/* atomic */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct program_hooks *current;
static __thread bool is_serving;	/* this thread is the one that calls the hooks */

/* --------------------------------------------------------------------------------- thread */

static void say(struct program_hooks *p, uint64_t number, enum hooks_what what)
{
	__atomic_store_n(&p->page->word, hooks_word(number, what), __ATOMIC_SEQ_CST);
}

/* The word of the next signal that is ours; 0: none in @time (NULL: no limit). */
static uint64_t next_word(struct program_hooks *p, const struct timespec *time)
{
	struct hooks_page *page = p->page;

	for (;;) {
		/* Not by the C library: others have to find the page by the argument. */
		long sig = syscall(SYS_rt_sigtimedwait, &page->set, &page->info, time, sizeof(page->set));

		if (sig < 0 && errno == EAGAIN)
			return 0;
		if (sig == page->signal && page->info.si_code == SI_QUEUE)
			return (uintptr_t)page->info.si_value.sival_ptr;
	}
}

static bool is_gone(pid_t from)
{
	return from > 0 && kill(from, 0) && errno == ESRCH;
}

/* What became of snapshot @number, that process @from takes. */
static enum hooks_what wait_after(struct program_hooks *p, uint64_t number, pid_t from)
{
	const int most = from > 0 ? SLICES_MOST : SLICES_UNKNOWN;
	const struct timespec at_once = { 0 };
	const struct timespec *time = &p->page->slice;

	for (int slices = 0;;) {
		uint64_t word = next_word(p, time);

		if (word >> 8 == number && (word & 0xff) >= HOOKS_TAKEN && (word & 0xff) <= HOOKS_RESTORED)
			return word & 0xff;
		if (word)
			continue;
		/* He may have told us and ended; or this is a restored program, and his number another's. */
		if (time == &at_once)
			return HOOKS_GIVEN_UP;
		if (++slices >= most || is_gone(from))
			time = &at_once;
	}
}

static void run_round(struct program_hooks *p, uint64_t number, pid_t from)
{
	static const enum ckpt_after afters[] = {
		[HOOKS_TAKEN] = CKPT_AFTER_TAKEN, [HOOKS_GIVEN_UP] = CKPT_AFTER_GIVEN_UP,
		[HOOKS_RESTORED] = CKPT_AFTER_RESTORED,
	};
	enum hooks_what what;

	say(p, number, HOOKS_BEFORE);
	if (p->hooks.before)
		p->hooks.before(p->hooks.arg);
	say(p, number, HOOKS_READY);
	what = wait_after(p, number, from);
	say(p, number, HOOKS_AFTER);
	if (p->hooks.after)
		p->hooks.after(p->hooks.arg, afters[what]);
	say(p, number, HOOKS_IDLE);
}

static void *serve(void *arg)
{
	struct program_hooks *p = arg;
	uint64_t word = 0;

	is_serving = true;
	prctl(PR_SET_NAME, HOOKS_THREAD);
	p->page->tid = (int32_t)syscall(SYS_gettid);
	sem_post(&p->waits);
	while (!__atomic_load_n(&p->stop, __ATOMIC_SEQ_CST)) {
		uint64_t last = __atomic_load_n(&p->page->word, __ATOMIC_SEQ_CST) >> 8;

		word = next_word(p, NULL);
		if ((word & 0xff) == HOOKS_BEFORE && word >> 8 && word >> 8 != last)
			run_round(p, word >> 8, p->page->info.si_pid);
	}
	return NULL;
}

/* ------------------------------------------------------------------------- start and stop */

static int check_request(const struct ckpt_hooks *hooks, int *ret_signal, struct ckpt_err *err)
{
	int sig = hooks->signal ? hooks->signal : SIGRTMAX;
	struct sigaction act;

	if (hooks->size != sizeof(*hooks) || sig < SIGRTMIN || sig > SIGRTMAX)
		return ckpt_err_set(err, EINVAL, "hooks: size of the request, or signal %d, which is not one "
				    "for real time", sig);
	if (sigaction(sig, NULL, &act))
		return ckpt_err_sys(err, errno, "hooks: signal %d", sig);
	if (act.sa_handler != SIG_DFL) {
		ckpt_err_set(err, EBUSY, "hooks: signal %d is used by this program", sig);
		ckpt_err_hint(err, "give the hooks another one");
		return -EBUSY;
	}
	*ret_signal = sig;
	return 0;
}

static int map_page(struct program_hooks *p, int sig, struct ckpt_err *err)
{
	const size_t len = sysconf(_SC_PAGESIZE);
	struct hooks_page *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				       -1, 0);

	if (page == MAP_FAILED)
		return ckpt_err_sys(err, errno, "hooks: page");
	*page = (struct hooks_page){
		.magic = HOOKS_MAGIC, .version = HOOKS_VERSION, .size = sizeof(*page), .signal = sig,
		.set = 1ull << (sig - 1), .slice = { .tv_sec = SLICE_SEC },
	};
	p->page = page;
	return 0;
}

static int start_thread(struct program_hooks *p, struct ckpt_err *err)
{
	/* These are of what a hook itself does, and the program may have handlers for them. */
	static const int own_faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t all, old;
	int ret;

	sem_init(&p->waits, 0, 0);
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(own_faults) / sizeof(*own_faults); i++)
		sigdelset(&all, own_faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&p->thread, NULL, serve, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return ckpt_err_sys(err, ret, "hooks: thread");
	while (sem_wait(&p->waits) && errno == EINTR)
		;
	return 0;
}

static void free_hooks(struct program_hooks *p)
{
	if (p->page)
		munmap(p->page, sysconf(_SC_PAGESIZE));
	free(p);
}

static int start(const struct ckpt_hooks *hooks, struct ckpt_err *err)
{
	struct program_hooks *p;
	int sig = 0, ret = check_request(hooks, &sig, err);

	if (ret)
		return ret;
	if (current && current->pid == getpid())
		return ckpt_err_set(err, EALREADY, "hooks: this program has some already");
	p = calloc(1, sizeof(*p));
	if (!p)
		return ckpt_err_sys(err, ENOMEM, "hooks");
	p->hooks = *hooks;
	p->pid = getpid();
	ret = map_page(p, sig, err);
	if (!ret)
		ret = start_thread(p, err);
	if (ret) {
		free_hooks(p);
		return ret;
	}
	current = p;	/* in the child of a fork: what its parent had is not its own, and stays */
	return 0;
}

int ckpt_hooks_start(const struct ckpt_hooks *hooks, struct ckpt_err *err)
{
	int ret;

	if (is_serving)
		return ckpt_err_set(err, EDEADLK, "hooks: cannot be started by one of them");
	pthread_mutex_lock(&lock);
	ret = start(hooks, err);
	pthread_mutex_unlock(&lock);
	return ret;
}

/* As those who ask do, so that a thread that waits wakes: from this very process. */
static int send_quit(struct program_hooks *p)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = p->page->signal;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_value.sival_ptr = (void *)(uintptr_t)hooks_word(0, HOOKS_QUIT);
	return syscall(SYS_rt_tgsigqueueinfo, getpid(), p->page->tid, p->page->signal, &info) ? -errno : 0;
}

static int stop(struct ckpt_err *err)
{
	struct program_hooks *p = current;
	int ret;

	if (!p || p->pid != getpid())
		return ckpt_err_set(err, ENOENT, "hooks: this program has none");
	__atomic_store_n(&p->stop, true, __ATOMIC_SEQ_CST);
	ret = send_quit(p);
	if (ret) {
		__atomic_store_n(&p->stop, false, __ATOMIC_SEQ_CST);
		return ckpt_err_sys(err, ret, "hooks: signal to their thread");
	}
	pthread_join(p->thread, NULL);
	current = NULL;
	free_hooks(p);
	return 0;
}

int ckpt_hooks_stop(struct ckpt_err *err)
{
	int ret;

	if (is_serving)
		return ckpt_err_set(err, EDEADLK, "hooks: cannot be stopped by one of them");
	pthread_mutex_lock(&lock);
	ret = stop(err);
	pthread_mutex_unlock(&lock);
	return ret;
}
