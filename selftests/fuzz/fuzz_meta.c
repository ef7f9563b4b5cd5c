// SPDX-License-Identifier: GPL-2.0-only
/* The section that is JSON of any shape: the files a restore needs. */
#include <stdlib.h>

#include "err.h"
#include "meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct meta_files files;

	if (!meta_files_parse(data, size, &err, &files))
		meta_files_free(&files);
	return 0;
}
