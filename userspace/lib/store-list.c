// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * store-list.c - what is in the store, and taking it out again.
 *
 * A generation that others need is found by identity, not by number: each delta names its
 * parent's id.  Removal goes from the newest to the oldest, so a removal that dies half way leaves
 * chains that are whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalogue.h"
#include "copies.h"
#include "store-priv.h"
#include "util.h"

/* A generation of a job as found on disk. */
struct found {
	uint64_t		generation;
	uint64_t		size;
	bool			readable;
	bool			keep;		/* gc */
	struct image_info	info;		/* if readable */
	struct ckpt_err		error;		/* if not */
	enum store_verdict	verdict;
	uint64_t		verified_ns;
};

struct job {
	int		fd;
	char		name[STORE_NAME_MAX + 1];
	struct found	*found;			/* rising generations */
	size_t		count;
	struct catalogue *catalogue;		/* NULL: what is found is to be acted on, so it is read */
};

/* Whether the catalogue can tell; that the file could be opened is not asked. */
static bool look_up(const struct job *job, struct found *f)
{
	struct catalogue_facts facts;
	char file[STORE_FILE_MAX];
	struct stat st;

	store_file_name(f->generation, file);
	if (!job->catalogue || fstatat(job->fd, file, &st, AT_SYMLINK_NOFOLLOW) ||
	    !catalogue_find(job->catalogue, job->name, f->generation, &st, &facts))
		return false;
	f->size = st.st_size;
	f->info = facts.info;
	f->verdict = facts.verdict;
	f->verified_ns = facts.verified_ns;
	f->readable = true;
	return true;
}

static void inspect(const struct job *job, struct found *f)
{
	char label[STORE_NAME_MAX + 32];
	struct image *img;
	struct stat st;
	int fd;

	if (look_up(job, f))
		return;
	snprintf(label, sizeof(label), "%s@%llu", job->name, (unsigned long long)f->generation);
	fd = store_open_generation(job->fd, f->generation);
	if (fd < 0) {
		ckpt_err_sys(&f->error, fd, "%s: cannot open the image", label);
		return;
	}
	memset(&st, 0, sizeof(st));
	if (!fstat(fd, &st))
		f->size = st.st_size;
	if (!image_open(fd, label, &f->error, &img)) {
		f->info = *image_get_info(img);
		f->readable = true;
		catalogue_learn(job->catalogue, job->name, f->generation, fd, &st, &f->info);
		image_close(img);
	}
	close(fd);
}

static void job_close(struct job *job)
{
	if (job->fd >= 0)
		close(job->fd);
	free(job->found);
	job->found = NULL;
	job->fd = -1;
}

/* 0; -ENOENT, without text: there is no such job.  @catalogue: NULL, without. */
static int job_open(const struct store *s, const char *name, struct catalogue *catalogue,
		    struct ckpt_err *err, struct job *job)
{
	struct job_scan scan;
	int ret;

	memset(job, 0, sizeof(*job));
	job->catalogue = catalogue;
	job->fd = store_open_job(s, name);
	if (job->fd == -ENOENT)
		return -ENOENT;
	if (job->fd < 0)
		return store_fail(s, err, job->fd, "cannot open the job", name);
	strcpy(job->name, name);
	ret = store_scan(job->fd, &scan);
	if (ret) {
		job_close(job);
		return store_fail(s, err, ret, "cannot list the job", name);
	}
	job->count = store_scan_count(&scan);
	job->found = calloc(job->count ? job->count : 1, sizeof(*job->found));
	for (size_t i = 0; job->found && i < job->count; i++)
		job->found[i].generation = store_scan_generation(&scan, i);
	store_scan_free(&scan);
	if (!job->found) {
		job_close(job);
		return store_fail(s, err, -ENOMEM, "cannot list the job", name);
	}
	for (size_t i = 0; i < job->count; i++)
		inspect(job, &job->found[i]);
	return 0;
}

static int no_such_job(const struct store *s, const char *name, struct ckpt_err *err)
{
	return ckpt_err_set(err, ENOENT, "%s: no such job in store %s", name, s->path);
}

