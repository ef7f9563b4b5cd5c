// SPDX-License-Identifier: GPL-2.0-only
/* What this machine cannot show: judgement of processes of other ones. prog/refuse has the rest. */
#include <string.h>

#include "err.h"
#include "judge.h"
#include "state.h"
#include "tap.h"

#define PAGE	4096u

/* Whether private memory of some pages, ending at @end, is refused with these words. */
static bool refused(uint64_t end, const char *words)
{
	struct ckpt_model_vma vma = {
		.rec = { .start = end - 4 * PAGE, .end = end, .page_size = PAGE,
			 .flags = CKPT_VMA_ANON | CKPT_VMA_READ | CKPT_VMA_WRITE | CKPT_VMA_MAYWRITE },
	};
	const struct ckpt_model model = { .system.page_size = PAGE, .vmas = &vma, .nr_vmas = 1 };
	const struct judge_opts opts = { .killed = true };
	struct judgement j = { 0 };
	char text[CKPT_ERR_TEXT];
	bool found = false;

	REQUIRE_EQ(judge(&model, &opts, &j), 0);
	for (size_t i = 0; i < j.nr; i++) {
		refusal_text(&j.refusals[i], text, sizeof(text));
		found |= !strcmp(j.refusals[i].thing, "mapping") && strstr(text, words);
	}
	judgement_free(&j);
	return found;
}

static void memory_above_47_bits_is_refused(void)
{
	REQUIRE(!refused(1ull << 46, ""));
	REQUIRE(!refused(CKPT_USER_END, ""));
	REQUIRE(refused(CKPT_USER_END + PAGE, "above 128 TiB"));
	REQUIRE(refused(1ull << 50, "above 128 TiB"));
}

static const struct tap_test tests[] = {
	{ "memory_above_47_bits_is_refused", memory_above_47_bits_is_refused },
};

TAP_MAIN(tests)
