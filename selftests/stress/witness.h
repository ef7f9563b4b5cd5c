/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The witness: a program that checks itself while storms blow and snapshots are taken.
 *
 * Writers go through their area, page by page, round by round. Before a page gets this round's number
 * it must hold the last one's, so a write that was lost, or went to a page that is no longer the
 * program's, shows at the next round. Step by step a writer notes
 *
 *   head.step	in private memory: steps it has begun
 *   head.seen	how far it sees the next writer to be
 *   told	in shared memory, which a snapshot copies: steps it has ended
 *
 * Talkers use calls that sleep, and signals: each byte and each signal comes once and in order, and no
 * call ends with EINTR unless the storm is one that does so to any program (view.interrupts).
 *
 * A fact that does not hold is told once, in view.why, by whoever sees it; it ends there and then.
 */
#ifndef STRESS_WITNESS_H
#define STRESS_WITNESS_H

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#include "../kernel/snap.h"
#include "../kernel/system.h"

#define WRITERS		3
#define TALKERS		5
#define THREADS		(WRITERS + TALKERS)
#define STORMS		32
#define MARKS		3	/* words of a page that hold the round */
#define WORDS		(PAGE / 8)

struct head {
	volatile uint64_t step, seen;
	char rest[PAGE - 16];
};

/* Seen by everybody: the program, the snapshotters, the storms, the test. */
struct view {
	pid_t pid;
	int file, seed;			/* of the private file mapping; of random choices */
	unsigned int storms;		/* mask of those that blow */
	bool interrupts, cancels;	/* what they may do to calls, and to snapshots */
	char group[64];			/* directory of the program's cgroup, if it has one */
	volatile uint64_t *mem[WRITERS];
	size_t pages[WRITERS];
	struct head *heads;		/* in the program's private memory */
	volatile bool stop;		/* the storms and the snapshotters */
	volatile bool quit;		/* the program */
	volatile uint64_t told[WRITERS];
	volatile uint64_t done[THREADS];
	volatile uint64_t events[STORMS];
	volatile uint64_t interrupted, taken, busy, unsteady, canceled, refused;
	unsigned int told_why;
	char why[256];
};

#define fault(v, fmt, ...)								\
	do {										\
		if (!__atomic_exchange_n(&(v)->told_why, 1, __ATOMIC_SEQ_CST)) {	\
			snprintf((v)->why, sizeof((v)->why), fmt, ##__VA_ARGS__);	\
			dprintf(STDERR_FILENO, "# %s\n", (v)->why);			\
		}									\
		_exit(1);								\
	} while (0)

static inline bool group_set(const struct view *v, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", v->group, name);
	return set_file(path, text);
}

static inline void add(volatile uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/* ---- what is in a page ---- */

/* Where the marks of a page are: at both ends, and somewhere else in each page. */
static inline size_t mark_at(size_t page, unsigned int mark)
{
	return mark == 0 ? 0 : mark == 1 ? 1 + page * 37 % (WORDS - 2) : WORDS - 1;
}

static inline uint64_t mark_of(uint64_t round, size_t page)
{
	return round << 16 | page;
}

static inline bool is_mark(size_t page, size_t word)
{
	return !word || word == WORDS - 1 || word == mark_at(page, 1);
}

static inline void make_page(volatile uint64_t *p, size_t page)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		p[i] = is_mark(page, i) ? mark_of(0, page) : pattern(page, i);
}

/* The first word between the marks that is not what it was made, or 0. */
static inline size_t bad_word(const volatile uint64_t *p, size_t page)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		if (!is_mark(page, i) && p[i] != pattern(page, i))
			return i;
	return 0;
}

/* ---- writers ---- */

static struct view *mine;

static inline void write_page(long me, size_t page, uint64_t round)
{
	volatile uint64_t *p = mine->mem[me] + page * WORDS;
	unsigned int m;
	uint64_t was;

	for (m = 0; m < MARKS; m++) {
		was = p[mark_at(page, m)];
		if (was != mark_of(round - 1, page))
			fault(mine, "writer %ld, page %zu, round %lu: found %#lx at word %zu", me,
			      page, round, was, mark_at(page, m));
		p[mark_at(page, m)] = mark_of(round, page);
	}
}

