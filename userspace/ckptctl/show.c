// SPDX-License-Identifier: GPL-2.0-only
/* show.c - ckptctl show: what an image holds. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "image.h"
#include "state.h"
#include "store.h"

static const struct ctl_opt opts[] = { { } };

#define I(x)	((json_int_t)(x))

/* -------------------------------------------------------------------------- JSON of a model */

static json_t *threads_to_json(const struct ckpt_model *m)
{
	static const char * const runs[] = { "?", "parked", "asleep", "stopped" };
	json_t *list = json_array();

	for (size_t i = 0; i < m->nr_threads; i++) {
		const struct ckpt_rec_thread *t = &m->threads[i].rec;

		json_array_append_new(list, json_pack("{s:i,s:o,s:s,s:i,s:o,s:i}",
			"tid", t->tid, "name", out_text(t->comm),
			"condition", runs[t->run < 4 ? t->run : 0], "syscall", t->syscall_nr,
			"sigmask", json_sprintf("%016" PRIx64, (uint64_t)t->sigmask),
			"nice", t->nice));
	}
	return list;
}

static json_t *fds_to_json(const struct ckpt_model *m)
{
	static const char * const kinds[] = {
		"?", "file", "directory", "device", "block", "fifo", "socket", "object",
		"terminal", "other",
	};
	json_t *list = json_array();

	for (size_t i = 0; i < m->nr_fds; i++) {
		const struct ckpt_rec_fd *r = &m->fds[i].rec;

		json_array_append_new(list, json_pack("{s:i,s:s,s:o,s:o,s:I,s:I,s:b,s:i}",
			"fd", r->fd, "kind", kinds[r->kind < 10 ? r->kind : 0],
			"path", out_text(m->fds[i].path),
			"flags", json_sprintf("%#o", r->file_flags), "pos", I(r->pos),
			"size", I(r->id.size), "deleted",
			!!(r->path_flags & CKPT_PATHF_DELETED), "file", (int)r->file));
	}
	return list;
}

static json_t *vmas_to_json(const struct ckpt_model *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->nr_vmas; i++) {
		const struct ckpt_rec_vma *v = &m->vmas[i].rec;
		char prot[5] = { v->flags & CKPT_VMA_READ ? 'r' : '-',
				 v->flags & CKPT_VMA_WRITE ? 'w' : '-',
				 v->flags & CKPT_VMA_EXEC ? 'x' : '-',
				 v->flags & CKPT_VMA_SHARED ? 's' : 'p', '\0' };

		json_array_append_new(list, json_pack("{s:o,s:o,s:s,s:o,s:I}",
			"start", json_sprintf("%" PRIx64, (uint64_t)v->start),
			"end", json_sprintf("%" PRIx64, (uint64_t)v->end), "prot", prot,
			"path", out_text(m->vmas[i].path), "offset", I(v->pgoff)));
	}
	return list;
}

static json_t *process_to_json(const struct ckpt_model *m)
{
	return json_pack("{s:i,s:i,s:i,s:i,s:o,s:o,s:I,s:o,s:o,s:o,s:I,s:I,s:I,s:o,s:o}",
			 "pid", m->proc.pid, "ppid", m->proc.ppid, "pgid", m->proc.pgid,
			 "sid", m->proc.sid, "exe", out_text(m->paths[CKPT_PATH_EXE].path),
			 "cwd", out_text(m->paths[CKPT_PATH_CWD].path),
			 "umask", I(m->proc.umask), "threads", threads_to_json(m),
			 "fds", fds_to_json(m), "mappings", vmas_to_json(m),
			 "locks", I(m->nr_locks), "timers", I(m->nr_timers),
			 "pending_signals", I(m->nr_sigpending),
			 "kernel", out_text(m->system.release),
			 "module", out_text(m->system.module_version));
}

/* ------------------------------------------------------------------------ JSON of an image */

static json_t *info_to_json(const struct image_info *i)
{
	return json_pack("{s:i,s:o,s:o,s:i,s:I,s:b,s:I,s:o,s:o,s:I,s:i}",
			 "version", (int)i->version, "job", out_text(i->job),
			 "comm", out_text(i->comm), "pid", (int)i->pid,
			 "generation", I(i->generation), "delta", image_info_is_delta(i),
			 "created_ns", I(i->created_ns), "hostname", out_text(i->hostname),
			 "kernel", out_text(i->kernel), "size", I(i->file_size),
			 "page_size", (int)i->page_size);
}

