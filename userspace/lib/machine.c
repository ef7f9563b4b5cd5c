// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * machine.c - see machine.h.  No state.
 *
 * Of CPUID only bits are compared that stand for instructions of user code.  Left out are
 *  - what only the kernel uses (vmx, smep, pcid, mitigations) or may hide from one boot to the next
 *    (osxsave, ospke; XCR0, which is compared elsewhere, tells what it allows);
 *  - what differs between processors of one machine (APIC number, in leaf 1 ebx);
 *  - what only tells of speed (erms, fsrm) or is without effect where it is unknown (hle, cldemote).
 * A bit that is set here but not in the image does not matter: the program has made its choice.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "machine.h"
#include "util.h"

#define NR(array)	(sizeof(array) / sizeof(*(array)))

struct feature {
	unsigned int	bit;
	const char	*name;
};

#define WORD(leaf_, subleaf_, reg_, json_, ...)						\
	{ .leaf = leaf_, .subleaf = subleaf_, .reg = reg_, .json = json_,		\
	  .features = (const struct feature[]){ __VA_ARGS__, { 0, NULL } } }

enum { EAX, EBX, ECX, EDX };

static const struct word {
	uint32_t	leaf;
	uint32_t	subleaf;
	unsigned int	reg;
	const char	*json;
	const struct feature *features;		/* to be compared; ends with NULL */
} words[MACHINE_WORDS] = {
	[MACHINE_1_ECX] = WORD(1, 0, ECX, "1.ecx", { 0, "sse3" }, { 1, "pclmulqdq" },
		{ 9, "ssse3" }, { 12, "fma" }, { 13, "cx16" }, { 19, "sse4_1" }, { 20, "sse4_2" },
		{ 22, "movbe" }, { 23, "popcnt" }, { 25, "aes" }, { 26, "xsave" }, { 28, "avx" },
		{ 29, "f16c" }, { 30, "rdrand" }),
	[MACHINE_1_EDX] = WORD(1, 0, EDX, "1.edx", { 0, "fpu" }, { 4, "tsc" }, { 8, "cx8" },
		{ 15, "cmov" }, { 19, "clflush" }, { 23, "mmx" }, { 24, "fxsr" }, { 25, "sse" },
		{ 26, "sse2" }),
	[MACHINE_7_EBX] = WORD(7, 0, EBX, "7.ebx", { 0, "fsgsbase" }, { 3, "bmi1" },
		{ 5, "avx2" }, { 8, "bmi2" }, { 11, "rtm" }, { 16, "avx512f" }, { 17, "avx512dq" },
		{ 18, "rdseed" }, { 19, "adx" }, { 21, "avx512ifma" }, { 23, "clflushopt" },
		{ 24, "clwb" }, { 26, "avx512pf" }, { 27, "avx512er" }, { 28, "avx512cd" },
		{ 29, "sha_ni" }, { 30, "avx512bw" }, { 31, "avx512vl" }),
	[MACHINE_7_ECX] = WORD(7, 0, ECX, "7.ecx", { 0, "prefetchwt1" }, { 1, "avx512vbmi" },
		{ 5, "waitpkg" }, { 6, "avx512_vbmi2" }, { 8, "gfni" }, { 9, "vaes" },
		{ 10, "vpclmulqdq" }, { 11, "avx512_vnni" }, { 12, "avx512_bitalg" },
		{ 14, "avx512_vpopcntdq" }, { 22, "rdpid" }, { 27, "movdiri" },
		{ 28, "movdir64b" }),
	[MACHINE_7_EDX] = WORD(7, 0, EDX, "7.edx", { 2, "avx512_4vnniw" },
		{ 3, "avx512_4fmaps" }, { 5, "uintr" }, { 8, "avx512_vp2intersect" },
		{ 14, "serialize" }, { 16, "tsxldtrk" }, { 22, "amx_bf16" },
		{ 23, "avx512_fp16" }, { 24, "amx_tile" }, { 25, "amx_int8" }),
	[MACHINE_7_1_EAX] = WORD(7, 1, EAX, "7.1.eax", { 0, "sha512" }, { 1, "sm3" },
		{ 2, "sm4" }, { 4, "avx_vnni" }, { 5, "avx512_bf16" }, { 7, "cmpccxadd" },
		{ 21, "amx_fp16" }, { 23, "avx_ifma" }),
	[MACHINE_D_1_EAX] = WORD(0xd, 1, EAX, "d.1.eax", { 0, "xsaveopt" }, { 1, "xsavec" },
		{ 2, "xgetbv1" }),
	[MACHINE_EXT_1_ECX] = WORD(0x80000001, 0, ECX, "80000001.ecx", { 0, "lahf_lm" },
		{ 5, "abm" }, { 6, "sse4a" }, { 7, "misalignsse" }, { 8, "3dnowprefetch" },
		{ 11, "xop" }, { 16, "fma4" }, { 21, "tbm" }, { 29, "mwaitx" }),
	[MACHINE_EXT_1_EDX] = WORD(0x80000001, 0, EDX, "80000001.edx", { 22, "mmxext" },
		{ 27, "rdtscp" }, { 30, "3dnowext" }, { 31, "3dnow" }),
};

