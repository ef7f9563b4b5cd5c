// SPDX-License-Identifier: LGPL-2.1-or-later
/* report.c - see report.h.  No state; what is made belongs to the caller. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "keyring.h"
#include "meta.h"
#include "report.h"
#include "state.h"
#include "util.h"

#define I(x)	((json_int_t)(x))

json_t *report_text(const char *text)
{
	json_t *o;
	char *copy;

	if (!text)
		text = "";
	o = json_string(text);
	if (o)
		return o;
	copy = strdup(text);
	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
			*c = '?';
	o = copy ? json_string(copy) : NULL;
	free(copy);
	return o;
}

/* -------------------------------------------------------------------------- JSON of a model */

/* One more in @list; a list that cannot be whole is none, and then nor is what it goes into. */
static bool append(json_t **list, json_t *o)
{
	if (!json_array_append_new(*list, o))
		return true;
	json_decref(*list);
	*list = NULL;
	return false;
}

static json_t *threads_to_json(const struct ckpt_model *m)
{
	static const char * const runs[] = { "?", "parked", "asleep", "stopped" };
	json_t *list = json_array();

	for (size_t i = 0; i < m->nr_threads; i++) {
		const struct ckpt_rec_thread *t = &m->threads[i].rec;

		if (!append(&list, json_pack("{s:i,s:o,s:s,s:i,s:o,s:i}",
			"tid", t->tid, "name", report_text(t->comm),
			"condition", runs[t->run < 4 ? t->run : 0], "syscall", t->syscall_nr,
			"sigmask", json_sprintf("%016" PRIx64, (uint64_t)t->sigmask),
			"nice", t->nice)))
			break;
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

		if (!append(&list, json_pack("{s:i,s:s,s:o,s:o,s:I,s:I,s:b,s:i}",
			"fd", r->fd, "kind", kinds[r->kind < 10 ? r->kind : 0],
			"path", report_text(m->fds[i].path),
			"flags", json_sprintf("%#o", r->file_flags), "pos", I(r->pos),
			"size", I(r->id.size), "deleted",
			!!(r->path_flags & CKPT_PATHF_DELETED), "file", (int)r->file)))
			break;
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

		if (!append(&list, json_pack("{s:o,s:o,s:s,s:o,s:I}",
			"start", json_sprintf("%" PRIx64, (uint64_t)v->start),
			"end", json_sprintf("%" PRIx64, (uint64_t)v->end), "prot", prot,
			"path", report_text(m->vmas[i].path), "offset", I(v->pgoff))))
			break;
	}
	return list;
}

static json_t *process_to_json(const struct ckpt_model *m)
{
	return json_pack("{s:i,s:i,s:i,s:i,s:o,s:o,s:I,s:o,s:o,s:o,s:I,s:I,s:I,s:o,s:o}",
			 "pid", m->proc.pid, "ppid", m->proc.ppid, "pgid", m->proc.pgid,
			 "sid", m->proc.sid, "exe", report_text(m->paths[CKPT_PATH_EXE].path),
			 "cwd", report_text(m->paths[CKPT_PATH_CWD].path),
			 "umask", I(m->proc.umask), "threads", threads_to_json(m),
			 "fds", fds_to_json(m), "mappings", vmas_to_json(m),
			 "locks", I(m->nr_locks), "timers", I(m->nr_timers),
			 "pending_signals", I(m->nr_sigpending),
			 "kernel", report_text(m->system.release),
			 "module", report_text(m->system.module_version));
}

/* ------------------------------------------------------------------------ JSON of an image */

static json_t *recipients_to_json(const struct image *image)
{
	json_t *list = json_array();
	char text[KEY_TEXT];

	for (size_t i = 0; i < image_recipients(image); i++) {
		key_public_text(image_recipient(image, i), text);
		if (!append(&list, json_string(text)))
			break;
	}
	return list;
}

/* Which generations it has pages in. */
static json_t *sources_to_json(const struct image *image)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < image_nr_sources(image); i++) {
		struct image_source s;

		image_get_source(image, i, &s);
		if (!append(&list, json_pack("{s:o,s:I}", "job", report_text(s.job), "generation",
					     I(s.generation))))
			break;
	}
	return list;
}

