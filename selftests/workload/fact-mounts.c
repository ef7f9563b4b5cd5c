// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files by paths that cross mounts: on a tmpfs of its own, by a bind mount of a directory and of a single
 * file, and where the name below a mount point is another file's. Mounts are left to the machine.
 * kinds: file
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fact.h"

static bool there;
static int on_tmpfs, by_dir, by_file, directory;
static char *mapped;

static void set_up(void)
{
	must(mkdir("fs", 0700));
	must(mkdir("bound", 0700));
	must(close(must(open("single", O_CREAT | O_WRONLY, 0600))));
	there = !mount("fact", "fs", "tmpfs", 0, "size=1m");
	if (!there) {
		note("may not mount");
		return;
	}
	must(mkdir("fs/inner", 0700));
	on_tmpfs = must(open("fs/inner/file", O_RDWR | O_CREAT | O_APPEND, 0600));
	want(write(on_tmpfs, "content\n", 8) == 8);
	must(mount("fs/inner", "bound", NULL, MS_BIND, NULL));
	must(mount("fs/inner/file", "single", NULL, MS_BIND, NULL));
	by_dir = must(open("bound/file", O_RDONLY));
	by_file = must(open("single", O_WRONLY | O_APPEND));
	directory = must(open("bound", O_RDONLY | O_DIRECTORY));
	mapped = must(mmap(NULL, 4096, PROT_READ, MAP_SHARED, by_dir, 0));
}

static void look(void)
{
	char text[32] = "";

	if (!there)
		return;
	want(write(by_file, "by single\n", 10) == 10 && write(on_tmpfs, "again\n", 6) == 6);
	want(read(by_dir, text, 31) == 24 && !strcmp(text, "content\nby single\nagain\n"));
	want(!memcmp(mapped, text, 24) && !faccessat(directory, "file", R_OK, 0));
	must(umount2("single", MNT_DETACH));
	must(umount2("bound", MNT_DETACH));
	must(umount2("fs", MNT_DETACH));
}

FACT(set_up, look)
