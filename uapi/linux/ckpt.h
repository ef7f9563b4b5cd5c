/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ckpt: consistent snapshots of running processes.
 *
 * This header is the whole contract between ckpt.ko and userspace.
 *
 * Three kinds of file descriptor
 * ------------------------------
 * device    open("/dev/ckpt").  CKPT_QUERY, CKPT_ATTACH, CKPT_SNAP,
 *           CKPT_UNTRACK.
 * session   made by CKPT_ATTACH; names one target process.  CKPT_FREEZE,
 *           CKPT_THAW, CKPT_STATE, CKPT_SNAPSHOT, CKPT_STEADY.  Its last close thaws the
 *           target, always, also when the owner is killed.
 * snapshot  made by CKPT_SNAPSHOT or CKPT_SNAP; holds one address space and
 *           the state of its process as they were at one instant.  CKPT_MAP,
 *           CKPT_BARRIER, CKPT_STATS, CKPT_SNAPSHOT_STATE, CKPT_COMMIT, and:
 *             pread(fd, buf, len, address)   bytes of page contents held here;
 *                       whole pages of kind CKPT_RUN_DATA only.  A read that
 *                       begins elsewhere fails with ENODATA, one that reaches
 *                       elsewhere is short.
 *             lseek(fd, address, SEEK_DATA or SEEK_HOLE)   next address that
 *                       is, or is not, CKPT_RUN_DATA; ENXIO when there is none.
 *             splice(fd, &address, pipe, ...)   the same bytes without a copy.
 *           It outlives its session.  The last close releases everything.
 *
 * Order of use: attach -> freeze -> snapshot (state and copy-on-write arming)
 * -> thaw -> barrier -> read.  CKPT_SNAP does the first four in one call.
 *
 * Structures
 * ----------
 * Every ioctl takes a structure that begins with
 *     __u32 size    sizeof the structure, as the caller was compiled
 *     __u32 flags   only the flags listed with the call
 * A structure may grow at its end.  A caller that is newer than the module is
 * served as long as the part the module does not know is zero.  Fields named
 * out_* are written by the kernel, all others by the caller; the kernel writes
 * the structure back also when the call fails, so that out_reason and the
 * fields it explains can be read.  Reserved fields and padding must be zero.
 *
 * errno, for every call
 * ---------------------
 * EINVAL      size below the first published size, unknown flag, non-zero
 *             reserved field, value out of range
 * E2BIG       size beyond what the module knows, and a byte there is not zero
 * EFAULT      a pointer does not point to accessible memory
 * ENOTTY      the call does not belong to this kind of descriptor
 * ENOMEM      no memory; nothing was changed
 * EINTR       a signal arrived before the call was done; nothing was changed
 * Further values are listed with each call.  Whatever fails, the target goes
 * on as if nothing had been asked.
 *
 * Units: times in nanoseconds, sizes in bytes, addresses are virtual addresses
 * of the target.  Process and thread numbers are those of the caller's PID
 * namespace.
 */
#ifndef _UAPI_LINUX_CKPT_H
#define _UAPI_LINUX_CKPT_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define CKPT_DEVICE		"/dev/ckpt"

/* Raised when a caller has to know; additions at the end do not raise it. */
#define CKPT_UAPI_VERSION	1

#define CKPT_IOC_TYPE		0xBC

/* Numbers are stable for ever. */
enum ckpt_cmd {
	CKPT_CMD_QUERY		= 0x00,		/* device */
	CKPT_CMD_ATTACH		= 0x01,
	CKPT_CMD_SNAP		= 0x02,
	CKPT_CMD_UNTRACK	= 0x03,
	CKPT_CMD_FREEZE		= 0x10,		/* session */
	CKPT_CMD_THAW		= 0x11,
	CKPT_CMD_STATE		= 0x12,
	CKPT_CMD_SNAPSHOT	= 0x13,
	CKPT_CMD_STEADY		= 0x14,
	CKPT_CMD_MAP		= 0x20,		/* snapshot */
	CKPT_CMD_BARRIER	= 0x21,
	CKPT_CMD_STATS		= 0x22,
	CKPT_CMD_SNAPSHOT_STATE	= 0x23,
	CKPT_CMD_COMMIT		= 0x24,
};

/*
 * enum ckpt_reason - why a call refused, in out_reason
 *
 * One errno serves several causes; this tells them apart.  out_tid and
 * out_syscall tell about the thread where a reason says so.
 */
enum ckpt_reason {
	CKPT_REASON_NONE	= 0,
	CKPT_REASON_NO_TARGET	= 1,	/* ESRCH: no such process */
	CKPT_REASON_ZOMBIE	= 2,	/* ESRCH: it has exited, its parent has not waited */
	CKPT_REASON_EXITED	= 3,	/* ESRCH: it exited meanwhile */
	CKPT_REASON_PERMISSION	= 4,	/* EPERM: caller may not PTRACE_MODE_ATTACH it */
	CKPT_REASON_SELF	= 5,	/* EDEADLK: the caller itself */
	CKPT_REASON_KTHREAD	= 6,	/* EOPNOTSUPP: a kernel thread */
	CKPT_REASON_COMPAT	= 7,	/* EOPNOTSUPP: a 32-bit or x32 task (out_tid) */
	CKPT_REASON_IO_WORKER	= 8,	/* EOPNOTSUPP: has kernel workers: io_uring, KVM (out_tid) */
	CKPT_REASON_SHARED_MM	= 9,	/* EOPNOTSUPP: memory shared with process out_tid */
	CKPT_REASON_SHARED_FILES = 10,	/* EOPNOTSUPP: fd table shared with another process */
	CKPT_REASON_BUSY_THREAD	= 11,	/* ETIMEDOUT: out_tid did not leave the kernel (out_syscall) */
	CKPT_REASON_FROZEN	= 12,	/* EBUSY: another session has it frozen */
	CKPT_REASON_EXEC	= 13,	/* EAGAIN: executes a new program just now */
	CKPT_REASON_PAGE	= 14,	/* EIO: a page cannot be read (out_addr): poisoned or lost */
	CKPT_REASON_UNSTEADY	= 15,	/* EAGAIN: threads or pages would not hold still */
	CKPT_REASON_SHMEM_LIMIT	= 16,	/* EFBIG: more shared memory than max_copy_bytes */
	CKPT_REASON_LEASE	= 17,	/* EBUSY: a write lease on a file mapped shared (out_addr) */
	CKPT_REASON_GUARD	= 18,	/* EOPNOTSUPP: a guard region at out_addr, in a mapping without CKPT_VMA_GUARDS */
};

/* ------------------------------------------------------------------ */
/* Device                                                             */
/* ------------------------------------------------------------------ */

/* Bits of ckpt_query.out_features. */
#define CKPT_FEATURE_COW		(1ULL << 0)	/* copy-on-write arming, 4 KiB and 2 MiB */
#define CKPT_FEATURE_QUIET_FREEZE	(1ULL << 1)	/* sleepers stay asleep */
#define CKPT_FEATURE_BARRIER		(1ULL << 2)	/* CKPT_BARRIER */
#define CKPT_FEATURE_CONSUME		(1ULL << 3)	/* CKPT_SNAPSHOT_CONSUME */
#define CKPT_FEATURE_SHRINKER		(1ULL << 4)	/* cancels under memory pressure */
#define CKPT_FEATURE_SPLICE		(1ULL << 5)	/* splice from a snapshot */
#define CKPT_FEATURE_TRACK		(1ULL << 6)	/* deltas: CKPT_SNAPSHOT_TRACK, CKPT_COMMIT */
#define CKPT_FEATURE_BARRIER_SKIP	(1ULL << 7)	/* CKPT_BARRIER_SKIP */

