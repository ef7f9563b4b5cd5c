// SPDX-License-Identifier: GPL-2.0-only
/* Calls that wait for another thread through a futex, or for a lock on a file. */
#include <fcntl.h>
#include <linux/futex.h>
#include <semaphore.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "blocking.h"

/* ---- futexes by hand: the word counts the rounds served ---- */

static void serve_futex(struct seat *s)
{
	atomic_store(&s->word, atomic_load(&s->open));
	syscall(SYS_futex, &s->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void block_futex(struct seat *s)
{
	while (atomic_load(&s->word) < s->round) {
		if (syscall(SYS_futex, &s->word, FUTEX_WAIT_PRIVATE, s->round - 1, NULL, NULL, 0) &&
		    errno != EAGAIN)
			wrong(s, "%s", strerror(errno));
	}
}

static void block_futex_waitv(struct seat *s)
{
	while (atomic_load(&s->word) < s->round) {
		struct futex_waitv w[2] = {
			{ .val = 0, .uaddr = (uintptr_t)&s->handled,
			  .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG },
			{ .val = s->round - 1, .uaddr = (uintptr_t)&s->word,
			  .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG },
		};
		long ret = syscall(SYS_futex_waitv, w, 2, 0, NULL, 0);

		if (ret != 1 && !(ret == -1 && errno == EAGAIN))
			wrong(s, "%ld, %s", ret, strerror(errno));
	}
}

static void block_futex_timeout(struct seat *s)
{
	struct timespec ts = ns_to_timespec(WAIT_NS);
	uint64_t begin = mono();
	long ret = syscall(SYS_futex, &s->word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);

	seat_timed_out(s, ret == -1 && errno == ETIMEDOUT, begin);
}

static void block_futex_until(struct seat *s)
{
	uint64_t begin = mono();
	struct timespec ts = ns_to_timespec(begin + WAIT_NS);
	long ret = syscall(SYS_futex, &s->word, FUTEX_WAIT_BITSET_PRIVATE, 0, &ts, NULL,
			   FUTEX_BITSET_MATCH_ANY);

	seat_timed_out(s, ret == -1 && errno == ETIMEDOUT, begin);
}

/* ---- the C library's locks ---- */

struct locks {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	pthread_rwlock_t rwlock;
	pthread_barrier_t barrier;
	sem_t sem;
	pthread_t owner;
	bool has_owner;
	int served;
};

static void expect(struct seat *s, int ret, int wanted)
{
	if (ret != wanted)
		wrong(s, "%s", strerror(ret));
}

static void setup_locks(struct seat *s)
{
	struct locks *l = calloc(1, sizeof(*l));
	pthread_mutexattr_t robust;
	pthread_condattr_t clock;

	s->data = l;
	pthread_mutexattr_init(&robust);
	pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&l->mutex, &robust);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&l->cond, &clock);
	pthread_rwlock_init(&l->rwlock, NULL);
	pthread_barrier_init(&l->barrier, NULL, 2);
	sem_init(&l->sem, 0, 0);
}

/* The waiting for these is in the kernel, which lends the owner its priority meanwhile. */
static void setup_pi(struct seat *s)
{
	pthread_mutexattr_t pi;
	struct locks *l;

	setup_locks(s);
	l = s->data;
	pthread_mutexattr_init(&pi);
	pthread_mutexattr_setprotocol(&pi, PTHREAD_PRIO_INHERIT);
	expect(s, pthread_mutex_init(&l->mutex, &pi), 0);
}

static void hold_mutex(struct seat *s)
{
	struct locks *l = s->data;

	expect(s, pthread_mutex_lock(&l->mutex), 0);
}

static void serve_mutex(struct seat *s)
{
	struct locks *l = s->data;

	expect(s, pthread_mutex_unlock(&l->mutex), 0);
}

static void block_mutex(struct seat *s)
{
	struct locks *l = s->data;

	expect(s, pthread_mutex_lock(&l->mutex), 0);
	expect(s, pthread_mutex_unlock(&l->mutex), 0);
}

