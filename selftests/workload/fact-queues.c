// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signals that wait, with all that is told of them: for the process and for each of two threads, the same
 * numbers in each; some queued several times; codes of the kernel's and of the program's own.
 */
#include <sys/syscall.h>

#include "fact-aside.h"

#define NR	(SIGRTMIN + 3)
#define TIMES	40

static struct aside other;
static pid_t first_tid;

static siginfo_t info_of(int sig, int code, int number)
{
	siginfo_t info = { .si_signo = sig, .si_code = code };

	info.si_pid = 100000 + number;		/* what a sender says of himself may be anything */
	info.si_uid = 4000000000u;
	info.si_errno = number;
	info.si_value.sival_ptr = (void *)(0xfedc000000000000ul + (unsigned int)number);
	return info;
}

static void send(pid_t tid, int sig, int code, int number)
{
	siginfo_t info = info_of(sig, code, number);

	if (tid)
		must(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, sig, &info));
	else
		must(syscall(SYS_rt_sigqueueinfo, getpid(), sig, &info));
}

static void comes(int sig, int code, int number)
{
	const struct timespec none = { 0 };
	siginfo_t info = { 0 }, wanted = info_of(sig, code, number);
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, sig);
	want(syscall(SYS_rt_sigtimedwait, &one, &info, &none, 8) == sig);
	if (memcmp(&info, &wanted, 48))
		die("signal %d number %d: code %d, errno %d, from %d", sig, number, info.si_code,
		    info.si_errno, info.si_pid);
}

static void send_own(void)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);

	for (int i = 0; i < TIMES; i++)
		send(tid, NR, SI_QUEUE, 1000 + i);
	send(tid, SIGSEGV, SI_TKILL, 7);
	send(tid, SIGCHLD, -60, 8);
	send(tid, SIGTTIN, -9, 9);
}

/* A thread's own come first. */
static void own_come(void)
{
	for (int i = 0; i < TIMES; i++)
		comes(NR, SI_QUEUE, 1000 + i);
	comes(SIGSEGV, SI_TKILL, 7);
	comes(SIGCHLD, -60, 8);
	comes(SIGTTIN, -9, 9);
}

static void set_up(void)
{
	sigset_t all;

	sigfillset(&all);
	must(sigprocmask(SIG_SETMASK, &all, NULL));
	first_tid = (pid_t)syscall(SYS_gettid);
	aside_begin(&other, send_own, own_come);
	for (int i = 0; i < TIMES; i++)
		send(0, NR, i & 1 ? -1000 - i : SI_QUEUE, i);
	send(0, SIGBUS, SI_MESGQ, 50);
	send(first_tid, NR, SI_TKILL, 60);
	must(kill(getpid(), SIGSEGV));
}

static void look(void)
{
	const struct timespec none = { 0 };
	siginfo_t info;
	sigset_t one;

	comes(NR, SI_TKILL, 60);
	aside_look(&other);
	for (int i = 0; i < TIMES; i++)
		comes(NR, i & 1 ? -1000 - i : SI_QUEUE, i);
	comes(SIGBUS, SI_MESGQ, 50);
	sigemptyset(&one);
	sigaddset(&one, SIGSEGV);
	want(sigtimedwait(&one, &info, &none) == SIGSEGV && info.si_code == SI_USER &&
	     info.si_pid == getpid());
}

FACT(set_up, look)