static int list_job(const struct store *s, const struct job *job, store_entry_fn fn, void *arg)
{
	char path[STORE_PATH_MAX], file[STORE_FILE_MAX];
	int ret = 0;

	for (size_t i = 0; i < job->count && !ret; i++) {
		const struct found *f = &job->found[i];
		struct store_entry entry = {
			.name = job->name,
			.generation = f->generation,
			.size = f->size,
			.path = path,
			.info = f->readable ? &f->info : NULL,
			.error = f->readable ? NULL : &f->error,
			.verdict = f->verdict,
			.verified_ns = f->verified_ns,
		};

		store_file_name(f->generation, file);
		snprintf(path, sizeof(path), "%s/%s/%s", s->path, job->name, file);
		ret = fn(&entry, arg);
	}
	return ret;
}

/* Jobs that are no directories of ours (links, files) or went meanwhile. */
static bool is_stranger(int ret)
{
	return ret == -ENOENT || ret == -ENOTDIR || ret == -ELOOP;
}

static int list_all(struct store *s, struct catalogue *catalogue, store_entry_fn fn, void *arg,
		    struct ckpt_err *err)
{
	struct buf names;
	int ret;

	ret = store_job_names(s, &names);
	if (ret)
		return store_fail(s, err, ret, "cannot list the store", NULL);
	for (size_t at = 0; at < names.len && !ret; at += STORE_NAME_MAX + 1) {
		struct ckpt_err why = CKPT_ERR_INIT;
		struct job job;

		ret = job_open(s, (char *)names.data + at, catalogue, &why, &job);
		if (is_stranger(ret)) {
			ret = 0;
			continue;
		}
		if (ret) {
			ckpt_err_set(err, ret, "%s", why.text);
			break;
		}
		ret = list_job(s, &job, fn, arg);
		job_close(&job);
	}
	buf_free(&names);
	return ret;
}

static int list_one(struct store *s, struct catalogue *catalogue, const char *name, store_entry_fn fn,
		    void *arg, struct ckpt_err *err)
{
	struct job job;
	int ret = job_open(s, name, catalogue, err, &job);

	if (ret == -ENOENT)
		return no_such_job(s, name, err);
	if (ret)
		return ret;
	ret = job.count ? list_job(s, &job, fn, arg) : no_such_job(s, name, err);
	job_close(&job);
	return ret;
}

/* @catalogue may be NULL. */
static int list_some(struct store *s, struct catalogue *catalogue, const char *name, store_entry_fn fn,
		     void *arg, struct ckpt_err *err)
{
	return name ? list_one(s, catalogue, name, fn, arg, err) : list_all(s, catalogue, fn, arg, err);
}

int store_list(struct store *s, const char *name, store_entry_fn fn, void *arg,
	       struct ckpt_err *err)
{
	struct catalogue *catalogue = catalogue_open(s);
	int ret = list_some(s, catalogue, name, fn, arg, err);

	catalogue_close(catalogue);
	return ret;
}

int store_list_anew(struct store *s, const char *name, store_entry_fn fn, void *arg,
		    struct ckpt_err *err)
{
	return list_some(s, NULL, name, fn, arg, err);
}

static bool is_parent_of(const struct found *parent, const struct found *child)
{
	return parent->readable && child->readable && image_info_is_delta(&child->info) &&
	       !memcmp(parent->info.id, child->info.parent_id, sizeof(parent->info.id));
}

static const struct found *find_child(const struct job *job, const struct found *f)
{
	for (size_t i = 0; i < job->count; i++)
		if (is_parent_of(f, &job->found[i]))
			return &job->found[i];
	return NULL;
}

/* Whether it was us who could not look: of a damaged image it is known that nobody needs its parent. */
static bool not_known(const struct found *f)
{
	return !f->readable && f->error.code != EBADMSG && f->error.code != EOPNOTSUPP;
}

/*
 * -EBUSY: a generation has come since the job was looked at that is built on @f.  Who built on it
 * held it until the new one was there; so nothing is missed once @f is locked.  Or why that is not
 * known.
 */
static int check_new_children(const struct job *job, const struct found *f)
{
	uint64_t newest = job->found[job->count - 1].generation;
	struct job_scan scan;
	int ret = store_scan(job->fd, &scan);

	if (ret)
		return ret;
	for (size_t i = store_scan_count(&scan); !ret && i-- > 0;) {
		struct found other = { .generation = store_scan_generation(&scan, i) };

		if (other.generation <= newest)
			break;
		inspect(job, &other);
		if (is_parent_of(f, &other))
			ret = -EBUSY;
		else if (not_known(&other))
			ret = -other.error.code;
	}
	store_scan_free(&scan);
	return ret;
}

