// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restore-segment.c - System V shared memory: the segments that the processes had attached, with number, key,
 * size, owner, mode and content, removed (SHM_DEST) or not.
 *
 * A segment outlives its program.  So it may still be there, with newer content: then it is used if nobody
 * has it attached, and gets the content of the snapshot back.
 *
 * Life of one:
 *  1. restore_segments_open(): what the image has of it; is there one of that number?  Nothing is touched.
 *  2. restore_segments_make(), when there are processes: one that is not there is made by the process that
 *     made it, or by the first, and attached by us.  Of one that is there we fill a copy of our own.
 *  3. the processes attach it (restore-mm.c), its content is written (restore_segment_write())
 *  4. restore_segments_finish(): owner, mode, locked; we let go of it, and only then it is removed, if it was
 *  5. restore_segments_commit(), right before the processes run: the copy goes into the one that was there,
 *     whose newer content is lost
 * A failure before 5 removes what was made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nameless.h"
#include "restore-files.h"
#include "restore-segment.h"
#include "segment.h"

#define MODE_BITS	0777

struct segment {
	const struct ckpt_model_vma *v;		/* the first mapping of it */
	struct segment_head head;
	char *data;				/* what is in no pages; data_len bytes */
	size_t data_len;
	char *at;				/* ours: attached, or a copy of one that was there */
	bool was_there;
	bool made;				/* and not removed yet */
};

static int id_of(const struct segment *s)
{
	return (int)s->v->rec.id.ino;
}

static uint64_t length_of(const struct segment *s)
{
	return (s->v->rec.id.size + RESTORE_PAGE - 1) & ~(RESTORE_PAGE - 1);
}

/* The key it was made with, which its mappings are called by for ever. */
static key_t key_of_name(const struct segment *s)
{
	const char *name = s->v->path ? strstr(s->v->path, "SYSV") : NULL;

	return name ? (key_t)strtoul(name + 4, NULL, 16) : 0;
}

static int tell(struct restore *rs, const struct segment *s, int code, const char *what)
{
	return ckpt_err_sys(rs->err, code, "System V segment %d (key %#x): %s", id_of(s),
			    (unsigned int)s->head.key, what);
}

static struct segment *find(struct restore_set *set, const struct ckpt_model_vma *v)
{
	for (size_t i = 0; i < set->nr_segments; i++)
		if (nameless_same(set->segments[i].v, v))
			return &set->segments[i];
	return NULL;
}

/* ------------------------------------------------------------ 1: is there one? */

static int load(struct restore *rs, size_t vma, struct segment *s)
{
	const uint32_t owner = (uint32_t)rs->m->proc.pid;
	int section = image_find(rs->image, IMAGE_META, owner, META_SUB_MAPPED + (uint32_t)vma), r;
	void *data;
	size_t len;

	if (section < 0)
		return ckpt_err_set(rs->err, -ENODATA, "System V segment %d: the image does not tell what it was",
				    id_of(s));
	r = image_load(rs->image, (uint32_t)section, rs->err, &data, &len);
	if (r)
		return r;
	s->data = data;
	if (len < sizeof(s->head) || len - sizeof(s->head) > s->v->rec.id.size || !s->v->rec.id.size ||
	    s->v->rec.id.size > RESTORE_TASK_END || s->v->rec.id.ino > INT32_MAX)
		return ckpt_err_set(rs->err, -EBADMSG, "System V segment %d: is not described as one", id_of(s));
	memcpy(&s->head, data, sizeof(s->head));
	s->data_len = len - sizeof(s->head);
	return 0;
}

/* Whether what has the number is what the program had.  A removed one goes with its last process. */
static bool is_the_one(const struct restore *rs, const struct segment *s, const struct shmid_ds *ds)
{
	const struct segment_head *h = &s->head;

	if (ds->shm_perm.mode & SHM_DEST || h->mode & SHM_DEST || ds->shm_perm.__key != h->key ||
	    ds->shm_segsz != s->v->rec.id.size || ds->shm_perm.cuid != h->cuid || ds->shm_perm.cgid != h->cgid)
		return false;
	/* Without a key only who made it tells; that may have been an earlier restore. */
	return h->key || ds->shm_cpid == h->cpid || ds->shm_cpid == rs->set->v[0].m->proc.pid;
}