/**
 * struct ckpt_query - what this module can do (CKPT_QUERY, device)
 * @size: see above
 * @flags: none
 * @out_version: CKPT_UAPI_VERSION of the module
 * @out_page_size: bytes in a page; addresses and lengths are multiples of it
 * @out_features: CKPT_FEATURE_* bits
 * @out_max_threads: most threads a target may have
 * @out_max_state: most bytes of state records a snapshot may have
 * @out_max_copy: most bytes of shared memory copied inside the pause
 * @out_module_version: text, NUL-terminated
 */
struct ckpt_query {
	__u32 size;
	__u32 flags;
	__u32 out_version;
	__u32 out_page_size;
	__aligned_u64 out_features;
	__aligned_u64 out_max_threads;
	__aligned_u64 out_max_state;
	__aligned_u64 out_max_copy;
	char out_module_version[32];
};

#define CKPT_QUERY	_IO(CKPT_IOC_TYPE, CKPT_CMD_QUERY)

/*
 * CKPT_ATTACH_TRACK: snapshots of this session may be tracked (CKPT_SNAPSHOT_TRACK).
 * The target's tracker lives at least as long as the session.
 */
#define CKPT_ATTACH_TRACK	(1U << 0)

/**
 * struct ckpt_attach - name a target (CKPT_ATTACH, device)
 * @size: see above
 * @flags: CKPT_ATTACH_TRACK
 * @pid: process, by the number of its thread group
 * @out_fd: session descriptor, O_CLOEXEC
 * @out_reason: enum ckpt_reason
 * @out_tid: thread a reason speaks of
 *
 * The target runs on; nothing is touched before CKPT_FREEZE.  To be sure that
 * @pid was not reused, open a pidfd first and send it signal 0 afterwards.
 *
 * Errors: ESRCH, EPERM, EDEADLK, EOPNOTSUPP as enum ckpt_reason tells;
 * EMFILE, ENFILE.
 */
struct ckpt_attach {
	__u32 size;
	__u32 flags;
	__s32 pid;
	__s32 out_fd;
	__u32 out_reason;
	__s32 out_tid;
};

#define CKPT_ATTACH	_IO(CKPT_IOC_TYPE, CKPT_CMD_ATTACH)

/*
 * CKPT_SNAPSHOT_CONSUME: a page that was read is given up at once, so that the
 * target's next write to it need not copy.  Reading it again fails with ENODATA.
 */
#define CKPT_SNAPSHOT_CONSUME	(1U << 0)

/*
 * CKPT_SNAPSHOT_TRACK: from this snapshot on the kernel keeps account of what changes,
 * so that a later one can be a delta.  When the caller has its content on disk he says
 * so with CKPT_COMMIT, under an identity; a snapshot that names it as @parent holds
 * what has changed since, and pages that have not are of kind CKPT_RUN_PARENT.
 * Whenever a delta cannot be had everything is in the snapshot, and out_full tells why.
 */
#define CKPT_SNAPSHOT_TRACK	(1U << 1)

/* Bytes of a generation's identity, chosen by the caller; all zero: none. */
#define CKPT_ID_LEN		16

/* enum ckpt_full - why a snapshot is not a delta, in out_full */
enum ckpt_full {
	CKPT_FULL_NO		= 0,	/* it is one, of @parent */
	CKPT_FULL_UNASKED	= 1,	/* CKPT_SNAPSHOT_TRACK was not given */
	CKPT_FULL_ASKED		= 2,	/* no @parent was named */
	CKPT_FULL_UNTRACKED	= 3,	/* the target was not tracked until now */
	CKPT_FULL_PARENT	= 4,	/* it is tracked since another generation than @parent */
	CKPT_FULL_PENDING	= 5,	/* another tracked snapshot of it is not committed: not tracked */
	CKPT_FULL_WATCH		= 6,	/* who writes to it past its page tables cannot be watched */
};

/**
 * struct ckpt_snap - attach, freeze, state, arm and thaw in one (CKPT_SNAP, device)
 * @size: see above
 * @flags: CKPT_SNAPSHOT_CONSUME, CKPT_SNAPSHOT_TRACK
 * @pid: process, as in &struct ckpt_attach
 * @timeout_ms: as in &struct ckpt_freeze
 * @out_fd: snapshot descriptor, O_CLOEXEC
 * @out_reason: enum ckpt_reason
 * @out_tid: thread a reason speaks of
 * @out_syscall: system call that thread is in, -1 when none
 * @out_addr: address a reason speaks of
 * @parent: generation a delta is wanted of; zero: none
 * @out_full: enum ckpt_full
 * @out_reserved: zero
 *
 * Errors: those of CKPT_ATTACH, CKPT_FREEZE and CKPT_SNAPSHOT.
 */
struct ckpt_snap {
	__u32 size;
	__u32 flags;
	__s32 pid;
	__u32 timeout_ms;
	__s32 out_fd;
	__u32 out_reason;
	__s32 out_tid;
	__s32 out_syscall;
	__aligned_u64 out_addr;
	__u8 parent[CKPT_ID_LEN];
	__u32 out_full;
	__u32 out_reserved;
};

#define CKPT_SNAP	_IO(CKPT_IOC_TYPE, CKPT_CMD_SNAP)

/**
 * struct ckpt_untrack - stop tracking a target (CKPT_UNTRACK, device)
 * @size: see above
 * @flags: none
 * @pid: process, as in &struct ckpt_attach
 * @out_reason: enum ckpt_reason
 * @out_tid: thread a reason speaks of
 * @out_reserved: zero
 *
 * Undoes CKPT_COMMIT_PIN. Sessions and snapshots that use the tracker keep it.
 *
 * Errors: those of CKPT_ATTACH; ENOENT (it is not pinned).
 */
struct ckpt_untrack {
	__u32 size;
	__u32 flags;
	__s32 pid;
	__u32 out_reason;
	__s32 out_tid;
	__u32 out_reserved;
};

#define CKPT_UNTRACK	_IO(CKPT_IOC_TYPE, CKPT_CMD_UNTRACK)

/* ------------------------------------------------------------------ */
/* Session                                                            */
/* ------------------------------------------------------------------ */

/**
 * struct ckpt_freeze - stop the target (CKPT_FREEZE, session)
 * @size: see above
 * @flags: none
 * @timeout_ms: give up after this long; 0 takes the module's default (freeze_timeout_ms)
 * @reserved: zero
 * @out_threads: threads held
 * @out_parked: of these, stopped at the border to user mode
 * @out_asleep: of these, left asleep in a system call
 * @out_woken: of the parked, woken from a call that has to be taken up again
 * @out_reason: enum ckpt_reason
 * @out_tid: thread a reason speaks of
 * @out_syscall: system call that thread is in, -1 when none
 * @out_reserved: zero
 * @out_freeze_ns: from the first request to the last thread being still
 *
 * The program does not see it: no signal, no EINTR, no stop reported to its
 * parent.  SIGKILL ends a frozen target at once.
 *
 * Errors: ETIMEDOUT (a thread stayed in the kernel; @out_tid), EBUSY (frozen
 * already), ESRCH (it exited), EPERM (it executed another program which the
 * caller may not trace), EOPNOTSUPP, EAGAIN as enum ckpt_reason tells.
 */
struct ckpt_freeze {
	__u32 size;
	__u32 flags;
	__u32 timeout_ms;
	__u32 reserved;
	__u32 out_threads;
	__u32 out_parked;
	__u32 out_asleep;
	__u32 out_woken;
	__u32 out_reason;
	__s32 out_tid;
	__s32 out_syscall;
	__u32 out_reserved;
	__aligned_u64 out_freeze_ns;
};

#define CKPT_FREEZE	_IO(CKPT_IOC_TYPE, CKPT_CMD_FREEZE)

/**
 * struct ckpt_thaw - let the target go on (CKPT_THAW, session)
 * @size: see above
 * @flags: none
 * @out_pause_ns: from the request to freeze until now
 *
 * Errors: EINVAL (not frozen).
 */
struct ckpt_thaw {
	__u32 size;
	__u32 flags;
	__aligned_u64 out_pause_ns;
};

