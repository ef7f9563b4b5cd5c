// SPDX-License-Identifier: GPL-2.0-only
/*
 * RANDTREE_SEED=N randtree - a random tree of 2 to 60 processes: a fact (fact.h) about all of them.
 *
 * One process after the other is made, each by its parent, and each comes to rest before the next is
 * made: it has its things (randtree-things.c), its children, its session and group, its name and limits.
 * Then it waits for orders of the first process, which are on a board that all share; SIGUSR1 says that
 * there is one.  After the snapshot the first process has each of them LOOK at itself and at what it
 * has, then has all things used up by those who share them, then has all END, children first, and be
 * waited for by their parents.  Whoever finds a difference says it and ends with status 1.
 * kinds: eventfd, epoll, timerfd, memfd, file, device, pipe, socket
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fact.h"
#include "randtree.h"

#define THREADS_MAX	3
#define OUTSIDE		NODES_MAX

enum order { LOOK, USE, WAIT, END };

struct thread {
	pthread_t thread;
	pid_t tid;
	sem_t wake;
	int wake_fd;
	volatile int asked, answered;
};

struct plan plan;
struct board *board;
int me;

static struct thread threads[THREADS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER;
static pid_t outer_sid, outer_pgid;
static char *page;		/* of its own, with its number in it */

/* ---- plan ---- */

/* The group @i can join: that of an elder sibling or of whom it descends from, in its session. */
static int find_group(int i)
{
	const struct node *n = &plan.nodes[i];

	for (int g = i - 1; g >= 0; g--) {
		const struct node *leader = &plan.nodes[g];
		bool kin = leader->parent == n->parent || is_or_descends(i, g);

		if (kin && leader->sid == n->sid && leader->pgid == g && g != n->pgid && chance(i, g, 20) % 2)
			return g;
	}
	return -1;
}

static void plan_place(int i)
{
	struct node *n = &plan.nodes[i];
	const struct node *p = &plan.nodes[n->parent];
	const unsigned int way = chance(i, 21, 22) % 8;

	n->early = i && p->session && chance(i, 23, 24) % 2;
	n->born_sid = !i ? OUTSIDE : n->early ? p->born_sid : p->sid;
	n->born_pgid = !i ? OUTSIDE : n->early ? p->born_pgid : p->pgid;
	n->sid = n->born_sid;
	n->pgid = n->born_pgid;
	n->joins = -1;
	n->session = way == 0;
	n->leads = way == 1;
	n->headless = way == 2 && i;
	if (way > 5)
		n->joins = find_group(i);
	if (n->session)
		n->sid = i;
	if (n->session || n->leads)
		n->pgid = i;
	if (n->joins >= 0)
		n->pgid = n->joins;
	if (n->headless)
		n->pgid = -1 - i;
}

static void plan_node(int i)
{
	static const char letters[] = "abc (XYZ) 019_-)";
	struct node *n = &plan.nodes[i];

	do
		n->parent = i ? (int)(chance(i, 30, 31 + n->waits++) % (unsigned int)i) : 0;
	while (i && plan.nodes[n->parent].ends);
	plan_place(i);
	n->ends = i && chance(i, 33, 34) % 7 == 0 && !n->headless;
	n->status = chance(i, 35, 36) % 2 ? (int)(chance(i, 37, 38) % 256) << 8 :
		    chance(i, 39, 40) % 2 ? SIGKILL : SIGHUP;
	n->threads = chance(i, 41, 42) % 3 ? 0 : (int)(chance(i, 43, 44) % (THREADS_MAX + 1));
	n->waits = (int)(chance(i, 45, 46) % 3);
	n->nice = chance(i, 47, 48) % 2 ? (int)(chance(i, 49, 50) % 20) : 0;
	n->umask = (mode_t)(chance(i, 51, 52) % 64 * 8 % 0100) | 02;
	for (unsigned int k = 0; k < 1 + chance(i, 53, 54) % 15; k++)
		n->name[k] = letters[chance(i, k, 55) % (sizeof(letters) - 1)];
}

static void make_plan(void)
{
	plan.seed = strtoull(getenv("RANDTREE_SEED") ?: "1", NULL, 0);
	/* Half of them are small: these are the ones a difference is understood by. */
	plan.nr_nodes = 2 + (int)(chance(1, 1, 1) % (chance(2, 2, 2) % 2 ? 8 : NODES_MAX - 1));
	plan.nr_things = 1 + (int)(chance(3, 3, 3) % THINGS_MAX);
	for (int i = 0; i < plan.nr_nodes; i++)
		plan_node(i);
	for (int k = 0; k < plan.nr_things; k++)
		thing_plan(k);
}

