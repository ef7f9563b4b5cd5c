// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Parser of the state record stream.
 *
 * Owns nothing beyond a call: a struct parse on the stack walks the stream and
 * fills a model, which is the caller's from then on.  Each record type has one
 * function; a table says its least payload and how often it may come.  What
 * can only be judged with all records at hand is in check_model().
 *
 * The stream is hostile input.  No length taken from it is used before it was
 * compared with what is left of its record, and memory is only ever allocated
 * in proportion to bytes that are really there.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>

#include "err.h"
#include "state.h"

/* End of the user half of the address space, with five-level page tables. */
#define TASK_TOP	0x00fffffffffff000ULL
#define PAGE_BYTES	4096ULL

/* The fixed part of the XSAVE area: legacy region and header. */
#define XSTATE_MIN	576U
#define XSTATE_MAX	(1U << 20)

#define FD_MAX		(1 << 30)

struct parse {
	struct ckpt_model *m;
	struct ckpt_err *err;
	const unsigned char *base;
	size_t len;
	size_t at;		/* offset of the record at hand */
	uint64_t nr;		/* records before it */
	const char *name;	/* its type */
	uint32_t seen;		/* bit per singleton type met */
	uint32_t seen_path;
	size_t cap_vmas, cap_fds, cap_locks, cap_sigpending, cap_timers, cap_threads, cap_policies, cap_tcps, cap_seccomps;
	size_t cap_guards, cap_semundos;
	bool end;
};

/* What is left of the payload at hand. */
struct body {
	const unsigned char *p;
	size_t len;
};

static int bad(struct parse *ps, const char *why)
{
	return ckpt_err_set(ps->err, -EINVAL, "state record %llu (%s, byte %zu): %s",
			    (unsigned long long)ps->nr, ps->name, ps->at, why);
}

static int no_memory(struct parse *ps)
{
	return ckpt_err_set(ps->err, -ENOMEM, "no memory for the state of the process");
}

/* Take @size bytes of the payload. */
static int take(struct parse *ps, struct body *b, void *to, size_t size)
{
	if (b->len < size)
		return bad(ps, "too short");
	memcpy(to, b->p, size);
	b->p += size;
	b->len -= size;
	return 0;
}

/* Take @len bytes into new memory; NULL for none. */
static int take_copy(struct parse *ps, struct body *b, size_t len, void *ret)
{
	void *copy = NULL;

	if (b->len < len)
		return bad(ps, "shorter than what it says it holds");
	if (len) {
		copy = malloc(len);
		if (!copy)
			return no_memory(ps);
		memcpy(copy, b->p, len);
	}
	b->p += len;
	b->len -= len;
	memcpy(ret, &copy, sizeof(copy));
	return 0;
}

static int take_text(struct parse *ps, struct body *b, size_t len, char **ret)
{
	char *text;

	*ret = NULL;
	if (b->len < len)
		return bad(ps, "text longer than the record");
	if (!len)
		return 0;
	if (memchr(b->p, 0, len))
		return bad(ps, "NUL inside text");
	text = malloc(len + 1);
	if (!text)
		return no_memory(ps);
	memcpy(text, b->p, len);
	text[len] = 0;
	b->p += len;
	b->len -= len;
	*ret = text;
	return 0;
}

/* The rest may come from a newer writer; it must say nothing. */
static int take_rest(struct parse *ps, struct body *b)
{
	for (; b->len; b->p++, b->len--)
		if (*b->p)
			return bad(ps, "longer than known and not zero there");
	return 0;
}

static int text_field(struct parse *ps, const char *field, size_t size)
{
	return memchr(field, 0, size) ? 0 : bad(ps, "text without end");
}

/* Room for one more in the array @pp of @nr elements. */
static int grow(struct parse *ps, void *pp, size_t nr, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 16;
	void *p;

	if (nr < *cap)
		return 0;
	memcpy(&p, pp, sizeof(p));
	p = reallocarray(p, want, size);
	if (!p)
		return no_memory(ps);
	memcpy(pp, &p, sizeof(p));
	*cap = want;
	return 0;
}

static int parse_system(struct parse *ps, struct body *b)
{
	struct ckpt_rec_system *s = &ps->m->system;
	int r = take(ps, b, s, sizeof(*s));

	if (r)
		return r;
	if (s->page_size != PAGE_BYTES)
		return bad(ps, "page size is not 4096");
	r = text_field(ps, s->release, sizeof(s->release));
	if (!r)
		r = text_field(ps, s->machine, sizeof(s->machine));
	if (!r)
		r = text_field(ps, s->module_version, sizeof(s->module_version));
	return r;
}

