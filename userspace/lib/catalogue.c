// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * catalogue.c - the catalogue of a store; see catalogue.h.
 *
 * The file is an SQLite database, so that others can ask it too, but SQLite opens no file here: it goes by
 * paths, and everything in a store is reached by its descriptor.  The file is read whole into memory, and
 * written whole to a new one that is renamed over it.  So there is no journal that could be somebody
 * else's, no lock that is held while a store is listed, and no state between the old and the new.
 *
 * Life:
 *  1. catalogue_open() reads it.  Not believed: one others may write to or own, no database, one of another
 *     schema.
 *  2. A row is an answer if the file's identity is the one it was made of, and the row's own hash is right:
 *     SQLite does not notice a flipped byte.  Header and trailer are kept as they are in the image and
 *     read as image_open() reads them.
 *  3. What had to be read is kept in memory, with the identity it had before it was read.  One whose
 *     file changed so lately that another change might not show in its times is not.
 *  4. Written at the end, or when a while has gone by: under a lock the file is read again, since others may
 *     have written it; rows whose files are still the same go into a new database, then what is new.
 *     A lock that somebody has, a directory that cannot be written to, a full disk: what is new is
 *     forgotten.  A file that is not ours, or of another schema, is left alone.
 *
 * Locks: flock() of the store's directory, taken with a short patience, nothing else is locked under it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "catalogue.h"
#include "image-format.h"
#include "store-priv.h"
#include "util.h"

#define NEW_NAME	CATALOGUE_NAME ".new"
#define SIZE_MAX_READ	(256u << 20)		/* some 300000 generations */
#define APPLICATION	0x636b7074		/* "ckpt" */
#define SCHEMA		1

#define SECOND		1000000000ull
#define SETTLED		20000000ull		/* more than a tick of any clock times are taken from */
#define SETTLED_COARSE	(2 * SECOND)		/* of a file system that keeps seconds */
#define FLUSH_EVERY	SECOND
#define LOCK_TRIES	20
#define LOCK_PAUSE	10000000		/* ns */

/* All that is known of one generation; without gaps, for the hash is of its bytes. */
struct row {
	uint64_t			generation;
	uint64_t			dev, ino, size, mtime_ns, ctime_ns;
	uint64_t			verdict, verified_ns;
	struct image_header_disk	header;
	struct image_trailer_disk	trailer;
	char				job[72];
};

_Static_assert(sizeof(struct row) == 8 * 8 + 512 + 128 + 72 && STORE_NAME_MAX < 72, "no gaps");

struct catalogue {
	const struct store	*store;
	sqlite3			*db;		/* as read; NULL: nothing */
	sqlite3_stmt		*find;
	struct buf		news;		/* struct row */
	uint64_t		flushed;	/* when, CLOCK_MONOTONIC */
};

/* ---------------------------------------------------------------------------------- rows */

static uint64_t to_ns(const struct timespec *t)
{
	return t->tv_sec * SECOND + t->tv_nsec;
}

static void set_identity(struct row *r, const struct stat *st)
{
	r->dev = st->st_dev;
	r->ino = st->st_ino;
	r->size = st->st_size;
	r->mtime_ns = to_ns(&st->st_mtim);
	r->ctime_ns = to_ns(&st->st_ctim);
}

static bool is_of(const struct row *r, const struct stat *st)
{
	return S_ISREG(st->st_mode) && r->dev == st->st_dev && r->ino == st->st_ino &&
	       r->size == (uint64_t)st->st_size && r->mtime_ns == to_ns(&st->st_mtim) &&
	       r->ctime_ns == to_ns(&st->st_ctim);
}

/* Whether a change from now on would show in the file's times. */
static bool is_settled(const struct stat *st)
{
	uint64_t now = util_clock_ns(CLOCK_REALTIME), then = to_ns(&st->st_ctim);

	return now > then && now - then > (st->st_ctim.tv_nsec ? SETTLED : SETTLED_COARSE);
}

static const char columns[] =
	"generation,dev,ino,size,mtime_ns,ctime_ns,verdict,verified_ns,header,trailer,job,hash";

#define NUMBERS	8	/* as they stand in struct row */

static bool get_blob(sqlite3_stmt *q, int column, void *to, size_t size)
{
	const void *blob = sqlite3_column_blob(q, column);

	if (!blob || sqlite3_column_bytes(q, column) != (int)size)
		return false;
	memcpy(to, blob, size);
	return true;
}

