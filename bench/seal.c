// SPDX-License-Identifier: GPL-2.0-only
/*
 * seal DIR MIB ROUNDS - what encryption costs: the same memory into an image in DIR, plain and encrypted by
 * turns, by one thread each, at several levels of compression.
 *
 * A line for each round and level: "LEVEL PLAIN ENCRYPTED", nanoseconds of processor time from the first page
 * to the end of the trailer: the one thread's, whatever else the machine does. Of the pages a quarter is noise, a quarter text, and the rest numbers that rise.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "image.h"
#include "keyring.h"
#include "util.h"

#define PAGE	4096u
#define BATCH	1024u		/* pages handed over at a time, as a snapshot does */

static const struct {
	const char	*name;
	int		level;
} levels[] = { { "auto", IMAGE_LEVEL_AUTO }, { "1", 1 }, { "none", IMAGE_LEVEL_NONE } };

static void die(const char *what)
{
	fprintf(stderr, "seal: %s\n", what);
	exit(1);
}

static void fill(unsigned char *memory, size_t pages)
{
	for (size_t i = 0; i < pages; i++) {
		unsigned char *page = memory + i * PAGE;
		uint64_t *number = (uint64_t *)page;

		for (size_t k = 0; i % 4 > 1 && k < PAGE / 8; k++)
			number[k] = (i << 20) + k * (i % 7 + 1);
		for (size_t k = 0; i % 4 == 1 && k < PAGE; k++)
			page[k] = "the quick brown fox jumps over it "[(k * (i % 5 + 1) + k / 97) % 34];
		for (size_t k = 0; i % 4 == 0 && k < PAGE; k += 256)
			if (getrandom(page + k, 256, 0) != 256)
				die("no random numbers");
	}
}

static uint64_t once(const char *path, const unsigned char *memory, size_t pages, int level,
		     const struct recipients *to)
{
	const struct image_params params = {
		.job = "seal", .generation = 1, .page_size = PAGE, .threads = 1, .level = level, .to = to,
	};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_writer *w;
	uint64_t begin;

	if (fd < 0 || image_writer_open(fd, &params, &err, &w) || image_writer_begin_pages(w, 1, &err))
		die(err.text[0] ? err.text : path);
	begin = util_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (size_t i = 0; i < pages; i += BATCH)
		if (image_writer_data(w, i * PAGE, BATCH, memory + i * PAGE, &err))
			die(err.text);
	if (image_writer_end_pages(w, &err, NULL) || image_writer_finish(w, &err, NULL))
		die(err.text);
	begin = util_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin;
	image_writer_close(w);
	close(fd);
	unlink(path);
	return begin;
}

int main(int argc, char **argv)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to = { 0 };
	char path[4096], public[KEY_TEXT];
	unsigned char *memory;
	size_t pages;

	if (argc != 4 || atoi(argv[2]) < 4 || atoi(argv[3]) < 1)
		die("usage: seal DIR MIB ROUNDS, MIB from 4 on");
	snprintf(path, sizeof(path), "%s/key", argv[1]);
	if (keyring_generate(path, &err, public) || recipients_parse(&to, public, &err))
		die(err.text);
	unlink(path);
	pages = (size_t)atoi(argv[2]) * 256 / BATCH * BATCH;
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("no memory");
	fill(memory, pages);
	snprintf(path, sizeof(path), "%s/image", argv[1]);
	for (int round = 0; round < atoi(argv[3]); round++)
		for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
			uint64_t plain = once(path, memory, pages, levels[i].level, NULL);
			uint64_t sealed = once(path, memory, pages, levels[i].level, &to);

			printf("%s %llu %llu\n", levels[i].name, (unsigned long long)plain,
			       (unsigned long long)sealed);
			fflush(stdout);
		}
	recipients_free(&to);
	return 0;
}
