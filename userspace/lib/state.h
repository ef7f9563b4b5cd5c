/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of a process as a plain model.
 *
 * The module delivers state as a stream of records (<linux/ckpt.h>, "State
 * records"), the image stores that stream as it is.  ckpt_model_parse() turns
 * it into structures that are safe to walk: whoever reads a model may rely on
 * everything listed at struct ckpt_model and need not check it again.
 *
 * The stream is taken as hostile: an image may come from anywhere.  The model
 * owns copies of all it holds; the stream may go away after parsing.
 */
#ifndef CKPT_LIB_STATE_H
#define CKPT_LIB_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <linux/ckpt.h>
#include <linux/filter.h>

struct ckpt_err;

#define CKPT_NSIG		64
#define CKPT_NRLIMITS		16
#define CKPT_NITIMERS		3

/*
 * End of what a program gets without asking for more, and of all it has with four-level page tables
 * (Documentation/arch/x86/x86_64/5level-paging.rst).
 */
#define CKPT_USER_END		0x7ffffffff000ULL

/* Index of ckpt_model.paths: enum ckpt_path_what. */
#define CKPT_NPATHS		(CKPT_PATH_ROOT + 1)

/* A path is NULL when the record carried none. */
struct ckpt_model_path {
	struct ckpt_rec_path rec;
	char *path;
	bool present;
};

struct ckpt_model_vma {
	struct ckpt_rec_vma rec;
	char *path;			/* file, or name as "[vvar]" */
};

struct ckpt_model_fd {
	struct ckpt_rec_fd rec;
	char *path;
	char *info;			/* fdinfo text */
};

struct ckpt_model_thread {
	struct ckpt_rec_thread rec;
	struct ckpt_rec_creds creds;
	uint32_t *groups;		/* creds.nr_groups of them */
	void *prstatus;			/* NT_PRSTATUS */
	void *xstate;			/* NT_X86_XSTATE */
	uint64_t *cpus;			/* NULL: all processors */
	uint32_t prstatus_len;
	uint32_t xstate_len;
	uint32_t nr_cpu_words;
	bool has_creds;			/* for the parser */
};

struct ckpt_model_policy {
	struct ckpt_rec_mempolicy rec;
	uint64_t *nodes;		/* rec.nr_words of them */
};

struct ckpt_model_seccomp {
	struct ckpt_rec_seccomp rec;
	struct sock_filter *insns;	/* rec.len of them */
};

struct ckpt_model_semundo {
	struct ckpt_rec_semundo rec;
	int16_t *adjustments;		/* rec.nr of them */
};

struct ckpt_model_tcp {
	struct ckpt_rec_tcp rec;
	void *send;			/* rec.send_len bytes */
	void *recv;			/* rec.recv_len bytes */
};

/**
 * struct ckpt_model - one process
 *
 * What holds for a model that ckpt_model_parse() returned:
 *  - system, proc, mm, sigactions, itimers and rlimits were in the stream,
 *    each once; text in fixed arrays is NUL-terminated
 *  - strings have no NUL inside
 *  - vmas ascend, do not overlap, are page-aligned, not empty and end below
 *    the top of the user address space
 *  - fds ascend by number, from 0, each number once; file is never 0
 *  - threads[0] is the leader, its tid is proc.pid; tids are positive and
 *    unique; there are proc.nr_threads; each has creds, prstatus of the size
 *    of struct user_regs_struct and an xstate that holds at least the legacy
 *    area and the XSAVE header
 *  - a pending signal's tid is 0 or that of a thread, signo is 1..64
 *  - a lock's fd is one of fds
 *  - a TCP connection's bytes to send end at its send_end, a FIN apart, and those received at its recv_next
 *  - records of seccomp(2) are sorted by thread, the filter first that was installed first: all nr of it, or
 *    one that says strict, or like another thread, which has filters of its own
 *  - guard regions ascend, do not overlap, are page-aligned, not empty, each in one mapping
 *  - a policy is that of a thread or that of the mapping that begins at its start
 */
struct ckpt_model {
	const struct ckpt_set *set;	/* those it was captured with; NULL: it was alone */
	struct ckpt_rec_system system;
	struct ckpt_rec_proc proc;
	struct ckpt_rec_mm mm;
	uint64_t *auxv;			/* mm.auxv_len / 8 words */
	struct ckpt_model_path paths[CKPT_NPATHS];
	struct ckpt_rec_sigaction sigactions[CKPT_NSIG];
	struct ckpt_rec_itimer itimers[CKPT_NITIMERS];
	struct ckpt_rec_rlimit rlimits[CKPT_NRLIMITS];

	struct ckpt_model_vma *vmas;
	size_t nr_vmas;
	struct ckpt_model_fd *fds;
	size_t nr_fds;
	size_t *listening;		/* places in fds of sockets that listen: there may be many others */
	size_t nr_listening;
	struct ckpt_rec_lock *locks;
	size_t nr_locks;
	struct ckpt_rec_sigpending *sigpending;	/* in queue order */
	size_t nr_sigpending;
	struct ckpt_rec_posix_timer *timers;
	size_t nr_timers;
	struct ckpt_model_thread *threads;
	size_t nr_threads;
	struct ckpt_model_policy *policies;
	size_t nr_policies;
	struct ckpt_model_tcp *tcps;
	size_t nr_tcps;
	struct ckpt_model_seccomp *seccomps;
	size_t nr_seccomps;
	struct ckpt_rec_guard *guards;
	size_t nr_guards;
	struct ckpt_model_semundo *semundos;
	size_t nr_semundos;
};

/* The processes of one snapshot; whoever put them together owns it. */
struct ckpt_set {
	struct ckpt_model **models;
	size_t nr;
};

static inline size_t ckpt_set_size(const struct ckpt_model *m)
{
	return m->set ? m->set->nr : 1;
}

/* One of those captured with @m, by number; @m itself is among them. */
static inline const struct ckpt_model *ckpt_set_model(const struct ckpt_model *m, size_t i)
{
	return m->set ? m->set->models[i] : m;
}

/*
 * Parse the @len bytes of records at @buf.  Returns 0 and a model for
 * ckpt_model_free(), or -EINVAL (malformed; the text says which record and
 * why), -EOPNOTSUPP (a record that must be understood and is not), -ENOMEM.
 */
int ckpt_model_parse(const void *buf, size_t len, struct ckpt_err *err,
		     struct ckpt_model **ret_model);
void ckpt_model_free(struct ckpt_model *model);

/* NULL when there is none. */
const struct ckpt_model_fd *ckpt_model_fd(const struct ckpt_model *model, int fd);
const struct ckpt_model_vma *ckpt_model_vma(const struct ckpt_model *model, uint64_t addr);
const struct ckpt_model_thread *ckpt_model_thread(const struct ckpt_model *model, int tid);
/* Its *ret_nr filters, the oldest first, or one record that says strict; NULL, 0: none are known. */
const struct ckpt_model_seccomp *ckpt_model_seccomps(const struct ckpt_model *model, int tid, size_t *ret_nr);

/* The *ret_nr guard regions of one of its mappings, ascending. */
const struct ckpt_rec_guard *ckpt_model_guards(const struct ckpt_model *model, const struct ckpt_rec_vma *v,
					       size_t *ret_nr);

/* Whether there is anything to undo: what was, may have been undone by the program. */
bool ckpt_model_undoes(const struct ckpt_model_semundo *s);

/* Time of last change in nanoseconds; and whether it and the size of a file are as in the record. */
int64_t ckpt_mtime_ns(const struct stat *st);
bool ckpt_file_unchanged(const struct ckpt_file_id *id, const struct stat *st);

#endif /* CKPT_LIB_STATE_H */
