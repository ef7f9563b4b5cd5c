/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs that check themselves all the time: what ioctl_fuzz.c freezes and takes pictures of.
 *
 * A thread of theirs is a worker. It makes steps, counts them, and notes what it finds wrong:
 * memory or registers that are not what it left there, a sleep that ended with EINTR or too early,
 * a sequence with a hole. struct life is shared with the test.
 */
#ifndef KERNEL_TEST_FUZZ_TARGET_H
#define KERNEL_TEST_FUZZ_TARGET_H

#include <linux/futex.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "target.h"

#define WORKERS		12
#define RUN_PAGES	24

struct life {
	volatile uint64_t steps[WORKERS];
	unsigned int nr;
	volatile bool quit;
	volatile pid_t child;		/* of the program that has some: the last one */
	char wrong[200];		/* the first thing that was; "" */
};

static struct life *life;		/* in the target: its own */

#define WRONG(fmt, ...)									\
	do {										\
		if (!life->wrong[0])							\
			snprintf(life->wrong, sizeof(life->wrong), "%s: " fmt,		\
				 __func__, ##__VA_ARGS__);				\
	} while (0)

/* ---- workers that run ---- */

/* Values in registers, over some time. */
static inline bool registers_hold(uint64_t value)
{
	uint64_t general = 0, vector = 0, n = 500;

	__asm__ volatile("movq %[v], %%r12\n\tmovq %[v], %%xmm5\n"
			 "1:\tdecq %[n]\n\tjnz 1b\n\t"
			 "movq %%r12, %[g]\n\tmovq %%xmm5, %[x]"
			 : [g] "=&r"(general), [x] "=&r"(vector), [n] "+&r"(n)
			 : [v] "r"(value) : "r12", "xmm5", "cc");
	return general == value && vector == value;
}

static inline uint64_t word_of(uint64_t generation, uint64_t at)
{
	return generation << 40 ^ (at + 1) * 0x9e3779b97f4a7c15ull;
}

/* The same words, one generation later; every word that is not of the last one is a loss. */
static inline void turn(volatile uint64_t *words, size_t nr, uint64_t generation, const char *where)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (words[i] != word_of(generation, i))
			WRONG("%s: word %zu of generation %lu is %#lx", where, i,
			      (unsigned long)generation, (unsigned long)words[i]);
		words[i] = word_of(generation + 1, i);
	}
}

static inline void *runs(void *arg)
{
	volatile uint64_t *steps = arg;
	uint64_t *mem = anon_memory(RUN_PAGES * PAGE), *shared = shared_memory(PAGE), generation;
	size_t i;

	for (i = 0; i < RUN_PAGES * PAGE / 8; i++)
		mem[i] = word_of(0, i);
	for (i = 0; i < PAGE / 8; i++)
		shared[i] = word_of(0, i);
	for (generation = 0; !life->quit; generation++) {
		turn(mem, RUN_PAGES * PAGE / 8, generation, "private memory");
		turn(shared, PAGE / 8, generation, "shared memory");
		if (!registers_hold(generation * 0x0101010101010101ull))
			WRONG("a register changed");
		++*steps;
	}
	return NULL;
}

/* Large pages where there are some; a few words at a time. */
static inline void *runs_in_large_pages(void *arg)
{
	volatile uint64_t *steps = arg;
	uint64_t *mem = aligned_memory(2 * HUGE), generation[16] = {};
	unsigned int at, i;

	advise_huge(mem, 2 * HUGE, MADV_HUGEPAGE);
	for (at = 0; at < 16; at++)
		for (i = 0; i < 64; i++)
			mem[at * HUGE / 64 + i] = word_of(0, i);
	for (at = 0; !life->quit; at = (at + 5) % 16) {
		turn(mem + at * HUGE / 64, 64, generation[at]++, "large page");
		++*steps;
	}
	return NULL;
}

