// SPDX-License-Identifier: GPL-2.0-only
/*
 * mkimage FILE PARENT [KEY]: write the small image (images.h) to PARENT and a delta of it to FILE, for
 * readers that are not of this library; both encrypted to KEY, if there is one.
 */
#include "images.h"
#include "keyring.h"

int main(int argc, char **argv)
{
	struct recipients to = { 0 };
	struct image_info parent;
	int fd, base;

	if (argc != 3 && argc != 4)
		return 2;
	if (argc == 4 && recipients_parse(&to, argv[3], NULL))
		return 2;
	base = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || base < 0)
		return 1;
	write_small_to(base, 1, NULL, argc == 4 ? &to : NULL, &parent);
	write_small_to(fd, 2, &parent, argc == 4 ? &to : NULL, NULL);
	recipients_free(&to);
	return 0;
}
