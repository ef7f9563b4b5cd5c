// SPDX-License-Identifier: GPL-2.0-only
/*
 * mpi ROUNDS - ranks that pass on blocks around a ring, and reduce what came of it
 *
 * The answer depends on every message of every round.  Rank 0 writes "ready" when all are there, and the
 * answer in the end.
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS	4096

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static void round_trip(uint64_t *mine, uint64_t *theirs, int rank, int size)
{
	const int right = (rank + 1) % size, left = (rank + size - 1) % size;

	for (int i = 0; i < WORDS; i++)
		mine[i] = mix(mine[i] + rank);
	MPI_Sendrecv(mine, WORDS, MPI_UINT64_T, right, 1, theirs, WORDS, MPI_UINT64_T, left, 1,
		     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	for (int i = 0; i < WORDS; i++)
		mine[i] += theirs[WORDS - 1 - i];
}

int main(int argc, char **argv)
{
	static uint64_t mine[WORDS], theirs[WORDS], all[WORDS];
	const int rounds = argc > 1 ? atoi(argv[1]) : 100;
	uint64_t sum = 0;
	int rank, size;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	MPI_Barrier(MPI_COMM_WORLD);
	if (!rank) {
		puts("ready");
		fflush(stdout);
	}
	for (int r = 0; r < rounds; r++) {
		round_trip(mine, theirs, rank, size);
		if (r % 10 == 0) {
			MPI_Allreduce(mine, all, WORDS, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
			mine[r % WORDS] ^= all[WORDS - 1];
		}
	}
	MPI_Reduce(mine, all, WORDS, MPI_UINT64_T, MPI_BXOR, 0, MPI_COMM_WORLD);
	for (int i = 0; i < WORDS; i++)
		sum = mix(sum ^ all[i]);
	if (!rank)
		printf("%d ranks: %016llx\n", size, (unsigned long long)sum);
	MPI_Finalize();
	return 0;
}
