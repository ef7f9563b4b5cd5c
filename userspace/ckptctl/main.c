// SPDX-License-Identifier: GPL-2.0-only
/* main.c - the table of verbs. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "ctl.h"

static const struct verb * const verbs[] = {
	&verb_snap, &verb_restore, &verb_list, &verb_show, &verb_verify, &verb_rm, &verb_gc,
	&verb_compact, &verb_diff, &verb_export, &verb_import, &verb_check, &verb_keygen, NULL,
};

/* What a generation is built on and shares with are open files; no more than the user may have anyhow. */
static void allow_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	int code;

	setlocale(LC_TIME, "");
	signal(SIGXFSZ, SIG_IGN);	/* EFBIG is told, and cleaned up after */
	allow_files();
	if (argc < 2) {
		ctl_help_all(verbs);
		return CTL_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		ctl_help_all(verbs);
		return CTL_OK;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		puts("ckptctl " CKPT_VERSION);
		return CTL_OK;
	}
	for (int i = 0; verbs[i]; i++) {
		if (strcmp(argv[1], verbs[i]->name))
			continue;
		ctl.verb = verbs[i];
		code = ctl.verb->run(&ctl, argc - 1, argv + 1);
		keyring_free(ctl.keyring);
		return code;
	}
	return ctl_usage(&ctl, "'%s' is not a verb", argv[1]);
}