static json_t *info_to_json(const struct image *image)
{
	const struct image_info *i = image_get_info(image);

	return json_pack("{s:i,s:o,s:o,s:i,s:I,s:b,s:I,s:b,s:I,s:o,s:o,s:I,s:i,s:b,s:b,s:b,s:o,s:o}",
			 "version", (int)i->version, "job", report_text(i->job),
			 "comm", report_text(i->comm), "pid", (int)i->pid,
			 "generation", I(i->generation), "delta", image_info_is_delta(i),
			 "parent_generation", I(i->parent_generation),
			 "compacted", !util_is_zero(i->replaced_digest, sizeof(i->replaced_digest)),
			 "created_ns", I(i->created_ns), "hostname", report_text(i->hostname),
			 "kernel", report_text(i->kernel), "size", I(i->file_size),
			 "page_size", (int)i->page_size,
			 "encrypted", image_info_is_encrypted(i), "locked", image_is_locked(image),
			 "parent_encrypted", !util_is_zero(i->parent_key_id, sizeof(i->parent_key_id)),
			 "recipients", recipients_to_json(image), "shares_with", sources_to_json(image));
}

/* Section body as JSON; null when there is none, or none that is sound: damage is verify's to tell. */
static int load_json(struct image *image, uint32_t owner, uint32_t sub, struct ckpt_err *err,
		     json_t **ret)
{
	int section = image_find(image, IMAGE_META, owner, sub), code = -EBADMSG;
	struct ckpt_err why = CKPT_ERR_INIT;
	size_t len;
	void *data;

	if (section >= 0)
		code = image_load(image, section, &why, &data, &len);
	if (section >= 0 && !code) {
		code = meta_json(data, len, image_label(image), &why, ret);
		free(data);
	}
	if (code && code != -EBADMSG)
		return ckpt_err_set(err, code, "%s", why.text);
	if (code)
		*ret = json_null();
	return 0;
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
	*ret = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "data_pages", I(s.data_pages),
			 "zero_pages", I(s.zero_pages), "file_pages", I(s.file_pages),
			 "gone_pages", I(s.gone_pages),
			 "stored_bytes", I(s.stored_bytes), "runs", I(s.runs),
			 "shared_pages", I(s.shared_pages));
	return 0;
}

int report_model(struct image *image, uint32_t pid, struct ckpt_err *err,
		 struct ckpt_model **ret_model)
{
	int section = image_find(image, IMAGE_STATE, pid, 0);
	size_t len;
	void *data;
	int code;

	if (section < 0)
		return ckpt_err_set(err, EBADMSG, "%s: holds no state of process %u",
				    image_label(image), pid);
	code = image_load(image, section, err, &data, &len);
	if (code)
		return code;
	code = ckpt_model_parse(data, len, err, ret_model);
	free(data);
	return code;
}

static int load_process(struct image *image, uint32_t pid, struct ckpt_err *err, json_t **ret)
{
	struct ckpt_model *model;
	int code = report_model(image, pid, err, &model);

	if (code)
		return code;
	*ret = process_to_json(model);
	ckpt_model_free(model);
	return 0;
}

int report_image(struct image *image, const char *label, struct ckpt_err *err, json_t **ret)
{
	const struct image_info *info = image_get_info(image);
	json_t *process = NULL, *memory = NULL, *snapshot = NULL, *files = NULL, *tree = NULL;
	bool locked = image_is_locked(image);
	int code = load_memory(image, info->pid, err, &memory);

	if (locked) {
		process = json_null();
		snapshot = json_null();
		files = json_null();
		tree = json_null();
	}
	if (!code && !locked)
		code = load_process(image, info->pid, err, &process);
	if (!code && !locked)
		code = load_json(image, 0, IMAGE_META_SNAP, err, &snapshot);
	if (!code && !locked)
		code = load_json(image, info->pid, IMAGE_META_FILES, err, &files);
	if (!code && !locked)
		code = load_json(image, 0, IMAGE_META_TREE, err, &tree);
	if (!code) {
		*ret = json_pack("{s:b,s:o,s:o,s:O,s:O,s:O,s:O,s:O}", "ok", 1, "ref",
				 report_text(label), "image", info_to_json(image),
				 "process", process, "memory", memory, "snapshot", snapshot,
				 "files", files, "tree", tree);
		code = *ret ? 0 : ckpt_err_sys(err, ENOMEM, "%s: report", label);
	}
	json_decref(process);
	json_decref(memory);
	json_decref(snapshot);
	json_decref(files);
	json_decref(tree);
	return code;
}