static uint32_t mask_of(const struct word *w)
{
	uint32_t mask = 0;

	for (const struct feature *f = w->features; f->name; f++)
		mask |= 1u << f->bit;
	return mask;
}

/* -------------------------------------------------------------------------------- reading */

/* The end of the mapping that begins at @start; 0: there is none. */
static int find_end(unsigned long start, unsigned long *ret_end)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	*ret_end = 0;
	if (!f)
		return -errno;
	while (!*ret_end && fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from == start)
			*ret_end = to;
	}
	fclose(f);
	return 0;
}

/*
 * The one of this process stands for that of any other of its kernel: all show the same pages.  In a
 * time namespace too, where only the data beside it is another.
 */
static int read_vdso(char *ret_hex)
{
	unsigned long start = getauxval(AT_SYSINFO_EHDR), end;
	uint8_t hash[UTIL_HASH_SIZE];
	int ret;

	ret_hex[0] = '\0';
	if (!start)
		return 0;
	ret = find_end(start, &end);
	if (ret || !end)
		return ret;
	util_hash((const void *)start, end - start, hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		sprintf(ret_hex + 2 * i, "%02x", hash[i]);
	return 0;
}

int machine_read(struct machine *ret_machine)
{
	memset(ret_machine, 0, sizeof(*ret_machine));
	for (size_t i = 0; i < NR(words); i++) {
		uint32_t r[4] = { 0 };

		/* A subleaf that is not there gives zeros, or, on old processors, is not known. */
		if (__get_cpuid_count(words[i].leaf, words[i].subleaf, &r[EAX], &r[EBX], &r[ECX],
				      &r[EDX]))
			ret_machine->cpu[i] = r[words[i].reg] & mask_of(&words[i]);
	}
	return read_vdso(ret_machine->vdso);
}

/* ----------------------------------------------------------------------------------- JSON */

json_t *machine_to_json(const struct machine *m)
{
	json_t *cpu = json_object(), *o;
	int bad = 0;

	for (size_t i = 0; i < NR(words); i++)
		bad |= json_object_set_new(cpu, words[i].json, json_integer(m->cpu[i]));
	o = json_pack("{s:s,s:o}", "vdso", m->vdso, "cpuid", cpu);
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}

int machine_from_json(json_t *o, struct machine *ret_machine)
{
	const char *vdso = json_string_value(json_object_get(o, "vdso"));
	json_t *cpu = json_object_get(o, "cpuid");

	memset(ret_machine, 0, sizeof(*ret_machine));
	if (!vdso || strlen(vdso) > MACHINE_HASH || !json_is_object(cpu))
		return -EBADMSG;
	strcpy(ret_machine->vdso, vdso);
	for (size_t i = 0; i < NR(words); i++) {
		json_t *v = json_object_get(cpu, words[i].json);
		json_int_t n = json_integer_value(v);

		if ((v && !json_is_integer(v)) || n < 0 || n > UINT32_MAX)
			return -EBADMSG;
		ret_machine->cpu[i] = n;
	}
	return 0;
}

/* ----------------------------------------------------------------------------- comparison */

/* Adds the names of the bits @missing of a word to @text. */
static void name_bits(const struct word *w, uint32_t missing, char *text, size_t size)
{
	for (unsigned int bit = 0; bit < 32; bit++) {
		const struct feature *f = w->features;
		size_t len = strlen(text);

		if (!(missing >> bit & 1))
			continue;
		while (f->name && f->bit != bit)
			f++;
		if (f->name)
			snprintf(text + len, size - len, "%s%s", len ? ", " : "", f->name);
		else	/* an image of a later version may know more */
			snprintf(text + len, size - len, "%sCPUID %s bit %u", len ? ", " : "",
				 w->json, bit);
	}
}

int machine_fits(const struct machine *was, const struct machine *here, struct ckpt_err *err)
{
	char names[CKPT_ERR_TEXT / 2] = "";
	int ret;

	for (size_t i = 0; i < NR(words); i++)
		name_bits(&words[i], was->cpu[i] & ~here->cpu[i], names, sizeof(names));
	if (names[0]) {
		ret = ckpt_err_set(err, EOPNOTSUPP, "the program ran on a processor with features "
				   "that this one lacks: %s", names);
		ckpt_err_hint(err, "restore it on a machine that has them");
		return ret;
	}
	if (was->vdso[0] && strcmp(was->vdso, here->vdso)) {
		ret = ckpt_err_set(err, EOPNOTSUPP, "the vdso, a piece of the kernel in the program, "
				   "is another on this machine");
		ckpt_err_hint(err, "boot the very kernel the image was made on, on a processor of that kind");
		return ret;
	}
	return 0;
}
