// SPDX-License-Identifier: GPL-2.0-only
/* keygen.c - ckptctl keygen: a pair of keys for encrypted images. */
#include <getopt.h>
#include <stdio.h>

#include "ctl.h"

static const struct ctl_opt opts[] = { { } };

/* The key alone, so that a script can take it. */
static void human(const struct ctl *ctl, json_t *o)
{
	printf("%s\n", out_get_text(o, "public"));
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	char public[KEY_TEXT];
	const char *arg;

	while (ctl_next(ctl, argc, argv, &arg))
		;
	if (argc - optind != 1)
		return ctl_usage(ctl, argc == optind ? "the file for the secret key is missing" :
				 "one file at a time");
	if (keyring_generate(argv[optind], &ctl->err, public))
		return ctl_fail(ctl, NULL);
	return ctl_report(ctl, json_pack("{s:b,s:s,s:o}", "ok", 1, "public", public, "file",
					 report_text(argv[optind])), human);
}

const struct verb verb_keygen = {
	.name = "keygen", .args = "[OPTION]... FILE", .opts = opts, .run = run,
	.summary = "Make a pair of keys for encrypted snapshots",
	.about = "\nThe secret key goes into FILE, which must not exist; restore --identity takes it. The\n"
		 "public one is printed; snap --encrypt-to takes it. The secret key is not needed, and\n"
		 "should not be, where snapshots are taken.",
};
