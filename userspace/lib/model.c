// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * model.c - what is asked of a parsed model: one thing of many, by its number or address.  No state.
 */
#include <sys/stat.h>

#include "state.h"

const struct ckpt_model_fd *ckpt_model_fd(const struct ckpt_model *m, int fd)
{
	size_t lo = 0, hi = m->nr_fds;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (fd < m->fds[mid].rec.fd)
			hi = mid;
		else if (fd > m->fds[mid].rec.fd)
			lo = mid + 1;
		else
			return &m->fds[mid];
	}
	return NULL;
}

const struct ckpt_model_vma *ckpt_model_vma(const struct ckpt_model *m, uint64_t addr)
{
	size_t lo = 0, hi = m->nr_vmas;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr < m->vmas[mid].rec.start)
			hi = mid;
		else if (addr >= m->vmas[mid].rec.end)
			lo = mid + 1;
		else
			return &m->vmas[mid];
	}
	return NULL;
}

const struct ckpt_model_thread *ckpt_model_thread(const struct ckpt_model *m, int tid)
{
	for (size_t i = 0; i < m->nr_threads; i++)
		if (m->threads[i].rec.tid == tid)
			return &m->threads[i];
	return NULL;
}

static const struct ckpt_model_seccomp *own_seccomps(const struct ckpt_model *m, int tid, size_t *ret_nr)
{
	size_t first = 0, end;

	while (first < m->nr_seccomps && m->seccomps[first].rec.tid != tid)
		first++;
	for (end = first; end < m->nr_seccomps && m->seccomps[end].rec.tid == tid; end++)
		;
	*ret_nr = end - first;
	return first < end ? &m->seccomps[first] : NULL;
}

const struct ckpt_model_seccomp *ckpt_model_seccomps(const struct ckpt_model *m, int tid, size_t *ret_nr)
{
	const struct ckpt_model_seccomp *v = own_seccomps(m, tid, ret_nr);

	if (v && v->rec.like)
		v = own_seccomps(m, v->rec.like, ret_nr);
	if (!v || v->rec.like)		/* which another one's like never is */
		*ret_nr = 0;
	return *ret_nr ? v : NULL;
}

const struct ckpt_rec_guard *ckpt_model_guards(const struct ckpt_model *m, const struct ckpt_rec_vma *v, size_t *ret_nr)
{
	size_t lo = 0, hi = m->nr_guards, end;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->guards[mid].start < v->start)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < m->nr_guards && m->guards[end].end <= v->end; end++)
		;
	*ret_nr = end - lo;
	return *ret_nr ? &m->guards[lo] : NULL;
}

bool ckpt_model_undoes(const struct ckpt_model_semundo *s)
{
	for (uint32_t i = 0; i < s->rec.nr; i++)
		if (s->adjustments[i])
			return true;
	return false;
}

int64_t ckpt_mtime_ns(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
}

bool ckpt_file_unchanged(const struct ckpt_file_id *id, const struct stat *st)
{
	return (uint64_t)st->st_size == id->size && ckpt_mtime_ns(st) == id->mtime_ns;
}
