// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kind-timerfd.c - timerfd_create(2): a timer, and how often it has expired unread.  No state.
 *
 * Its fdinfo tells clock, flags, interval and count; the module adds whether it runs, when it expires,
 * and how long that is from the snapshot.  A timer that was set to a time (TFD_TIMER_ABSTIME) expires at
 * that time; any other has the time left that it had.
 *
 * A periodic timer that has expired waits to be read before it goes on, and only then counts what it
 * missed.  It comes back as one that was asked for its time (timerfd_gettime): counted up to now, and
 * running.  A program cannot tell these apart.  The count is set by TFD_IOC_SET_TICKS.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kind.h"
#include "restore-files.h"
#include "util.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS	_IOW('T', 0, uint64_t)	/* linux/timerfd.h */
#endif

/* Closer than this a timer is waited for, so that it does not expire between two calls. */
#define SOON_NS		1000000
#define WAIT_MS		1000

struct timer {
	int clock;
	bool absolute;
	int flags;		/* of timerfd_settime() */
	uint64_t ticks;
	int64_t interval;
	bool armed;		/* it runs; else it was never set, or has expired */
	int64_t expires;	/* on its clock */
	int64_t remaining;	/* until then; negative: that is past */
};

/* What a timer is set to now. */
struct plan {
	bool runs;
	int64_t now, at;	/* on the clock it is told by */
	uint64_t ticks;
};

static bool is_timerfd(const struct ckpt_model_fd *fd)
{
	return fd_kind_is_anon(fd, "[timerfd]");
}

static bool is_alarm(int clock)
{
	return clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
}

static bool is_known(uint64_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
	       clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
}

static bool parse_interval(const struct ckpt_model_fd *fd, int64_t *ret)
{
	const char *line = fd_kind_line(fd, "it_interval: (");
	long long sec, nsec;

	return line && sscanf(line, "%lld, %lld)", &sec, &nsec) == 2 && sec >= 0 && nsec >= 0 &&
	       nsec < (long long)NSEC_PER_SEC &&
	       !__builtin_mul_overflow(sec, (int64_t)NSEC_PER_SEC, ret) &&
	       !__builtin_add_overflow(*ret, nsec, ret);
}

static bool parse(const struct ckpt_model_fd *fd, struct timer *t)
{
	uint64_t clock, flags, armed, expires, remaining;

	if (!fd_kind_info(fd, "clockid:", 10, &clock) || !is_known(clock) ||
	    !fd_kind_info(fd, "ticks:", 10, &t->ticks) ||
	    !fd_kind_info(fd, "settime flags:", 8, &flags) ||
	    flags & ~(uint64_t)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) ||
	    !parse_interval(fd, &t->interval) || !fd_kind_info(fd, "armed:", 10, &armed) ||
	    !fd_kind_info(fd, "expires:", 10, &expires) ||
	    !fd_kind_info(fd, "remaining:", 10, &remaining))
		return false;
	t->clock = (int)clock;
	t->flags = (int)flags;
	t->absolute = flags & TFD_TIMER_ABSTIME;
	t->armed = armed;
	t->expires = (int64_t)expires;
	t->remaining = (int64_t)remaining;
	return true;
}

static void judge_timerfd(const struct fd_case *c)
{
	struct timer t;

	if (!parse(c->fd, &t))
		refuse_fd(c, "is a timerfd the kernel does not tell enough of",
			  "close it before the snapshot");
	else if (t.flags & TFD_TIMER_CANCEL_ON_SET && t.ticks)
		refuse_fd(c, "is a timerfd that has expired or been cancelled, nobody can tell which "
			  "(TFD_TIMER_CANCEL_ON_SET)", "read it, or take the snapshot again later");
}

static int open_timerfd(struct restore *rs, const char *thing, const struct ckpt_model_fd *f,
			bool *ret_borrowed)
{
	struct timer t;
	int fd, r;

	if (!parse(f, &t))
		return ckpt_err_set(rs->err, -EINVAL, "%s: the image does not tell enough of its timerfd",
				    thing);
	fd = timerfd_create(t.clock, TFD_CLOEXEC);
	if (fd < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: make a timerfd", thing);
		if (r == -EPERM && is_alarm(t.clock))
			ckpt_err_hint(rs->err, "a clock that wakes the machine takes CAP_WAKE_ALARM: restore as root");
		return r;
	}
	if (fcntl(fd, F_SETFL, (int)f->rec.file_flags) < 0) {
		r = ckpt_err_sys(rs->err, errno, "%s: set the flags of a timerfd", thing);
		close(fd);
		return r;
	}
	return fd;
}

