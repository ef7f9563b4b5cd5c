// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contents of files that must not change: into images and deltas, through folding, and out again as
 * copies that restored programs map.
 */
#include <sys/stat.h>
#include <time.h>

#include "compact.h"
#include "contents.h"
#include "copies.h"
#include "snap.h"
#include "stores.h"

#define OWNER	4711u
#define NR	6

/* stream.c's calls of the module, which nothing here makes. */
int snapshot_read(int fd, uint64_t addr, void *buf, size_t len, struct ckpt_err *err)
{
	return -ENOSYS;
}

int snapshot_map(int fd, uint64_t start, struct ckpt_run *runs, uint32_t nr, struct ckpt_err *err,
		 uint32_t *ret_nr, uint64_t *ret_next)
{
	return -ENOSYS;
}

/* A program that maps files: which, by path; as they are now. */
struct program {
	struct ckpt_model	model;
	struct ckpt_model_vma	vmas[NR];
	char			paths[NR][128];
};

static void fill_file(const char *name, size_t size, uint64_t seed)
{
	unsigned char *data = calloc(1, size + 8);
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	uint64_t saved = tap_random_state;

	tap_random_state = seed;
	for (size_t i = 0; i < size; i += 8) {
		uint64_t r = i / PAGE % 3 == 1 ? 0 : rnd();	/* some pages are zero */

		memcpy(data + i, &r, 8);
	}
	tap_random_state = saved;
	REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	free(data);
}

static void add_file(struct program *p, const char *name)
{
	struct ckpt_model_vma *v = &p->vmas[p->model.nr_vmas];
	char *path = p->paths[p->model.nr_vmas++];
	char where[80];
	struct stat st;

	REQUIRE(!stat(name, &st) && getcwd(where, sizeof(where)));
	snprintf(path, sizeof(p->paths[0]), "%s/%s", where, name);
	v->path = path;
	v->rec.id = (struct ckpt_file_id){
		.mode = st.st_mode, .size = (uint64_t)st.st_size, .mtime_ns = ckpt_mtime_ns(&st),
		.dev = st.st_dev, .ino = st.st_ino,
	};
	p->model.vmas = p->vmas;
	p->model.proc.pid = OWNER;
	p->model.system.page_size = PAGE;
}

static struct program maps(const char *a, const char *b, const char *c)
{
	struct program p = { 0 };

	for (const char *const *name = (const char *[]){ a, b, c, NULL }; *name; name++)
		add_file(&p, *name);
	return p;
}

/* The next generation of "job", a delta of the newest if @delta. */
static int put_program(struct store *s, struct program *p, bool delta, bool all, struct ckpt_err *err,
		       struct snap_contents *ret)
{
	struct image_params params = { .job = "job", .page_size = PAGE, .pid = OWNER };
	struct snap_files none = { 0 };
	struct chain *parent = NULL;
	struct stream_job job = { .model = &p->model };
	struct store_writer *w;
	int r;

	for (size_t i = 0; i < p->model.nr_vmas; i++)
		p->vmas[i].path = p->paths[i];	/* it may have been moved */
	p->model.vmas = p->vmas;
	REQUIRE_OK(store_writer_open(s, "job", err, &w), *err);
	if (delta)
		REQUIRE_OK(chain_open(s, "job", false, err, &parent), *err);
	params.parent = parent ? image_get_info(chain_image(parent)) : NULL;
	params.generation = store_writer_generation(w);
	job.parent = parent;
	REQUIRE_OK(image_writer_open(store_writer_fd(w), &params, err, &job.writer), *err);
	REQUIRE_OK(image_writer_begin_pages(job.writer, OWNER, err), *err);
	REQUIRE_OK(image_writer_end_pages(job.writer, err, NULL), *err);
	r = snap_files_write(&none, &job, &(struct snap_opts){ .self_contained = all }, "", err, ret);
	if (!r)
		r = image_writer_finish(job.writer, err, NULL);
	if (!r)
		REQUIRE_OK(store_writer_commit(w, err), *err);
	image_writer_close(job.writer);
	store_writer_close(w);
	chain_close(parent);
	return r;
}

