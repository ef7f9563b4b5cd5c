// SPDX-License-Identifier: GPL-2.0-only
/* verify.c - ckptctl verify: read images whole and find every damaged byte. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalogue.h"
#include "chain.h"
#include "contents.h"
#include "ctl.h"
#include "state.h"
#include "store.h"

enum { OPT_ALL = CTL_LONG };

static const struct ctl_opt opts[] = {
	{ OPT_ALL, "all", NULL, "all images of the store" },
	CTL_OPT_IDENTITY,
	{ }
};

#define I(x)	((json_int_t)(x))

static void note_damage(const struct image_damage *d, void *arg)
{
	json_t *list = arg, *o;

	o = json_pack("{s:s,s:I,s:I,s:I,s:I}", "what", d->what, "section", I(d->section),
		      "kind", I(d->kind), "offset", I(d->offset), "size", I(d->size));
	if (o && d->is_frame) {
		json_object_set_new(o, "address_start", json_integer(I(d->addr_start)));
		json_object_set_new(o, "address_end", json_integer(I(d->addr_end)));
	}
	json_array_append_new(list, o);
}

/* The state has to be understood too: an image of a newer module may be sound and of no use. */
static int verify_state(struct image *image, struct ckpt_err *err)
{
	const struct image_info *info = image_get_info(image);
	int section = image_find(image, IMAGE_STATE, info->pid, 0);
	struct ckpt_model *model;
	size_t len;
	void *data;
	int ret;

	if (section < 0)
		return ckpt_err_set(err, EBADMSG, "%s: holds no state of process %u",
				    image_label(image), info->pid);
	ret = image_load(image, section, err, &data, &len);
	if (ret)
		return ret;
	ret = ckpt_model_parse(data, len, err, &model);
	free(data);
	if (!ret)
		ckpt_model_free(model);
	else
		ckpt_err_prefix(err, "%s", image_label(image));
	return ret;
}

struct all {
	struct ctl	*ctl;
	struct store	*store;
	struct catalogue *catalogue;
	bool		whole;		/* the content of what they are built on too */
	json_t		*images;
	int		first;		/* error of the first bad one */
};

static int verify_chain(struct all *a, struct chain *chain, bool locked, json_t *damages,
			struct ckpt_err *err, uint64_t *data_pages)
{
	int ret = 0;

	*data_pages = 0;
	for (size_t i = 0; !ret && i < (a->whole ? chain_length(chain) : 1); i++) {
		struct image_pages_stats stats = { 0 };

		ret = catalogue_verify(a->catalogue, chain, i, note_damage, damages, err, &stats);
		*data_pages += stats.data_pages;
	}
	/* and that it comes together: each has what the next one takes for granted */
	if (!ret)
		ret = chain_load(chain, image_get_info(chain_image(chain))->pid, err);
	if (!ret && !locked)
		ret = contents_check(chain, image_get_info(chain_image(chain))->pid, err);
	return ret || locked ? ret : verify_state(chain_image(chain), err);
}

/* Checksums can be looked at without a key. */
static int unlock(const struct all *a, struct chain *chain, struct ckpt_err *err, bool *ret_locked)
{
	int ret = ctl_unlock_if_can(a->ctl, chain, err, ret_locked);

	if (ret == -EBADMSG)
		catalogue_forged(a->catalogue, chain);
	return ret;
}

static int verify_ref(struct all *a, const char *text)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	json_t *damages = json_array(), *o;
	struct chain *chain = NULL;
	uint64_t data_pages = 0;
	bool locked = false;
	size_t length = 0;
	int ret;

	ret = chain_open(a->store, text, false, &err, &chain);
	if (!ret) {
		length = chain_length(chain);
		ret = unlock(a, chain, &err, &locked);
	}
	if (!ret)
		ret = verify_chain(a, chain, locked, damages, &err, &data_pages);
	o = json_pack("{s:o,s:b,s:o,s:i,s:o,s:I,s:I,s:b,s:b}", "ref",
		      report_text(chain ? chain_ref(chain)->label : text), "ok", !ret, "error",
		      report_text(ret ? err.text : ""), "errno", err.code, "damages", damages,
		      "data_pages", I(data_pages), "generations", I(length),
		      "encrypted", chain && chain_is_encrypted(chain), "locked", locked);
	chain_close(chain);
	if (err.code && !a->first)
		a->first = err.code;
	return json_array_append_new(a->images, o) ? -ENOMEM : 0;
}

