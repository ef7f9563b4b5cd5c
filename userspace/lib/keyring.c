// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * keyring.c - see keyring.h.  Secret keys, and the text they come as, are in memory of crypt_alloc()
 * alone; what is read of them goes there at once, past stdio.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "keyring.h"
#include "util.h"

#define PUBLIC		"ckpt-public-1:"
#define SECRET		"ckpt-secret-1:"
#define SUM		4
#define BASE64		sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define FILE_MAX	(64u << 10)
#define KEYS_MAX	64

struct pair {
	uint8_t	public[CRYPT_KEY];
	uint8_t	secret[CRYPT_KEY];
};

struct keyring {
	size_t		nr;
	struct pair	pairs[KEYS_MAX];
};

_Static_assert(sizeof(PUBLIC) - 1 + 48 < KEY_TEXT && sizeof(PUBLIC) == sizeof(SECRET), "room");

/* ---------------------------------------------------------------------------------- text */

/* Of key and kind: one cannot be taken for the other. */
static void checksum(const char *kind, const uint8_t *key, uint8_t *ret)
{
	uint8_t hash[crypto_generichash_BYTES];
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, sizeof(hash));
	crypto_generichash_update(&state, (const void *)kind, strlen(kind));
	crypto_generichash_update(&state, key, CRYPT_KEY);
	crypto_generichash_final(&state, hash, sizeof(hash));
	memcpy(ret, hash, SUM);
	sodium_memzero(&state, sizeof(state));
}

/* @ret_text is memory for keys when the key is secret. */
static void to_text(const char *kind, const uint8_t *key, char *ret_text)
{
	uint8_t raw[CRYPT_KEY + SUM];

	memcpy(raw, key, CRYPT_KEY);
	checksum(kind, key, raw + CRYPT_KEY);
	strcpy(ret_text, kind);
	sodium_bin2base64(ret_text + strlen(kind), KEY_TEXT - strlen(kind), raw, sizeof(raw), BASE64);
	sodium_memzero(raw, sizeof(raw));
}

void key_public_text(const uint8_t key[CRYPT_KEY], char ret_text[KEY_TEXT])
{
	to_text(PUBLIC, key, ret_text);
}

static bool is_kind(const char *text, size_t len, const char *kind)
{
	return len >= strlen(kind) && !memcmp(text, kind, strlen(kind));
}

/* NULL, or what is wrong.  The text is not quoted: it may be a secret. */
static const char *from_text(const char *kind, const char *text, size_t len, uint8_t *ret_key)
{
	uint8_t raw[CRYPT_KEY + SUM], sum[SUM];
	const char *bad = NULL;
	size_t n;

	if (!is_kind(text, len, kind))
		return !strcmp(kind, PUBLIC) ? (is_kind(text, len, SECRET) ?
			"is a secret key, where a public one belongs" : "is no public key") :
			is_kind(text, len, PUBLIC) ?
			"is a public key, where a secret one belongs" : "is no secret key";
	if (sodium_base642bin(raw, sizeof(raw), text + strlen(kind), len - strlen(kind), NULL, &n, NULL,
			      BASE64) || n != sizeof(raw)) {
		bad = "is a key with characters missing, added or misread";
	} else {
		checksum(kind, raw, sum);
		if (memcmp(sum, raw + CRYPT_KEY, SUM))
			bad = "is a key with a wrong checksum: it was not copied right";
		else
			memcpy(ret_key, raw, CRYPT_KEY);
	}
	sodium_memzero(raw, sizeof(raw));
	return bad;
}

/* --------------------------------------------------------------------------------- files */

/* Called for each line that counts; not 0 ends it. */
typedef int (*line_fn)(const char *text, size_t len, const char *where, void *arg,
		       struct ckpt_err *err);

static int each_line(const char *path, const char *text, size_t size, line_fn fn, void *arg,
		     struct ckpt_err *err)
{
	unsigned int number = 0;
	char where[4200];
	int ret = 0;

