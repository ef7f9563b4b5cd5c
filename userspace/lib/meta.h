/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meta.h - what userspace adds to an image beside the module's records: sections of kind
 * IMAGE_META.  Made by snap, read by restore and show.
 *
 *   owner 0    IMAGE_META_SNAP            JSON: figures of the snapshot, for people and tools
 *   owner PID  IMAGE_META_FILES           JSON: files the restore needs, see struct meta_file
 *   owner PID  META_SUB_DELETED + FILE    the bytes of a deleted file that was open, as they were
 *                                         at the pause; FILE is ckpt_rec_fd.file of the lowest
 *                                         descriptor of that inode; or those in a pipe of the
 *                                         program's own; or what a kind of its own keeps
 *   owner PID  META_SUB_IPC               of the root: semaphore sets and message queues, see ipc.h
 *   owner PID  META_SUB_MAPPED + MAPPING  likewise of one that nobody has open: MAPPING is the number of
 *                                         the first mapping of it in STATE, from 0.  See nameless.h
 *
 * FILE sections of owner PID: META_KEPT files by numbers from 0, contents of META_FIXED ones from
 * META_CONTENT_FIRST.
 *
 * JSON members a reader does not know are skipped.  A path is the member "path" when it is UTF-8,
 * else "path_hex", two digits a byte.
 */
#ifndef CKPT_META_H
#define CKPT_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hold.h"

#define META_SUB_DELETED	0x10000u	/* subs from here are contents of deleted files */
#define META_SUB_MAPPED		0x80000000u /* likewise of one that is only mapped, + number of the mapping */
#define META_SUB_IPC		0xffffu	/* System V semaphores and message queues, see ipc.h */
#define META_CONTENT_FIRST	0x1000000u /* FILE subs from here are contents of files that are META_FIXED */
#define META_BUILD_ID		64		/* hex digits kept, at most */
#define META_DIGEST		32		/* hex digits of an XXH3-128 */

/* What the program may do to a file after the snapshot; says how a restore has to treat it. */
enum meta_change {
	META_FIXED	= 0,	/* nothing: a file that differs at the restore is an error */
	META_GROW	= 1,	/* append: truncate back to size */
	META_INPLACE	= 2,	/* anything, and the image has not kept it: as META_FIXED */
	META_KEPT	= 3,	/* anything: put back what IMAGE_FILE section @section holds */
	META_ABSENT	= 4,	/* there was none of that name, and must be none */
};

/**
 * struct meta_file - a regular file the process has open or mapped
 * @path: as in the records
 * @change: enum meta_change
 * @dev: stat(2) by name, as the snapshot found it; for information
 * @ino: likewise
 * @size: bytes; for META_GROW those at the pause
 * @mtime_ns: modification time; META_GROW: of no meaning
 * @mode: st_mode
 * @uid: META_KEPT: owner
 * @gid: META_KEPT: group
 * @section: META_KEPT, and META_FIXED if @held: sub of the IMAGE_FILE section, owner as here but for
 * @keeper: META_KEPT: the process that owns the section, when it is another one of the tree; else 0
 * @held: META_FIXED: this image has the content, in @section
 * @ctime_ns: META_FIXED with a digest: change time, st_ctim, when it was read
 * @build_id: hex digits of the ELF build identity; empty when it has none
 * @digest: META_GROW: XXH3-128 of the first @size bytes in hex, so that a restore can tell whether
 *	the file did only grow; empty when it was not taken (a very long or unreadable file).
 *	META_FIXED: of all of it, when this image has its content, or, @held being false, the parent
 *	lists the same digest; else empty
 */
struct meta_file {
	char		*path;
	enum meta_change change;
	uint64_t	dev;
	uint64_t	ino;
	uint64_t	size;
	int64_t		mtime_ns;
	uint32_t	mode;
	uint32_t	uid;
	uint32_t	gid;
	uint32_t	section;
	uint32_t	keeper;
	bool		held;
	int64_t		ctime_ns;
	char		build_id[META_BUILD_ID + 1];
	char		digest[META_DIGEST + 1];
};

