// SPDX-License-Identifier: GPL-2.0-only
/* The library's ckpt_store_retain(): what a caller asks for is what stays, and what went is told. */
#include <errno.h>

#include "api-priv.h"
#include "chain.h"
#include "libckpt.h"
#include "sealed.h"

#define HOUR	3600000000000ull

static struct ckpt_store store;

/* Job "job": one full image and @n - 1 deltas, each of the one before; job "other": three. */
static void make(unsigned int n)
{
	struct image_info info;

	enter_scratch();
	store.store = open_store();
	put(store.store, "job", NULL, &info);
	for (unsigned int i = 1; i < n; i++)
		put(store.store, "job", &info, &info);
	put(store.store, "other", NULL, &info);
	put(store.store, "other", &info, &info);
	put(store.store, "other", &info, NULL);
}

static struct ckpt_retained retain(const struct ckpt_retain_request *request)
{
	struct ckpt_retained r = { .size = sizeof(r) };
	struct ckpt_err err = CKPT_ERR_INIT;

	REQUIRE_OK(ckpt_store_retain(&store, request, &err, &r), err);
	return r;
}

/* How many images the newest of @name is built on, itself among them. */
static size_t length(const char *name)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct chain *c;
	size_t n;

	REQUIRE_OK(chain_open(store.store, name, false, &err, &c), err);
	n = chain_length(c);
	chain_close(c);
	return n;
}

static void the_oldest_that_stays_is_folded(void)
{
	struct ckpt_retain_request q = { .size = sizeof(q), .keep = 2, .name = "job" };
	struct ckpt_retained r;

	make(6);
	r = retain(&q);
	REQUIRE_EQ(r.folded, 1);
	REQUIRE_EQ(r.generations, 4);
	REQUIRE(r.bytes > 4 * PAGE && !r.held && !r.unreadable);
	REQUIRE_EQ(list(store.store, "job")->count, 2);
	REQUIRE_EQ(list(store.store, "other")->count, 3);
	REQUIRE_EQ(length("job"), 2);
	verify_all(store.store);
	store_close(store.store);
}

static void nothing_is_folded_if_that_is_asked(void)
{
	struct ckpt_retain_request q = { .size = sizeof(q), .keep = 2, .flags = CKPT_RETAIN_NO_FOLD };
	struct ckpt_retained r;

	make(6);
	r = retain(&q);
	REQUIRE(!r.folded && !r.generations);
	REQUIRE_EQ(length("job"), 6);
	store_close(store.store);
}

static void what_is_young_stays_and_three_in_any_case(void)
{
	struct ckpt_retain_request q = { .size = sizeof(q), .max_age_ns = HOUR };
	struct ckpt_retained r;

	make(6);
	r = retain(&q);
	REQUIRE(!r.folded && !r.generations);
	q.max_age_ns = 1;
	r = retain(&q);
	REQUIRE_EQ(r.folded, 1);
	REQUIRE_EQ(list(store.store, "job")->count, 3);
	REQUIRE_EQ(list(store.store, "other")->count, 3);
	store_close(store.store);
}

static int give_up(uint64_t done, uint64_t total, void *arg)
{
	++*(unsigned int *)arg;
	return -EINTR;
}

static void a_fold_can_be_given_up(void)
{
	unsigned int asked = 0;
	struct ckpt_retain_request q = {
		.size = sizeof(q), .keep = 2, .name = "job", .progress = give_up, .arg = &asked,
	};
	struct ckpt_retained r = { .size = sizeof(r) };
	struct ckpt_err err = CKPT_ERR_INIT;

	make(6);
	REQUIRE_EQ(ckpt_store_retain(&store, &q, &err, &r), -EINTR);
	REQUIRE(asked && err.text[0] && !r.folded && !r.generations);
	REQUIRE_EQ(length("job"), 6);
	store_close(store.store);
}

/* The key is found as by all of the library: that of the environment, when the store was given none. */
static void what_is_encrypted_is_folded_with_the_key(void)
{
	struct ckpt_retain_request q = { .size = sizeof(q), .keep = 1 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to;
	struct image_info info;
	struct ckpt_retained r;

	enter_scratch();
	to = both();
	store = (struct ckpt_store){ .store = open_store() };
	put_sealed(store.store, NULL, &to, &info);
	put_sealed(store.store, &info, &to, NULL);
	REQUIRE(!unsetenv(KEYRING_ENV));
	r = retain(&q);
	REQUIRE(r.locked == 1 && !r.folded && !r.generations);
	REQUIRE(!setenv(KEYRING_ENV, "missing", 1));
	REQUIRE_EQ(ckpt_store_retain(&store, &q, &err, &r), -ENOENT);
	REQUIRE(!r.locked && list(store.store, "job")->count == 2);
	REQUIRE(!setenv(KEYRING_ENV, "alice", 1));
	r = retain(&q);
	REQUIRE(!r.locked && r.folded == 1 && r.generations == 1);
	REQUIRE_EQ(length("job"), 1);
	store_close(store.store);
	keyring_free(store.keyring);
	recipients_free(&to);
}

static void copies_that_went_are_told(void)
{
	static const char copy[] = "s/.files/ckpt-0123456789abcdef0123456789abcdef-lib.so";
	struct ckpt_retain_request q = { .size = sizeof(q), .name = "job" };
	struct ckpt_retained r;

	make(1);
	REQUIRE(!mkdir("s/.files", 0755) && !close(open(copy, O_CREAT | O_WRONLY, 0500)));
	REQUIRE_EQ(retain(&q).copies, 0);
	q.name = NULL;
	r = retain(&q);
	if (!r.copies && !access(copy, F_OK))
		SKIP("locks of this file system are not known to all");
	REQUIRE_EQ(r.copies, 1);
	store_close(store.store);
}

static void a_request_of_another_size_is_refused(void)
{
	struct ckpt_retain_request q = { .size = sizeof(q) - 1, .keep = 1 };
	struct ckpt_retained r = { .size = sizeof(r) };
	struct ckpt_err err = CKPT_ERR_INIT;

	make(2);
	REQUIRE_EQ(ckpt_store_retain(&store, &q, &err, &r), -EINVAL);
	q.size = sizeof(q);
	q.flags = 0x2;
	REQUIRE_EQ(ckpt_store_retain(&store, &q, NULL, &r), -EINVAL);
	q.flags = 0;
	q.reserved = 1;
	REQUIRE_EQ(ckpt_store_retain(&store, &q, NULL, &r), -EINVAL);
	q.reserved = 0;
	r.size++;
	REQUIRE_EQ(ckpt_store_retain(&store, &q, NULL, &r), -EINVAL);
	REQUIRE_EQ(list(store.store, "job")->count, 2);
	REQUIRE(!ckpt_store_retain(&store, &q, NULL, NULL));
	REQUIRE_EQ(list(store.store, "job")->count, 1);
	store_close(store.store);
}

static const struct tap_test tests[] = {
	{ "the_oldest_that_stays_is_folded", the_oldest_that_stays_is_folded },
	{ "nothing_is_folded_if_that_is_asked", nothing_is_folded_if_that_is_asked },
	{ "what_is_young_stays_and_three_in_any_case", what_is_young_stays_and_three_in_any_case },
	{ "a_fold_can_be_given_up", a_fold_can_be_given_up },
	{ "what_is_encrypted_is_folded_with_the_key", what_is_encrypted_is_folded_with_the_key },
	{ "copies_that_went_are_told", copies_that_went_are_told },
	{ "a_request_of_another_size_is_refused", a_request_of_another_size_is_refused },
};

TAP_MAIN(tests)
