// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * snap-report.c - IMAGE_META_SNAP: what the snapshot cost and what it is of, as JSON.  Times in
 * nanoseconds, memory in pages of page_size.  A restore asks for "machine", "left_out" and "hooks" alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "machine.h"
#include "report.h"
#include "snap.h"

#define I(x)	((json_int_t)(x))

static json_t *pause_to_json(const struct ckpt_stats *s)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
			 "total_ns", I(s->out_pause_ns), "freeze_ns", I(s->out_freeze_ns),
			 "state_ns", I(s->out_state_ns), "copy_ns", I(s->out_copy_ns),
			 "arm_ns", I(s->out_arm_ns), "threads", I(s->out_threads),
			 "parked", I(s->out_parked), "asleep", I(s->out_asleep),
			 "woken", I(s->out_woken), "retries", I(s->out_retries),
			 "barrier_ns", I(s->out_barrier_ns));
}

/*
 * What a delta is made of, in pages: those left as they are in the parent; and why the others are in
 * it, though some fell out again, "same", since their bytes are the parent's.
 */
static json_t *delta_to_json(const struct snap_result *r)
{
	const struct ckpt_stats *s = &r->stats;

	return json_pack("{s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:I}", "parent", report_text(r->parent),
			 "why_full", report_text(r->why_full), "unchanged", I(s->out_parent),
			 "dirty", I(s->out_dirty), "uncovered", I(s->out_uncovered),
			 "copied", I(s->out_copied), "same", I(r->same_pages),
			 "gone", I(r->pages.gone_pages));
}

static json_t *memory_to_json(const struct ckpt_stats *s, const struct image_pages_stats *p)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
			 "armed", I(s->out_armed), "armed_huge", I(s->out_armed_huge),
			 "copied", I(s->out_copied), "faulted", I(s->out_faulted),
			 "data_pages", I(p->data_pages), "zero_pages", I(p->zero_pages),
			 "file_pages", I(p->file_pages), "stored_bytes", I(p->stored_bytes),
			 "runs", I(p->runs), "shared_pages", I(p->shared_pages));
}

const char * const snap_barriers[] = {
	[SNAP_BARRIER_AFTER] = "after", [SNAP_BARRIER_STRICT] = "strict", [SNAP_BARRIER_NONE] = "none", NULL
};

int snap_report_write(const struct snap_opts *opts, const struct ckpt_model *model,
		      const struct snap_result *r, struct image_writer *w, struct ckpt_err *err)
{
	struct machine machine;
	json_t *top;
	char *text;
	int ret;

	ret = machine_read(&machine);
	if (ret)
		return ckpt_err_sys(err, ret, "what machine this is");
	top = json_pack("{s:i,s:I,s:o,s:o,s:b,s:i,s:o,s:o,s:o,s:s,s:i,s:{s:i,s:I,s:i,s:I},"
			"s:{s:i,s:i,s:I,s:I},s:{s:I,s:I,s:I},s:o,s:o,s:s}",
			"version", 1, "pid", I(model->proc.pid),
			"comm", report_text(model->threads[0].rec.comm),
			"exe", report_text(model->paths[CKPT_PATH_EXE].path),
			"killed", opts->kill, "page_size", (int)model->system.page_size,
			"pause", pause_to_json(&r->stats),
			"memory", memory_to_json(&r->stats, &r->pages),
			"delta", delta_to_json(r),
			"barrier", snap_barriers[opts->barrier], "barrier_files", (int)r->barrier_files,
			"contents", "files", (int)r->contents.files, "bytes", I(r->contents.bytes),
			"stored", (int)r->contents.stored, "stored_bytes", I(r->contents.stored_bytes),
			"files", "kept", (int)r->kept_files, "cloned", (int)r->cloned_files,
			"copied_bytes", I(r->copied_bytes), "ns", I(r->kept_ns),
			"left_out", "bytes", I(r->omit.bytes), "mappings", I(r->omit.mappings),
			"saved_bytes", I(r->omit.saved_bytes), "hooks", hooks_to_json(&r->hooks),
			"machine", machine_to_json(&machine), "tools", CKPT_VERSION);
	text = top ? meta_text(top, JSON_COMPACT) : NULL;
	json_decref(top);
	if (!text)
		return ckpt_err_sys(err, ENOMEM, "figures of the snapshot");
	ret = image_writer_put(w, IMAGE_META, 0, IMAGE_META_SNAP, text, strlen(text), err);
	free(text);
	return ret;
}
