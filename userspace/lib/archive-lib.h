/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * archive-lib.h - libarchive, loaded when it is needed: it brings a dozen other libraries, which every start
 * of ckptctl would wait for.
 */
#ifndef CKPT_ARCHIVE_LIB_H
#define CKPT_ARCHIVE_LIB_H

#include <archive.h>
#include <archive_entry.h>

#include "err.h"

/* The calls of it that are used. */
#define ARCHIVE_CALLS(X) \
	X(archive_entry_filetype) \
	X(archive_entry_free) \
	X(archive_entry_hardlink) \
	X(archive_entry_new2) \
	X(archive_entry_pathname) \
	X(archive_entry_set_filetype) \
	X(archive_entry_set_mtime) \
	X(archive_entry_set_pathname) \
	X(archive_entry_set_perm) \
	X(archive_entry_set_size) \
	X(archive_entry_size) \
	X(archive_entry_size_is_set) \
	X(archive_entry_sparse_count) \
	X(archive_entry_symlink) \
	X(archive_errno) \
	X(archive_error_string) \
	X(archive_read_data_block) \
	X(archive_read_free) \
	X(archive_read_new) \
	X(archive_read_next_header) \
	X(archive_read_open) \
	X(archive_read_support_format_tar) \
	X(archive_set_error) \
	X(archive_write_close) \
	X(archive_write_data) \
	X(archive_write_free) \
	X(archive_write_header) \
	X(archive_write_new) \
	X(archive_write_open) \
	X(archive_write_set_bytes_in_last_block) \
	X(archive_write_set_bytes_per_block) \
	X(archive_write_set_format_pax_restricted)

#define ARCHIVE_CALL(name) __typeof__(&name) name;
struct archive_calls {
	ARCHIVE_CALLS(ARCHIVE_CALL)
};
#undef ARCHIVE_CALL

/* The same for all of the process, once archive_load() has succeeded. */
extern struct archive_calls archive_lib;

/* 0, or -ENOSYS: it is not installed. */
int archive_load(struct ckpt_err *err);

#endif
