// SPDX-License-Identifier: GPL-2.0-only
/*
 * unlock.c - keys of encrypted images, read when the first of those is met: a key that cannot be read
 * does not matter to who has no use for it.
 */
#include <errno.h>

#include "ctl.h"

int ctl_keyring(struct ctl *ctl, struct ckpt_err *err)
{
	return ctl->keyring ? 0 : keyring_open(ctl->identities, ctl->nr_identities, err, &ctl->keyring);
}

int ctl_unlock(struct ctl *ctl, struct chain *chain, struct ckpt_err *err)
{
	int ret = chain_is_encrypted(chain) ? ctl_keyring(ctl, err) : 0;

	return ret ? ret : chain_unlock(chain, ctl->keyring, err);
}

int ctl_unlock_image(struct ctl *ctl, struct image *image, struct ckpt_err *err)
{
	int ret = image_is_locked(image) ? ctl_keyring(ctl, err) : 0;

	return ret ? ret : image_unlock(image, ctl->keyring, err);
}
