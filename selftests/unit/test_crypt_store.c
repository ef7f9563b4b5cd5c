// SPDX-License-Identifier: GPL-2.0-only
/* Encrypted images that are built on one another, in a store; and their keys, as text and in memory. */
#include <sys/wait.h>

#include "api-priv.h"
#include "chain.h"
#include "compact.h"
#include "retain.h"
#include "sealed.h"

static int open_with(struct store *s, const char *ref, const char *key, struct ckpt_err *err,
		     struct chain **ret_chain)
{
	struct keyring *k = key ? keyring_of(key) : NULL;
	int ret;

	REQUIRE_OK(chain_open(s, ref, false, err, ret_chain), *err);
	ret = chain_unlock(*ret_chain, k, err);
	keyring_free(k);
	return ret;
}

static void a_delta_is_made_with_public_keys_alone(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	unsigned char want[PAGE];
	struct image_info one, two;
	struct recipients to;
	const void *data;
	struct chain *c;
	struct store *s;

	enter_scratch();
	to = both();
	s = open_store();
	put_sealed(s, NULL, &to, &one);
	put_sealed(s, &one, &to, &two);
	REQUIRE(!memcmp(two.parent_key_id, one.key_id, CRYPT_KEY) && memcmp(two.key_id, one.key_id, CRYPT_KEY));
	REQUIRE_EQ(open_with(s, "job", NULL, &err, &c), -ENOKEY);
	ckpt_err_clear(&err);
	/* what is where is known without; whether a page is the same is not */
	REQUIRE_OK(chain_load(c, OWNER, &err), err);
	REQUIRE(chain_has(c, PAGE, 1) && !chain_has(c, 0, 1));
	fill_page(want, PAGE, FILL_NOISE, 2);
	REQUIRE(!chain_same_page(c, PAGE, want));
	REQUIRE_EQ(chain_borrow(c, 0, NULL, &data), -ENOKEY);
	chain_close(c);
	REQUIRE_OK(open_with(s, "job", "bob", &err, &c), err);
	REQUIRE_OK(chain_load(c, OWNER, &err), err);
	REQUIRE_OK(chain_borrow(c, 0, &err, &data), err);
	REQUIRE(!memcmp(data, want, PAGE));
	chain_lock(c);
	chain_trim(c, 0);
	REQUIRE_EQ(chain_borrow(c, 0, NULL, &data), -ENOKEY);
	chain_close(c);
	store_close(s);
	recipients_free(&to);
}

/* Put an image that says it stands for @old in the place of generation 1. */
static void replace_first(const struct image_info *old, const struct recipients *to)
{
	struct image_params params = {
		.job = "job", .generation = 1, .replaces = old, .pid = OWNER, .page_size = PAGE,
		.frame_size = PAGE, .to = to,
	};
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_writer *w;
	int fd = open("s/job/gen-00000001.ckpt", O_RDWR | O_TRUNC);

	REQUIRE(fd >= 0);
	REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
	fill_image(w, 99, NULL);
	close(fd);
}

static void another_image_in_the_parents_place_is_refused(void)
{
	struct recipients to;
	struct image_info one;
	struct chain *c;
	struct store *s;

	enter_scratch();
	to = both();
	s = open_store();
	put_sealed(s, NULL, &to, &one);
	put_sealed(s, &one, &to, NULL);
	/* both pass for it by all that is not secret: chain_open() takes them */
	for (int plain = 0; plain < 2; plain++) {
		struct ckpt_err err = CKPT_ERR_INIT;

		replace_first(&one, plain ? NULL : &to);
		REQUIRE_EQ(open_with(s, "job", "alice", &err, &c), -ESTALE);
		REQUIRE(strstr(err.text, "the key is another one"));
		chain_close(c);
	}
	store_close(s);
	recipients_free(&to);
}

static void a_plain_delta_of_an_encrypted_image_is_refused(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to;
	struct image_info one;
	struct chain *c;
	struct store *s;

	enter_scratch();
	to = both();
	s = open_store();
	put_sealed(s, NULL, &to, &one);
	put_sealed(s, &one, NULL, NULL);
	REQUIRE_EQ(open_with(s, "job", "alice", &err, &c), -ESTALE);
	REQUIRE(strstr(err.text, "not encrypted"));
	chain_close(c);
	store_close(s);
	recipients_free(&to);
}

