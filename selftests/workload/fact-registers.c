// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a thread has in its processor while it computes, and never in memory: x87 stack and control word,
 * MXCSR, vector registers, the direction flag, the base of GS. Two threads each go round with it.
 */
#include <asm/prctl.h>
#include <fenv.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "fact.h"

static volatile char stop;
static volatile int turning;
static pthread_t threads[2];

/* Until stop is set it makes no call and touches none of these. */
static __attribute__((target("avx"), noinline)) void turn(uint64_t seed)
{
	uint64_t vector[4] = { 0 }, gs, flags;
	double pi = 0;

	must(syscall(SYS_arch_prctl, ARCH_SET_GS, seed));
	fesetround(seed & 1 ? FE_UPWARD : FE_DOWNWARD);
	__atomic_add_fetch(&turning, 1, __ATOMIC_SEQ_CST);
	asm volatile("fldpi\n\t"
		     "vbroadcastsd %[seed], %%ymm7\n\t"
		     "std\n"
		     "1:\tpause\n\t"
		     "cmpb $0, %[stop]\n\t"
		     "je 1b\n\t"
		     "pushf\n\t"
		     "pop %[flags]\n\t"
		     "cld\n\t"
		     "vmovupd %%ymm7, %[vector]\n\t"
		     "fstpl %[pi]"
		     : [flags] "=&r"(flags), [vector] "=m"(vector), [pi] "=m"(pi)
		     : [seed] "m"(seed), [stop] "m"(stop) : "xmm7", "cc", "memory");
	must(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	want(pi > 3.14159 && pi < 3.1416 && gs == seed && flags & 0x400);
	for (int i = 0; i < 4; i++)
		want(vector[i] == seed);
	want(fegetround() == (seed & 1 ? FE_UPWARD : FE_DOWNWARD));
}

static void *turning_thread(void *arg)
{
	turn((uint64_t)arg);
	return NULL;
}

static void set_up(void)
{
	for (uintptr_t i = 0; i < 2; i++)
		want(!pthread_create(&threads[i], NULL, turning_thread, (void *)(0x12340 + i)));
	while (turning < 2)
		usleep(100);
}

static void look(void)
{
	stop = 1;
	for (int i = 0; i < 2; i++)
		want(!pthread_join(threads[i], NULL));
}

FACT(set_up, look)
