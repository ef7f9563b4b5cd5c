// SPDX-License-Identifier: LGPL-2.1-or-later
/* util.c - see util.h.  No state. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "util.h"

int util_write_full(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n) {
		ssize_t done = write(fd, at, n);

		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!done)
			return -EIO;	/* no file system does this; a loop would be worse */
		at += done;
		n -= done;
	}
	return 0;
}

int util_pread_full(int fd, void *p, size_t n, uint64_t off)
{
	char *at = p;

	while (n) {
		ssize_t done;

		if (off > INT64_MAX)
			return -EOVERFLOW;
		done = pread(fd, at, n, off);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!done)
			return -ENODATA;
		at += done;
		off += done;
		n -= done;
	}
	return 0;
}

int util_pwrite_full(int fd, const void *p, size_t n, uint64_t off)
{
	const char *at = p;

	while (n) {
		ssize_t done;

		if (off > INT64_MAX)
			return -EOVERFLOW;
		done = pwrite(fd, at, n, off);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!done)
			return -EIO;	/* as in util_write_full() */
		at += done;
		off += done;
		n -= done;
	}
	return 0;
}

int util_next_data(int fd, uint64_t size, uint64_t at, uint64_t *ret_begin, uint64_t *ret_end)
{
	off_t begin, end;

	if (at >= size)
		return 0;
	begin = lseek(fd, at, SEEK_DATA);
	if (begin < 0 && errno == ENXIO)
		return 0;
	end = begin < 0 ? -1 : lseek(fd, begin, SEEK_HOLE);
	if (begin < 0 || end < 0) {
		if (errno != EINVAL)
			return -errno;
		begin = at;
		end = size;
	}
	*ret_begin = begin;
	*ret_end = (uint64_t)end < size ? (uint64_t)end : size;
	return *ret_begin < *ret_end;
}

int util_fsync(int fd)
{
	int ret;

	do {
		ret = fsync(fd);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

int util_fsync_dir(int fd)
{
	int ret = util_fsync(fd);

	if (ret == -EINVAL || ret == -ENOSYS || ret == -EOPNOTSUPP)
		return 0;
	return ret;
}

void util_hash(const void *p, size_t n, uint8_t ret_hash[UTIL_HASH_SIZE])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(p, n));
	memcpy(ret_hash, canonical.digest, UTIL_HASH_SIZE);
}

void util_hash_final(const struct XXH3_state_s *state, uint8_t ret_hash[UTIL_HASH_SIZE])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	memcpy(ret_hash, canonical.digest, UTIL_HASH_SIZE);
}

uint64_t util_clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int util_is_zero(const void *p, size_t n)
{
	static const char zero[16];
	const char *at = p;

	/* the first bytes settle most pages; then each byte equals the one 16 before it */
	if (n <= sizeof(zero))
		return !memcmp(at, zero, n);
	return !memcmp(at, zero, sizeof(zero)) && !memcmp(at, at + sizeof(zero), n - sizeof(zero));
}

void util_copy_printable(char *dst, size_t size, const char *src)
{
	size_t i = 0;

	for (; src && src[i] && i + 1 < size; i++)
		dst[i] = src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?';
	memset(dst + i, 0, size - i);
}

bool util_is_printable(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	for (; *at; at++)
		if (*at < 0x20 || *at == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0))
			return false;
	return true;
}

void util_make_printable(char *text)
{
	unsigned char *at = (unsigned char *)text;

	for (; *at; at++) {
		if (*at < 0x20 || *at == 0x7f)
			*at = '?';
		else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
			at[0] = at[1] = '?';
	}
}

const char *util_write_remedy(int code)
{
	switch (code < 0 ? -code : code) {
	case ENOSPC:
	case EDQUOT:
		return "free some space or use another store (--store DIR or CKPT_STORE)";
	case EROFS:
		return "use a store on a writable file system (--store DIR or CKPT_STORE)";
	case EACCES:
	case EPERM:
		return "use a store you may write to (--store DIR or CKPT_STORE)";
	case EFBIG:
		return "raise the file size limit (ulimit -f) or use another file system";
	case EIO:
		return "see to the disk of the store, or use another store (--store DIR or CKPT_STORE)";
	default:
		return NULL;
	}
}