/* The row @q stands on, if each byte of it is what was written. */
static bool get_row(sqlite3_stmt *q, struct row *r)
{
	uint8_t hash[UTIL_HASH_SIZE], is[UTIL_HASH_SIZE];
	const char *job = (const char *)sqlite3_column_text(q, NUMBERS + 2);

	memset(r, 0, sizeof(*r));
	for (int i = 0; i < NUMBERS; i++)
		(&r->generation)[i] = sqlite3_column_int64(q, i);
	if (!job || strlen(job) >= sizeof(r->job) || !store_name_valid(job))
		return false;
	strcpy(r->job, job);
	if (!get_blob(q, NUMBERS, &r->header, sizeof(r->header)) ||
	    !get_blob(q, NUMBERS + 1, &r->trailer, sizeof(r->trailer)) ||
	    !get_blob(q, NUMBERS + 3, hash, sizeof(hash)))
		return false;
	util_hash(r, sizeof(*r), is);
	return !memcmp(hash, is, sizeof(is));
}

static bool put_row(sqlite3_stmt *q, const struct row *r)
{
	uint8_t hash[UTIL_HASH_SIZE];
	bool done;

	util_hash(r, sizeof(*r), hash);
	for (int i = 0; i < NUMBERS; i++)
		sqlite3_bind_int64(q, i + 1, (&r->generation)[i]);
	sqlite3_bind_blob(q, NUMBERS + 1, &r->header, sizeof(r->header), SQLITE_STATIC);
	sqlite3_bind_blob(q, NUMBERS + 2, &r->trailer, sizeof(r->trailer), SQLITE_STATIC);
	sqlite3_bind_text(q, NUMBERS + 3, r->job, -1, SQLITE_STATIC);
	sqlite3_bind_blob(q, NUMBERS + 4, hash, sizeof(hash), SQLITE_STATIC);
	done = sqlite3_step(q) == SQLITE_DONE;
	sqlite3_reset(q);
	return done;
}

/* -------------------------------------------------------------------------------- reading */

static sqlite3 *new_database(void)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
			    SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		sqlite3_close(db);
		return NULL;
	}
	/* what the file says of itself is to run nothing */
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *verb, const char *rest)
{
	sqlite3_stmt *q = NULL;
	char *sql = sqlite3_mprintf("%s%s%s", verb, columns, rest);

	if (!sql || sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
		q = NULL;
	sqlite3_free(sql);
	return q;
}

/* -1: not a number one can ask for. */
static int64_t pragma(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *q;
	int64_t n = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(q) == SQLITE_ROW)
		n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return n;
}

enum found {
	FOUND_NONE,		/* or one that is broken: to be made anew */
	FOUND_OURS,
	FOUND_OTHER,		/* somebody else's, or of another schema: to be left alone */
};

/* The whole file, in memory of SQLite's; NULL: it cannot be read. */
static unsigned char *read_whole(int fd, size_t size)
{
	unsigned char *data = sqlite3_malloc64(size);

	if (data && util_pread_full(fd, data, size, 0)) {
		sqlite3_free(data);
		data = NULL;
	}
	return data;
}

static enum found parse(int fd, size_t size, sqlite3 **ret_db)
{
	unsigned char *data = read_whole(fd, size);
	sqlite3 *db = data ? new_database() : NULL;
	int64_t application, schema;

	if (!db) {
		sqlite3_free(data);
		return FOUND_OTHER;	/* not known what it is */
	}
	/* takes the memory over, also when it fails */
	if (sqlite3_deserialize(db, "main", data, size, size, SQLITE_DESERIALIZE_FREEONCLOSE |
				SQLITE_DESERIALIZE_READONLY) != SQLITE_OK) {
		sqlite3_close(db);
		return FOUND_OTHER;
	}
	application = pragma(db, "PRAGMA application_id");
	schema = pragma(db, "PRAGMA user_version");
	if (application == APPLICATION && schema == SCHEMA) {
		*ret_db = db;
		return FOUND_OURS;
	}
	sqlite3_close(db);
	/* -1: SQLite cannot make sense of it */
	return application < 0 || schema < 0 ? FOUND_NONE : FOUND_OTHER;
}

static enum found load(const struct store *s, sqlite3 **ret_db)
{
	int fd = openat(s->fd, CATALOGUE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	enum found found = FOUND_OTHER;
	struct stat st;

	*ret_db = NULL;
	if (fd < 0)
		return errno == ENOENT ? FOUND_NONE : FOUND_OTHER;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    !store_check_ours(fd, CATALOGUE_NAME, NULL) && st.st_size <= SIZE_MAX_READ)
		found = st.st_size ? parse(fd, st.st_size, ret_db) : FOUND_NONE;
	close(fd);
	return found;
}

struct catalogue *catalogue_open(const struct store *store)
{
	struct catalogue *cat;