static int parse_proc(struct parse *ps, struct body *b)
{
	int r = take(ps, b, &ps->m->proc, sizeof(ps->m->proc));

	if (!r && ps->m->proc.pid <= 0)
		r = bad(ps, "process number is not positive");
	return r;
}

static int parse_mm(struct parse *ps, struct body *b)
{
	struct ckpt_rec_mm *mm = &ps->m->mm;
	int r = take(ps, b, mm, sizeof(*mm));

	if (r)
		return r;
	if (mm->auxv_len % sizeof(uint64_t))
		return bad(ps, "auxiliary vector is not made of words");
	return take_copy(ps, b, mm->auxv_len, &ps->m->auxv);
}

static int parse_path(struct parse *ps, struct body *b)
{
	struct ckpt_model_path *slot;
	struct ckpt_rec_path rec;
	int r = take(ps, b, &rec, sizeof(rec));

	if (r)
		return r;
	if (rec.what < CKPT_PATH_EXE || rec.what >= CKPT_NPATHS)
		return bad(ps, "unknown kind of path");
	slot = &ps->m->paths[rec.what];
	if (slot->present)
		return bad(ps, "second path of its kind");
	slot->rec = rec;
	slot->present = true;
	return take_text(ps, b, rec.path_len, &slot->path);
}

static int parse_vma(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_model_vma *v;
	int r = grow(ps, &m->vmas, m->nr_vmas, &ps->cap_vmas, sizeof(*v));

	if (r)
		return r;
	v = &m->vmas[m->nr_vmas];
	v->path = NULL;
	r = take(ps, b, &v->rec, sizeof(v->rec));
	if (r)
		return r;
	if ((v->rec.start | v->rec.end | v->rec.pgoff) % PAGE_BYTES)
		return bad(ps, "mapping is not page-aligned");
	if (v->rec.start >= v->rec.end)
		return bad(ps, "mapping is empty");
	if (v->rec.page_size < PAGE_BYTES || (v->rec.page_size & (v->rec.page_size - 1)))
		return bad(ps, "mapping has an impossible page size");
	/* The vsyscall page lies in the kernel half and is nobody's to map. */
	if (v->rec.end > TASK_TOP)
		return bad(ps, "mapping lies outside the user address space");
	if (m->nr_vmas && v->rec.start < m->vmas[m->nr_vmas - 1].rec.end)
		return bad(ps, "mapping overlaps the one before or is out of order");
	r = take_text(ps, b, v->rec.path_len, &v->path);
	if (!r)
		m->nr_vmas++;
	return r;
}

static int parse_fd(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_model_fd *f;
	int r = grow(ps, &m->fds, m->nr_fds, &ps->cap_fds, sizeof(*f));

	if (r)
		return r;
	f = &m->fds[m->nr_fds];
	f->path = f->info = NULL;
	r = take(ps, b, &f->rec, sizeof(f->rec));
	if (r)
		return r;
	if (f->rec.fd < 0 || f->rec.fd >= FD_MAX)
		return bad(ps, "impossible descriptor number");
	if (!f->rec.file)
		return bad(ps, "descriptor without an open file");
	if (f->rec.pos < 0)
		return bad(ps, "negative file offset");
	m->nr_fds++;
	r = take_text(ps, b, f->rec.path_len, &f->path);
	if (!r)
		r = take_text(ps, b, f->rec.info_len, &f->info);
	return r;
}

static int parse_lock(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_rec_lock *l;
	int r = grow(ps, &m->locks, m->nr_locks, &ps->cap_locks, sizeof(*l));

	if (r)
		return r;
	l = &m->locks[m->nr_locks];
	r = take(ps, b, l, sizeof(*l));
	if (r)
		return r;
	if (l->kind < CKPT_LOCK_POSIX || l->kind > CKPT_LOCK_DELEGATION)
		return bad(ps, "unknown kind of lock");
	if (l->start < 0 || l->end < l->start)
		return bad(ps, "lock of an impossible range");
	m->nr_locks++;
	return 0;
}

