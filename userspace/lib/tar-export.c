// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tar-export.c - generations of a store as a tar archive; see tar.h.
 *
 *  1. All images that are to go out are opened, and each delta is held against the one it is built on.
 *     Open files stay what they are, whatever snap, compact or gc do with the names meanwhile.
 *  2. They are written oldest first, each through image_copy(), which checks every byte.
 *  3. The end is written.  After a failure it is not, and whoever reads the rest notices.
 *
 * ustar, with a pax header where a size does not fit.  Owner is root: what unpacks as root makes it so,
 * else files belong to who unpacks, and either can be restored.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive-lib.h"
#include "chain.h"
#include "store-priv.h"
#include "tar.h"
#include "util.h"

#define BLOCK		(64u << 10)	/* bytes a write */
#define RECORD		512		/* of tar; the last write is as short as may be */
#define SECOND		1000000000ull

struct opened {
	int		fd;
	struct image	*image;
};

struct exporter {
	struct store			*store;
	const struct tar_export_opts	*opts;
	struct ckpt_err			*err;
	struct tar_result		*result;
	struct chain			*chain;		/* of one generation, or: */
	struct buf			opened;		/* struct opened, of all */
	struct archive			*archive;
	int				failed;		/* in on_write() */
	bool				stopped;	/* nothing more is to be written, no end either */
	uint64_t			done, total;	/* bytes of images */
};

static size_t count(const struct exporter *x)
{
	return x->chain ? chain_length(x->chain) : x->opened.len / sizeof(struct opened);
}

/* Oldest first. */
static struct image *image_at(const struct exporter *x, size_t i)
{
	return x->chain ? chain_member(x->chain, count(x) - 1 - i) :
			  ((const struct opened *)x->opened.data)[i].image;
}

/* ------------------------------------------------------------------------------ choosing */

static int open_one(struct exporter *x, int jobfd, uint64_t generation)
{
	char label[STORE_NAME_MAX + 32];
	struct opened o;
	int ret;

	snprintf(label, sizeof(label), "%s@%llu", x->result->name, (unsigned long long)generation);
	o.fd = store_open_generation(jobfd, generation);
	if (o.fd < 0) {
		ckpt_err_sys(x->err, o.fd, "%s: cannot open the image", label);
		if (o.fd == -EMFILE)
			ckpt_err_hint(x->err, "raise the limit of open files (ulimit -n), or export one "
				      "generation with what it is built on");
		return o.fd;
	}
	ret = image_open(o.fd, label, x->err, &o.image);
	if (ret) {
		close(o.fd);
		return ret;
	}
	ret = buf_append(&x->opened, &o, sizeof(o));
	if (!ret)
		return 0;
	image_close(o.image);
	close(o.fd);
	return ckpt_err_sys(x->err, ret, "%s", label);
}

static int open_job(struct exporter *x)
{
	struct job_scan scan;
	int jobfd = store_open_job(x->store, x->result->name), ret;

	if (jobfd == -ENOENT)
		return ckpt_err_set(x->err, ENOENT, "%s: no such job in store %s", x->result->name,
				    store_path(x->store));
	if (jobfd < 0)
		return store_fail(x->store, x->err, jobfd, "cannot open the job", x->result->name);
	ret = store_scan(jobfd, &scan);
	if (ret) {
		store_fail(x->store, x->err, ret, "cannot list the job", x->result->name);
	} else {
		for (size_t i = 0; !ret && i < store_scan_count(&scan); i++)
			ret = open_one(x, jobfd, store_scan_generation(&scan, i));
		store_scan_free(&scan);
	}
	close(jobfd);
	if (!ret && !count(x))
		ret = ckpt_err_set(x->err, ENOENT, "%s: no generation of it in store %s", x->result->name,
				   store_path(x->store));
	return ret;
}

