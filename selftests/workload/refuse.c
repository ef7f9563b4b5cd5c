// SPDX-License-Identifier: GPL-2.0-only
/*
 * refuse THING... - hold things that no restore can bring back
 *
 * For each THING one line: "have THING fd N [M]" for descriptors, "have THING" for other state, "absent
 * THING: why" when this kernel does not have it.  Then "ready", and at SIGTERM a look at every
 * descriptor, and "unharmed".  Called with no arguments, it lists the things it knows.
 */
#include <asm/ldt.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "work.h"

#define ABSENT	-1	/* the kernel said no; errno tells */
#define DONE	-2	/* no descriptor, but done */

static int second_fd = -1;
static void *leftover;		/* kept so that a mapping is not optimised away */

/* ---- descriptors ---- */

/* One end of a pipe whose other end the one who started us has; its number is in the environment. */
static int make_outside_pipe(void)
{
	const char *fd = getenv("OUTSIDE_FD");

	return fd ? atoi(fd) : ABSENT;
}

/* Packets keep their borders, which reading the bytes out would lose. */
static int make_packet_pipe(void)
{
	int p[2];

	if (pipe2(p, O_DIRECT))
		return ABSENT;
	must(write(p[1], "one", 3));
	must(write(p[1], "two", 3));
	return p[1];		/* the mode is the writing end's */
}

static int make_fifo(void)
{
	must(mkfifo("a-fifo", 0600));
	return open("a-fifo", O_RDWR);
}

static int make_unix(void)
{
	int p[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, p))
		return ABSENT;
	second_fd = p[1];
	return p[0];
}

static int make_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd >= 0 && listen(fd, 1))
		return ABSENT;
	return fd;
}

static int make_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

/* It watches what another process has, and this one no longer. */
static int make_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = must(epoll_create1(0)), watched = must(eventfd(0, 0));
	pid_t self = getpid(), between;

	must(epoll_ctl(fd, EPOLL_CTL_ADD, watched, &event));
	between = must(fork());
	if (!between) {
		if (!fork())
			while (!kill(self, 0))
				usleep(50000);
		_exit(0);
	}
	must(waitpid(between, NULL, 0));
	must(close(watched));
	return fd;
}

/* Readable, be it that it expired or that the clock was set. */
static int make_timerfd(void)
{
	struct itimerspec its = { .it_value.tv_nsec = 1 };
	int fd = timerfd_create(CLOCK_REALTIME, 0);

	must(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &its, NULL));
	must(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1));
	return fd;
}

static int make_inotify(void)
{
	return inotify_init();
}

static int make_fanotify(void)
{
	return fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
}

static int make_memfd(void)
{
	return memfd_create("refuse", MFD_HUGETLB);
}

static int make_io_uring(void)
{
	struct io_uring_params p = { 0 };

	return syscall(SYS_io_uring_setup, 4, &p);
}

static int make_userfaultfd(void)
{
	return syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
}

static int make_pidfd(void)
{
	return syscall(SYS_pidfd_open, getpid(), 0);
}

static int make_perf(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr), .type = PERF_TYPE_SOFTWARE, .exclude_kernel = 1,
		.config = PERF_COUNT_SW_PAGE_FAULTS,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static int make_bpf(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1,
	};

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static int make_mqueue(void)
{
	mqd_t q = mq_open("/ckpt-refuse", O_RDWR | O_CREAT, 0600, NULL);

	mq_unlink("/ckpt-refuse");
	return q;
}

static int make_proc(void)
{
	return open("/proc/self/status", O_RDONLY);
}

static int make_o_path(void)
{
	return open("/", O_PATH);
}

static int make_namespace(void)
{
	return open("/proc/self/ns/net", O_RDONLY);
}

static int make_device(void)
{
	return open("/dev/kmsg", O_RDONLY);
}

static int make_pty(void)
{
	return posix_openpt(O_RDWR | O_NOCTTY);
}

/* Files of the right kind, in a state that is not. */