/**
 * struct meta_pipe - a pipe both of whose ends are the process's own
 * @file: ckpt_rec_fd.file of its lowest descriptor
 * @capacity: bytes, fcntl(F_GETPIPE_SZ)
 */
struct meta_pipe {
	uint32_t	file;
	uint32_t	capacity;
};

/*
 * What a database keeps beside a file and finds by its name: that with one of these at its end
 * (sqlite.org/tempfiles.html).
 */
#define META_BESIDE	3
extern const char * const meta_beside[META_BESIDE];

/* What a TCP connection whose other end is not in the image is to its program after a restore. */
enum meta_tcp {
	META_TCP_REFUSE	= 0,	/* there is none: the snapshot was refused */
	META_TCP_CLOSE	= 1,	/* at its end, behind what waits in it */
	META_TCP_RESET	= 2,	/* likewise, and ECONNRESET is told */
	META_TCP_REPAIR	= 3,	/* it goes on: the program was ended, and the other end waits */
};

/* Their names for people and in images, by the enum; a NULL ends them. */
extern const char * const meta_tcps[];

struct meta_files {
	enum meta_tcp	tcp;
	char		hold[HOLD_NAME_SIZE];	/* what keeps connections still; "": nothing */
	struct meta_file *files;	/* each path once */
	size_t		nr;
	size_t		room;
	struct meta_pipe *pipes;
	size_t		nr_pipes;
};

/*
 * Add a file, or sharpen the entry of its path: what allows more changes counts.  Copies the path.
 * 0 or -ENOMEM.
 */
int meta_files_add(struct meta_files *m, const struct meta_file *file);

/* NULL when there is none of that name. */
const struct meta_file *meta_files_find(const struct meta_files *m, const char *path);

/* Add a pipe.  0 or -ENOMEM. */
int meta_files_add_pipe(struct meta_files *m, const struct meta_pipe *pipe);

/* Forget the content; @m is empty again. */
void meta_files_free(struct meta_files *m);

/* As JSON text, to be freed.  0 or -ENOMEM. */
int meta_files_format(const struct meta_files *m, char **ret_text);

/* Read an IMAGE_META_FILES section.  0, -EBADMSG (not what it should be), -ENOMEM. */
int meta_files_parse(const void *text, size_t len, struct ckpt_err *err,
		     struct meta_files *ret_files);

/* Whether the image, or one it is built on, has the content of @file, which must not change. */
static inline bool meta_has_content(const struct meta_file *file)
{
	return file->change == META_FIXED && file->digest[0];
}

/* The section a content goes into: 0, or what the call fails with, and the text is told. */
typedef int (*meta_place_fn)(const struct meta_file *file, void *arg, uint32_t *ret_section);

/*
 * The same list, but that each file with a content is held, in the section @place gives; to be freed.
 * Members nobody knows stay.
 */
int meta_files_place(const void *text, size_t len, meta_place_fn place, void *arg,
		     struct ckpt_err *err, char **ret_text);

struct json_t;

/* JSON as text of jansson's @flags, to be freed; NULL: there is no memory. */
char *meta_text(const struct json_t *json, size_t flags);

/* Parse JSON of an image; @what names it.  0, -EBADMSG (not what it should be), -ENOMEM. */
int meta_json(const void *text, size_t len, const char *what, struct ckpt_err *err,
	      struct json_t **ret_json);

/*
 * Build identity of an ELF file as hex digits; "" when there is none or it cannot be read.
 * Sources: the PT_NOTE segments, note NT_GNU_BUILD_ID.  0 or -ENOMEM.
 */
int meta_build_id(int fd, char ret_hex[META_BUILD_ID + 1]);

/* @n bytes as hex digits and a NUL. */
void meta_hex(const unsigned char *bytes, size_t n, char *hex);

/* XXH3-128 of the first @size bytes, as hex digits.  0, -errno, -ENODATA: the file is shorter. */
int meta_digest(int fd, uint64_t size, char ret_hex[META_DIGEST + 1]);

#endif