	/* who may write to the store may put a file of mine in another one's place, catalogue and all */
	if (!store || store_check_ours(store->fd, store->path, NULL))
		return NULL;
	cat = calloc(1, sizeof(*cat));
	if (!cat)
		return NULL;
	cat->store = store;
	cat->flushed = util_clock_ns(CLOCK_MONOTONIC);
	if (load(store, &cat->db) == FOUND_OURS)
		cat->find = prepare(cat->db, "SELECT ",
				    " FROM generations WHERE job = ?1 AND generation = ?2");
	return cat;
}

bool catalogue_find(struct catalogue *cat, const char *job, uint64_t generation,
		    const struct stat *st, struct catalogue_facts *ret_facts)
{
	bool known = false;
	struct row r;

	if (!cat || !cat->find)
		return false;
	sqlite3_bind_text(cat->find, 1, job, -1, SQLITE_STATIC);
	sqlite3_bind_int64(cat->find, 2, generation);
	if (sqlite3_step(cat->find) == SQLITE_ROW && get_row(cat->find, &r))
		known = !strcmp(r.job, job) && r.generation == generation && is_of(&r, st) &&
			!image_parse_ends(&r.header, &r.trailer, r.size, &ret_facts->info);
	sqlite3_reset(cat->find);
	if (!known)
		return false;
	ret_facts->verdict = r.verdict;
	ret_facts->verified_ns = r.verified_ns;
	return true;
}

/* -------------------------------------------------------------------------------- writing */