/* A file open for writing and mapped: the barrier's business. */
static inline void *writes(void *arg)
{
	volatile uint64_t *steps = arg;
	char path[] = "/tmp/ckpt-fuzz-XXXXXX";
	int fd = must(mkstemp(path));
	volatile uint64_t *map;
	uint64_t n, back;

	unlink(path);
	must(ftruncate(fd, PAGE));
	map = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	for (n = 1; !life->quit; n++) {
		if (pwrite(fd, &n, sizeof(n), n % 500 * 8) != sizeof(n))
			WRONG("pwrite: %s", strerror(errno));
		if (map[n % 500] != n)
			WRONG("the mapping has %lu, %lu was written", (unsigned long)map[n % 500],
			      (unsigned long)n);
		if (pread(fd, &back, sizeof(back), n % 500 * 8) != sizeof(back) || back != n)
			WRONG("pread: not what was written");
		++*steps;
	}
	close(fd);
	return NULL;
}

/* ---- workers that sleep; somebody else of the program wakes them ---- */

struct ring {
	int pipe[2];
	int event, epoll;
	int word;		/* futex */
};

static struct ring ring;

static inline void *wakes(void *arg)
{
	volatile uint64_t *steps = arg;
	uint64_t n, one = 1;

	for (n = 1; !life->quit; n++) {
		if (write(ring.pipe[1], &n, sizeof(n)) != sizeof(n))
			WRONG("pipe: %s", strerror(errno));
		if (write(ring.event, &one, sizeof(one)) != sizeof(one))
			WRONG("eventfd: %s", strerror(errno));
		__atomic_add_fetch(&ring.word, 1, __ATOMIC_SEQ_CST);
		syscall(__NR_futex, &ring.word, FUTEX_WAKE, 9, NULL, NULL, 0);
		usleep(300);
		++*steps;
	}
	n = 0;			/* the end */
	if (write(ring.pipe[1], &n, sizeof(n)) != sizeof(n) ||
	    write(ring.event, &one, sizeof(one)) != sizeof(one))
		WRONG("the last: %s", strerror(errno));
	__atomic_add_fetch(&ring.word, 1, __ATOMIC_SEQ_CST);
	syscall(__NR_futex, &ring.word, FUTEX_WAKE, 9, NULL, NULL, 0);
	return NULL;
}

static inline void *reads_a_pipe(void *arg)
{
	volatile uint64_t *steps = arg;
	uint64_t n, last = 0;
	ssize_t len;

	for (;;) {
		len = read(ring.pipe[0], &n, sizeof(n));
		if (len != sizeof(n))
			WRONG("%zd, %s", len, strerror(errno));
		else if (!n)
			return NULL;
		else if (n != last + 1)
			WRONG("%lu after %lu", (unsigned long)n, (unsigned long)last);
		last = n;
		++*steps;
	}
}

/* epoll_wait(2) is one that the kernel never restarts: an EINTR would be seen. */
static inline void *waits_for_events(void *arg)
{
	volatile uint64_t *steps = arg;
	struct epoll_event event;
	uint64_t value;
	int n;

	while (!life->quit) {
		n = epoll_wait(ring.epoll, &event, 1, -1);
		if (n != 1)
			WRONG("%d, %s", n, strerror(errno));
		else if (read(ring.event, &value, sizeof(value)) != sizeof(value) || !value)
			WRONG("eventfd: %s", strerror(errno));
		++*steps;
	}
	return NULL;
}

static inline void *waits_for_a_word(void *arg)
{
	volatile uint64_t *steps = arg;
	int seen;

	while (!life->quit) {
		seen = __atomic_load_n(&ring.word, __ATOMIC_SEQ_CST);
		if (life->quit)
			break;
		if (syscall(__NR_futex, &ring.word, FUTEX_WAIT, seen, NULL, NULL, 0) &&
		    errno != EAGAIN)
			WRONG("%s", strerror(errno));
		++*steps;
	}
	return NULL;
}

