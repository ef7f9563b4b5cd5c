// SPDX-License-Identifier: GPL-2.0-only
/* A thread that runs when nobody else does. */
#include "fact-sched.h"

SCHED_FACT(SCHED_IDLE, 0, 19)
