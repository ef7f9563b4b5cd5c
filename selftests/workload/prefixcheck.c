// SPDX-License-Identifier: GPL-2.0-only
/*
 * prefixcheck live PID [TIMES]  - is what a snapshot of a running `prefix` holds one prefix?
 * prefixcheck image FILE        - is what this image holds?
 * prefixcheck mem PID           - is what /proc/PID/mem shows?  Of a running program it is not: this
 *                                 is how the test shows that it can fail.
 *
 * live asks the module TIMES times, at random moments, and reads through the snapshot descriptor.
 * Status 1 and "torn: ..." on standard error if it is not; prints how far each half was.
 */
#include "err.h"
#include "image.h"
#include "prefix.h"
#include "raw.h"

#define CHUNK	(1 << 20)

struct source {
	int fd;				/* snapshot descriptor, or */
	struct image_pages *pages;	/* pages of an image */
};

static void fetch(struct source *from, uint64_t at, void *buf, size_t len)
{
	struct ckpt_err err = { 0 };
	size_t done = 0;

	if (from->pages) {
		if (image_pages_read(from->pages, at, len / 4096, buf, &err))
			die("no page at %#llx in the image: %s",
			    (unsigned long long)at, err.text);
		return;
	}
	while (done < len) {
		ssize_t n = pread(from->fd, (char *)buf + done, len - done, at + done);

		if (n <= 0)
			die("pread at %#llx: %s", (unsigned long long)at + done,
			    n ? strerror(errno) : "end");
		done += n;
	}
}

static bool check(struct source *from)
{
	struct prefix_head *head = aligned_alloc(4096, 4096);
	uint64_t n[2], seen[2], published[2];
	bool good = true;
	char *half;

	fetch(from, PREFIX_HEAD, head, 4096);
	if (head->magic != PREFIX_MAGIC)
		die("not a snapshot of prefix");
	half = aligned_alloc(4096, head->size / 2);
	if (!half)
		die("no memory for %llu bytes", (unsigned long long)head->size / 2);
	for (int t = 0; t < 2; t++) {
		for (uint64_t at = 0; at < head->size / 2; at += CHUNK)
			fetch(from, PREFIX_BASE + t * head->size / 2 + at, half + at, CHUNK);
		published[t] = head->published[t].v;
		good &= prefix_check_half((void *)half, t, head->size, &n[t], &seen[t]);
	}
	good = good && prefix_check_pair(n, seen, published);
	if (good)
		say("prefix of %llu and %llu", (unsigned long long)n[0], (unsigned long long)n[1]);
	free(half);
	free(head);
	return good;
}

static bool check_live(int device, pid_t pid)
{
	struct ckpt_barrier barrier = { .size = sizeof(barrier) };
	struct source from = { 0 };
	struct ckpt_snap s;
	bool good;

	from.fd = raw_snap_steady(device, pid, &s);
	if (from.fd < 0)
		die("snap %d: %s, reason %u", pid, strerror(-from.fd), s.out_reason);
	must(ioctl(from.fd, CKPT_BARRIER, &barrier));
	good = check(&from);
	close(from.fd);
	return good;
}

static bool check_mem(pid_t pid)
{
	struct source from = { 0 };
	char path[32];
	bool good;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	from.fd = must(open(path, O_RDONLY | O_CLOEXEC));
	good = check(&from);
	close(from.fd);
	return good;
}

static bool check_image(const char *path)
{
	struct ckpt_err err = { 0 };
	struct source from = { .fd = -1 };
	struct image_section section;
	struct image *img;
	uint32_t i = 0, sections;
	bool good;
	int fd = must(open(path, O_RDONLY | O_CLOEXEC));

	if (image_open(fd, path, &err, &img))
		die("%s: %s", path, err.text);
	sections = image_get_info(img)->sections;
	do {
		if (i == sections)
			die("%s: no pages", path);
		image_get_section(img, i++, &section);
	} while (section.kind != IMAGE_PAGES);
	if (image_pages_open(img, i - 1, &err, &from.pages))
		die("%s: %s", path, err.text);
	good = check(&from);
	image_pages_close(from.pages);
	image_close(img);
	close(fd);
	return good;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "image"))
		return !check_image(argv[2]);
	if (argc >= 3 && !strcmp(argv[1], "mem"))
		return !check_mem(arg_number(argc, argv, 2, 0));
	if (argc >= 3 && !strcmp(argv[1], "live")) {
		long times = arg_number(argc, argv, 3, 1);
		int device = raw_open();

		srandom(time(NULL) ^ getpid());
		while (times--) {
			usleep(random() % 20000);
			if (!check_live(device, arg_number(argc, argv, 2, 0)))
				return 1;
		}
		return 0;
	}
	die("usage: prefixcheck live PID [TIMES] | image FILE | mem PID");
}
