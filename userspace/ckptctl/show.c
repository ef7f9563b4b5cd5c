// SPDX-License-Identifier: GPL-2.0-only
/* show.c - ckptctl show: what an image holds. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "image.h"
#include "report.h"
#include "store.h"

static const struct ctl_opt opts[] = { CTL_OPT_IDENTITY, { } };

/* -------------------------------------------------------------------------------- for people */

static void human_fds(json_t *process)
{
	json_t *list = json_object_get(process, "fds"), *o;
	size_t i;

	json_array_foreach(list, i, o)
		printf("  fd %-4u  %-9s %s%s, at %lld of %lld\n", (unsigned int)out_get(o, "fd"),
		       out_get_text(o, "kind"), out_get_text(o, "path"),
		       json_is_true(json_object_get(o, "deleted")) ? " (deleted)" : "",
		       (long long)out_get(o, "pos"), (long long)out_get(o, "size"));
}

static void human_more(json_t *process)
{
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(process, "threads"), i, o)
		printf("  thread %u  %s, %s, system call %d\n", (unsigned int)out_get(o, "tid"),
		       out_get_text(o, "name"), out_get_text(o, "condition"),
		       (int)out_get(o, "syscall"));
	json_array_foreach(json_object_get(process, "mappings"), i, o)
		printf("  %s-%s %s %s\n", out_get_text(o, "start"), out_get_text(o, "end"),
		       out_get_text(o, "prot"), out_get_text(o, "path"));
}

static bool has_content(json_t *file)
{
	return !strcmp(out_get_text(file, "change"), "fixed") && *out_get_text(file, "digest");
}

/* Files that must not change, whose content is here or in what it is built on. */
static void human_contents(json_t *files)
{
	uint64_t nr = 0, bytes = 0;
	char size[OUT_SMALL];
	json_t *o;
	size_t i;

	json_array_foreach(files, i, o) {
		nr += has_content(o);
		bytes += has_content(o) ? out_get(o, "size") : 0;
	}
	if (nr)
		printf("  inside   %" PRIu64 " mapped files, %s\n", nr, out_size(bytes, size));
	json_array_foreach(files, i, o) {
		if (!has_content(o))
			continue;
		printf("    %-10s %s%s%s\n", out_size(out_get(o, "size"), size), out_get_text(o, "path"),
		       out_get_text(o, "path_hex"),
		       json_object_get(o, "section") ? "" : " (in what it is built on)");
	}
}

static void human_delta(json_t *o)
{
	json_t *image = json_object_get(o, "image"), *mem = json_object_get(o, "memory");
	json_t *delta = json_object_get(json_object_get(o, "snapshot"), "delta");
	char size[OUT_SMALL];

	if (json_is_true(json_object_get(image, "compacted")))
		printf("  folded   from a snapshot of changes and what it was built on\n");
	if (!json_is_true(json_object_get(image, "delta"))) {
		if (*out_get_text(delta, "why_full"))
			printf("  full     %s\n", out_get_text(delta, "why_full"));
		return;
	}
	printf("  delta    of generation %" PRIu64 ": %" PRIu64 " pages of data, %" PRIu64 " gone, "
	       "%s unchanged\n", out_get(image, "parent_generation"), out_get(mem, "data_pages"),
	       out_get(mem, "gone_pages"),
	       out_size(out_get(delta, "unchanged") * out_get(image, "page_size"), size));
	printf("  because  written to %" PRIu64 ", not covered %" PRIu64 ", copied in the pause %"
	       PRIu64 "; of these the same bytes %" PRIu64 " (pages)\n", out_get(delta, "dirty"),
	       out_get(delta, "uncovered"), out_get(delta, "copied"), out_get(delta, "same"));
}

static void human_left_out(json_t *snapshot)
{
	json_t *left_out = json_object_get(snapshot, "left_out");
	char size[OUT_SMALL];

	if (out_get(left_out, "bytes"))
		printf("  left out %s marked MADV_DONTDUMP; zero after a restore\n",
		       out_size(out_get(left_out, "bytes"), size));
}

/* What of it there is: without a key, sizes alone. */
static void human_process(json_t *o)
{
	json_t *image = json_object_get(o, "image"), *process = json_object_get(o, "process");
	uint64_t bytes = out_get(json_object_get(o, "memory"), "data_pages") * out_get(image, "page_size");
	char size[OUT_SMALL];

	if (json_is_true(json_object_get(image, "locked"))) {
		printf("  process  %u %s\n", (unsigned int)out_get(image, "pid"), out_get_text(image, "comm"));
		printf("  memory   %s\n", out_size(bytes, size));
		return;
	}
	printf("  process  %u %s, %zu thread(s), %s\n", (unsigned int)out_get(process, "pid"),
	       out_get_text(image, "comm"), json_array_size(json_object_get(process, "threads")),
	       out_get_text(process, "exe"));
	printf("  in       %s\n", out_get_text(process, "cwd"));
	printf("  memory   %s, %zu mappings\n", out_size(bytes, size),
	       json_array_size(json_object_get(process, "mappings")));
}

