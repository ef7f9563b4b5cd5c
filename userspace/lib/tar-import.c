// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tar-import.c - generations out of a tar archive into a store; see tar.h.
 *
 * The archive is hostile input.  Of tar nothing is taken but regular files of exactly the names an export
 * gives, of one job, numbers rising, and the job's directory; anything else is refused by name.  What a
 * member claims of itself is not used: names, owner, mode and times of the file are the store's, and
 * room is taken for the bytes that come.  A filter (gzip) is not undone: images are compressed, and
 * what expands without end would be.
 *
 * Life of a member:
 *  1. The store lacks its number: a writer of that number is opened, and the bytes go to its temporary.
 *     It is verified whole, synced, and read back from the device.
 *  2. The store has it: the bytes are compared with that file as they come.  The same: it is verified
 *     and kept from being removed.  Others: refused.
 *  3. A delta's parent must be a member before it, or in the store with all that is built on, and is
 *     kept from being removed.
 *  4. At the end of the archive all writers commit, oldest first: at each moment each generation that
 *     is there has what it is built on.
 *  5. On any failure before that all temporaries go.  Who is killed leaves them to the next writer or gc.
 *
 * The reader of tar takes a file that ends between two members for a whole archive; here the end has to be
 * there (two zero blocks), so that an archive that was cut brings nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive-lib.h"
#include "chain.h"
#include "store-priv.h"
#include "tar.h"
#include "util.h"

#define STEP	(64u << 10)

struct member {
	struct image_info	info;
	struct store_writer	*writer;	/* NULL: the store has it */
	int			fd;		/* then: of that, held; else -1 */
	struct chain		*base;		/* what it is built on, when that is the store's; held */
	size_t			depth;		/* generations a restore of it needs */
};

struct importer {
	struct store			*store;
	const struct tar_import_opts	*opts;
	struct ckpt_err			*err;
	struct tar_result		*result;
	struct archive			*archive;
	struct buf			members;	/* struct member, rising generations */
	char				job[STORE_NAME_MAX + 1];	/* in the archive */
	uint64_t			size;		/* of it; 0: not known */
	uint64_t			done;		/* bytes of it */
	int				failed;		/* in on_read() */
	bool				ended;		/* on_read() had nothing more */
	unsigned char			in[STEP];
	unsigned char			compare[STEP];
};

static struct member *member_at(const struct importer *im, size_t i)
{
	return (struct member *)im->members.data + i;
}

static size_t count(const struct importer *im)
{
	return im->members.len / sizeof(struct member);
}

/* ----------------------------------------------------------------------------- reading tar */

static la_ssize_t on_read(struct archive *a, void *arg, const void **data)
{
	struct importer *im = arg;
	ssize_t n;

	do {
		n = read(im->opts->fd, im->in, sizeof(im->in));
		if (n < 0 && errno != EINTR)
			im->failed = -errno;
		im->done += n > 0 ? n : 0;
		if (!im->failed && im->opts->progress)
			im->failed = im->opts->progress(im->done, im->size, im->opts->progress_arg);
	} while (n < 0 && !im->failed);
	if (im->failed) {
		archive_lib.archive_set_error(a, -im->failed, "cannot read");
		return -1;
	}
	im->ended = !n;
	*data = im->in;
	return n;
}

/* What the reader of tar complains of, or what kept it from reading. */
static int read_failed(struct importer *im)
{
	const char *text = archive_lib.archive_error_string(im->archive);

	if (im->failed)
		return ckpt_err_sys(im->err, im->failed, "%s: cannot read", im->opts->label);
	if (archive_lib.archive_errno(im->archive) == ENOMEM)
		return ckpt_err_sys(im->err, ENOMEM, "%s", im->opts->label);
	ckpt_err_set(im->err, EBADMSG, "%s: damaged, cut short, or no tar archive: %s", im->opts->label,
		     text ? text : "cannot read");
	ckpt_err_hint(im->err, "nothing was imported; get it anew (if it is compressed, unpack that first)");
	return -EBADMSG;
}

/* ---------------------------------------------------------------------------- which member */

static int refuse(struct importer *im, const char *path, const char *why)
{
	ckpt_err_set(im->err, EINVAL, "%s: '%s': %s", im->opts->label, path, why);
	ckpt_err_hint(im->err, "nothing was imported; only what 'ckptctl export --tar' writes can be");
	return -EINVAL;
}

/* "JOB/REST" to the job's name; what follows the slash, or NULL if there is none or it is no name. */
static const char *split(const char *path, char ret_job[STORE_NAME_MAX + 1])
{
	const char *slash = strchr(path, '/');

	if (!slash || slash - path > STORE_NAME_MAX)
		return NULL;
	memcpy(ret_job, path, slash - path);
	ret_job[slash - path] = '\0';
	return store_name_valid(ret_job) ? slash + 1 : NULL;
}