	for (size_t at = 0, next; !ret && at < size; at = next) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t len = end ? (size_t)(end - (text + at)) : size - at;

		next = at + len + 1;
		number++;
		while (len && strchr(" \t\r", text[at + len - 1]))
			len--;
		for (; len && strchr(" \t", text[at]); len--)
			at++;
		if (!len || text[at] == '#')
			continue;
		snprintf(where, sizeof(where), "%s: line %u", path, number);
		ret = fn(text + at, len, where, arg, err);
	}
	return ret;
}

static int check_private(int fd, const char *path, struct ckpt_err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return ckpt_err_sys(err, errno, "%s", path);
	if (st.st_uid && st.st_uid != geteuid())
		return ckpt_err_set(err, EACCES, "%s: holds secret keys and belongs to user %u", path,
				    st.st_uid);
	if (!(st.st_mode & 077))
		return 0;
	ckpt_err_set(err, EACCES, "%s: holds secret keys and is open to others (mode %04o)", path,
		     st.st_mode & 07777);
	ckpt_err_hint(err, "chmod 600 it; if others may have read it, make a new key");
	return -EACCES;
}

static int read_lines(const char *path, bool secret, line_fn fn, void *arg, struct ckpt_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;
	size_t size = 0;
	ssize_t n = 1;
	char *text;

	if (fd < 0)
		return ckpt_err_sys(err, errno, "%s", path);
	text = crypt_alloc(FILE_MAX);
	ret = text ? 0 : ckpt_err_sys(err, ENOMEM, "%s: memory for keys", path);
	if (!ret && secret)
		ret = check_private(fd, path, err);
	while (!ret && n && size < FILE_MAX) {
		n = read(fd, text + size, FILE_MAX - size);
		if (n < 0 && errno != EINTR)
			ret = ckpt_err_sys(err, errno, "%s", path);
		size += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (!ret && size == FILE_MAX)
		ret = ckpt_err_set(err, EFBIG, "%s: is too long for a file of keys", path);
	if (!ret)
		ret = each_line(path, text, size, fn, arg, err);
	crypt_free(text);
	return ret;
}

/* ---------------------------------------------------------------------------- recipients */

int recipients_add(struct recipients *r, const uint8_t key[CRYPT_KEY], struct ckpt_err *err)
{
	int ret;

	for (size_t i = 0; i < recipients_count(r); i++)
		if (!memcmp(recipients_at(r, i), key, CRYPT_KEY))
			return 0;
	if (recipients_count(r) == RECIPIENTS_MAX)
		return ckpt_err_set(err, E2BIG, "more than %d keys to encrypt to", RECIPIENTS_MAX);
	ret = buf_append(&r->keys, key, CRYPT_KEY);
	return ret ? ckpt_err_sys(err, ret, "keys to encrypt to") : 0;
}

/* @found: keys that were there, also those that were known. */
struct adding {
	struct recipients	*to;
	size_t			found;
};

static int add_recipient(const char *text, size_t len, const char *where, void *arg,
			 struct ckpt_err *err)
{
	struct adding *a = arg;
	uint8_t key[CRYPT_KEY];
	const char *bad = from_text(PUBLIC, text, len, key);

	a->found++;
	if (!bad)
		return recipients_add(a->to, key, err);
	ckpt_err_set(err, EINVAL, "%s: %s", where, bad);
	ckpt_err_hint(err, "'ckptctl keygen FILE' makes a pair and prints the public one");
	return -EINVAL;
}

int recipients_parse(struct recipients *r, const char *text, struct ckpt_err *err)
{
	struct adding a = { .to = r };
	int ret;

	if (crypt_init())
		return ckpt_err_set(err, EIO, "no source of random numbers");
	if (is_kind(text, strlen(text), PUBLIC))
		return add_recipient(text, strlen(text), text, &a, err);
	if (is_kind(text, strlen(text), SECRET))
		return add_recipient(text, strlen(text), "what to encrypt to", &a, err);
	ret = read_lines(text, false, add_recipient, &a, err);
	if (!ret && !a.found)
		ret = ckpt_err_set(err, EINVAL, "%s: has no public key in it", text);
	return ret;
}

void recipients_free(struct recipients *r)
{
	buf_free(&r->keys);
}

/* ---------------------------------------------------------------------------- identities */

int keyring_new(struct ckpt_err *err, struct keyring **ret_keyring)
{
	struct keyring *k = crypt_alloc(sizeof(*k));

	if (!k) {
		ckpt_err_sys(err, ENOMEM, "memory for keys");
		return -ENOMEM;
	}
	memset(k, 0, sizeof(*k));
	*ret_keyring = k;
	return 0;
}

void keyring_free(struct keyring *k)
{
	crypt_free(k);
}

static int add_secret(const char *text, size_t len, const char *where, void *arg,
		      struct ckpt_err *err)
{
	struct keyring *k = arg;
	struct pair *p = &k->pairs[k->nr];
	const char *bad;

	if (k->nr == KEYS_MAX)
		return ckpt_err_set(err, E2BIG, "%s: more than %d secret keys", where, KEYS_MAX);
	bad = from_text(SECRET, text, len, p->secret);
	if (bad)
		return ckpt_err_set(err, EINVAL, "%s: %s", where, bad);
	crypto_scalarmult_base(p->public, p->secret);
	k->nr++;
	return 0;
}

int keyring_add_file(struct keyring *k, const char *path, struct ckpt_err *err)
{
	size_t had = k->nr;
	int ret = read_lines(path, true, add_secret, k, err);

	if (!ret && k->nr == had)
		ret = ckpt_err_set(err, EINVAL, "%s: has no secret key in it", path);
	return ret;
}

int keyring_open(const char *const *paths, size_t n, struct ckpt_err *err,
		 struct keyring **ret_keyring)
{
	const char *env = getenv(KEYRING_ENV);
	struct keyring *k = NULL;
	int ret;

	*ret_keyring = NULL;
	if (!n && env && *env) {
		paths = &env;
		n = 1;
	}
	if (!n)
		return 0;
	ret = keyring_new(err, &k);
	if (ret)
		return ret;
	for (size_t i = 0; !ret && i < n; i++)
		ret = keyring_add_file(k, paths[i], err);
	if (ret)
		keyring_free(k);
	else
		*ret_keyring = k;
	return ret;
}

const uint8_t *keyring_find(const struct keyring *k, const uint8_t public[CRYPT_KEY])
{
	for (size_t i = 0; k && i < k->nr; i++)
		if (!memcmp(k->pairs[i].public, public, CRYPT_KEY))
			return k->pairs[i].secret;
	return NULL;
}

static int write_identity(int fd, const char *public, const char *secret)
{
	int ret = util_write_full(fd, "# ", 2);

	if (!ret)
		ret = util_write_full(fd, public, strlen(public));
	if (!ret)
		ret = util_write_full(fd, "\n", 1);
	if (!ret)
		ret = util_write_full(fd, secret, strlen(secret));
	if (!ret)
		ret = util_write_full(fd, "\n", 1);
	return ret ? ret : util_fsync(fd);
}

int keyring_generate(const char *path, struct ckpt_err *err, char ret_public[KEY_TEXT])
{
	struct {
		struct pair	pair;
		char		secret[KEY_TEXT];
	} *new = crypt_alloc(sizeof(*new));
	char public[KEY_TEXT];
	int fd, ret;

	if (!new)
		return ckpt_err_sys(err, ENOMEM, "memory for keys");
	crypto_box_keypair(new->pair.public, new->pair.secret);
	to_text(PUBLIC, new->pair.public, public);
	to_text(SECRET, new->pair.secret, new->secret);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	ret = fd < 0 ? -errno : write_identity(fd, public, new->secret);
	crypt_free(new);
	if (fd >= 0) {
		close(fd);
		if (ret)
			unlink(path);
	}
	if (ret)
		return ckpt_err_sys(err, ret, "%s", path);
	memcpy(ret_public, public, KEY_TEXT);
	return 0;
}
