// SPDX-License-Identifier: GPL-2.0-only
/*
 * freezer PID [TIMES] [EVERY_US] - freeze, capture, thaw and throw away, over and over
 *
 * For programs with things no restore can bring back yet: what is tested is that they do not notice.
 * Without TIMES (or 0) it goes on until the program ends.  Prints the number of freezes and, to
 * standard error, what they took.
 */
#include "raw.h"

struct sums {
	long taken, unsteady, woken, parked, asleep;
	uint64_t pause_ns, worst_ns;
};

static void account(int fd, struct sums *sums)
{
	struct ckpt_stats st = { .size = sizeof(st) };

	if (ioctl(fd, CKPT_STATS, &st))
		die("CKPT_STATS: %s", strerror(errno));
	sums->taken++;
	sums->woken += st.out_woken;
	sums->parked += st.out_parked;
	sums->asleep += st.out_asleep;
	sums->pause_ns += st.out_pause_ns;
	if (st.out_pause_ns > sums->worst_ns)
		sums->worst_ns = st.out_pause_ns;
}

int main(int argc, char **argv)
{
	pid_t pid = arg_number(argc, argv, 1, 0);
	long times = arg_number(argc, argv, 2, 0);
	long every = arg_number(argc, argv, 3, 20000);
	int device = raw_open();
	struct sums sums = { 0 };

	while (!times || sums.taken < times) {
		struct ckpt_snap s;
		int fd = raw_snap(device, pid, &s);

		if (fd == -ESRCH)
			break;
		if (fd == -EAGAIN) {
			/* threads came and went; the next one will do */
			sums.unsteady++;
		} else if (fd < 0) {
			die("snap %d: %s, reason %u, tid %d, syscall %d", pid, strerror(-fd),
			    s.out_reason, s.out_tid, s.out_syscall);
		} else {
			account(fd, &sums);
			close(fd);
		}
		usleep(every);
	}
	if (!sums.taken)
		die("not one freeze of %d: %ld were unsteady", pid, sums.unsteady);
	say("frozen %ld", sums.taken);
	note("pause mean %llu us, worst %llu us; threads parked %ld, asleep %ld, woken %ld; unsteady %ld",
	     (unsigned long long)(sums.pause_ns / sums.taken / 1000),
	     (unsigned long long)(sums.worst_ns / 1000), sums.parked / sums.taken,
	     sums.asleep / sums.taken, sums.woken / sums.taken, sums.unsteady);
	return 0;
}
