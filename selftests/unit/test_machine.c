// SPDX-License-Identifier: GPL-2.0-only
/* Whether a program of one machine fits another. */
#include <errno.h>

#include "machine.h"
#include "tap.h"

#define AVX2		(1u << 5)	/* 7.ebx */
#define BMI2		(1u << 8)	/* 7.ebx */
#define FMA		(1u << 12)	/* 1.ecx */

static void put(struct machine *m, char digit)
{
	memset(m, 0, sizeof(*m));
	memset(m->vdso, digit, MACHINE_HASH);
	m->cpu[MACHINE_1_ECX] = FMA;
	m->cpu[MACHINE_7_EBX] = AVX2 | BMI2;
}

static void a_machine_fits_itself(void)
{
	struct machine m;

	REQUIRE(!machine_read(&m));
	REQUIRE_EQ(strlen(m.vdso), MACHINE_HASH);
	REQUIRE(m.cpu[MACHINE_1_EDX] & 1u << 26);	/* sse2, as any x86-64 */
	REQUIRE(!machine_fits(&m, &m, NULL));
}

static void a_missing_feature_is_named(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct machine was, here;

	put(&was, '1');
	put(&here, '1');
	here.cpu[MACHINE_7_EBX] = AVX2;
	REQUIRE_EQ(machine_fits(&was, &here, &err), -EOPNOTSUPP);
	REQUIRE(strstr(err.text, "lacks: bmi2;"));
}

static void all_missing_features_are_named(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct machine was, here;

	put(&was, '1');
	put(&here, '1');
	memset(here.cpu, 0, sizeof(here.cpu));
	was.cpu[MACHINE_7_1_EAX] = 1u << 30;		/* no name so far */
	REQUIRE_EQ(machine_fits(&was, &here, &err), -EOPNOTSUPP);
	REQUIRE(strstr(err.text, "lacks: fma, avx2, bmi2, CPUID 7.1.eax bit 30;"));
}

static void every_bit_counts(void)
{
	for (int w = 0; w < MACHINE_WORDS; w++)
		for (int bit = 0; bit < 32; bit++) {
			struct ckpt_err err = CKPT_ERR_INIT;
			struct machine was = { .vdso = "" }, here = { .vdso = "" };

			was.cpu[w] = 1u << bit;
			REQUIRE_EQ(machine_fits(&was, &here, &err), -EOPNOTSUPP);
			here.cpu[w] = 1u << bit;
			REQUIRE(!machine_fits(&was, &here, NULL));
		}
}

static void a_long_list_of_features_is_cut(void)
{
	struct machine was = { .vdso = "" }, here = { .vdso = "" };
	struct ckpt_err err = CKPT_ERR_INIT;

	memset(was.cpu, 0xff, sizeof(was.cpu));
	REQUIRE_EQ(machine_fits(&was, &here, &err), -EOPNOTSUPP);
	REQUIRE(strlen(err.text) < CKPT_ERR_TEXT);
}

static void more_features_do_no_harm(void)
{
	struct machine was, here;

	put(&was, '1');
	put(&here, '1');
	was.cpu[MACHINE_7_EBX] = AVX2;
	REQUIRE(!machine_fits(&was, &here, NULL));
}

static void another_vdso_is_refused(void)
{
	struct ckpt_err err = CKPT_ERR_INIT;
	struct machine was, here;

	put(&was, '1');
	put(&here, '2');
	REQUIRE_EQ(machine_fits(&was, &here, &err), -EOPNOTSUPP);
	REQUIRE(strstr(err.text, "vdso"));
	was.vdso[0] = '\0';
	REQUIRE(!machine_fits(&was, &here, NULL));
}

static void json_keeps_all_of_it(void)
{
	struct machine m, back;
	json_t *o;

	put(&m, 'a');
	for (int i = 0; i < MACHINE_WORDS; i++)
		m.cpu[i] = 0xf0000001u + i;
	o = machine_to_json(&m);
	REQUIRE(o);
	REQUIRE(!machine_from_json(o, &back));
	REQUIRE(!memcmp(&m, &back, sizeof(m)));
	json_decref(o);
}

static void json_that_is_something_else_is_refused(void)
{
	static const char * const texts[] = {
		"{}", "{\"vdso\":\"\"}", "{\"vdso\":1,\"cpuid\":{}}", "{\"vdso\":\"\",\"cpuid\":[]}",
		"{\"vdso\":\"000000000000000000000000000000000\",\"cpuid\":{}}",
		"{\"vdso\":\"\",\"cpuid\":{\"1.ecx\":\"1\"}}",
		"{\"vdso\":\"\",\"cpuid\":{\"1.ecx\":-1}}",
		"{\"vdso\":\"\",\"cpuid\":{\"1.ecx\":4294967296}}", "[]",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		json_t *o = json_loads(texts[i], 0, NULL);
		struct machine m;

		REQUIRE(o);
		REQUIRE_EQ(machine_from_json(o, &m), -EBADMSG);
		json_decref(o);
	}
}

static const struct tap_test tests[] = {
	{ "a_machine_fits_itself", a_machine_fits_itself },
	{ "a_missing_feature_is_named", a_missing_feature_is_named },
	{ "all_missing_features_are_named", all_missing_features_are_named },
	{ "every_bit_counts", every_bit_counts },
	{ "a_long_list_of_features_is_cut", a_long_list_of_features_is_cut },
	{ "more_features_do_no_harm", more_features_do_no_harm },
	{ "another_vdso_is_refused", another_vdso_is_refused },
	{ "json_keeps_all_of_it", json_keeps_all_of_it },
	{ "json_that_is_something_else_is_refused", json_that_is_something_else_is_refused },
};

TAP_MAIN(tests)
