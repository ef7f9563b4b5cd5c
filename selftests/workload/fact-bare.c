// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program without a C library, linked with nothing: no thread storage, no rseq, no robust list, no heap, no
 * handler; it blocks SIGTERM, waits for it, and looks whether its memory and its FS and GS are as they were.
 */
#include <asm/prctl.h>
#include <linux/signal.h>
#include <sys/syscall.h>

static unsigned long numbers[5000];
static long brk;

static long call(long nr, long a, long b, long c, long d)
{
	register long r10 asm("r10") = d;
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11",
		     "memory");
	return ret;
}

static void say(const char *text)
{
	long n = 0;

	while (text[n])
		n++;
	call(SYS_write, 1, (long)text, n, 0);
}

static int all_there(void)
{
	unsigned long fs = 1, gs = 1;

	for (unsigned long i = 0; i < 5000; i++)
		if (numbers[i] != i * i)
			return 0;
	call(SYS_arch_prctl, ARCH_GET_FS, (long)&fs, 0, 0);
	call(SYS_arch_prctl, ARCH_GET_GS, (long)&gs, 0, 0);
	return !fs && !gs && call(SYS_brk, 0, 0, 0, 0) == brk;
}

__attribute__((used, force_align_arg_pointer)) void _start(void)
{
	unsigned long term = 1ul << (SIGTERM - 1);
	int good;

	call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&term, 0, 8);
	for (unsigned long i = 0; i < 5000; i++)
		numbers[i] = i * i;
	brk = call(SYS_brk, 0, 0, 0, 0);
	say("ready\n");
	while (call(SYS_rt_sigtimedwait, (long)&term, 0, 0, 8) != SIGTERM)
		;
	good = all_there();
	say(good ? "as it was\n" : "not as it was\n");
	call(SYS_exit_group, !good, 0, 0, 0);
}
