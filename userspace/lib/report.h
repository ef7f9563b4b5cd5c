/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.h - what an image holds, as JSON. */
#ifndef CKPT_REPORT_H
#define CKPT_REPORT_H

#include <jansson.h>

#include "err.h"
#include "image.h"

/* A string for JSON; bytes that are not UTF-8 become '?'.  NULL text is "". */
json_t *report_text(const char *text);

/* State of process @pid in @image, to be freed by ckpt_model_free(); -EBADMSG: it has none. */
struct ckpt_model;
int report_model(struct image *image, uint32_t pid, struct ckpt_err *err,
		 struct ckpt_model **ret_model);

/*
 * One object: "ref" (the label), "image" (header), "process" (threads, fds, mappings), "memory",
 * "snapshot" (IMAGE_META_SNAP) and "files" (IMAGE_META_FILES); the last three null when absent,
 * and "process" too while the image is locked.
 */
int report_image(struct image *image, const char *label, struct ckpt_err *err, json_t **ret);

#endif
