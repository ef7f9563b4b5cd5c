// SPDX-License-Identifier: GPL-2.0-only
/*
 * One thread in each kind of blocking call, frozen and thawed many times. A call that can be
 * slept through is slept through; one that cannot is woken, and then either goes on as if nothing
 * had been or returns what it has moved so far. None ever says EINTR.
 */
#include <kselftest_harness.h>

#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "snap.h"

#define BIG	(1 << 20)
#define LONG_S	100000
#define RESTLESS	24

/* Seen by test and target. */
struct call {
	volatile int returned;
	long ret;
	int err;
};

static char big[BIG];

static int *pair(int type)
{
	static int fd[2];

	must(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd));
	return fd;
}

static int *full_pipe(void)
{
	static int fd[2];

	must(pipe2(fd, O_CLOEXEC | O_NONBLOCK));
	while (write(fd[1], big, PAGE) > 0)
		;
	must(fcntl(fd[1], F_SETFL, 0));
	return fd;
}

static int empty_pipe(void)
{
	int fd[2];

	must(pipe2(fd, O_CLOEXEC));
	return fd[0];
}

/* ---- the calls ---- */

static long read_pipe(void)
{
	return read(empty_pipe(), big, BIG);
}

static long readv_pipe(void)
{
	struct iovec v[] = { { big, 10 }, { big + 10, 10 } };

	return readv(empty_pipe(), v, 2);
}

static long write_small_to_full_pipe(void)
{
	return write(full_pipe()[1], big, 100);
}

static long write_big_to_pipe(void)
{
	int fd[2];

	must(pipe2(fd, O_CLOEXEC));
	return write(fd[1], big, BIG);
}

static long read_stream(void)
{
	return read(pair(SOCK_STREAM)[0], big, BIG);
}

static long recv_stream(void)
{
	return recv(pair(SOCK_STREAM)[0], big, BIG, 0);
}

static long recv_with_timeout(void)
{
	struct timeval t = { .tv_sec = LONG_S };
	int fd = pair(SOCK_STREAM)[0];

	must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	return recv(fd, big, BIG, 0);
}

static long recvmsg_datagram(void)
{
	struct iovec v = { big, BIG };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	return recvmsg(pair(SOCK_DGRAM)[0], &m, 0);
}

static long recv_waitall_half_served(void)
{
	int *fd = pair(SOCK_STREAM);

	must(write(fd[1], big, 1000));
	return recv(fd[0], big, BIG, MSG_WAITALL);
}

static long send_big_to_stream(void)
{
	return send(pair(SOCK_STREAM)[0], big, BIG, 0);
}

static long send_to_full_datagram(void)
{
	int *fd = pair(SOCK_DGRAM);

	while (send(fd[0], big, 1000, MSG_DONTWAIT) > 0)
		;
	return send(fd[0], big, 1000, 0);
}

static int listener(struct sockaddr_un *a, int backlog)
{
	int fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	*a = (struct sockaddr_un) { .sun_family = AF_UNIX };
	snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "ckpt-calls-%d", getpid());
	must(bind(fd, (struct sockaddr *)a, sizeof(*a)));
	must(listen(fd, backlog));
	return fd;
}

static long accept_(void)
{
	struct sockaddr_un a;

	return accept(listener(&a, 1), NULL, NULL);
}

static long connect_to_busy(void)
{
	struct sockaddr_un a;
	int fd;

	listener(&a, 0);
	do {
		fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	} while (!connect(fd, (struct sockaddr *)&a, sizeof(a)));
	must(fcntl(fd, F_SETFL, 0));
	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

static int epoll_of_pipe(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd = must(epoll_create1(EPOLL_CLOEXEC));

	must(epoll_ctl(fd, EPOLL_CTL_ADD, empty_pipe(), &e));
	return fd;
}

static long epoll_wait_(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_of_pipe(), &e, 1, -1);
}

static long epoll_wait_with_timeout(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_of_pipe(), &e, 1, LONG_S);
}

static long epoll_pwait_(void)
{
	struct epoll_event e;
	sigset_t set;

	sigfillset(&set);
	return epoll_pwait(epoll_of_pipe(), &e, 1, -1, &set);
}

static long poll_(void)
{
	struct pollfd p = { .fd = empty_pipe(), .events = POLLIN };

	return poll(&p, 1, -1);
}

static long poll_with_timeout(void)
{
	struct pollfd p = { .fd = empty_pipe(), .events = POLLIN };

	return poll(&p, 1, LONG_S * 1000);
}

static long ppoll_with_timeout_and_mask(void)
{
	struct pollfd p = { .fd = empty_pipe(), .events = POLLIN };
	struct timespec t = { .tv_sec = LONG_S };
	sigset_t set;

	sigfillset(&set);
	return ppoll(&p, 1, &t, &set);
}

