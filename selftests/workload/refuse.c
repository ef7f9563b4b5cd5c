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
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>

#include "refuse.h"
#include "work.h"

int second_fd = -1;
static void *leftover;		/* kept so that a mapping is not optimised away */

/* ---- descriptors ---- */

/* One end of a pipe whose other end the one who started us has; its number is in the environment. */
static int make_outside_pipe(void)
{
	const char *fd = getenv("OUTSIDE_FD");

	return fd ? atoi(fd) : ABSENT;
}

/* Packets keep their borders, which the end that is left does not ask for. */
static int make_packets_left(void)
{
	int p[2];

	if (pipe2(p, O_DIRECT))
		return ABSENT;
	must(write(p[1], "one", 3));
	must(write(p[1], "two", 3));
	close(p[1]);
	return p[0];
}

/* The kernel writes into it, what it was asked to watch (keys). */
static int make_notify_pipe(void)
{
	int p[2];

	return pipe2(p, O_EXCL) ? ABSENT : p[0];	/* O_NOTIFICATION_PIPE */
}

/* One with a name that is gone. */
static int make_fifo(void)
{
	int fd;

	must(mkfifo("a-fifo", 0600));
	fd = open("a-fifo", O_RDWR);
	must(unlink("a-fifo"));
	return fd;
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

/* With an event that was not read. */
static int make_inotify(void)
{
	int fd = inotify_init(), file;

	must(inotify_add_watch(fd, ".", IN_CREATE));
	file = must(open("seen", O_RDWR | O_CREAT, 0600));
	close(file);
	return fd;
}

/* It watches a file that is open and has no name any more. */
static int make_inotify_nameless(void)
{
	int fd = inotify_init();

	must(open("nameless", O_RDWR | O_CREAT, 0600));
	must(inotify_add_watch(fd, "nameless", IN_MODIFY));
	must(unlink("nameless"));
	return fd;
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
	return syscall(SYS_pidfd_open, getpid(), O_EXCL);	/* PIDFD_THREAD */
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

/* Another process's. */
static int make_proc(void)
{
	return open("/proc/1/status", O_RDONLY);
}

static int make_o_path(void)
{
	return open("/proc/self/status", O_PATH);
}

static int make_namespace(void)
{
	return open("/proc/self/ns/net", O_RDONLY);
}

static int make_device(void)
{
	return open("/dev/kmsg", O_RDONLY);
}

/* The master of a pair; the slave by its name. */
static int open_pair(char *name, size_t size)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);

	return fd < 0 || unlockpt(fd) || ptsname_r(fd, name, size) ? ABSENT : fd;
}

/* Its output is stopped, as by ^S. */
static int make_pty(void)
{
	char name[32];
	int fd = open_pair(name, sizeof(name));

	if (fd >= 0)
		must(tcflow(must(open(name, O_RDWR | O_NOCTTY)), TCOOFF));
	return fd;
}

/* ^V was typed, and not yet what it is for. */
static int make_pty_quoting(void)
{
	char name[32];
	int fd = open_pair(name, sizeof(name));

	if (fd < 0)
		return ABSENT;
	must(open(name, O_RDWR | O_NOCTTY));
	must((int)write(fd, "\x16", 1));
	return fd;
}

/* A child has it as its controlling terminal. */
static int make_pty_leader(void)
{
	char name[32], ready;
	int fd = open_pair(name, sizeof(name)), p[2];

	if (fd < 0)
		return ABSENT;
	must(pipe2(p, O_CLOEXEC));
	if (!must(fork())) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		must(setsid());
		must(open(name, O_RDWR));
		must((int)write(p[1], "r", 1));
		for (;;)
			pause();
	}
	must((int)read(p[0], &ready, 1));
	close(p[0]);
	close(p[1]);
	return fd;
}

/* Files of the right kind, in a state that is not. */

static int make_lease(void)
{
	int fd = must(open("leased", O_RDWR | O_CREAT, 0600));

	return fcntl(fd, F_SETLEASE, F_WRLCK) ? ABSENT : fd;
}

/* Somebody waits for it, for as long as the kernel has patience. */
static int make_lease_wanted(void)
{
	int fd = must(open("wanted", O_RDONLY | O_CREAT, 0600));

	must(fcntl(fd, F_SETSIG, SIGURG));	/* which is ignored */
	if (fcntl(fd, F_SETLEASE, F_RDLCK))
		return ABSENT;
	if (open("wanted", O_WRONLY | O_NONBLOCK) >= 0 || errno != EWOULDBLOCK)
		return ABSENT;
	return fd;
}

