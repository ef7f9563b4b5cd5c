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
 * the kernel would hand back. Of these some may be woken as well, unseen: where the
 * kernel begins the call anew by itself (-ERESTARTSYS and its kin, signal(7)).
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
	bool read_restarts;	/* a wake-up while nothing moved is not seen */
	bool write_restarts;
};

/* sock_intr_errno(): with a timeout it is EINTR. Other families have ways of their own. */
static bool sleep_restarts(struct sock *sk, long timeout)
{
	return timeout == MAX_SCHEDULE_TIMEOUT &&
	       (sk->sk_family == AF_UNIX || sk->sk_family == AF_INET || sk->sk_family == AF_INET6);
}

static void probe_socket(struct probe *probe, struct socket *sock)
{
	struct sock *sk = sock->sk;

	probe->channel = sock->type == SOCK_STREAM ? CHANNEL_STREAM : CHANNEL_DATAGRAM;
	if (!sk)
		return;
	if (sock->type == SOCK_STREAM && READ_ONCE(sk->sk_rcvlowat) > 1)
		probe->channel = CHANNEL_LOW_WATER;
	probe->read_restarts = sleep_restarts(sk, READ_ONCE(sk->sk_rcvtimeo));
	probe->write_restarts = sleep_restarts(sk, READ_ONCE(sk->sk_sndtimeo));
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
	if (sock) {
		probe_socket(probe, sock);
	} else if (S_ISFIFO(inode->i_mode)) {
		probe->channel = CHANNEL_PIPE;
		probe->read_restarts = true;
		probe->write_restarts = true;
	} else if (inode->i_sb->s_magic == ANON_INODE_FS_MAGIC) {
		probe->channel = CHANNEL_EVENT;		/* inotify says EINTR */
	}
	return 1;
}

static struct probe probe_fd(struct task_struct *task, unsigned long fd)
{
	struct probe probe = { .fd = fd, .channel = CHANNEL_OTHER };

	task_lock(task);
	iterate_fd(task->files, probe.fd, probe_file, &probe);
	task_unlock(task);
	return probe;
}

static enum ckpt_call_rest left_alone(bool restarts)
{
	return restarts ? CKPT_CALL_EITHER : CKPT_CALL_LEAVE;
}

static enum ckpt_call_rest rest_of_read(struct task_struct *task, unsigned long fd)
{
	struct probe probe = probe_fd(task, fd);

	if (probe.channel == CHANNEL_OTHER || probe.channel == CHANNEL_LOW_WATER)
		return CKPT_CALL_WAKE;
	return left_alone(probe.read_restarts);
}

static enum ckpt_call_rest rest_of_recv(struct task_struct *task, unsigned long fd,
					unsigned long flags)
{
	return flags & MSG_WAITALL ? CKPT_CALL_WAKE : rest_of_read(task, fd);
}

static enum ckpt_call_rest rest_of_write(struct task_struct *task, unsigned long fd, size_t len)
{
	struct probe probe = probe_fd(task, fd);

	switch (probe.channel) {
	case CHANNEL_PIPE:
		if (len > PIPE_BUF)
			return CKPT_CALL_WAKE;
		break;
	case CHANNEL_DATAGRAM:
	case CHANNEL_EVENT:
		break;
	default:
		return CKPT_CALL_WAKE;
	}
	return left_alone(probe.write_restarts);
}

static enum ckpt_call_rest rest_of_accept(struct task_struct *task, unsigned long fd)
{
	return left_alone(probe_fd(task, fd).read_restarts);
}

static enum ckpt_call_rest rest_of_futex(const unsigned long *args)
{
	switch (args[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:		/* a timeout here is relative */
		return args[3] ? CKPT_CALL_WAKE : CKPT_CALL_EITHER;
	case FUTEX_WAIT_BITSET:		/* here it is absolute */
		return CKPT_CALL_EITHER;
	default:
		return CKPT_CALL_WAKE;
	}
}

static enum ckpt_call_rest rest_of_fcntl(unsigned long cmd)
{
	return cmd == F_SETLKW || cmd == F_OFD_SETLKW ? CKPT_CALL_LEAVE : CKPT_CALL_WAKE;
}

/* With STICKY_TIMEOUTS the kernel gives no time back, but EINTR (fs/select.c). */
static enum ckpt_call_rest rest_of_select(struct task_struct *task, unsigned long timeout)
{
	if (task->personality & STICKY_TIMEOUTS)
		return CKPT_CALL_LEAVE;
	return timeout ? CKPT_CALL_WAKE : CKPT_CALL_EITHER;
}

/**
 * ckpt_call_rest - what to do with a sleeper
 * @task: asleep in an interruptible wait
 *
 * To capture it as it is, issuing the call again from its start, with the arguments in
 * its registers, must be the same as having slept on.
 *
 * Return: CKPT_CALL_WAKE, CKPT_CALL_EITHER or CKPT_CALL_LEAVE.
 */
enum ckpt_call_rest ckpt_call_rest(struct task_struct *task)
{
	struct pt_regs *regs = task_pt_regs(task);
	unsigned long args[6];
	int nr = syscall_get_nr(task, regs);

	syscall_get_arguments(task, regs, args);

	/*
	 * The call has its result already: this is another sleep, on the way out, as in a
	 * frozen cgroup. Issuing the call again would do it twice.
	 */
	if (nr != -1 && (long)regs->ax != -ENOSYS)
		return CKPT_CALL_WAKE;

	switch (nr) {
	case __NR_epoll_wait:		/* these say EINTR */
	case __NR_epoll_pwait:
	case __NR_epoll_pwait2:
	case __NR_semop:
	case __NR_semtimedop:
	case __NR_rt_sigtimedwait:
	case __NR_io_getevents:
	case __NR_io_pgetevents:
	case __NR_rt_sigsuspend:	/* only a signal wakes these */
	case __NR_pause:
	case __NR_connect:		/* protocols and file systems differ */
	case __NR_flock:
		return CKPT_CALL_LEAVE;
	case -1:			/* in a page fault: the instruction runs again */
	case __NR_wait4:
	case __NR_waitid:
	case __NR_msgsnd:
	case __NR_msgrcv:
	case __NR_mq_timedsend:
	case __NR_mq_timedreceive:
	case __NR_futex_waitv:
		return CKPT_CALL_EITHER;
	case __NR_accept:
	case __NR_accept4:
		return rest_of_accept(task, args[0]);
	case __NR_poll:
		return (int)args[2] < 0 ? CKPT_CALL_EITHER : CKPT_CALL_WAKE;
	case __NR_ppoll:
		return rest_of_select(task, args[2]);
	case __NR_select:
	case __NR_pselect6:
		return rest_of_select(task, args[4]);
	case __NR_futex:
		return rest_of_futex(args);
	case __NR_clock_nanosleep:
		return args[1] & TIMER_ABSTIME ? CKPT_CALL_EITHER : CKPT_CALL_WAKE;
	case __NR_fcntl:
		return rest_of_fcntl(args[1]);
	case __NR_recvfrom:
		return rest_of_recv(task, args[0], args[3]);
	case __NR_recvmsg:
		return rest_of_recv(task, args[0], args[2]);
	case __NR_read:
	case __NR_readv:
		return rest_of_read(task, args[0]);
	case __NR_write:
		return rest_of_write(task, args[0], args[2]);
	case __NR_writev:
	case __NR_sendto:
	case __NR_sendmsg:
		return rest_of_write(task, args[0], SIZE_MAX);
	default:
		return CKPT_CALL_WAKE;
	}
}
