/* SPDX-License-Identifier: GPL-2.0-only */
/* Storms that others make, a process each: on the program, on the machine, on the module. */
#ifndef STRESS_OUTSIDE_H
#define STRESS_OUTSIDE_H

#include <dirent.h>
#include <sys/ptrace.h>

#include "inside.h"
#include "take.h"

/* ---- the machine ---- */

static inline void compaction(struct view *v)
{
	long before, after = vmstat("pgmigrate_success");

	while (!v->stop) {
		before = after;
		if (!set_file("/proc/sys/vm/compact_memory", "1"))
			fault(v, "compact_memory: %s", strerror(errno));
		after = vmstat("pgmigrate_success");
		add(&v->events[COMPACTION], after - before);
		usleep(2000);
	}
}

/* The same storm is made inside by advice; this one splits what it finds. */
static inline void huge_pages_split(struct view *v)
{
	char text[128];

	snprintf(text, sizeof(text), "%d,%#lx,%#lx", v->pid, (unsigned long)v->mem[1],
		 (unsigned long)v->mem[1] + HUGE);
	while (!v->stop) {
		set_file("/sys/kernel/debug/split_huge_pages", text);
		usleep(1000);
	}
}

#define PROCESSOR	"/sys/devices/system/cpu/cpu1/online"

static inline void processors(struct view *v)
{
	while (!v->stop) {
		/* Somebody else may be busy with it: EBUSY. */
		if (set_file(PROCESSOR, "0") && wait_until(set_file(PROCESSOR, "1")))
			happened(v, PROCESSORS);
		else if (errno != EBUSY)
			fault(v, "%s: %s", PROCESSOR, strerror(errno));
		usleep(5000);
	}
}

/* ---- the program ---- */

/* Several who halt the program would starve it: each lets it do something before the next time. */
static inline void let_it_get_on(const struct view *v)
{
	uint64_t since[WRITERS];

	if (!(v->storms & (v->storms - 1)))
		return;
	memcpy(since, (void *)v->told, sizeof(since));
	wait_until(v->stop || v->told_why || all_told(v, since, 64));
}

static inline bool group_is_frozen(const struct view *v, const char *want)
{
	char path[128], text[256];

	snprintf(path, sizeof(path), "%s/cgroup.events", v->group);
	return get_file_text(path, text, sizeof(text)) > 0 && strstr(text, want);
}

static inline void group_freeze(struct view *v)
{
	while (!v->stop) {
		if (!group_set(v, "cgroup.freeze", "1"))
			fault(v, "cgroup.freeze: %s", strerror(errno));
		/* One that our freeze, or a tracer, stands in the way of comes late or never. */
		if (wait_until(group_is_frozen(v, "frozen 1") || v->stop) && !v->stop)
			happened(v, GROUP_FREEZE);
		group_set(v, "cgroup.freeze", "0");
		let_it_get_on(v);
		usleep(5000);
	}
}

static inline void stops(struct view *v)
{
	while (!v->stop) {
		/* Again and again: a tracer keeps one to itself that it takes for its own. */
		bool stopped = wait_until(v->stop || kill(v->pid, SIGSTOP) ||
					  task_state(v->pid, v->pid) == 'T');

		kill(v->pid, SIGCONT);
		if (!wait_until(task_state(v->pid, v->pid) != 'T'))
			fault(v, "the program does not go on");
		if (stopped && !v->stop)
			happened(v, STOPS);
		let_it_get_on(v);
		usleep(5000);
	}
}

static inline void trace_thread(struct view *v, pid_t tid, bool attach)
{
	int status;

	if (ptrace(attach ? PTRACE_ATTACH : PTRACE_SEIZE, tid, NULL, NULL)) {
		/* It has gone. Or is about to. */
		if (errno != ESRCH && errno != EPERM)
			fault(v, "ptrace %d: %s", tid, strerror(errno));
		return;
	}
	if (!attach)
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	for (;;) {
		if (waitpid(tid, &status, __WALL) < 0 || !WIFSTOPPED(status))
			return;
		if (WSTOPSIG(status) == (attach ? SIGSTOP : SIGTRAP))
			break;
		/* A signal of the program's own is on its way: let it have it. */
		ptrace(PTRACE_CONT, tid, NULL, status >> 16 ? 0 : WSTOPSIG(status));
	}
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	happened(v, TRACER);
}

