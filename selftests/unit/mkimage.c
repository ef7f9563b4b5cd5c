// SPDX-License-Identifier: GPL-2.0-only
/*
 * mkimage FILE PARENT: write the small image (images.h) to PARENT and a delta of it to FILE, for
 * readers that are not of this library.
 */
#include "images.h"

int main(int argc, char **argv)
{
	struct image_info parent;
	int fd, base;

	if (argc != 3)
		return 2;
	base = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || base < 0)
		return 1;
	write_small(base, 1, NULL, &parent);
	write_small(fd, 2, &parent, NULL);
	return 0;
}
