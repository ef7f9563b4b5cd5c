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

/* For who goes through a store: keys of the environment may be for something else. */
int ctl_keyring_if_can(struct ctl *ctl)
{
	int ret = ctl_keyring(ctl, &ctl->err);

	if (!ret || ctl->nr_identities)
		return ret;
	ctl_note(ctl, "%s: encrypted images stay as they are", ctl->err.text);
	ckpt_err_clear(&ctl->err);
	return 0;
}

int ctl_unlock(struct ctl *ctl, struct chain *chain, struct ckpt_err *err)
{
	int ret = chain_is_encrypted(chain) ? ctl_keyring(ctl, err) : 0;

	return ret ? ret : chain_unlock(chain, ctl->keyring, err);
}

/* A key that does not fit is no worse than none. */
int ctl_unlock_if_can(struct ctl *ctl, struct chain *chain, struct ckpt_err *err, bool *ret_locked)
{
	int ret = ctl_unlock(ctl, chain, err);

	*ret_locked = ret == -ENOKEY;
	if (!*ret_locked)
		return ret;
	chain_lock(chain);	/* those that it did fit */
	ckpt_err_clear(err);
	return 0;
}

int ctl_unlock_image_if_can(struct ctl *ctl, struct image *image, struct ckpt_err *err)
{
	int ret = image_is_locked(image) ? ctl_keyring(ctl, err) : 0;

	if (!ret)
		ret = image_unlock(image, ctl->keyring, err);
	if (ret != -ENOKEY)
		return ret;
	ckpt_err_clear(err);
	return 0;
}