static struct snap_contents put_next(struct store *s, struct program p, bool delta)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct snap_contents figures;

	REQUIRE_OK(put_program(s, &p, delta, true, &err, &figures), err);
	REQUIRE_EQ(figures.files, p.model.nr_vmas);
	return figures;
}

struct out {
	int	fd;
	uint64_t end;		/* of the runs so far */
	unsigned int zeros;
};

static int write_out(uint64_t addr, uint64_t npages, const void *data, void *arg)
{
	struct out *o = arg;

	REQUIRE(addr >= o->end);
	o->end = addr + npages * PAGE;
	o->zeros += !data;
	if (data)
		REQUIRE(pwrite(o->fd, data, npages * PAGE, (off_t)addr) == (ssize_t)(npages * PAGE));
	return 0;
}

/* What @ref has of the file as @path is that which @name holds. */
static void check_content(struct store *s, const char *ref, const char *path, const char *name)
{
	struct out o = { .fd = memfd_create("out", 0) };
	char want[META_DIGEST + 1], got[META_DIGEST + 1], full[128], where[80];
	struct ckpt_err err = CKPT_ERR_INIT;
	const struct content *content;
	const struct meta_file *f;
	struct contents c;
	struct meta_files m;
	struct chain *chain;
	struct stat st;
	int fd = open(name, O_RDONLY);

	REQUIRE(fd >= 0 && !fstat(fd, &st) && getcwd(where, sizeof(where)));
	snprintf(full, sizeof(full), "%s/%s", where, path);
	REQUIRE_OK(chain_open(s, ref, false, &err, &chain), err);
	REQUIRE_OK(contents_list_files(chain_image(chain), OWNER, &err, &m), err);
	REQUIRE_OK(contents_load(chain, OWNER, &err, &c), err);
	f = meta_files_find(&m, full);
	REQUIRE(f && meta_has_content(f));
	REQUIRE_OK(contents_find(&c, f, &err, &content), err);
	REQUIRE_OK(contents_read(&c, content, write_out, &o, &err), err);
	REQUIRE(!ftruncate(o.fd, st.st_size) && f->size == (uint64_t)st.st_size);
	REQUIRE_EQ(meta_digest(o.fd, f->size, got), 0);
	REQUIRE_EQ(meta_digest(fd, f->size, want), 0);
	REQUIRE(!strcmp(got, want) && !strcmp(f->digest, want));
	contents_free(&c);
	meta_files_free(&m);
	chain_close(chain);
	close(fd);
	close(o.fd);
}

static void compact(struct store *s, const char *ref)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct compact_result r;

	REQUIRE_OK(compact_run(s, ref, 0, NULL, NULL, &err, &r), err);
}

static struct store *begin(void)
{
	setenv("TMPDIR", "/dev/shm", 1);	/* where sweeping is known to be safe */
	enter_scratch();
	return open_store();
}

/* --------------------------------------------------------------------------------- in images */

static void a_content_comes_out_as_it_went_in(void)
{
	static const size_t sizes[] = { 0, 1, PAGE - 1, PAGE, 3 * PAGE, (1 << 20) + 3, (3 << 20) + 5 };
	struct store *s = begin();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct snap_contents figures;

		fill_file("file", sizes[i], i);
		figures = put_next(s, maps("file", NULL, NULL), false);
		REQUIRE_EQ(figures.bytes, sizes[i]);
		REQUIRE_EQ(figures.stored_bytes, sizes[i]);
		check_content(s, "job", "file", "file");
	}
	verify_all(s);
	store_close(s);
}

static void nothing_goes_in_unasked_but_copies(void)
{
	static const char copy[] = "ckpt-0123456789abcdef0123456789abcdef-lib.so";
	struct ckpt_err err = CKPT_ERR_INIT;
	struct snap_contents figures;
	struct store *s = begin();
	struct program p;

	fill_file("file", 5000, 1);
	fill_file(copy, 6000, 2);
	p = maps("file", copy, NULL);
	REQUIRE_OK(put_program(s, &p, false, false, &err, &figures), err);
	REQUIRE_EQ(figures.files, 1);
	check_content(s, "job", copy, copy);
	store_close(s);
}

