// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program's side of hooks, with signals made up: the thread's wait (--wrap=syscall) is answered by
 * a script, so that each order of signals, silence and death can be had.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "err.h"
#include "hooks.h"
#include "libckpt.h"
#include "tap.h"

#define N	4711ull		/* number of a snapshot */
#define SILENCE	0ull
#define DEADLINE	60		/* seconds */

long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);

static const uint64_t *script;	/* words and silences, to the end of which the thread gets */
static size_t script_len, script_at;
static pid_t asker;
static char said[256];

/* Arguments of rt_sigtimedwait(), or of the calls that are let through. */
long __wrap_syscall(long nr, ...)
{
	long a, b, c, d;
	siginfo_t *info;
	va_list ap;

	va_start(ap, nr);
	a = va_arg(ap, long);
	b = va_arg(ap, long);
	c = va_arg(ap, long);
	d = va_arg(ap, long);
	va_end(ap);
	if (nr != SYS_rt_sigtimedwait || __atomic_load_n(&script_at, __ATOMIC_SEQ_CST) == script_len)
		return __real_syscall(nr, a, b, c, d);
	info = (siginfo_t *)b;
	info->si_code = SI_QUEUE;
	info->si_pid = asker;
	info->si_value.sival_ptr = (void *)script[script_at];
	if (script[__atomic_fetch_add(&script_at, 1, __ATOMIC_SEQ_CST)] != SILENCE)
		return SIGRTMAX;
	errno = EAGAIN;
	return -1;
}

static void before(void *arg)
{
	REQUIRE(arg == said);
	strcat(said, "before ");
}

static void after(void *arg, enum ckpt_after what)
{
	static const char * const names[] = {
		[CKPT_AFTER_TAKEN] = "taken ", [CKPT_AFTER_GIVEN_UP] = "given-up ",
		[CKPT_AFTER_RESTORED] = "restored ",
	};

	strcat(said, names[what]);
}

/* Run the script to its end, asked by @from. */
static void run(const uint64_t *words, size_t n, pid_t from)
{
	const struct ckpt_hooks hooks = { .size = sizeof(hooks), .before = before, .after = after, .arg = said };
	struct ckpt_err err = CKPT_ERR_INIT;

	script = words;
	script_len = n;
	asker = from;
	alarm(DEADLINE);
	REQUIRE_OK(ckpt_hooks_start(&hooks, &err), err);
	while (__atomic_load_n(&script_at, __ATOMIC_SEQ_CST) < n)
		usleep(100);
	REQUIRE_OK(ckpt_hooks_stop(&err), err);
}

#define RUN(from, ...)	do {								\
		const uint64_t words[] = { __VA_ARGS__ };				\
		run(words, sizeof(words) / sizeof(*words), from);			\
	} while (0)

static void need_said(const char *want)
{
	if (strcmp(said, want))
		printf("# it says '%s', not '%s'\n", said, want);
	REQUIRE(!strcmp(said, want));
}

/* The number of a process that has ended. */
static pid_t nobody(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	REQUIRE(waitpid(pid, NULL, 0) == pid);
	return pid;
}

static void answer_that_waits_counts_though_who_asked_is_gone(void)
{
	RUN(nobody(), hooks_word(N, HOOKS_BEFORE), SILENCE, hooks_word(N, HOOKS_RESTORED));
	need_said("before restored ");
}

static void who_is_gone_without_an_answer_gave_up(void)
{
	RUN(nobody(), hooks_word(N, HOOKS_BEFORE), SILENCE, hooks_word(1, HOOKS_TAKEN), SILENCE);
	need_said("before given-up ");
}

static void who_is_there_is_waited_for(void)
{
	RUN(getpid(), hooks_word(N, HOOKS_BEFORE), SILENCE, SILENCE, SILENCE, hooks_word(N, HOOKS_TAKEN));
	need_said("before taken ");
}

static void answers_to_others_are_none(void)
{
	RUN(getpid(), hooks_word(N, HOOKS_BEFORE), hooks_word(N + 1, HOOKS_TAKEN), hooks_word(N, HOOKS_BEFORE),
	    hooks_word(N, HOOKS_READY), hooks_word(N, HOOKS_QUIT), hooks_word(N, HOOKS_GIVEN_UP));
	need_said("before given-up ");
}

static void question_that_comes_again_is_the_same(void)
{
	RUN(getpid(), hooks_word(N, HOOKS_BEFORE), hooks_word(N, HOOKS_TAKEN), hooks_word(N, HOOKS_BEFORE),
	    hooks_word(N, HOOKS_TAKEN), hooks_word(0, HOOKS_BEFORE), hooks_word(N + 1, HOOKS_BEFORE),
	    hooks_word(N + 1, HOOKS_GIVEN_UP));
	need_said("before taken before given-up ");
}

/* Of who cannot be seen a minute is enough, in slices of a second; of who is there ten. */
static void nobody_is_waited_for_for_ever(void)
{
	static uint64_t words[1 + 600 + 1] = { N << 8 | HOOKS_BEFORE };	/* and silence */

	run(words, 1 + 60 + 1, 0);
	need_said("before given-up ");
	words[0] = hooks_word(N + 1, HOOKS_BEFORE);
	said[0] = '\0';
	script_at = 0;
	run(words, 1 + 600 + 1, getpid());
	need_said("before given-up ");
}

