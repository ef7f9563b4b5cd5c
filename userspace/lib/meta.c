// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * meta.c - see meta.h.  Owns the JSON form of IMAGE_META_FILES and the reading of build identities.
 * No state of its own; struct meta_files belongs to its caller.
 */
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <xxhash.h>

#include "meta.h"
#include "util.h"

#define NOTES_MAX	(64 * 1024)	/* a build identity sits in a few dozen bytes */
#define PHDRS_MAX	256
#define DIGEST_BATCH	(1u << 20)

const char * const meta_beside[META_BESIDE] = { "-journal", "-wal", "-shm" };

static struct meta_file *find(const struct meta_files *m, const char *path)
{
	for (size_t i = 0; i < m->nr; i++)
		if (!strcmp(m->files[i].path, path))
			return &m->files[i];
	return NULL;
}

const struct meta_file *meta_files_find(const struct meta_files *m, const char *path)
{
	return find(m, path);
}

int meta_files_add(struct meta_files *m, const struct meta_file *file)
{
	struct meta_file *old = find(m, file->path);
	char *path;

	if (old) {
		if (file->change > old->change) {
			path = old->path;
			*old = *file;
			old->path = path;
		}
		return 0;
	}
	if (m->nr == m->room) {
		size_t room = m->room ? 2 * m->room : 16;
		struct meta_file *files = reallocarray(m->files, room, sizeof(*files));

		if (!files)
			return -ENOMEM;
		m->files = files;
		m->room = room;
	}
	path = strdup(file->path);
	if (!path)
		return -ENOMEM;
	m->files[m->nr] = *file;
	m->files[m->nr].path = path;
	m->nr++;
	return 0;
}

int meta_files_add_pipe(struct meta_files *m, const struct meta_pipe *pipe)
{
	struct meta_pipe *pipes = reallocarray(m->pipes, m->nr_pipes + 1, sizeof(*pipes));

	if (!pipes)
		return -ENOMEM;
	m->pipes = pipes;
	pipes[m->nr_pipes++] = *pipe;
	return 0;
}

void meta_files_free(struct meta_files *m)
{
	for (size_t i = 0; i < m->nr; i++)
		free(m->files[i].path);
	free(m->files);
	free(m->pipes);
	memset(m, 0, sizeof(*m));
}

/* -------------------------------------------------------------------------- JSON, writing */

void meta_hex(const unsigned char *bytes, size_t n, char *hex)
{
	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 0xf];
	}
	hex[2 * n] = '\0';
}

static int set_path(json_t *o, const char *path)
{
	json_t *s = json_string(path);
	size_t len = strlen(path);
	char *hex;

	if (s)
		return json_object_set_new(o, "path", s);
	hex = malloc(2 * len + 1);	/* not UTF-8: JSON has no other way */
	if (!hex)
		return -1;
	meta_hex((const unsigned char *)path, len, hex);
	s = json_string(hex);
	free(hex);
	return json_object_set_new(o, "path_hex", s);
}

static const char * const change_names[] = {
	[META_FIXED] = "fixed", [META_GROW] = "grow", [META_INPLACE] = "inplace",
	[META_KEPT] = "kept", [META_ABSENT] = "absent",
};

static json_t *file_to_json(const struct meta_file *f)
{
	json_t *o = json_object();
	int bad = 0;

	bad |= set_path(o, f->path);
	bad |= json_object_set_new(o, "change", json_string(change_names[f->change]));
	bad |= json_object_set_new(o, "dev", json_integer((json_int_t)f->dev));
	bad |= json_object_set_new(o, "ino", json_integer((json_int_t)f->ino));
	bad |= json_object_set_new(o, "size", json_integer((json_int_t)f->size));
	bad |= json_object_set_new(o, "mtime_ns", json_integer(f->mtime_ns));
	bad |= json_object_set_new(o, "mode", json_integer(f->mode));
	if (f->change == META_KEPT) {
		bad |= json_object_set_new(o, "uid", json_integer(f->uid));
		bad |= json_object_set_new(o, "gid", json_integer(f->gid));
		bad |= json_object_set_new(o, "section", json_integer(f->section));
		if (f->keeper)
			bad |= json_object_set_new(o, "process", json_integer(f->keeper));
	}
	if (meta_has_content(f))
		bad |= json_object_set_new(o, "ctime_ns", json_integer(f->ctime_ns));
	if (meta_has_content(f) && f->held)
		bad |= json_object_set_new(o, "section", json_integer(f->section));
	if (f->build_id[0])
		bad |= json_object_set_new(o, "build_id", json_string(f->build_id));
	if (f->digest[0])
		bad |= json_object_set_new(o, "digest", json_string(f->digest));
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}