static void the_executable_goes_in_though_it_is_unmapped(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct snap_contents figures;
	struct store *s = begin();
	struct program p;

	fill_file("file", 5000, 1);
	p = maps("file", NULL, NULL);
	p.model.paths[CKPT_PATH_EXE].present = true;
	p.model.paths[CKPT_PATH_EXE].path = p.paths[0];
	p.model.paths[CKPT_PATH_EXE].rec.id = p.vmas[0].rec.id;
	p.model.nr_vmas = 0;
	REQUIRE_OK(put_program(s, &p, false, true, &err, &figures), err);
	REQUIRE_EQ(figures.files, 1);
	check_content(s, "job", "file", "file");
	store_close(s);
}

static void one_file_by_two_names_goes_in_once(void)
{
	struct store *s = begin();
	struct snap_contents figures;

	fill_file("file", 50000, 1);
	REQUIRE(!link("file", "other"));
	figures = put_next(s, maps("file", "other", NULL), false);
	REQUIRE_EQ(figures.stored, 1);
	check_content(s, "job", "other", "file");
	store_close(s);
}

static void a_delta_holds_what_its_parent_does_not_list(void)
{
	struct store *s = begin();

	fill_file("a", 50000, 1);
	fill_file("b", 60000, 2);
	fill_file("c", 60000, 3);
	REQUIRE_EQ(put_next(s, maps("a", "b", NULL), false).stored, 2);
	REQUIRE(!utimensat(AT_FDCWD, "b", NULL, 0));	/* of another time, the same bytes */
	REQUIRE_EQ(put_next(s, maps("a", "b", NULL), true).stored, 0);
	REQUIRE_EQ(put_next(s, maps("a", "b", "c"), true).stored, 1);
	REQUIRE_EQ(put_next(s, maps("a", "c", NULL), true).stored, 0);
	REQUIRE_EQ(put_next(s, maps("a", "b", "c"), true).stored, 1);	/* b: job@4 may be folded */
	for (const char *const *name = (const char *[]){ "a", "b", "c", NULL }; *name; name++)
		check_content(s, "job@5", *name, *name);
	store_close(s);
}

static void folding_brings_along_what_older_ones_hold(void)
{
	struct store *s = begin();

	fill_file("a", 50000, 1);
	fill_file("b", 60000, 2);
	fill_file("c", 70000, 3);
	put_next(s, maps("a", "b", NULL), false);
	put_next(s, maps("a", "b", "c"), true);
	put_next(s, maps("a", "c", NULL), true);
	put_next(s, maps("a", "c", NULL), true);
	compact(s, "job@3");
	REQUIRE_EQ(store_remove(s, "job", 2, NULL, NULL), 0);
	REQUIRE_EQ(store_remove(s, "job", 1, NULL, NULL), 0);
	for (int i = 3; i <= 4; i++) {
		char ref[16];

		snprintf(ref, sizeof(ref), "job@%d", i);
		check_content(s, ref, "a", "a");
		check_content(s, ref, "c", "c");
	}
	compact(s, "job@4");
	REQUIRE_EQ(store_remove(s, "job", 3, NULL, NULL), 0);
	check_content(s, "job@4", "c", "c");
	put_next(s, maps("a", "c", NULL), true);
	check_content(s, "job@5", "a", "a");
	verify_all(s);
	store_close(s);
}

static int64_t forged_ctime;	/* later by that than it was */

