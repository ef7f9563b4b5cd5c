/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * machine.h - what of the machine a running program has taken in: the vdso, a piece of the kernel in
 * its memory, and the processor features it once asked for and relies on ever after.
 */
#ifndef CKPT_MACHINE_H
#define CKPT_MACHINE_H

#include <stdint.h>

#include <jansson.h>

#include "err.h"

#define MACHINE_HASH	32	/* hex digits of an XXH3-128 */

/* Words of feature bits, in the order of the table in machine.c. */
enum machine_word {
	MACHINE_1_ECX,
	MACHINE_1_EDX,
	MACHINE_7_EBX,
	MACHINE_7_ECX,
	MACHINE_7_EDX,
	MACHINE_7_1_EAX,
	MACHINE_D_1_EAX,
	MACHINE_EXT_1_ECX,
	MACHINE_EXT_1_EDX,
	MACHINE_WORDS,
};

/**
 * struct machine - one machine
 * @vdso: XXH3-128 of the vdso in hex; empty: there is none, or it is not known
 * @cpu: bits of CPUID that tell of instructions a program may use; all others are zero
 */
struct machine {
	char		vdso[MACHINE_HASH + 1];
	uint32_t	cpu[MACHINE_WORDS];
};

/* This one.  0, -errno of /proc/self/maps. */
int machine_read(struct machine *ret_machine);

/* As a JSON object, NULL: no memory; and back, 0 or -EBADMSG.  Members not known are skipped. */
json_t *machine_to_json(const struct machine *m);
int machine_from_json(json_t *o, struct machine *ret_machine);

/*
 * Whether a program of machine @was can go on here.  0, or -EOPNOTSUPP with all features named that
 * are missing.  A @was without hash fits any vdso.
 */
int machine_fits(const struct machine *was, const struct machine *here, struct ckpt_err *err);

#endif
