// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process with children and grandchildren: a fact (fact.h) of nine processes.
 *
 *	root
 *	  reader, writer	a pipe between the two, with bytes in it; and what root shares with both
 *	  leader		of a session of its own, made after it had one child, before another
 *	    early, late
 *	  group			leads a process group, with member in it
 *	  member
 *	  ended, killed		have ended, and root has not waited for them
 *
 * Each child serves: it waits for a letter on a pipe from root, looks, and answers with a letter. What is
 * wrong it says itself, and ends with status 1.
 * kinds: file, pipe
 */
#include <fcntl.h>
#include <sys/wait.h>

#include "fact.h"

enum who { READER, WRITER, LEADER, EARLY, LATE, GROUP, MEMBER, LIVING, ENDED = LIVING, KILLED, CHILDREN };

struct board {			/* shared by all */
	volatile pid_t pid[CHILDREN];
	volatile int counter;
};

static struct board *board;
static int ask[LIVING][2], answer[LIVING][2];
static int between[2];		/* from writer to reader */
static int file;		/* its offset is everybody's */
static pid_t root, session, group;

static int number_of(enum who who)
{
	return 1000 + who;
}

/* ---- the children ---- */

static void look_as(enum who who)
{
	pid_t parent = who == EARLY || who == LATE ? board->pid[LEADER] : root;
	char text[16] = "";
	pid_t sid = session, pgid = group;

	if (who == LEADER || who == LATE)
		sid = pgid = board->pid[LEADER];
	if (who == GROUP || who == MEMBER)
		pgid = board->pid[GROUP];
	want(getpid() == board->pid[who]);
	want(getppid() == parent);
	want(getsid(0) == sid);
	want(getpgrp() == pgid);
	want(write(file, "line\n", 5) == 5);
	__atomic_add_fetch(&board->counter, number_of(who), __ATOMIC_SEQ_CST);
	if (who == READER) {
		want(read(between[0], text, 8) == 8 && !strcmp(text, "in there"));
		want(read(between[0], text, 4) == 4 && !memcmp(text, "more", 4));
	}
	if (who == WRITER)
		want(write(between[1], "more", 4) == 4);
}

/* Until root is gone. */
static void serve(enum who who)
{
	char letter;

	while (read(ask[who][0], &letter, 1) == 1) {
		look_as(who);
		want(write(answer[who][1], &letter, 1) == 1);
	}
	_exit(0);
}

static void begin(enum who who);

static void be(enum who who)
{
	/* Else it would not see the end of root. */
	for (int i = 0; i < LIVING; i++)
		close(ask[i][1]);
	switch (who) {
	case ENDED:
		_exit(42);
	case KILLED:
		raise(SIGKILL);
		break;
	case LEADER:
		begin(EARLY);
		must(setsid());
		begin(LATE);
		break;
	case GROUP:
		must(setpgid(0, 0));
		break;
	case MEMBER:
		must(setpgid(0, board->pid[GROUP]));
		break;
	case READER:
		close(between[1]);
		break;
	default:
		close(between[0]);
		break;
	}
	must(write(answer[who][1], "!", 1));
	serve(who);
}

/* And wait until it is where it wants to be. */
static void begin(enum who who)
{
	siginfo_t info;
	char letter;
	pid_t pid = must(fork());

	if (!pid) {
		board->pid[who] = getpid();
		be(who);
	}
	board->pid[who] = pid;
	if (who < LIVING)
		must(read(answer[who][0], &letter, 1));
	else
		must(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
}

/* ---- root ---- */

static void set_up(void)
{
	static const enum who mine[] = { READER, WRITER, LEADER, GROUP, MEMBER, ENDED, KILLED };

	root = getpid();
	session = getsid(0);
	group = getpgrp();
	board = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < LIVING; i++) {
		must(pipe(ask[i]));
		must(pipe(answer[i]));
	}
	must(pipe(between));
	file = must(open("lines", O_RDWR | O_CREAT | O_TRUNC, 0644));
	must(write(file, "first\n", 6));
	must(write(between[1], "in there", 8));
	for (size_t i = 0; i < sizeof(mine) / sizeof(*mine); i++)
		begin(mine[i]);
	close(between[0]);
	close(between[1]);
	board->counter = 7;
}

static void ask_all(void)
{
	char letter;

	for (int i = 0; i < LIVING; i++) {
		/* The reader waits for what the writer writes. */
		must(write(ask[i][1], "?", 1));
	}
	for (int i = 0; i < LIVING; i++)
		want(read(answer[i][0], &letter, 1) == 1 && letter == '?');
}

static void look(void)
{
	int status, sum = 7;

	want(getpid() == root && getsid(0) == session && getpgrp() == group);
	ask_all();
	for (int i = 0; i < LIVING; i++)
		sum += number_of(i);
	want(board->counter == sum);
	want(lseek(file, 0, SEEK_CUR) == 6 + 5 * LIVING);
	want(waitpid(board->pid[ENDED], &status, 0) == board->pid[ENDED]);
	want(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	want(waitpid(board->pid[KILLED], &status, 0) == board->pid[KILLED]);
	want(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	want(waitpid(-1, &status, WNOHANG) == 0);
	for (int i = 0; i < LIVING; i++)
		close(ask[i][1]);
	for (int n = 0; n < LIVING - 2; n++)
		want(waitpid(-1, &status, 0) > 0 && WIFEXITED(status) && !WEXITSTATUS(status));
	want(waitpid(-1, &status, 0) == -1 && errno == ECHILD);
}

FACT(set_up, look)
