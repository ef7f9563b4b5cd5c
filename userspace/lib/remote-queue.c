// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * remote-queue.c - see remote-queue.h.
 *
 * Scratch memory of the thread: entries first, then data.  Both are kept here
 * and copied over in one piece at each run.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "remote-queue.h"

#define MAX_ENTRIES	1024u
#define ENTRY_BYTES	(MAX_ENTRIES * sizeof(struct remote_entry))

/* The stack pointer of the thread points to the end; leave that alone. */
#define STACK_ROOM	4096u

/* rbx: entry, rbp: how many are left.  Both tell us afterwards how far it got. */
__asm__(".pushsection .rodata\n"
	".hidden remote_queue_code\n"
	".globl remote_queue_code\n"
	".hidden remote_queue_code_end\n"
	".globl remote_queue_code_end\n"
	"remote_queue_code:\n"
	"1:	test %rbp, %rbp\n"
	"	jz 2f\n"
	"	mov (%rbx), %rax\n"
	"	mov 8(%rbx), %rdi\n"
	"	mov 16(%rbx), %rsi\n"
	"	mov 24(%rbx), %rdx\n"
	"	mov 32(%rbx), %r10\n"
	"	mov 40(%rbx), %r8\n"
	"	mov 48(%rbx), %r9\n"
	"	syscall\n"
	"	mov %rax, 56(%rbx)\n"
	"	cmp $-4095, %rax\n"
	"	jae 2f\n"
	"	add $64, %rbx\n"
	"	dec %rbp\n"
	"	jmp 1b\n"
	"2:	int3\n"
	"remote_queue_code_end:\n"
	".popsection\n");

_Static_assert(sizeof(struct remote_entry) == 64, "as in the loop");

static size_t data_max(const struct remote_queue *q)
{
	return q->r->scratch_len - ENTRY_BYTES - STACK_ROOM;
}

int remote_queue_begin(struct remote_queue *q, struct remote *r, struct ckpt_err *err)
{
	memset(q, 0, sizeof(*q));
	q->r = r;
	q->err = err;
	q->entries = calloc(MAX_ENTRIES, sizeof(*q->entries));
	q->texts = calloc(MAX_ENTRIES, sizeof(*q->texts));
	q->data = malloc(data_max(q));
	if (q->entries && q->texts && q->data)
		return 0;
	remote_queue_end(q);
	return ckpt_err_set(err, -ENOMEM, "no memory");
}

static void empty(struct remote_queue *q)
{
	for (size_t i = 0; q->texts && i < q->nr; i++)
		free(q->texts[i]);
	q->nr = 0;
	q->used = 0;
}

void remote_queue_end(struct remote_queue *q)
{
	empty(q);
	free(q->entries);
	free(q->texts);
	free(q->data);
	q->entries = NULL;
	q->texts = NULL;
	q->data = NULL;
}

int remote_queue_room(struct remote_queue *q, size_t calls, size_t bytes)
{
	if (q->nr + calls <= MAX_ENTRIES && q->used + bytes + 8 * calls <= data_max(q))
		return 0;
	if (calls > MAX_ENTRIES || bytes + 8 * calls > data_max(q))
		return ckpt_err_set(q->err, -E2BIG, "too much for one call (%zu bytes)", bytes);
	return remote_queue_run(q);
}

uint64_t remote_queue_put(struct remote_queue *q, const void *data, size_t len)
{
	uint64_t at = q->r->scratch + ENTRY_BYTES + q->used;

	memcpy(q->data + q->used, data, len);
	q->used += (len + 7) & ~7ul;
	return at;
}

int remote_queue_add(struct remote_queue *q, long nr, const uint64_t args[6], const char *fmt, ...)
{
	struct remote_entry *e;
	va_list ap;
	int r = remote_queue_room(q, 1, 0);

	if (r)
		return r;
	va_start(ap, fmt);
	r = vasprintf(&q->texts[q->nr], fmt, ap);
	va_end(ap);
	if (r < 0)
		return ckpt_err_set(q->err, -ENOMEM, "no memory");
	e = &q->entries[q->nr++];
	e->nr = (uint64_t)nr;
	e->ret = 0;
	memcpy(e->args, args, sizeof(e->args));
	return 0;
}

int remote_queue_run(struct remote_queue *q)
{
	struct remote *r = q->r;
	size_t left;
	int ret;

	q->done = 0;
	if (!q->nr)
		return 0;
	ret = remote_write(r, q->err, r->scratch, q->entries, q->nr * sizeof(*q->entries));
	if (!ret && q->used)
		ret = remote_write(r, q->err, r->scratch + ENTRY_BYTES, q->data, q->used);
	if (!ret)
		ret = remote_loop(r, q->err, r->scratch, q->nr, &left);
	if (!ret)
		ret = remote_read(r, q->err, r->scratch, q->entries, q->nr * sizeof(*q->entries));
	if (ret) {
		ckpt_err_prefix(q->err, "%s or later", q->texts[0]);
	} else {
		q->done = q->nr - left;
		if (left)
			ret = ckpt_err_sys(q->err, (int)q->entries[q->done].ret, "%s",
					   q->texts[q->done]);
	}
	empty(q);
	return ret;
}
