// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pseudo-terminals of the program's own, both sides: settings, size, modes, what was typed and what was
 * written and nobody has read; half a line; a slave that is locked, one that was closed, one that is open
 * twice.  Whose controlling terminal one is: workload/terminal.c.
 */
#include <asm/termbits.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "fact.h"

#define LONG_OUTPUT	6000	/* a line discipline holds 4096 */
#define ODD_SPEED	12345

static const char raw_input[] = "\x03 not a signal \xff\0\n\r\x13\x11 end";
static const char lines[] = "one\ntwo#\x04" "half\ta line";

struct pair {
	int master, slave, index;
};

static struct pair raw, line, locked, left, twice;
static int second, copy;

static struct pair open_pair(int flags)
{
	struct pair p = { .master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY | flags)) };
	const int unlocked = 0;

	must(ioctl(p.master, TIOCGPTN, &p.index));
	must(ioctl(p.master, TIOCSPTLCK, &unlocked));
	p.slave = must(ioctl(p.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK));
	return p;
}

static struct termios2 raw_settings(void)
{
	struct termios2 t = { .c_cflag = CS8 | CREAD | BOTHER, .c_ispeed = ODD_SPEED, .c_ospeed = ODD_SPEED };

	t.c_cc[VMIN] = 3;
	t.c_cc[VTIME] = 7;
	t.c_cc[VINTR] = 'q';
	return t;
}

/* Nothing but lines, and tabs that move the cursor. */
static struct termios2 line_settings(void)
{
	struct termios2 t = {
		.c_iflag = ICRNL | IXON, .c_oflag = OPOST | XTABS, .c_cflag = CS8 | CREAD | B9600, .c_lflag = ICANON | ISIG,
	};

	t.c_cc[VEOF] = 4;
	t.c_cc[VEOL] = '#';
	t.c_cc[VINTR] = 3;
	t.c_cc[VERASE] = 0x7f;
	return t;
}

static char *output(void)
{
	static char bytes[LONG_OUTPUT];

	for (int i = 0; i < LONG_OUTPUT; i++)
		bytes[i] = (char)mix64((uint64_t)i);
	return bytes;
}

/* Until what was written has arrived. */
static void arrives(int fd, int n)
{
	int have = -1;

	for (int i = 0; i < 20000 && have != n; i++) {
		must(ioctl(fd, FIONREAD, &have));
		usleep(500);
	}
	want(have == n);
}

static void set_up_raw(void)
{
	const struct winsize size = { 33, 77, 5, 6 };
	struct termios2 t = raw_settings();
	const int on = 1;

	raw = open_pair(O_NONBLOCK);
	must(ioctl(raw.slave, TCSETS2, &t));
	must(ioctl(raw.master, TIOCSWINSZ, &size));
	must(ioctl(raw.master, TIOCPKT, &on));
	must(fchmod(raw.slave, 0604));
	want(write(raw.master, raw_input, sizeof(raw_input)) == sizeof(raw_input));
	arrives(raw.slave, sizeof(raw_input));
	want(write(raw.slave, output(), LONG_OUTPUT) == LONG_OUTPUT);
	arrives(raw.master, 4095);
}

static void set_up_line(void)
{
	struct termios2 t = line_settings();
	char five[8];

	line = open_pair(0);
	must(ioctl(line.slave, TCSETS2, &t));
	/* The cursor is in column 5 behind it. */
	want(write(line.slave, "12345", 5) == 5 && read(line.master, five, sizeof(five)) == 5);
	want(write(line.master, lines, sizeof(lines) - 1) == sizeof(lines) - 1);
	/* What stands for VEOF is not counted, nor is half a line. */
	arrives(line.slave, 8);
}

static void set_up(void)
{
	set_up_raw();
	set_up_line();
	locked = (struct pair){ .master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY)), .slave = -1 };
	must(ioctl(locked.master, TIOCGPTN, &locked.index));
	left = open_pair(0);
	close(left.slave);
	twice = open_pair(0);
	second = must(ioctl(twice.master, TIOCGPTPEER, O_RDONLY | O_NOCTTY));
	copy = must(dup(twice.slave));
	must(ioctl(second, TIOCEXCL));
}