#define CKPT_THAW	_IO(CKPT_IOC_TYPE, CKPT_CMD_THAW)

/**
 * struct ckpt_steady - has nobody of the target moved? (CKPT_STEADY, session)
 * @size: see above
 * @flags: none
 * @out_steady: 1: no thread has moved since the last CKPT_FREEZE or CKPT_SNAPSHOT; 0: one that was left
 *	asleep in a call has come out of it, and waits to go on with its result
 * @out_reserved: 0
 *
 * Whoever captures several processes, or objects of theirs that are not in the records, asks this of
 * each when all are captured, and captures all again if one has moved: it may have taken from an object
 * what the capture of that object has no more.
 *
 * Errors: EINVAL (not frozen), EINTR.
 */
struct ckpt_steady {
	__u32 size;
	__u32 flags;
	__u32 out_steady;
	__u32 out_reserved;
};

#define CKPT_STEADY	_IO(CKPT_IOC_TYPE, CKPT_CMD_STEADY)

/**
 * struct ckpt_state - state records (CKPT_STATE, session; CKPT_SNAPSHOT_STATE, snapshot)
 * @size: see above
 * @flags: none
 * @buf: where to copy records to
 * @len: room there
 * @offset: bytes of the record stream to skip
 * @out_len: bytes copied
 * @out_total: bytes of the whole stream
 *
 * CKPT_STATE captures anew at each call with @offset 0 and needs a frozen
 * target; CKPT_SNAPSHOT_STATE gives what belongs to the snapshot.  The stream
 * is a sequence of &struct ckpt_record.  A caller asks with @len 0 for the size.
 *
 * Errors: EINVAL (CKPT_STATE and not frozen, or @offset beyond the end),
 * and those of CKPT_SNAPSHOT.
 */
struct ckpt_state {
	__u32 size;
	__u32 flags;
	__aligned_u64 buf;
	__aligned_u64 len;
	__aligned_u64 offset;
	__aligned_u64 out_len;
	__aligned_u64 out_total;
};

#define CKPT_STATE		_IO(CKPT_IOC_TYPE, CKPT_CMD_STATE)
#define CKPT_SNAPSHOT_STATE	_IO(CKPT_IOC_TYPE, CKPT_CMD_SNAPSHOT_STATE)

/**
 * struct ckpt_snapshot - capture state and memory (CKPT_SNAPSHOT, session)
 * @size: see above
 * @flags: CKPT_SNAPSHOT_CONSUME; CKPT_SNAPSHOT_TRACK in a session with CKPT_ATTACH_TRACK
 * @out_fd: snapshot descriptor, O_CLOEXEC
 * @out_reason: enum ckpt_reason
 * @out_tid: thread a reason speaks of
 * @out_syscall: system call that thread is in, -1 when none
 * @out_addr: address a reason speaks of
 * @parent: generation a delta is wanted of; zero: none
 * @out_full: enum ckpt_full
 * @out_reserved: zero
 * @others: address of an array of snapshot descriptors, __s32 each, of other processes that stand
 *	still since before they were taken; 0: none
 * @nr_others: how many, CKPT_OTHERS_MAX at most
 * @reserved: zero
 *
 * The target must be frozen and stays so.
 *
 * A shared mapping of which one mapping in one of @others shows as much, of the same file, is not copied
 * again; its runs are CKPT_RUN_OTHER.  They may be closed before this one.
 *
 * Errors: EINVAL (not frozen, too many others, or one that is no snapshot), EBADF (one that is not
 * open), ESRCH (killed meanwhile), EAGAIN, EIO, EFBIG,
 * EOPNOTSUPP as enum ckpt_reason tells, EMFILE, ENFILE.
 */
struct ckpt_snapshot {
	__u32 size;
	__u32 flags;
	__s32 out_fd;
	__u32 out_reason;
	__s32 out_tid;
	__s32 out_syscall;
	__aligned_u64 out_addr;
	__u8 parent[CKPT_ID_LEN];
	__u32 out_full;
	__u32 out_reserved;
	__aligned_u64 others;
	__u32 nr_others;
	__u32 reserved;
};

#define CKPT_OTHERS_MAX	64

#define CKPT_SNAPSHOT	_IO(CKPT_IOC_TYPE, CKPT_CMD_SNAPSHOT)

/* ------------------------------------------------------------------ */
/* Snapshot                                                           */
/* ------------------------------------------------------------------ */

/* ckpt_run.kind: where the content of a run of pages is. */
enum ckpt_run_kind {
	CKPT_RUN_DATA	= 1,	/* held here, read it with pread */
	CKPT_RUN_ZERO	= 2,	/* mapped, reads as zeros */
	CKPT_RUN_FILE	= 3,	/* the mapped file's own content */
	CKPT_RUN_OPAQUE	= 4,	/* kernel or device memory (vdso, vvar, PFN maps): not captured */
	CKPT_RUN_PARENT	= 5,	/* in a delta: as in the parent, at the same address */
	CKPT_RUN_OTHER	= 6,	/* shared memory, in the snapshot of another process (ckpt_snapshot.others) */
};

/**
 * struct ckpt_run - consecutive pages of one kind and one mapping
 * @start: first address
 * @len: bytes
 * @kind: enum ckpt_run_kind
 * @reserved: zero
 *
 * Addresses in no run are not mapped.
 */
struct ckpt_run {
	__aligned_u64 start;
	__aligned_u64 len;
	__u32 kind;
	__u32 reserved;
};

/**
 * struct ckpt_map - the map of a snapshot (CKPT_MAP, snapshot)
 * @size: see above
 * @flags: none
 * @start: first address of interest
 * @runs: array of &struct ckpt_run to fill
 * @nr: room in @runs, in entries; at least 1
 * @reserved: zero
 * @out_nr: entries filled; 0 at the end of the address space
 * @out_reserved: zero
 * @out_next: address to go on with
 *
 * Errors: ECANCELED (the snapshot was given up under memory pressure).
 */
struct ckpt_map {
	__u32 size;
	__u32 flags;
	__aligned_u64 start;
	__aligned_u64 runs;
	__u32 nr;
	__u32 reserved;
	__u32 out_nr;
	__u32 out_reserved;
	__aligned_u64 out_next;
};

#define CKPT_MAP	_IO(CKPT_IOC_TYPE, CKPT_CMD_MAP)

/*
 * CKPT_BARRIER_SKIP: do without.  Nothing is synced, and what is read then may be newer than the
 * target's files are after a power failure.
 */
#define CKPT_BARRIER_SKIP	(1U << 0)

/**
 * struct ckpt_barrier - make the files durable first (CKPT_BARRIER, snapshot)
 * @size: see above
 * @flags: CKPT_BARRIER_SKIP
 * @out_files: files synced
 * @out_failed_fd: on error, the target's descriptor of the file that failed;
 *	-1 when it is known by a mapping only
 * @out_failed_addr: on error, address of its mapping when @out_failed_fd is -1
 * @out_ns: time it took
 *
 * fsync of every regular file and block device the target had open for writing
 * or mapped shared and writable; what is open with O_SYNC or O_DSYNC alone is on
 * disk when a write returns, open(2), and is passed over.  Until it has succeeded pread and splice fail
 * with EBUSY.  The target's own error bookkeeping is left alone: it will still
 * see a writeback error at its own next fsync.
 *
 * Errors: whatever fsync(2) gives (EIO, ENOSPC, EDQUOT, ...); ECANCELED.
 */
struct ckpt_barrier {
	__u32 size;
	__u32 flags;
	__u32 out_files;
	__s32 out_failed_fd;
	__aligned_u64 out_failed_addr;
	__aligned_u64 out_ns;
};

#define CKPT_BARRIER	_IO(CKPT_IOC_TYPE, CKPT_CMD_BARRIER)

/* CKPT_COMMIT_PIN: the tracker lives as long as the target's memory, or until CKPT_UNTRACK. */
#define CKPT_COMMIT_PIN		(1U << 0)