static int look_for(struct restore *rs, struct segment *s)
{
	struct shmid_ds ds;

	if (shmctl(id_of(s), IPC_STAT, &ds))
		return errno == EINVAL || errno == EIDRM ? 0 : tell(rs, s, errno, "look for it");
	s->was_there = is_the_one(rs, s, &ds);
	if (s->was_there && !ds.shm_nattch)
		return 0;
	if (s->was_there) {
		tell(rs, s, EBUSY, "is attached by others");
		ckpt_err_hint(rs->err, "the last was process %d; end them first", ds.shm_lpid);
	} else {
		tell(rs, s, EEXIST, "the number belongs to another one by now");
		ckpt_err_hint(rs->err, "that one is of user %u, made by process %d, %zu bytes, with %lu attached: "
			      "remove it (ipcrm -m %d) if nobody needs it", ds.shm_perm.cuid, ds.shm_cpid,
			      ds.shm_segsz, (unsigned long)ds.shm_nattch, id_of(s));
	}
	return s->was_there ? -EBUSY : -EEXIST;
}

int restore_segments_open(struct restore *rs)
{
	struct restore_set *set = rs->set;
	int r = 0;

	for (size_t i = 0; !r && i < rs->m->nr_vmas; i++) {
		const struct ckpt_model_vma *v = &rs->m->vmas[i];
		struct segment *more;

		if (!segment_maps(v) || find(set, v))
			continue;
		more = reallocarray(set->segments, set->nr_segments + 1, sizeof(*more));
		if (!more)
			return ckpt_err_sys(rs->err, ENOMEM, "System V segments");
		set->segments = more;
		more += set->nr_segments++;
		*more = (struct segment){ .v = v };
		r = load(rs, i, more);
		if (!r)
			r = look_for(rs, more);
	}
	return r;
}

/* ------------------------------------------------------------ 2: make it */

int restore_next_number(const char *kind, int id)
{
	char path[64], text[16];
	int n = snprintf(text, sizeof(text), "%d", id), fd, r = 0;

	snprintf(path, sizeof(path), "/proc/sys/kernel/%s_next_id", kind);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)n) != n)
		r = -errno;
	close(fd);
	return r;
}

static struct restore *maker(struct restore *rs, const struct segment *s)
{
	for (size_t i = 0; i < rs->set->nr; i++)
		if (rs->set->v[i].m->proc.pid == s->head.cpid)
			return &rs->set->v[i];
	return rs;
}

int restore_become(struct restore *by, uint32_t uid, uint32_t gid, bool group_first)
{
	const uint64_t keep = (uint64_t)-1;
	int r = 0;

	if (group_first)
		r = remote_call(leader(by), by->err, "take another group", SYS_setresgid,
				REMOTE_ARGS(keep, gid, keep), NULL);
	if (!r)
		r = remote_call(leader(by), by->err, "take another user", SYS_setresuid,
				REMOTE_ARGS(keep, uid, keep), NULL);
	if (!r && !group_first)
		r = remote_call(leader(by), by->err, "take another group", SYS_setresgid,
				REMOTE_ARGS(keep, gid, keep), NULL);
	return r;
}

/* The number it got, or -errno; in @ret an error of ours. */
static long get(struct restore *by, const struct segment *s, key_t key, int *ret)
{
	const uint32_t uid = geteuid(), gid = getegid();
	const bool other = s->head.cuid != uid || s->head.cgid != gid;
	long id = -EINTR;
	int flags = IPC_CREAT | IPC_EXCL | (int)(s->head.mode & MODE_BITS);

	if (s->v->rec.flags & CKPT_VMA_NORESERVE)
		flags |= SHM_NORESERVE;
	*ret = other ? restore_become(by, s->head.cuid, s->head.cgid, true) : 0;
	if (!*ret)
		*ret = restore_next_number("shm", id_of(s));
	if (!*ret)
		*ret = remote_try(leader(by), by->err, SYS_shmget,
				  REMOTE_ARGS((uint64_t)key, s->v->rec.id.size, (uint64_t)flags), &id);
	if (!*ret && other)
		*ret = restore_become(by, uid, gid, false);
	return id;
}

static int make(struct restore *rs, struct segment *s)
{
	const key_t key = s->head.mode & SHM_DEST ? key_of_name(s) : s->head.key;
	int r;
	long id = get(maker(rs, s), s, key, &r);

	/* One that is removed has no key any more, only its name: that is not worth a failure. */
	if (!r && id == -EEXIST && s->head.mode & SHM_DEST)
		id = get(maker(rs, s), s, IPC_PRIVATE, &r);
	if (r)
		return rs->err->code ? r : tell(rs, s, r, "choose its number (/proc/sys/kernel/shm_next_id)");
	if (id == -EEXIST) {
		r = tell(rs, s, EEXIST, "another segment has its key by now");
		ckpt_err_hint(rs->err, "that is segment %d: remove it (ipcrm -m) if nobody needs it",
			      shmget(key, 0, 0));
		return r;
	}
	if (id < 0)
		return tell(rs, s, (int)-id, "make it again");
	if (id != id_of(s)) {
		shmctl((int)id, IPC_RMID, NULL);
		r = tell(rs, s, EEXIST, "its place is taken by another segment");
		ckpt_err_hint(rs->err, "it has the same number modulo 32768; ipcs -m lists them");
		return r;
	}
	s->made = true;
	s->at = shmat((int)id, NULL, 0);
	if (s->at == (void *)-1) {
		s->at = NULL;
		return tell(rs, s, errno, "attach it");
	}
	return 0;
}

