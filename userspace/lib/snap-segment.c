// SPDX-License-Identifier: LGPL-2.1-or-later
/* snap-segment.c - see segment.h: what snap reads of a System V segment, in the pause.  No state. */
#include <errno.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "buf.h"
#include "nameless.h"
#include "segment.h"

int segment_read(const struct ckpt_model *model, const struct ckpt_model_vma *v, int fd, struct buf *content)
{
	struct segment_head head;
	struct shmid_ds ds;
	int ret;

	if (shmctl((int)v->rec.id.ino, IPC_STAT, &ds))
		return -errno;
	if (ds.shm_segsz != v->rec.id.size)
		return -ESTALE;
	head = (struct segment_head){
		.key = ds.shm_perm.__key, .uid = ds.shm_perm.uid, .gid = ds.shm_perm.gid,
		.cuid = ds.shm_perm.cuid, .cgid = ds.shm_perm.cgid, .mode = ds.shm_perm.mode,
		.cpid = ds.shm_cpid,
	};
	ret = buf_append(content, &head, sizeof(head));
	return ret ? ret : nameless_read(model, &v->rec.id, v, fd, content);
}