static bool is_plain(struct archive_entry *e)
{
	return archive_lib.archive_entry_filetype(e) == AE_IFREG && !archive_lib.archive_entry_hardlink(e) &&
	       !archive_lib.archive_entry_symlink(e) && !archive_lib.archive_entry_sparse_count(e) &&
	       archive_lib.archive_entry_size_is_set(e);
}

/* 0 with the generation, 0 for the job's directory; or refused. */
static int check_entry(struct importer *im, struct archive_entry *e, uint64_t *ret_generation)
{
	const char *path = archive_lib.archive_entry_pathname(e), *file;
	char job[STORE_NAME_MAX + 1];

	if (!path)
		return refuse(im, "?", "a name that cannot be read");
	file = split(path, job);
	if (!file)
		return refuse(im, path, "is not of the form JOB/gen-NUMBER.ckpt");
	if (im->job[0] && strcmp(im->job, job))
		return refuse(im, path, "is of another job than what came before it");
	memcpy(im->job, job, sizeof(job));
	*ret_generation = 0;
	if (!*file && archive_lib.archive_entry_filetype(e) == AE_IFDIR && !archive_lib.archive_entry_hardlink(e))
		return 0;
	*ret_generation = store_file_generation(file);
	if (!*ret_generation)
		return refuse(im, path, "is not of the form JOB/gen-NUMBER.ckpt");
	if (!is_plain(e))
		return refuse(im, path, "is no plain file");
	if (count(im) && *ret_generation <= member_at(im, count(im) - 1)->info.generation)
		return refuse(im, path, "comes after a newer one; they must come oldest first");
	return 0;
}

/* ------------------------------------------------------------------------------- its bytes */

static int other_image(const struct importer *im, const char *label)
{
	ckpt_err_set(im->err, EEXIST, "%s: the store has another image of that number", label);
	ckpt_err_hint(im->err, "nothing was imported; give it the name of another job by -n");
	return -EEXIST;
}

static int take_bytes(struct importer *im, const struct member *m, const char *label,
		      const unsigned char *p, size_t n, uint64_t at)
{
	const char *remedy;
	int ret = 0;

	if (m->writer) {
		ret = util_write_full(store_writer_fd(m->writer), p, n);
		remedy = ret ? util_write_remedy(ret) : NULL;
		if (ret)
			ckpt_err_sys(im->err, ret, "%s: cannot write the image", label);
		if (remedy)
			ckpt_err_hint(im->err, "%s", remedy);
		return ret;
	}
	for (size_t done = 0; !ret && done < n; done += STEP) {
		size_t step = n - done < STEP ? n - done : STEP;

		ret = util_pread_full(m->fd, im->compare, step, at + done);
		if (ret == -ENODATA || (!ret && memcmp(im->compare, p + done, step)))
			return other_image(im, label);
	}
	return ret ? ckpt_err_sys(im->err, ret, "%s: cannot read", label) : 0;
}

/* All of the member at hand; the file that holds it, or is the same, is as long then. */
static int take_content(struct importer *im, struct archive_entry *e, const struct member *m,
			const char *label)
{
	uint64_t at = 0;
	struct stat st;
	int ret, code;

	for (;;) {
		const void *data;
		size_t n;
		la_int64_t offset;

		code = archive_lib.archive_read_data_block(im->archive, &data, &n, &offset);
		if (code == ARCHIVE_EOF)
			break;
		if (code != ARCHIVE_OK)
			return read_failed(im);
		if ((uint64_t)offset != at)
			return refuse(im, archive_lib.archive_entry_pathname(e), "has holes");
		ret = take_bytes(im, m, label, data, n, at);
		if (ret)
			return ret;
		at += n;
	}
	if (at != (uint64_t)archive_lib.archive_entry_size(e))
		return refuse(im, archive_lib.archive_entry_pathname(e), "is not as long as it says");
	if (!m->writer && (fstat(m->fd, &st) || (uint64_t)st.st_size != at))
		return other_image(im, label);
	return 0;
}

/* ---------------------------------------------------------------------------- what it says */

static int check_info(struct importer *im, uint64_t generation, const struct image_info *info,
		      const char *label)
{
	if (info->generation != generation)
		return ckpt_err_set(im->err, EINVAL, "%s: %s: the image says it is generation %llu",
				    im->opts->label, label, (unsigned long long)info->generation);
	if (im->opts->name || !strcmp(info->job, im->job))
		return 0;
	ckpt_err_set(im->err, EINVAL, "%s: %s: the image was made as one of job '%s'", im->opts->label,
		     label, info->job);
	ckpt_err_hint(im->err, "if it is to be '%s', say so: -n %s", im->job, im->job);
	return -EINVAL;
}