static void an_encrypted_delta_of_a_plain_image_is_read(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to;
	struct image_info one;
	struct chain *c;
	struct store *s;

	enter_scratch();
	to = both();
	s = open_store();
	put_sealed(s, NULL, NULL, &one);
	put_sealed(s, &one, &to, NULL);
	REQUIRE_OK(open_with(s, "job", "alice", &err, &c), err);
	REQUIRE_OK(chain_load(c, OWNER, &err), err);
	check_content(chain_image(c), 2);
	chain_close(c);
	store_close(s);
	recipients_free(&to);
}

static void folded_it_is_encrypted_to_the_same_keys(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_info one, two;
	struct compact_result r;
	struct forged was, is;
	struct recipients to;
	struct keyring *k;
	struct chain *c;
	struct store *s;

	enter_scratch();
	to = both();
	s = open_store();
	put_sealed(s, NULL, &to, &one);
	put_sealed(s, &one, &to, &two);
	put_sealed(s, &two, &to, NULL);
	was = take_apart(open("s/job/gen-00000002.ckpt", O_RDONLY));
	REQUIRE_EQ(compact_run(s, "job@2", 0, NULL, NULL, NULL, &r), -ENOKEY);
	k = keyring_of("alice");
	store_set_keyring(s, k);
	REQUIRE_OK(compact_run(s, "job@2", IMAGE_LEVEL_NONE, NULL, NULL, &err, &r), err);
	is = take_apart(open("s/job/gen-00000002.ckpt", O_RDONLY));
	/* the same data key, ordinal, number, and first page: another salt makes other keys of it */
	REQUIRE(!memcmp(r.info.key_id, two.key_id, CRYPT_KEY) && image_info_is_encrypted(&r.info));
	REQUIRE(memcmp(section_at(&was, S_PAGES) + frame(&was, S_PAGES, 0)->offset,
		       section_at(&is, S_PAGES) + frame(&is, S_PAGES, 0)->offset, 32));
	forget(&was);
	forget(&is);
	REQUIRE_OK(open_with(s, "job@2", "bob", &err, &c), err);
	REQUIRE_EQ(chain_length(c), 1);
	check_content(chain_image(c), 2);
	chain_close(c);
	REQUIRE_OK(open_with(s, "job@3", "bob", &err, &c), err);
	REQUIRE_EQ(chain_length(c), 2);
	chain_close(c);
	keyring_free(k);
	store_close(s);
	recipients_free(&to);
}

/* Who came later has the key of the newer one alone. */
static void what_a_key_opens_in_part_stays_locked(void)
{
	struct ckpt_store store = { 0 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to, carol = { 0 };
	struct image_info one;
	char text[KEY_TEXT];
	struct chain *c;

	enter_scratch();
	to = both();
	make_key("carol", text);
	REQUIRE_OK(recipients_parse(&carol, text, &err), err);
	store.store = open_store();
	put_sealed(store.store, NULL, &carol, &one);
	put_sealed(store.store, &one, &to, NULL);
	store.keyring = keyring_of("bob");
	REQUIRE_OK(chain_open(store.store, "job", false, &err, &c), err);
	REQUIRE_EQ(api_unlock(&store, c, NULL), -ENOKEY);
	chain_lock(c);
	REQUIRE_OK(api_unlock_if_can(&store, c, &err), err);
	REQUIRE(!err.text[0] && image_is_locked(chain_member(c, 0)) && image_is_locked(chain_member(c, 1)));
	chain_close(c);
	keyring_free(store.keyring);
	store_close(store.store);
	recipients_free(&carol);
	recipients_free(&to);
}

static void what_cannot_be_folded_is_kept_whole(void)
{
	struct retain_opts o = { .keep = 1 };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct image_info one, two;
	struct retain_result r;
	struct recipients to;
	struct keyring *k;
	struct store *s;

	enter_scratch();
	to = both();
	s = open_store();
	put_sealed(s, NULL, &to, &one);
	put_sealed(s, &one, &to, &two);
	for (int eve = 0; eve < 2; eve++) {
		k = eve ? keyring_of("eve") : NULL;
		store_set_keyring(s, k);
		REQUIRE_OK(retain_run(s, &o, &err, &r), err);
		REQUIRE(r.locked == 1 && !r.folded && !r.removed.generations);
		REQUIRE_EQ(verify_all(s), 2);
		keyring_free(k);
	}
	k = keyring_of("bob");
	store_set_keyring(s, k);
	REQUIRE_OK(retain_run(s, &o, &err, &r), err);
	REQUIRE(!r.locked && r.folded == 1 && r.removed.generations == 1);
	REQUIRE_EQ(verify_all(s), 1);
	keyring_free(k);
	store_close(s);
	recipients_free(&to);
}

/* ---------------------------------------------------------------------------------- keys */

static void put_file(const char *name, mode_t mode, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	REQUIRE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && !fchmod(fd, mode));
	close(fd);
}

