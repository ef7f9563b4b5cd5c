// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapped files without a name: memfds and deleted files, shared and private, with a descriptor and
 * without, in part, read-only, sealed; several of one name; and that all of one file is one file still.
 *
 * kinds: memfd, file
 */
#include <fcntl.h>
#include <semaphore.h>
#include <sys/stat.h>

#include "fact.h"

#define PAGE	4096
#define PAGES	8

static char *alone, *front, *back, *privately, *again, *twins[2], *future, *fixed, *library, *named_later;
static char *beyond, *readable;
static int partly, sealed, unnamed;
static sem_t *sem;

static char *map(int fd, int page, int pages, int prot, int flags)
{
	return must(mmap(NULL, pages * PAGE, prot, flags, fd, page * PAGE));
}

static char *map_rw(int fd, int page, int pages)
{
	return map(fd, page, pages, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static int make(const char *name, int flags, int pages)
{
	int fd = must(memfd_create(name, flags));

	must(ftruncate(fd, pages * PAGE));
	return fd;
}

/* Nothing left of it but the mapping. */
static void set_up_alone(void)
{
	int fd = make("alone", 0, PAGES);

	alone = map_rw(fd, 0, PAGES);
	must(pwrite(fd, "written", 7, 3 * PAGE));	/* and never touched through the mapping */
	strcpy(alone + PAGE, "touched");
	must(fchmod(fd, 0640));
	close(fd);
	fd = make("readable", 0, 2);
	must(pwrite(fd, "to be read", 10, PAGE));
	readable = map(fd, 0, 2, PROT_READ, MAP_SHARED);
	close(fd);
	for (int i = 0; i < 2; i++) {
		fd = make("twin", 0, 1);
		twins[i] = map_rw(fd, 0, 1);
		strcpy(twins[i], i ? "second" : "first");
		close(fd);
	}
}

/* Pages 1, 2 and 5 are mapped shared, 3 privately; 0, 4, 6 and 7 not at all. */
static void set_up_parts(void)
{
	char text[16];

	partly = make("partly", MFD_CLOEXEC, PAGES);
	for (int i = 0; i < PAGES; i++) {
		snprintf(text, sizeof(text), "page %d", i);
		must(pwrite(partly, text, strlen(text), i * PAGE));
	}
	must(pwrite(partly, "end", 3, PAGES * PAGE - 3));
	front = map_rw(partly, 1, 2);
	again = map_rw(partly, 2, 1);
	back = map(partly, 5, 1, PROT_NONE, MAP_SHARED);
	privately = map(partly, 2, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	strcpy(privately, "my own");
	must(lseek(partly, 77, SEEK_SET));
}

static void set_up_seals(void)
{
	int fd = make("future", MFD_ALLOW_SEALING, 1);

	future = map_rw(fd, 0, 1);
	strcpy(future, "still mine");
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK));
	close(fd);
	sealed = make("sealed", MFD_ALLOW_SEALING, 2);
	must(pwrite(sealed, "for good", 8, PAGE));
	must(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK));
	fixed = map(sealed, 0, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	strcpy(fixed, "a copy");
}

static void set_up_deleted(void)
{
	int fd = must(open("library", O_RDWR | O_CREAT | O_EXCL, 0755));

	must(ftruncate(fd, 2 * PAGE));
	must(pwrite(fd, "code", 4, 0));
	must(pwrite(fd, "data", 4, PAGE));
	library = map(fd, 0, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	strcpy(library + PAGE, "changed");
	close(fd);
	must(unlink("library"));

	sem = must(sem_open("/ckpt-fact", O_CREAT | O_EXCL, 0600, 3));
	must(sem_unlink("/ckpt-fact"));

	unnamed = must(open(".", O_TMPFILE | O_RDWR, 0600));
	must(ftruncate(unnamed, PAGE));
	named_later = map_rw(unnamed, 0, 1);
	strcpy(named_later, "has a name later");

	fd = must(open("short", O_RDWR | O_CREAT | O_EXCL, 0600));
	must(ftruncate(fd, 100));
	beyond = map_rw(fd, 0, 3);
	strcpy(beyond, "short");
	close(fd);
	must(unlink("short"));
}

static void set_up(void)
{
	set_up_alone();
	set_up_parts();
	set_up_seals();
	set_up_deleted();
}

/* ---- afterwards ---- */

/* The line of /proc/self/maps for what begins at @at, and its name. */
static void line_of(const void *at, char *line, size_t room)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long start = 0;

	while (fgets(line, room, f) && sscanf(line, "%lx-", &start) == 1 && start != (unsigned long)at)
		;
	fclose(f);
	if (start != (unsigned long)at)
		die("%p: is not where a mapping begins", at);
}

static void look_at_line(const void *at, const char *perms, const char *name)
{
	char line[512];

	line_of(at, line, sizeof(line));
	if (!strstr(line, perms) || !strstr(line, name) || !strstr(line, " (deleted)\n"))
		die("%s: not %s %s", line, perms, name);
}

static int open_map(const void *at, size_t len, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (long)at, (long)at + len);
	return must(open(path, flags));
}

