// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that several processes of a tree have open, and that some of them change in place.
 *
 *	root		data for reading and writing, and mapped; reads log, from its middle
 *	  writer	data and database for reading and writing, open files of its own; appends to log
 *	  reader	data and database for reading alone
 *
 * Writes "ready".  SIGUSR1: everything is changed, by root and writer; "changed".  SIGTERM: all look
 * whether it is as it was when it was ready, and one sees what the other writes; "as it was".
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fact.h"

#define SIZE	20000		/* not whole pages */
#define LINE	"a line of the log\n"

enum { WRITER, READER, CHILDREN };

static int ask[CHILDREN][2], answer[CHILDREN][2];
static int data, database, log_fd;
static char *mapped;

static void fill(int fd, char what)
{
	char bytes[SIZE];

	memset(bytes, what, sizeof(bytes));
	want(pwrite(fd, bytes, sizeof(bytes), 0) == sizeof(bytes));
}

static void holds(int fd, char what)
{
	char bytes[SIZE + 1];

	want(pread(fd, bytes, sizeof(bytes), 0) == SIZE);
	for (int i = 0; i < SIZE; i++)
		want(bytes[i] == what);
}

static void write_line(void)
{
	want(write(log_fd, LINE, strlen(LINE)) == (ssize_t)strlen(LINE));
}

/* ---- the children: a letter says what to do, the same letter that it is done ---- */

static void obey(int who, char letter)
{
	switch (letter) {
	case 'c':	/* change */
		if (who != WRITER)
			break;
		fill(database, 'n');
		write_line();
		break;
	case 'l':	/* look */
		holds(data, 'a');
		holds(database, 'd');
		break;
	case 'w':	/* write what the others look for */
		if (who != WRITER)
			break;
		want(pwrite(data, "seen", 4, 100) == 4);
		write_line();
		break;
	}
}

static void serve(int who)
{
	char letter;

	data = must(open("data", who == WRITER ? O_RDWR : O_RDONLY));
	database = must(open("database", who == WRITER ? O_RDWR : O_RDONLY));
	if (who == WRITER)
		log_fd = must(open("log", O_WRONLY | O_APPEND));
	while (read(ask[who][0], &letter, 1) == 1) {
		obey(who, letter);
		want(write(answer[who][1], &letter, 1) == 1);
	}
	_exit(1);
}

static void tell(char letter)
{
	for (int i = 0; i < CHILDREN; i++) {
		char got = 0;

		want(write(ask[i][1], &letter, 1) == 1);
		want(read(answer[i][0], &got, 1) == 1 && got == letter);
	}
}

/* ---- root ---- */

static void set_up(void)
{
	char text[sizeof(LINE)];

	data = must(open("data", O_RDWR | O_CREAT, 0600));
	database = must(open("database", O_RDWR | O_CREAT, 0600));
	log_fd = must(open("log", O_WRONLY | O_CREAT | O_APPEND, 0600));
	fill(data, 'a');
	fill(database, 'd');
	write_line();
	write_line();
	close(log_fd);
	close(database);
	for (int i = 0; i < CHILDREN; i++) {
		must(pipe(ask[i]));
		must(pipe(answer[i]));
		if (!must(fork()))
			serve(i);
	}
	log_fd = must(open("log", O_RDONLY));
	want(read(log_fd, text, strlen(LINE)) == (ssize_t)strlen(LINE));
	mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);
	want(mapped != MAP_FAILED);
	tell('r');
}

static void change(void)
{
	memset(mapped, 'z', SIZE);
	tell('c');
}

static void look(void)
{
	char text[4 * sizeof(LINE)];
	struct stat st, by_name;

	holds(data, 'a');
	want(mapped[0] == 'a' && mapped[SIZE - 1] == 'a');
	tell('l');
	tell('w');
	want(!memcmp(mapped + 100, "seen", 4));		/* one file, whoever writes */
	want(read(log_fd, text, sizeof(text)) == 2 * (ssize_t)strlen(LINE));
	want(!strncmp(text, LINE LINE, 2 * strlen(LINE)));
	must(fstat(data, &st));
	must(stat("data", &by_name));
	want(st.st_ino == by_name.st_ino && st.st_size == SIZE);
}

int main(int argc, char **argv)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	set_up();
	say("ready");
	while ((sig = sigwaitinfo(&set, NULL)) != SIGTERM) {
		if (sig == SIGUSR1) {
			change();
			say("changed");
		}
	}
	look();
	say("as it was");
	return 0;
}