/* ---- threads: asleep in one of three ways ---- */

static void thread_sleep(struct thread *t, int i)
{
	uint64_t count;

	switch (i % 3) {
	case 0:
		pthread_mutex_lock(&lock);
		while (t->asked == t->answered)
			pthread_cond_wait(&asked, &lock);
		pthread_mutex_unlock(&lock);
		break;
	case 1:
		hold_true(!sem_wait(&t->wake));
		break;
	default:
		hold_true(read(t->wake_fd, &count, sizeof(count)) == sizeof(count) && count == 1);
	}
}

static void *thread_run(void *arg)
{
	const int i = (int)(intptr_t)arg;
	struct thread *t = &threads[i];
	char name[16];

	t->tid = (pid_t)syscall(SYS_gettid);
	snprintf(name, sizeof(name), "thread %d/%d", me, i);
	prctl(PR_SET_NAME, name);
	t->answered++;
	for (;;) {
		char now[16] = "";

		thread_sleep(t, i);
		prctl(PR_GET_NAME, now);
		hold_true(!strcmp(now, name) && syscall(SYS_gettid) == t->tid && getpid() == board->pid[me]);
		hold_true(t->asked == t->answered + 1);
		t->answered++;
	}
	return NULL;
}

static void wait_answers(void)
{
	for (int i = 0; i < plan.nodes[me].threads; i++)
		while (threads[i].answered != threads[i].asked && !board->failed)
			usleep(1000);
}

static void start_threads(void)
{
	for (int i = 0; i < plan.nodes[me].threads; i++) {
		threads[i] = (struct thread){ .asked = 1, .wake_fd = must(eventfd(0, EFD_CLOEXEC)) };
		sem_init(&threads[i].wake, 0, 0);
		hold_true(!pthread_create(&threads[i].thread, NULL, thread_run, (void *)(intptr_t)i));
	}
	wait_answers();
}

static void ask_threads(void)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < plan.nodes[me].threads; i++)
		threads[i].asked++;
	pthread_cond_broadcast(&asked);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < plan.nodes[me].threads; i++) {
		sem_post(&threads[i].wake);
		hold_true(write(threads[i].wake_fd, &one, sizeof(one)) == sizeof(one));
	}
	wait_answers();
}

/* ---- being one ---- */

static void begin(int i);

static void begin_children(bool early)
{
	for (int i = me + 1; i < plan.nr_nodes; i++)
		if (plan.nodes[i].parent == me && plan.nodes[i].early == early)
			begin(i);
}

/* In a group whose leader there was, and who was waited for. */
static void join_headless(void)
{
	const pid_t pid = must(fork());

	if (!pid) {
		setpgid(0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	hold_true(waitpid(pid, NULL, WUNTRACED) == pid);
	must(setpgid(0, pid));
	board->gone[me] = pid;
	must(kill(pid, SIGCONT));
	hold_true(waitpid(pid, NULL, 0) == pid);
}

static void take_place(void)
{
	const struct node *n = &plan.nodes[me];

	begin_children(true);
	if (n->session)
		must(setsid());
	if (n->leads)
		must(setpgid(0, 0));
	if (n->joins >= 0)
		must(setpgid(0, board->pid[n->joins]));
	if (n->headless)
		join_headless();
}

static void dress(void)
{
	const struct node *n = &plan.nodes[me];
	const struct rlimit files = { 1000 + (rlim_t)me, 4096 };
	char name[32];

	must(prctl(PR_SET_NAME, n->name));
	must(setpriority(PRIO_PROCESS, 0, n->nice));
	must(setrlimit(RLIMIT_NOFILE, &files));
	must(prctl(PR_SET_TIMERSLACK, 1000ul * (1000 + me)));
	if (chance(me, 60, 61) % 3 == 0) {
		snprintf(name, sizeof(name), "dir.%d", me);
		must(mkdir(name, 0755));
		must(chdir(name));
	}
	if (chance(me, 62, 63) % 4 == 0)
		must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (me && chance(me, 64, 65) % 4 == 0)
		must(raise(SIGTERM));		/* which is blocked, and waits */
	umask(n->umask);
}

static void nothing(int sig)
{
}

static void make_signals(void)
{
	struct sigaction act = { .sa_handler = nothing };
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &mask, NULL));
	must(sigaction(SIGUSR1, &act, NULL));
}