static void look_at_alone(void)
{
	int fd = open_map(alone, PAGES * PAGE, O_RDWR);
	struct stat st;

	look_at_line(alone, "rw-s", "/memfd:alone");
	want(!strcmp(alone + PAGE, "touched") && !strcmp(alone + 3 * PAGE, "written"));
	for (int i = 0; i < PAGES; i++)
		want(i == 1 || i == 3 || !memcmp(alone + i * PAGE, "\0\0\0", 4));
	want(!fstat(fd, &st) && st.st_size == PAGES * PAGE && (st.st_mode & 07777) == 0640);
	want(pwrite(fd, "by the file", 11, 0) == 11 && !strcmp(alone, "by the file"));
	want(fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL);
	close(fd);
	look_at_line(readable, "r--s", "/memfd:readable");
	want(!strcmp(readable + PAGE, "to be read") && !*readable);
	want(!mprotect(readable, PAGE, PROT_READ | PROT_WRITE));	/* as the file was open for both */
	strcpy(readable, "written");
	look_at_line(twins[0], "rw-s", "/memfd:twin");
	want(!strcmp(twins[0], "first") && !strcmp(twins[1], "second"));
}

static void look_at_parts(void)
{
	char text[16], expected[16];

	look_at_line(front, "rw-s", "/memfd:partly");
	look_at_line(privately, "rw-p", "/memfd:partly");
	look_at_line(back, "---s", "/memfd:partly");
	for (int i = 0; i < PAGES; i++) {
		snprintf(expected, sizeof(expected), "page %d", i);
		want(pread(partly, text, 7, i * PAGE) == 7 && !memcmp(text, expected, 7));
	}
	want(pread(partly, text, 4, PAGES * PAGE - 3) == 3 && !memcmp(text, "end", 3));
	want(lseek(partly, 0, SEEK_CUR) == 77);
	want(!strcmp(front, "page 1") && !strcmp(front + PAGE, "page 2") && !strcmp(again, "page 2"));
	want(!strcmp(privately, "my own") && !strcmp(privately + PAGE, "page 3"));
	want(!mprotect(back, PAGE, PROT_READ | PROT_WRITE) && !strcmp(back, "page 5"));
	strcpy(front + PAGE, "all see it");
	want(!strcmp(again, "all see it") && pread(partly, text, 11, 2 * PAGE) == 11 &&
	     !strcmp(text, "all see it") && !strcmp(privately, "my own"));
	want(pwrite(partly, "it too", 7, 3 * PAGE) == 7 && !strcmp(privately + PAGE, "it too"));
}

static void look_at_seals(void)
{
	int fd = open_map(future, PAGE, O_RDWR);

	want(!strcmp(future, "still mine"));
	strcpy(future, "to write");
	want(fcntl(fd, F_GET_SEALS) == (F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK));
	want(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
	close(fd);
	want(fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK));
	want(pwrite(sealed, "x", 1, 0) < 0 && errno == EPERM);
	want(!strcmp(fixed, "a copy") && !strcmp(fixed + PAGE, "for good"));
}

static void look_at_deleted(void)
{
	char text[20] = "", line[512];
	int value, fd;

	look_at_line(library, "rw-p", "/");
	want(!strcmp(library, "code") && !strcmp(library + PAGE, "changed"));
	look_at_line((void *)((uintptr_t)sem & -PAGE), "rw-s", "/dev/shm/");
	want(!sem_getvalue(sem, &value) && value == 3);
	want(!sem_post(sem) && !sem_trywait(sem) && !sem_close(sem));

	look_at_line(named_later, "rw-s", "/");
	want(!strcmp(named_later, "has a name later"));
	snprintf(line, sizeof(line), "/proc/self/fd/%d", unnamed);
	want(!linkat(AT_FDCWD, line, AT_FDCWD, "name", AT_SYMLINK_FOLLOW));
	strcpy(named_later, "and it is the one");
	fd = must(open("name", O_RDONLY));
	want(read(fd, text, 18) == 18 && !strcmp(text, "and it is the one"));
	close(fd);
	must(unlink("name"));

	look_at_line(beyond, "rw-s", "/");
	want(!strcmp(beyond, "short"));
	fd = open_map(beyond, 3 * PAGE, O_RDONLY);
	want(lseek(fd, 0, SEEK_END) == 100);
	close(fd);
	want(pwrite(unnamed, beyond + PAGE, 1, 0) < 0 && errno == EFAULT);	/* there is nothing */
}

static void look(void)
{
	look_at_alone();
	look_at_parts();
	look_at_seals();
	look_at_deleted();
}

FACT(set_up, look)