/* jansson does not see that it has no memory for a key: the text is without it then (2.14, do_dump()). */
char *meta_text(const json_t *json, size_t flags)
{
	char *text = json_dumps(json, flags), *again = text ? json_dumps(json, flags) : NULL;

	if (!again || strcmp(text, again)) {
		free(text);
		text = NULL;
	}
	free(again);
	return text;
}

const char * const meta_tcps[] = {
	[META_TCP_REFUSE] = "refuse", [META_TCP_CLOSE] = "close", [META_TCP_RESET] = "reset",
	[META_TCP_REPAIR] = "repair", NULL
};

int meta_files_format(const struct meta_files *m, char **ret_text)
{
	json_t *list = json_array(), *pipes = json_array(), *top = NULL;
	char *text = NULL;

	for (size_t i = 0; list && i < m->nr; i++)
		if (json_array_append_new(list, file_to_json(&m->files[i])) < 0)
			goto out;
	for (size_t i = 0; i < m->nr_pipes; i++)
		if (json_array_append_new(pipes, json_pack("{s:I,s:I}",
				"file", (json_int_t)m->pipes[i].file,
				"capacity", (json_int_t)m->pipes[i].capacity)) < 0)
			goto out;
	top = json_pack("{s:i,s:O,s:O,s:s,s:s*}", "version", 1, "files", list, "pipes", pipes, "tcp",
			meta_tcps[m->tcp], "hold", *m->hold ? m->hold : NULL);
	if (top)
		text = meta_text(top, JSON_COMPACT);
out:
	json_decref(list);
	json_decref(pipes);
	json_decref(top);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

/* -------------------------------------------------------------------------- JSON, reading */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Text of two digits a byte, without NUL bytes; NULL when it is not that. */
static char *from_hex(const char *hex)
{
	size_t len = strlen(hex);
	char *text;

	if (len % 2)
		return NULL;
	text = calloc(1, len / 2 + 1);
	for (size_t i = 0; text && i < len; i += 2) {
		int hi = hex_value(hex[i]), lo = hex_value(hex[i + 1]);

		if (hi < 0 || lo < 0 || !(hi | lo)) {
			free(text);
			return NULL;
		}
		text[i / 2] = hi << 4 | lo;
	}
	return text;
}

static bool get_int(json_t *o, const char *name, json_int_t *ret)
{
	json_t *v = json_object_get(o, name);

	if (!json_is_integer(v))
		return false;
	*ret = json_integer_value(v);
	return true;
}

static bool get_change(json_t *o, enum meta_change *ret)
{
	const char *name = json_string_value(json_object_get(o, "change"));

	for (unsigned int i = 0; name && i < sizeof(change_names) / sizeof(*change_names); i++)
		if (!strcmp(name, change_names[i])) {
			*ret = i;
			return true;
		}
	return false;
}

static bool get_u32(json_t *o, const char *name, uint32_t *ret)
{
	json_int_t n;

	if (!get_int(o, name, &n) || n < 0 || n > UINT32_MAX)
		return false;
	*ret = n;
	return true;
}

/* Of a file that is kept. */
static bool get_kept(json_t *o, struct meta_file *f)
{
	return f->change != META_KEPT ||
	       (get_u32(o, "uid", &f->uid) && get_u32(o, "gid", &f->gid) &&
		get_u32(o, "section", &f->section) &&
		(!json_object_get(o, "process") || get_u32(o, "process", &f->keeper)));
}

/* Of a file that must not change: whether the image has its content. */
static bool get_content(json_t *o, struct meta_file *f)
{
	json_int_t changed;

	if (!meta_has_content(f))
		return true;
	if (!get_int(o, "ctime_ns", &changed))
		return false;
	f->ctime_ns = changed;
	f->held = json_object_get(o, "section");
	return !f->held || (get_u32(o, "section", &f->section) && f->section >= META_CONTENT_FIRST);
}

/* 0, -EBADMSG or -ENOMEM. */
static int file_from_json(json_t *o, struct meta_files *m)
{
	const char *hex = json_string_value(json_object_get(o, "path_hex"));
	const char *path = json_string_value(json_object_get(o, "path"));
	const char *id = json_string_value(json_object_get(o, "build_id"));
	const char *digest = json_string_value(json_object_get(o, "digest"));
	json_int_t dev, ino, size, mtime, mode;
	struct meta_file f = { 0 };
	char *decoded = NULL;
	int ret;

	if (!path && hex)
		path = decoded = from_hex(hex);
	if (!path || !get_change(o, &f.change) || !get_kept(o, &f) || !get_int(o, "dev", &dev) ||
	    !get_int(o, "ino", &ino) || !get_int(o, "size", &size) || size < 0 ||
	    !get_int(o, "mtime_ns", &mtime) || !get_int(o, "mode", &mode) ||
	    (id && strlen(id) > META_BUILD_ID) || (digest && strlen(digest) != META_DIGEST)) {
		free(decoded);
		return -EBADMSG;
	}
	f.path = (char *)path;
	f.dev = dev;
	f.ino = ino;
	f.size = size;
	f.mtime_ns = mtime;
	f.mode = mode;
	if (id)
		strcpy(f.build_id, id);
	if (digest)
		strcpy(f.digest, digest);
	ret = get_content(o, &f) ? meta_files_add(m, &f) : -EBADMSG;
	free(decoded);
	return ret;
}

/* 0, -EBADMSG or -ENOMEM.  Absent in images of older versions. */
static int pipes_from_json(json_t *list, struct meta_files *m)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o) {
		json_int_t file, capacity;
		struct meta_pipe p;
		int ret;

		if (!get_int(o, "file", &file) || file < 0 || file > UINT32_MAX ||
		    !get_int(o, "capacity", &capacity) || capacity < 0 || capacity > INT32_MAX)
			return -EBADMSG;
		p = (struct meta_pipe){ file, capacity };
		ret = meta_files_add_pipe(m, &p);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * jansson does not look whether there was room for each byte of a token: without, it calls the rest
 * invalid, or a string comes out with one byte less.  errno tells of the first, another try of the
 * second.
 */
int meta_json(const void *text, size_t len, const char *what, struct ckpt_err *err,
	      json_t **ret_json)
{
	json_error_t why;
	json_t *o, *again;
	bool same;

	errno = 0;
	o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!o && errno != ENOMEM && json_error_code(&why) != json_error_out_of_memory)
		return ckpt_err_set(err, EBADMSG, "%s in the image: %s (line %d)", what, why.text,
				    why.line);
	again = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	same = json_equal(o, again);
	json_decref(again);
	if (!same) {
		json_decref(o);
		return ckpt_err_sys(err, ENOMEM, "%s", what);
	}
	*ret_json = o;
	return 0;
}

