// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * frame-pack.c - see frame-pack.h: a ring of slots between one writer and some threads.
 *
 * Life of a slot: the writer fills it; submitted, it is for the first thread that comes, in the order of
 * the ring; packed, it is the writer's again, who takes it in that order too, so the image does not
 * depend on how many threads there were.  Whose it is is told by three counters that only grow, tail <=
 * todo <= head, and by done: all under the lock.  The content belongs to whose the slot is and is used
 * without it.
 *
 * The threads take no signals: they are the program's that uses the library.  Where none can be made, and
 * on one processor, frames are packed when they are submitted, by the caller.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "frame-pack.h"
#include "image.h"
#include "util.h"

/* Saving less than 1/32 is not worth a decompression at restore. */
#define WORTH_SHIFT	5

struct slot {
	unsigned char		*raw;
	unsigned char		*packed;
	uint8_t			*digests;
	struct packed_frame	frame;
	int			level;
	uint64_t		number;		/* in its section */
	int			error;
	bool			done;
};

struct frame_packer {
	struct frame_pack_params params;
	size_t			packed_size;
	const struct crypt	*crypt;		/* NULL: frames are not sealed */
	struct crypt_piece	section;
	uint64_t		first;		/* head when the section began */
	pthread_mutex_t		lock;
	pthread_cond_t		work;		/* head has grown, or stop */
	pthread_cond_t		done;		/* a slot is */
	bool			stop;
	uint64_t		head;		/* slots submitted */
	uint64_t		todo;		/* slots a thread has begun with */
	uint64_t		tail;		/* slots taken */
	unsigned int		nr_slots;
	struct slot		*slots;
	unsigned int		nr_ctx;
	ZSTD_CCtx		**ctx;		/* one for each thread; or the caller's */
	unsigned int		nr_threads;
	pthread_t		threads[FRAME_PACK_THREADS];
};

struct start {
	struct frame_packer	*packer;
	ZSTD_CCtx		*ctx;
};

static struct slot *slot(const struct frame_packer *p, uint64_t i)
{
	return &p->slots[i % p->nr_slots];
}

/* -------------------------------------------------------------------------------- packing */

static int compress(struct frame_packer *p, ZSTD_CCtx *ctx, struct slot *s)
{
	struct packed_frame *f = &s->frame;
	size_t n = ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, s->level);

	if (!ZSTD_isError(n))
		n = ZSTD_compress2(ctx, s->packed, p->packed_size, s->raw, f->raw_size);
	if (ZSTD_isError(n))
		return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? -ENOMEM : -EIO;
	if (n < f->raw_size - (f->raw_size >> WORTH_SHIFT)) {
		f->stored = s->packed;
		f->stored_size = n;
		f->codec = IMAGE_CODEC_ZSTD;
	}
	return 0;
}

static void seal(struct frame_packer *p, struct slot *s)
{
	struct packed_frame *f = &s->frame;
	struct crypt_piece piece = p->section;

	piece.number = s->number;
	piece.raw_size = f->raw_size;
	piece.codec = f->codec;
	crypt_seal(p->crypt, &piece, f->codec == IMAGE_CODEC_RAW ? s->raw : s->packed, f->stored_size);
	f->stored_size += CRYPT_TAG;
}

static void pack(struct frame_packer *p, ZSTD_CCtx *ctx, struct slot *s)
{
	struct packed_frame *f = &s->frame;
	uint32_t page_size = p->params.page_size;

	f->stored = s->raw;
	f->stored_size = f->raw_size;
	f->codec = IMAGE_CODEC_RAW;
	f->digests = s->digests;
	f->digests_size = p->crypt ? 0 : f->raw_size / page_size * IMAGE_HASH_SIZE;
	for (uint32_t i = 0; i < f->digests_size / IMAGE_HASH_SIZE; i++)
		image_page_digest(s->raw + (size_t)i * page_size, page_size, p->params.seed,
				  s->digests + (size_t)i * IMAGE_HASH_SIZE);
	s->error = s->level == IMAGE_LEVEL_NONE ? 0 : compress(p, ctx, s);
	if (!s->error && p->crypt)
		seal(p, s);
	if (!s->error)
		util_hash(f->stored, f->stored_size, f->hash);
}