/* What it shares might be another's here, and could go at any time: no archive brings it along. */
static int check_alone(struct importer *im, const struct image *image, const char *label)
{
	struct image_source s;

	if (!image_nr_sources(image))
		return 0;
	image_get_source(image, 0, &s);
	ckpt_err_set(im->err, EOPNOTSUPP, "%s: %s: shares pages with %s@%llu, which the archive does not hold",
		     im->opts->label, label, s.job, (unsigned long long)s.generation);
	ckpt_err_hint(im->err, "nothing was imported; take one without --dedup, --full, and export that");
	return -EOPNOTSUPP;
}

/* Read the file whole, and what header and trailer say. */
static int verify(struct importer *im, uint64_t generation, int fd, const char *label,
		  struct image_info *ret_info)
{
	struct image *image;
	int ret;

	ret = image_open(fd, label, im->err, &image);
	if (ret)
		return ret;
	*ret_info = *image_get_info(image);
	ret = check_info(im, generation, ret_info, label);
	if (!ret)
		ret = check_alone(im, image, label);
	if (!ret)
		ret = image_verify(image, NULL, NULL, im->err, NULL);
	image_close(image);
	return ret;
}

/* The parent is the store's: it must be whole, and stay until the child is there. */
static int find_base(struct importer *im, struct member *m, const char *label)
{
	char ref[STORE_NAME_MAX + 24];
	struct ckpt_err why = CKPT_ERR_INIT;
	int ret;

	snprintf(ref, sizeof(ref), "%s@%llu", im->result->name,
		 (unsigned long long)m->info.parent_generation);
	ret = chain_open(im->store, ref, false, &why, &m->base);
	if (ret == -ENOENT) {
		ckpt_err_set(im->err, ENOENT, "%s: is built on %s, which neither the archive nor the store "
			     "has", label, ref);
		ckpt_err_hint(im->err, "nothing was imported; export with what it is built on");
		return ret;
	}
	if (ret)
		return ckpt_err_set(im->err, ret, "%s: is built on another: %s", label, why.text);
	if (!chain_is_meant(&m->info, image_get_info(chain_image(m->base))))
		return ckpt_err_set(im->err, ESTALE, "%s: is built on another image than %s is in the store",
				    label, ref);
	ret = chain_hold(m->base, im->store);
	if (ret)
		return ckpt_err_sys(im->err, ret, "%s: is built on %s, which is being removed", label, ref);
	m->depth = chain_length(m->base) + 1;
	return 0;
}

static int find_parent(struct importer *im, struct member *m, const char *label)
{
	int ret = 0;

	m->depth = 1;
	if (image_info_is_delta(&m->info)) {
		size_t k = count(im);

		while (k-- > 0 && !chain_is_meant(&m->info, &member_at(im, k)->info))
			;
		if (k != (size_t)-1)
			m->depth = member_at(im, k)->depth + 1;
		else
			ret = find_base(im, m, label);
	}
	if (!ret && m->depth > CHAIN_MAX)
		ret = ckpt_err_set(im->err, E2BIG, "%s: is built on more than %d generations", label,
				   CHAIN_MAX - 1);
	return ret;
}

/* ------------------------------------------------------------------------------ the members */

static void drop(struct member *m)
{
	store_writer_close(m->writer);
	chain_close(m->base);
	if (m->fd >= 0)
		close(m->fd);
}

static int no_files_left(struct importer *im, int ret)
{
	if (ret == -EMFILE)
		ckpt_err_hint(im->err, "raise the limit of open files (ulimit -n)");
	return ret;
}

/* The store has that number: to compare with, and kept from being removed. */
static int open_present(struct importer *im, uint64_t generation, const char *label, struct member *m)
{
	struct store_ref ref;
	int ret;

	ret = store_resolve(im->store, label, im->err, &m->fd, &ref);
	if (ret)
		return no_files_left(im, ret);
	ret = store_hold(im->store, &ref, m->fd);
	if (ret)
		ckpt_err_sys(im->err, ret, "%s: is being removed", label);
	return ret;
}

static int open_member(struct importer *im, uint64_t generation, const char *label, struct member *m)
{
	struct ckpt_err why = CKPT_ERR_INIT;
	int ret;

	m->fd = -1;
	ret = store_writer_open_as(im->store, im->result->name, generation, &why, &m->writer);
	if (ret == -EEXIST)
		return open_present(im, generation, label, m);
	if (ret)
		ckpt_err_set(im->err, ret, "%s", why.text);
	return no_files_left(im, ret);
}

/* On the device, and there as it was written. */
static int settle(struct importer *im, const struct member *m, const char *label)
{
	int ret = store_writer_sync(m->writer, im->err);

	return ret ? ret : image_read_back(store_writer_fd(m->writer), label, &m->info, im->err);
}