/* An image that says of @name what it likes: content of its own under a digest of its own. */
static void put_forged(struct store *s, const char *name, const char *digest, bool held, bool section)
{
	struct image_params params = { .job = "job", .page_size = PAGE, .pid = OWNER };
	struct program p = maps(name, NULL, NULL);
	struct ckpt_err err = CKPT_ERR_INIT;
	struct meta_files m = { 0 };
	struct meta_file f = { .path = p.paths[0], .held = held, .section = META_CONTENT_FIRST };
	struct store_writer *w;
	struct image_writer *iw;
	struct stat st;
	char *text;

	REQUIRE(!stat(name, &st));
	f.dev = st.st_dev;
	f.ino = st.st_ino;
	f.size = (uint64_t)st.st_size;
	f.mtime_ns = ckpt_mtime_ns(&st);
	f.ctime_ns = st.st_ctim.tv_sec * 1000000000ll + st.st_ctim.tv_nsec + forged_ctime;
	strcpy(f.digest, digest);
	REQUIRE_EQ(meta_files_add(&m, &f), 0);
	REQUIRE_EQ(meta_files_format(&m, &text), 0);
	REQUIRE_OK(store_writer_open(s, "job", &err, &w), err);
	params.generation = store_writer_generation(w);
	REQUIRE_OK(image_writer_open(store_writer_fd(w), &params, &err, &iw), err);
	REQUIRE_OK(image_writer_begin_pages(iw, OWNER, &err), err);
	REQUIRE_OK(image_writer_end_pages(iw, &err, NULL), err);
	if (section) {
		REQUIRE_OK(image_writer_begin_file(iw, OWNER, f.section, &err), err);
		REQUIRE_OK(image_writer_end_pages(iw, &err, NULL), err);
	}
	REQUIRE_OK(image_writer_put(iw, IMAGE_META, OWNER, IMAGE_META_FILES, text, strlen(text), &err), err);
	REQUIRE_OK(image_writer_finish(iw, &err, NULL), err);
	REQUIRE_OK(store_writer_commit(w, &err), err);
	image_writer_close(iw);
	store_writer_close(w);
	meta_files_free(&m);
	free(text);
}

#define SOME_DIGEST	"00112233445566778899aabbccddeeff"

/* By inode and times alone, but for one that may have changed after it was read, in the same tick. */
static void a_file_just_written_is_read_again_an_old_one_is_not(void)
{
	const struct timespec second = { 1, 100000000 };
	struct store *s = begin();
	struct program p;

	fill_file("file", 5000, 1);
	put_forged(s, "file", SOME_DIGEST, true, true);
	p = maps("file", NULL, NULL);
	REQUIRE_EQ(put_next(s, p, true).stored, 1);
	check_content(s, "job", "file", "file");
	nanosleep(&second, NULL);	/* the age itself is what is tested */
	put_forged(s, "file", SOME_DIGEST, true, true);
	REQUIRE_EQ(put_next(s, p, true).stored, 0);
	forged_ctime = 1;
	put_forged(s, "file", SOME_DIGEST, true, true);
	REQUIRE_EQ(put_next(s, p, true).stored, 1);
	store_close(s);
}

static void what_is_written_under_old_times_is_stored_again(void)
{
	struct timespec times[2] = { { 0 } };
	struct store *s = begin();
	struct stat st;

	fill_file("file", 5000, 1);
	put_next(s, maps("file", NULL, NULL), false);
	REQUIRE(!stat("file", &st));
	times[0] = times[1] = st.st_mtim;
	fill_file("file", 5000, 2);
	REQUIRE(!utimensat(AT_FDCWD, "file", times, 0));
	REQUIRE_EQ(put_next(s, maps("file", NULL, NULL), true).stored, 1);
	check_content(s, "job", "file", "file");
	store_close(s);
}

static void refused(struct store *s, struct program *p)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct snap_contents figures;

	REQUIRE_EQ(put_program(s, p, false, true, &err, &figures), -ESTALE);
	REQUIRE(strstr(err.text, p->paths[0]));
}

static void a_file_that_is_not_that_of_the_pause_is_refused(void)
{
	struct store *s = begin();
	struct program p;

	fill_file("file", 5000, 1);
	p = maps("file", NULL, NULL);
	p.vmas[0].rec.id.mtime_ns -= 1;
	refused(s, &p);
	p = maps("file", NULL, NULL);
	fill_file("file", 5001, 1);
	refused(s, &p);
	p = maps("file", NULL, NULL);
	REQUIRE(!unlink("file") && !mkfifo("file", 0600));
	refused(s, &p);
	store_close(s);
}