static void human_keys(const struct ctl *ctl, json_t *image)
{
	json_t *key;
	size_t i;

	if (!json_is_true(json_object_get(image, "encrypted")))
		return;
	json_array_foreach(json_object_get(image, "recipients"), i, key)
		printf("  %-8s %s\n", i ? "" : "to", json_string_value(key));
	if (json_is_true(json_object_get(image, "locked")))
		printf("           %snot authenticated, and more cannot be told, %s: --identity%s\n",
		       out_yellow(), ctl->keyring ? "for no key that was given opens it" : "without a key",
		       out_plain());
	if (json_is_true(json_object_get(image, "delta")) &&
	    !json_is_true(json_object_get(image, "parent_encrypted")))
		printf("           %swhat it is built on is not encrypted%s\n", out_yellow(), out_plain());
}

static void human_shared(json_t *o)
{
	json_t *image = json_object_get(o, "image"), *with = json_object_get(image, "shares_with"), *source;
	uint64_t bytes = out_get(json_object_get(o, "memory"), "shared_pages") * out_get(image, "page_size");
	char size[OUT_SMALL];
	size_t i;

	if (!json_array_size(with))
		return;
	printf("  shares   %s of memory with", out_size(bytes, size));
	json_array_foreach(with, i, source)
		printf("%s %s@%" PRIu64, i ? "," : "", out_get_text(source, "job"), out_get(source, "generation"));
	printf("\n");
}

/* Each with its parent; zombies are told to be. */
static void human_tree(json_t *tree)
{
	json_t *processes = json_object_get(tree, "processes"), *p;
	size_t i;

	json_array_foreach(processes, i, p)
		printf("  %-8s %u %s%s%s\n", i ? "" : "tree", (unsigned int)out_get(p, "pid"),
		       out_get_text(p, "comm"), json_object_get(p, "ended") ? ", has ended" : "",
		       i ? "" : ", and what descends from it:");
}

static void human(const struct ctl *ctl, json_t *o)
{
	json_t *image = json_object_get(o, "image"), *process = json_object_get(o, "process");
	json_t *pause = json_object_get(json_object_get(o, "snapshot"), "pause");
	char a[OUT_SMALL], b[OUT_SMALL];

	printf("%s%s%s\n", out_bold(), out_get_text(o, "ref"), out_plain());
	printf("  taken    %s on %s, kernel %s\n", out_date(out_get(image, "created_ns"), a),
	       out_get_text(image, "hostname"), out_get_text(image, "kernel"));
	human_process(o);
	human_tree(json_object_get(o, "tree"));
	human_left_out(json_object_get(o, "snapshot"));
	printf("  image    %s, generation %" PRIu64 ", %s%s\n", out_size(out_get(image, "size"), a),
	       out_get(image, "generation"),
	       json_is_true(json_object_get(image, "delta")) ? "delta" : "full",
	       json_is_true(json_object_get(image, "encrypted")) ? ", encrypted" : "");
	human_keys(ctl, image);
	human_shared(o);
	if (out_get(pause, "total_ns"))
		printf("  pause    %s\n", out_time(out_get(pause, "total_ns"), b));
	if (!json_is_true(json_object_get(image, "locked")))
		human_delta(o);
	human_contents(json_object_get(json_object_get(o, "files"), "files"));
	human_fds(process);
	if (ctl->verbose)
		human_more(process);
}

static int show(struct ctl *ctl, const char *text)
{
	struct store *store = NULL;
	struct image *image = NULL;
	struct store_ref ref;
	json_t *report = NULL;
	int fd = -1, ret = 0;

	if (!store_ref_is_path(text))
		ret = store_open(ctl->store, false, &ctl->err, &store);
	if (!ret)
		ret = store_resolve(store, text, &ctl->err, &fd, &ref);
	if (!ret)
		ret = image_open(fd, ref.label, &ctl->err, &image);
	if (!ret)
		ret = ctl_unlock_image_if_can(ctl, image, &ctl->err);
	if (!ret)
		ret = report_image(image, ref.label, &ctl->err, &report);
	image_close(image);
	if (fd >= 0)
		close(fd);
	store_close(store);
	return ret ? ctl_fail(ctl, NULL) : ctl_report(ctl, report, human);
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *arg;

	while (ctl_next(ctl, argc, argv, &arg))
		;
	if (argc - optind != 1)
		return ctl_usage(ctl, argc == optind ? "what to show is missing" :
				 "one image at a time");
	return show(ctl, argv[optind]);
}

const struct verb verb_show = {
	.name = "show", .args = "[OPTION]... REF", .opts = opts, .run = run,
	.summary = "Tell what a snapshot holds",
	.about = "\nREF is JOB, JOB@GENERATION, or the path of an image. With -v also threads and\n"
		 "mappings; with --json everything.",
};