/**
 * struct ckpt_commit - a tracked snapshot is on disk (CKPT_COMMIT, snapshot)
 * @size: see above
 * @flags: CKPT_COMMIT_PIN
 * @id: identity of the generation, not zero
 *
 * From now on a tracked snapshot may name @id as its parent.  A snapshot that is
 * closed without this leaves the generation before it the one to take deltas of.
 *
 * Errors: ESTALE (not a tracked snapshot, or committed already), ECANCELED.
 */
struct ckpt_commit {
	__u32 size;
	__u32 flags;
	__u8 id[CKPT_ID_LEN];
};

#define CKPT_COMMIT	_IO(CKPT_IOC_TYPE, CKPT_CMD_COMMIT)

/**
 * struct ckpt_stats - figures of a snapshot (CKPT_STATS, snapshot)
 * @size: see above
 * @flags: none
 * @out_pause_ns: first request to stop until thaw; 0 while still frozen
 * @out_freeze_ns: of it, until every thread was still
 * @out_state_ns: of it, state records
 * @out_copy_ns: of it, copying shared memory
 * @out_arm_ns: of it, copy-on-write arming
 * @out_barrier_ns: the barrier, after the pause; 0 before it
 * @out_threads: threads of the target
 * @out_parked: stopped at the border to user mode
 * @out_asleep: left asleep
 * @out_woken: of the parked, woken from a call
 * @out_retries: captures repeated because a sleeper woke
 * @out_canceled: 1 when given up under memory pressure
 * @out_armed: pages held by reference, in pages of @out_page_size of CKPT_QUERY
 * @out_armed_huge: of these, in 2 MiB pages (also counted in 4 KiB units)
 * @out_copied: pages copied in the pause: pinned, shared, hugetlb
 * @out_zero: pages mapped to the zero page
 * @out_faulted: pages brought back from swap for the snapshot
 * @out_state_bytes: bytes of state records
 * @out_full: enum ckpt_full
 * @out_reserved: zero
 * @out_parent: pages left out of a delta, as they are in its parent
 * @out_dirty: of @out_armed, tracked and changed by the program
 * @out_uncovered: of @out_armed, tracked for the first time, or changed by the kernel
 */
struct ckpt_stats {
	__u32 size;
	__u32 flags;
	__aligned_u64 out_pause_ns;
	__aligned_u64 out_freeze_ns;
	__aligned_u64 out_state_ns;
	__aligned_u64 out_copy_ns;
	__aligned_u64 out_arm_ns;
	__aligned_u64 out_barrier_ns;
	__u32 out_threads;
	__u32 out_parked;
	__u32 out_asleep;
	__u32 out_woken;
	__u32 out_retries;
	__u32 out_canceled;
	__aligned_u64 out_armed;
	__aligned_u64 out_armed_huge;
	__aligned_u64 out_copied;
	__aligned_u64 out_zero;
	__aligned_u64 out_faulted;
	__aligned_u64 out_state_bytes;
	__u32 out_full;
	__u32 out_reserved;
	__aligned_u64 out_parent;
	__aligned_u64 out_dirty;
	__aligned_u64 out_uncovered;
};

#define CKPT_STATS	_IO(CKPT_IOC_TYPE, CKPT_CMD_STATS)

/* ------------------------------------------------------------------ */
/* State records                                                      */
/* ------------------------------------------------------------------ */

/**
 * struct ckpt_record - head of a state record
 * @type: enum ckpt_record_type
 * @len: bytes of payload; the next record begins at the next multiple of 8
 *
 * Padding is zero.  A reader skips types it does not know unless CKPT_REC_MUST
 * is set in @type: then the state cannot be restored without understanding it.
 * A payload may be longer than the structure a reader knows: ignore the rest
 * when it is zero, refuse otherwise.
 */
struct ckpt_record {
	__u32 type;
	__u32 len;
};

#define CKPT_REC_MUST	0x80000000U

enum ckpt_record_type {
	CKPT_REC_SYSTEM		= 1,	/* struct ckpt_rec_system, first record */
	CKPT_REC_PROC		= 2,	/* struct ckpt_rec_proc */
	CKPT_REC_MM		= 3,	/* struct ckpt_rec_mm, then auxv words */
	CKPT_REC_PATH		= 4,	/* struct ckpt_rec_path, then text */
	CKPT_REC_VMA		= 5,	/* struct ckpt_rec_vma, then path or name; ascending */
	CKPT_REC_FD		= 6,	/* struct ckpt_rec_fd, then path, then fdinfo text */
	CKPT_REC_LOCK		= 7,	/* struct ckpt_rec_lock */
	CKPT_REC_SIGACTIONS	= 8,	/* struct ckpt_rec_sigaction [64], signal 1 first */
	CKPT_REC_SIGPENDING	= 9,	/* struct ckpt_rec_sigpending */
	CKPT_REC_ITIMERS	= 10,	/* struct ckpt_rec_itimer [3]: REAL, VIRTUAL, PROF */
	CKPT_REC_POSIX_TIMER	= 11,	/* struct ckpt_rec_posix_timer */
	CKPT_REC_RLIMITS	= 12,	/* struct ckpt_rec_rlimit [16] by RLIMIT_ number */
	CKPT_REC_THREAD		= 13,	/* struct ckpt_rec_thread; leader first */
	CKPT_REC_CREDS		= 14,	/* struct ckpt_rec_creds, then __u32 groups[] */
	CKPT_REC_REGSET		= 15,	/* struct ckpt_rec_regset, then the note's bytes */
	CKPT_REC_CPUS		= 16,	/* struct ckpt_rec_cpus, then __u64 mask words */
	CKPT_REC_END		= 17,	/* struct ckpt_rec_end, last record */
	CKPT_REC_MEMPOLICY	= 18,	/* struct ckpt_rec_mempolicy, then __u64 node mask words */
	CKPT_REC_TCP		= 21,	/* struct ckpt_rec_tcp, then bytes to send, then bytes received */
	CKPT_REC_SECCOMP	= 22,	/* struct ckpt_rec_seccomp, then struct sock_filter [] */
	CKPT_REC_GUARD		= 23,	/* struct ckpt_rec_guard; ascending */
	CKPT_REC_SEMUNDO	= 24,	/* struct ckpt_rec_semundo, then __s16 adjustments[] */
};

/**
 * struct ckpt_rec_system - where and when
 * @realtime_ns: CLOCK_REALTIME at the capture
 * @monotonic_ns: CLOCK_MONOTONIC of the target's time namespace at the capture
 * @boottime_ns: CLOCK_BOOTTIME, likewise
 * @xfeatures: processor state components in use on this machine (XCR0)
 * @page_size: bytes
 * @clk_tck: reserved, zero
 * @release: utsname release
 * @machine: utsname machine
 * @module_version: text
 */
struct ckpt_rec_system {
	__aligned_u64 realtime_ns;
	__aligned_u64 monotonic_ns;
	__aligned_u64 boottime_ns;
	__aligned_u64 xfeatures;
	__u32 page_size;
	__u32 clk_tck;
	char release[64];
	char machine[64];
	char module_version[32];
};

