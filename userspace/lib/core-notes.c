// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * core-notes.c - the notes of an ELF core: who the process was, its threads' registers, its files.
 *
 * In the kernel's order (fs/binfmt_elf.c, write_note_info()): the leader's status, then what is the
 * process's, then the leader's other registers; after that status and registers of each thread.
 * core(5), elf(5); struct elf_prstatus and struct elf_prpsinfo are of <sys/procfs.h>.
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/procfs.h>

#include "core.h"

#define FXSAVE_SIZE	512	/* the legacy area that an XSAVE area begins with */

static int pad(struct buf *b)
{
	static const char zero[4];

	return buf_append(b, zero, -b->len & 3);
}

static int note(struct buf *b, const char *name, uint32_t type, const void *data, size_t len)
{
	const Elf64_Nhdr head = { .n_namesz = strlen(name) + 1, .n_descsz = len, .n_type = type };
	int ret = buf_append(b, &head, sizeof(head));

	if (!ret)
		ret = buf_append(b, name, head.n_namesz);
	if (!ret)
		ret = pad(b);
	if (!ret)
		ret = buf_append(b, data, len);
	return ret ? ret : pad(b);
}

static struct timeval to_timeval(uint64_t ns)
{
	return (struct timeval){ .tv_sec = ns / 1000000000, .tv_usec = ns / 1000 % 1000000 };
}

static int put_status(const struct ckpt_model *m, const struct ckpt_model_thread *t, struct buf *b)
{
	struct elf_prstatus s = {
		.pr_utime = to_timeval(t->rec.utime_ns), .pr_stime = to_timeval(t->rec.stime_ns),
		.pr_sighold = t->rec.sigmask, .pr_fpvalid = 1, .pr_pid = t->rec.tid,
		.pr_ppid = m->proc.ppid, .pr_pgrp = m->proc.pgid, .pr_sid = m->proc.sid,
	};

	memcpy(&s.pr_reg, t->prstatus, sizeof(s.pr_reg));
	return note(b, "CORE", NT_PRSTATUS, &s, sizeof(s));
}

static int put_registers(const struct ckpt_model_thread *t, struct buf *b)
{
	int ret = note(b, "CORE", NT_FPREGSET, t->xstate, FXSAVE_SIZE);

	return ret ? ret : note(b, "LINUX", NT_X86_XSTATE, t->xstate, t->xstate_len);
}

static int put_process(const struct ckpt_model *m, const char *args, struct buf *b)
{
	const struct ckpt_model_thread *t = &m->threads[0];
	struct elf_prpsinfo p = {
		.pr_sname = 'R', .pr_nice = t->rec.nice, .pr_uid = t->creds.uid, .pr_gid = t->creds.gid,
		.pr_pid = m->proc.pid, .pr_ppid = m->proc.ppid, .pr_pgrp = m->proc.pgid,
		.pr_sid = m->proc.sid,
	};

	memcpy(p.pr_fname, t->rec.comm, sizeof(p.pr_fname));
	snprintf(p.pr_psargs, sizeof(p.pr_psargs), "%s", args);
	return note(b, "CORE", NT_PRPSINFO, &p, sizeof(p));
}

bool core_has_file(const struct ckpt_model_vma *v)
{
	return v->path && *v->path &&
	       !(v->rec.flags & (CKPT_VMA_ANON | CKPT_VMA_SHMEM | CKPT_VMA_VDSO | CKPT_VMA_SPECIAL));
}

/* Count, page size; start, end, offset in pages, of each; then the names. */
static int put_files(const struct ckpt_model *m, struct buf *b)
{
	uint64_t head[2] = { 0, m->system.page_size };
	struct buf table = { 0 }, names = { 0 };
	int ret = buf_append(&table, head, sizeof(head));

	for (size_t i = 0; !ret && i < m->nr_vmas; i++) {
		const struct ckpt_model_vma *v = &m->vmas[i];
		const uint64_t at[3] = { v->rec.start, v->rec.end,
					 v->rec.pgoff / m->system.page_size };

		if (!core_has_file(v))
			continue;
		head[0]++;
		ret = buf_append(&table, at, sizeof(at));
		if (!ret)
			ret = buf_append(&names, v->path, strlen(v->path) + 1);
	}
	if (!ret) {
		memcpy(table.data, head, sizeof(head));
		ret = buf_append(&table, names.data, names.len);
	}
	if (!ret)
		ret = note(b, "CORE", NT_FILE, table.data, table.len);
	buf_free(&table);
	buf_free(&names);
	return ret;
}

int core_notes(const struct ckpt_model *m, const char *args, struct buf *notes)
{
	int ret = put_status(m, &m->threads[0], notes);

	if (!ret)
		ret = put_process(m, args, notes);
	if (!ret)
		ret = note(notes, "CORE", NT_AUXV, m->auxv, m->mm.auxv_len);
	if (!ret)
		ret = put_files(m, notes);
	if (!ret)
		ret = put_registers(&m->threads[0], notes);
	for (size_t i = 1; !ret && i < m->nr_threads; i++) {
		ret = put_status(m, &m->threads[i], notes);
		if (!ret)
			ret = put_registers(&m->threads[i], notes);
	}
	return ret;
}