static void looks_like(const struct pair *p, const struct termios2 *t)
{
	char name[32], seen[64] = "";
	struct termios2 now;
	int index = -1;

	memset(&now, 0, sizeof(now));
	must(ioctl(p->slave, TCGETS2, &now));
	want(now.c_iflag == t->c_iflag && now.c_oflag == t->c_oflag && now.c_cflag == t->c_cflag);
	want(now.c_lflag == t->c_lflag && !memcmp(now.c_cc, t->c_cc, sizeof(now.c_cc)));
	must(ioctl(p->master, TIOCGPTN, &index));
	want(index == p->index);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", p->slave);
	must((int)readlink(name, seen, sizeof(seen) - 1));
	snprintf(name, sizeof(name), "/dev/pts/%d", index);
	want(!strcmp(name, seen));
}

static void look_raw(void)
{
	char in[sizeof(raw_input) + 1], piece[LONG_OUTPUT + 1];
	struct termios2 t = raw_settings(), now;
	struct winsize size;
	struct stat st;
	int on = 0, n;

	looks_like(&raw, &t);
	must(ioctl(raw.slave, TCGETS2, &now));
	want(now.c_ispeed == ODD_SPEED && now.c_ospeed == ODD_SPEED);
	must(ioctl(raw.slave, TIOCGWINSZ, &size));
	want(size.ws_row == 33 && size.ws_col == 77 && size.ws_xpixel == 5 && size.ws_ypixel == 6);
	must(ioctl(raw.master, TIOCGPKT, &on));
	must(fstat(raw.slave, &st));
	want(on == 1 && (st.st_mode & 07777) == 0604);
	want(fcntl(raw.master, F_GETFL) & O_NONBLOCK && fcntl(raw.slave, F_GETFL) & O_NONBLOCK);
	want(read(raw.slave, in, sizeof(in)) == sizeof(raw_input) && !memcmp(in, raw_input, sizeof(raw_input)));
	for (int got = 0; got < LONG_OUTPUT; got += n - 1) {
		arrives(raw.master, LONG_OUTPUT - got < 4095 ? LONG_OUTPUT - got : 4095);
		n = (int)read(raw.master, piece, sizeof(piece));
		want(n > 1 && !piece[0] && !memcmp(piece + 1, output() + got, (size_t)n - 1));
	}
	want(read(raw.master, piece, sizeof(piece)) < 0 && errno == EAGAIN);
}

static void look_line(void)
{
	struct termios2 t = line_settings();
	char in[64];

	looks_like(&line, &t);
	want(read(line.slave, in, sizeof(in)) == 4 && !memcmp(in, "one\n", 4));
	want(read(line.slave, in, sizeof(in)) == 4 && !memcmp(in, "two#", 4));
	want(!read(line.slave, in, sizeof(in)));
	want(read(line.slave, in, sizeof(in)) < 0 && errno == EAGAIN);
	/* A tab from column 5. */
	want(write(line.slave, "\tx", 2) == 2);
	arrives(line.master, 4);
	want(read(line.master, in, sizeof(in)) == 4 && !memcmp(in, "   x", 4));
	/* The last character is taken back, and the line ended. */
	want(write(line.master, "\x7f!\n", 3) == 3);
	arrives(line.slave, 12);
	want(read(line.slave, in, sizeof(in)) == 12 && !memcmp(in, "half\ta lin!\n", 12));
}

static void look_others(void)
{
	int on = 0, index = -1;
	char c;

	must(ioctl(locked.master, TIOCGPTLCK, &on));
	must(ioctl(locked.master, TIOCGPTN, &index));
	want(on == 1 && index == locked.index);
	want(read(left.master, &c, 1) < 0 && errno == EIO);
	must(ioctl(twice.slave, TIOCGEXCL, &on));
	want(on == 1);
	want((fcntl(second, F_GETFL) & O_ACCMODE) == O_RDONLY && fcntl(copy, F_GETFL) & O_NONBLOCK);
	/* One open file, and another of the same terminal. */
	must(fcntl(copy, F_SETFL, 0));
	want(!(fcntl(twice.slave, F_GETFL) & O_NONBLOCK));
	want(write(twice.master, "typed\n", 6) == 6 && read(second, &c, 1) == 1 && c == 't');
	want(read(copy, &c, 1) == 1 && c == 'y');
}

static void look(void)
{
	look_raw();
	look_line();
	look_others();
}

FACT(set_up, look)
