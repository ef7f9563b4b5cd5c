// SPDX-License-Identifier: GPL-2.0-only
/* A thread for real time, first in, first out, among ordinary ones; its nice value is kept for later. */
#include "fact-sched.h"

SCHED_FACT(SCHED_FIFO, 17, 5)