static int broken(struct store *s)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct chain *chain;
	int ret;

	REQUIRE_OK(chain_open(s, "job", false, &err, &chain), err);
	ret = contents_check(chain, OWNER, &err);
	REQUIRE(!ret || strstr(err.text, "file"));
	chain_close(chain);
	return ret;
}

static void a_list_that_names_what_is_not_there_is_told(void)
{
	struct store *s = begin();

	fill_file("file", 5000, 1);
	put_forged(s, "file", SOME_DIGEST, true, true);
	REQUIRE_EQ(broken(s), 0);
	put_forged(s, "file", SOME_DIGEST, true, false);
	REQUIRE_EQ(broken(s), -EBADMSG);
	put_forged(s, "file", SOME_DIGEST, false, false);
	REQUIRE_EQ(broken(s), -EBADMSG);
	store_close(s);
}

/* ----------------------------------------------------------------------------------- copies */

static unsigned int filled;
static const char *fill_from;

static int fill(int fd, void *arg)
{
	int from = open(fill_from, O_RDONLY);
	char buf[4096];
	ssize_t n;

	filled++;
	if (arg)
		return ckpt_err_set(arg, EIO, "no content");
	while ((n = read(from, buf, sizeof(buf))) > 0)
		REQUIRE(write(fd, buf, n) == n);
	close(from);
	return 0;
}

static bool copies_are_secret;

struct got {
	int	fd;
	char	*path;
	struct stat st;
};

static int try_copy(const struct store *s, const char *dir, const char *name, const char *content,
		    void *arg, struct ckpt_err *err, struct got *g)
{
	char digest[META_DIGEST + 1];
	struct copy_of want = { .name = name, .digest = digest, .secret = copies_are_secret };
	struct copies *c;
	struct stat st;
	int fd = open(content, O_RDONLY), ret;

	REQUIRE(fd >= 0 && !fstat(fd, &st));
	REQUIRE_EQ(meta_digest(fd, (uint64_t)st.st_size, digest), 0);
	close(fd);
	want.size = (uint64_t)st.st_size;
	ret = copies_open(s, dir, err, &c);
	if (ret)
		return ret;
	ret = copies_get(c, &want, fill, arg, err, &g->fd, &g->path);
	copies_close(c);
	if (!ret)
		REQUIRE(!fstat(g->fd, &g->st) && !access(g->path, F_OK));
	return ret;
}

static struct got copy(struct store *s, const char *name)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct got g;

	REQUIRE_OK(try_copy(s, NULL, name, "file", NULL, &err, &g), err);
	REQUIRE_EQ(g.st.st_mode & 07777, 0555);
	return g;
}

static void drop(struct got *g)
{
	close(g->fd);
	free(g->path);
}

static struct store *begin_copies(void)
{
	struct store *s = begin();

	fill_file("file", 50000, 1);
	fill_file("other", 50000, 2);
	fill_from = "file";
	return s;
}

static uint64_t sweep(struct store *s)
{
	uint64_t files = 0, bytes = 0;

	copies_sweep(s, &files, &bytes);
	return files;
}

static void a_copy_is_made_once(void)
{
	struct store *s = begin_copies();
	struct got a = copy(s, "/usr/lib/lib.so"), b = copy(s, "/usr/lib/lib.so"), c = copy(s, a.path);
	struct got other = copy(s, "/usr/lib/name.so");

	REQUIRE_EQ(filled, 2);
	REQUIRE(a.st.st_ino == b.st.st_ino && a.st.st_ino == c.st.st_ino);
	REQUIRE(a.st.st_ino != other.st.st_ino && !strcmp(a.path, c.path));
	REQUIRE(copies_is_one(a.path) && !copies_is_one("/usr/lib/lib.so"));
	REQUIRE_EQ(count_entries("s/.files", ""), 2);
	drop(&a);
	drop(&b);
	drop(&c);
	drop(&other);
	store_close(s);
}

