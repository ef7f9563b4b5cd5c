// SPDX-License-Identifier: GPL-2.0-only
/* The process and its threads: numbers, names, limits, scheduling, identity. */
#include <grp.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "state.h"

/* ---- numbers ---- */

static pid_t pid, tid, pgid;

static void set_numbers(void)
{
	pid = getpid();
	tid = syscall(SYS_gettid);
	pgid = getpgrp();
}

static void check_numbers(void)
{
	want(getpid() == pid && syscall(SYS_gettid) == tid);
	/* its group may be gone with the session it was started from; a leader stays one */
	want(pgid != pid || getpgrp() == pid);
}

/* ---- names ---- */

static void set_name(void)
{
	must(prctl(PR_SET_NAME, "a (name) ) R 1"));
}

static void check_name(void)
{
	char name[16];

	must(prctl(PR_GET_NAME, name));
	want(!strcmp(name, "a (name) ) R 1"));
}

/* ---- limits ---- */

static const struct {
	int what;
	struct rlimit limit;
} limits[] = {
	{ RLIMIT_NOFILE, { 111, 222 } }, { RLIMIT_CORE, { 4096, 8192 } },
	{ RLIMIT_STACK, { 6 << 20, RLIM_INFINITY } }, { RLIMIT_SIGPENDING, { 500, 1000 } },
	{ RLIMIT_MEMLOCK, { 1 << 20, 2 << 20 } }, { RLIMIT_CPU, { 100000, 200000 } },
};

static void set_limits(void)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		must(setrlimit(limits[i].what, &limits[i].limit));
}

static void check_limits(void)
{
	struct rlimit now;

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		must(getrlimit(limits[i].what, &now));
		want(now.rlim_cur == limits[i].limit.rlim_cur);
		want(now.rlim_max == limits[i].limit.rlim_max);
	}
}

/* ---- umask, working directory ---- */

#define DIRECTORY	"a directory, \xc3\xa4\xf6 (deleted)"	/* not even UTF-8 */

static char cwd[4096];

static void set_place(void)
{
	umask(0137);
	must(mkdir(DIRECTORY, 0700));
	must(chdir(DIRECTORY));
	want(getcwd(cwd, sizeof(cwd)));
}

static void check_place(void)
{
	char now[4096];
	mode_t mask = umask(0);

	want(mask == 0137);
	want(getcwd(now, sizeof(now)) && !strcmp(now, cwd));
}

/* ---- scheduling ---- */

static void set_sched(void)
{
	struct sched_param none = { 0 };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	must(sched_setscheduler(0, SCHED_BATCH, &none));
	must(setpriority(PRIO_PROCESS, 0, 7));
	must(sched_setaffinity(0, sizeof(one), &one));
	must(prctl(PR_SET_TIMERSLACK, 123456));
	must(syscall(SYS_ioprio_set, 1, 0, 3 << 13 | 0));	/* idle */
}

static void check_sched(void)
{
	cpu_set_t now;

	want(sched_getscheduler(0) == SCHED_BATCH);
	want(getpriority(PRIO_PROCESS, 0) == 7);
	must(sched_getaffinity(0, sizeof(now), &now));
	want(CPU_COUNT(&now) == 1 && CPU_ISSET(0, &now));
	want(prctl(PR_GET_TIMERSLACK) == 123456);
	want(syscall(SYS_ioprio_get, 1, 0) == 3 << 13);
}

/* ---- what prctl keeps ---- */

static int dumpable;

static void set_prctl(void)
{
	must(prctl(PR_SET_DUMPABLE, 0));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(prctl(PR_SET_PDEATHSIG, SIGPWR));
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(personality(ADDR_COMPAT_LAYOUT | UNAME26));
}