/* ckpt_rec_proc.flags */
#define CKPT_PROC_SUBREAPER	(1ULL << 0)	/* PR_SET_CHILD_SUBREAPER */
#define CKPT_PROC_DUMPABLE_USER	(1ULL << 1)	/* PR_GET_DUMPABLE is 1 */
#define CKPT_PROC_DUMPABLE_ROOT	(1ULL << 2)	/* PR_GET_DUMPABLE is 2 */
#define CKPT_PROC_THP_DISABLE	(1ULL << 3)	/* PR_SET_THP_DISABLE */
#define CKPT_PROC_STOPPED	(1ULL << 4)	/* stopped by job control */
#define CKPT_PROC_SESSION_LEADER (1ULL << 5)
#define CKPT_PROC_HAS_TTY	(1ULL << 6)	/* has a controlling terminal */
#define CKPT_PROC_MB_PRIVATE	(1ULL << 7)	/* membarrier(2): registered for private expedited */
#define CKPT_PROC_MB_SYNC_CORE	(1ULL << 8)	/* with synchronised cores */
#define CKPT_PROC_MB_RSEQ	(1ULL << 9)	/* with restarted sequences */
#define CKPT_PROC_MB_GLOBAL	(1ULL << 10)	/* for global expedited */
#define CKPT_PROC_MDWE_NO_INHERIT (1ULL << 11)	/* with CKPT_PROC_MDWE: not its children */
/* The following could not be restored by the first versions of the tools, which refuse them. */
#define CKPT_PROC_CHILDREN	(1ULL << 16)	/* has child processes, zombies included */
#define CKPT_PROC_SYSVSEM_UNDO	(1ULL << 17)	/* adjusts semaphores at its end; without CKPT_REC_SEMUNDO: not known how */
#define CKPT_PROC_AIO		(1ULL << 18)	/* has AIO contexts */
#define CKPT_PROC_LDT		(1ULL << 19)	/* modify_ldt */
#define CKPT_PROC_UPROBES	(1ULL << 20)	/* has breakpoints of the kernel in its text */
#define CKPT_PROC_KEYRINGS	(1ULL << 21)	/* has process or thread keyrings */
#define CKPT_PROC_MDWE		(1ULL << 22)	/* PR_SET_MDWE */
#define CKPT_PROC_KSM_ALL	(1ULL << 23)	/* PR_SET_MEMORY_MERGE */
#define CKPT_PROC_XCOMP		(1ULL << 24)	/* may use AMX (ARCH_REQ_XCOMP_PERM) */
#define CKPT_PROC_THP_ADVISED	(1ULL << 25)	/* PR_SET_THP_DISABLE, but where advised */

/**
 * struct ckpt_rec_proc - the process
 * @pid: process (thread group) number
 * @ppid: parent
 * @pgid: process group
 * @sid: session
 * @flags: CKPT_PROC_*
 * @start_boottime_ns: when it was started, CLOCK_BOOTTIME
 * @nr_threads: threads captured
 * @umask: file creation mask
 * @personality: personality(2)
 * @oom_score_adj: /proc/PID/oom_score_adj
 * @exit_signal: signal its end sends to the parent
 * @child_pid: one of its children when CKPT_PROC_CHILDREN is set
 * @mnt_ns: and the following, inode numbers of its namespaces as in /proc/PID/ns;
 *	0 where the kernel has none
 */
struct ckpt_rec_proc {
	__s32 pid;
	__s32 ppid;
	__s32 pgid;
	__s32 sid;
	__aligned_u64 flags;
	__aligned_u64 start_boottime_ns;
	__u32 nr_threads;
	__u32 umask;
	__u32 personality;
	__s32 oom_score_adj;
	__s32 exit_signal;
	__s32 child_pid;
	__u32 mnt_ns;
	__u32 pid_ns;
	__u32 net_ns;
	__u32 uts_ns;
	__u32 ipc_ns;
	__u32 user_ns;
	__u32 cgroup_ns;
	__u32 time_ns;
};

/**
 * struct ckpt_rec_mm - numbers of the address space, as struct prctl_mm_map
 * @start_code: and so on, see prctl(2) PR_SET_MM_MAP
 * @vdso: address of the vdso image, 0 when none
 * @def_flags: CKPT_VMA_* applied to new mappings (mlockall MCL_FUTURE: CKPT_VMA_LOCKED); in
 *	CKPT_VMA_PKEY_MASK the key the kernel gives to memory that can only be executed, 0: none yet
 * @auxv_len: bytes of auxiliary vector that follow
 * @pkeys: protection keys that are allocated, a bit each, the kernel's own among them; 0: the
 *	machine has none
 * @dump_filter: /proc/PID/coredump_filter, and CKPT_DUMP_FILTER_KNOWN
 */
struct ckpt_rec_mm {
	__aligned_u64 start_code;
	__aligned_u64 end_code;
	__aligned_u64 start_data;
	__aligned_u64 end_data;
	__aligned_u64 start_brk;
	__aligned_u64 brk;
	__aligned_u64 start_stack;
	__aligned_u64 arg_start;
	__aligned_u64 arg_end;
	__aligned_u64 env_start;
	__aligned_u64 env_end;
	__aligned_u64 vdso;
	__aligned_u64 def_flags;
	__u32 auxv_len;
	__u16 pkeys;
	__u16 dump_filter;
};

#define CKPT_DUMP_FILTER_KNOWN	(1U << 15)

/**
 * struct ckpt_file_id - which file, and which version of it
 * @dev: st_dev, as stat(2) gives it (new_encode_dev in the low 32 bits)
 * @ino: st_ino
 * @rdev: st_rdev of a device node
 * @size: i_size
 * @mtime_ns: modification time, nanoseconds since the epoch
 * @ctime_ns: change time
 * @mode: st_mode
 * @nlink: link count; 0: deleted
 * @fs_magic: super block magic (statfs f_type)
 * @uid: owner
 * @gid: group
 * @reserved: zero
 */
struct ckpt_file_id {
	__aligned_u64 dev;
	__aligned_u64 ino;
	__aligned_u64 rdev;
	__aligned_u64 size;
	__s64 mtime_ns __attribute__((aligned(8)));
	__s64 ctime_ns __attribute__((aligned(8)));
	__u32 mode;
	__u32 nlink;
	__u32 fs_magic;
	__u32 uid;
	__u32 gid;
	__u32 reserved;
};

/* ckpt_rec_path.what */
enum ckpt_path_what {
	CKPT_PATH_EXE	= 1,
	CKPT_PATH_CWD	= 2,
	CKPT_PATH_ROOT	= 3,
};

/* ckpt_rec_path.flags, ckpt_rec_vma.path_flags, ckpt_rec_fd.path_flags */
#define CKPT_PATHF_DELETED	(1U << 0)	/* was unlinked; the suffix " (deleted)" is taken off */
#define CKPT_PATHF_UNREACHABLE	(1U << 1)	/* not below the target's root */
#define CKPT_PATHF_NO_NAME	(1U << 2)	/* a name made up by the kernel, as "pipe:[7]" */

/**
 * struct ckpt_rec_path - executable, working directory, root
 * @what: enum ckpt_path_what
 * @flags: CKPT_PATHF_*
 * @id: identity
 * @path_len: bytes of path that follow, no NUL
 * @reserved: zero
 */
struct ckpt_rec_path {
	__u32 what;
	__u32 flags;
	struct ckpt_file_id id;
	__u32 path_len;
	__u32 reserved;
};