/* Images of before have none. */
static int tcp_from_json(const json_t *o, enum meta_tcp *ret)
{
	const char *word = json_string_value(o);

	*ret = META_TCP_REFUSE;
	while (word && meta_tcps[*ret] && strcmp(word, meta_tcps[*ret]))
		++*ret;
	return (o && !word) || !meta_tcps[*ret] ? -EBADMSG : 0;
}

/* Its name becomes part of a command. */
static int hold_from_json(const json_t *o, char *ret)
{
	const char *name = json_string_value(o);

	if (!o)
		return 0;
	if (!name || !hold_name_valid(name))
		return -EBADMSG;
	strcpy(ret, name);
	return 0;
}

int meta_files_parse(const void *text, size_t len, struct ckpt_err *err,
		     struct meta_files *ret_files)
{
	struct meta_files m = { 0 };
	json_t *top, *list, *o;
	size_t i = 0;
	int ret;

	ret = meta_json(text, len, "list of files", err, &top);
	if (ret)
		return ret;
	list = json_object_get(top, "files");
	ret = json_is_array(list) ? pipes_from_json(json_object_get(top, "pipes"), &m) : -EBADMSG;
	if (!ret)
		ret = tcp_from_json(json_object_get(top, "tcp"), &m.tcp);
	if (!ret)
		ret = hold_from_json(json_object_get(top, "hold"), m.hold);
	if (!ret)
		json_array_foreach(list, i, o) {
			ret = file_from_json(o, &m);
			if (ret)
				break;
		}
	json_decref(top);
	if (ret) {
		meta_files_free(&m);
		return ckpt_err_set(err, ret, ret == -ENOMEM ? "list of files: no memory" :
				    "list of files in the image: entry %zu is not understood", i);
	}
	*ret_files = m;
	return 0;
}

/* Entry @o, parsed as @f. */
static int place_one(json_t *o, const struct meta_file *f, meta_place_fn place, void *arg,
		     struct ckpt_err *err)
{
	uint32_t section;
	int ret;

