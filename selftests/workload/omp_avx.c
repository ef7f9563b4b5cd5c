// SPDX-License-Identifier: GPL-2.0-only
/*
 * omp_avx [STEPS] - 16 OpenMP threads whose whole state lives in vector registers
 *
 * Each thread carries twelve 256-bit values, half of them integers, half doubles, through inner loops
 * that touch no memory: with AVX2 they are ymm registers, all sixteen of which the loop uses.  One bit
 * lost in any upper half changes the sum.  Without AVX2 the same source runs on what there is and must
 * come to the same sum (NO_AVX2 in the environment shows it).  The rounding mode is set upwards in
 * every other thread: MXCSR is state too.
 */
#include <fenv.h>
#include <omp.h>
#include <stdbool.h>

#include "work.h"

#define THREADS	16
#define INNER	20000		/* iterations between two looks at memory */

typedef uint64_t u64x4 __attribute__((vector_size(32)));
typedef double f64x4 __attribute__((vector_size(32)));

struct lanes {
	u64x4 i[6];
	f64x4 f[6];
};

static inline __attribute__((always_inline)) void carry(struct lanes *l)
{
	u64x4 a = l->i[0], b = l->i[1], c = l->i[2], d = l->i[3], e = l->i[4], g = l->i[5];
	f64x4 u = l->f[0], v = l->f[1], w = l->f[2], x = l->f[3], y = l->f[4], z = l->f[5];

	for (int n = 0; n < INNER; n++) {
		a += b ^ (c << 7);
		b = (b << 13 | b >> 51) + d;
		c ^= a + 0x9e3779b97f4a7c15ull;
		d += (e >> 3) ^ g;
		e ^= d << 17;
		g += a ^ e;
		u = u * 0.75 + v * 0.2499;
		v = v * 0.5 + w * 0.4999;
		w = w * 0.625 - x * 0.3749;
		x = x * 0.875 + y * 0.1249;
		y = y * 0.5 - z * 0.4999;
		z = z * 0.9375 + u * 0.0624 + 1.0 / 3.0;
	}
	l->i[0] = a, l->i[1] = b, l->i[2] = c, l->i[3] = d, l->i[4] = e, l->i[5] = g;
	l->f[0] = u, l->f[1] = v, l->f[2] = w, l->f[3] = x, l->f[4] = y, l->f[5] = z;
}

__attribute__((target("avx2"), noinline)) static void carry_avx2(struct lanes *l)
{
	carry(l);
}

__attribute__((noinline)) static void carry_plain(struct lanes *l)
{
	carry(l);
}

static void fill(struct lanes *l, int thread)
{
	for (int n = 0; n < 24; n++) {
		uint64_t r = mix64(thread * 1000 + n);

		l->i[n / 4][n % 4] = r;
		l->f[n / 4][n % 4] = (double)(r >> 11) / (1ull << 53);
	}
}

static uint64_t sum(const struct lanes *l)
{
	const uint64_t *words = (const uint64_t *)l;
	uint64_t s = 0;

	for (size_t n = 0; n < sizeof(*l) / 8; n++)
		s = mix64(s ^ words[n]);
	return s;
}

int main(int argc, char **argv)
{
	long steps = arg_number(argc, argv, 1, 200);
	bool avx2 = __builtin_cpu_supports("avx2") && !getenv("NO_AVX2");
	uint64_t sums[THREADS] = { 0 }, all = 0;

	note("registers: %s", avx2 ? "avx2" : "plain");
	say("ready");
	omp_set_dynamic(0);
	#pragma omp parallel num_threads(THREADS)
	{
		struct lanes l;
		int me = omp_get_thread_num();

		if (omp_get_num_threads() != THREADS)
			die("%d threads", omp_get_num_threads());
		fill(&l, me);
		fesetround(me & 1 ? FE_UPWARD : FE_TONEAREST);
		for (long step = 1; step <= steps; step++) {
			if (avx2)
				carry_avx2(&l);
			else
				carry_plain(&l);
			if (step * 20 % steps < 20) {
				#pragma omp barrier
				#pragma omp master
				say("step %ld", step);
			}
		}
		if (fegetround() != (me & 1 ? FE_UPWARD : FE_TONEAREST))
			die("thread %d: the rounding mode changed", me);
		sums[me] = sum(&l);
	}
	for (int t = 0; t < THREADS; t++) {
		say("thread %d: %016llx", t, (unsigned long long)sums[t]);
		all = mix64(all ^ sums[t]);
	}
	say("sum %016llx", (unsigned long long)all);
	return 0;
}
