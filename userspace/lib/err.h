/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * err.h - the one error type of the library.
 *
 * A function that can fail returns 0 or -errno and takes a struct ckpt_err *, which may be
 * NULL.  The text is written where the failure is understood, once: "THING: REASON" and, where
 * the user can do something, "; REMEDY".  The first text wins, so that clean-up on the way out
 * cannot paint over the cause.  Control bytes are replaced, so a text that quotes a hostile
 * file is safe to print on a terminal.
 */
#ifndef CKPT_ERR_H
#define CKPT_ERR_H

#define CKPT_ERR_TEXT	1024

struct ckpt_err {
	int	code;			/* errno of the first failure, positive; 0: none */
	char	text[CKPT_ERR_TEXT];	/* "thing: reason[; remedy]", no newline */
};

#define CKPT_ERR_INIT	{ .code = 0 }

/* Forget the failure; a struct may then be used again. */
void ckpt_err_clear(struct ckpt_err *err);

/* Record a failure.  @code may have either sign.  Returns the negative code. */
int ckpt_err_set(struct ckpt_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with ": " and the system's words for @code added. */
int ckpt_err_sys(struct ckpt_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Add the remedy, "; " and the text.  Only the first one is kept. */
void ckpt_err_hint(struct ckpt_err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Put "TEXT: " in front, for a caller that knows more of the thing. */
void ckpt_err_prefix(struct ckpt_err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
