// SPDX-License-Identifier: GPL-2.0-only
/*
 * Open files: flags, offsets, sharing, deleted ones, directories, devices, locks.
 * kinds: file, device
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "state.h"

static void put(int fd, const char *text)
{
	want(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static bool holds(int fd, const char *text)
{
	char buf[256] = "";

	return pread(fd, buf, sizeof(buf) - 1, 0) == (ssize_t)strlen(text) && !strcmp(buf, text);
}

/* ---- regular files ---- */

#define HIGH	99

static int append, at_end, reading, twin, second, deleted, directory;

static void set_files(void)
{
	append = must(open("append", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
	put(append, "one\n");
	at_end = must(open("at-end", O_WRONLY | O_CREAT | O_NONBLOCK, 0604));
	put(at_end, "first\n");
	close(must(open("read", O_WRONLY | O_CREAT, 0600)));
	must(truncate("read", 100000));
	reading = must(open("read", O_RDONLY));
	want(lseek(reading, 70000, SEEK_SET) == 70000);
	twin = must(dup2(reading, HIGH));		/* one open file, two numbers */
	must(fcntl(twin, F_SETFD, FD_CLOEXEC));
	second = must(open("read", O_RDONLY));		/* the same file, another open file */
	want(lseek(second, 5, SEEK_SET) == 5);
	deleted = must(open("deleted", O_RDWR | O_CREAT, 0600));
	put(deleted, "nobody finds me");
	must(unlink("deleted"));
	must(mkdir("dir", 0700));
	directory = must(open("dir", O_RDONLY | O_DIRECTORY));
}

static void check_files(void)
{
	want(fcntl(append, F_GETFD) == FD_CLOEXEC && fcntl(twin, F_GETFD) == FD_CLOEXEC);
	want(fcntl(at_end, F_GETFD) == 0 && fcntl(reading, F_GETFD) == 0);
	want((fcntl(append, F_GETFL) & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_RDWR));
	want((fcntl(at_end, F_GETFL) & (O_NONBLOCK | O_ACCMODE)) == (O_NONBLOCK | O_WRONLY));
	put(append, "two\n");
	want(holds(append, "one\ntwo\n"));
	want(lseek(at_end, 0, SEEK_CUR) == 6);
	put(at_end, "second\n");
	want(lseek(reading, 0, SEEK_CUR) == 70000 && lseek(second, 0, SEEK_CUR) == 5);
	want(lseek(twin, 11, SEEK_CUR) == 70011 && lseek(reading, 0, SEEK_CUR) == 70011);
	want(holds(deleted, "nobody finds me") && lseek(deleted, 0, SEEK_CUR) == 15);
	put(deleted, "!");
	want(fchdir(directory) == 0 && fchdir(directory) == 0);
	want(faccessat(directory, "../read", R_OK, 0) == 0);
}

/* ---- devices ---- */

static const char * const devices[] = { "null", "zero", "full", "random", "urandom" };
static int device[5];

static void set_devices(void)
{
	char path[32];

	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/dev/%s", devices[i]);
		device[i] = must(open(path, O_RDWR));
	}
}

static void check_devices(void)
{
	char buf[8] = "xxxxxxx";

	want(write(device[0], buf, 8) == 8 && read(device[0], buf, 8) == 0);
	want(read(device[1], buf, 8) == 8 && !memcmp(buf, "\0\0\0\0\0\0\0", 8));
	want(write(device[2], buf, 8) == -1 && errno == ENOSPC);
	want(read(device[3], buf, 8) == 8 && read(device[4], buf, 8) == 8);
}

/* ---- locks, as another process sees them ---- */

static int posix_locked, flocked, ofd_locked;

static void set_locks(void)
{
	struct flock l = { .l_type = F_RDLCK, .l_start = 10, .l_len = 20 };

	posix_locked = must(open("posix-lock", O_RDWR | O_CREAT, 0600));
	must(fcntl(posix_locked, F_SETLK, &l));
	l = (struct flock){ .l_type = F_WRLCK, .l_start = 100 };	/* to the end, for ever */
	must(fcntl(posix_locked, F_SETLK, &l));
	flocked = must(open("flock", O_RDWR | O_CREAT, 0600));
	must(flock(flocked, LOCK_EX));
	ofd_locked = must(open("ofd-lock", O_RDWR | O_CREAT, 0600));
	l = (struct flock){ .l_type = F_WRLCK, .l_start = 3, .l_len = 4 };
	must(fcntl(ofd_locked, F_OFD_SETLK, &l));
}

static bool locked(const char *path, int type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_start = start, .l_len = len };
	int fd = must(open(path, O_RDWR));

	must(fcntl(fd, F_GETLK, &l));
	close(fd);
	return l.l_type != F_UNLCK;
}

static void other_process_looks(void)
{
	int fd = must(open("../flock", O_RDWR));

	want(locked("../posix-lock", F_WRLCK, 10, 1) && locked("../posix-lock", F_WRLCK, 29, 1));
	want(!locked("../posix-lock", F_RDLCK, 10, 20));
	want(!locked("../posix-lock", F_WRLCK, 0, 10) && !locked("../posix-lock", F_WRLCK, 30, 70));
	want(locked("../posix-lock", F_RDLCK, 1ul << 60, 1));
	want(flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
	want(locked("../ofd-lock", F_RDLCK, 3, 1) && !locked("../ofd-lock", F_WRLCK, 7, 100));
}

static void check_locks(void)
{
	int status = -1;
	pid_t pid;

	signal(SIGCHLD, SIG_DFL);	/* ignored until now, as was checked before this */
	pid = must(fork());
	if (!pid) {
		other_process_looks();
		_exit(0);
	}
	must(waitpid(pid, &status, 0));
	want(status == 0);
}

const struct aspect file_aspects[] = {
	{ "open files", set_files, check_files },
	{ "devices", set_devices, check_devices },
	{ "file locks", set_locks, check_locks },
	{ NULL }
};
