/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restore-priv.h - what the parts of the restore engine share.
 *
 *	restore.c		the order of things, and the way back
 *	restore-tree.c		several processes: whose parent is whose, groups, zombies
 *	restore-hooks.c		hooks of the program
 *	restore-check.c		what can be known to fail before anything is done
 *	restore-open.c		one file: open it, and is it the one it was?
 *	restore-copy.c		a file of the image in the place of one that changed
 *	restore-fd.c		what one descriptor refers to
 *	restore-nameless.c	files without a name
 *	restore-segment.c	System V shared memory
 *	restore-ipc.c		System V semaphores and message queues
 *	restore-pty.c		pseudo-terminals, controlling terminals
 *	restore-socket.c	sockets
 *	restore-unix.c		those of several processes, and connected by name
 *	restore-owner.c		whom open files signal
 *	restore-files.c		all files: numbers, mappings, directories, locks
 *	restore-stub.c		the child: right number, right files, nothing else
 *	restore-mm.c		its address space, empty and rebuilt
 *	restore-policy.c	NUMA policies
 *	restore-fill.c		page contents
 *	restore-thread.c	threads and what belongs to each
 *	restore-seccomp.c	seccomp filters
 *	restore-creds.c		credentials
 *	restore-signal.c	signal actions, pending signals, timers
 *	restore-regs.c		registers, calls in progress
 *	restore-wait.c		standing in for the program
 *	restore-pidns.c		all of that in a PID namespace of its own
 *
 * struct restore lives on the stack of ckpt_restore_run().  Each part has one
 * or two entry points that are called in the order of restore.c; each returns 0
 * or -errno with the text in rs->err.
 */
#ifndef CKPT_LIB_RESTORE_PRIV_H
#define CKPT_LIB_RESTORE_PRIV_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "chain.h"
#include "hooks.h"
#include "image.h"
#include "meta.h"
#include "remote.h"
#include "restore.h"
#include "state.h"
#include "tree.h"

#define RESTORE_PAGE		4096ULL
#define RESTORE_TASK_END	CKPT_USER_END
#define NSEC_PER_SEC		1000000000ULL

/* The restorer area in the child: one page of code, then scratch memory. */
#define AREA_CODE		RESTORE_PAGE
#define AREA_SCRATCH		(512ULL << 10)
/* Behind it, room where vdso and vvar wait while the old mappings go. */
#define AREA_SPECIAL		(256ULL << 10)
#define AREA_SIZE		(AREA_CODE + AREA_SCRATCH + AREA_SPECIAL)

struct restore_files;
struct nameless;
struct own_pipe;
struct segment;
struct own_pty;

/* What the kernel installed in the stub: vdso, vvar. */
struct special {
	char name[24];
	uint64_t start;
	uint64_t len;
};

#define NR_SPECIAL	8

struct restore_thread {
	const struct ckpt_model_thread *t;
	struct remote remote;
	bool there;		/* cloned, to be reaped on failure */
	uint64_t rseq_cs;	/* see restore-thread.c */
	long restarted;		/* result of the call made anew, see restore-regs.c */
	bool has_restarted;
};

struct restore {
	struct restore_set *set;	/* those it is restored with, itself among them */
	const struct ckpt_restore_opts *opts;
	struct ckpt_err *err;
	struct ckpt_model *m;
	struct image *image;	/* the newest of opts->chain; its memory is the chain's */
	struct meta_files meta;
	uint64_t left_out;	/* bytes of memory, as snap noted */
	struct hooks hooks;	/* of the program; own_tid 0: none were asked */

	struct restore_files *files;

	int report[2];		/* how the child tells how it goes: our end, its end; -1: closed */
	pid_t pid;		/* of the child; 0: none yet */
	int mem;		/* its /proc/PID/mem */
	struct restore_thread *threads;	/* m->nr_threads, leader first */
	uint64_t area;
	struct special specials[NR_SPECIAL];
	size_t nr_specials;
	int64_t mono_offset;	/* of the child's clocks, a time namespace; else 0 */
	int64_t boot_offset;
	bool born;		/* a child of the caller's, by a helper */
	sigset_t old_mask;	/* of the caller */
};

/* All processes of the image, and what they have between them. */
struct restore_set {
	struct restore *v;		/* the root first, parents before their children */
	size_t nr;
	struct tree tree;		/* empty: the root is alone */
	struct ckpt_set models;
	struct nameless *nameless;	/* as many as there are descriptors and mappings, at most */
	size_t nr_nameless;
	struct own_pipe *pipes;
	size_t nr_pipes;
	struct own_ipc *ipc;		/* nr_ipc semaphore sets and message queues, described in ipc_data */
	size_t nr_ipc;
	void *ipc_data;
	struct segment *segments;
	size_t nr_segments;
	struct own_pty *ptys;
	size_t nr_ptys;
	struct hold *hold;	/* of connections to outside, until they are there */
	bool released;		/* they were */
};

