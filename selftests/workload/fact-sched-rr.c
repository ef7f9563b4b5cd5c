// SPDX-License-Identifier: GPL-2.0-only
/* A thread for real time, by turns, at the highest priority. */
#include "fact-sched.h"

SCHED_FACT(SCHED_RR, 99, -3)
