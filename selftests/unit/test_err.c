// SPDX-License-Identifier: GPL-2.0-only
/* Error texts, growing buffers, small helpers. */
#include <errno.h>

#include "buf.h"
#include "err.h"
#include "tap.h"
#include "util.h"

static void set_returns_the_negative_code_of_either_sign(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	REQUIRE_EQ(ckpt_err_set(&err, ENOSPC, "disk %d: full", 7), -ENOSPC);
	REQUIRE_EQ(err.code, ENOSPC);
	REQUIRE(!strcmp(err.text, "disk 7: full"));
	ckpt_err_clear(&err);
	REQUIRE_EQ(ckpt_err_set(&err, -EIO, "x"), -EIO);
	REQUIRE_EQ(err.code, EIO);
	REQUIRE_EQ(ckpt_err_set(NULL, EIO, "x"), -EIO);
}

static void the_first_text_wins(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	ckpt_err_set(&err, EIO, "cause");
	REQUIRE_EQ(ckpt_err_set(&err, EBUSY, "clean-up"), -EBUSY);
	REQUIRE_EQ(err.code, EIO);
	REQUIRE(!strcmp(err.text, "cause"));
}

static void thing_reason_remedy_in_this_order(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	ckpt_err_hint(&err, "nothing failed yet");
	ckpt_err_prefix(&err, "nothing failed yet");
	REQUIRE(!err.text[0]);
	ckpt_err_sys(&err, ENOENT, "cannot open %s", "f");
	ckpt_err_hint(&err, "make it");
	ckpt_err_hint(&err, "a second hint is dropped");
	ckpt_err_prefix(&err, "snap %d", 4711);
	REQUIRE(!strcmp(err.text, "snap 4711: cannot open f: No such file or directory; make it"));
}

static void control_bytes_do_not_reach_the_terminal(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	ckpt_err_set(&err, EIO, "%s", "a\x1b[2J\nb\x7f \xc2\x9b \xc3\xa4");
	REQUIRE(!strcmp(err.text, "a?[2J?b? ?? \xc3\xa4"));
}

static void any_text_can_be_made_printable(void)
{
	char text[] = "\x1b]0;x\x07 a\nb \xc2\x80\xc2\x9f \xc2\xa0\xc3\x9b \x7f\xc2";

	util_make_printable(text);
	REQUIRE(!strcmp(text, "?]0;x? a?b ???? \xc2\xa0\xc3\x9b ?\xc2"));
}

static void long_texts_are_cut_not_overrun(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	char big[3 * CKPT_ERR_TEXT];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	ckpt_err_sys(&err, EIO, "%s", big);
	ckpt_err_hint(&err, "%s", big);
	ckpt_err_prefix(&err, "%s", big);
	REQUIRE_EQ(strlen(err.text), CKPT_ERR_TEXT - 1);
}

static void a_buffer_grows_and_refuses_overflow(void)
{
	struct buf b = { 0 };

	for (int i = 0; i < 100000; i++)
		REQUIRE(!buf_append(&b, &i, sizeof(i)));
	for (int i = 0; i < 100000; i++)
		REQUIRE(!memcmp(b.data + i * sizeof(i), &i, sizeof(i)));
	REQUIRE_EQ(buf_reserve(&b, SIZE_MAX), -ENOMEM);
	REQUIRE_EQ(buf_reserve(&b, SIZE_MAX / 2), -ENOMEM);
	REQUIRE_EQ(b.len, 400000);
	buf_free(&b);
	REQUIRE(!b.data && !b.len && !b.cap);
}

static void is_zero_sees_a_bit_anywhere(void)
{
	unsigned char p[64] = { 0 };

	for (size_t n = 0; n <= sizeof(p); n++) {
		REQUIRE(util_is_zero(p, n));
		for (size_t i = 0; i < n; i++) {
			p[i] = 1;
			REQUIRE(!util_is_zero(p, n));
			p[i] = 0;
		}
	}
}

static const struct tap_test tests[] = {
	{ "set_returns_the_negative_code_of_either_sign",
	  set_returns_the_negative_code_of_either_sign },
	{ "the_first_text_wins", the_first_text_wins },
	{ "thing_reason_remedy_in_this_order", thing_reason_remedy_in_this_order },
	{ "control_bytes_do_not_reach_the_terminal", control_bytes_do_not_reach_the_terminal },
	{ "any_text_can_be_made_printable", any_text_can_be_made_printable },
	{ "long_texts_are_cut_not_overrun", long_texts_are_cut_not_overrun },
	{ "a_buffer_grows_and_refuses_overflow", a_buffer_grows_and_refuses_overflow },
	{ "is_zero_sees_a_bit_anywhere", is_zero_sees_a_bit_anywhere },
};

TAP_MAIN(tests)
