// SPDX-License-Identifier: GPL-2.0-only
/* What an image tells of System V semaphores and message queues: measured as written; damaged, refused or harmless. */
#include <string.h>

#include "buf.h"
#include "ipc.h"
#include "tap.h"

#define NR_FLIPS	20000
#define SET_BYTES	(sizeof(struct ipc_item) + 16)				/* of 5 values */
#define QUEUE_BYTES	(sizeof(struct ipc_item) + 3 * sizeof(struct ipc_message) + 8 + 0 + 16)

static void add(struct buf *b, const void *data, size_t len)
{
	static const char zeros[8];

	REQUIRE_EQ(buf_append(b, data, len), 0);
	REQUIRE_EQ(buf_append(b, zeros, ipc_padded(len) - len), 0);
}

static void make(struct buf *b)
{
	const struct ipc_item set = { .what = IPC_SEMAPHORES, .id = 7, .mode = 0600, .nr = 5 };
	const struct ipc_item queue = { .what = IPC_QUEUE, .id = 32769, .key = -1, .mode = 0777, .nr = 3 };
	const uint16_t values[5] = { 1, 2, 3, 4, 5 };
	const char *texts[3] = { "short", "", "of some length" };

	add(b, &set, sizeof(set));
	add(b, values, sizeof(values));
	add(b, &queue, sizeof(queue));
	for (int i = 0; i < 3; i++) {
		const struct ipc_message m = { .type = i + 1, .len = (uint32_t)strlen(texts[i]) };

		add(b, &m, sizeof(m));
		add(b, texts[i], m.len);
	}
}

/* How many there are; -1: one that is none.  As much memory as there are bytes, for a sanitizer to see. */
static int count(const void *data, size_t len)
{
	unsigned char *copy = malloc(len ? len : 1);
	size_t at = 0, content;
	int nr = 0;

	memcpy(copy, data, len);
	while (at < len) {
		const struct ipc_item *item = (const void *)(copy + at);
		volatile unsigned char last;

		if (!ipc_measure(item, len - at, &content))
			break;
		at += sizeof(*item) + content;
		REQUIRE(at <= len);
		if (at)
			last = copy[at - 1];
		(void)last;
		nr++;
	}
	nr = at == len ? nr : -1;
	free(copy);
	return nr;
}

static void what_was_written_is_measured(void)
{
	struct buf b = { 0 };
	size_t content;

	make(&b);
	REQUIRE_EQ(b.len, SET_BYTES + QUEUE_BYTES);
	REQUIRE(ipc_measure((const void *)b.data, b.len, &content) && content == 16);
	REQUIRE_EQ(count(b.data, b.len), 2);
	REQUIRE_EQ(count(b.data, 0), 0);
	buf_free(&b);
}

static void one_that_ends_early_is_refused(void)
{
	struct buf b = { 0 };
	int whole = 0;

	make(&b);
	for (size_t len = 1; len < b.len; len++)
		whole += count(b.data, len) >= 0;
	REQUIRE_EQ(whole, 1);		/* between the two */
	buf_free(&b);
}

static void is_refused(struct ipc_item item, const struct ipc_message *m)
{
	static const char content[IPC_MESSAGE_MAX + 64];
	struct buf b = { 0 };

	add(&b, &item, sizeof(item));
	if (m)
		add(&b, m, sizeof(*m));
	add(&b, content, sizeof(content));
	REQUIRE_EQ(count(b.data, b.len), -1);
	buf_free(&b);
}

static void what_is_none_is_refused(void)
{
	const struct ipc_item queue = { .what = IPC_QUEUE, .nr = 1 };

	is_refused((struct ipc_item){ .what = 0, .nr = 1 }, NULL);
	is_refused((struct ipc_item){ .what = IPC_QUEUE + 1, .nr = 1 }, NULL);
	is_refused((struct ipc_item){ .what = IPC_SEMAPHORES, .nr = 0 }, NULL);
	is_refused((struct ipc_item){ .what = IPC_SEMAPHORES, .nr = IPC_VALUES_MAX + 1 }, NULL);
	is_refused((struct ipc_item){ .what = IPC_SEMAPHORES, .nr = 1, .id = -1 }, NULL);
	is_refused((struct ipc_item){ .what = IPC_SEMAPHORES, .nr = 1, .mode = 01000 }, NULL);
	is_refused(queue, &(struct ipc_message){ .type = 0, .len = 1 });
	is_refused(queue, &(struct ipc_message){ .type = -1, .len = 1 });
	is_refused(queue, &(struct ipc_message){ .type = 1, .len = IPC_MESSAGE_MAX + 1 });
	is_refused(queue, &(struct ipc_message){ .type = 1, .len = UINT32_MAX });
}

static void damage_anywhere_is_refused_or_harmless(void)
{
	struct buf b = { 0 };

	make(&b);
	for (int i = 0; i < NR_FLIPS; i++) {
		const size_t at = (size_t)random() % b.len;
		const unsigned char flip = (unsigned char)(1 << random() % 8);

		b.data[at] ^= flip;
		count(b.data, b.len);
		b.data[at] ^= flip;
	}
	buf_free(&b);
}

static const struct tap_test tests[] = {
	{ "what_was_written_is_measured", what_was_written_is_measured },
	{ "one_that_ends_early_is_refused", one_that_ends_early_is_refused },
	{ "what_is_none_is_refused", what_is_none_is_refused },
	{ "damage_anywhere_is_refused_or_harmless", damage_anywhere_is_refused_or_harmless },
};

TAP_MAIN(tests)
