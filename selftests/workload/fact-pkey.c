// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protection keys: numbers, what each thread may do with them, memory that has one, also a key that was
 * freed meanwhile, and memory that can only be executed, for which the kernel takes a key by itself.
 * A processor without keys has nothing of it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>

#include "fact-smaps.h"

#define PAGE	4096ul

static bool have;
static int first, second, freed;
static char *locked, *frozen, *stale, *code, *plain_code, *left_out;
static sigjmp_buf back;
static int results[2];		/* of the other thread */
static pthread_t other;
static pthread_barrier_t barrier;

static const unsigned char ret42[] = { 0xb8, 42, 0, 0, 0, 0xc3 };

static void caught(int sig, siginfo_t *info, void *context)
{
	siglongjmp(back, info->si_code == SEGV_PKUERR ? 1 + (int)info->si_pkey : -1);
}

/* The register itself: a handler runs with all keys denied, and so does who jumps out of it. */
static unsigned int read_pkru(void)
{
	unsigned int value, high;

	asm volatile(".byte 0x0f, 0x01, 0xee" : "=a" (value), "=d" (high) : "c" (0));
	return value;
}

static void write_pkru(unsigned int value)
{
	asm volatile(".byte 0x0f, 0x01, 0xef" : : "a" (value), "c" (0), "d" (0) : "memory");
}

/* 0: that went well; else the key that stood in the way. */
static int store(volatile char *p, char value)
{
	const unsigned int pkru = read_pkru();
	int key = sigsetjmp(back, 1);

	if (!key)
		*p = value;
	write_pkru(pkru);
	return key ? key - 1 : 0;
}

static int load(volatile char *p)
{
	const unsigned int pkru = read_pkru();
	int key = sigsetjmp(back, 1);

	if (!key)
		(void)*p;
	write_pkru(pkru);
	return key ? key - 1 : 0;
}

static int number_of(const void *p)
{
	return atoi(smaps_line(p, "ProtectionKey:"));
}

static char *code_page(int key, int prot)
{
	char *p = lone_pages(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	memcpy(p, ret42, sizeof(ret42));
	must(pkey_mprotect(p, PAGE, prot, key));
	return p;
}

/* It may do what the first thread may not. */
static void *in_other(void *arg)
{
	must(pkey_set(first, 0));
	must(pkey_set(second, PKEY_DISABLE_ACCESS));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	results[0] = pkey_get(first);
	results[1] = pkey_get(second);
	return NULL;
}

static void set_up(void)
{
	struct sigaction act = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
	int gap;

	must(sigaction(SIGSEGV, &act, NULL));
	gap = pkey_alloc(0, 0);
	have = gap > 0;
	if (!have)
		return;
	first = must(pkey_alloc(0, 0));
	code = code_page(-1, PROT_EXEC);		/* the kernel takes the next one */
	second = must(pkey_alloc(0, 0));
	freed = must(pkey_alloc(0, 0));
	plain_code = code_page(0, PROT_EXEC);

	locked = lone_pages(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	frozen = lone_pages(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	stale = lone_pages(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	left_out = lone_pages(PAGE, PROT_READ, MAP_PRIVATE);
	*locked = 11;
	*frozen = 22;
	*stale = 33;
	must(pkey_mprotect(locked, PAGE, PROT_READ | PROT_WRITE, first));
	must(pkey_mprotect(frozen, PAGE, PROT_READ | PROT_WRITE, second));
	must(pkey_mprotect(stale, PAGE, PROT_READ | PROT_WRITE, freed));
	must(pkey_mprotect(left_out, PAGE, PROT_READ, first));
	must(pkey_free(freed));
	must(pkey_free(gap));
	must(pkey_set(first, PKEY_DISABLE_ACCESS));
	must(pkey_set(second, PKEY_DISABLE_WRITE));

	must(pthread_barrier_init(&barrier, NULL, 2));
	must(pthread_create(&other, NULL, in_other, NULL));
	pthread_barrier_wait(&barrier);
	want(load(locked) == first && number_of(code) == first + 1 && second == first + 2);
}

static void look(void)
{
	if (!have)
		return;
	want(pkey_get(first) == PKEY_DISABLE_ACCESS && load(locked) == first);
	want(load(left_out) == first);
	want(pkey_get(second) == PKEY_DISABLE_WRITE && *frozen == 22 && store(frozen, 1) == second);
	pthread_barrier_wait(&barrier);
	must(pthread_join(other, NULL));
	want(results[0] == 0 && results[1] == PKEY_DISABLE_ACCESS);

	want(number_of(stale) == freed && *stale == 33 && number_of(locked) == first);
	want(number_of(code) == first + 1 && ((int (*)(void))code)() == 42 && load(code) == first + 1);
	want(number_of(plain_code) == 0 && ((int (*)(void))plain_code)() == 42);
	must(pkey_set(first, 0));
	want(!load(locked) && *locked == 11);

	/* The lowest that is free, then the next: none more is taken than was, and none less. */
	want(pkey_alloc(0, 0) == 1);
	want(pkey_alloc(0, 0) == freed);
	want(pkey_alloc(0, 0) == freed + 1);
	want(number_of(code_page(-1, PROT_EXEC)) == first + 1);
}

FACT(set_up, look)