static void a_damaged_copy_is_replaced_not_written_to(void)
{
	struct store *s = begin_copies();
	struct got a = copy(s, "x"), b;
	int fd;

	REQUIRE(!chmod(a.path, 0755));
	fd = open(a.path, O_WRONLY);
	REQUIRE(fd >= 0 && pwrite(fd, "damage", 6, 100) == 6 && !close(fd));
	b = copy(s, "x");
	REQUIRE(a.st.st_ino != b.st.st_ino && !strcmp(a.path, b.path));
	drop(&a);
	drop(&b);
	store_close(s);
}

static void a_copy_that_comes_out_wrong_is_not_kept(void)
{
	struct store *s = begin_copies();
	struct ckpt_err err = CKPT_ERR_INIT, why = CKPT_ERR_INIT;
	struct got g;

	fill_from = "other";
	REQUIRE_EQ(try_copy(s, NULL, "x", "file", NULL, &err, &g), -EBADMSG);
	REQUIRE_EQ(try_copy(s, NULL, "x", "file", &why, &why, &g), -EIO);
	REQUIRE_EQ(count_entries("s/.files", ""), 0);
	store_close(s);
}

static void what_others_could_have_put_there_is_not_used(void)
{
	struct ckpt_err dir = CKPT_ERR_INIT, file = CKPT_ERR_INIT, link = CKPT_ERR_INIT;
	struct store *s = begin_copies();
	struct got a = copy(s, "x"), g;

	REQUIRE(!chmod("s/.files", 0777));
	REQUIRE_EQ(try_copy(s, NULL, "x", "file", NULL, &dir, &g), -EPERM);
	REQUIRE(!chmod("s/.files", 0755) && !chmod(a.path, 0577));
	REQUIRE_EQ(try_copy(s, NULL, "x", "file", NULL, &file, &g), -EPERM);
	REQUIRE(!unlink(a.path) && !symlink("../../file", a.path));
	REQUIRE_EQ(try_copy(s, NULL, "x", "file", NULL, &link, &g), -ELOOP);
	REQUIRE_EQ(filled, 1);
	drop(&a);
	store_close(s);
}

static void without_a_store_a_directory_has_to_be_named(void)
{
	struct ckpt_err none = CKPT_ERR_INIT, err = CKPT_ERR_INIT;
	struct store *s = begin_copies();
	struct got g;

	REQUIRE_EQ(try_copy(NULL, NULL, "x", "file", NULL, &none, &g), -ENOENT);
	REQUIRE(strstr(none.text, "--files-dir"));
	REQUIRE_OK(try_copy(NULL, "there", "x", "file", NULL, &err, &g), err);
	REQUIRE_EQ(count_entries("there", ""), 1);
	drop(&g);
	store_close(s);
}

static struct got copy_of_mode(const struct store *s, bool secret, mode_t mode)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct got g;

	copies_are_secret = secret;
	REQUIRE_OK(try_copy(s, NULL, "x", "file", NULL, &err, &g), err);
	REQUIRE_EQ(g.st.st_mode & 07777, mode);
	REQUIRE_EQ(g.st.st_uid, geteuid());
	return g;
}

static void a_secret_copy_is_its_owners_alone(void)
{
	struct store *s = begin_copies();
	struct got a, b, c;
	int fd;

	umask(0);
	a = copy_of_mode(s, true, 0500);
	b = copy_of_mode(s, false, 0500);
	REQUIRE(a.st.st_ino == b.st.st_ino);
	/* nor does the one that takes the place of a damaged one */
	REQUIRE(!chmod(a.path, 0700));
	fd = open(a.path, O_WRONLY);
	REQUIRE(fd >= 0 && pwrite(fd, "damage", 6, 100) == 6 && !close(fd));
	c = copy_of_mode(s, false, 0500);
	REQUIRE(a.st.st_ino != c.st.st_ino);
	drop(&a);
	drop(&b);
	drop(&c);
	store_close(s);
}