static int parse_sigactions(struct parse *ps, struct body *b)
{
	return take(ps, b, ps->m->sigactions, sizeof(ps->m->sigactions));
}

static int parse_sigpending(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_rec_sigpending *s;
	int r = grow(ps, &m->sigpending, m->nr_sigpending, &ps->cap_sigpending, sizeof(*s));

	if (r)
		return r;
	s = &m->sigpending[m->nr_sigpending];
	r = take(ps, b, s, sizeof(*s));
	if (r)
		return r;
	if (s->signo < 1 || s->signo > CKPT_NSIG)
		return bad(ps, "impossible signal number");
	m->nr_sigpending++;
	return 0;
}

static int parse_itimers(struct parse *ps, struct body *b)
{
	return take(ps, b, ps->m->itimers, sizeof(ps->m->itimers));
}

static int parse_posix_timer(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_rec_posix_timer *t;
	int r = grow(ps, &m->timers, m->nr_timers, &ps->cap_timers, sizeof(*t));

	if (r)
		return r;
	t = &m->timers[m->nr_timers];
	r = take(ps, b, t, sizeof(*t));
	if (r)
		return r;
	if (t->id < 0)
		return bad(ps, "impossible timer number");
	if (t->signo < 0 || t->signo > CKPT_NSIG)
		return bad(ps, "impossible signal number");
	m->nr_timers++;
	return 0;
}

static int parse_rlimits(struct parse *ps, struct body *b)
{
	return take(ps, b, ps->m->rlimits, sizeof(ps->m->rlimits));
}

static int parse_thread(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_model_thread *t;
	int r = grow(ps, &m->threads, m->nr_threads, &ps->cap_threads, sizeof(*t));

	if (r)
		return r;
	t = &m->threads[m->nr_threads];
	memset(t, 0, sizeof(*t));
	r = take(ps, b, &t->rec, sizeof(t->rec));
	if (r)
		return r;
	if (t->rec.tid <= 0)
		return bad(ps, "thread number is not positive");
	if (t->rec.run < CKPT_TRUN_PARKED || t->rec.run > CKPT_TRUN_STOPPED)
		return bad(ps, "unknown kind of standstill");
	m->nr_threads++;
	return text_field(ps, t->rec.comm, sizeof(t->rec.comm));
}

/* The thread a record belongs to: most likely the one that came last. */
static struct ckpt_model_thread *owner(struct parse *ps, int tid)
{
	struct ckpt_model *m = ps->m;

	for (size_t i = m->nr_threads; i-- > 0;)
		if (m->threads[i].rec.tid == tid)
			return &m->threads[i];
	return NULL;
}

static int parse_creds(struct parse *ps, struct body *b)
{
	struct ckpt_model_thread *t;
	struct ckpt_rec_creds c;
	int r = take(ps, b, &c, sizeof(c));

	if (r)
		return r;
	t = owner(ps, c.tid);
	if (!t)
		return bad(ps, "of a thread not in the stream so far");
	if (t->has_creds)
		return bad(ps, "second of its thread");
	/* First the length: nr_groups * 4 cannot overflow a size_t of 64 bits. */
	r = take_copy(ps, b, (size_t)c.nr_groups * sizeof(uint32_t), &t->groups);
	if (r)
		return r;
	t->creds = c;
	t->has_creds = true;
	return 0;
}

static int parse_regset(struct parse *ps, struct body *b)
{
	struct ckpt_model_thread *t;
	struct ckpt_rec_regset rs;
	int r = take(ps, b, &rs, sizeof(rs));

	if (r)
		return r;
	t = owner(ps, rs.tid);
	if (!t)
		return bad(ps, "of a thread not in the stream so far");
	switch (rs.note) {
	case 1: /* NT_PRSTATUS */
		if (t->prstatus)
			return bad(ps, "second of its thread");
		if (rs.len != sizeof(struct user_regs_struct))
			return bad(ps, "general registers of an unexpected size");
		t->prstatus_len = rs.len;
		return take_copy(ps, b, rs.len, &t->prstatus);
	case 0x202: /* NT_X86_XSTATE */
		if (t->xstate)
			return bad(ps, "second of its thread");
		if (rs.len < XSTATE_MIN || rs.len > XSTATE_MAX || rs.len % 8)
			return bad(ps, "extended registers of an impossible size");
		t->xstate_len = rs.len;
		return take_copy(ps, b, rs.len, &t->xstate);
	default:
		return ckpt_err_set(ps->err, -EOPNOTSUPP,
				    "thread %d: unknown register set 0x%x", rs.tid, rs.note);
	}
}