/* An archive holds images alone, not what they share with those of other jobs. */
static int check_alone(const struct exporter *x)
{
	for (size_t i = 0; i < count(x); i++) {
		struct image_source s;

		if (!image_nr_sources(image_at(x, i)))
			continue;
		image_get_source(image_at(x, i), 0, &s);
		ckpt_err_set(x->err, EOPNOTSUPP, "%s: shares pages with %s@%llu, which an archive does not hold",
			     image_label(image_at(x, i)), s.job, (unsigned long long)s.generation);
		ckpt_err_hint(x->err, "take one without --dedup, --full, and export that");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int choose(struct exporter *x)
{
	const char *ref = x->opts->ref;
	struct store_ref r;
	int ret;

	if (store_ref_is_path(ref)) {
		ckpt_err_set(x->err, EINVAL, "%s: is a path, and belongs to no job", ref);
		ckpt_err_hint(x->err, "name it as JOB@GENERATION of a store, or use cp(1)");
		return -EINVAL;
	}
	ret = store_ref_parse(ref, x->err, &r);
	if (ret)
		return ret;
	memcpy(x->result->name, r.name, sizeof(r.name));
	if (!x->opts->all)
		return chain_open(x->store, ref, false, x->err, &x->chain);
	if (r.generation)
		return ckpt_err_set(x->err, EINVAL, "%s: one generation; all are those of a job", ref);
	return open_job(x);
}

/* Whether what image @i is built on comes before it. */
static int check_parent(const struct exporter *x, size_t i)
{
	const struct image_info *info = image_get_info(image_at(x, i));

	if (!image_info_is_delta(info))
		return 0;
	for (size_t k = i; k-- > 0;)
		if (chain_is_meant(info, image_get_info(image_at(x, k))))
			return 0;
	ckpt_err_set(x->err, ENOENT, "%s: is built on %s@%llu, which is missing or another image",
		     image_label(image_at(x, i)), x->result->name,
		     (unsigned long long)info->parent_generation);
	ckpt_err_hint(x->err, "put that back, or export a generation that is whole");
	return -ENOENT;
}

/* Names in the archive are numbers in the store, and an image says its own. */
static int check_all(struct exporter *x)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < count(x); i++) {
		const struct image_info *info = image_get_info(image_at(x, i));
		char label[STORE_NAME_MAX + 32];

		snprintf(label, sizeof(label), "%s@%llu", x->result->name,
			 (unsigned long long)info->generation);
		if (strcmp(label, image_label(image_at(x, i))))
			return ckpt_err_set(x->err, ESTALE, "%s: holds generation %llu",
					    image_label(image_at(x, i)),
					    (unsigned long long)info->generation);
		x->total += info->file_size;
		ret = check_parent(x, i);
	}
	return ret;
}

/* ------------------------------------------------------------------------------- writing */

static la_ssize_t on_write(struct archive *a, void *arg, const void *data, size_t n)
{
	struct exporter *x = arg;
	int ret;

	if (x->stopped || x->failed)
		return -1;
	ret = util_write_full(x->opts->fd, data, n);
	if (!ret)
		return n;
	x->failed = ret;
	archive_lib.archive_set_error(a, -ret, "cannot write");
	return -1;
}

static int failed(struct exporter *x)
{
	const char *remedy = x->failed ? util_write_remedy(x->failed) : NULL, *text;

	if (x->failed) {
		ckpt_err_sys(x->err, x->failed, "%s: cannot write", x->opts->label);
		if (remedy)
			ckpt_err_hint(x->err, "%s", remedy);
		return x->failed;
	}
	text = archive_lib.archive_error_string(x->archive);
	return ckpt_err_set(x->err, EIO, "%s: %s", x->opts->label, text ? text : "cannot write");
}

static int on_bytes(const void *data, size_t n, void *arg)
{
	struct exporter *x = arg;
	const unsigned char *p = data;

	while (n) {
		la_ssize_t done = archive_lib.archive_write_data(x->archive, p, n);

		if (done <= 0)
			return failed(x);
		p += done;
		n -= done;
		x->done += done;
	}
	return x->opts->progress ? x->opts->progress(x->done, x->total, x->opts->progress_arg) : 0;
}