static int fill_member(struct importer *im, struct archive_entry *e, uint64_t generation,
		       const char *label, struct member *m)
{
	int ret = take_content(im, e, m, label);

	if (!ret)
		ret = verify(im, generation, m->writer ? store_writer_fd(m->writer) : m->fd, label,
			     &m->info);
	if (!ret)
		ret = find_parent(im, m, label);
	if (!ret && m->writer)
		ret = settle(im, m, label);
	return no_files_left(im, ret);
}

static int take_member(struct importer *im, struct archive_entry *e)
{
	char label[STORE_NAME_MAX + 32];
	struct member m = { .fd = -1 };
	uint64_t generation;
	int ret;

	ret = check_entry(im, e, &generation);
	if (ret || !generation)
		return ret;
	snprintf(im->result->name, sizeof(im->result->name), "%s",
		 im->opts->name ? im->opts->name : im->job);
	snprintf(label, sizeof(label), "%s@%llu", im->result->name, (unsigned long long)generation);
	ret = open_member(im, generation, label, &m);
	if (!ret)
		ret = fill_member(im, e, generation, label, &m);
	if (!ret) {
		ret = buf_append(&im->members, &m, sizeof(m));
		if (!ret)
			return 0;
		ckpt_err_sys(im->err, ret, "%s", label);
	}
	drop(&m);
	return ret;
}

static int take_all(struct importer *im)
{
	struct archive_entry *e;
	int code, ret;

	while ((code = archive_lib.archive_read_next_header(im->archive, &e)) == ARCHIVE_OK) {
		ret = take_member(im, e);
		if (ret)
			return ret;
	}
	if (code != ARCHIVE_EOF)
		return read_failed(im);
	if (im->ended) {
		ckpt_err_set(im->err, EBADMSG, "%s: cut short: an archive's end is missing", im->opts->label);
		ckpt_err_hint(im->err, "nothing was imported; get it anew");
		return -EBADMSG;
	}
	if (!count(im))
		return ckpt_err_set(im->err, EINVAL, "%s: there is no generation in it", im->opts->label);
	return 0;
}

static int commit_all(struct importer *im)
{
	for (size_t i = 0; i < count(im); i++) {
		const struct member *m = member_at(im, i);
		const struct tar_generation g = {
			.generation = m->info.generation, .parent = m->info.parent_generation,
			.size = m->info.file_size, .present = !m->writer,
		};
		int ret = buf_append(&im->result->generations, &g, sizeof(g));

		if (ret)
			return ckpt_err_sys(im->err, ret, "%s", im->opts->label);
		ret = m->writer ? store_writer_commit(m->writer, im->err) : 0;
		if (ret)
			return ret;
		im->result->bytes += m->writer ? g.size : 0;
	}
	return 0;
}

/* A file somebody else could have written is as one that is restored: its images become the caller's. */
static int check_source(struct importer *im)
{
	struct stat st;

	if (im->opts->name && !store_name_valid(im->opts->name))
		return ckpt_err_set(im->err, EINVAL, "'%s': not a name for a job", im->opts->name);
	if (fstat(im->opts->fd, &st))
		return ckpt_err_sys(im->err, errno, "%s", im->opts->label);
	if (!S_ISREG(st.st_mode))
		return 0;
	im->size = st.st_size;
	return store_check_ours(im->opts->fd, im->opts->label, im->err);
}

static int run(struct importer *im)
{
	int ret = check_source(im);

	if (!ret)
		ret = archive_load(im->err);
	if (ret)
		return ret;
	im->archive = archive_lib.archive_read_new();
	if (!im->archive)
		return ckpt_err_sys(im->err, ENOMEM, "%s", im->opts->label);
	if (archive_lib.archive_read_support_format_tar(im->archive) ||
	    archive_lib.archive_read_open(im->archive, im, NULL, on_read, NULL))
		ret = read_failed(im);
	else
		ret = take_all(im);
	archive_lib.archive_read_free(im->archive);
	return ret ? ret : commit_all(im);
}

int tar_import(struct store *store, const struct tar_import_opts *opts, struct ckpt_err *err,
	       struct tar_result *ret_result)
{
	struct importer *im = calloc(1, sizeof(*im));
	int ret;

	memset(ret_result, 0, sizeof(*ret_result));
	if (!im)
		return ckpt_err_sys(err, ENOMEM, "%s", opts->label);
	im->store = store;
	im->opts = opts;
	im->err = err;
	im->result = ret_result;
	ret = run(im);
	for (size_t i = 0; i < count(im); i++)
		drop(member_at(im, i));
	buf_free(&im->members);
	free(im);
	store_audit(store, &(struct store_event){ .what = "import", .ref = ret_result->name[0] ?
						  ret_result->name : NULL, .code = ret, .err = err });
	return ret;
}