static int parse_cpus(struct parse *ps, struct body *b)
{
	struct ckpt_model_thread *t;
	struct ckpt_rec_cpus c;
	int r = take(ps, b, &c, sizeof(c));

	if (r)
		return r;
	t = owner(ps, c.tid);
	if (!t)
		return bad(ps, "of a thread not in the stream so far");
	if (t->cpus)
		return bad(ps, "second of its thread");
	if (!c.nr_words)
		return bad(ps, "no processors");
	t->nr_cpu_words = c.nr_words;
	return take_copy(ps, b, (size_t)c.nr_words * sizeof(uint64_t), &t->cpus);
}

static int parse_policy(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_model_policy *p;
	const struct ckpt_model_vma *v;
	int r = grow(ps, &m->policies, m->nr_policies, &ps->cap_policies, sizeof(*p));

	if (r)
		return r;
	p = &m->policies[m->nr_policies];
	p->nodes = NULL;
	r = take(ps, b, &p->rec, sizeof(p->rec));
	if (r)
		return r;
	v = ckpt_model_vma(m, p->rec.start);
	if (p->rec.tid ? !owner(ps, p->rec.tid) : !v || v->rec.start != p->rec.start)
		return bad(ps, "of a thread or mapping not in the stream so far");
	r = take_copy(ps, b, (size_t)p->rec.nr_words * sizeof(uint64_t), &p->nodes);
	if (!r)
		m->nr_policies++;
	return r;
}

static int parse_guard(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	const uint64_t before = m->nr_guards ? m->guards[m->nr_guards - 1].end : 0;
	const struct ckpt_model_vma *v;
	struct ckpt_rec_guard g;
	int r = grow(ps, &m->guards, m->nr_guards, &ps->cap_guards, sizeof(g));

	if (!r)
		r = take(ps, b, &g, sizeof(g));
	if (r)
		return r;
	v = ckpt_model_vma(m, g.start);
	if (!v || g.start < before || g.start >= g.end || g.end > v->rec.end || (g.start | g.end) % PAGE_BYTES ||
	    !(v->rec.flags & CKPT_VMA_GUARDS))
		return bad(ps, "not in a mapping that may have such, or out of order");
	m->guards[m->nr_guards++] = g;
	return 0;
}

static int parse_semundo(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_model_semundo *s;
	int r = grow(ps, &m->semundos, m->nr_semundos, &ps->cap_semundos, sizeof(*s));

	if (r)
		return r;
	s = &m->semundos[m->nr_semundos];
	s->adjustments = NULL;
	r = take(ps, b, &s->rec, sizeof(s->rec));
	if (!r)
		r = take_copy(ps, b, (size_t)s->rec.nr * sizeof(*s->adjustments), &s->adjustments);
	if (!r)
		m->nr_semundos++;
	return r;
}

static int parse_seccomp(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_model_seccomp *s;
	int r = grow(ps, &m->seccomps, m->nr_seccomps, &ps->cap_seccomps, sizeof(*s));

	if (r)
		return r;
	s = &m->seccomps[m->nr_seccomps];
	s->insns = NULL;
	r = take(ps, b, &s->rec, sizeof(s->rec));
	if (r)
		return r;
	if (!owner(ps, s->rec.tid))
		return bad(ps, "of a thread not in the stream so far");
	if (s->rec.like || s->rec.flags & CKPT_SECCOMP_STRICT ? s->rec.len || s->rec.nr :
	    !s->rec.len || s->rec.len > BPF_MAXINSNS)
		return bad(ps, "is of no possible length");
	r = take_copy(ps, b, (size_t)s->rec.len * sizeof(*s->insns), &s->insns);
	if (!r)
		m->nr_seccomps++;
	return r;
}

