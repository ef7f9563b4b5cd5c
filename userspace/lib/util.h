/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* util.h - whole reads and writes, the library's hash, and text made safe. */
#ifndef CKPT_UTIL_H
#define CKPT_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define UTIL_HASH_SIZE	16

/* Write all @n bytes at the file's position; short writes and EINTR go on.  0 or -errno. */
int util_write_full(int fd, const void *p, size_t n);

/* Read exactly @n bytes at @off.  0, -errno, or -ENODATA if the file ends before. */
int util_pread_full(int fd, void *p, size_t n, uint64_t off);

/* Write all @n bytes at @off.  0 or -errno. */
int util_pwrite_full(int fd, const void *p, size_t n, uint64_t off);

/*
 * The next stretch of data of a file of @size bytes, from @at on: 1, 0 when there is none, -errno.  A file
 * system that knows no holes has data all through.
 */
int util_next_data(int fd, uint64_t size, uint64_t at, uint64_t *ret_begin, uint64_t *ret_end);

/*
 * fsync, and for directories treat "this file system has no such call" as done: there is nothing
 * more one can ask of it.  0 or -errno.
 */
int util_fsync(int fd);
int util_fsync_dir(int fd);

/* XXH3-128 in its canonical (big-endian) form, in one go or from a stream's state. */
struct XXH3_state_s;
void util_hash(const void *p, size_t n, uint8_t ret_hash[UTIL_HASH_SIZE]);
void util_hash_final(const struct XXH3_state_s *state, uint8_t ret_hash[UTIL_HASH_SIZE]);

/* What @clock shows, in nanoseconds. */
uint64_t util_clock_ns(clockid_t clock);

/* Whether @n bytes are all zero. */
int util_is_zero(const void *p, size_t n);

/* Copy with '?' for all that is not printable ASCII; @dst (@size bytes) is filled up with zeros. */
void util_copy_printable(char *dst, size_t size, const char *src);

/*
 * Put '?' for control bytes, and for the C1 controls as UTF-8 writes them: terminals obey both.  Text
 * of any other kind stays.  In place, the length stays.
 */
void util_make_printable(char *text);

/* Whether that would change nothing. */
bool util_is_printable(const char *text);

/* What a user can do about a failed write in the store, or NULL. */
const char *util_write_remedy(int code);

#endif
