// SPDX-License-Identifier: GPL-2.0-only
/* What the program has registered for with membarrier(): it may still use it, and nothing else. */
#include <linux/membarrier.h>
#include <sys/syscall.h>

#include "fact.h"

static const int wanted[][2] = {	/* registration, use */
	{ MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED },
	{ MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE },
	{ MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, MEMBARRIER_CMD_GLOBAL_EXPEDITED },
};

static long call(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0);
}

static void set_up(void)
{
	for (int i = 0; i < 3; i++)
		must(call(wanted[i][0]));
}

static void look(void)
{
	for (int i = 0; i < 3; i++)
		want(!call(wanted[i][1]));
	want(call(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) == -1 && errno == EPERM);
}

FACT(set_up, look)