/* As a file server's, Linux 6.19. */
static int make_delegation(void)
{
	const struct {
		uint32_t flags;
		uint16_t type, reserved;
	} ask = { .type = F_RDLCK };
	int fd = must(open("delegated", O_RDONLY | O_CREAT, 0600));

	return fcntl(fd, 1024 + 16, &ask) ? ABSENT : fd;	/* F_SETDELEG */
}

static int make_lease_deleted(void)
{
	int fd = must(open("leased-deleted", O_RDONLY | O_CREAT, 0600));

	must(unlink("leased-deleted"));
	return fcntl(fd, F_SETLEASE, F_RDLCK) ? ABSENT : fd;
}

static int make_owner(void)
{
	int fd = must(open("owned", O_RDWR | O_CREAT, 0600));

	return fcntl(fd, F_SETOWN, 1) ? ABSENT : fd;
}

static int make_dnotify(void)
{
	int fd = must(open(".", O_RDONLY | O_DIRECTORY));

	must(fcntl(fd, F_SETSIG, SIGUSR1));
	return fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT) ? ABSENT : fd;
}

/* ---- mappings ---- */

static int map_memfd(void)
{
	int fd = memfd_create("mapped", MFD_HUGETLB);

	leftover = fd < 0 ? MAP_FAILED : mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (fd >= 0)
		must(close(fd));
	return leftover == MAP_FAILED ? ABSENT : DONE;
}

/* Deleted by the name it was mapped by. */
static int map_linked(void)
{
	int fd = must(open("mapped", O_RDWR | O_CREAT, 0600));

	must(ftruncate(fd, 8192));
	leftover = must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	must(close(fd));
	must(link("mapped", "other-name"));
	must(unlink("mapped"));
	return DONE;
}