static void a_key_with_a_typing_error_is_refused(void)
{
	struct recipients to = { 0 };
	char text[KEY_TEXT], bad[KEY_TEXT + 2];

	enter_scratch();
	make_key("key", text);
	REQUIRE_EQ(strlen(text), 62);
	for (size_t i = 0; i < strlen(text); i++) {
		strcpy(bad, text);
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		/* what does not begin as a key does names a file, which is not there */
		REQUIRE_EQ(recipients_parse(&to, bad, NULL), i < 14 ? -ENOENT : -EINVAL);
		strcpy(bad, text);
		bad[i] = 0;
		REQUIRE(recipients_parse(&to, bad, NULL) < 0);
	}
	snprintf(bad, sizeof(bad), "%sA", text);
	REQUIRE_EQ(recipients_parse(&to, bad, NULL), -EINVAL);
	REQUIRE_EQ(recipients_count(&to), 0);
	REQUIRE_EQ(recipients_parse(&to, text, NULL), 0);
	REQUIRE_EQ(recipients_parse(&to, text, NULL), 0);
	REQUIRE_EQ(recipients_count(&to), 1);
	recipients_free(&to);
}

static void files_of_keys_are_what_they_should_be(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to = { 0 };
	char a[KEY_TEXT], b[KEY_TEXT], text[3 * KEY_TEXT], secret[512] = "";
	struct keyring *k;
	ssize_t n;
	int fd;

	enter_scratch();
	make_key("a", a);
	make_key("b", b);
	REQUIRE_EQ(keyring_generate("a", NULL, b), -EEXIST);
	snprintf(text, sizeof(text), "# team\n\n  %s\t\n%s", a, b);
	put_file("team", 0644, text);
	REQUIRE_OK(recipients_parse(&to, "team", &err), err);
	REQUIRE_EQ(recipients_count(&to), 2);
	REQUIRE_EQ(recipients_parse(&to, "a", &err), -EINVAL);
	REQUIRE(strstr(err.text, "a: line 2: is a secret key"));
	/* nor does the text of an error tell it */
	fd = open("a", O_RDONLY);
	n = read(fd, secret, sizeof(secret) - 1);
	REQUIRE(n > 0 && strstr(secret, "ckpt-secret-1:") && !strstr(err.text, "ckpt-secret-1:"));
	put_file("empty", 0600, "# nothing\n");
	REQUIRE_EQ(recipients_parse(&to, "empty", NULL), -EINVAL);
	REQUIRE_OK(keyring_new((ckpt_err_clear(&err), &err), &k), err);
	REQUIRE_EQ(keyring_add_file(k, "empty", NULL), -EINVAL);
	REQUIRE_EQ(keyring_add_file(k, "missing", NULL), -ENOENT);
	put_file("public", 0600, a);
	REQUIRE_EQ(keyring_add_file(k, "public", &err), -EINVAL);
	REQUIRE(strstr(err.text, "a public key"));
	REQUIRE(!keyring_find(k, recipients_at(&to, 0)));
	REQUIRE_EQ(keyring_add_file(k, "a", NULL), 0);
	REQUIRE(keyring_find(k, recipients_at(&to, 0)) && !keyring_find(k, recipients_at(&to, 1)));
	for (mode_t mode = 1; mode <= 040; mode <<= 1) {
		ckpt_err_clear(&err);
		REQUIRE(!chmod("b", 0600 | mode));
		REQUIRE_EQ(keyring_add_file(k, "b", &err), -EACCES);
		REQUIRE(strstr(err.text, "chmod 600"));
	}
	keyring_free(k);
	recipients_free(&to);
}