/* A robust mutex whose owner ends without unlocking: the kernel walks the owner's robust list. */
static void *own_and_die(void *arg)
{
	struct seat *s = arg;
	struct locks *l = s->data;
	int round = atomic_load(&s->open) + 1, now;

	expect(s, pthread_mutex_lock(&l->mutex), 0);
	atomic_store(&s->handled, round);
	while ((now = atomic_load(&s->word)) < round)
		syscall(SYS_futex, &s->word, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
	return NULL;
}

static void reset_owner(struct seat *s)
{
	struct locks *l = s->data;
	int round = atomic_load(&s->open) + 1;

	if (l->has_owner)
		pthread_join(l->owner, NULL);
	l->has_owner = true;
	expect(s, pthread_create(&l->owner, NULL, own_and_die, s), 0);
	while (atomic_load(&s->handled) != round)
		usleep(500);
}

static void block_robust(struct seat *s)
{
	struct locks *l = s->data;

	expect(s, pthread_mutex_lock(&l->mutex), EOWNERDEAD);
	expect(s, pthread_mutex_consistent(&l->mutex), 0);
	expect(s, pthread_mutex_unlock(&l->mutex), 0);
}

static void block_cond(struct seat *s)
{
	struct locks *l = s->data;

	expect(s, pthread_mutex_lock(&l->mutex), 0);
	while (l->served < s->round)
		expect(s, pthread_cond_wait(&l->cond, &l->mutex), 0);
	expect(s, pthread_mutex_unlock(&l->mutex), 0);
}

static void serve_cond(struct seat *s)
{
	struct locks *l = s->data;

	expect(s, pthread_mutex_lock(&l->mutex), 0);
	l->served++;
	expect(s, pthread_cond_signal(&l->cond), 0);
	expect(s, pthread_mutex_unlock(&l->mutex), 0);
}

static void block_cond_timed(struct seat *s)
{
	struct locks *l = s->data;
	uint64_t begin = mono();
	struct timespec ts = ns_to_timespec(begin + WAIT_NS);

	expect(s, pthread_mutex_lock(&l->mutex), 0);
	errno = pthread_cond_timedwait(&l->cond, &l->mutex, &ts);
	seat_timed_out(s, errno == ETIMEDOUT, begin);
	expect(s, pthread_mutex_unlock(&l->mutex), 0);
}

static void hold_rwlock(struct seat *s)
{
	struct locks *l = s->data;

	expect(s, pthread_rwlock_wrlock(&l->rwlock), 0);
}

static void serve_rwlock(struct seat *s)
{
	struct locks *l = s->data;

	expect(s, pthread_rwlock_unlock(&l->rwlock), 0);
}

static void block_rwlock(struct seat *s)
{
	struct locks *l = s->data;

	expect(s, pthread_rwlock_rdlock(&l->rwlock), 0);
	expect(s, pthread_rwlock_unlock(&l->rwlock), 0);
}

static void block_barrier(struct seat *s)
{
	struct locks *l = s->data;
	int ret = pthread_barrier_wait(&l->barrier);

	if (ret && ret != PTHREAD_BARRIER_SERIAL_THREAD)
		wrong(s, "%s", strerror(ret));
}

static void block_sem(struct seat *s)
{
	struct locks *l = s->data;

	if (sem_wait(&l->sem))
		wrong(s, "%s", strerror(errno));
}

static void serve_sem(struct seat *s)
{
	struct locks *l = s->data;

	sem_post(&l->sem);
}

static void block_sem_timed(struct seat *s)
{
	struct locks *l = s->data;
	uint64_t begin = mono();
	struct timespec ts = ns_to_timespec(now_ns(CLOCK_REALTIME) + WAIT_NS);

	seat_timed_out(s, sem_timedwait(&l->sem, &ts) == -1 && errno == ETIMEDOUT, begin);
}

/* ---- file locks: fd[0] is the conductor's, fd[1] the waiting thread's ---- */

static void setup_flock(struct seat *s)
{
	s->fd[0] = must(open("flock", O_RDWR | O_CREAT, 0600));
	s->fd[1] = must(open("flock", O_RDWR));
}

static void hold_flock(struct seat *s)
{
	must(flock(s->fd[0], LOCK_EX));
}

static void serve_flock(struct seat *s)
{
	must(flock(s->fd[0], LOCK_UN));
}

static void block_flock(struct seat *s)
{
	if (flock(s->fd[1], LOCK_EX) || flock(s->fd[1], LOCK_UN))
		wrong(s, "%s", strerror(errno));
}

static void setup_ofd(struct seat *s)
{
	s->fd[0] = must(open("ofd-lock", O_RDWR | O_CREAT, 0600));
	s->fd[1] = must(open("ofd-lock", O_RDWR));
}

static int ofd_lock(int fd, int type)
{
	struct flock l = { .l_type = type, .l_start = 7, .l_len = 100 };

	return fcntl(fd, F_OFD_SETLKW, &l);
}

static void hold_ofd(struct seat *s)
{
	must(ofd_lock(s->fd[0], F_WRLCK));
}

static void serve_ofd(struct seat *s)
{
	must(ofd_lock(s->fd[0], F_UNLCK));
}

static void block_ofd(struct seat *s)
{
	if (ofd_lock(s->fd[1], F_WRLCK) || ofd_lock(s->fd[1], F_UNLCK))
		wrong(s, "%s", strerror(errno));
}

static void setup_outside(struct seat *s)
{
	s->fd[0] = must(open(outside_path, O_RDWR));
}

static void block_outside(struct seat *s)
{
	struct flock l = { .l_type = F_WRLCK };

	if (fcntl(s->fd[0], F_SETLKW, &l))
		wrong(s, "%s", strerror(errno));
}

const struct kind lock_kinds[] = {
	{ "futex", true, .block = block_futex, .serve = serve_futex },
	{ "futex_waitv", true, .block = block_futex_waitv, .serve = serve_futex },
	{ "futex with timeout", true, .block = block_futex_timeout },
	{ "futex until", true, .block = block_futex_until },
	{ "mutex", true, false, setup_locks, block_mutex, serve_mutex, hold_mutex },
	{ "mutex with priority inheritance", true, false, setup_pi, block_mutex, serve_mutex,
	  hold_mutex },
	{ "mutex of a dying owner", true, false, setup_locks, block_robust, serve_futex,
	  reset_owner },
	{ "condition", true, false, setup_locks, block_cond, serve_cond },
	{ "condition with timeout", true, false, setup_locks, block_cond_timed },
	{ "rwlock", true, false, setup_locks, block_rwlock, serve_rwlock, hold_rwlock },
	{ "barrier", true, false, setup_locks, block_barrier, block_barrier },
	{ "semaphore", true, false, setup_locks, block_sem, serve_sem },
	{ "semaphore with timeout", true, false, setup_locks, block_sem_timed },
	{ "flock", true, false, setup_flock, block_flock, serve_flock, hold_flock },
	{ "fcntl lock of the open file", true, false, setup_ofd, block_ofd, serve_ofd, hold_ofd },
	{ "fcntl lock held by another process", true, true, setup_outside, block_outside },
	{ NULL }
};
