/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.h - what an image holds, as JSON. */
#ifndef CKPT_REPORT_H
#define CKPT_REPORT_H

#include <jansson.h>

#include "err.h"
#include "image.h"

/* A string for JSON; bytes that are not UTF-8 become '?'.  NULL text is "". */
json_t *report_text(const char *text);

/*
 * One object: "ref" (the label), "image" (header), "process" (threads, fds, mappings), "memory",
 * "snapshot" (IMAGE_META_SNAP) and "files" (IMAGE_META_FILES); the last three null when absent.
 */
int report_image(struct image *image, const char *label, struct ckpt_err *err, json_t **ret);

#endif
