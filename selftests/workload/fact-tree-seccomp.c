// SPDX-License-Identifier: GPL-2.0-only
/* A child that has inherited a seccomp filter, and one of its own beside. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fact-child.h"

static struct child child;

static void install(long call, uint32_t answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };

	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0));
}

static bool answers(long call, int answer)
{
	errno = 0;
	return syscall(call, 0, 0, 0) == -1 && errno == answer;
}

static void set_up_child(void)
{
	install(SYS_ustat, 102);
}

static void child_looks(void)
{
	want(answers(SYS_sysfs, 101) && answers(SYS_ustat, 102));
}

static void set_up(void)
{
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	install(SYS_sysfs, 101);
	child_begin(&child, set_up_child, child_looks);
}

static void look(void)
{
	want(answers(SYS_sysfs, 101) && !answers(SYS_ustat, 102));
	child_look(&child);
}

FACT(set_up, look)