/* ckpt_rec_vma.flags; PROT and sharing */
#define CKPT_VMA_READ		(1ULL << 0)
#define CKPT_VMA_WRITE		(1ULL << 1)
#define CKPT_VMA_EXEC		(1ULL << 2)
#define CKPT_VMA_SHARED		(1ULL << 3)	/* MAP_SHARED */
#define CKPT_VMA_MAYWRITE	(1ULL << 4)	/* mprotect may make it writable */
#define CKPT_VMA_ANON		(1ULL << 5)	/* private anonymous, no file */
#define CKPT_VMA_SHMEM		(1ULL << 6)	/* shared memory without a name: MAP_SHARED|MAP_ANONYMOUS */
#define CKPT_VMA_HUGETLB	(1ULL << 7)
#define CKPT_VMA_GROWSDOWN	(1ULL << 8)
#define CKPT_VMA_LOCKED		(1ULL << 9)
#define CKPT_VMA_LOCKONFAULT	(1ULL << 10)
#define CKPT_VMA_DONTFORK	(1ULL << 11)
#define CKPT_VMA_DONTDUMP	(1ULL << 12)
#define CKPT_VMA_WIPEONFORK	(1ULL << 13)
#define CKPT_VMA_HUGEPAGE	(1ULL << 14)
#define CKPT_VMA_NOHUGEPAGE	(1ULL << 15)
#define CKPT_VMA_MERGEABLE	(1ULL << 16)
#define CKPT_VMA_NORESERVE	(1ULL << 17)
#define CKPT_VMA_SEQ_READ	(1ULL << 18)
#define CKPT_VMA_RAND_READ	(1ULL << 19)
#define CKPT_VMA_SYNC		(1ULL << 20)
#define CKPT_VMA_ACCOUNT	(1ULL << 21)
#define CKPT_VMA_VDSO		(1ULL << 22)	/* the vdso image */
#define CKPT_VMA_SPECIAL	(1ULL << 23)	/* installed by the kernel; the name follows, as "[vvar]" */
#define CKPT_VMA_MAYREAD	(1ULL << 24)
#define CKPT_VMA_MAYEXEC	(1ULL << 25)
#define CKPT_VMA_MAYSHARE	(1ULL << 26)
#define CKPT_VMA_PKEY_SHIFT	32		/* with CKPT_VMA_PKEY: which one, four bits */
#define CKPT_VMA_PKEY_MASK	(15ULL << CKPT_VMA_PKEY_SHIFT)
/* The following could not be restored by the first versions of the tools, which refuse them. */
#define CKPT_VMA_PFNMAP		(1ULL << 40)	/* device or raw memory */
#define CKPT_VMA_UFFD		(1ULL << 41)	/* registered with userfaultfd */
#define CKPT_VMA_PKEY		(1ULL << 42)	/* protection key other than 0 */
#define CKPT_VMA_SHSTK		(1ULL << 43)	/* shadow stack */
#define CKPT_VMA_POLICY		(1ULL << 44)	/* NUMA policy of its own */
#define CKPT_VMA_SYSVSHM	(1ULL << 45)	/* System V shared memory */
#define CKPT_VMA_DAX		(1ULL << 46)
#define CKPT_VMA_SEALED		(1ULL << 47)	/* mseal */
#define CKPT_VMA_GUARDS		(1ULL << 48)	/* has CKPT_REC_GUARD, or had guard regions once */
#define CKPT_VMA_DROPPABLE	(1ULL << 49)	/* MAP_DROPPABLE: the kernel may empty it any time */
#define CKPT_VMA_UNKNOWN	(1ULL << 63)	/* see unknown_flags */

/**
 * struct ckpt_rec_vma - one mapping
 * @start: first address
 * @end: address behind it
 * @flags: CKPT_VMA_*
 * @pgoff: offset in the file, bytes
 * @unknown_flags: bits of the kernel's vm_flags this module has no name for
 * @page_size: page size of the mapping: 4096, or larger for hugetlb
 * @path_flags: CKPT_PATHF_*
 * @id: identity of the mapped file, zero when none
 * @file_flags: O_ACCMODE and status flags the file was opened with
 * @path_len: bytes of path or name that follow, no NUL
 */
struct ckpt_rec_vma {
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 flags;
	__aligned_u64 pgoff;
	__aligned_u64 unknown_flags;
	__u32 page_size;
	__u32 path_flags;
	struct ckpt_file_id id;
	__u32 file_flags;
	__u32 path_len;
};

/**
 * struct ckpt_rec_guard - pages of one mapping that nobody may touch, madvise(2) MADV_GUARD_INSTALL
 * @start: first address
 * @end: address behind it
 *
 * Comes with CKPT_REC_MUST, behind all mappings.
 */
struct ckpt_rec_guard {
	__aligned_u64 start;
	__aligned_u64 end;
};

/* ckpt_rec_fd.flags */
#define CKPT_FD_CLOEXEC		(1U << 0)
#define CKPT_FD_ASYNC_OWNER	(1U << 1)	/* F_SETOWN or F_SETSIG in use */
#define CKPT_FD_LEASE		(1U << 2)	/* holds a lease */
#define CKPT_FD_EPOLL_WATCHED	(1U << 3)	/* reserved, zero */
#define CKPT_FD_SHARED_OUTSIDE	(1U << 4)	/* the open file is also held by someone else */
#define CKPT_FD_OTHER_END_CLOSED	(1U << 5)	/* of a pipe; it holds no packets */

/* ckpt_rec_fd.kind: coarse; path and fs_magic tell the rest */
enum ckpt_fd_kind {
	CKPT_FDK_REG	= 1,
	CKPT_FDK_DIR	= 2,
	CKPT_FDK_CHR	= 3,
	CKPT_FDK_BLK	= 4,
	CKPT_FDK_FIFO	= 5,	/* named or not; pipe when CKPT_PATHF_NO_NAME */
	CKPT_FDK_SOCK	= 6,
	CKPT_FDK_ANON	= 7,	/* anonymous inode: path names the kind, as "anon_inode:[eventpoll]" */
	CKPT_FDK_TTY	= 8,	/* a terminal; rdev tells which */
	CKPT_FDK_OTHER	= 9,
};

/**
 * struct ckpt_rec_fd - one descriptor
 * @fd: number
 * @flags: CKPT_FD_*
 * @kind: enum ckpt_fd_kind
 * @file_flags: as fcntl(F_GETFL), O_ACCMODE and status flags, O_PATH included
 * @pos: file offset
 * @file: equal for descriptors that share one open file (dup), else different;
 *	an opaque number, from 1
 * @path_flags: CKPT_PATHF_*
 * @refs: references to the open file at the capture, as a hint
 * @id: identity
 * @path_len: bytes of path that follow, no NUL
 * @info_len: bytes of the file's own fdinfo text behind the path, no NUL; of a socket with lines
 *	"sock-NAME: NUMBER" of the module: what it is, and whom it is connected to; of a pipe with or
 *	without a name "pipe-NAME: NUMBER": who holds it and what is in it; of a
 *	pseudo-terminal with lines "pty-NAME: VALUE": which one, and of a master all the pair has;
 *	then, when CKPT_FD_ASYNC_OWNER is set, "owner-NAME: NUMBER": whom it tells
 */
struct ckpt_rec_fd {
	__s32 fd;
	__u32 flags;
	__u32 kind;
	__u32 file_flags;
	__s64 pos __attribute__((aligned(8)));
	__u32 file;
	__u32 path_flags;
	__u32 refs;
	__u32 reserved;
	struct ckpt_file_id id;
	__u32 path_len;
	__u32 info_len;
};

/* ckpt_rec_lock.kind */
enum ckpt_lock_kind {
	CKPT_LOCK_POSIX	= 1,	/* fcntl F_SETLK; belongs to the process */
	CKPT_LOCK_FLOCK	= 2,	/* flock; belongs to the open file */
	CKPT_LOCK_OFD	= 3,	/* fcntl F_OFD_SETLK; belongs to the open file */
	CKPT_LOCK_LEASE	= 4,	/* fcntl F_SETLEASE; belongs to the open file */
	CKPT_LOCK_DELEGATION = 5, /* another thing to be told of, such as F_SETDELEG; belongs to the open file */
};

/**
 * struct ckpt_rec_lock - a file lock or lease held
 * @fd: a descriptor of the file: for POSIX the lowest that can be used for it
 * @kind: enum ckpt_lock_kind
 * @type: F_RDLCK or F_WRLCK; F_UNLCK for a lease that is being broken: somebody waits for it
 * @reserved: zero
 * @start: first byte
 * @end: last byte, inclusive; OFFSET_MAX (2^63 - 1) for end of file
 */
struct ckpt_rec_lock {
	__s32 fd;
	__u32 kind;
	__u32 type;
	__u32 reserved;
	__s64 start __attribute__((aligned(8)));
	__s64 end __attribute__((aligned(8)));
};

/**
 * struct ckpt_rec_sigaction - as the kernel's struct sigaction of x86-64
 * @handler: SIG_DFL 0, SIG_IGN 1, or address
 * @flags: SA_*
 * @restorer: address
 * @mask: bit 0 is signal 1
 */
