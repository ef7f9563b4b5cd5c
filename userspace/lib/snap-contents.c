// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap-contents.c - contents of mapped files that must not change (executable, libraries, data), put into
 * the image so that a restore need not find them as they were.  After the thaw: the program runs on.
 *
 * One file:
 *  1. opened by its name, which has to lead to the very file the list has, and that to be as it was in the
 *     pause
 *  2. a delta: when the parent lists it by inode and times, or else by its digest, that is all
 *  3. read once, into a FILE section and a digest
 *  4. looked at again: changed while it was read, it is refused by name, and with it the snapshot
 *
 * Change time is looked at too: unlike modification time nobody can set it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "contents.h"
#include "copies.h"
#include "snap.h"
#include "util.h"

#define BATCH		(1u << 20)
#define PIECES		8	/* a second, at least, under a limit */
#define NSEC		1000000000ull

struct putter {
	const struct stream_job	*job;
	struct meta_files	*m;
	struct meta_files	parent;		/* its list; empty: a full image */
	struct snap_contents	*figures;
	struct ckpt_err		*err;
	bool			all;
	uint32_t		next;		/* section */
	uint64_t		due_ns;		/* when more may be read, under a limit */
	char			*buf;
};

static int64_t ctime_of(const struct stat *st)
{
	return st->st_ctim.tv_sec * (int64_t)NSEC + st->st_ctim.tv_nsec;
}

static int changed(const struct putter *p, const char *path)
{
	ckpt_err_set(p->err, ESTALE, "%s: was changed while the snapshot was being taken", path);
	ckpt_err_hint(p->err, "take it again, or restart the program if it was updated");
	return -ESTALE;
}

/* The file the list has, as it was in the pause.  Its descriptor or -errno. */
static int open_file(const struct putter *p, const struct meta_file *f, const struct ckpt_file_id *id,
		     struct stat *st)
{
	/* O_NONBLOCK: by now the name may lead to a FIFO */
	int fd = open(f->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), ret;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return changed(p, f->path);
	if (fd < 0) {
		ret = ckpt_err_sys(p->err, errno, "%s: cannot be put into the image", f->path);
		if (ret == -EACCES)
			ckpt_err_hint(p->err, "make it readable, or go without --self-contained");
		return ret;
	}
	ret = fstat(fd, st) ? ckpt_err_sys(p->err, errno, "%s", f->path) : 0;
	if (!ret && (!S_ISREG(st->st_mode) || st->st_dev != f->dev || st->st_ino != f->ino ||
		     !ckpt_file_unchanged(id, st)))
		ret = changed(p, f->path);
	if (ret)
		close(fd);
	return ret ? ret : fd;
}

static int check_unchanged(const struct putter *p, const struct meta_file *f, int fd,
			   const struct stat *before)
{
	struct stat st;

	if (fstat(fd, &st))
		return ckpt_err_sys(p->err, errno, "%s", f->path);
	if (st.st_size == before->st_size && ckpt_mtime_ns(&st) == ckpt_mtime_ns(before) &&
	    ctime_of(&st) == ctime_of(before))
		return 0;
	return changed(p, f->path);
}

/* ------------------------------------------------------------------------- what is there already */