static inline bool is_root(const struct restore *rs)
{
	return rs == rs->set->v;
}

static inline struct remote *leader(struct restore *rs)
{
	return &rs->threads[0].remote;
}

static inline struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NSEC_PER_SEC),
				  .tv_nsec = (long)(ns % NSEC_PER_SEC) };
}

/*
 * MAP_SHARED of a file that is open for reading alone: the kernel keeps only
 * "may be shared", for it never will be written.
 */
static inline bool restore_is_shared(const struct ckpt_rec_vma *v)
{
	return v->flags & (CKPT_VMA_SHARED | CKPT_VMA_MAYSHARE);
}

/* Of several roots those behind the first one. */
struct restore_others {
	pid_t *v;
	size_t nr;
};

/* restore.c: @ret_others (may be NULL) is set in any case, and its array to be freed. */
int restore_run(const struct ckpt_restore_opts *opts, const sigset_t *old_mask,
		struct ckpt_err *err, pid_t *ret_pid, struct restore_others *ret_others);

/*
 * restore-pidns.c: restore_run() in a PID namespace of its own.  What is left to know of the program
 * there: its number here, a pidfd (-1: it had ended), and where messages come from.
 */
struct restore_away {
	pid_t pid;
	int pidfd;
	int sock;
};

int restore_pidns_run(const struct ckpt_restore_opts *opts, const sigset_t *old_mask, struct ckpt_err *err,
		      struct restore_away *ret);
int restore_away_listen(const struct restore_away *away, struct ckpt_err *err);
/* As waitpid(2) with WNOHANG | WUNTRACED: 1 with a status, or 0. */
int restore_away_look(const struct restore_away *away, int *ret_status);
void restore_away_close(struct restore_away *away);

/* restore-seccomp.c: those that all threads have, before there are others; and the rest. */
int restore_seccomp_shared(struct restore *rs);
int restore_seccomp(struct restore *rs);

/* restore-check.c */
int restore_check(struct restore *rs);
/* "python3, /usr/bin/python3.11" for the process that has thread number @tid. */
void restore_name_owner(pid_t tid, char *buf, size_t size);
/* Whether the user asked to stop: by which signal, 0: not so; the same as an error. */
int restore_stop_signal(const sigset_t *old_mask);
int restore_interrupted(struct restore *rs);

/* restore-hooks.c: what snap noted of them; and that they hear of the restore. */
int restore_hooks_noted(struct restore *rs, json_t *hooks);
int restore_hooks(struct restore *rs);

/* restore-open.c: see there. */
/* As far as it can be; the access time stays. */
void restore_set_mtime(int fd, int64_t ns);
#define RESTORE_TMPFILE		(O_TMPFILE & ~O_DIRECTORY)	/* the bit of O_TMPFILE itself */

struct opened {
	int fd;
	struct stat st;
};

char *restore_map_path(const struct restore *rs, const char *path, size_t *ret_given);
int restore_open(struct restore *rs, int root, const char *thing, const char *path,
		 const struct ckpt_file_id *id, int flags, struct opened *ret);
int restore_same_file(struct restore *rs, const char *thing, const char *path,
		      const struct ckpt_file_id *id, const struct opened *o);
int restore_file_differs(struct restore *rs, const char *thing, const char *path,
			 const struct ckpt_file_id *id, const struct stat *st, const char *how);
/*
 * What has that name now, whatever it is: a descriptor to be looked at alone.  @flags: O_NOFOLLOW,
 * O_DIRECTORY.
 */
int restore_look(struct restore *rs, const char *thing, const char *path, int flags, int *ret_fd);
int restore_open_deleted(struct restore *rs, int root, const char *thing, int section,
			 const struct ckpt_file_id *id, const char *path, int flags, int *ret_fd);
int restore_reopen(int fd, int flags);
/*
 * Open a file that must be what it was, for reading: if it is not, or not there, what the image holds
 * of it.
 */
int restore_open_fixed(struct restore *rs, int root, const char *thing, const char *path,
		       const struct ckpt_file_id *id, int flags, struct opened *ret);

/* restore-policy.c: queue what sets the policies of all mappings, of a thread. */
struct remote_queue;
/* restore-lock.c */
int restore_guard(struct restore *rs, struct remote_queue *q);
int restore_lock(struct restore *rs, struct remote_queue *q);

int restore_policy_map(struct restore *rs, struct remote_queue *q);
int restore_policy_thread(struct restore *rs, struct remote_queue *q, int tid);

/* restore-copy.c */
bool restore_has_copy(const struct restore *rs, const char *path);
/* An open file of that copy, for reading, and the caller's. */
int restore_copy_open(struct restore *rs, const char *thing, const char *path, int *ret_fd);
void restore_copies_close(struct restore *rs);