struct ckpt_rec_sigaction {
	__aligned_u64 handler;
	__aligned_u64 flags;
	__aligned_u64 restorer;
	__aligned_u64 mask;
};

/**
 * struct ckpt_rec_sigpending - a queued signal; in queue order
 * @tid: thread it waits for; 0 for the process
 * @signo: signal
 * @timer: 1 when it was queued by POSIX timer @timer_id
 * @timer_id: that timer
 * @info: siginfo_t as the program would see it
 */
struct ckpt_rec_sigpending {
	__s32 tid;
	__s32 signo;
	__u32 timer;
	__s32 timer_id;
	__u8 info[128];
};

/**
 * struct ckpt_rec_itimer - one of setitimer(2)'s
 * @value_ns: time left; 0: not armed
 * @interval_ns: period; 0: once
 */
struct ckpt_rec_itimer {
	__aligned_u64 value_ns;
	__aligned_u64 interval_ns;
};

/**
 * struct ckpt_rec_posix_timer - one of timer_create(2)'s
 * @id: the kernel's timer_t
 * @clock: clockid_t
 * @notify: SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID|SIGEV_SIGNAL
 * @signo: signal
 * @sigval: sival_ptr
 * @tid: thread for SIGEV_THREAD_ID, else 0
 * @overrun: overruns of the pending signal
 * @value_ns: time left; 0: not armed
 * @interval_ns: period; 0: once
 * @flags: 1: version 1 of the tools cannot restore it (processor time of another task)
 * @reserved: zero
 */