static void whoever_uses_it_wrongly_is_told(void)
{
	struct ckpt_hooks hooks = { .size = sizeof(hooks) };

	REQUIRE_EQ(ckpt_hooks_stop(NULL), -ENOENT);
	hooks.signal = SIGUSR1;
	REQUIRE_EQ(ckpt_hooks_start(&hooks, NULL), -EINVAL);
	hooks.signal = SIGRTMIN;
	signal(SIGRTMIN, SIG_IGN);
	REQUIRE_EQ(ckpt_hooks_start(&hooks, NULL), -EBUSY);
	signal(SIGRTMIN, SIG_DFL);
	hooks.size--;
	REQUIRE_EQ(ckpt_hooks_start(&hooks, NULL), -EINVAL);
	hooks.size++;
	REQUIRE_EQ(ckpt_hooks_start(&hooks, NULL), 0);
	REQUIRE_EQ(ckpt_hooks_start(&hooks, NULL), -EALREADY);
	REQUIRE_EQ(ckpt_hooks_stop(NULL), 0);
	REQUIRE_EQ(ckpt_hooks_stop(NULL), -ENOENT);
}

static int results[2];

static void uses_them(void *arg)
{
	const struct ckpt_hooks hooks = { .size = sizeof(hooks) };

	results[0] = ckpt_hooks_start(&hooks, NULL);
	results[1] = ckpt_hooks_stop(NULL);
}

static void hook_that_stops_them_does_not_hang(void)
{
	const struct ckpt_hooks hooks = { .size = sizeof(hooks), .before = uses_them };
	static const uint64_t words[] = { N << 8 | HOOKS_BEFORE, N << 8 | HOOKS_TAKEN };

	script = words;
	script_len = 2;
	asker = getpid();
	alarm(DEADLINE);
	REQUIRE_EQ(ckpt_hooks_start(&hooks, NULL), 0);
	while (__atomic_load_n(&script_at, __ATOMIC_SEQ_CST) < script_len)
		usleep(100);
	REQUIRE_EQ(ckpt_hooks_stop(NULL), 0);
	REQUIRE(results[0] == -EDEADLK && results[1] == -EDEADLK);
}

/* From outside, but in one process. */
static void who_asks_sees_whether_they_have_waited_all_the_time(void)
{
	static struct hooks_page page = {
		.magic = HOOKS_MAGIC, .version = HOOKS_VERSION, .size = sizeof(page), .signal = 64,
		.word = N << 8 | HOOKS_READY,
	};
	struct hooks h = { .pid = getpid(), .tid = getpid(), .addr = (uintptr_t)&page, .number = N,
			   .waiting = true };

	REQUIRE_EQ(hooks_check(&h, NULL), 0);
	page.word = hooks_word(N, HOOKS_IDLE);
	REQUIRE_EQ(hooks_check(&h, NULL), -ECANCELED);
	page.word = hooks_word(N + 1, HOOKS_READY);
	REQUIRE_EQ(hooks_check(&h, NULL), -ECANCELED);
	page.word = hooks_word(N, HOOKS_READY);
	page.magic++;
	REQUIRE_EQ(hooks_check(&h, NULL), -ECANCELED);
	h.waiting = false;		/* it has none */
	REQUIRE_EQ(hooks_check(&h, NULL), 0);
}

static int go_on(void *arg)
{
	return 0;
}

static void program_is_asked_waits_and_is_told(void)
{
	const struct ckpt_hooks hooks = { .size = sizeof(hooks), .before = before, .after = after, .arg = said };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct hooks h;

	alarm(DEADLINE);
	REQUIRE_OK(hooks_before(getpid(), 10000, go_on, NULL, &err, &h), err);
	REQUIRE(!h.tid && !h.waiting);
	REQUIRE_OK(ckpt_hooks_start(&hooks, &err), err);
	REQUIRE_OK(hooks_before(getpid(), 10000, go_on, NULL, &err, &h), err);
	REQUIRE(h.tid && h.waiting && h.ns);
	need_said("before ");
	REQUIRE_OK(hooks_check(&h, &err), err);
	hooks_after(&h, HOOKS_TAKEN);
	REQUIRE_OK(ckpt_hooks_stop(&err), err);
	need_said("before taken ");
	REQUIRE_OK(hooks_before(getpid(), 10000, go_on, NULL, &err, &h), err);
	REQUIRE(!h.tid);
}

static const struct tap_test tests[] = {
	{ "answer_that_waits_counts_though_who_asked_is_gone",
	  answer_that_waits_counts_though_who_asked_is_gone },
	{ "who_is_gone_without_an_answer_gave_up", who_is_gone_without_an_answer_gave_up },
	{ "who_is_there_is_waited_for", who_is_there_is_waited_for },
	{ "answers_to_others_are_none", answers_to_others_are_none },
	{ "question_that_comes_again_is_the_same", question_that_comes_again_is_the_same },
	{ "nobody_is_waited_for_for_ever", nobody_is_waited_for_for_ever },
	{ "whoever_uses_it_wrongly_is_told", whoever_uses_it_wrongly_is_told },
	{ "who_asks_sees_whether_they_have_waited_all_the_time",
	  who_asks_sees_whether_they_have_waited_all_the_time },
	{ "program_is_asked_waits_and_is_told", program_is_asked_waits_and_is_told },
	{ "hook_that_stops_them_does_not_hang", hook_that_stops_them_does_not_hang },
};

TAP_MAIN(tests)