	if (!meta_has_content(f))
		return 0;
	ret = place(f, arg, &section);
	if (!ret && json_object_set_new(o, "section", json_integer(section)))
		ret = ckpt_err_sys(err, ENOMEM, "list of files");
	return ret;
}

int meta_files_place(const void *text, size_t len, meta_place_fn place, void *arg,
		     struct ckpt_err *err, char **ret_text)
{
	struct meta_files m;
	json_t *top, *list;
	int ret = meta_files_parse(text, len, err, &m);

	if (ret)
		return ret;
	ret = meta_json(text, len, "list of files", err, &top);
	if (ret)
		goto out;
	list = json_object_get(top, "files");
	/* One path twice would be one entry, and those behind it would not be what they seem. */
	if (json_array_size(list) != m.nr)
		ret = ckpt_err_set(err, EBADMSG, "list of files in the image: a file is in it twice");
	for (size_t i = 0; !ret && i < m.nr; i++)
		ret = place_one(json_array_get(list, i), &m.files[i], place, arg, err);
	*ret_text = ret ? NULL : meta_text(top, JSON_COMPACT);
	if (!ret && !*ret_text)
		ret = ckpt_err_sys(err, ENOMEM, "list of files");
	json_decref(top);
out:
	meta_files_free(&m);
	return ret;
}

/* ------------------------------------------------------------- build identity and digest */

/* Find NT_GNU_BUILD_ID in @len bytes of notes. */
static bool find_note(const unsigned char *p, size_t len, char *hex)
{
	while (len >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *n = (const void *)p;
		size_t name = ((size_t)n->n_namesz + 3) & ~3ul;
		size_t desc = ((size_t)n->n_descsz + 3) & ~3ul;
		const unsigned char *id = p + sizeof(*n) + name;

		if (name > len || desc > len || sizeof(*n) + name + desc > len)
			return false;
		if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 &&
		    !memcmp(p + sizeof(*n), "GNU", 4) && 2 * n->n_descsz <= META_BUILD_ID) {
			meta_hex(id, n->n_descsz, hex);
			return true;
		}
		p += sizeof(*n) + name + desc;
		len -= sizeof(*n) + name + desc;
	}
	return false;
}

/* 1: found. */
static int search_segment(int fd, const Elf64_Phdr *ph, char *hex)
{
	unsigned char *notes;
	bool found = false;

	if (ph->p_type != PT_NOTE || !ph->p_filesz || ph->p_filesz > NOTES_MAX)
		return 0;
	notes = malloc(ph->p_filesz);
	if (!notes)
		return -ENOMEM;
	if (!util_pread_full(fd, notes, ph->p_filesz, ph->p_offset))
		found = find_note(notes, ph->p_filesz, hex);
	free(notes);
	return found;
}

int meta_build_id(int fd, char ret_hex[META_BUILD_ID + 1])
{
	Elf64_Ehdr eh;
	int ret = 0;

	ret_hex[0] = '\0';
	if (util_pread_full(fd, &eh, sizeof(eh), 0) || memcmp(eh.e_ident, ELFMAG, SELFMAG) ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phentsize != sizeof(Elf64_Phdr) ||
	    eh.e_phnum > PHDRS_MAX)
		return 0;
	for (int i = 0; !ret && i < eh.e_phnum; i++) {
		Elf64_Phdr ph;

		if (util_pread_full(fd, &ph, sizeof(ph), eh.e_phoff + i * sizeof(ph)))
			return 0;
		ret = search_segment(fd, &ph, ret_hex);
	}
	return ret < 0 ? ret : 0;
}

int meta_digest(int fd, uint64_t size, char ret_hex[META_DIGEST + 1])
{
	XXH3_state_t *state = XXH3_createState();
	unsigned char hash[UTIL_HASH_SIZE];
	char *buf = malloc(DIGEST_BATCH);
	int ret = state && buf ? 0 : -ENOMEM;

	ret_hex[0] = '\0';
	if (!ret)
		XXH3_128bits_reset(state);
	for (uint64_t at = 0; !ret && at < size;) {
		size_t n = size - at < DIGEST_BATCH ? size - at : DIGEST_BATCH;

		ret = util_pread_full(fd, buf, n, at);
		if (!ret)
			XXH3_128bits_update(state, buf, n);
		at += n;
	}
	if (!ret) {
		util_hash_final(state, hash);
		meta_hex(hash, sizeof(hash), ret_hex);
	}
	free(buf);
	XXH3_freeState(state);
	return ret;
}