static int make_copy(struct restore *rs, struct segment *s)
{
	s->at = mmap(NULL, length_of(s), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);
	if (s->at != MAP_FAILED)
		return 0;
	s->at = NULL;
	return tell(rs, s, errno, "memory for its content");
}

/* Pages of zeros stay without memory. */
static void copy_pages(char *to, const char *from, uint64_t len)
{
	static const char zeros[RESTORE_PAGE];

	for (uint64_t at = 0; at < len; at += RESTORE_PAGE) {
		size_t n = len - at < RESTORE_PAGE ? len - at : RESTORE_PAGE;

		if (memcmp(from + at, zeros, n))
			memcpy(to + at, from + at, n);
	}
}

int restore_segments_make(struct restore *rs)
{
	struct restore_set *set = rs->set;
	int r = 0;

	for (size_t i = 0; is_root(rs) && !r && i < set->nr_segments; i++) {
		struct segment *s = &set->segments[i];

		r = s->was_there ? make_copy(rs, s) : make(rs, s);
		if (r)
			break;
		copy_pages(s->at, s->data + sizeof(s->head), s->data_len);
		free(s->data);
		s->data = NULL;
	}
	return r;
}

int restore_segment_write(struct restore *rs, const struct ckpt_model_vma *v, uint64_t addr,
			  const void *data, uint64_t len)
{
	const struct segment *s = find(rs->set, v);
	uint64_t at = v->rec.pgoff + (addr - v->rec.start);

	if (!s || !data || at >= length_of(s))
		return 0;
	copy_pages(s->at + at, data, len < length_of(s) - at ? len : length_of(s) - at);
	return 0;
}

/* ------------------------------------------------------------ 4, 5: as it was */

static int set_owner(struct restore *rs, const struct segment *s)
{
	struct shmid_ds ds = {
		.shm_perm = { .uid = s->head.uid, .gid = s->head.gid, .mode = s->head.mode & MODE_BITS },
	};

	if (shmctl(id_of(s), IPC_SET, &ds))
		return tell(rs, s, errno, "set owner and mode");
	if (shmctl(id_of(s), s->head.mode & SHM_LOCKED ? SHM_LOCK : SHM_UNLOCK, NULL) &&
	    s->head.mode & SHM_LOCKED)
		return tell(rs, s, errno, "lock it in memory");
	return 0;
}

int restore_segments_finish(struct restore *rs)
{
	struct restore_set *set = rs->set;
	int r = 0;

	for (size_t i = 0; is_root(rs) && !r && i < set->nr_segments; i++) {
		struct segment *s = &set->segments[i];

		if (!s->made)
			continue;
		shmdt(s->at);
		s->at = NULL;
		r = set_owner(rs, s);
		if (r || !(s->head.mode & SHM_DEST))
			continue;
		if (shmctl(id_of(s), IPC_RMID, NULL))
			r = tell(rs, s, errno, "remove it, as it was");
		s->made = s->made && r;
	}
	return r;
}

static int put_back(struct restore *rs, struct segment *s)
{
	char *to = shmat(id_of(s), NULL, 0);

	if (to == (void *)-1)
		return tell(rs, s, errno, "attach it");
	if (madvise(to, length_of(s), MADV_REMOVE))
		memset(to, 0, length_of(s));
	copy_pages(to, s->at, length_of(s));
	shmdt(to);
	return set_owner(rs, s);
}

int restore_segments_commit(struct restore *rs)
{
	struct restore_set *set = rs->set;
	int r = 0;

	for (size_t i = 0; is_root(rs) && !r && i < set->nr_segments; i++)
		if (set->segments[i].was_there)
			r = put_back(rs, &set->segments[i]);
	return r;
}

void restore_segments_close(struct restore_set *set, bool failed)
{
	for (size_t i = 0; i < set->nr_segments; i++) {
		struct segment *s = &set->segments[i];

		if (s->at && s->made)
			shmdt(s->at);
		else if (s->at)
			munmap(s->at, length_of(s));
		if (s->made && failed)
			shmctl(id_of(s), IPC_RMID, NULL);
		free(s->data);
	}
	free(set->segments);
	set->segments = NULL;
	set->nr_segments = 0;
}
