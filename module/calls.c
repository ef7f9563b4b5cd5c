// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which system calls may be slept through, and which have to be woken.
 *
 * A thread asleep in a call does no harm to a snapshot, and is best left alone:
 * waking it shows EINTR to epoll_wait, semop, sigtimedwait and to socket calls with
 * a timeout. When it is restored it issues the call again, so the call must not
 * have done anything yet that issuing it again would do twice.
 *
 * Left asleep: waits that are all or nothing (the call sleeps only as long as it
 * has moved no byte, taken no message, acquired nothing), without a relative timeout
 * the kernel would hand back.
 *
 * Woken, by TIF_NOTIFY_SIGNAL, which is not a signal and runs no handler:
 *  - calls that may have moved bytes: the kernel then returns the exact short
 *    count, as it may after any signal (pipe(7), signal(7));
 *  - calls with a relative timeout that the kernel continues by itself with the
 *    time that is left: -ERESTART_RESTARTBLOCK (nanosleep, poll, futex) and
 *    -ERESTARTNOHAND with the timeout updated in place (select, ppoll);
 *  - every call that is not in the table.
 *
 * Owns nothing. The task is off its processor in an interruptible sleep, so that
 * its pt_regs are those of the call's entry; it may wake meanwhile, then the caller
 * finds that its switch count moved and does not use the answer.
 */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/net.h>
#include <linux/personality.h>
#include <linux/ptrace.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/socket.h>
#include <linux/timer.h>
#include <net/sock.h>
#include <asm/syscall.h>
#include <asm/unistd_64.h>

#include "calls.h"

enum channel {
	CHANNEL_OTHER,
	CHANNEL_PIPE,
	CHANNEL_STREAM,		/* SOCK_STREAM */
	CHANNEL_LOW_WATER,	/* SOCK_STREAM with SO_RCVLOWAT above one byte */
	CHANNEL_DATAGRAM,	/* SOCK_DGRAM, SOCK_SEQPACKET */
	CHANNEL_EVENT,		/* eventfd, timerfd, signalfd, inotify: reads whole events */
};

struct probe {
	unsigned int fd;
	enum channel channel;
};

static enum channel classify_socket(struct socket *sock)
{
	if (sock->type != SOCK_STREAM)
		return CHANNEL_DATAGRAM;
	if (sock->sk && READ_ONCE(sock->sk->sk_rcvlowat) > 1)
		return CHANNEL_LOW_WATER;
	return CHANNEL_STREAM;
}

/* Under files->file_lock. */
static int probe_file(const void *data, struct file *file, unsigned int fd)
{
	struct probe *probe = (struct probe *)data;
	struct inode *inode = file_inode(file);
	struct socket *sock;

	if (fd != probe->fd)
		return 1;
	sock = sock_from_file(file);
	if (sock)
		probe->channel = classify_socket(sock);
	else if (S_ISFIFO(inode->i_mode))
		probe->channel = CHANNEL_PIPE;
	else if (inode->i_sb->s_magic == ANON_INODE_FS_MAGIC)
		probe->channel = CHANNEL_EVENT;
	return 1;
}

static enum channel channel_of(struct task_struct *task, unsigned long fd)
{
	struct probe probe = { .fd = fd, .channel = CHANNEL_OTHER };

	task_lock(task);
	iterate_fd(task->files, probe.fd, probe_file, &probe);
	task_unlock(task);
	return probe.channel;
}

static bool read_is_whole(enum channel channel)
{
	return channel != CHANNEL_OTHER && channel != CHANNEL_LOW_WATER;
}

static bool write_is_whole(enum channel channel, size_t len)
{
	switch (channel) {
	case CHANNEL_PIPE:
		return len <= PIPE_BUF;
	case CHANNEL_DATAGRAM:
	case CHANNEL_EVENT:
		return true;
	default:
		return false;
	}
}

static bool futex_may_stay(const unsigned long *args)
{
	switch (args[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		return !args[3];	/* a timeout here is relative */
	case FUTEX_WAIT_BITSET:
		return true;		/* here it is absolute */
	default:
		return false;
	}
}

static bool fcntl_may_stay(unsigned long cmd)
{
	return cmd == F_SETLKW || cmd == F_OFD_SETLKW;
}

/* With this personality the kernel gives no time back, but EINTR (fs/select.c). */
static bool keeps_timeout(struct task_struct *task)
{
	return task->personality & STICKY_TIMEOUTS;
}

/**
 * ckpt_call_may_stay_asleep - may a sleeper be captured as it is?
 * @task: asleep in an interruptible wait
 *
 * Return: true when issuing the call again from its start, with the arguments in
 * its registers, is the same as having slept on; false when it has to be woken.
 */
bool ckpt_call_may_stay_asleep(struct task_struct *task)
{
	struct pt_regs *regs = task_pt_regs(task);
	unsigned long args[6];
	int nr = syscall_get_nr(task, regs);

	syscall_get_arguments(task, regs, args);

	switch (nr) {
	case -1:			/* in a page fault: the instruction runs again */
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
	case __NR_epoll_pwait2:
	case __NR_semop:
	case __NR_semtimedop:
	case __NR_rt_sigtimedwait:
	case __NR_rt_sigsuspend:
	case __NR_pause:
	case __NR_wait4:
	case __NR_waitid:
	case __NR_flock:
	case __NR_msgsnd:
	case __NR_msgrcv:
	case __NR_mq_timedsend:
	case __NR_mq_timedreceive:
	case __NR_accept:
	case __NR_accept4:
	case __NR_connect:
	case __NR_futex_waitv:
	case __NR_io_getevents:
	case __NR_io_pgetevents:
		return true;
	case __NR_poll:
		return (int)args[2] < 0;
	case __NR_ppoll:
		return !args[2] || keeps_timeout(task);
	case __NR_select:
	case __NR_pselect6:
		return !args[4] || keeps_timeout(task);
	case __NR_futex:
		return futex_may_stay(args);
	case __NR_clock_nanosleep:
		return args[1] & TIMER_ABSTIME;
	case __NR_fcntl:
		return fcntl_may_stay(args[1]);
	case __NR_recvfrom:
		return !(args[3] & MSG_WAITALL) && read_is_whole(channel_of(task, args[0]));
	case __NR_recvmsg:
		return !(args[2] & MSG_WAITALL) && read_is_whole(channel_of(task, args[0]));
	case __NR_read:
	case __NR_readv:
		return read_is_whole(channel_of(task, args[0]));
	case __NR_write:
		return write_is_whole(channel_of(task, args[0]), args[2]);
	case __NR_writev:
	case __NR_sendto:
	case __NR_sendmsg:
		return write_is_whole(channel_of(task, args[0]), SIZE_MAX);
	default:
		return false;
	}
}