/* An open directory that is locked, or cannot be; -1: somebody else has the lock. */
static int lock_store(const struct store *s)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE };
	int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && store_lock(fd, LOCK_EX) == -EWOULDBLOCK; i++) {
		if (i == LOCK_TRIES) {
			close(fd);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

static bool still_there(const struct store *s, const struct row *r)
{
	char file[STORE_FILE_MAX];
	int jobfd = store_open_job(s, r->job);
	struct stat st;
	bool same;

	if (jobfd < 0)
		return false;
	store_file_name(r->generation, file);
	same = !fstatat(jobfd, file, &st, AT_SYMLINK_NOFOLLOW) && is_of(r, &st);
	close(jobfd);
	return same;
}

/* What cannot be read of the old one is not carried over. */
static bool carry_over(const struct store *s, sqlite3 *old, sqlite3_stmt *insert)
{
	sqlite3_stmt *all = prepare(old, "SELECT ", " FROM generations");
	bool done = true;
	struct row r;

	while (done && all && sqlite3_step(all) == SQLITE_ROW)
		if (get_row(all, &r) && still_there(s, &r))
			done = put_row(insert, &r);
	sqlite3_finalize(all);
	return done;
}

/* One that was only looked at must not cover what somebody has found out by reading it meanwhile. */
static bool add_news(const struct buf *news, sqlite3_stmt *insert, sqlite3_stmt *replace)
{
	const struct row *r = (const void *)news->data;
	bool done = true;

	for (size_t i = 0; done && i < news->len / sizeof(*r); i++)
		done = put_row(r[i].verdict == STORE_NOT_VERIFIED ? insert : replace, &r[i]);
	return done;
}

static bool create(sqlite3 *db)
{
	char *sql = sqlite3_mprintf("PRAGMA application_id=%d;PRAGMA user_version=%d;CREATE TABLE generations "
		"(generation INTEGER NOT NULL,dev INTEGER,ino INTEGER,size INTEGER,mtime_ns INTEGER,"
		"ctime_ns INTEGER,verdict INTEGER,verified_ns INTEGER,header BLOB,trailer BLOB,"
		"job TEXT NOT NULL,hash BLOB,PRIMARY KEY (job,generation)) WITHOUT ROWID;BEGIN",
		APPLICATION, SCHEMA);
	bool done = sql && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;

	sqlite3_free(sql);
	return done;
}

/* @old may be NULL. */
static bool fill(const struct catalogue *cat, sqlite3 *old, sqlite3 *db)
{
	static const char values[] = ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)";
	sqlite3_stmt *insert, *replace;
	bool done;

	if (!create(db))
		return false;
	insert = prepare(db, "INSERT OR IGNORE INTO generations (", values);
	replace = prepare(db, "INSERT OR REPLACE INTO generations (", values);
	done = insert && replace && (!old || carry_over(cat->store, old, insert)) &&
	       add_news(&cat->news, insert, replace);
	sqlite3_finalize(insert);
	sqlite3_finalize(replace);
	return done && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

/* No fsync: after a power cut it may be gone or torn, and is made anew. */
static void put_file(const struct store *s, const void *data, size_t size)
{
	int fd, ret;

	unlinkat(s->fd, NEW_NAME, 0);	/* who left it has died, or has no lock either */
	fd = openat(s->fd, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	ret = util_write_full(fd, data, size);
	if (close(fd))
		ret = -errno;
	if (ret || renameat(s->fd, NEW_NAME, s->fd, CATALOGUE_NAME))
		unlinkat(s->fd, NEW_NAME, 0);
}

static void write_anew(const struct catalogue *cat)
{
	sqlite3 *old, *db;
	sqlite3_int64 size = 0;
	unsigned char *data = NULL;

	if (load(cat->store, &old) == FOUND_OTHER)
		return;
	db = new_database();
	if (db && fill(cat, old, db))
		data = sqlite3_serialize(db, "main", &size, 0);
	if (data && size <= SIZE_MAX_READ)
		put_file(cat->store, data, size);
	sqlite3_free(data);
	sqlite3_close(db);
	sqlite3_close(old);
}

static void flush(struct catalogue *cat)
{
	int fd;

	if (!cat->news.len)
		return;
	fd = lock_store(cat->store);
	if (fd >= 0) {
		write_anew(cat);
		close(fd);
	}
	cat->news.len = 0;
	cat->flushed = util_clock_ns(CLOCK_MONOTONIC);
}

void catalogue_close(struct catalogue *cat)
{
	int saved = errno;

	if (!cat)
		return;
	flush(cat);
	sqlite3_finalize(cat->find);
	sqlite3_close(cat->db);
	buf_free(&cat->news);
	free(cat);
	errno = saved;
}

/* -------------------------------------------------------------------------------- learning */

static void remember(struct catalogue *cat, const char *job, uint64_t generation, int fd,
		     const struct stat *st, const struct image_info *info, enum store_verdict verdict)
{
	struct row r = { .generation = generation, .verdict = verdict };
	struct image_info again;
	struct stat now;

	if (!is_settled(st) || !store_name_valid(job))
		return;
	set_identity(&r, st);
	strcpy(r.job, job);
	if (verdict != STORE_NOT_VERIFIED)
		r.verified_ns = util_clock_ns(CLOCK_REALTIME);
	/* the trailer's digest is of header, table and trailer: they are those of the image that was opened */
	if (r.size < sizeof(r.header) + sizeof(r.trailer) ||
	    util_pread_full(fd, &r.header, sizeof(r.header), 0) ||
	    util_pread_full(fd, &r.trailer, sizeof(r.trailer), r.size - sizeof(r.trailer)) ||
	    image_parse_ends(&r.header, &r.trailer, r.size, &again) ||
	    memcmp(again.digest, info->digest, sizeof(again.digest)))
		return;
	if (!fstat(fd, &now) && is_of(&r, &now))
		(void)!buf_append(&cat->news, &r, sizeof(r));
}

void catalogue_learn(struct catalogue *cat, const char *job, uint64_t generation, int fd,
		     const struct stat *st, const struct image_info *info)
{
	if (cat)
		remember(cat, job, generation, fd, st, info, STORE_NOT_VERIFIED);
}

/* @st: of the member's file, before it was looked at. */
static void note(struct catalogue *cat, const struct chain *chain, size_t i, const struct stat *st,
		 enum store_verdict verdict)
{
	const struct store_ref *ref = chain_ref(chain);
	const struct image_info *info = image_get_info(chain_member(chain, i));

	remember(cat, ref->name, i ? info->generation : ref->generation, chain_member_fd(chain, i), st,
		 info, verdict);
	if (util_clock_ns(CLOCK_MONOTONIC) - cat->flushed > FLUSH_EVERY)
		flush(cat);
}

void catalogue_forged(struct catalogue *cat, const struct chain *chain)
{
	struct stat st;
	size_t i = 0;

	while (i < chain_length(chain) && !image_is_locked(chain_member(chain, i)))
		i++;
	if (cat && chain_ref(chain)->name[0] && i < chain_length(chain) &&
	    !fstat(chain_member_fd(chain, i), &st))
		note(cat, chain, i, &st, STORE_DAMAGED);
}

int catalogue_verify(struct catalogue *cat, struct chain *chain, size_t i, image_damage_fn fn, void *arg,
		     struct ckpt_err *err, struct image_pages_stats *ret_stats)
{
	struct image *image = chain_member(chain, i);
	struct stat st;
	bool known = cat && chain_ref(chain)->name[0] && !fstat(chain_member_fd(chain, i), &st);
	int ret = image_verify(image, fn, arg, err, ret_stats);

	/* right checksums anybody can make: they say nothing, and undo no verdict of who had the key */
	if (known && ret == -EBADMSG)
		note(cat, chain, i, &st, STORE_DAMAGED);
	else if (known && !ret && !image_is_locked(image))
		note(cat, chain, i, &st, STORE_SOUND);
	return ret;
}