static void *thread(void *arg)
{
	struct start *start = arg;
	struct frame_packer *p = start->packer;
	ZSTD_CCtx *ctx = start->ctx;

	free(start);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct slot *s;

		while (!p->stop && p->todo == p->head)
			pthread_cond_wait(&p->work, &p->lock);
		if (p->stop)
			break;
		s = slot(p, p->todo++);
		pthread_mutex_unlock(&p->lock);
		pack(p, ctx, s);
		pthread_mutex_lock(&p->lock);
		s->done = true;
		pthread_cond_signal(&p->done);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ------------------------------------------------------------------------------ the writer */

/* No thread has a slot now, and the lock is taken before one has again. */
void frame_packer_seal(struct frame_packer *p, const struct crypt *crypt,
		       const struct crypt_piece *section)
{
	p->crypt = crypt;
	p->section = *section;
	p->first = p->head;
}

unsigned char *frame_packer_room(struct frame_packer *p)
{
	return slot(p, p->head)->raw;
}

void frame_packer_submit(struct frame_packer *p, size_t len, int level)
{
	struct slot *s = slot(p, p->head);

	s->frame.raw_size = len;
	s->level = level;
	s->number = p->head - p->first;
	s->done = false;
	if (!p->nr_threads) {
		pack(p, p->ctx[0], s);
		s->done = true;
		p->head++;
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->head++;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

/* Only the writer changes head and tail, so it need not lock to look at them. */
bool frame_packer_full(const struct frame_packer *p)
{
	return p->head - p->tail == p->nr_slots;
}

bool frame_packer_empty(const struct frame_packer *p)
{
	return p->head == p->tail;
}

int frame_packer_take(struct frame_packer *p, struct packed_frame *ret_frame)
{
	struct slot *s = slot(p, p->tail);

	pthread_mutex_lock(&p->lock);
	while (!s->done)
		pthread_cond_wait(&p->done, &p->lock);
	p->tail++;
	pthread_mutex_unlock(&p->lock);
	*ret_frame = s->frame;
	return s->error;
}

/* ---------------------------------------------------------------------------- its own life */

static unsigned int nr_wanted(const struct frame_pack_params *params)
{
	unsigned int n = params->threads;
	cpu_set_t cpus;

	if (!n)
		n = sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : CPU_COUNT(&cpus);
	return n < FRAME_PACK_THREADS ? n : FRAME_PACK_THREADS;
}

static int alloc_slot(struct frame_packer *p, struct slot *s)
{
	s->raw = malloc(p->params.frame_size + CRYPT_TAG);
	s->packed = malloc(p->packed_size + CRYPT_TAG);
	s->digests = malloc((size_t)p->params.frame_size / p->params.page_size * IMAGE_HASH_SIZE);
	return s->raw && s->packed && s->digests ? 0 : -ENOMEM;
}

static int alloc_ctx(ZSTD_CCtx **ctx)
{
	*ctx = ZSTD_createCCtx();
	/* the checksum proves that what was compressed is what comes out again */
	return *ctx && !ZSTD_isError(ZSTD_CCtx_setParameter(*ctx, ZSTD_c_checksumFlag, 1)) ? 0 : -ENOMEM;
}

static int alloc_all(struct frame_packer *p, unsigned int threads)
{
	int ret = 0;

	p->packed_size = ZSTD_compressBound(p->params.frame_size);
	p->nr_slots = threads > 1 ? threads + 1 : 1;
	p->nr_ctx = threads;
	p->slots = calloc(p->nr_slots, sizeof(*p->slots));
	p->ctx = calloc(p->nr_ctx, sizeof(*p->ctx));
	if (!p->slots || !p->ctx)
		return -ENOMEM;
	for (unsigned int i = 0; !ret && i < p->nr_slots; i++)
		ret = alloc_slot(p, &p->slots[i]);
	for (unsigned int i = 0; !ret && i < p->nr_ctx; i++)
		ret = alloc_ctx(&p->ctx[i]);
	return ret;
}

/* As many as there can be: none will do. */
static void start_threads(struct frame_packer *p, unsigned int threads)
{
	sigset_t all, was;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	while (p->nr_threads < threads) {
		struct start *start = malloc(sizeof(*start));

		if (!start)
			break;
		*start = (struct start){ p, p->ctx[p->nr_threads] };
		if (pthread_create(&p->threads[p->nr_threads], NULL, thread, start)) {
			free(start);
			break;
		}
		p->nr_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

int frame_packer_new(const struct frame_pack_params *params, struct frame_packer **ret_packer)
{
	unsigned int threads = nr_wanted(params);
	struct frame_packer *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->params = *params;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->done, NULL);
	ret = alloc_all(p, threads);
	if (ret) {
		frame_packer_free(p);
		return ret;
	}
	if (threads > 1)
		start_threads(p, threads);
	*ret_packer = p;
	return 0;
}

void frame_packer_free(struct frame_packer *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 0; i < p->nr_threads; i++)
		pthread_join(p->threads[i], NULL);
	for (unsigned int i = 0; p->slots && i < p->nr_slots; i++) {
		free(p->slots[i].raw);
		free(p->slots[i].packed);
		free(p->slots[i].digests);
	}
	for (unsigned int i = 0; p->ctx && i < p->nr_ctx; i++)
		ZSTD_freeCCtx(p->ctx[i]);
	free(p->slots);
	free(p->ctx);
	pthread_cond_destroy(&p->done);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