static int cmp_seccomp(const void *a, const void *b)
{
	const struct ckpt_rec_seccomp *x = &((const struct ckpt_model_seccomp *)a)->rec;
	const struct ckpt_rec_seccomp *y = &((const struct ckpt_model_seccomp *)b)->rec;

	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int bad_seccomps(struct parse *ps, int tid)
{
	return ckpt_err_set(ps->err, -EINVAL, "filters of thread %d are missing, or too many", tid);
}

/* Sorted, and of each thread all. */
static int check_seccomps(struct parse *ps)
{
	const struct ckpt_model *m = ps->m;
	const struct ckpt_model_seccomp *v = m->seccomps;

	if (m->nr_seccomps)
		qsort(m->seccomps, m->nr_seccomps, sizeof(*m->seccomps), cmp_seccomp);
	for (size_t i = 0, first = 0; i < m->nr_seccomps; i++) {
		const struct ckpt_rec_seccomp *rec = &v[i].rec;
		const bool last = i + 1 == m->nr_seccomps || v[i + 1].rec.tid != rec->tid;
		const uint32_t nr = rec->nr ? rec->nr : 1;
		size_t others;

		if (rec->index != i - first || rec->nr != v[first].rec.nr || (last && i - first + 1 != nr))
			return bad_seccomps(ps, rec->tid);
		if (rec->like && !ckpt_model_seccomps(m, rec->tid, &others))
			return bad_seccomps(ps, rec->tid);
		first = last ? i + 1 : first;
	}
	return 0;
}

/* States in which a FIN was sent, or has come; TCP_CLOSE is the end of all. */
#define TCP_FIN_SENT	(1U << 4 | 1U << 5 | 1U << 9 | 1U << 11)
#define TCP_FIN_COME	(1U << 8 | 1U << 9 | 1U << 11)
#define TCP_CLOSED	7
#define TCP_STATES	12

/* All that was written and not acknowledged is there, and all that has come and was not read. */
static int check_tcp(struct parse *ps, const struct ckpt_rec_tcp *t)
{
	const uint32_t sent = t->send_end - t->send_unacked, come = t->recv_next - t->recv_read;

	if (!t->state || t->state > TCP_STATES)
		return bad(ps, "unknown state of a connection");
	if (t->state == TCP_CLOSED)
		return 0;
	/* The FIN itself may be acknowledged, or read. */
	if (sent - t->send_len > (TCP_FIN_SENT >> t->state & 1))
		return bad(ps, "bytes to send are missing");
	if (come - t->recv_len > (TCP_FIN_COME >> t->state & 1))
		return bad(ps, "received bytes are missing");
	if (t->send_next - t->send_unacked > sent)
		return bad(ps, "more was sent than there was");
	return 0;
}

static int parse_tcp(struct parse *ps, struct body *b)
{
	struct ckpt_model *m = ps->m;
	struct ckpt_model_tcp *t;
	int r = grow(ps, &m->tcps, m->nr_tcps, &ps->cap_tcps, sizeof(*t));

	if (r)
		return r;
	t = &m->tcps[m->nr_tcps];
	t->send = t->recv = NULL;
	r = take(ps, b, &t->rec, sizeof(t->rec));
	if (r)
		return r;
	m->nr_tcps++;
	r = check_tcp(ps, &t->rec);
	if (!r)
		r = take_copy(ps, b, t->rec.send_len, &t->send);
	return r ? r : take_copy(ps, b, t->rec.recv_len, &t->recv);
}

static int parse_end(struct parse *ps, struct body *b)
{
	struct ckpt_rec_end end;
	int r = take(ps, b, &end, sizeof(end));

	if (r)
		return r;
	if (end.records != ps->nr || end.bytes != ps->at)
		return bad(ps, "counts differ from what came before: records are missing");
	ps->end = true;
	return 0;
}

#define ONCE	1U

static const struct {
	const char *name;
	int (*parse)(struct parse *ps, struct body *b);
	uint32_t flags;
} types[] = {
	[CKPT_REC_SYSTEM] = { "system", parse_system, ONCE },
	[CKPT_REC_PROC] = { "proc", parse_proc, ONCE },
	[CKPT_REC_MM] = { "mm", parse_mm, ONCE },
	[CKPT_REC_PATH] = { "path", parse_path, 0 },
	[CKPT_REC_VMA] = { "vma", parse_vma, 0 },
	[CKPT_REC_FD] = { "fd", parse_fd, 0 },
	[CKPT_REC_LOCK] = { "lock", parse_lock, 0 },
	[CKPT_REC_SIGACTIONS] = { "sigactions", parse_sigactions, ONCE },
	[CKPT_REC_SIGPENDING] = { "sigpending", parse_sigpending, 0 },
	[CKPT_REC_ITIMERS] = { "itimers", parse_itimers, ONCE },
	[CKPT_REC_POSIX_TIMER] = { "posix timer", parse_posix_timer, 0 },
	[CKPT_REC_RLIMITS] = { "rlimits", parse_rlimits, ONCE },
	[CKPT_REC_THREAD] = { "thread", parse_thread, 0 },
	[CKPT_REC_CREDS] = { "creds", parse_creds, 0 },
	[CKPT_REC_REGSET] = { "regset", parse_regset, 0 },
	[CKPT_REC_CPUS] = { "cpus", parse_cpus, 0 },
	[CKPT_REC_END] = { "end", parse_end, ONCE },
	[CKPT_REC_MEMPOLICY] = { "memory policy", parse_policy, 0 },
	[CKPT_REC_TCP] = { "tcp", parse_tcp, 0 },
	[CKPT_REC_SECCOMP] = { "seccomp", parse_seccomp, 0 },
	[CKPT_REC_GUARD] = { "guard region", parse_guard, 0 },
	[CKPT_REC_SEMUNDO] = { "semaphore adjustments", parse_semundo, 0 },
};

#define NTYPES	(sizeof(types) / sizeof(types[0]))

static int parse_one(struct parse *ps, uint32_t type, struct body *b)
{
	uint32_t known = type & ~CKPT_REC_MUST;
	int r;

	if (!ps->nr && known != CKPT_REC_SYSTEM)
		return bad(ps, "is not the system record, which comes first");
	if (known >= NTYPES || !types[known].parse) {
		if (type & CKPT_REC_MUST)
			return ckpt_err_set(ps->err, -EOPNOTSUPP,
					    "state record %llu is of type %u, which a newer version must restore",
					    (unsigned long long)ps->nr, known);
		return 0;
	}
	ps->name = types[known].name;
	if (types[known].flags & ONCE) {
		if (ps->seen & (1U << known))
			return bad(ps, "second of its type");
		ps->seen |= 1U << known;
	}
	r = types[known].parse(ps, b);
	return r ? r : take_rest(ps, b);
}

static int parse_stream(struct parse *ps)
{
	while (ps->at < ps->len) {
		size_t left = ps->len - ps->at;
		struct ckpt_record head;
		struct body b;
		size_t padded;
		int r;

		ps->name = "head";
		if (ps->end)
			return bad(ps, "comes after the end record");
		if (left < sizeof(head))
			return bad(ps, "cut off");
		memcpy(&head, ps->base + ps->at, sizeof(head));
		left -= sizeof(head);
		padded = ((size_t)head.len + 7) & ~(size_t)7;
		if (padded > left)
			return bad(ps, "reaches beyond the end of the stream");
		b.p = ps->base + ps->at + sizeof(head);
		for (size_t i = head.len; i < padded; i++)
			if (b.p[i])
				return bad(ps, "padding is not zero");
		b.len = head.len;
		r = parse_one(ps, head.type, &b);
		if (r)
			return r;
		ps->at += sizeof(head) + padded;
		ps->nr++;
	}
	return 0;
}

static int cmp_fd(const void *a, const void *b)
{
	const struct ckpt_model_fd *x = a, *y = b;

	return (x->rec.fd > y->rec.fd) - (x->rec.fd < y->rec.fd);
}

static int cmp_int(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static int check_threads(struct parse *ps)
{
	struct ckpt_model *m = ps->m;
	int *tids;
	int r = 0;

	if (!m->nr_threads || m->threads[0].rec.tid != m->proc.pid)
		return bad(ps, "the leader is not the first thread");
	if (m->nr_threads != m->proc.nr_threads)
		return bad(ps, "threads are missing or too many");
	tids = malloc(m->nr_threads * sizeof(*tids));
	if (!tids)
		return no_memory(ps);
	for (size_t i = 0; i < m->nr_threads; i++) {
		const struct ckpt_model_thread *t = &m->threads[i];

		tids[i] = t->rec.tid;
		if (!r && (!t->has_creds || !t->prstatus || !t->xstate))
			r = ckpt_err_set(ps->err, -EINVAL,
					 "thread %d has no registers or no credentials in the stream",
					 t->rec.tid);
	}
	qsort(tids, m->nr_threads, sizeof(*tids), cmp_int);
	for (size_t i = 1; !r && i < m->nr_threads; i++)
		if (tids[i] == tids[i - 1])
			r = ckpt_err_set(ps->err, -EINVAL, "thread %d comes twice", tids[i]);
	free(tids);
	return r;
}

static int check_model(struct parse *ps)
{
	struct ckpt_model *m = ps->m;
	int r;

	ps->name = "end";
	if (!ps->end)
		return bad(ps, "the stream is cut off before its end record");
	for (size_t i = 0; i < NTYPES; i++)
		if ((types[i].flags & ONCE) && !(ps->seen & (1U << i)))
			return ckpt_err_set(ps->err, -EINVAL, "the state has no %s record",
					    types[i].name);
	r = check_threads(ps);
	if (!r)
		r = check_seccomps(ps);
	if (r)
		return r;
	if (m->nr_fds)
		qsort(m->fds, m->nr_fds, sizeof(*m->fds), cmp_fd);
	for (size_t i = 1; i < m->nr_fds; i++)
		if (m->fds[i].rec.fd == m->fds[i - 1].rec.fd)
			return ckpt_err_set(ps->err, -EINVAL, "descriptor %d comes twice",
					    m->fds[i].rec.fd);
	for (size_t i = 0; i < m->nr_locks; i++)
		if (!ckpt_model_fd(m, m->locks[i].fd))
			return ckpt_err_set(ps->err, -EINVAL,
					    "a file lock is held by descriptor %d, which is not open",
					    m->locks[i].fd);
	for (size_t i = 0; i < m->nr_sigpending; i++)
		if (m->sigpending[i].tid && !ckpt_model_thread(m, m->sigpending[i].tid))
			return ckpt_err_set(ps->err, -EINVAL,
					    "signal %d waits for thread %d, which is not there",
					    m->sigpending[i].signo, m->sigpending[i].tid);
	return 0;
}

/* When fds are in their order.  The state of a socket as module/state_sock.c tells it: TCP_LISTEN. */
static int note_listening(struct parse *ps)
{
	struct ckpt_model *m = ps->m;

	m->listening = calloc(m->nr_fds + 1, sizeof(*m->listening));
	if (!m->listening)
		return no_memory(ps);
	for (size_t i = 0; i < m->nr_fds; i++)
		if (m->fds[i].rec.kind == CKPT_FDK_SOCK && m->fds[i].info &&
		    strstr(m->fds[i].info, "sock-state: 10\n"))
			m->listening[m->nr_listening++] = i;
	return 0;
}

int ckpt_model_parse(const void *buf, size_t len, struct ckpt_err *err,
		     struct ckpt_model **ret_model)
{
	struct parse ps = { .err = err, .base = buf, .len = len, .name = "head" };
	int r;

	ps.m = calloc(1, sizeof(*ps.m));
	if (!ps.m)
		return no_memory(&ps);
	r = parse_stream(&ps);
	if (!r)
		r = check_model(&ps);
	if (!r)
		r = note_listening(&ps);
	if (r) {
		ckpt_model_free(ps.m);
		return r;
	}
	*ret_model = ps.m;
	return 0;
}

void ckpt_model_free(struct ckpt_model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < CKPT_NPATHS; i++)
		free(m->paths[i].path);
	for (size_t i = 0; i < m->nr_vmas; i++)
		free(m->vmas[i].path);
	for (size_t i = 0; i < m->nr_fds; i++) {
		free(m->fds[i].path);
		free(m->fds[i].info);
	}
	for (size_t i = 0; i < m->nr_threads; i++) {
		free(m->threads[i].groups);
		free(m->threads[i].prstatus);
		free(m->threads[i].xstate);
		free(m->threads[i].cpus);
	}
	for (size_t i = 0; i < m->nr_policies; i++)
		free(m->policies[i].nodes);
	free(m->policies);
	for (size_t i = 0; i < m->nr_tcps; i++) {
		free(m->tcps[i].send);
		free(m->tcps[i].recv);
	}
	free(m->tcps);
	for (size_t i = 0; i < m->nr_seccomps; i++)
		free(m->seccomps[i].insns);
	free(m->seccomps);
	free(m->guards);
	for (size_t i = 0; i < m->nr_semundos; i++)
		free(m->semundos[i].adjustments);
	free(m->semundos);
	free(m->auxv);
	free(m->vmas);
	free(m->fds);
	free(m->listening);
	free(m->locks);
	free(m->sigpending);
	free(m->timers);
	free(m->threads);
	free(m);
}