static void check_prctl(void)
{
	int value = 0;

	must(prctl(PR_GET_CHILD_SUBREAPER, &value));
	want(value == 1);
	must(prctl(PR_GET_PDEATHSIG, &value));
	want(value == SIGPWR);
	want(prctl(PR_GET_DUMPABLE) == dumpable);
	want(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	want(personality(0xffffffff) == (ADDR_COMPAT_LAYOUT | UNAME26));
}

/* ---- a thread of its own kind ---- */

static __thread uint64_t tls_word = 1, tls_array[100];
static void *robust_head;
static pthread_barrier_t looked;
static pthread_t other;

static unsigned int rseq_cpu(void)
{
	const struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	return *(volatile uint32_t *)&area->cpu_id;
}

/* The kernel goes on writing this thread's processor where it was told to. */
static void want_rseq(void)
{
	int cpu, tries = 1000;
	bool same;

	if (!__rseq_size)
		return;
	do {
		cpu = syscall(SYS_getcpu, &cpu, NULL, NULL) ? -1 : cpu;
		same = rseq_cpu() == (unsigned int)cpu;
	} while (!same && --tries);
	want(same);
}

static void *thread(void *arg)
{
	uint64_t *volatile array = tls_array;
	void *head = NULL;
	char name[16];
	pid_t mine = syscall(SYS_gettid);
	size_t len;
	struct sched_param rr = { .sched_priority = 3 };
	bool realtime = !pthread_setschedparam(pthread_self(), SCHED_RR, &rr);

	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);	/* what is sent to the process waits for main */
	must(prctl(PR_SET_NAME, "other thread"));
	tls_word = 0xfeedfacecafebeefull;
	for (int i = 0; i < 100; i++)
		array[i] = mix64(i);
	must(syscall(SYS_get_robust_list, 0, &robust_head, &len));
	pthread_barrier_wait(&looked);		/* all set */
	pthread_barrier_wait(&looked);		/* after the snapshot */
	want(syscall(SYS_gettid) == mine);
	want(tls_word == 0xfeedfacecafebeefull);
	want(array == tls_array);
	for (int i = 0; i < 100; i++)
		want(array[i] == mix64(i));
	must(syscall(SYS_get_robust_list, 0, &head, &len));
	want(head == robust_head && len == sizeof(struct robust_list_head));
	must(prctl(PR_GET_NAME, name));
	want(!strcmp(name, "other thread"));
	want(sched_getscheduler(0) == (realtime ? SCHED_RR : SCHED_BATCH));
	want_rseq();
	return NULL;
}

static void set_thread(void)
{
	pthread_barrier_init(&looked, NULL, 2);
	want(!pthread_create(&other, NULL, thread, NULL));
	pthread_barrier_wait(&looked);
	tls_word = 42;
}

/* pthread_join returns because the kernel clears the word of clear_child_tid. */
static void check_thread(void)
{
	want(tls_word == 42);
	want_rseq();
	pthread_barrier_wait(&looked);
	want(!pthread_join(other, NULL));
}

const struct aspect process_aspects[] = {
	{ "numbers", set_numbers, check_numbers },
	{ "name", set_name, check_name },
	{ "limits", set_limits, check_limits },
	{ "umask and working directory", set_place, check_place },
	{ "scheduling", set_sched, check_sched },
	{ "prctl and personality", set_prctl, check_prctl },
	{ "thread, its storage, robust list and rseq", set_thread, check_thread },
	{ NULL }
};

/* ---- identity ---- */

static const gid_t groups[] = { 5, 77, 70000 };
static struct __user_cap_data_struct caps[2];

static void get_caps(struct __user_cap_data_struct *data)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	must(syscall(SYS_capget, &head, data));
}

static void set_creds(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	must(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	must(setgroups(3, groups));
	must(setresgid(1001, 1002, 1003));
	must(prctl(PR_SET_KEEPCAPS, 1));
	must(setresuid(2001, 2002, 2003));
	memset(caps, 0, sizeof(caps));
	caps[0].permitted = 1u << CAP_NET_RAW | 1u << CAP_CHOWN | 1u << CAP_KILL;
	caps[0].effective = 1u << CAP_KILL;
	caps[0].inheritable = 1u << CAP_CHOWN;
	must(syscall(SYS_capset, &head, caps));
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
	setfsuid(2003);
	/* these the change of identity took away */
	must(prctl(PR_SET_PDEATHSIG, SIGPWR));
	must(prctl(PR_SET_DUMPABLE, 1));
	dumpable = 1;
}

static void check_creds(void)
{
	struct __user_cap_data_struct now[2];
	gid_t gids[8];
	uid_t r, e, s;

	must(getresuid(&r, &e, &s));
	want(r == 2001 && e == 2002 && s == 2003);
	want(setfsuid(-1) == 2003);
	must(getresgid(&r, &e, &s));
	want(r == 1001 && e == 1002 && s == 1003);
	want(getgroups(8, gids) == 3 && !memcmp(gids, groups, sizeof(groups)));
	get_caps(now);
	want(!memcmp(now, caps, sizeof(caps)));
	want(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 1);
	want(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 0 && prctl(PR_CAPBSET_READ, CAP_SYS_TIME) == 1);
}

const struct aspect creds_aspects[] = {
	{ "identity and capabilities", set_creds, check_creds },
	{ NULL }
};