static void *writer(void *arg)
{
	long me = (long)arg, next = (me + 1) % WRITERS;
	struct head *head = &mine->heads[me];
	size_t page, bad;
	uint64_t round;

	for (round = 1; !mine->quit; round++) {
		for (page = 0; page < mine->pages[me]; page++) {
			head->seen = mine->heads[next].step;
			head->step++;
			write_page(me, page, round);
			mine->told[me] = head->step;
		}
		page = round % mine->pages[me];
		bad = bad_word(mine->mem[me] + page * WORDS, page);
		if (bad)
			fault(mine, "writer %ld, page %zu: word %zu has changed", me, page, bad);
		add(&mine->done[me], 1);
		/* Others want a processor, too. */
		usleep(200);
	}
	return NULL;
}

/* ---- talkers ---- */

static int ball[2][2];
static volatile pid_t catcher;
static volatile uint64_t caught;	/* by the handler, in the catcher */

/* One side of a game with a ball that carries a number. */
static void *player(void *arg)
{
	long me = (long)arg, side = me & 1;
	uint64_t n, want;

	for (want = 0; !mine->quit || side; want++) {
		if (!side)
			usleep(100);
		if (side || want) {
			ssize_t len = read(ball[side][0], &n, sizeof(n));

			if (!len && mine->quit)
				break;
			if (len != sizeof(n) || n != want - !side)
				fault(mine, "player %ld: read %zd (%s), %lu for %lu", side, len,
				      strerror(errno), n, want);
		}
		n = want;
		if (write(ball[!side][1], &n, sizeof(n)) != sizeof(n))
			fault(mine, "player %ld: write: %s", side, strerror(errno));
		add(&mine->done[me], 1);
	}
	close(ball[!side][1]);
	return NULL;
}

static void handle(int sig)
{
	caught++;
}

/* A call that storms of some kinds end: those may, nobody else. */
static bool interrupted(const char *call)
{
	if (errno != EINTR)
		return false;
	if (!mine->interrupts)
		fault(mine, "%s ended with EINTR", call);
	add(&mine->interrupted, 1);
	return true;
}

/* Waits for the number of each signal that is queued. */
static void *receiver(void *arg)
{
	uint64_t want = 1;
	siginfo_t info;
	sigset_t set;

	catcher = gettid();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	while (!mine->quit) {
		if (sigwaitinfo(&set, &info) < 0) {
			/* Of its own signal, too. */
			if (errno != EINTR)
				fault(mine, "sigwaitinfo: %s", strerror(errno));
			continue;
		}
		if (info.si_value.sival_int < 0)
			break;
		if (info.si_value.sival_int != (int)want)
			fault(mine, "signal %d came for %lu", info.si_value.sival_int, want);
		want++;
		add(&mine->done[(long)arg], 1);
	}
	return NULL;
}

static void *sender(void *arg)
{
	volatile uint64_t *received = &mine->done[(long)arg - 1];
	union sigval value;
	uint64_t n;

	while (!catcher)
		sched_yield();
	for (n = 1; !mine->quit; n++) {
		value.sival_int = n;
		must(sigqueue(getpid(), SIGRTMIN, value));
		if (syscall(__NR_tgkill, getpid(), catcher, SIGRTMIN + 1) && !mine->quit)
			fault(mine, "tgkill: %s", strerror(errno));
		while ((*received < n || caught < n) && !mine->quit)
			usleep(100);
		if (*received > n || caught > n)
			fault(mine, "%lu signals sent, %lu received, %lu caught", n, *received,
			      caught);
		add(&mine->done[(long)arg], 1);
	}
	value.sival_int = -1;
	must(sigqueue(getpid(), SIGRTMIN, value));
	return NULL;
}

