// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of files that goes into an image. The program runs on while it is made, and may have put
 * anything in the place of a file that was judged a moment before.
 */
#include "images.h"
#include "snap.h"

static char dir[] = "/tmp/ckpt-unit-XXXXXX";

static void leave(void)
{
	unlink("file");
	unlink("other");
	if (!chdir("/"))
		rmdir(dir);
}

static void make_file(const char *name)
{
	int fd = open(name, O_CREAT | O_WRONLY, 0600);

	REQUIRE(fd >= 0 && write(fd, "text", 4) == 4);
	close(fd);
}

static void enter(void)
{
	REQUIRE(mkdtemp(dir) && !chdir(dir));
	atexit(leave);
	make_file("file");
}

/* Of a program that has "file" open at its end, for appending, or mapped. */
static int write_list(bool mapped, struct ckpt_err *err)
{
	char path[64];
	struct ckpt_model_fd fd = {
		.path = path,
		.rec = { .kind = CKPT_FDK_REG, .file = 1, .file_flags = O_WRONLY | O_APPEND,
			 .id = { .mode = S_IFREG | 0600, .size = 4 } },
	};
	struct ckpt_model_vma vma = {
		.path = path, .rec = { .id = { .mode = S_IFREG | 0600, .size = 4 } },
	};
	struct ckpt_model m = {
		.proc.pid = 1, .fds = &fd, .nr_fds = !mapped, .vmas = &vma, .nr_vmas = mapped,
	};
	struct image_params params = {
		.label = "test", .job = "test", .generation = 1, .page_size = PAGE,
	};
	struct stream_job job = { .model = &m };
	struct snap_contents contents;
	struct snap_files none = { 0 };
	int image = memfd_create("image", MFD_CLOEXEC), ret;

	snprintf(path, sizeof(path), "%s/file", dir);
	REQUIRE_OK(image_writer_open(image, &params, err, &job.writer), *err);
	ret = snap_files_write(&none, &job, &(struct snap_opts){ 0 }, "", err, &contents);
	image_writer_close(job.writer);
	close(image);
	return ret;
}

static void a_file_is_listed(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;

	enter();
	REQUIRE_OK(write_list(false, &err), err);
	REQUIRE_OK(write_list(true, &err), err);
	make_file("other");
	REQUIRE(!unlink("file") && !symlink("other", "file"));	/* as restore will open it */
	REQUIRE_OK(write_list(false, &err), err);
}

static void is_refused(void)
{
	for (int mapped = 0; mapped < 2; mapped++) {
		struct ckpt_err err = CKPT_ERR_INIT;

		REQUIRE_EQ(write_list(mapped, &err), -ESTALE);
		REQUIRE(strstr(err.text, "file: is not the file it was any more"));
	}
}

static void a_device_in_its_place_is_refused(void)
{
	enter();
	REQUIRE(!unlink("file") && !symlink("/dev/full", "file"));
	is_refused();
}

static void a_fifo_or_directory_in_its_place_is_refused(void)
{
	enter();
	REQUIRE(!unlink("file") && !mkfifo("file", 0600));
	is_refused();
	REQUIRE(!unlink("file") && !mkdir("file", 0700));
	is_refused();
	REQUIRE(!rmdir("file"));
}

static int parse(const char *text, struct meta_files *ret)
{
	return meta_files_parse(text, strlen(text), NULL, ret);
}

static void what_becomes_of_connections_is_read_as_it_was_written(void)
{
	struct meta_files m = { 0 }, got;
	char *text;

	for (m.tcp = META_TCP_REFUSE; m.tcp <= META_TCP_REPAIR; m.tcp++) {
		REQUIRE_EQ(meta_files_format(&m, &text), 0);
		REQUIRE_EQ(parse(text, &got), 0);
		REQUIRE_EQ(got.tcp, m.tcp);
		meta_files_free(&got);
		free(text);
	}
	strcpy(m.hold, "ckpt_0123456789abcdef");
	m.tcp = META_TCP_REPAIR;
	REQUIRE_EQ(meta_files_format(&m, &text), 0);
	REQUIRE_EQ(parse(text, &got), 0);
	REQUIRE(!strcmp(got.hold, m.hold));
	meta_files_free(&got);
	free(text);
	REQUIRE_EQ(parse("{\"version\": 1, \"files\": [], \"pipes\": []}", &got), 0);
	REQUIRE(got.tcp == META_TCP_REFUSE && !*got.hold);
	meta_files_free(&got);
	REQUIRE_EQ(parse("{\"version\": 1, \"files\": [], \"pipes\": [], \"tcp\": \"keep\"}", &got), -EBADMSG);
	REQUIRE_EQ(parse("{\"version\": 1, \"files\": [], \"pipes\": [], \"tcp\": 1}", &got), -EBADMSG);
	REQUIRE_EQ(parse("{\"version\": 1, \"files\": [], \"hold\": \"ckpt_0123456789abcde;\"}", &got), -EBADMSG);
	REQUIRE_EQ(parse("{\"version\": 1, \"files\": [], \"hold\": \"ckpt_0123456789abcde\"}", &got), -EBADMSG);
}

static const struct tap_test tests[] = {
	{ "what_becomes_of_connections_is_read_as_it_was_written",
	  what_becomes_of_connections_is_read_as_it_was_written },
	{ "a_file_is_listed", a_file_is_listed },
	{ "a_device_in_its_place_is_refused", a_device_in_its_place_is_refused },
	{ "a_fifo_or_directory_in_its_place_is_refused",
	  a_fifo_or_directory_in_its_place_is_refused },
};

TAP_MAIN(tests)
