/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Some cases of a test instead of all: CKPT_CASES holds patterns, fnmatch(3), separated by blanks, for
 * the names that TAP shows ("fixture.variant.case", or "fixture.case" without variants). The harness
 * runs each case with each variant, so what is left is every case and every variant that is in a name
 * which matches: a few more than those alone, where the patterns form no rectangle.
 */
#ifndef KERNEL_TEST_CASES_H
#define KERNEL_TEST_CASES_H

#include <kselftest_harness.h>

#include <fnmatch.h>

#include "target.h"

static inline bool case_is_wanted(const char *patterns, const struct __fixture_metadata *f,
				  const struct __fixture_variant_metadata *v,
				  const struct __test_metadata *t)
{
	char name[256], *words = strdup(patterns), *word, *rest;
	bool wanted = false;

	snprintf(name, sizeof(name), "%s%s%s.%s", f->name, v ? "." : "", v ? v->name : "", t->name);
	for (word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		wanted |= !fnmatch(word, name, 0);
	free(words);
	return wanted;
}

static inline bool variant_is_wanted(const char *patterns, const struct __fixture_metadata *f,
				     const struct __fixture_variant_metadata *v)
{
	const struct __test_metadata *t;

	for (t = f->tests; t; t = t->next)
		if (case_is_wanted(patterns, f, v, t))
			return true;
	return false;
}

static inline bool test_is_wanted(const char *patterns, const struct __fixture_metadata *f,
				  const struct __test_metadata *t)
{
	const struct __fixture_variant_metadata *v;

	for (v = f->variant; v; v = v->next)
		if (case_is_wanted(patterns, f, v, t))
			return true;
	return !f->variant && case_is_wanted(patterns, f, NULL, t);
}

/* Take the others off the harness's lists. False: nothing is left. */
static inline bool select_cases(const char *patterns)
{
	struct __fixture_variant_metadata **v;
	struct __fixture_metadata *f;
	struct __test_metadata **t;
	bool any = false;

	for (f = __fixture_list; f; f = f->next) {
		for (t = &f->tests; *t;) {
			if (test_is_wanted(patterns, f, *t))
				t = &(*t)->next;
			else
				*t = (*t)->next;
		}
		for (v = &f->variant; f->tests && *v;) {
			if (variant_is_wanted(patterns, f, *v))
				v = &(*v)->next;
			else
				*v = (*v)->next;
		}
		any |= f->tests != NULL;
	}
	return any;
}

static inline void give_time(unsigned int times)
{
	struct __fixture_metadata *f;
	struct __test_metadata *t;

	for (f = __fixture_list; f; f = f->next)
		for (t = f->tests; t; t = t->next)
			t->timeout *= times;
}

static inline int run_cases(int argc, char **argv)
{
	const char *patterns = getenv("CKPT_CASES");

	give_time(slowness());
	if (patterns && *patterns && !select_cases(patterns)) {
		printf("1..0 # SKIP no case matches CKPT_CASES\n");
		return KSFT_SKIP;
	}
	return test_harness_run(argc, argv);
}

#undef TEST_HARNESS_MAIN
#define TEST_HARNESS_MAIN								\
	static void __attribute__((constructor)) __constructor_order_last(void)		\
	{										\
		if (!__constructor_order)						\
			__constructor_order = _CONSTRUCTOR_ORDER_BACKWARD;		\
	}										\
	int main(int argc, char **argv)							\
	{										\
		return run_cases(argc, argv);						\
	}

#endif