/* Sleeps in every way that tells when it was disturbed. */
static void *sleeper(void *arg)
{
	struct timespec ms = { .tv_nsec = 1000000 };
	int poll = must(epoll_create1(EPOLL_CLOEXEC));
	int sem = must(semget(IPC_PRIVATE, 1, 0600));
	struct sembuf down = { .sem_op = -1 };
	struct epoll_event event;
	sigset_t never;

	sigemptyset(&never);
	sigaddset(&never, SIGRTMIN + 2);
	while (!mine->quit) {
		if (epoll_wait(poll, &event, 1, 1) && !interrupted("epoll_wait"))
			fault(mine, "epoll_wait: %s", strerror(errno));
		if (!semtimedop(sem, &down, 1, &ms) ||
		    (errno != EAGAIN && !interrupted("semtimedop")))
			fault(mine, "semtimedop: %s", strerror(errno));
		if (sigtimedwait(&never, NULL, &ms) >= 0 ||
		    (errno != EAGAIN && !interrupted("sigtimedwait")))
			fault(mine, "sigtimedwait: %s", strerror(errno));
		if (nanosleep(&ms, NULL))
			fault(mine, "nanosleep: %s", strerror(errno));
		add(&mine->done[(long)arg], 1);
	}
	semctl(sem, 0, IPC_RMID);
	return NULL;
}

/* ---- the program ---- */

static inline void make_areas(struct view *v)
{
	size_t page;
	int i;

	v->pages[0] = 64;
	v->mem[0] = anon_memory(v->pages[0] * PAGE);
	advise_huge((void *)v->mem[0], v->pages[0] * PAGE, MADV_NOHUGEPAGE);
	v->pages[1] = HUGE / PAGE;
	v->mem[1] = aligned_memory(HUGE);
	advise_huge((void *)v->mem[1], HUGE, MADV_HUGEPAGE);
	v->pages[2] = 32;
	must(ftruncate(v->file, v->pages[2] * PAGE));
	v->mem[2] = must(mmap(NULL, v->pages[2] * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, v->file,
			      0));
	for (i = 0; i < WRITERS; i++)
		for (page = 0; page < v->pages[i]; page++)
			make_page(v->mem[i] + page * WORDS, page);
	v->heads = anon_memory(WRITERS * sizeof(*v->heads));
}

static inline void begin(pthread_t *thread, void *(*fn)(void *), long arg)
{
	if (pthread_create(thread, NULL, fn, (void *)arg))
		give_up("no thread");
}

/* In the target. It says when all is in place, and ends in order when told to go. */
static inline void witness(struct target *me, struct view *v, void (*storms)(struct view *v))
{
	static void *(*const talk[TALKERS])(void *) = { player, player, receiver, sender, sleeper };
	struct sigaction sa = { .sa_handler = handle, .sa_flags = SA_RESTART };
	pthread_t threads[THREADS];
	sigset_t set;
	long i;

	mine = v;
	v->pid = getpid();
	if (v->group[0] && !group_set(v, "cgroup.procs", "0"))
		give_up("cannot enter %s", v->group);
	v->file = must(open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	make_areas(v);
	must(pipe2(ball[0], O_CLOEXEC));
	must(pipe2(ball[1], O_CLOEXEC));
	must(sigaction(SIGRTMIN + 1, &sa, NULL));
	sigemptyset(&set);
	for (i = 0; i < 3; i++)
		sigaddset(&set, SIGRTMIN + i);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (i = 0; i < WRITERS; i++)
		begin(&threads[i], writer, i);
	/* Sides of the game are told by the lowest bit. */
	for (i = 0; i < TALKERS; i++)
		begin(&threads[WRITERS + i], talk[i], WRITERS + i);
	storms(v);
	target_step(me);
	v->quit = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Each writer has made so many steps since. */
static inline bool all_told(const struct view *v, const uint64_t *since, uint64_t steps)
{
	int i;

	for (i = 0; i < WRITERS; i++)
		if (v->told[i] - since[i] < steps)
			return false;
	return true;
}

/* Every thread has got on since. */
static inline bool all_got_on(const struct view *v, const uint64_t *since)
{
	int i;

	for (i = 0; i < THREADS; i++)
		if (v->done[i] == since[i])
			return false;
	return true;
}

#endif