static long select_(void)
{
	int fd = empty_pipe();
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, NULL);
}

static long select_with_timeout(void)
{
	struct timeval t = { .tv_sec = LONG_S };
	int fd = empty_pipe();
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &t);
}

/* In a namespace of its own, so that it goes with the target. */
static int semaphore(void)
{
	must(unshare(CLONE_NEWIPC));
	return must(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
}

static int queue(void)
{
	must(unshare(CLONE_NEWIPC));
	return must(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
}

static long semop_(void)
{
	struct sembuf op = { .sem_op = -1 };

	return semop(semaphore(), &op, 1);
}

static long semtimedop_(void)
{
	struct sembuf op = { .sem_op = -1 };
	struct timespec t = { .tv_sec = LONG_S };

	return semtimedop(semaphore(), &op, 1, &t);
}

static long msgrcv_(void)
{
	return msgrcv(queue(), big, 100, 0, 0);
}

static long msgsnd_to_full_queue(void)
{
	int id = queue();

	*(long *)big = 1;
	while (!msgsnd(id, big, 1000, IPC_NOWAIT))
		;
	return msgsnd(id, big, 1000, 0);
}

static long mq_receive_(void)
{
	struct mq_attr a = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	mqd_t q = must(mq_open("/ckpt-calls", O_RDWR | O_CREAT | O_CLOEXEC, 0600, &a));

	mq_unlink("/ckpt-calls");
	return mq_receive(q, big, 8, NULL);
}

static long sigtimedwait_(void)
{
	struct timespec t = { .tv_sec = LONG_S };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, &t);
}

static long sigsuspend_(void)
{
	sigset_t set;

	sigemptyset(&set);
	return sigsuspend(&set);
}

static long pause_(void)
{
	return pause();
}

static pid_t idle_child(void)
{
	pid_t pid = must(fork());

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static long wait4_(void)
{
	idle_child();
	return wait4(-1, NULL, 0, NULL);
}

static long waitid_(void)
{
	siginfo_t info;

	return waitid(P_PID, idle_child(), &info, WEXITED);
}

/* A file with a lock held by another process. */
static int locked_file(int type)
{
	int fd = must(open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	struct flock l = { .l_type = F_WRLCK };
	char path[64], c;
	int p[2];

	must(pipe2(p, O_CLOEXEC));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	if (!must(fork())) {
		int mine = must(open(path, O_RDWR | O_CLOEXEC));

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		must(type == LOCK_EX ? flock(mine, LOCK_EX) : fcntl(mine, F_SETLK, &l));
		must(write(p[1], "x", 1));
		for (;;)
			pause();
	}
	must(read(p[0], &c, 1));
	return fd;
}

static long flock_(void)
{
	return flock(locked_file(LOCK_EX), LOCK_EX);
}

static long fcntl_lock(void)
{
	struct flock l = { .l_type = F_WRLCK };

	return fcntl(locked_file(0), F_SETLKW, &l);
}

static long fcntl_ofd_lock(void)
{
	struct flock l = { .l_type = F_WRLCK };

	return fcntl(locked_file(0), F_OFD_SETLKW, &l);
}

static int word;

static long futex_wait(void)
{
	return syscall(__NR_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long futex_wait_with_timeout(void)
{
	struct timespec t = { .tv_sec = LONG_S };

	return syscall(__NR_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
}

static long futex_wait_until(void)
{
	struct timespec t = { .tv_sec = 0x7fffffff };

	return syscall(__NR_futex, &word, FUTEX_WAIT_BITSET, 0, &t, NULL, ~0);
}

static long futex_waitv(void)
{
	struct futex_waitv v = { .uaddr = (unsigned long)&word, .flags = FUTEX_32 };

	return syscall(__NR_futex_waitv, &v, 1, 0, NULL, CLOCK_MONOTONIC);
}

static long futex_lock_pi(void)
{
	int *lock = shared_memory(PAGE);
	volatile int *held = lock + 1;

	if (!must(fork())) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		must(syscall(__NR_futex, lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
		*held = 1;
		for (;;)
			pause();
	}
	wait_until(*held);
	return syscall(__NR_futex, lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

static long nanosleep_(void)
{
	struct timespec t = { .tv_sec = LONG_S };

	return nanosleep(&t, NULL);
}

static long clock_nanosleep_(void)
{
	struct timespec t = { .tv_sec = LONG_S };

	return syscall(__NR_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, &t);
}

static long clock_nanosleep_until(void)
{
	struct timespec t = { .tv_sec = 0x7fffffff };

	return syscall(__NR_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL);
}

static long io_getevents_(void)
{
	aio_context_t ctx = 0;
	struct io_event e;

	must(syscall(__NR_io_setup, 1, &ctx));
	return syscall(__NR_io_getevents, ctx, 1, 1, &e, NULL);
}

static long read_eventfd(void)
{
	return read(eventfd(0, EFD_CLOEXEC), big, 8);
}

static long write_eventfd(void)
{
	uint64_t most = ~0ull - 1, more = 2;
	int fd = eventfd(0, EFD_CLOEXEC);

	must(write(fd, &most, 8));
	return write(fd, &more, 8);
}

static long read_timerfd(void)
{
	return read(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), big, 8);
}

static long read_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return read(signalfd(-1, &set, SFD_CLOEXEC), big, 128);
}

static long read_inotify(void)
{
	return read(inotify_init1(IN_CLOEXEC), big, BIG);
}

static long read_terminal(void)
{
	int master = must(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));

	must(grantpt(master));
	must(unlockpt(master));
	return read(must(open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC)), big, BIG);
}

static long splice_from_empty_pipe(void)
{
	return splice(empty_pipe(), NULL, full_pipe()[1], NULL, BIG, 0);
}

/* ---- what is to be seen of them ---- */

enum outcome {
	SLEEPS_ON,	/* left alone */
	GOES_ON,	/* woken, and back in the call */
	SHORT,		/* woken, and returned what had been moved */
};

FIXTURE(call) {
	struct target target;
	struct call *call;
	int session;
};

FIXTURE_VARIANT(call) {
	long (*fn)(void);
	enum outcome outcome;
	long moved;		/* SHORT: at least so much */
};

#define SLEEPS(name) FIXTURE_VARIANT_ADD(call, name) { .fn = name, .outcome = SLEEPS_ON }
#define CONTINUES(name) FIXTURE_VARIANT_ADD(call, name) { .fn = name, .outcome = GOES_ON }
#define MOVED(name, n) FIXTURE_VARIANT_ADD(call, name) { .fn = name, .outcome = SHORT, .moved = n }

SLEEPS(read_pipe);
SLEEPS(readv_pipe);
SLEEPS(write_small_to_full_pipe);
MOVED(write_big_to_pipe, 65536);
SLEEPS(read_stream);
SLEEPS(recv_stream);
SLEEPS(recv_with_timeout);
SLEEPS(recvmsg_datagram);
MOVED(recv_waitall_half_served, 1000);
MOVED(send_big_to_stream, 4096);
SLEEPS(send_to_full_datagram);
SLEEPS(accept_);
SLEEPS(connect_to_busy);
SLEEPS(epoll_wait_);
SLEEPS(epoll_wait_with_timeout);
SLEEPS(epoll_pwait_);
SLEEPS(poll_);
CONTINUES(poll_with_timeout);
CONTINUES(ppoll_with_timeout_and_mask);
SLEEPS(select_);
CONTINUES(select_with_timeout);
SLEEPS(semop_);
SLEEPS(semtimedop_);
SLEEPS(msgrcv_);
SLEEPS(msgsnd_to_full_queue);
SLEEPS(mq_receive_);
SLEEPS(sigtimedwait_);
SLEEPS(sigsuspend_);
SLEEPS(pause_);
SLEEPS(wait4_);
SLEEPS(waitid_);
SLEEPS(flock_);
SLEEPS(fcntl_lock);
SLEEPS(fcntl_ofd_lock);
SLEEPS(futex_wait);
CONTINUES(futex_wait_with_timeout);
SLEEPS(futex_wait_until);
SLEEPS(futex_waitv);
CONTINUES(futex_lock_pi);
CONTINUES(nanosleep_);
CONTINUES(clock_nanosleep_);
SLEEPS(clock_nanosleep_until);
SLEEPS(io_getevents_);
SLEEPS(read_eventfd);
SLEEPS(write_eventfd);
SLEEPS(read_timerfd);
SLEEPS(read_signalfd);
SLEEPS(read_inotify);
CONTINUES(read_terminal);
CONTINUES(splice_from_empty_pipe);

static long (*the_call)(void);

static void blocked(struct target *me, void *arg)
{
	struct call *c = arg;

	c->ret = the_call();
	c->err = errno;
	__atomic_store_n(&c->returned, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
}

/* Wakes by itself again and again, each time after another while. */
static void *restless(void *arg)
{
	int fd = must(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event e;
	unsigned int seed = (unsigned long)arg;

	for (;;) {
		if (epoll_wait(fd, &e, 1, 1 + rand_r(&seed) % 40))
			give_up("epoll_wait of nothing: %s", strerror(errno));
	}
	return NULL;
}

static void blocked_among_restless(struct target *me, void *arg)
{
	pthread_t thread;
	long i;

	for (i = 0; i < RESTLESS; i++) {
		if (pthread_create(&thread, NULL, restless, (void *)i))
			give_up("a thread cannot be made");
	}
	blocked(me, arg);
}

FIXTURE_SETUP(call)
{
	self->call = shared_memory(sizeof(*self->call));
	the_call = variant->fn;
	target_start(&self->target, blocked, self->call);
	ASSERT_TRUE(wait_until(is_settled(self->target.pid)));
	ASSERT_EQ(0, self->call->returned);
	self->session = attach(self->target.pid);
}

FIXTURE_TEARDOWN(call)
{
	close(self->session);
	target_kill(&self->target);
	EXPECT_TRUE(wait_until(nothing_held()));
}

TEST_F(call, does_not_notice_a_freeze)
{
	struct ckpt_freeze f;
	int i, rounds = 5;

	for (i = 0; i < rounds && !self->call->returned; i++) {
		ASSERT_EQ(0, freeze_why(self->session, PATIENCE_MS, &f));
		EXPECT_EQ(1, f.out_threads);
		EXPECT_EQ(variant->outcome == SLEEPS_ON, f.out_asleep);
		EXPECT_EQ(variant->outcome != SLEEPS_ON, f.out_parked);
		EXPECT_EQ(variant->outcome != SLEEPS_ON, f.out_woken);
		ASSERT_EQ(0, thaw(self->session));
		/* Also in one that sleeps on, who cannot give anything back himself. */
		EXPECT_TRUE(wait_until(!counter("freezes")));
		ASSERT_TRUE(wait_until(is_settled(self->target.pid)));
	}
	if (variant->outcome == SHORT) {
		ASSERT_EQ(1, self->call->returned);
		EXPECT_LE(variant->moved, self->call->ret);
		EXPECT_GT(BIG, self->call->ret);
	} else {
		EXPECT_EQ(0, self->call->returned)
			fprintf(stderr, "# returned %ld, errno %d\n", self->call->ret,
				self->call->err);
	}
}

/*
 * Captures are spoiled by sleepers that wake, so some are taken over and over, and in the end all
 * those are woken that may be: not this one, if it would see it.
 */
TEST_F(call, does_not_notice_that_others_wake_in_the_freeze)
{
	/* A slow kernel spoils hardly any: there it is enough that nothing is noticed. */
	bool slow = slowness() > 1;
	int i, spoiled = 0, rounds = 3, tries = slow ? 5 : 300;

	target_kill(&self->target);
	self->call->returned = 0;
	target_start(&self->target, blocked_among_restless, self->call);
	ASSERT_TRUE(wait_until(is_in_call(self->target.pid)));
	for (i = 0; i < tries && spoiled < rounds && !self->call->returned; i++) {
		int fd = snap_ready(self->target.pid, 0);

		/* after three tries others are woken too */
		spoiled += stats(fd).out_retries > 3;
		close(fd);
	}
	if (variant->outcome == SHORT)
		return;
	EXPECT_TRUE(slow || spoiled == rounds);
	EXPECT_EQ(0, self->call->returned)
		fprintf(stderr, "# returned %ld, errno %d\n", self->call->ret, self->call->err);
	EXPECT_EQ(0, waitpid(self->target.pid, NULL, WNOHANG));
}

/* What the record says of it: the restored thread issues the same call again. */
TEST_F(call, is_recorded_so_that_it_can_be_taken_up_again)
{
	int fd = snap(self->target.pid, 0);
	struct state st = snapshot_state(fd);
	struct ckpt_rec_thread *t = thread_record(&st, self->target.pid);

	ASSERT_NE(NULL, t);
	ASSERT_LE(0, t->syscall_nr);
	if (variant->outcome == SLEEPS_ON) {
		EXPECT_EQ(CKPT_TRUN_ASLEEP, t->run);
		EXPECT_EQ(CKPT_RESTART_NONE, t->restart);
	} else {
		EXPECT_EQ(CKPT_TRUN_PARKED, t->run);
		EXPECT_NE(CKPT_RESTART_OTHER, t->restart);
	}
	if (t->restart != CKPT_RESTART_NONE) {
		EXPECT_TRUE(t->flags & CKPT_THREAD_HAS_TIMEOUT);
		EXPECT_LT((LONG_S - 1000) * 1000000000ull, t->restart_remaining_ns);
		EXPECT_GE(LONG_S * 1000000000ull, t->restart_remaining_ns);
	}
	free(st.buf);
	close(fd);
}

TEST_HARNESS_MAIN
