/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ctl.h - what the verbs of ckptctl share.
 *
 *	ctl.c		options, exit codes, errors
 *	out.c		figures for people, JSON for scripts
 *	progress.c	the bar, and being interrupted
 *	load.c		the kernel module
 *	memory.c	a snapshot's memory and state
 *	tar.c		export --tar, and import
 *	unlock.c	keys of encrypted images
 *	main.c		the table of verbs
 *	VERB.c		one verb: its options and its run()
 */
#ifndef CKPTCTL_H
#define CKPTCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "chain.h"
#include "err.h"
#include "keyring.h"
#include "report.h"
#include "state.h"

/* Part of the interface: scripts rely on them. */
enum exit_code {
	CTL_OK		= 0,
	CTL_FAILED	= 1,
	CTL_USAGE	= 2,
	CTL_UNSUPPORTED	= 3,	/* this kernel, module, program or image: trying again will not help */
	CTL_GONE	= 4,	/* the process is not there */
};

/* A value an option's or verb's parser may give for "go on"; never an exit code. */
#define CTL_GO_ON	(-1)

/* Text for one option; the table ends with id 0. */
struct ctl_opt {
	int		id;		/* the short letter, or CTL_LONG + n when it has none */
	const char	*name;
	const char	*arg;		/* NULL: takes none */
	const char	*help;
};

#define CTL_LONG	256

struct ctl;

struct verb {
	const char	*name;
	const char	*args;		/* as in the usage line */
	const char	*summary;	/* one line, for the list of verbs */
	const char	*about;		/* more, for its own help; may be NULL */
	const struct ctl_opt *opts;
	int (*run)(struct ctl *ctl, int argc, char **argv);	/* an exit code */
};

extern const struct verb verb_snap, verb_restore, verb_list, verb_show, verb_verify, verb_rm,
	verb_gc, verb_compact, verb_diff, verb_export, verb_import, verb_check, verb_keygen;

/* In the table of a verb that reads what may be encrypted; ctl_next() deals with it. */
#define CTL_IDENTITY		(CTL_LONG + 999)
#define CTL_OPT_IDENTITY	{ CTL_IDENTITY, "identity", "FILE", \
	"secret keys for encrypted images (" KEYRING_ENV "; may be repeated)" }
#define CTL_IDENTITIES		16

/* One run of the command. */
struct ctl {
	const struct verb *verb;
	const char	*store;		/* -o; NULL: the library's default */
	bool		json;
	bool		quiet;
	int		verbose;
	const char	*identities[CTL_IDENTITIES];
	size_t		nr_identities;
	struct keyring	*keyring;	/* once it was needed; main() frees it */
	struct ckpt_err	err;		/* what failed, for ctl_fail() */
};

/* -------------------------------------------------------------------------------- ctl.c */

/*
 * Next option of verb's own: its id, with *ret_arg; 0 at the end, with optind at the first operand.
 * The common ones (-h -V -q -v -o --json) are dealt with.  Leaves the program on -h, -V and on what
 * is no option.
 */
int ctl_next(struct ctl *ctl, int argc, char **argv, const char **ret_arg);

/* Complain about the command line; returns CTL_USAGE. */
int ctl_usage(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whole, decimal, within bounds. */
bool ctl_number(const char *text, int64_t min, int64_t max, int64_t *ret);

/* Bytes: whole, decimal, with K, M, G or T behind it for powers of 1024; above 0. */
bool ctl_bytes(const char *text, uint64_t *ret);

/* "auto", "none" or a level of zstd's; complains and returns false if it is none of these. */
#define CTL_COMPRESS	"auto, none, or a zstd level, -7 to 19 (auto)"
bool ctl_compress(const struct ctl *ctl, const char *text, int *ret_level);

/* The exit code that fits an error. */
int ctl_exit_code(int error);

/*
 * Tell of ctl->err, "ckptctl: VERB: text", with --json also as an object, to which @more (may be
 * NULL, is taken over) is merged.  Returns the exit code.
 */
int ctl_fail(struct ctl *ctl, json_t *more);

/*
 * A line to standard error, "ckptctl: VERB: ..." (of ctl_say() as it is given); what it quotes has no
 * power over the terminal.  All that goes there is printed by these.
 */
void ctl_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Unless --quiet. */
void ctl_note(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Only with -v. */
void ctl_detail(const struct ctl *ctl, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

void ctl_help_all(const struct verb * const *verbs);

/* -------------------------------------------------------------------------------- out.c */

/* Print @report as JSON, or by @human (not with --quiet).  Takes @report over; CTL_OK. */
int ctl_report(const struct ctl *ctl, json_t *report, void (*human)(const struct ctl *, json_t *));

#define OUT_SMALL	32

/* "1.4 MiB", "12.3 ms", "2026-01-31 12:00:00" (local time), in @buf of OUT_SMALL; returns it. */
const char *out_size(uint64_t bytes, char *buf);
const char *out_time(uint64_t ns, char *buf);
const char *out_date(uint64_t realtime_ns, char *buf);

/* Members of an object, with a default. */
uint64_t out_get(json_t *o, const char *name);
const char *out_get_text(json_t *o, const char *name);

/* Whether standard output is a terminal; then colours and headings are welcome. */
bool out_tty(void);
const char *out_bold(void);
const char *out_red(void);
const char *out_green(void);
const char *out_yellow(void);
const char *out_plain(void);

/* --------------------------------------------------------------------------- progress.c */

/*
 * A bar on standard error, when that is a terminal and it takes longer than a second.  From begin
 * to end SIGINT, SIGTERM and SIGHUP do not end the program: progress_tell() gives -EINTR instead.
 */
void progress_begin(const struct ctl *ctl, const char *what);
int progress_tell(uint64_t done, uint64_t total, void *arg);
/* Takes the bar away; returns the signal that came, 0 if none. */
int progress_end(void);

/* ------------------------------------------------------------------------------- load.c */

/*
 * Load the module when the device is not there and the caller may.  0 when the device is there
 * now, or when it is for the library to say what is wrong; else -errno with the text in @err.
 */
int load_module(struct ckpt_err *err);

/* ----------------------------------------------------------------------------- unlock.c */

/* Into ctl->keyring what --identity or CKPT_IDENTITY names; NULL: neither does. */
int ctl_keyring(struct ctl *ctl, struct ckpt_err *err);
int ctl_keyring_if_can(struct ctl *ctl);

/* Unlock @chain, if it is encrypted.  -ENOKEY: no key was given that fits. */
int ctl_unlock(struct ctl *ctl, struct chain *chain, struct ckpt_err *err);

/* For who can do with less: then it stays locked, all of it, which is no error. */
int ctl_unlock_if_can(struct ctl *ctl, struct chain *chain, struct ckpt_err *err, bool *ret_locked);
int ctl_unlock_image_if_can(struct ctl *ctl, struct image *image, struct ckpt_err *err);

/* ----------------------------------------------------------------------------- memory.c */

/* All zeros to begin with; memory_close() it, also after a failure. */
struct memory {
	struct chain		*chain;		/* loaded */
	struct ckpt_model	*model;
};

/* Memory and state of the first process of @ref, which fit together; ctl->err tells why not. */
int memory_open(struct ctl *ctl, struct store *store, const char *ref, struct memory *m);
void memory_close(struct memory *m);

/* -------------------------------------------------------------------------------- tar.c */

/* Write generation @ref with all it is built on, or all of the job, to @file; "-": standard output. */
int export_tar(struct ctl *ctl, struct store *store, const char *ref, const char *file, bool all);

#endif
