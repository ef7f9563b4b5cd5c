// SPDX-License-Identifier: GPL-2.0-only
/* What the record of a pseudo-terminal tells: read as written, refused when damaged; which lines can be typed again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pty.h"
#include "tap.h"

#define NR_FLIPS	20000

static const char text[] =
	"pos:\t0\npty-side: 1\npty-dev: 24\npty-index: 3\npty-iflag: 1280\npty-oflag: 5\npty-cflag: 191\n"
	"pty-lflag: 35387\npty-discipline: 0\npty-ispeed: 38400\npty-ospeed: 12345\npty-fixed: 0\n"
	"pty-characters: 031c7f150400010011131a00120f1716ff0000\npty-session: 71\npty-group: 72\npty-rows: 24\n"
	"pty-columns: 80\npty-width: 1\npty-height: 2\npty-packet: 1\npty-status: 0\npty-locked: 0\n"
	"pty-exclusive: 0\npty-stopped: 0\npty-left: 1\npty-canonical: 1\npty-column: 5\npty-line-column: 4\n"
	"pty-ends: 1 3\npty-input: 610a620063\npty-typed: \npty-output: 00ff\npty-unsettled: 0\n";

static struct ckpt_model_fd record(char *info)
{
	return (struct ckpt_model_fd){ .rec.kind = CKPT_FDK_CHR, .info = info };
}

static void what_was_told_is_read(void)
{
	struct ckpt_model_fd fd = record((char *)text);
	struct buf bytes = { 0 };
	struct pty_input in;
	struct pty p;

	REQUIRE(pty_parse(&fd, &p));
	REQUIRE_EQ(p.id.index, 3);
	REQUIRE_EQ(p.ospeed, 12345);
	REQUIRE_EQ(p.cc[16], 0xff);
	REQUIRE_EQ(p.session, 71);
	REQUIRE(pty_input(&fd, &p, &in));
	REQUIRE_EQ(in.len, 5);
	REQUIRE(!in.ends[0] && in.ends[1] && !in.ends[2] && in.ends[3] && !in.ends[4]);
	REQUIRE_EQ(pty_bytes(&fd, "pty-typed: ", &bytes), 0);
	REQUIRE_EQ(bytes.len, 0);
	buf_free(&bytes);
	REQUIRE_EQ(pty_bytes(&fd, "pty-output: ", &bytes), 0);
	REQUIRE(bytes.len == 2 && bytes.data[1] == 0xff);
	buf_free(&bytes);
}

static void a_line_that_is_missing_or_a_number_behind_the_end_is_refused(void)
{
	char *copy = strdup(text);
	struct ckpt_model_fd fd = record(copy);
	struct pty_input in;
	struct pty p;

	REQUIRE(pty_parse(&fd, &p));
	memcpy(strstr(copy, "pty-ends: 1 3"), "pty-ends: 1 5", 13);
	REQUIRE(!pty_input(&fd, &p, &in));
	memcpy(strstr(copy, "pty-group"), "pty-other", 9);
	REQUIRE(!pty_parse(&fd, &p));
	free(copy);
}

static void damage_anywhere_is_refused_or_harmless(void)
{
	char *copy = strdup(text);
	struct ckpt_model_fd fd = record(copy);
	struct buf bytes = { 0 };
	struct pty_input in;
	struct pty p;

	for (int i = 0; i < NR_FLIPS; i++) {
		size_t at = (size_t)random() % (sizeof(text) - 1);

		copy[at] = (char)(random() % 255 + 1);
		if (pty_parse(&fd, &p) && pty_input(&fd, &p, &in))
			REQUIRE(in.len <= PTY_INPUT_MAX);
		pty_bytes(&fd, "pty-output: ", &bytes);
		buf_free(&bytes);
		copy[at] = text[at];
	}
	free(copy);
}

static struct pty_input input(const char *bytes, size_t len, const char *ends)
{
	struct pty_input in = { .len = len };

	memcpy(in.bytes, bytes, len);
	for (size_t i = 0; ends[i] && i < len; i++)
		in.ends[i] = ends[i] == '^';
	return in;
}

static void lines_can_be_typed_again_unless_a_byte_both_ends_one_and_does_not(void)
{
	struct pty_input in = input("a\nb#\0c", 6, " ^ ^^ ");
	struct pty_keys keys;
	char all[256];

	REQUIRE(pty_keys(&in, &keys));
	REQUIRE_EQ(keys.eol, '#');
	REQUIRE(keys.eof && keys.eof != '\n' && keys.eof != 'a' && keys.eof != '#');
	in = input("a\nb\n", 4, " ^  ");
	REQUIRE(!pty_keys(&in, &keys));
	in = input("#b#", 3, "^  ");
	REQUIRE(!pty_keys(&in, &keys));
	in = input("#b;", 3, "^ ^");
	REQUIRE(!pty_keys(&in, &keys));
	/* A byte 0 that is one, and every other in use but the newline: nothing is left for VEOF. */
	for (int i = 0; i < 256; i++)
		all[i] = (char)(i == '\n' ? 'x' : i);
	in = input(all, 256, "");
	REQUIRE(pty_keys(&in, &keys));
	in.bytes[in.len] = 0;
	in.ends[in.len++] = true;
	REQUIRE(!pty_keys(&in, &keys));
}

static const struct tap_test tests[] = {
	{ "what_was_told_is_read", what_was_told_is_read },
	{ "a_line_that_is_missing_or_a_number_behind_the_end_is_refused",
	  a_line_that_is_missing_or_a_number_behind_the_end_is_refused },
	{ "damage_anywhere_is_refused_or_harmless", damage_anywhere_is_refused_or_harmless },
	{ "lines_can_be_typed_again_unless_a_byte_both_ends_one_and_does_not",
	  lines_can_be_typed_again_unless_a_byte_both_ends_one_and_does_not },
};

TAP_MAIN(tests)