/* Section body as JSON; null when there is none. */
static json_t *load_json(struct image *image, uint32_t owner, uint32_t sub)
{
	int section = image_find(image, IMAGE_META, owner, sub);
	json_t *o = NULL;
	void *data;
	size_t len;

	if (section >= 0 && !image_load(image, section, NULL, &data, &len)) {
		o = json_loadb(data, len, 0, NULL);
		free(data);
	}
	return o ? o : json_null();
}

static int load_memory(struct image *image, uint32_t pid, struct ckpt_err *err, json_t **ret)
{
	int section = image_find(image, IMAGE_PAGES, pid, 0);
	struct image_pages_stats s;
	struct image_pages *pages;
	int code;

	*ret = json_null();
	if (section < 0)
		return 0;
	code = image_pages_open(image, section, err, &pages);
	if (code)
		return code;
	image_pages_get_stats(pages, &s);
	image_pages_close(pages);
	*ret = json_pack("{s:I,s:I,s:I,s:I,s:I}", "data_pages", I(s.data_pages),
			 "zero_pages", I(s.zero_pages), "file_pages", I(s.file_pages),
			 "stored_bytes", I(s.stored_bytes), "runs", I(s.runs));
	return 0;
}

static int load_process(struct image *image, uint32_t pid, struct ckpt_err *err, json_t **ret)
{
	int section = image_find(image, IMAGE_STATE, pid, 0);
	struct ckpt_model *model;
	size_t len;
	void *data;
	int code;

	if (section < 0)
		return ckpt_err_set(err, EBADMSG, "%s: holds no state of process %u",
				    image_label(image), pid);
	code = image_load(image, section, err, &data, &len);
	if (code)
		return code;
	code = ckpt_model_parse(data, len, err, &model);
	free(data);
	if (code)
		return code;
	*ret = process_to_json(model);
	ckpt_model_free(model);
	return 0;
}

static int describe(struct image *image, const char *label, struct ckpt_err *err, json_t **ret)
{
	const struct image_info *info = image_get_info(image);
	json_t *process = NULL, *memory = NULL;
	int code = load_process(image, info->pid, err, &process);

	if (!code)
		code = load_memory(image, info->pid, err, &memory);
	if (code) {
		json_decref(process);
		return code;
	}
	*ret = json_pack("{s:b,s:o,s:o,s:o,s:o,s:o,s:o}", "ok", 1, "ref", out_text(label),
			 "image", info_to_json(info), "process", process, "memory", memory,
			 "snapshot", load_json(image, 0, IMAGE_META_SNAP),
			 "files", load_json(image, info->pid, IMAGE_META_FILES));
	return 0;
}

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

static void human(const struct ctl *ctl, json_t *o)
{
	json_t *image = json_object_get(o, "image"), *process = json_object_get(o, "process");
	json_t *mem = json_object_get(o, "memory");
	json_t *pause = json_object_get(json_object_get(o, "snapshot"), "pause");
	char a[OUT_SMALL], b[OUT_SMALL];

	printf("%s%s%s\n", out_bold(), out_get_text(o, "ref"), out_plain());
	printf("  taken    %s on %s, kernel %s\n", out_date(out_get(image, "created_ns"), a),
	       out_get_text(image, "hostname"), out_get_text(image, "kernel"));
	printf("  process  %u %s, %zu thread(s), %s\n", (unsigned int)out_get(process, "pid"),
	       out_get_text(image, "comm"), json_array_size(json_object_get(process, "threads")),
	       out_get_text(process, "exe"));
	printf("  in       %s\n", out_get_text(process, "cwd"));
	printf("  memory   %s, %zu mappings\n",
	       out_size(out_get(mem, "data_pages") * out_get(image, "page_size"), a),
	       json_array_size(json_object_get(process, "mappings")));
	printf("  image    %s, generation %" PRIu64 ", %s\n", out_size(out_get(image, "size"), a),
	       out_get(image, "generation"),
	       json_is_true(json_object_get(image, "delta")) ? "delta" : "full");
	if (out_get(pause, "total_ns"))
		printf("  pause    %s\n", out_time(out_get(pause, "total_ns"), b));
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
		ret = describe(image, ref.label, &ctl->err, &report);
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
