// SPDX-License-Identifier: LGPL-2.1-or-later
/* ipc.c - see ipc.h.  No state. */
#include "ipc.h"

static bool measure_queue(const struct ipc_item *item, size_t left, size_t *ret)
{
	const char *at = (const char *)(item + 1);

	for (uint32_t i = 0; i < item->nr; i++) {
		const struct ipc_message *m = (const void *)(at + *ret);

		if (left - *ret < sizeof(*m) || m->len > IPC_MESSAGE_MAX || m->type < 1 ||
		    left - *ret - sizeof(*m) < ipc_padded(m->len))
			return false;
		*ret += sizeof(*m) + ipc_padded(m->len);
	}
	return true;
}

bool ipc_measure(const struct ipc_item *item, size_t left, size_t *ret_content)
{
	*ret_content = 0;
	if (left < sizeof(*item) || item->id < 0 || item->mode & ~IPC_MODE_BITS)
		return false;
	left -= sizeof(*item);
	if (item->what == IPC_QUEUE)
		return measure_queue(item, left, ret_content);
	if (item->what != IPC_SEMAPHORES || !item->nr || item->nr > IPC_VALUES_MAX)
		return false;
	*ret_content = ipc_padded(item->nr * sizeof(uint16_t));
	return *ret_content <= left;
}