static bool same_inode(const struct meta_file *a, const struct meta_file *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* By another name of the same file. */
static bool in_this_image(const struct putter *p, struct meta_file *f)
{
	for (size_t i = 0; i < p->m->nr; i++) {
		const struct meta_file *other = &p->m->files[i];

		if (other == f || !meta_has_content(other) || !same_inode(other, f))
			continue;
		strcpy(f->digest, other->digest);
		f->held = other->held;
		f->section = other->section;
		return true;
	}
	return false;
}

/* Clocks of files tick slowly: what changed right after it was read may have the same time still. */
static bool was_old(const struct putter *p, const struct meta_file *f)
{
	const uint64_t taken = image_get_info(chain_image(p->job->parent))->created_ns;

	return f->ctime_ns >= 0 && (uint64_t)f->ctime_ns + NSEC < taken;
}

/*
 * Noted as not held when the parent lists it.  A file that has been touched, or is of another start of
 * the machine, has to be read for that.
 */
static int find_in_parent(const struct putter *p, struct meta_file *f, int fd)
{
	char digest[META_DIGEST + 1] = "";
	int ret;

	if (!p->parent.nr)
		return 0;
	for (size_t i = 0; i < p->parent.nr && was_old(p, f); i++)
		if (meta_has_content(&p->parent.files[i]) && same_inode(&p->parent.files[i], f)) {
			strcpy(f->digest, p->parent.files[i].digest);
			return 0;
		}
	for (size_t i = 0; i < p->parent.nr; i++) {
		const struct meta_file *other = &p->parent.files[i];

		if (!meta_has_content(other) || other->size != f->size)
			continue;
		ret = digest[0] ? 0 : meta_digest(fd, f->size, digest);
		if (ret)
			return ret == -ENODATA ? changed(p, f->path) :
				ckpt_err_sys(p->err, ret, "%s: cannot be read", f->path);
		if (!strcmp(digest, other->digest)) {
			strcpy(f->digest, digest);
			return 0;
		}
	}
	return 0;
}

/* ------------------------------------------------------------------------------------- storing */

static size_t batch_of(const struct putter *p)
{
	const uint64_t piece = p->job->bwlimit / PIECES;
	const uint32_t page = p->job->model->system.page_size;

	if (!p->job->bwlimit || piece >= BATCH)
		return BATCH;
	return piece < page ? page : piece - piece % page;
}

/* As stream.c does: what was not read while the disk was slow is not made up for. */
static void keep_to_limit(struct putter *p, uint64_t n)
{
	const uint64_t limit = p->job->bwlimit;
	struct timespec due;
	uint64_t now;

	if (!limit)
		return;
	now = util_clock_ns(CLOCK_MONOTONIC);
	p->due_ns += n * NSEC / limit;
	if (p->due_ns < now)
		p->due_ns = now;
	due = (struct timespec){ (time_t)(p->due_ns / NSEC), (long)(p->due_ns % NSEC) };
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

/* Whole pages, with zeros behind the end. */
static int put_batch(struct putter *p, const struct meta_file *f, int fd, uint64_t at, size_t n,
		     XXH3_state_t *hash)
{
	const size_t page = p->job->model->system.page_size;
	const size_t pages = (n + page - 1) / page;
	int ret = util_pread_full(fd, p->buf, n, at);

	if (ret)
		return ret == -ENODATA ? changed(p, f->path) :
			ckpt_err_sys(p->err, ret, "%s: cannot be read", f->path);
	XXH3_128bits_update(hash, p->buf, n);
	memset(p->buf + n, 0, pages * page - n);
	ret = image_writer_data(p->job->writer, at, pages, p->buf, p->err);
	if (ret)
		return ret;
	keep_to_limit(p, n);
	ret = p->job->progress ? p->job->progress(0, 0, p->job->arg) : 0;
	return ret ? ckpt_err_sys(p->err, ret, "%s: given up", f->path) : 0;
}

static int store(struct putter *p, struct meta_file *f, int fd, XXH3_state_t *hash)
{
	const size_t batch = batch_of(p);
	uint8_t digest[UTIL_HASH_SIZE];
	int ret = image_writer_begin_file(p->job->writer, (uint32_t)p->job->model->proc.pid, p->next,
					  p->err);

	XXH3_128bits_reset(hash);
	for (uint64_t at = 0; !ret && at < f->size; at += batch)
		ret = put_batch(p, f, fd, at, f->size - at < batch ? f->size - at : batch, hash);
	if (!ret)
		ret = image_writer_end_pages(p->job->writer, p->err, NULL);
	if (ret)
		return ret;
	util_hash_final(hash, digest);
	meta_hex(digest, sizeof(digest), f->digest);
	f->held = true;
	f->section = p->next++;
	p->figures->stored++;
	p->figures->stored_bytes += f->size;
	return 0;
}

/* ------------------------------------------------------------------------------- which files */

static struct meta_file *find_wanted(const struct putter *p, const char *path)
{
	for (size_t i = 0; i < p->m->nr; i++) {
		struct meta_file *f = &p->m->files[i];

		if (f->change == META_FIXED && !f->digest[0] && !strcmp(f->path, path))
			return p->all || copies_is_one(path) ? f : NULL;
	}
	return NULL;
}

static int put_open_file(struct putter *p, struct meta_file *f, int fd, const struct stat *st)
{
	XXH3_state_t *hash;
	int ret = 0;

	f->ctime_ns = ctime_of(st);
	f->mtime_ns = ckpt_mtime_ns(st);
	f->size = (uint64_t)st->st_size;
	if (!in_this_image(p, f))
		ret = find_in_parent(p, f, fd);
	if (!ret && !f->digest[0]) {
		hash = XXH3_createState();
		ret = hash ? store(p, f, fd, hash) : ckpt_err_sys(p->err, ENOMEM, "%s", f->path);
		XXH3_freeState(hash);
	}
	return ret ? ret : check_unchanged(p, f, fd, st);
}

static int put_file(struct putter *p, const char *path, const struct ckpt_file_id *id)
{
	struct meta_file *f = find_wanted(p, path);
	struct stat st = { 0 };
	int fd, ret;

	if (!f)
		return 0;
	fd = open_file(p, f, id, &st);
	if (fd < 0)
		return fd;
	ret = put_open_file(p, f, fd, &st);
	close(fd);
	p->figures->files += !ret;
	p->figures->bytes += ret ? 0 : f->size;
	return ret;
}

static int put_files(struct putter *p)
{
	const struct ckpt_model *model = p->job->model;
	const struct ckpt_model_path *exe = &model->paths[CKPT_PATH_EXE];
	int ret = exe->present && exe->path ? put_file(p, exe->path, &exe->rec.id) : 0;

	for (size_t i = 0; !ret && i < model->nr_vmas; i++)
		if (snap_maps_file(&model->vmas[i]))
			ret = put_file(p, model->vmas[i].path, &model->vmas[i].rec.id);
	return ret;
}

/* What cannot be read of it has to be stored again. */
static int load_parent(struct putter *p)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	int ret;

	/* of an encrypted one nobody here can tell what it has: then all goes into this one */
	if (!p->job->parent || image_is_locked(chain_image(p->job->parent)))
		return 0;
	ret = contents_list_files(chain_image(p->job->parent), (uint32_t)p->job->model->proc.pid, &why,
				  &p->parent);
	return ret && ret != -EBADMSG ? ckpt_err_set(p->err, ret, "%s", why.text) : 0;
}

int snap_contents_write(const struct stream_job *job, bool all, struct meta_files *m,
			struct ckpt_err *err, struct snap_contents *ret_contents)
{
	struct putter p = {
		.job = job, .m = m, .figures = ret_contents, .err = err, .all = all,
		.next = META_CONTENT_FIRST, .due_ns = util_clock_ns(CLOCK_MONOTONIC),
		.buf = malloc(BATCH),
	};
	int ret = p.buf ? load_parent(&p) : ckpt_err_sys(err, ENOMEM, "buffer for files");

	memset(ret_contents, 0, sizeof(*ret_contents));
	if (!ret)
		ret = put_files(&p);
	meta_files_free(&p.parent);
	free(p.buf);
	return ret;
}