static void there_are_not_too_many_recipients(void)
{
	struct image_params params = { .job = "x", .generation = 1, .page_size = PAGE };
	struct ckpt_err err = CKPT_ERR_INIT;
	struct recipients to = { 0 };
	struct image_writer *w;
	uint8_t key[CRYPT_KEY] = { 9 };
	struct image *img;
	int fd = memfd_create("image", MFD_CLOEXEC);

	params.to = &to;
	REQUIRE_EQ(image_writer_open(fd, &params, NULL, &w), -EINVAL);
	for (int i = 0; i < RECIPIENTS_MAX; i++) {
		key[1] = i;
		REQUIRE_OK(recipients_add(&to, key, &err), err);
	}
	REQUIRE_OK(image_writer_open(fd, &params, &err, &w), err);
	fill_image(w, 1, NULL);
	img = opened(fd);
	REQUIRE_EQ(image_recipients(img), RECIPIENTS_MAX);
	image_close(img);
	key[2] = 1;
	REQUIRE_EQ(recipients_add(&to, key, NULL), -E2BIG);
	/* a point of small order is no key: what is sealed to it anybody could open */
	to.keys.len = CRYPT_KEY;
	memset(to.keys.data, 0, CRYPT_KEY);
	REQUIRE_EQ(image_writer_open(fd, &params, &err, &w), -EINVAL);
	REQUIRE(strstr(err.text, "no key"));
	recipients_free(&to);
}

/* Whether the mapping at @p has @flag in /proc/self/smaps. */
static bool has_flag(const void *p, const char *flag)
{
	unsigned long begin, end;
	bool here = false, found = false;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "r");

	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			here = begin <= (uintptr_t)p && (uintptr_t)p < end;
		else if (here && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag) != NULL;
	}
	fclose(f);
	return found;
}

static void keys_are_not_in_children_nor_in_core_dumps(void)
{
	unsigned char *p = crypt_alloc(100), vec;
	int status;
	pid_t pid;

	REQUIRE(p);
	memset(p, 1, 100);
	REQUIRE(has_flag(p, " dd") && has_flag(p, " dc"));
	pid = tap_fork();
	if (!pid)
		_exit(mincore((void *)((uintptr_t)p & ~4095ul), 4096, &vec) && errno == ENOMEM ? 0 : 1);
	REQUIRE(waitpid(pid, &status, 0) == pid && !status);
	crypt_free(p);
}

static const struct tap_test tests[] = {
	{ "a_delta_is_made_with_public_keys_alone", a_delta_is_made_with_public_keys_alone },
	{ "another_image_in_the_parents_place_is_refused", another_image_in_the_parents_place_is_refused },
	{ "a_plain_delta_of_an_encrypted_image_is_refused", a_plain_delta_of_an_encrypted_image_is_refused },
	{ "an_encrypted_delta_of_a_plain_image_is_read", an_encrypted_delta_of_a_plain_image_is_read },
	{ "folded_it_is_encrypted_to_the_same_keys", folded_it_is_encrypted_to_the_same_keys },
	{ "what_a_key_opens_in_part_stays_locked", what_a_key_opens_in_part_stays_locked },
	{ "what_cannot_be_folded_is_kept_whole", what_cannot_be_folded_is_kept_whole },
	{ "a_key_with_a_typing_error_is_refused", a_key_with_a_typing_error_is_refused },
	{ "files_of_keys_are_what_they_should_be", files_of_keys_are_what_they_should_be },
	{ "there_are_not_too_many_recipients", there_are_not_too_many_recipients },
	{ "keys_are_not_in_children_nor_in_core_dumps", keys_are_not_in_children_nor_in_core_dumps },
};

TAP_MAIN(tests)