/* For everything that is its own; its children are made in the midst of it. */
static void be(void)
{
	for (int k = 0; k < plan.nr_things; k++)
		if (plan.things[k].owner == me)
			thing_make(k);
	page = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	memset(page, me + 1, 4096);
	take_place();
	begin_children(false);
	for (int k = 0; k < plan.nr_things; k++)
		if (is_or_descends(me, plan.things[k].owner))
			thing_settle(k);
	dress();
	start_threads();
	board->ready[me] = true;
}

static pid_t planned_group(int pgid)
{
	return pgid == OUTSIDE ? outer_pgid : pgid < 0 ? board->gone[-1 - pgid] : board->pid[pgid];
}

static void look_at_self(void)
{
	const struct node *n = &plan.nodes[me];
	const mode_t mask = umask(0);
	struct rlimit files;
	char name[16];

	umask(mask);
	hold_true(getpid() == board->pid[me]);
	hold_true(!me || getppid() == board->pid[n->parent]);
	hold_true(getsid(0) == (n->sid == OUTSIDE ? outer_sid : board->pid[n->sid]));
	hold_true(getpgrp() == planned_group(n->pgid));
	hold_true(mask == n->umask);
	hold_true(getpriority(PRIO_PROCESS, 0) == n->nice);
	hold_true(!prctl(PR_GET_NAME, name) && !strcmp(name, n->name));
	hold_true(!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur == 1000 + (rlim_t)me &&
		  files.rlim_max == 4096);
	hold_true(prctl(PR_GET_TIMERSLACK) == 1000 * (1000 + me));
	hold_true(page[0] == me + 1 && !memcmp(page, page + 1, 4095));
	ask_threads();
}

static void look_at_all(void)
{
	look_at_self();
	for (int k = 0; k < plan.nr_things; k++)
		thing_look(k);
}

static void wait_child(int i)
{
	const struct node *n = &plan.nodes[i];
	int status;

	hold_true(waitpid(board->pid[i], &status, 0) == board->pid[i]);
	hold_true(status == (n->ends ? n->status : 0));
}

static void follow(void)
{
	const int about = board->about[me];

	switch ((enum order)board->what[me]) {
	case LOOK:
		look_at_all();
		break;
	case USE:
		thing_use(about, board->step[me]);
		break;
	case WAIT:
		wait_child(about);
		break;
	case END:
		break;
	}
	board->done[me]++;
	if (board->what[me] == END)
		_exit(0);
}

static void serve(void)
{
	sigset_t usr1, without;

	sigprocmask(SIG_BLOCK, NULL, &without);
	sigdelset(&without, SIGUSR1);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	for (;;) {
		while (board->done[me] != board->order[me])
			follow();
		switch (plan.nodes[me].waits) {
		case 0:
			sigwaitinfo(&usr1, NULL);
			break;
		case 1:
			sigsuspend(&without);
			break;
		default:
			ppoll(NULL, 0, NULL, &without);
		}
	}
}

static void __attribute__((noreturn)) end_as_planned(void)
{
	const int status = plan.nodes[me].status;

	take_place();
	board->ready[me] = true;
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

/* And wait until it is at rest. */
static void begin(int i)
{
	const pid_t pid = must(fork());
	siginfo_t info;

	if (!pid) {
		me = i;
		board->pid[i] = getpid();
		if (plan.nodes[i].ends)
			end_as_planned();
		be();
		serve();
	}
	if (plan.nodes[i].ends)
		must(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	while (!board->ready[i])
		usleep(5000);
}

/* ---- the first one ---- */

static void tell(int i, enum order what, int about, int step)
{
	board->what[i] = what;
	board->about[i] = about;
	board->step[i] = step;
	board->order[i]++;
	if (i)
		must(kill(board->pid[i], SIGUSR1));
	else
		follow();
	while (board->done[i] != board->order[i]) {
		if (board->failed)
			_exit(1);
		usleep(1000);
	}
}

static void use_all(void)
{
	for (int k = 0; k < plan.nr_things; k++)
		for (int step = 0, who; (who = thing_user(k, step)) >= 0; step++)
			tell(who, USE, k, step);
}

static void set_up(void)
{
	make_plan();
	outer_sid = getsid(0);
	outer_pgid = getpgrp();
	board = must(mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	board->pid[0] = getpid();
	make_signals();
	be();
}

static void look(void)
{
	for (int i = 0; i < plan.nr_nodes; i++)
		if (!plan.nodes[i].ends)
			tell(i, LOOK, 0, 0);
	use_all();
	for (int i = plan.nr_nodes - 1; i > 0; i--) {
		if (!plan.nodes[i].ends)
			tell(i, END, 0, 0);
		tell(plan.nodes[i].parent, WAIT, i, 0);
	}
}

FACT(set_up, look)