static int make_lease(void)
{
	int fd = must(open("leased", O_RDONLY | O_CREAT, 0600));

	return fcntl(fd, F_SETLEASE, F_RDLCK) ? ABSENT : fd;
}

static int make_owner(void)
{
	int fd = must(open("owned", O_RDWR | O_CREAT, 0600));

	must(fcntl(fd, F_SETSIG, SIGUSR1));
	return fcntl(fd, F_SETOWN, getpid()) ? ABSENT : fd;
}

/* ---- mappings ---- */

static int map_memfd(void)
{
	int fd = memfd_create("mapped", 0);

	leftover = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(close(fd));
	return leftover == MAP_FAILED ? ABSENT : DONE;
}

static int map_sysv(void)
{
	int id = shmget(IPC_PRIVATE, 8192, 0600);

	if (id < 0)
		return ABSENT;
	leftover = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	return leftover == (void *)-1 ? ABSENT : DONE;
}

static int map_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = make_userfaultfd();

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		return ABSENT;
	leftover = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)leftover;
	reg.range.len = 8192;
	return ioctl(fd, UFFDIO_REGISTER, &reg) ? ABSENT : fd;
}

static int map_device(void)
{
	int fd = open("/dev/mem", O_RDONLY);

	if (fd < 0)
		return ABSENT;
	/* the BIOS area: readable also where /dev/mem is strict */
	leftover = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0xf0000);
	close(fd);
	return leftover == MAP_FAILED ? ABSENT : DONE;
}

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

/* One page of memory whose others are as ever, and can be looked at. */
static int guard_one(int flags, int fd)
{
	char *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, flags, fd, 0);

	leftover = p;
	if (p == MAP_FAILED)
		return ABSENT;
	*p = 1;
	return madvise(p + 4096, 4096, MADV_GUARD_INSTALL) ? ABSENT : DONE;
}

static int map_guard(void)
{
	return guard_one(MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int map_guard_shared(void)
{
	return guard_one(MAP_SHARED | MAP_ANONYMOUS, -1);
}

/* ---- the process and its threads ---- */

static int make_child(void)
{
	pid_t pid = must(fork());

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return DONE;
}

static int make_zombie(void)
{
	siginfo_t info;
	pid_t pid = must(fork());

	if (!pid)
		_exit(0);
	must(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	return DONE;
}

static int make_seccomp(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &all };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) ? ABSENT : DONE;
}

static int make_aio(void)
{
	static aio_context_t ctx;

	return syscall(SYS_io_setup, 4, &ctx) ? ABSENT : DONE;
}

static int make_semundo(void)
{
	struct sembuf up = { .sem_op = 1, .sem_flg = SEM_UNDO };
	int id = semget(IPC_PRIVATE, 1, 0600);

	return id < 0 || semop(id, &up, 1) ? ABSENT : DONE;
}

static int make_keyring(void)
{
	return syscall(SYS_add_key, "user", "ckpt-test", "secret", 6, KEY_SPEC_PROCESS_KEYRING) < 0 ?
	       ABSENT : DONE;
}

static int make_ldt(void)
{
	struct user_desc d = { .entry_number = 1, .limit = 0xfffff, .seg_32bit = 1,
			       .limit_in_pages = 1 };

	return syscall(SYS_modify_ldt, 1, &d, sizeof(d)) ? ABSENT : DONE;
}

static int make_ioperm(void)
{
	return ioperm(0x80, 1, 1) ? ABSENT : DONE;
}

static int make_notsc(void)
{
	return prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) ? ABSENT : DONE;
}

static int make_dispatch(void)
{
	static char selector;		/* SYSCALL_DISPATCH_FILTER_ALLOW */

	return prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) ?
	       ABSENT : DONE;
}

static int make_deadline(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = { .size = sizeof(attr), .policy = 6, .runtime = 10 * NSEC_PER_MSEC,
		   .deadline = 100 * NSEC_PER_MSEC, .period = 100 * NSEC_PER_MSEC };

	return syscall(SYS_sched_setattr, 0, &attr, 0) ? ABSENT : DONE;
}

