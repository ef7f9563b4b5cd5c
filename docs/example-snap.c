// SPDX-License-Identifier: GPL-2.0-only
/* example-snap PID: picture a process, print what its memory is made of. Only <linux/ckpt.h>. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/ckpt.h>

int main(int argc, char **argv)
{
	struct ckpt_snap snap = { .size = sizeof(snap), .flags = CKPT_SNAPSHOT_CONSUME };
	struct ckpt_barrier barrier = { .size = sizeof(barrier) };
	struct ckpt_stats stats = { .size = sizeof(stats) };
	struct ckpt_run runs[64];
	struct ckpt_map map = { .size = sizeof(map), .runs = (unsigned long)runs, .nr = 64 };
	unsigned long long sum = 0, bytes = 0;
	int dev = open(CKPT_DEVICE, O_RDWR | O_CLOEXEC);
	char page[4096];

	snap.pid = argc > 1 ? atoi(argv[1]) : 0;
	if (dev < 0 || ioctl(dev, CKPT_SNAP, &snap)) {	/* from here on the process runs on */
		fprintf(stderr, "no snapshot, reason %u: ", snap.out_reason);
		return perror(NULL), 1;
	}
	if (ioctl(snap.out_fd, CKPT_BARRIER, &barrier))	/* its files first, then its memory */
		return perror("barrier"), 1;
	while (!ioctl(snap.out_fd, CKPT_MAP, &map) && map.out_nr) {
		for (unsigned int i = 0; i < map.out_nr; i++)
			for (__u64 at = 0; runs[i].kind == CKPT_RUN_DATA && at < runs[i].len; at += 4096) {
				if (pread(snap.out_fd, page, 4096, runs[i].start + at) != 4096)
					return perror("read"), 1;
				sum = sum * 31 + page[0];
				bytes += 4096;
			}
		map.start = map.out_next;
	}
	ioctl(snap.out_fd, CKPT_STATS, &stats);
	return printf("%llu bytes, paused for %llu ns, sum %llx\n", bytes, stats.out_pause_ns, sum) < 0;
}
