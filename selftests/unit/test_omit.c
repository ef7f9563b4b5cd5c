// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program marked MADV_DONTDUMP is left out if it is private memory of its own and no thread's
 * stack; and only that is.
 */
#include <sys/user.h>

#include "hooks.h"
#include "omit.h"
#include "state.h"
#include "tap.h"

#define PAGE	4096ull
#define SIZE	(16 * PAGE)
#define AT(i)	(0x10000000ull + (i) * 0x1000000ull)
#define VMA(i, f)	{ .rec = { .start = AT(i), .end = AT(i) + SIZE, .flags = (f) } }

enum { PLAIN, MARKED, FILED, SHARED, READ_ONLY, SHMEM, VDSO, VVAR, DEVICE, STACK, THREAD, HUGETLB, DROPPABLE, NVMAS };

static struct ckpt_model_vma vmas[NVMAS] = {
	VMA(PLAIN, CKPT_VMA_ANON),
	VMA(MARKED, CKPT_VMA_ANON | CKPT_VMA_DONTDUMP),
	VMA(FILED, CKPT_VMA_DONTDUMP),
	VMA(SHARED, CKPT_VMA_DONTDUMP | CKPT_VMA_SHARED | CKPT_VMA_MAYSHARE),
	VMA(READ_ONLY, CKPT_VMA_DONTDUMP | CKPT_VMA_MAYSHARE),
	VMA(SHMEM, CKPT_VMA_DONTDUMP | CKPT_VMA_SHMEM | CKPT_VMA_SHARED),
	VMA(VDSO, CKPT_VMA_DONTDUMP | CKPT_VMA_VDSO),
	VMA(VVAR, CKPT_VMA_DONTDUMP | CKPT_VMA_SPECIAL),
	VMA(DEVICE, CKPT_VMA_DONTDUMP | CKPT_VMA_PFNMAP),
	VMA(STACK, CKPT_VMA_ANON | CKPT_VMA_DONTDUMP | CKPT_VMA_GROWSDOWN),
	VMA(THREAD, CKPT_VMA_ANON | CKPT_VMA_DONTDUMP),
	VMA(HUGETLB, CKPT_VMA_DONTDUMP | CKPT_VMA_HUGETLB),
	VMA(DROPPABLE, CKPT_VMA_ANON | CKPT_VMA_DONTDUMP | CKPT_VMA_DROPPABLE),
};

static struct user_regs_struct registers[2] = { { .rsp = AT(PLAIN) + 8 }, { .rsp = AT(THREAD) + SIZE - 8 } };
static struct ckpt_model_thread threads[2] = {
	{ .prstatus = &registers[0] }, { .prstatus = &registers[1] },
};
static const struct ckpt_model model = {
	.vmas = vmas, .nr_vmas = NVMAS, .threads = threads, .nr_threads = 2,
};

static void choose(struct omit *o, bool keep)
{
	struct ckpt_run runs[2 * NVMAS];
	struct ckpt_err err = CKPT_ERR_INIT;

	for (unsigned int i = 0; i < NVMAS; i++) {
		runs[2 * i] = (struct ckpt_run){ .start = AT(i), .len = PAGE << (i == MARKED),
						 .kind = CKPT_RUN_DATA };
		runs[2 * i + 1] = (struct ckpt_run){ .start = AT(i) + 8 * PAGE, .len = PAGE,
						     .kind = i % 2 ? CKPT_RUN_ZERO : CKPT_RUN_FILE };
	}
	REQUIRE_OK(omit_choose(&model, runs, 2 * NVMAS, keep, &err, o), err);
}

static void private_memory_that_is_marked_is_left_out_and_no_other(void)
{
	struct omit o;

	choose(&o, false);
	for (unsigned int i = 0; i < NVMAS; i++)
		REQUIRE_EQ(omit_has(&o, &model, &vmas[i]),
			   i == MARKED || i == FILED || i == HUGETLB || i == DROPPABLE);
	omit_free(&o);
	REQUIRE(!omit_has(&o, &model, &vmas[MARKED]) && !omit_has(NULL, &model, &vmas[MARKED]));
}

static void content_is_counted_and_so_is_what_is_saved_though_marked(void)
{
	struct omit o;

	choose(&o, false);
	REQUIRE_EQ(o.mappings, 3);
	REQUIRE_EQ(o.bytes, 4 * PAGE);
	REQUIRE_EQ(o.dropped_bytes, PAGE);
	REQUIRE_EQ(o.saved_bytes, 5 * PAGE);	/* three shared ones, two stacks */
	omit_free(&o);
}

static void what_the_kernel_may_drop_is_left_out_whatever_is_wanted(void)
{
	struct omit o;

	choose(&o, true);
	for (unsigned int i = 0; i < NVMAS; i++)
		REQUIRE_EQ(omit_has(&o, &model, &vmas[i]), i == DROPPABLE);
	REQUIRE(!o.mappings && !o.bytes && !o.saved_bytes && o.dropped_bytes == PAGE);
	omit_free(&o);
}

/* What an image notes of hooks comes from anywhere. */
static void noted_hooks_are_read_as_written_or_not_at_all(void)
{
	const struct hooks was = { .tid = 7, .own_tid = 4711, .signal = SIGRTMAX, .number = HOOKS_NUMBER_MAX };
	static const char * const bad[] = {
		"{}", "[]", "7", "{\"tid\": 0, \"signal\": 64, \"number\": 1}",
		"{\"tid\": -1, \"signal\": 64, \"number\": 1}", "{\"tid\": 1, \"signal\": 65, \"number\": 1}",
		"{\"tid\": 1, \"signal\": 9, \"number\": 1}", "{\"tid\": 1, \"signal\": 64, \"number\": 0}",
		"{\"tid\": 1, \"signal\": 64, \"number\": 36028797018963968}",
		"{\"tid\": 4294967297, \"signal\": 64, \"number\": 1}", "{\"tid\": 1, \"signal\": 64}",
		"{\"tid\": \"1\", \"signal\": 64, \"number\": 1}",
	};
	json_t *o = hooks_to_json(&was);
	struct hooks is = { 0 };

	REQUIRE(hooks_from_json(o, &is));
	REQUIRE(is.own_tid == was.own_tid && is.signal == was.signal && is.number == was.number);
	json_decref(o);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		o = json_loads(bad[i], JSON_DECODE_ANY, NULL);
		REQUIRE(o && !hooks_from_json(o, &is));
		json_decref(o);
	}
	o = hooks_to_json(&(struct hooks){ 0 });
	REQUIRE(json_is_null(o));
	json_decref(o);
}

static const struct tap_test tests[] = {
	{ "private_memory_that_is_marked_is_left_out_and_no_other",
	  private_memory_that_is_marked_is_left_out_and_no_other },
	{ "content_is_counted_and_so_is_what_is_saved_though_marked",
	  content_is_counted_and_so_is_what_is_saved_though_marked },
	{ "what_the_kernel_may_drop_is_left_out_whatever_is_wanted",
	  what_the_kernel_may_drop_is_left_out_whatever_is_wanted },
	{ "noted_hooks_are_read_as_written_or_not_at_all",
	  noted_hooks_are_read_as_written_or_not_at_all },
};

TAP_MAIN(tests)
