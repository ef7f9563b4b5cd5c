// SPDX-License-Identifier: GPL-2.0-only
/*
 * seeds CORPUS IMAGE... - take images apart into seeds for the fuzzers
 *
 * Writes CORPUS/state/NAME and CORPUS/meta/NAME, NAME being that of the image's file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "image.h"

static void fail(const char *path, const char *why)
{
	fprintf(stderr, "seeds: %s: %s\n", path, why);
	exit(1);
}

static void save(const char *corpus, const char *kind, const char *image, const void *body, size_t len)
{
	const char *base = strrchr(image, '/');
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", corpus, kind, base ? base + 1 : image);
	f = fopen(path, "we");
	if (!f || fwrite(body, 1, len, f) != len || fclose(f))
		fail(path, "cannot be written");
}

static void take_apart(const char *corpus, const char *path)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct image_section s;
	struct image *img;
	void *body;
	size_t len;

	if (fd < 0 || image_open(fd, path, &err, &img))
		fail(path, err.text);
	for (uint32_t i = 0; i < image_get_info(img)->sections; i++) {
		image_get_section(img, i, &s);
		if (s.kind == IMAGE_PAGES || (s.kind == IMAGE_META && s.sub != IMAGE_META_FILES))
			continue;
		if (image_load(img, i, &err, &body, &len))
			fail(path, err.text);
		save(corpus, s.kind == IMAGE_STATE ? "state" : "meta", path, body, len);
		free(body);
	}
	image_close(img);
	close(fd);
}

int main(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		take_apart(argv[1], argv[i]);
	return 0;
}