/*
 * Lock generation @f for its removal: *ret_fd to be closed after it; -1: what has its name is no
 * file.  -EBUSY: somebody has it, or has built on it; -ENOENT: it is gone; or why that is not known.
 */
static int lock_found(const struct job *job, const struct found *f, const char *file, int *ret_fd)
{
	/* write access: NFS makes flock() a lock of the server, which asks for it */
	int fd = openat(job->fd, file, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	int ret = -EBUSY;

	*ret_fd = -1;
	if (fd < 0)
		return errno == ELOOP || errno == EISDIR || errno == ENXIO ? 0 : -errno;
	if (store_lock(fd, LOCK_EX) != -EWOULDBLOCK && store_same_file(fd, job->fd, file))
		ret = check_new_children(job, f);
	if (ret)
		close(fd);
	else
		*ret_fd = fd;
	return ret;
}

static int remove_found(const struct store *s, const struct job *job, const struct found *f,
			struct ckpt_err *err, struct store_removed *removed)
{
	char file[STORE_FILE_MAX];
	struct stat st;
	bool shared;
	int fd, ret;

	store_file_name(f->generation, file);
	ret = lock_found(job, f, file, &fd);
	shared = !ret && fd >= 0 && !fstat(fd, &st) && st.st_nlink > 1;	/* stays, for others */
	if (!ret && unlinkat(job->fd, file, 0))
		ret = -errno;
	if (fd >= 0)
		close(fd);
	if (ret == -ENOENT)
		return 0;	/* somebody was quicker */
	if (ret == -EBUSY) {
		ckpt_err_set(err, EBUSY, "%s@%llu: is in use: a snapshot is built on it or "
			     "shares pages with it, or another takes its place", job->name, (unsigned long long)f->generation);
		ckpt_err_hint(err, "try again when that is done");
		return ret;
	}
	if (ret)
		return ckpt_err_sys(err, ret, "%s/%s/%s: cannot remove the generation", s->path,
				    job->name, file);
	removed->generations++;
	removed->bytes += shared ? 0 : f->size;
	return 0;
}

static int remove_one(const struct store *s, const struct job *job, uint64_t generation,
		      struct ckpt_err *err, struct store_removed *removed)
{
	for (size_t i = 0; i < job->count; i++) {
		const struct found *f = &job->found[i], *child;

		if (f->generation != generation)
			continue;
		child = find_child(job, f);
		for (size_t k = i + 1; !child && k < job->count; k++)
			if (not_known(&job->found[k]))
				return ckpt_err_set(err, job->found[k].error.code,
						    "%s@%llu: something may be built on it: %s",
						    job->name, (unsigned long long)generation,
						    job->found[k].error.text);
		if (!child)
			return remove_found(s, job, f, err, removed);
		ckpt_err_set(err, EBUSY, "%s@%llu: %s@%llu is built on it", job->name,
			     (unsigned long long)generation, job->name,
			     (unsigned long long)child->generation);
		ckpt_err_hint(err, "remove that one first");
		return -EBUSY;
	}
	return ckpt_err_set(err, ENOENT, "%s@%llu: no such generation in store %s", job->name,
			    (unsigned long long)generation, s->path);
}

/* Stale temporaries, durability of what was removed, and the directory if nothing is left. */
static int finish_removal(const struct store *s, struct job *job, int ret, struct ckpt_err *err,
			  struct store_removed *removed)
{
	int synced;

	removed->temporaries += store_remove_stale(job->fd, &removed->bytes);
	synced = removed->generations ? util_fsync_dir(job->fd) : 0;
	if (synced && !ret)
		ret = store_fail(s, err, synced, "cannot sync the directory", job->name);
	store_drop_empty_job(s, job->name);
	job_close(job);
	return ret;
}

static int remove_some(struct store *s, const char *name, uint64_t generation, struct ckpt_err *err,
		       struct store_removed *removed)
{
	struct job job;
	int ret;

	ret = job_open(s, name, NULL, err, &job);
	if (ret == -ENOENT)
		return no_such_job(s, name, err);
	if (ret)
		return ret;
	if (generation)
		ret = remove_one(s, &job, generation, err, removed);
	for (size_t i = job.count; !generation && i-- > 0 && !ret;)
		ret = remove_found(s, &job, &job.found[i], err, removed);
	return finish_removal(s, &job, ret, err, removed);
}

int store_remove(struct store *s, const char *name, uint64_t generation, struct ckpt_err *err,
		 struct store_removed *ret_removed)
{
	char ref[STORE_NAME_MAX + 24];
	struct store_removed removed = { 0 };
	int ret = remove_some(s, name, generation, err, &removed);

	if (generation)
		snprintf(ref, sizeof(ref), "%s@%llu", name, (unsigned long long)generation);
	store_audit(s, &(struct store_event){ .what = "rm", .ref = generation ? ref : name,
					      .removed = removed.generations, .code = ret, .err = err });
	if (ret_removed)
		*ret_removed = removed;
	return ret;
}

/*
 * From the newest down: the @keep newest readable ones stay; so does what a kept one names as its
 * parent (parents are older, so they are met later); so do unreadable ones and all below them.
 */
static void mark_kept(struct job *job, unsigned int keep, struct store_removed *removed)
{
	unsigned int kept = 0;
	bool unreadable = false;

	for (size_t i = job->count; i-- > 0;) {
		struct found *f = &job->found[i];
		bool wanted = f->readable && kept < keep;

		kept += wanted;
		f->keep = wanted || unreadable || !f->readable;
		for (size_t j = i + 1; j < job->count && !f->keep; j++)
			f->keep = job->found[j].keep && is_parent_of(f, &job->found[j]);
		removed->held += unreadable && !wanted;
		removed->unreadable += !f->readable;
		unreadable |= !f->readable;
	}
}

static int gc_job(const struct store *s, struct job *job, unsigned int keep, struct ckpt_err *err,
		  struct store_removed *removed)
{
	struct store_removed here = { 0 };
	int ret = 0;

	if (keep)
		mark_kept(job, keep, &here);
	for (size_t i = job->count; keep && i-- > 0 && !ret;)
		if (!job->found[i].keep)
			ret = remove_found(s, job, &job->found[i], err, &here);
	ret = finish_removal(s, job, ret, err, &here);
	removed->generations += here.generations;
	removed->temporaries += here.temporaries;
	removed->bytes += here.bytes;
	removed->held += here.held;
	removed->unreadable += here.unreadable;
	return ret;
}

static int gc_all(struct store *s, unsigned int keep, struct ckpt_err *err,
		  struct store_removed *removed)
{
	struct buf names;
	int ret, first = 0;

	ret = store_job_names(s, &names);
	if (ret)
		return store_fail(s, err, ret, "cannot list the store", NULL);
	/* one job that fails does not keep the others from being cleaned */
	for (size_t at = 0; at < names.len; at += STORE_NAME_MAX + 1) {
		struct ckpt_err why = CKPT_ERR_INIT;
		struct job job;

		ret = job_open(s, (char *)names.data + at, NULL, &why, &job);
		if (is_stranger(ret))
			continue;
		if (!ret)
			ret = gc_job(s, &job, keep, &why, removed);
		if (ret && !first)
			first = ckpt_err_set(err, ret, "%s", why.text);
	}
	buf_free(&names);
	copies_sweep(s, &removed->copies, &removed->bytes);
	return first;
}

static int gc_one(struct store *s, const char *name, unsigned int keep, struct ckpt_err *err,
		  struct store_removed *removed)
{
	struct job job;
	int ret = job_open(s, name, NULL, err, &job);

	if (ret == -ENOENT)
		return no_such_job(s, name, err);
	return ret ? ret : gc_job(s, &job, keep, err, removed);
}

int store_gc(struct store *s, const char *name, unsigned int keep, struct ckpt_err *err,
	     struct store_removed *ret_removed)
{
	struct store_removed removed = { 0 };
	int ret = name ? gc_one(s, name, keep, err, &removed) : gc_all(s, keep, err, &removed);

	store_audit(s, &(struct store_event){ .what = "gc", .ref = name,
					      .removed = removed.generations, .code = ret, .err = err });
	if (ret_removed)
		*ret_removed = removed;
	return ret;
}