static void one_that_others_could_read_is_closed_to_them(void)
{
	struct store *s = begin_copies();
	struct got a = copy_of_mode(s, false, 0555), b = copy_of_mode(s, true, 0500);

	REQUIRE(a.st.st_ino == b.st.st_ino);
	REQUIRE_EQ(filled, 1);
	drop(&a);
	drop(&b);
	store_close(s);
}

/* By the mapping alone, as a restored program has it. */
static void a_copy_in_use_is_not_swept(void)
{
	struct store *s = begin_copies();
	struct got a = copy(s, "x"), unused = copy(s, "y");
	int again = copies_reopen(a.fd);
	void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, again, 0);

	REQUIRE(mapped != MAP_FAILED);
	drop(&a);
	drop(&unused);
	close(again);
	REQUIRE_EQ(sweep(s), 1);
	REQUIRE_EQ(count_entries("s/.files", ""), 1);
	REQUIRE(!munmap(mapped, 4096));
	REQUIRE_EQ(sweep(s), 1);
	REQUIRE_EQ(count_entries("s/.files", ""), 0);
	store_close(s);
}

static void nothing_is_swept_while_a_restore_is_under_way(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct store *s = begin_copies();
	struct got a = copy(s, "x");
	struct copies *c;

	drop(&a);
	close(open("s/.files/.tmp-" SOME_DIGEST "-0", O_CREAT | O_WRONLY, 0600));
	REQUIRE_OK(copies_open(s, NULL, &err, &c), err);
	REQUIRE_EQ(sweep(s), 0);
	copies_close(c);
	fill_file("s/.files/somebody's", 10, 1);
	REQUIRE_EQ(sweep(s), 2);
	REQUIRE_EQ(count_entries("s/.files", ""), 1);
	store_close(s);
}

static const struct tap_test tests[] = {
	{ "a_content_comes_out_as_it_went_in", a_content_comes_out_as_it_went_in },
	{ "nothing_goes_in_unasked_but_copies", nothing_goes_in_unasked_but_copies },
	{ "the_executable_goes_in_though_it_is_unmapped",
	  the_executable_goes_in_though_it_is_unmapped },
	{ "one_file_by_two_names_goes_in_once", one_file_by_two_names_goes_in_once },
	{ "a_delta_holds_what_its_parent_does_not_list",
	  a_delta_holds_what_its_parent_does_not_list },
	{ "folding_brings_along_what_older_ones_hold", folding_brings_along_what_older_ones_hold },
	{ "a_file_just_written_is_read_again_an_old_one_is_not",
	  a_file_just_written_is_read_again_an_old_one_is_not },
	{ "what_is_written_under_old_times_is_stored_again",
	  what_is_written_under_old_times_is_stored_again },
	{ "a_file_that_is_not_that_of_the_pause_is_refused",
	  a_file_that_is_not_that_of_the_pause_is_refused },
	{ "a_list_that_names_what_is_not_there_is_told",
	  a_list_that_names_what_is_not_there_is_told },
	{ "a_copy_is_made_once", a_copy_is_made_once },
	{ "a_damaged_copy_is_replaced_not_written_to", a_damaged_copy_is_replaced_not_written_to },
	{ "a_copy_that_comes_out_wrong_is_not_kept", a_copy_that_comes_out_wrong_is_not_kept },
	{ "what_others_could_have_put_there_is_not_used",
	  what_others_could_have_put_there_is_not_used },
	{ "without_a_store_a_directory_has_to_be_named",
	  without_a_store_a_directory_has_to_be_named },
	{ "a_secret_copy_is_its_owners_alone", a_secret_copy_is_its_owners_alone },
	{ "one_that_others_could_read_is_closed_to_them",
	  one_that_others_could_read_is_closed_to_them },
	{ "a_copy_in_use_is_not_swept", a_copy_in_use_is_not_swept },
	{ "nothing_is_swept_while_a_restore_is_under_way",
	  nothing_is_swept_while_a_restore_is_under_way },
};

TAP_MAIN(tests)
