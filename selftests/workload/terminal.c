// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pseudo-terminal as controlling terminal: a fact (fact.h) of four processes.
 *
 *	root		has the master
 *	  shell		leads a session whose terminal is the slave; has /dev/tty open too
 *	    job		leads the foreground process group
 *	    without	has given up the terminal (TIOCNOTTY), job has not
 *
 * Each child serves: it waits for a letter on a pipe from root, looks, and answers.  Signals that a
 * terminal sends are counted: none is to come from a snapshot or restore.
 *
 * kinds: pty
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "fact.h"

enum who { SHELL, JOB, WITHOUT, CHILDREN };

struct board {
	volatile pid_t pid[CHILDREN];
	volatile int interrupts[CHILDREN], others[CHILDREN];
};

static struct board *board;
static int ask[CHILDREN][2], answer[CHILDREN][2];
static int master, slave = -1, own = -1, shared = -1;
static char name[32];
static enum who me;

static void count(int sig)
{
	if (sig == SIGINT)
		board->interrupts[me]++;
	else
		board->others[me]++;
}

static void catch_signals(void)
{
	const int signals[] = { SIGINT, SIGQUIT, SIGHUP, SIGCONT, SIGTTOU, SIGTTIN, SIGTSTP, SIGWINCH };
	struct sigaction sa = { .sa_handler = count, .sa_flags = SA_RESTART };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		must(sigaction(signals[i], &sa, NULL));
}

/* ---- the children ---- */

static void look_with_terminal(void)
{
	char seen[64] = "";
	struct stat st;
	int again;

	want(tcgetpgrp(slave) == board->pid[JOB] && tcgetsid(slave) == board->pid[SHELL]);
	want(!ttyname_r(slave, seen, sizeof(seen)) && !strcmp(seen, name));
	again = must(open("/dev/tty", O_RDWR));
	want(tcgetpgrp(again) == board->pid[JOB]);
	close(again);
	must(fstat(own, &st));
	want(st.st_rdev == makedev(5, 0) && tcgetpgrp(own) == board->pid[JOB]);
	must(fstat(shared, &st));
	want(st.st_rdev == makedev(5, 0) && tcgetsid(shared) == board->pid[SHELL]);
	/* One open file with the other, and one of its own. */
	want(!(fcntl(own, F_GETFL) & O_NONBLOCK));
	want(!!(fcntl(shared, F_GETFL) & O_NONBLOCK) == (me == SHELL));
	if (me == SHELL)
		must(fcntl(shared, F_SETFL, O_RDWR));
}

static void look_as_child(void)
{
	want(getpid() == board->pid[me]);
	want(getsid(0) == board->pid[SHELL]);
	want(getpgrp() == board->pid[me == JOB ? JOB : SHELL]);
	if (me == WITHOUT)
		want(open("/dev/tty", O_RDWR) < 0 && errno == ENXIO);
	else
		look_with_terminal();
	want(!board->others[me] && !board->interrupts[me]);
}

static void serve(void)
{
	char letter;

	while (read(ask[me][0], &letter, 1) == 1) {
		if (letter == 'l')
			look_as_child();
		want(write(answer[me][1], &letter, 1) == 1);
		if (letter == 'e')
			break;
	}
	_exit(0);
}

static pid_t make(enum who who)
{
	pid_t pid = must(fork());

	if (pid)
		return board->pid[who] = pid;
	me = who;
	catch_signals();
	if (who == JOB)
		must(setpgid(0, 0));
	if (who == JOB)
		own = must(open("/dev/tty", O_RDWR));
	if (who == WITHOUT)
		must(ioctl(slave, TIOCNOTTY));
	serve();
	return 0;
}

static void be_shell(void)
{
	must(setsid());
	close(master);
	/* They end with root. */
	for (int i = 0; i < CHILDREN; i++)
		close(ask[i][1]);
	slave = must(open(name, O_RDWR));	/* which makes it the controlling terminal */
	own = must(open("/dev/tty", O_RDWR));
	shared = must(open("/dev/tty", O_RDWR | O_NONBLOCK));
	me = SHELL;
	catch_signals();
	make(JOB);
	make(WITHOUT);
	must(setpgid(board->pid[JOB], board->pid[JOB]));
	must(tcsetpgrp(slave, board->pid[JOB]));
	serve();
}

/* ---- root ---- */

static void tell(enum who who, char letter)
{
	char said = 0;

	want(write(ask[who][1], &letter, 1) == 1);
	if (read(answer[who][0], &said, 1) != 1 || said != letter)
		die("child %d gave no answer", who);
}

static void set_up(void)
{
	const struct winsize size = { .ws_row = 50, .ws_col = 132 };
	const int unlocked = 0;
	pid_t pid;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < CHILDREN; i++) {
		must(pipe(ask[i]));
		must(pipe(answer[i]));
	}
	master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
	must(ioctl(master, TIOCSPTLCK, &unlocked));
	must(ioctl(master, TIOCSWINSZ, &size));
	must(ptsname_r(master, name, sizeof(name)) ? -1 : 0);
	pid = must(fork());
	if (!pid)
		be_shell();
	board->pid[SHELL] = pid;
	for (int i = 0; i < CHILDREN; i++)
		close(answer[i][1]);
	for (int i = 0; i < CHILDREN; i++)
		tell(i, 'r');
}

/* Who is told to go on typing sees what it did; the interrupt is for the job alone. */
static void look(void)
{
	const struct winsize size = { .ws_row = 50, .ws_col = 100 };
	char echo[8];

	for (int i = 0; i < CHILDREN; i++)
		tell(i, 'l');
	want(write(master, "\x03", 1) == 1);
	for (size_t n = 0; n < 2; n++)		/* they may come one by one */
		want(read(master, echo + n, 1) == 1);
	want(!memcmp(echo, "^C", 2));
	for (int i = 0; i < 10000 && !board->interrupts[JOB]; i++)
		usleep(1000);
	want(board->interrupts[JOB] == 1 && !board->interrupts[SHELL] && !board->interrupts[WITHOUT]);
	must(ioctl(master, TIOCSWINSZ, &size));
	for (int i = 0; i < 10000 && !board->others[JOB]; i++)
		usleep(1000);
	want(board->others[JOB] == 1 && !board->others[SHELL]);
	tell(WITHOUT, 'e');
	tell(JOB, 'e');
	tell(SHELL, 'e');
	/* The last one has gone, and with it the slave. */
	while (read(master, echo, sizeof(echo)) > 0)
		;
	want(read(master, echo, sizeof(echo)) < 0 && errno == EIO);
}

FACT(set_up, look)
