// SPDX-License-Identifier: GPL-2.0-only
/*
 * load.c - load the kernel module when it is not there and we may.
 *
 * CKPT_MODULE names a file to load; without it the module is looked for by name, as modprobe does.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libkmod.h>
#include <linux/ckpt.h>

#include "ctl.h"

#define MODULE_NAME	"ckpt"
#define MODULE_ENV	"CKPT_MODULE"

static bool may_load(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &head, data) &&
	       data[CAP_TO_INDEX(CAP_SYS_MODULE)].effective & CAP_TO_MASK(CAP_SYS_MODULE);
}

/* The module in question: 0, -ENOENT when there is none. */
static int find(struct kmod_ctx *ctx, struct kmod_module **ret_mod)
{
	const char *path = secure_getenv(MODULE_ENV);
	struct kmod_list *list = NULL;
	int ret;

	if (path && *path)
		return kmod_module_new_from_path(ctx, path, ret_mod);
	ret = kmod_module_new_from_lookup(ctx, MODULE_NAME, &list);
	if (ret < 0 || !list)
		return ret < 0 ? ret : -ENOENT;
	*ret_mod = kmod_module_get_module(list);
	kmod_module_unref_list(list);
	if (kmod_module_get_path(*ret_mod))
		return 0;
	kmod_module_unref(*ret_mod);
	return -ENOENT;
}

static int load_failed(const char *path, int ret, struct ckpt_err *err)
{
	switch (-ret) {
	case ENOEXEC:
	case EINVAL:
		ckpt_err_set(err, EPROTO, "%s: was not built for this kernel", path);
		ckpt_err_hint(err, "build it again for the kernel that runs, see dmesg");
		return -EPROTO;
	case EKEYREJECTED:
	case ENOKEY:
		ckpt_err_set(err, EOPNOTSUPP, "%s: this kernel loads signed modules only", path);
		ckpt_err_hint(err, "sign it with a key the kernel trusts (mokutil)");
		return -EOPNOTSUPP;
	case ENOENT:
		ckpt_err_set(err, EOPNOTSUPP, "%s: needs a symbol this kernel does not have", path);
		ckpt_err_hint(err, "see dmesg");
		return -EOPNOTSUPP;
	default:
		ckpt_err_sys(err, ret, "%s: cannot be loaded", path);
		ckpt_err_hint(err, "see dmesg");
		return ret;
	}
}

/* Name a file that CKPT_MODULE promises and that is not there. */
static int none_found(int code, struct ckpt_err *err)
{
	const char *path = secure_getenv(MODULE_ENV);

	if (path && *path)
		ckpt_err_set(err, ENODEV, "%s (from %s): %s", path, MODULE_ENV, strerror(-code));
	else
		ckpt_err_set(err, ENODEV, "the kernel module ckpt is neither loaded nor installed "
			     "for this kernel");
	ckpt_err_hint(err, "build it and run 'make install' or 'insmod ckpt.ko'");
	return -ENODEV;
}

int load_module(struct ckpt_err *err)
{
	struct kmod_module *mod;
	struct kmod_ctx *ctx;
	int ret;

	if (!access(CKPT_DEVICE, F_OK) || !may_load())
		return 0;
	ctx = kmod_new(NULL, NULL);
	if (!ctx)
		return ckpt_err_sys(err, ENOMEM, "loading the kernel module");
	ret = find(ctx, &mod);
	if (ret < 0) {
		kmod_unref(ctx);
		return none_found(ret, err);
	}
	ret = kmod_module_probe_insert_module(mod, KMOD_PROBE_APPLY_BLACKLIST_ALIAS_ONLY, NULL,
					      NULL, NULL, NULL);
	if (ret < 0 && ret != -EEXIST)
		ret = load_failed(kmod_module_get_path(mod), ret, err);
	else
		ret = 0;
	kmod_module_unref(mod);
	kmod_unref(ctx);
	return ret;
}