static int verify_entry(const struct store_entry *e, void *arg)
{
	char ref[STORE_NAME_MAX + 24];

	snprintf(ref, sizeof(ref), "%s@%llu", e->name, (unsigned long long)e->generation);
	return verify_ref(arg, ref);
}

static const char *locked(const struct ctl *ctl, json_t *o)
{
	if (!json_is_true(json_object_get(o, "locked")))
		return "";
	return ctl->keyring ? "  (encrypted: content not authenticated, no key that was given opens it)" :
		"  (encrypted: content not authenticated without the key)";
}

/* Damage is the image's; of anything else nobody should conclude that it is lost. */
static const char *word(json_t *o)
{
	uint64_t code = out_get(o, "errno");

	return code == EBADMSG || code == EINVAL ? "DAMAGED" : code == ESTALE ? "FOREIGN" : "FAILED ";
}

static void human(const struct ctl *ctl, json_t *report)
{
	json_t *o, *d;
	size_t i, k;

	json_array_foreach(json_object_get(report, "images"), i, o) {
		if (json_is_true(json_object_get(o, "ok"))) {
			printf("%sok%s       %s%s\n", out_green(), out_plain(), out_get_text(o, "ref"),
			       locked(ctl, o));
			continue;
		}
		/* the error begins with the reference */
		printf("%s%s%s  %s\n", out_red(), word(o), out_plain(), out_get_text(o, "error"));
		json_array_foreach(json_object_get(o, "damages"), k, d) {
			printf("         %s, at byte %llu", out_get_text(d, "what"),
			       (unsigned long long)out_get(d, "offset"));
			if (json_object_get(d, "address_end"))
				printf(", addresses %#llx to %#llx",
				       (unsigned long long)out_get(d, "address_start"),
				       (unsigned long long)out_get(d, "address_end"));
			putchar('\n');
		}
	}
}

static int verify_operands(struct all *a, bool all, int argc, char **argv)
{
	int ret = 0;

	if (all)
		ret = store_list(a->store, NULL, verify_entry, a, &a->ctl->err);
	for (int i = optind; !all && !ret && i < argc; i++)
		ret = verify_ref(a, argv[i]);
	return ret ? ckpt_err_sys(&a->ctl->err, ret, "report") : 0;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct all a = { .ctl = ctl, .whole = true };
	bool all = false, need_store;
	const char *arg;
	int ret = 0;

	while (ctl_next(ctl, argc, argv, &arg) == OPT_ALL)
		all = true;
	a.whole = !all;		/* then each is verified for itself, and that all are there */
	if (all == (argc > optind))
		return ctl_usage(ctl, all ? "--all takes no names" : "what to verify is missing");
	need_store = all;
	for (int i = optind; i < argc; i++)
		need_store |= !store_ref_is_path(argv[i]);
	if (need_store)
		ret = store_open(ctl->store, false, &ctl->err, &a.store);
	if (ret)
		return ctl_fail(ctl, NULL);
	a.catalogue = catalogue_open(a.store);
	a.images = json_array();	/* NULL: then nothing can be put into it either */
	ret = verify_operands(&a, all, argc, argv);
	catalogue_close(a.catalogue);
	store_close(a.store);
	if (ret) {
		json_decref(a.images);
		return ctl_fail(ctl, NULL);
	}
	ret = ctl_report(ctl, json_pack("{s:b,s:o}", "ok", !a.first, "images", a.images), human);
	return a.first ? ctl_exit_code(a.first) : ret;
}

const struct verb verb_verify = {
	.name = "verify", .args = "[OPTION]... REF...", .opts = opts, .run = run,
	.summary = "Read snapshots whole and find any damage",
	.about = "\nREF is JOB, JOB@GENERATION, or the path of an image. What it is built on is verified\n"
		 "with it.",
};