struct ckpt_rec_posix_timer {
	__s32 id;
	__s32 clock;
	__s32 notify;
	__s32 signo;
	__aligned_u64 sigval;
	__s32 tid;
	__s32 overrun;
	__aligned_u64 value_ns;
	__aligned_u64 interval_ns;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct ckpt_rec_rlimit - one of setrlimit(2)'s
 * @cur: soft limit, ~0 for infinity
 * @max: hard limit
 */
struct ckpt_rec_rlimit {
	__aligned_u64 cur;
	__aligned_u64 max;
};

/* ckpt_rec_thread.run */
enum ckpt_thread_run {
	CKPT_TRUN_PARKED	= 1,	/* at the border to user mode; registers tell all */
	CKPT_TRUN_ASLEEP	= 2,	/* in system call syscall_nr: to be issued again */
	CKPT_TRUN_STOPPED = 3,	/* stopped by job control or a tracer, at the border */
};

/* ckpt_rec_thread.restart: what -ERESTART_RESTARTBLOCK in ax goes on with */
enum ckpt_restart {
	CKPT_RESTART_NONE	= 0,
	CKPT_RESTART_NANOSLEEP	= 1,	/* clock, remaining_ns, args[0] = rmtp */
	CKPT_RESTART_POLL	= 2,	/* args[0] = ufds, args[1] = nfds; remaining_ns when has_timeout */
	CKPT_RESTART_FUTEX	= 3,	/* args[0] = uaddr, args[1] = val, args[2] = futex_op flags,
					 * args[3] = bitset; remaining_ns when has_timeout */
	CKPT_RESTART_OTHER	= 4,	/* not known: cannot be restored */
};

/* ckpt_rec_thread.flags */
#define CKPT_THREAD_NO_NEW_PRIVS	(1ULL << 0)
#define CKPT_THREAD_RESTORE_SIGMASK	(1ULL << 1)	/* sleeps with a temporary mask: sigmask is the
							 * caller's, tmp_sigmask the one of the call */
#define CKPT_THREAD_TRACED		(1ULL << 2)	/* has a tracer; restored without */
#define CKPT_THREAD_HAS_TIMEOUT		(1ULL << 3)	/* restart_remaining_ns is meaningful */
#define CKPT_THREAD_IO_FLUSHER		(1ULL << 4)	/* PR_SET_IO_FLUSHER */
/* The following could not be restored by the first versions of the tools, which refuse them. */
#define CKPT_THREAD_SECCOMP		(1ULL << 16)	/* seccomp(2); without CKPT_REC_SECCOMP: not known how */
#define CKPT_THREAD_IO_URING		(1ULL << 17)	/* has used io_uring */
#define CKPT_THREAD_IOPORT		(1ULL << 18)	/* ioperm, iopl */
#define CKPT_THREAD_TLS_ARRAY		(1ULL << 19)	/* set_thread_area */
#define CKPT_THREAD_PI_FUTEX		(1ULL << 20)	/* owns a priority-inheritance futex with waiters */
#define CKPT_THREAD_MEMPOLICY		(1ULL << 21)	/* set_mempolicy */
#define CKPT_THREAD_NOTSC		(1ULL << 22)	/* PR_SET_TSC, CPUID faulting */
#define CKPT_THREAD_USER_DISPATCH	(1ULL << 23)	/* PR_SET_SYSCALL_USER_DISPATCH */
#define CKPT_THREAD_PERF		(1ULL << 24)	/* perf events opened for itself: hardware breakpoints */
#define CKPT_THREAD_SCHED_OTHER		(1ULL << 25)	/* SCHED_DEADLINE or core scheduling */
#define CKPT_THREAD_FILES		(1ULL << 26)	/* fd table or fs of its own (unshare) */
#define CKPT_THREAD_NAMESPACES		(1ULL << 27)	/* namespaces differ from the leader's */
#define CKPT_THREAD_SHSTK		(1ULL << 28)	/* user shadow stack */
#define CKPT_THREAD_SPECULATION		(1ULL << 29)	/* PR_SET_SPECULATION_CTRL */
#define CKPT_THREAD_MCE_EARLY		(1ULL << 30)	/* PR_MCE_KILL_EARLY; restored */
#define CKPT_THREAD_MCE_LATE		(1ULL << 31)	/* PR_MCE_KILL_LATE; restored */
#define CKPT_THREAD_PERSONALITY		(1ULL << 32)	/* personality(2) differs from the leader's */

/**
 * struct ckpt_rec_thread - one thread
 * @tid: number
 * @run: enum ckpt_thread_run
 * @flags: CKPT_THREAD_*
 * @sigmask: signals blocked, as the thread will see it outside of the call it is in
 * @tmp_sigmask: mask of ppoll, pselect, sigsuspend in progress (RESTORE_SIGMASK), else 0
 * @ss_sp: alternate signal stack
 * @ss_size: its size
 * @ss_flags: as sigaltstack(2) reports, SS_ONSTACK never
 * @syscall_nr: system call the thread is in, -1 when none
 * @restart: enum ckpt_restart
 * @restart_clock: clockid_t
 * @restart_remaining_ns: time left of the interrupted call
 * @restart_args: as enum ckpt_restart tells
 * @robust_list: set_robust_list(2) head
 * @robust_len: its length
 * @rseq: rseq(2) area, 0 when none
 * @rseq_len: its length
 * @rseq_sig: its signature
 * @clear_child_tid: set_tid_address(2)
 * @policy: SCHED_*
 * @rt_priority: 1..99 for real-time policies
 * @nice: -20..19
 * @pdeath_signal: PR_SET_PDEATHSIG
 * @timerslack_ns: PR_SET_TIMERSLACK
 * @utime_ns: processor time in user mode, for information
 * @stime_ns: in the kernel
 * @sched_flags: SCHED_FLAG_RESET_ON_FORK
 * @ioprio: ioprio_get(2)
 * @comm: name, NUL-padded
 */
struct ckpt_rec_thread {
	__s32 tid;
	__u32 run;
	__aligned_u64 flags;
	__aligned_u64 sigmask;
	__aligned_u64 tmp_sigmask;
	__aligned_u64 ss_sp;
	__aligned_u64 ss_size;
	__u32 ss_flags;
	__s32 syscall_nr;
	__u32 restart;
	__s32 restart_clock;
	__aligned_u64 restart_remaining_ns;
	__aligned_u64 restart_args[4];
	__aligned_u64 robust_list;
	__aligned_u64 robust_len;
	__aligned_u64 rseq;
	__u32 rseq_len;
	__u32 rseq_sig;
	__aligned_u64 clear_child_tid;
	__u32 policy;
	__u32 rt_priority;
	__s32 nice;
	__u32 pdeath_signal;
	__aligned_u64 timerslack_ns;
	__aligned_u64 utime_ns;
	__aligned_u64 stime_ns;
	__u32 sched_flags;
	__u32 ioprio;
	char comm[16];
};

/**
 * struct ckpt_rec_creds - credentials of a thread
 * @tid: thread
 * @uid: and so on, see credentials(7), in the caller's user namespace
 * @securebits: PR_GET_SECUREBITS
 * @nr_groups: supplementary groups that follow
 * @cap_inheritable: and so on, see capabilities(7)
 */
struct ckpt_rec_creds {
	__s32 tid;
	__u32 uid;
	__u32 euid;
	__u32 suid;
	__u32 fsuid;
	__u32 gid;
	__u32 egid;
	__u32 sgid;
	__u32 fsgid;
	__u32 securebits;
	__u32 nr_groups;
	__u32 reserved;
	__aligned_u64 cap_inheritable;
	__aligned_u64 cap_permitted;
	__aligned_u64 cap_effective;
	__aligned_u64 cap_bounding;
	__aligned_u64 cap_ambient;
};

/**
 * struct ckpt_rec_regset - registers of a thread
 * @tid: thread
 * @note: NT_PRSTATUS (struct user_regs_struct, fs and gs base included) or
 *	NT_X86_XSTATE (the XSAVE area, standard format), as PTRACE_GETREGSET gives
 * @len: bytes that follow
 * @reserved: zero
 */
struct ckpt_rec_regset {
	__s32 tid;
	__u32 note;
	__u32 len;
	__u32 reserved;
};

/**
 * struct ckpt_rec_cpus - processors a thread may run on, when not all
 * @tid: thread
 * @nr_words: words of mask that follow, processor 0 in bit 0 of the first
 */
struct ckpt_rec_cpus {
	__s32 tid;
	__u32 nr_words;
};

/**
 * struct ckpt_rec_mempolicy - where a thread, or a mapping, wants its memory from
 * @start: first address of the mapping; 0: the thread's
 * @tid: thread; 0: the mapping's
 * @mode: as set_mempolicy(2) takes it, MPOL_F_STATIC_NODES and the like included
 * @home_node: set_mempolicy_home_node(2), -1 when none
 * @nr_words: words of mask that follow, node 0 in bit 0 of the first, as the program asked for
 *
 * Comes with CKPT_REC_MUST, behind the thread or mapping, which has CKPT_THREAD_MEMPOLICY or
 * CKPT_VMA_POLICY.
 */
struct ckpt_rec_mempolicy {
	__aligned_u64 start;
	__s32 tid;
	__u32 mode;
	__s32 home_node;
	__u32 nr_words;
};

/**
 * struct ckpt_rec_semundo - what the end of the process does to a System V semaphore set, semop(2) SEM_UNDO
 * @semid: which
 * @nr: as many adjustments follow as it has semaphores: what is added to each
 *
 * Comes with CKPT_REC_MUST, behind the process, which has CKPT_PROC_SYSVSEM_UNDO: for all of its sets, or none.
 */
struct ckpt_rec_semundo {
	__s32 semid;
	__u32 nr;
};

/* ckpt_rec_seccomp.flags */
#define CKPT_SECCOMP_STRICT	(1U << 0)	/* SECCOMP_SET_MODE_STRICT, no filter */
#define CKPT_SECCOMP_LOG	(1U << 1)	/* SECCOMP_FILTER_FLAG_LOG */
#define CKPT_SECCOMP_LISTENER	(1U << 2)	/* it has, or had, SECCOMP_FILTER_FLAG_NEW_LISTENER */

/**
 * struct ckpt_rec_seccomp - a filter of a thread, seccomp(2)
 * @tid: thread
 * @like: thread with the very same filters, which has records of them; then this is the only one of
 *	@tid, and nothing of what follows is told.  Else 0
 * @flags: CKPT_SECCOMP_*
 * @index: 0: the one that was installed first
 * @nr: filters the thread has
 * @len: instructions that follow, struct sock_filter of linux/filter.h, as the program gave them
 *
 * Comes with CKPT_REC_MUST, behind the thread, which has CKPT_THREAD_SECCOMP.
 */
struct ckpt_rec_seccomp {
	__s32 tid;
	__s32 like;
	__u32 flags;
	__u32 index;
	__u32 nr;
	__u32 len;
};

/* ckpt_rec_tcp.flags */
#define CKPT_TCP_SACK		(1U << 0)	/* agreed on: selective acknowledgements, */
#define CKPT_TCP_TIMESTAMPS	(1U << 1)	/* time stamps, */
#define CKPT_TCP_WSCALE		(1U << 2)	/* scaled windows */
#define CKPT_TCP_URGENT		(1U << 3)	/* urgent data has come and was not read */
#define CKPT_TCP_REPAIR		(1U << 4)	/* the program has it in TCP_REPAIR */
#define CKPT_TCP_ZEROCOPY	(1U << 5)	/* MSG_ZEROCOPY was used */
#define CKPT_TCP_SAVED_SYN	(1U << 6)	/* TCP_SAVED_SYN was not read */

/**
 * struct ckpt_rec_tcp - a TCP connection, or what is left of one
 * @ino: inode of the socket, as in its descriptor
 * @flags: CKPT_TCP_*
 * @state: as in /proc/net/tcp; TCP_CLOSE: it was shut down on both sides, or reset
 * @shutdown: 1: nothing comes in; 2: nothing goes out
 * @local: address of this end; IPv4 mapped to IPv6
 * @remote: address of the other
 * @local_port: its port
 * @remote_port: likewise
 * @send_unacked: first sequence number the other end has not acknowledged
 * @send_end: that behind all the program has written; a FIN counts as one
 * @send_window_seq: that of the segment that told the window last
 * @send_window: what the other end takes, from @send_unacked on
 * @max_window: the largest it ever took
 * @recv_read: first sequence number the program has not read
 * @recv_next: first that has not come; a FIN counts as one
 * @recv_window_seq: @recv_next when the window was told last
 * @recv_window: the window that was told then
 * @mss: most bytes of a segment the other end takes
 * @user_mss: TCP_MAXSEG as the program set it, 0: it did not
 * @send_wscale: shift of @send_window
 * @recv_wscale: shift of @recv_window
 * @send_len: bytes that follow, which begin at @send_unacked and were sent or not
 * @recv_len: bytes that follow those, which begin at @recv_read
 * @send_next: first sequence number that was not sent; a FIN counts as one
 * @reserved: 0
 *
 * Comes with CKPT_REC_MUST, behind the first descriptor of the socket. All of one is of one instant.
 */
struct ckpt_rec_tcp {
	__aligned_u64 ino;
	__u32 flags;
	__u32 state;
	__u8 local[16];
	__u8 remote[16];
	__u32 local_port;
	__u32 remote_port;
	__u32 shutdown;
	__u32 send_unacked;
	__u32 send_end;
	__u32 send_window_seq;
	__u32 send_window;
	__u32 max_window;
	__u32 recv_read;
	__u32 recv_next;
	__u32 recv_window_seq;
	__u32 recv_window;
	__u16 mss;
	__u16 user_mss;
	__u16 send_wscale;
	__u16 recv_wscale;
	__u32 send_len;
	__u32 recv_len;
	__u32 send_next;
	__u32 reserved;
};

/**
 * struct ckpt_rec_end - end of the stream
 * @records: records before this one
 * @bytes: bytes before this one
 */
struct ckpt_rec_end {
	__aligned_u64 records;
	__aligned_u64 bytes;
};

#endif /* _UAPI_LINUX_CKPT_H */