static inline void *naps(void *arg)
{
	volatile uint64_t *steps = arg;
	struct timespec nap = { .tv_nsec = 1500000 };
	uint64_t begun;

	while (!life->quit) {
		begun = clock_ns();
		if (clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL))
			WRONG("interrupted");
		else if (clock_ns() - begun < 1500000)
			WRONG("%lu ns of 1500000", (unsigned long)(clock_ns() - begun));
		++*steps;
	}
	return NULL;
}

static inline void *polls(void *arg)
{
	volatile uint64_t *steps = arg;
	int n;

	while (!life->quit) {
		n = poll(NULL, 0, 2);
		if (n)
			WRONG("%d, %s", n, strerror(errno));
		++*steps;
	}
	return NULL;
}

/* ---- programs ---- */

static inline void set_to_work(void *(*work)(void *))
{
	unsigned int i = life->nr++;
	pthread_t t;

	if (pthread_create(&t, NULL, work, (void *)&life->steps[i]))
		_exit(110);
}

/* Until told to quit, and all the others have ended. */
static inline void leave_with(struct target *me, void *(*work)(void *))
{
	target_say(me);
	work((void *)&life->steps[life->nr++]);
	syscall(__NR_exit, 0);		/* the last thread ends the process, with status 0 */
}

static inline void ring_open(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	must(pipe(ring.pipe));
	ring.event = must(eventfd(0, 0));
	ring.epoll = must(epoll_create1(0));
	must(epoll_ctl(ring.epoll, EPOLL_CTL_ADD, ring.event, &event));
}

static inline void alone(struct target *me, void *arg)
{
	life = arg;
	leave_with(me, runs);
}

static inline void large(struct target *me, void *arg)
{
	life = arg;
	set_to_work(runs_in_large_pages);
	leave_with(me, writes);
}

static inline void crowd(struct target *me, void *arg)
{
	life = arg;
	ring_open();
	set_to_work(runs);
	set_to_work(runs);
	set_to_work(wakes);
	set_to_work(reads_a_pipe);
	set_to_work(waits_for_events);
	set_to_work(waits_for_a_word);
	set_to_work(naps);
	set_to_work(polls);
	leave_with(me, writes);
}

/* What SIGSTOP and SIGCONT do not interrupt by themselves, signal(7). */
static inline void stopped_at_times(struct target *me, void *arg)
{
	life = arg;
	ring_open();
	must(fcntl(ring.event, F_SETFL, O_NONBLOCK));
	set_to_work(wakes);
	set_to_work(reads_a_pipe);
	leave_with(me, runs);
}

static inline void child_life(unsigned int how)
{
	char *argv[] = { "true", NULL };
	volatile unsigned int spin = how * 7919 % 60000;

	while (spin--)
		;
	if (how % 4 == 0)
		execv("/bin/true", argv);
	_exit(how % 4 ? 7 : 1);
}

static inline pid_t spawn(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(7);
	return pid;
}

/* Children that end, and execute; each is there to be taken as soon as it is born. */
static inline void *breeds(void *arg)
{
	volatile uint64_t *steps = arg;
	unsigned int n;
	int status;
	pid_t pid;

	for (n = 1; !life->quit; n++) {
		pid = n % 3 ? fork() : spawn();
		if (!pid)
			child_life(n);
		life->child = pid;
		/* A zombie, for a while. */
		if (n % 8 == 0)
			waitid(P_PID, pid, NULL, WEXITED | WNOWAIT);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			WRONG("%s", strerror(errno));
		else if (status != (n % 3 && n % 4 == 0 ? 0 : 7 << 8))
			WRONG("child %u ended with %#x", n, status);
		++*steps;
	}
	return NULL;
}

static inline void parent(struct target *me, void *arg)
{
	life = arg;
	leave_with(me, breeds);
}

#endif
