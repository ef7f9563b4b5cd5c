// SPDX-License-Identifier: GPL-2.0-only
/* A thread that is not interactive, and whose children are ordinary ones. */
#include "fact-sched.h"

SCHED_FACT(SCHED_BATCH | SCHED_RESET_ON_FORK, 0, -20)
