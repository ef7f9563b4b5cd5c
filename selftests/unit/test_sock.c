// SPDX-License-Identifier: GPL-2.0-only
/* What an image holds of a socket: read back as written; damaged in any way, refused or harmless. */
#include <errno.h>

#include "sock.h"
#include "tap.h"

#define NR_FLIPS	20000

static void put(struct buf *b, enum sock_item_what what, uint32_t a, uint32_t name, const void *data, size_t len)
{
	REQUIRE_EQ(sock_put(b, what, a, name, data, len), 0);
}

static void make(struct buf *b)
{
	const struct sock_file file = { 0755, 1, 2, 0 };
	const char name[] = "\1\0name", message[11] = "one message";
	const int value = 7;

	put(b, SOCK_NAME, 0, 0, name, sizeof(name));
	put(b, SOCK_PEER, 0, 0, name, 2);
	put(b, SOCK_FILE, 0, 0, &file, sizeof(file));
	put(b, SOCK_OPTION, 1, 8, &value, sizeof(value));
	put(b, SOCK_MESSAGE, 0, 0, message, sizeof(message));
	put(b, SOCK_MESSAGE, 0, 0, message, 8);
	put(b, SOCK_CLOCK, 5, 6, NULL, 0);
}

static void what_was_written_is_read(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	const struct sock_item *item = NULL;
	struct buf b = { 0 };
	struct sock_content c;
	size_t nr = 0, bytes = 0;

	make(&b);
	REQUIRE_EQ(sock_parse(b.data, b.len, &err, &c), 0);
	REQUIRE(c.name_len == 7 && !strcmp((const char *)c.name + 2, "name") && c.peer_len == 2);
	REQUIRE(c.has_clock && c.clock == 5 && c.mss == 6);
	REQUIRE(c.file->mode == 0755 && c.file->uid == 1 && c.file->gid == 2);
	while ((item = sock_next(&c, item))) {
		nr++;
		if (item->what == SOCK_MESSAGE)
			bytes = bytes * 100 + item->len;
	}
	REQUIRE(nr == 7 && bytes == 1108);
	buf_free(&b);
	REQUIRE_EQ(sock_parse(NULL, 0, &err, &c), 0);
	REQUIRE(!sock_next(&c, NULL) && !c.name);
}

/* As much memory as there are bytes, so that a sanitizer sees a read beyond. */
static int parse(const void *data, size_t len, struct sock_content *c)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	void *copy = malloc(len ? len : 1);
	const struct sock_item *item = NULL;
	volatile unsigned char last;
	int ret;

	memcpy(copy, data, len);
	ret = sock_parse(copy, len, &err, c);
	REQUIRE(!ret == !err.code);
	while (!ret && (item = sock_next(c, item)))
		if (item->len)
			last = ((const unsigned char *)sock_data(item))[item->len - 1];
	(void)last;
	free(copy);
	return ret;
}

static void one_that_ends_early_is_refused(void)
{
	struct buf b = { 0 };
	struct sock_content c;
	size_t whole = 0;

	make(&b);
	for (size_t len = 0; len < b.len; len++)
		whole += !parse(b.data, len, &c);
	REQUIRE_EQ(whole, 7);		/* between its items alone */
	buf_free(&b);
}

static void is_refused(enum sock_item_what what, size_t len, int times)
{
	static char data[SOCK_MESSAGE_MAX + 8];
	struct buf b = { 0 };
	struct sock_content c;

	for (int i = 0; i < times; i++)
		put(&b, what, 0, 0, data, len);
	REQUIRE_EQ(parse(b.data, b.len, &c), -EBADMSG);
	buf_free(&b);
}

static void what_nobody_knows_or_is_too_long_or_twice_is_refused(void)
{
	is_refused(0, 0, 1);
	is_refused(SOCK_CUT + 1, 0, 1);
	is_refused(SOCK_CUT, 8, 1);
	is_refused(SOCK_CUT, 0, 2);
	is_refused(SOCK_OWNER, 0, 1);		/* no process has number 0 */
	is_refused(SOCK_OWNER, 8, 1);
	is_refused(SOCK_LISTENER, 4, 1);
	is_refused(SOCK_LISTENER, 8, 1);	/* nor a socket */
	is_refused(SOCK_NAME, 1, 1);
	is_refused(SOCK_NAME, sizeof(struct sockaddr_storage) + 1, 1);
	is_refused(SOCK_NAME, 16, 2);
	is_refused(SOCK_PEER, 16, 2);
	is_refused(SOCK_FILE, sizeof(struct sock_file) - 1, 1);
	is_refused(SOCK_FILE, sizeof(struct sock_file), 2);
	is_refused(SOCK_OPTION, SOCK_OPTION_MAX + 1, 1);
	is_refused(SOCK_MESSAGE, SOCK_MESSAGE_MAX + 1, 1);
}

static void damage_anywhere_is_refused_or_harmless(void)
{
	struct buf b = { 0 };
	struct sock_content c;

	make(&b);
	for (int i = 0; i < NR_FLIPS; i++) {
		size_t at = (size_t)random() % b.len;
		unsigned char old = b.data[at];

		b.data[at] = (unsigned char)random();
		parse(b.data, b.len, &c);
		b.data[at] = old;
	}
	buf_free(&b);
}

static const struct tap_test tests[] = {
	{ "what_was_written_is_read", what_was_written_is_read },
	{ "one_that_ends_early_is_refused", one_that_ends_early_is_refused },
	{ "what_nobody_knows_or_is_too_long_or_twice_is_refused",
	  what_nobody_knows_or_is_too_long_or_twice_is_refused },
	{ "damage_anywhere_is_refused_or_harmless", damage_anywhere_is_refused_or_harmless },
};

TAP_MAIN(tests)