/* @size: of a file; a directory has none. */
static int write_header(struct exporter *x, const char *path, bool dir, const struct image_info *info)
{
	struct archive_entry *e = archive_lib.archive_entry_new2(x->archive);
	int ret;

	if (!e)
		return ckpt_err_sys(x->err, ENOMEM, "%s", x->opts->label);
	archive_lib.archive_entry_set_pathname(e, path);
	archive_lib.archive_entry_set_filetype(e, dir ? AE_IFDIR : AE_IFREG);
	archive_lib.archive_entry_set_perm(e, dir ? 0700 : 0600);
	archive_lib.archive_entry_set_mtime(e, info->created_ns / SECOND, 0);
	archive_lib.archive_entry_set_size(e, dir ? 0 : info->file_size);
	ret = archive_lib.archive_write_header(x->archive, e);
	archive_lib.archive_entry_free(e);
	return ret == ARCHIVE_OK ? 0 : failed(x);
}

static int write_image(struct exporter *x, struct image *image)
{
	const struct image_info *info = image_get_info(image);
	char file[STORE_FILE_MAX], path[STORE_NAME_MAX + 1 + STORE_FILE_MAX];
	const struct tar_generation g = {
		.generation = info->generation, .parent = info->parent_generation,
		.size = info->file_size,
	};
	int ret;

	store_file_name(info->generation, file);
	snprintf(path, sizeof(path), "%s/%s", x->result->name, file);
	ret = write_header(x, path, false, info);
	if (!ret)
		ret = image_copy(image, on_bytes, x, x->err);
	if (ret)
		return ret;
	x->result->bytes += g.size;
	ret = buf_append(&x->result->generations, &g, sizeof(g));
	return ret ? ckpt_err_sys(x->err, ret, "%s", x->opts->label) : 0;
}

static int write_all(struct exporter *x)
{
	char dir[STORE_NAME_MAX + 2];
	int ret;

	if (archive_lib.archive_write_set_format_pax_restricted(x->archive) ||
	    archive_lib.archive_write_set_bytes_per_block(x->archive, BLOCK) ||
	    archive_lib.archive_write_set_bytes_in_last_block(x->archive, RECORD) ||
	    archive_lib.archive_write_open(x->archive, x, NULL, on_write, NULL))
		return failed(x);
	snprintf(dir, sizeof(dir), "%s/", x->result->name);
	ret = write_header(x, dir, true, image_get_info(image_at(x, count(x) - 1)));
	for (size_t i = 0; !ret && i < count(x); i++)
		ret = write_image(x, image_at(x, i));
	x->stopped = ret;
	if (!ret && archive_lib.archive_write_close(x->archive))
		ret = failed(x);
	return ret;
}

static int run(struct exporter *x)
{
	int ret = choose(x);

	if (!ret)
		ret = check_alone(x);
	if (!ret)
		ret = check_all(x);
	if (ret)
		return ret;
	ret = archive_load(x->err);
	if (ret)
		return ret;
	x->archive = archive_lib.archive_write_new();
	if (!x->archive)
		return ckpt_err_sys(x->err, ENOMEM, "%s", x->opts->label);
	ret = write_all(x);
	archive_lib.archive_write_free(x->archive);
	return ret;
}

int tar_export(struct store *store, const struct tar_export_opts *opts, struct ckpt_err *err,
	       struct tar_result *ret_result)
{
	struct exporter x = { .store = store, .opts = opts, .err = err, .result = ret_result };
	struct opened *o;
	int ret;

	memset(ret_result, 0, sizeof(*ret_result));
	ret = run(&x);
	chain_close(x.chain);
	o = (struct opened *)x.opened.data;
	for (size_t i = 0; i < x.opened.len / sizeof(*o); i++) {
		image_close(o[i].image);
		close(o[i].fd);
	}
	buf_free(&x.opened);
	store_audit(store, &(struct store_event){ .what = "export", .ref = opts->ref, .code = ret,
						  .err = err });
	return ret;
}

void tar_result_free(struct tar_result *result)
{
	buf_free(&result->generations);
}