/* The clock a time is told by; a time that is left passes on all of them alike. */
static int64_t now_of(const struct timer *t)
{
	if (!t->absolute || t->clock == CLOCK_MONOTONIC)
		return (int64_t)util_clock_ns(CLOCK_MONOTONIC);
	if (t->clock == CLOCK_BOOTTIME || t->clock == CLOCK_BOOTTIME_ALARM)
		return (int64_t)util_clock_ns(CLOCK_BOOTTIME);
	return (int64_t)util_clock_ns(CLOCK_REALTIME);
}

/* We are not in the time name space of the child. */
static int64_t offset_of(const struct restore *rs, const struct timer *t)
{
	if (t->clock == CLOCK_MONOTONIC)
		return rs->mono_offset;
	if (t->clock == CLOCK_BOOTTIME || t->clock == CLOCK_BOOTTIME_ALARM)
		return rs->boot_offset;
	return 0;
}

/* When it expires next, and how often it has by now.  False: numbers no timer has. */
static bool plan_timer(const struct restore *rs, const struct timer *t, struct plan *p)
{
	int64_t late, missed = 0;

	p->runs = t->armed || (t->ticks && t->interval);
	p->ticks = t->ticks;
	p->now = p->at = now_of(t);
	if (!p->runs)
		return true;
	if (t->absolute ? __builtin_sub_overflow(t->expires, offset_of(rs, t), &p->at) :
			  __builtin_add_overflow(p->now, t->remaining, &p->at))
		return false;
	if (p->at > p->now)
		return true;
	if (__builtin_sub_overflow(p->now, p->at, &late))
		return false;
	if (t->interval)
		missed = late / t->interval;
	/* The first is among them already if it had expired at the snapshot. */
	if (__builtin_add_overflow(p->ticks, (uint64_t)missed + t->armed, &p->ticks))
		return false;
	p->runs = t->interval;
	return !__builtin_add_overflow(p->now - late % (t->interval ? t->interval : 1), t->interval,
				       &p->at);
}

/* Set the timer, then its count: that order, for the first call clears the count. */
static int set_timer(int fd, const struct timer *t, const struct plan *p)
{
	const bool soon = p->runs && p->at - p->now < SOON_NS;
	struct itimerspec its = { .it_interval = to_timespec((uint64_t)t->interval) };
	struct pollfd expired = { .fd = fd, .events = POLLIN };
	uint64_t ticks = p->ticks;

	if (p->runs)
		its.it_value = to_timespec((uint64_t)(t->absolute ? p->at : p->at - p->now));
	if (timerfd_settime(fd, t->flags, &its, NULL) < 0)
		return -errno;
	if (!ticks)
		return 0;
	if (soon && poll(&expired, 1, WAIT_MS) != 1)
		return -ETIMEDOUT;
	ticks += soon;
	return ioctl(fd, TFD_IOC_SET_TICKS, &ticks) < 0 ? -errno : 0;
}

static int arm_timerfd(struct restore *rs, const char *thing, const struct ckpt_model_fd *f, int fd)
{
	struct timer t;
	struct plan p;
	int r;

	do {
		if (!parse(f, &t) || !plan_timer(rs, &t, &p))
			return ckpt_err_set(rs->err, -EINVAL, "%s: the image has a time for its timerfd that is none",
					    thing);
		r = set_timer(fd, &t, &p);
		if (r)
			return ckpt_err_sys(rs->err, r, "%s: set a timerfd", thing);
		/* It may have expired before its count was set, which then lacks that. */
	} while (p.runs && p.ticks && p.at - p.now >= SOON_NS && now_of(&t) >= p.at);
	return 0;
}

const struct fd_kind kind_timerfd = {
	.what = "a timerfd", .is = is_timerfd, .judge = judge_timerfd, .open = open_timerfd,
	.arm = arm_timerfd,
};
