// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * api-capture.c - libckpt.h: errors, device, session, picture.  Contexts own one descriptor each.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "libckpt.h"

#include "device.h"
#include "err.h"

struct ckpt_dev {
	int			fd;
	struct ckpt_query	query;
};

struct ckpt_session {
	int	fd;
	pid_t	pid;
};

struct ckpt_picture {
	int	fd;
};

const char *ckpt_version(void)
{
	return CKPT_VERSION;
}

/* --------------------------------------------------------------------------------- error */

struct ckpt_err *ckpt_err_new(void)
{
	return calloc(1, sizeof(struct ckpt_err));
}

void ckpt_err_free(struct ckpt_err *err)
{
	free(err);
}

int ckpt_err_code(const struct ckpt_err *err)
{
	return err->code;
}

const char *ckpt_err_text(const struct ckpt_err *err)
{
	return err->text;
}

/* -------------------------------------------------------------------------------- device */

int ckpt_dev_open(struct ckpt_err *err, struct ckpt_dev **ret_dev)
{
	struct ckpt_dev *dev = calloc(1, sizeof(*dev));
	int ret;

	if (!dev)
		return ckpt_err_sys(err, ENOMEM, CKPT_DEVICE);
	ret = device_open(err, &dev->query, &dev->fd);
	if (ret)
		free(dev);
	else
		*ret_dev = dev;
	return ret;
}

void ckpt_dev_close(struct ckpt_dev *dev)
{
	if (dev)
		close(dev->fd);
	free(dev);
}

const struct ckpt_query *ckpt_dev_query(const struct ckpt_dev *dev)
{
	return &dev->query;
}

/* ------------------------------------------------------------------------------- session */

int ckpt_session_attach(struct ckpt_dev *dev, pid_t pid, struct ckpt_err *err,
			struct ckpt_session **ret_session)
{
	struct ckpt_session *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return ckpt_err_sys(err, ENOMEM, "process %d", pid);
	s->pid = pid;
	ret = device_attach(dev->fd, pid, 0, err, &s->fd);
	if (ret)
		free(s);
	else
		*ret_session = s;
	return ret;
}

void ckpt_session_close(struct ckpt_session *session)
{
	if (session)
		close(session->fd);
	free(session);
}

int ckpt_session_freeze(struct ckpt_session *session, uint32_t timeout_ms, struct ckpt_err *err,
			struct ckpt_freeze *ret_freeze)
{
	return session_freeze(session->fd, session->pid, timeout_ms, err, ret_freeze);
}

int ckpt_session_thaw(struct ckpt_session *session, struct ckpt_err *err, uint64_t *ret_pause_ns)
{
	return session_thaw(session->fd, err, ret_pause_ns);
}

static int give_records(int ret, struct buf *records, void **ret_records, size_t *ret_len)
{
	if (ret) {
		buf_free(records);
		return ret;
	}
	*ret_records = records->data;	/* buf uses malloc(); the caller frees it now */
	*ret_len = records->len;
	return 0;
}

int ckpt_session_state(struct ckpt_session *session, struct ckpt_err *err, void **ret_records,
		       size_t *ret_len)
{
	struct buf records = { 0 };
	int ret = session_state(session->fd, err, &records);

	return give_records(ret, &records, ret_records, ret_len);
}

/* ------------------------------------------------------------------------------- picture */

static int new_picture(int fd, struct ckpt_err *err, struct ckpt_picture **ret_picture)
{
	struct ckpt_picture *p = calloc(1, sizeof(*p));

	if (!p) {
		close(fd);
		return ckpt_err_sys(err, ENOMEM, "snapshot");
	}
	p->fd = fd;
	*ret_picture = p;
	return 0;
}

int ckpt_session_picture(struct ckpt_session *session, uint32_t flags, struct ckpt_err *err,
			 struct ckpt_picture **ret_picture)
{
	int fd, ret = session_snapshot(session->fd, session->pid, flags, NULL, NULL, err, &fd);

	return ret ? ret : new_picture(fd, err, ret_picture);
}

int ckpt_picture_take(struct ckpt_dev *dev, pid_t pid, uint32_t flags, uint32_t timeout_ms,
		      struct ckpt_err *err, struct ckpt_picture **ret_picture)
{
	int fd, ret = device_snap(dev->fd, pid, flags, timeout_ms, NULL, err, &fd);

	return ret ? ret : new_picture(fd, err, ret_picture);
}

int ckpt_picture_take_delta(struct ckpt_dev *dev, pid_t pid, uint32_t flags, uint32_t timeout_ms,
			    const uint8_t *parent, struct ckpt_err *err,
			    struct ckpt_picture **ret_picture)
{
	int fd, ret = device_snap(dev->fd, pid, flags | CKPT_SNAPSHOT_TRACK, timeout_ms, parent, err,
				  &fd);

	return ret ? ret : new_picture(fd, err, ret_picture);
}

int ckpt_picture_commit(struct ckpt_picture *picture, const uint8_t *id, struct ckpt_err *err)
{
	return snapshot_commit(picture->fd, id, CKPT_COMMIT_PIN, err);
}

int ckpt_untrack(struct ckpt_dev *dev, pid_t pid, struct ckpt_err *err)
{
	return device_untrack(dev->fd, pid, err);
}

void ckpt_picture_close(struct ckpt_picture *picture)
{
	if (picture)
		close(picture->fd);
	free(picture);
}

int ckpt_picture_fd(const struct ckpt_picture *picture)
{
	return picture->fd;
}

int ckpt_picture_state(struct ckpt_picture *picture, struct ckpt_err *err, void **ret_records,
		       size_t *ret_len)
{
	struct buf records = { 0 };
	int ret = snapshot_state(picture->fd, err, &records);

	return give_records(ret, &records, ret_records, ret_len);
}

int ckpt_picture_map(struct ckpt_picture *picture, uint64_t start, struct ckpt_run *runs,
		     uint32_t nr, struct ckpt_err *err, uint32_t *ret_nr, uint64_t *ret_next)
{
	return snapshot_map(picture->fd, start, runs, nr, err, ret_nr, ret_next);
}

int ckpt_picture_barrier(struct ckpt_picture *picture, struct ckpt_err *err,
			 struct ckpt_barrier *ret_barrier)
{
	return snapshot_barrier(picture->fd, 0, err, ret_barrier);
}

int ckpt_picture_read(struct ckpt_picture *picture, uint64_t addr, void *buf, size_t len,
		      struct ckpt_err *err)
{
	return snapshot_read(picture->fd, addr, buf, len, err);
}

int ckpt_picture_stats(struct ckpt_picture *picture, struct ckpt_err *err,
		       struct ckpt_stats *ret_stats)
{
	return snapshot_stats(picture->fd, err, ret_stats);
}