static inline void tracer(struct view *v)
{
	unsigned int n = 0;
	struct dirent *e;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", v->pid);
	while (!v->stop) {
		dir = opendir(path);
		while (dir && (e = readdir(dir)) && !v->stop) {
			if (!atoi(e->d_name))
				continue;
			trace_thread(v, atoi(e->d_name), ++n & 1);
			let_it_get_on(v);
		}
		if (dir)
			closedir(dir);
	}
}

/* ---- the module ---- */

static inline void load_again(struct view *v)
{
	int fd = open(getenv("CKPT_MODULE") ?: "build/ckpt.ko", O_RDONLY | O_CLOEXEC);

	/* EEXIST: it has not gone yet. */
	if (fd < 0 || !wait_until(!syscall(__NR_finit_module, fd, "", 0)))
		fault(v, "the module does not load: %s", strerror(errno));
	close(fd);
}

/* Unloaded whenever nobody has it open; the snapshotters see to it that mostly somebody has. */
static inline void unloading(struct view *v)
{
	while (!v->stop) {
		if (!syscall(__NR_delete_module, "ckpt", O_NONBLOCK)) {
			load_again(v);
			happened(v, UNLOADING);
		} else if (errno == EAGAIN || errno == EBUSY) {
			add(&v->refused, 1);
			usleep(100);
		} else {
			fault(v, "delete_module: %s", strerror(errno));
		}
	}
}

/* ---- who takes snapshots is killed ---- */

static inline void killed(struct view *v)
{
	unsigned int seed = v->seed + KILLED;

	while (!v->stop) {
		pid_t pid = must(fork());

		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				take_by_session(v, seed);
		}
		usleep(rand_r(&seed) % 20000);
		kill(pid, SIGKILL);
		if (WTERMSIG(child_status(pid)) != SIGKILL)
			fault(v, "a snapshotter ended by itself");
		happened(v, KILLED);
	}
}

/* ---- programs that end at any step of a session ---- */

static void *spin(void *arg)
{
	for (;;)
		;
	return NULL;
}

static inline void short_program(struct target *me, void *arg)
{
	unsigned int seed = *(unsigned int *)arg, i;
	volatile unsigned int n = rand_r(&seed) % 3000000;
	pthread_t t;

	for (i = 0; i < 3; i++)
		begin(&t, spin, 0);
	target_say(me);
	while (n--)
		;
	/* In one of two the end comes from outside. */
	if (rand_r(&seed) & 1)
		spin(NULL);
	syscall(__NR_exit_group, 0);
}

static inline bool is_end(int ret)
{
	return ret >= 0 || ret == -ESRCH || ret == -EAGAIN;
}

static inline void deaths(struct view *v)
{
	unsigned int seed = v->seed + DEATHS;

	while (!v->stop) {
		int session, fd, ret, die = rand_r(&seed) % 5;
		struct ckpt_attach a;
		struct ckpt_freeze f;
		struct target t;

		target_begin(&t, short_program, &seed);
		session = open_session(v, t.pid, &a);
		if (die == 0)
			kill(t.pid, SIGKILL);
		ret = session < 0 ? session : freeze_why(session, PATIENCE_MS, &f);
		if (die == 1)
			kill(t.pid, SIGKILL);
		fd = ret ? ret : snapshot(session);
		if (!is_end(ret) || !is_end(fd))
			fault(v, "a program that ends: freeze %d, snapshot %d", ret, fd);
		if (die == 2)
			kill(t.pid, SIGKILL);
		if (!ret && (ret = thaw(session)))
			fault(v, "a program that ends: thaw %d", ret);
		if (fd >= 0 && (barrier(fd) || !stats(fd).out_armed))
			fault(v, "a snapshot does not outlive its program");
		if (session >= 0)
			close(session);
		target_kill(&t);
		if (fd >= 0)
			close(fd);
		happened(v, DEATHS);
	}
}

#endif