/* restore-files.c */
int restore_files_open(struct restore *rs);
int restore_kept_check(struct restore *rs);		/* restore-kept.c: files changed in place */
int restore_kept_commit(struct restore *rs);
void restore_files_close(struct restore *rs);		/* our copies; what was done stays */
/* In the child, only system calls; @report is moved too.  0, or -errno and what it was about. */
int restore_files_adopt(struct restore *rs, int *report, const char **ret_what);
/* Number of the descriptor for a mapping in the child; -1 when it needs none. */
int restore_files_vma_fd(const struct restore *rs, size_t vma);
int restore_files_exe_fd(const struct restore *rs);
int restore_files_proc_fd(const struct restore *rs);
/* Likewise of the controlling terminal of the session it leads; -1: none that is made again. */
int restore_files_terminal_fd(const struct restore *rs);
/* Close what only the rebuilding needed, then take POSIX locks. */
int restore_files_finish(struct restore *rs);
/* Start timers among the open files. */
int restore_watches(struct restore *rs);
int restore_files_arm(struct restore *rs);
/* Cut grown files back: the one step that cannot be undone. */
int restore_files_commit(struct restore *rs);
/* Forget what the restore itself has brought about in open files. */
int restore_files_settle(struct restore *rs);

/* restore-socket.c: sockets the program itself has to make */
int restore_sockets(struct restore *rs);
/* restore-unix.c: those that are connected by name */
int restore_connections(struct restore *rs);
/* restore-hold.c: connections to outside, of snap --tcp=repair */
int restore_hold(struct restore *rs);
int restore_hold_release(struct restore *rs);
void restore_hold_again(struct restore_set *set);	/* it has failed, and nothing is closed as yet */

/* restore-tcp.c */
int restore_tcp_over(struct restore *rs);
int restore_tcp_connect(struct restore *rs);
int restore_tcp_go(struct restore *rs);
int restore_tcp_send(struct restore *rs);
int restore_tcp_await(struct restore *rs);

/* restore-pty.c */
int restore_ptys_make(struct restore *rs);		/* all, when the root is asked for */
void restore_ptys_close(struct restore_set *set);
/* In the child, only system calls: have the terminal of the session it leads; or have none. */
int restore_pty_take(const struct restore *rs);
int restore_pty_leave(const struct restore *rs);
int restore_pty_group(struct restore *rs);

/* restore-owner.c: whom open files signal */
int restore_owners(struct restore *rs);

/* restore-tree.c */
int restore_tree_load(struct restore_set *set, const struct ckpt_restore_opts *opts,
		      struct ckpt_err *err);
void restore_tree_free(struct restore_set *set);
/* In the child, only system calls: those of its children that are in the session it is in now. */
int restore_tree_spawn(struct restore *rs, bool before_setsid, pid_t *ret_failed);
/* Likewise: found the process group it is in, if it is the first of those and its leader is gone. */
int restore_tree_found_group(struct restore *rs);
int restore_tree_groups(struct restore *rs);
/* Whether it is a root that the restoring command makes. */
bool restore_tree_is_first(const struct restore *rs);
/* What another process of the set has that is the same open file; -1: nobody does. */
int restore_tree_shared_fd(const struct restore *rs, const struct ckpt_model_fd *f);

/* restore-stub.c */
/* In a new process: become @rs.  Does not return. */
void restore_stub_child(struct restore *rs) __attribute__((noreturn));
/* @pid 0: any number. */
pid_t restore_stub_clone(pid_t pid, uint64_t flags, int exit_signal);
int restore_stub_start(struct restore *rs);
void restore_stub_kill(struct restore *rs);

/* restore-mm.c */
int restore_mm_empty(struct restore *rs);
int restore_mm_map(struct restore *rs);
int restore_mm_finish(struct restore *rs);
int restore_mm_leave(struct restore *rs);
/* Whether a mapping is writable until restore_mm_finish() protects it. */
bool restore_protect_late(const struct ckpt_rec_vma *v);

/* restore-fill.c */
int restore_fill(struct restore *rs);
/* What is not in the image, and so zero. */
int restore_tell_left_out(struct restore *rs);

/* restore-nameless.c: @len bytes of a mapping of one, NULL: zeros.  And when all of all are there. */
int restore_nameless_write(struct restore *rs, const struct ckpt_model_vma *v, uint64_t addr,
			   const void *data, uint64_t len);
int restore_nameless_finish(struct restore *rs);

/* restore-thread.c */
int restore_threads_make(struct restore *rs);
int restore_threads_set(struct restore *rs);
int restore_rseq_drop(struct restore *rs);
int restore_rseq_finish(struct restore *rs);

/* restore-creds.c */
int restore_creds(struct restore *rs);
int restore_limits(struct restore *rs);

/* restore-signal.c */
int restore_sigactions(struct restore *rs);
/* Behind the last remote_queue_run(), which may reset it. */
int restore_trap_action(struct restore *rs);
int restore_timers_make(struct restore *rs);
int restore_sigpending(struct restore *rs);
int restore_timers_arm(struct restore *rs);

/* restore-regs.c */
int restore_calls(struct restore *rs);
int restore_regs(struct restore *rs);

/* restore-wait.c has only public entries. */

#endif