/* Nobody has mapped it shared, so that it would have to be read in the pause. */
static int map_large(void)
{
	int fd = memfd_create("large", 0);

	must(ftruncate(fd, (256 << 20) + 8192));
	leftover = must(mmap(NULL, (256 << 20) + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	must(close(fd));
	return DONE;
}

static int map_sysv(void)
{
	int id = shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | SHM_NORESERVE | 0600);

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

/* ---- places ---- */

static int make_deleted_directory(void)
{
	int fd;

	must(mkdir("was-here", 0700));
	fd = must(open("was-here", O_RDONLY | O_DIRECTORY));
	must(rmdir("was-here"));
	return fd;
}

static int make_linked(void)
{
	int fd = must(open("by-this-name", O_RDONLY | O_CREAT, 0600));

	must(link("by-this-name", "by-another"));
	must(unlink("by-this-name"));
	return fd;
}

static int make_large(void)
{
	int fd = must(open(".", O_TMPFILE | O_RDWR, 0600));

	must(ftruncate(fd, 300 << 20));
	return fd;
}

/* Its name leads elsewhere now. */
static int make_covered(void)
{
	int fd;

	must(mkdir("covered", 0700));
	fd = must(open("covered/file", O_RDONLY | O_CREAT, 0600));
	if (mount("ckpt-refuse", "covered", "tmpfs", 0, NULL))
		return ABSENT;
	must(close(must(open("covered/file", O_WRONLY | O_CREAT, 0600))));
	must(truncate("covered/file", 5));
	return fd;
}

static int make_gone_directory(void)
{
	must(mkdir("cwd", 0700));
	must(chdir("cwd"));
	must(rmdir("../cwd"));
	return DONE;
}

static int make_root(void)
{
	must(mkdir("root", 0700));
	return chroot("root") ? ABSENT : DONE;
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

/* The listener stays open: with its last descriptor the kernel lets go of it, and the filter asks nobody any more. */
static int make_seccomp(void)
{
	struct sock_filter ask = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &ask };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog) < 0 ?
	       ABSENT : DONE;
}

static int make_aio(void)
{
	static aio_context_t ctx;

	return syscall(SYS_io_setup, 4, &ctx) ? ABSENT : DONE;
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
	struct sembuf up = { .sem_op = 1, .sem_flg = SEM_UNDO };

	if (unshare((int)(intptr_t)arg))
		die("unshare: %s", strerror(errno));
	if ((intptr_t)arg == CLONE_SYSVSEM)
		must(semop(must(semget(IPC_PRIVATE, 1, 0600)), &up, 1));
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

static void *of_another_domain(void *arg)
{
	must(personality(ADDR_NO_RANDOMIZE));
	kill(getpid(), SIGUSR2);
	for (;;)
		pause();
}

static int make_personality(void)
{
	pthread_t t;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	if (pthread_create(&t, NULL, of_another_domain, NULL))
		return ABSENT;
	sigwait(&set, &sig);
	return DONE;
}

static int make_alarm(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	timer_t timer;

	return timer_create(CLOCK_BOOTTIME_ALARM, &ev, &timer) ? ABSENT : DONE;
}

static int make_speculation(void)
{
	return prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0) ? ABSENT : DONE;
}

static int make_own_files(void)
{
	return thread_apart(CLONE_FILES);
}

/* What it undoes is not what the others do. */
static int make_semundo(void)
{
	return thread_apart(CLONE_SYSVSEM);
}

/* A process that is nobody's child here, lives as long as this one and uses the semaphores, too. */
static int make_semundo_others(void)
{
	struct sembuf up = { .sem_op = 1, .sem_flg = SEM_UNDO }, next = { .sem_num = 1, .sem_op = 1 };
	int id = must(semget(IPC_PRIVATE, 2, 0600)), told[2];
	pid_t me = getpid(), child;
	char c;

	must(semop(id, &up, 1));
	must(pipe(told));
	child = must(fork());
	if (!child) {
		if (must(fork()))
			_exit(0);
		must(semop(id, &next, 1));
		must(write(told[1], "u", 1));
		while (!kill(me, 0))
			usleep(10000);
		_exit(0);
	}
	must(waitpid(child, NULL, 0));
	must(read(told[0], &c, 1));
	close(told[0]);
	close(told[1]);
	return DONE;
}

static int make_own_namespace(void)
{
	return thread_apart(CLONE_NEWUTS);
}

static const struct thing {
	const char *name;
	int (*make)(void);
} things[] = {
	{ "outside-pipe", make_outside_pipe }, { "notify-pipe", make_notify_pipe },
	{ "packets-left", make_packets_left },
	{ "fifo", make_fifo }, { "unix", make_unix }, { "tcp", make_tcp },
	{ "unix-gone", make_unix_gone }, { "unix-names", make_unix_names },
	{ "unix-relative", make_unix_relative }, { "unix-astray", make_unix_astray },
	{ "tcp-urgent", make_tcp_urgent },
	{ "unix-rights", make_unix_rights }, { "udp", make_udp }, { "raw", make_raw },
	{ "packet", make_packet }, { "filtered", make_filtered },
	{ "netlink", make_netlink }, { "epoll", make_epoll },
	{ "timerfd", make_timerfd }, { "inotify", make_inotify },
	{ "inotify-nameless", make_inotify_nameless }, { "dnotify", make_dnotify },
	{ "fanotify", make_fanotify }, { "memfd", make_memfd }, { "io_uring", make_io_uring },
	{ "userfaultfd", make_userfaultfd }, { "pidfd", make_pidfd }, { "perf", make_perf },
	{ "bpf", make_bpf }, { "mqueue", make_mqueue }, { "proc", make_proc },
	{ "o_path", make_o_path }, { "namespace", make_namespace }, { "device", make_device },
	{ "pty", make_pty }, { "pty-quoting", make_pty_quoting },
	{ "pty-leader", make_pty_leader }, { "lease", make_lease },
	{ "lease-wanted", make_lease_wanted }, { "lease-deleted", make_lease_deleted },
	{ "delegation", make_delegation }, { "owner", make_owner },
	{ "map-memfd", map_memfd }, { "map-linked", map_linked }, { "map-large", map_large },
	{ "map-sysv", map_sysv }, { "map-uffd", map_uffd },
	{ "map-device", map_device },
	{ "child", make_child }, { "zombie-child", make_zombie }, { "seccomp", make_seccomp },
	{ "aio", make_aio }, { "semundo", make_semundo },
	{ "semundo-others", make_semundo_others }, { "ldt", make_ldt },
	{ "keyring", make_keyring },
	{ "ioperm", make_ioperm }, { "notsc", make_notsc },
	{ "deleted-directory", make_deleted_directory }, { "linked", make_linked },
	{ "large", make_large }, { "covered", make_covered },
	{ "gone-directory", make_gone_directory }, { "root", make_root },
	{ "personality", make_personality },
	{ "alarm", make_alarm }, { "speculation", make_speculation },
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