/* A thread that goes its own way, in a respect the main thread asks for. */
static void *apart(void *arg)
{
	if (unshare((int)(intptr_t)arg))
		die("unshare: %s", strerror(errno));
	kill(getpid(), SIGUSR2);
	for (;;)
		pause();
}

static int thread_apart(int what)
{
	pthread_t t;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	if (pthread_create(&t, NULL, apart, (void *)(intptr_t)what))
		return ABSENT;
	sigwait(&set, &sig);
	return DONE;
}

static int make_own_files(void)
{
	return thread_apart(CLONE_FILES);
}

static int make_own_namespace(void)
{
	return thread_apart(CLONE_NEWUTS);
}

static const struct thing {
	const char *name;
	int (*make)(void);
} things[] = {
	{ "outside-pipe", make_outside_pipe }, { "packet-pipe", make_packet_pipe },
	{ "fifo", make_fifo }, { "unix", make_unix }, { "tcp", make_tcp },
	{ "netlink", make_netlink }, { "epoll", make_epoll },
	{ "timerfd", make_timerfd }, { "inotify", make_inotify },
	{ "fanotify", make_fanotify }, { "memfd", make_memfd }, { "io_uring", make_io_uring },
	{ "userfaultfd", make_userfaultfd }, { "pidfd", make_pidfd }, { "perf", make_perf },
	{ "bpf", make_bpf }, { "mqueue", make_mqueue }, { "proc", make_proc },
	{ "o_path", make_o_path }, { "namespace", make_namespace }, { "device", make_device },
	{ "pty", make_pty }, { "lease", make_lease }, { "owner", make_owner },
	{ "map-memfd", map_memfd }, { "map-sysv", map_sysv }, { "map-uffd", map_uffd },
	{ "map-device", map_device }, { "map-guard", map_guard },
	{ "map-guard-shared", map_guard_shared },
	{ "child", make_child }, { "zombie-child", make_zombie }, { "seccomp", make_seccomp },
	{ "aio", make_aio }, { "semundo", make_semundo }, { "ldt", make_ldt },
	{ "keyring", make_keyring },
	{ "ioperm", make_ioperm }, { "notsc", make_notsc },
	{ "dispatch", make_dispatch }, { "deadline", make_deadline },
	{ "own-files", make_own_files }, { "own-namespace", make_own_namespace },
};

#define NR_THINGS	(sizeof(things) / sizeof(things[0]))

static const struct thing *find(const char *name)
{
	for (size_t i = 0; i < NR_THINGS; i++)
		if (!strcmp(things[i].name, name))
			return &things[i];
	die("no such thing: %s", name);
}

static void make(const char *name)
{
	int fd;

	second_fd = -1;
	fd = find(name)->make();
	if (fd == ABSENT)
		say("absent %s: %s", name, strerror(errno));
	else if (fd == DONE)
		say("have %s", name);
	else if (second_fd >= 0)
		say("have %s fd %d %d", name, fd, second_fd);
	else
		say("have %s fd %d", name, fd);
}

/* What every descriptor is, as one number. */
static uint64_t look_at_descriptors(void)
{
	uint64_t sum = 0;

	for (int fd = 0; fd < 64; fd++) {
		char path[32], target[256];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target));
		for (ssize_t i = 0; i < n; i++)
			sum = mix64(sum ^ (uint64_t)target[i] ^ (uint64_t)fd << 32);
	}
	return sum;
}

int main(int argc, char **argv)
{
	uint64_t before;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (argc < 2) {
		for (size_t i = 0; i < NR_THINGS; i++)
			say("%s", things[i].name);
		return 0;
	}
	for (int i = 1; i < argc; i++)
		make(argv[i]);
	before = look_at_descriptors();
	say("ready");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigwait(&set, &sig);
	if (look_at_descriptors() != before)
		die("a descriptor is not what it was");
	say("unharmed");
	return 0;
}
